//! What people read of two checkpoints: a line for each cause, and at most a screen.

use super::fault::WeightFault;
use super::parity::{ComparedFile, JudgedWeight, WeightAgreement, WeightParity};

/// Causes that are shown.
const MOST_CAUSES: usize = 8;
/// Names that are shown of a list.
const FEW: usize = 4;

impl WeightParity {
    /// The whole comparison.
    pub(crate) fn text(&self, verbose: bool) -> String {
        let mut lines = vec![self.a.line("A"), self.b.line("B")];
        lines.extend(self.agreements());
        let failed: Vec<(&JudgedWeight, &WeightFault)> =
            self.tensors.iter().filter_map(|tensor| Some((tensor, tensor.fault()?))).collect();
        let causes = causes(&failed);
        let shown = if verbose { causes.len() } else { MOST_CAUSES };
        lines.extend(causes.iter().take(shown).map(|cause| cause_line(cause)));
        if causes.len() > shown {
            lines.push(format!("  … {} more causes; --verbose shows them", causes.len() - shown));
        }
        if let Some((first, _)) = failed.first() {
            lines.push(first.figures());
        }
        let is_unexplained =
            |fault: &WeightFault| matches!(fault, WeightFault::Unexplained { .. } | WeightFault::Shape);
        if failed.len() == self.tensors.len() && failed.iter().all(|(_, fault)| is_unexplained(fault)) {
            lines.push("  no tensor agrees: are these weights of one model?".to_string());
        }
        for (side, other, names) in [("B", "A", &self.missing_in_b), ("A", "B", &self.missing_in_a)] {
            if !names.is_empty() {
                let lost =
                    if names.iter().any(|name| name.ends_with(".bias")) { ", a bias among them" } else { "" };
                lines.push(format!(
                    "  MISSING in {side}: {} of the tensors of {other}{lost}: {}",
                    names.len(),
                    few(names, verbose)
                ));
            }
        }
        if !self.unread.is_empty() {
            let count = self.unread.len();
            lines.push(format!(
                "  {count} tensors of one side alone, which no forward pass reads: {}",
                few(&self.unread, verbose)
            ));
        }
        let both = self.a.warnings.iter().filter(|warning| self.b.warnings.contains(warning));
        lines.extend(both.map(|warning| format!("  warning: both: {warning}")));
        for (side, other) in [(&self.a, &self.b), (&self.b, &self.a)] {
            let alone = side.warnings.iter().filter(|warning| !other.warnings.contains(warning));
            lines.extend(alone.map(|warning| format!("  warning: {}: {warning}", side.file)));
        }
        if verbose {
            lines.extend(self.tensors.iter().map(JudgedWeight::line));
        }
        lines.push(self.verdict(failed.len()));
        lines.join("\n")
    }

    fn agreements(&self) -> Vec<String> {
        let of = |wanted: &dyn Fn(&JudgedWeight) -> bool| -> Vec<&JudgedWeight> {
            self.tensors.iter().filter(|tensor| wanted(tensor)).collect()
        };
        let mut lines = Vec::new();
        let equal = of(&|tensor| tensor.agreement == WeightAgreement::Equal);
        if !equal.is_empty() {
            lines.push(format!("  {} tensors equal, bit by bit", equal.len()));
        }
        for kind in ["F16", "BF16"] {
            let rounded =
                of(&|tensor| matches!(&tensor.agreement, WeightAgreement::Rounded { to } if to == kind));
            if let Some(worst) = worst(&rounded, |tensor| tensor.rel_l2) {
                lines.push(format!("  {} tensors equal once rounded to {kind}; {worst}", rounded.len()));
            }
        }
        let mut kinds: Vec<&[String; 2]> =
            of(&|tensor| tensor.share().is_some()).iter().map(|tensor| &tensor.types).collect();
        kinds.sort();
        kinds.dedup();
        for types in kinds {
            let within = of(&|tensor| tensor.share().is_some() && tensor.types == *types);
            let most = within.iter().filter_map(|tensor| tensor.share()).fold(0.0, f64::max);
            if let Some(worst) = worst(&within, |tensor| tensor.rel_l2) {
                let [a, b] = types;
                lines.push(format!(
                    "  {} tensors within what the steps of {a} and {b} explain (at most {:.0} % of it); {worst}",
                    within.len(),
                    100.0 * most
                ));
            }
        }
        lines
    }

    fn verdict(&self, failed: usize) -> String {
        let compared = self.tensors.len();
        if self.exit_code() == 0 {
            return format!("PASS  {compared} tensors compared, {compared} passed");
        }
        let missing = self.missing_in_a.len() + self.missing_in_b.len();
        let missing = if missing > 0 { format!(", {missing} missing") } else { String::new() };
        let passed = compared - failed;
        format!(
            "FAIL  {compared} tensors compared, {passed} passed, {failed} failed{missing} (exit code {})",
            self.exit_code()
        )
    }
}

impl ComparedFile {
    fn line(&self, side: &str) -> String {
        let types: Vec<String> = self.types.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        format!("{side} {}: {}; {}", self.file, self.container, types.join(", "))
    }
}

impl JudgedWeight {
    fn fault(&self) -> Option<&WeightFault> {
        match &self.agreement {
            WeightAgreement::Differs { fault } => Some(fault),
            _ => None,
        }
    }

    /// The share of what the types explain that is used up, where that is what it was judged by.
    fn share(&self) -> Option<f64> {
        match self.agreement {
            WeightAgreement::WithinSteps { share } => Some(share),
            _ => None,
        }
    }

    fn figures(&self) -> String {
        let [a, b] = &self.types;
        let of = |figure: Option<f64>| figure.map_or("-".to_string(), |figure| format!("{figure:.1e}"));
        format!(
            "first failing tensor: {} {:?} ({a}, {b}): rel_l2 {}, max|d| {}",
            self.name,
            self.shapes[0],
            of(self.rel_l2),
            of(self.max_abs)
        )
    }

    fn line(&self) -> String {
        let how = match &self.agreement {
            WeightAgreement::Equal => "equal".to_string(),
            WeightAgreement::Rounded { to } => format!("rounded to {to}"),
            WeightAgreement::WithinSteps { share } => format!("{:.0} % of its steps", 100.0 * share),
            WeightAgreement::Differs { fault } => format!("FAIL {}", fault.text(&self.shapes[0])),
        };
        let [a, b] = &self.types;
        let figure = self.rel_l2.map_or("-".to_string(), |figure| format!("{figure:.1e}"));
        format!("  {} {:?} {a} {b} rel_l2 {figure}: {how}", self.name, self.shapes[0])
    }
}

/// The tensor of the largest figure, and that figure.
fn worst(tensors: &[&JudgedWeight], figure: impl Fn(&JudgedWeight) -> Option<f64>) -> Option<String> {
    let figures = tensors.iter().map(|tensor| (figure(tensor).unwrap_or(0.0), &tensor.name));
    let (figure, name) = figures.max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(format!("largest rel_l2 {figure:.1e}, {name}"))
}

/// A cause, and the tensors that it explains.
type CauseOf<'a> = (String, Vec<&'a JudgedWeight>);

/// What failed by its cause, in the order of the first of each.
fn causes<'a>(failed: &[(&'a JudgedWeight, &'a WeightFault)]) -> Vec<CauseOf<'a>> {
    let mut causes: Vec<CauseOf<'a>> = Vec::new();
    for (tensor, fault) in failed {
        // Of two that are exchanged one line tells.
        let is_told = |cause: &CauseOf<'_>| match fault {
            WeightFault::Exchanged { with } => cause.1[0].name == *with && cause.0 == exchanged(&tensor.name),
            _ => false,
        };
        if causes.iter().any(is_told) {
            continue;
        }
        let text = fault.text(&tensor.shapes[0]);
        match causes.iter_mut().find(|(known, _)| *known == text) {
            Some((_, tensors)) => tensors.push(tensor),
            None => causes.push((text, vec![tensor])),
        }
    }
    causes
}

fn cause_line((text, tensors): &CauseOf<'_>) -> String {
    let names: Vec<String> = tensors.iter().map(|tensor| tensor.name.clone()).collect();
    match names.as_slice() {
        [name] => format!("  FAIL {name}: {text}"),
        names => format!("  FAIL {} tensors: {text}: {}", names.len(), few(names, false)),
    }
}

/// The first of a list, or all of it, and how many there are.
pub(super) fn few(names: &[String], all: bool) -> String {
    match names.len() {
        0 => "none".to_string(),
        count if all || count <= FEW => names.join(", "),
        count => format!("{}, … {count} in all", names[..FEW].join(", ")),
    }
}

impl WeightFault {
    fn text(&self, shape: &[usize]) -> String {
        match self {
            WeightFault::Unreadable { text } => text.clone(),
            WeightFault::NotFinite { count } => format!("B has {count} values that are not finite"),
            WeightFault::Zero => "B is 0 throughout".to_string(),
            WeightFault::Transposed { axes } => {
                format!("transposed: B holds A with its axes in the order {}", axes_of(axes, shape))
            }
            WeightFault::Reshaped => "B holds A's values in their order under another shape".to_string(),
            WeightFault::Shape => {
                "B has another shape, and A's values in no order that was tried".to_string()
            }
            WeightFault::Reversed { axes } => {
                format!("reversed: B is A backwards along {}", axes_of(axes, shape))
            }
            WeightFault::Exchanged { with } => {
                format!("exchanged with {with}: each holds the other's values")
            }
            WeightFault::HoldsOther { other } => format!("B holds the values that A has in {other}"),
            WeightFault::Factor { factor } => format!("B is A times {factor:.6}"),
            WeightFault::Offset { offset } => format!("B is A plus {offset:.6}"),
            WeightFault::FactorOfEach { axis } => format!(
                "B is A with a factor for each index of axis {}: was a norm or a scale folded into it?",
                axes_of(&[*axis], shape)
            ),
            WeightFault::RoundedOnTheWay { to } => format!("B is A rounded to {to} on the way"),
            WeightFault::QuantisedOnTheWay { bits } => {
                format!("B is A quantised to {bits} bits on the way, in blocks of 32")
            }
            WeightFault::CutOff { to } => format!("B is A cut off to {to} rather than rounded"),
            WeightFault::BytesReadAs { from, as_ } => format!("A's bytes in {from}, read as {as_}"),
            WeightFault::BlockOrder { block } => format!(
                "wrong dequantisation: in each block of {block} B has A's values in another order (halves of its bytes)"
            ),
            WeightFault::BlockScale { block } => format!(
                "wrong dequantisation: in each block of {block} B is A with a factor and an offset of its own \
                 (scales or minima)"
            ),
            WeightFault::Unexplained { elements, of, channel: Some(channel) } => {
                format!(
                    "{elements} of {of} elements differ, all in output channel {channel}; nothing tried explains them"
                )
            }
            WeightFault::Unexplained { elements, of, .. } if 10 * elements > 9 * of => {
                "other values; nothing tried explains them".to_string()
            }
            WeightFault::Unexplained { elements, of, .. } => {
                format!("{elements} of {of} elements differ; nothing tried explains them")
            }
        }
    }
}

fn exchanged(with: &str) -> String {
    format!("exchanged with {with}: each holds the other's values")
}

/// Axes by their names in a kernel, else by number.
fn axes_of(axes: &[usize], shape: &[usize]) -> String {
    let names: &[&str] = match shape.len() {
        4 => &["out", "in", "ky", "kx"],
        2 => &["out", "in"],
        _ => &[],
    };
    let name = |axis: &usize| names.get(*axis).map_or(axis.to_string(), ToString::to_string);
    axes.iter().map(name).collect::<Vec<_>>().join(" ")
}
