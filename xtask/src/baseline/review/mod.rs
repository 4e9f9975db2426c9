//! Measured errors beside the accepted ones: what is accepted, what is rejected, and what waits on.

mod error_rows;
mod keys;
mod page;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use console::Term;
use harness::files::atomic;
use harness::files::overwrite::FilesRead;
use harness::limits::derived::DerivedTolerances;
use harness::limits::known_errors::{Difference, KnownErrors, KnownErrorsError};
use harness::reference::Reference;

use self::error_rows::{heading, lines};
use self::keys::{KEYS, ask, decide};
use crate::committed::figures::{self, FigureFile};
use crate::committed::port_baseline::PortBaseline;
use crate::gate::limits;
use crate::shell::console::say;
use crate::shell::failure::Failure;
use crate::shell::{ci, dates, paths};

/// Whose errors they are.
enum Reviewed {
    /// The encoder's on a committed set, under these tolerances.
    Encoder(Option<Box<DerivedTolerances>>),
    /// A port's, which passed when they were measured.
    Port,
}

/// A set whose measured errors wait.
pub(crate) struct Review {
    pending_path: PathBuf,
    accepted_path: PathBuf,
    old: KnownErrors,
    pending: KnownErrors,
    of: Reviewed,
    pub(crate) differences: Vec<Difference>,
    /// The accepted errors are of another reference of that name.
    made_anew: bool,
}

impl Review {
    /// What waits of a set under a profile.
    pub(crate) fn open(reference: &Reference, profile: &str) -> Result<Option<Review>, Failure> {
        let Some(subject) = figures::subject(reference, profile)? else { return Ok(None) };
        let (pending_path, accepted_path) =
            (FigureFile::Pending.path(&subject), FigureFile::Errors.path(&subject));
        if !figures::is_there(&pending_path)? {
            return Ok(None);
        }
        let pending = KnownErrors::read(&pending_path, &subject, &dates::days_until).map_err(|error| {
            Failure::usage(
                error.to_string(),
                format!("remove it, then {}", FigureFile::Pending.again_for(profile, &subject.set)),
            )
        })?;
        if pending.beside != figures::hash(&accepted_path)? {
            return Err(Failure::usage(
                format!(
                    "{}: it was not measured beside the {} that is there now",
                    paths::shown(&pending_path),
                    paths::shown(&accepted_path)
                ),
                FigureFile::Pending.again_for(profile, &subject.set),
            ));
        }
        let none = KnownErrors { layers: Vec::new(), beside: None, ..pending.clone() };
        let old = match figures::is_there(&accepted_path)? {
            false => None,
            true => Some(KnownErrors::parse(&accepted_path).map_err(|error| {
                Failure::usage(
                    error.to_string(),
                    format!(
                        "git restore baselines, or remove it and {}",
                        FigureFile::Pending.again_for(profile, &subject.set)
                    ),
                )
            })?),
        };
        let made_anew = old.as_ref().is_some_and(|old| old.subject != subject);
        let old = old.filter(|_| !made_anew).unwrap_or(none);
        let differences = old.differences(&pending);
        let of = Reviewed::Encoder(limits::tolerances(reference, profile)?.map(Box::new));
        Ok(Some(Review { pending_path, accepted_path, old, pending, of, differences, made_anew }))
    }

    /// What waits of a port's errors.
    pub(crate) fn of_port(baseline: &PortBaseline<'_>) -> Result<Option<Review>, Failure> {
        let (pending_path, accepted_path) = (baseline.pending(), baseline.file.to_path_buf());
        if !figures::is_there(&pending_path)? {
            return Ok(None);
        }
        let again = || format!("remove {}, then {}", paths::shown(&pending_path), baseline.measure_again());
        let unusable = |error: KnownErrorsError| Failure::usage(error.to_string(), again());
        let pending = KnownErrors::parse(&pending_path).map_err(unusable)?;
        pending.check(&pending_path, &dates::days_until).map_err(unusable)?;
        if pending.beside != figures::hash(&accepted_path)? {
            let message = format!(
                "{}: it was not measured beside the {} that is there now",
                paths::shown(&pending_path),
                paths::shown(&accepted_path)
            );
            return Err(Failure::usage(message, baseline.measure_again()));
        }
        let none = KnownErrors { layers: Vec::new(), beside: None, ..pending.clone() };
        let old = match figures::is_there(&accepted_path)? {
            false => None,
            true => Some(KnownErrors::parse(&accepted_path).map_err(|error| {
                Failure::usage(error.to_string(), "restore the file, or remove it and measure anew")
            })?),
        };
        let made_anew = old.as_ref().is_some_and(|old| old.subject != pending.subject);
        let old = old.filter(|_| !made_anew).unwrap_or(none);
        let differences = old.differences(&pending);
        let of = Reviewed::Port;
        Ok(Some(Review { pending_path, accepted_path, old, pending, of, differences, made_anew }))
    }

    /// The set's name.
    pub(crate) fn set(&self) -> &str {
        &self.pending.subject.set
    }

    /// Whether a layer is meant by `LAYER` or `SET/LAYER`.
    fn is_meant(&self, difference: &Difference, name: &str) -> bool {
        name == difference.name
            || name.split_once('/').is_some_and(|(set, layer)| set == self.set() && layer == difference.name)
    }

    /// What the files are to be, if the gate can use what was accepted; what was not decided waits on.
    fn settle(mut self, decisions: &[Option<bool>]) -> Result<ReviewedFiles, Failure> {
        let decided = |wanted| {
            let pairs = self.differences.iter().zip(decisions);
            pairs.filter(|(_, decision)| **decision == Some(wanted)).map(|(d, _)| d).collect::<Vec<_>>()
        };
        let (accepted, rejected) = (decided(true), decided(false));
        let mut known = self.old.clone();
        known.beside = None;
        known.take(&self.pending, &accepted);
        self.pending.take(&self.old, &rejected);
        let counts = [accepted.len(), rejected.len()];
        if counts[0] > 0 {
            self.check(&known)?;
        }
        Ok(ReviewedFiles {
            accepted_path: self.accepted_path,
            pending_path: self.pending_path,
            known,
            pending: self.pending,
            counts,
        })
    }

    /// Refuses known errors that the gate would refuse.
    fn check(&self, known: &KnownErrors) -> Result<(), Failure> {
        let (path, subject) = (&self.accepted_path, &self.pending.subject);
        let tolerances = match &self.of {
            Reviewed::Encoder(tolerances) => tolerances.as_deref(),
            Reviewed::Port => {
                return known.check(path, &dates::days_until).map_err(|error| {
                    Failure::usage(format!("{error}; nothing was written"), "measure anew")
                });
            }
        };
        if tolerances.is_none() {
            let message = format!(
                "{}: the set has no tolerances to hold errors to; nothing was written",
                paths::shown(path)
            );
            return Err(Failure::usage(
                message,
                FigureFile::Tolerances.again_for(&subject.profile, &subject.set),
            ));
        }
        let checked = known.check(path, &dates::days_until).map_err(|error| error.to_string());
        let checked = checked.and_then(|()| limits::check_errors(known, tolerances, path));
        checked.map_err(|error| {
            Failure::usage(
                format!("{error}; nothing was written"),
                format!(
                    "look for the cause with cargo xtask parity, and leave that layer out: cargo xtask baseline review{} --reject \
                     {}/LAYER --accept-all; an instruction set that this machine lacks: git restore baselines",
                    figures::option(&subject.profile),
                    subject.set
                ),
            )
        })
    }

    fn heading(&self) {
        say(&paths::shown(&self.accepted_path));
        if self.made_anew {
            say("  the set was made anew: what was known of the old one does not count");
        }
    }
}

/// Files as they are to be after a review.
struct ReviewedFiles {
    accepted_path: PathBuf,
    pending_path: PathBuf,
    known: KnownErrors,
    pending: KnownErrors,
    /// Layers accepted and rejected.
    counts: [usize; 2],
}

impl ReviewedFiles {
    fn write(mut self) -> Result<(), Failure> {
        let [accepted, rejected] = self.counts;
        if accepted > 0 {
            self.known.write(&self.accepted_path).map_err(Failure::unwritable)?;
            self.pending.beside = figures::hash(&self.accepted_path)?;
        }
        let waiting = self.known.differences(&self.pending).len();
        match waiting {
            0 => std::fs::remove_file(&self.pending_path)
                .map_err(|error| Failure::write(&self.pending_path, &error))?,
            _ => self.pending.write(&self.pending_path).map_err(Failure::unwritable)?,
        }
        let shown = paths::shown(&self.accepted_path);
        say(&format!("{shown}: {accepted} accepted, {rejected} rejected, {waiting} wait on"));
        Ok(())
    }
}

/// Writes a page of what waits.
pub(crate) fn write_page(reviews: &[Review], path: &Path) -> Result<(), Failure> {
    let sets: Vec<(String, &[Difference])> =
        reviews.iter().map(|review| (review.set().to_string(), review.differences.as_slice())).collect();
    let mut read = FilesRead::default();
    read.extend(reviews.iter().flat_map(|review| [&review.pending_path, &review.accepted_path]));
    read.check(path).map_err(Failure::overwrites)?;
    let page = page::page(&sets);
    atomic::write(path, |out| out.write_all(page.as_bytes()))
        .map_err(|error| Failure::write(path, &error))?;
    say(&format!("{}: old and new beside each other", paths::shown(path)));
    Ok(())
}

/// What the command line decides.
pub(crate) struct Flags<'a> {
    /// `LAYER` or `SET/LAYER`.
    pub(crate) accept: &'a [String],
    /// Likewise.
    pub(crate) reject: &'a [String],
    pub(crate) accept_all: bool,
    pub(crate) reject_all: bool,
}

impl Flags<'_> {
    /// Whether they decide anything.
    pub(crate) fn decide(&self) -> bool {
        self.accept_all || self.reject_all || self.named().next().is_some()
    }

    /// Options that name a layer, with the name.
    fn named(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let accept = self.accept.iter().map(|name| ("--accept", name));
        accept.chain(self.reject.iter().map(|name| ("--reject", name)))
    }
}

/// Shows everything that waits and settles what is decided; whether anything was left to decide.
pub(crate) fn run(reviews: Vec<Review>, flags: &Flags<'_>) -> Result<bool, Failure> {
    for (option, name) in flags.named() {
        let meant = |review: &Review| review.differences.iter().any(|d| review.is_meant(d, name));
        if !reviews.iter().any(meant) {
            let message = format!("{option} {name}: no such layer waits");
            return Err(Failure::usage(message, "cargo xtask baseline review shows those that do"));
        }
    }
    let all = || reviews.iter().flat_map(|review| review.differences.iter().map(move |d| (review, d)));
    let meant = |(review, difference): (&Review, &Difference), names: &[String]| {
        names.iter().any(|name| review.is_meant(difference, name))
    };
    if let Some((review, difference)) =
        all().find(|layer| meant(*layer, flags.accept) && meant(*layer, flags.reject))
    {
        let message = format!("{}/{}: both accepted and rejected", review.set(), difference.name);
        return Err(Failure::usage(message, "name it in one of --accept and --reject, as SET/LAYER"));
    }
    let terminal = std::io::stdin().is_terminal() && Term::stdout().features().is_attended();
    let interactive = !flags.decide() && !ci::is_set() && terminal;
    let mut decisions: Vec<Option<bool>> = if interactive {
        let shown = |(review, difference): (&Review, &Difference)| {
            let head = format!("{}/{}", review.set(), difference.name);
            std::iter::once(head).chain(lines(difference)).collect()
        };
        let (layers, term) = (all().map(shown).collect::<Vec<_>>(), Term::stdout());
        say(KEYS);
        say(&heading());
        decide(layers.len(), |at, decisions, hint| ask(&term, &layers, at, decisions, hint)).map_err(
            |error| {
                Failure::usage(
                    format!("the terminal gave no key ({error}): nothing was written"),
                    "again, or decide by --accept, --reject, --accept-all and --reject-all",
                )
            },
        )?
    } else {
        for review in &reviews {
            review.heading();
            say(&heading());
            for difference in &review.differences {
                say(&difference.name);
                lines(difference).iter().for_each(|line| say(line));
            }
        }
        let decision = |(review, difference): (&Review, &Difference)| {
            let layer = (review, difference);
            match (meant(layer, flags.accept), meant(layer, flags.reject)) {
                (true, _) => Some(true),
                (false, true) => Some(false),
                (false, false) if flags.accept_all => Some(true),
                (false, false) => flags.reject_all.then_some(false),
            }
        };
        all().map(decision).collect()
    };
    let left = decisions.iter().any(Option::is_none);
    // Where nothing differs any more there is nothing to decide: the file goes, but not in CI, which writes nothing.
    let settled = decisions.is_empty() && !ci::is_set();
    if flags.decide() || decisions.iter().any(Option::is_some) || settled {
        ci::refuse()?;
        let mut settled = Vec::new();
        for review in reviews {
            let rest = decisions.split_off(review.differences.len());
            settled.push(review.settle(&decisions)?);
            decisions = rest;
        }
        // Not before the last of them has been found fit.
        settled.into_iter().try_for_each(ReviewedFiles::write)?;
    }
    Ok(left)
}
