use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use encoder::dump::{self, DumpFolder};
use encoder::{Checkpoint, Model, NoTaps, TapSink};
use harness::provenance::{self, DumpManifest};

use crate::candidate::{EncoderArguments, read_input};
use crate::console::{Failure, Outcome};

/// Run the encoder: an image or .npy in, soft tokens out.
///
/// Example: cargo xtask encode --weights model.safetensors --input photo.png --dump debug_ggml_output
#[derive(clap::Args)]
pub(crate) struct Encode {
    /// Safetensors file, sharded index, or a folder with either.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Image (PNG, JPEG) at the size to encode, or .npy of [batch, 3, height, width] in [0, 1].
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Where to save the soft tokens, [batch, tokens, hidden] f32.
    #[arg(long, value_name = "FILE.npy")]
    out: Option<PathBuf>,
    /// Save every named intermediate tensor as debug_<name>.npy in this folder; also asked for by
    /// CLIP_DEBUG_SAVE_TENSORS=1 with CLIP_DEBUG_OUTPUT_DIR (default debug_ggml_output).
    #[arg(long, value_name = "DIR")]
    dump: Option<PathBuf>,
    #[command(flatten)]
    encoder: EncoderArguments,
}

impl Encode {
    pub(crate) fn run(self) -> Outcome {
        let folder = self.dump.clone().or_else(dump::folder_from_environment);
        if self.out.is_none() && folder.is_none() {
            return Err(Failure::usage(
                "nothing to save: neither --out nor --dump is given",
                "add --out tokens.npy for the soft tokens, or --dump DIR for every intermediate tensor",
            ));
        }
        let pool = self.encoder.pool()?;
        let started = Instant::now();
        let checkpoint = self.encoder.open(&self.weights)?;
        let model = pool.install(|| self.encoder.load(&checkpoint, None))?;
        let input = read_input(&self.input)?;
        let loaded = started.elapsed();
        let started = Instant::now();
        let encode =
            |taps: &mut (dyn TapSink + Send)| pool.install(|| model.encode(&input.shape, &input.data, taps));
        let encoded = match &folder {
            None => encode(&mut NoTaps).map_err(Failure::unreadable)?,
            Some(folder) => {
                let mut sink = DumpFolder::create(folder, std::io::stdout()).map_err(Failure::unreadable)?;
                let encoded = encode(&mut sink).map_err(Failure::unreadable)?;
                let files = sink.finish().map_err(Failure::unreadable)?;
                self.record_provenance(folder, &model, &checkpoint, &files)?;
                encoded
            }
        };
        if let Some(out) = &self.out {
            dump::write_npy(out, &encoded.shape, &encoded.data).map_err(Failure::unreadable)?;
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
        files: &[PathBuf],
    ) -> Result<(), Failure> {
        let settings = model.settings();
        let facts = [
            ("instruction set", model.isa().to_string()),
            ("precision", model.precision().to_string()),
            ("arithmetic", model.arithmetic()),
            ("padding", format!("{:?}", settings.padding).to_lowercase()),
            (
                "output resolution",
                format!("{}x{}", settings.output_resolution.0, settings.output_resolution.1),
            ),
            ("k/v stride", settings.kv_stride.to_string()),
        ];
        let hash = |path: &PathBuf| provenance::hash_file(path).map_err(Failure::unreadable);
        DumpManifest {
            schema_version: provenance::SCHEMA_VERSION,
            program: concat!("encoder ", env!("CARGO_PKG_VERSION")).to_string(),
            facts: facts.map(|(name, value)| (name.to_string(), value)).into(),
            weights: provenance::hash_files(checkpoint.files()).map_err(Failure::unreadable)?,
            input: hash(&self.input)?,
            tensors: files.iter().map(hash).collect::<Result<_, _>>()?,
        }
        .write(folder)
        .map_err(Failure::unreadable)
    }
}
