//! Everything that is known about one part.

use harness::compare::comparison::Comparison;
use harness::report::figures::share;
use harness::report::words;

use super::causes::{ChangeWords, PartTrial, PartTrials};
use super::computed::{ComputedPart, ComputedParts};
use super::oracle::Oracle;
use crate::shell::failure::Failure;

/// Changes that are listed, the nearest first.
const LISTED: usize = 12;

/// What is known about the part that a user names: by its own name, or by that of one of its tensors on either side.
pub(super) fn lines(
    oracle: &Oracle<'_>,
    computed: &ComputedParts,
    comparison: &Comparison,
    asked: &str,
) -> Result<Vec<String>, Failure> {
    let named = oracle.tensors.part_named(asked)?;
    let Some(judged) = computed.parts.iter().find(|judged| judged.part == *named) else {
        return Err(Failure::unusable(format!("{}: the dump lacks what this part takes", named.name)));
    };
    let part = &oracle.again(judged)?;
    let mut lines = vec![format!("part {}", part.part.name)];
    for (name, tensor) in &part.inputs.tensors {
        let own = oracle.tensors.own_names.get(name).map_or(name.as_str(), String::as_str);
        let place = match (part.inputs.computed.contains(name), oracle.tensors.has(name)) {
            (false, _) => "the candidate's",
            (true, true) => "computed, for the candidate's does not fit, or is not what it went on with",
            (true, false) => "computed, for the candidate lacks it",
        };
        lines.push(format!("  takes {own} {:?}, {place}", tensor.shape));
    }
    let between = part.inputs.along.keys().filter_map(|name| oracle.tensors.own_names.get(name));
    let between: Vec<&str> = between.map(String::as_str).collect();
    if !between.is_empty() {
        lines.push(format!("  goes on with the candidate's {}", between.join(", ")));
    }
    lines.extend(part.outputs.iter().flat_map(|(name, _)| output_lines(oracle, part, comparison, name)));
    lines.extend(change_lines(oracle, part));
    Ok(lines)
}

/// An output: its errors, alone and in the run, and what they are held against.
fn output_lines(
    oracle: &Oracle<'_>,
    part: &ComputedPart,
    comparison: &Comparison,
    name: &str,
) -> Vec<String> {
    let Some(own) = oracle.tensors.own_names.get(name) else {
        return vec![format!("  gives {name}, which the candidate lacks")];
    };
    let Some(layer) = comparison.layers.iter().find(|layer| layer.name == *own) else {
        return vec![format!("  gives {own}, which was not compared")];
    };
    let Some(compared) = layer.compared() else {
        return vec![format!("  gives {own}, which could not be compared")];
    };
    let verdict = if compared.passed() { "ok" } else { "FAIL" };
    let mut lines =
        vec![format!("  gives {own} {:?}: {verdict}, {} of its limit", compared.shape, share(layer.used()))];
    let metrics = &compared.metrics;
    if let (Some(rel_l2), Some(floor)) = (metrics.rel_l2, part.floors.get(name)) {
        lines.push(format!(
            "    alone: rel_l2 {rel_l2:.2e}, floor {:.2e}; max |d| {:.2e}, floor {:.2e}",
            floor.figures.rel_l2,
            metrics.max_abs.unwrap_or(f64::NAN),
            floor.max_abs
        ));
    }
    if let Some(errors) = &compared.in_run {
        lines.push(format!("    in the run: {}", words::run_errors(errors)));
    }
    lines.extend(compared.judgement.criteria.iter().map(|criterion| {
        let measured =
            criterion.measured.map_or("undefined".to_string(), |measured| format!("{measured:.2e}"));
        format!("    {} {measured}, limit {:.2e}", criterion.kind.name(), criterion.limit)
    }));
    if let Some(worst) = &compared.worst {
        lines.push(format!(
            "    worst element {:?}: candidate {:.6e}, computed {:.6e}",
            worst.index, worst.candidate, worst.reference
        ));
    }
    lines
}

/// The changes that leave least, whatever the verdict.
fn change_lines(oracle: &Oracle<'_>, part: &ComputedPart) -> Vec<String> {
    let Some(trials) = PartTrials::of(oracle, part) else {
        let lacks = "the candidate has none of its outputs in the shape that was computed";
        return vec![format!("  no change can be tried: {lacks}")];
    };
    let words = ChangeWords { part: &part.part, operations: &trials.operations };
    let mut all: Vec<PartTrial> = trials.singles();
    all.sort_by(|a, b| a.left.total_cmp(&b.left));
    let head = format!(
        "  {} changes were tried; off without one by {:.2e}, floor {:.2e}; left by the nearest:",
        trials.count(),
        trials.before,
        trials.floor
    );
    let listed = all.iter().filter(|trial| !trial.says_nothing()).take(LISTED);
    let listed = listed.map(|trial| format!("    {:.2e}  {}", trial.left, words.all(trial)));
    std::iter::once(head).chain(listed).collect()
}
