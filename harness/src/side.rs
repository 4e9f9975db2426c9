//! The two sides of a comparison.

/// One of the two sides of a comparison.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    schemars::JsonSchema,
    serde::Deserialize,
    serde::Serialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The port.
    Candidate,
    /// What it is a port of.
    Reference,
}

impl Side {
    /// The side that this one is compared with.
    pub fn other(self) -> Side {
        match self {
            Side::Candidate => Side::Reference,
            Side::Reference => Side::Candidate,
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Side::Candidate => "candidate",
            Side::Reference => "reference",
        })
    }
}

/// One of something for each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the side's")]
pub struct PerSide<T> {
    pub candidate: T,
    pub reference: T,
}

impl<T> PerSide<T> {
    /// One of each side, made by `of`.
    pub fn of_each(mut of: impl FnMut(Side) -> T) -> PerSide<T> {
        PerSide { candidate: of(Side::Candidate), reference: of(Side::Reference) }
    }

    /// The side's.
    pub fn get(&self, side: Side) -> &T {
        match side {
            Side::Candidate => &self.candidate,
            Side::Reference => &self.reference,
        }
    }

    /// Each side with its own.
    pub fn each(self) -> [(Side, T); 2] {
        [(Side::Candidate, self.candidate), (Side::Reference, self.reference)]
    }
}
