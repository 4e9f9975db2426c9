//! The lists of a pairing: every name of both sides ends in exactly one.

use super::mistake::MappingWarning;
use super::order::ExecutionOrder;
use crate::side::Side;

/// Two tensors to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Index of the rule in the mapping.
    pub rule: usize,
    /// The candidate's name.
    pub candidate: String,
    /// The reference's name.
    pub reference: String,
    /// The candidate stands for one that has no tensor of its own: its name would be this.
    pub stands_for: Option<String>,
}

impl Pair {
    /// What the pair is called: the candidate's name, or the one that it stands for.
    pub fn name(&self) -> &str {
        self.stands_for.as_deref().unwrap_or(&self.candidate)
    }
}

/// A tensor that is not compared, on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Its side.
    pub side: Side,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Line of the ignore in the mapping.
    pub line: usize,
}

/// A tensor whose partner is there, but not it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The side that lacks it.
    pub side: Side,
    /// The names that it could have.
    pub expected: Vec<String>,
    /// What asks for it: the partner on the other side, or the manifest.
    pub wanted_by: WantedBy,
}

/// What asks for a missing tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedBy {
    /// A tensor of the other side, by a rule of the mapping.
    Partner(String),
    /// The manifest of the reference set lists it.
    Manifest,
}

/// A tensor that no rule and no ignore takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmapped {
    /// Its side.
    pub side: Side,
    /// Its name.
    pub name: String,
    /// What is known about it.
    pub hint: Option<UnmappedHint>,
}

/// What is known about a tensor that nothing takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnmappedHint {
    /// A rule would take it if the reference had that many blocks.
    BeyondLengths(Vec<CountedLengths>),
    /// A missing tensor has nearly the same name.
    NearMissing(String),
    /// A file that does not fit the mapping's pattern.
    NotNamedLike(String),
}

/// How many values a placeholder has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedLengths {
    /// The placeholder.
    pub placeholder: String,
    /// How many values the inner number has, for each value of the outer one.
    pub lengths: Vec<u64>,
    /// Whether the mapping gives them; otherwise the reference's names show them.
    pub given: bool,
}

/// Tensors of which it cannot be said what they belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambiguous {
    /// Their side.
    pub side: Side,
    /// Their names.
    pub names: Vec<String>,
    /// What contradicts what.
    pub cause: AmbiguityCause,
}

/// Why it cannot be said what a tensor belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AmbiguityCause {
    /// Several rules, or a rule and an ignore, take one name.
    TakenTwice {
        /// The rules.
        rules: Vec<String>,
        /// The line of the ignore.
        ignore: Option<usize>,
    },
    /// Each is what one rule asks for.
    SeveralFit {
        /// The rule.
        rule: String,
    },
    /// The tensor on the other side is ambiguous.
    Partner,
    /// Several tensors have one name.
    OneName {
        /// The name.
        name: String,
        /// They are numbered runs, of which none was chosen.
        runs: bool,
    },
    /// Runs of one tensor, which must agree and do not.
    RunsDiffer {
        /// The name.
        name: String,
    },
}

/// A tensor whose partner may be absent, and is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// The side that lacks it.
    pub lacking: Side,
    /// The candidate's name.
    pub candidate: String,
    /// The name that the reference would have.
    pub reference: String,
}

/// Every tensor of both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairing {
    /// In the order of execution.
    pub pairs: Vec<Pair>,
    /// Not compared, with a reason.
    pub ignored: Vec<Ignored>,
    /// Not there.
    pub missing: Vec<Missing>,
    /// Unknown to the mapping.
    pub unmapped: Vec<Unmapped>,
    /// Taken twice.
    pub ambiguous: Vec<Ambiguous>,
    /// Optional, and not there.
    pub absent: Vec<Absent>,
    /// Tensors that hold the model's input.
    pub inputs: Vec<(Side, String)>,
    /// Rules that took nothing.
    pub warnings: Vec<MappingWarning>,
    /// How many values placeholders have.
    pub lengths: Vec<CountedLengths>,
    /// Where the order of the pairs comes from.
    pub order: ExecutionOrder,
}
