//! What a reader of a comparison should know beside its figures.

use crate::limits::file::FigureKind;
use crate::limits::metric::Metric;
use crate::limits::waiver::Waiver;
use crate::mapping::pairing::CountedLengths;
use crate::side::Side;
use crate::tensor::Dtype;

/// Something that a reader should know.
#[derive(Clone, Debug, PartialEq)]
pub struct Remark {
    /// What it is.
    pub kind: RemarkKind,
    /// What to do about it, in the words of the program that made the comparison.
    pub advice: Option<String>,
}

/// What a remark is about.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are what the variant is about")]
pub enum RemarkKind {
    /// Each part was computed from the candidate's own tensors: those that are `joined` with the next ones, for the candidate
    /// lacks what they give. The rounding model that fits, whether the values tell it from others, and the next best with how many
    /// times farther it is.
    JudgedLocally {
        parts: usize,
        joined: Vec<String>,
        rounding: String,
        is_known: bool,
        next: Option<(String, f64)>,
    },
    /// The reference has no manifest, so no noise floor is known.
    NoManifest,
    /// No file of a side is named by the mapping's patterns: whole names were taken.
    WholeNames { side: Side, patterns: String },
    /// Files of a side lack the batch axis that the mapping declares; its extent is 1.
    WithoutBatch { side: Side, layers: usize },
    /// Values of a side were rounded when they were stored, and limits have room for it.
    RoundedByStorage { side: Side, dtype: Dtype, layers: usize },
    /// Of tensors of the candidate only some elements were seen: the rest was not compared.
    PartlySeen { layers: usize, elements: usize, of: usize },
    /// Layers whose tensors are one file on both sides.
    SameFiles { layers: usize },
    /// Most layers are equal to the last bit.
    SameBits { layers: usize, of: usize },
    /// Layers whose reference is zero, or of one magnitude throughout.
    Uniform { layers: usize, of: usize },
    /// The mapping does not say how many layers must be compared.
    NoMinimum,
    /// Limits farther over the noise floor than a waiver may put one: how many layers have one, the one that is farthest over
    /// it, and how many times.
    FarOverFloor { layers: usize, layer: String, times: f64 },
    /// Limits that are looser than those of the mapping that the program brings: how many layers have one, the one that
    /// differs most, its limit and that of the other mapping.
    LooserLimits { than: String, layers: usize, layer: String, limit: f64, other: f64 },
    /// References that the mapping which the program brings compares with a tensor of this candidate, and this one leaves out.
    LeftOut { by_mapping: String, references: Vec<String> },
    /// Every value of a side is a number of a narrower type than it is stored in.
    NarrowValues { side: Side, dtype: Dtype },
    /// Nearly all layers fail, from the first on, and all are within the limits of this profile.
    WithinProfile { profile: String, description: String, layers: usize },
    /// How many values a placeholder has, where the reference's names show it.
    LengthsFromNames(CountedLengths),
    /// A layer is judged by a waiver.
    Waived { layer: String, metric: Metric, waiver: Waiver },
    /// Layers whose known errors were measured under other conditions only.
    UnmeasuredConditions { layers: usize, conditions: String },
    /// Layers whose known errors are larger than what the same conditions give, by more than is allowed the other way: the ratchet
    /// is open there.
    LooseKnownErrors { layers: usize },
    /// It is not recorded what a side was computed from.
    OriginUnknown { side: Side },
    /// A dump says that it was computed less exactly than it is judged.
    CoarserThanJudged { computed: String, judged: String },
    /// Tensors of the candidate's weights are the reference's rounded to a narrower type.
    RoundedWeights { dtype: Dtype, tensors: usize, of: usize },
    /// Layers that have no derived tolerance, and are judged by the mapping's limits.
    NotDerived { layers: usize },
    /// A set has the name of a kept one, and is another.
    AnotherSet { set: String },
    /// A file of figures that a set should have is not there.
    NoFigures { of: FigureKind, set: String, profile: String },
}

impl RemarkKind {
    /// Whether a pass of which this is said proves less than it seems to.
    pub fn weakens_a_pass(&self) -> bool {
        matches!(
            self,
            RemarkKind::NoMinimum
                | RemarkKind::FarOverFloor { .. }
                | RemarkKind::LooserLimits { .. }
                | RemarkKind::LeftOut { .. }
                | RemarkKind::LooseKnownErrors { .. }
                | RemarkKind::SameFiles { .. }
                | RemarkKind::SameBits { .. }
        )
    }
}

impl From<RemarkKind> for Remark {
    fn from(kind: RemarkKind) -> Remark {
        Remark { kind, advice: None }
    }
}

impl Remark {
    /// The remark with what to do about it.
    pub fn advised(kind: RemarkKind, advice: impl Into<String>) -> Remark {
        Remark { kind, advice: Some(advice.into()) }
    }
}
