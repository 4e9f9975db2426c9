//! The same graph, naive and in f64: the oracle of the tests. Nothing here is fast, and nothing is shared with the model
//! but the checkpoint, the architecture, the parts, the choice of padding and of precision, the names of the taps and the
//! seam for planted faults.

mod activation_blocks;
mod activation_function;
mod attention;
mod change;
mod changed;
mod convolution;
mod exponential;
mod image;
mod nudge;
mod operation;
mod product;
mod rounding;
mod run;
mod spare;
mod storage_type;
mod weights;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use activation_blocks::ActivationBlocks;
pub use activation_function::ActivationFunction;
pub use change::{
    ImageForm, NamedConvolution, NamedNorm, NormAxes, Operations, PoolingKind, PortChange, UpsamplingKind,
};
use changed::Changed;
use image::Image;
use nudge::Nudge;
pub use rounding::Rounding;
use run::{ReferenceFlow, ReferenceRun};
pub use storage_type::StorageType;
use weights::PartWeights;

use crate::architecture::{Architecture, Settings, names};
use crate::checkpoint::{Checkpoint, WeightType};
use crate::error::Error;
#[cfg(feature = "faults")]
use crate::faults::Fault;
use crate::faults::Seam;
pub use crate::part::Site;
use crate::part::{Input, Part};
use crate::precision::Precision;
use crate::tensor::DenseTensor;

/// An intermediate tensor in f64, `[B, C, H, W]` or `[B, T, C]`.
pub type Tensor64 = DenseTensor<f64>;

/// GELU in its tanh approximation, as PyTorch's `nn.GELU(approximate='tanh')` writes it.
pub fn gelu(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
    0.5 * x * (1.0 + inner.tanh())
}

/// How a part is run otherwise than the model has it.
#[derive(Clone, Copy, Debug, Default)]
pub struct PartOptions<'a> {
    /// What is done otherwise.
    pub changes: &'a [PortChange],
    /// Values are moved by so many times as much as f32 arithmetic may move them, in a way that the seed chooses.
    pub nudge: Option<(u64, f64)>,
    /// Tensors that the part goes on with, in the place of those of the same names and shapes that it gives (teacher forcing):
    /// each of its outputs is then computed from what comes last before it among these and the inputs.
    pub along: Option<&'a BTreeMap<String, Tensor64>>,
    /// Whether inputs and `along` are a port's own values, to the last bit. What the port rounds of such an operand is known,
    /// and what f32 loses comes after it; other operands are moved first, so that some fall on the other side of a rounding.
    pub known: bool,
    /// Whether each tap is rounded to f32 and gone on with, as in a port.
    pub gives_f32: bool,
    /// Whether it gives the inner taps of a block too.
    pub inner: bool,
}

/// A model in f64.
///
/// Where values are rounded, and to what, says its [`Rounding`]; all arithmetic is in f64. With [`Precision::F32`] nothing is
/// rounded; with the others the operands of dense products are, to what the precision holds of them. What the rounding alone does to a layer is the floor of that precision, for any
/// port: [`Precision::Bf16`] is one term of every operand here, even where [`crate::Model`] takes two.
pub struct ReferenceModel<'a> {
    checkpoint: &'a Checkpoint,
    settings: Settings,
    rounding: Rounding,
    architecture: Architecture,
    /// The weights of the part that was run alone last: it may be run many times.
    last_part: Mutex<Option<(Site, Arc<PartWeights>)>>,
}

impl<'a> ReferenceModel<'a> {
    /// # Errors
    /// A checkpoint that is not a MobileNetV5.
    pub fn new(
        checkpoint: &'a Checkpoint,
        settings: &Settings,
        rounding: impl Into<Rounding>,
    ) -> Result<ReferenceModel<'a>, Error> {
        let architecture = Architecture::read(checkpoint, settings)?;
        Ok(ReferenceModel {
            checkpoint,
            settings: *settings,
            rounding: rounding.into(),
            architecture,
            last_part: Mutex::default(),
        })
    }

    /// Every tap of the model on `input` (`[batch, channels, height, width]`), by name, in the order of execution.
    ///
    /// # Errors
    /// A weight that cannot be read. The input is not checked.
    pub fn encode(&self, shape: [usize; 4], input: &[f32]) -> Result<Vec<(String, Tensor64)>, Error> {
        self.encode_through(Seam::default(), false, shape, input)
    }

    /// As [`ReferenceModel::encode`], with the inner taps: those of a sink [`crate::WithInner`].
    ///
    /// # Errors
    /// As [`ReferenceModel::encode`].
    pub fn encode_with_inner(
        &self,
        shape: [usize; 4],
        input: &[f32],
    ) -> Result<Vec<(String, Tensor64)>, Error> {
        self.encode_through(Seam::default(), true, shape, input)
    }

    /// A port, simulated: as [`ReferenceModel::encode`] with values moved by as much as f32 arithmetic may move them, and
    /// with changes, each in one place or everywhere. What it gives is of f32, as it went on with it.
    ///
    /// # Errors
    /// As [`ReferenceModel::encode`].
    pub fn simulate(
        &self,
        changes: &[(Option<Site>, PortChange)],
        seed: u64,
        shape: [usize; 4],
        input: &[f32],
    ) -> Result<Vec<(String, Tensor64)>, Error> {
        let x = of_f32(shape, input).known(true);
        let nudge = Some(Nudge::new(seed, 1.0));
        let mut run = ReferenceRun { nudge, gives_f32: true, ..ReferenceRun::of(self) };
        let mut flow = ReferenceFlow { x, into_last_stage: None };
        for part in self.parts() {
            let here = changes.iter().filter(|(place, _)| place.is_none_or(|site| site == part.site()));
            run.changed = Changed::by(here.map(|(_, change)| *change).collect());
            run.part_weights = Arc::default();
            flow = run.forward(part.site(), flow)?;
        }
        Ok(run.taps)
    }

    fn encode_through(
        &self,
        seam: Seam,
        inner: bool,
        shape: [usize; 4],
        input: &[f32],
    ) -> Result<Vec<(String, Tensor64)>, Error> {
        let x = of_f32(shape, input);
        let mut run = ReferenceRun { seam, inner, ..ReferenceRun::of(self) };
        let mut flow = ReferenceFlow { x, into_last_stage: None };
        for part in self.parts() {
            run.part_weights = Arc::default();
            flow = run.forward(part.site(), flow)?;
        }
        Ok(run.taps)
    }

    /// Where its weights are read from.
    pub fn checkpoint(&self) -> &Checkpoint {
        self.checkpoint
    }

    /// Where values are rounded.
    pub fn rounding(&self) -> Rounding {
        self.rounding
    }

    /// The blocks that its rounding quantises the other side of a product with a weight by, the weight told by its timm name.
    pub fn activation_blocks(&self, weight: &str) -> Option<ActivationBlocks> {
        (self.rounding == Rounding::GgmlQuantised)
            .then(|| ActivationBlocks::of(self.checkpoint, weight))
            .flatten()
    }

    /// Whether its rounding leaves both operands of the dense product with a weight, told by its timm name, as they are; they
    /// may still be [quantised](ReferenceModel::activation_blocks).
    pub fn takes_as_it_is(&self, weight: &str) -> bool {
        // ggml takes the input as it is where weights are f32, as the stem's always are.
        let is_f32 = match self.rounding {
            Rounding::GgmlQuantised => self.checkpoint.stored_type(weight) == Some(&WeightType::F32),
            rounding => weight == names::stem::CONVOLUTION && rounding.is_ggml_reduced(),
        };
        is_f32 || self.activation_blocks(weight).is_some()
    }

    /// What the model is made of.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The parts of the model in the order of execution: those of [`crate::Model::parts`].
    pub fn parts(&self) -> Vec<Part> {
        Part::all_of(&self.architecture)
    }

    /// Runs one of [`ReferenceModel::parts`] on its inputs, which `tensors` holds by name; other tensors there are ignored.
    ///
    /// Returns the part's outputs by name, in the order of execution. On inputs with the bits of a run of the whole
    /// model ([`ReferenceModel::encode`]) they have the bits of that run.
    ///
    /// # Errors
    /// A part of another model; a missing input or one of another shape; a weight that cannot be read.
    pub fn run_part(
        &self,
        part: &Part,
        tensors: &BTreeMap<String, Tensor64>,
    ) -> Result<Vec<(String, Tensor64)>, Error> {
        self.run_part_by(part, tensors, &PartOptions::default())
    }

    /// As [`ReferenceModel::run_part`], otherwise than the model has it.
    ///
    /// # Errors
    /// As [`ReferenceModel::run_part`].
    pub fn run_part_by(
        &self,
        part: &Part,
        tensors: &BTreeMap<String, Tensor64>,
        options: &PartOptions<'_>,
    ) -> Result<Vec<(String, Tensor64)>, Error> {
        let PartOptions { changes, nudge, along, known, gives_f32, inner } = *options;
        let mut run = ReferenceRun {
            changed: Changed::by(changes.to_vec()),
            nudge: nudge.map(|(seed, times)| Nudge::new(seed, times)),
            along,
            known,
            gives_f32,
            inner,
            ..ReferenceRun::of(self)
        };
        self.forward_part(part, tensors, &mut run)?;
        Ok(run.taps)
    }

    /// The operations of a part, which changes are told by.
    ///
    /// # Errors
    /// As [`ReferenceModel::run_part`].
    pub fn operations(&self, part: &Part, tensors: &BTreeMap<String, Tensor64>) -> Result<Operations, Error> {
        let mut run = ReferenceRun::of(self);
        self.forward_part(part, tensors, &mut run)?;
        Ok(run.changed.operations())
    }

    fn forward_part(
        &self,
        part: &Part,
        tensors: &BTreeMap<String, Tensor64>,
        run: &mut ReferenceRun<'_>,
    ) -> Result<(), Error> {
        part.expect_among(&self.parts())?;
        let inputs = part.inputs_among(tensors)?;
        let to_image = |(tensor, shape): &Input<'_, f64>| Image::of(*shape, &tensor.data).known(run.known);
        let mut images: Vec<Image> = inputs.iter().map(to_image).collect();
        let x = images.pop().expect("every part has an input");
        let flow = ReferenceFlow { x, into_last_stage: images.pop() };
        run.part_weights = self.weights_of(part.site());
        run.forward(part.site(), flow)?;
        Ok(())
    }

    fn weights_of(&self, site: Site) -> Arc<PartWeights> {
        let mut last = self.last_part.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((of, weights)) if *of == site => weights.clone(),
            _ => {
                let weights = Arc::<PartWeights>::default();
                *last = Some((site, weights.clone()));
                weights
            }
        }
    }
}

fn of_f32(shape: [usize; 4], values: &[f32]) -> Image {
    assert_eq!(values.len(), shape.iter().product::<usize>(), "an input of its own shape");
    let mut image = Image::unset(shape);
    image.data.iter_mut().zip(values).for_each(|(to, from)| *to = f64::from(*from));
    image
}

/// Every tap of the model on `input`: [`ReferenceModel::encode`] of a model that is used once.
///
/// # Errors
/// A checkpoint that is not a MobileNetV5. The input is not checked.
pub fn encode(
    checkpoint: &Checkpoint,
    settings: &Settings,
    precision: Precision,
    shape: [usize; 4],
    input: &[f32],
) -> Result<Vec<(String, Tensor64)>, Error> {
    ReferenceModel::new(checkpoint, settings, precision)?.encode(shape, input)
}

/// As [`encode`] in [`Precision::F32`], with a fault in one place: how far it moves a layer when nothing is rounded.
///
/// # Errors
/// As [`encode`].
///
/// # Panics
/// For faults that the graph in f64 does not have ([`Fault::is_in_reference`]).
#[cfg(feature = "faults")]
pub fn encode_with_fault(
    checkpoint: &Checkpoint,
    settings: &Settings,
    planted: (Site, Fault),
    shape: [usize; 4],
    input: &[f32],
) -> Result<Vec<(String, Tensor64)>, Error> {
    assert!(planted.1.is_in_reference(), "{planted:?} is not written out in f64");
    let mut seam = Seam::default();
    seam.planted = Some(planted);
    ReferenceModel::new(checkpoint, settings, Precision::F32)?.encode_through(seam, false, shape, input)
}
