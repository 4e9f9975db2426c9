//! A set, made from two runs of a reference: one in f64, and one in f32 whose error is the noise floor.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::compare::metrics::Metrics;
use crate::files::atomic;
use crate::provenance::sha256::{Hashed, ReadError, hash_file};
use crate::provenance::{Dump, DumpOpenError, DumpRecord};
use crate::reference::manifest::{self, FILE_NAME, MAX_FLOOR};
use crate::store::{Algorithm, Naming, ReadAs, StoreError, open_npy, write_npy};
use crate::tensor::{Dtype, Tensor};
use crate::text::shown;

/// How the tensors of runs and sets are named.
const FILES: &str = "{name}.npy";
/// The tensors' folder in a set.
const FOLDER: &str = "reference";
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
    #[error("the two runs are not of the same {what}: {exact} in f64, {rounded} in f32")]
    OtherRun { what: &'static str, exact: String, rounded: String },
    #[error(
        "{}: the runs were of another {what}: sha256 {recorded}, this file has {found}",
        shown::path(path)
    )]
    OtherFile { path: PathBuf, what: &'static str, recorded: String, found: String },
    #[error("{}: {} that the other run has: {}", shown::path(path), if names.len() == 1 { "lacks a tensor" } else { "lacks tensors" }, listed(names))]
    Lacking { path: PathBuf, names: Vec<String> },
    #[error("{name}: {exact:?} in f64 and {rounded:?} in f32")]
    Shapes { name: String, exact: Vec<usize>, rounded: Vec<usize> },
    #[error("{name}: expected f64 in the run that is the reference, found {found}")]
    NotExact { name: String, found: Dtype },
    #[error("{name}: {count} of its elements are not finite")]
    NotFinite { name: String, count: usize },
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
    #[error("{}: weights and input are both called {name}, and go into one folder", shown::path(path))]
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
    fn names(&self) -> Vec<String> {
        let names = self.dump.names();
        let in_order = self
            .record
            .tensors
            .iter()
            .filter_map(|tensor| names.iter().find(|name| self.dump.key(name) == tensor.key).cloned());
        in_order.collect()
    }

    /// Refuses to be without tensors that the other run has.
    fn has_all(&self, others: &[String]) -> Result<(), MakeSetError> {
        let own: BTreeSet<String> = self.names().into_iter().collect();
        let names: Vec<String> = others.iter().filter(|name| !own.contains(*name)).cloned().collect();
        match names.is_empty() {
            true => Ok(()),
            false => Err(MakeSetError::Lacking { path: self.path.to_path_buf(), names }),
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
    let names = exact.names();
    rounded.has_all(&names)?;
    exact.has_all(&rounded.names())?;
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
    let unfinished = tempfile::tempdir_in(parent).map_err(write(parent))?;
    let folder = unfinished.path().join(FOLDER);
    std::fs::create_dir(&folder).map_err(write(&folder))?;
    let [weights, input] = [source.weights, source.input].map(|path| file_name(path));
    if weights == input || [&weights, &input].into_iter().any(|name| name == FILE_NAME || name == FOLDER) {
        return Err(MakeSetError::SameName { path: out.to_path_buf(), name: input });
    }
    let mut entries: Vec<Value> = Vec::new();
    let mut noisiest = (String::new(), 0.0);
    for name in &names {
        let (a, b) = (rounded.dump.read(name)?, exact.dump.read(name)?);
        let metrics = noise(name, &a, &b)?;
        let (rel_l2, rel_linf) = (metrics.rel_l2.unwrap_or(0.0), metrics.rel_linf.unwrap_or(0.0));
        if rel_l2 > noisiest.1 {
            noisiest = (name.clone(), rel_l2);
        }
        let file = format!("{name}.npy");
        let path = folder.join(&file);
        let stored = Tensor::from_f32(b.shape().to_vec(), b.to_f32().iter().copied().collect())
            .unwrap_or_else(|| b.clone());
        write_npy(&path, &stored)?;
        let fingerprint = open_npy(&path, None)?.fingerprint(Algorithm::ElementsXxh3)?;
        entries.push(json!({
            "name": name, "file": file, "shape": b.shape(), "xxh3_128": fingerprint.hex,
            "noise_floor": {"rel_l2": rel_l2, "rel_linf": rel_linf, "max_abs": metrics.max_abs.unwrap_or(0.0)},
        }));
    }
    if noisiest.1 == 0.0 {
        return Err(MakeSetError::NoNoise);
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

/// How far the run in f32 is from that in f64, which must be rounding alone.
fn noise(name: &str, rounded: &Tensor, exact: &Tensor) -> Result<Metrics, MakeSetError> {
    let name = name.to_string();
    if exact.dtype() != Dtype::F64 {
        return Err(MakeSetError::NotExact { name, found: exact.dtype() });
    }
    if rounded.shape() != exact.shape() {
        let (exact, rounded) = (exact.shape().to_vec(), rounded.shape().to_vec());
        return Err(MakeSetError::Shapes { name, exact, rounded });
    }
    let metrics = Metrics::of(rounded, exact);
    match metrics.non_finite() {
        0 => {}
        count => return Err(MakeSetError::NotFinite { name, count }),
    }
    let (rel_l2, rel_linf) = (metrics.rel_l2.unwrap_or(0.0), metrics.rel_linf.unwrap_or(0.0));
    match rel_l2 <= MAX_FLOOR && rel_linf <= MAX_FLOOR {
        true => Ok(metrics),
        false => Err(MakeSetError::NotRounding { name, rel_l2, rel_linf }),
    }
}
