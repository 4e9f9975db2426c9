//! What a command says when it cannot do its work.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use harness::compare::comparison::{Comparison, Obstacle, ObstacleKind, Origin};
use harness::exit_code;
use harness::files::overwrite::Overwrite;
use harness::mapping::MappingError;
use harness::reference::ReferenceError;
use harness::reference::manifest::ManifestError;
use harness::report::mistakes;

use super::paths;

/// What a command ends with.
pub(crate) type CommandResult = Result<ExitCode, Failure>;

/// Why a command did not do its work, and what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: ObstacleKind,
    message: String,
    help: Option<String>,
    /// The message has its own frame.
    framed: bool,
}

impl Failure {
    /// Wrong usage, configuration or mapping.
    pub(crate) fn usage(message: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure { kind: ObstacleKind::Usage, message: message.into(), help: Some(help.into()), framed: false }
    }

    /// Something from outside that cannot be used; the error says which file, what was expected, what was found.
    pub(crate) fn unreadable(error: impl std::error::Error) -> Failure {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            // Many messages hold their cause already.
            if !message.contains(&error.to_string()) {
                message = format!("{message}: {error}");
            }
            cause = error.source();
        }
        Failure::unusable(message)
    }

    /// Something from outside that cannot be used.
    pub(crate) fn unusable(message: impl Into<String>) -> Failure {
        Failure { kind: ObstacleKind::Unreadable, message: message.into(), help: None, framed: false }
    }

    /// Something that should be compared and cannot be, since it is not there.
    pub(crate) fn uncovered(message: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure {
            kind: ObstacleKind::Coverage,
            message: message.into(),
            help: Some(help.into()),
            framed: false,
        }
    }

    /// Something that could not be written.
    pub(crate) fn write(path: &Path, error: &std::io::Error) -> Failure {
        Failure::unusable(format!("cannot write {}: {error}", path.display()))
            .help("is the folder there, and is there space?")
    }

    /// A file of this project that could not be written; the error says which.
    pub(crate) fn unwritable(error: impl std::error::Error) -> Failure {
        Failure::unreadable(error).help("is the folder there, may you write to it, and is there space?")
    }

    /// A file that would be written over though this command reads it.
    pub(crate) fn overwrites(error: Overwrite) -> Failure {
        Failure::usage(error.to_string(), "name another file")
    }

    /// Which file, what was expected, what was found.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// A comparison that says why it could not be made.
    pub(crate) fn instead_of(&self, reference: &Path) -> Comparison {
        let title = paths::shown(reference);
        Comparison {
            reference: Origin { title, folder: Some(reference.to_path_buf()), ..Origin::default() },
            obstacle: Some(Obstacle { kind: self.kind, message: self.plain_message() }),
            ..Comparison::default()
        }
    }

    /// What to do.
    pub(crate) fn remedy(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The message without the escapes of its frame.
    fn plain_message(&self) -> String {
        anstream::adapter::strip_str(&self.message).to_string()
    }

    /// With something to do, unless the message has its own frame, which says it.
    pub(crate) fn or_help(self, help: impl FnOnce() -> String) -> Failure {
        match self.framed {
            true => self,
            false => self.help(help()),
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }
}

impl From<MappingError> for Failure {
    fn from(error: MappingError) -> Failure {
        let framed = matches!(error, MappingError::Invalid { .. });
        let message = mistakes::mapping(&error, true).trim_end().to_string();
        let help = (!framed).then(|| "--mapping names the file, --profile one of its profiles".to_string());
        Failure { kind: ObstacleKind::Usage, message, help, framed }
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Failure {
        let framed = matches!(error, ManifestError::Invalid { .. });
        let message = mistakes::manifest(&error, true).trim_end().to_string();
        Failure { kind: ObstacleKind::Unreadable, message, help: None, framed }
    }
}

impl From<ReferenceError> for Failure {
    fn from(error: ReferenceError) -> Failure {
        match error {
            ReferenceError::Manifest(error) => error.into(),
            other => Failure::unreadable(other),
        }
    }
}

/// Prints a failure and gives its exit code.
pub(crate) fn report(failure: Failure) -> ExitCode {
    match failure.framed {
        true => anstream::eprintln!("{}", failure.message),
        false => anstream::eprintln!("\x1b[1;31merror\x1b[0m: {}", failure.message),
    }
    if let Some(help) = failure.help {
        anstream::eprintln!("help: {help}");
    }
    ExitCode::from(failure.kind.exit_code())
}

/// Prints to the standard output. A reader that closes it has read enough; any other failure to write fails the command:
/// its verdict is not known.
pub(crate) fn say(text: &str) {
    let mut out = anstream::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            anstream::eprintln!("error: cannot write to the standard output: {error}");
            std::process::exit(i32::from(exit_code::UNREADABLE));
        }
        _ => {}
    }
}
