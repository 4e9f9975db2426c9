//! What to type or edit after a comparison that failed.

use std::path::Path;

use harness::compare::cause::{Cause, causes};
use harness::compare::comparison::{Comparison, Layer, Run};
use harness::compare::explanation::{Explanation, ExplanationKind};
use harness::compare::remark::RemarkKind;
use harness::exit_code;
use harness::mapping::Mapping;
use harness::mapping::order::ExecutionOrder;

use crate::committed::figures::{self, FigureFile};
use crate::committed::port_baseline::PortBaseline;
use crate::shell::paths;

/// What the advice depends on.
pub(crate) struct Situation<'a> {
    pub(crate) profile: &'a str,
    pub(crate) mapping: &'a Mapping,
    /// Whether the references are those of the checkout, which come back.
    pub(crate) committed: bool,
    /// Whether the candidate is the encoder.
    pub(crate) encoder: bool,
    /// Whether parts were judged by themselves.
    pub(crate) local: bool,
    /// The file of the port's known errors, where they are held against it.
    pub(crate) baseline: Option<&'a Path>,
    /// The command that judges each part of the candidate by itself, where this run did not.
    pub(crate) parts: Option<String>,
    /// Whether it is known already what to do about shapes.
    pub(crate) shapes_are_explained: bool,
}

/// The lines that end the report of a run; what kept a comparison from being made has its own remedy.
pub(crate) fn next_steps(run: &Run, situation: &Situation<'_>) -> Vec<String> {
    let is_unknown = |comparison: &Comparison| matches!(comparison.order, ExecutionOrder::Unknown(_));
    let ordered = !run
        .comparisons
        .iter()
        .any(|comparison| comparison.failures().next().is_some() && is_unknown(comparison));
    let all = causes(run);
    // What says how files that are not as recorded come back says it of those that cannot be read.
    let is_said = |cause: &Cause| *cause == Cause::Unreadable && all.contains(&Cause::NotAsRecorded);
    let mut steps: Vec<String> = all
        .iter()
        .copied()
        .filter(|cause| !is_said(cause))
        .filter(|cause| !is_explained(*cause, run))
        .filter(|cause| *cause != Cause::Shape || !situation.shapes_are_explained)
        .filter(|cause| *cause != Cause::Numbers || !is_of_precision(run))
        .map(|cause| step(cause, ordered, run, situation))
        .collect();
    if explanations(run).any(|found| matches!(found.kind, ExplanationKind::NotGoneOnWith { .. })) {
        steps.push(
            "write each tensor where it is computed; in ggml ggml_set_output keeps its memory from being used again"
                .to_string(),
        );
    }
    if explanations(run).any(|found| found.kind.is_line_of_mapping()) {
        steps.push(match situation.mapping.path.is_file() {
            // What the user wrote is the user's to edit.
            true if !paths::is_default(situation.mapping) => {
                format!("write that line into {}", paths::shown(&situation.mapping.path))
            }
            true => format!(
                "write that line into a copy of the mapping:\ncp {} port.toml, then --mapping port.toml",
                paths::shown(&situation.mapping.path)
            ),
            false => "write that into a mapping of your own, and name it: --mapping FILE".to_string(),
        });
    }
    steps
}

fn explanations(run: &Run) -> impl Iterator<Item = &Explanation> {
    run.comparisons.iter().flat_map(|comparison| &comparison.explanations)
}

/// Whether what explains a cause says what to do as well, of all that failed by it.
fn is_explained(cause: Cause, run: &Run) -> bool {
    run.comparisons.iter().all(|comparison| match cause {
        Cause::Coverage => comparison.names_are_explained(),
        Cause::Shape => are_explained(comparison, exit_code::SHAPE, ExplanationKind::is_of_extents),
        Cause::Numbers => are_explained(comparison, exit_code::NUMBERS, ExplanationKind::is_final),
        Cause::Unreadable => are_explained(comparison, exit_code::UNREADABLE, |kind| {
            matches!(kind, ExplanationKind::IntegersOf { .. })
        }),
        _ => false,
    })
}

/// Whether each comparison that failed in its numbers is within the limits of another profile, which its remark names.
fn is_of_precision(run: &Run) -> bool {
    let failed = |comparison: &&Comparison| comparison.exit_code() == exit_code::NUMBERS;
    let named = |comparison: &Comparison| {
        comparison.remarks.iter().any(|remark| matches!(remark.kind, RemarkKind::WithinProfile { .. }))
    };
    run.comparisons.iter().filter(failed).all(named)
}

/// Whether one of the fitting explanations holds for each layer that failed with a code; a change that explains most of them
/// explains what follows from it too.
fn are_explained(comparison: &Comparison, code: u8, fits: impl Fn(&ExplanationKind) -> bool) -> bool {
    let fitting = || comparison.explanations.iter().filter(|found| fits(&found.kind));
    let whole = fitting().any(|found| found.kind.is_of_the_whole());
    let mut failing = comparison.layers.iter().filter(|layer| layer.exit_code() == code);
    failing.all(|layer| {
        whole || fitting().any(|found| found.explains.iter().any(|name| name == layer.pair_name()))
    })
}

/// Whether the layer after the first that failed fails too; parts that are judged by themselves inherit nothing.
fn inherited(run: &Run) -> bool {
    let numbers = |layer: &&Layer| layer.exit_code() == exit_code::NUMBERS;
    let local = |comparison: &Comparison| {
        comparison.remarks.iter().any(|remark| matches!(remark.kind, RemarkKind::JudgedLocally { .. }))
    };
    run.comparisons.iter().filter(|comparison| !local(comparison)).any(|comparison| {
        let after = comparison.layers.iter().skip_while(|layer| !numbers(layer)).nth(1);
        after.is_some_and(|layer| numbers(&layer))
    })
}

/// Whether the extents of most tensors fit, the first one's among them.
fn most_fit(run: &Run) -> bool {
    let fits = |layer: &Layer| layer.exit_code() != exit_code::SHAPE;
    run.comparisons.iter().all(|comparison| {
        let layers = &comparison.layers;
        let misfits = layers.iter().filter(|layer| !fits(layer)).count();
        layers.first().is_none_or(fits) && 4 * misfits < layers.len()
    })
}

/// How a port's known errors are measured anew.
fn port_baseline(why: &str, file: &Path) -> String {
    let baseline = PortBaseline { file };
    format!("{why}:\n{}\n{}", baseline.measure_again(), baseline.review_again())
}

fn step(cause: Cause, ordered: bool, run: &Run, situation: &Situation<'_>) -> String {
    let Situation { profile, committed, encoder, local, .. } = situation;
    // What is built in is no file to edit.
    let mapping = match situation.mapping.path.is_file() {
        true => paths::shown(&situation.mapping.path),
        false => "a mapping of your own (--mapping FILE)".to_string(),
    };
    match (cause, situation.baseline) {
        (Cause::Gaps, Some(file)) => {
            return port_baseline("where tensors were added or taken away on purpose", file);
        }
        (Cause::Worse, Some(file)) => return port_baseline("where a layer is worse on purpose", file),
        _ => {}
    }
    match cause {
        Cause::Unreadable if *committed && *encoder => "git restore fixtures".to_string(),
        Cause::Unreadable => "write the unreadable files again, into an empty folder".to_string(),
        Cause::NotAsRecorded => {
            let set = match committed {
                true => "a set: git restore fixtures, then cargo xtask fixtures check",
                false => "a set: restore its files, or make it anew",
            };
            format!("a dump: write it again with its program, into an empty folder\n{set}")
        }
        Cause::Coverage => {
            let check = match situation.mapping.path.is_file() {
                true => format!("\ncargo xtask mapping check {mapping}"),
                false => String::new(),
            };
            format!(
                "dump what is missing, say in {mapping} what belongs together, or put what has no partner under \
                 [[ignore]], with a reason{check}\nnames of your own: cargo xtask mapping suggest finds the pairs by their \
                 values"
            )
        }
        Cause::Evidence => "compare with an input and weights that give different values".to_string(),
        Cause::Listed => "where that is meant: cargo xtask baseline review, which adds what is new, and with --accept-coverage \
                          takes off what is gone"
            .to_string(),
        Cause::Gaps => format!(
            "where entries are missing: git restore baselines, or, for the set that lacks them\n\
             {} --set NAME\n{} --set NAME",
            FigureFile::Tolerances.again(profile),
            FigureFile::Errors.again(profile)
        ),
        Cause::Shape if *local && most_fit(run) => "what comes before and after it fits: write that tensor whole, with its axes in the order of the others"
            .to_string(),
        Cause::Shape if *local => {
            "was the port given the picture of --input, in that size? --resize and --processor say how it was prepared"
                .to_string()
        }
        Cause::Shape => "was the port given the same input as the reference?".to_string(),
        Cause::Numbers if !ordered => {
            "which layer parts first is unknown: say in the mapping in which order they are\n\
             computed (`order`), or compare with a set, whose manifest lists them in order"
                .to_string()
        }
        Cause::Numbers => {
            let after = if inherited(run) { "; what comes after it inherits its error" } else { "" };
            let parts = match &situation.parts {
                Some(command) => format!(
                    "which parts are wrong by themselves, and why; --weights is the file that the port read:\n{command}\n"
                ),
                None => String::new(),
            };
            format!(
                "look at the first failing layer{after}\n{parts}\
                 --verbose shows every layer and the reference's names, --report html=FILE its\nmaps and every figure"
            )
        }
        Cause::Worse => format!(
            "where a layer is worse on purpose:\ncargo xtask baseline measure{0}\n\
             cargo xtask baseline review{0}",
            figures::option(profile)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user with a dump and a reference.
    fn user_of(mapping: &Mapping) -> Situation<'_> {
        Situation {
            profile: "f32",
            mapping,
            committed: false,
            encoder: false,
            local: false,
            baseline: None,
            parts: None,
            shapes_are_explained: false,
        }
    }

    #[test]
    fn no_layer_is_called_the_first_where_the_order_is_unknown() {
        let mapping = paths::mapping(None).unwrap();
        let situation = user_of(&mapping);
        assert!(step(Cause::Numbers, true, &Run::default(), &situation).contains("first failing layer"));
        assert!(!step(Cause::Numbers, false, &Run::default(), &situation).contains("first failing layer"));
    }

    #[test]
    fn no_step_sends_a_user_to_restore_files_of_their_own() {
        let mapping = paths::mapping(None).unwrap();
        let all = [Cause::Unreadable, Cause::NotAsRecorded, Cause::Coverage, Cause::Shape, Cause::Numbers];
        let situation = user_of(&mapping);
        for cause in all {
            let step = step(cause, true, &Run::default(), &situation);
            assert!(!step.is_empty() && !step.contains("git restore"), "{step}");
        }
    }
}
