//! `cargo xtask fixtures check`: whether reference sets are whole, and whether their inputs can show faults.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use harness::exit_code;
use harness::manifest::{self, Manifest};
use harness::mapping::Mapping;
use harness::probe::{self, Movement};
use harness::recorded::{Differences, Hashed};
use harness::reference::Reference;
use harness::run::Terms;
use harness::tolerances::Tolerances;

use crate::candidate::{EncoderArguments, read_input, tap_names};
use crate::compare::Compare;
use crate::console::{Failure, Outcome, say};
use crate::{baselines, paths, set};

/// The hashes of another implementation's tensors, in a set's folder `candidate`.
const CHECKSUMS: &str = "SHA256SUMS";

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
    let (mut broken, mut unmended) = (false, false);
    let mut remedies: Vec<String> = Vec::new();
    for path in sets {
        let shown = paths::shown(&path);
        // What is wrong with one set says nothing about the next.
        let (findings, probes) =
            match compare.reference(&path).and_then(|reference| check(&compare, &path, &reference)) {
                Ok(checked) => checked,
                Err(failure) => (vec![failure.message().to_string()], Probes::default()),
            };
        for finding in &findings {
            say(&format!("{shown}: {finding}"));
        }
        for warning in &probes.blind {
            say(&format!("warning: {shown}: {warning}"));
        }
        let (made, blind) = (probes.made, probes.blind.len());
        say(&format!(
            "{shown}: {} findings; {made} probes, {blind} of which the input cannot show",
            findings.len()
        ));
        if let Some((distance, what)) = &probes.least {
            say(&format!("  least moved: {what}, {distance:.0} times its limit"));
        }
        broken |= !findings.is_empty();
        // Of its figures a set is not the cause.
        unmended |= findings.len() > usize::from(probes.remedy.is_some());
        remedies.extend(probes.remedy);
    }
    if broken {
        remedies.sort();
        remedies.dedup();
        if unmended {
            let anew = "git restore fixtures, or make the set anew with cargo xtask fixtures --preset NAME";
            remedies.push(anew.to_string());
        }
        remedies.iter().for_each(|remedy| say(&format!("next: {remedy}")));
        return Ok(ExitCode::from(exit_code::UNREADABLE));
    }
    Ok(ExitCode::SUCCESS)
}

/// What the movements of a set's tensors showed.
#[derive(Default)]
struct Probes {
    made: usize,
    /// Those that move a layer by less than its tolerance.
    blind: Vec<String>,
    /// The one that moves a layer least, in multiples of its tolerance.
    least: Option<(f64, String)>,
    /// What to do where they could not be made.
    remedy: Option<String>,
}

/// What is wrong with the files of a set, and what its input can show.
fn check(
    compare: &Compare<'_>,
    path: &Path,
    reference: &Reference,
) -> Result<(Vec<String>, Probes), Failure> {
    let Some(manifest) = reference.manifest() else {
        return Err(Failure::unusable(format!("expected a set with a {}", manifest::FILE_NAME)));
    };
    let mut findings = compare.pool.install(|| files(path, manifest))?;
    let mut probes = Probes::default();
    // The findings stand on their own: they are told even where a file of the model or of its figures cannot be used.
    match baselines::tolerances(reference, &compare.profile.name) {
        Ok(tolerances) => {
            let probe = || probe(compare, reference, tolerances.as_ref(), manifest, &mut probes);
            match compare.pool.install(probe) {
                Ok(unreadable) => findings.extend(unreadable),
                Err(failure) => findings.push(failure.message().to_string()),
            }
        }
        Err(failure) => {
            probes.remedy = failure.remedy().map(String::from);
            findings.push(failure.message().to_string());
        }
    }
    Ok((findings, probes))
}

/// The files of a set that are not there, not as they were recorded, or not recorded.
fn files(path: &Path, manifest: &Manifest) -> Result<Vec<String>, Failure> {
    let folder = &manifest.reference.folder;
    let mut recorded: Vec<Hashed> = manifest
        .tensors
        .iter()
        .map(|entry| Hashed { file: format!("{folder}/{}", entry.file), sha256: entry.sha256.clone() })
        .collect();
    for file in [&manifest.weights, &manifest.input] {
        recorded.push(Hashed { file: file.file.clone(), sha256: file.sha256.clone() });
    }
    let mut findings = Vec::new();
    let candidate = path.join("candidate");
    if candidate.is_dir() {
        let sums = candidate.join(CHECKSUMS);
        match std::fs::read_to_string(&sums) {
            Ok(text) => {
                for line in text.lines() {
                    // As sha256sum writes it: the hash, two spaces, the file.
                    match line.split_once("  ") {
                        Some((sha256, file)) => recorded
                            .push(Hashed { file: format!("candidate/{file}"), sha256: sha256.to_string() }),
                        None => findings.push(format!(
                            "candidate/{CHECKSUMS}: expected a hash, two spaces and a file, found `{line}`"
                        )),
                    }
                }
            }
            Err(error) => findings.push(format!("candidate/{CHECKSUMS}: cannot be read: {error}")),
        }
    }
    let records: BTreeSet<PathBuf> = [path.join(manifest::FILE_NAME), candidate.join(CHECKSUMS)].into();
    let mut present = Vec::new();
    list(path, &mut |file| {
        if let Ok(below) = file.strip_prefix(path)
            && !records.contains(file)
        {
            let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
            present.push(parts.join("/"));
        }
    })
    .map_err(|error| Failure::unusable(format!("cannot be read: {error}")))?;
    present.sort();
    let Differences { changed, missing, unrecorded } = Differences::of(path, &recorded, &present);
    let name = |(files, what): (Vec<String>, &'static str)| {
        files.into_iter().map(move |file| format!("{file}: {what}"))
    };
    let kinds = [
        (changed, "not what its recorded hash says"),
        (missing, "recorded, and not there"),
        (unrecorded, "not recorded"),
    ];
    findings.extend(kinds.into_iter().flat_map(name));
    Ok(findings)
}

/// Calls `found` with every file below a folder.
fn list(folder: &Path, found: &mut impl FnMut(&Path)) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => list(&entry.path(), found)?,
            false => found(&entry.path()),
        }
    }
    Ok(())
}

/// Moves every paired reference tensor and holds it against itself; gives the tensors that cannot be read.
fn probe(
    compare: &Compare<'_>,
    reference: &Reference,
    tolerances: Option<&Tolerances>,
    manifest: &Manifest,
    probes: &mut Probes,
) -> Result<Vec<String>, Failure> {
    let (Some(weights), Some(input)) = (reference.weights(), reference.input()) else {
        return Err(Failure::unusable(format!("{} names no weights and input", manifest::FILE_NAME)));
    };
    let checkpoint = compare.encoder.open(&weights)?;
    let model = compare.encoder.load(&checkpoint, Some(set::settings(manifest)?))?;
    let names = tap_names(&model, &read_input(&input)?);
    let terms =
        Terms { mapping: compare.mapping, profile: compare.profile, reference, tolerances, baseline: None };
    let [height, width] = manifest.settings.output_resolution;
    let mut unreadable = Vec::new();
    for pair in &terms.pair(&names, &[]).pairs {
        let tensor = match reference.read(&pair.reference) {
            Ok(tensor) => tensor,
            Err(error) => {
                unreadable.push(error.to_string());
                continue;
            }
        };
        for movement in Movement::PROBES {
            let Some(moved) = movement.of(&tensor, (height, width)) else { continue };
            probes.made += 1;
            let distance = probe::distance(&terms, pair, &moved, &tensor);
            let place = || format!("{} ({})", pair.name(), pair.reference);
            if distance <= 1.0 {
                let place = place();
                probes.blind.push(format!(
                    "{place} stays within its tolerance under {movement}: {distance:.2} of its limit"
                ));
            }
            if probes.least.as_ref().is_none_or(|(least, _)| distance < *least) {
                probes.least = Some((distance, format!("{} under {movement}", place())));
            }
        }
    }
    Ok(unreadable)
}
