//! timm's classifier head.

use super::activation::Activation;
use super::context::Context;
use super::layer::{Dense, Loader};
use crate::architecture::HeadSpec;
use crate::architecture::names::head as names;
use crate::error::Error;
use crate::kernels::epilogue::{Epilogue, Norm};
use crate::kernels::resize::average_pool;
use crate::profile::Cost;
use crate::tap;

/// The mean over the map, then a 1 x 1 convolution with norm and GELU, then a linear layer with bias.
pub(super) struct Head {
    hidden: Option<HiddenLayer>,
    classifier: Option<Classifier>,
}

struct HiddenLayer {
    convolution: Dense,
    norm: Vec<f32>,
}

struct Classifier {
    linear: Dense,
    bias: Vec<f32>,
}

impl Head {
    pub(super) fn load(loader: &Loader<'_>, spec: &HeadSpec) -> Result<Self, Error> {
        let hidden = match spec.hidden {
            Some(hidden) => Some(HiddenLayer {
                convolution: loader.dense(names::CONVOLUTION, [hidden, spec.channels, 1], 1)?,
                norm: loader.parameter(names::NORM, hidden)?,
            }),
            None => None,
        };
        let classifier = match spec.classes {
            Some(classes) => Some(Classifier {
                linear: loader.linear(names::CLASSIFIER, classes, spec.hidden.unwrap_or(spec.channels))?,
                bias: loader.parameter(names::CLASSIFIER_BIAS, classes)?,
            }),
            None => None,
        };
        Ok(Head { hidden, classifier })
    }

    pub(super) fn forward(&self, context: &mut Context<'_>, x: &Activation) -> Result<Activation, Error> {
        let mut out = context.activation(x.batch, 1, 1, x.channels);
        let elements = x.data.len() + out.data.len();
        context.profiler.time(
            names::POOL,
            || Cost::of_elements(elements),
            || average_pool(&x.data, (x.height, x.width), x.channels, (1, 1), &mut out.data),
        );
        context.tap(tap::HEAD_POOL, &out)?;
        if let Some(HiddenLayer { convolution, norm }) = &self.hidden {
            let ops = Epilogue { norm: Norm::Weighted(norm), gelu: true, ..Epilogue::default() };
            out = convolution.forward(context, &out, &ops)?;
            context.tap(tap::HEAD_HIDDEN, &out)?;
        }
        if let Some(Classifier { linear, bias }) = &self.classifier {
            let ops = Epilogue { bias: Some(bias), ..Epilogue::default() };
            out = linear.forward(context, &out, &ops)?;
            context.tap_classes(tap::HEAD_LOGITS, &out)?;
        }
        Ok(out)
    }
}
