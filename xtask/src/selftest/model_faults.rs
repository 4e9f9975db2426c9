//! Faults in the computation: what ports of the model get wrong.

use encoder::architecture::BlockSpec;
use encoder::faults::{Fault, Site};
use encoder::{Architecture, Checkpoint, Padding, Settings};

use rayon::prelude::*;

use super::bench::Tensors;
use super::equivalence::Exact;
use super::{Planted, TestBed, Verdict};
use crate::shell::failure::Failure;

/// Faults planted at the encoder's seam, in each part of the model.
const COMPUTED: [(&str, Fault); 11] = [
    ("eps times 10", Fault::EpsilonTimes(10.0)),
    ("eps divided by 10", Fault::EpsilonTimes(0.1)),
    ("erf GELU", Fault::ErfGelu),
    ("no GELU", Fault::NoGelu),
    ("no skip", Fault::NoSkip),
    ("no layer scale", Fault::NoLayerScale),
    ("no norm weight", Fault::NoNormWeight),
    ("pooling behind the norm", Fault::PoolAfterNorm),
    ("bilinear for nearest", Fault::BilinearUpsampling),
    ("concatenated in the other order", Fault::ConcatOrder),
    ("no sqrt(C)", Fault::NoFactor),
];

/// A weight by timm's name: shape and elements.
type NamedWeight = (String, Vec<usize>, Vec<f32>);

/// Plants every fault wherever it changes anything.
pub(super) fn plant(bench: &TestBed<'_>) -> Result<Vec<Planted>, Failure> {
    let architecture = Architecture::read(&bench.checkpoint, &bench.settings).map_err(Failure::unreadable)?;
    let blocks = architecture.stages.iter().map(Vec::len).sum::<usize>();
    let sites = [Site::Stem, Site::Fusion, Site::Embedder, Site::Head];
    let sites = sites.into_iter().chain((0..blocks).map(Site::Block));
    let mut findings = Vec::new();
    let mut unseen = Vec::new();
    for site in sites {
        for (name, fault) in COMPUTED {
            let faulty =
                bench.encode(&bench.checkpoint, bench.settings, &bench.input, Some((site, fault)))?;
            let found = finding(bench, name, place(site, &architecture), &faulty);
            if found.as_ref().is_some_and(|found| matches!(found.verdict, Verdict::Unseen { .. })) {
                unseen.push((findings.len(), (site, fault)));
            }
            findings.extend(found);
        }
    }
    explain(bench, &mut findings, unseen)?;
    let padding = match bench.settings.padding {
        Padding::Same => Padding::Symmetric,
        Padding::Symmetric => Padding::Same,
    };
    let settings = Settings { padding, ..bench.settings };
    let faulty = bench.encode(&bench.checkpoint, settings, &bench.input, None)?;
    findings.extend(finding(bench, "SAME and symmetric padding exchanged", "settings", &faulty));
    for (name, changed) in changed_weights(bench, &architecture)? {
        let checkpoint = Checkpoint::from_tensors(changed).map_err(Failure::unreadable)?;
        let faulty = bench.encode(&checkpoint, bench.settings, &bench.input, None)?;
        findings.extend(finding(bench, name, "weights", &faulty));
    }
    Ok(findings)
}

/// Computes what the faults do that were not seen, given by their index among the findings.
fn explain(
    bench: &TestBed<'_>,
    findings: &mut [Planted],
    unseen: Vec<(usize, (Site, Fault))>,
) -> Result<(), Failure> {
    if unseen.is_empty() {
        return Ok(());
    }
    let exact = Exact::new(bench)?;
    let effects = unseen.into_par_iter().map(|(index, planted)| Ok((index, exact.effect(planted)?)));
    for (index, computed) in effects.collect::<Result<Vec<_>, Failure>>()? {
        if let Verdict::Unseen { effect, .. } = &mut findings[index].verdict {
            *effect = computed;
        }
    }
    Ok(())
}

/// What kind of part a site is, by what decides how a fault shows there.
fn place(site: Site, architecture: &Architecture) -> &'static str {
    match site {
        Site::Stem => "stem",
        Site::Fusion => "fusion",
        Site::Embedder => "embedder",
        Site::Head => "head",
        Site::Block(number) => match architecture.stages.iter().flatten().nth(number) {
            Some(BlockSpec::EdgeResidual(_)) => "edge residual",
            Some(BlockSpec::InvertedResidual(spec)) => match (spec.layer_scale, spec.dw_end.is_some()) {
                (true, false) => "inverted residual",
                (true, true) => "inverted residual with dw_end",
                (false, false) => "inverted residual without layer scale",
                (false, true) => "inverted residual with dw_end, without layer scale",
            },
            Some(BlockSpec::Attention(spec)) if !spec.layer_scale => "attention without layer scale",
            Some(BlockSpec::Attention(_)) | None => "attention",
        },
    }
}

/// What the gate makes of a faulty run; nothing where it is the correct one to the last bit.
fn finding(
    bench: &TestBed<'_>,
    fault: &'static str,
    place: &'static str,
    faulty: &Tensors,
) -> Option<Planted> {
    let of = |i: usize| faulty.get(&bench.pairs[i].candidate);
    let differs = |i: &usize| of(*i).is_none_or(|tensor| tensor.values() != bench.correct_at(*i).values());
    let changed: Vec<usize> = (0..bench.pairs.len()).filter(differs).collect();
    let first = *changed.first()?;
    let name = |i: usize| bench.pairs[i].name().to_string();
    let found = |i: usize, verdict| {
        let set = bench.set.clone();
        Some(Planted { fault, set, planted: name(first), layer: name(i), place, verdict })
    };
    let mut floors = 0.0f64;
    for (late, i) in changed.into_iter().enumerate() {
        let Some(tensor) = of(i) else {
            // A run that lacks a layer is a matter of coverage, which the gate refuses.
            return found(i, Verdict::Seen { strength: None, late });
        };
        if bench.sees(i, tensor.clone()) {
            let same_shape = tensor.shape() == bench.correct_at(i).shape();
            let strength = if same_shape { bench.smallest_towards(i, tensor) } else { None };
            return found(i, Verdict::Seen { strength, late });
        }
        floors = floors.max(bench.floors(i, tensor));
    }
    found(first, Verdict::Unseen { floors, effect: None })
}

/// Checkpoints with one part changed, by what was changed.
fn changed_weights(
    bench: &TestBed<'_>,
    architecture: &Architecture,
) -> Result<Vec<(&'static str, Vec<NamedWeight>)>, Failure> {
    let mut weights: Vec<NamedWeight> = Vec::new();
    for name in bench.checkpoint.names() {
        let shape = bench.checkpoint.shape(name).unwrap_or_default().to_vec();
        let values = bench.checkpoint.load(name, &shape).map_err(Failure::unreadable)?;
        weights.push((name.to_string(), shape, values));
    }
    let changed = |name: &str, change: &dyn Fn(&[usize], &mut Vec<f32>)| {
        let mut weights = weights.clone();
        let weight = weights.iter_mut().find(|(known, ..)| known == name);
        weight.map(|(_, shape, values)| change(shape, values)).map(|()| weights)
    };
    let mut all: Vec<(&'static str, Option<Vec<NamedWeight>>)> = Vec::new();
    for (name, shape, _) in &weights {
        if shape.len() == 4 {
            let rounded = changed(name, &|_, values| {
                values.iter_mut().for_each(|x| *x = f32::from_bits((x.to_bits() + 0x8000) & 0xffff_0000));
            });
            all.push(("one weight rounded to bf16", rounded));
        }
        if name.ends_with("layer_scale.gamma") {
            all.push((
                "layer scale twice",
                changed(name, &|_, values| values.iter_mut().for_each(|x| *x *= *x)),
            ));
        }
    }
    for (stage, blocks) in architecture.stages.iter().enumerate() {
        for (index, block) in blocks.iter().enumerate() {
            let BlockSpec::Attention(spec) = block else { continue };
            let name = |suffix: &str| format!("blocks.{stage}.{index}.attn.{suffix}.proj.weight");
            let (heads, dim) = (spec.heads, spec.value_dim);
            let root = (spec.key_dim as f32).sqrt();
            let unscaled = changed(&name("query"), &|_, values| values.iter_mut().for_each(|x| *x *= root));
            all.push(("softmax without its scale", unscaled));
            let output = name("output");
            let columns = |source: &dyn Fn(usize) -> Option<usize>| {
                changed(&output, &|_, values| {
                    for row in values.chunks_exact_mut(heads * dim) {
                        let old = row.to_vec();
                        for (column, x) in row.iter_mut().enumerate() {
                            *x = source(column).map_or(0.0, |source| old[source]);
                        }
                    }
                })
            };
            all.push(("one head dropped", columns(&|column| (column >= dim).then_some(column))));
            if heads > 1 {
                // Channel = i * heads + head instead of head * dim + i.
                let interleaved = |column: usize| Some((column % dim) * heads + column / dim);
                all.push(("heads interleaved", columns(&interleaved)));
            }
            if spec.key_dim == spec.value_dim {
                let exchanged: Option<Vec<NamedWeight>> = Some(weights.clone()).map(|mut weights| {
                    for (known, ..) in &mut weights {
                        let prefix = format!("blocks.{stage}.{index}.attn.");
                        if let Some(rest) = known.strip_prefix(&format!("{prefix}key.")) {
                            *known = format!("{prefix}value.{rest}");
                        } else if let Some(rest) = known.strip_prefix(&format!("{prefix}value.")) {
                            *known = format!("{prefix}key.{rest}");
                        }
                    }
                    weights
                });
                all.push(("k and v exchanged", exchanged));
            }
        }
    }
    Ok(all.into_iter().filter_map(|(name, weights)| Some((name, weights?))).collect())
}
