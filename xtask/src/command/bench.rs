use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use encoder::{Isa, Precision};
use harness::compare::metrics::Metrics;
use harness::tensor::Tensor;

use crate::bench::ceiling::Ceiling;
use crate::bench::engine::Engine;
use crate::bench::peer::Peer;
use crate::bench::workload::Workload;
use crate::bench::{profile, serve, table};
use crate::encode::arguments::EncoderArguments;
use crate::encode::input::read_input;
use crate::shell::console::{say, tell};
use crate::shell::failure::{CommandResult, Failure};
use crate::shell::paths;
use crate::shell::python::Environment;

/// Speed of the encoder, alone or side by side with its peers, on the input of a set.
///
/// Examples:
///   cargo xtask bench                       the encoder in the chosen precision, several rounds
///   cargo xtask bench --profile             where its time goes, operation by operation
///   cargo xtask bench --taps                what looking at every layer costs
///   cargo xtask bench --install-peers       once: OpenVINO, ONNX Runtime and PyTorch, from PyPI
///   cargo xtask bench --peers               all precisions and all peers, in turn, ratios first
///   cargo xtask bench --peers --engines openvino --precision f32 --isa avx2
///
/// Needs the full-size set: cargo xtask fixtures --preset 300m
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct BenchCommand {
    /// Run the peers beside the encoder, in turn, each in a process of its own; with --precision, only what is comparable with
    /// it.
    #[arg(long, conflicts_with = "strict_fma")]
    peers: bool,
    /// Make the environment that the peers run in (bench/.venv), from PyPI.
    #[arg(long, exclusive = true)]
    install_peers: bool,
    /// Time, GFLOP/s and bytes of each operation of the encoder.
    #[arg(long, conflicts_with = "peers")]
    profile: bool,
    /// Run the encoder a second time in each round with every tap on; what they show is written nowhere.
    #[arg(long, conflicts_with_all = ["peers", "profile"])]
    taps: bool,
    /// Only peers whose name begins with one of these: openvino, onnxruntime, torch-compile, torch-eager,
    /// torch-autocast.
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "peers")]
    engines: Vec<String>,
    /// Rounds; in each every engine runs once.
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// The reference set with weights, input and exact output (default: fixtures/large/300m).
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
    /// Answer lines on standard input, as an engine.
    #[arg(long, hide = true)]
    serve: bool,
    #[command(flatten)]
    encoder: EncoderArguments,
}

impl BenchCommand {
    pub(crate) fn run(self) -> CommandResult {
        if self.install_peers {
            let python = environment()?.make("or make it by hand")?;
            say(&format!("{} is ready", paths::shown(&python)));
            say("next: cargo xtask bench --peers");
            return Ok(ExitCode::SUCCESS);
        }
        // Before anything is loaded: that takes seconds.
        self.encoder.check()?;
        let peers = self.peers_to_run()?;
        let root = match &self.reference {
            Some(reference) => reference.clone(),
            None => paths::required_fixtures()?.join("large").join("300m"),
        };
        let workload = Workload::open(root)?;
        if self.serve {
            return serve::serve(&self.encoder, self.taps, &workload);
        }
        if self.profile {
            return self.print_profile(&workload);
        }
        // A profile is held against nothing.
        self.encoder.check_agreement(workload.settings)?;
        workload.check_files()?;
        let shape = read_input(&workload.input)?.shape;
        let (pool, isa) = (self.encoder.pool()?, Isa::best(self.encoder.cap()?));
        let mut ceilings = Vec::new();
        let mut engines = self.start_ours(&workload)?;
        engines.extend(self.start_peers(&peers, &workload));
        for round in 0..self.rounds {
            ceilings.push(pool.install(|| Ceiling::measure(isa)));
            let mut index = 0;
            while let Some(engine) = engines.get_mut(index) {
                match engine.run() {
                    Ok(run) => {
                        tell(&format!("round {}: {:<24} {:.3} s", round + 1, engine.name, run.seconds));
                        index += 1;
                    }
                    Err(why) => {
                        leave_out(engine, &why)?;
                        engines.remove(index);
                    }
                }
            }
        }
        measure_errors(&mut engines, &workload.output)?;
        say(&table::text(&engines, &ceilings));
        say(&format!("input {shape:?}"));
        Ok(ExitCode::SUCCESS)
    }

    fn print_profile(&self, workload: &Workload) -> CommandResult {
        let pool = self.encoder.pool()?;
        let checkpoint = self.encoder.open(&workload.weights)?;
        let model = pool.install(|| self.encoder.load(&checkpoint, Some(workload.settings)))?;
        let input = read_input(&workload.input)?;
        let profile = || pool.install(|| model.profile(&input.shape, &input.data));
        // The first run finds cold caches and unmapped memory.
        profile().map_err(Failure::unreadable)?;
        let (_, steps) = profile().map_err(Failure::unreadable)?;
        say(&profile::text(&steps));
        let threads = pool.current_num_threads();
        say(&format!("{} on {} ({}), {threads} threads", model.precision(), model.isa(), model.arithmetic()));
        Ok(ExitCode::SUCCESS)
    }

    /// The peers that are wanted, and can be had.
    fn peers_to_run(&self) -> Result<Vec<Peer>, Failure> {
        if !self.peers {
            return Ok(Vec::new());
        }
        let chosen = Peer::chosen(&self.engines, self.encoder.chosen_precision())?;
        if !environment()?.is_current()? {
            return Err(Failure::usage(
                "the peers are not installed, or not as bench/peers/requirements.txt names them",
                "cargo xtask bench --install-peers",
            ));
        }
        Ok(chosen)
    }

    /// Starts the encoder, in all that it is compared in.
    fn start_ours(&self, workload: &Workload) -> Result<Vec<Engine>, Failure> {
        let mut engines = Vec::new();
        let chosen = (self.encoder.precision().name(), self.encoder.strict_fma(), false);
        let ours = match (self.peers, self.taps) {
            (true, _) => {
                vec![
                    ("f32", false, false),
                    ("f32", true, false),
                    ("bf16x3", false, false),
                    ("bf16", false, false),
                ]
            }
            (false, true) => vec![chosen, (chosen.0, chosen.1, true)],
            (false, false) => vec![chosen],
        };
        let wanted = self.encoder.chosen_precision().map(Precision::name);
        for (precision, strict_fma, taps) in ours {
            if wanted.is_some_and(|wanted| wanted != precision) {
                continue;
            }
            let strict = if strict_fma { " strict-fma" } else { "" };
            let name = format!("encoder {precision}{strict}{}", if taps { " with taps" } else { "" });
            let command = self.ourselves(precision, strict_fma, taps, workload)?;
            let engine = Engine::start(&name, precision, true, command);
            let engine = engine.map_err(|why| Failure::unusable(format!("{name} did not start: {why}")))?;
            // Where plain f32 is fused multiply-adds already, there is nothing strict to compare.
            if strict_fma
                && !taps
                && engines.last().is_some_and(|last: &Engine| last.version == engine.version)
            {
                continue;
            }
            engines.push(engine);
        }
        Ok(engines)
    }

    /// Starts the peers; one that cannot run says why and is left out.
    fn start_peers(&self, peers: &[Peer], workload: &Workload) -> Vec<Engine> {
        let start = |peer: &Peer| {
            let name = peer.name();
            tell(&format!("starting {name}"));
            let engine = self.peer(*peer, workload).and_then(|(command, caps)| {
                let mut engine = Engine::start(&name, peer.precision, false, command)?;
                engine.version.push_str(&caps);
                Ok(engine)
            });
            engine.map_err(|why| say(&format!("left out: {name}{}: {why}", self.capped()))).ok()
        };
        peers.iter().filter_map(start).collect()
    }

    /// What to say of a cap, if there is one.
    fn capped(&self) -> String {
        self.encoder.cap().ok().flatten().map_or_else(String::new, |cap| format!(", capped at {cap}"))
    }

    fn ourselves(
        &self,
        precision: &str,
        strict_fma: bool,
        taps: bool,
        workload: &Workload,
    ) -> Result<Command, Failure> {
        let program = std::env::current_exe().map_err(|error| Failure::unusable(error.to_string()))?;
        let mut command = Command::new(program);
        command.args(["bench", "--serve", "--precision", precision]).arg("--reference").arg(&workload.root);
        command.args(self.encoder.threads_and_isa());
        if strict_fma {
            command.arg("--strict-fma");
        }
        if taps {
            command.arg("--taps");
        }
        Ok(command)
    }

    /// What starts it, and what to say of what caps it. `Err` says why it cannot be run as the encoder is, for people.
    fn peer(&self, peer: Peer, workload: &Workload) -> Result<(Command, String), String> {
        let told = |failure: Failure| failure.message().to_string();
        let folder = paths::sources().map_err(told)?.join("bench");
        let mut command = Command::new(environment().map_err(told)?.python());
        command.arg(folder.join("peers").join("worker.py")).args([peer.engine, peer.precision]);
        command.args(["--preset", &workload.name]);
        command.arg("--weights").arg(&workload.weights).arg("--input").arg(&workload.input);
        command.args(["--threads", &self.encoder.threads().to_string()]);
        command.arg("--cache").arg(folder.join(".cache").join(&workload.weights_sha256));
        // What caps the encoder caps all.
        let caps = match self.encoder.cap().map_err(told)? {
            Some(cap) => peer.environment(cap, Isa::best(None))?,
            None => Vec::new(),
        };
        let said = peer.caps_in_force(&caps, |name| std::env::var(name).ok());
        command.envs(caps);
        Ok((command, said))
    }
}

/// Tells of a peer that cannot run; the encoder must.
fn leave_out(engine: &Engine, why: &str) -> Result<(), Failure> {
    if engine.ours {
        return Err(Failure::unusable(format!("{} did not run: {why}", engine.name)));
    }
    say(&format!("left out: {}: {why}", engine.name));
    Ok(())
}

fn environment() -> Result<Environment, Failure> {
    let folder = paths::sources()?.join("bench");
    let requirements = folder.join("peers").join("requirements.txt");
    Ok(Environment { folder: folder.join(".venv"), requirements })
}

/// Holds each engine's output against f64. A peer that gives none has been timed all the same.
fn measure_errors(engines: &mut [Engine], exact: &Path) -> Result<(), Failure> {
    let exact = harness::store::read_npy(exact, None).map_err(Failure::unreadable)?;
    for engine in engines {
        match error_of(engine, &exact) {
            Ok(error) => engine.rel_l2 = error,
            Err(why) if engine.ours => {
                return Err(Failure::unusable(format!("{}: no output to compare: {why}", engine.name))
                    .help("is the set complete? cargo xtask fixtures makes it anew"));
            }
            Err(why) => say(&format!("error unknown: {}: {why}", engine.name)),
        }
    }
    Ok(())
}

/// The relative L2 error of an engine's last output; `Err` says why it is not known, for people.
fn error_of(engine: &mut Engine, exact: &Tensor) -> Result<Option<f64>, String> {
    let file = std::env::temp_dir().join(format!("encoder-bench-{}.npy", std::process::id()));
    engine.save(&file)?;
    let output = harness::store::read_npy(&file, None).map_err(|error| error.to_string());
    // It lies in the system's folder for what may be lost.
    let _ = std::fs::remove_file(&file);
    let output = output?;
    if output.shape() != exact.shape() {
        return Err(format!("it gave {:?}, the reference is {:?}", output.shape(), exact.shape()));
    }
    Ok(Metrics::of(&output, exact).rel_l2)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use clap::error::ErrorKind;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        _bench: super::BenchCommand,
    }

    /// Parsed only: running it would take minutes and the network.
    #[test]
    fn installing_goes_with_nothing_else() {
        let of = |arguments: &[&str]| {
            let all = ["bench", "--install-peers"].iter().chain(arguments);
            Alone::try_parse_from(all).err().map(|error| error.kind())
        };
        assert_eq!(of(&[]), None);
        for other in [&["--isa", "avx2"][..], &["--peers"], &["--taps"], &["--profile"], &["--rounds", "3"]] {
            assert_eq!(of(other), Some(ErrorKind::ArgumentConflict), "{other:?}");
        }
    }
}
