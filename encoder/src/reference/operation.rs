//! The operations of the graph, with what is rounded and moved at each: an operand of a dense product is rounded here, just
//! before the product.

use super::attention::Attending;
use super::change::{NamedConvolution, PortChange};
use super::image::{Image, convolve};
use super::rounding::Rounding;
use super::run::ReferenceRun;
use crate::architecture::names;
use crate::architecture::{AttentionSpec, DepthwiseSpec};
use crate::error::Error;

impl ReferenceRun<'_> {
    pub(super) fn rounding(&self) -> Rounding {
        self.model.rounding
    }

    fn nudged(&self, x: &Image) -> Image {
        self.nudge.as_ref().map_or_else(|| x.clone(), |nudge| nudge.of(x))
    }

    /// What is kept of the result of an operation.
    pub(super) fn kept(&self, x: Image) -> Image {
        let rounding = self.rounding();
        match rounding.rounds_results() {
            true => x.map(|x| rounding.result(x)),
            false => x,
        }
    }

    pub(super) fn weights(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>, Error> {
        Ok(self.model.checkpoint.load(name, shape)?.into_iter().map(f64::from).collect())
    }

    pub(super) fn dense(
        &self,
        x: &Image,
        name: &str,
        out: usize,
        kernel: usize,
        stride: usize,
    ) -> Result<Image, Error> {
        let weights = self.weights(name, &[out, x.shape[1], kernel, kernel])?;
        // ggml has the stem's weights in f32, and then takes its input as it is.
        let as_it_is = name == names::stem::CONVOLUTION
            && matches!(self.rounding(), Rounding::GgmlF16 | Rounding::GgmlF16ExactGelu);
        let rounding = if as_it_is { Rounding::Exact } else { self.rounding() };
        Ok(self.multiply(name, x, weights, [out, kernel, stride], rounding))
    }

    /// A dense convolution of what is held of both operands.
    pub(super) fn multiply(
        &self,
        name: &str,
        x: &Image,
        weights: Vec<f64>,
        [out, kernel, stride]: [usize; 3],
        rounding: Rounding,
    ) -> Image {
        let is_square = kernel == 1 && out == x.shape[1];
        let name = names::module_of(name).to_string();
        let number = self.changed.next_convolution(NamedConvolution { name, kernel, stride, is_square });
        let weights = self.changed.weights(number, weights, [out, x.shape[1], kernel]);
        let x = self.nudged(x);
        let product = |part: fn((f64, f64)) -> f64| {
            let weights: Vec<f64> = weights.iter().map(|w| part(rounding.held(*w))).collect();
            let x = x.clone().map(|x| part(rounding.held(x)));
            convolve(
                &x,
                &weights,
                out,
                kernel,
                stride,
                self.changed.padded(number, self.model.settings.padding),
                false,
            )
        };
        let sum = product(|held| held.0);
        let sum = match rounding.has_two_terms() {
            true => sum.plus(&product(|held| held.1).map(|x| -x)),
            false => sum,
        };
        self.kept(sum)
    }

    pub(super) fn depthwise(&self, x: &Image, name: &str, spec: DepthwiseSpec) -> Result<Image, Error> {
        let weights = self.weights(name, &[x.shape[1], 1, spec.kernel, spec.kernel])?;
        let DepthwiseSpec { kernel, stride } = spec;
        let name = names::module_of(name).to_string();
        let number =
            self.changed.next_convolution(NamedConvolution { name, kernel, stride, is_square: false });
        let weights = self.changed.weights(number, weights, [x.shape[1], 1, spec.kernel]);
        let rounding = self.rounding();
        let weights: Vec<f64> = weights.into_iter().map(|w| rounding.held_by_depthwise(w)).collect();
        let x = self.nudged(x).map(|x| rounding.held_by_depthwise(x));
        let padded = self.changed.padded(number, self.model.settings.padding);
        Ok(self.kept(convolve(&x, &weights, x.shape[1], spec.kernel, spec.stride, padded, true)))
    }

    pub(super) fn norm(&self, x: &Image, name: &str) -> Result<Image, Error> {
        let weights = self.weights(name, &[x.shape[1]])?;
        Ok(self.norm_by(name, x, &weights))
    }

    pub(super) fn norm_by(&self, name: &str, x: &Image, weights: &[f64]) -> Image {
        let epsilon = 1e-6 * self.seam.epsilon_times();
        self.kept(self.changed.normed(self.nudged(x), names::module_of(name), epsilon, weights))
    }

    /// GELU, or what the change has in its place.
    pub(super) fn activated(&self, x: Image) -> Image {
        let function = self.changed.next_activation();
        let rounding = self.rounding();
        self.kept(self.nudged(&x).map(|x| rounding.activation(&function, x)))
    }

    /// Attention's own products.
    pub(super) fn attend(&self, spec: &AttentionSpec, q: &Image, k: &Image, v: &Image) -> Image {
        let attending = Attending {
            spec,
            rounding: self.rounding(),
            scores_times: self.changed.scores_times(spec.key_dim),
            over_queries: self.changed.has(PortChange::SoftmaxOverQueries),
        };
        self.kept(attending.heads(&self.nudged(q), &self.nudged(k), &self.nudged(v)))
    }
}
