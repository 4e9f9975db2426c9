//! The parts of a model: pieces between tapped tensors, each of which can be run alone.
//!
//! A part takes and gives tensors by the names and in the layout of [`crate::tap`], so what one part gives is what the
//! next one takes, and a dump of a whole run holds the inputs of every part. [`crate::Model`] and
//! [`crate::reference::ReferenceModel`] compute the same parts, and run a whole model as the sequence of its parts.

use std::collections::BTreeMap;

use crate::architecture::Architecture;
use crate::architecture::names::{self, Module};
use crate::error::Error;
use crate::tap;
use crate::tensor::DenseTensor;

/// Where in the model a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// The convolution at the front.
    Stem,
    /// A block, counted over all stages.
    Block(usize),
    /// The multi-scale fusion.
    Fusion,
    /// The Gemma 3n embedder.
    Embedder,
    /// The classifier head.
    Head,
}

/// A part of a model: the stem, a block, the multi-scale fusion, the embedder or the classifier head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// timm's name of its module: `conv_stem`, `blocks.0.1` and the like, `msfa`, `embed_vision`; `head`, which has several.
    pub name: String,
    /// The tensors that it takes, each `[batch, channels, height, width]`. The stem takes the image, [`tap::INPUT`]; the
    /// fusion takes what the last stage takes, then what that stage gives.
    pub inputs: Vec<String>,
    /// The tensors that it gives, in the order of execution; the last one is what the next part takes. The fusion gives
    /// `msfa_downsample` only where the size of its feature map differs from the output resolution.
    pub outputs: Vec<String>,
    site: Site,
    /// Channels of each input.
    channels: Vec<usize>,
}

/// A tensor among the inputs of a part, and its `[batch, channels, height, width]`.
pub(crate) type Input<'a, T> = (&'a DenseTensor<T>, [usize; 4]);

impl Part {
    /// The parts of a model in the order of execution.
    pub(crate) fn all_of(architecture: &Architecture) -> Vec<Part> {
        let mut parts = Vec::new();
        // A tensor is known by its name and channels; each part gives back the one that the next part takes.
        let mut add = |module: &str, site, inputs: &[&(String, usize)], outputs: Vec<String>, channels| {
            let output = (outputs.last().cloned().unwrap_or_default(), channels);
            let (inputs, channels) = inputs.iter().map(|input| (*input).clone()).unzip();
            parts.push(Part { name: module.to_string(), inputs, outputs, site, channels });
            output
        };
        let image = (tap::INPUT.to_string(), architecture.input_channels);
        let stem = vec![tap::STEM.to_string()];
        let mut x = add(names::stem::MODULE, Site::Stem, &[&image], stem, architecture.stem.channels);
        let mut into_last_stage = x.clone();
        for (number, (stage, index, block)) in architecture.blocks().enumerate() {
            if index == 0 {
                into_last_stage = x.clone();
            }
            let (name, outputs) = (Module::block(stage, index).to_string(), tap::of_block(block, number));
            x = add(&name, Site::Block(number), &[&x], outputs, block.output_channels());
        }
        if let Some(spec) = &architecture.fusion {
            let inputs = [&into_last_stage, &x];
            x = add(names::fusion::MODULE, Site::Fusion, &inputs, tap::of_fusion(), spec.output);
        }
        if let Some(spec) = &architecture.embedder {
            add(names::embedder::MODULE, Site::Embedder, &[&x], tap::of_embedder(), spec.hidden);
        }
        if let Some(spec) = &architecture.head {
            add(names::head::MODULE, Site::Head, &[&x], tap::of_head(spec), spec.output_channels());
        }
        parts
    }

    /// Where in the model it is.
    pub fn site(&self) -> Site {
        self.site
    }

    /// What it gives, with the inner taps of a block, in the order of execution.
    pub fn outputs_with_inner(&self, architecture: &Architecture) -> Vec<String> {
        match self.site {
            Site::Block(number) => architecture
                .blocks()
                .nth(number)
                .map_or_else(Vec::new, |(_, _, block)| tap::of_block_with_inner(block, number)),
            Site::Stem | Site::Fusion | Site::Embedder | Site::Head => self.outputs.clone(),
        }
    }

    /// timm's names of the weights that it reads.
    pub fn weight_names(&self, architecture: &Architecture) -> Vec<String> {
        let is_own = |name: &String| match self.site {
            Site::Head => names::head::WEIGHTS.contains(&name.as_str()),
            _ => name.strip_prefix(&self.name).is_some_and(|rest| rest.starts_with('.')),
        };
        architecture.tensor_names().filter(is_own).collect()
    }

    /// # Errors
    /// When it is not one of `parts`.
    pub(crate) fn expect_among(&self, parts: &[Part]) -> Result<(), Error> {
        if parts.contains(self) {
            return Ok(());
        }
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        Err(Error::UnknownPart {
            name: self.name.clone(),
            inputs: self.inputs.join(", "),
            known: names.join(", "),
        })
    }

    /// Its inputs, in their order; `tensors` may hold others too.
    ///
    /// # Errors
    /// A tensor that is not there, or has another shape than the part takes.
    pub(crate) fn inputs_among<'a, T>(
        &self,
        tensors: &'a BTreeMap<String, DenseTensor<T>>,
    ) -> Result<Vec<Input<'a, T>>, Error> {
        let mut inputs: Vec<Input<'a, T>> = Vec::new();
        for (name, channels) in self.inputs.iter().zip(&self.channels) {
            let tensor = tensors.get(name).ok_or_else(|| Error::MissingInput {
                part: self.name.clone(),
                name: name.clone(),
                expected: format!("[batch, {channels}, height, width]"),
            })?;
            let shape = self.check_shape(name, tensor, *channels, inputs.first().map(|(_, shape)| *shape))?;
            inputs.push((tensor, shape));
        }
        Ok(inputs)
    }

    /// The shape of an input of that many channels; `first` is the shape of the input before it, which bounds this one.
    fn check_shape<T>(
        &self,
        name: &str,
        tensor: &DenseTensor<T>,
        channels: usize,
        first: Option<[usize; 4]>,
    ) -> Result<[usize; 4], Error> {
        let wrong = |found: String| Error::PartInput {
            part: self.name.clone(),
            name: name.to_string(),
            expected: match first {
                None => format!("[batch, {channels}, height, width]"),
                Some([batch, _, height, width]) => {
                    format!("[{batch}, {channels}, height, width], at most {height} x {width}")
                }
            },
            found,
        };
        let shape = &tensor.shape;
        let &[batch, found, height, width] = shape.as_slice() else {
            return Err(wrong(format!("{shape:?}")));
        };
        let follows = first.is_none_or(|[of_batch, _, most_high, most_wide]| {
            batch == of_batch && height <= most_high && width <= most_wide
        });
        if found != channels || shape.contains(&0) || !follows {
            return Err(wrong(format!("{shape:?}")));
        }
        if shape.iter().try_fold(1usize, |n, extent| n.checked_mul(*extent)) != Some(tensor.data.len()) {
            return Err(wrong(format!("{shape:?} with {} elements", tensor.data.len())));
        }
        Ok([batch, channels, height, width])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::{BlockSpec, EdgeResidualSpec, EmbedderSpec, InvertedResidualSpec, StemSpec};

    /// A model with a stage of each of these lengths; every block adds a channel to the four of the stem.
    fn architecture(stages: &[usize]) -> Architecture {
        let block = |input| {
            let output = input + 1;
            BlockSpec::EdgeResidual(EdgeResidualSpec { input, expanded: 8, output, kernel: 3, stride: 1 })
        };
        let mut inputs = 4..;
        let stages = stages.iter().map(|count| inputs.by_ref().take(*count).map(block).collect()).collect();
        let fusion = InvertedResidualSpec {
            input: 0,
            expanded: 1,
            output: 20,
            dw_start: None,
            dw_mid: None,
            dw_end: None,
            layer_scale: false,
            skip: false,
        };
        Architecture {
            input_channels: 3,
            stem: StemSpec { channels: 4, kernel: 3, bias: false },
            stages,
            fusion: Some(fusion),
            embedder: Some(EmbedderSpec { channels: 20, hidden: 30 }),
            head: None,
        }
    }

    fn part<'a>(parts: &'a [Part], name: &str) -> &'a Part {
        parts.iter().find(|part| part.name == name).unwrap()
    }

    #[test]
    fn the_fusion_takes_what_the_last_stage_takes_and_gives() {
        let check = |stages: &[usize], expected: [(&str, usize); 2]| {
            let parts = Part::all_of(&architecture(stages));
            let fusion = part(&parts, "msfa");
            assert_eq!(fusion.inputs, expected.map(|(name, _)| name), "{stages:?}");
            assert_eq!(fusion.channels, expected.map(|(_, channels)| channels), "{stages:?}");
        };
        check(&[1], [("mobilenet_stem_output", 4), ("mobilenet_block_0_edge_residual", 5)]);
        check(&[3], [("mobilenet_stem_output", 4), ("mobilenet_block_2_edge_residual", 7)]);
        check(&[2, 3], [("mobilenet_block_1_edge_residual", 6), ("mobilenet_block_4_edge_residual", 9)]);
    }

    #[test]
    fn each_part_takes_what_the_one_before_it_gives() {
        let parts = Part::all_of(&architecture(&[2, 1]));
        assert_eq!(parts[0].inputs, [tap::INPUT]);
        for pair in parts.windows(2) {
            assert_eq!(pair[0].outputs.last(), pair[1].inputs.last(), "{} to {}", pair[0].name, pair[1].name);
        }
    }

    #[test]
    fn wrong_inputs_are_named_with_what_was_expected_and_found() {
        let parts = Part::all_of(&architecture(&[1, 1]));
        let (high, low) = ("mobilenet_block_0_edge_residual", "mobilenet_block_1_edge_residual");
        let refusal = |name: &str, tensors: &[(&str, &[usize], usize)]| {
            let tensor =
                |shape: &[usize], elements| DenseTensor { shape: shape.to_vec(), data: vec![0.0; elements] };
            let tensors =
                tensors.iter().map(|(name, shape, n)| (name.to_string(), tensor(shape, *n))).collect();
            part(&parts, name).inputs_among::<f32>(&tensors).map(|_| ()).unwrap_err().to_string()
        };
        let mut unknown = part(&parts, "msfa").clone();
        unknown.inputs.swap(0, 1);
        let messages = [
            refusal("conv_stem", &[]),
            refusal("conv_stem", &[("photo", &[1], 1), ("x", &[1], 1)]),
            refusal("blocks.0.0", &[(tap::STEM, &[4, 6, 6], 144)]),
            refusal("blocks.0.0", &[(tap::STEM, &[1, 5, 6, 6], 180)]),
            refusal("blocks.0.0", &[(tap::STEM, &[0, 4, 6, 6], 0)]),
            refusal("blocks.0.0", &[(tap::STEM, &[1, 4, 6, 6], 143)]),
            refusal("blocks.0.0", &[(tap::STEM, &[usize::MAX, 4, 2, 2], 16)]),
            refusal("msfa", &[(high, &[2, 5, 4, 4], 160)]),
            refusal("msfa", &[(high, &[2, 5, 4, 4], 160), (low, &[1, 6, 2, 2], 24)]),
            refusal("msfa", &[(high, &[2, 5, 4, 4], 160), (low, &[2, 6, 5, 2], 120)]),
            unknown.expect_among(&parts).unwrap_err().to_string(),
        ];
        insta::assert_snapshot!(messages.join("\n"));
    }
}
