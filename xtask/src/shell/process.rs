//! Running other programs, step by step.

use std::process::{Command, ExitCode, Stdio};

use crate::shell::console::tell;
use crate::shell::failure::{CommandResult, Failure};
use crate::shell::paths;

/// One command line.
pub(crate) struct CargoStep {
    program: String,
    arguments: Vec<String>,
    environment: Vec<(&'static str, &'static str)>,
    /// The program is this one: the first argument, `xtask`, is its name.
    own: bool,
}

impl CargoStep {
    pub(crate) fn cargo(arguments: &[&str]) -> CargoStep {
        CargoStep {
            program: std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string()),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            environment: Vec::new(),
            own: false,
        }
    }

    /// Another command of this very program, so that it is not built once more in another profile.
    pub(crate) fn own(arguments: &[&str]) -> CargoStep {
        let cargo = CargoStep::cargo(&[&["xtask"], arguments].concat());
        match std::env::current_exe() {
            Ok(program) => CargoStep { program: program.display().to_string(), own: true, ..cargo },
            Err(_) => cargo,
        }
    }

    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> CargoStep {
        self.environment.push((name, value));
        self
    }

    fn shown(&self) -> String {
        let environment = self.environment.iter().map(|(name, value)| format!("{name}={value} "));
        format!("{}cargo {}", environment.collect::<String>(), self.arguments.join(" "))
    }
}

/// Runs the steps where the sources are, up to the first that fails, whose exit code is returned.
pub(crate) fn run_steps(steps: &[CargoStep]) -> CommandResult {
    let sources = paths::sources()?;
    for step in steps {
        tell(&format!("$ {}", step.shown()));
        let status = Command::new(&step.program)
            .args(step.arguments.iter().skip(usize::from(step.own)))
            .envs(step.environment.iter().copied())
            // Snapshots are found by the sources, not by where the tests were compiled.
            .env("INSTA_WORKSPACE_ROOT", &sources)
            .current_dir(&sources)
            .status()
            .map_err(|error| {
                Failure::usage(format!("cannot run {}: {error}", step.shown()), "is cargo on the PATH?")
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
