//! How far long work is: a line on a terminal's standard error, and nothing elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work that is done sooner shows nothing: a line that comes and goes is noise.
const SILENT: Duration = Duration::from_millis(700);

/// The progress of one piece of work after another.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    is_shown: bool,
    /// Whether it may be shown at all.
    is_wanted: bool,
}

impl Progress {
    /// Progress that is shown where it is wanted and the standard error is a terminal.
    pub(crate) fn new(is_wanted: bool) -> Progress {
        Progress { bar: ProgressBar::hidden(), started: Instant::now(), is_shown: false, is_wanted }
    }

    /// Begins work of so many steps of a kind, such as `parts`.
    pub(crate) fn begin(&mut self, steps: usize, unit: &str) {
        let template = format!("{{bar:24}} {{pos}}/{{len}} {unit}, {{per_sec}}, {{eta}} left {{wide_msg}}");
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar.finish_and_clear();
        self.bar =
            ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::hidden()).with_style(style);
        self.is_shown = false;
        self.started = Instant::now();
    }

    /// Says what is done now.
    pub(crate) fn tell(&mut self, what: &str) {
        self.bar.set_message(what.to_string());
        self.show();
    }

    /// So many steps are done.
    pub(crate) fn advance(&mut self, steps: usize) {
        self.bar.inc(steps as u64);
        self.show();
    }

    fn show(&mut self) {
        if self.is_wanted && !self.is_shown && self.started.elapsed() > SILENT {
            self.is_shown = true;
            // Nothing is drawn where that is no terminal.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_work_shows_nothing() {
        let mut progress = Progress::new(true);
        progress.begin(2, "parts");
        progress.advance(1);
        assert!(!progress.is_shown && progress.bar.position() == 1);
        progress.started = Instant::now() - 2 * SILENT;
        progress.advance(1);
        assert!(progress.is_shown && progress.bar.position() == 2);
        progress.begin(1, "parts");
        assert!(!progress.is_shown);
        let mut unwanted = Progress::new(false);
        unwanted.started = Instant::now() - 2 * SILENT;
        unwanted.advance(1);
        assert!(!unwanted.is_shown);
    }
}
