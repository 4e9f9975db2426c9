//! Everything that can go wrong between a checkpoint, an input and the encoder's output.

use std::path::PathBuf;

/// What failed, on which file or tensor, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be opened, mapped or read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file is not of the format that its name says.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format that was expected.
        expected: &'static str,
        /// What the parser found.
        found: String,
    },
    /// A tensor that the model needs is not in the checkpoint.
    #[error("{origin}: tensor `{name}` is missing; {needed_by}")]
    MissingTensor {
        /// The checkpoint.
        origin: String,
        /// timm's name of the tensor.
        name: String,
        /// What needs it.
        needed_by: String,
    },
    /// The checkpoint has a tensor inside the encoder that no MobileNetV5 has.
    #[error(
        "{origin}: unexpected tensor `{name}`: no part of a MobileNetV5 has that name; is this another model?"
    )]
    UnexpectedTensor {
        /// The checkpoint.
        origin: String,
        /// timm's name of the tensor.
        name: String,
    },
    /// A tensor has a shape that does not fit its place.
    #[error("{origin}: tensor `{name}` has shape {found:?}, expected {expected}")]
    Shape {
        /// The checkpoint.
        origin: String,
        /// timm's name of the tensor.
        name: String,
        /// The shape that fits.
        expected: String,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A tensor is stored in a type that the encoder does not support.
    #[error(
        "{origin}: not supported: {found} in tensor `{name}`; expected F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 or \
             Q2_K to Q6_K"
    )]
    Dtype {
        /// The checkpoint.
        origin: String,
        /// The tensor's name in the file.
        name: String,
        /// The stored type.
        found: String,
    },
    /// A weight is NaN or infinite.
    #[error("{origin}: tensor `{name}` holds {value} at element {index}; weights must be finite")]
    NonFinite {
        /// The checkpoint.
        origin: String,
        /// timm's name of the tensor.
        name: String,
        /// Index in row-major order.
        index: usize,
        /// The value.
        value: f32,
    },
    /// The tensors are not those of a MobileNetV5.
    #[error("{origin}: {message}")]
    Model {
        /// The checkpoint.
        origin: String,
        /// What does not fit.
        message: String,
    },
    /// The input does not suit the model.
    #[error("input: expected {expected}, found {found}")]
    Input {
        /// What the model takes.
        expected: String,
        /// What was given.
        found: String,
    },
    /// The wanted part is not a part of the model.
    #[error("part `{name}`, which takes {inputs}, is not a part of this model; expected one of {known}")]
    UnknownPart {
        /// The part's name.
        name: String,
        /// The tensors that it takes: a part of another model may have the name of one of this model's parts.
        inputs: String,
        /// The names of the model's parts.
        known: String,
    },
    /// A tensor that a part takes was not given.
    #[error("part `{part}`: tensor `{name}` is missing, expected {expected}")]
    MissingInput {
        /// The part's name.
        part: String,
        /// The tensor's name.
        name: String,
        /// The shape that the part takes.
        expected: String,
    },
    /// A tensor that a part takes has another shape.
    #[error("part `{part}`: tensor `{name}`: expected {expected}, found {found}")]
    PartInput {
        /// The part's name.
        part: String,
        /// The tensor's name.
        name: String,
        /// The shape that the part takes.
        expected: String,
        /// The shape that was given.
        found: String,
    },
    /// An instruction set's name is not known.
    #[error("ENCODER_MAX_ISA: expected one of {known}, found `{found}`")]
    UnknownIsa {
        /// What was given.
        found: String,
        /// The known names.
        known: String,
    },
    /// The wanted instruction set is not supported by this CPU.
    #[error("this CPU has no {isa}")]
    IsaNotAvailable {
        /// The instruction set.
        isa: &'static str,
    },
    /// The receiver of an intermediate tensor failed.
    #[error("tensor `{name}` could not be handed over")]
    Tap {
        /// GGML name of the tensor.
        name: String,
        /// Its own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
