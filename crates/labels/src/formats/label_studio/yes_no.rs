//! The words by which a control asks of one category: is it there, is it not, or can nobody tell?

use crate::labels::Label;

const YES: [&str; 4] = ["yes", "present", "true", "positive"];
const NO: [&str; 4] = ["no", "absent", "false", "negative"];
const UNSURE: [&str; 7] =
    ["unsure", "not sure", "unknown", "uncertain", "can't tell", "cannot tell", "don't know"];

/// What an answer says of the category that its control is named after; nothing if it is another word.
pub fn answer(text: &str) -> Option<Label> {
    let word = text.trim().to_lowercase().replace('\u{2019}', "'");
    let among = |words: &[&str]| words.contains(&word.as_str());
    match () {
        () if among(&YES) => Some(Label::Positive),
        () if among(&NO) => Some(Label::Negative),
        () if among(&UNSURE) => Some(Label::Unknown),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_words_are_answers_and_others_are_names() {
        for (words, label) in [
            ("Yes|yes|PRESENT|true|Positive", Label::Positive),
            ("No|absent|False|negative", Label::Negative),
            ("Unsure|unknown|not sure|Can't tell|can\u{2019}t tell| uncertain", Label::Unknown),
        ] {
            words.split('|').for_each(|word| assert_eq!(answer(word), Some(label), "{word}"));
        }
        for word in ["", "cat", "yes please", "N/A", "none", "1", "0", "maybe"] {
            assert_eq!(answer(word), None, "{word}");
        }
    }
}
