//! Named intermediate tensors: who wants which, and what they are called.
//!
//! The names are those of llama.cpp's graph; this is the one place that makes them.

use crate::architecture::{Architecture, BlockSpec, Settings};

/// An intermediate tensor as dumps hold it: `[B, C, H, W]`, or `[B, T, C]` behind the embedder; row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct TapTensor {
    /// Extents, slowest first.
    pub shape: Vec<usize>,
    /// Elements in row-major order.
    pub data: Vec<f32>,
}

/// Receives intermediate tensors in the order of execution.
pub trait TapSink {
    /// Whether the tensor of that name is wanted; one that is not costs nothing.
    fn wants(&self, name: &str) -> bool;

    /// Takes a tensor that was wanted.
    ///
    /// # Errors
    /// Whatever went wrong; it ends the run.
    fn record(
        &mut self,
        name: &str,
        tensor: TapTensor,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// Wants nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTaps;

impl TapSink for NoTaps {
    fn wants(&self, _: &str) -> bool {
        false
    }

    fn record(&mut self, _: &str, _: TapTensor) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }
}

/// Keeps every tensor, by name, in the order of execution.
#[derive(Clone, Debug, Default)]
pub struct AllTaps(pub Vec<(String, TapTensor)>);

impl TapSink for AllTaps {
    fn wants(&self, _: &str) -> bool {
        true
    }

    fn record(
        &mut self,
        name: &str,
        tensor: TapTensor,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.0.push((name.to_string(), tensor));
        Ok(())
    }
}

pub(crate) const STEM: &str = "mobilenet_stem_output";
pub(crate) const MSFA_CONCAT: &str = "msfa_concat";
pub(crate) const MSFA_FFN_EXPAND: &str = "msfa_ffn_expand";
pub(crate) const MSFA_FFN_PROJECT: &str = "msfa_ffn_project";
pub(crate) const MSFA_DOWNSAMPLE: &str = "msfa_downsample";
pub(crate) const MSFA_CONCAT_NORM: &str = "msfa_concat_norm";
pub(crate) const MM_SOFT_EMB_NORM: &str = "mm_soft_emb_norm";
pub(crate) const MM_INPUT_PROJ: &str = "mm_input_proj";
pub(crate) const MM_POST_PROJ_NORM: &str = "mm_post_proj_norm";

/// What of a block has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockTap {
    EdgeResidual,
    InvertedResidual,
    AttnNorm,
    AttnKeyNorm,
    AttnValueNorm,
    LayerScale,
    AttnOutput,
}

impl BlockTap {
    /// The name of the tap of block `block`, counted over all stages.
    pub(crate) fn name(self, block: usize) -> String {
        let suffix = match self {
            BlockTap::EdgeResidual => "edge_residual",
            BlockTap::InvertedResidual => "inverted_residual",
            BlockTap::AttnNorm => "attn_norm",
            BlockTap::AttnKeyNorm => "attn_key_norm",
            BlockTap::AttnValueNorm => "attn_value_norm",
            BlockTap::LayerScale => "layer_scale",
            BlockTap::AttnOutput => "attn_output",
        };
        format!("mobilenet_block_{block}_{suffix}")
    }
}

/// The names of all taps of a model in the order of execution, given the resolution of the fused feature map.
///
/// A block with a layer scale but no skip has no `layer_scale` tap: its output is the same tensor, and GGML keeps the
/// later name.
pub(crate) fn names(architecture: &Architecture, settings: &Settings, fused: (usize, usize)) -> Vec<String> {
    let mut names = vec![STEM.to_string()];
    for (i, block) in architecture.stages.iter().flatten().enumerate() {
        let (scaled, output) = match block {
            BlockSpec::EdgeResidual(_) => (false, BlockTap::EdgeResidual),
            BlockSpec::InvertedResidual(spec) => (spec.layer_scale && spec.skip, BlockTap::InvertedResidual),
            BlockSpec::Attention(spec) => {
                names.push(BlockTap::AttnNorm.name(i));
                if spec.downsample.is_some() {
                    names.push(BlockTap::AttnKeyNorm.name(i));
                    names.push(BlockTap::AttnValueNorm.name(i));
                }
                (spec.layer_scale && spec.skip, BlockTap::AttnOutput)
            }
        };
        if scaled {
            names.push(BlockTap::LayerScale.name(i));
        }
        names.push(output.name(i));
    }
    if architecture.fusion.is_some() {
        names.extend([MSFA_CONCAT, MSFA_FFN_EXPAND, MSFA_FFN_PROJECT].map(String::from));
        if fused != settings.output_resolution {
            names.push(MSFA_DOWNSAMPLE.to_string());
        }
        names.push(MSFA_CONCAT_NORM.to_string());
    }
    if architecture.embedder.is_some() {
        names.extend([MM_SOFT_EMB_NORM, MM_INPUT_PROJ, MM_POST_PROJ_NORM].map(String::from));
    }
    names
}
