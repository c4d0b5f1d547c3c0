//! Words that answer a question which is a category by itself: yes, no, or that nobody can say.

use crate::labels::Label;

/// What a word says of its question, if that is clear beyond doubt. Words such as `positive` or `none` are not:
/// they are as often one answer of several.
pub(crate) fn said(word: &str) -> Option<Label> {
    let word = word.trim().to_lowercase().replace('_', " ").replace('\u{2019}', "'");
    match word.as_str() {
        "yes" | "true" | "present" => Some(Label::Positive),
        "no" | "false" | "absent" => Some(Label::Negative),
        "unknown" | "unsure" | "not sure" | "uncertain" | "don't know" | "can't tell" | "cannot tell" => {
            Some(Label::Unknown)
        }
        _ => None,
    }
}

/// The same for a question all of whose answers are such words: there `positive` and `negative` are clear, too.
pub(crate) fn answered(word: &str) -> Option<Label> {
    said(word).or_else(|| match word.trim().to_lowercase().as_str() {
        "positive" => Some(Label::Positive),
        "negative" => Some(Label::Negative),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_words_are_states_and_others_are_answers() {
        let states = [
            ("Yes", Label::Positive),
            (" true ", Label::Positive),
            ("no", Label::Negative),
            ("ABSENT", Label::Negative),
            ("Not_sure", Label::Unknown),
            ("don\u{2019}t know", Label::Unknown),
        ];
        for (word, label) in states {
            assert_eq!(said(word), Some(label), "{word}");
        }
        for word in ["", "sun", "positive", "negative", "none", "1", "yes and no", "n/a"] {
            assert_eq!(said(word), None, "{word}");
        }
    }

    #[test]
    fn two_words_more_are_clear_among_their_like() {
        assert_eq!(answered(" Positive"), Some(Label::Positive));
        assert_eq!(answered("negative"), Some(Label::Negative));
        assert_eq!(answered("No"), Some(Label::Negative));
        assert_eq!(answered("neutral"), None);
    }
}
