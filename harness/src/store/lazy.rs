//! Bytes that are made only once they are wanted.

use std::io::{Error, ErrorKind};
use std::sync::Mutex;

use super::stored::ReadAt;

/// Bytes of a packed tensor: unpacked when the first of them is read, and held from then on.
pub(super) struct LazyBytes<F> {
    unpack: F,
    bytes: Mutex<Option<Vec<u8>>>,
}

impl<F: Fn() -> std::io::Result<Vec<u8>>> LazyBytes<F> {
    pub(super) fn new(unpack: F) -> LazyBytes<F> {
        LazyBytes { unpack, bytes: Mutex::new(None) }
    }
}

impl<F: Fn() -> std::io::Result<Vec<u8>> + Send + Sync> ReadAt for LazyBytes<F> {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> std::io::Result<()> {
        let poisoned = |_| Error::other("another thread failed while it unpacked this tensor");
        let mut bytes = self.bytes.lock().map_err(poisoned)?;
        if bytes.is_none() {
            *bytes = Some((self.unpack)()?);
        }
        match bytes.as_ref() {
            Some(bytes) => bytes.read_exact_at(out, offset),
            None => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}
