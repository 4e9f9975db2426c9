//! How near a candidate's values are to a reference's, on a sample.

use crate::store::{StoreError, StoredTensor};
use crate::tensor::{Tensor, Values};

use super::arrangement::{Arrangement, LayoutPair, arrangements};

/// Elements that are held against each other.
const SAMPLE: usize = 4096;
/// A tensor with more elements than this is not read as a whole.
const MAX_WHOLE: usize = 1 << 26;
/// Arrangements are as good as the best one when they are no further than this many times its distance.
const AS_GOOD: f64 = 1.2;
/// Nearer than this is rounding of the figures themselves.
const NEGLIGIBLE: f64 = 1e-7;

/// How near two tensors are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Closeness {
    /// ‖candidate − reference‖ / ‖reference‖.
    pub rel_l2: f64,
    /// The correlation of both, their means taken off.
    pub correlation: f64,
}

impl Closeness {
    /// The larger of the relative error and of the share that a line through both does not explain: values around a large
    /// mean are relatively near to each other whatever they are.
    pub fn distance(&self) -> f64 {
        self.rel_l2.max(self.unexplained())
    }

    /// The share of the reference's spread that the candidate does not follow, whatever its scale and offset.
    pub fn unexplained(&self) -> f64 {
        match self.correlation > 0.0 {
            true => (1.0 - self.correlation * self.correlation).max(0.0).sqrt(),
            false => 1.0,
        }
    }

    /// Of pairs (candidate, reference); those with a value that is not finite are left out. `None` where nothing can be
    /// said: fewer than two pairs, or a side of equal values.
    fn of(pairs: impl Iterator<Item = (f64, f64)>) -> Option<Closeness> {
        let (mut n, mut c, mut r) = (0.0, 0.0, 0.0);
        let (mut cc, mut rr, mut cr, mut dd) = (0.0, 0.0, 0.0, 0.0);
        for (a, b) in pairs.filter(|(a, b)| a.is_finite() && b.is_finite()) {
            n += 1.0;
            c += a;
            r += b;
            cc += a * a;
            rr += b * b;
            cr += a * b;
            dd += (a - b) * (a - b);
        }
        let spread = |squares: f64, sum: f64| squares - sum * sum / n;
        let (of_c, of_r) = (spread(cc, c), spread(rr, r));
        if n < 2.0 || of_c <= 1e-12 * cc || of_r <= 1e-12 * rr {
            return None;
        }
        let correlation = ((cr - c * r / n) / (of_c * of_r).sqrt()).clamp(-1.0, 1.0);
        Some(Closeness { rel_l2: (dd / rr).sqrt(), correlation })
    }
}

/// A reference's values at the places of the sample.
pub(super) struct Sample {
    places: Vec<usize>,
    values: Vec<f64>,
}

/// The places of a sample, equal for tensors of equal length: all of a small one, else scattered over it.
fn places(len: usize) -> Vec<usize> {
    if len <= SAMPLE {
        return (0..len).collect();
    }
    // Steps of the golden ratio scatter evenly, and meet no row or column of a map at regular distances.
    let golden = (len as f64 * 0.618_033_988_749_894_9) as usize;
    // Without a common divisor no place comes twice.
    let step = (golden..).find(|step| gcd(*step, len) == 1).unwrap_or(1);
    (0..SAMPLE).map(|i| (i as u128 * step as u128 % len as u128) as usize).collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Sample {
    /// Reads the sampled elements.
    ///
    /// # Errors
    /// Whatever the store says.
    pub(super) fn of(tensor: &StoredTensor) -> Result<Sample, StoreError> {
        let places = places(tensor.len());
        let values = places.iter().map(|flat| tensor.element(*flat)).collect::<Result<_, _>>()?;
        Ok(Sample { places, values })
    }
}

/// A candidate's elements: in memory where they fit, else on disk.
pub(super) enum HeldTensor {
    Whole(Tensor),
    OnDisk(StoredTensor),
}

impl HeldTensor {
    /// # Errors
    /// Whatever the store says.
    pub(super) fn of(tensor: StoredTensor) -> Result<HeldTensor, StoreError> {
        match tensor.len() <= MAX_WHOLE {
            true => Ok(HeldTensor::Whole(tensor.read()?)),
            false => Ok(HeldTensor::OnDisk(tensor)),
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            HeldTensor::Whole(tensor) => tensor.shape(),
            HeldTensor::OnDisk(tensor) => tensor.shape(),
        }
    }

    /// The elements at these places.
    fn gather(&self, places: impl Iterator<Item = usize>) -> Result<Vec<f64>, StoreError> {
        let tensor = match self {
            HeldTensor::Whole(tensor) => tensor,
            HeldTensor::OnDisk(tensor) => return places.map(|at| tensor.element(at)).collect(),
        };
        Ok(match tensor.values() {
            Values::F32(values) => {
                let slice = values.as_slice().unwrap_or_default();
                places.map(|at| slice.get(at).map_or(f64::NAN, |x| f64::from(*x))).collect()
            }
            Values::F64(values) => {
                let slice = values.as_slice().unwrap_or_default();
                places.map(|at| slice.get(at).copied().unwrap_or(f64::NAN)).collect()
            }
        })
    }
}

/// A candidate held against a reference in every order of the axes that fits.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    /// In the best order.
    pub(super) closeness: Closeness,
    /// The layouts that are as good as the best, the simplest first.
    pub(super) layouts: Vec<LayoutPair>,
}

/// Holds a candidate against a reference; `None` where their shapes do not fit or their values say nothing.
///
/// # Errors
/// Whatever the store says.
pub(super) fn hold_against(
    candidate: &HeldTensor,
    reference: &Sample,
    reference_shape: &[usize],
) -> Result<Option<Trial>, StoreError> {
    let mut tried: Vec<(Closeness, Arrangement)> = Vec::new();
    for arrangement in arrangements(candidate.shape(), reference_shape) {
        let values = candidate.gather(reference.places.iter().map(|at| arrangement.candidate_at(*at)))?;
        let closeness = Closeness::of(values.into_iter().zip(reference.values.iter().copied()));
        tried.extend(closeness.map(|closeness| (closeness, arrangement)));
    }
    let nearest = |a: &&Closeness, b: &&Closeness| a.distance().total_cmp(&b.distance());
    let Some(best) = tried.iter().map(|(closeness, _)| closeness).min_by(nearest).copied() else {
        return Ok(None);
    };
    let good = best.distance() * AS_GOOD + NEGLIGIBLE;
    let layouts = tried.into_iter().filter(|(closeness, _)| closeness.distance() <= good);
    Ok(Some(Trial {
        closeness: best,
        layouts: layouts.map(|(_, arrangement)| arrangement.layouts).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves(shape: &[usize]) -> Tensor {
        let len = shape.iter().product::<usize>();
        Tensor::from_f64(shape.to_vec(), (0..len).map(|i| (i as f64 * 0.7).sin()).collect()).unwrap()
    }

    fn sample(tensor: &Tensor) -> Sample {
        let places = places(tensor.len());
        let values = places.iter().map(|at| tensor.get(*at)).collect();
        Sample { places, values }
    }

    #[test]
    fn places_are_scattered_and_each_is_there_once() {
        for len in [1, 100, 4096, 4097, 5000, 1 << 20, 12_345_678] {
            let mut places = places(len);
            places.sort_unstable();
            assert!(places.iter().all(|at| *at < len));
            let wanted = places.len();
            places.dedup();
            assert_eq!(places.len(), wanted, "{len}");
        }
    }

    #[test]
    fn the_order_of_the_axes_is_found() {
        let reference = waves(&[1, 4, 8, 8]);
        let values: Vec<f64> = reference.iter().collect();
        let moved = (0..8).flat_map(|h| (0..8).flat_map(move |w| (0..4).map(move |c| c * 64 + h * 8 + w)));
        let candidate = Tensor::from_f64(vec![1, 64, 4], moved.map(|at| values[at]).collect()).unwrap();
        let trial =
            hold_against(&HeldTensor::Whole(candidate), &sample(&reference), &[1, 4, 8, 8]).unwrap().unwrap();
        assert_eq!(trial.closeness.rel_l2, 0.0);
        let layouts: Vec<&str> = trial.layouts.iter().map(|pair| pair.candidate.as_str()).collect();
        assert_eq!(layouts, ["b (h w) c"]);
    }

    #[test]
    fn a_large_mean_does_not_make_tensors_near() {
        let near = |a: &dyn Fn(f64) -> f64, b: &dyn Fn(f64) -> f64| {
            Closeness::of((0..1000).map(|i| (a(f64::from(i)), b(f64::from(i))))).unwrap()
        };
        let other = near(&|i| 100.0 + i.sin(), &|i| 100.0 + (i * 1.7).cos());
        assert!(other.rel_l2 < 0.02 && other.distance() > 0.9, "{other:?}");
        let scaled = near(&|i| 2.0 * i.sin(), &f64::sin);
        assert!(scaled.unexplained() < 1e-6 && scaled.rel_l2 > 0.9, "{scaled:?}");
        let negative = near(&|i| -i.sin(), &f64::sin);
        assert_eq!(negative.unexplained(), 1.0);
        assert!(Closeness::of((0..9).map(|i| (1.0, f64::from(i)))).is_none());
    }
}
