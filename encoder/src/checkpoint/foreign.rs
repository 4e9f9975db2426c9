//! Layouts that other programs write: those that are read, and those that are named and refused.

use std::collections::BTreeMap;

use super::view::ChannelsLast;
use super::{Entry, Location};

/// What the names of tensors end with beside weights that a tool has quantised, and the tool.
const QUANTISED: [(&str, &str); 4] = [
    (".qweight", "GPTQ or AWQ"),
    (".absmax", "bitsandbytes"),
    (".weight_scale", "compressed-tensors"),
    (".weight_scale_inv", "fp8"),
];

/// What keeps tensors that another program wrote from being used, where their names or types tell it.
pub(super) fn refused(entries: &BTreeMap<String, Entry>) -> Option<String> {
    let not_quantised = "use the release that is not quantised";
    for (name, entry) in entries {
        let stem = |ending: &str| name.strip_suffix(ending);
        if let Location::File { kind, .. } = &entry.location
            && kind.name().starts_with("F8_")
        {
            return Some(format!("weights in fp8 (`{name}` {kind}): {not_quantised}"));
        }
        // MLX has scales beside its biases; a bias alone is none of a quantised weight.
        if stem(".scales").is_some_and(|stem| entries.contains_key(&format!("{stem}.biases"))) {
            return Some(format!("weights that MLX has quantised (`{name}`): {not_quantised}"));
        }
        if let Some((_, tool)) = QUANTISED.iter().find(|(ending, _)| stem(ending).is_some()) {
            return Some(format!("weights quantised by {tool} (`{name}`): {not_quantised}"));
        }
    }
    None
}

/// Whether every kernel has its input channels last, `[out, k, k, in]`, as MLX has them.
pub(super) fn is_channels_last(entries: &BTreeMap<String, Entry>) -> bool {
    let kernels = || entries.values().filter(|entry| entry.shape.len() == 4);
    let square = |entry: &Entry, from: usize| entry.shape[from] == entry.shape[from + 1];
    kernels().all(|entry| square(entry, 1)) && kernels().any(|entry| !square(entry, 2))
}

/// Gives kernels `[out, k, k, in]` the shape `[out, in, k, k]`, and the order in which they are read.
pub(super) fn transpose(entries: &mut BTreeMap<String, Entry>) {
    for entry in entries.values_mut() {
        let &[out, height, width, input] = entry.shape.as_slice() else { continue };
        let taps = height.saturating_mul(width);
        if let Location::File { channels_last, .. } = &mut entry.location
            && taps > 1
            && input > 1
        {
            *channels_last = Some(ChannelsLast { taps, input });
        }
        entry.shape = vec![out, input, height, width];
    }
}
