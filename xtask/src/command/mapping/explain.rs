use std::path::PathBuf;
use std::process::ExitCode;

use harness::exit_code;
use harness::mapping::explanation::{NameExplanation, explain};
use harness::reference::Reference;
use harness::report::explanation;
use harness::side::Side;

use crate::shell::console::say;
use crate::shell::failure::{CommandResult, Failure};
use crate::shell::paths;

/// Say which rule or ignore takes a name, what its partner is called, and else why none takes it.
///
/// Example: cargo xtask mapping explain mobilenet_block_7_attn_norm --reference fixtures/blocks
///
/// Exit code 3 when nothing takes it.
#[derive(clap::Args)]
pub(crate) struct Explain {
    /// A tensor's name, without what is around {name} in the mapping's `files`.
    name: String,
    /// The mapping (default: mappings/gemma3n.toml).
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// The side that the name is of (default: the one that takes it).
    #[arg(long, value_name = "SIDE", value_parser = side)]
    side: Option<Side>,
    /// A reference, in whose names blocks are counted.
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
}

fn side(text: &str) -> Result<Side, String> {
    let sides = [Side::Candidate, Side::Reference];
    sides
        .into_iter()
        .find(|side| side.to_string() == text)
        .ok_or_else(|| "expected candidate or reference".to_string())
}

impl Explain {
    pub(crate) fn run(self) -> CommandResult {
        let mapping = paths::mapping(self.mapping.as_deref())?;
        let references = match &self.reference {
            None => None,
            Some(path) => {
                let format = &mapping.reference;
                let reference = Reference::open(path, &format.naming, format.read_as)
                    .map_err(|error| Failure::from(error).or_help(|| paths::unreadable_help(path)))?;
                let names = reference.names();
                Some(names.present.iter().chain(&names.gone).cloned().collect::<Vec<String>>())
            }
        };
        let sides = self.side.map_or(vec![Side::Candidate, Side::Reference], |side| vec![side]);
        let found: Vec<_> = sides
            .into_iter()
            .map(|side| {
                let naming = &mapping.format(side).naming;
                let whole = explain(&mapping, side, &naming.canonical(&self.name), references.as_deref());
                // Names as their files have them may begin with the side's prefix.
                let stripped = || naming.without_prefix(&self.name);
                match (is_taken(&whole), stripped()) {
                    (false, Some(name)) => explain(&mapping, side, &name, references.as_deref()),
                    _ => whole,
                }
            })
            .collect();
        let taken: Vec<_> = found.iter().filter(|found| is_taken(found)).collect();
        let shown = if taken.is_empty() { found.iter().collect() } else { taken.clone() };
        shown.iter().for_each(|found| say(&explanation::render(found, &mapping)));
        Ok(ExitCode::from(if taken.is_empty() { exit_code::COVERAGE } else { exit_code::PASSED }))
    }
}

/// Whether a rule or an ignore takes the name.
fn is_taken(found: &NameExplanation) -> bool {
    !found.rules.is_empty() || !found.ignores.is_empty()
}
