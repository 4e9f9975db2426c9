//! A tensor whose elements are still on disk.

use std::fs::File;
use std::sync::Arc;

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};

use super::error::{Place, StoreError, TensorProblem};
use super::fingerprint::{Algorithm, Fingerprint, Fingerprinter};
use crate::tensor::{Dtype, Tensor, Values, column_major, element_count, row_major, unravel};

/// Elements of a piece: small enough to stay in a cache, large enough that a read is worth its system call.
pub(crate) const PIECE: usize = 1 << 14;

/// How elements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) dtype: Dtype,
    pub(super) big_endian: bool,
    /// The first axis is the fastest.
    pub(super) column_major: bool,
}

/// Bytes that can be read at any place by several threads.
pub(super) trait ReadAt: Send + Sync {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> std::io::Result<()>;
}

impl ReadAt for File {
    #[cfg(unix)]
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, out, offset)
    }

    #[cfg(windows)]
    fn read_exact_at(&self, mut out: &mut [u8], mut offset: u64) -> std::io::Result<()> {
        while !out.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(self, out, offset)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                n => (out, offset) = (&mut out[n..], offset + n as u64),
            }
        }
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> std::io::Result<()> {
        let end = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let start = usize::try_from(offset).map_err(|_| end())?;
        let bytes = self.get(start..start.saturating_add(out.len())).ok_or_else(end)?;
        out.copy_from_slice(bytes);
        Ok(())
    }
}

/// A tensor of a store: its shape is known, its elements are still to be read.
pub struct StoredTensor {
    place: Place,
    shape: Vec<usize>,
    len: usize,
    encoding: Encoding,
    elements: ElementBytes,
}

/// The bytes that hold a tensor's elements.
pub(super) struct ElementBytes {
    pub(super) bytes: Arc<dyn ReadAt>,
    /// Where the elements begin.
    pub(super) offset: u64,
    /// The bytes of the tensor's own file that stand before the elements; empty in a file of several tensors.
    pub(super) header: Vec<u8>,
}

impl ElementBytes {
    /// Elements that begin at a place of a file of several tensors.
    pub(super) fn at(offset: u64, bytes: Arc<dyn ReadAt>) -> ElementBytes {
        ElementBytes { bytes, offset, header: Vec::new() }
    }
}

impl std::fmt::Debug for StoredTensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let StoredTensor { place, shape, encoding, .. } = self;
        write!(f, "StoredTensor({place}, {shape:?}, {encoding:?})")
    }
}

impl StoredTensor {
    /// The bytes are known to hold all elements.
    ///
    /// # Errors
    /// A shape of too many elements to count.
    pub(super) fn new(
        place: Place,
        shape: Vec<usize>,
        encoding: Encoding,
        elements: ElementBytes,
    ) -> Result<StoredTensor, StoreError> {
        match element_count(&shape) {
            Some(len) => Ok(StoredTensor { place, shape, len, encoding, elements }),
            None => Err(place.error(TensorProblem::Shape { found: format!("{shape:?}") })),
        }
    }

    /// The same elements under another shape; `None` where it holds another number of them.
    pub fn reshaped(mut self, shape: Vec<usize>) -> Option<StoredTensor> {
        (element_count(&shape)? == self.len).then(|| {
            self.shape = shape;
            self
        })
    }

    /// The same elements under their extents in reverse order.
    #[must_use]
    pub(super) fn with_reversed_extents(mut self) -> StoredTensor {
        self.shape.reverse();
        self
    }

    /// Extents, slowest first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The type that the elements are stored in.
    pub fn dtype(&self) -> Dtype {
        self.encoding.dtype
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn error(&self, source: std::io::Error) -> StoreError {
        let source = match source.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                std::io::Error::new(source.kind(), "the file became shorter while it was read")
            }
            _ => source,
        };
        self.place.error(TensorProblem::Io(source))
    }

    /// Reads all elements.
    ///
    /// # Errors
    /// Whatever the file system says, and more elements than fit in memory.
    pub fn read(&self) -> Result<Tensor, StoreError> {
        self.read_with(&mut self.pieces(None))
    }

    /// Reads all elements and takes their fingerprint on the way.
    ///
    /// # Errors
    /// As [`StoredTensor::read`].
    pub fn read_fingerprinted(&self, algorithm: Algorithm) -> Result<(Tensor, Fingerprint), StoreError> {
        let mut pieces = self.pieces(Some(algorithm));
        let tensor = self.read_with(&mut pieces)?;
        let fingerprint =
            pieces.finish().ok_or_else(|| self.error(std::io::ErrorKind::UnexpectedEof.into()))?;
        Ok((tensor, fingerprint))
    }

    /// Reads element `flat` in row-major order.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn element(&self, flat: usize) -> Result<f64, StoreError> {
        let position = match self.encoding.column_major {
            false => flat,
            true => {
                let fastest_first = unravel(flat, &self.shape).into_iter().zip(&self.shape).rev();
                fastest_first.fold(0, |position, (index, extent)| position * extent + index)
            }
        };
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..self.dtype().size()];
        let offset = self.elements.offset + (position * bytes.len()) as u64;
        self.elements.bytes.read_exact_at(bytes, offset).map_err(|error| self.error(error))?;
        if self.encoding.big_endian {
            bytes.reverse();
        }
        Ok(match *bytes {
            [a, b] if self.dtype() == Dtype::F16 => half::f16::from_le_bytes([a, b]).to_f64(),
            [a, b] => half::bf16::from_le_bytes([a, b]).to_f64(),
            [a, b, c, d] => f64::from(f32::from_le_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => f64::NAN,
        })
    }

    /// Reads all elements for their fingerprint alone.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn fingerprint(&self, algorithm: Algorithm) -> Result<Fingerprint, StoreError> {
        let mut pieces = self.pieces(Some(algorithm));
        while pieces.skip()? {}
        pieces.finish().ok_or_else(|| self.error(std::io::ErrorKind::UnexpectedEof.into()))
    }

    fn read_with(&self, pieces: &mut Pieces<'_>) -> Result<Tensor, StoreError> {
        let values = match self.dtype() {
            Dtype::F64 => {
                let mut values = self.reserved()?;
                while let Some(piece) = pieces.next_f64()? {
                    values.extend_from_slice(piece);
                }
                row_major(self.shape.clone(), values).map(Values::F64)
            }
            _ => {
                let mut values = self.reserved()?;
                while let Some(piece) = pieces.next_f32()? {
                    values.extend_from_slice(piece);
                }
                row_major(self.shape.clone(), values).map(Values::F32)
            }
        };
        let short = || self.error(std::io::ErrorKind::UnexpectedEof.into());
        Ok(Tensor::new(self.dtype(), values.ok_or_else(short)?))
    }

    /// Room for all elements. A file may have holes and be larger than memory.
    fn reserved<T>(&self) -> Result<Vec<T>, StoreError> {
        let mut values = Vec::new();
        values.try_reserve_exact(self.len).map_err(|_| {
            let bytes = self.len as u128 * self.dtype().size() as u128;
            let message = format!("{bytes} bytes do not fit in memory");
            self.error(std::io::Error::new(std::io::ErrorKind::OutOfMemory, message))
        })?;
        Ok(values)
    }

    /// Reads the elements piece by piece, in row-major order, and takes a fingerprint on the way where one is wanted.
    pub fn pieces(&self, fingerprint: Option<Algorithm>) -> Pieces<'_> {
        let mut fingerprinter = fingerprint.map(Fingerprinter::new);
        if let Some(fingerprinter) = &mut fingerprinter {
            fingerprinter.header(&self.elements.header);
        }
        Pieces { tensor: self, at: 0, fingerprinter, buffers: PieceBuffers::default(), transposed: None }
    }
}

/// Memory for one piece.
#[derive(Default)]
struct PieceBuffers {
    halves: Vec<u16>,
    f32: Vec<f32>,
    f64: Vec<f64>,
}

/// The elements of a stored tensor, one piece after the other.
pub struct Pieces<'a> {
    tensor: &'a StoredTensor,
    /// Elements that were read.
    at: usize,
    fingerprinter: Option<Fingerprinter>,
    buffers: PieceBuffers,
    /// A tensor whose first axis is the fastest cannot be read in row-major order piece by piece: it is held as a whole.
    transposed: Option<Values>,
}

impl Pieces<'_> {
    /// The next piece of a tensor that is held as f32; `None` after the last one.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn next_f32(&mut self) -> Result<Option<&[f32]>, StoreError> {
        let Some((from, count)) = self.advance()? else { return Ok(None) };
        Ok(match &self.transposed {
            Some(Values::F32(values)) => values.as_slice().map(|values| &values[from..from + count]),
            _ => Some(&self.buffers.f32[..count]),
        })
    }

    /// The next piece of a tensor that is held as f64; `None` after the last one.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn next_f64(&mut self) -> Result<Option<&[f64]>, StoreError> {
        let Some((from, count)) = self.advance()? else { return Ok(None) };
        Ok(match &self.transposed {
            Some(Values::F64(values)) => values.as_slice().map(|values| &values[from..from + count]),
            _ => Some(&self.buffers.f64[..count]),
        })
    }

    /// Reads the next piece for its fingerprint alone; false after the last one.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn skip(&mut self) -> Result<bool, StoreError> {
        Ok(self.advance()?.is_some())
    }

    /// The fingerprint, where one was wanted and every element was read.
    pub fn finish(self) -> Option<Fingerprint> {
        self.fingerprinter.filter(|_| self.at == self.tensor.len).map(Fingerprinter::finish)
    }

    /// Reads the next piece into its buffer; from which element, and how many.
    fn advance(&mut self) -> Result<Option<(usize, usize)>, StoreError> {
        let (from, count) = (self.at, PIECE.min(self.tensor.len - self.at));
        if count == 0 {
            return Ok(None);
        }
        if self.tensor.encoding.column_major {
            if self.transposed.is_none() {
                self.transposed = Some(self.transpose()?);
            }
        } else {
            self.load(from, count)?;
        }
        self.at += count;
        Ok(Some((from, count)))
    }

    /// Fills the buffer of the tensor's type with elements as they are stored.
    fn load(&mut self, from: usize, count: usize) -> Result<(), StoreError> {
        let Pieces { tensor, buffers: PieceBuffers { halves, f32, f64 }, fingerprinter, .. } = self;
        let encoding = tensor.encoding;
        let offset = tensor.elements.offset + (from as u64) * (encoding.dtype.size() as u64);
        let mut read = |bytes: &mut [u8]| -> Result<(), StoreError> {
            tensor.elements.bytes.read_exact_at(bytes, offset).map_err(|error| tensor.error(error))?;
            if let Some(fingerprinter) = fingerprinter {
                fingerprinter.stored(bytes);
            }
            if encoding.big_endian {
                reverse_bytes(bytes, encoding.dtype.size());
            }
            if let Some(fingerprinter) = fingerprinter.as_mut().filter(|_| !encoding.column_major) {
                fingerprinter.elements(bytes);
            }
            if cfg!(target_endian = "big") {
                reverse_bytes(bytes, encoding.dtype.size());
            }
            Ok(())
        };
        match encoding.dtype {
            Dtype::F32 => {
                f32.resize(count, 0.0);
                read(bytemuck::cast_slice_mut(f32))?;
            }
            Dtype::F64 => {
                f64.resize(count, 0.0);
                read(bytemuck::cast_slice_mut(f64))?;
            }
            Dtype::F16 | Dtype::Bf16 => {
                halves.resize(count, 0);
                f32.resize(count, 0.0);
                read(bytemuck::cast_slice_mut(halves))?;
                match encoding.dtype {
                    Dtype::F16 => halves.reinterpret_cast::<half::f16>().convert_to_f32_slice(f32),
                    _ => halves.reinterpret_cast::<half::bf16>().convert_to_f32_slice(f32),
                }
            }
        }
        Ok(())
    }

    /// Reads a tensor whose first axis is the fastest.
    fn transpose(&mut self) -> Result<Values, StoreError> {
        let tensor = self.tensor;
        let (mut f32, mut f64): (Vec<f32>, Vec<f64>) = match tensor.dtype() {
            Dtype::F64 => (Vec::new(), tensor.reserved()?),
            _ => (tensor.reserved()?, Vec::new()),
        };
        for from in (0..tensor.len).step_by(PIECE) {
            self.load(from, PIECE.min(tensor.len - from))?;
            match tensor.dtype() {
                Dtype::F64 => f64.extend_from_slice(&self.buffers.f64),
                _ => f32.extend_from_slice(&self.buffers.f32),
            }
        }
        let values = match tensor.dtype() {
            Dtype::F64 => column_major(tensor.shape.clone(), f64).map(Values::F64),
            _ => column_major(tensor.shape.clone(), f32).map(Values::F32),
        };
        let values = values.ok_or_else(|| tensor.error(std::io::ErrorKind::UnexpectedEof.into()))?;
        if let Some(fingerprinter) = &mut self.fingerprinter {
            fingerprint_elements(fingerprinter, tensor.dtype(), &values);
        }
        Ok(values)
    }
}

/// Gives elements to a fingerprint as they would be stored in row-major order.
fn fingerprint_elements(fingerprinter: &mut Fingerprinter, dtype: Dtype, values: &Values) {
    match values {
        Values::F32(values) => values.iter().for_each(|x| match dtype {
            Dtype::F16 => fingerprinter.elements(&half::f16::from_f32(*x).to_le_bytes()),
            Dtype::Bf16 => fingerprinter.elements(&half::bf16::from_f32(*x).to_le_bytes()),
            _ => fingerprinter.elements(&x.to_le_bytes()),
        }),
        Values::F64(values) => values.iter().for_each(|x| fingerprinter.elements(&x.to_le_bytes())),
    }
}

/// Turns each number of `size` bytes around.
fn reverse_bytes(bytes: &mut [u8], size: usize) {
    bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
}
