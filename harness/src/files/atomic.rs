//! Files that are written aside and then renamed: no half file is left behind.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes a file as a whole, or leaves what was there. A link is followed; what is no regular file, such as
/// `/dev/stdout`, is written to as it is. The folder is made if it is not there.
///
/// # Errors
/// Whatever the file system says.
pub fn write(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let path: PathBuf = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(std::io::ErrorKind::IsADirectory.into()),
        Ok(metadata) if !metadata.is_file() => {
            let mut out = BufWriter::new(std::fs::File::options().write(true).open(path)?);
            content(&mut out)?;
            return out.flush();
        }
        Ok(_) => std::fs::canonicalize(path)?,
        Err(_) => path.to_path_buf(),
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    // Temporary files are private by default; these must be readable by everyone who may read the folder.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    let mut out = BufWriter::new(&mut file);
    content(&mut out)?;
    out.flush()?;
    drop(out);
    file.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
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
}
