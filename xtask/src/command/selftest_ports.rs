use std::process::ExitCode;
use std::time::Instant;

use encoder::reference::{ReferenceModel, Rounding};
use harness::exit_code;

use crate::encode::arguments::EncoderArguments;
use crate::encode::input::read_input;
use crate::gate::local::planted::{PlantedInPart, PlantedOutcome, plant};
use crate::gate::local::score::{CalledBy, PortScore, named};
use crate::shell::console::say;
use crate::shell::failure::{CommandResult, Failure};
use crate::shell::paths;

/// The committed set whose model is the simulated port's.
const SET: &str = "blocks";
/// The accepted score.
const FILE: &str = "selftest.ports.json";

/// Plants faults in a simulated port, and holds the score against the accepted one.
pub(super) fn run(verbose: bool, accept: bool) -> CommandResult {
    let started = Instant::now();
    let set = paths::required_fixtures()?.join(SET);
    let encoder = EncoderArguments::default();
    let pool = encoder.pool()?;
    let checkpoint = encoder.open_named(&set.join("model.safetensors"))?;
    let settings = encoder.settings(encoder::Settings::default());
    let model =
        ReferenceModel::new(&checkpoint, &settings, Rounding::GgmlF16).map_err(Failure::unreadable)?;
    let image = read_input(&set.join("input.png"))?;
    let planted = pool.install(|| plant(&model, &image))?;
    for one in planted.iter().filter(|one| verbose || !is_named(one)) {
        say(&described(one));
    }
    let score = PortScore::of(&planted);
    say(&score.table());
    let total = score.total();
    let told = total.planted - total.equivalent;
    let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
    say(&format!(
        "score: {} of {told} seen, {:.1} %; {} of these called by their name first, {:.1} %; {} tied, {} with another number, {} by a wrong name, {} \
         unexplained; {} equivalent",
        total.seen,
        percent(total.seen, told),
        total.first,
        percent(total.first, total.seen),
        total.tied,
        total.number_off,
        total.wrong,
        total.unexplained,
        total.equivalent
    ));
    say(&format!("{:.1} s", started.elapsed().as_secs_f64()));
    let path = paths::baselines().unwrap_or_default().join(FILE);
    if accept {
        let text = serde_json::to_string_pretty(&score).map_err(Failure::unreadable)?;
        harness::files::atomic::write(&path, |out| writeln!(out, "{text}"))
            .map_err(|error| Failure::write(&path, &error))?;
        say(&format!("{}: accepted", paths::shown(&path)));
        return Ok(ExitCode::SUCCESS);
    }
    let accepted = harness::files::regular::read_text(&path).map_err(|error| error.to_string());
    let accepted = accepted.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
    let accepted: PortScore = accepted.map_err(|error| {
        Failure::usage(
            format!("{}: {error}", paths::shown(&path)),
            "git restore baselines, or take today's score: cargo xtask selftest --ports --accept",
        )
    })?;
    let shortfalls = score.shortfalls(&accepted);
    shortfalls.iter().for_each(|shortfall| say(&format!("fell: {shortfall}")));
    if shortfalls.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    say("next: if the loss is meant: cargo xtask selftest --ports --accept");
    Ok(ExitCode::from(exit_code::NUMBERS))
}

/// Whether nothing is to be said of a fault: it is told by its name, or cannot be told.
fn is_named(one: &PlantedInPart) -> bool {
    match &one.outcome {
        PlantedOutcome::Equivalent => true,
        PlantedOutcome::Missed => false,
        PlantedOutcome::Seen(verdict) => named(verdict, &one.changes) == CalledBy::First,
    }
}

fn described(one: &PlantedInPart) -> String {
    let PlantedInPart { part, changes, outcome } = one;
    let outcome = match outcome {
        PlantedOutcome::Equivalent => "changes nothing that could be told".to_string(),
        PlantedOutcome::Missed => "MISSED".to_string(),
        PlantedOutcome::Seen(verdict) => {
            let nearest = || {
                let nearest = verdict.nearest.as_ref().map(|near| (&near.changes, near.left));
                format!("nearest of {}: {nearest:?}, off by {:.1e}", verdict.tried, verdict.before)
            };
            let said = verdict.best.as_ref().map_or_else(nearest, |best| {
                format!(
                    "{:?}, {:.1e} for {:.1e}, margin {:.1}",
                    best.changes, best.left, verdict.before, verdict.margin
                )
            });
            format!("{:?}: {said}", named(verdict, changes))
        }
    };
    format!("{part}: {changes:?}: {outcome}")
}
