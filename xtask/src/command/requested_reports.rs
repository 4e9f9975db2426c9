//! The reports that a run is asked for.

use std::path::PathBuf;

use harness::compare::comparison::Run;
use harness::compare::kept_maps::MapLimits;
use harness::files::atomic;
use harness::files::overwrite::FilesRead;
use harness::report::document::ReportDocument;
use harness::report::{Format, jsonl};

use crate::gate::files_read::RECORDS;
use crate::shell::console;
use crate::shell::failure::Failure;

/// The path that stands for the standard output.
const STANDARD_OUTPUT: &str = "-";
/// Layers of all comparisons that are kept as maps.
const LAYERS_WITH_MAPS: usize = 24;
/// Failing layers of one comparison that are kept as maps; of passing ones it is a third.
const MOST_MAPS_OF_ONE: usize = 9;

/// A report that is asked for.
#[derive(Clone)]
pub(super) struct RequestedReport {
    pub(super) format: Format,
    pub(super) path: PathBuf,
}

impl RequestedReport {
    /// Of `FORMAT=PATH`.
    pub(super) fn parse(text: &str) -> Result<RequestedReport, String> {
        let known = Format::ALL.map(Format::name).join(", ");
        match text.split_once('=') {
            Some((name, path)) if !path.is_empty() => match Format::from_name(name) {
                Some(format) => Ok(RequestedReport { format, path: path.into() }),
                None => Err(format!("expected a format ({known}), such as json=PATH, found `{name}`")),
            },
            _ => Err(format!("expected FORMAT=PATH with one of {known}, such as html=parity.html")),
        }
    }

    fn is_to_standard_output(&self) -> bool {
        self.path.as_os_str() == STANDARD_OUTPUT
    }

    /// Writes its text where it belongs, as a whole.
    pub(super) fn put(&self, text: &str) -> std::io::Result<()> {
        match self.is_to_standard_output() {
            true => console::hand_over(text),
            false => atomic::write(&self.path, |out| out.write_all(text.as_bytes()))?,
        }
        Ok(())
    }

    /// Whether it goes out line by line, while comparisons are made.
    fn is_stream(&self) -> bool {
        self.format == Format::JsonLines && self.is_to_standard_output()
    }
}

/// All of a run.
pub(super) struct RequestedReports<'a>(pub(super) &'a [RequestedReport]);

impl RequestedReports<'_> {
    /// Refuses to write one over a file that the run reads, before anything is read for long. Where one has the standard
    /// output, what people read goes to the standard error from here on.
    pub(super) fn prepare(&self, files_read: impl FnOnce() -> FilesRead) -> Result<(), Failure> {
        let to_output = self.0.iter().filter(|report| report.is_to_standard_output()).count();
        if to_output > 1 {
            let message = format!("--report: {to_output} reports to the standard output");
            return Err(Failure::usage(message, "write all but one to files"));
        }
        let is_record = |report: &&RequestedReport| RECORDS.iter().any(|name| report.path.ends_with(name));
        if let Some(report) = self.0.iter().filter(|report| !report.path.exists()).find(is_record) {
            return Err(Failure::usage(
                format!("{}: a file of that name is taken for the record of a folder", report.path.display()),
                "name another file",
            ));
        }
        if self.0.iter().any(|report| report.path.exists()) {
            let read = files_read();
            self.0.iter().try_for_each(|report| read.check(&report.path)).map_err(Failure::overwrites)?;
        }
        if to_output == 1 {
            console::say_to_standard_error();
        }
        Ok(())
    }

    /// How many layers of each of so many comparisons are kept as maps: none where no report shows them.
    pub(super) fn map_limits(&self, comparisons: usize) -> MapLimits {
        if !self.0.iter().any(|report| report.format.has_maps()) {
            return MapLimits::default();
        }
        let each = (LAYERS_WITH_MAPS / comparisons.max(1)).clamp(1, MOST_MAPS_OF_ONE);
        MapLimits { failing: each, passing: each.div_ceil(3) }
    }

    /// Hands the newest comparison to a reader of JSON lines at the standard output.
    pub(super) fn stream_newest(&self, run: &Run) -> Result<(), Failure> {
        self.stream(|| jsonl::comparison(&ReportDocument::of(run), run.comparisons.len().saturating_sub(1)))
    }

    /// Writes every report, and ends a stream.
    pub(super) fn write(&self, document: &ReportDocument) -> Result<(), Failure> {
        for report in self.0.iter().filter(|report| !report.is_stream()) {
            let RequestedReport { format, path } = report;
            let written = format.render(document).and_then(|text| report.put(&text));
            written.map_err(|error| Failure::write(path, &error))?;
        }
        self.stream(|| jsonl::summary(document))
    }

    /// Hands over lines, as soon as they are known.
    fn stream(&self, lines: impl FnOnce() -> Result<String, serde_json::Error>) -> Result<(), Failure> {
        if self.0.iter().any(RequestedReport::is_stream) {
            console::hand_over(&lines().map_err(Failure::unreadable)?);
        }
        Ok(())
    }
}
