//! The name of the program, by which users are told what to type.

use std::borrow::Cow;
use std::sync::OnceLock;

/// What it is called in its own checkout, and in every text of the sources.
const IN_THE_CHECKOUT: &str = "cargo xtask";

static NAME: OnceLock<&'static str> = OnceLock::new();

/// Sets the name, once.
pub(crate) fn set_name(name: &'static str) {
    NAME.get_or_init(|| name);
}

/// The name.
pub(crate) fn name() -> &'static str {
    NAME.get().copied().unwrap_or(IN_THE_CHECKOUT)
}

/// Whether it is called as it is in its own checkout.
pub(crate) fn is_of_the_checkout() -> bool {
    name() == IN_THE_CHECKOUT
}

/// A text in which commands have the program's name of today.
pub(crate) fn told(text: &str) -> Cow<'_, str> {
    match is_of_the_checkout() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.replace(IN_THE_CHECKOUT, name())),
    }
}
