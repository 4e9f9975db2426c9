//! The mutation score of the gate: faults are planted, and it is asked whether it sees them.

mod bench;
mod equivalence;
#[cfg(test)]
mod located;
mod model_faults;
mod score;
mod tensor_faults;

pub(crate) use bench::TestBed;
pub(crate) use equivalence::{Effect, settle};
pub(crate) use score::Score;

use crate::shell::failure::Failure;

/// What became of one planted fault.
pub(crate) struct Planted {
    /// What was planted.
    pub(crate) fault: &'static str,
    pub(crate) set: String,
    /// The first layer that it changes.
    pub(crate) planted: String,
    /// The first layer that it is seen in; that of `planted` where it is not.
    pub(crate) layer: String,
    /// The kind of part that it was planted in.
    pub(crate) place: &'static str,
    pub(crate) verdict: Verdict,
}

#[derive(Debug)]
pub(crate) enum Verdict {
    Seen {
        /// The smallest strength that is seen; `None` where there is only one strength.
        strength: Option<f64>,
        /// The layers that it changes, and is not seen in, before that.
        late: usize,
    },
    /// Not seen, though it changes a layer by this many noise floors; what it does in f64, where that is known.
    Unseen { floors: f64, effect: Option<Effect> },
    /// Within the limits where it stands, but seen in the same kind of part of another set.
    Equivalent { effect: Effect, seen_in: String },
}

/// Plants every fault in one set.
pub(crate) fn run(bench: &TestBed<'_>) -> Result<Vec<Planted>, Failure> {
    let mut findings = tensor_faults::plant(bench)?;
    findings.extend(model_faults::plant(bench)?);
    Ok(findings)
}
