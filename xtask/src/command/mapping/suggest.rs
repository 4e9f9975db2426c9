use std::path::{Path, PathBuf};
use std::process::ExitCode;

use harness::files::atomic;
use harness::mapping::Mapping;
use harness::provenance::Dump;
use harness::reference::Reference;
use harness::side::Side;
use harness::store::{Naming, TensorStore};
use harness::suggest::{Base, Confidence, LeftoverReason, SuggestError, Suggestion, suggest};

use crate::gate::files_read::{FilesNamed, files_read};
use crate::shell::console::{say, tell};
use crate::shell::failure::{CommandResult, Failure};
use crate::shell::paths;

/// File names of dumps whose naming nobody has told.
const PLAIN: &str = "{name}.npy";

/// Suggest a mapping for dumps with unknown names, by the values of their tensors.
///
/// Tensors are paired by values in every order of the axes that fits. Each rule says in a comment how sure it is. Both
/// dumps must be of the same weights and the same input.
///
/// Examples:
///   cargo xtask mapping suggest --candidate my_dumps --reference debug_output --out my-port.toml
///   cargo xtask mapping suggest --candidate my_dumps --reference debug_output --mapping my-port.toml
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Suggest {
    /// Dump of the port.
    #[arg(long, value_name = "DIR")]
    candidate: PathBuf,
    /// Reference: a set with a manifest.json, or a dump.
    #[arg(long, value_name = "DIR")]
    reference: PathBuf,
    /// Where to write the mapping (default: the standard output).
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A mapping to keep, with its comments: rules are added for what it does not know.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
}

impl Suggest {
    pub(crate) fn run(self) -> CommandResult {
        self.check_out()?;
        let mapping = paths::mapping(self.mapping.as_deref())?;
        let extend = self.mapping.is_some();
        let (candidate, candidate_files) = self.candidate(&mapping, extend)?;
        let (reference, reference_files) = self.reference(&mapping, extend)?;
        let base = Base { mapping: &mapping, files: [candidate_files, reference_files], extend };
        let found = suggest(&candidate, &reference, base).map_err(|error| self.failure(error))?;
        let summary = self.summary(&found);
        match &self.out {
            None => {
                say(&found.text);
                tell(&summary);
            }
            Some(path) => {
                atomic::write(path, |out| out.write_all(found.text.as_bytes()))
                    .map_err(|error| Failure::write(path, &error))?;
                say(&summary);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Refuses to write over a file that this run reads.
    fn check_out(&self) -> Result<(), Failure> {
        let Some(out) = &self.out else { return Ok(()) };
        let mapping = paths::mapping_file(self.mapping.as_deref());
        let named = FilesNamed {
            mapping: mapping.as_deref(),
            candidate: Some(&self.candidate),
            earlier: None,
            weights: None,
            input: None,
            baseline: None,
        };
        files_read(named, Some(&self.reference)).check(out).map_err(Failure::overwrites)
    }

    /// The candidate, and how its files are named where they are not as the mapping says.
    fn candidate(&self, mapping: &Mapping, extend: bool) -> Result<(Dump, Option<&'static str>), Failure> {
        let format = &mapping.candidate;
        let open = |naming: &Naming| {
            Dump::open(&self.candidate, naming, format.read_as)
                .map(|(dump, _)| dump)
                .map_err(|error| Failure::found(error).or_help(|| paths::unreadable_help(&self.candidate)))
        };
        let dump = open(&format.naming)?;
        match extend || is_named_by(dump.store(), &format.naming) {
            true => Ok((dump, None)),
            false => Ok((open(&Naming::by_pattern(PLAIN))?, Some(PLAIN))),
        }
    }

    /// The reference, and how its files are named where they are not as the mapping says.
    fn reference(
        &self,
        mapping: &Mapping,
        extend: bool,
    ) -> Result<(Reference, Option<&'static str>), Failure> {
        let format = &mapping.reference;
        let open = |naming: &Naming| {
            Reference::open(&self.reference, naming, format.read_as)
                .map_err(|error| Failure::from(error).or_help(|| paths::unreadable_help(&self.reference)))
        };
        let reference = open(&format.naming)?;
        match extend || is_named_by(reference.dump().store(), &format.naming) {
            true => Ok((reference, None)),
            false => Ok((open(&Naming::by_pattern(PLAIN))?, Some(PLAIN))),
        }
    }

    fn failure(&self, error: SuggestError) -> Failure {
        match error {
            SuggestError::NoPairs { .. } => Failure::uncovered(
                format!("{} and {}: {error}", self.candidate.display(), self.reference.display()),
                "were both computed from the same weights and the same input?",
            ),
            SuggestError::Base { .. } => Failure::usage(
                error.to_string(),
                "write each rule as a [[rule]] table, or leave --mapping out for a new mapping",
            ),
            error @ SuggestError::Store(_) => {
                Failure::unreadable(error).help("dump that tensor again, or take its file away")
            }
        }
    }

    /// What was found, and what to do next.
    fn summary(&self, found: &Suggestion) -> String {
        let sure = |confidence| found.pairs.iter().filter(|pair| pair.confidence == confidence).count();
        let mut lines = vec![format!(
            "{} in {}: {} high, {} medium, {} low",
            counted(found.pairs.len(), "pair"),
            counted(found.rules, "rule"),
            sure(Confidence::High),
            sure(Confidence::Medium),
            sure(Confidence::Low)
        )];
        if !found.aliased.is_empty() {
            let count = found.aliased.len();
            lines.push(format!("{count} more of the reference have the values of one that is compared"));
        }
        for side in [Side::Candidate, Side::Reference] {
            lines.extend(left_over(found, side));
        }
        let mapping = match (&self.out, &self.mapping) {
            (Some(out), _) => paths::shown(out),
            _ => "FILE".to_string(),
        };
        lines.push(format!(
            "next: cargo xtask parity --mapping {mapping} --candidate {} --reference {}",
            paths::shown(&self.candidate),
            paths::shown(&self.reference)
        ));
        lines.join("\n")
    }
}

/// What a side has that the other one has not, in a line for each kind.
fn left_over(found: &Suggestion, side: Side) -> Vec<String> {
    let of_side = || found.leftovers.iter().filter(move |leftover| leftover.side == side);
    let without: Vec<&str> = of_side()
        .filter(|leftover| !leftover.missing && matches!(leftover.reason, LeftoverReason::NoPartner { .. }))
        .map(|leftover| leftover.name.as_str())
        .collect();
    let missing: Vec<&str> =
        of_side().filter(|leftover| leftover.missing).map(|leftover| leftover.name.as_str()).collect();
    let ignored = of_side().filter(|leftover| !leftover.missing).count() - without.len();
    let mut lines = Vec::new();
    if !without.is_empty() {
        let then = match side {
            Side::Candidate => "left unmapped: wrong values, or what the reference lacks",
            Side::Reference => "ignored",
        };
        lines.push(format!("{} of the {side} without a partner, {then}: {}", without.len(), few(&without)));
    }
    if !missing.is_empty() {
        let other = side.other();
        lines.push(format!(
            "{} of the {side} whose partner is missing in the {other}: {}",
            missing.len(),
            few(&missing)
        ));
    }
    if ignored > 0 {
        lines.push(format!(
            "{ignored} of the {side} ignored for holding the values of another, or no numbers"
        ));
    }
    lines
}

/// `1 rule`, `2 rules`.
fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// The first names, and how many more there are.
fn few(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}

/// Whether all tensors of a store are named as the mapping says, and not only by what their files are called.
fn is_named_by(store: &dyn TensorStore, naming: &Naming) -> bool {
    let entries = store.entries();
    let stem = |key: &str| Path::new(key).with_extension("").to_string_lossy().into_owned();
    let plain = |key: &str| [naming.canonical(key), naming.canonical(&stem(key))];
    let taken_apart =
        entries.iter().any(|entry| entry.name.as_ref().is_some_and(|name| !plain(&entry.key).contains(name)));
    taken_apart && entries.iter().all(|entry| entry.name.is_some())
}
