//! An engine under measurement, in a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde::Deserialize;

/// What an engine says when it has loaded the model.
#[derive(Debug, Deserialize)]
pub(crate) struct Ready {
    pub(crate) version: String,
}

/// What an engine says of a run.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct EngineRun {
    pub(crate) seconds: f64,
    /// Of all its threads: what a busy machine disturbs least.
    pub(crate) cpu_seconds: f64,
    /// Peak resident memory of the process so far.
    pub(crate) peak_bytes: Option<f64>,
    /// Floating-point operations of the model, as this project's own engines count them.
    #[serde(default)]
    pub(crate) flop: Option<f64>,
}

/// How long a process that has closed its side may take to end, and its last line to arrive.
const PATIENCE: Duration = Duration::from_secs(2);

/// A process that loads the model once and runs it when it is told to; see `bench/peers/worker.py`.
pub(crate) struct Engine {
    /// Such as `openvino f32`.
    pub(crate) name: String,
    /// The precision it computes in.
    pub(crate) precision: String,
    /// Whether it is this project's own.
    pub(crate) ours: bool,
    pub(crate) version: String,
    /// From the start of the process until the model is loaded; a peer that compiles does so in its first run.
    pub(crate) start_seconds: f64,
    pub(crate) runs: Vec<EngineRun>,
    /// Relative L2 error of its output against f64.
    pub(crate) rel_l2: Option<f64>,
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// The last line that it wrote to standard error, remedies aside, once every process that holds it open has ended.
    last_words: Receiver<String>,
}

impl Engine {
    /// Starts a process, waits until it has loaded the model and lets it run once, unrecorded: what is made ready on first
    /// use says nothing about speed. `Err` says why it could not, in words for people.
    pub(crate) fn start(
        name: &str,
        precision: &str,
        ours: bool,
        mut command: Command,
    ) -> Result<Engine, String> {
        let started = Instant::now();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(|error| error.to_string())?;
        let (Some(commands), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("no pipes to it".to_string());
        };
        // Read aside, so that it never waits for a reader.
        let mut errors = process.stderr.take();
        let (tell, last_words) = channel();
        std::thread::spawn(move || {
            let lines = errors.take().map(|errors| BufReader::new(errors).split(b'\n').map_while(Result::ok));
            // A remedy behind an error does not say what is wrong.
            let says = |line: &Vec<u8>| !line.is_empty() && !line.starts_with(b"help: ");
            let last = lines.into_iter().flatten().filter(says).last();
            // Nobody may want to know any more.
            let _ = tell.send(String::from_utf8_lossy(&last.unwrap_or_default()).trim().to_string());
        });
        let mut engine = Engine {
            name: name.to_string(),
            precision: precision.to_string(),
            ours,
            version: String::new(),
            start_seconds: 0.0,
            runs: Vec::new(),
            rel_l2: None,
            process,
            commands,
            answers: BufReader::new(answers),
            last_words,
        };
        let ready: Ready = engine.answer()?;
        engine.version = ready.version;
        engine.start_seconds = started.elapsed().as_secs_f64();
        let _: EngineRun = engine.ask("run")?;
        Ok(engine)
    }

    fn ask<T: for<'a> Deserialize<'a>>(&mut self, command: &str) -> Result<T, String> {
        let asked = writeln!(self.commands, "{command}").and_then(|()| self.commands.flush());
        if asked.is_err() {
            return Err(self.end());
        }
        self.answer()
    }

    /// Its next line.
    fn answer<T: for<'a> Deserialize<'a>>(&mut self) -> Result<T, String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line).unwrap_or(0) == 0 {
            return Err(self.end());
        }
        serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))
    }

    /// Waits for the end of the process, which has closed its side, or ends it; gives its last words and how it ended.
    fn end(&mut self) -> String {
        let closed = Instant::now();
        let mut status = self.process.try_wait();
        while matches!(status, Ok(None)) && closed.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
            status = self.process.try_wait();
        }
        if matches!(status, Ok(None)) {
            // What fails has ended meanwhile.
            let _ = self.process.kill();
        }
        // A process of its own that it left behind may hold standard error open.
        let words = self.last_words.recv_timeout(PATIENCE).unwrap_or_default();
        let how = match status {
            Ok(Some(status)) => status.to_string(),
            Ok(None) => "it closed its output and went on".to_string(),
            Err(error) => error.to_string(),
        };
        let said = if words.is_empty() { "without a word" } else { &words };
        format!("{said} ({how})")
    }

    /// One forward pass; `Err` says why there was none, for people.
    pub(crate) fn run(&mut self) -> Result<EngineRun, String> {
        let run = self.ask("run")?;
        self.runs.push(run);
        Ok(run)
    }

    /// Saves the soft tokens of the last run as `.npy`.
    pub(crate) fn save(&mut self, path: &Path) -> Result<(), String> {
        self.ask::<serde_json::Value>(&format!("save {}", path.display())).map(drop)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It has nothing to finish; what fails has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn why(script: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Engine::start("e", "f32", false, command).err().unwrap_or_default()
    }

    #[test]
    fn an_engine_that_cannot_start_gives_its_last_words_or_how_it_ended() {
        assert_eq!(why("echo first >&2; echo no model >&2; exit 1"), "no model (exit status: 1)");
        assert_eq!(why("exit 3"), "without a word (exit status: 3)");
        // Whoever is out of memory is killed, after whatever it last warned of.
        let killed = why("echo a warning >&2; kill -9 $$");
        assert!(killed.starts_with("a warning (signal: 9"), "{killed}");
        let refused = why("echo 'error: no such thing' >&2; echo 'help: name another' >&2; exit 2");
        assert_eq!(refused, "error: no such thing (exit status: 2)");
        assert!(why("echo '{}'").starts_with("missing field"), "{}", why("echo '{}'"));
    }

    #[test]
    fn an_engine_that_only_closes_its_output_is_ended() {
        let started = Instant::now();
        let expected = "out of memory (it closed its output and went on)";
        assert_eq!(why("echo out of memory >&2; exec sleep 30 >&-"), expected);
        assert!(started.elapsed() < 10 * PATIENCE, "{:?}", started.elapsed());
    }

    #[test]
    fn what_an_engine_left_behind_is_not_waited_for() {
        let started = Instant::now();
        assert_eq!(why("sleep 10 > /dev/null & exit 4"), "without a word (exit status: 4)");
        assert!(started.elapsed() < 4 * PATIENCE, "{:?}", started.elapsed());
    }
}
