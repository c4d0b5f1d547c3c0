//! Which keys a JSON file has, told from its head.

use std::collections::BTreeSet;

/// The keys in the head of a JSON file, which may end anywhere: `images`, `images[].id`, `[].data`. Empty if
/// the file begins with neither an object nor an array.
pub fn outline(head: &[u8]) -> BTreeSet<String> {
    /// Deeper keys tell no format from another.
    const DEEPEST: usize = 4;
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let mut keys = BTreeSet::new();
    if !matches!(head.first(), Some(b'{' | b'[')) {
        return keys;
    }
    // The open arrays and objects, each with the path of what is inside; and how many more are open below.
    let mut open: Vec<(bool, String)> = Vec::new();
    let (mut deeper, mut key, mut key_next) = (0_usize, String::new(), false);
    let mut at = 0;
    while let Some(&byte) = head.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' if open.len() == DEEPEST => deeper += 1,
            b'{' | b'[' => {
                let path = match open.last() {
                    None => String::new(),
                    Some((true, inside)) => format!("{inside}[]"),
                    Some((false, _)) => key.clone(),
                };
                key_next = byte == b'{';
                open.push((byte == b'[', path));
            }
            b'}' | b']' if deeper > 0 => deeper -= 1,
            b'}' | b']' => {
                open.pop();
            }
            b',' => key_next = deeper == 0 && matches!(open.last(), Some((false, _))),
            b'"' => {
                let Some(length) = string_length(&head[at..]) else { break };
                if let (true, 0, Some((_, inside))) = (key_next, deeper, open.last()) {
                    let name = String::from_utf8_lossy(&head[at..at + length]);
                    key = if inside.is_empty() { name.into() } else { format!("{inside}.{name}") };
                    keys.insert(key.clone());
                    key_next = false;
                }
                at += length + 1;
            }
            _ => {}
        }
    }
    keys
}

/// The bytes up to the closing quote.
fn string_length(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|&byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(head: &str) -> Vec<String> {
        outline(head.as_bytes()).into_iter().collect()
    }

    #[test]
    fn keys_of_a_file_that_ends_anywhere_are_found_with_their_paths() {
        let text = r#"{"info": {"a\"}{": [1, "b: c"]}, "images": [{"id": 1, "x": {"y": {}}}, {"name": "}"#;
        let expected = ["images", "images[].id", "images[].name", "images[].x", "info", "info.a\\\"}{"];
        assert_eq!(keys(text), [&expected[..4], &["images[].x.y"], &expected[4..]].concat());
        assert_eq!(
            keys("\u{feff} [[1], {\"data\": {\"image\": \"\"}, \"id\": 3, \"cut"),
            ["[].data", "[].data.image", "[].id"]
        );
    }

    #[test]
    fn strings_among_values_are_no_keys() {
        assert_eq!(keys(r#"["a", "b", {"c": "d", "e": ["f", "g"]}]"#), ["[].c", "[].e"]);
        assert!(keys("image,cat\na.jpg,1\n").is_empty() && keys("").is_empty() && keys("\"a\"").is_empty());
    }

    #[test]
    fn what_lies_deeper_than_formats_differ_is_passed_over() {
        assert_eq!(
            keys(r#"{"a":{"b":{"c":{"d":{"e":1},"f":1},"g":1}},"h":1}"#),
            ["a", "a.b", "a.b.c", "a.b.c.d", "a.b.c.f", "a.b.g", "h"]
        );
        assert!(outline(&[b'['; 65536]).is_empty());
        assert_eq!(keys("{\"a\":1}}}}]]]],\"b\":1"), ["a"]);
    }
}
