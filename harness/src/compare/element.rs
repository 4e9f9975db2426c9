//! The elements of a tensor as they are held in memory: f32 and f64.

/// An element as it is held in memory.
pub(super) trait Element: Copy + Default + PartialOrd + Send + Sync + Into<f64> {
    /// Whether products of two elements neither overflow nor vanish in f64.
    const PRODUCTS_ARE_SAFE: bool;

    /// |x|.
    fn magnitude(self) -> Self;

    /// The largest element that is no larger than a limit, which is not negative.
    fn at_most(limit: f64) -> Self;

    /// The elements as f32, where they are.
    fn as_f32(elements: &[Self]) -> Option<&[f32]>;
}

impl Element for f32 {
    const PRODUCTS_ARE_SAFE: bool = true;

    #[inline(always)]
    fn magnitude(self) -> f32 {
        self.abs()
    }

    fn at_most(limit: f64) -> f32 {
        let nearest = limit as f32;
        if f64::from(nearest) > limit { nearest.next_down() } else { nearest }
    }

    #[inline(always)]
    fn as_f32(elements: &[f32]) -> Option<&[f32]> {
        Some(elements)
    }
}

impl Element for f64 {
    const PRODUCTS_ARE_SAFE: bool = false;

    #[inline(always)]
    fn magnitude(self) -> f64 {
        self.abs()
    }

    fn at_most(limit: f64) -> f64 {
        limit
    }

    #[inline(always)]
    fn as_f32(_: &[f64]) -> Option<&[f32]> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_in_f32_parts_elements_as_the_limit_itself_does() {
        for limit in [0.0, 1e-50, 1e-3, 0.1, 1.0, 1.0 + 1e-12, 1e38, 1e300, f64::INFINITY] {
            let high = f32::at_most(limit);
            for x in [high.next_down(), high, high.next_up()] {
                let x = x.abs();
                assert_eq!(x <= high, f64::from(x) <= limit, "{x:e} against {limit:e}");
            }
        }
    }
}
