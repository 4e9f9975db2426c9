//! Sentences about mistakes in files that people write.

use super::InFile;
use crate::bounds;
use crate::limits::tolerance::MOST_RELATIVE;
use crate::mapping::{MappingMistake, MappingMistakeKind, MappingWarning, RuleAndPlace, position};
use crate::text::document::{DocumentMistake, DocumentMistakeKind};
use crate::text::nearest::nearest;

/// Rules that are named where an ignore lists what they compare.
const NAMED: usize = 5;
/// Two places that are further apart than this are not shown in one box: all the lines between them would be.
const NEAR: usize = 6;

const README: &str = "mappings/README.md";

/// "did you mean", else the list of what is known.
pub fn suggestion<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(found, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "there are none".to_string(),
        None => {
            let shown: Vec<String> =
                known.iter().take(bounds::KNOWN_NAMES).map(|name| format!("`{name}`")).collect();
            let more = match known.len() - shown.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("known: {}{more}", shown.join(", "))
        }
    }
}

fn suggested(found: &str, known: &[String]) -> String {
    suggestion(found, known.iter().map(String::as_str))
}

/// A mistake in a mapping.
pub fn mapping_mistake(mistake: &MappingMistake, text: &str) -> InFile {
    let place = mistake.place.clone();
    let error = |message: &str, label: &str| InFile::error(place.clone(), message, label);
    match &mistake.kind {
        MappingMistakeKind::Toml { message } => error(message, "here"),
        MappingMistakeKind::UnknownKey { found, known } => {
            error(&format!("unknown key `{found}`"), "not a key of this table").help(suggested(found, known))
        }
        MappingMistakeKind::UnknownValue { found, known } => {
            error(&format!("unknown value `{found}`"), "not one of the values").help(suggested(found, known))
        }
        MappingMistakeKind::MissingKey { key } => error(&format!("key `{key}` is missing"), "in this table")
            .help(format!("{README} describes every key")),
        MappingMistakeKind::Version { found } => {
            error("another version of the schema", &format!("expected 1, found {found}"))
        }
        MappingMistakeKind::FilePattern => {
            error("not a pattern of file names", "expected `{name}` once")
                .help("such as `debug_{name}.npy`, or `{name}_{call}.npy` where files are numbered by run")
        }
        MappingMistakeKind::CallWithoutPattern => {
            error("a run is chosen, but no file name says which run it is of", "chooses among runs")
                .help("give `files` a pattern with `{call}`, such as `debug_{name}_{call}.npy`")
        }
        MappingMistakeKind::Separators => {
            error("not a list of separators", "expected two characters or more, such as `_./`")
        }
        MappingMistakeKind::Layout { message } => {
            error("not a layout", message).help("names of axes, slowest first: `b c h w`, `b (h w) c`")
        }
        MappingMistakeKind::Name { message } => error("not a name", message),
        MappingMistakeKind::NoNames => error("an empty list of names", "takes nothing"),
        MappingMistakeKind::TwoLayouts { other } => {
            let finding = error("two layouts for one side", "stands for both sides");
            beside(finding, text, other, "and so does this for one")
        }
        MappingMistakeKind::MemoryOfReference => {
            error("`memory` of a reference", "can be said of the candidate alone")
                .help("save the reference with its axes in the header, or exchange the two sides")
        }
        MappingMistakeKind::DifferentAxes { candidate, reference } => error(
            "layouts that do not fit each other",
            &format!("`{candidate}` and `{reference}` name different axes"),
        )
        .help(
            "both name the same axes, in their own orders; only a batch axis may be left out. Files that are flat, or whose \
             headers say something else than how elements lie in memory: `memory = \"b c h w\"`",
        ),
        MappingMistakeKind::UnknownProfile { found, known } => {
            error(&format!("no profile `{found}`"), "limits of a profile").help(suggested(found, known))
        }
        MappingMistakeKind::EmptyReason => error("an ignore without a reason", "empty")
            .help("say why nothing is lost when these tensors are not compared"),
        MappingMistakeKind::UnknownPlaceholder { found, known, other } => {
            let label = match other {
                Some(other) => format!("does not follow from `{other}`"),
                None => "no rule has it".to_string(),
            };
            error(&format!("unknown placeholder `{found}`"), &label).help(suggested(found, known))
        }
        MappingMistakeKind::WordAndNumber { found } => {
            error(&format!("`{found}` is both a word and a number"), "expected the other of the two").help(format!(
                "`{{{found}}}` is a number, `{{{found}:word}}` a word: write it in the same way everywhere, or use two names"
            ))
        }
        MappingMistakeKind::IdentityOfCandidate => {
            error("`when_identical_to` on the candidate's side", "is for the reference's only")
                .help("a candidate may still have to be computed when names are paired; ignore it by name")
        }
        MappingMistakeKind::NoRules => {
            error("a mapping without rules compares nothing", "no [[rule]] in this file")
                .help(format!("{README} describes them"))
        }
        MappingMistakeKind::NoProfiles => {
            error("a mapping without profiles allows nothing", "no [profile.<name>] in this file")
                .help(format!("{README} describes them"))
        }
        MappingMistakeKind::Limit { name } => {
            error("not a limit", &format!("`{name}` is negative, not finite, or out of range")).help(
                "limits are figures of 0 or more (cosine: -1 to 1); times_floor holds factors of 1 to 100, at least one",
            )
        }
        MappingMistakeKind::PassesZeros { name } => {
            error("a limit that zeros pass", &format!("`{name}` is kept by a tensor of zeros, or with its sign turned"))
                .help(format!("rel_l2, rel_linf and rtol are at most {MOST_RELATIVE}, a cosine is above 0"))
        }
        MappingMistakeKind::Steers => {
            error("a character that is not shown", "holds a control character, such as one of a terminal")
                .help("names and texts are shown in reports: leave it out")
        }
        MappingMistakeKind::SeesTooLittle { profile } => {
            error(&format!("profile `{profile}` sees too little"), "no limit that each element counts in")
                .help("set `times_floor`, or one of rel_l2, rel_linf, max_abs, atol, rtol in `limits`")
        }
        MappingMistakeKind::OutliersWithoutElementRule => {
            error("`outliers` without `atol` or `rtol`", "has no effect")
        }
        MappingMistakeKind::NotTwo { found } => {
            error("not two placeholders", &format!("expected an outer and an inner one, found {found}"))
                .help("such as `flatten = [\"stage\", \"index\"]`")
        }
        MappingMistakeKind::PlaceholderOfItself => {
            error("a placeholder made of itself", "expected two plain ones")
                .help("such as `flatten = [\"stage\", \"index\"]`")
        }
        MappingMistakeKind::LengthsNotTold => {
            error("how many there are is not told", "expected one of two keys").help(
                "`lengths = [3, 5]` gives the numbers, `lengths_from = \"name_{outer}_{inner}\"` reads them off the \
                 reference's names",
            )
        }
        MappingMistakeKind::AbsurdLengths => error("absurd lengths", "expected counts that add up to at most a billion"),
        MappingMistakeKind::OtherPlaceholders { outer, inner } => error(
            "not the placeholders of `flatten`",
            &format!("expected exactly `{{{outer}}}` and `{{{inner}}}`"),
        ),
        MappingMistakeKind::TwoRulesNamed { name, first } => {
            let finding = error(&format!("two rules named `{name}`"), "second");
            beside(finding, text, first, "first").help("reports tell rules apart by name")
        }
        MappingMistakeKind::TwoRulesTake { side, template, other } => {
            let finding = error(&format!("two rules take the {side} `{template}`"), "this rule");
            beside(finding, text, &other.place, "and this one")
                .help("several candidates of one reference go into one rule: candidate = [\"…\", \"…\"]")
        }
        MappingMistakeKind::ComparedAndIgnored { side, rules } => {
            let message = match rules.as_slice() {
                [one] => format!("the {side} `{}` is both compared and ignored", one.template),
                several => format!("{} rules compare what this ignores", several.len()),
            };
            error(&message, "this ignore lists it").help(compared_by(rules, text))
        }
        MappingMistakeKind::Order { found, known } => {
            error(&format!("`order` names `{found}`"), "not a number of this rule's reference")
                .help(suggested(found, known))
        }
        MappingMistakeKind::TooMany { of, found, most } => {
            error(&format!("too many {of}"), &format!("expected at most {most}, found {found}"))
                .help("one rule with placeholders takes the tensors of all blocks")
        }
        MappingMistakeKind::More { more } => error(&format!("{more} more mistakes"), "the first of them"),
    }
}

/// A second place of a finding: in the same box where it is near, else by its line.
fn beside(mut finding: InFile, text: &str, other: &std::ops::Range<usize>, label: &str) -> InFile {
    let Some((own, own_label)) = finding.labels.first_mut() else { return finding };
    let (line, other_line) = (position(text, own.start).0, position(text, other.start).0);
    if line.abs_diff(other_line) <= NEAR {
        finding.labels.push((other.clone(), label.to_string()));
    } else {
        *own_label = format!("{own_label}; {label}: line {other_line}");
    }
    finding
}

/// Which rules compare what an ignore lists.
fn compared_by(rules: &[RuleAndPlace], text: &str) -> String {
    let rule = |RuleAndPlace { name, template, place }: &RuleAndPlace| {
        format!("rule `{name}` in line {} (`{template}`)", position(text, place.start).0)
    };
    let named = rules.iter().take(NAMED).map(rule).collect::<Vec<_>>().join(", ");
    let more = match rules.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("compared by {named}{more}; make the ignore's names narrower")
}

/// What is worth a look in a mapping that can be used.
pub fn mapping_warning(warning: &MappingWarning) -> InFile {
    match warning {
        MappingWarning::CountsOverNothing { placeholder, place } => InFile::warning(
            place.clone(),
            format!("`{placeholder}` counts over nothing"),
            "no name of the reference fits",
        )
        .help("correct the name, or give `lengths = [...]`"),
        MappingWarning::RuleTakesNothing { rule, place, near } => {
            let help = match near {
                Some(name) => format!("`{name}` is taken by no rule: is it meant?"),
                None => "correct its names, or say `may_be_unused = true`".to_string(),
            };
            InFile::warning(
                place.clone(),
                format!("rule `{rule}` takes nothing"),
                "no tensor of either side fits",
            )
            .help(help)
        }
    }
}

/// A mistake in a JSON document.
pub fn document_mistake(mistake: &DocumentMistake) -> InFile {
    let error = |message: String, label: String| InFile::error(mistake.place.clone(), message, label);
    match &mistake.kind {
        DocumentMistakeKind::Syntax(message) => error("not JSON".to_string(), message.clone()),
        DocumentMistakeKind::Missing(key) => {
            error(format!("key `{key}` is missing"), "in this object".to_string())
        }
        DocumentMistakeKind::Unknown { found, known } => {
            error(format!("unknown key `{found}`"), "not a key of this object".to_string())
                .help(suggestion(found, known.iter().copied()))
        }
        DocumentMistakeKind::Repeated(name) => {
            error(format!("`{name}` is there twice"), "second".to_string())
        }
        DocumentMistakeKind::Expected { expected, found } => {
            error(format!("expected {expected}"), format!("found {found}"))
        }
        DocumentMistakeKind::More { more } => {
            error(format!("{more} more mistakes"), "the first of them".to_string())
        }
    }
}
