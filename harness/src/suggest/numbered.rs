//! Names taken apart into text and numbers.

/// More digits than any index has.
const MAX_DIGITS: usize = 9;

/// A name: texts with a number between each two.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NumberedName {
    /// One more than there are numbers.
    pub(super) texts: Vec<String>,
    pub(super) numbers: Vec<u64>,
}

impl NumberedName {
    /// Takes a name apart. Digits that no number is written with, such as `007`, are text.
    pub(super) fn of(name: &str) -> NumberedName {
        let (mut texts, mut numbers, mut rest) = (vec![String::new()], Vec::new(), name);
        while let Some(c) = rest.chars().next() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let plain = digits > 0 && digits <= MAX_DIGITS && (digits == 1 || c != '0');
            let taken = if digits > 0 { digits } else { c.len_utf8() };
            match rest[..taken].parse().ok().filter(|_| plain) {
                Some(number) => {
                    numbers.push(number);
                    texts.push(String::new());
                }
                None => texts.iter_mut().last().into_iter().for_each(|text| text.push_str(&rest[..taken])),
            }
            rest = &rest[taken..];
        }
        NumberedName { texts, numbers }
    }

    /// The texts up to a number, which are what it counts.
    pub(super) fn stem(&self, number: usize) -> &[String] {
        &self.texts[..=number]
    }
}

/// The last word of a text.
pub(super) fn last_word(text: &str) -> Option<&str> {
    text.split(|c: char| !c.is_ascii_alphabetic()).rfind(|word| !word.is_empty())
}

/// A name so that it sorts by its numbers: `b9` before `b10`.
pub(super) fn natural_order(name: &str) -> Vec<(String, u64)> {
    let NumberedName { texts, numbers } = NumberedName::of(name);
    let numbers = numbers.into_iter().chain([0]);
    texts.into_iter().zip(numbers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_a_template_takes() {
        let name = NumberedName::of("blocks.2.10_norm1");
        assert_eq!(name.texts, ["blocks.", ".", "_norm", ""]);
        assert_eq!(name.numbers, [2, 10, 1]);
        assert_eq!(NumberedName::of("a007b0é").texts, ["a007b", "é"]);
        assert_eq!(NumberedName::of("a1234567890").numbers, [0; 0]);
        assert_eq!(name.stem(1), ["blocks.", "."]);
    }

    #[test]
    fn names_in_natural_order() {
        let mut names = ["b10", "b9_x", "a", "b9"];
        names.sort_by_key(|name| natural_order(name));
        assert_eq!(names, ["a", "b9", "b9_x", "b10"]);
        assert_eq!(last_word("model_blocks_"), Some("blocks"));
        assert_eq!(last_word("_._"), None);
    }
}
