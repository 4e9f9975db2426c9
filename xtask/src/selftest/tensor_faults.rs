//! Faults in tensors: what goes wrong when they are laid out, dumped and named.

use harness::tensor::movement::Movement;
use harness::tensor::{Dtype, Tensor};
use rayon::prelude::*;

use super::{Planted, TestBed, Verdict};
use crate::shell::failure::Failure;

/// f16 overflows beyond this.
const F16_MAX: f32 = 65_504.0;

fn with(tensor: &Tensor, values: Vec<f32>) -> Tensor {
    Tensor::from_f32(tensor.shape().to_vec(), values).unwrap_or_else(|| tensor.clone())
}

fn elements(tensor: &Tensor) -> Vec<f32> {
    tensor.to_f32().iter().copied().collect()
}

/// Plants every fault in every layer.
pub(super) fn plant(bench: &TestBed<'_>) -> Result<Vec<Planted>, Failure> {
    let mirrored = mirror(bench);
    // What an earlier run left behind: the same layer of another picture.
    let stale = bench.encode(&bench.checkpoint, bench.settings, &mirrored, None)?;
    let layers: Vec<usize> = (0..bench.pairs.len()).collect();
    let findings: Vec<Vec<Planted>> =
        layers.into_par_iter().map(|i| layer(bench, i, stale.get(&bench.pairs[i].candidate))).collect();
    Ok(findings.into_iter().flatten().collect())
}

fn mirror(bench: &TestBed<'_>) -> encoder::TapTensor {
    let mut mirrored = bench.input.clone();
    let width = mirrored.shape.last().copied().unwrap_or(1).max(1);
    for line in mirrored.data.chunks_mut(width) {
        line.reverse();
    }
    mirrored
}

fn layer(bench: &TestBed<'_>, i: usize, stale: Option<&Tensor>) -> Vec<Planted> {
    let correct = bench.correct_at(i);
    let mut findings = Vec::new();
    let mut add = |fault: &'static str, verdict: Option<Verdict>| {
        let (set, layer) = (bench.set.clone(), bench.pairs[i].name().to_string());
        findings.extend(verdict.map(|verdict| {
            let planted = layer.clone();
            Planted { fault, set, planted, layer, place: "tensor", verdict }
        }));
    };
    let judged = |smallest: Option<f64>, faulty: &Tensor| match smallest {
        Some(smallest) => Verdict::Seen { strength: Some(smallest), late: 0 },
        None => Verdict::Unseen { floors: bench.floors(i, faulty), effect: None },
    };
    // A fault that changes no bit here is not planted here.
    let changes = |faulty: &Tensor| faulty.values() != correct.values();
    let towards = |faulty: &Tensor| {
        if faulty.shape() != correct.shape() {
            return Some(once(bench, i, faulty.clone()));
        }
        changes(faulty).then(|| judged(bench.smallest_towards(i, faulty), faulty))
    };
    let resolution = bench.settings.output_resolution;
    for (fault, movement) in [
        ("h and w exchanged", Movement::ExchangedAxes),
        ("channels reversed", Movement::ReversedChannels),
        ("one pixel shifted", Movement::ShiftedPixels),
        ("one row zeroed", Movement::ZeroedRow),
    ] {
        if let Some(faulty) = movement.of(correct, resolution) {
            add(fault, towards(&faulty));
        }
    }
    let values = elements(correct);
    let largest = values.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    let rms = (values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / values.len().max(1) as f64).sqrt();
    let changed = |f: &dyn Fn(usize, f32) -> f32| {
        with(correct, values.iter().enumerate().map(|(at, x)| f(at, *x)).collect())
    };
    let at = values.len() / 2;
    let smallest = |plant: &(dyn Fn(f64) -> Tensor + Sync)| {
        let full = plant(1.0);
        changes(&full).then(|| judged(bench.smallest(i, plant), &full))
    };
    let one = |s: f64| changed(&|j, x| if j == at { x + (s * f64::from(largest)) as f32 } else { x });
    add("one wrong element", smallest(&one));
    add("scaled by 1 + strength", smallest(&|s| changed(&|_, x| (f64::from(x) * (1.0 + s)) as f32)));
    add("bias of strength times rms", smallest(&|s| changed(&|_, x| (f64::from(x) + s * rms) as f32)));
    add("saturated as f16", towards(&changed(&|_, x| x.clamp(-F16_MAX, F16_MAX))));
    add("saturated at half its maximum", towards(&changed(&|_, x| x.clamp(-largest / 2.0, largest / 2.0))));
    // The type of a file proves that its values were rounded; values in a wider file have no such excuse.
    let in_f16 = |x: f32| half::f16::from_f32(x).to_f32();
    add("rounded to f16, stored as f32", towards(&changed(&|_, x| in_f16(x))));
    add("rounded to bf16, stored as f32", towards(&changed(&|_, x| half::bf16::from_f32(x).to_f32())));
    let stored_in_f16 = |values: Tensor| Tensor::new(Dtype::F16, values.values().clone());
    add(
        "scaled by 1 + strength, stored as f16",
        smallest(&|s| stored_in_f16(changed(&|_, x| in_f16((f64::from(x) * (1.0 + s)) as f32)))),
    );
    add("bytes of f16 in a buffer of f32", Some(once(bench, i, with(correct, bytes_of_f16(&values)))));
    if let Some(stale) = stale {
        add("a stale file of an earlier run", towards(stale));
    }
    if i > 0 && bench.pairs[i - 1].candidate != bench.pairs[i].candidate {
        add("the previous layer's file", towards(bench.correct_at(i - 1)));
    }
    let at_one = |value: f32| changed(&|j, x| if j == at { value } else { x });
    add("NaN", Some(once(bench, i, at_one(f32::NAN))));
    add("Inf", Some(once(bench, i, at_one(f32::INFINITY))));
    let reference = elements(&bench.references[i]);
    let infinite = |value: f32| {
        let values = reference.iter().enumerate().map(|(j, x)| if j == at { value } else { *x });
        with(&bench.references[i], values.collect())
    };
    for (fault, value) in [("Inf on both sides", f32::INFINITY), ("Inf of the other sign", f32::NEG_INFINITY)]
    {
        let seen = bench.sees_against(i, at_one(f32::INFINITY), &infinite(value));
        add(fault, Some(of_one_strength(seen)));
    }
    findings
}

/// What a buffer of f32 holds after the bytes of its values in f16 were copied into it.
fn bytes_of_f16(values: &[f32]) -> Vec<f32> {
    let mut bytes: Vec<u8> = values.iter().flat_map(|x| half::f16::from_f32(*x).to_le_bytes()).collect();
    bytes.resize(values.len() * 4, 0);
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
}

/// A fault of one strength.
fn once(bench: &TestBed<'_>, i: usize, faulty: Tensor) -> Verdict {
    of_one_strength(bench.sees(i, faulty))
}

fn of_one_strength(seen: bool) -> Verdict {
    match seen {
        true => Verdict::Seen { strength: None, late: 0 },
        false => Verdict::Unseen { floors: f64::INFINITY, effect: None },
    }
}
