//! A comparison beside its layers: its heading, its remarks, and tensors that were not compared.

use super::{Detail, Report, WIDTH};
use crate::compare::comparison::{Comparison, Counted, Layer};
use crate::compare::gap::Counterpart;
use crate::mapping::pairing::{Absent, Missing, Unmapped};
use crate::report::figures::share;
use crate::report::pattern::{Group, grouped};
use crate::report::{boxes, words};
use crate::side::Side;

/// Patterns of a list, before the others are counted instead of shown.
const PATTERNS: usize = 8;
/// Absent tensors that are listed by name.
const FEW: usize = 2;
/// Warnings, each with its lines of the mapping, before the others are counted instead of shown.
const WARNINGS: usize = 2;

impl Report {
    pub(super) fn passed_in_a_line(&mut self, comparison: &Comparison) {
        let (layers, set) = (comparison.summary().compared, short_title(comparison));
        let used = comparison.worst().map_or(0.0, Layer::used);
        let ok = self.good("ok");
        self.wrapped(2, &format!("{set:24} {layers:>4} layers {ok}, at most {} of a limit", share(used)));
        self.notes(comparison);
        self.warnings(comparison);
    }

    fn notes(&mut self, comparison: &Comparison) {
        for remark in words::remarks(&comparison.remarks) {
            self.wrapped(2, &format!("note: {remark}"));
        }
    }

    fn warnings(&mut self, comparison: &Comparison) {
        let path = comparison.mapping.display().to_string();
        let most = match self.names_are_explained(comparison) {
            // They are what follows from names that nothing takes.
            true => 0,
            false if self.shows(Detail::Verbose) => usize::MAX,
            false => WARNINGS,
        };
        for warning in comparison.warnings.iter().take(most) {
            let finding = words::mapping_warning(warning);
            let shown = boxes::render(&path, &comparison.mapping_text, finding, self.options.colours);
            self.out.push_str(&shown);
        }
        let more = comparison.warnings.len().saturating_sub(most);
        if more > 0 && most > 0 {
            self.line(format!("  {more} more warnings of the mapping; --verbose shows them"));
        }
    }

    pub(super) fn heading(&mut self, comparison: &Comparison) {
        let title = match comparison.candidate.title.as_str() {
            "" => comparison.reference.title.clone(),
            candidate => format!("{candidate} against {}", comparison.reference.title),
        };
        if title.chars().count() <= WIDTH {
            let title = self.strong(&title);
            self.line(title);
        } else {
            let candidate = self.strong(&comparison.candidate.title);
            self.line(candidate);
            self.wrapped(2, &format!("against {}", comparison.reference.title));
        }
        if let Some(obstacle) = &comparison.obstacle {
            let head = self.bad("cannot be compared");
            self.wrapped(2, &format!("{head}: {}", obstacle.message));
            return;
        }
        let basis = basis(comparison.bases());
        self.wrapped(2, &format!("profile {}: {basis}", comparison.profile));
        self.notes(comparison);
        for changed in &comparison.not_as_recorded {
            let head = self.bad("changed");
            self.wrapped(2, &format!("{head}: {}", words::record_difference(changed)));
        }
    }

    pub(super) fn lists(&mut self, comparison: &Comparison) {
        self.aliases(comparison);
        if let Some(shortfall) = comparison.shortfall() {
            let head = match shortfall.of {
                Counted::Evidence => self.bad("no evidence"),
                Counted::Layers | Counted::Elements => self.bad("too little compared"),
            };
            self.wrapped(2, &format!("{head}: {}", words::shortfall(&shortfall)));
        }
        self.explained_names(comparison);
        self.missing(comparison);
        self.unmapped(comparison);
        for ambiguous in self.shown(&comparison.ambiguous, |ambiguous| {
            format!("{} {}", ambiguous.side, ambiguous.names.join(" "))
        }) {
            let first = &ambiguous.first;
            let head = self.attention("ambiguous", first.side);
            self.line(format!("{head} {}{}", ambiguous.times(), first.names.join(" and ")));
            self.wrapped(4, &words::ambiguity(&first.cause));
        }
        for gap in &comparison.gaps {
            let what = match gap.missing {
                Counterpart::Entry => "no entry",
                Counterpart::Pair => "no pair",
            };
            let head = self.bad(what);
            self.line(format!("  {head} {}", gap.name));
            self.wrapped(4, &words::gap(gap));
        }
        self.warnings(comparison);
        if !self.shows(Detail::Quiet) {
            self.absent(comparison);
        }
        self.ignored(comparison);
    }

    /// What explains names that were not paired, a line each.
    fn explained_names(&mut self, comparison: &Comparison) {
        for explanation in comparison.explanations.iter().filter(|found| found.kind.is_of_names()) {
            let head = self.bad("names");
            self.wrapped(2, &format!("{head}: {}", words::explanation(explanation)));
        }
    }

    /// Whether lines say already why names of a comparison met no partner.
    fn names_are_explained(&self, comparison: &Comparison) -> bool {
        !self.shows(Detail::Verbose) && comparison.names_are_explained()
    }

    fn missing(&mut self, comparison: &Comparison) {
        if self.names_are_explained(comparison) {
            if !comparison.missing.is_empty() {
                let head = self.bad("missing");
                let count = comparison.missing.len();
                self.wrapped(2, &format!("{head}: {count} partners of such names; --verbose lists them"));
            }
            return;
        }
        let pattern = |missing: &Missing| format!("{} {}", missing.side, missing.expected.join(" "));
        for group in self.shown(&comparison.missing, pattern) {
            let head = self.attention("missing", group.first.side);
            match group.first.expected.as_slice() {
                [one] => self.line(format!("{head} {}{one}", group.times())),
                several => {
                    self.line(format!("{head}, {}one of", group.times()));
                    for name in several {
                        self.line(format!("    {name}"));
                    }
                }
            }
            self.wrapped(4, &words::wanted_by(group.first));
        }
    }

    fn unmapped(&mut self, comparison: &Comparison) {
        if self.names_are_explained(comparison) {
            return;
        }
        let pattern = |unmapped: &Unmapped| format!("{} {}", unmapped.side, unmapped.name);
        for group in self.shown(&comparison.unmapped, pattern) {
            let head = self.attention("unmapped", group.first.side);
            self.line(format!("{head} {}{}", group.times(), group.first.name));
            self.wrapped(4, &words::unmapped(group.first.hint.as_ref()));
        }
    }

    fn absent(&mut self, comparison: &Comparison) {
        if let [first, .., _] = comparison.absent.as_slice()
            && comparison.absent.len() > FEW
            && !self.shows(Detail::Verbose)
        {
            let (absent, _) = absent_and_there(first);
            let count = comparison.absent.len();
            self.wrapped(
                2,
                &format!("absent: {count} optional tensors, such as {absent}; --verbose lists them"),
            );
            return;
        }
        for absent in &comparison.absent {
            let (absent, there) = absent_and_there(absent);
            self.wrapped(2, &format!("absent: {absent} (optional) for {there}"));
        }
    }

    /// Things to list: all of them where everything is shown, else those of one pattern once, and only so many patterns.
    fn shown<'a, T>(&mut self, things: &'a [T], pattern: impl Fn(&T) -> String) -> Vec<ListedGroup<'a, T>> {
        if self.shows(Detail::Verbose) {
            return things
                .iter()
                .map(|first| ListedGroup { first, count: 1, pattern: String::new() })
                .collect();
        }
        let groups = grouped(things, pattern);
        let (shown, rest) = groups.split_at(groups.len().min(PATTERNS));
        if !rest.is_empty() {
            let names: usize = rest.iter().map(|group| group.members.len()).sum();
            self.line(format!("  {names} more of {} patterns; --verbose lists them", rest.len()));
        }
        let listed = |group: &Group<'a, T>| {
            Some(ListedGroup {
                first: *group.members.first()?,
                count: group.members.len(),
                pattern: group.pattern.clone(),
            })
        };
        shown.iter().filter_map(listed).collect()
    }

    fn ignored(&mut self, comparison: &Comparison) {
        if self.shows(Detail::Quiet) || comparison.ignored.is_empty() {
            return;
        }
        let mut reasons: Vec<(Side, &str, Vec<&str>)> = Vec::new();
        for ignored in &comparison.ignored {
            let is_same = |side: Side, reason: &str| side == ignored.side && reason == ignored.reason;
            match reasons.iter_mut().find(|(side, reason, _)| is_same(*side, reason)) {
                Some((.., names)) => names.push(&ignored.name),
                None => reasons.push((ignored.side, &ignored.reason, vec![&ignored.name])),
            }
        }
        for (side, reason, names) in reasons {
            self.wrapped(2, &format!("ignored: {} of the {side}: {reason}", names.len()));
            if self.shows(Detail::Verbose) {
                for name in names {
                    self.line(format!("    {name}"));
                }
            }
        }
    }

    fn attention(&self, what: &str, side: Side) -> String {
        format!("  {} {side}", self.bad(what))
    }
}

/// The name of a tensor that is absent, and that of its partner.
fn absent_and_there(absent: &Absent) -> (&str, &str) {
    match absent.lacking {
        Side::Candidate => (&absent.candidate, &absent.reference),
        Side::Reference => (&absent.reference, &absent.candidate),
    }
}

/// A thing that is listed, for all of its pattern.
struct ListedGroup<'a, T> {
    first: &'a T,
    count: usize,
    pattern: String,
}

impl<T> ListedGroup<'_, T> {
    /// How many there are of the pattern, where there are several: `16 × block_{}_norm, such as `.
    fn times(&self) -> String {
        match self.count {
            1 => String::new(),
            n => {
                // The side stands before it already.
                let pattern = self.pattern.split_once(' ').map_or("", |(_, names)| names);
                let first = pattern.split(' ').next().unwrap_or_default();
                format!("{n} × {first}, such as ")
            }
        }
    }
}

/// The reference's title up to how it was made.
pub(super) fn short_title(comparison: &Comparison) -> &str {
    comparison.reference.title.split(',').next().unwrap_or_default()
}

/// What limits were made of: multiples of a noise floor, the mapping's own.
pub(super) fn basis(bases: (bool, bool)) -> &'static str {
    match bases {
        (false, false) => "nothing was judged",
        (true, false) => "limits are multiples of a measured noise floor",
        (false, true) => "limits are the mapping's own",
        (true, true) => "limits are multiples of a noise floor where one is measured, else the mapping's",
    }
}
