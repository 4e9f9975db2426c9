//! Two checkpoints, tensor by tensor.

use std::collections::{BTreeMap, BTreeSet};

use encoder::{Architecture, Checkpoint, Settings};
use harness::compare::metrics::Metrics;
use harness::exit_code;
use harness::tensor::Tensor;
use serde::Serialize;

use super::fault::{self, WeightFault};
use super::sides::{StoredWeight, WeightSides};

/// Values of a tensor that are kept, to find it again.
const KEPT: usize = 48;

/// How two checkpoints compare.
#[derive(Debug, Serialize)]
pub(crate) struct WeightParity {
    pub(super) a: ComparedFile,
    pub(super) b: ComparedFile,
    pub(super) exit_code: u8,
    /// In the order of execution, as far as that is known.
    pub(super) tensors: Vec<JudgedWeight>,
    /// Tensors of A that B lacks.
    pub(super) missing_in_b: Vec<String>,
    /// Tensors of B that A lacks.
    pub(super) missing_in_a: Vec<String>,
    /// Tensors of one side that no forward pass reads.
    pub(super) unread: Vec<String>,
}

/// One side.
#[derive(Debug, Serialize)]
pub(super) struct ComparedFile {
    pub(super) file: String,
    pub(super) container: String,
    pub(super) types: BTreeMap<String, usize>,
    pub(super) warnings: Vec<String>,
}

/// One tensor of both.
#[derive(Debug, Serialize)]
pub(super) struct JudgedWeight {
    pub(super) name: String,
    /// A's and B's.
    pub(super) shapes: [Vec<usize>; 2],
    pub(super) types: [String; 2],
    #[serde(flatten)]
    pub(super) agreement: WeightAgreement,
    pub(super) rel_l2: Option<f64>,
    pub(super) rel_linf: Option<f64>,
    pub(super) max_abs: Option<f64>,
    /// Index of the worst element.
    pub(super) worst: Option<usize>,
}

/// How a tensor of B agrees with A's.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "agreement")]
pub(super) enum WeightAgreement {
    /// The same bits.
    Equal,
    /// One is the other rounded to its own type.
    Rounded { to: String },
    /// Within what the steps of their types explain; the largest share of that that is used up.
    WithinSteps { share: f64 },
    /// Not.
    Differs { fault: WeightFault },
}

impl WeightParity {
    pub(crate) fn of(a: &Checkpoint, b: &Checkpoint) -> WeightParity {
        let [of_a, of_b] = [a, b].map(|side| side.names().map(String::from).collect::<BTreeSet<_>>());
        let order = order(a, b);
        let rank: BTreeMap<&str, usize> =
            order.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
        let mut names: Vec<&String> = of_a.intersection(&of_b).collect();
        names.sort_by_key(|name| rank.get(name.as_str()).copied().unwrap_or(usize::MAX));
        let mut kept = BTreeMap::new();
        let mut tensors: Vec<JudgedWeight> = names.iter().map(|name| judge(a, b, name, &mut kept)).collect();
        name_exchanged(a, b, &mut tensors, &kept);

        let is_read = |name: &&String| order.is_empty() || rank.contains_key(name.as_str());
        let only = |these: &BTreeSet<String>, those: &BTreeSet<String>| {
            let mut lone: Vec<&String> = these.difference(those).collect();
            lone.sort_by_key(|name| rank.get(name.as_str()).copied().unwrap_or(usize::MAX));
            lone.into_iter().cloned().partition::<Vec<String>, _>(|name| is_read(&name))
        };
        let (missing_in_b, mut unread) = only(&of_a, &of_b);
        let (missing_in_a, more) = only(&of_b, &of_a);
        unread.extend(more);
        let mut parity = WeightParity {
            a: ComparedFile::of(a),
            b: ComparedFile::of(b),
            exit_code: exit_code::PASSED,
            tensors,
            missing_in_b,
            missing_in_a,
            unread,
        };
        parity.exit_code = parity.code();
        parity
    }

    fn code(&self) -> u8 {
        let of_tensor = |tensor: &JudgedWeight| match &tensor.agreement {
            WeightAgreement::Differs { fault: WeightFault::Unreadable { .. } } => exit_code::UNREADABLE,
            WeightAgreement::Differs { .. } if tensor.shapes[0] != tensor.shapes[1] => exit_code::SHAPE,
            WeightAgreement::Differs { .. } => exit_code::NUMBERS,
            _ => exit_code::PASSED,
        };
        let lacks = !self.missing_in_a.is_empty() || !self.missing_in_b.is_empty() || self.tensors.is_empty();
        let coverage = lacks.then_some(exit_code::COVERAGE);
        exit_code::most_fundamental(self.tensors.iter().map(of_tensor).chain(coverage))
    }

    /// What the command ends with.
    pub(crate) fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl ComparedFile {
    fn of(checkpoint: &Checkpoint) -> ComparedFile {
        let mut types: BTreeMap<String, usize> = BTreeMap::new();
        for kind in checkpoint.names().filter_map(|name| checkpoint.stored_type(name)) {
            *types.entry(kind.to_string()).or_default() += 1;
        }
        ComparedFile {
            file: checkpoint.origin().to_string(),
            container: checkpoint.container().to_string(),
            types,
            warnings: checkpoint.warnings().iter().map(ToString::to_string).collect(),
        }
    }
}

/// The names of what a forward pass reads, in its order; empty where neither side is a whole model.
fn order(a: &Checkpoint, b: &Checkpoint) -> Vec<String> {
    let read = |side| Architecture::read(side, &Settings::default()).ok();
    let [of_a, of_b] = [a, b].map(read);
    let mut names: Vec<String> = Vec::new();
    for architecture in [of_a, of_b].iter().flatten() {
        let mut more: Vec<String> = architecture.tensor_names().collect();
        more.retain(|name| !names.contains(name));
        names.extend(more);
    }
    names
}

/// Some values of a tensor of A, in the order of their places.
type KeptValues = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn sampled(shape: &[usize], values: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let step = (values.len() / KEPT).max(1);
    (shape.to_vec(), values.iter().copied().step_by(step).take(KEPT).collect())
}

fn judge(a: &Checkpoint, b: &Checkpoint, name: &str, kept: &mut KeptValues) -> JudgedWeight {
    let kind = |side: &Checkpoint| side.stored_type(name).map(ToString::to_string).unwrap_or_default();
    let judged = |agreement, metrics: &Metrics| JudgedWeight {
        name: name.to_string(),
        shapes: [a, b].map(|side| side.shape(name).unwrap_or_default().to_vec()),
        types: [kind(a), kind(b)],
        agreement,
        rel_l2: metrics.rel_l2,
        rel_linf: metrics.rel_linf,
        max_abs: metrics.max_abs,
        worst: metrics.worst,
    };
    let read = |side| StoredWeight::read(side, name);
    let (of_a, of_b) = match (read(a), read(b)) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(error), _) | (_, Err(error)) => {
            let fault = WeightFault::Unreadable { text: error.to_string() };
            return judged(WeightAgreement::Differs { fault }, &Metrics::default());
        }
    };
    kept.insert(name.to_string(), sampled(&of_a.shape, &of_a.values));
    let sides = WeightSides { a: &of_a, b: &of_b };
    let agreement = agreement(sides);
    let tensor = |side: &StoredWeight| Tensor::from_f32(side.shape.clone(), side.values.clone());
    let metrics = match (tensor(&of_b), tensor(&of_a)) {
        (Some(b), Some(a)) if a.shape() == b.shape() => Metrics::of(&b, &a),
        _ => Metrics::default(),
    };
    judged(agreement, &metrics)
}

fn agreement(sides: WeightSides<'_>) -> WeightAgreement {
    let (a, b) = (sides.a, sides.b);
    if a.shape != b.shape {
        return WeightAgreement::Differs { fault: fault::find(sides) };
    }
    let finite = |side: &StoredWeight| side.values.iter().all(|x| x.is_finite());
    if !finite(a) || !finite(b) {
        return WeightAgreement::Differs { fault: fault::find(sides) };
    }
    if a.values.iter().zip(&b.values).all(|(a, b)| a.to_bits() == b.to_bits()) {
        return WeightAgreement::Equal;
    }
    for (wide, narrow) in [(a, b), (b, a)] {
        if wide.kind != narrow.kind && fault::is_rounded_to(wide, narrow) {
            return WeightAgreement::Rounded { to: narrow.kind.to_string() };
        }
    }
    if !sides.holds_at(|i| i) {
        return WeightAgreement::Differs { fault: fault::find(sides) };
    }
    let share = |i: usize| {
        let difference = (a.values[i] - b.values[i]).abs();
        if difference == 0.0 { 0.0 } else { f64::from(difference) / f64::from(sides.allowance(i, i)) }
    };
    WeightAgreement::WithinSteps { share: (0..a.len()).map(share).fold(0.0, f64::max) }
}

/// Finds tensors of B that hold another tensor of A's.
fn name_exchanged(a: &Checkpoint, b: &Checkpoint, tensors: &mut [JudgedWeight], kept: &KeptValues) {
    let may_hold_another = |tensor: &JudgedWeight| {
        matches!(
            tensor.agreement,
            WeightAgreement::Differs {
                fault: WeightFault::Unexplained { .. }
                    | WeightFault::BlockScale { .. }
                    | WeightFault::Shape
                    | WeightFault::Factor { .. }
            }
        )
    };
    let holds = |name: &str, other: &str| {
        let (Ok(theirs), Ok(ours)) = (StoredWeight::read(a, other), StoredWeight::read(b, name)) else {
            return false;
        };
        let sides = WeightSides { a: &theirs, b: &ours };
        theirs.shape == ours.shape && sides.holds_at(|i| i)
    };
    for tensor in tensors.iter_mut().filter(|tensor| may_hold_another(tensor)) {
        let Ok(ours) = StoredWeight::read(b, &tensor.name) else { continue };
        let (shape, values) = sampled(&ours.shape, &ours.values);
        let (_, rounding) = sampled(&ours.shape, &ours.rounding);
        let largest = values.iter().fold(0f32, |most, x| most.max(x.abs()));
        // Rounding of A's own type is asked for where the whole tensor is compared.
        let near = |theirs: &[f32]| {
            let pairs = theirs.iter().zip(&values).zip(&rounding);
            pairs
                .into_iter()
                .all(|((theirs, ours), rounding)| (theirs - ours).abs() <= 0.3 * largest + rounding)
        };
        let mut candidates = kept.iter().filter(|(name, (their_shape, theirs))| {
            **name != tensor.name && *their_shape == shape && near(theirs)
        });
        let Some((other, _)) = candidates.find(|(other, _)| holds(&tensor.name, other)) else { continue };
        let fault = match holds(other, &tensor.name) {
            true => WeightFault::Exchanged { with: other.clone() },
            false => WeightFault::HoldsOther { other: other.clone() },
        };
        tensor.agreement = WeightAgreement::Differs { fault };
    }
}
