//! What a file is that was taken for weights, and layouts that other programs write.

use std::collections::BTreeMap;

use super::Entry;

/// First bytes that tell what a file is, and what to do with it.
const KINDS: [(&[u8], &str); 9] = [
    (b"version https://git-lfs", "a git-lfs pointer: `git lfs pull` fetches the weights that it stands for"),
    (
        b"PK\x03\x04",
        "a zip archive, such as a PyTorch file: save its tensors with safetensors.torch.save_file",
    ),
    (b"\x80\x02", "a PyTorch file: save its tensors with safetensors.torch.save_file"),
    (b"GGUF", "a GGUF file: use the safetensors file that it was converted from"),
    (b"\x93NUMPY", "an .npy file: weights are in a safetensors file"),
    (b"\x89HDF", "an HDF5 file: save its tensors with safetensors"),
    (b"\x1f\x8b", "a gzip archive: unpack it"),
    (b"\x89PNG", "a picture"),
    (b"<!DOCTYPE", "a web page: was it downloaded without logging in?"),
];

/// What a file is by its first bytes, where they tell it.
pub(super) fn of(bytes: &[u8]) -> Option<&'static str> {
    KINDS.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, kind)| *kind)
}

/// What keeps tensors that another program wrote from being used, where their names or shapes tell it.
pub(super) fn foreign(entries: &BTreeMap<String, Entry>) -> Option<String> {
    let quantised = entries.keys().find(|name| {
        name.strip_suffix(".scales").is_some_and(|stem| entries.contains_key(&format!("{stem}.biases")))
    });
    if let Some(scales) = quantised {
        return Some(format!(
            "weights that MLX has quantised (`{scales}`): use the release that is not quantised"
        ));
    }
    let kernels =
        || entries.iter().filter(|(name, entry)| name.ends_with(".weight") && entry.shape.len() == 4);
    let square = |entry: &Entry, from: usize| entry.shape[from] == entry.shape[from + 1];
    let all_last = kernels().all(|(_, entry)| square(entry, 1));
    let (name, entry) = kernels().find(|(_, entry)| !square(entry, 2)).filter(|_| all_last)?;
    Some(format!(
        "kernels as [out, k, k, in], as MLX has them (`{name}` {:?}): transpose each by (0, 3, 1, 2) and save them again",
        entry.shape
    ))
}
