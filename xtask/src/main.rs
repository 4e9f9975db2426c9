#![forbid(unsafe_code)]
//! `cargo xtask`: where a port of MobileNetV5 parts from its reference. Thin: arguments, and calls into `encoder` and
//! `harness`.

mod baselines;
mod bench;
mod candidate;
mod command;
mod compare;
mod console;
mod measure;
mod next_steps;
mod origins;
mod paths;
mod process;
mod python;
mod resources;
mod review;
#[cfg(feature = "faults")]
mod selftest;
mod set;
mod used_folder;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    Encode(command::encode::Encode),
    Baseline(command::baseline::Baseline),
    Selftest(command::selftest::Selftest),
    Mapping(command::mapping::Mapping),
    Fixtures(command::fixtures::Fixtures),
    Bench(command::bench::Bench),
    Test(command::test::Test),
    Lint(command::lint::Lint),
    Ci(command::ci::Ci),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Parity(command) => command.run(),
        Command::Encode(command) => command.run(),
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
        Err(failure) => console::report(failure),
    }
}
