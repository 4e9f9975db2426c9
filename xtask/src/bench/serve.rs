//! This project's encoder as an engine: the other side of `bench/peers/worker.py`'s lines.

use std::io::BufRead;
use std::time::Instant;

use encoder::{NoTaps, TapSink, TapTensor};

use super::workload::Workload;
use crate::encode::arguments::EncoderArguments;
use crate::encode::input::read_input;
use crate::shell::console::say;
use crate::shell::cost;
use crate::shell::failure::{CommandResult, Failure};

/// Wants everything and keeps nothing.
struct EveryTap;

impl TapSink for EveryTap {
    fn wants(&self, _: &str) -> bool {
        true
    }

    fn record(&mut self, _: &str, _: TapTensor) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }
}

/// Loads the model and answers lines of standard input until it ends; with `taps`, every tap is on.
pub(crate) fn serve(encoder: &EncoderArguments, taps: bool, workload: &Workload) -> CommandResult {
    let pool = encoder.pool()?;
    let checkpoint = encoder.open(&workload.weights)?;
    let model = pool.install(|| encoder.load(&checkpoint, Some(workload.settings)))?;
    drop(checkpoint);
    let input = read_input(&workload.input)?;
    let version = format!("{} ({}, {})", env!("CARGO_PKG_VERSION"), model.isa(), model.arithmetic());
    say(&serde_json::json!({ "ready": true, "version": version }).to_string());
    let (mut last, mut flop) = (None, None);
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let answer = match line.trim().split_once(' ').unwrap_or((line.trim(), "")) {
            ("run", _) => {
                let (started, cpu) = (Instant::now(), cost::cpu_seconds());
                let encoded = pool.install(|| match (flop, taps) {
                    // The first run, which is not recorded, counts the operations.
                    (None, _) => model.profile(&input.shape, &input.data).map(|(encoded, steps)| {
                        flop = Some(steps.iter().map(|step| step.flop).sum::<f64>());
                        encoded
                    }),
                    (_, true) => model.encode(&input.shape, &input.data, &mut EveryTap),
                    (_, false) => model.encode(&input.shape, &input.data, &mut NoTaps),
                });
                let seconds = started.elapsed().as_secs_f64();
                last = Some(encoded.map_err(Failure::unreadable)?);
                let cpu_seconds = cost::cpu_seconds().zip(cpu).map_or(seconds, |(now, then)| now - then);
                let peak_bytes = cost::peak_memory();
                serde_json::json!({
                    "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": peak_bytes, "flop": flop
                })
            }
            ("save", file) => match &last {
                Some(encoded) => {
                    encoder::dump::write_npy(file.as_ref(), &encoded.shape, &encoded.data)
                        .map_err(Failure::unreadable)?;
                    serde_json::json!({ "saved": file })
                }
                None => return Err(Failure::usage("`save` before any `run`", "run first")),
            },
            (other, _) => {
                return Err(Failure::usage(
                    format!("expected run or save FILE, found `{other}`"),
                    "one a line",
                ));
            }
        };
        say(&answer.to_string());
    }
    Ok(std::process::ExitCode::SUCCESS)
}
