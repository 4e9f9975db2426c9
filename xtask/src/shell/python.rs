//! Python environments of the project's own, made from PyPI where they are wanted.

use std::path::PathBuf;
use std::process::Command;

use crate::shell::console::tell;
use crate::shell::failure::Failure;
use crate::shell::paths;
use crate::shell::process::succeeds;

/// A virtual environment with what a requirements file names.
pub(crate) struct Environment {
    pub(crate) folder: PathBuf,
    pub(crate) requirements: PathBuf,
}

impl Environment {
    /// The interpreter, whether it is there or not.
    pub(crate) fn python(&self) -> PathBuf {
        let python = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" };
        self.folder.join(python)
    }

    fn wanted(&self) -> Result<Vec<u8>, Failure> {
        std::fs::read(&self.requirements).map_err(|error| {
            let message = format!("cannot read {}: {error}", paths::shown(&self.requirements));
            Failure::usage(message, "restore it with git")
        })
    }

    /// Whether it is there and holds what the file names today.
    pub(crate) fn is_current(&self) -> Result<bool, Failure> {
        let wanted = self.wanted()?;
        Ok(std::fs::read(self.folder.join("installed.txt")).is_ok_and(|installed| installed == wanted))
    }

    /// The interpreter of the environment, which is made and filled first where it is not there or out of date.
    /// `otherwise` is what else to do when that fails.
    pub(crate) fn make(&self, otherwise: &str) -> Result<PathBuf, Failure> {
        let python = self.python();
        if self.is_current()? {
            return Ok(python);
        }
        tell(&format!(
            "filling {} with what {} names (some gigabytes, once)",
            paths::shown(&self.folder),
            paths::shown(&self.requirements)
        ));
        let mut make = Command::new(base()?);
        make.args(["-m", "venv"]).arg(&self.folder);
        let mut fill = Command::new(&python);
        fill.args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&self.requirements);
        for mut step in [make, fill] {
            if !step.status().is_ok_and(|status| status.success()) {
                let message =
                    format!("could not make the Python environment in {}", paths::shown(&self.folder));
                return Err(Failure::usage(message, format!("see the message above; {otherwise}")));
            }
        }
        let installed = self.folder.join("installed.txt");
        std::fs::write(&installed, self.wanted()?).map_err(|error| Failure::write(&installed, &error))?;
        Ok(python)
    }
}

/// The system's Python, 3.11 or later.
pub(crate) fn base() -> Result<&'static str, Failure> {
    ["python3", "python"]
        .into_iter()
        .find(|python| succeeds(python, &["-c", "import sys; sys.exit(sys.version_info < (3, 11))"]))
        .ok_or_else(|| {
            Failure::usage(
                "found no Python 3.11 or later as `python3` or `python`",
                "install one, or name one that has the requirements installed with --python",
            )
        })
}
