//! Faults for the self-test of a gate: what a port gets wrong, planted in this encoder's own computation.
//!
//! Only the feature `faults` compiles them in; without it a [`Seam`] is empty and hands everything on as it is.

use crate::kernels::rows::RowOps;

/// A part of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "faults"), expect(unreachable_pub, reason = "public with the feature"))]
pub enum Site {
    /// The convolution at the front.
    Stem,
    /// A block, counted over all stages.
    Block(usize),
    /// The multi-scale fusion.
    Fusion,
    /// The Gemma 3n embedder.
    Embedder,
}

/// What is computed wrongly.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg(feature = "faults")]
pub enum Fault {
    /// The epsilon of RMS norms times this.
    EpsilonTimes(f32),
    /// GELU by the error function instead of the tanh approximation.
    ErfGelu,
    /// No GELU.
    NoGelu,
    /// No skip connection.
    NoSkip,
    /// No layer scale.
    NoLayerScale,
    /// RMS norms without their weights.
    NoNormWeight,
    /// Average pooling behind the norm instead of before it.
    PoolAfterNorm,
    /// Bilinear instead of nearest-neighbour upsampling.
    BilinearUpsampling,
    /// The feature map of the lower resolution first.
    ConcatOrder,
    /// No multiplication by sqrt(C) before the embedder's norm.
    NoFactor,
}

/// Where faults come in; empty without the feature.
#[derive(Clone, Copy, Default)]
pub(crate) struct Seam {
    #[cfg(feature = "faults")]
    pub(crate) planted: Option<(Site, Fault)>,
    #[cfg(feature = "faults")]
    site: Option<Site>,
}

#[cfg(not(feature = "faults"))]
impl Seam {
    pub(crate) fn enter(&mut self, _: Site) {}

    pub(crate) fn ops<'a>(&self, ops: RowOps<'a>) -> RowOps<'a> {
        ops
    }

    pub(crate) fn pools_after_norm(&self) -> bool {
        false
    }

    pub(crate) fn upsamples_bilinearly(&self) -> bool {
        false
    }

    pub(crate) fn swaps_concat(&self) -> bool {
        false
    }
}

#[cfg(feature = "faults")]
impl Seam {
    /// What follows belongs to that part.
    pub(crate) fn enter(&mut self, site: Site) {
        self.site = Some(site);
    }

    fn here(&self) -> Option<Fault> {
        self.planted.filter(|(site, _)| Some(*site) == self.site).map(|(_, fault)| fault)
    }

    /// The operations, as the planted fault leaves them.
    pub(crate) fn ops<'a>(&self, ops: RowOps<'a>) -> RowOps<'a> {
        use crate::kernels::rows::Norm;
        match self.here() {
            Some(Fault::EpsilonTimes(factor)) => RowOps { epsilon_times: Some(factor), ..ops },
            Some(Fault::ErfGelu) => RowOps { erf: true, ..ops },
            Some(Fault::NoGelu) => RowOps { gelu: false, ..ops },
            Some(Fault::NoSkip) => RowOps { skip: None, ..ops },
            Some(Fault::NoLayerScale) => RowOps { layer_scale: None, ..ops },
            Some(Fault::NoNormWeight) => match ops.norm {
                Norm::Weighted(_) => RowOps { norm: Norm::Plain, ..ops },
                _ => ops,
            },
            Some(Fault::NoFactor) => RowOps { factor: None, ..ops },
            _ => ops,
        }
    }

    pub(crate) fn pools_after_norm(&self) -> bool {
        self.here() == Some(Fault::PoolAfterNorm)
    }

    pub(crate) fn upsamples_bilinearly(&self) -> bool {
        self.here() == Some(Fault::BilinearUpsampling)
    }

    pub(crate) fn swaps_concat(&self) -> bool {
        self.here() == Some(Fault::ConcatOrder)
    }
}

/// GELU by the error function, `x / 2 (1 + erf(x / sqrt(2)))`; erf by formula 7.1.26 of Abramowitz and Stegun, whose
/// error of at most 1.5e-7 is far under the 5e-4 between the two GELUs.
#[cfg(feature = "faults")]
pub(crate) fn erf_gelu(x: f32) -> f32 {
    let z = f64::from(x.abs()) / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let polynomial = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    let erf = 1.0 - polynomial.iter().fold(0.0, |sum, c| (sum + c) * t) * (-z * z).exp();
    let signed = if x < 0.0 { -erf } else { erf };
    (f64::from(x) / 2.0 * (1.0 + signed)) as f32
}
