//! What the encoder is run on.

use std::io::Read;
use std::path::{Path, PathBuf};

use encoder::TapTensor;
use encoder::input::{Preparation, PreparedPicture, Treatment};
use harness::files::regular;
use harness::store::{open_npy, read_npy};

use crate::shell::failure::Failure;
use crate::shell::paths;

/// How pictures' names end that a folder is searched for.
const EXTENSIONS: [&str; 10] = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "npy", "jfif"];

/// A file that the encoder is run on.
pub(crate) struct InputFile {
    pub(crate) path: PathBuf,
    /// How many pictures it holds.
    pub(crate) pictures: usize,
}

/// What a file holds, as the encoder takes it.
pub(crate) struct PreparedInput {
    pub(crate) tensor: TapTensor,
    /// What was done to a picture; nothing is done to an `.npy`.
    pub(crate) treatments: Option<Vec<Treatment>>,
}

/// Reads an input: a picture at its own size, or an `.npy` of `[batch, channels, height, width]`.
pub(crate) fn read_input(path: &Path) -> Result<TapTensor, Failure> {
    Ok(prepared(path, &Preparation::default())?.tensor)
}

/// Reads an input: a picture, to which that is done, or an `.npy` of `[batch, channels, height, width]`.
pub(crate) fn prepared(path: &Path, preparation: &Preparation) -> Result<PreparedInput, Failure> {
    if !is_npy(path) {
        let PreparedPicture { tensor, treatments } = preparation.read(path).map_err(|error| {
            let anew = "name another file, or save the picture anew: as an RGB PNG, whole, of a usual size";
            let help = match error {
                encoder::Error::Format { .. } => paths::unreadable_help(path).or(Some(anew.to_string())),
                _ => paths::unreadable_help(path),
            };
            Failure::unreadable(error).or_help(|| help)
        })?;
        return Ok(PreparedInput { tensor, treatments: Some(treatments) });
    }
    let tensor = read_npy(path, None)
        .map_err(|error| Failure::unreadable(error).or_help(|| paths::unreadable_help(path)))?;
    let data = tensor.to_f32().iter().copied().collect();
    Ok(PreparedInput { tensor: TapTensor { shape: tensor.shape().to_vec(), data }, treatments: None })
}

/// Whether a file is an `.npy`, by its first bytes or else by its name.
fn is_npy(path: &Path) -> bool {
    let mut magic = [0; 6];
    let starts = regular::open(path).is_ok_and(|mut file| file.read_exact(&mut magic).is_ok())
        && &magic == b"\x93NUMPY";
    starts || path.extension().is_some_and(|extension| extension == "npy")
}

/// The files that are named, and those in a folder that is named, by their names.
pub(crate) fn listed(named: &[PathBuf]) -> Result<Vec<InputFile>, Failure> {
    let mut files = Vec::new();
    for path in named {
        match path.is_dir() {
            true => files.extend(in_folder(path)?),
            false => files.push(path.clone()),
        }
    }
    files.into_iter().map(|path| Ok(InputFile { pictures: pictures_in(&path)?, path })).collect()
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::unusable(format!("cannot list {}: {error}", folder.display())).help("may you read it?")
    };
    let entries: Result<Vec<_>, _> = std::fs::read_dir(folder).map_err(unreadable)?.collect();
    let is_picture = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()) && path.is_file()
    };
    let mut files: Vec<PathBuf> =
        entries.map_err(unreadable)?.iter().map(std::fs::DirEntry::path).filter(is_picture).collect();
    files.sort();
    match files.is_empty() {
        true => Err(Failure::unusable(format!(
            "{}: expected pictures, found no file named as one",
            folder.display()
        ))
        .help(format!("names that end in one of {} are looked for", EXTENSIONS.join(", ")))),
        false => Ok(files),
    }
}

fn pictures_in(path: &Path) -> Result<usize, Failure> {
    if !is_npy(path) {
        return Ok(1);
    }
    let tensor = open_npy(path, None)
        .map_err(|error| Failure::unreadable(error).or_help(|| paths::unreadable_help(path)))?;
    // A tensor of another rank is refused by the model, which says what it takes.
    Ok(tensor.shape().first().copied().unwrap_or(1))
}
