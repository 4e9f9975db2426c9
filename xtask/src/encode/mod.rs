//! The encoder as the commands run it.

pub(crate) mod arguments;
pub(crate) mod input;
pub(crate) mod pictures;
pub(crate) mod run;
pub(crate) mod settings;
pub(crate) mod summary;
pub(crate) mod tokens;
pub(crate) mod transplant;
pub(crate) mod used_folder;
pub(crate) mod weight_tensors;
