//! Why a command cannot do its work, and what to do about it.

use std::path::Path;
use std::process::ExitCode;

use harness::compare::comparison::{Obstacle, ObstacleKind};
use harness::files::overwrite::Overwrite;
use harness::mapping::MappingError;
use harness::reference::ReferenceError;
use harness::reference::manifest::ManifestError;
use harness::report::mistakes;

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

    /// What stands in a report in the place of a comparison.
    pub(crate) fn obstacle(&self) -> Obstacle {
        Obstacle { kind: self.kind, message: self.plain_message() }
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
