//! A command that is told to stop leaves no temporary files.

/// Sees to it that files that are being written aside are removed when the process is told to stop, before it ends as it
/// would have ended.
#[cfg(unix)]
pub(crate) fn clean_up_on_end() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let ignored = ignored();
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !ignored.contains(signal));
    // Without a handler a signal ends the process as ever, and leaves at most a temporary file.
    let Ok(mut signals) = Signals::new(wanted.collect::<Vec<_>>()) else { return };
    let wait = move || {
        if let Some(signal) = signals.forever().next() {
            harness::files::unfinished::remove();
            encoder::dump::remove_unfinished();
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    };
    let _ = std::thread::Builder::new().name("signals".to_string()).spawn(wait);
}

#[cfg(not(unix))]
pub(crate) fn clean_up_on_end() {}

/// Signals that the parent process had set to be ignored, as `nohup` does; they stay so.
#[cfg(unix)]
fn ignored() -> Vec<i32> {
    let mask = || {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    let mask = mask().unwrap_or_default();
    (1..=64).filter(|signal| mask & (1 << (signal - 1)) != 0).collect()
}
