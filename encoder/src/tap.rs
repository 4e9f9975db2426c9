//! Named intermediate tensors: their names, and who receives them.
//!
//! The names are those of llama.cpp's graph; no other file makes them.

use crate::architecture::BlockSpec;
use crate::tensor::DenseTensor;

/// An intermediate tensor as dumps hold it: `[B, C, H, W]`, or `[B, T, C]` from the embedder.
pub type TapTensor = DenseTensor<f32>;

/// Receives intermediate tensors in the order of execution.
pub trait TapSink {
    /// Whether the tensor of that name is wanted; an unwanted one costs nothing.
    fn wants(&self, name: &str) -> bool;

    /// Takes a tensor that was wanted.
    ///
    /// # Errors
    /// Any error; it ends the run.
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

/// The model's input among the named tensors: the image, `[B, C, H, W]` in [0, 1]. It is not a tap, and dumps do not hold it.
pub const INPUT: &str = "input";

pub(crate) const STEM: &str = "mobilenet_stem_output";
pub(crate) const MSFA_CONCAT: &str = "msfa_concat";
pub(crate) const MSFA_FFN_EXPAND: &str = "msfa_ffn_expand";
pub(crate) const MSFA_FFN_PROJECT: &str = "msfa_ffn_project";
pub(crate) const MSFA_DOWNSAMPLE: &str = "msfa_downsample";
pub(crate) const MSFA_CONCAT_NORM: &str = "msfa_concat_norm";
pub(crate) const MM_SOFT_EMB_NORM: &str = "mm_soft_emb_norm";
pub(crate) const MM_INPUT_PROJ: &str = "mm_input_proj";
pub(crate) const MM_POST_PROJ_NORM: &str = "mm_post_proj_norm";

/// The named tensors of a block.
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

/// The names of a block's taps in the order of execution, the block counted over all stages.
///
/// A block with a layer scale but no skip has no `layer_scale` tap: its output is the same tensor, and GGML keeps the
/// later name.
pub(crate) fn of_block(block: &BlockSpec, number: usize) -> Vec<String> {
    let mut taps = Vec::new();
    let (scaled, output) = match block {
        BlockSpec::EdgeResidual(_) => (false, BlockTap::EdgeResidual),
        BlockSpec::InvertedResidual(spec) => (spec.layer_scale && spec.skip, BlockTap::InvertedResidual),
        BlockSpec::Attention(spec) => {
            taps.push(BlockTap::AttnNorm);
            if spec.downsample.is_some() {
                taps.extend([BlockTap::AttnKeyNorm, BlockTap::AttnValueNorm]);
            }
            (spec.layer_scale && spec.skip, BlockTap::AttnOutput)
        }
    };
    if scaled {
        taps.push(BlockTap::LayerScale);
    }
    taps.push(output);
    taps.into_iter().map(|tap| tap.name(number)).collect()
}

/// The names of the fusion's taps in the order of execution; [`MSFA_DOWNSAMPLE`] is left out where nothing is resized.
pub(crate) fn of_fusion() -> Vec<String> {
    [MSFA_CONCAT, MSFA_FFN_EXPAND, MSFA_FFN_PROJECT, MSFA_DOWNSAMPLE, MSFA_CONCAT_NORM]
        .map(String::from)
        .to_vec()
}

/// The names of the embedder's taps in the order of execution.
pub(crate) fn of_embedder() -> Vec<String> {
    [MM_SOFT_EMB_NORM, MM_INPUT_PROJ, MM_POST_PROJ_NORM].map(String::from).to_vec()
}
