//! Regular files: opening a pipe would wait for another program to write to it, and a device may never end.

use std::fs::{File, FileType};
use std::io::{Error, ErrorKind, Read};
use std::path::Path;

use crate::bounds;

/// A file that can be read at any place.
#[derive(Debug)]
pub struct RegularFile {
    /// Its content.
    pub file: File,
    /// Bytes that it has.
    pub length: u64,
}

/// Opens a regular file.
///
/// # Errors
/// A folder ([`ErrorKind::IsADirectory`]), a pipe, socket or device ([`ErrorKind::InvalidInput`]), or whatever the file
/// system says.
pub fn open_sized(path: &Path) -> std::io::Result<RegularFile> {
    refuse_others(std::fs::metadata(path)?.file_type())?;
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    refuse_others(metadata.file_type())?;
    Ok(RegularFile { file, length: metadata.len() })
}

/// Opens a regular file.
///
/// # Errors
/// As [`open_sized`].
pub fn open(path: &Path) -> std::io::Result<File> {
    Ok(open_sized(path)?.file)
}

/// All bytes of a text that people or this program write.
///
/// # Errors
/// As [`open_sized`], and a file of more than [`bounds::TEXT_BYTES`].
pub fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let RegularFile { file, length } = open_sized(path)?;
    if length > bounds::TEXT_BYTES {
        let message = format!("expected at most {} bytes, found {length}", bounds::TEXT_BYTES);
        return Err(Error::new(ErrorKind::FileTooLarge, message));
    }
    let mut bytes = Vec::new();
    file.take(bounds::TEXT_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A text that people or this program write.
///
/// # Errors
/// As [`read`], and what is not UTF-8.
pub fn read_text(path: &Path) -> std::io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

/// Refuses what is not a regular file.
fn refuse_others(kind: FileType) -> std::io::Result<()> {
    match kind {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_dir() => {
            Err(Error::new(ErrorKind::IsADirectory, "expected a regular file, found a folder"))
        }
        _ => Err(Error::new(ErrorKind::InvalidInput, "expected a regular file, found a pipe or device")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_texts_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("text"), "text").unwrap();
        assert_eq!(read_text(&path("text")).unwrap(), "text");
        std::fs::write(path("latin"), b"\xe9").unwrap();
        assert_eq!(read_text(&path("latin")).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(read(folder.path()).unwrap_err().kind(), ErrorKind::IsADirectory);
        assert_eq!(read(&path("gone")).unwrap_err().kind(), ErrorKind::NotFound);
        // A file of holes takes no space.
        File::create(path("huge")).unwrap().set_len(1 << 40).unwrap();
        let message = read(&path("huge")).unwrap_err().to_string();
        assert_eq!(message, "expected at most 67108864 bytes, found 1099511627776");
    }

    #[cfg(unix)]
    #[test]
    fn pipes_devices_and_sockets_are_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, socket) = (folder.path().join("pipe"), folder.path().join("socket"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [pipe.as_path(), &socket, Path::new("/dev/zero")] {
            let message = read(path).unwrap_err().to_string();
            assert!(message.contains("found a pipe or device"), "{message}");
        }
    }
}
