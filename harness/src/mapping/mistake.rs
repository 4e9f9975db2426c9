//! What is wrong with a mapping, or worth a look, as data: `report` says it in words.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::template::Template;
use crate::side::Side;
use crate::tensor::layout::Layout;
use crate::text::facts::{Facts, Factual};

/// One mistake in a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingMistake {
    /// Bytes of the file.
    pub place: Range<usize>,
    /// What is wrong there.
    pub kind: MappingMistakeKind,
}

/// A rule as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleAndPlace {
    /// Its name.
    pub name: String,
    /// The one of its names that is meant.
    pub template: Template,
    /// Bytes of the file.
    pub place: Range<usize>,
}

/// What can be wrong with a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are what the variant is about")]
pub enum MappingMistakeKind {
    /// The file is not TOML, or a value is of another type.
    Toml { message: String },
    /// A key that nothing reads.
    UnknownKey { found: String, known: Vec<String> },
    /// A value that is not one of a few.
    UnknownValue { found: String, known: Vec<String> },
    /// A key that must be there.
    MissingKey { key: String },
    /// Another version of the schema.
    Version { found: u32 },
    /// `files` is not a pattern of file names.
    FilePattern,
    /// `call` where no pattern of `files` has a `{call}`.
    CallWithoutPattern,
    /// `separators` that are not several characters that separate.
    Separators,
    /// A layout that cannot be read.
    Layout { message: String },
    /// A name that cannot be read.
    Name { message: String },
    /// An empty list of names.
    NoNames,
    /// `layout` beside a layout of one side.
    TwoLayouts { other: Range<usize> },
    /// `memory` on the reference's side.
    MemoryOfReference,
    /// Layouts of different axes.
    DifferentAxes { candidate: Layout, reference: Layout },
    /// A profile that is not in the file.
    UnknownProfile { found: String, known: Vec<String> },
    /// An ignore without a reason.
    EmptyReason,
    /// A placeholder that does not follow from `other`, or, where that is not given, from any rule.
    UnknownPlaceholder { found: String, known: Vec<String>, other: Option<Template> },
    /// A placeholder that is a word in one place and a number in another.
    WordAndNumber { found: String },
    /// `when_identical_to` on the candidate's side.
    IdentityOfCandidate,
    /// A mapping without rules.
    NoRules,
    /// A mapping without profiles.
    NoProfiles,
    /// A limit or factor out of range.
    Limit { name: &'static str },
    /// A limit that a tensor of zeros keeps, or one with its sign turned.
    PassesZeros { name: &'static str },
    /// A character that would steer a terminal.
    Steers,
    /// A profile without a limit that each element counts in.
    SeesTooLittle { profile: String },
    /// `outliers` without an element rule.
    OutliersWithoutElementRule,
    /// A placeholder made of more or fewer than two.
    NotTwo { found: usize },
    /// A placeholder made of itself.
    PlaceholderOfItself,
    /// Neither `lengths` nor `lengths_from`, or both.
    LengthsNotTold,
    /// Lengths that no model has.
    AbsurdLengths,
    /// `lengths_from` with other placeholders than those of `flatten`.
    OtherPlaceholders { outer: String, inner: String },
    /// Two rules of one name.
    TwoRulesNamed { name: String, first: Range<usize> },
    /// Two rules that can take one tensor.
    TwoRulesTake { side: Side, template: Template, other: RuleAndPlace },
    /// Names that an ignore lists and rules compare.
    ComparedAndIgnored { side: Side, rules: Vec<RuleAndPlace> },
    /// `order` that names no number of the rule.
    Order { found: String, known: Vec<String> },
    /// More of something than any model needs.
    TooMany { of: &'static str, found: usize, most: usize },
    /// So many mistakes follow that are not told.
    More { more: usize },
}

/// What is worth a look in a mapping that can be used all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are what the variant is about")]
pub enum MappingWarning {
    /// `lengths_from` fits no name of the reference.
    CountsOverNothing { placeholder: String, place: Range<usize> },
    /// A rule that takes no tensor of either side; the unmapped name that is nearest to its own.
    RuleTakesNothing { rule: String, place: Range<usize>, near: Option<String> },
}

/// A mapping that cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum MappingError {
    #[error("{}: cannot be read: {source}", crate::text::shown::path(path))]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: {} mistakes", crate::text::shown::path(path), mistakes.len())]
    Invalid { path: PathBuf, text: String, mistakes: Vec<MappingMistake> },
    #[error("{}: no profile `{found}`", crate::text::shown::path(path))]
    Profile { path: PathBuf, found: String, known: Vec<String> },
}

impl Factual for MappingError {
    fn facts(&self) -> Facts {
        let at = |what, path: &Path| Facts::of(what, [("file", path.display().to_string())]);
        match self {
            MappingError::Io { path, source } => at("unreadable", path).with("reason", source.to_string()),
            MappingError::Invalid { path, mistakes, .. } => {
                at("mistakes", path).with("count", mistakes.len().to_string())
            }
            MappingError::Profile { path, found, known } => {
                at("unknown_profile", path).with("found", found).with("known", known.join(", "))
            }
        }
    }
}

/// Line and column of a byte of `text`, from 1.
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
