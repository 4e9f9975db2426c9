use std::path::{Path, PathBuf};
use std::time::Instant;

use encoder::dump::{self, DumpFolder, SavedTensors};
use encoder::input::Treatment;
use encoder::{Checkpoint, Encoded, Model, TapSink, TapTensor, WithInner};
use harness::files::overwrite::FilesRead;
use harness::provenance::sha256::{hash_file, hash_files};
use harness::provenance::{self, DumpRecord, InputTensor, RecordedTensor};
use harness::store::{Algorithm, open_npy};
use rayon::prelude::*;

use crate::encode::arguments::{AskedTaps, EncoderArguments};
use crate::encode::input::{InputFile, listed};
use crate::encode::pictures::{PictureArguments, settings_beside};
use crate::encode::run::EncodingRun;
use crate::encode::tokens::save;
use crate::encode::transplant::{self, Replacement, Transplanted};
use crate::encode::used_folder::UsedFolder;
use crate::encode::{settings, weight_tensors};
use crate::gate::files_read::indices;
use crate::shell::console::{self, say, tell};
use crate::shell::failure::{CommandResult, Failure};
use crate::shell::paths;

/// Run the encoder: pictures or .npy in, soft tokens out.
///
/// Examples:
///   cargo xtask encode --weights model.safetensors --input photo.jpg --dump debug_ggml_output
///   cargo xtask encode --weights model.safetensors --input photos --batch 4 --out tokens.safetensors
///   cargo xtask encode --weights model.safetensors --input photo.jpg --processor llama.cpp --out tokens.npy
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Encode {
    /// Weights: a safetensors or GGUF file, the index of a sharded checkpoint, or a folder with one of them.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Pictures (PNG, JPEG, WebP, GIF, BMP, TIFF; of an animation the first frame) of any size, .npy of
    /// [batch, 3, height, width] in [0, 1], or folders of either.
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    input: Vec<PathBuf>,
    /// Where to save the soft tokens: FILE.npy of all pictures, [batch, tokens, hidden] f32, or FILE.safetensors with
    /// one tensor for each input file, under the file's name.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How many pictures the encoder takes at once; what it computes does not depend on it.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=256))]
    batch: u16,
    /// Save every named intermediate tensor as debug_<name>.npy in this folder; also asked for by
    /// CLIP_DEBUG_SAVE_TENSORS=1 with CLIP_DEBUG_OUTPUT_DIR (default debug_ggml_output). Tensors of an
    /// earlier dump there, as its dump.json lists them, are removed; other files are left alone.
    #[arg(long, value_name = "DIR")]
    dump: Option<PathBuf>,
    /// Dump too what each operation inside a block gives; mappings/gemma3n-inner.toml compares it.
    #[arg(long)]
    inner: bool,
    /// Put a tensor of another program in the place of the encoder's own and go on from there: its name in a dump, and
    /// an .npy. Says how far the soft tokens move: what an error there costs at the end. May be given several times.
    #[arg(long, value_name = "NAME=FILE", value_parser = transplant::replacement)]
    replace: Vec<Replacement>,
    #[command(flatten)]
    pictures: PictureArguments,
    #[command(flatten)]
    encoder: EncoderArguments,
}

impl Encode {
    pub(crate) fn run(self) -> CommandResult {
        let folder = self.dump.clone().or_else(dump::folder_from_environment);
        self.check_outputs(folder.as_deref())?;
        let pool = self.encoder.pool()?;
        let started = Instant::now();
        let checkpoint = self.encoder.open_named(&self.weights)?;
        let files = listed(&self.input)?;
        if folder.is_some() && files.len() > 1 {
            return Err(Failure::usage(
                format!("a dump is of one input, found {}", files.len()),
                "dump each into a folder of its own, or leave the dump out and save --out FILE",
            ));
        }
        let mut read = FilesRead::default();
        read.extend(checkpoint.files());
        read.note(&self.weights);
        read.extend(settings_beside(&self.weights));
        read.extend(files.iter().map(|file| &file.path));
        read.extend(self.replace.iter().map(|replacement| replacement.file.clone()));
        // An index in a folder of weights says which files are read.
        read.extend(indices(&self.weights));
        if let Some(out) = &self.out {
            check_place(out, &read)?;
            check_beside_dump(out, folder.as_deref())?;
        }
        let mut model = pool.install(|| self.encoder.load(&checkpoint, None))?;
        let chosen = self.pictures.choose(&self.weights, &checkpoint, model.architecture())?;
        model.take_normalised(chosen.preparation.normalisation);
        let mut run = EncodingRun::new(&model, &pool, chosen, usize::from(self.batch));
        let loaded = started.elapsed();
        let started = Instant::now();
        let mut untold = None;
        match (&folder, &self.out) {
            (None, out) if !self.replace.is_empty() => {
                let encoded = self.replaced(&mut run, &files)?;
                if let Some(out) = out {
                    save(out, &files, |writer| writer.push(&files[0].path, &encoded))?;
                }
            }
            (Some(folder), out) => {
                let dumped = self.dump(&mut run, folder, &files, &checkpoint, &read)?;
                if let Some(out) = out {
                    save(out, &files, |writer| writer.push(&files[0].path, &dumped.encoded))?;
                }
                untold = dumped.untold;
            }
            (None, Some(out)) => {
                save(out, &files, |writer| run.encode(&files, |file, encoded| writer.push(file, encoded)))?
            }
            (None, None) => run.encode(&files, |_, _| Ok(()))?,
        }
        run.report(loaded, started.elapsed());
        Ok(console::ended(untold.as_ref()))
    }

    /// Refuses a run that would save nothing, or less than it is asked for.
    fn check_outputs(&self, folder: Option<&Path>) -> Result<(), Failure> {
        if folder.is_some() && !self.replace.is_empty() {
            return Err(Failure::usage(
                "a dump is of the encoder's own tensors: --replace has none",
                "leave --dump out; --out FILE saves the soft tokens",
            ));
        }
        if self.out.is_none() && folder.is_none() && self.replace.is_empty() {
            return Err(Failure::usage(
                "nothing to save: neither --out nor --dump is given",
                "add --out tokens.npy for the soft tokens, or --dump DIR for every intermediate tensor",
            ));
        }
        if self.inner && folder.is_none() {
            return Err(Failure::usage(
                "--inner adds tensors to a dump, and none is asked for",
                "add --dump DIR, or leave --inner out",
            ));
        }
        Ok(())
    }

    /// Encodes one input with tensors replaced, and says what that costs.
    fn replaced(&self, run: &mut EncodingRun<'_>, files: &[InputFile]) -> Result<Encoded, Failure> {
        let [file] = files else {
            return Err(Failure::usage(
                format!("--replace is of one input, found {}", files.len()),
                "name the file that the tensors were computed from",
            ));
        };
        let input = run.read(file)?;
        let Transplanted { encoded, off } =
            run.pool.install(|| transplant::run(run.model, &input.tensor, &self.replace))?;
        for (name, off) in &off {
            say(&format!("{name}: off by {off:.3e} (rel_l2) from the encoder's own"));
        }
        run.note(&encoded, &input.tensor);
        Ok(encoded)
    }

    /// Encodes one input and saves every intermediate tensor.
    fn dump(
        &self,
        run: &mut EncodingRun<'_>,
        folder: &Path,
        files: &[InputFile],
        checkpoint: &Checkpoint,
        read: &FilesRead,
    ) -> Result<DumpedRun, Failure> {
        let Some(file) = files.first() else { return Err(Failure::unusable("no input")) };
        let input = run.read(file)?;
        let used = UsedFolder::open(folder)?;
        let asked = AskedTaps::of(run.model, &input.tensor, |_| self.inner);
        check_dump(folder, &asked, &used, read)?;
        let sink = DumpFolder::create(folder, std::io::stdout()).map_err(Failure::unreadable)?;
        let mut sink = WithInner { asked: asked.inner, sink: Replacing { used: Some(used), sink } };
        let encoded = run.encode_one(&file.path, &input.tensor, &mut sink)?;
        let SavedTensors { files: written, untold } = sink.sink.sink.finish();
        let said: Vec<String> = input.treatments.iter().flatten().map(Treatment::to_string).collect();
        let source = DumpSource { checkpoint, file: &file.path, input: &input.tensor, treatments: said };
        run.pool.install(|| record_provenance(folder, run.model, &source, &written))?;
        warn_of_strangers(folder, &written);
        Ok(DumpedRun { encoded, untold })
    }
}

/// Refuses tokens in the place of a tensor of the dump.
fn check_beside_dump(out: &Path, folder: Option<&Path>) -> Result<(), Failure> {
    let of_dump =
        |name: &str| name == provenance::FILE_NAME || (name.starts_with("debug_") && name.ends_with(".npy"));
    let name = out.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let beside = |folder: &Path| std::path::absolute(folder).ok() == out_folder(out);
    match of_dump(name) && folder.is_some_and(beside) {
        true => Err(Failure::usage(
            format!("{}: the dump has a file of that name", out.display()),
            "name another file with --out, or another folder with --dump",
        )),
        false => Ok(()),
    }
}

/// What a run with a dump gave.
struct DumpedRun {
    encoded: Encoded,
    /// Why lines about the tensors could not be written, where they could not.
    untold: Option<std::io::Error>,
}

/// What a dump was computed from.
struct DumpSource<'a> {
    checkpoint: &'a Checkpoint,
    file: &'a Path,
    input: &'a TapTensor,
    /// What was done to the picture.
    treatments: Vec<String>,
}

/// Writes down what the dump was computed from.
fn record_provenance(
    folder: &Path,
    model: &Model,
    source: &DumpSource<'_>,
    files: &[PathBuf],
) -> Result<(), Failure> {
    let mut facts = vec![
        ("instruction set", model.isa().to_string()),
        ("precision", model.precision().to_string()),
        ("arithmetic", model.arithmetic()),
    ];
    if !source.treatments.is_empty() {
        facts.push(("picture", source.treatments.join(", ")));
    }
    DumpRecord {
        schema_version: provenance::SCHEMA_VERSION,
        program: concat!("encoder ", env!("CARGO_PKG_VERSION")).to_string(),
        settings: settings::by_name(&model.settings()),
        facts: facts.into_iter().map(|(name, value)| (name.to_string(), value)).collect(),
        weights: Some(hash_files(source.checkpoint.files()).map_err(Failure::unreadable)?),
        weight_tensors: Some(weight_tensors::of(source.checkpoint, &model.settings())?),
        input: Some(hash_file(source.file).map_err(Failure::unreadable)?),
        input_tensor: Some(InputTensor::of(&source.input.shape, &source.input.data)),
        tensors: files.par_iter().map(|path| recorded(path)).collect::<Result<_, _>>()?,
    }
    .write(folder)
    .map_err(Failure::unreadable)
}

/// The folder that a file is to be written to.
fn out_folder(file: &Path) -> Option<PathBuf> {
    std::path::absolute(file).ok()?.parent().map(Path::to_path_buf)
}

/// A tensor file of the dump, as it is recorded.
fn recorded(path: &Path) -> Result<RecordedTensor, Failure> {
    let tensor = open_npy(path, None).map_err(Failure::unreadable)?;
    let fingerprint = tensor.fingerprint(Algorithm::ElementsXxh3).map_err(Failure::unreadable)?;
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(RecordedTensor { key: file, fingerprint })
}

/// Refuses to write to `out` where that cannot be done, or would be over one of the files that are read.
fn check_place(out: &Path, read: &FilesRead) -> Result<(), Failure> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        let message = format!("--out {}: there is no folder {}", out.display(), folder.display());
        return Err(Failure::usage(message, "make it, or name a file in another"));
    }
    if out.is_dir() {
        let message = format!("--out {}: expected a file, found a folder", out.display());
        return Err(Failure::usage(message, "name a file in it"));
    }
    read.check(out).map_err(Failure::overwrites)
}

/// Refuses to dump over one of the files that are read: every tensor that is asked for, and the dump's record.
fn check_dump(folder: &Path, asked: &AskedTaps, used: &UsedFolder, read: &FilesRead) -> Result<(), Failure> {
    let names = asked.names.iter().map(|name| format!("debug_{name}.npy"));
    let written = names.chain([provenance::FILE_NAME.to_string()]).map(|file| folder.join(file));
    // What an earlier dump left there is removed.
    written.chain(used.files()).try_for_each(|path| read.check(&path).map_err(Failure::overwrites))
}

/// Clears away the dump of an earlier run as soon as the first tensor is there: a run that computes nothing leaves it.
struct Replacing<W> {
    used: Option<UsedFolder>,
    sink: DumpFolder<W>,
}

impl<W: std::io::Write> TapSink for Replacing<W> {
    fn wants(&self, name: &str) -> bool {
        self.sink.wants(name)
    }

    fn record(
        &mut self,
        name: &str,
        tensor: TapTensor,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if let Some(used) = self.used.take() {
            used.clear()?;
        }
        self.sink.record(name, tensor)
    }
}

/// Says which tensor files of the folder are not of this run.
fn warn_of_strangers(folder: &Path, files: &[PathBuf]) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let strangers: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "npy") && !files.contains(path))
        .collect();
    if let Some(first) = strangers.iter().min() {
        tell(&format!(
            "warning: {} .npy files in {} are not of this run, such as {}; parity will name them: move them away",
            strangers.len(),
            paths::shown(folder),
            paths::shown(first)
        ));
    }
}
