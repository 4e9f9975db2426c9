//! "Did you mean": the known name that is nearest to a mistyped one.

/// Cells of a table of distances that may be filled for one command's hints: about a second.
const MOST_CELLS: usize = 100_000_000;
/// To look at a name costs as much as so many cells.
const LOOK: usize = 40;
/// Longer names are not mistyped, in characters.
const MOST_CHARACTERS: usize = 1_000;

/// The nearest of `known` to `name`, if it is near enough to be what was meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    NearestSearch::default().nearest(name, known)
}

/// Many searches that together take bounded time; the last ones may then find nothing.
#[derive(Clone, Debug)]
pub struct NearestSearch {
    cells: usize,
}

impl Default for NearestSearch {
    fn default() -> NearestSearch {
        NearestSearch { cells: MOST_CELLS }
    }
}

impl NearestSearch {
    /// As [`nearest`].
    pub fn nearest<'a>(&mut self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        let counted = Characters::of(name)?;
        let scored = known.into_iter().filter_map(|known| {
            self.cells = self.cells.checked_sub(LOOK)?;
            let other = Characters::of(known)?;
            let most = most_distance(name, known);
            if counted.least_distance(&other) > most {
                return None;
            }
            self.cells = self.cells.checked_sub(counted.count * other.count)?;
            Some((strsim::damerau_levenshtein(name, known), known))
        });
        let (distance, found) = scored.min()?;
        (distance > 0 && distance <= most_distance(name, found)).then_some(found)
    }
}

/// How far a name may be from what was meant.
fn most_distance(name: &str, known: &str) -> usize {
    1 + name.len().max(known.len()) / 4
}

/// How often each character is in a name; characters of more than one byte are counted by their last.
struct Characters {
    count: usize,
    of_each: [u16; 256],
}

impl Characters {
    /// `None` of a name that is too long.
    fn of(name: &str) -> Option<Characters> {
        let mut counted = Characters { count: 0, of_each: [0; 256] };
        for c in name.chars() {
            let [.., low] = u32::from(c).to_be_bytes();
            counted.of_each[usize::from(low)] += 1;
            counted.count += 1;
            if counted.count > MOST_CHARACTERS {
                return None;
            }
        }
        Some(counted)
    }

    /// The distance of two names is at least this: each character that only one of them has is typed once.
    fn least_distance(&self, other: &Characters) -> usize {
        let pairs = || self.of_each.iter().zip(&other.of_each);
        let only_own: usize = pairs().map(|(a, b)| usize::from(a.saturating_sub(*b))).sum();
        let only_others: usize = pairs().map(|(a, b)| usize::from(b.saturating_sub(*a))).sum();
        only_own.max(only_others)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        assert_eq!(nearest("refrence", ["reference", "candidate"]), Some("reference"));
        assert_eq!(nearest("xyz", ["reference", "candidate"]), None);
    }

    #[test]
    fn many_and_long_names_take_bounded_time() {
        let names: Vec<String> = (0..5_000).map(|i| format!("block_{}_of_{i}_norm", i % 7)).collect();
        let started = Instant::now();
        let mut search = NearestSearch::default();
        let found = names.iter().filter(|name| {
            let found = search.nearest(&format!("{name}s"), names.iter().map(String::as_str));
            found == Some(name.as_str())
        });
        assert!(found.count() > 10);
        let long = "a".repeat(200_000);
        assert_eq!(nearest(&long, [long.as_str(), "b"]), None);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }

    proptest! {
        #[test]
        fn what_is_left_out_is_too_far(a in "[a-c_1-3é]{0,12}", b in "[a-c_1-3é]{0,12}") {
            let least = Characters::of(&a).unwrap().least_distance(&Characters::of(&b).unwrap());
            prop_assert!(least <= strsim::damerau_levenshtein(&a, &b));
        }
    }
}
