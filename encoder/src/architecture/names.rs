//! timm's names of all weights, the embedder's as [`crate::Checkpoint`] gives them. No other file writes them out.

use crate::checkpoint::FIRST_WEIGHT;

/// The convolution at the front.
pub(crate) mod stem {
    pub(crate) const MODULE: &str = "conv_stem";
    pub(crate) const CONVOLUTION: &str = super::FIRST_WEIGHT;
    pub(crate) const BIAS: &str = "conv_stem.conv.bias";
    pub(crate) const NORM: &str = "conv_stem.bn.weight";
}

/// Weights in the [`Module`] of an edge residual block.
pub(crate) mod edge_residual {
    pub(crate) const EXPANSION: &str = "conv_exp.weight";
    pub(crate) const EXPANSION_NORM: &str = "bn1.weight";
    pub(crate) const PROJECTION: &str = "conv_pwl.weight";
    pub(crate) const PROJECTION_NORM: &str = "bn2.weight";
}

/// Weights in the [`Module`] of an inverted residual block, or of the fusion's feed-forward.
pub(crate) mod inverted_residual {
    use super::Depthwise;

    pub(crate) const EXPANSION: &str = "pw_exp.conv.weight";
    pub(crate) const EXPANSION_NORM: &str = "pw_exp.bn.weight";
    pub(crate) const PROJECTION: &str = "pw_proj.conv.weight";
    pub(crate) const PROJECTION_NORM: &str = "pw_proj.bn.weight";
    pub(crate) const START: Depthwise =
        Depthwise { convolution: "dw_start.conv.weight", norm: "dw_start.bn.weight" };
    pub(crate) const MIDDLE: Depthwise =
        Depthwise { convolution: "dw_mid.conv.weight", norm: "dw_mid.bn.weight" };
    pub(crate) const END: Depthwise =
        Depthwise { convolution: "dw_end.conv.weight", norm: "dw_end.bn.weight" };
}

/// Weights in the [`Module`] of an attention block.
pub(crate) mod attention {
    use super::{Depthwise, KeyOrValueNames};

    /// What the names of its products' weights begin with.
    pub(crate) const PREFIX: &str = "attn.";
    pub(crate) const NORM: &str = "norm.weight";
    pub(crate) const QUERY: &str = "attn.query.proj.weight";
    pub(crate) const KEY: KeyOrValueNames = KeyOrValueNames {
        downsample: Depthwise { convolution: "attn.key.down_conv.weight", norm: "attn.key.norm.weight" },
        projection: "attn.key.proj.weight",
    };
    pub(crate) const VALUE: KeyOrValueNames = KeyOrValueNames {
        downsample: Depthwise { convolution: "attn.value.down_conv.weight", norm: "attn.value.norm.weight" },
        projection: "attn.value.proj.weight",
    };
    pub(crate) const OUTPUT: &str = "attn.output.proj.weight";
}

/// The layer scale in the [`Module`] of an inverted residual or attention block.
pub(crate) const LAYER_SCALE: &str = "layer_scale.gamma";

/// The multi-scale fusion.
pub(crate) mod fusion {
    pub(crate) const MODULE: &str = "msfa";
    pub(crate) const NORM: &str = "msfa.norm.weight";
}

/// Gemma 3n's embedder.
pub(crate) mod embedder {
    pub(crate) const MODULE: &str = "embed_vision";
    pub(crate) const SOFT_NORM: &str = "embed_vision.soft_embedding_norm.weight";
    pub(crate) const PROJECTION: &str = "embed_vision.embedding_projection.weight";
    /// A module without a weight.
    pub(crate) const LAST_NORM: &str = "embed_vision.embedding_post_projection_norm";
}

/// timm's classifier head.
pub(crate) mod head {
    pub(crate) const MODULE: &str = "head";
    /// A module without a weight.
    pub(crate) const POOL: &str = "global_pool";
    pub(crate) const CONVOLUTION: &str = "conv_head.weight";
    pub(crate) const NORM: &str = "norm_head.weight";
    pub(crate) const CLASSIFIER: &str = "classifier.weight";
    pub(crate) const CLASSIFIER_BIAS: &str = "classifier.bias";
    /// All of them.
    pub(crate) const WEIGHTS: [&str; 4] = [CONVOLUTION, NORM, CLASSIFIER, CLASSIFIER_BIAS];
}

/// What a checkpoint with an embedder may hold besides: timm's classifier head, and the weights of the embedder that only text needs.
pub(crate) const UNUSED: [&str; 5] = [
    "classifier.",
    "conv_head.",
    "norm_head.",
    "embed_vision.embedding.weight",
    "embed_vision.hard_embedding_norm.weight",
];

/// A depthwise convolution and its norm.
#[derive(Clone, Copy)]
pub(crate) struct Depthwise {
    pub(crate) convolution: &'static str,
    pub(crate) norm: &'static str,
}

/// Keys, or values: the downsampling before their projection, and the projection.
#[derive(Clone, Copy)]
pub(crate) struct KeyOrValueNames {
    pub(crate) downsample: Depthwise,
    pub(crate) projection: &'static str,
}

/// A module whose weights are named within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Module(String);

impl Module {
    /// A block of a stage.
    pub(crate) fn block(stage: usize, index: usize) -> Module {
        Module(format!("blocks.{stage}.{index}"))
    }

    /// The feed-forward of the fusion.
    pub(crate) fn feed_forward() -> Module {
        Module(format!("{}.ffn", fusion::MODULE))
    }

    /// The whole name of one of its weights, or of a module in it.
    pub(crate) fn name_of(&self, part: &str) -> String {
        format!("{}.{part}", self.0)
    }

    /// What the names of its weights begin with.
    pub(crate) fn prefix(&self) -> String {
        format!("{}.", self.0)
    }
}

impl std::fmt::Display for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the names of a stage's weights begin with.
pub(crate) fn stage_prefix(stage: usize) -> String {
    format!("blocks.{stage}.")
}

/// Stage and index in it of the block that a weight belongs to.
pub(crate) fn block_of(weight: &str) -> Option<(usize, usize)> {
    let mut parts = weight.strip_prefix("blocks.")?.split('.');
    // No model has more than 4 stages.
    let stage = parts.next()?.parse().ok().filter(|stage| *stage < 16)?;
    Some((stage, parts.next()?.parse().ok()?))
}

/// The module that a weight belongs to.
pub(crate) fn module_of(weight: &str) -> &str {
    weight.strip_suffix(".weight").unwrap_or(weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::EMBEDDER;

    #[test]
    fn the_embedder_has_the_prefix_that_checkpoints_give_it() {
        for name in [embedder::SOFT_NORM, embedder::PROJECTION, embedder::LAST_NORM] {
            assert!(name.starts_with(EMBEDDER), "{name}");
        }
        assert_eq!(EMBEDDER, format!("{}.", embedder::MODULE));
    }

    #[test]
    fn a_module_is_its_weight_without_the_suffix() {
        assert_eq!(module_of("blocks.0.1.conv_exp.weight"), "blocks.0.1.conv_exp");
        assert_eq!(Module::block(0, 1).name_of(edge_residual::EXPANSION), "blocks.0.1.conv_exp.weight");
        assert_eq!(
            Module::feed_forward().name_of(inverted_residual::EXPANSION),
            "msfa.ffn.pw_exp.conv.weight"
        );
    }
}
