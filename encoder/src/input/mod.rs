//! Pictures as model inputs: `[batch, channels, height, width]` in [0, 1], or normalised where the checkpoint says so.
//!
//! A [`Preparation`] says what is done to a picture between its file and the model, as one of the programs does it whose
//! inputs are to be reproduced: the two image processors of transformers, or llama.cpp. [`read_image`] does none of it.
//!
//! - `decode`: files of six formats become 8-bit RGB, upright, with Pillow's values;
//! - `jpeg`: JPEG, whose pixels depend on the decoder: libjpeg-turbo's, which Pillow has;
//! - `resample`: resizing as Pillow and torchvision do it;
//! - `letterbox`: resizing as llama.cpp does it;
//! - `normalisation`: a mean and a deviation, where they are asked for;
//! - `preparation`: the whole of it;
//! - `gguf_facts`: the mean and the deviation that a GGUF file states;
//! - `processor_settings`: how `preprocessor_config.json` beside a checkpoint asks for it.

mod decode;
mod gguf_facts;
mod jpeg;
mod letterbox;
mod normalisation;
mod picture;
mod preparation;
mod processor_settings;
mod resample;

pub use decode::{DecodedPicture, MAX_PIXELS, read_picture};
pub use normalisation::Normalisation;
pub use picture::{Picture, PictureReader, Transparency};
pub use preparation::{Preparation, PreparedPicture, Resizer, Treatment, read_image};
pub use resample::Interpolation;
