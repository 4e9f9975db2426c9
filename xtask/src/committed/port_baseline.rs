//! The errors that a user's own port is known to have, in a file that its repository keeps.

use std::path::{Path, PathBuf};

use harness::compare::comparison::{Comparison, Layer};
use harness::exit_code;
use harness::limits::known_errors::{KnownError, KnownErrors, LayerErrors, SCHEMA_VERSION};
use harness::limits::subject::Subject;

use super::figures;
use crate::shell::failure::Failure;
use crate::shell::{dates, paths};

/// What stands for the conditions of a run of which nothing was declared.
const UNDECLARED: &str = "undeclared";

/// A file of known errors of a port.
pub(crate) struct PortBaseline<'a> {
    pub(crate) file: &'a Path,
}

impl PortBaseline<'_> {
    /// Where measured errors wait for a review: beside the file.
    pub(crate) fn pending(&self) -> PathBuf {
        let mut name = self.file.as_os_str().to_os_string();
        name.push(".new");
        PathBuf::from(name)
    }

    /// The accepted errors, which must be of `subject`.
    ///
    /// # Errors
    /// No such file; one of another set or profile, or with impossible figures.
    pub(crate) fn read(&self, subject: &Subject) -> Result<KnownErrors, Failure> {
        if !figures::is_there(self.file)? {
            return Err(Failure::usage(
                format!("{}: no such file", paths::shown(self.file)),
                format!("{}, then {}", self.measure_again(), self.review_again()),
            ));
        }
        KnownErrors::read(self.file, subject, &dates::days_until).map_err(|error| {
            Failure::usage(
                error.to_string(),
                format!(
                    "restore the file; where the set or the profile was changed on purpose: {}",
                    self.measure_again()
                ),
            )
        })
    }

    /// The command that measures anew.
    pub(crate) fn measure_again(&self) -> String {
        format!(
            "cargo xtask baseline measure --file {} --candidate DIR --reference SET",
            paths::shown(self.file)
        )
    }

    /// The command that shows what waits.
    pub(crate) fn review_again(&self) -> String {
        format!("cargo xtask baseline review --file {}", paths::shown(self.file))
    }

    /// The errors of a comparison in which every layer passed.
    ///
    /// # Errors
    /// A comparison that did not pass: a ratchet on what is wrong holds it wrong.
    pub(crate) fn measured(
        &self,
        comparison: &Comparison,
        subject: Subject,
        conditions: Option<&str>,
    ) -> Result<KnownErrors, Failure> {
        if comparison.exit_code() != exit_code::PASSED {
            let failed = comparison.failures().next().map(|layer| layer.name.clone());
            let first = failed.map_or(String::new(), |layer| format!(", {layer} first"));
            return Err(Failure::usage(
                format!("the port does not pass{first}: nothing was measured"),
                "cargo xtask parity with the same --candidate and --reference tells what is wrong",
            ));
        }
        let conditions = conditions.unwrap_or(UNDECLARED);
        let layer = |layer: &Layer| {
            let metrics = &layer.compared()?.metrics;
            // Of an all-zero reference no relative figure exists.
            let zero = metrics.zero_reference.then_some(0.0);
            let error = KnownError {
                rel_l2: metrics.rel_l2.or(zero)?,
                rel_linf: metrics.rel_linf.or(zero)?,
                date: dates::today_as_text(),
                program: format!("port, compared by {}", env!("CARGO_PKG_VERSION")),
            };
            Some(LayerErrors {
                name: layer.pair_name().to_string(),
                reference: layer.reference.clone(),
                errors: [(conditions.to_string(), error)].into(),
            })
        };
        let layers = comparison.computed().filter_map(layer).collect();
        Ok(KnownErrors { schema_version: SCHEMA_VERSION, subject, beside: figures::hash(self.file)?, layers })
    }

    /// Puts measured errors beside the accepted ones, for a review; how many layers wait, and of how many.
    pub(crate) fn propose(&self, measured: KnownErrors) -> Result<[usize; 2], Failure> {
        let old = match figures::is_there(self.file)? {
            true => Some(KnownErrors::parse(self.file).map_err(|error| {
                Failure::usage(error.to_string(), "restore the file, or remove it and measure anew")
            })?)
            .filter(|old| old.subject == measured.subject),
            false => None,
        };
        let (errors, waiting) = match &old {
            Some(old) => {
                let errors = measured.with_conditions_of(old);
                let waiting = old.differences(&errors).len();
                (errors, waiting)
            }
            None => {
                let waiting = measured.layers.len();
                (measured, waiting)
            }
        };
        let pending = self.pending();
        if waiting > 0 {
            errors.write(&pending).map_err(Failure::unwritable)?;
        } else if figures::is_there(&pending)? {
            // What an earlier measurement found is no more so.
            std::fs::remove_file(&pending).map_err(|error| Failure::write(&pending, &error))?;
        }
        Ok([waiting, errors.layers.len()])
    }
}
