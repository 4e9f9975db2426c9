//! Which of many templates may take a name, without trying each.

use std::collections::{BTreeMap, BTreeSet};

use super::matching::{TemplatePart, word_length};
use super::template::Template;

/// Templates by what they begin with. Each comes from a `T`, such as the number of a rule; one `T` may have several.
#[derive(Clone, Debug)]
pub(super) struct NameIndex<T> {
    nodes: Vec<Node<T>>,
}

/// What may follow the parts that lead to here.
#[derive(Clone, Debug)]
struct Node<T> {
    /// By the text that follows.
    texts: BTreeMap<String, usize>,
    /// The lengths of those texts.
    lengths: BTreeSet<usize>,
    number: Option<usize>,
    word: Option<usize>,
    /// Templates that end here.
    ends: Vec<T>,
    /// Templates that have a `*` here: what follows it is not looked at.
    open: Vec<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Node<T> {
        let (texts, lengths) = (BTreeMap::new(), BTreeSet::new());
        Node { texts, lengths, number: None, word: None, ends: Vec::new(), open: Vec::new() }
    }
}

impl<T: Copy + Ord> NameIndex<T> {
    /// An index of no template.
    pub(super) fn new() -> NameIndex<T> {
        NameIndex { nodes: vec![Node::default()] }
    }

    /// An index of templates.
    pub(super) fn of<'a>(templates: impl IntoIterator<Item = (T, &'a Template)>) -> NameIndex<T> {
        let mut index = NameIndex::new();
        templates.into_iter().for_each(|(owner, template)| index.add(owner, template));
        index
    }

    /// Adds a template.
    pub(super) fn add(&mut self, owner: T, template: &Template) {
        let mut at = 0;
        for part in template.parts() {
            let node = &mut self.nodes[at];
            let known = match part {
                TemplatePart::Text(text) => node.texts.get(text).copied(),
                TemplatePart::Number { .. } => node.number,
                TemplatePart::Word(_) => node.word,
                TemplatePart::Any => {
                    node.open.push(owner);
                    return;
                }
            };
            at = match known {
                Some(known) => known,
                None => self.grow(at, part),
            };
        }
        self.nodes[at].ends.push(owner);
    }

    /// A new node after `at`.
    fn grow(&mut self, at: usize, part: &TemplatePart) -> usize {
        let new = self.nodes.len();
        self.nodes.push(Node::default());
        let node = &mut self.nodes[at];
        match part {
            TemplatePart::Text(text) => {
                node.lengths.insert(text.len());
                node.texts.insert(text.clone(), new);
            }
            TemplatePart::Number { .. } => node.number = Some(new),
            TemplatePart::Word(_) | TemplatePart::Any => node.word = Some(new),
        }
        new
    }

    /// Those whose templates may take a name, in order and each once. Whether they do, [`Template::matches`] says.
    pub(super) fn may_take(&self, name: &str) -> Vec<T> {
        let mut found = Vec::new();
        let mut reached = vec![(0, name)];
        while let Some((at, rest)) = reached.pop() {
            let node = &self.nodes[at];
            found.extend_from_slice(&node.open);
            if rest.is_empty() {
                found.extend_from_slice(&node.ends);
                continue;
            }
            for length in node.lengths.range(..=rest.len()) {
                let Some((text, after)) = rest.split_at_checked(*length) else { continue };
                reached.extend(node.texts.get(text).map(|next| (*next, after)));
            }
            if let Some(next) = node.number {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                reached.extend((digits > 0).then(|| (next, &rest[digits..])));
            }
            if let Some(next) = node.word {
                let length = word_length(rest);
                reached.extend((length > 0).then(|| (next, &rest[length..])));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::super::template::Wildcards;
    use super::*;

    fn template(text: &str) -> Template {
        Template::parse(text, Wildcards::Allowed).unwrap()
    }

    #[test]
    fn each_name_is_found_among_many() {
        let templates: Vec<Template> =
            (0..20_000).map(|i| template(&format!("block_{{b}}_part{i}_{{what:word}}"))).collect();
        let started = Instant::now();
        let index = NameIndex::of(templates.iter().enumerate());
        for i in 0..20_000 {
            assert_eq!(index.may_take(&format!("block_3_part{i}_query")), [i]);
        }
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }

    proptest! {
        #[test]
        fn whatever_takes_a_name_is_found(
            texts in prop::collection::vec("(a|b|_|\\*|\\{n\\}|\\{m \\+ 1\\}|\\{w:word\\}|\\{n\\}_){1,5}", 0..12),
            name in "[ab_12]{0,8}",
        ) {
            let templates: Vec<Template> =
                texts.iter().filter_map(|text| Template::parse(text, Wildcards::Allowed).ok()).collect();
            let found = NameIndex::of(templates.iter().enumerate()).may_take(&name);
            for (i, template) in templates.iter().enumerate() {
                prop_assert!(template.matches(&name).is_none() || found.contains(&i), "{} of {}", template, name);
            }
        }
    }
}
