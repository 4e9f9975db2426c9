//! The precision of dense products, and the operands that reach it.

/// How exactly the dense layers and the attention multiply. Sums, norms, activations and softmax are always in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// Operands rounded to bf16, those of the projections to keys and values split into two terms: errors of about 1e-2 at
    /// the end of the 300M model.
    Bf16,
    /// Operands split into two terms of bf16, three products: about 2e-5.
    Bf16x3,
    /// As exact as f32 arithmetic: about 5e-7.
    #[default]
    F32,
}

impl Precision {
    /// All precisions, the most exact first.
    pub const ALL: [Precision; 3] = [Precision::F32, Precision::Bf16x3, Precision::Bf16];

    /// The name used on command lines and of tolerance profiles.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16x3 => "bf16x3",
            Precision::Bf16 => "bf16",
        }
    }

    /// The precision of that name.
    pub fn from_name(name: &str) -> Option<Precision> {
        Precision::ALL.into_iter().find(|precision| precision.name() == name)
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The form of both sides of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operands {
    F32,
    /// Sums of bf16 terms, multiplied term by term.
    Bf16(SplitTerms),
}

impl std::fmt::Display for Operands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Operands::F32 => f.write_str("f32"),
            Operands::Bf16(SplitTerms::One) => f.write_str("bf16"),
            Operands::Bf16(terms) => write!(f, "bf16 in {} terms", terms.count()),
        }
    }
}

/// How many terms of bf16 (8 bits of significand each) a number is split into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SplitTerms {
    One,
    Two,
    Three,
}

impl SplitTerms {
    pub(crate) fn count(self) -> usize {
        match self {
            SplitTerms::One => 1,
            SplitTerms::Two => 2,
            SplitTerms::Three => 3,
        }
    }

    /// The products that are summed, (term of the left side, term of the right side), term 0 the largest: all those
    /// that are larger than the last bit of what the terms hold. Small products come first: they would be lost in a
    /// large sum. A matrix unit has its own order.
    pub(crate) fn products(self) -> &'static [(usize, usize)] {
        match self {
            SplitTerms::One => &[(0, 0)],
            SplitTerms::Two => &[(1, 0), (0, 1), (0, 0)],
            SplitTerms::Three => &[(2, 0), (1, 1), (0, 2), (1, 0), (0, 1), (0, 0)],
        }
    }
}

impl Operands {
    /// The operands of the projections to keys and values, where those of the other products are `self`. They take one in
    /// a hundred of the products, and all queries and heads share their errors.
    pub(crate) fn of_keys_and_values(self) -> Operands {
        match self {
            Operands::Bf16(SplitTerms::One) => Operands::Bf16(SplitTerms::Two),
            other => other,
        }
    }

    /// What tests run.
    #[cfg(test)]
    pub(crate) const ALL: [Operands; 4] = [
        Operands::F32,
        Operands::Bf16(SplitTerms::One),
        Operands::Bf16(SplitTerms::Two),
        Operands::Bf16(SplitTerms::Three),
    ];

    /// Products that make up one.
    #[cfg(test)]
    pub(crate) fn products(self) -> usize {
        match self {
            Operands::F32 => 1,
            Operands::Bf16(terms) => terms.products().len(),
        }
    }

    /// Largest relative error of a product of operands in this form: two of one rounding each, or what is left out.
    #[cfg(test)]
    pub(crate) fn rounding(self) -> f64 {
        match self {
            Operands::F32 => 0.0,
            Operands::Bf16(SplitTerms::One) => 2f64.powi(-8) * 2.01,
            Operands::Bf16(SplitTerms::Two) => 2f64.powi(-17) * 3.0,
            Operands::Bf16(SplitTerms::Three) => 2f64.powi(-24),
        }
    }
}
