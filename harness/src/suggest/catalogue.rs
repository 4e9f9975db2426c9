//! The tensors of a side, with their signatures, and how near those of both sides are to each other.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::closeness::{HeldTensor, Sample, Trial, hold_against};
use super::signature::Signature;
use crate::provenance::Dump;
use crate::store::{StoreError, TensorProblem};

/// A tensor is held against this many of the other side, those that are most like it in their signatures.
const SHORTLIST: usize = 16;

/// A tensor of a side.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) signature: Signature,
}

/// The tensors of a side.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// In the order of execution where it is known, else by name.
    pub(super) tensors: Vec<Listed>,
    /// Those that hold no floating-point numbers, with what they hold.
    pub(super) other_types: Vec<(String, String)>,
}

impl Catalogue {
    /// Reads every tensor once.
    ///
    /// # Errors
    /// Whatever the store says.
    pub(super) fn of(dump: &Dump, names: &[String]) -> Result<Catalogue, StoreError> {
        let read = |name: &String| -> Result<Result<Listed, String>, StoreError> {
            let tensor = match dump.open_tensor(name) {
                Ok(tensor) => tensor,
                // Integers of two bytes may be bf16, which the mapping would have to say.
                Err(StoreError {
                    problem: TensorProblem::Dtype { found, two_byte_integers: false }, ..
                }) => {
                    return Ok(Err(found));
                }
                Err(error) => return Err(error),
            };
            let (shape, signature) = (tensor.shape().to_vec(), Signature::of(&tensor)?);
            Ok(Ok(Listed { name: name.clone(), shape, signature }))
        };
        let read: Vec<_> = names.par_iter().map(read).collect::<Result<_, _>>()?;
        let mut catalogue = Catalogue::default();
        for (name, read) in names.iter().zip(read) {
            match read {
                Ok(listed) => catalogue.tensors.push(listed),
                Err(found) => catalogue.other_types.push((name.clone(), found)),
            }
        }
        Ok(catalogue)
    }

    /// Whether two tensors hold the same values, each as often, in whatever order.
    pub(super) fn twins(&self, a: usize, b: usize) -> bool {
        a == b || self.tensors[a].signature.same_values(&self.tensors[b].signature)
    }

    /// The names of the others with its values.
    pub(super) fn twins_of(&self, a: usize) -> impl Iterator<Item = &str> {
        let twins = (0..self.tensors.len()).filter(move |b| *b != a && self.twins(a, *b));
        twins.map(|b| self.tensors[b].name.as_str())
    }

    /// The place of a tensor.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.tensors.iter().position(|listed| listed.name == name)
    }
}

/// Two tensors, by their places in the catalogues of candidate and reference.
pub(super) type Places = (usize, usize);

/// Both sides, and how near their tensors are to each other.
pub(super) struct Catalogues<'a> {
    dumps: [&'a Dump; 2],
    pub(super) candidate: Catalogue,
    pub(super) reference: Catalogue,
    pub(super) trials: BTreeMap<Places, Trial>,
    /// For each reference the candidates that it was held against.
    held: BTreeMap<usize, Vec<usize>>,
}

impl<'a> Catalogues<'a> {
    /// Reads both sides, and holds each tensor against those of the other side that are most like it.
    ///
    /// # Errors
    /// Whatever the stores say.
    pub(super) fn of(
        candidate: (&'a Dump, &[String]),
        reference: (&'a Dump, &[String]),
    ) -> Result<Catalogues<'a>, StoreError> {
        let dumps = [candidate.0, reference.0];
        let candidate = Catalogue::of(candidate.0, candidate.1)?;
        let reference = Catalogue::of(reference.0, reference.1)?;
        let wanted = shortlist(&candidate, &reference);
        let (trials, held) = (BTreeMap::new(), BTreeMap::new());
        let mut catalogues = Catalogues { dumps, candidate, reference, trials, held };
        catalogues.hold(wanted.into_iter())?;
        Ok(catalogues)
    }

    /// The pairs that share a tensor with this one.
    pub(super) fn rivals(&self, (c, r): Places) -> impl Iterator<Item = (Places, &Trial)> {
        let of_candidate = self.trials.range((c, 0)..=(c, usize::MAX)).map(|(pair, trial)| (*pair, trial));
        let of_reference = self.held.get(&r).into_iter().flatten();
        let of_reference = of_reference.filter_map(move |c| Some(((*c, r), self.trials.get(&(*c, r))?)));
        of_candidate.chain(of_reference).filter(move |(pair, _)| *pair != (c, r))
    }

    /// Holds pairs against each other; one candidate for each thread is in memory.
    fn tried(&self, wanted: &[Places]) -> Result<Vec<(Places, Trial)>, StoreError> {
        let mut of_candidate: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut samples: BTreeMap<usize, Option<Sample>> = BTreeMap::new();
        for (c, r) in wanted {
            of_candidate.entry(*c).or_default().push(*r);
            samples.insert(*r, None);
        }
        let [candidate, reference] = self.dumps;
        samples.par_iter_mut().try_for_each(|(r, sample)| {
            let tensor = reference.open_tensor(&self.reference.tensors[*r].name)?;
            *sample = Some(Sample::of(&tensor)?);
            Ok::<(), StoreError>(())
        })?;
        let against = |(c, references): (&usize, &Vec<usize>)| -> Result<Vec<_>, StoreError> {
            let held = HeldTensor::of(candidate.open_tensor(&self.candidate.tensors[*c].name)?)?;
            let mut trials = Vec::new();
            for r in references {
                let Some(Some(sample)) = samples.get(r) else { continue };
                let trial = hold_against(&held, sample, &self.reference.tensors[*r].shape)?;
                trials.extend(trial.map(|trial| ((*c, *r), trial)));
            }
            Ok(trials)
        };
        let trials: Vec<Vec<_>> = of_candidate.par_iter().map(against).collect::<Result<_, _>>()?;
        Ok(trials.into_iter().flatten().collect())
    }

    /// Holds further pairs against each other.
    ///
    /// # Errors
    /// Whatever the stores say.
    pub(super) fn hold(&mut self, pairs: impl Iterator<Item = Places>) -> Result<(), StoreError> {
        let wanted: Vec<Places> = pairs.filter(|pair| !self.trials.contains_key(pair)).collect();
        for (pair, trial) in self.tried(&wanted)? {
            self.held.entry(pair.1).or_default().push(pair.0);
            self.trials.insert(pair, trial);
        }
        Ok(())
    }
}

/// For each tensor the pairs with those of the other side that are most like it, of its length.
fn shortlist(candidate: &Catalogue, reference: &Catalogue) -> Vec<Places> {
    let mut wanted = Vec::new();
    let unlike = |c: usize, r: usize| {
        let (c, r) = (&candidate.tensors[c].signature, &reference.tensors[r].signature);
        if c.len == r.len { c.unlikeness(r) } else { f64::INFINITY }
    };
    let mut nearest = |others: usize, unlikeness: &dyn Fn(usize) -> f64, pair: &dyn Fn(usize) -> Places| {
        let mut near: Vec<(f64, usize)> = (0..others)
            .map(|other| (unlikeness(other), other))
            .filter(|(unlike, _)| unlike.is_finite())
            .collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        wanted.extend(near.into_iter().take(SHORTLIST).map(|(_, other)| pair(other)));
    };
    for c in 0..candidate.tensors.len() {
        nearest(reference.tensors.len(), &|r| unlike(c, r), &|r| (c, r));
    }
    for r in 0..reference.tensors.len() {
        nearest(candidate.tensors.len(), &|c| unlike(c, r), &|c| (c, r));
    }
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}
