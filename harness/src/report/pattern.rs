//! Names by the pattern that they share, so that one cause takes one line.

/// Things of one pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group<'a, T> {
    /// With `{}` for each number.
    pub(super) pattern: String,
    pub(super) members: Vec<&'a T>,
}

/// Groups things by the pattern of a text, in the order of their first members.
pub(super) fn grouped<'a, T>(
    things: impl IntoIterator<Item = &'a T>,
    text: impl Fn(&T) -> String,
) -> Vec<Group<'a, T>> {
    let mut groups: Vec<Group<'a, T>> = Vec::new();
    for thing in things {
        let pattern = without_numbers(&text(thing));
        match groups.iter_mut().find(|group| group.pattern == pattern) {
            Some(group) => group.members.push(thing),
            None => groups.push(Group { pattern, members: vec![thing] }),
        }
    }
    groups
}

/// A name with `{}` for each number.
fn without_numbers(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut in_number = false;
    for c in name.chars() {
        match c.is_ascii_digit() {
            true if in_number => {}
            true => out.push_str("{}"),
            false => out.push(c),
        }
        in_number = c.is_ascii_digit();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_numbers_are_one_pattern() {
        let names = ["block_1_norm", "stem", "block_12_norm", "block_3"].map(String::from);
        let groups = grouped(&names, String::clone);
        let shown: Vec<(&str, usize)> =
            groups.iter().map(|g| (g.pattern.as_str(), g.members.len())).collect();
        assert_eq!(shown, [("block_{}_norm", 2), ("stem", 1), ("block_{}", 1)]);
    }
}
