//! The sums that every figure of a pair is made of, and how those of two stretches of elements are joined.

/// Added to |b| in `mean_rel`.
pub(super) const MEAN_REL_EPSILON: f64 = 1e-8;

/// Sums over elements that are finite on both sides, and counts of the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    pub(super) finite: usize,
    pub(super) abs: f64,
    pub(super) squares: f64,
    pub(super) rel: f64,
    pub(super) aa: f64,
    pub(super) bb: f64,
    pub(super) ab: f64,
    /// Under 0 where no element is finite.
    pub(super) max_abs: f64,
    pub(super) max_abs_at: usize,
    /// Whether each finite element of a is 0.
    pub(super) a_is_zero: bool,
    pub(super) max_b: f64,
    /// Of |d| / |b| over elements that are not small.
    pub(super) rel_floor: f64,
    pub(super) rel_floor_max: f64,
    pub(super) max_ulp: u64,
    pub(super) a_non_finite: usize,
    pub(super) b_non_finite: usize,
    pub(super) mismatches: usize,
    pub(super) first_non_finite: Option<usize>,
    pub(super) outliers: u64,
}

impl Sums {
    /// Over no element.
    pub(super) const NONE: Sums = Sums {
        finite: 0,
        abs: 0.0,
        squares: 0.0,
        rel: 0.0,
        aa: 0.0,
        bb: 0.0,
        ab: 0.0,
        max_abs: -1.0,
        max_abs_at: 0,
        a_is_zero: true,
        max_b: 0.0,
        rel_floor: 0.0,
        rel_floor_max: 0.0,
        max_ulp: 0,
        a_non_finite: 0,
        b_non_finite: 0,
        mismatches: 0,
        first_non_finite: None,
        outliers: 0,
    };

    /// Whether each finite element of b has the largest magnitude, as far as rounding shows it.
    pub(super) fn is_uniform(&self) -> bool {
        let all_largest = self.finite as f64 * self.max_b * self.max_b * (1.0 - 1e-12);
        // Squares that vanish or overflow tell nothing.
        self.max_b == 0.0 || (self.bb.is_normal() && self.bb >= all_largest)
    }

    /// These sums, then those of elements that come after.
    pub(super) fn then(self, other: Sums) -> Sums {
        let later = other.max_abs > self.max_abs;
        Sums {
            finite: self.finite + other.finite,
            abs: self.abs + other.abs,
            squares: self.squares + other.squares,
            rel: self.rel + other.rel,
            aa: self.aa + other.aa,
            bb: self.bb + other.bb,
            ab: self.ab + other.ab,
            max_abs: self.max_abs.max(other.max_abs),
            max_abs_at: if later { other.max_abs_at } else { self.max_abs_at },
            a_is_zero: self.a_is_zero && other.a_is_zero,
            max_b: self.max_b.max(other.max_b),
            rel_floor: self.rel_floor + other.rel_floor,
            rel_floor_max: self.rel_floor_max.max(other.rel_floor_max),
            max_ulp: self.max_ulp.max(other.max_ulp),
            a_non_finite: self.a_non_finite + other.a_non_finite,
            b_non_finite: self.b_non_finite + other.b_non_finite,
            mismatches: self.mismatches + other.mismatches,
            first_non_finite: self.first_non_finite.or(other.first_non_finite),
            outliers: self.outliers + other.outliers,
        }
    }
}
