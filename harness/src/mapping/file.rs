//! The mapping file as it is written, before anything in it is checked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::characters::first_that_steers;
use super::mistake::{MappingMistake, MappingMistakeKind};
use crate::limits::tolerance::{FloorFactors, Limits};
use crate::side::Side;

/// The version of the schema that this program reads.
pub const SCHEMA_VERSION: u32 = 1;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Mapping", description = "Which candidate tensor meets which reference tensor.")]
pub(super) struct File {
    /// The version of this schema: 1.
    #[schemars(with = "u32")]
    pub(super) schema_version: Spanned<u32>,
    /// What reports call the mapping.
    pub(super) name: String,
    /// How the candidate's dumps look.
    pub(super) candidate: FileSide,
    /// How the reference's dumps look.
    pub(super) reference: FileSide,
    /// `false` where the order of the rules is not that of execution; then no layer is called the first.
    pub(super) rules_in_order: Option<bool>,
    /// The model's input: layer 0.
    pub(super) input: Option<FileInput>,
    /// A comparison of less is a failure.
    #[serde(default)]
    pub(super) coverage: FileCoverage,
    /// Numbers that count over all values of two others, by name.
    #[schemars(with = "BTreeMap<String, FilePlaceholder>")]
    #[serde(default)]
    pub(super) placeholders: BTreeMap<Spanned<String>, FilePlaceholder>,
    /// Kinds of pairs, in the order of execution.
    #[serde(default, rename = "rule")]
    pub(super) rules: Vec<FileRule>,
    /// Tensors that are not compared, each with a reason.
    #[serde(default, rename = "ignore")]
    pub(super) ignores: Vec<FileIgnore>,
    /// Choices of limits, by name.
    #[schemars(with = "BTreeMap<String, FileProfile>")]
    #[serde(default, rename = "profile")]
    pub(super) profiles: BTreeMap<Spanned<String>, FileProfile>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileSide {
    /// The program that computed the tensors, as the manifest's `versions` calls it.
    pub(super) tool: Option<String>,
    /// The names of the files, with `{name}` in the place of the tensor's, and perhaps `{call}` in that of the run's number:
    /// `debug_{name}.npy`. Of several the first that fits holds.
    #[schemars(with = "OneOrMany")]
    pub(super) files: Names,
    /// What all names begin with, or several of which each name has one; it is taken off.
    #[schemars(with = "Option<OneOrMany>")]
    pub(super) prefix: Option<Names>,
    /// Characters that count as one in names, such as `_./`.
    #[schemars(with = "Option<String>")]
    pub(super) separators: Option<Spanned<String>>,
    /// The length in bytes at which the program cuts names off.
    pub(super) names_cut_at: Option<usize>,
    /// Which of several runs is compared.
    #[schemars(with = "Option<FileCall>")]
    pub(super) call: Option<Spanned<FileCall>>,
    /// Axes, slowest first, as einops writes them: `b c h w`, `b (h w) c`.
    #[schemars(with = "String")]
    pub(super) layout: Spanned<String>,
    /// In which order the elements lie in memory, where the files' headers do not say it.
    #[schemars(with = "Option<String>")]
    pub(super) memory: Option<Spanned<String>>,
    /// `reversed` where headers give the extents fastest first.
    pub(super) extents: Option<FileExtents>,
    /// What integers of two bytes hold; NumPy has no bf16.
    pub(super) two_byte_integers: Option<TwoByteIntegers>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileInput {
    /// What the candidate calls its input.
    #[schemars(with = "OneOrMany")]
    pub(super) candidate: Names,
    /// What a reference without a manifest calls it.
    #[schemars(with = "Option<OneOrMany>")]
    pub(super) reference: Option<Names>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected the number of a run, \"last\" or \"must_agree\"")]
pub(super) enum FileCall {
    Number(u64),
    Rule(FileCallRule),
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum FileCallRule {
    Last,
    MustAgree,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileCoverage {
    /// Layers compared, at the least.
    #[serde(default)]
    pub(super) min_layers: usize,
    /// Elements compared over all layers, at the least.
    #[serde(default)]
    pub(super) min_elements: usize,
}

/// The order of the extents in headers.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum FileExtents {
    Reversed,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum TwoByteIntegers {
    Bf16,
    F16,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FilePlaceholder {
    /// The outer and the inner number that it is made of.
    #[schemars(with = "[String; 2]")]
    pub(super) flatten: Spanned<Vec<Spanned<String>>>,
    /// How many values the inner number has, for each of the outer one.
    #[schemars(with = "Option<Vec<u64>>")]
    pub(super) lengths: Option<Spanned<Vec<u64>>>,
    /// A name of the reference with both numbers, by which the lengths are counted.
    #[schemars(with = "Option<String>")]
    pub(super) lengths_from: Option<Spanned<String>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRule {
    /// What reports call it.
    #[schemars(with = "String")]
    pub(super) name: Spanned<String>,
    /// The candidate's name, with placeholders such as `{i}` or `{i + 1}` for numbers; or several where a dump has exactly
    /// one of them.
    #[schemars(with = "OneOrMany")]
    pub(super) candidate: Names,
    /// The reference's name.
    #[schemars(with = "String")]
    pub(super) reference: Spanned<String>,
    /// Axes of these tensors on both sides, where they differ from the sides' own.
    #[schemars(with = "Option<String>")]
    pub(super) layout: Option<Spanned<String>>,
    /// Axes of the candidate's tensors, where they differ from the side's own.
    #[schemars(with = "Option<String>")]
    pub(super) candidate_layout: Option<Spanned<String>>,
    /// In which order the candidate's elements lie in memory, where the files' headers do not say it.
    #[schemars(with = "Option<String>")]
    pub(super) candidate_memory: Option<Spanned<String>>,
    /// Axes of the reference's tensors, where they differ from the side's own.
    #[schemars(with = "Option<String>")]
    pub(super) reference_layout: Option<Spanned<String>>,
    /// No warning when no tensor fits.
    #[serde(default)]
    pub(super) may_be_unused: bool,
    /// A candidate without its reference is absent, not missing.
    #[serde(default)]
    pub(super) reference_optional: bool,
    /// A candidate may be absent where one of these is there: another writer of the same tensors, who has no name for it.
    #[schemars(with = "Option<OneOrMany>")]
    pub(super) absent_with: Option<Names>,
    /// The tensor to use for a candidate that has none of its own.
    pub(super) alias: Option<FileAlias>,
    /// What its tensors are ordered by: placeholders of the reference's name and whole numbers.
    #[schemars(with = "Option<Vec<FileOrderPart>>")]
    pub(super) order: Option<Spanned<Vec<FileOrderPart>>>,
    /// Limits of this rule by profile, over those of the profile.
    #[schemars(with = "BTreeMap<String, FileLimits>")]
    #[serde(default)]
    pub(super) limits: BTreeMap<Spanned<String>, Spanned<FileLimits>>,
}

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected the name of a placeholder, or a whole number")]
pub(super) enum FileOrderPart {
    Number(u64),
    Placeholder(String),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileAlias {
    /// Names of tensors that can be used instead; exactly one of them is there.
    #[schemars(with = "OneOrMany")]
    pub(super) candidate: Names,
    /// The reference's tensor that must hold the same values as the rule's own.
    #[schemars(with = "String")]
    pub(super) when_identical_to: Spanned<String>,
    /// Why one can be used for the other, as the report should say it.
    pub(super) reason: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileIgnore {
    /// On which side.
    pub(super) side: Side,
    /// Names, with placeholders for numbers and `*` for any text.
    #[schemars(with = "OneOrMany")]
    pub(super) names: Names,
    /// Only tensors of the reference that have no partner and the same values as one of these.
    #[schemars(with = "Option<OneOrMany>")]
    pub(super) when_identical_to: Option<Names>,
    /// Why they are not compared, as the report should say it.
    #[schemars(with = "String")]
    pub(super) reason: Spanned<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileProfile {
    /// What it is for.
    pub(super) description: String,
    /// Multiples of the noise floor, where the reference's manifest records one.
    #[schemars(with = "Option<FileFloorFactors>")]
    pub(super) times_floor: Option<Spanned<FileFloorFactors>>,
    /// Limits where it does not.
    #[schemars(with = "Option<FileLimits>")]
    #[serde(default)]
    pub(super) limits: Option<Spanned<FileLimits>>,
}

/// One name, or several in a list.
pub(super) type Names = Spanned<OneOrMany>;

#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a name, or a list of names")]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    /// The names.
    fn names(&self) -> &[String] {
        match self {
            OneOrMany::One(name) => std::slice::from_ref(name),
            OneOrMany::Many(list) => list.as_slice(),
        }
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.names().len()
    }
}

/// Bytes behind a name in which the next one is looked for: comments and white space may stand between the two.
const BETWEEN: usize = 4096;

/// Each of the names with its place in the file; one that is written with escapes has the place of all of them.
pub(super) fn located(names: &Names, text: &str) -> Vec<Spanned<String>> {
    let span = names.span();
    let mut from = span.start;
    let mut locate = |name: &String| {
        let end = text.floor_char_boundary(span.end.min(from + BETWEEN + name.len()));
        let rest = text.get(from..end).unwrap_or_default();
        let found =
            ['"', '\''].into_iter().filter_map(|quote| rest.find(&format!("{quote}{name}{quote}"))).min();
        let place = match found {
            Some(at) => from + at..from + at + name.len() + 2,
            None => span.clone(),
        };
        from = if found.is_some() { place.end } else { from };
        Spanned::new(place, name.clone())
    };
    names.get_ref().names().iter().map(&mut locate).collect()
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileLimits {
    /// At most ‖candidate − reference‖ / ‖reference‖.
    rel_l2: Option<f64>,
    /// At most max |candidate − reference| / max |reference|.
    rel_linf: Option<f64>,
    /// At most max |candidate − reference|.
    max_abs: Option<f64>,
    /// At most mean |candidate − reference|.
    mean_abs: Option<f64>,
    /// At least the cosine of both.
    cosine: Option<f64>,
    /// For each element: |candidate − reference| is at most this plus `rtol` |reference|.
    atol: Option<f64>,
    /// See `atol`.
    rtol: Option<f64>,
    /// How many elements may miss `atol` and `rtol`.
    outliers: Option<u64>,
    /// NaN and Inf are allowed where the reference has the same.
    allow_non_finite: Option<bool>,
}

impl FileLimits {
    /// The limits; otherwise the name of one that is out of range.
    pub(super) fn check(&self) -> Result<Limits, &'static str> {
        let figures = [
            ("rel_l2", self.rel_l2),
            ("rel_linf", self.rel_linf),
            ("max_abs", self.max_abs),
            ("mean_abs", self.mean_abs),
            ("atol", self.atol),
            ("rtol", self.rtol),
        ];
        for (name, figure) in figures {
            if figure.is_some_and(|figure| !(figure.is_finite() && figure >= 0.0)) {
                return Err(name);
            }
        }
        if self.cosine.is_some_and(|cosine| !(-1.0..=1.0).contains(&cosine)) {
            return Err("cosine");
        }
        Ok(Limits {
            rel_l2: self.rel_l2,
            rel_linf: self.rel_linf,
            max_abs: self.max_abs,
            mean_abs: self.mean_abs,
            cosine: self.cosine,
            atol: self.atol,
            rtol: self.rtol,
            outliers: self.outliers,
            allow_non_finite: self.allow_non_finite,
        })
    }
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileFloorFactors {
    /// For ‖candidate − reference‖ / ‖reference‖.
    rel_l2: Option<f64>,
    /// For max |candidate − reference| / max |reference|.
    rel_linf: Option<f64>,
}

impl FileFloorFactors {
    /// The factors; otherwise the name of one that is out of range.
    pub(super) fn check(&self) -> Result<FloorFactors, &'static str> {
        for (name, factor) in [("rel_l2", self.rel_l2), ("rel_linf", self.rel_linf)] {
            if factor.is_some_and(|factor| !(1.0..=MAX_FACTOR).contains(&factor)) {
                return Err(name);
            }
        }
        match (self.rel_l2, self.rel_linf) {
            (None, None) => Err("times_floor"),
            (rel_l2, rel_linf) => Ok(FloorFactors { rel_l2, rel_linf }),
        }
    }
}

/// A limit of more than this many noise floors sees too little.
const MAX_FACTOR: f64 = 100.0;

/// Reads the TOML.
pub(super) fn parse(text: &str) -> Result<File, MappingMistake> {
    if let Some(place) = first_that_steers(text) {
        return Err(MappingMistake { place, kind: MappingMistakeKind::Steers });
    }
    toml::from_str(text).map_err(|error| {
        let message = error.message();
        // serde lists what is known after what was found, each between backticks.
        let mut quoted = message.split('`').skip(1).step_by(2).map(String::from);
        let first = quoted.next();
        let kind = match first {
            Some(found) if message.starts_with("unknown field") => {
                MappingMistakeKind::UnknownKey { found, known: quoted.collect() }
            }
            Some(found) if message.starts_with("unknown variant") => {
                MappingMistakeKind::UnknownValue { found, known: quoted.collect() }
            }
            Some(key) if message.starts_with("missing field") => MappingMistakeKind::MissingKey { key },
            _ => MappingMistakeKind::Toml { message: message.to_string() },
        };
        MappingMistake { place: error.span().unwrap_or(0..0), kind }
    })
}
