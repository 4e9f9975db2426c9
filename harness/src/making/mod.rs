//! A set, made from two runs of a reference: one in f64, and one in f32 whose error is the noise floor.

mod error;
mod floors;
mod source_run;

use std::path::Path;

use serde_json::{Value, json};

pub use self::error::MakeSetError;
use self::floors::floors;
use self::source_run::SourceRun;
use crate::files::atomic;
use crate::files::unfinished::Unfinished;
use crate::limits::metric::PerMetric;
use crate::limits::tolerance::NoiseFloor;
use crate::provenance::DumpRecord;
use crate::provenance::sha256::{Hashed, hash_file};
use crate::reference::manifest::{self, FILE_NAME};
use crate::store::{Algorithm, open_npy, write_npy};
use crate::tensor::{Dtype, Tensor};

/// The tensors' folder in a set.
const FOLDER: &str = "reference";

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
    let written = names.iter().zip(&floors).map(|(name, floor)| write_tensor(&exact, name, floor, &folder));
    let entries: Vec<Value> = written.collect::<Result<_, _>>()?;
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

/// Writes a reference tensor, rounded to f32; its entry in the manifest.
fn write_tensor(
    exact: &SourceRun<'_>,
    name: &str,
    floor: &NoiseFloor,
    folder: &Path,
) -> Result<Value, MakeSetError> {
    let tensor = exact.read(name, Dtype::F64)?;
    let file = format!("{name}.npy");
    let path = folder.join(&file);
    let stored = Tensor::from_f32(tensor.shape().to_vec(), tensor.to_f32().iter().copied().collect());
    write_npy(&path, &stored.unwrap_or(tensor))?;
    let written = open_npy(&path, None)?;
    let fingerprint = written.fingerprint(Algorithm::ElementsXxh3)?;
    let NoiseFloor { figures: PerMetric { rel_l2, rel_linf }, max_abs } = floor;
    Ok(json!({
        "name": name, "file": file, "shape": written.shape(), "xxh3_128": fingerprint.hex,
        "noise_floor": {"rel_l2": rel_l2, "rel_linf": rel_linf, "max_abs": max_abs},
    }))
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
