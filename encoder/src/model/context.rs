//! What layers share during a run.

use super::activation::Activation;
use super::buffers::Buffers;
use crate::error::Error;
use crate::faults::Seam;
use crate::geometry::Padding;
use crate::kernels::epilogue::{Epilogue, apply_rows, apply_rows_to};
use crate::precision::Operands;
use crate::profile::{Cost, Profiler};
use crate::simd::Isa;
use crate::tap::{BlockTap, TapSink, TapTensor};

/// What a layer needs to run.
pub(super) struct Context<'a> {
    pub(super) isa: Isa,
    pub(super) operands: Operands,
    pub(super) padding: Padding,
    pub(super) buffers: Buffers,
    pub(super) taps: &'a mut dyn TapSink,
    pub(super) seam: Seam,
    pub(super) profiler: &'a Profiler,
}

impl Context<'_> {
    /// A feature map of unspecified content; the caller must write all of it.
    pub(super) fn activation(
        &self,
        batch: usize,
        height: usize,
        width: usize,
        channels: usize,
    ) -> Activation {
        Activation::new(&self.buffers, [batch, height, width, channels])
    }

    /// Applies `ops` to every pixel's channels, in place; `name` is for the profile.
    pub(super) fn apply(&self, name: &str, ops: &Epilogue<'_>, x: &mut Activation) {
        let elements = x.data.len();
        self.profiler.time(
            name,
            || Cost::of_elements(2 * elements),
            || {
                apply_rows(self.isa, &self.seam.ops(*ops), x.channels, &mut x.data);
            },
        );
    }

    /// Applies `ops` to every pixel's channels, into a new feature map; `name` is for the profile.
    pub(super) fn applied(&self, name: &str, ops: &Epilogue<'_>, x: &Activation) -> Activation {
        let mut out = self.activation(x.batch, x.height, x.width, x.channels);
        self.profiler.time(
            name,
            || Cost::of_elements(2 * x.data.len()),
            || apply_rows_to(self.isa, &self.seam.ops(*ops), x.channels, &x.data, &mut out.data),
        );
        out
    }

    /// Whether an inner tap of block `number` is wanted.
    pub(super) fn wants_inner(&self, tap: BlockTap, number: usize) -> bool {
        self.taps.wants_inner() && self.taps.wants(&tap.name(number))
    }

    /// Hands the feature map of an inner tap to the sink as `[B, C, H, W]`, if it is wanted.
    pub(super) fn tap_inner(&mut self, tap: BlockTap, number: usize, x: &Activation) -> Result<(), Error> {
        match self.taps.wants_inner() {
            true => self.tap(&tap.name(number), x),
            false => Ok(()),
        }
    }

    /// Hands the feature map to the sink as `[B, C, H, W]`, if it is wanted.
    pub(super) fn tap(&mut self, name: &str, x: &Activation) -> Result<(), Error> {
        self.tap_with(name, || TapTensor {
            shape: vec![x.batch, x.channels, x.height, x.width],
            data: x.to_nchw(),
        })
    }

    /// Hands the feature map to the sink as `[B, T, C]`, if it is wanted.
    pub(super) fn tap_tokens(&mut self, name: &str, x: &Activation) -> Result<(), Error> {
        self.tap_with(name, || TapTensor {
            shape: vec![x.batch, x.height * x.width, x.channels],
            data: x.data.to_vec(),
        })
    }

    /// Hands the one pixel of each image to the sink as `[B, C]`, if it is wanted.
    pub(super) fn tap_classes(&mut self, name: &str, x: &Activation) -> Result<(), Error> {
        self.tap_with(name, || TapTensor { shape: vec![x.batch, x.channels], data: x.data.to_vec() })
    }

    fn tap_with(&mut self, name: &str, tensor: impl FnOnce() -> TapTensor) -> Result<(), Error> {
        if !self.taps.wants(name) {
            return Ok(());
        }
        self.taps.record(name, tensor()).map_err(|source| Error::Tap { name: name.to_string(), source })
    }
}
