//! Measured errors beside the accepted ones: what is accepted, what is rejected, and what waits on.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use ::console::{Key, Term};
use harness::limits::derived::DerivedTolerances;
use harness::limits::known_errors::{
    Difference, KnownError, KnownErrors, KnownErrorsError, LayerErrors, Trend,
};
use harness::provenance::sha256::hash_file;
use harness::reference::Reference;

use super::port::PortBaseline;
use crate::committed::figures::{self, FigureFile};
use crate::gate::limits;
use crate::shell::console::say;
use crate::shell::failure::Failure;
use crate::shell::{ci, dates, paths};

/// What to do with a layer, with all that are left, or after the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReviewStep {
    Accept,
    Reject,
    Next,
    Back,
    AcceptRest,
    RejectRest,
    Write,
}

const KEYS: &str = "\
a or right  accept       s, j or down  leave for later    A  accept all others
r or left   reject       k or up       back               R  reject all others
q or Esc    stop: what is decided is written, the rest waits on";

impl ReviewStep {
    fn of(key: &Key) -> Option<ReviewStep> {
        Some(match key {
            Key::Char('a') | Key::ArrowRight => ReviewStep::Accept,
            Key::Char('r') | Key::ArrowLeft => ReviewStep::Reject,
            Key::Char('s' | 'j') | Key::ArrowDown => ReviewStep::Next,
            Key::Char('k') | Key::ArrowUp => ReviewStep::Back,
            Key::Char('A') => ReviewStep::AcceptRest,
            Key::Char('R') => ReviewStep::RejectRest,
            // Ctrl-D is a character where keys are read one by one.
            Key::Char('q' | '\u{4}') | Key::Escape => ReviewStep::Write,
            _ => return None,
        })
    }
}

/// Whose errors they are.
enum Reviewed {
    /// The encoder's on a committed set, under these tolerances.
    Encoder(Option<DerivedTolerances>),
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
        if pending.beside != hash(&accepted_path)? {
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
        let of = Reviewed::Encoder(limits::tolerances(reference, profile)?);
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
        if pending.beside != hash(&accepted_path)? {
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
            Reviewed::Encoder(tolerances) => tolerances.as_ref(),
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
            self.pending.beside = hash(&self.accepted_path)?;
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

/// The SHA-256 of a file, where there is one.
pub(crate) fn hash(path: &Path) -> Result<Option<String>, Failure> {
    match figures::is_there(path)? {
        true => Ok(Some(hash_file(path).map_err(Failure::unreadable)?.sha256)),
        false => Ok(None),
    }
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
            let mut lines = vec![format!("{}/{}", review.set(), difference.name)];
            lines.extend(rows(difference));
            lines
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
                rows(difference).iter().for_each(|row| say(row));
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

/// Goes through `count` layers and past the last one, with a hint where the last key was unknown, until what is decided is
/// to be written. Nothing is written where the terminal fails, since no one has confirmed it.
fn decide(
    count: usize,
    mut ask: impl FnMut(usize, &[Option<bool>], bool) -> std::io::Result<Key>,
) -> std::io::Result<Vec<Option<bool>>> {
    let mut decisions = vec![None; count];
    let (mut at, mut hint) = (0, false);
    loop {
        let key = ask(at, &decisions, hint)?;
        let step = match (ReviewStep::of(&key), at == count) {
            (_, true) if key == Key::Enter => Some(ReviewStep::Write),
            (Some(ReviewStep::Back | ReviewStep::Write), true) | (_, false) => ReviewStep::of(&key),
            (_, true) => None,
        };
        hint = step.is_none();
        match step {
            None => {}
            Some(ReviewStep::Back) => at = at.saturating_sub(1),
            Some(ReviewStep::Write) => return Ok(decisions),
            Some(rest @ (ReviewStep::AcceptRest | ReviewStep::RejectRest)) => {
                let undecided = decisions.iter_mut().filter(|decision| decision.is_none());
                undecided.for_each(|decision| *decision = Some(rest == ReviewStep::AcceptRest));
                at = count;
            }
            Some(step @ (ReviewStep::Accept | ReviewStep::Reject | ReviewStep::Next)) => {
                match step {
                    ReviewStep::Accept => decisions[at] = Some(true),
                    ReviewStep::Reject => decisions[at] = Some(false),
                    _ => {}
                }
                at += 1;
            }
        }
    }
}

/// Shows a layer, or after the last one what was decided, and waits for a key.
fn ask(
    term: &Term,
    layers: &[Vec<String>],
    at: usize,
    decisions: &[Option<bool>],
    hint: bool,
) -> std::io::Result<Key> {
    if hint {
        term.write_line("    that key means nothing here")?;
    }
    let Some(lines) = layers.get(at) else {
        let count = |wanted| decisions.iter().filter(|decision| **decision == wanted).count();
        let (accepted, rejected, waiting) = (count(Some(true)), count(Some(false)), count(None));
        term.write_line(&format!("{accepted} accepted, {rejected} rejected, {waiting} left for later"))?;
        term.write_line("    Enter or q: write that; up: back; Ctrl-C: forget it")?;
        return term.read_key();
    };
    let before = match decisions[at] {
        Some(true) => " (accepted)",
        Some(false) => " (rejected)",
        None => "",
    };
    for (i, line) in lines.iter().enumerate() {
        match i {
            0 => term.write_line(&format!("{} of {}  {line}{before}", at + 1, layers.len()))?,
            _ => term.write_line(line)?,
        }
    }
    term.read_key()
}

/// What the columns of [`rows`] are.
fn heading() -> String {
    row("old -> new", "rel_l2", "rel_linf", "")
}

fn row(conditions: &str, rel_l2: &str, rel_linf: &str, word: &str) -> String {
    format!("  {conditions:19} {rel_l2:>20} {rel_linf:>20}  {word}").trim_end().to_string()
}

/// Old and new side by side, under all conditions where they differ.
fn rows(difference: &Difference) -> Vec<String> {
    let errors = |layer: &Option<LayerErrors>, conditions: &str| {
        layer.as_ref().and_then(|layer| layer.errors.get(conditions)).cloned()
    };
    let layers = [&difference.old, &difference.new];
    let conditions: BTreeSet<&String> = layers.into_iter().flatten().flat_map(|l| l.errors.keys()).collect();
    let shown = conditions.into_iter().filter_map(|conditions| {
        let (a, b) = (errors(&difference.old, conditions), errors(&difference.new, conditions));
        if a.as_ref().map(KnownError::figures) == b.as_ref().map(KnownError::figures) {
            return None;
        }
        let figure = |of: fn(&KnownError) -> f64| {
            let shown =
                |error: &Option<KnownError>| error.as_ref().map_or("-".into(), |e| format!("{:.2e}", of(e)));
            format!("{} -> {}", shown(&a), shown(&b))
        };
        let word = match (&difference.old, &difference.new, &a, &b) {
            (None, ..) => "new".to_string(),
            (_, None, ..) => "GONE".to_string(),
            (Some(old), _, Some(_), Some(new)) => match old.trend(new.figures(), conditions) {
                Trend::Worse(change) => format!("WORSE {}", change.metric),
                Trend::Better(change) => format!("better {}", change.metric),
                Trend::Same => String::new(),
            },
            (.., Some(_), None) => "LOST".to_string(),
            _ => "newly measured".to_string(),
        };
        let (rel_l2, rel_linf) = (figure(|error| error.rel_l2), figure(|error| error.rel_linf));
        Some(row(conditions, &rel_l2, &rel_linf, &word))
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(count: usize, keys: &[Key]) -> std::io::Result<Vec<Option<bool>>> {
        let mut keys = keys.iter();
        decide(count, |_, _, _| keys.next().cloned().ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into()))
    }

    #[test]
    fn what_is_not_decided_waits_on() {
        let key = Key::Char;
        let cases: [(&[Key], [Option<bool>; 3]); 9] = [
            (&[key('q')], [None; 3]),
            (&[key('a'), key('\u{4}')], [Some(true), None, None]),
            (&[key('a'), key('r'), key('q')], [Some(true), Some(false), None]),
            (&[key('s'), Key::ArrowRight, Key::ArrowLeft, Key::Enter], [None, Some(true), Some(false)]),
            (&[key('a'), Key::ArrowUp, key('r'), Key::Escape], [Some(false), None, None]),
            (&[key('r'), key('A'), Key::Enter], [Some(false), Some(true), Some(true)]),
            (&[Key::ArrowDown, key('R'), key('q')], [Some(false); 3]),
            // Behind the last layer there is a way back, and nothing else to decide.
            (
                &[key('A'), key('a'), key('R'), key('k'), key('r'), Key::Enter],
                [Some(true), Some(true), Some(false)],
            ),
            (&[key('j'), key('j'), key('j'), Key::ArrowUp, key('a'), key('q')], [None, None, Some(true)]),
        ];
        for (keys, expected) in cases {
            assert_eq!(decided(3, keys).unwrap(), expected, "{keys:?}");
        }
    }

    #[test]
    fn a_terminal_that_fails_decides_nothing() {
        let keys = [Key::Char('a'), Key::Char('A')];
        for given in [&keys[..0], &keys[..1], &keys] {
            assert!(decided(3, given).is_err(), "{given:?} were not confirmed");
        }
    }

    #[test]
    fn an_unknown_key_decides_nothing_and_shows_a_hint() {
        let mut keys = [Key::Char('x'), Key::Enter, Key::Char('a'), Key::Enter].into_iter();
        let mut hints = Vec::new();
        let decisions = decide(1, |_, _, hint| {
            hints.push(hint);
            keys.next().ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
        })
        .unwrap();
        assert_eq!((decisions, hints), (vec![Some(true)], vec![false, true, true, false]));
    }
}
