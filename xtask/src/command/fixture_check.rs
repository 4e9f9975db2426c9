//! `cargo xtask fixtures check`: whether reference sets are whole, and whether their inputs can show faults.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use encoder::Precision;
use harness::exit_code;
use harness::figures::Metric;
use harness::manifest::{self, Manifest};
use harness::mapping::Mapping;
use harness::probe::{self, Movement};
use harness::recorded::{Differences, Hashed};
use harness::reference::Reference;
use harness::run::Terms;
use harness::tolerances::Tolerances;
use rayon::prelude::*;

use crate::baselines::Kind;
use crate::candidate::{EncoderArguments, read_input, tap_names};
use crate::compare::Compare;
use crate::console::{Failure, Outcome, say};
use crate::{baselines, measure, paths, set};

/// How far a floor may be from what is computed here, with the square roots and exponentials of this platform.
const FLOOR_PRECISION: f64 = 1e-3;

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
    // What is wrong with one set says nothing about the next.
    let check = |path: &PathBuf| {
        let checked = compare.reference(path).and_then(|reference| check(&compare, path, &reference));
        checked.unwrap_or_else(|failure| Checked {
            files: vec![failure.message().to_string()],
            ..Checked::default()
        })
    };
    let all: Vec<Checked> = pool.install(|| sets.par_iter().map(check).collect());
    for (path, Checked { files, figures, probes }) in sets.iter().zip(all) {
        let shown = paths::shown(path);
        for finding in files.iter().chain(figures.iter().map(|(finding, _)| finding)) {
            say(&format!("{shown}: {finding}"));
        }
        for warning in &probes.blind {
            say(&format!("warning: {shown}: {warning}"));
        }
        let (findings, made, blind) = (files.len() + figures.len(), probes.made, probes.blind.len());
        say(&format!("{shown}: {findings} findings; {made} probes, {blind} of which the input cannot show"));
        if let Some((distance, what)) = &probes.least {
            say(&format!("  least moved: {what}, {distance:.0} times its limit"));
        }
        broken |= findings > 0;
        // Of its figures a set is not the cause.
        unmended |= !files.is_empty() || figures.iter().any(|(_, remedy)| remedy.is_none());
        remedies.extend(figures.into_iter().filter_map(|(_, remedy)| remedy));
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

/// What there is to say about a set.
#[derive(Default)]
struct Checked {
    /// What is wrong with its files.
    files: Vec<String>,
    /// What is wrong with the figures that are kept of it, and what to do where that is known.
    figures: Vec<(String, Option<String>)>,
    probes: Probes,
}

impl Checked {
    fn figures_fail(&mut self, failure: &Failure) {
        self.figures.push((failure.message().to_string(), failure.remedy().map(String::from)));
    }
}

/// What the movements of a set's tensors showed.
#[derive(Default)]
struct Probes {
    made: usize,
    /// Those that move a layer by less than its tolerance.
    blind: Vec<String>,
    /// The one that moves a layer least, in multiples of its tolerance.
    least: Option<(f64, String)>,
}

/// What is wrong with a set and its figures, and what its input can show.
fn check(compare: &Compare<'_>, path: &Path, reference: &Reference) -> Result<Checked, Failure> {
    let Some(manifest) = reference.manifest() else {
        return Err(Failure::unusable(format!("expected a set with a {}", manifest::FILE_NAME)));
    };
    let files = compare.pool.install(|| files(path, manifest))?;
    let mut checked = Checked { files, ..Checked::default() };
    // The findings stand on their own: they are told even where a file of the model or of its figures cannot be used.
    match baselines::tolerances(reference, &compare.profile.name) {
        Ok(tolerances) => {
            let Checked { files, probes, .. } = &mut checked;
            let probe = || probe(compare, reference, tolerances.as_ref(), manifest, probes);
            match compare.pool.install(probe) {
                Ok(unreadable) => files.extend(unreadable),
                Err(failure) => files.push(failure.message().to_string()),
            }
        }
        Err(failure) => checked.figures_fail(&failure),
    }
    if checked.files.is_empty() {
        // The floors of f32 are the manifest's; those of other precisions are computed.
        for precision in Precision::ALL.into_iter().filter(|precision| *precision != Precision::F32) {
            match floors(compare, precision, path, reference) {
                Ok(findings) => checked.figures.extend(findings),
                Err(failure) => checked.figures_fail(&failure),
            }
        }
    }
    Ok(checked)
}

/// The first kept floor of a precision that is not what the reference in that precision shows, and what to do.
fn floors(
    compare: &Compare<'_>,
    precision: Precision,
    path: &Path,
    reference: &Reference,
) -> Result<Option<(String, Option<String>)>, Failure> {
    let Some(profile) = compare.mapping.profiles.get(precision.name()) else { return Ok(None) };
    let Some(tolerances) = baselines::tolerances(reference, &profile.name)? else { return Ok(None) };
    let compare = Compare { profile, ..*compare };
    for (name, of, measured) in measure::noise_floors(&compare, precision, reference, path)? {
        let Some(kept) = tolerances.layer(&name, &of).map(|layer| layer.noise_floor) else { continue };
        for metric in Metric::ALL {
            let (kept, measured) = (kept.of(metric), measured.of(metric));
            if (kept - measured).abs() > FLOOR_PRECISION * measured {
                let finding = format!(
                    "{profile}: `{name}`: expected the noise floor that the reference in that precision has, {metric} \
                     {measured:.3e}, found {kept:.3e}",
                    profile = profile.name
                );
                let again = Kind::Tolerances.again_for(&profile.name, &tolerances.subject.set);
                let remedy = format!("git restore baselines, or {again} and look at the difference");
                return Ok(Some((finding, Some(remedy))));
            }
        }
    }
    Ok(None)
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
