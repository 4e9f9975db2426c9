//! Memory of feature maps that are no more, kept for those to come: the system takes longer to give new pages than most
//! operations take to fill them.

use std::sync::{Mutex, PoisonError};

/// Smaller ones are left to the allocator, which keeps them itself.
const LEAST: usize = 1 << 16;
/// Values of all that are kept: 512 MiB.
const MOST: usize = 1 << 26;

static KEPT: Mutex<Vec<Vec<f64>>> = Mutex::new(Vec::new());

/// So many values, whatever they are.
pub(super) fn take(len: usize) -> Vec<f64> {
    if len >= LEAST {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that is large enough, unless that would be a waste.
        let fitting = kept.iter().enumerate().filter(|(_, one)| (len..=2 * len).contains(&one.len()));
        let found = fitting.min_by_key(|(_, one)| one.len()).map(|(at, _)| at);
        if let Some(at) = found {
            let mut values = kept.swap_remove(at);
            values.truncate(len);
            return values;
        }
    }
    vec![0.0; len]
}

/// Keeps values for later, the oldest given up where they become too many.
pub(super) fn keep(values: Vec<f64>) {
    if values.len() < LEAST {
        return;
    }
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.push(values);
    while kept.iter().map(Vec::capacity).sum::<usize>() > MOST {
        kept.remove(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_values_as_asked_for() {
        keep(vec![1.0; 3 * LEAST]);
        keep(Vec::new());
        for len in [0, 1, LEAST, 2 * LEAST, 3 * LEAST, 7 * LEAST] {
            assert_eq!(take(len).len(), len);
        }
    }
}
