//! Running one part of a model, alone or as a step of the whole.

use std::collections::BTreeMap;

use super::Model;
use super::activation::Activation;
use super::buffers::Buffers;
use super::context::Context;
use crate::error::Error;
use crate::faults::Seam;
use crate::part::{Input, Part, Site};
use crate::profile::Profiler;
use crate::tap::{self, AllTaps, TapTensor};

/// The feature maps between two parts.
pub(super) struct Flow {
    /// What the next part takes.
    x: Activation,
    /// What the last stage took, for the fusion.
    into_last_stage: Option<Activation>,
}

impl Flow {
    pub(super) fn new(x: Activation) -> Self {
        Flow { x, into_last_stage: None }
    }

    /// What the last part gave.
    pub(super) fn into_output(self) -> Activation {
        self.x
    }
}

impl Model {
    /// The parts of the model in the order of execution.
    pub fn parts(&self) -> Vec<Part> {
        Part::all_of(&self.architecture)
    }

    /// Runs one of [`Model::parts`] on its inputs, which `tensors` holds by name; other tensors there are ignored.
    ///
    /// Returns the part's outputs by name, in the order of execution. On inputs with the bits of a run of the whole
    /// model ([`Model::encode`]) they have the bits of that run. Inputs of other sizes are accepted too, whether or not
    /// an image could lead to them.
    ///
    /// # Errors
    /// A part of another model; a missing input or one of another shape; an image with values outside [0, 1]; a feature
    /// map that is too small for a convolution.
    pub fn run_part(
        &self,
        part: &Part,
        tensors: &BTreeMap<String, TapTensor>,
    ) -> Result<Vec<(String, TapTensor)>, Error> {
        part.expect_among(&self.parts())?;
        let inputs = part.inputs_among(tensors)?;
        if part.site() == Site::Stem {
            self.check_input(&inputs[0].0.shape, &inputs[0].0.data)?;
        }
        let buffers = Buffers::default();
        let to_map = |(tensor, shape): &Input<'_, f32>| Activation::from_nchw(&buffers, *shape, &tensor.data);
        let mut maps: Vec<Activation> = inputs.iter().map(to_map).collect();
        let x = maps.pop().expect("every part has an input");
        let flow = Flow { x, into_last_stage: maps.pop() };
        let mut taps = AllTaps::default();
        let profiler = Profiler::default();
        let mut context = self.context(buffers, &mut taps, Seam::default(), &profiler);
        self.forward(&mut context, part.site(), flow)?;
        Ok(taps.0)
    }

    /// Where the parts are, in the order of execution.
    pub(super) fn sites(&self) -> impl Iterator<Item = Site> {
        let blocks = (0..self.blocks.len()).map(Site::Block);
        let fusion = self.fusion.iter().map(|_| Site::Fusion);
        let embedder = self.embedder.iter().map(|_| Site::Embedder);
        let head = self.head.iter().map(|_| Site::Head);
        std::iter::once(Site::Stem).chain(blocks).chain(fusion).chain(embedder).chain(head)
    }

    /// Runs the part at `site`. A part alone and the whole model both run through here, hence with the same bits.
    pub(super) fn forward(&self, context: &mut Context<'_>, site: Site, flow: Flow) -> Result<Flow, Error> {
        context.seam.enter(site);
        let Flow { x, into_last_stage } = flow;
        match site {
            Site::Stem => {
                let x = self.stem.forward(context, &x)?;
                context.tap(tap::STEM, &x)?;
                Ok(Flow::new(x))
            }
            Site::Block(number) => {
                let out = self.blocks[number].forward(context, number, &x)?;
                let is_kept = number == self.last_stage && self.fusion.is_some();
                Ok(Flow { x: out, into_last_stage: if is_kept { Some(x) } else { into_last_stage } })
            }
            Site::Fusion => {
                let fusion = self.fusion.as_ref().expect("a fusion, since it has a site");
                let high = into_last_stage.expect("a last stage before the fusion");
                Ok(Flow::new(fusion.forward(context, &high, &x)?))
            }
            Site::Embedder => {
                let embedder = self.embedder.as_ref().expect("an embedder, since it has a site");
                Ok(Flow::new(embedder.forward(context, x)?))
            }
            Site::Head => {
                let head = self.head.as_ref().expect("a head, since it has a site");
                Ok(Flow::new(head.forward(context, &x)?))
            }
        }
    }
}
