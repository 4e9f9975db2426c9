use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use harness::reference::manifest;
use indicatif::{ProgressBar, ProgressStyle};

use crate::committed::set;
use crate::fixtures::{chain, check};
use crate::shell::console::tell;
use crate::shell::failure::{CommandResult, Failure};
use crate::shell::paths;
use crate::shell::python::{self, Environment};

/// Make a reference set with timm (needs Python 3.11 or later; everything else is installed beside it).
///
/// Example: cargo xtask fixtures --preset 300m
#[derive(clap::Args)]
pub(crate) struct Fixtures {
    /// What to do.
    #[arg(value_enum, default_value = "make")]
    action: FixturesAction,
    /// Which set; `cargo xtask fixtures list` shows them. The full-size one stays outside git.
    #[arg(long, default_value = "300m")]
    preset: String,
    /// Folder of the set (default: fixtures/<preset>, or fixtures/large/<preset>).
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Save what the operations inside blocks give too, for mappings/gemma3n-inner.toml.
    #[arg(long, conflicts_with = "all")]
    inner: bool,
    /// Save what every module of timm gives.
    #[arg(long)]
    all: bool,
    /// The Python to use, which then must have the packages of fixtures/generate/requirements.txt.
    #[arg(long, value_name = "PYTHON", env = "FIXTURES_PYTHON")]
    python: Option<PathBuf>,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq)]
enum FixturesAction {
    /// Make a set.
    Make,
    /// Make a set unless it is there, its weights in GGUF too, and compare the encoder on both with it: times and memory.
    Chain,
    /// List the presets.
    List,
    /// Verify the hashes of every set in fixtures/, and that its input can show what goes wrong.
    Check,
}

impl Fixtures {
    pub(crate) fn run(self) -> CommandResult {
        if self.action == FixturesAction::Check {
            return check::run(self.out.as_deref());
        }
        let python = match &self.python {
            Some(python) => python.clone(),
            // This needs nothing but Python itself.
            None if self.action == FixturesAction::List => python::base()?.into(),
            None => environment()?,
        };
        if self.action == FixturesAction::Chain {
            if !self.set()?.join(manifest::FILE_NAME).is_file() {
                let code = self.generate(&python)?;
                if code != 0 {
                    return Ok(ExitCode::from(code));
                }
            }
            return chain::run(&python, &self.set()?);
        }
        let code = self.generate(&python)?;
        if code == 0 && self.action == FixturesAction::Make {
            let set = self.set()?;
            let mapping = match self.inner || self.all || set::is_with_inner(&set) {
                true => " --mapping mappings/gemma3n-inner.toml",
                false => "",
            };
            tell(&format!("next: cargo xtask parity{mapping} --reference {}", paths::shown(&set)));
        }
        Ok(ExitCode::from(code))
    }

    /// Where the set is, or is to be.
    fn set(&self) -> Result<PathBuf, Failure> {
        let fixtures = paths::required_fixtures()?;
        let of_folder = |folder: &str| fixtures.join(folder).join(&self.preset);
        let made = ["large", "inner"].map(of_folder).into_iter().find(|set| set.is_dir());
        Ok(self.out.clone().or(made).unwrap_or_else(|| fixtures.join(&self.preset)))
    }

    /// Runs the generator; its exit code.
    fn generate(&self, python: &Path) -> Result<u8, Failure> {
        let script = paths::required_fixtures()?.join("generate").join("generate.py");
        let mut command = Command::new(python);
        command.arg(script);
        if self.action == FixturesAction::List {
            command.arg("--list");
        } else {
            command.args(["--preset", &self.preset]);
            command.args(self.inner.then_some("--inner")).args(self.all.then_some("--all"));
            if let Some(out) = &self.out {
                command.arg("--out").arg(out);
            }
        }
        match self.action {
            FixturesAction::List => status(&mut command),
            _ => with_progress(&mut command),
        }
    }
}

/// The Python of fixtures/.venv.
fn environment() -> Result<PathBuf, Failure> {
    let requirements = paths::required_fixtures()?.join("generate").join("requirements.txt");
    let environment = Environment { folder: paths::required_fixtures()?.join(".venv"), requirements };
    environment.make("--python PYTHON uses an environment of your own")
}

fn status(command: &mut Command) -> Result<u8, Failure> {
    let status = command.status().map_err(|error| not_started(command, &error))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2))
}

/// Runs the generator and turns its `[n/N] name shape` lines into a progress bar.
fn with_progress(command: &mut Command) -> Result<u8, Failure> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| not_started(command, &error))?;
    let bar = ProgressBar::new_spinner();
    let style = |template: &str| {
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
    };
    bar.set_style(style("{spinner} {elapsed} {wide_msg}"));
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    if let Some(output) = child.stdout.take() {
        // Whatever bytes come, the pipe is read to its end: the generator would wait for ever on a full one.
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_string();
            match position(&line) {
                Some((n, total, text)) => {
                    bar.set_style(style("{bar:24} {pos}/{len} {elapsed} {wide_msg}"));
                    bar.set_length(total);
                    bar.set_position(n);
                    bar.set_message(text.to_string());
                }
                // The bar draws nothing where there is no terminal, but the lines that count are for everyone.
                None if bar.is_hidden() || !line.starts_with("f32 run") => bar.suspend(|| println!("{line}")),
                None => bar.set_message(line),
            }
        }
    }
    let status = child.wait().map_err(|error| not_started(command, &error))?;
    bar.finish_and_clear();
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2))
}

/// `[3/84] name shape` as (3, 84, "name shape").
fn position(line: &str) -> Option<(u64, u64, &str)> {
    let (numbers, text) = line.strip_prefix('[')?.split_once(']')?;
    let (n, total) = numbers.split_once('/')?;
    Some((n.trim().parse().ok()?, total.trim().parse().ok()?, text.trim()))
}

fn not_started(command: &Command, error: &std::io::Error) -> Failure {
    let program = Path::new(command.get_program());
    Failure::usage(format!("cannot run {}: {error}", program.display()), "name another Python with --python")
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn progress_lines_are_told_from_others() {
        assert_eq!(position("[3/84] blocks_0_0 1x8x4x4"), Some((3, 84, "blocks_0_0 1x8x4x4")));
        assert_eq!(position("f32 run: blocks_0_0"), None);
        assert_eq!(position("[x/84] y"), None);
    }
}
