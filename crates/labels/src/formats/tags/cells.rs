//! What a cell of tags holds: a list as Python, NumPy, JSON or PostgreSQL write it, a word for nothing, or text.

use std::borrow::Cow;

/// What programs write where nobody gave tags. An empty cell is not among them: it is a list without a tag.
const MISSING: [&str; 10] = ["nan", "none", "null", "na", "n/a", "<na>", "nat", "undefined", "-1", "\\n"];

/// The content of a cell.
#[derive(Debug, PartialEq)]
pub(super) enum Cell<'a> {
    /// Nobody looked: `nan`, `None`, `-1` and the like.
    Missing,
    /// A list; perhaps without a tag.
    List(Vec<Cow<'a, str>>),
    /// One tag, or several with something between them.
    Text(&'a str),
}

/// Tells what a cell holds.
pub(super) fn cell(text: &str) -> Cell<'_> {
    let text = text.trim();
    if MISSING.contains(&text.to_lowercase().as_str()) {
        return Cell::Missing;
    }
    let inside = [("[", "]"), ("(", ")"), ("{", "}")]
        .iter()
        .find_map(|(open, close)| text.strip_prefix(open)?.strip_suffix(close));
    match inside.and_then(list) {
        Some(tags) => Cell::List(tags),
        None => Cell::Text(text),
    }
}

/// The items of a list without its brackets: quoted or bare, with commas or spaces between quoted ones.
/// Nothing where it is no list after all, such as `(left) and (right`.
fn list(inside: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut items = Vec::new();
    let mut rest = inside.trim();
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|c| ['\'', '"'].contains(c));
        let (item, after) = match quote {
            Some(quote) => quoted(&rest[1..], quote)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let bare = rest[..end].trim();
                if bare.contains(['[', ']', '(', ')', '{', '}', '\'', '"']) {
                    return None;
                }
                (Cow::Borrowed(bare), &rest[end..])
            }
        };
        if !item.trim().is_empty() {
            items.push(item);
        }
        // NumPy writes no comma between its items.
        rest = after.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some(items)
}

/// A quoted item and what follows its closing quote; a backslash or a doubled quote keeps a quote inside.
fn quoted(text: &str, quote: char) -> Option<(Cow<'_, str>, &str)> {
    let mut item = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => item.push(chars.next()?.1),
            c if c == quote => match chars.peek() {
                Some(&(_, next)) if next == quote => {
                    item.push(quote);
                    chars.next();
                }
                _ => return Some((Cow::Owned(item), &text[at + quote.len_utf8()..])),
            },
            c => item.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_every_language_are_read() {
        for text in [
            "['cat', \"it's\"]",
            "[\"cat\", \"it's\"]",
            "['cat' \"it's\"]",
            "{cat,\"it's\"}",
            "('cat','it''s')",
        ] {
            assert_eq!(cell(text), Cell::List(vec!["cat".into(), "it's".into()]), "{text}");
        }
        assert_eq!(cell("[cat, traffic light]"), Cell::List(vec!["cat".into(), "traffic light".into()]));
        assert_eq!(cell("['a\\'b',]"), Cell::List(vec!["a'b".into()]));
        assert_eq!(cell("[]"), Cell::List(Vec::new()));
        assert_eq!(cell("('cat',)"), Cell::List(vec!["cat".into()]));
    }

    #[test]
    fn words_for_nothing_are_told_from_tags() {
        for text in ["nan", "NaN", "None", " null ", "N/A", "<NA>", "-1", "\\N"] {
            assert_eq!(cell(text), Cell::Missing, "{text}");
        }
        for text in ["cat", "No Finding", "nano", "(left) and (right)", "['open", "cat [front]", ""] {
            assert_eq!(cell(text), Cell::Text(text.trim()), "{text}");
        }
    }
}
