//! What a file is by its content.

/// The containers of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WeightFileKind {
    Gguf,
    /// The index of a sharded checkpoint.
    Index,
    /// What is nothing else is read as safetensors, whose reader says what is wrong with it.
    Safetensors,
}

/// What a file holds.
pub(super) fn of(bytes: &[u8]) -> WeightFileKind {
    if bytes.starts_with(b"GGUF") {
        return WeightFileKind::Gguf;
    }
    // A safetensors header is JSON too, after its length.
    let is_header = bytes.first_chunk::<8>().is_some_and(|length| {
        let fits = usize::try_from(u64::from_le_bytes(*length)).is_ok_and(|n| n <= bytes.len() - 8);
        fits && bytes.get(8) == Some(&b'{')
    });
    let begin = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    match begin {
        Some(b'{' | b'[') if !is_header => WeightFileKind::Index,
        _ => WeightFileKind::Safetensors,
    }
}

/// First bytes of files that hold no weights for this encoder, what they are, and what to do with it.
const WITHOUT_WEIGHTS: [(&[u8], &str); 8] = [
    (b"version https://git-lfs", "a git-lfs pointer: `git lfs pull` fetches the weights that it stands for"),
    (
        b"PK\x03\x04",
        "a zip archive, such as a PyTorch file: save its tensors with safetensors.torch.save_file",
    ),
    (b"\x80\x02", "a PyTorch file: save its tensors with safetensors.torch.save_file"),
    (b"\x93NUMPY", "an .npy file: weights are in a safetensors or GGUF file"),
    (b"\x89HDF", "an HDF5 file: save its tensors with safetensors"),
    (b"\x1f\x8b", "a gzip archive: unpack it"),
    (b"\x89PNG", "a picture"),
    (b"<!DOCTYPE", "a web page: was it downloaded without logging in?"),
];

/// What a file without weights for this encoder is, where its first bytes tell it.
pub(super) fn without_weights(bytes: &[u8]) -> Option<&'static str> {
    WITHOUT_WEIGHTS.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, kind)| *kind)
}
