//! The types that weights are stored in.

use ::safetensors::Dtype;

/// How the elements of a weight are stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WeightType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of an F32.
    Bf16,
    /// ggml's blocks of 32: 4 bits each, a scale.
    Q4_0,
    /// ggml's blocks of 32: 4 bits each, a scale and a minimum.
    Q4_1,
    /// ggml's blocks of 32: 5 bits each, a scale.
    Q5_0,
    /// ggml's blocks of 32: 5 bits each, a scale and a minimum.
    Q5_1,
    /// ggml's blocks of 32: 8 bits each, a scale.
    Q8_0,
    /// ggml's blocks of 256: 2 bits each, scales and minima of 16.
    Q2K,
    /// ggml's blocks of 256: 3 bits each, scales of 16.
    Q3K,
    /// ggml's blocks of 256: 4 bits each, scales and minima of 32.
    Q4K,
    /// ggml's blocks of 256: 5 bits each, scales and minima of 32.
    Q5K,
    /// ggml's blocks of 256: 6 bits each, scales of 16.
    Q6K,
    /// A type that is not supported, by its name.
    Other(String),
}

/// ggml's names of the types that are not supported, by number.
const OTHERS: [(u32, &str); 24] = [
    (4, "Q4_2"),
    (5, "Q4_3"),
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (36, "IQ4_NL_4_4"),
    (39, "MXFP4"),
    (40, "NVFP4"),
    (41, "Q1_0"),
];

/// Elements and bytes of the unit that a type is stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) elements: usize,
    pub(super) bytes: usize,
}

impl WeightType {
    /// Every type that is supported.
    pub const SUPPORTED: [WeightType; 13] = [
        WeightType::F32,
        WeightType::F16,
        WeightType::Bf16,
        WeightType::Q4_0,
        WeightType::Q4_1,
        WeightType::Q5_0,
        WeightType::Q5_1,
        WeightType::Q8_0,
        WeightType::Q2K,
        WeightType::Q3K,
        WeightType::Q4K,
        WeightType::Q5K,
        WeightType::Q6K,
    ];

    /// By ggml's number.
    pub(super) fn of_ggml(number: u32) -> WeightType {
        match number {
            0 => WeightType::F32,
            1 => WeightType::F16,
            2 => WeightType::Q4_0,
            3 => WeightType::Q4_1,
            6 => WeightType::Q5_0,
            7 => WeightType::Q5_1,
            8 => WeightType::Q8_0,
            10 => WeightType::Q2K,
            11 => WeightType::Q3K,
            12 => WeightType::Q4K,
            13 => WeightType::Q5K,
            14 => WeightType::Q6K,
            30 => WeightType::Bf16,
            _ => {
                let known = OTHERS.iter().find(|(other, _)| *other == number);
                WeightType::Other(known.map_or_else(|| format!("ggml type {number}"), |(_, n)| n.to_string()))
            }
        }
    }

    /// By safetensors' type.
    pub(super) fn of_safetensors(dtype: Dtype) -> WeightType {
        match dtype {
            Dtype::F32 => WeightType::F32,
            Dtype::F16 => WeightType::F16,
            Dtype::BF16 => WeightType::Bf16,
            other => WeightType::Other(format!("{other:?}")),
        }
    }

    /// The name as ggml and safetensors write it.
    pub fn name(&self) -> &str {
        match self {
            WeightType::F32 => "F32",
            WeightType::F16 => "F16",
            WeightType::Bf16 => "BF16",
            WeightType::Q4_0 => "Q4_0",
            WeightType::Q4_1 => "Q4_1",
            WeightType::Q5_0 => "Q5_0",
            WeightType::Q5_1 => "Q5_1",
            WeightType::Q8_0 => "Q8_0",
            WeightType::Q2K => "Q2_K",
            WeightType::Q3K => "Q3_K",
            WeightType::Q4K => "Q4_K",
            WeightType::Q5K => "Q5_K",
            WeightType::Q6K => "Q6_K",
            WeightType::Other(name) => name,
        }
    }

    /// Whether elements are stored in blocks with scales of their own.
    pub fn is_quantised(&self) -> bool {
        self.unit().is_some_and(|unit| unit.elements > 1)
    }

    /// What it is stored in; none for a type that is not supported.
    pub(super) fn unit(&self) -> Option<Unit> {
        let (elements, bytes) = match self {
            WeightType::F32 => (1, 4),
            WeightType::F16 | WeightType::Bf16 => (1, 2),
            WeightType::Q4_0 => (32, 18),
            WeightType::Q4_1 => (32, 20),
            WeightType::Q5_0 => (32, 22),
            WeightType::Q5_1 => (32, 24),
            WeightType::Q8_0 => (32, 34),
            WeightType::Q2K => (256, 84),
            WeightType::Q3K => (256, 110),
            WeightType::Q4K => (256, 144),
            WeightType::Q5K => (256, 176),
            WeightType::Q6K => (256, 210),
            WeightType::Other(_) => return None,
        };
        Some(Unit { elements, bytes })
    }
}

impl std::fmt::Display for WeightType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
