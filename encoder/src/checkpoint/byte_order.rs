//! The order of the bytes in a number.

/// The order of the bytes in a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    pub(super) fn f16(self, bytes: [u8; 2]) -> f32 {
        match self {
            ByteOrder::Little => half::f16::from_le_bytes(bytes),
            ByteOrder::Big => half::f16::from_be_bytes(bytes),
        }
        .to_f32()
    }

    pub(super) fn bf16(self, bytes: [u8; 2]) -> f32 {
        match self {
            ByteOrder::Little => half::bf16::from_le_bytes(bytes),
            ByteOrder::Big => half::bf16::from_be_bytes(bytes),
        }
        .to_f32()
    }

    pub(super) fn f32(self, bytes: [u8; 4]) -> f32 {
        f32::from_bits(self.u32(bytes))
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(super) fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            ByteOrder::Little => u64::from_le_bytes(bytes),
            ByteOrder::Big => u64::from_be_bytes(bytes),
        }
    }
}
