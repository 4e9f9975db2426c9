//! Where the time of one run goes.

use std::fmt::Write;

use encoder::Step;

/// Time, work and traffic of each operation, and of each stage.
pub(crate) fn text(steps: &[Step]) -> String {
    let mut out = String::new();
    let total: f64 = steps.iter().map(|step| step.seconds).sum();
    let mut line = |name: &str, seconds: f64, flop: f64, bytes: f64| {
        // A string never fails to be written to.
        let _ = writeln!(
            out,
            "{name:<40} {:>8.2} ms {:>5.1} % {:>8.1} GFLOP/s {:>7.2} MB",
            seconds * 1e3,
            100.0 * seconds / total,
            flop / seconds / 1e9,
            bytes / 1e6
        );
    };
    let mut stages: Vec<(&str, [f64; 3])> = Vec::new();
    for step in steps {
        line(&step.name, step.seconds, step.flop, step.bytes);
        let stage = stage(&step.name);
        if stages.last().is_none_or(|(last, _)| *last != stage) {
            stages.push((stage, [0.0; 3]));
        }
        if let Some((_, sums)) = stages.last_mut() {
            for (sum, figure) in sums.iter_mut().zip([step.seconds, step.flop, step.bytes]) {
                *sum += figure;
            }
        }
    }
    for (name, [seconds, flop, bytes]) in stages {
        line(name, seconds, flop, bytes);
    }
    let (flop, bytes) = steps.iter().fold((0.0, 0.0), |(f, b), step| (f + step.flop, b + step.bytes));
    line("total", total, flop, bytes);
    out
}

/// `blocks.2` of `blocks.2.9.attn.query.proj`, `msfa` of `msfa.norm`.
fn stage(name: &str) -> &str {
    let parts = if name.starts_with("blocks.") { 2 } else { 1 };
    let end = name.match_indices('.').nth(parts - 1).map_or(name.len(), |(at, _)| at);
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read_off_names() {
        assert_eq!(stage("blocks.2.9.attn.query.proj"), "blocks.2");
        assert_eq!(stage("msfa.norm"), "msfa");
        assert_eq!(stage("conv_stem.conv"), "conv_stem");
    }

    #[test]
    fn stages_add_up() {
        let step = |name: &str, seconds| Step { name: name.to_string(), seconds, flop: 2e9, bytes: 1e6 };
        let text = text(&[step("blocks.0.0.a", 0.25), step("blocks.0.1.b", 0.25), step("msfa.norm", 0.5)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[3],
            "blocks.0                                   500.00 ms  50.0 %      8.0 GFLOP/s    2.00 MB"
        );
        assert_eq!(
            lines[5],
            "total                                     1000.00 ms 100.0 %      6.0 GFLOP/s    3.00 MB"
        );
    }
}
