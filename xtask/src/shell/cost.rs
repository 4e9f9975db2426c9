//! What a run cost.

/// The largest resident memory that this process has had, in bytes, where the system tells.
pub(crate) fn peak_memory() -> Option<u64> {
    peak_memory_of("self")
}

/// The same of another process, by its number.
pub(crate) fn peak_memory_of(process: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Processor time that this process has used, all threads together, in seconds, where the system tells.
pub(crate) fn cpu_seconds() -> Option<f64> {
    // User and system time are fields 14 and 15, in clock ticks, which Linux counts 100 to the second for user programs.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let behind_name = stat.rsplit_once(')')?.1;
    let mut fields = behind_name.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS)
}
