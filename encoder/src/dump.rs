//! Saves intermediate tensors as `debug_<name>.npy`, as llama.cpp's tensor-debugging guide does.

use std::io::Write;
use std::path::{Path, PathBuf};

use npyz::WriterBuilder;

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

/// Writes every tensor to a folder, and a line about each to `progress`.
pub struct DumpFolder<W> {
    folder: PathBuf,
    files: Vec<PathBuf>,
    progress: W,
}

impl<W: Write> DumpFolder<W> {
    /// Creates the folder if it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn create(folder: &Path, mut progress: W) -> Result<Self, DumpError> {
        let error = |source| DumpError { path: folder.to_path_buf(), source };
        std::fs::create_dir_all(folder).map_err(error)?;
        writeln!(progress, "=== Saving intermediate tensors to {} ===", folder.display()).map_err(error)?;
        Ok(DumpFolder { folder: folder.to_path_buf(), files: Vec::new(), progress })
    }

    /// Reports that all tensors are saved, and returns their files in the order of execution.
    ///
    /// # Errors
    /// When the line cannot be written.
    pub fn finish(mut self) -> Result<Vec<PathBuf>, DumpError> {
        writeln!(self.progress, "=== Tensor saving complete ===")
            .map_err(|source| DumpError { path: self.folder.clone(), source })?;
        Ok(self.files)
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
        write_npy(&path, &tensor.shape, &tensor.data)?;
        // The guide prints GGML's order, fastest first, padded to four extents.
        let mut extents: Vec<usize> = tensor.shape.iter().rev().copied().collect();
        extents.resize(extents.len().max(4), 1);
        writeln!(self.progress, "Saved tensor '{name}' with shape {extents:?} to {}", path.display())?;
        self.files.push(path);
        Ok(())
    }
}

/// Writes an f32 tensor as `.npy`, to a temporary file that is then renamed: a failure leaves no partial file.
///
/// # Errors
/// When the file cannot be written.
pub fn write_npy(path: &Path, shape: &[usize], data: &[f32]) -> Result<(), DumpError> {
    let error = |source| DumpError { path: path.to_path_buf(), source };
    // Links are followed; anything but a regular file, such as `/dev/stdout`, is written in place.
    let target = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(error(std::io::ErrorKind::IsADirectory.into())),
        Ok(metadata) if !metadata.is_file() => {
            let out = std::fs::File::options().write(true).open(path).map_err(error)?;
            return write_elements(&mut std::io::BufWriter::new(out), shape, data).map_err(error);
        }
        Ok(_) => std::fs::canonicalize(path).map_err(error)?,
        Err(_) => path.to_path_buf(),
    };
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // Temporary files are private by default; these get the usual permissions.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    // The error names the caller's path; a temporary name would not help.
    let mut file = builder.tempfile_in(folder).map_err(|failed| error(failed.kind().into()))?;
    write_elements(&mut std::io::BufWriter::new(&mut file), shape, data).map_err(error)?;
    file.persist(&target).map_err(|failed| error(failed.error))?;
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
