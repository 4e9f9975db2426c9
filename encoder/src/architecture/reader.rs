//! The architecture, read off the names and shapes of a checkpoint.

use std::collections::BTreeSet;

use super::names::{self, Module};
use super::{
    Architecture, AttentionSpec, BlockSpec, DepthwiseSpec, EdgeResidualSpec, EmbedderSpec, HeadSpec,
    InvertedResidualSpec, Settings, StemSpec,
};
use crate::checkpoint::Checkpoint;
use crate::error::Error;

impl Architecture {
    /// Reads the architecture off `checkpoint`.
    ///
    /// Strides are not in the weights: the first block of each stage has stride 2, all others 1, as in every model that
    /// timm defines. A block adds its input when its stride is 1 and its channels do not change.
    ///
    /// # Errors
    /// A missing or unexpected tensor, a shape that does not fit its neighbours.
    pub fn read(checkpoint: &Checkpoint, settings: &Settings) -> Result<Architecture, Error> {
        let reader = Reader { checkpoint, settings };
        let [channels, input_channels, kernel] = reader.dense(names::stem::CONVOLUTION)?;
        let stem = StemSpec { channels, kernel, bias: reader.has(names::stem::BIAS) };
        reader.parameter(names::stem::NORM, channels)?;
        if stem.bias {
            reader.parameter(names::stem::BIAS, channels)?;
        }

        let stages = reader.stages(channels)?;
        let outputs = stages.iter().filter_map(|blocks| blocks.last()).map(BlockSpec::output_channels);
        let features: Vec<usize> = [channels].into_iter().chain(outputs).collect();
        let fusion = reader.fusion(&features)?;
        let width = fusion.map_or(features[features.len() - 1], |spec| spec.output);
        let embedder = reader.embedder(width)?;
        // Soft tokens are what a model with an embedder is for, whatever else its checkpoint holds.
        let head = if embedder.is_some() { None } else { reader.head(width)? };
        let architecture = Architecture { input_channels, stem, stages, fusion, embedder, head };
        reader.refuse_unexpected(&architecture)?;
        Ok(architecture)
    }
}

struct Reader<'a> {
    checkpoint: &'a Checkpoint,
    settings: &'a Settings,
}

impl Reader<'_> {
    fn has(&self, name: &str) -> bool {
        self.checkpoint.shape(name).is_some()
    }

    fn has_prefix(&self, prefix: &str) -> bool {
        self.checkpoint.names().any(|name| name.starts_with(prefix))
    }

    fn model(&self, message: String) -> Error {
        Error::Model { origin: self.checkpoint.origin().to_string(), message }
    }

    fn missing(&self, name: &str, needed_by: &str) -> Error {
        Error::MissingTensor {
            origin: self.checkpoint.origin().to_string(),
            name: name.to_string(),
            needed_by: needed_by.to_string(),
        }
    }

    fn shape(&self, name: &str) -> Result<&[usize], Error> {
        self.checkpoint.shape(name).ok_or_else(|| self.missing(name, "the layers around it are there"))
    }

    fn expect(&self, fits: bool, name: &str, expected: String) -> Result<(), Error> {
        if fits { Ok(()) } else { Err(self.misfit(name, expected, self.shape(name)?)) }
    }

    fn misfit(&self, name: &str, expected: String, found: &[usize]) -> Error {
        let origin = self.checkpoint.origin().to_string();
        Error::Shape { origin, name: name.to_string(), expected, found: found.to_vec() }
    }

    /// A vector of `length`.
    fn parameter(&self, name: &str, length: usize) -> Result<(), Error> {
        let fits = self.shape(name)? == [length];
        self.expect(fits, name, format!("[{length}]"))
    }

    fn matrix(&self, name: &str) -> Result<[usize; 2], Error> {
        match *self.shape(name)? {
            [rows, columns] if rows > 0 && columns > 0 => Ok([rows, columns]),
            ref found => Err(self.misfit(name, "[out, in]".to_string(), found)),
        }
    }

    /// [out, in, kernel] of a square dense convolution.
    fn dense(&self, name: &str) -> Result<[usize; 3], Error> {
        match *self.shape(name)? {
            [out, input, ky, kx] if ky == kx && out > 0 && input > 0 && ky > 0 => Ok([out, input, ky]),
            ref found => Err(self.misfit(name, "[out, in, k, k]".to_string(), found)),
        }
    }

    /// Output channels of a 1 x 1 convolution over `input` channels.
    fn pointwise(&self, name: &str, input: usize) -> Result<usize, Error> {
        let [out, found, kernel] = self.dense(name)?;
        self.expect(found == input && kernel == 1, name, format!("[_, {input}, 1, 1]"))?;
        Ok(out)
    }

    /// A depthwise convolution with its norm, if it is there.
    fn depthwise(
        &self,
        module: &Module,
        names: names::Depthwise,
        channels: usize,
        stride: usize,
    ) -> Result<Option<DepthwiseSpec>, Error> {
        let convolution = module.name_of(names.convolution);
        if !self.has(&convolution) {
            return Ok(None);
        }
        let [out, input, kernel] = self.dense(&convolution)?;
        let fits = out == channels && input == 1;
        self.expect(fits, &convolution, format!("[{channels}, 1, k, k] (depthwise)"))?;
        self.parameter(&module.name_of(names.norm), channels)?;
        Ok(Some(DepthwiseSpec { kernel, stride }))
    }

    /// Blocks by stage, after a stem of that many channels.
    fn stages(&self, stem_channels: usize) -> Result<Vec<Vec<BlockSpec>>, Error> {
        let mut stages = Vec::new();
        let mut width = stem_channels;
        while self.has_prefix(&names::stage_prefix(stages.len())) {
            let mut blocks = Vec::new();
            loop {
                let module = Module::block(stages.len(), blocks.len());
                if !self.has_prefix(&module.prefix()) {
                    break;
                }
                let stride = if blocks.is_empty() { 2 } else { 1 };
                let block = self.block(&module, width, stride)?;
                width = block.output_channels();
                blocks.push(block);
            }
            if blocks.is_empty() {
                return Err(self.model(format!("stage {} has no block 0", stages.len())));
            }
            stages.push(blocks);
        }
        if stages.is_empty() {
            let name = Module::block(0, 0).name_of(names::edge_residual::EXPANSION);
            return Err(self.missing(&name, "the first stage needs a block"));
        }
        if stages.len() > 4 {
            // timm keeps the output stride at 32 by dilating what comes after it.
            return Err(self.model(format!("expected at most 4 stages, found {}", stages.len())));
        }
        Ok(stages)
    }

    fn fusion(&self, features: &[usize]) -> Result<Option<InvertedResidualSpec>, Error> {
        let module = Module::feed_forward();
        if !self.has_prefix(&format!("{}.", names::fusion::MODULE)) {
            return Ok(None);
        }
        let spec = self.inverted_residual(&module, 1)?;
        let expected: usize = features.iter().rev().take(2).sum();
        if spec.input != expected {
            return Err(self.model(format!(
                "{} takes {} channels, but the last two feature maps have {expected}",
                module.name_of(names::inverted_residual::EXPANSION),
                spec.input
            )));
        }
        if spec.dw_start.or(spec.dw_mid).or(spec.dw_end).is_some() || spec.layer_scale {
            return Err(self.model(format!(
                "expected two pointwise convolutions in the fusion, found {module} with depthwise convolutions or a layer scale"
            )));
        }
        self.parameter(names::fusion::NORM, spec.output)?;
        Ok(Some(InvertedResidualSpec { skip: false, ..spec }))
    }

    /// The embedder of a feature map of `input` channels.
    fn embedder(&self, input: usize) -> Result<Option<EmbedderSpec>, Error> {
        use names::embedder::{PROJECTION, SOFT_NORM};
        if !self.has(PROJECTION) && !self.has(SOFT_NORM) {
            return Ok(None);
        }
        let [hidden, found] = self.matrix(PROJECTION)?;
        self.expect(found == input, PROJECTION, format!("[_, {input}]"))?;
        self.parameter(SOFT_NORM, input)?;
        Ok(Some(EmbedderSpec { channels: input, hidden }))
    }

    /// The classifier head of a feature map of `input` channels.
    fn head(&self, input: usize) -> Result<Option<HeadSpec>, Error> {
        use names::head::*;
        let hidden = match self.has(CONVOLUTION) || self.has(NORM) {
            true => {
                let hidden = self.pointwise(CONVOLUTION, input)?;
                self.parameter(NORM, hidden)?;
                Some(hidden)
            }
            false => None,
        };
        let classes = match self.has(CLASSIFIER) || self.has(CLASSIFIER_BIAS) {
            true => {
                let [classes, found] = self.matrix(CLASSIFIER)?;
                let expected = hidden.unwrap_or(input);
                self.expect(found == expected, CLASSIFIER, format!("[_, {expected}]"))?;
                self.parameter(CLASSIFIER_BIAS, classes)?;
                Some(classes)
            }
            false => None,
        };
        let is_there = hidden.is_some() || classes.is_some();
        Ok(is_there.then_some(HeadSpec { channels: input, hidden, classes }))
    }

    fn block(&self, module: &Module, input: usize, stride: usize) -> Result<BlockSpec, Error> {
        let edge_residual = module.name_of(names::edge_residual::EXPANSION);
        let inverted_residual = module.name_of(names::inverted_residual::EXPANSION);
        let attention = module.name_of(names::attention::QUERY);
        let (block, found) = if self.has(&edge_residual) {
            let spec = self.edge_residual(module, stride)?;
            (BlockSpec::EdgeResidual(spec), spec.input)
        } else if self.has(&inverted_residual) {
            let spec = self.inverted_residual(module, stride)?;
            (BlockSpec::InvertedResidual(spec), spec.input)
        } else if self.has(&attention) {
            let spec = self.attention(module)?;
            (BlockSpec::Attention(spec), spec.input)
        } else {
            return Err(self.model(format!(
                "block `{module}` is of no known kind: expected {edge_residual} (edge residual), \
                 {inverted_residual} (inverted residual) or {attention} (attention)",
            )));
        };
        if found != input {
            return Err(self.model(format!(
                "block `{module}` takes {found} channels, but what comes before it has {input}"
            )));
        }
        Ok(block)
    }

    fn edge_residual(&self, module: &Module, stride: usize) -> Result<EdgeResidualSpec, Error> {
        use names::edge_residual::*;
        let [expanded, input, kernel] = self.dense(&module.name_of(EXPANSION))?;
        let output = self.pointwise(&module.name_of(PROJECTION), expanded)?;
        self.parameter(&module.name_of(EXPANSION_NORM), expanded)?;
        self.parameter(&module.name_of(PROJECTION_NORM), output)?;
        Ok(EdgeResidualSpec { input, expanded, output, kernel, stride })
    }

    fn inverted_residual(&self, module: &Module, stride: usize) -> Result<InvertedResidualSpec, Error> {
        use names::inverted_residual::*;
        let [expanded, input, _] = self.dense(&module.name_of(EXPANSION))?;
        self.pointwise(&module.name_of(EXPANSION), input)?;
        let output = self.pointwise(&module.name_of(PROJECTION), expanded)?;
        self.parameter(&module.name_of(EXPANSION_NORM), expanded)?;
        self.parameter(&module.name_of(PROJECTION_NORM), output)?;

        // The convolution in the middle strides if there is one, else the first one, else the last one.
        let has = |depthwise: names::Depthwise| self.has(&module.name_of(depthwise.convolution));
        let (start, middle, end) = (has(START), has(MIDDLE), has(END));
        let strides = match (start, middle) {
            (_, true) => (1, stride, 1),
            (true, false) => (stride, 1, 1),
            (false, false) => (1, 1, stride),
        };
        let layer_scale = self.layer_scale(module, output)?;
        let strided = stride > 1 && (start || middle || end);
        Ok(InvertedResidualSpec {
            input,
            expanded,
            output,
            dw_start: self.depthwise(module, START, input, strides.0)?,
            dw_mid: self.depthwise(module, MIDDLE, expanded, strides.1)?,
            dw_end: self.depthwise(module, END, output, strides.2)?,
            layer_scale,
            skip: !strided && input == output,
        })
    }

    fn attention(&self, module: &Module) -> Result<AttentionSpec, Error> {
        use names::attention::*;
        let query = module.name_of(QUERY);
        let [queries, input, _] = self.dense(&query)?;
        self.pointwise(&query, input)?;
        let key_dim = self.pointwise(&module.name_of(KEY.projection), input)?;
        let value_dim = self.pointwise(&module.name_of(VALUE.projection), input)?;
        self.expect(queries.is_multiple_of(key_dim), &query, format!("[heads * {key_dim}, {input}, 1, 1]"))?;
        let heads = queries / key_dim;
        let output = self.pointwise(&module.name_of(OUTPUT), heads * value_dim)?;
        self.parameter(&module.name_of(NORM), input)?;
        let downsample = |side: names::KeyOrValueNames| {
            self.depthwise(module, side.downsample, input, self.settings.kv_stride)
        };
        let (key, value) = (downsample(KEY)?, downsample(VALUE)?);
        if key != value {
            return Err(self.model(format!("{module}.attn downsamples its keys and its values differently")));
        }
        Ok(AttentionSpec {
            input,
            output,
            heads,
            key_dim,
            value_dim,
            downsample: key,
            layer_scale: self.layer_scale(module, output)?,
            skip: input == output,
        })
    }

    /// Whether a block has a layer scale, for that many channels.
    fn layer_scale(&self, module: &Module, channels: usize) -> Result<bool, Error> {
        let gamma = module.name_of(names::LAYER_SCALE);
        if self.has(&gamma) {
            self.parameter(&gamma, channels)?;
        }
        Ok(self.has(&gamma))
    }

    /// Every tensor of the encoder must have been asked for; beside an embedder, timm's classifier head
    /// and what text uses may be there.
    fn refuse_unexpected(&self, architecture: &Architecture) -> Result<(), Error> {
        let known: BTreeSet<String> = architecture.tensor_names().collect();
        let unexpected = self.checkpoint.names().find(|name| {
            !known.contains(*name) && !names::UNUSED.iter().any(|unused| name.starts_with(unused))
        });
        match unexpected {
            None => Ok(()),
            Some(name) => Err(Error::UnexpectedTensor {
                origin: self.checkpoint.origin().to_string(),
                name: name.to_string(),
            }),
        }
    }
}
