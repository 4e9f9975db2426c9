//! Weights tensor by tensor: the same in another container, split into other shards, or taken out of a larger checkpoint.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::tensor::Dtype;

/// XXH3 in 128 bits of each tensor, by name: of its extents (u64, lowest byte first) and of its elements as f32 (lowest byte
/// first, row-major). Which tensors are listed, and under which names, is for whoever lists them: those that the model
/// reads, under names that do not depend on the container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WeightTensors(BTreeMap<String, String>);

impl WeightTensors {
    /// Adds a tensor.
    pub fn insert(&mut self, name: String, shape: &[usize], values: &[f32]) {
        let mut hasher = twox_hash::XxHash3_128::default();
        for extent in shape {
            hasher.write(&(*extent as u64).to_le_bytes());
        }
        let mut bytes = Vec::with_capacity(4 << 12);
        for chunk in values.chunks(1 << 12) {
            bytes.clear();
            bytes.extend(chunk.iter().flat_map(|x| x.to_le_bytes()));
            hasher.write(&bytes);
        }
        self.0.insert(name, format!("{:032x}", hasher.finish_128()));
    }

    /// The tensors that are not the same on both sides, sorted by name. A module (what stands before the first dot) that one
    /// side lacks as a whole, as a part of a larger model does, is no difference: it computes nothing there.
    pub fn differences(&self, other: &WeightTensors) -> Vec<WeightDifference> {
        let names = self.0.keys().chain(other.0.keys().filter(|name| !self.0.contains_key(*name)));
        let mut found: Vec<WeightDifference> = names
            .filter_map(|name| {
                if self.agree_on(name, other) {
                    return None;
                }
                let kind = match (self.0.get(name), other.0.get(name)) {
                    (Some(_), Some(_)) => WeightDifferenceKind::Values,
                    (Some(_), None) if other.has_module_of(name) => WeightDifferenceKind::OnlyCandidate,
                    (None, _) if self.has_module_of(name) => WeightDifferenceKind::OnlyReference,
                    _ => return None,
                };
                Some(WeightDifference { name: name.clone(), kind })
            })
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// Whether both sides have a tensor, and the same one.
    pub fn agree_on(&self, name: &str, other: &WeightTensors) -> bool {
        let hashes = self.0.get(name).zip(other.0.get(name));
        hashes.is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
    }

    fn has_module_of(&self, name: &str) -> bool {
        let module = |name: &str| name.split('.').next().map(String::from);
        self.0.keys().any(|known| module(known) == module(name))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<WeightTensors> for WeightTensors {
    fn from_iter<T: IntoIterator<Item = WeightTensors>>(parts: T) -> WeightTensors {
        WeightTensors(parts.into_iter().flat_map(|part| part.0).collect())
    }
}

/// Tensors of the reference's weights as a narrower type holds them: what a converter of weights makes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundedWeights {
    /// The narrower type.
    pub dtype: Dtype,
    /// The tensors, rounded to it.
    pub tensors: WeightTensors,
}

/// A tensor of the weights that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightDifference {
    /// Its name.
    pub name: String,
    /// In which way.
    pub kind: WeightDifferenceKind,
}

/// In which way a tensor of the weights is not the same on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightDifferenceKind {
    /// Its shape or values differ.
    Values,
    /// Only the candidate's weights have it.
    OnlyCandidate,
    /// Only the reference's weights have it.
    OnlyReference,
}

impl std::fmt::Display for WeightDifference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            WeightDifferenceKind::Values => write!(f, "{}", self.name),
            WeightDifferenceKind::OnlyCandidate => write!(f, "{} (the candidate's only)", self.name),
            WeightDifferenceKind::OnlyReference => write!(f, "{} (the reference's only)", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(tensors: &[(&str, &[usize], &[f32])]) -> WeightTensors {
        let mut all = WeightTensors::default();
        for (name, shape, values) in tensors {
            all.insert(name.to_string(), shape, values);
        }
        all
    }

    #[test]
    fn what_differs_is_named() {
        let a = weights(&[("m.a", &[2], &[1.0, 2.0]), ("m.b", &[1], &[0.0]), ("m.lost", &[1], &[1.0])]);
        assert_eq!(a.differences(&a), []);
        let b = weights(&[
            ("m.a", &[2, 1], &[1.0, 2.0]),
            ("m.b", &[1], &[-0.0]),
            ("m.new", &[1], &[1.0]),
            ("another.whole", &[1], &[1.0]),
        ]);
        let found: Vec<String> = a.differences(&b).iter().map(WeightDifference::to_string).collect();
        assert_eq!(found, ["m.a", "m.b", "m.lost (the candidate's only)", "m.new (the reference's only)"]);
    }

    #[test]
    fn the_hash_is_that_of_extents_and_elements() {
        let one = weights(&[("a", &[1, 2], &[1.0, 2.0])]);
        let bytes: Vec<u8> = [1u64, 2].iter().flat_map(|x| x.to_le_bytes()).collect();
        let values = [1.0f32, 2.0].iter().flat_map(|x| x.to_le_bytes());
        let bytes: Vec<u8> = bytes.into_iter().chain(values).collect();
        let expected = format!("{{\"a\":\"{:032x}\"}}", twox_hash::XxHash3_128::oneshot(&bytes));
        assert_eq!(serde_json::to_string(&one).unwrap(), expected);
    }
}
