//! Functions that a port may have in the place of GELU.

use super::gelu;

/// A function in the place of GELU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivationFunction {
    /// By the error function.
    Erf,
    /// `x · sigmoid(1.702 x)`.
    Quick,
    /// `x · sigmoid(x)`.
    Silu,
    /// `max(x, 0)`.
    Relu,
    /// None.
    Identity,
    /// GELU twice.
    Twice,
    /// GELU's tanh approximation with 0.7978 for sqrt(2/π).
    ShortConstant,
}

impl ActivationFunction {
    /// All of them.
    pub const ALL: [ActivationFunction; 7] = [
        ActivationFunction::Erf,
        ActivationFunction::Quick,
        ActivationFunction::Silu,
        ActivationFunction::Relu,
        ActivationFunction::Identity,
        ActivationFunction::Twice,
        ActivationFunction::ShortConstant,
    ];

    /// Its value.
    pub(super) fn of(self, x: f64) -> f64 {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        match self {
            ActivationFunction::Erf => 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)),
            ActivationFunction::Quick => x * sigmoid(1.702 * x),
            ActivationFunction::Silu => x * sigmoid(x),
            ActivationFunction::Relu => x.max(0.0),
            ActivationFunction::Identity => x,
            ActivationFunction::Twice => gelu(gelu(x)),
            ActivationFunction::ShortConstant => {
                0.5 * x * (1.0 + (0.7978 * (x + 0.044_715 * x * x * x)).tanh())
            }
        }
    }
}

/// The error function to about 1e-15: its Maclaurin series for small arguments, the continued fraction of erfc (DLMF 7.9.1)
/// for others.
fn erf(x: f64) -> f64 {
    let size = x.abs();
    if size < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..80 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return sum * 2.0 / std::f64::consts::PI.sqrt();
    }
    let mut fraction = 0.0;
    for n in (1..60).rev() {
        fraction = f64::from(n) / 2.0 / (size + fraction);
    }
    let erfc = (-size * size).exp() / (std::f64::consts::PI.sqrt() * (size + fraction));
    (1.0 - erfc).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_function() {
        // Abramowitz and Stegun, table 7.1, and 1 - erfc of its asymptotic part.
        for (x, expected) in [
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
            (3.0, 0.999_977_909_503_001_4),
        ] {
            assert!((erf(x) - expected).abs() < 1e-14, "{x}: {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
    }
}
