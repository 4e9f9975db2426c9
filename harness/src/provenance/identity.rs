//! What tensors were computed from.

use serde::{Deserialize, Serialize};

use super::settings::{self, SettingFacts};
use super::sha256::{Hashed, hash_values};
use super::weight_tensors::{RoundedWeights, WeightDifference, WeightTensors};
use crate::text::facts::{Facts, Factual};

/// Two sides whose numbers say nothing about each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum ProvenanceError {
    #[error(
        "candidate and reference were computed with different {what}: sha256 {} ({}) and {} ({}); \
         their numbers say nothing about each other",
        short(&candidate.sha256), candidate.file, short(&reference.sha256), reference.file
    )]
    Different { what: &'static str, candidate: Hashed, reference: Hashed },
    #[error(
        "candidate and reference were computed with different weights ({candidate} and {reference}): {}; their numbers say \
         nothing about each other",
        named(differences, *of)
    )]
    Weights { differences: Vec<WeightDifference>, of: usize, candidate: String, reference: String },
    #[error(
        "candidate and reference were computed with different settings: {setting} {candidate} and {reference}; \
         their numbers say nothing about each other"
    )]
    Settings { setting: String, candidate: String, reference: String },
}

impl Factual for ProvenanceError {
    fn facts(&self) -> Facts {
        match self {
            ProvenanceError::Different { what, candidate, reference } => Facts::of(
                "different_origins",
                [
                    ("of", what.to_string()),
                    ("candidate_file", candidate.file.clone()),
                    ("candidate_sha256", candidate.sha256.clone()),
                    ("reference_file", reference.file.clone()),
                    ("reference_sha256", reference.sha256.clone()),
                ],
            ),
            ProvenanceError::Weights { differences, of, candidate, reference } => {
                let tensors: Vec<&str> = differences.iter().map(|found| found.name.as_str()).collect();
                Facts::of(
                    "different_weights",
                    [
                        ("candidate_file", candidate.clone()),
                        ("reference_file", reference.clone()),
                        ("differing", tensors.join(", ")),
                        ("of", of.to_string()),
                    ],
                )
            }
            ProvenanceError::Settings { setting, candidate, reference } => Facts::of(
                "different_settings",
                [
                    ("setting", setting.clone()),
                    ("candidate", candidate.clone()),
                    ("reference", reference.clone()),
                ],
            ),
        }
    }
}

fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

/// The tensors that differ: as many names as fit into a line or two, and how many there are.
fn named(differences: &[WeightDifference], of: usize) -> String {
    const SHOWN: usize = 3;
    let names: Vec<String> = differences.iter().take(SHOWN).map(WeightDifference::to_string).collect();
    let count = differences.len();
    match count {
        1 => format!("1 of {of} tensors differs: {}", names.concat()),
        2..=SHOWN => format!("{count} of {of} tensors differ: {}", names.join(", ")),
        _ => format!("{count} of {of} tensors differ, the first {SHOWN}: {}", names.join(", ")),
    }
}

/// What an input decodes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputTensor {
    /// `[batch, channels, height, width]`.
    pub shape: Vec<usize>,
    /// SHA-256 of the f32 values in row-major order, the lowest byte of each first.
    pub sha256: String,
}

impl InputTensor {
    /// Hashes a decoded input.
    pub fn of(shape: &[usize], values: &[f32]) -> InputTensor {
        InputTensor { shape: shape.to_vec(), sha256: hash_values(values) }
    }
}

/// What tensors were computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The weights, where they are known.
    pub weights: Option<Hashed>,
    /// Their tensors, where they are known; two files may hold the same ones.
    pub weight_tensors: Option<WeightTensors>,
    /// The input's file, where it is known.
    pub input: Option<Hashed>,
    /// What it decodes to, where that is known; two files may hold the same pixels.
    pub input_tensor: Option<InputTensor>,
    /// What the weights do not show, as far as it is known.
    pub settings: SettingFacts,
}

impl Identity {
    /// Whether it says what weights and input there were.
    pub fn is_whole(&self) -> bool {
        self.weights.is_some() && self.input.is_some()
    }
}

/// Refuses sides that were computed from different weights, inputs or settings, as far as they are known. Weights are the
/// same where each tensor is, or is among the `rounded` ones of the reference; inputs where they decode to the same values;
/// where that is not recorded of both sides, where their files are the same.
///
/// # Errors
/// The first difference.
pub fn check(
    candidate: &Identity,
    reference: &Identity,
    rounded: &[RoundedWeights],
) -> Result<(), ProvenanceError> {
    let same_file = |a: &Hashed, b: &Hashed| a.sha256.eq_ignore_ascii_case(&b.sha256);
    let different = |what, candidate: &Hashed, reference: &Hashed| {
        let (candidate, reference) = (candidate.clone(), reference.clone());
        Err(ProvenanceError::Different { what, candidate, reference })
    };
    if let (Some(ours), Some(theirs)) = (&candidate.weights, &reference.weights)
        && !same_file(ours, theirs)
    {
        let (Some(a), Some(b)) = (&candidate.weight_tensors, &reference.weight_tensors) else {
            return different("weights", ours, theirs);
        };
        let is_rounded = |name: &str| rounded.iter().any(|rounded| rounded.tensors.agree_on(name, a));
        let mut differences = a.differences(b);
        differences.retain(|difference| !is_rounded(&difference.name));
        if !differences.is_empty() {
            let (candidate, reference) = (ours.file.clone(), theirs.file.clone());
            let of = a.len().max(b.len());
            return Err(ProvenanceError::Weights { differences, of, candidate, reference });
        }
    }
    if let (Some(ours), Some(theirs)) = (&candidate.input, &reference.input) {
        match (&candidate.input_tensor, &reference.input_tensor) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => {
                let of = |hashed: &Hashed, tensor: &InputTensor| Hashed {
                    file: format!("{}, {:?}", hashed.file, tensor.shape),
                    sha256: tensor.sha256.clone(),
                };
                return different("inputs", &of(ours, a), &of(theirs, b));
            }
            _ if same_file(ours, theirs) => {}
            _ => return different("inputs", ours, theirs),
        }
    }
    if let Some((setting, candidate, reference)) =
        settings::difference(&candidate.settings, &reference.settings)
    {
        return Err(ProvenanceError::Settings { setting, candidate, reference });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Dtype;

    fn check(candidate: &Identity, reference: &Identity) -> Result<(), ProvenanceError> {
        super::check(candidate, reference, &[])
    }

    fn identity() -> Identity {
        let hashed = |sha256: &str| Hashed { file: "f".into(), sha256: sha256.into() };
        Identity {
            weights: Some(hashed("1111")),
            weight_tensors: None,
            input: Some(hashed("2222")),
            input_tensor: None,
            settings: [("padding".to_string(), "same".into())].into(),
        }
    }

    #[test]
    fn other_weights_another_input_or_other_settings_are_refused() {
        let a = identity();
        assert!(check(&a, &a).is_ok());
        let other = Hashed { file: "g".into(), sha256: "3333".into() };
        let message = |other: Identity| check(&a, &other).unwrap_err().to_string();
        let messages = [
            message(Identity { weights: Some(other.clone()), ..a.clone() }),
            message(Identity { input: Some(other), ..a.clone() }),
            message(Identity { settings: [("padding".to_string(), "symmetric".into())].into(), ..a.clone() }),
        ];
        insta::assert_snapshot!(messages.join("\n"), @r"
        candidate and reference were computed with different weights: sha256 1111 (f) and 3333 (g); their numbers say nothing about each other
        candidate and reference were computed with different inputs: sha256 2222 (f) and 3333 (g); their numbers say nothing about each other
        candidate and reference were computed with different settings: padding same and symmetric; their numbers say nothing about each other
        ");
        assert!(check(&a, &Identity { settings: SettingFacts::new(), ..a.clone() }).is_ok());
        // What is not known is no difference.
        assert!(check(&a, &Identity { weights: None, ..a.clone() }).is_ok());
        assert!(check(&Identity { input: None, ..a.clone() }, &a).is_ok());
    }

    #[test]
    fn weights_are_the_same_where_each_tensor_is() {
        let of = |sha256: &str, tensors: &[(&str, f32)]| {
            let mut weight_tensors = WeightTensors::default();
            for (name, value) in tensors {
                weight_tensors.insert(name.to_string(), &[1], &[*value]);
            }
            let weights = Some(Hashed { file: "f".into(), sha256: sha256.into() });
            Identity { weights, weight_tensors: Some(weight_tensors), ..identity() }
        };
        let a = of("1111", &[("m.a", 1.0), ("m.b", 2.0)]);
        assert!(check(&a, &of("3333", &[("m.a", 1.0), ("m.b", 2.0)])).is_ok());
        let message = check(&a, &of("3333", &[("m.a", 1.0), ("m.b", 3.0)])).unwrap_err().to_string();
        insta::assert_snapshot!(message, @"candidate and reference were computed with different weights (f and f): 1 of 2 tensors differs: m.b; their numbers say nothing about each other");
        let many = of("3333", &[("m.a", 2.0), ("m.b", 3.0), ("m.c", 1.0), ("m.d", 1.0)]);
        insta::assert_snapshot!(check(&a, &many).unwrap_err().to_string(), @"candidate and reference were computed with different weights (f and f): 4 of 4 tensors differ, the first 3: m.a, m.b, m.c (the reference's only); their numbers say nothing about each other");
        assert!(check(&a, &Identity { weight_tensors: None, ..many }).is_err());
    }

    #[test]
    fn weights_that_are_the_references_rounded_are_its_own() {
        let of = |tensors: &[(&str, f32)]| {
            let mut weight_tensors = WeightTensors::default();
            tensors.iter().for_each(|(name, value)| weight_tensors.insert(name.to_string(), &[1], &[*value]));
            weight_tensors
        };
        let identity_of = |sha256: &str, tensors: &[(&str, f32)]| {
            let weights = Some(Hashed { file: "f".into(), sha256: sha256.into() });
            Identity { weights, weight_tensors: Some(of(tensors)), ..identity() }
        };
        let reference = identity_of("1111", &[("m.a", 1.0), ("m.b", 0.1)]);
        let halves = RoundedWeights { dtype: Dtype::F16, tensors: of(&[("m.b", 0.099_975_586)]) };
        let rounded = identity_of("3333", &[("m.a", 1.0), ("m.b", 0.099_975_586)]);
        assert!(super::check(&rounded, &reference, &[]).is_err());
        assert_eq!(super::check(&rounded, &reference, std::slice::from_ref(&halves)), Ok(()));
        // The other tensor is another one all the same.
        let other = identity_of("4444", &[("m.a", 2.0), ("m.b", 0.099_975_586)]);
        let message = super::check(&other, &reference, &[halves]).unwrap_err().to_string();
        assert!(message.contains("1 of 2 tensors differs: m.a"), "{message}");
    }

    #[test]
    fn inputs_are_the_same_where_they_decode_to_the_same() {
        let of = |sha256: &str, shape: &[usize], values: &[f32]| Identity {
            input: Some(Hashed { file: "f".into(), sha256: sha256.into() }),
            input_tensor: Some(InputTensor::of(shape, values)),
            ..identity()
        };
        let a = of("2222", &[1, 1, 1, 2], &[0.25, 0.5]);
        assert!(check(&a, &of("3333", &[1, 1, 1, 2], &[0.25, 0.5])).is_ok());
        for other in [of("2222", &[1, 1, 1, 2], &[0.5, 0.25]), of("2222", &[1, 1, 2, 1], &[0.25, 0.5])] {
            assert!(check(&a, &other).unwrap_err().to_string().contains("different inputs"));
        }
        let unknown = Identity { input_tensor: None, ..of("3333", &[1], &[0.0]) };
        assert!(check(&a, &unknown).is_err());
        assert!(check(&a, &Identity { input: a.input.clone(), ..unknown }).is_ok());
    }
}
