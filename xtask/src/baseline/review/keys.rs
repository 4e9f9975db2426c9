//! A review on a terminal: keys, and what they decide.

use console::{Key, Term};

/// What to do with a layer, with all that are left, or after the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReviewStep {
    Accept,
    Reject,
    Next,
    Back,
    AcceptRest,
    RejectRest,
    Write,
}

pub(super) const KEYS: &str = "\
a or right  accept       s, j or down  leave for later    A  accept all others
r or left   reject       k or up       back               R  reject all others
q or Esc    stop: what is decided is written, the rest waits on";

impl ReviewStep {
    fn of(key: &Key) -> Option<ReviewStep> {
        Some(match key {
            Key::Char('a') | Key::ArrowRight => ReviewStep::Accept,
            Key::Char('r') | Key::ArrowLeft => ReviewStep::Reject,
            Key::Char('s' | 'j') | Key::ArrowDown => ReviewStep::Next,
            Key::Char('k') | Key::ArrowUp => ReviewStep::Back,
            Key::Char('A') => ReviewStep::AcceptRest,
            Key::Char('R') => ReviewStep::RejectRest,
            // Ctrl-D is a character where keys are read one by one.
            Key::Char('q' | '\u{4}') | Key::Escape => ReviewStep::Write,
            _ => return None,
        })
    }
}

/// Goes through `count` layers and past the last one, with a hint where the last key was unknown, until what is decided is
/// to be written. Nothing is written where the terminal fails, since no one has confirmed it.
pub(super) fn decide(
    count: usize,
    mut ask: impl FnMut(usize, &[Option<bool>], bool) -> std::io::Result<Key>,
) -> std::io::Result<Vec<Option<bool>>> {
    let mut decisions = vec![None; count];
    let (mut at, mut hint) = (0, false);
    loop {
        let key = ask(at, &decisions, hint)?;
        let step = match (ReviewStep::of(&key), at == count) {
            (_, true) if key == Key::Enter => Some(ReviewStep::Write),
            (Some(ReviewStep::Back | ReviewStep::Write), true) | (_, false) => ReviewStep::of(&key),
            (_, true) => None,
        };
        hint = step.is_none();
        match step {
            None => {}
            Some(ReviewStep::Back) => at = at.saturating_sub(1),
            Some(ReviewStep::Write) => return Ok(decisions),
            Some(rest @ (ReviewStep::AcceptRest | ReviewStep::RejectRest)) => {
                let undecided = decisions.iter_mut().filter(|decision| decision.is_none());
                undecided.for_each(|decision| *decision = Some(rest == ReviewStep::AcceptRest));
                at = count;
            }
            Some(step @ (ReviewStep::Accept | ReviewStep::Reject | ReviewStep::Next)) => {
                match step {
                    ReviewStep::Accept => decisions[at] = Some(true),
                    ReviewStep::Reject => decisions[at] = Some(false),
                    _ => {}
                }
                at += 1;
            }
        }
    }
}

/// Shows a layer, or after the last one what was decided, and waits for a key.
pub(super) fn ask(
    term: &Term,
    layers: &[Vec<String>],
    at: usize,
    decisions: &[Option<bool>],
    hint: bool,
) -> std::io::Result<Key> {
    if hint {
        term.write_line("    that key means nothing here")?;
    }
    let Some(lines) = layers.get(at) else {
        let count = |wanted| decisions.iter().filter(|decision| **decision == wanted).count();
        let (accepted, rejected, waiting) = (count(Some(true)), count(Some(false)), count(None));
        term.write_line(&format!("{accepted} accepted, {rejected} rejected, {waiting} left for later"))?;
        term.write_line("    Enter or q: write that; up: back; Ctrl-C: forget it")?;
        return term.read_key();
    };
    let before = match decisions[at] {
        Some(true) => " (accepted)",
        Some(false) => " (rejected)",
        None => "",
    };
    for (i, line) in lines.iter().enumerate() {
        match i {
            0 => term.write_line(&format!("{} of {}  {line}{before}", at + 1, layers.len()))?,
            _ => term.write_line(line)?,
        }
    }
    term.read_key()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(count: usize, keys: &[Key]) -> std::io::Result<Vec<Option<bool>>> {
        let mut keys = keys.iter();
        decide(count, |_, _, _| keys.next().cloned().ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into()))
    }

    #[test]
    fn what_is_not_decided_waits_on() {
        let key = Key::Char;
        let cases: [(&[Key], [Option<bool>; 3]); 9] = [
            (&[key('q')], [None; 3]),
            (&[key('a'), key('\u{4}')], [Some(true), None, None]),
            (&[key('a'), key('r'), key('q')], [Some(true), Some(false), None]),
            (&[key('s'), Key::ArrowRight, Key::ArrowLeft, Key::Enter], [None, Some(true), Some(false)]),
            (&[key('a'), Key::ArrowUp, key('r'), Key::Escape], [Some(false), None, None]),
            (&[key('r'), key('A'), Key::Enter], [Some(false), Some(true), Some(true)]),
            (&[Key::ArrowDown, key('R'), key('q')], [Some(false); 3]),
            // Behind the last layer there is a way back, and nothing else to decide.
            (
                &[key('A'), key('a'), key('R'), key('k'), key('r'), Key::Enter],
                [Some(true), Some(true), Some(false)],
            ),
            (&[key('j'), key('j'), key('j'), Key::ArrowUp, key('a'), key('q')], [None, None, Some(true)]),
        ];
        for (keys, expected) in cases {
            assert_eq!(decided(3, keys).unwrap(), expected, "{keys:?}");
        }
    }

    #[test]
    fn a_terminal_that_fails_decides_nothing() {
        let keys = [Key::Char('a'), Key::Char('A')];
        for given in [&keys[..0], &keys[..1], &keys] {
            assert!(decided(3, given).is_err(), "{given:?} were not confirmed");
        }
    }

    #[test]
    fn an_unknown_key_decides_nothing_and_shows_a_hint() {
        let mut keys = [Key::Char('x'), Key::Enter, Key::Char('a'), Key::Enter].into_iter();
        let mut hints = Vec::new();
        let decisions = decide(1, |_, _, hint| {
            hints.push(hint);
            keys.next().ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
        })
        .unwrap();
        assert_eq!((decisions, hints), (vec![Some(true)], vec![false, true, true, false]));
    }
}
