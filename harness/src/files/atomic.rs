//! Files that are written aside and then renamed: no half file is left behind.

use std::fs::{File, Permissions};
use std::io::{BufWriter, Error, ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

use super::unfinished::Unfinished;

/// Links that are followed from one path.
const MOST_LINKS: usize = 40;

/// Writes a file as a whole, or leaves what was there. A link is followed; a pipe or device is written to as it is; and
/// `/dev/stdout`, `/dev/stderr` are this process's own, whatever they were redirected to: a log is appended to and not
/// replaced. A file that is there keeps its mode. The folder is made if it is not there.
///
/// # Errors
/// Whatever the file system says.
pub fn write(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    if let Some(open) = OpenFile::named_by(path)? {
        let mut out = BufWriter::new(open);
        content(&mut out)?;
        return out.flush();
    }
    let (path, mode): (PathBuf, Option<Permissions>) = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(ErrorKind::IsADirectory.into()),
        Ok(metadata) if !metadata.is_file() => {
            let mut out = BufWriter::new(File::options().write(true).open(path)?);
            content(&mut out)?;
            return out.flush();
        }
        Ok(metadata) => (std::fs::canonicalize(path)?, Some(metadata.permissions())),
        Err(_) => (path.to_path_buf(), None),
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    // Temporary files are private by default; these must be readable by everyone who may read the folder.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(match &mode {
        None => 0o666,
        // What only some may read is not shown to others while it is written.
        Some(_) => 0o600,
    }));
    // Dropped in the other order: the note goes first, and after a signal it does not.
    let (mut file, _unfinished) = Unfinished::create(|| builder.tempfile_in(folder))?;
    let mut out = BufWriter::new(&mut file);
    content(&mut out)?;
    out.flush()?;
    drop(out);
    if let Some(mode) = mode {
        file.as_file().set_permissions(mode)?;
    }
    file.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

/// A file that this process has open already, by a name such as `/dev/stdout`.
enum OpenFile {
    Output(std::io::Stdout),
    Error(std::io::Stderr),
    Other(File),
}

impl OpenFile {
    /// The open file that a path names, through links; `None` for every other path.
    fn named_by(path: &Path) -> std::io::Result<Option<OpenFile>> {
        let mut path = path.to_path_buf();
        for _ in 0..MOST_LINKS {
            match number(&path).as_deref() {
                Some("1") => return Ok(Some(OpenFile::Output(std::io::stdout()))),
                Some("2") => return Ok(Some(OpenFile::Error(std::io::stderr()))),
                // What lies in it already may be a log.
                Some(_) => return Ok(Some(OpenFile::Other(File::options().append(true).open(path)?))),
                None => {}
            }
            let Ok(target) = std::fs::read_link(&path) else { return Ok(None) };
            path = path.parent().unwrap_or(Path::new("")).join(target);
        }
        Err(Error::other("too many links, one to the next"))
    }
}

/// The number under which a path names a file that this process has open.
fn number(path: &Path) -> Option<String> {
    let parts: Vec<&str> = path
        .components()
        .map(|part| match part {
            Component::RootDir => Some("/"),
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let own = std::process::id().to_string();
    match parts.as_slice() {
        ["/", "dev", "stdout"] => Some("1".to_string()),
        ["/", "dev", "stderr"] => Some("2".to_string()),
        ["/", "dev", "fd", number] | ["/", "proc", "self" | "thread-self", "fd", number] => {
            Some(number.to_string())
        }
        ["/", "proc", process, "fd", number] if *process == own => Some(number.to_string()),
        _ => None,
    }
}

impl Write for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            OpenFile::Output(out) => out.write(bytes),
            OpenFile::Error(out) => out.write(bytes),
            OpenFile::Other(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            OpenFile::Output(out) => out.flush(),
            OpenFile::Error(out) => out.flush(),
            OpenFile::Other(out) => out.flush(),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn links_are_followed_and_devices_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write(&link, |out| write!(out, "new")).unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&real).unwrap(), "new");
        let null = Path::new("/dev/null");
        write(null, |out| write!(out, "x")).unwrap();
        assert!(!std::fs::metadata(null).unwrap().is_file());
    }

    #[test]
    fn a_folder_that_is_not_there_is_made() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("a/b/c"), |out| write!(out, "x")).unwrap();
        assert!(folder.path().join("a/b/c").is_file());
    }

    #[test]
    fn a_file_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("private");
        for mode in [0o600, 0o640, 0o755] {
            std::fs::write(&path, "old").unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            write(&path, |out| write!(out, "new")).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        }
    }

    #[test]
    fn open_files_are_known_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/stdout", &link).unwrap();
        assert!(matches!(OpenFile::named_by(&link).unwrap(), Some(OpenFile::Output(_))));
        assert!(matches!(OpenFile::named_by(Path::new("/dev/fd/2")).unwrap(), Some(OpenFile::Error(_))));
        assert!(OpenFile::named_by(Path::new("/dev/null")).unwrap().is_none());
        assert!(OpenFile::named_by(&folder.path().join("new")).unwrap().is_none());
        let circle = folder.path().join("circle");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        assert!(OpenFile::named_by(&circle).is_err());
    }
}
