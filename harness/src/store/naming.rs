//! From what a store calls its tensors to what the mapping calls them.

/// How a side names its tensors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Naming {
    /// File names, with `{name}` for the tensor's and perhaps `{call}` for the number of the run; the first that fits holds.
    pub patterns: Vec<String>,
    /// What all names begin with, one of these; the longest that fits is taken off.
    pub prefixes: Vec<String>,
    /// Characters that count as one; all become the first of them.
    pub separators: Vec<char>,
    /// Which of several runs is compared.
    pub call: CallChoice,
}

/// Which of several runs is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallChoice {
    /// None was chosen: a tensor of several runs is ambiguous.
    #[default]
    Unchosen,
    /// The run of that number.
    Number(u64),
    /// The last run of each tensor.
    Last,
    /// All runs, which must hold the same values.
    MustAgree,
}

/// What a tensor is called, and in which run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CalledName {
    /// As the mapping calls it.
    pub name: String,
    /// The number of the run, where it is known.
    pub call: Option<u64>,
}

impl Naming {
    /// Names by one pattern, such as `debug_{name}.npy`.
    pub fn by_pattern(pattern: &str) -> Naming {
        Naming { patterns: vec![pattern.to_string()], ..Naming::default() }
    }

    /// The patterns as they are shown.
    pub fn shown(&self) -> String {
        self.patterns.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(" or ")
    }

    /// The names of tensors; `None` for those whose stems do not fit where others do. Where none fits, stems are names.
    pub(super) fn names<'a>(&self, stems: impl Iterator<Item = &'a str> + Clone) -> Vec<Option<CalledName>> {
        let mut names: Vec<Option<CalledName>> = stems.clone().map(|stem| self.by_patterns(stem)).collect();
        if names.iter().all(Option::is_none) {
            names = stems.map(|stem| Some(CalledName { name: stem.to_string(), call: None })).collect();
        }
        for name in names.iter_mut().flatten() {
            name.name = self.canonical(&name.name);
        }
        self.without_prefixes(&mut names);
        names
    }

    /// Whether any of these stems fits a pattern.
    pub(super) fn fits_any<'a>(&self, mut stems: impl Iterator<Item = &'a str>) -> bool {
        stems.any(|stem| self.by_patterns(stem).is_some())
    }

    fn by_patterns(&self, stem: &str) -> Option<CalledName> {
        self.patterns.iter().find_map(|pattern| by_pattern(pattern, stem))
    }

    /// A name with one separator for all.
    pub fn canonical(&self, name: &str) -> String {
        match self.separators.split_first() {
            Some((first, _)) => {
                name.chars().map(|c| if self.separators.contains(&c) { *first } else { c }).collect()
            }
            None => name.to_string(),
        }
    }

    /// A name of a dump as the mapping calls it: with one separator for all, and without the prefix, where it has one.
    pub fn without_prefix(&self, name: &str) -> Option<String> {
        self.stripped(&[self.canonical(name)])?.pop()
    }

    /// Takes prefixes off, where every name has one of them.
    fn without_prefixes(&self, names: &mut [Option<CalledName>]) {
        let all: Vec<String> = names.iter().flatten().map(|name| name.name.clone()).collect();
        if let Some(stripped) = self.stripped(&all) {
            for (name, stripped) in names.iter_mut().flatten().zip(stripped) {
                name.name = stripped;
            }
        }
    }

    /// Names without the prefix that each has, the longest that fits; `None` where one has none.
    pub(crate) fn stripped(&self, names: &[String]) -> Option<Vec<String>> {
        let mut prefixes: Vec<String> = self.prefixes.iter().map(|prefix| self.canonical(prefix)).collect();
        prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
        let rest = |name: &String| {
            let rest = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix.as_str()))?;
            (!rest.is_empty()).then(|| rest.to_string())
        };
        names.iter().map(rest).collect()
    }
}

/// What a stem is called by a pattern such as `debug_{name}.npy` or `{name}_{call}`.
fn by_pattern(pattern: &str, stem: &str) -> Option<CalledName> {
    let pattern = pattern.strip_suffix(".npy").unwrap_or(pattern);
    let (before, after) = pattern.split_once("{name}")?;
    let called = |name: &str, call| (!name.is_empty()).then(|| CalledName { name: name.to_string(), call });
    if let Some((between, end)) = after.split_once("{call}") {
        let rest = stem.strip_prefix(before)?.strip_suffix(end)?;
        let digits = rest.bytes().rev().take_while(u8::is_ascii_digit).count();
        let (name, call) = rest.split_at(rest.len() - digits);
        return called(name.strip_suffix(between)?, Some(call.parse().ok()?));
    }
    if let Some((start, between)) = before.split_once("{call}") {
        let rest = stem.strip_prefix(start)?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (call, name) = rest.split_at(digits);
        return called(name.strip_prefix(between)?.strip_suffix(after)?, Some(call.parse().ok()?));
    }
    called(stem.strip_prefix(before)?.strip_suffix(after)?, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(naming: &Naming, stems: &[&str]) -> Vec<String> {
        let shown = |name: Option<CalledName>| match name {
            Some(CalledName { name, call: None }) => name,
            Some(CalledName { name, call: Some(call) }) => format!("{name}#{call}"),
            None => "-".to_string(),
        };
        naming.names(stems.iter().copied()).into_iter().map(shown).collect()
    }

    #[test]
    fn the_first_pattern_that_fits_names_a_tensor() {
        let patterns = ["debug_{name}.npy", "{name}_out"].map(String::from).to_vec();
        let naming = Naming { patterns, ..Naming::default() };
        assert_eq!(names(&naming, &["debug_a", "b_out", "c"]), ["a", "b", "-"]);
        assert_eq!(names(&naming, &["a", "c"]), ["a", "c"], "where none fits, stems are names");
    }

    #[test]
    fn calls_are_numbers_at_either_end() {
        let naming = Naming::by_pattern("debug_{name}_{call}.npy");
        assert_eq!(
            names(&naming, &["debug_block_3_norm_0", "debug_x_12", "debug_y"]),
            ["block_3_norm#0", "x#12", "-"]
        );
        assert_eq!(names(&Naming::by_pattern("{call}_{name}.npy"), &["3_a_7"]), ["a_7#3"]);
    }

    #[test]
    fn a_prefix_is_taken_off_where_all_share_it() {
        let prefixes = ["model.", "model.vision."].map(String::from).to_vec();
        let naming = Naming { prefixes, separators: vec!['_', '.', '/'], ..Naming::by_pattern("{name}") };
        assert_eq!(names(&naming, &["model.vision.a.b", "model/c"]), ["a_b", "c"]);
        assert_eq!(names(&naming, &["model.vision.a", "c"]), ["model_vision_a", "c"]);
    }
}
