//! Speed, side by side: engines in processes of their own that answer line by line, run in turn.

pub(crate) mod ceiling;
pub(crate) mod engine;
pub(crate) mod peer;
pub(crate) mod profile;
pub(crate) mod serve;
pub(crate) mod table;
pub(crate) mod workload;
