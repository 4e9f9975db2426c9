//! Rules, which pair tensors, and ignores, which list those that are not compared.

use std::collections::BTreeMap;

use super::template::Template;
use crate::limits::tolerance::Limits;
use crate::side::Side;
use crate::tensor::fit::DeclaredLayouts;
use crate::tensor::layout::Layout;

/// One kind of pair.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What the report calls it.
    pub name: String,
    /// The candidate's names; exactly one of them is there for each pair.
    pub candidates: Vec<Template>,
    /// The reference's name.
    pub reference: Template,
    /// The candidate's layout.
    pub candidate_layout: Layout,
    /// In which order the candidate's elements lie in memory, where its files' headers do not say it.
    pub candidate_memory: Option<Layout>,
    /// Whether a layout of it is its own, not that of its side.
    pub own_layout: bool,
    /// The reference's layout.
    pub reference_layout: Layout,
    /// No warning when it takes nothing.
    pub may_be_unused: bool,
    /// A candidate without its reference is listed as absent, not as missing.
    pub reference_optional: bool,
    /// A candidate may be absent where one of these is there: another writer of the same tensors, who has no name for it.
    pub absent_with: Vec<Template>,
    /// What stands for a candidate that has no tensor of its own.
    pub alias: Option<Alias>,
    /// When its tensors are computed, beside those of the rules next to it; empty where the mapping does not say.
    pub order: Vec<OrderPart>,
    /// Limits by profile, over the profile's.
    pub limits: BTreeMap<String, Limits>,
    /// Byte range of the name in the file.
    pub span: std::ops::Range<usize>,
}

impl Rule {
    /// How the tensors of its pairs should be laid out.
    pub fn layouts(&self) -> DeclaredLayouts<'_> {
        DeclaredLayouts {
            candidate: &self.candidate_layout,
            memory: self.candidate_memory.as_ref(),
            reference: &self.reference_layout,
        }
    }

    /// The names that it takes of a side.
    pub fn names(&self, side: Side) -> &[Template] {
        match side {
            Side::Candidate => &self.candidates,
            Side::Reference => std::slice::from_ref(&self.reference),
        }
    }
}

/// A part of what a rule's tensors are ordered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderPart {
    /// The value of a placeholder.
    Placeholder(String),
    /// The same for all tensors of the rule.
    Number(u64),
}

/// Another candidate tensor stands for a missing one, where the reference shows that both are the same.
#[derive(Clone, Debug)]
pub struct Alias {
    /// The candidate's names; exactly one of them is there.
    pub candidates: Vec<Template>,
    /// The reference tensor that must have the same bits as the rule's own.
    pub when_identical_to: Template,
    /// Why one stands for the other.
    pub reason: Option<String>,
}

/// Tensors that are not compared.
#[derive(Clone, Debug)]
pub struct Ignore {
    /// On which side.
    pub side: Side,
    /// Their names.
    pub names: Vec<Template>,
    /// Only where the other side has no partner and one of these tensors of the reference has the same values.
    pub when_identical_to: Vec<Template>,
    /// Why.
    pub reason: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// Byte range of the names in the file.
    pub span: std::ops::Range<usize>,
}
