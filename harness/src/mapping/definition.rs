//! A mapping that is sound.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::mistake::MappingError;
use super::placeholder::Placeholders;
use super::rule::{Ignore, Rule};
use crate::limits::tolerance::{FloorFactors, Limits, Tolerance};
use crate::side::Side;
use crate::store::{Naming, ReadAs};
use crate::tensor::layout::Layout;

/// How one side's dumps look.
#[derive(Clone, Debug)]
pub struct SideFormat {
    /// The program that writes them, where the mapping says.
    pub tool: Option<String>,
    /// How its tensors are named.
    pub naming: Naming,
    /// The length in bytes at which its program cuts names off.
    pub names_cut_at: Option<usize>,
    /// What its files do not say of themselves.
    pub read_as: ReadAs,
}

/// What the tensors are called that hold the model's input; empty where they have no names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputNames {
    /// In the candidate.
    pub candidate: Vec<String>,
    /// In a reference without a manifest.
    pub reference: Vec<String>,
    /// How both are laid out.
    pub layouts: Option<(Layout, Layout)>,
}

impl InputNames {
    /// Those of a side.
    pub fn of(&self, side: Side) -> &[String] {
        match side {
            Side::Candidate => &self.candidate,
            Side::Reference => &self.reference,
        }
    }
}

/// What a comparison must cover at the least, for one that finds little to pass for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MinimumCoverage {
    /// Layers compared.
    pub layers: usize,
    /// Elements compared, over all layers.
    pub elements: usize,
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
    /// How the candidate's dumps look.
    pub candidate: SideFormat,
    /// How the reference's dumps look.
    pub reference: SideFormat,
    /// Whether rules are in the order of execution, as far as they say it.
    pub rules_in_order: bool,
    /// The names of the model's input.
    pub input: InputNames,
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

    /// How the side's dumps look.
    pub fn format(&self, side: Side) -> &SideFormat {
        match side {
            Side::Candidate => &self.candidate,
            Side::Reference => &self.reference,
        }
    }
}
