//! The MobileNetV5 vision encoder of Gemma 3n on CPUs.
//!
//! # From weights to tokens
//!
//! ```
//! use encoder::input::Preparation;
//! use encoder::{Checkpoint, LoadOptions, Model, NoTaps};
//!
//! # fn main() -> Result<(), encoder::Error> {
//! let checkpoint = Checkpoint::open("../fixtures/blocks/model.safetensors".as_ref())?;
//! let model = Model::load(&checkpoint, &LoadOptions::default())?;
//! // As Gemma 3n's image processor does it, at another size.
//! let preparation = Preparation { size: Some((96, 64)), ..Preparation::GEMMA_3N };
//! let picture = preparation.read("../fixtures/pictures/420.jpg".as_ref())?;
//! let tokens = model.encode(&picture.tensor.shape, &picture.tensor.data, &mut NoTaps)?;
//! assert_eq!(tokens.shape, [1, 256, 48]);
//! # Ok(())
//! # }
//! ```
//!
//! `examples/tokens.rs` is a whole program, which takes the settings of the image processor that lie beside the weights.
//!
//! # One part alone
//!
//! Parts take and give tensors by the names and in the layout of taps, so a dump holds the inputs of every part.
//!
//! ```no_run
//! use std::collections::BTreeMap;
//!
//! use encoder::{Model, TapTensor};
//!
//! /// Every part of the model on the tensors that another program computed.
//! fn run_parts(model: &Model, dump: &BTreeMap<String, TapTensor>) -> Result<(), encoder::Error> {
//!     for part in model.parts() {
//!         for (name, tensor) in model.run_part(&part, dump)? {
//!             println!("{}: {name} {:?}", part.name, tensor.shape);
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # How it is built
//!
//! - [`checkpoint`]: names, shapes and bytes of the weights, memory-mapped;
//! - [`architecture`]: the layers of a model, read off names and shapes, and the settings that these cannot show;
//! - `model`: the wiring, one file for each kind of block; feature maps are channels-last;
//! - [`part`]: the pieces of a model between tapped tensors, which can be run alone;
//! - `kernels`: GEMM, convolutions, attention, each generic over the instruction set; `simd` holds the instruction sets;
//! - [`tap`]: named intermediate tensors, under llama.cpp's names;
//! - [`dump`]: saves them as `debug_<name>.npy`;
//! - [`mod@reference`]: the same graph, naive and in f64: what everything else is tested against.

pub mod architecture;
#[cfg(feature = "bench")]
pub mod bench;
mod bounds;
pub mod checkpoint;
pub mod dump;
mod error;
#[cfg(not(feature = "faults"))]
mod faults;
#[cfg(feature = "faults")]
pub mod faults;
mod geometry;
pub mod input;
mod kernels;
mod model;
pub mod part;
mod poison;
mod precision;
mod profile;
pub mod reference;
mod regular;
mod simd;
pub mod tap;
mod tensor;
#[cfg(test)]
mod testing;

pub use architecture::{Architecture, Settings};
pub use checkpoint::{Checkpoint, CheckpointWarning, Container, WeightType};
pub use error::Error;
pub use geometry::Padding;
pub use model::{Encoded, LoadOptions, Model};
pub use part::Part;
pub use precision::Precision;
pub use profile::Step;
pub use simd::Isa;
pub use tap::{AllTaps, NoTaps, TapSink, TapTensor, WithInner};
pub use tensor::DenseTensor;
