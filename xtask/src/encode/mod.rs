//! The encoder as the commands run it.

pub(crate) mod arguments;
pub(crate) mod input;
pub(crate) mod settings;
pub(crate) mod used_folder;
pub(crate) mod weight_tensors;
