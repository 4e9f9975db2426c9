//! The memory of feature maps, reused within a run and by the next one: the system clears every fresh page, which takes
//! longer than writing the feature map.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use crate::poison::FILL_WITH_NAN;
use crate::simd::aligned_buffer::AlignedBuffer;

/// Buffers that are not in use.
#[derive(Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<AlignedBuffer>>>);

impl Buffers {
    /// `length` elements of unspecified content; the caller must write all of them.
    pub(super) fn take(&self, length: usize) -> Buffer {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Much larger buffers are left for larger requests.
        let fits = |(_, data): &(usize, &AlignedBuffer)| (length..=2 * length).contains(&data.len());
        let smallest = free.iter().enumerate().filter(fits).min_by_key(|(_, data)| data.len());
        let found = smallest.map(|(index, _)| index).map(|index| free.swap_remove(index));
        let mut buffer = Buffer {
            data: found.unwrap_or_else(|| AlignedBuffer::zeroed(length)),
            length,
            free: self.clone(),
        };
        if FILL_WITH_NAN {
            buffer.fill(f32::NAN);
        }
        buffer
    }
}

/// The buffers of the last run, for the next one on an input of the same shape.
#[derive(Default)]
pub(super) struct IdleBuffers(Mutex<Option<([usize; 4], Buffers)>>);

impl IdleBuffers {
    /// The last run's buffers, or new ones if its input had another shape or another run has taken them.
    pub(super) fn take(&self, shape: [usize; 4]) -> Buffers {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        idle.filter(|(of, _)| *of == shape).map(|(_, buffers)| buffers).unwrap_or_default()
    }

    /// Bytes that the next run reuses or frees.
    pub(super) fn bytes(&self) -> u64 {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let elements = idle.as_ref().map_or(0, |(_, buffers)| {
            buffers.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|data| data.len()).sum()
        });
        (elements * size_of::<f32>()) as u64
    }

    /// Keeps a run's buffers in place of those kept before.
    pub(super) fn keep(&self, shape: [usize; 4], buffers: Buffers) {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace((shape, buffers));
        // Freed after the lock is released.
        drop(last);
    }
}

/// Elements that return to the free buffers when they are dropped.
pub(super) struct Buffer {
    data: AlignedBuffer,
    /// Elements in use, from the first on.
    length: usize,
    free: Buffers,
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.data[..self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data);
        self.free.0.lock().unwrap_or_else(PoisonError::into_inner).push(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_on_an_input_of_the_same_shape_reuses_the_buffers() {
        let (idle, shape) = (IdleBuffers::default(), [1, 3, 8, 8]);
        let run = |shape| {
            let buffers = idle.take(shape);
            let address = buffers.take(100).as_ptr();
            (buffers, address)
        };
        let (first, address) = run(shape);
        let (second, other) = run(shape);
        assert_ne!(other, address, "two runs at once");
        idle.keep(shape, second);
        idle.keep(shape, first);
        let (third, again) = run(shape);
        assert_eq!(again, address);
        idle.keep(shape, third);
        assert!(idle.take([1, 3, 8, 9]).0.lock().unwrap().is_empty(), "an input of another shape");
        assert!(idle.take(shape).0.lock().unwrap().is_empty(), "given back by then");
    }

    #[test]
    fn a_buffer_is_reused_if_it_fits() {
        let buffers = Buffers::default();
        let first = buffers.take(100);
        let address = first.as_ptr();
        drop(first);
        let small = buffers.take(40);
        assert_ne!(small.as_ptr(), address, "a buffer of more than twice the length");
        let mut again = buffers.take(60);
        assert_eq!((again.as_ptr(), again.len()), (address, 60));
        again.fill(1.0);
        assert_ne!(buffers.take(60).as_ptr(), address, "a buffer in use");
    }
}
