//! What the exit code of a comparison says; with several findings the most fundamental one.

/// Everything compared, everything within its tolerance.
pub const PASSED: u8 = 0;
/// Numbers over their tolerance.
pub const NUMBERS: u8 = 1;
/// Wrong usage, configuration or mapping.
pub const USAGE: u8 = 2;
/// Something missing, unmapped, ambiguous, or nothing compared.
pub const COVERAGE: u8 = 3;
/// A shape or a layout that does not fit its pair.
pub const SHAPE: u8 = 4;
/// Unreadable input, or sides that do not belong together.
pub const UNREADABLE: u8 = 5;

/// From the most fundamental to the least.
pub const PRECEDENCE: [u8; 6] = [USAGE, UNREADABLE, COVERAGE, SHAPE, NUMBERS, PASSED];

/// The most fundamental of several exit codes; [`PASSED`] of none.
pub fn most_fundamental(codes: impl IntoIterator<Item = u8>) -> u8 {
    let rank = |code: &u8| PRECEDENCE.iter().position(|known| known == code);
    codes.into_iter().min_by_key(rank).unwrap_or(PASSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_fundamental_finding_wins() {
        assert_eq!(most_fundamental([]), PASSED);
        assert_eq!(most_fundamental([NUMBERS, SHAPE, COVERAGE]), COVERAGE);
        assert_eq!(most_fundamental([COVERAGE, UNREADABLE]), UNREADABLE);
        assert_eq!(most_fundamental([UNREADABLE, USAGE]), USAGE);
        assert_eq!(most_fundamental([PASSED, NUMBERS]), NUMBERS);
    }
}
