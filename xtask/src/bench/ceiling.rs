//! What the machine itself can do, measured between the runs of the engines.

use encoder::Isa;
use encoder::bench::{f32_ceiling, f32_ceiling_of_all_threads};

/// Multiply-adds of f32 that touch nothing but registers, in floating-point operations a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ceiling {
    /// Of one thread.
    pub(crate) one: f64,
    /// Of all threads at once.
    pub(crate) all: f64,
    pub(crate) threads: usize,
}

impl Ceiling {
    /// On the calling pool's threads.
    pub(crate) fn measure(isa: Isa) -> Ceiling {
        let (all, threads) = f32_ceiling_of_all_threads(isa);
        Ceiling { one: f32_ceiling(isa), all, threads }
    }

    /// What is to be said where the threads get much less than their number promises.
    pub(crate) fn warning(&self) -> Option<String> {
        let times = self.all / self.one;
        let shared = self.threads > 1 && times < 0.75 * self.threads as f64;
        shared.then(|| {
            format!(
                "{} threads do {times:.1} times the multiply-adds of one: their CPUs share a core, or other programs take \
                 their time",
                self.threads
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_share_a_core_are_told() {
        let of = |threads, all| Ceiling { one: 100e9, all, threads }.warning();
        assert_eq!(of(1, 100e9), None);
        assert_eq!(of(2, 190e9), None);
        let told = of(2, 112e9).unwrap_or_default();
        assert!(told.starts_with("2 threads do 1.1 times the multiply-adds of one"), "{told}");
        assert!(of(8, 400e9).is_some());
    }
}
