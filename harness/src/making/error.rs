//! Why no set is made.

use std::path::PathBuf;

use crate::provenance::DumpOpenError;
use crate::provenance::sha256::ReadError;
use crate::reference::manifest::MAX_FLOOR;
use crate::store::StoreError;
use crate::tensor::Dtype;
use crate::text::shown;

/// Names that a message lists.
const LISTED: usize = 5;

/// Why no set is made.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum MakeSetError {
    #[error(transparent)]
    Open(#[from] DumpOpenError),
    #[error(transparent)]
    Tensor(#[from] StoreError),
    #[error(transparent)]
    Hash(#[from] ReadError),
    #[error(
        "{}: expected a dump.json beside the tensors, which says in which order they were computed",
        shown::path(path)
    )]
    NoRecord { path: PathBuf },
    #[error("{}: {file} is not the tensor that its dump.json recorded", shown::path(path))]
    NotAsRecorded { path: PathBuf, file: String },
    #[error(
        "{}: {file} stands in its dump.json twice: two tensors were written under one name",
        shown::path(path)
    )]
    Twice { path: PathBuf, file: String },
    #[error("{}: its dump.json names no tensor that is there", shown::path(path))]
    Empty { path: PathBuf },
    #[error("--without {name}: no tensor of the runs has that name")]
    Unknown { name: String },
    #[error("the two runs are not of the same {what}: {exact} in f64, {rounded} in f32")]
    OtherRun { what: &'static str, exact: String, rounded: String },
    #[error(
        "{}: not the {what} that the runs recorded: they had sha256 {recorded}, this file has {found}",
        shown::path(path)
    )]
    OtherFile { path: PathBuf, what: &'static str, recorded: String, found: String },
    #[error("{}: {} that the other run has: {}", shown::path(path), if names.len() == 1 { "lacks a tensor" } else { "lacks tensors" }, listed(names))]
    Lacking { path: PathBuf, names: Vec<String> },
    #[error("{name}: {exact:?} in f64 and {rounded:?} in f32")]
    Shapes { name: String, exact: Vec<usize>, rounded: Vec<usize> },
    #[error("{name}: expected {expected} in the run in {expected}, found {found}")]
    OtherType { name: String, expected: Dtype, found: Dtype },
    #[error("{name}: {count} elements of the two runs are not finite")]
    NotFinite { name: String, count: usize },
    #[error("{name}: zero throughout in f64, and not in f32")]
    Vanishing { name: String },
    #[error(
        "{name}: f32 is off by rel_l2 {rel_l2:.1e}, rel_linf {rel_linf:.1e} from f64, and rounding alone explains at most {MAX_FLOOR:e}: are both runs of one input, without dropout and other chance?"
    )]
    NotRounding { name: String, rel_l2: f64, rel_linf: f64 },
    #[error(
        "every tensor of the run in f32 is that of the run in f64: there is no noise to take limits from"
    )]
    NoNoise,
    #[error("{}: expected a path where nothing is yet", shown::path(path))]
    Exists { path: PathBuf },
    #[error(
        "{}: a file called {name} cannot be put into the set, which has another of that name",
        shown::path(path)
    )]
    SameName { path: PathBuf, name: String },
    #[error("{}: cannot be written: {source}", shown::path(path))]
    Write { path: PathBuf, source: std::io::Error },
}

fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(LISTED);
    let first = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}
