//! "Did you mean": the known name that is nearest to a mistyped one.

/// The nearest of `known` to `name`, if it is near enough to be what was meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|known| (strsim::damerau_levenshtein(name, known), known));
    let (distance, found) = scored.min()?;
    (distance > 0 && distance <= 1 + name.len().max(found.len()) / 4).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        assert_eq!(nearest("refrence", ["reference", "candidate"]), Some("reference"));
        assert_eq!(nearest("xyz", ["reference", "candidate"]), None);
    }
}
