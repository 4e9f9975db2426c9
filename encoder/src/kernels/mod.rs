//! The encoder's numerical kernels on channels-last (`[batch, height, width, channels]`) data.
//!
//! Each has narrow functions on slices, is generic over the instruction set, splits its work over rayon by output rows,
//! and gives the same bits for any number of threads: no row's arithmetic depends on how the rows were shared out.

pub(crate) mod attention;
pub(crate) mod depthwise;
pub(crate) mod epilogue;
pub(crate) mod gemm;
pub(crate) mod im2col;
pub(crate) mod math;
pub(crate) mod resize;
mod softmax;
pub(crate) mod transpose;
pub(crate) mod winograd;
