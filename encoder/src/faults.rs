//! Faults for the self-test of a gate: what a port gets wrong, planted in this encoder's own computation.
//!
//! Only the feature `faults` compiles them in; without it a `Seam` is empty and changes nothing.

use crate::geometry::Padding;
use crate::kernels::epilogue::Epilogue;
#[cfg(feature = "faults")]
pub use crate::part::Site;
#[cfg(not(feature = "faults"))]
use crate::part::Site;

/// A mistake in the computation.
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
    /// Average pooling after the norm instead of before it.
    PoolAfterNorm,
    /// Bilinear instead of nearest-neighbour upsampling.
    BilinearUpsampling,
    /// The feature map of the lower resolution first.
    ConcatOrder,
    /// No multiplication by sqrt(C) before the embedder's norm.
    NoFactor,
    /// Symmetric padding of the depthwise convolution that its block calls this: `dw_mid.conv`, `attn.key.down_conv`.
    SymmetricPadding(&'static str),
    /// Scores that are not divided by sqrt(d_k) before the softmax.
    NoSoftmaxScale,
    /// The layer scale twice.
    LayerScaleTwice,
}

#[cfg(feature = "faults")]
impl Fault {
    /// Whether [`crate::reference::encode_with_fault`] has it: what may be too small to be seen in f32.
    pub fn is_in_reference(self) -> bool {
        matches!(self, Fault::EpsilonTimes(_) | Fault::NoFactor)
    }
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

    pub(crate) fn ops<'a>(&self, ops: Epilogue<'a>) -> Epilogue<'a> {
        ops
    }

    pub(crate) fn padding(&self, _: &str, padding: Padding) -> Padding {
        padding
    }

    pub(crate) fn lacks_softmax_scale(&self) -> bool {
        false
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

    pub(crate) fn epsilon_times(&self) -> f64 {
        1.0
    }

    pub(crate) fn lacks_factor(&self) -> bool {
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
    pub(crate) fn ops<'a>(&self, ops: Epilogue<'a>) -> Epilogue<'a> {
        use crate::kernels::epilogue::Norm;
        match self.here() {
            Some(Fault::EpsilonTimes(factor)) => Epilogue { epsilon_times: Some(factor), ..ops },
            Some(Fault::ErfGelu) => Epilogue { erf: true, ..ops },
            Some(Fault::NoGelu) => Epilogue { gelu: false, ..ops },
            Some(Fault::NoSkip) => Epilogue { skip: None, ..ops },
            Some(Fault::NoLayerScale) => Epilogue { layer_scale: None, ..ops },
            Some(Fault::NoNormWeight) => match ops.norm {
                Norm::Weighted(_) => Epilogue { norm: Norm::Plain, ..ops },
                _ => ops,
            },
            Some(Fault::NoFactor) => Epilogue { factor: None, ..ops },
            Some(Fault::LayerScaleTwice) => Epilogue { layer_scale_twice: true, ..ops },
            _ => ops,
        }
    }

    /// How the depthwise convolution with timm's name `convolution` is padded.
    pub(crate) fn padding(&self, convolution: &str, padding: Padding) -> Padding {
        match self.here() {
            Some(Fault::SymmetricPadding(name)) if convolution.ends_with(&format!(".{name}")) => {
                Padding::Symmetric
            }
            _ => padding,
        }
    }

    pub(crate) fn lacks_softmax_scale(&self) -> bool {
        self.here() == Some(Fault::NoSoftmaxScale)
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

    /// What the graph in f64 multiplies the epsilon by.
    pub(crate) fn epsilon_times(&self) -> f64 {
        match self.here() {
            Some(Fault::EpsilonTimes(factor)) => f64::from(factor),
            _ => 1.0,
        }
    }

    /// Whether the graph in f64 leaves out the multiplication by sqrt(C).
    pub(crate) fn lacks_factor(&self) -> bool {
        self.here() == Some(Fault::NoFactor)
    }
}

#[cfg(all(test, feature = "faults"))]
mod tests {
    use super::*;
    use crate::kernels::epilogue::Norm;

    const WEIGHTS: [f32; 2] = [1.5, -0.5];

    fn all() -> Epilogue<'static> {
        Epilogue {
            bias: Some(&WEIGHTS),
            factor: Some(3.0),
            norm: Norm::Weighted(&WEIGHTS),
            gelu: true,
            layer_scale: Some(&WEIGHTS),
            skip: Some(&WEIGHTS),
            ..Epilogue::default()
        }
    }

    /// One row through the operations, as the planted fault leaves them.
    fn row(planted: Option<(Site, Fault)>, site: Site, ops: Epilogue<'_>) -> Vec<f32> {
        let mut seam = Seam { planted, ..Seam::default() };
        seam.enter(site);
        let mut row = vec![0.001, -0.002];
        crate::kernels::epilogue::apply_rows(crate::Isa::Portable, &seam.ops(ops), 2, &mut row);
        row
    }

    #[test]
    fn a_fault_acts_only_where_it_was_planted() {
        let sites = [Site::Stem, Site::Block(0), Site::Block(1), Site::Fusion, Site::Embedder, Site::Head];
        for planted in sites {
            for site in sites {
                let faulty = row(Some((planted, Fault::NoSkip)), site, all());
                assert_eq!(faulty != row(None, site, all()), planted == site, "{planted:?} at {site:?}");
                let mut seam = Seam { planted: Some((planted, Fault::ConcatOrder)), ..Seam::default() };
                assert!(!seam.swaps_concat(), "no site was entered yet");
                seam.enter(site);
                assert_eq!(seam.swaps_concat(), planted == site);
                assert!(!seam.upsamples_bilinearly() && !seam.pools_after_norm());
            }
        }
    }

    #[test]
    fn each_fault_does_what_its_name_says() {
        let without = |change: fn(&mut Epilogue<'static>)| {
            let mut ops = all();
            change(&mut ops);
            row(None, Site::Stem, ops)
        };
        let cases = [
            (Fault::NoGelu, without(|ops| ops.gelu = false)),
            (Fault::NoSkip, without(|ops| ops.skip = None)),
            (Fault::NoLayerScale, without(|ops| ops.layer_scale = None)),
            (Fault::NoNormWeight, without(|ops| ops.norm = Norm::Plain)),
            (Fault::NoFactor, without(|ops| ops.factor = None)),
            (Fault::EpsilonTimes(10.0), without(|ops| ops.epsilon_times = Some(10.0))),
            (Fault::ErfGelu, without(|ops| ops.erf = true)),
            (Fault::LayerScaleTwice, without(|ops| ops.layer_scale_twice = true)),
        ];
        let correct = row(None, Site::Stem, all());
        for (fault, expected) in cases {
            let faulty = row(Some((Site::Stem, fault)), Site::Stem, all());
            assert_eq!(faulty, expected, "{fault:?}");
            assert_ne!(faulty, correct, "{fault:?}");
        }
    }
}
