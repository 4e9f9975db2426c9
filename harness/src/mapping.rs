//! Mappings: which candidate tensor meets which reference tensor, in which layouts, within which limits.
//!
//! A mapping is a TOML file; `mappings/README.md` describes it. [`Mapping::read`] gives either a mapping in which every
//! template, layout and limit is sound, or every mistake in it with the text underlined.

mod check;
mod conflict;
mod file;
mod finding;
mod placeholder;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::layout::Layout;
use crate::template::Template;
use crate::tensor::Dtype;
use crate::tolerance::{FloorFactors, Limits, Tolerance};

pub use finding::{Finding, MappingError};
pub(crate) use placeholder::expand;
pub use placeholder::{Flattened, Lengths, LengthsSource, Placeholders};

/// The version of the schema that this program reads.
pub const SCHEMA_VERSION: u32 = 1;

/// One of the two sides of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The port.
    Candidate,
    /// What it is a port of.
    Reference,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Side::Candidate => "candidate",
            Side::Reference => "reference",
        })
    }
}

/// How one side's dump folders look.
#[derive(Clone, Debug)]
pub struct SideFormat {
    /// File names, with `{name}` for the tensor's.
    pub files: String,
    /// What `<u2` stands for, if these dumps use it.
    pub two_byte_integers: Option<Dtype>,
}

/// What a comparison must cover at the least, for one that finds little to pass for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MinimumCoverage {
    /// Layers compared.
    pub layers: usize,
    /// Elements compared, over all layers.
    pub elements: usize,
}

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
    /// The reference's layout.
    pub reference_layout: Layout,
    /// No warning when it takes nothing.
    pub may_be_unused: bool,
    /// A candidate without its reference is listed as absent, not as missing.
    pub reference_optional: bool,
    /// What stands for a candidate that has no file of its own.
    pub alias: Option<Alias>,
    /// Limits by profile, over the profile's.
    pub limits: BTreeMap<String, Limits>,
    /// Byte range of the name in the file.
    pub span: std::ops::Range<usize>,
}

impl Rule {
    /// The names that it takes of a side.
    pub fn names(&self, side: Side) -> &[Template] {
        match side {
            Side::Candidate => &self.candidates,
            Side::Reference => std::slice::from_ref(&self.reference),
        }
    }
}

/// Another candidate tensor stands for a missing one, where the reference shows that both are the same.
#[derive(Clone, Debug)]
pub struct Alias {
    /// The candidate's names; exactly one of them is there.
    pub candidates: Vec<Template>,
    /// The reference tensor that must have the same bits as the rule's own.
    pub when_identical_to: Template,
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

/// A set of tolerances.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Multiples of the noise floor, where the reference records one.
    pub times_floor: Option<FloorFactors>,
    /// Limits where it does not.
    pub limits: Limits,
}

/// A mapping that is sound.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The file.
    pub path: PathBuf,
    /// Its text, for findings that show it.
    pub text: String,
    /// Its name.
    pub name: String,
    /// How the candidate's folders look.
    pub candidate: SideFormat,
    /// How the reference's folders look.
    pub reference: SideFormat,
    /// What must be compared at the least.
    pub coverage: MinimumCoverage,
    /// Numbers that are made of others.
    pub placeholders: Placeholders,
    /// In the order of the file.
    pub rules: Vec<Rule>,
    /// In the order of the file.
    pub ignores: Vec<Ignore>,
    /// By name.
    pub profiles: BTreeMap<String, Profile>,
}

impl Mapping {
    /// Reads a mapping.
    ///
    /// # Errors
    /// A file that cannot be read, or every mistake in it.
    pub fn read(path: &Path) -> Result<Mapping, MappingError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| MappingError::Io { path: path.to_path_buf(), source })?;
        Mapping::parse(path, text)
    }

    /// Reads a mapping from its text; `path` is only shown.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn parse(path: &Path, text: String) -> Result<Mapping, MappingError> {
        let invalid =
            |text: String, findings| MappingError::Invalid { path: path.to_path_buf(), text, findings };
        let file = match file::parse(&text) {
            Ok(file) => file,
            Err(finding) => return Err(invalid(text, vec![finding])),
        };
        check::check(path, &text, file).map_err(|findings| invalid(text, findings))
    }

    /// The profile of that name.
    ///
    /// # Errors
    /// The known names, when there is none.
    pub fn profile(&self, name: &str) -> Result<&Profile, MappingError> {
        self.profiles.get(name).ok_or_else(|| MappingError::Profile {
            path: self.path.clone(),
            found: name.to_string(),
            known: self.profiles.keys().cloned().collect(),
        })
    }

    /// What holds for a rule under one of the mapping's profiles.
    pub fn tolerance(&self, rule: &Rule, profile: &Profile) -> Tolerance {
        Tolerance {
            rule: rule.limits.get(&profile.name).copied().unwrap_or_default(),
            derived: None,
            times_floor: profile.times_floor,
            profile: profile.limits,
        }
    }

    /// The side's folders.
    pub fn format(&self, side: Side) -> &SideFormat {
        match side {
            Side::Candidate => &self.candidate,
            Side::Reference => &self.reference,
        }
    }
}
