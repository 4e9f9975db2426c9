//! What a file is, told by its content.

use std::io::Read;
use std::path::Path;

use super::{onnx, printed, regular};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Npy,
    /// A zip archive of `.npy` files.
    Npz,
    Safetensors,
    /// What `torch.save` writes, in any of its containers.
    Torch,
    /// A `TensorProto` of ONNX.
    Onnx,
    /// A text log in which tensors are printed.
    PrintedLog,
    /// Something with a name of its own that holds no tensors that can be read here.
    Other(&'static str),
    /// Nothing that its first bytes tell.
    Unknown,
}

/// What an `.npy` file begins with.
pub(super) const NPY_MAGIC: &[u8] = b"\x93NUMPY";
/// Bytes that are looked at.
const FRONT: usize = 512;
/// The longest header that the safetensors format allows.
const MAX_SAFETENSORS_HEADER: u64 = 100_000_000;

/// First bytes that tell what a file is, where it is nothing that can be read here.
const OTHERS: [(&[u8], &str); 14] = [
    (b"version https://git-lfs", "a git-lfs pointer; `git lfs pull` fetches the file that it stands for"),
    (b"GGUF", "a GGUF file of weights, not a dump of tensors"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"RIFF", "a RIFF file, such as a WebP picture"),
    (b"\x89HDF", "an HDF5 file; save its tensors as .npy or safetensors"),
    (b"MATLAB", "a MATLAB file; save its tensors as .npy or safetensors"),
    (b"\x1f\x8b", "a gzip archive; unpack it"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive; unpack it"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it"),
    (b"\x7fELF", "a program"),
    (b"%PDF", "a PDF document"),
    (b"<!DOCTYPE", "a web page: was it downloaded without logging in?"),
];

impl FileKind {
    /// What a file is; a file that cannot be read is unknown.
    pub(super) fn of(path: &Path) -> FileKind {
        let Ok((file, length)) = regular::open(path) else { return FileKind::Unknown };
        let mut front = Vec::new();
        if file.take(FRONT as u64).read_to_end(&mut front).is_err() {
            return FileKind::Unknown;
        }
        match FileKind::of_bytes(&front, length) {
            FileKind::Unknown if printed::is_log(path, &front) => FileKind::PrintedLog,
            kind => kind,
        }
    }

    fn of_bytes(front: &[u8], length: u64) -> FileKind {
        if front.starts_with(NPY_MAGIC) {
            return FileKind::Npy;
        }
        if front.starts_with(b"PK\x03\x04") {
            return zipped(front);
        }
        // A pickle of protocol 2 or later, and the tar archive of torch before 0.1.10.
        let is_pickle = matches!(front, [0x80, 2..=5, ..]);
        let is_torch_tar = front.get(257..262) == Some(b"ustar") && front.starts_with(b"sys_info");
        if is_pickle || is_torch_tar {
            return FileKind::Torch;
        }
        if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| front.starts_with(magic)) {
            return FileKind::Other(name);
        }
        match front {
            [a, b, c, d, e, f, g, h, b'{', ..] => {
                let header = u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
                match header <= MAX_SAFETENSORS_HEADER && header <= length - 8 {
                    true => FileKind::Safetensors,
                    false => FileKind::Unknown,
                }
            }
            front if onnx::is_tensor(front, length) => FileKind::Onnx,
            _ => FileKind::Unknown,
        }
    }

    /// Whether it holds tensors with names of their own.
    pub(super) fn is_container(self) -> bool {
        matches!(self, FileKind::Npz | FileKind::Safetensors | FileKind::Torch | FileKind::Onnx)
    }

    /// What a file is, in a few words.
    pub(super) fn describe(path: &Path) -> String {
        let metadata = std::fs::metadata(path);
        if metadata.as_ref().is_ok_and(|metadata| !metadata.is_file()) {
            return "a pipe or device".to_string();
        }
        let length = metadata.map_or(0, |metadata| metadata.len());
        match FileKind::of(path) {
            FileKind::Npy => "an .npy file".to_string(),
            FileKind::Npz => "an .npz archive".to_string(),
            FileKind::Safetensors => "a safetensors file".to_string(),
            FileKind::Torch => "a PyTorch file".to_string(),
            FileKind::Onnx => "an ONNX tensor".to_string(),
            FileKind::PrintedLog => "a text log of printed tensors".to_string(),
            FileKind::Other(name) => name.to_string(),
            FileKind::Unknown if length == 0 => "an empty file".to_string(),
            FileKind::Unknown => unknown(path, length),
        }
    }
}

/// A file that nothing tells, by its first bytes.
fn unknown(path: &Path, length: u64) -> String {
    let mut front = [0; 64];
    let read = regular::open(path).ok().and_then(|(mut file, _)| file.read(&mut front).ok()).unwrap_or(0);
    let front = &front[..read];
    // A character may be cut at the end of what was read.
    let text = match std::str::from_utf8(front) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && error.valid_up_to() > 0,
    };
    let printable = front.iter().all(|byte| !byte.is_ascii_control() || byte.is_ascii_whitespace());
    if let [_, _, _, _, _, _, _, _, b'{', ..] = front {
        return "what begins as a safetensors file and ends within its header: was it cut short?".to_string();
    }
    match text && printable {
        true => "text".to_string(),
        false => format!("{length} bytes that start with {:02x?}", &front[..read.min(6)]),
    }
}

/// A zip archive, by the name of its first entry: NumPy's are of `.npy` files, torch's have a folder with `data.pkl`.
fn zipped(front: &[u8]) -> FileKind {
    let length = match front.get(26..28) {
        Some([low, high]) => usize::from(u16::from_le_bytes([*low, *high])),
        _ => return FileKind::Unknown,
    };
    let name = front.get(30..(30 + length).min(front.len())).unwrap_or_default();
    match name {
        name if name.ends_with(b".npy") => FileKind::Npz,
        name if name.contains(&b'/') => FileKind::Torch,
        _ => FileKind::Other("a zip archive of something else than .npy files; unpack it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_first_bytes() {
        let zip = |name: &str| {
            let mut bytes = b"PK\x03\x04".to_vec();
            bytes.resize(26, 0);
            bytes.extend((name.len() as u16).to_le_bytes());
            bytes.extend([0, 0]);
            bytes.extend(name.as_bytes());
            bytes
        };
        let of = |bytes: &[u8]| FileKind::of_bytes(bytes, bytes.len() as u64);
        assert_eq!(of(b"\x93NUMPY\x01\0"), FileKind::Npy);
        assert_eq!(of(&zip("a.npy")), FileKind::Npz);
        assert_eq!(of(&zip("archive/data.pkl")), FileKind::Torch);
        assert!(matches!(of(&zip("README.md")), FileKind::Other(_)));
        assert_eq!(of(b"\x02\0\0\0\0\0\0\0{}"), FileKind::Safetensors);
        assert_eq!(of(b"\xff\xff\xff\x7f\0\0\0\0{}"), FileKind::Unknown);
        assert_eq!(of(b"\x80\x02\x8a\x0a"), FileKind::Torch);
        assert!(matches!(of(b"version https://git-lfs.github.com/spec/v1"), FileKind::Other(_)));
        assert_eq!(of(b"\x08\x02\x10\x01\x4a\x08\0\0\0\0\0\0\0\0"), FileKind::Onnx);
        assert_eq!(of(b"\x08\x0a\x12\x07pytorch"), FileKind::Unknown, "a model of ONNX");
        assert_eq!(of(b"\n# Read me\n"), FileKind::Unknown);
        assert_eq!(of(b""), FileKind::Unknown);
        assert_eq!(of(b"PK\x03\x04"), FileKind::Unknown);
    }
}
