//! A set, made from two runs of a reference: one in f64, and one in f32 whose error is the noise floor.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::compare::metrics::Metrics;
use crate::files::atomic;
use crate::files::unfinished::Unfinished;
use crate::limits::metric::PerMetric;
use crate::limits::tolerance::NoiseFloor;
use crate::provenance::sha256::{Hashed, ReadError, hash_file};
use crate::provenance::{Dump, DumpOpenError, DumpRecord, RecordedTensor};
use crate::reference::manifest::{self, FILE_NAME, MAX_FLOOR};
use crate::store::{Algorithm, Naming, ReadAs, StoreError, open_npy, write_npy};
use crate::tensor::{Dtype, Tensor};
use crate::text::shown;

/// How the tensors of runs and sets are named.
const FILES: &str = "{name}.npy";
/// The tensors' folder in a set.
const FOLDER: &str = "reference";
/// Elements under which the noise of a tensor in one run is luck, and how many times the median floor of its set it is then at
/// least.
const FEW: usize = 128;
const OF_USUAL: f64 = 2.0;
/// Names that a message lists.
const LISTED: usize = 5;

/// What a set is made from.
#[derive(Clone, Copy, Debug)]
pub struct SetSource<'a> {
    /// The set's name.
    pub name: &'a str,
    /// The dump of the run in f64, with a `dump.json`.
    pub exact: &'a Path,
    /// The dump of the run in f32, likewise.
    pub rounded: &'a Path,
    /// The model's weights.
    pub weights: &'a Path,
    /// The model's input.
    pub input: &'a Path,
    /// Tensors that are left out.
    pub without: &'a [String],
}

/// A set that was made.
#[derive(Clone, Debug)]
pub struct MadeSet {
    /// How many tensors it has.
    pub tensors: usize,
    /// The tensor with the highest floor, and its rel_l2.
    pub noisiest: (String, f64),
}

/// Why no set is made.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum MakeSetError {
    #[error(transparent)]
    Open(#[from] DumpOpenError),
    #[error(transparent)]
    Tensor(#[from] StoreError),
    #[error(transparent)]
    Hash(#[from] ReadError),
    #[error(
        "{}: expected a dump.json beside the tensors, which says in which order they were computed",
        shown::path(path)
    )]
    NoRecord { path: PathBuf },
    #[error("{}: {file} is not the tensor that its dump.json recorded", shown::path(path))]
    NotAsRecorded { path: PathBuf, file: String },
    #[error(
        "{}: {file} stands in its dump.json twice: two tensors were written under one name",
        shown::path(path)
    )]
    Twice { path: PathBuf, file: String },
    #[error("{}: its dump.json names no tensor that is there", shown::path(path))]
    Empty { path: PathBuf },
    #[error("--without {name}: no tensor of the runs has that name")]
    Unknown { name: String },
    #[error("the two runs are not of the same {what}: {exact} in f64, {rounded} in f32")]
    OtherRun { what: &'static str, exact: String, rounded: String },
    #[error(
        "{}: not the {what} that the runs recorded: they had sha256 {recorded}, this file has {found}",
        shown::path(path)
    )]
    OtherFile { path: PathBuf, what: &'static str, recorded: String, found: String },
    #[error("{}: {} that the other run has: {}", shown::path(path), if names.len() == 1 { "lacks a tensor" } else { "lacks tensors" }, listed(names))]
    Lacking { path: PathBuf, names: Vec<String> },
    #[error("{name}: {exact:?} in f64 and {rounded:?} in f32")]
    Shapes { name: String, exact: Vec<usize>, rounded: Vec<usize> },
    #[error("{name}: expected {expected} in the run in {expected}, found {found}")]
    OtherType { name: String, expected: Dtype, found: Dtype },
    #[error("{name}: {count} elements of the two runs are not finite")]
    NotFinite { name: String, count: usize },
    #[error("{name}: zero throughout in f64, and not in f32")]
    Vanishing { name: String },
    #[error(
        "{name}: f32 is off by rel_l2 {rel_l2:.1e}, rel_linf {rel_linf:.1e} from f64, and rounding alone explains at most {MAX_FLOOR:e}: are both runs of one input, without dropout and other chance?"
    )]
    NotRounding { name: String, rel_l2: f64, rel_linf: f64 },
    #[error(
        "every tensor of the run in f32 is that of the run in f64: there is no noise to take limits from"
    )]
    NoNoise,
    #[error("{}: expected a path where nothing is yet", shown::path(path))]
    Exists { path: PathBuf },
    #[error(
        "{}: a file called {name} cannot be put into the set, which has another of that name",
        shown::path(path)
    )]
    SameName { path: PathBuf, name: String },
    #[error("{}: cannot be written: {source}", shown::path(path))]
    Write { path: PathBuf, source: std::io::Error },
}

fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(LISTED);
    let first = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

/// A run of the reference.
struct SourceRun<'a> {
    path: &'a Path,
    dump: Dump,
    record: DumpRecord,
}

impl SourceRun<'_> {
    fn open(path: &Path) -> Result<SourceRun<'_>, MakeSetError> {
        let (dump, record) = Dump::open(path, &Naming::by_pattern(FILES), ReadAs::default())?;
        let record = record.ok_or_else(|| MakeSetError::NoRecord { path: path.to_path_buf() })?;
        Ok(SourceRun { path, dump, record })
    }

    /// The names of its tensors in the order of execution.
    fn names(&self, without: &[String]) -> Vec<String> {
        let mut names = self.dump.names();
        names.retain(|name| !without.contains(name));
        let in_order = self
            .record
            .tensors
            .iter()
            .filter_map(|tensor| names.iter().find(|name| self.dump.key(name) == tensor.key).cloned());
        in_order.collect()
    }

    /// Refuses to be without tensors that the other run has.
    fn has_all(&self, others: &[String]) -> Result<(), MakeSetError> {
        let own: BTreeSet<String> = self.names(&[]).into_iter().collect();
        let names: Vec<String> = others.iter().filter(|name| !own.contains(*name)).cloned().collect();
        match names.is_empty() {
            true => Ok(()),
            false => Err(MakeSetError::Lacking { path: self.path.to_path_buf(), names }),
        }
    }

    /// Refuses files that are not there, not as they were recorded, or recorded twice.
    fn is_as_recorded(&self) -> Result<(), MakeSetError> {
        let path = || self.path.to_path_buf();
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.record.tensors.iter().find(|tensor| !seen.insert(&tensor.key)) {
            return Err(MakeSetError::Twice { path: path(), file: twice.key.clone() });
        }
        for RecordedTensor { key, fingerprint } in &self.record.tensors {
            let found = self.dump.store().open(key).and_then(|own| own.fingerprint(fingerprint.algorithm));
            if found.ok().as_ref() != Some(fingerprint) {
                return Err(MakeSetError::NotAsRecorded { path: path(), file: key.clone() });
            }
        }
        Ok(())
    }

    /// Reads a tensor of a type.
    fn read(&self, name: &str, expected: Dtype) -> Result<Tensor, MakeSetError> {
        let tensor = self.dump.read(name)?;
        match tensor.dtype() {
            found if found == expected => Ok(tensor),
            found => Err(MakeSetError::OtherType { name: name.to_string(), expected, found }),
        }
    }
}

/// Makes a set in a folder that is not there yet: whole, or not at all.
///
/// # Errors
/// What cannot be read or written, and runs that do not belong together or differ by more than rounding.
pub fn make(source: &SetSource<'_>, out: &Path) -> Result<MadeSet, MakeSetError> {
    if out.symlink_metadata().is_ok() {
        return Err(MakeSetError::Exists { path: out.to_path_buf() });
    }
    let [exact, rounded] = [SourceRun::open(source.exact)?, SourceRun::open(source.rounded)?];
    exact.is_as_recorded()?;
    rounded.is_as_recorded()?;
    let [weights, input] = [source.weights, source.input].map(file_name);
    let is_taken = |name: &&String| *name == FILE_NAME || *name == FOLDER;
    let taken = [&weights, &input].into_iter().find(is_taken).or((weights == input).then_some(&input));
    if let Some(name) = taken {
        return Err(MakeSetError::SameName { path: out.to_path_buf(), name: name.clone() });
    }
    let names = exact.names(source.without);
    if let Some(name) = source.without.iter().find(|name| !exact.names(&[]).contains(name)) {
        return Err(MakeSetError::Unknown { name: name.clone() });
    }
    rounded.has_all(&names)?;
    exact.has_all(&rounded.names(source.without))?;
    if names.is_empty() {
        return Err(MakeSetError::Empty { path: source.exact.to_path_buf() });
    }
    let of = |record: &DumpRecord| [record.weights.clone(), record.input.clone()];
    let files = [("weights", source.weights), ("input", source.input)];
    let recorded = of(&exact.record).into_iter().zip(of(&rounded.record)).zip(files);
    let hashed: Vec<Hashed> = recorded
        .map(|((exact, rounded), (what, path))| hash_of_both(what, path, exact, rounded))
        .collect::<Result<_, _>>()?;
    let write = |path: &Path| {
        let path = path.to_path_buf();
        move |source| MakeSetError::Write { path, source }
    };
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(write(parent))?;
    let mut builder = tempfile::Builder::new();
    // Temporary folders are private by default; this one must be readable by everyone who may read the folder that it is in.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let (unfinished, noted) = Unfinished::create(|| builder.tempdir_in(parent)).map_err(write(parent))?;
    let folder = unfinished.path().join(FOLDER);
    std::fs::create_dir(&folder).map_err(write(&folder))?;
    let floors = floors(&exact, &rounded, &names)?;
    let noisiest =
        names.iter().zip(&floors).max_by(|(_, a), (_, b)| a.figures.rel_l2.total_cmp(&b.figures.rel_l2));
    let noisiest =
        noisiest.map_or_else(Default::default, |(name, floor)| (name.clone(), floor.figures.rel_l2));
    let mut entries: Vec<Value> = Vec::new();
    for (name, floor) in names.iter().zip(&floors) {
        let tensor = exact.read(name, Dtype::F64)?;
        let file = format!("{name}.npy");
        let path = folder.join(&file);
        let stored = Tensor::from_f32(tensor.shape().to_vec(), tensor.to_f32().iter().copied().collect());
        write_npy(&path, &stored.unwrap_or(tensor))?;
        let written = open_npy(&path, None)?;
        let fingerprint = written.fingerprint(Algorithm::ElementsXxh3)?;
        let NoiseFloor { figures: PerMetric { rel_l2, rel_linf }, max_abs } = floor;
        entries.push(json!({
            "name": name, "file": file, "shape": written.shape(), "xxh3_128": fingerprint.hex,
            "noise_floor": {"rel_l2": rel_l2, "rel_linf": rel_linf, "max_abs": max_abs},
        }));
    }
    for (from, name) in [(source.weights, &weights), (source.input, &input)] {
        std::fs::copy(from, unfinished.path().join(name)).map_err(write(&out.join(name)))?;
    }
    let (tool, version) = exact.record.program.rsplit_once(' ').unwrap_or((&exact.record.program, ""));
    let file = |name: &str, hashed: &Hashed| json!({"file": name, "sha256": hashed.sha256});
    let manifest = json!({
        "schema_version": manifest::SCHEMA_VERSION,
        "set": source.name,
        "generator": {"tool": tool, "versions": {tool: version}},
        "settings": exact.record.settings,
        "weights": file(&weights, &hashed[0]),
        "input": file(&input, &hashed[1]),
        "reference": {"folder": FOLDER, "computed_in": "float64", "stored_in": "float32"},
        "tensors": entries,
    });
    let path = unfinished.path().join(FILE_NAME);
    atomic::write(&path, |to| {
        serde_json::to_writer_pretty(&mut *to, &manifest)?;
        writeln!(to)
    })
    .map_err(write(&out.join(FILE_NAME)))?;
    std::fs::rename(unfinished.path(), out).map_err(write(out))?;
    // It is no longer where it would be removed from.
    drop(noted);
    let _ = unfinished.keep();
    Ok(MadeSet { tensors: names.len(), noisiest })
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The hash of a file that both runs are to be of, where they say of which they are.
fn hash_of_both(
    what: &'static str,
    path: &Path,
    exact: Option<Hashed>,
    rounded: Option<Hashed>,
) -> Result<Hashed, MakeSetError> {
    let found = hash_file(path)?;
    let sha = |hashed: &Hashed| hashed.sha256.to_lowercase();
    if let (Some(exact), Some(rounded)) = (&exact, &rounded)
        && sha(exact) != sha(rounded)
    {
        let (exact, rounded) = (exact.sha256.clone(), rounded.sha256.clone());
        return Err(MakeSetError::OtherRun { what, exact, rounded });
    }
    match exact.or(rounded).filter(|recorded| sha(recorded) != sha(&found)) {
        None => Ok(found),
        Some(recorded) => {
            let (path, recorded) = (path.to_path_buf(), recorded.sha256);
            Err(MakeSetError::OtherFile { path, what, recorded, found: found.sha256 })
        }
    }
}

/// How far the run in f32 is from that in f64, tensor by tensor.
fn floors(
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
