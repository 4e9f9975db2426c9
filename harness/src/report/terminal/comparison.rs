//! A comparison beside its layers: its heading, its remarks, and tensors that were not compared.

use super::layers::share;
use super::{Detail, Report, WIDTH};
use crate::compare::comparison::{Comparison, Layer};
use crate::compare::gap::Counterpart;
use crate::report::{boxes, words};
use crate::side::Side;

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
        for remark in &comparison.remarks {
            self.wrapped(2, &format!("note: {}", words::remark(remark)));
        }
    }

    fn warnings(&mut self, comparison: &Comparison) {
        let path = comparison.mapping.display().to_string();
        for warning in &comparison.warnings {
            let finding = words::mapping_warning(warning);
            let shown = boxes::render(&path, &comparison.mapping_text, finding, self.options.colours);
            self.out.push_str(&shown);
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
            let head = self.bad("too little compared");
            self.wrapped(2, &format!("{head}: {}", words::shortfall(&shortfall)));
        }
        for missing in &comparison.missing {
            let head = self.attention("missing", missing.side);
            match missing.expected.as_slice() {
                [one] => self.line(format!("{head} {one}")),
                several => {
                    self.line(format!("{head}, one of"));
                    for name in several {
                        self.line(format!("    {name}"));
                    }
                }
            }
            self.wrapped(4, &words::wanted_by(missing));
        }
        for unmapped in &comparison.unmapped {
            let head = self.attention("unmapped", unmapped.side);
            self.line(format!("{head} {}", unmapped.name));
            self.wrapped(4, &words::unmapped(unmapped.hint.as_ref()));
        }
        for ambiguous in &comparison.ambiguous {
            let head = self.attention("ambiguous", ambiguous.side);
            self.line(format!("{head} {}", ambiguous.names.join(" and ")));
            self.wrapped(4, &words::ambiguity(&ambiguous.cause));
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
            for absent in &comparison.absent {
                self.wrapped(2, &format!("absent: {} (optional) for {}", absent.reference, absent.candidate));
            }
        }
        self.ignored(comparison);
    }

    fn ignored(&mut self, comparison: &Comparison) {
        if self.shows(Detail::Quiet) || comparison.ignored.is_empty() {
            return;
        }
        let mut reasons: Vec<(Side, usize, &str, Vec<&str>)> = Vec::new();
        for ignored in &comparison.ignored {
            match reasons.iter_mut().find(|(side, line, ..)| (*side, *line) == (ignored.side, ignored.line)) {
                Some((.., names)) => names.push(&ignored.name),
                None => reasons.push((ignored.side, ignored.line, &ignored.reason, vec![&ignored.name])),
            }
        }
        for (side, _, reason, names) in reasons {
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
