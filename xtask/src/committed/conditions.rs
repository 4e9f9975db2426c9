//! The conditions under which the encoder gives the same bits.

use encoder::Isa;

use crate::committed::set;

/// The kernels, and what the compiler made of portable ones.
pub(crate) fn conditions(isa: Isa, strict_fma: bool) -> String {
    let fused = if isa == Isa::Portable && cfg!(target_feature = "fma") { " with fma" } else { "" };
    let strict = if isa == Isa::Amx && strict_fma { " by fma alone" } else { "" };
    format!("{} {isa}{fused}{strict}", std::env::consts::ARCH)
}

/// Whether a text is one that [`conditions`] makes, on this or another architecture.
pub(crate) fn are_conditions(text: &str) -> bool {
    let mut words = text.splitn(3, ' ');
    let arch = words.next().unwrap_or_default();
    let isa = words.next().and_then(Isa::from_name);
    let of_isa = match words.next() {
        None => isa.is_some(),
        Some("with fma") => isa == Some(Isa::Portable),
        Some("by fma alone") => isa == Some(Isa::Amx),
        Some(_) => false,
    };
    // Only the portable kernels are for other architectures.
    let other = isa == Some(Isa::Portable) && set::is_plain(arch);
    of_isa && (arch == "x86_64" || other)
}
