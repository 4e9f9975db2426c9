//! The mapping file as it is written, before anything in it is checked.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::mistake::{MappingMistake, MappingMistakeKind};
use crate::limits::tolerance::{FloorFactors, Limits};
use crate::side::Side;

/// The version of the schema that this program reads.
pub const SCHEMA_VERSION: u32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) schema_version: Spanned<u32>,
    pub(super) name: String,
    pub(super) candidate: FileSide,
    pub(super) reference: FileSide,
    pub(super) input: Option<FileInput>,
    #[serde(default)]
    pub(super) coverage: FileCoverage,
    #[serde(default)]
    pub(super) placeholders: BTreeMap<Spanned<String>, FilePlaceholder>,
    #[serde(default, rename = "rule")]
    pub(super) rules: Vec<FileRule>,
    #[serde(default, rename = "ignore")]
    pub(super) ignores: Vec<FileIgnore>,
    #[serde(default, rename = "profile")]
    pub(super) profiles: BTreeMap<Spanned<String>, FileProfile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileSide {
    pub(super) tool: Option<String>,
    pub(super) files: Names,
    pub(super) prefix: Option<Names>,
    pub(super) separators: Option<Spanned<String>>,
    pub(super) names_cut_at: Option<usize>,
    pub(super) call: Option<Spanned<FileCall>>,
    pub(super) layout: Spanned<String>,
    pub(super) memory: Option<Spanned<String>>,
    pub(super) extents: Option<FileExtents>,
    pub(super) two_byte_integers: Option<TwoByteIntegers>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileInput {
    pub(super) candidate: Names,
    pub(super) reference: Option<Names>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected the number of a run, \"last\" or \"must_agree\"")]
pub(super) enum FileCall {
    Number(u64),
    Rule(FileCallRule),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FileCallRule {
    Last,
    MustAgree,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileCoverage {
    #[serde(default)]
    pub(super) min_layers: usize,
    #[serde(default)]
    pub(super) min_elements: usize,
}

/// The order of the extents in headers.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FileExtents {
    Reversed,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TwoByteIntegers {
    Bf16,
    F16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilePlaceholder {
    pub(super) flatten: Spanned<[Spanned<String>; 2]>,
    pub(super) lengths: Option<Spanned<Vec<u64>>>,
    pub(super) lengths_from: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRule {
    pub(super) name: Spanned<String>,
    pub(super) candidate: Names,
    pub(super) reference: Spanned<String>,
    pub(super) layout: Option<Spanned<String>>,
    pub(super) candidate_layout: Option<Spanned<String>>,
    pub(super) candidate_memory: Option<Spanned<String>>,
    pub(super) reference_layout: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) may_be_unused: bool,
    #[serde(default)]
    pub(super) reference_optional: bool,
    pub(super) absent_with: Option<Names>,
    pub(super) alias: Option<FileAlias>,
    pub(super) order: Option<Spanned<Vec<FileOrderPart>>>,
    #[serde(default)]
    pub(super) limits: BTreeMap<Spanned<String>, Spanned<FileLimits>>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged, expecting = "expected the name of a placeholder, or a whole number")]
pub(super) enum FileOrderPart {
    Number(u64),
    Placeholder(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileAlias {
    pub(super) candidate: Names,
    pub(super) when_identical_to: Spanned<String>,
    pub(super) reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileIgnore {
    pub(super) side: Side,
    pub(super) names: Names,
    pub(super) when_identical_to: Option<Names>,
    pub(super) reason: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileProfile {
    pub(super) description: String,
    pub(super) times_floor: Option<Spanned<FileFloorFactors>>,
    #[serde(default)]
    pub(super) limits: Option<Spanned<FileLimits>>,
}

/// One name, or several in a list.
pub(super) type Names = Spanned<OneOrMany>;

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a name, or a list of names")]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Each of the names with its place in the file; one that is written with escapes has the place of all of them.
pub(super) fn located(names: &Names, text: &str) -> Vec<Spanned<String>> {
    let span = names.span();
    let list = match names.get_ref() {
        OneOrMany::One(name) => std::slice::from_ref(name),
        OneOrMany::Many(list) => list.as_slice(),
    };
    let mut from = span.start;
    let mut locate = |name: &String| {
        let rest = text.get(from..span.end).unwrap_or_default();
        let found =
            ['"', '\''].into_iter().filter_map(|quote| rest.find(&format!("{quote}{name}{quote}"))).min();
        let place = match found {
            Some(at) => from + at..from + at + name.len() + 2,
            None => span.clone(),
        };
        from = if found.is_some() { place.end } else { from };
        Spanned::new(place, name.clone())
    };
    list.iter().map(&mut locate).collect()
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileLimits {
    rel_l2: Option<f64>,
    rel_linf: Option<f64>,
    max_abs: Option<f64>,
    mean_abs: Option<f64>,
    cosine: Option<f64>,
    atol: Option<f64>,
    rtol: Option<f64>,
    outliers: Option<u64>,
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

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileFloorFactors {
    rel_l2: Option<f64>,
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
