//! What the command line decides of errors that wait for a review.

use std::path::PathBuf;

use crate::baseline::review::Flags;

/// What is accepted, what is rejected, and where it is shown.
#[derive(clap::Args)]
pub(super) struct ReviewDecisions {
    /// Accept this layer, `LAYER` or `SET/LAYER` (repeatable); the others wait on.
    #[arg(long, value_name = "LAYER")]
    pub(super) accept: Vec<String>,
    /// Reject this layer, likewise.
    #[arg(long, value_name = "LAYER")]
    pub(super) reject: Vec<String>,
    /// Accept every layer that is not rejected.
    #[arg(long, conflicts_with = "reject_all")]
    pub(super) accept_all: bool,
    /// Reject every layer that is not accepted.
    #[arg(long)]
    pub(super) reject_all: bool,
    /// Write a page that shows old and new beside each other.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
}

impl ReviewDecisions {
    /// Which layers are decided.
    pub(super) fn flags(&self) -> Flags<'_> {
        Flags {
            accept: &self.accept,
            reject: &self.reject,
            accept_all: self.accept_all,
            reject_all: self.reject_all,
        }
    }
}
