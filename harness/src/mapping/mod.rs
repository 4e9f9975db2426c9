//! Mappings: which candidate tensor meets which reference tensor, in which layouts, within which limits.
//!
//! A mapping is a TOML file; `mappings/README.md` describes it. [`Mapping::read`] gives either a mapping in which every
//! template, layout and limit is sound, or every mistake in it with its place. [`pairing`] then pairs the names of two
//! sides.

pub mod bindings;
mod characters;
mod check;
mod conflict;
mod definition;
pub mod explanation;
mod file;
mod lists;
mod matching;
mod mistake;
mod name_index;
pub mod order;
pub mod pairing;
mod placeholder;
mod read;
mod rule;
mod schema;
pub mod template;

pub use definition::{InputNames, Mapping, MinimumCoverage, Profile, SideFormat};
pub use file::SCHEMA_VERSION;
pub use mistake::{MappingError, MappingMistake, MappingMistakeKind, MappingWarning, RuleAndPlace, position};
pub(crate) use placeholder::expand;
pub use placeholder::{Flattened, Lengths, LengthsSource, Placeholders};
pub use rule::{Alias, Ignore, Rule};
pub use schema::schema;
