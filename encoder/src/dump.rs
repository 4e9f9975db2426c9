//! Saves intermediate tensors as `debug_<name>.npy`, as llama.cpp's tensor-debugging guide does.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use npyz::WriterBuilder;
use tempfile::NamedTempFile;

use crate::tap::{TapSink, TapTensor};

/// Environment variable that asks for dumps: `1` for yes.
pub const SAVE_TENSORS: &str = "CLIP_DEBUG_SAVE_TENSORS";
/// Environment variable for the folder.
pub const OUTPUT_DIR: &str = "CLIP_DEBUG_OUTPUT_DIR";
/// The folder when the variable is not set.
pub const DEFAULT_OUTPUT_DIR: &str = "debug_ggml_output";

/// The folder for dumps, if the environment asks for them.
pub fn folder_from_environment() -> Option<PathBuf> {
    let wanted = std::env::var_os(SAVE_TENSORS).is_some_and(|value| !value.is_empty() && value != "0");
    let folder = std::env::var_os(OUTPUT_DIR).filter(|folder| !folder.is_empty());
    wanted.then(|| folder.map_or_else(|| DEFAULT_OUTPUT_DIR.into(), PathBuf::from))
}

/// Why a tensor could not be saved.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct DumpError {
    /// The file.
    pub path: PathBuf,
    /// The operating system's error.
    pub source: std::io::Error,
}

/// Writes every tensor to a folder, and a line about each to `progress`. Lines that cannot be written, as to a closed pipe,
/// do not stop the dump.
pub struct DumpFolder<W> {
    folder: PathBuf,
    files: Vec<PathBuf>,
    progress: W,
    /// Why a line could not be written; no further one is.
    untold: Option<std::io::Error>,
}

/// A dump that is whole.
#[derive(Debug)]
pub struct SavedTensors {
    /// The tensors' files, in the order of execution.
    pub files: Vec<PathBuf>,
    /// Why lines about them could not be written, where they could not.
    pub untold: Option<std::io::Error>,
}

impl<W: Write> DumpFolder<W> {
    /// Creates the folder if it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn create(folder: &Path, progress: W) -> Result<Self, DumpError> {
        let error = |source| DumpError { path: folder.to_path_buf(), source };
        std::fs::create_dir_all(folder).map_err(error)?;
        let mut dump = DumpFolder { folder: folder.to_path_buf(), files: Vec::new(), progress, untold: None };
        dump.tell(format_args!("=== Saving intermediate tensors to {} ===", folder.display()));
        Ok(dump)
    }

    /// Reports that all tensors are saved, and returns their files.
    pub fn finish(mut self) -> SavedTensors {
        self.tell(format_args!("=== Tensor saving complete ==="));
        SavedTensors { files: self.files, untold: self.untold }
    }

    fn tell(&mut self, line: std::fmt::Arguments<'_>) {
        if self.untold.is_none() {
            self.untold = writeln!(self.progress, "{line}").and_then(|()| self.progress.flush()).err();
        }
    }
}

impl<W: Write> TapSink for DumpFolder<W> {
    fn wants(&self, _: &str) -> bool {
        true
    }

    fn record(
        &mut self,
        name: &str,
        tensor: TapTensor,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let path = self.folder.join(format!("debug_{name}.npy"));
        replace(&path, &path, &tensor.shape, &tensor.data)?;
        // The guide prints GGML's order, fastest first, padded to four extents.
        let mut extents: Vec<usize> = tensor.shape.iter().rev().copied().collect();
        extents.resize(extents.len().max(4), 1);
        self.tell(format_args!("Saved tensor '{name}' with shape {extents:?} to {}", path.display()));
        self.files.push(path);
        Ok(())
    }
}

/// Writes an f32 tensor as `.npy`, to a temporary file that is then renamed: a failure leaves no partial file. A link is
/// followed; a pipe or device is written to as it is; a file that is there keeps its mode.
///
/// # Errors
/// When the file cannot be written.
pub fn write_npy(path: &Path, shape: &[usize], data: &[f32]) -> Result<(), DumpError> {
    let error = |source| DumpError { path: path.to_path_buf(), source };
    let target = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(error(std::io::ErrorKind::IsADirectory.into())),
        Ok(metadata) if !metadata.is_file() => {
            let out = std::fs::File::options().write(true).open(path).map_err(error)?;
            return write_elements(&mut std::io::BufWriter::new(out), shape, data).map_err(error);
        }
        Ok(_) => std::fs::canonicalize(path).map_err(error)?,
        Err(_) => path.to_path_buf(),
    };
    replace(path, &target, shape, data)
}

/// Puts a tensor in the place of a regular file, of a link, or of nothing. `named` is what the file is called in errors.
fn replace(named: &Path, target: &Path, shape: &[usize], data: &[f32]) -> Result<(), DumpError> {
    let error = |source| DumpError { path: named.to_path_buf(), source };
    let mode = match std::fs::symlink_metadata(target) {
        Ok(metadata) if metadata.is_file() => Some(metadata.permissions()),
        Ok(metadata) if metadata.is_dir() => return Err(error(std::io::ErrorKind::IsADirectory.into())),
        // The link goes; what it leads to is not this tensor.
        Ok(metadata) if metadata.is_symlink() => None,
        Ok(_) => {
            return Err(error(std::io::Error::other(
                "expected a file or nothing there, found a pipe or device",
            )));
        }
        Err(_) => None,
    };
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // Temporary files are private by default; these get the usual permissions, or those of the file that they replace.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(match mode {
        None => 0o666,
        Some(_) => 0o600,
    }));
    // The error names the caller's path; a temporary name would not help.
    let (mut file, _unfinished) = UnfinishedTensor::create(|| builder.tempfile_in(folder))
        .map_err(|failed| error(failed.kind().into()))?;
    write_elements(&mut std::io::BufWriter::new(&mut file), shape, data).map_err(error)?;
    if let Some(mode) = mode {
        file.as_file().set_permissions(mode).map_err(error)?;
    }
    file.persist(target).map_err(|failed| error(failed.error))?;
    Ok(())
}

fn write_elements(out: &mut impl Write, shape: &[usize], data: &[f32]) -> std::io::Result<()> {
    let shape: Vec<u64> = shape.iter().map(|extent| *extent as u64).collect();
    let options = npyz::WriteOptions::<f32>::new().default_dtype().shape(&shape);
    let mut writer = options.writer(&mut *out).begin_nd()?;
    writer.extend(data.iter().copied())?;
    writer.finish()?;
    out.flush()
}

static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The temporary file of a tensor that is being written, while this is held.
struct UnfinishedTensor(PathBuf);

impl UnfinishedTensor {
    /// Makes a file aside and notes it, in one step.
    fn create(
        make: impl FnOnce() -> std::io::Result<NamedTempFile>,
    ) -> std::io::Result<(NamedTempFile, UnfinishedTensor)> {
        let mut all = unfinished();
        let file = make()?;
        let path = file.path().to_path_buf();
        all.insert(path.clone());
        Ok((file, UnfinishedTensor(path)))
    }
}

impl Drop for UnfinishedTensor {
    fn drop(&mut self) {
        unfinished().remove(&self.0);
    }
}

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the temporary files of tensors that are being written. For a process that ends at once.
pub fn remove_unfinished() {
    let mut unfinished = unfinished();
    for path in std::mem::take(&mut *unfinished) {
        // Best effort: the process is ending.
        let _ = std::fs::remove_file(path);
    }
    // Held until then: no writer goes on or begins.
    std::mem::forget(unfinished);
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn one() -> TapTensor {
        TapTensor { shape: vec![1], data: vec![1.5] }
    }

    #[test]
    fn a_link_under_a_tensors_name_is_replaced_and_a_pipe_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("other"), "other").unwrap();
        std::os::unix::fs::symlink(path("other"), path("debug_a.npy")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("debug_b.npy")).status().unwrap().success());
        let mut dump = DumpFolder::create(folder.path(), std::io::sink()).unwrap();
        dump.record("a", one()).unwrap();
        assert_eq!(std::fs::read_to_string(path("other")).unwrap(), "other");
        assert!(!path("debug_a.npy").is_symlink());
        let message = dump.record("b", one()).unwrap_err().to_string();
        assert!(message.contains("debug_b.npy") && message.contains("found a pipe or device"), "{message}");
        assert_eq!(dump.finish().files, [path("debug_a.npy")]);
    }

    #[test]
    fn a_closed_pipe_does_not_stop_a_dump() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let mut dump = DumpFolder::create(folder.path(), Closed).unwrap();
        dump.record("a", one()).unwrap();
        let saved = dump.finish();
        assert_eq!(saved.files.len(), 1);
        assert_eq!(saved.untold.unwrap().kind(), std::io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_file_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        write_npy(&path, &[1], &[1.0]).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
