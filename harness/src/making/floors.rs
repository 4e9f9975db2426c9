//! The noise floors of a set: how far the run in f32 is from the run in f64.

use super::error::MakeSetError;
use super::source_run::SourceRun;
use crate::compare::metrics::Metrics;
use crate::limits::metric::PerMetric;
use crate::limits::tolerance::NoiseFloor;
use crate::reference::manifest::MAX_FLOOR;
use crate::tensor::{Dtype, Tensor};

/// Elements under which the noise of a tensor in one run is luck, and how many times the median floor of its set it is then at
/// least. Of 200 right ports of two layers, 64 to 128 to N, which sum in another order, so many are over their limits: 11 with
/// N = 1, where a single sum may cancel, 4 with N = 2, none with 3, 10 or 200.
const FEW: usize = 128;
const OF_USUAL: f64 = 2.0;

/// How far the run in f32 is from that in f64, tensor by tensor.
pub(super) fn floors(
    exact: &SourceRun<'_>,
    rounded: &SourceRun<'_>,
    names: &[String],
) -> Result<Vec<NoiseFloor>, MakeSetError> {
    let mut floors = Vec::new();
    let mut elements = Vec::new();
    for name in names {
        let (a, b) = (rounded.read(name, Dtype::F32)?, exact.read(name, Dtype::F64)?);
        floors.push(noise(name, &a, &b)?);
        elements.push(b.len());
    }
    if floors.iter().all(|floor| floor.figures.rel_l2 == 0.0) {
        return Err(MakeSetError::NoNoise);
    }
    // Of few elements the noise of one run is luck: what the set's tensors have in general is then a better guess.
    let usual = |figure: fn(&NoiseFloor) -> f64| {
        let mut all: Vec<f64> = floors.iter().map(figure).filter(|figure| *figure > 0.0).collect();
        all.sort_by(f64::total_cmp);
        OF_USUAL * all.get(all.len() / 2).copied().unwrap_or(0.0)
    };
    let usual = PerMetric {
        rel_l2: usual(|floor| floor.figures.rel_l2),
        rel_linf: usual(|floor| floor.figures.rel_linf),
    };
    for (floor, elements) in floors.iter_mut().zip(elements) {
        if elements < FEW {
            floor.figures.rel_l2 = floor.figures.rel_l2.max(usual.rel_l2);
            floor.figures.rel_linf = floor.figures.rel_linf.max(usual.rel_linf);
        }
    }
    Ok(floors)
}

/// How far one tensor is off, which must be rounding alone.
fn noise(name: &str, rounded: &Tensor, exact: &Tensor) -> Result<NoiseFloor, MakeSetError> {
    let name = name.to_string();
    if rounded.shape() != exact.shape() {
        let (exact, rounded) = (exact.shape().to_vec(), rounded.shape().to_vec());
        return Err(MakeSetError::Shapes { name, exact, rounded });
    }
    let metrics = Metrics::of(rounded, exact);
    match metrics.non_finite() {
        0 => {}
        count => return Err(MakeSetError::NotFinite { name, count }),
    }
    let max_abs = metrics.max_abs.unwrap_or(0.0);
    let figures = match (metrics.rel_l2, metrics.rel_linf) {
        (Some(rel_l2), Some(rel_linf)) => PerMetric { rel_l2, rel_linf },
        _ if max_abs == 0.0 => PerMetric { rel_l2: 0.0, rel_linf: 0.0 },
        _ => return Err(MakeSetError::Vanishing { name }),
    };
    match figures.rel_l2 <= MAX_FLOOR && figures.rel_linf <= MAX_FLOOR {
        true => Ok(NoiseFloor { figures, max_abs }),
        false => Err(MakeSetError::NotRounding { name, rel_l2: figures.rel_l2, rel_linf: figures.rel_linf }),
    }
}
