//! Where the time of one run goes.

use std::fmt::Write;

use encoder::Step;

/// Time, work and traffic of each operation, and of each stage.
pub(crate) fn text(steps: &[Step]) -> String {
    let mut out = String::new();
    let total = Step::sum("total", steps);
    let stages = Step::by_stage(steps);
    for Step { name, seconds, flop, bytes } in steps.iter().chain(&stages).chain([&total]) {
        // A string never fails to be written to.
        let _ = writeln!(
            out,
            "{name:<40} {:>8.2} ms {:>5.1} % {:>8.1} GFLOP/s {:>7.2} MB",
            seconds * 1e3,
            100.0 * seconds / total.seconds,
            flop / seconds / 1e9,
            bytes / 1e6
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_and_the_total_come_last() {
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
