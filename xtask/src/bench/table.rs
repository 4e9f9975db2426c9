//! What a comparison of engines showed.

use std::fmt::Write;

use super::ceiling::Ceiling;
use super::engine::Engine;

/// The middle of some figures; 0 of none.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => 0.0,
        n if n % 2 == 1 => figures[n / 2],
        n => (figures[n / 2 - 1] + figures[n / 2]) / 2.0,
    }
}

/// Ratios of time within each round, of ours to theirs: what slows a machine for a while slows both.
fn ratio(ours: &Engine, theirs: &Engine) -> f64 {
    median(ours.runs.iter().zip(&theirs.runs).map(|(a, b)| a.seconds / b.seconds))
}

/// What part of the f32 ceiling an engine reaches, which is measured before each round, and its operations a second. More than all
/// of it where units for bf16 are at work, or where fewer products are computed than are counted.
fn share(engine: &Engine, flop: f64, ceilings: &[Ceiling]) -> (f64, f64) {
    let runs = || engine.runs.iter().map(|run| flop / run.seconds);
    (median(runs().zip(ceilings).map(|(rate, ceiling)| rate / ceiling.all)), median(runs()))
}

/// Ratios first, then what each engine took, how exact it was and what memory it needed, and what the machine can do. There is a
/// ceiling for each round.
pub(crate) fn text(engines: &[Engine], ceilings: &[Ceiling]) -> String {
    let mut out = String::new();
    let first = engines.first();
    // All run the same model.
    let flop = engines.iter().flat_map(|engine| &engine.runs).find_map(|run| run.flop);
    let of_ceiling = |engine: &Engine| {
        let share = flop.map(|flop| 100.0 * share(engine, flop, ceilings).0);
        share.map_or_else(String::new, |share| format!("  {share:>3.0} % of the f32 ceiling"))
    };
    for ours in engines.iter().filter(|engine| engine.ours) {
        // The same with taps on stands beside the one without.
        let untapped = first
            .filter(|first| ours.name.strip_prefix(&first.name).is_some_and(|rest| rest == " with taps"));
        if let Some(first) = untapped {
            let _ = writeln!(
                out,
                "{:>5.2} of the time of {:<22} {}{}",
                ratio(ours, first),
                first.name,
                ours.name,
                of_ceiling(ours)
            );
        }
        let same =
            |other: &&Engine| !other.ours && (other.precision == ours.precision || ours.precision != "bf16");
        for theirs in engines.iter().filter(same) {
            // A string never fails to be written to.
            let _ = writeln!(
                out,
                "{:>5.2} of the time of {:<22} {:<24}{}",
                ratio(ours, theirs),
                theirs.name,
                ours.name,
                of_ceiling(ours)
            );
        }
    }
    let _ = writeln!(
        out,
        "\n{:<24} {:>8} {:>17} {:>7} {:>7} {:>9} {:>8} {:>8} {:>8}",
        "engine", "median s", "least - most", "CPU s", "start s", "peak MiB", "GFLOP/s", "ceiling", "rel_l2"
    );
    for engine in engines {
        let seconds = || engine.runs.iter().map(|run| run.seconds);
        let (least, most) =
            seconds().fold((f64::INFINITY, 0.0f64), |(least, most), s| (least.min(s), most.max(s)));
        let rate = flop.map(|flop| share(engine, flop, ceilings));
        let peak = engine.runs.iter().filter_map(|run| run.peak_bytes).fold(0.0, f64::max);
        let _ = writeln!(
            out,
            "{:<24} {:>8.3} {:>17} {:>7.2} {:>7.1} {:>9.0} {:>8} {:>8} {:>8}",
            engine.name,
            median(seconds()),
            format!("{least:.3} - {most:.3}"),
            median(engine.runs.iter().map(|run| run.cpu_seconds)),
            engine.start_seconds,
            peak / f64::from(1 << 20),
            rate.map_or("-".to_string(), |(_, rate)| format!("{:.0}", rate / 1e9)),
            rate.map_or("-".to_string(), |(share, _)| format!("{:.0} %", 100.0 * share)),
            engine.rel_l2.map_or("-".to_string(), |error| format!("{error:.1e}")),
        );
    }
    let _ = writeln!(out);
    for engine in engines {
        let _ = writeln!(out, "{:<24} {}", engine.name, engine.version);
    }
    if let Some(ceiling) = typical(ceilings) {
        let Ceiling { one, all, threads } = ceiling;
        let _ = writeln!(
            out,
            "f32 ceiling: {:.0} GFLOP/s on {threads} threads, {:.0} on one, measured before each round",
            all / 1e9,
            one / 1e9
        );
        if let Some(warning) = ceiling.warning() {
            let _ = writeln!(out, "warning: {warning}");
        }
    }
    out
}

/// The medians of the rounds.
fn typical(ceilings: &[Ceiling]) -> Option<Ceiling> {
    ceilings.first().map(|first| Ceiling {
        one: median(ceilings.iter().map(|ceiling| ceiling.one)),
        all: median(ceilings.iter().map(|ceiling| ceiling.all)),
        ..*first
    })
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([]), 0.0);
    }
}
