#![forbid(unsafe_code)]
//! The program: where a port parts from its reference. Thin: arguments, and calls into `encoder` and `harness`.
//!
//! It has two names: `cargo xtask` in its own checkout, and `parity-gate` where it is installed.

mod baseline;
mod bench;
mod command;
mod committed;
mod encode;
mod fixtures;
mod gate;
#[cfg(feature = "faults")]
mod selftest;
mod shell;
mod weights;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use shell::{bisect, program};

/// Compare ports of neural networks with their reference, layer by layer.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Commands that work on the sources of this project.
const OF_THE_CHECKOUT: [&str; 7] = ["selftest", "fixtures", "fuzz", "bench", "test", "lint", "ci"];

#[derive(Subcommand)]
enum Command {
    Parity(command::parity::Parity),
    Report(command::report::ReportCommand),
    Encode(command::encode::Encode),
    Inspect(command::inspect::Inspect),
    Repro(command::repro::Repro),
    Baseline(command::baseline::BaselineCommand),
    Selftest(command::selftest::Selftest),
    Mapping(command::mapping::MappingCommand),
    Set(command::set::SetCommand),
    Completions(command::completions::Completions),
    Fixtures(command::fixtures::Fixtures),
    Fuzz(command::fuzz::Fuzz),
    Bench(command::bench::BenchCommand),
    Test(command::test::Test),
    Lint(command::lint::Lint),
    Ci(command::ci::Ci),
}

/// Runs the program under the name by which it was called, such as `cargo xtask`.
pub fn run_as(name: &'static str) -> ExitCode {
    program::set_name(name);
    shell::signals::clean_up_on_end();
    let arguments = match Arguments::read(name) {
        Ok(arguments) => arguments,
        Err(_) if bisect::is_asked_for() => return ExitCode::from(bisect::SKIPPED),
        Err(code) => return code,
    };
    if !bisect::is_asked_for() {
        return run(arguments);
    }
    // A crash must not be taken for wrong numbers.
    std::panic::catch_unwind(|| run(arguments)).unwrap_or(ExitCode::from(bisect::SKIPPED))
}

impl Arguments {
    /// The command line of the program under a name.
    fn named(name: &'static str) -> clap::Command {
        let command = Arguments::command().name(name).bin_name(name);
        match program::is_of_the_checkout() {
            true => command,
            false => OF_THE_CHECKOUT
                .into_iter()
                .fold(command, |command, of| command.mut_subcommand(of, |command| command.hide(true))),
        }
    }

    /// The arguments of the command line; where they are wrong, or ask for help, that is printed.
    fn read(name: &'static str) -> Result<Arguments, ExitCode> {
        let read = Arguments::named(name)
            .try_get_matches()
            .and_then(|matches| Arguments::from_arg_matches(&matches));
        read.map_err(|error| {
            let text = error.render();
            let text = program::told(&text.ansi().to_string()).into_owned();
            match error.use_stderr() {
                true => shell::console::tell(&text),
                false => shell::console::say(&text),
            }
            u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        })
    }
}

fn run(arguments: Arguments) -> ExitCode {
    let result = match arguments.command {
        Command::Parity(command) => command.run(),
        Command::Report(command) => command.run(),
        Command::Encode(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Repro(command) => command.run(),
        Command::Baseline(command) => command.run(),
        Command::Selftest(command) => command.run(),
        Command::Mapping(command) => command.run(),
        Command::Set(command) => command.run(),
        Command::Completions(command) => command.run(Arguments::named(program::name())),
        Command::Fixtures(command) => command.run(),
        Command::Fuzz(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Test(command) => command.run(),
        Command::Lint(command) => command.run(),
        Command::Ci(command) => command.run(),
    };
    match result {
        Ok(code) => code,
        Err(failure) => shell::failure::report(failure),
    }
}
