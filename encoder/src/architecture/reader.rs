//! The architecture, read off the names and shapes of a checkpoint.

use std::collections::BTreeSet;

use super::{
    Architecture, AttentionSpec, BlockSpec, DepthwiseSpec, EdgeResidualSpec, EmbedderSpec,
    InvertedResidualSpec, Settings, StemSpec,
};
use crate::checkpoint::{Checkpoint, EMBEDDER};
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
        let [channels, input_channels, kernel] = reader.dense("conv_stem.conv.weight")?;
        let stem = StemSpec { channels, kernel, bias: reader.has("conv_stem.conv.bias") };
        reader.parameter("conv_stem.bn.weight", channels)?;
        if stem.bias {
            reader.parameter("conv_stem.conv.bias", channels)?;
        }

        let stages = reader.stages(channels)?;
        let outputs = stages.iter().filter_map(|blocks| blocks.last()).map(BlockSpec::output_channels);
        let features: Vec<usize> = [channels].into_iter().chain(outputs).collect();
        let fusion = reader.fusion(&features)?;
        let width = fusion.map_or(features[features.len() - 1], |spec| spec.output);
        let embedder = reader.embedder(width)?;
        let architecture = Architecture { input_channels, stem, stages, fusion, embedder };
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

    /// The kernel size of a depthwise convolution and its norm, if it is there.
    fn depthwise(
        &self,
        convolution: &str,
        norm: &str,
        channels: usize,
        stride: usize,
    ) -> Result<Option<DepthwiseSpec>, Error> {
        if !self.has(convolution) {
            return Ok(None);
        }
        let [out, input, kernel] = self.dense(convolution)?;
        let fits = out == channels && input == 1;
        self.expect(fits, convolution, format!("[{channels}, 1, k, k] (depthwise)"))?;
        self.parameter(norm, channels)?;
        Ok(Some(DepthwiseSpec { kernel, stride }))
    }

    /// Blocks by stage, behind a stem of so many channels.
    fn stages(&self, stem_channels: usize) -> Result<Vec<Vec<BlockSpec>>, Error> {
        let mut stages = Vec::new();
        let mut width = stem_channels;
        while self.has_prefix(&format!("blocks.{}.", stages.len())) {
            let mut blocks = Vec::new();
            loop {
                let prefix = format!("blocks.{}.{}.", stages.len(), blocks.len());
                if !self.has_prefix(&prefix) {
                    break;
                }
                let stride = if blocks.is_empty() { 2 } else { 1 };
                let block = self.block(&prefix, width, stride)?;
                width = block.output_channels();
                blocks.push(block);
            }
            if blocks.is_empty() {
                return Err(self.model(format!("stage {} has no block 0", stages.len())));
            }
            stages.push(blocks);
        }
        if stages.is_empty() {
            return Err(self.missing("blocks.0.0.conv_exp.weight", "the first stage needs a block"));
        }
        if stages.len() > 4 {
            // timm keeps the output stride at 32 by dilating what comes after it.
            return Err(self.model(format!("expected at most 4 stages, found {}", stages.len())));
        }
        Ok(stages)
    }

    fn fusion(&self, features: &[usize]) -> Result<Option<InvertedResidualSpec>, Error> {
        if !self.has_prefix("msfa.") {
            return Ok(None);
        }
        let spec = self.inverted_residual("msfa.ffn.", 1)?;
        let expected: usize = features.iter().rev().take(2).sum();
        if spec.input != expected {
            return Err(self.model(format!(
                "msfa.ffn.pw_exp.conv.weight takes {} channels, but the last two feature maps have {expected}",
                spec.input
            )));
        }
        if spec.dw_start.or(spec.dw_mid).or(spec.dw_end).is_some() || spec.layer_scale {
            let found = "found msfa.ffn with depthwise convolutions or a layer scale";
            return Err(self.model(format!("expected two pointwise convolutions in the fusion, {found}")));
        }
        self.parameter("msfa.norm.weight", spec.output)?;
        Ok(Some(InvertedResidualSpec { skip: false, ..spec }))
    }

    /// The embedder behind `input` channels.
    fn embedder(&self, input: usize) -> Result<Option<EmbedderSpec>, Error> {
        let norm = format!("{EMBEDDER}soft_embedding_norm.weight");
        let projection = format!("{EMBEDDER}embedding_projection.weight");
        if !self.has(&projection) && !self.has(&norm) {
            return Ok(None);
        }
        let [hidden, found] = self.matrix(&projection)?;
        self.expect(found == input, &projection, format!("[_, {input}]"))?;
        self.parameter(&norm, input)?;
        Ok(Some(EmbedderSpec { channels: input, hidden }))
    }

    fn block(&self, prefix: &str, input: usize, stride: usize) -> Result<BlockSpec, Error> {
        let has = |suffix: &str| self.has(&format!("{prefix}{suffix}"));
        let (block, found) = if has("conv_exp.weight") {
            let spec = self.edge_residual(prefix, stride)?;
            (BlockSpec::EdgeResidual(spec), spec.input)
        } else if has("pw_exp.conv.weight") {
            let spec = self.inverted_residual(prefix, stride)?;
            (BlockSpec::InvertedResidual(spec), spec.input)
        } else if has("attn.query.proj.weight") {
            let spec = self.attention(prefix)?;
            (BlockSpec::Attention(spec), spec.input)
        } else {
            return Err(self.model(format!(
                "block `{}` is of no known kind: expected {prefix}conv_exp.weight (edge residual), \
                 {prefix}pw_exp.conv.weight (inverted residual) or {prefix}attn.query.proj.weight (attention)",
                prefix.trim_end_matches('.')
            )));
        };
        if found != input {
            return Err(self.model(format!(
                "block `{}` takes {found} channels, but what comes before it has {input}",
                prefix.trim_end_matches('.')
            )));
        }
        Ok(block)
    }

    fn edge_residual(&self, prefix: &str, stride: usize) -> Result<EdgeResidualSpec, Error> {
        let [expanded, input, kernel] = self.dense(&format!("{prefix}conv_exp.weight"))?;
        let output = self.pointwise(&format!("{prefix}conv_pwl.weight"), expanded)?;
        self.parameter(&format!("{prefix}bn1.weight"), expanded)?;
        self.parameter(&format!("{prefix}bn2.weight"), output)?;
        Ok(EdgeResidualSpec { input, expanded, output, kernel, stride })
    }

    fn inverted_residual(&self, prefix: &str, stride: usize) -> Result<InvertedResidualSpec, Error> {
        let [expanded, input, _] = self.dense(&format!("{prefix}pw_exp.conv.weight"))?;
        self.pointwise(&format!("{prefix}pw_exp.conv.weight"), input)?;
        let output = self.pointwise(&format!("{prefix}pw_proj.conv.weight"), expanded)?;
        self.parameter(&format!("{prefix}pw_exp.bn.weight"), expanded)?;
        self.parameter(&format!("{prefix}pw_proj.bn.weight"), output)?;

        // The stride sits in the middle if there is a depthwise convolution there, else in front, else behind.
        let name = |part: &str| format!("{prefix}{part}.conv.weight");
        let (start, mid, end) =
            (self.has(&name("dw_start")), self.has(&name("dw_mid")), self.has(&name("dw_end")));
        let strides = match (start, mid) {
            (_, true) => (1, stride, 1),
            (true, false) => (stride, 1, 1),
            (false, false) => (1, 1, stride),
        };
        let depthwise = |part: &str, channels, stride| {
            self.depthwise(&name(part), &format!("{prefix}{part}.bn.weight"), channels, stride)
        };
        let gamma = format!("{prefix}layer_scale.gamma");
        let layer_scale = self.has(&gamma);
        if layer_scale {
            self.parameter(&gamma, output)?;
        }
        let strided = stride > 1 && (start || mid || end);
        Ok(InvertedResidualSpec {
            input,
            expanded,
            output,
            dw_start: depthwise("dw_start", input, strides.0)?,
            dw_mid: depthwise("dw_mid", expanded, strides.1)?,
            dw_end: depthwise("dw_end", output, strides.2)?,
            layer_scale,
            skip: !strided && input == output,
        })
    }

    fn attention(&self, prefix: &str) -> Result<AttentionSpec, Error> {
        let name = |part: &str| format!("{prefix}{part}");
        let [queries, input, _] = self.dense(&name("attn.query.proj.weight"))?;
        self.pointwise(&name("attn.query.proj.weight"), input)?;
        let key_dim = self.pointwise(&name("attn.key.proj.weight"), input)?;
        let value_dim = self.pointwise(&name("attn.value.proj.weight"), input)?;
        self.expect(
            queries.is_multiple_of(key_dim),
            &name("attn.query.proj.weight"),
            format!("[heads * {key_dim}, {input}, 1, 1]"),
        )?;
        let heads = queries / key_dim;
        let output = self.pointwise(&name("attn.output.proj.weight"), heads * value_dim)?;
        self.parameter(&name("norm.weight"), input)?;
        let downsample = |side: &str| {
            self.depthwise(
                &name(&format!("attn.{side}.down_conv.weight")),
                &name(&format!("attn.{side}.norm.weight")),
                input,
                self.settings.kv_stride,
            )
        };
        let (key, value) = (downsample("key")?, downsample("value")?);
        if key != value {
            return Err(self.model(format!("{prefix}attn downsamples its keys and its values differently")));
        }
        let gamma = name("layer_scale.gamma");
        let layer_scale = self.has(&gamma);
        if layer_scale {
            self.parameter(&gamma, output)?;
        }
        Ok(AttentionSpec {
            input,
            output,
            heads,
            key_dim,
            value_dim,
            downsample: key,
            layer_scale,
            skip: input == output,
        })
    }

    /// Every tensor of the encoder must have been asked for; timm's classifier head and the parts of the embedder that
    /// text uses may be there.
    fn refuse_unexpected(&self, architecture: &Architecture) -> Result<(), Error> {
        const UNUSED: [&str; 5] = [
            "classifier.",
            "conv_head.",
            "norm_head.",
            "embed_vision.embedding.weight",
            "embed_vision.hard_embedding_norm.weight",
        ];
        let known: BTreeSet<String> = architecture.tensor_names().collect();
        let unexpected = self
            .checkpoint
            .names()
            .find(|name| !known.contains(*name) && !UNUSED.iter().any(|unused| name.starts_with(unused)));
        match unexpected {
            None => Ok(()),
            Some(name) => Err(Error::UnexpectedTensor {
                origin: self.checkpoint.origin().to_string(),
                name: name.to_string(),
            }),
        }
    }
}
