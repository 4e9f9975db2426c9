//! The operations of the graph, with what is rounded and moved at each: an operand of a dense product is rounded here, just
//! before the product.

use std::borrow::Cow;
use std::sync::Arc;

use super::activation_blocks::ActivationBlocks;
use super::activation_function::ActivationFunction;
use super::attention::Attending;
use super::change::{NamedConvolution, PortChange};
use super::convolution::{self, KernelWindow};
use super::image::{Image, PieceChange};
use super::nudge::NudgedValues;
use super::rounding::Rounding;
use super::run::ReferenceRun;
use super::weights::{self, DenseWeights};
use crate::architecture::names;
use crate::architecture::{AttentionSpec, DepthwiseSpec};
use crate::error::Error;

impl ReferenceRun<'_> {
    pub(super) fn rounding(&self) -> Rounding {
        self.model.rounding
    }

    /// The values, moved where the run is nudged, and what the rounding holds of them as operands.
    fn operand<'x>(&self, x: &'x Image, rounding: Rounding) -> Cow<'x, Image> {
        let nudged = self.nudge.as_ref().map(|nudge| nudge.next(x));
        match nudged.is_none() && rounding.holds_all() {
            true => Cow::Borrowed(x),
            false => Cow::Owned(x.copied_with(&OperandChange { nudged, rounding, is_known: x.is_known })),
        }
    }

    /// The same in blocks.
    fn operand_in_blocks(&self, x: &Image, blocks: ActivationBlocks) -> Image {
        match x.is_known {
            true => self.nudged(blocks.held(x)),
            false => blocks.held(&self.operand(x, Rounding::Exact)),
        }
    }

    /// The same in two terms: what is held, and what that lacks of the values.
    fn operand_in_terms(&self, x: &Image, rounding: Rounding) -> (Image, Image) {
        let nudged = if x.is_known { Cow::Borrowed(x) } else { self.operand(x, Rounding::Exact) };
        let small = nudged.copied_with(&|_: usize, piece: &mut [f64]| rounding.hold_small(piece));
        let held = nudged.copied_with(&|_: usize, piece: &mut [f64]| rounding.hold(piece));
        (if x.is_known { self.nudged(held) } else { held }, small)
    }

    /// The values, moved where the run is nudged.
    pub(super) fn nudged(&self, mut x: Image) -> Image {
        if let Some(nudge) = &self.nudge {
            let nudged = nudge.next(&x);
            x.for_each_piece(&|from: usize, piece: &mut [f64]| nudged.move_piece(from, piece));
        }
        x
    }

    /// What is kept of the result of an operation.
    pub(super) fn kept(&self, mut x: Image) -> Image {
        let rounding = self.rounding();
        if rounding.rounds_results() {
            x.for_each_piece(&|_: usize, piece: &mut [f64]| rounding.keep(piece));
        }
        x
    }

    fn window(&self, number: usize, kernel: usize, stride: usize) -> KernelWindow {
        KernelWindow { kernel, stride, padded: self.changed.padded(number, self.model.settings.padding) }
    }

    /// Weights of the current part.
    pub(super) fn weights(&self, name: &str, shape: &[usize]) -> Result<Arc<Vec<f64>>, Error> {
        self.part_weights.plain(self.model.checkpoint, name, shape)
    }

    pub(super) fn dense(
        &self,
        x: &Image,
        name: &str,
        out: usize,
        kernel: usize,
        stride: usize,
    ) -> Result<Image, Error> {
        self.product(x, name, &[out, x.shape[1], kernel, kernel], stride)
    }

    /// The projection to keys or values.
    pub(super) fn key_or_value(&self, x: &Image, name: &str, out: usize) -> Result<Image, Error> {
        self.product_by(x, name, &[out, x.shape[1], 1, 1], 1, self.rounding().of_keys_and_values())
    }

    /// A dense convolution by weights `[out, in, kernel, kernel]`, or `[out, in]`.
    pub(super) fn product(
        &self,
        x: &Image,
        name: &str,
        shape: &[usize],
        stride: usize,
    ) -> Result<Image, Error> {
        self.product_by(x, name, shape, stride, self.rounding())
    }

    fn product_by(
        &self,
        x: &Image,
        name: &str,
        shape: &[usize],
        stride: usize,
        rounding: Rounding,
    ) -> Result<Image, Error> {
        let rounding = if self.model.takes_as_it_is(name) { Rounding::Exact } else { rounding };
        let (out, kernel) = (shape[0], shape.get(2).copied().unwrap_or(1));
        let is_square = kernel == 1 && out == x.shape[1];
        let of_module = names::module_of(name).to_string();
        let convolution = NamedConvolution { name: of_module, kernel, stride, is_square };
        let number = self.changed.next_convolution(convolution);
        let weights = match self.changed.leaves_weights() {
            true => self.part_weights.dense(self.model.checkpoint, name, shape, rounding)?,
            false => {
                let weights = weights::read(self.model.checkpoint, name, shape)?;
                let weights = self.changed.weights(number, weights, [out, x.shape[1], kernel]);
                Arc::new(DenseWeights::of(&weights, out, rounding))
            }
        };
        let window = self.window(number, kernel, stride);
        let (small, held) = match &weights.small {
            None => match self.model.activation_blocks(name) {
                Some(blocks) => (None, Cow::Owned(self.operand_in_blocks(x, blocks))),
                None => (None, self.operand(x, rounding)),
            },
            Some(small) => {
                let (held, term) = self.operand_in_terms(x, rounding);
                (Some(convolution::dense(&term, small, window)), Cow::Owned(held))
            }
        };
        let product = convolution::dense(&held, &weights.held, window);
        Ok(self.kept(match small {
            Some(small) => product.minus(&small),
            None => product,
        }))
    }

    pub(super) fn depthwise(&self, x: &Image, name: &str, spec: DepthwiseSpec) -> Result<Image, Error> {
        let DepthwiseSpec { kernel, stride } = spec;
        let of_module = names::module_of(name).to_string();
        let convolution = NamedConvolution { name: of_module, kernel, stride, is_square: false };
        let number = self.changed.next_convolution(convolution);
        let channels = x.shape[1];
        let shape = [channels, 1, kernel, kernel];
        let weights = match self.changed.leaves_weights() {
            true => self.weights(name, &shape)?,
            false => {
                let weights = weights::read(self.model.checkpoint, name, &shape)?;
                Arc::new(self.changed.weights(number, weights, [channels, 1, kernel]))
            }
        };
        let rounding = self.rounding().of_depthwise();
        let mut weights = Vec::clone(&weights);
        rounding.hold(&mut weights);
        let x = self.operand(x, rounding);
        let window = self.window(number, kernel, stride);
        Ok(self.kept(convolution::depthwise(&x, &weights, window)))
    }

    pub(super) fn norm(&self, x: Image, name: &str) -> Result<Image, Error> {
        let weights = self.weights(name, &[x.shape[1]])?;
        Ok(self.norm_by(name, x, &weights))
    }

    pub(super) fn norm_by(&self, name: &str, x: Image, weights: &[f64]) -> Image {
        let epsilon = 1e-6 * self.seam.epsilon_times();
        self.kept(self.changed.normed(self.nudged(x), names::module_of(name), epsilon, weights))
    }

    /// GELU, or what the change has in its place.
    pub(super) fn activated(&self, x: Image) -> Image {
        let mut x = x;
        let nudged = self.nudge.as_ref().map(|nudge| nudge.next(&x));
        let (function, rounding) = (self.changed.next_activation(), self.rounding());
        x.for_each_piece(&ActivationChange { nudged, function, rounding });
        x
    }

    /// Attention's own products.
    pub(super) fn attend(&self, spec: &AttentionSpec, q: &Image, k: &Image, v: &Image) -> Image {
        let attending = Attending {
            spec,
            rounding: self.rounding(),
            scores_times: self.changed.scores_times(spec.key_dim),
            over_queries: self.changed.has(PortChange::SoftmaxOverQueries),
            probabilities: self.changed.probabilities(),
            padded_keys: self.changed.padded_keys(),
        };
        let [q, k, v] = [q, k, v].map(|x| self.operand(x, Rounding::Exact));
        self.kept(attending.heads(&q, &k, &v))
    }
}

/// Values become operands: moved where there is a nudge, and rounded, first where they are known.
struct OperandChange {
    nudged: Option<NudgedValues>,
    rounding: Rounding,
    is_known: bool,
}

impl PieceChange for OperandChange {
    #[inline(always)]
    fn change(&self, from: usize, piece: &mut [f64]) {
        if self.is_known {
            self.rounding.hold(piece);
        }
        if let Some(nudged) = self.nudged {
            nudged.move_piece(from, piece);
        }
        if !self.is_known {
            self.rounding.hold(piece);
        }
    }
}

/// GELU, or what is in its place.
struct ActivationChange {
    nudged: Option<NudgedValues>,
    function: Option<ActivationFunction>,
    rounding: Rounding,
}

impl PieceChange for ActivationChange {
    #[inline(always)]
    fn change(&self, from: usize, piece: &mut [f64]) {
        if let Some(nudged) = self.nudged {
            nudged.move_piece(from, piece);
        }
        self.rounding.activate(piece, self.function);
        self.rounding.keep(piece);
    }
}
