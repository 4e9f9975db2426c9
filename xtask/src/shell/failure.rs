//! Why a command cannot do its work, and what to do about it.

use std::path::Path;
use std::process::ExitCode;

use harness::compare::obstacle::{LocatedMistake, Obstacle, ObstacleKind};
use harness::files::overwrite::Overwrite;
use harness::mapping::MappingError;
use harness::reference::ReferenceError;
use harness::reference::manifest::ManifestError;
use harness::report::mistakes;
use harness::text::facts::{Facts, Factual};

use super::console::tell;

/// What a command ends with.
pub(crate) type CommandResult = Result<ExitCode, Failure>;

/// Why a command did not do its work, and what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: ObstacleKind,
    message: String,
    /// What it is about, for programs.
    about: Option<Box<Facts>>,
    help: Option<String>,
    /// The mistakes of a file that cannot be used.
    mistakes: Vec<LocatedMistake>,
    /// They as they are printed, each underlined in its text; says what to do too.
    drawn: Option<String>,
}

impl Failure {
    fn new(kind: ObstacleKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), about: None, help: None, mistakes: Vec::new(), drawn: None }
    }

    /// Mistakes in a file, with the file's text around them.
    fn of_mistakes(kind: ObstacleKind, mistakes: Vec<LocatedMistake>, drawn: &str) -> Failure {
        let lines: Vec<String> = mistakes.iter().map(LocatedMistake::to_string).collect();
        let drawn = Some(drawn.trim_end().to_string());
        Failure { mistakes, drawn, ..Failure::new(kind, lines.join("\n")) }
    }

    /// Wrong usage, configuration or mapping.
    pub(crate) fn usage(message: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure::new(ObstacleKind::Usage, message).help(help)
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

    /// The same, of an error that says what it is about as data too.
    pub(crate) fn found(error: impl std::error::Error + Factual) -> Failure {
        let facts = error.facts();
        Failure::unreadable(error).about(facts)
    }

    /// With what it is about, for programs.
    pub(crate) fn about(self, facts: Facts) -> Failure {
        Failure { about: Some(Box::new(facts)), ..self }
    }

    /// Something from outside that cannot be used.
    pub(crate) fn unusable(message: impl Into<String>) -> Failure {
        Failure::new(ObstacleKind::Unreadable, message)
    }

    /// Something that should be compared and cannot be, since it is not there.
    pub(crate) fn uncovered(message: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure::new(ObstacleKind::Coverage, message).help(help)
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

    /// The same, of a file that the message does not name.
    pub(crate) fn of_file(self, path: &Path) -> Failure {
        Failure { message: format!("{}: {}", path.display(), self.message), ..self }
    }

    /// What stands in a report in the place of a comparison.
    pub(crate) fn obstacle(&self) -> Obstacle {
        let (about, message, mistakes) =
            (self.about.as_deref().cloned(), self.message.clone(), self.mistakes.clone());
        Obstacle { kind: self.kind, about, message, mistakes }
    }

    /// What to do.
    pub(crate) fn remedy(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// With something to do, if there is anything, unless the message says it: each mistake does, and so does a message that
    /// names what was meant.
    pub(crate) fn or_help(self, help: impl FnOnce() -> Option<String>) -> Failure {
        let says_it = self.drawn.is_some()
            || self.about.as_ref().is_some_and(|about| about.values.contains_key("nearest"));
        match help().filter(|_| !says_it) {
            Some(help) => self.help(help),
            None => self,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }
}

impl From<MappingError> for Failure {
    fn from(error: MappingError) -> Failure {
        let (found, drawn) = (mistakes::in_mapping(&error), mistakes::mapping(&error, true));
        let failure = match found.as_slice() {
            [] => Failure::usage(drawn.trim_end(), "--mapping names the file, --profile one of its profiles"),
            _ => Failure::of_mistakes(ObstacleKind::Usage, found, &drawn),
        };
        failure.about(error.facts())
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Failure {
        let (found, drawn) = (mistakes::in_manifest(&error), mistakes::manifest(&error, true));
        let failure = match found.as_slice() {
            [] => Failure::unusable(drawn.trim_end()),
            _ => Failure::of_mistakes(ObstacleKind::Unreadable, found, &drawn),
        };
        failure.about(error.facts())
    }
}

impl From<ReferenceError> for Failure {
    fn from(error: ReferenceError) -> Failure {
        match error {
            ReferenceError::Manifest(error) => error.into(),
            other => Failure::found(other),
        }
    }
}

/// Prints a failure and gives its exit code.
pub(crate) fn report(failure: Failure) -> ExitCode {
    match failure.drawn {
        Some(drawn) => tell(&drawn),
        None => tell(&format!("\x1b[1;31merror\x1b[0m: {}", failure.message)),
    }
    if let Some(help) = failure.help {
        tell(&format!("help: {help}"));
    }
    ExitCode::from(failure.kind.exit_code())
}
