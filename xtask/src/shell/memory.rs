//! How much memory there is, and whether it is enough.

use std::path::Path;

use super::failure::Failure;

const MEBIBYTE: u64 = 1 << 20;

/// Refuses work that takes more memory than there is; `what` begins the sentence. Where the system does not tell how much
/// there is, nothing is refused.
pub(crate) fn check(what: &str, needed: Option<u64>) -> Result<(), Failure> {
    match (needed, available()) {
        (None, _) => Err(Failure::unusable(format!("{what} needs more memory than any machine has"))),
        (Some(needed), Some(available)) if needed > available => Err(Failure::unusable(format!(
            "{what} needs about {} MiB of memory; {} MiB are available",
            needed / MEBIBYTE,
            available / MEBIBYTE
        ))),
        _ => Ok(()),
    }
}

/// Bytes that this process may still take: what the system has, within the limits of its group and its own.
fn available() -> Option<u64> {
    let of_system = || kibibytes("/proc/meminfo", "MemAvailable:");
    [of_system(), of_group(), of_process()].into_iter().flatten().min()
}

/// What its control group may still take.
fn of_group() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    let folder = Path::new("/sys/fs/cgroup").join(own.trim_start_matches('/'));
    let of =
        |name: &str| -> Option<u64> { std::fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok() };
    // Pages of files that were read count as taken, and are given back where memory is short.
    let stat = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let of_files = |name: &str| -> u64 {
        stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
    };
    let cache = of_files("active_file ") + of_files("inactive_file ");
    Some(of("memory.max")?.saturating_sub(of("memory.current")?.saturating_sub(cache)))
}

/// What its limit of address space still allows.
fn of_process() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(limit.saturating_sub(kibibytes("/proc/self/status", "VmSize:")?))
}

/// A line such as `VmSize: 12 kB` of a file, in bytes.
fn kibibytes(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(check("a little", Some(1)).is_ok());
        if available().is_some() {
            let failure = check("encoding", Some(1 << 60)).unwrap_err();
            assert!(failure.message().contains("needs about 1099511627776 MiB"), "{}", failure.message());
        }
    }
}
