//! The mutation score of the gate: faults are planted, and it is asked whether it sees them.

mod bench;
mod model_faults;
mod score;
mod tensor_faults;

pub(crate) use bench::Bench;
pub(crate) use score::Score;

use crate::console::Failure;

/// What became of one planted fault.
pub(crate) struct Finding {
    /// What was planted.
    pub(crate) fault: &'static str,
    pub(crate) set: String,
    /// The layer that it was planted in, or the first that it can be seen in.
    pub(crate) layer: String,
    pub(crate) verdict: Verdict,
}

pub(crate) enum Verdict {
    /// With the smallest strength that is seen; `None` where there is only one strength.
    Seen(Option<f64>),
    /// It changes no layer by more than the layer's own noise: the share of the noise floor that it does.
    Equivalent(f64),
    /// Not seen, though it changes a layer by this many noise floors.
    Missed(f64),
}

/// Plants every fault in one set.
pub(crate) fn run(bench: &Bench<'_>) -> Result<Vec<Finding>, Failure> {
    let mut findings = tensor_faults::plant(bench)?;
    findings.extend(model_faults::plant(bench)?);
    Ok(findings)
}
