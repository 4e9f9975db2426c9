#![forbid(unsafe_code)]
//! `cargo xtask`: where a port of MobileNetV5 parts from its reference. Thin: arguments, and calls into `encoder` and
//! `harness`.

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

use clap::{Parser, Subcommand};

use shell::bisect;

/// Compare ports of the MobileNetV5 vision encoder with their reference, layer by layer.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

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
    Fixtures(command::fixtures::Fixtures),
    Bench(command::bench::BenchCommand),
    Test(command::test::Test),
    Lint(command::lint::Lint),
    Ci(command::ci::Ci),
}

fn main() -> ExitCode {
    shell::signals::clean_up_on_end();
    if !bisect::is_asked_for() {
        return run(Arguments::parse());
    }
    // A crash must not be taken for wrong numbers.
    let skipped = ExitCode::from(bisect::SKIPPED);
    match Arguments::try_parse() {
        Ok(arguments) => std::panic::catch_unwind(|| run(arguments)).unwrap_or(skipped),
        Err(error) => {
            // Where it cannot be printed there is nobody to tell.
            let _ = error.print();
            skipped
        }
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
        Command::Fixtures(command) => command.run(),
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
