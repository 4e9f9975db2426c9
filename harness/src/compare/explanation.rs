//! What explains findings: each was tried on the values or the names, and holds.

use super::value_change::ValueChange;
use crate::side::Side;
use crate::tensor::Dtype;
use crate::tensor::layout::Layout;

/// What explains findings.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// What it is.
    pub kind: ExplanationKind,
    /// The layers, or names, that it explains; never empty.
    pub explains: Vec<String>,
    /// How many it was tried on.
    pub tried: usize,
    /// What explains them as well.
    pub ties: Vec<String>,
}

/// Where a line of a mapping belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MappingPlace {
    /// Under the candidate's side.
    Side,
    /// Under these rules.
    Rules(Vec<String>),
    /// Nowhere: by the same line other tensors are right.
    Nowhere,
}

/// What explains findings.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are what the variant is about")]
pub enum ExplanationKind {
    /// The candidate's axes are in this order, as its headers say; two of them `exchanged` where the declared order fits the
    /// headers as well.
    Layout { layout: Layout, place: MappingPlace, exchanged: Option<(String, String)> },
    /// The reference's axes are in this order: its channels come last, and the candidate's are as declared.
    ReferenceLayout { layout: Layout },
    /// The candidate's headers give the extents in reverse order.
    ReversedExtents,
    /// The candidate's elements lie in this order, whatever its headers say.
    Memory { layout: Layout, place: MappingPlace },
    /// An axis runs the other way.
    Flipped { axis: String },
    /// Tokens of a square map, column by column and not row by row.
    TransposedTokens { axis: String },
    /// No order of axes and no direction makes the values agree.
    NoReading { orders: usize },
    /// The values are the reference's after this change: off by `before` without it, by `after` with it. Whether all layers
    /// after it are within their limits.
    Values { change: ValueChange, before: f64, after: f64, isolated: bool },
    /// Nothing of the candidate is finite.
    NothingFinite,
    /// The values are those that another tensor of the reference has.
    ValuesOf { reference: String },
    /// The bytes are those of numbers of another type: `dtype` in the first part of a buffer of `stored`.
    BytesOf { dtype: Dtype, stored: Dtype },
    /// Integers of two bytes are the bits of numbers of a type.
    IntegersOf { dtype: Dtype },
    /// Another tensor of the candidate holds the same values, and the reference's two differ.
    SameAs { other: String },
    /// All layers after it are within their limits.
    Isolated,
    /// Names begin with something that the mapping's do not.
    Prefix { side: Side, prefixes: Vec<String> },
    /// Names end, or begin, in the number of a run.
    Runs { side: Side, pattern: String, numbers: Vec<u64> },
    /// Separators of names are others than the mapping's.
    Separators { side: Side, separators: String },
    /// The input is the reference's, changed like this; whether layers after it fail too.
    Input { changes: Vec<InputChange>, inherited: bool },
    /// The model or its input was changed like this.
    Change { change: String },
    /// A part does this otherwise: computed so, what was off by `before` is off by `after`, `margin` times less than with
    /// any other change that was tried.
    PartChange {
        part: String,
        change: String,
        /// The change without its places, its numbers to one digit: equal where parts do the same.
        kind: String,
        before: f64,
        after: f64,
        margin: f64,
    },
    /// A part is off by `before`, and none of the `changes` that were tried explains it; what comes nearest leaves so much.
    PartUnexplained {
        part: String,
        changes: usize,
        before: f64,
        nearest: Option<(String, f64)>,
        /// The last tensor within the part that is right, and the first that is not.
        between: Option<(String, String)>,
    },
    /// What a part gives later, these tensors, is right without what was dumped here: the candidate did not go on with it.
    NotGoneOnWith { part: String, later: Vec<String> },
}

/// How an input differs from another.
#[derive(Clone, Debug, PartialEq)]
pub enum InputChange {
    /// Blue comes first.
    ChannelsReversed,
    /// Channels are the fastest axis.
    ChannelsLast,
    /// Height and width are exchanged.
    Exchanged,
    /// An axis runs the other way.
    Flipped {
        /// `h` or `w`.
        axis: char,
    },
    /// Values are scaled otherwise.
    Scaled(Scaling),
    /// The same picture by and large, such as one that was decoded or resized otherwise.
    Alike {
        /// The correlation of both.
        correlation: f64,
    },
}

/// How values between 0 and 1 were scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scaling {
    /// 0 to 255.
    To255,
    /// -1 to 1.
    MinusOneToOne,
    /// By ImageNet's mean and standard deviation.
    ImageNet,
    /// By CLIP's mean and standard deviation.
    Clip,
    /// By one factor and one shift.
    Other {
        /// The factor.
        factor: f64,
        /// What is added after it.
        shift: f64,
    },
    /// By a factor and a shift for each channel.
    ByChannel,
}

impl ExplanationKind {
    /// Whether it is about names: tensors that were not paired.
    pub fn is_of_names(&self) -> bool {
        matches!(
            self,
            ExplanationKind::Prefix { .. }
                | ExplanationKind::Runs { .. }
                | ExplanationKind::Separators { .. }
        )
    }

    /// Whether it is about extents that do not fit.
    pub fn is_of_extents(&self) -> bool {
        matches!(
            self,
            ExplanationKind::Layout { .. }
                | ExplanationKind::ReferenceLayout { .. }
                | ExplanationKind::ReversedExtents
                | ExplanationKind::Memory { .. }
                | ExplanationKind::NoReading { .. }
        )
    }

    /// Whether a line of the mapping reads the candidate as it is.
    pub fn is_line_of_mapping(&self) -> bool {
        let nowhere = |place: &MappingPlace| *place == MappingPlace::Nowhere;
        let of_layout = match self {
            ExplanationKind::Layout { place, .. } | ExplanationKind::Memory { place, .. } => !nowhere(place),
            ExplanationKind::NoReading { .. } => false,
            _ => self.is_of_extents(),
        };
        self.is_of_names() || of_layout || matches!(self, ExplanationKind::IntegersOf { .. })
    }

    /// Whether it is about a run as a whole: what it explains is found on most layers, and holds for the others too.
    pub fn is_of_the_whole(&self) -> bool {
        matches!(
            self,
            ExplanationKind::Change { .. }
                | ExplanationKind::NothingFinite
                | ExplanationKind::IntegersOf { .. }
                | ExplanationKind::Input { inherited: true, .. }
        )
    }

    /// Whether it leaves nothing to look for in the numbers.
    pub fn is_final(&self) -> bool {
        let more_to_find = matches!(
            self,
            ExplanationKind::NoReading { .. }
                | ExplanationKind::Values { isolated: false, .. }
                | ExplanationKind::PartUnexplained { .. }
        );
        !self.is_of_names() && !more_to_find
    }

    /// Whether it is found in the values alone: what the model does otherwise may be known besides.
    pub fn is_of_values(&self) -> bool {
        matches!(self, ExplanationKind::Values { .. })
    }

    /// Whether it says what the model or its input does otherwise.
    pub fn is_of_the_model(&self) -> bool {
        matches!(
            self,
            ExplanationKind::Change { .. }
                | ExplanationKind::PartChange { .. }
                | ExplanationKind::Input { inherited: true, .. }
        )
    }
}
