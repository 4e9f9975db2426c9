//! Running other programs, step by step.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use crate::shell::console::tell;
use crate::shell::failure::{CommandResult, Failure};
use crate::shell::paths;

/// One command line.
pub(crate) struct ProgramStep {
    /// What is run.
    program: PathBuf,
    /// What it is called where the step is shown.
    name: &'static str,
    arguments: Vec<String>,
    environment: Vec<(&'static str, &'static str)>,
}

impl ProgramStep {
    fn of(program: impl Into<PathBuf>, name: &'static str, arguments: &[&str]) -> ProgramStep {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        ProgramStep { program: program.into(), name, arguments, environment: Vec::new() }
    }

    pub(crate) fn cargo(arguments: &[&str]) -> ProgramStep {
        let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
        ProgramStep::of(cargo, "cargo", arguments)
    }

    /// Cargo of the nightly toolchain.
    pub(crate) fn nightly(arguments: &[&str]) -> ProgramStep {
        ProgramStep::of("rustup", "rustup", &[&["run", "nightly", "cargo"], arguments].concat())
    }

    /// Another command of this very program, so that it is not built once more in another profile.
    pub(crate) fn own(arguments: &[&str]) -> ProgramStep {
        match std::env::current_exe() {
            Ok(program) => ProgramStep::of(program, "cargo xtask", arguments),
            Err(_) => ProgramStep::cargo(&[&["xtask"], arguments].concat()),
        }
    }

    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> ProgramStep {
        self.environment.push((name, value));
        self
    }

    fn shown(&self) -> String {
        let environment = self.environment.iter().map(|(name, value)| format!("{name}={value} "));
        format!("{}{} {}", environment.collect::<String>(), self.name, self.arguments.join(" "))
    }
}

/// Runs the steps where the sources are, up to the first that fails, whose exit code is returned.
pub(crate) fn run_steps(steps: &[ProgramStep]) -> CommandResult {
    let sources = paths::sources()?;
    for step in steps {
        tell(&format!("$ {}", step.shown()));
        let status = Command::new(&step.program)
            .args(&step.arguments)
            .envs(step.environment.iter().copied())
            // Snapshots are found by the sources, not by where the tests were compiled.
            .env("INSTA_WORKSPACE_ROOT", &sources)
            .current_dir(&sources)
            .status()
            .map_err(|error| {
                let program = step.program.display();
                Failure::usage(
                    format!("cannot run {}: {error}", step.shown()),
                    format!("is {program} there?"),
                )
            })?;
        if !status.success() {
            tell(&format!("failed: {}", step.shown()));
            let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
            return Ok(ExitCode::from(code));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a program runs and succeeds, without showing what it prints.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
