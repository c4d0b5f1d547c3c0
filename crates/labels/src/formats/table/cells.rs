//! What a cell of a table says of its category.

use crate::formats::options::Words;
use crate::labels::Label;

/// What is accepted, for messages.
pub(super) const ACCEPTED: &str =
    "expected 1, 0 or -1, words such as yes and no, true and false, or blank (unknown) in each of its cells";

const YES: [&str; 6] = ["true", "t", "yes", "y", "present", "positive"];
const NO: [&str; 6] = ["false", "f", "no", "n", "absent", "negative"];
/// What people and programs write where nobody knows.
const UNKNOWN: [&str; 13] = [
    "?",
    "unknown",
    "unsure",
    "not sure",
    "uncertain",
    "nan",
    "none",
    "null",
    "na",
    "n/a",
    "<na>",
    "undefined",
    "\\n",
];

/// The content of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    /// 1 or a word.
    Yes,
    /// A word.
    NoWord,
    Zero,
    MinusOne,
    /// Nothing, or a word that says so.
    Blank,
}

impl Cell {
    /// As a number of a label array: 1 positive, 0 unknown, −1 negative.
    pub fn value(self) -> Label {
        match self {
            Cell::Yes => Label::Positive,
            Cell::NoWord | Cell::Zero | Cell::Blank => Label::Unknown,
            Cell::MinusOne => Label::Negative,
        }
    }
}

/// What a trimmed cell says; nothing if it is no label.
pub(super) fn cell(text: &str, words: &Words) -> Option<Cell> {
    match (words.label(text), text) {
        (Some(Label::Positive), _) => Some(Cell::Yes),
        (Some(Label::Negative), _) => Some(Cell::NoWord),
        (Some(Label::Unknown), _) => Some(Cell::Blank),
        (None, "1" | "+1" | "1.0") => Some(Cell::Yes),
        (None, "0" | "0.0") => Some(Cell::Zero),
        (None, "-1" | "-1.0") => Some(Cell::MinusOne),
        (None, "") => Some(Cell::Blank),
        (None, text) => word(text),
    }
}

fn word(text: &str) -> Option<Cell> {
    // Longer than any word; most are names and numbers of columns that are no labels.
    if text.len() > 12 {
        return None;
    }
    let lower = text.to_lowercase();
    let is = |words: &[&str]| words.contains(&&*lower);
    match text.parse::<f64>() {
        Ok(1.0) => Some(Cell::Yes),
        Ok(0.0) => Some(Cell::Zero),
        Ok(-1.0) => Some(Cell::MinusOne),
        _ if is(&YES) => Some(Cell::Yes),
        _ if is(&NO) => Some(Cell::NoWord),
        _ if is(&UNKNOWN) => Some(Cell::Blank),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_of_every_program_are_told() {
        let none = Words::default();
        let all = |texts: &[&str], expected| {
            texts.iter().for_each(|text| assert_eq!(cell(text, &none), expected, "{text}"));
        };
        all(&["1", "+1", "1.0", "1.00", "True", "YES", "present"], Some(Cell::Yes));
        all(&["0", "0.0", "-0", "0e0"], Some(Cell::Zero));
        all(&["False", "no", "ABSENT"], Some(Cell::NoWord));
        all(&["-1", "-1.0"], Some(Cell::MinusOne));
        all(&["", "nan", "None", "<NA>", "?", "\\N", "not sure"], Some(Cell::Blank));
        all(&["2", "0.5", "inf", "cat", "maybe", "not there at all"], None);
    }

    #[test]
    fn words_of_the_user_win() {
        let list = |word: &str| vec![word.to_owned()];
        let words = Words { yes: list("x"), no: list("0"), unknown: list("NO") };
        assert_eq!(
            ["X", "0", "no"].map(|text| cell(text, &words)),
            [Some(Cell::Yes), Some(Cell::NoWord), Some(Cell::Blank)]
        );
    }

    #[test]
    fn numbers_may_be_written_in_many_ways_but_not_at_any_length() {
        let said = |text: &str| cell(text, &Words::default());
        assert_eq!(
            ["1.0000000000", "-1.00", "0e0"].map(said),
            [Cell::Yes, Cell::MinusOne, Cell::Zero].map(Some)
        );
        assert_eq!(["1.00000000000", "1.000000000000", "2", "0.5"].map(said), [None; 4]);
    }
}
