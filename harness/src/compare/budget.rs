//! What the errors of a run's parts come to at its end.

/// The errors of a layer within its run. What it does wrong by itself, its local error, is in its figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunErrors {
    /// ‖a - b‖ / ‖b‖ of the layer computed from the candidate's inputs (a) and in a run of its own (b): the error that
    /// came in.
    pub inherited: f64,
    /// ‖a - b‖ / ‖b‖ of the candidate (a) and that run (b).
    pub whole: f64,
    /// The inherited error over the whole error of what the part takes.
    pub gain: Option<f64>,
}

/// What the error at the end of a run is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorBudget {
    /// The candidate's last tensor, which this is about.
    pub end: String,
    /// ‖a - b‖ / ‖b‖ of it (a) and of a run of its own (b).
    pub error: f64,
    /// The most that a right candidate has; `None` where its values do not show how it rounds.
    pub limit: Option<f64>,
    /// Whether every tensor was compared and is right.
    pub parts_are_right: bool,
    /// What it is made of, in the order of execution. Empty where nothing is to be explained.
    pub shares: Vec<ErrorShare>,
    /// Parts that multiply the error that comes in most, with how many times; the largest first.
    pub amplifiers: Vec<(String, f64)>,
}

/// What a part adds to the error at the end.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorShare {
    /// Where it comes from.
    pub source: ErrorSource,
    /// The part's own error over its limit, where it is one part.
    pub of_limit: Option<f64>,
    /// ‖d‖ / ‖b‖ of what the end changes by (d) when the part is computed instead of taken from the candidate.
    pub at_end: f64,
    /// Its share of the error at the end, which all of them add up to; negative where it cancels others.
    pub share: f64,
}

/// Where an error comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum ErrorSource {
    /// The candidate's input is another than the run's.
    Input,
    /// A part, or several up to the next tensor that the candidate has.
    Part(String),
    /// All the other parts, so many.
    Others(usize),
}

/// A share that takes this much away, or more, cancels others.
const CANCELS: f64 = -0.1;

impl ErrorBudget {
    /// Whether the end is as near as a right candidate's, as far as that is known.
    pub fn passed(&self) -> bool {
        self.limit.is_none_or(|limit| self.error <= limit)
    }

    /// Shares that cancel others.
    pub fn cancelling(&self) -> impl Iterator<Item = &ErrorShare> {
        self.shares.iter().filter(|share| share.share <= CANCELS)
    }

    /// Whether local errors cancel at the end.
    pub fn cancels(&self) -> bool {
        self.cancelling().next().is_some()
    }
}
