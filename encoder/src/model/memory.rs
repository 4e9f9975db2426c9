//! How much memory a run takes, told from the architecture and the shape of its input.

use super::Model;
use crate::architecture::{BlockSpec, DepthwiseSpec, InvertedResidualSpec};
use crate::geometry::Axis;

/// Height and width.
type MapExtents = (u64, u64);

impl Model {
    /// About how many bytes of feature maps a run on an input of this shape holds at once, beyond what the run before left for
    /// it; `None` for an input that the model does not take. Weights are not counted.
    pub fn working_memory(&self, shape: &[usize]) -> Option<u64> {
        let &[batch, channels, height, width] = shape else { return None };
        let count = |n: usize| u64::try_from(n).ok();
        let (batch, mut at) = (count(batch)?, (count(height)?, count(width)?));
        // The input is copied into the order of the kernels.
        let input = area(at)?.checked_mul(count(channels)?)?;
        let held = |at: MapExtents, channels: [usize; 2]| {
            area(at)?.checked_mul(count(channels[0])?.checked_add(count(channels[1])?)?)
        };
        at = self.strided(at, self.architecture.stem.kernel);
        let mut most = input.checked_add(held(at, [self.architecture.stem.channels; 2])?)?;
        let mut hold = |at: MapExtents, channels: [usize; 2]| {
            most = most.max(held(at, channels)?);
            Some(())
        };
        let stages = self.architecture.stages.len();
        for (stage, _, block) in self.architecture.blocks() {
            let before = at;
            let (channels, stride) = match block {
                BlockSpec::EdgeResidual(spec) => {
                    ([spec.input, spec.expanded], (spec.stride > 1).then_some(spec.kernel))
                }
                BlockSpec::InvertedResidual(spec) => ([spec.expanded; 2], stride(spec)),
                BlockSpec::Attention(spec) => {
                    ([spec.input, 2 * spec.heads * spec.key_dim.max(spec.value_dim)], None)
                }
            };
            if let Some(kernel) = stride {
                at = self.strided(at, kernel);
            }
            // An expansion before its stride is as large as what comes in; one that strides at once is not.
            hold(if matches!(block, BlockSpec::EdgeResidual(_)) { at } else { before }, channels)?;
            if stage + 2 == stages
                && let Some(fusion) = &self.architecture.fusion
            {
                hold(at, [fusion.input, 0])?;
            }
        }
        if let Some(fusion) = &self.architecture.fusion {
            let (height, width) = self.settings.output_resolution;
            let tokens = (count(height)?, count(width)?);
            let fused = (tokens.0.max(at.0 * 2), tokens.1.max(at.1 * 2));
            hold(fused, [fusion.input, fusion.expanded])?;
            hold(tokens, [fusion.output, self.architecture.embedder.map_or(0, |spec| spec.hidden)])?;
        }
        let bytes = most.checked_mul(batch)?.checked_mul(u64::try_from(size_of::<f32>()).ok()?)?;
        // What kernels rearrange, a part at a time.
        Some(bytes.checked_add(bytes / 4)?.saturating_sub(self.idle.bytes()))
    }

    /// The extents after a convolution of stride 2.
    fn strided(&self, (height, width): MapExtents, kernel: usize) -> MapExtents {
        let after = |extent: u64| {
            let input = usize::try_from(extent).ok()?;
            u64::try_from(Axis::new(self.settings.padding, input, kernel, 2)?.output).ok()
        };
        (after(height).unwrap_or(0), after(width).unwrap_or(0))
    }
}

/// The kernel with which a block halves a map, where it does.
fn stride(spec: &InvertedResidualSpec) -> Option<usize> {
    let strides = |depthwise: &&DepthwiseSpec| depthwise.stride > 1;
    let parts = [&spec.dw_start, &spec.dw_mid, &spec.dw_end];
    parts.into_iter().flatten().find(strides).map(|depthwise| depthwise.kernel)
}

fn area((height, width): MapExtents) -> Option<u64> {
    height.checked_mul(width)
}
