//! `cargo xtask fixtures check`: whether reference sets are whole, and whether their inputs can show faults.

use std::path::Path;
use std::process::ExitCode;

use harness::exit_code;
use harness::manifest::Manifest;
use harness::mapping::Mapping;
use harness::pairing::Pair;
use harness::probe::Movement;
use harness::provenance::{self, Hashed};
use harness::reference::Reference;
use harness::run::Terms;

use crate::baselines;
use crate::candidate::EncoderArguments;
use crate::compare::Compare;
use crate::console::{Failure, Outcome, say};
use crate::{paths, set};

pub(super) fn run(only: Option<&Path>) -> Outcome {
    let mapping = Mapping::read(&paths::default_mapping())?;
    let encoder = EncoderArguments::default();
    let pool = encoder.pool()?;
    let profile = mapping.profile("f32")?;
    let compare = Compare { mapping: &mapping, profile, pool: &pool, encoder: &encoder, strict: false };
    let sets = match only {
        Some(path) => vec![path.to_path_buf()],
        None => set::committed()?,
    };
    let mut broken = false;
    for path in sets {
        let reference = compare.reference(&path)?;
        let Some(manifest) = reference.manifest() else {
            return Err(Failure::unusable(format!(
                "{}: expected a set with a manifest.json",
                path.display()
            )));
        };
        let changed = pool.install(|| changed_files(&path, manifest, &reference));
        for file in &changed {
            say(&format!("{}: {file} is missing, or not what its hash says", paths::shown(&path)));
        }
        broken |= !changed.is_empty();
        let tolerances = baselines::tolerances(&reference, &profile.name)?;
        let terms = Terms {
            mapping: &mapping,
            profile,
            reference: &reference,
            tolerances: tolerances.as_ref(),
            baseline: None,
            measured: false,
        };
        let (probed, blind) = pool.install(|| probe(&terms, manifest))?;
        for warning in &blind {
            say(&format!("warning: {}: {warning}", manifest.set));
        }
        say(&format!(
            "{}: {} files, {probed} probes, {} of which the input cannot show",
            paths::shown(&path),
            manifest.tensors.len() + 2,
            blind.len()
        ));
    }
    if broken {
        say("next: git restore fixtures, or make the set anew with cargo xtask fixtures --preset NAME");
        return Ok(ExitCode::from(exit_code::UNREADABLE));
    }
    Ok(ExitCode::SUCCESS)
}

/// The files of a set that are not there, or not as they were recorded.
fn changed_files(path: &Path, manifest: &Manifest, reference: &Reference) -> Vec<String> {
    let of_the_model = [&manifest.weights, &manifest.input];
    let recorded: Vec<Hashed> = of_the_model
        .iter()
        .map(|file| Hashed { file: file.file.clone(), sha256: file.sha256.clone() })
        .collect();
    let missing =
        recorded.iter().filter(|hashed| !path.join(&hashed.file).is_file()).map(|hashed| hashed.file.clone());
    let mut changed: Vec<String> = missing.collect();
    changed.extend(provenance::changed(path, &recorded));
    changed.extend(reference.changed());
    changed.extend(reference.names().gone.iter().cloned());
    changed
}

/// How many probes were made, and which of them move a layer by less than its tolerance.
fn probe(terms: &Terms<'_>, manifest: &Manifest) -> Result<(usize, Vec<String>), Failure> {
    let [height, width] = manifest.settings.output_resolution;
    let (mut probed, mut blind) = (0, Vec::new());
    for entry in &manifest.tensors {
        let taking = |rule: &harness::mapping::Rule| rule.reference.matches(&entry.name).is_some();
        let Some(rule) = terms.mapping.rules.iter().position(taking) else { continue };
        let tensor = terms.reference.read(&entry.name).map_err(Failure::unreadable)?;
        // The reference is held against itself: the layouts of a candidate do not matter.
        let pair =
            Pair { rule, candidate: entry.name.clone(), reference: entry.name.clone(), stands_for: None };
        for movement in Movement::PROBES {
            let Some(moved) = movement.of(&tensor, (height, width)) else { continue };
            probed += 1;
            if terms.compare(&pair, moved, &tensor).is_ok_and(|compared| compared.judgement.passed) {
                blind.push(format!("{} stays within its tolerance under {movement}", entry.name));
            }
        }
    }
    Ok((probed, blind))
}
