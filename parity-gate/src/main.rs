//! `parity-gate`: the program of this workspace where it is installed.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask::run_as("parity-gate")
}
