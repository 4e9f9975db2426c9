//! Named intermediate tensors: their names, and who receives them.
//!
//! The names are those of llama.cpp's graph, which has none inside a block but those of norms and layer scale: the others
//! there, the inner taps, are named after timm's modules. No other file makes names.

use crate::architecture::{BlockSpec, HeadSpec};
use crate::tensor::DenseTensor;

/// An intermediate tensor as dumps hold it: `[B, C, H, W]`, `[B, T, C]` from the embedder, `[B, classes]` from a classifier.
pub type TapTensor = DenseTensor<f32>;

/// Receives intermediate tensors in the order of execution.
pub trait TapSink {
    /// Whether the tensor of that name is wanted; an unwanted one costs nothing.
    fn wants(&self, name: &str) -> bool;

    /// Whether inner taps are asked for too: what the operations inside a block give. They take longer, since nothing is
    /// fused over them, and change no bit of any other tensor.
    fn wants_inner(&self) -> bool {
        false
    }

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

/// A sink that may ask for inner taps too, of those names that `sink` wants.
#[derive(Clone, Debug)]
pub struct WithInner<S> {
    /// Whether inner taps are asked for.
    pub asked: bool,
    /// What receives all tensors.
    pub sink: S,
}

impl<S> WithInner<S> {
    /// Asks for inner taps.
    pub fn of(sink: S) -> Self {
        WithInner { asked: true, sink }
    }
}

impl<S: TapSink> TapSink for WithInner<S> {
    fn wants(&self, name: &str) -> bool {
        self.sink.wants(name)
    }

    fn wants_inner(&self) -> bool {
        self.asked
    }

    fn record(
        &mut self,
        name: &str,
        tensor: TapTensor,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.sink.record(name, tensor)
    }
}

/// Whether a tap is what GELU gives.
pub fn is_activated(name: &str) -> bool {
    let of_block = [BlockTap::ConvExp, BlockTap::PwExp, BlockTap::DwMid];
    let is_of_block = |tap: &BlockTap| {
        let suffix = tap.name(0);
        let suffix = suffix.trim_start_matches("mobilenet_block_0");
        name.strip_suffix(suffix).is_some_and(|head| head.starts_with("mobilenet_block_"))
    };
    [STEM, MSFA_FFN_EXPAND, HEAD_HIDDEN].contains(&name) || of_block.iter().any(is_of_block)
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
// llama.cpp has no classifier: these are named after what they are.
pub(crate) const HEAD_POOL: &str = "head_pool";
pub(crate) const HEAD_HIDDEN: &str = "head_hidden";
pub(crate) const HEAD_LOGITS: &str = "head_logits";

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
    // Inner taps. Each convolution is tapped after its norm and its activation, where it has them.
    ConvExp,
    ConvPwl,
    DwStart,
    PwExp,
    DwMid,
    PwProj,
    DwEnd,
    AttnQuery,
    AttnKey,
    AttnValue,
    /// All heads side by side, before the projection.
    AttnHeads,
    /// After the projection.
    AttnProj,
}

impl BlockTap {
    /// Whether only sinks that ask for inner taps get it.
    fn is_inner(self) -> bool {
        match self {
            BlockTap::EdgeResidual
            | BlockTap::InvertedResidual
            | BlockTap::AttnNorm
            | BlockTap::AttnKeyNorm
            | BlockTap::AttnValueNorm
            | BlockTap::LayerScale
            | BlockTap::AttnOutput => false,
            BlockTap::ConvExp
            | BlockTap::ConvPwl
            | BlockTap::DwStart
            | BlockTap::PwExp
            | BlockTap::DwMid
            | BlockTap::PwProj
            | BlockTap::DwEnd
            | BlockTap::AttnQuery
            | BlockTap::AttnKey
            | BlockTap::AttnValue
            | BlockTap::AttnHeads
            | BlockTap::AttnProj => true,
        }
    }

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
            BlockTap::ConvExp => "conv_exp",
            BlockTap::ConvPwl => "conv_pwl",
            BlockTap::DwStart => "dw_start",
            BlockTap::PwExp => "pw_exp",
            BlockTap::DwMid => "dw_mid",
            BlockTap::PwProj => "pw_proj",
            BlockTap::DwEnd => "dw_end",
            BlockTap::AttnQuery => "attn_query",
            BlockTap::AttnKey => "attn_key",
            BlockTap::AttnValue => "attn_value",
            BlockTap::AttnHeads => "attn_heads",
            BlockTap::AttnProj => "attn_proj",
        };
        format!("mobilenet_block_{block}_{suffix}")
    }
}

/// The name of the result of a block's layer scale, the block counted over all stages; the block's own result is another tensor
/// only where it has a skip.
pub fn layer_scale(block: usize) -> String {
    BlockTap::LayerScale.name(block)
}

/// The names of a block's taps in the order of execution, inner ones left out, the block counted over all stages.
///
/// A block with a layer scale but no skip has no `layer_scale` tap: its output is the same tensor, and GGML keeps the
/// later name.
pub(crate) fn of_block(block: &BlockSpec, number: usize) -> Vec<String> {
    taps_of(block).into_iter().filter(|tap| !tap.is_inner()).map(|tap| tap.name(number)).collect()
}

/// As [`of_block`], with the inner ones.
pub(crate) fn of_block_with_inner(block: &BlockSpec, number: usize) -> Vec<String> {
    taps_of(block).into_iter().map(|tap| tap.name(number)).collect()
}

/// All taps of a block in the order of execution.
fn taps_of(block: &BlockSpec) -> Vec<BlockTap> {
    let mut taps = Vec::new();
    let (scaled, output) = match block {
        BlockSpec::EdgeResidual(_) => {
            taps.extend([BlockTap::ConvExp, BlockTap::ConvPwl]);
            (false, BlockTap::EdgeResidual)
        }
        BlockSpec::InvertedResidual(spec) => {
            taps.extend(spec.dw_start.map(|_| BlockTap::DwStart));
            taps.push(BlockTap::PwExp);
            taps.extend(spec.dw_mid.map(|_| BlockTap::DwMid));
            taps.push(BlockTap::PwProj);
            taps.extend(spec.dw_end.map(|_| BlockTap::DwEnd));
            (spec.layer_scale && spec.skip, BlockTap::InvertedResidual)
        }
        BlockSpec::Attention(spec) => {
            taps.extend([BlockTap::AttnNorm, BlockTap::AttnQuery]);
            taps.extend(spec.downsample.map(|_| BlockTap::AttnKeyNorm));
            taps.push(BlockTap::AttnKey);
            taps.extend(spec.downsample.map(|_| BlockTap::AttnValueNorm));
            taps.extend([BlockTap::AttnValue, BlockTap::AttnHeads, BlockTap::AttnProj]);
            (spec.layer_scale && spec.skip, BlockTap::AttnOutput)
        }
    };
    if scaled {
        taps.push(BlockTap::LayerScale);
    }
    taps.push(output);
    taps
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

/// The names of the classifier head's taps in the order of execution.
pub(crate) fn of_head(head: &HeadSpec) -> Vec<String> {
    let of_hidden = head.hidden.map(|_| HEAD_HIDDEN);
    let of_classes = head.classes.map(|_| HEAD_LOGITS);
    [Some(HEAD_POOL), of_hidden, of_classes].into_iter().flatten().map(String::from).collect()
}
