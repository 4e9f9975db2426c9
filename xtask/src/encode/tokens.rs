//! Soft tokens of one or many pictures, written as they are computed.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

use encoder::Encoded;
use harness::files::atomic;
use npyz::WriterBuilder;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::input::InputFile;
use crate::shell::failure::Failure;

/// Where soft tokens go: to one tensor of all pictures, or with `.safetensors` to one for each file.
pub(crate) struct TokenWriter<'w, 'f> {
    out: &'f Path,
    files: &'f [InputFile],
    /// Names of tensors, where the container has them.
    names: Option<Vec<String>>,
    state: WriterState<'w>,
    /// The file and the shape of its tokens that decide what others have to be, without the batch.
    first: Option<(&'f Path, Vec<usize>)>,
}

enum WriterState<'w> {
    /// Nothing is written before the shape of the tokens is known.
    Start(&'w mut dyn Write),
    Npy(npyz::NpyWriter<f32, &'w mut dyn Write>),
    Safetensors(&'w mut dyn Write),
    /// An error left it unusable.
    Failed,
}

/// Names for the tensors of these files, if that is what `out` needs.
fn names(out: &Path, files: &[InputFile]) -> Result<Option<Vec<String>>, Failure> {
    if out.extension().is_none_or(|extension| extension != "safetensors") {
        return Ok(None);
    }
    let text = |name: Option<&std::ffi::OsStr>| name.unwrap_or_default().to_string_lossy().into_owned();
    let ways = [
        files.iter().map(|file| text(file.path.file_stem())).collect::<Vec<String>>(),
        files.iter().map(|file| text(file.path.file_name())).collect(),
        files.iter().map(|file| file.path.display().to_string()).collect(),
    ];
    let distinct = |names: &Vec<String>| {
        let mut seen = HashSet::new();
        names.iter().all(|name| name != "__metadata__" && seen.insert(name))
    };
    match ways.into_iter().find(distinct) {
        Some(names) => Ok(Some(names)),
        None => Err(Failure::usage(
            format!("--out {}: one tensor for each file, and a file is named twice", out.display()),
            "name each file once, or write an .npy",
        )),
    }
}

/// Writes the soft tokens of these files to a file that is whole or is not there.
pub(crate) fn save<'f>(
    out: &'f Path,
    files: &'f [InputFile],
    encode: impl FnOnce(&mut TokenWriter<'_, 'f>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let names = names(out, files)?;
    let mut failure = None;
    let written = atomic::write(out, |file| {
        let mut writer = TokenWriter { out, files, names, state: WriterState::Start(file), first: None };
        match encode(&mut writer) {
            Ok(()) => writer.finish(),
            Err(error) => {
                failure = Some(error);
                Err(std::io::ErrorKind::Other.into())
            }
        }
    });
    match (written, failure) {
        (_, Some(failure)) => Err(failure),
        (Err(error), None) => Err(Failure::write(out, &error)),
        (Ok(()), None) => Ok(()),
    }
}

impl<'w, 'f> TokenWriter<'w, 'f> {
    /// Writes the tokens of files that follow those before, of which `file` is the first.
    pub(crate) fn push(&mut self, file: &'f Path, encoded: &Encoded) -> Result<(), Failure> {
        let shape = encoded.shape.get(1..).unwrap_or_default();
        if let Some((name, first)) = &self.first
            && first != shape
        {
            let message =
                format!("{} gives {shape:?} for a picture, {} {first:?}", file.display(), name.display());
            return Err(Failure::usage(message, "write them to two files, or --resize all to one size"));
        }
        self.write(shape, &encoded.data).map_err(|error| Failure::write(self.out, &error))?;
        self.first.get_or_insert_with(|| (file, shape.to_vec()));
        Ok(())
    }

    fn write(&mut self, shape: &[usize], data: &[f32]) -> std::io::Result<()> {
        if self.first.is_none() {
            self.state = self.begin(shape)?;
        }
        match &mut self.state {
            WriterState::Npy(writer) => writer.extend(data.iter().copied()),
            WriterState::Safetensors(out) => {
                data.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
            }
            WriterState::Start(_) | WriterState::Failed => Err(std::io::Error::other("not begun")),
        }
    }

    fn begin(&mut self, shape: &[usize]) -> std::io::Result<WriterState<'w>> {
        let WriterState::Start(out) = std::mem::replace(&mut self.state, WriterState::Failed) else {
            return Err(std::io::Error::other("begun twice"));
        };
        let Some(names) = self.names.take() else {
            let pictures = self.files.iter().map(|file| file.pictures).sum();
            let shape: Vec<u64> =
                std::iter::once(pictures).chain(shape.iter().copied()).map(|n| n as u64).collect();
            let options = npyz::WriteOptions::<f32>::new().default_dtype().shape(&shape);
            return Ok(WriterState::Npy(options.writer(out).begin_nd()?));
        };
        let mut end = 0;
        let info = |file: &InputFile| {
            let shape: Vec<usize> = std::iter::once(file.pictures).chain(shape.iter().copied()).collect();
            let start = end;
            end += 4 * shape.iter().product::<usize>();
            TensorInfo { dtype: Dtype::F32, shape, data_offsets: (start, end) }
        };
        let infos: Vec<TensorInfo> = self.files.iter().map(info).collect();
        let metadata = Metadata::new(None, names.into_iter().zip(infos).collect());
        let mut header = serde_json::to_vec(&metadata.map_err(std::io::Error::other)?)?;
        // The elements start at a multiple of eight bytes.
        header.resize(header.len().next_multiple_of(8), b' ');
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        Ok(WriterState::Safetensors(out))
    }

    /// Ends the file; what is missing in it is an error.
    fn finish(self) -> std::io::Result<()> {
        match self.state {
            WriterState::Npy(writer) => writer.finish(),
            WriterState::Safetensors(_) => Ok(()),
            WriterState::Start(_) | WriterState::Failed => Err(std::io::Error::other("nothing to write")),
        }
    }
}
