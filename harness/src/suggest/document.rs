//! A suggested mapping as a TOML file: new, or appended to one that is there.

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use super::arrangement::LayoutPair;
use super::confidence::Confidence;
use super::draft::{DraftRule, SuggestedPair};
use super::leftover::{DraftIgnore, IgnoreKind};
use super::matching::PairedBy;
use super::relation::FlatCount;
use crate::mapping::SCHEMA_VERSION;
use crate::mapping::template::Template;

/// Lines of a comment that list pairs, before the rest is only counted.
const MAX_LISTED: usize = 12;
/// Characters of a comment's line.
const WIDTH: usize = 100;

/// A mapping that is written.
pub(super) struct MappingDocument {
    document: DocumentMut,
    /// The layouts of the sides.
    layouts: [String; 2],
}

impl MappingDocument {
    /// A new mapping with the sides and profiles of `base`; `files` are patterns of file names where those of the base do
    /// not fit.
    pub(super) fn new(
        base: &DocumentMut,
        name: &str,
        files: [Option<&str>; 2],
        layouts: [String; 2],
        in_order: bool,
        comment: &[String],
    ) -> MappingDocument {
        let mut document = DocumentMut::new();
        document.insert("schema_version", value(i64::from(SCHEMA_VERSION)));
        document.insert("name", value(name));
        for ((side, files), layout) in ["candidate", "reference"].into_iter().zip(files).zip(&layouts) {
            let mut table = match (files, base.get(side)) {
                (None, Some(Item::Table(table))) => table.clone(),
                _ => Table::new(),
            };
            *table.decor_mut() = Default::default();
            table.set_position(None);
            files.into_iter().for_each(|files| drop(table.insert("files", value(files))));
            table.insert("layout", value(layout));
            table.decor_mut().set_prefix("\n");
            document.insert(side, Item::Table(table));
        }
        if !in_order {
            document.insert("rules_in_order", value(false));
        }
        if let Some(mut first) = document.key_mut("schema_version") {
            first.leaf_decor_mut().set_prefix(lines(comment));
        }
        MappingDocument { document, layouts }
    }

    /// The mapping of that text, to be extended.
    pub(super) fn extending(document: DocumentMut) -> MappingDocument {
        let layout = |side: &str| {
            let layout = document.get(side).and_then(|side| side.get("layout"));
            layout.and_then(Item::as_str).unwrap_or_default().to_string()
        };
        let layouts = [layout("candidate"), layout("reference")];
        MappingDocument { document, layouts }
    }

    /// Asks for as many layers as were paired.
    pub(super) fn add_coverage(&mut self, layers: usize) {
        let mut table = Table::new();
        table.insert("min_layers", value(i64::try_from(layers).unwrap_or(i64::MAX)));
        if let Some(mut key) = table.key_mut("min_layers") {
            key.leaf_decor_mut()
                .set_prefix("# as many as were paired; a dump of fewer is not compared by half in silence\n");
        }
        table.decor_mut().set_prefix("\n");
        self.document.insert("coverage", Item::Table(table));
    }

    /// Copies the profiles of another mapping, without what is said there of where their limits come from: these were measured on
    /// another model.
    pub(super) fn add_profiles(&mut self, base: &DocumentMut) {
        let Some(profiles) = base.get("profile").and_then(Item::as_table) else { return };
        let mut copied = Table::new();
        copied.set_implicit(true);
        for (number, (name, profile)) in profiles.iter().enumerate() {
            let Some(profile) = profile.as_table() else { continue };
            let mut table = Table::new();
            let head = match number {
                0 => {
                    "\n# ---- Tolerances ---------------------------------------------------------------------------------\n\n"
                }
                _ => "\n",
            };
            table.decor_mut().set_prefix(head);
            for (key, item) in profile {
                let Some(value) = item.as_value() else { continue };
                table.insert(key, Item::Value(value.clone().decorated(" ", "")));
            }
            copied.insert(name, Item::Table(table));
        }
        self.document.insert("profile", Item::Table(copied));
    }

    pub(super) fn add_placeholder(&mut self, count: &FlatCount) {
        let mut implicit = Table::new();
        implicit.set_implicit(true);
        let entry = self.document.entry("placeholders").or_insert(Item::Table(implicit));
        let Some(placeholders) = entry.as_table_mut() else { return };
        let mut table = Table::new();
        table.insert("flatten", value(Array::from_iter([&count.outer, &count.inner])));
        match &count.lengths_from {
            Some(from) => table.insert("lengths_from", value(from)),
            None => table.insert("lengths", value(Array::from_iter(count.lengths.iter().map(|n| *n as i64)))),
        };
        placeholders.insert(&count.placeholder, Item::Table(table));
    }

    /// The names of its rules, which a further one must not have.
    pub(super) fn rule_names(&self) -> Vec<String> {
        let rules = self.document.get("rule").and_then(Item::as_array_of_tables).into_iter().flatten();
        rules.filter_map(|rule| Some(rule.get("name")?.as_str()?.to_string())).collect()
    }

    pub(super) fn add_rule(&mut self, name: &str, rule: &DraftRule, pairs: &[SuggestedPair]) {
        let mut table = Table::new();
        table.insert("name", value(name));
        table.insert("candidate", templates(&rule.candidates));
        table.insert("reference", value(rule.reference.to_string()));
        self.layouts_of(&rule.layouts)
            .into_iter()
            .for_each(|(key, layout)| drop(table.insert(key, value(layout))));
        if let Some(alias) = &rule.alias {
            let mut inner = Table::new();
            inner.set_dotted(true);
            inner.insert("candidate", templates(&alias.candidates));
            inner.insert("when_identical_to", value(alias.when_identical_to.to_string()));
            inner.insert("reason", value("the reference holds the same values under both names"));
            table.insert("alias", Item::Table(inner));
        }
        let pairs: Vec<&SuggestedPair> = rule.pairs.iter().map(|i| &pairs[*i]).collect();
        table.decor_mut().set_prefix(format!("\n{}", lines(&comment(&pairs))));
        self.push("rule", table);
    }

    /// Gives a rule of the mapping that is extended more names of candidates.
    pub(super) fn extend_rule(&mut self, at: usize, rule: &DraftRule) {
        let rules = self.document.get_mut("rule").and_then(Item::as_array_of_tables_mut);
        let Some(known) = rules.and_then(|rules| rules.get_mut(at)) else { return };
        let Some(candidate) = known.get_mut("candidate") else { return };
        if let Some(one) = candidate.as_str() {
            *candidate = value(Array::from_iter([one]));
        }
        let Some(names) = candidate.as_array_mut() else { return };
        rule.candidates.iter().for_each(|template| names.push(template.to_string()));
    }

    pub(super) fn add_ignore(&mut self, ignore: &DraftIgnore) {
        let mut table = Table::new();
        table.insert("side", value(ignore.side.to_string()));
        let one_or_many = |names: &[String]| match names {
            [name] => value(name),
            names => list(names.iter().cloned()),
        };
        table.insert("names", one_or_many(&ignore.names));
        if !ignore.when_identical_to.is_empty() {
            table.insert("when_identical_to", one_or_many(&ignore.when_identical_to));
        }
        table.insert("reason", value(reason(ignore)));
        table.decor_mut().set_prefix("\n");
        self.push("ignore", table);
    }

    fn push(&mut self, list: &str, table: Table) {
        let entry = self.document.entry(list).or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        entry.as_array_of_tables_mut().into_iter().for_each(|tables| tables.push(table.clone()));
    }

    /// The keys for layouts that are not the sides' own.
    fn layouts_of<'a>(&self, layouts: &'a LayoutPair) -> Vec<(&'static str, &'a str)> {
        let LayoutPair { candidate, reference, .. } = layouts;
        let differ = [*candidate != self.layouts[0], *reference != self.layouts[1]];
        match (differ, candidate == reference) {
            ([false, false], _) => Vec::new(),
            (_, true) => vec![("layout", candidate)],
            _ => {
                let keys =
                    [("candidate_layout", candidate.as_str()), ("reference_layout", reference.as_str())];
                keys.into_iter().zip(differ).filter_map(|(key, differs)| differs.then_some(key)).collect()
            }
        }
    }
}

impl std::fmt::Display for MappingDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.document.fmt(f)
    }
}

fn templates(templates: &[Template]) -> Item {
    match templates {
        [template] => value(template.to_string()),
        several => list(several.iter().map(Template::to_string)),
    }
}

/// A list with a line for each name.
fn list(names: impl Iterator<Item = String>) -> Item {
    let mut list = Array::from_iter(names);
    list.iter_mut().for_each(|name| name.decor_mut().set_prefix("\n  "));
    list.set_trailing("\n");
    list.set_trailing_comma(true);
    value(list)
}

/// A comment, broken into lines; what goes on is indented.
fn lines(comment: &[String]) -> String {
    let broken = comment.iter().flat_map(|line| {
        // A control character would end the comment or make the file unreadable.
        let line = line.replace(char::is_control, "?");
        let indent = if line.starts_with(' ') { "      " } else { "    " };
        let options = textwrap::Options::new(WIDTH).subsequent_indent(indent).break_words(false);
        textwrap::wrap(&line, options).into_iter().map(|line| format!("# {line}\n")).collect::<Vec<_>>()
    });
    broken.collect()
}

fn reason(ignore: &DraftIgnore) -> &'static str {
    match ignore.kind {
        IgnoreKind::SameValues => "the same values as a tensor that is compared under another name",
        IgnoreKind::NoPartner => "no tensor of the candidate has its values",
        IgnoreKind::Unnameable => "its name has braces or a star, which no rule can name",
        IgnoreKind::OtherType => "holds no floating-point numbers",
    }
}

/// What a rule's comment says: how sure it is on the whole, and each pair that is not.
fn comment(pairs: &[&SuggestedPair]) -> Vec<String> {
    let lowest = pairs.iter().map(|pair| pair.confidence).min().unwrap_or(Confidence::Low);
    let mut lines = vec![format!("{lowest}: {}", figures(pairs))];
    if let [pair] = pairs {
        lines[0] += &why(pair);
        return lines;
    }
    let unsure: Vec<_> = pairs.iter().filter(|pair| pair.confidence != Confidence::High).collect();
    for pair in unsure.iter().take(MAX_LISTED) {
        let SuggestedPair { candidate, reference, confidence, .. } = pair;
        lines.push(format!("  {confidence}: {candidate} and {reference}: {}{}", figures(&[pair]), why(pair)));
    }
    if unsure.len() > MAX_LISTED {
        lines.push(format!("  and {} more that are not high", unsure.len() - MAX_LISTED));
    }
    lines
}

/// How near pairs are, and how near the next best is.
fn figures(pairs: &[&SuggestedPair]) -> String {
    let range = |figures: &mut dyn Iterator<Item = f64>| {
        let figures: Vec<f64> = figures.collect();
        let least = figures.iter().copied().min_by(f64::total_cmp)?;
        let most = figures.iter().copied().max_by(f64::total_cmp)?;
        Some(if least == most { format!("{least:.1e}") } else { format!("{least:.1e} to {most:.1e}") })
    };
    let near = || pairs.iter().filter_map(|pair| pair.closeness);
    let rel_l2 = range(&mut near().map(|closeness| closeness.rel_l2));
    let least = near().map(|closeness| closeness.correlation).min_by(f64::total_cmp);
    let next = pairs.iter().filter_map(|pair| pair.next).min_by(f64::total_cmp);
    let count = if pairs.len() == 1 { String::new() } else { format!("{} pairs, ", pairs.len()) };
    match (rel_l2, least) {
        (Some(rel_l2), Some(least)) => {
            let next =
                next.map_or("no other of its size".to_string(), |next| format!("next best {next:.1e}"));
            format!("{count}rel_l2 {rel_l2}, correlation {least:.6}, {next}")
        }
        _ => format!("{count}values that say nothing"),
    }
}

/// What made a pair, where it was not its values alone.
fn why(pair: &SuggestedPair) -> String {
    match pair.paired_by {
        PairedBy::Values | PairedBy::Mapping => String::new(),
        PairedBy::Tie => {
            format!("; tie with {}, of the same values: name and order decided", pair.ties.join(", "))
        }
        PairedBy::Names => "; by its name, since others that are named alike are pairs".to_string(),
    }
}
