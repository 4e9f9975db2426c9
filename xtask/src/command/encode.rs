use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use encoder::dump::{self, DumpFolder};
use encoder::{Checkpoint, Model, NoTaps, TapSink, TapTensor, WithInner};
use harness::files::overwrite::FilesRead;
use harness::provenance::sha256::{hash_file, hash_files};
use harness::provenance::{self, DumpRecord, InputTensor, RecordedTensor};
use harness::store::{Algorithm, open_npy};
use rayon::prelude::*;

use crate::encode::arguments::{AskedTaps, EncoderArguments};
use crate::encode::input::read_input;
use crate::encode::settings;
use crate::encode::used_folder::UsedFolder;
use crate::shell::failure::{CommandResult, Failure};
use crate::shell::paths;

/// Run the encoder: an image or .npy in, soft tokens out.
///
/// Example: cargo xtask encode --weights model.safetensors --input photo.png --dump debug_ggml_output
#[derive(clap::Args)]
pub(crate) struct Encode {
    /// Weights: a safetensors or GGUF file, the index of a sharded checkpoint, or a folder with one of them.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Image (PNG, JPEG) at the size to encode, or .npy of [batch, 3, height, width] in [0, 1].
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Where to save the soft tokens, [batch, tokens, hidden] f32.
    #[arg(long, value_name = "FILE.npy")]
    out: Option<PathBuf>,
    /// Save every named intermediate tensor as debug_<name>.npy in this folder; also asked for by
    /// CLIP_DEBUG_SAVE_TENSORS=1 with CLIP_DEBUG_OUTPUT_DIR (default debug_ggml_output). Tensors of an
    /// earlier dump there, as its dump.json lists them, are removed; other files are left alone.
    #[arg(long, value_name = "DIR")]
    dump: Option<PathBuf>,
    /// Dump too what each operation inside a block gives; mappings/gemma3n-inner.toml compares it.
    #[arg(long)]
    inner: bool,
    #[command(flatten)]
    encoder: EncoderArguments,
}

impl Encode {
    pub(crate) fn run(self) -> CommandResult {
        let folder = self.dump.clone().or_else(dump::folder_from_environment);
        if self.out.is_none() && folder.is_none() {
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
        let pool = self.encoder.pool()?;
        let started = Instant::now();
        let checkpoint = self.encoder.open_named(&self.weights)?;
        let mut read = FilesRead::default();
        read.extend(checkpoint.files());
        read.note(&self.weights);
        read.note(&self.input);
        if let Some(out) = &self.out {
            check_place(out, &read)?;
            let of_dump = |name: &str| {
                name == provenance::FILE_NAME || (name.starts_with("debug_") && name.ends_with(".npy"))
            };
            let name = out.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let beside = |folder: &PathBuf| std::path::absolute(folder).ok() == out_folder(out);
            if of_dump(name) && folder.as_ref().is_some_and(beside) {
                return Err(Failure::usage(
                    format!("{}: the dump has a file of that name", out.display()),
                    "name another file with --out, or another folder with --dump",
                ));
            }
        }
        let model = pool.install(|| self.encoder.load(&checkpoint, None))?;
        let input = read_input(&self.input)?;
        let loaded = started.elapsed();
        let started = Instant::now();
        let encode =
            |taps: &mut (dyn TapSink + Send)| pool.install(|| model.encode(&input.shape, &input.data, taps));
        let encoded = match &folder {
            None => encode(&mut NoTaps).map_err(Failure::unreadable)?,
            Some(folder) => {
                let used = UsedFolder::open(folder)?;
                let asked = AskedTaps::of(&model, &input, |_| self.inner);
                check_dump(folder, &asked, &used, &read)?;
                let sink = DumpFolder::create(folder, std::io::stdout()).map_err(Failure::unreadable)?;
                let mut sink = WithInner { asked: asked.inner, sink: Replacing { used: Some(used), sink } };
                let encoded = encode(&mut sink).map_err(Failure::unreadable)?;
                let files = sink.sink.sink.finish().map_err(Failure::unreadable)?;
                pool.install(|| self.record_provenance(folder, &model, &checkpoint, &input, &files))?;
                warn_of_strangers(folder, &files);
                encoded
            }
        };
        if let Some(out) = &self.out {
            dump::write_npy(out, &encoded.shape, &encoded.data).map_err(Failure::unreadable)?;
        }
        let broken = encoded.data.iter().filter(|x| !x.is_finite()).count();
        if broken > 0 {
            anstream::eprintln!(
                "warning: {broken} of {} soft tokens' values are not finite",
                encoded.data.len()
            );
        }
        anstream::eprintln!(
            "{:?} from {:?} in {} on {} ({} threads): loaded in {:.2} s, encoded in {:.2} s",
            encoded.shape,
            input.shape,
            model.precision(),
            model.isa(),
            pool.current_num_threads(),
            loaded.as_secs_f64(),
            started.elapsed().as_secs_f64()
        );
        Ok(ExitCode::SUCCESS)
    }

    /// Writes down what the dump was computed from.
    fn record_provenance(
        &self,
        folder: &Path,
        model: &Model,
        checkpoint: &Checkpoint,
        input: &TapTensor,
        files: &[PathBuf],
    ) -> Result<(), Failure> {
        let facts = [
            ("instruction set", model.isa().to_string()),
            ("precision", model.precision().to_string()),
            ("arithmetic", model.arithmetic()),
        ];
        DumpRecord {
            schema_version: provenance::SCHEMA_VERSION,
            program: concat!("encoder ", env!("CARGO_PKG_VERSION")).to_string(),
            settings: settings::by_name(&model.settings()),
            facts: facts.map(|(name, value)| (name.to_string(), value)).into(),
            weights: hash_files(checkpoint.files()).map_err(Failure::unreadable)?,
            input: hash_file(&self.input).map_err(Failure::unreadable)?,
            input_tensor: Some(InputTensor::of(&input.shape, &input.data)),
            tensors: files.par_iter().map(|path| recorded(path)).collect::<Result<_, _>>()?,
        }
        .write(folder)
        .map_err(Failure::unreadable)
    }
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
        anstream::eprintln!(
            "warning: {} .npy files in {} are not of this run, such as {}; parity will name them: move them away",
            strangers.len(),
            paths::shown(folder),
            paths::shown(first)
        );
    }
}
