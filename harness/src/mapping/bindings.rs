//! What the placeholders of a name stand for.

use std::collections::BTreeMap;
use std::fmt;

/// What a placeholder stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// A number.
    Number(u64),
    /// A word.
    Word(String),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Number(number) => write!(f, "{number}"),
            Bound::Word(word) => f.write_str(word),
        }
    }
}

/// Numbers and words by placeholder.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bindings(BTreeMap<String, Bound>);

impl Bindings {
    /// The number that a placeholder stands for.
    pub fn number(&self, placeholder: &str) -> Option<u64> {
        match self.0.get(placeholder)? {
            Bound::Number(number) => Some(*number),
            Bound::Word(_) => None,
        }
    }

    /// The word that a placeholder stands for.
    pub fn word(&self, placeholder: &str) -> Option<&str> {
        match self.0.get(placeholder)? {
            Bound::Number(_) => None,
            Bound::Word(word) => Some(word),
        }
    }

    /// Lets a placeholder stand for something; false where it stands for something else already.
    pub(crate) fn bind(&mut self, placeholder: &str, to: Bound) -> bool {
        match self.0.get(placeholder) {
            Some(known) => *known == to,
            None => {
                self.0.insert(placeholder.to_string(), to);
                true
            }
        }
    }

    /// All of them, sorted by placeholder.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bound)> {
        self.0.iter().map(|(placeholder, bound)| (placeholder.as_str(), bound))
    }

    /// Whether a placeholder stands for something.
    pub fn contains(&self, placeholder: &str) -> bool {
        self.0.contains_key(placeholder)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, Bound)> for Bindings {
    fn from_iter<T: IntoIterator<Item = (String, Bound)>>(all: T) -> Bindings {
        Bindings(all.into_iter().collect())
    }
}
