//! Where the time of a run goes.

use std::cell::RefCell;
use std::time::Instant;

/// One operation of a run: a convolution or a product with what is fused to it, an attention, a norm.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// timm's name of its module; the first one's if two are fused.
    pub name: String,
    /// Wall-clock time.
    pub seconds: f64,
    /// Additions and multiplications of its products; norms and activations are not counted.
    pub flop: f64,
    /// Bytes of weights, input and output, each counted once.
    pub bytes: f64,
}

impl Step {
    /// The stage that it belongs to, by timm's names: `conv_stem`, `blocks.0` and so on, `msfa`, `embed_vision`.
    pub fn stage(&self) -> &str {
        let parts = if self.name.starts_with("blocks.") { 2 } else { 1 };
        let end = self.name.match_indices('.').nth(parts - 1).map_or(self.name.len(), |(at, _)| at);
        &self.name[..end]
    }

    /// Sums several steps into one of that name.
    pub fn sum(name: &str, steps: &[Step]) -> Step {
        let empty = Step { name: name.to_string(), seconds: 0.0, flop: 0.0, bytes: 0.0 };
        steps.iter().fold(empty, |sum, step| Step {
            seconds: sum.seconds + step.seconds,
            flop: sum.flop + step.flop,
            bytes: sum.bytes + step.bytes,
            ..sum
        })
    }

    /// The steps of each stage summed into one with the stage's name, in the order of execution.
    pub fn by_stage(steps: &[Step]) -> Vec<Step> {
        let stages = steps.chunk_by(|a, b| a.stage() == b.stage());
        stages.map(|steps| Step::sum(steps[0].stage(), steps)).collect()
    }
}

/// The least that an operation costs.
pub(crate) struct Cost {
    pub(crate) flop: f64,
    pub(crate) bytes: f64,
}

impl Cost {
    /// Reading or writing that many f32.
    pub(crate) fn of_elements(elements: usize) -> Cost {
        Cost { flop: 0.0, bytes: (elements * size_of::<f32>()) as f64 }
    }
}

impl std::ops::Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost { flop: self.flop + other.flop, bytes: self.bytes + other.bytes }
    }
}

/// Measures the time of each operation, if asked to.
#[derive(Default)]
pub(crate) struct Profiler(RefCell<Option<Vec<Step>>>);

impl Profiler {
    /// A profiler that measures.
    pub(crate) fn recording() -> Self {
        Profiler(RefCell::new(Some(Vec::new())))
    }

    /// The recorded steps.
    pub(crate) fn into_steps(self) -> Vec<Step> {
        self.0.into_inner().unwrap_or_default()
    }

    /// Runs an operation.
    pub(crate) fn time<R>(&self, name: &str, cost: impl FnOnce() -> Cost, run: impl FnOnce() -> R) -> R {
        if self.0.borrow().is_none() {
            return run();
        }
        let started = Instant::now();
        let result = run();
        let seconds = started.elapsed().as_secs_f64();
        let Cost { flop, bytes } = cost();
        if let Some(steps) = &mut *self.0.borrow_mut() {
            steps.push(Step { name: name.to_string(), seconds, flop, bytes });
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, seconds: f64) -> Step {
        Step { name: name.to_string(), seconds, flop: 10.0 * seconds, bytes: 100.0 * seconds }
    }

    #[test]
    fn stages_are_read_off_names() {
        for (name, stage) in [
            ("conv_stem.conv", "conv_stem"),
            ("blocks.2.9.attn.query.proj", "blocks.2"),
            ("blocks.2", "blocks.2"),
            ("msfa.norm", "msfa"),
            ("embed_vision.embedding_projection", "embed_vision"),
        ] {
            assert_eq!(step(name, 1.0).stage(), stage);
        }
    }

    #[test]
    fn stages_add_up_in_their_order() {
        let steps = [step("blocks.0.0.a", 1.0), step("blocks.0.1.b", 2.0), step("msfa.norm", 4.0)];
        assert_eq!(Step::by_stage(&steps), [step("blocks.0", 3.0), step("msfa", 4.0)]);
        assert_eq!(Step::by_stage(&[]), []);
    }
}
