//! What people really bring to `cargo xtask parity`, by kind: dumps that other scripts wrote, in other shapes, types,
//! names and containers, of right ports and of wrong ones.

mod files;
mod names;
mod ports;
mod shapes;
