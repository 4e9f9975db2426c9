//! Where the time of a run goes.

use std::cell::RefCell;
use std::time::Instant;

/// One operation of a run: a convolution or a product with what is fused to it, an attention, a norm.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// timm's name of its module; of two fused ones the first.
    pub name: String,
    /// Wall-clock time.
    pub seconds: f64,
    /// Additions and multiplications of its products; norms and activations are not counted.
    pub flop: f64,
    /// Bytes of weights, input and output, each counted once.
    pub bytes: f64,
}

/// What an operation costs at least.
pub(crate) struct Cost {
    pub(crate) flop: f64,
    pub(crate) bytes: f64,
}

impl Cost {
    /// Reading or writing so many f32.
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

/// Takes the time of each operation, where somebody wants it.
#[derive(Default)]
pub(crate) struct Profiler(RefCell<Option<Vec<Step>>>);

impl Profiler {
    /// One that takes times.
    pub(crate) fn recording() -> Self {
        Profiler(RefCell::new(Some(Vec::new())))
    }

    /// What was recorded.
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
