//! Random small models: an architecture, and weights that all affect the output.

use encoder::architecture::*;
use encoder::{Checkpoint, Padding, Settings};
use proptest::prelude::*;

/// A model and an input for it.
#[derive(Clone, Debug)]
pub(crate) struct ModelProblem {
    pub(crate) architecture: Architecture,
    pub(crate) settings: Settings,
    /// `[batch, channels, height, width]`
    pub(crate) shape: [usize; 4],
    pub(crate) seed: u64,
}

impl ModelProblem {
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        Checkpoint::from_tensors(self.tensors()).unwrap()
    }

    /// The checkpoint with every weight moved up or down by `share` of itself.
    pub(crate) fn nudged(&self, share: f32) -> Checkpoint {
        let mut random = Random(self.seed.rotate_left(31) | 1);
        let nudge = |(name, shape, mut data): (String, Vec<usize>, Vec<f32>)| {
            for x in &mut data {
                *x *= if random.next() < 0.0 { 1.0 - share } else { 1.0 + share };
            }
            (name, shape, data)
        };
        Checkpoint::from_tensors(self.tensors().into_iter().map(nudge)).unwrap()
    }

    /// Name, shape, elements of every weight.
    pub(crate) fn tensors(&self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let mut tensors = Vec::new();
        let mut random = Random(self.seed | 1);
        for (name, shape) in weight_shapes(&self.architecture) {
            let count = shape.iter().product::<usize>();
            let fan_in: usize = shape.iter().skip(1).product::<usize>().max(1);
            let data = (0..count).map(|_| {
                let x = random.next();
                if shape.len() == 1 && !name.ends_with("bias") {
                    // norm weights and layer scales, away from 0 and 1
                    let size = 0.5 + x.abs();
                    if x < -0.5 { -size } else { size }
                } else {
                    x * (3.0 / fan_in as f32).sqrt()
                }
            });
            let data = data.collect();
            tensors.push((name, shape, data));
        }
        tensors
    }

    pub(crate) fn input(&self) -> Vec<f32> {
        let mut random = Random(self.seed.rotate_left(17) | 1);
        (0..self.shape.iter().product())
            .map(|_| random.next() * 0.5 + 0.5)
            .map(|x| x.clamp(0.0, 1.0))
            .collect()
    }
}

/// Xorshift, values in [-1, 1).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

fn weight_shapes(architecture: &Architecture) -> Vec<(String, Vec<usize>)> {
    let stem = architecture.stem;
    let mut shapes = vec![
        (
            "conv_stem.conv.weight".into(),
            vec![stem.channels, architecture.input_channels, stem.kernel, stem.kernel],
        ),
        ("conv_stem.bn.weight".into(), vec![stem.channels]),
    ];
    if stem.bias {
        shapes.push(("conv_stem.conv.bias".into(), vec![stem.channels]));
    }
    for (stage, blocks) in architecture.stages.iter().enumerate() {
        for (index, block) in blocks.iter().enumerate() {
            block_shapes(&format!("blocks.{stage}.{index}."), block, &mut shapes);
        }
    }
    if let Some(spec) = architecture.fusion {
        block_shapes("msfa.ffn.", &BlockSpec::InvertedResidual(spec), &mut shapes);
        shapes.push(("msfa.norm.weight".into(), vec![spec.output]));
    }
    if let Some(spec) = architecture.embedder {
        shapes.push(("embed_vision.soft_embedding_norm.weight".into(), vec![spec.channels]));
        shapes.push(("embed_vision.embedding_projection.weight".into(), vec![spec.hidden, spec.channels]));
    }
    if let Some(spec) = architecture.head {
        if let Some(hidden) = spec.hidden {
            shapes.push(("conv_head.weight".into(), vec![hidden, spec.channels, 1, 1]));
            shapes.push(("norm_head.weight".into(), vec![hidden]));
        }
        if let Some(classes) = spec.classes {
            shapes.push(("classifier.weight".into(), vec![classes, spec.hidden.unwrap_or(spec.channels)]));
            shapes.push(("classifier.bias".into(), vec![classes]));
        }
    }
    shapes
}

fn block_shapes(prefix: &str, block: &BlockSpec, shapes: &mut Vec<(String, Vec<usize>)>) {
    let mut add = |name: &str, shape: &[usize]| shapes.push((format!("{prefix}{name}"), shape.to_vec()));
    match block {
        BlockSpec::EdgeResidual(s) => {
            add("conv_exp.weight", &[s.expanded, s.input, s.kernel, s.kernel]);
            add("bn1.weight", &[s.expanded]);
            add("conv_pwl.weight", &[s.output, s.expanded, 1, 1]);
            add("bn2.weight", &[s.output]);
        }
        BlockSpec::InvertedResidual(s) => {
            for (name, spec, channels) in [
                ("dw_start", s.dw_start, s.input),
                ("dw_mid", s.dw_mid, s.expanded),
                ("dw_end", s.dw_end, s.output),
            ] {
                if let Some(spec) = spec {
                    add(&format!("{name}.conv.weight"), &[channels, 1, spec.kernel, spec.kernel]);
                    add(&format!("{name}.bn.weight"), &[channels]);
                }
            }
            add("pw_exp.conv.weight", &[s.expanded, s.input, 1, 1]);
            add("pw_exp.bn.weight", &[s.expanded]);
            add("pw_proj.conv.weight", &[s.output, s.expanded, 1, 1]);
            add("pw_proj.bn.weight", &[s.output]);
            if s.layer_scale {
                add("layer_scale.gamma", &[s.output]);
            }
        }
        BlockSpec::Attention(s) => {
            add("norm.weight", &[s.input]);
            add("attn.query.proj.weight", &[s.heads * s.key_dim, s.input, 1, 1]);
            for (side, dim) in [("key", s.key_dim), ("value", s.value_dim)] {
                if let Some(spec) = s.downsample {
                    add(&format!("attn.{side}.down_conv.weight"), &[s.input, 1, spec.kernel, spec.kernel]);
                    add(&format!("attn.{side}.norm.weight"), &[s.input]);
                }
                add(&format!("attn.{side}.proj.weight"), &[dim, s.input, 1, 1]);
            }
            add("attn.output.proj.weight", &[s.output, s.heads * s.value_dim, 1, 1]);
            if s.layer_scale {
                add("layer_scale.gamma", &[s.output]);
            }
        }
    }
}

/// What a block is drawn from; its channels follow from its place.
#[derive(Clone, Debug)]
struct Draft {
    kind: u8,
    kernels: [usize; 3],
    parts: [bool; 3],
    expansion: usize,
    output: Option<usize>,
    layer_scale: bool,
    heads: usize,
    dims: [usize; 2],
    downsample: bool,
}

fn draft() -> impl Strategy<Value = Draft> {
    let kernel = prop::sample::select(vec![3usize, 5]);
    (
        (0u8..3, prop::array::uniform3(kernel), any::<[bool; 3]>(), 1usize..4, prop::option::of(1usize..40)),
        (any::<bool>(), 1usize..5, prop::array::uniform2(1usize..20), any::<bool>()),
    )
        .prop_map(
            |((kind, kernels, parts, expansion, output), (layer_scale, heads, dims, downsample))| Draft {
                kind,
                kernels,
                parts,
                expansion,
                output,
                layer_scale,
                heads,
                dims,
                downsample,
            },
        )
}

fn block(draft: &Draft, input: usize, first: bool) -> BlockSpec {
    let stride = if first { 2 } else { 1 };
    let output = draft.output.unwrap_or(input);
    let expanded = input * draft.expansion + 1;
    // A block of stride 2 needs somewhere to put it.
    match (draft.kind, first) {
        (0, _) => BlockSpec::EdgeResidual(EdgeResidualSpec {
            input,
            expanded,
            output,
            kernel: draft.kernels[0],
            stride,
        }),
        (1, _) | (_, true) => {
            let [mut start, mid, end] = draft.parts;
            start |= first && !mid && !end;
            let strides = if mid {
                [1, stride, 1]
            } else if start {
                [stride, 1, 1]
            } else {
                [1, 1, stride]
            };
            let spec = |on: bool, i: usize| {
                on.then_some(DepthwiseSpec { kernel: draft.kernels[i], stride: strides[i] })
            };
            BlockSpec::InvertedResidual(InvertedResidualSpec {
                input,
                expanded,
                output,
                dw_start: spec(start, 0),
                dw_mid: spec(mid, 1),
                dw_end: spec(end, 2),
                layer_scale: draft.layer_scale,
                skip: stride == 1 && input == output,
            })
        }
        _ => BlockSpec::Attention(AttentionSpec {
            input,
            output,
            heads: draft.heads,
            key_dim: draft.dims[0],
            value_dim: draft.dims[1],
            downsample: draft.downsample.then_some(DepthwiseSpec { kernel: draft.kernels[0], stride: 2 }),
            layer_scale: draft.layer_scale,
            skip: input == output,
        }),
    }
}

/// Any model of the family at a size that the naive reference can run.
pub(crate) fn problem() -> impl Strategy<Value = ModelProblem> {
    (
        (1usize..24, any::<bool>()),
        prop::collection::vec(prop::collection::vec(draft(), 1..4), 1..=4),
        (prop::option::of(1usize..40), prop::option::of(1usize..40)),
        (1usize..3, 1usize..40, 1usize..40),
        (any::<bool>(), (1usize..6, 1usize..6)),
        any::<u64>(),
    )
        .prop_map(
            |((stem, bias), drafts, (fusion, hidden), (batch, height, width), (same, resolution), seed)| {
                let mut width_now = stem;
                let mut features = vec![stem];
                let stages = drafts
                    .iter()
                    .map(|drafts| {
                        let blocks: Vec<_> = drafts
                            .iter()
                            .enumerate()
                            .map(|(i, draft)| {
                                let block = block(draft, width_now, i == 0);
                                width_now = block.output_channels();
                                block
                            })
                            .collect();
                        features.push(width_now);
                        blocks
                    })
                    .collect();
                let joined = features[features.len() - 2] + features[features.len() - 1];
                let fusion = fusion.map(|output| InvertedResidualSpec {
                    input: joined,
                    expanded: 2 * joined,
                    output,
                    dw_start: None,
                    dw_mid: None,
                    dw_end: None,
                    layer_scale: false,
                    skip: false,
                });
                let channels = fusion.map_or(width_now, |spec| spec.output);
                ModelProblem {
                    architecture: Architecture {
                        input_channels: 3,
                        stem: StemSpec { channels: stem, kernel: 3, bias },
                        stages,
                        fusion,
                        embedder: hidden.map(|hidden| EmbedderSpec { channels, hidden }),
                        head: None,
                    },
                    settings: Settings {
                        padding: if same { Padding::Same } else { Padding::Symmetric },
                        output_resolution: resolution,
                        kv_stride: 2,
                    },
                    shape: [batch, 3, height, width],
                    seed,
                }
            },
        )
}

/// Any model of the family with a head in the place of the embedder: a hidden layer, a classifier, or both.
pub(crate) fn classifier_problem() -> impl Strategy<Value = ModelProblem> {
    let layers = prop_oneof![
        (1usize..40).prop_map(|hidden| (Some(hidden), None)),
        (prop::option::of(1usize..40), 1usize..40).prop_map(|(hidden, classes)| (hidden, Some(classes))),
    ];
    (problem(), layers).prop_map(|(mut problem, (hidden, classes))| {
        let architecture = &mut problem.architecture;
        let last = architecture.stages.iter().flatten().last().map_or(0, BlockSpec::output_channels);
        let channels = architecture.fusion.map_or(last, |fusion| fusion.output);
        architecture.embedder = None;
        architecture.head = Some(HeadSpec { channels, hidden, classes });
        problem
    })
}

/// A model with a dense 3 x 3 convolution of enough channels to be computed by Winograd's method.
pub(crate) fn wide_problem() -> impl Strategy<Value = ModelProblem> {
    let channels = || 32usize..40;
    (
        channels(),
        prop::option::of(channels()),
        (1usize..3, 1usize..48, 1usize..48),
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(|(input, output, (batch, height, width), same, seed)| {
            let edge_residual = |input, output, stride| {
                let expanded = input + 7;
                BlockSpec::EdgeResidual(EdgeResidualSpec { input, expanded, output, kernel: 3, stride })
            };
            let output = output.unwrap_or(input);
            ModelProblem {
                architecture: Architecture {
                    input_channels: 3,
                    stem: StemSpec { channels: 5, kernel: 3, bias: true },
                    stages: vec![vec![edge_residual(5, input, 2), edge_residual(input, output, 1)]],
                    fusion: None,
                    embedder: None,
                    head: None,
                },
                settings: Settings {
                    padding: if same { Padding::Same } else { Padding::Symmetric },
                    ..Settings::default()
                },
                shape: [batch, 3, height, width],
                seed,
            }
        })
}
