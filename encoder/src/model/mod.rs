//! The forward pass: it wires the kernels together and has no arithmetic of its own.

mod activation;
mod attention;
mod block_end;
mod buffers;
mod context;
mod edge_residual;
mod embedder;
mod fusion;
mod head;
mod inverted_residual;
mod layer;
mod memory;
mod part;
mod stem;

use activation::Activation;
use buffers::{Buffers, IdleBuffers};
use context::Context;
use part::Flow;

use crate::architecture::names::Module;
use crate::architecture::{Architecture, BlockSpec, Settings};
use crate::bounds;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::faults::Seam;
use crate::geometry::Axis;
use crate::input::Normalisation;
use crate::precision::{Operands, Precision};
use crate::profile::{Profiler, Step};
use crate::simd::Isa;
use crate::tap::{self, NoTaps, TapSink};
use crate::tensor::DenseTensor;

/// How a model is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// What the weights cannot show.
    pub settings: Settings,
    /// Instruction set of the kernels; `None` takes the best that the CPU supports, see [`Isa::choose`].
    pub isa: Option<Isa>,
    /// How exactly dense products are computed.
    pub precision: Precision,
    /// Reach [`Precision::F32`] by fused multiply-adds alone, even if a matrix unit is faster and as exact.
    pub strict_fma: bool,
}

/// A loaded encoder: weights packed for one instruction set. It keeps the memory of the last run's feature maps for the
/// next input of the same shape, until an input of another shape, a failed run, or its own drop.
pub struct Model {
    architecture: Architecture,
    settings: Settings,
    isa: Isa,
    precision: Precision,
    operands: Operands,
    stem: stem::Stem,
    /// Those of all stages.
    blocks: Vec<ModelBlock>,
    /// Which of them is the first of the last stage.
    last_stage: usize,
    fusion: Option<fusion::Fusion>,
    embedder: Option<embedder::Embedder>,
    head: Option<head::Head>,
    input_range: [f32; 2],
    idle: IdleBuffers,
}

enum ModelBlock {
    EdgeResidual(edge_residual::EdgeResidual),
    InvertedResidual(inverted_residual::InvertedResidual),
    Attention(attention::Attention),
}

impl ModelBlock {
    fn load(loader: &layer::Loader<'_>, module: &Module, spec: &BlockSpec) -> Result<ModelBlock, Error> {
        Ok(match spec {
            BlockSpec::EdgeResidual(spec) => {
                ModelBlock::EdgeResidual(edge_residual::EdgeResidual::load(loader, module, spec)?)
            }
            BlockSpec::InvertedResidual(spec) => {
                ModelBlock::InvertedResidual(inverted_residual::InvertedResidual::load(loader, module, spec)?)
            }
            BlockSpec::Attention(spec) => {
                ModelBlock::Attention(attention::Attention::load(loader, module, spec)?)
            }
        })
    }

    /// Runs the block; `number` counts over all stages, for taps.
    fn forward(&self, context: &mut Context<'_>, number: usize, x: &Activation) -> Result<Activation, Error> {
        match self {
            ModelBlock::EdgeResidual(block) => block.forward(context, number, x),
            ModelBlock::InvertedResidual(block) => block.forward(context, number, x),
            ModelBlock::Attention(block) => block.forward(context, number, x),
        }
    }
}

/// The encoder's output: `[batch, tokens, hidden]` from the embedder, `[batch, classes]` from a classifier,
/// `[batch, channels, height, width]` of a model without either.
pub type Encoded = DenseTensor<f32>;

impl Model {
    /// Reads the architecture off the checkpoint and packs its weights.
    ///
    /// # Errors
    /// A checkpoint that is not a MobileNetV5; an instruction set that is not supported by this CPU.
    pub fn load(checkpoint: &Checkpoint, options: &LoadOptions) -> Result<Model, Error> {
        let isa = Isa::choose(options.isa)?;
        let settings = options.settings;
        let (height, width) = settings.output_resolution;
        let sound = |extent: usize| (1..=bounds::SETTING).contains(&extent);
        if !(sound(height) && sound(width) && sound(settings.kv_stride)) {
            return Err(Error::Input {
                expected: format!("an output resolution and a k/v stride from 1 to {}", bounds::SETTING),
                found: format!("output resolution {height}x{width}, k/v stride {}", settings.kv_stride),
            });
        }
        let architecture = Architecture::read(checkpoint, &settings)?;
        let operands = isa.operands(options.precision, options.strict_fma);
        let loader = layer::Loader { checkpoint, isa, operands };
        let stem = stem::Stem::load(&loader, &architecture)?;
        let mut blocks = Vec::new();
        let mut last_stage = 0;
        for (stage, index, spec) in architecture.blocks() {
            if index == 0 {
                last_stage = blocks.len();
            }
            blocks.push(ModelBlock::load(&loader, &Module::block(stage, index), spec)?);
        }
        let fusion = match &architecture.fusion {
            Some(spec) => Some(fusion::Fusion::load(&loader, spec, settings.output_resolution)?),
            None => None,
        };
        let embedder = match &architecture.embedder {
            Some(spec) => Some(embedder::Embedder::load(&loader, spec)?),
            None => None,
        };
        let head = match &architecture.head {
            Some(spec) => Some(head::Head::load(&loader, spec)?),
            None => None,
        };
        let precision = options.precision;
        Ok(Model {
            architecture,
            settings,
            isa,
            precision,
            operands,
            stem,
            blocks,
            last_stage,
            fusion,
            embedder,
            head,
            input_range: [0.0, 1.0],
            idle: IdleBuffers::default(),
        })
    }

    /// The architecture read off the weights.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The settings that it was loaded with.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// The instruction set that the weights are packed for.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// How exactly dense products are computed.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// How that precision is reached, as text: `f32`, or `bf16 in 3 terms`.
    pub fn arithmetic(&self) -> String {
        self.operands.to_string()
    }

    /// The names of all taps for an image of this size, in the order of execution.
    pub fn tap_names(&self, height: usize, width: usize) -> Vec<String> {
        self.present_taps(height, width, self.parts().into_iter().flat_map(|part| part.outputs))
    }

    /// As [`Model::tap_names`], with the inner taps: those of a sink [`crate::WithInner`].
    pub fn tap_names_with_inner(&self, height: usize, width: usize) -> Vec<String> {
        let names = self.parts().into_iter().flat_map(|part| part.outputs_with_inner(&self.architecture));
        self.present_taps(height, width, names)
    }

    /// Those of `names` that an image of this size has.
    fn present_taps(&self, height: usize, width: usize, names: impl Iterator<Item = String>) -> Vec<String> {
        let resizes = self.fused_resolution(height, width) != self.settings.output_resolution;
        names.filter(|name| resizes || name != tap::MSFA_DOWNSAMPLE).collect()
    }

    /// Resolution of the feature map that the fusion starts from: the output of the second-to-last stage.
    fn fused_resolution(&self, height: usize, width: usize) -> (usize, usize) {
        let strided: Vec<usize> = std::iter::once(self.stem.kernel())
            .chain(self.architecture.stages[..self.architecture.stages.len() - 1].iter().filter_map(
                |blocks| {
                    match &blocks[0] {
                        BlockSpec::EdgeResidual(spec) => Some(spec.kernel),
                        BlockSpec::InvertedResidual(spec) => [spec.dw_start, spec.dw_mid, spec.dw_end]
                            .into_iter()
                            .flatten()
                            .find(|depthwise| depthwise.stride == 2)
                            .map(|depthwise| depthwise.kernel),
                        BlockSpec::Attention(_) => None,
                    }
                },
            ))
            .collect();
        let resolution = |size: usize| {
            strided.iter().fold(size, |size, kernel| {
                Axis::new(self.settings.padding, size, *kernel, 2).map_or(0, |axis| axis.output)
            })
        };
        (resolution(height), resolution(width))
    }

    /// Takes inputs that were normalised from now on, which lie outside [0, 1], or with `None` those that were not.
    pub fn take_normalised(&mut self, normalisation: Option<Normalisation>) {
        self.input_range = normalisation.map_or([0.0, 1.0], Normalisation::range);
    }

    /// Runs the encoder on `input`, `[batch, channels, height, width]` row-major, every value in [0, 1] unless it
    /// [takes normalised ones](Model::take_normalised).
    ///
    /// The result does not depend on the number of threads of the current rayon pool, nor on what `taps` wants.
    ///
    /// # Errors
    /// An input of another rank, channel count or range; a failing tap.
    pub fn encode(&self, shape: &[usize], input: &[f32], taps: &mut dyn TapSink) -> Result<Encoded, Error> {
        self.encode_through(Seam::default(), &Profiler::default(), shape, input, taps)
    }

    /// Runs the encoder and measures the time of each operation, in the order of execution.
    ///
    /// # Errors
    /// As [`Model::encode`].
    pub fn profile(&self, shape: &[usize], input: &[f32]) -> Result<(Encoded, Vec<Step>), Error> {
        let profiler = Profiler::recording();
        let encoded = self.encode_through(Seam::default(), &profiler, shape, input, &mut NoTaps)?;
        Ok((encoded, profiler.into_steps()))
    }

    /// Runs the encoder with a fault planted in one of its parts.
    ///
    /// # Errors
    /// As [`Model::encode`].
    #[cfg(feature = "faults")]
    pub fn encode_with_fault(
        &self,
        planted: (crate::part::Site, crate::faults::Fault),
        shape: &[usize],
        input: &[f32],
        taps: &mut dyn TapSink,
    ) -> Result<Encoded, Error> {
        let mut seam = Seam::default();
        seam.planted = Some(planted);
        self.encode_through(seam, &Profiler::default(), shape, input, taps)
    }

    fn encode_through(
        &self,
        seam: Seam,
        profiler: &Profiler,
        shape: &[usize],
        input: &[f32],
        taps: &mut dyn TapSink,
    ) -> Result<Encoded, Error> {
        let shape = self.check_input(shape, input)?;
        let buffers = self.idle.take(shape);
        let mut flow = Flow::new(Activation::from_nchw(&buffers, shape, input));
        let mut context = self.context(buffers, taps, seam, profiler);
        for site in self.sites() {
            flow = self.forward(&mut context, site, flow)?;
        }
        let x = flow.into_output();
        let encoded = if self.embedder.is_some() {
            Encoded { shape: vec![x.batch, x.height * x.width, x.channels], data: x.data.to_vec() }
        } else if self.architecture.head.is_some_and(|head| head.classes.is_some()) {
            Encoded { shape: vec![x.batch, x.channels], data: x.data.to_vec() }
        } else {
            Encoded { shape: vec![x.batch, x.channels, x.height, x.width], data: x.to_nchw() }
        };
        self.idle.keep(shape, context.buffers);
        Ok(encoded)
    }

    fn context<'a>(
        &self,
        buffers: Buffers,
        taps: &'a mut dyn TapSink,
        seam: Seam,
        profiler: &'a Profiler,
    ) -> Context<'a> {
        let (isa, operands, padding) = (self.isa, self.operands, self.settings.padding);
        Context { isa, operands, padding, buffers, taps, seam, profiler }
    }

    /// The shape of the input, if this model accepts it.
    fn check_input(&self, shape: &[usize], input: &[f32]) -> Result<[usize; 4], Error> {
        let (channels, [low, high]) = (self.architecture.input_channels, self.input_range);
        let wrong = |found: String| Error::Input {
            expected: format!("[batch, {channels}, height, width] with values in [{low}, {high}]"),
            found,
        };
        let &[batch, found, height, width] = shape else {
            return Err(wrong(format!("rank {} ({shape:?})", shape.len())));
        };
        if found != channels || batch == 0 || height == 0 || width == 0 {
            return Err(wrong(format!("{shape:?}")));
        }
        if shape.iter().try_fold(1usize, |n, extent| n.checked_mul(*extent)) != Some(input.len()) {
            return Err(wrong(format!("{shape:?} with {} elements", input.len())));
        }
        if let Some(index) = input.iter().position(|x| !(low..=high).contains(x)) {
            return Err(wrong(format!("{} at element {index} (divide 8-bit pixels by 255)", input[index])));
        }
        Ok([batch, channels, height, width])
    }
}
