//! What a model is made of, and what its tensors are called.

mod inventory;
pub(crate) mod names;
mod reader;

use names::Module;

use crate::geometry::Padding;

/// What weights cannot show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How convolutions are padded; Gemma 3n's encoder uses [`Padding::Same`].
    pub padding: Padding,
    /// Height and width that the multi-scale fusion pools to.
    pub output_resolution: (usize, usize),
    /// Stride of keys and values in attention blocks that downsample them.
    pub kv_stride: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { padding: Padding::Same, output_resolution: (16, 16), kv_stride: 2 }
    }
}

/// A MobileNetV5 as its weights describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// Channels of the image.
    pub input_channels: usize,
    /// The convolution at the front.
    pub stem: StemSpec,
    /// Blocks by stage.
    pub stages: Vec<Vec<BlockSpec>>,
    /// The multi-scale fusion adapter, if the model has one.
    pub fusion: Option<InvertedResidualSpec>,
    /// The Gemma 3n embedder, if the checkpoint has one.
    pub embedder: Option<EmbedderSpec>,
    /// The classifier head, if the checkpoint has one and no embedder.
    pub head: Option<HeadSpec>,
}

/// The stem's convolution, stride 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StemSpec {
    /// Output channels.
    pub channels: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Whether the convolution has a bias.
    pub bias: bool,
}

/// The embedder's sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbedderSpec {
    /// Channels of a vision token.
    pub channels: usize,
    /// Width of the text model.
    pub hidden: usize,
}

/// timm's head: the mean over the map, then what of these the model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadSpec {
    /// Channels of the feature map.
    pub channels: usize,
    /// Channels of the 1 x 1 convolution after the mean, with norm and activation: in models without a fusion.
    pub hidden: Option<usize>,
    /// Classes of the linear layer at the end.
    pub classes: Option<usize>,
}

impl HeadSpec {
    /// Channels of the head's output.
    pub fn output_channels(&self) -> usize {
        self.classes.or(self.hidden).unwrap_or(self.channels)
    }
}

/// One block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockSpec {
    /// timm's `EdgeResidual`.
    EdgeResidual(EdgeResidualSpec),
    /// timm's `UniversalInvertedResidual`.
    InvertedResidual(InvertedResidualSpec),
    /// timm's `MobileAttention` with multi-query attention.
    Attention(AttentionSpec),
}

impl BlockSpec {
    /// Channels of the block's output.
    pub fn output_channels(&self) -> usize {
        match self {
            BlockSpec::EdgeResidual(spec) => spec.output,
            BlockSpec::InvertedResidual(spec) => spec.output,
            BlockSpec::Attention(spec) => spec.output,
        }
    }
}

/// k x k expansion, 1 x 1 projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeResidualSpec {
    /// Channels of the input.
    pub input: usize,
    /// Channels of the expansion.
    pub expanded: usize,
    /// Channels of the output.
    pub output: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Stride, both ways.
    pub stride: usize,
}

/// A depthwise convolution's kernel size and stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthwiseSpec {
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Stride, both ways.
    pub stride: usize,
}

/// 1 x 1 expansion and projection with optional depthwise convolutions before, between and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvertedResidualSpec {
    /// Channels of the input.
    pub input: usize,
    /// Channels of the expansion.
    pub expanded: usize,
    /// Channels of the output.
    pub output: usize,
    /// Before the expansion.
    pub dw_start: Option<DepthwiseSpec>,
    /// Between expansion and projection.
    pub dw_mid: Option<DepthwiseSpec>,
    /// After the projection.
    pub dw_end: Option<DepthwiseSpec>,
    /// Whether a learned factor of each channel scales the result.
    pub layer_scale: bool,
    /// Whether the input is added to the result.
    pub skip: bool,
}

/// Multi-query attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionSpec {
    /// Channels of the input.
    pub input: usize,
    /// Channels of the output.
    pub output: usize,
    /// Heads of queries; they share keys and values.
    pub heads: usize,
    /// Channels of a key, and of a head of queries.
    pub key_dim: usize,
    /// Channels of a value.
    pub value_dim: usize,
    /// What downsamples keys and values.
    pub downsample: Option<DepthwiseSpec>,
    /// Whether a learned factor of each channel scales the result.
    pub layer_scale: bool,
    /// Whether the input is added to the result.
    pub skip: bool,
}

impl Architecture {
    /// All blocks in the order of execution: stage, index in the stage, and what the block is.
    pub fn blocks(&self) -> impl Iterator<Item = (usize, usize, &BlockSpec)> {
        self.stages.iter().enumerate().flat_map(|(stage, blocks)| {
            blocks.iter().enumerate().map(move |(index, block)| (stage, index, block))
        })
    }

    /// timm's names of all tensors that the model reads, the embedder's with the prefix `embed_vision.`.
    pub fn tensor_names(&self) -> impl Iterator<Item = String> {
        let mut all = vec![names::stem::CONVOLUTION.to_string(), names::stem::NORM.to_string()];
        if self.stem.bias {
            all.push(names::stem::BIAS.to_string());
        }
        for (stage, index, block) in self.blocks() {
            let module = Module::block(stage, index);
            all.extend(block.tensor_names().into_iter().map(|name| module.name_of(name)));
        }
        if let Some(spec) = &self.fusion {
            let module = Module::feed_forward();
            let block = BlockSpec::InvertedResidual(*spec);
            all.extend(block.tensor_names().into_iter().map(|name| module.name_of(name)));
            all.push(names::fusion::NORM.to_string());
        }
        if self.embedder.is_some() {
            all.extend([names::embedder::SOFT_NORM, names::embedder::PROJECTION].map(String::from));
        }
        if let Some(spec) = &self.head {
            let of_hidden = spec.hidden.map(|_| [names::head::CONVOLUTION, names::head::NORM]);
            let of_classes = spec.classes.map(|_| [names::head::CLASSIFIER, names::head::CLASSIFIER_BIAS]);
            all.extend(of_hidden.into_iter().chain(of_classes).flatten().map(String::from));
        }
        all.into_iter()
    }
}

impl BlockSpec {
    fn tensor_names(&self) -> Vec<&'static str> {
        let of_depthwise = |depthwise: names::Depthwise| [depthwise.convolution, depthwise.norm];
        match self {
            BlockSpec::EdgeResidual(_) => {
                use names::edge_residual::*;
                vec![EXPANSION, EXPANSION_NORM, PROJECTION, PROJECTION_NORM]
            }
            BlockSpec::InvertedResidual(spec) => {
                use names::inverted_residual::*;
                let mut all = vec![EXPANSION, EXPANSION_NORM, PROJECTION, PROJECTION_NORM];
                for (depthwise, spec) in [(START, spec.dw_start), (MIDDLE, spec.dw_mid), (END, spec.dw_end)] {
                    if spec.is_some() {
                        all.extend(of_depthwise(depthwise));
                    }
                }
                all.extend(spec.layer_scale.then_some(names::LAYER_SCALE));
                all
            }
            BlockSpec::Attention(spec) => {
                use names::attention::*;
                let mut all = vec![NORM, QUERY, KEY.projection, VALUE.projection, OUTPUT];
                if spec.downsample.is_some() {
                    all.extend(of_depthwise(KEY.downsample));
                    all.extend(of_depthwise(VALUE.downsample));
                }
                all.extend(spec.layer_scale.then_some(names::LAYER_SCALE));
                all
            }
        }
    }
}
