use std::path::Path;

use crate::shell::failure::{CommandResult, Failure};
use crate::shell::paths;
use crate::shell::process::{ProgramStep, run_steps, succeeds};

/// The crates that read what comes from outside, each with its targets in `fuzz/`.
const CRATES: [&str; 2] = ["encoder", "harness"];
/// The most memory that a reader may take, in MiB, and the longest that it may take for one input, in seconds.
const LIMITS: [&str; 2] = ["-rss_limit_mb=2048", "-timeout=10"];

/// Fuzz the readers of files, one after another. Needs a nightly toolchain and cargo-fuzz.
#[derive(clap::Args)]
pub(crate) struct Fuzz {
    /// How long each target runs.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// The targets (default: all of them).
    targets: Vec<String>,
}

/// A target: its crate, its name, and its folder of seeds, where there is one.
struct FuzzTarget {
    of: &'static str,
    name: String,
    seeds: Option<String>,
}

impl Fuzz {
    pub(crate) fn run(self) -> CommandResult {
        let all = targets(&paths::sources()?)?;
        let is_known = |asked: &String| all.iter().any(|target| target.name == *asked);
        if let Some(unknown) = self.targets.iter().find(|asked| !is_known(asked)) {
            let known: Vec<&str> = all.iter().map(|target| target.name.as_str()).collect();
            return Err(Failure::usage(
                format!("{unknown}: no fuzz target has that name"),
                format!("the targets are {}", known.join(", ")),
            ));
        }
        if !succeeds("rustup", &["run", "nightly", "cargo", "fuzz", "--version"]) {
            return Err(Failure::usage(
                "cargo-fuzz does not run on a nightly toolchain",
                "rustup toolchain install nightly && cargo install cargo-fuzz",
            ));
        }
        let asked =
            all.iter().filter(|target| self.targets.is_empty() || self.targets.contains(&target.name));
        run_steps(&asked.map(|target| step(target, self.seconds)).collect::<Vec<_>>())
    }
}

fn targets(sources: &Path) -> Result<Vec<FuzzTarget>, Failure> {
    let mut targets = Vec::new();
    for of in CRATES {
        let folder = sources.join(of).join("fuzz/fuzz_targets");
        let unreadable = |error| Failure::unusable(format!("{}: {error}", paths::shown(&folder)));
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let Some(name) = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()) else {
                continue;
            };
            let seeds = match name.as_str() {
                "weights" => "encoder/tests/data".to_string(),
                "pictures" => "fixtures/pictures".to_string(),
                name => format!("harness/tests/dumps/{name}"),
            };
            let seeds = Some(seeds).filter(|seeds| sources.join(seeds).is_dir());
            targets.push(FuzzTarget { of, name, seeds });
        }
    }
    targets.sort_by(|a, b| (a.of, &a.name).cmp(&(b.of, &b.name)));
    Ok(targets)
}

fn step(target: &FuzzTarget, seconds: u32) -> ProgramStep {
    let FuzzTarget { of, name, seeds } = target;
    let (folder, time) = (format!("{of}/fuzz"), format!("-max_total_time={seconds}"));
    // What is found is kept in the first folder: seeds are committed.
    let found = format!("{folder}/corpus/{name}");
    let mut arguments = vec!["fuzz", "run", "--fuzz-dir", &folder, name];
    if let Some(seeds) = seeds {
        arguments.extend([found.as_str(), seeds]);
    }
    arguments.extend(["--", &time]);
    arguments.extend(LIMITS);
    ProgramStep::nightly(&arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_of_both_crates_is_run() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let targets = targets(&sources).unwrap();
        assert!(targets.len() >= 12, "{}", targets.len());
        for target in targets {
            let manifest = std::fs::read_to_string(sources.join(target.of).join("fuzz/Cargo.toml")).unwrap();
            assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{}", target.name);
        }
    }
}
