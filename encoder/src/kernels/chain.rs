//! Sums of products in chains: what limits their rounding errors.

/// How many products of f32 are summed one after the other before the sum joins those of the others.
///
/// With n products in chains of c, the square of the rounding error goes as `n (c + n / c)`, which is least at the square root
/// of n: 8 of 64, 14 of 192. To end a chain takes the time of a few products; in deep products, where the time goes, chains
/// are longer than that (64 of 640 to 3840), and their error is a third of that of one chain all the same.
/// Ordered by length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Chain {
    /// Of 8.
    Short,
    /// Of 16.
    Medium,
    /// Of 64.
    Long,
}

impl Chain {
    const ALL: [Chain; 3] = [Chain::Short, Chain::Medium, Chain::Long];

    /// Products in it.
    pub(super) const fn length(self) -> usize {
        match self {
            Chain::Short => 8,
            Chain::Medium => 16,
            Chain::Long => 64,
        }
    }

    /// The deepest product that is summed so.
    pub(super) const fn deepest(self) -> usize {
        match self {
            Chain::Short => 64,
            Chain::Medium => 192,
            Chain::Long => usize::MAX,
        }
    }

    /// That of a product of `depth`.
    #[inline(always)]
    pub(super) fn of(depth: usize) -> Chain {
        Chain::ALL.into_iter().find(|chain| depth <= chain.deepest()).unwrap_or(Chain::Long)
    }

    /// That of attention's scores, products of `depth`. Never short ones: at a depth of 64 their ends take a tenth of
    /// attention's time, and its outputs are 1 to 3 % more exact for it.
    #[inline(always)]
    pub(super) fn of_scores(depth: usize) -> Chain {
        Chain::of(depth).max(Chain::Medium)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gemm::gemm;
    use crate::kernels::lhs::Matrix;
    use crate::kernels::packing::PackedRhs;
    use crate::kernels::rows::RowOps;
    use crate::precision::Operands;
    use crate::testing::{available_isas, values};

    #[test]
    fn shallow_products_have_short_chains() {
        let expected = [
            (1, Chain::Short),
            (64, Chain::Short),
            (65, Chain::Medium),
            (192, Chain::Medium),
            (193, Chain::Long),
            (3840, Chain::Long),
        ];
        for (depth, chain) in expected {
            assert_eq!(Chain::of(depth), chain, "depth {depth}");
            let of_scores = if chain == Chain::Short { Chain::Medium } else { chain };
            assert_eq!(Chain::of_scores(depth), of_scores, "scores of depth {depth}");
        }
    }

    /// The root mean square of the errors, in units of f32's epsilon times that of the sums.
    #[test]
    fn errors_are_those_of_the_chains() {
        // Without fused multiply-adds 0.69, 0.88 and 1.35. In chains of 16 the first is 0.76, in chains of 64 the second 1.29.
        for (depth, limit) in [(64, 0.72), (192, 0.95), (640, 1.45)] {
            for isa in available_isas() {
                let (rows, columns) = (96, 96);
                let (a, b) = (values(rows * depth, 1), values(depth * columns, 2));
                let rhs = PackedRhs::new(isa, Operands::F32, (depth, columns), |column, start, out| {
                    out.copy_from_slice(&b[column * depth + start..][..out.len()]);
                });
                let mut out = vec![f32::NAN; rows * columns];
                gemm(&Matrix::new(&a, depth), &rhs, &RowOps::default(), &mut out);
                let (mut errors, mut sizes) = (0.0, 0.0);
                for (i, out) in out.iter().enumerate() {
                    let (row, column) =
                        (&a[i / columns * depth..][..depth], &b[i % columns * depth..][..depth]);
                    let exact: f64 = row.iter().zip(column).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    errors += (f64::from(*out) - exact).powi(2);
                    sizes += exact.powi(2);
                }
                let error = (errors / sizes).sqrt() / f64::from(f32::EPSILON);
                assert!(error <= limit, "{isa}, depth {depth}: {error:.3}");
            }
        }
    }
}
