//! How much a reader takes of what somebody else wrote. Each bound is far above what real files have; what is beyond one is
//! refused, with the bound and what was found.

/// Pixels of a picture: where Pillow refuses one as a decompression bomb.
pub(crate) const PIXELS: u64 = 178_956_970;
/// Bytes of a picture's file. What a decoder needs beside its output is bounded by the same.
pub(crate) const PICTURE_BYTES: u64 = 1 << 30;
/// Scans of a JPEG. One that refines nothing costs as much as one that does: real pictures have about ten.
pub(crate) const JPEG_SCANS: usize = 500;
/// Height or width that pictures are resized to.
pub(crate) const RESIZED_EXTENT: usize = 4096;
/// Bytes of an image processor's settings, and of the index of a sharded checkpoint.
pub(crate) const TEXT_BYTES: u64 = 1 << 26;
/// Height or width of the output, and the stride of keys and values: real models have 16 and 2.
pub(crate) const SETTING: usize = 256;
