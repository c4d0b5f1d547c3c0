//! How numbers, names and tables are written for people.

use std::time::Duration;

/// `a, b and c`.
pub fn listed(words: &[impl AsRef<str>]) -> String {
    match words {
        [] => String::new(),
        [word] => word.as_ref().to_owned(),
        [words @ .., last] => {
            let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", words.join(", "), last.as_ref())
        }
    }
}

/// A whole number with its thousands apart: `40,504`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A fraction in percent with one decimal: `0.5` is `50.0`.
pub fn percent(fraction: f64) -> String {
    format!("{:.1}", 100.0 * fraction)
}

/// What `part` is of `whole`, in percent with one decimal; of nothing, a dash.
pub fn share(part: usize, whole: usize) -> String {
    if whole == 0 { "–".into() } else { percent(part as f64 / whole as f64) }
}

/// A proportion in percent, without floating-point dust: `0.29` is `29`.
pub fn in_percent(proportion: f64) -> f64 {
    (proportion * 1e6).round() / 1e4
}

/// Seconds as people say them: `48 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(seconds: f64) -> String {
    let s = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX).as_secs();
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// Rows as a table: the first column to the left, the others to the right; each row ends its line.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut table = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("  {cell:>width$}"),
        });
        table += cells.collect::<String>().trim_end();
        table.push('\n');
    }
    table
}

/// JSON within a `<script>` element of HTML: neither `</script>` nor `<!--` can be in it.
pub fn json_in_html(value: &impl serde::Serialize) -> String {
    let json = serde_json::to_string(value).expect("plain data");
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// Text as XML and HTML hold it; control characters, which XML does not allow, are dropped.
pub fn escape_xml(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            c if c.is_control() && c != '\n' => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// The letters and digits of a name, in lower case: what is left of `Image Index` and `image_index`.
pub fn letters(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// A name in lower case without spaces, `_` and `-`: equal for names that differ in writing only. Unlike
/// [`letters`], it keeps `c++` and `c#` apart.
pub fn spelling(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace() && !"_-".contains(*c)).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_as_in_a_sentence() {
        assert_eq!(listed(&["a"; 0]), "");
        assert_eq!([listed(&["a"]), listed(&["a", "b", "c"])], ["a", "a, b and c"]);
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!([7, 123, 1000, 40_504].map(thousands), ["7", "123", "1,000", "40,504"]);
        assert_eq!((percent(0.125), share(1, 3), share(0, 0)), ("12.5".into(), "33.3".into(), "–".into()));
        assert_eq!((in_percent(0.29), in_percent(0.125)), (29.0, 12.5));
    }

    #[test]
    fn durations_read_calmly() {
        assert_eq!([48.4, 200.0, 7500.0].map(duration), ["48 s", "3 min 20 s", "2 h 5 min"]);
        // What a clock that stood still, or was set back, may give.
        assert_eq!([-3.0, f64::NAN].map(duration), ["0 s", "0 s"]);
        assert!(duration(f64::INFINITY).ends_with(" h 0 min"));
    }

    #[test]
    fn columns_of_a_table_line_up() {
        let rows = [["name", "mAP"], ["café", "9.5"], ["x", ""]].map(|row| row.map(String::from).to_vec());
        assert_eq!(aligned(&rows), "name  mAP\ncafé  9.5\nx\n");
    }

    #[test]
    fn names_are_compared_by_their_letters() {
        assert_eq!(letters("Image Index (1)"), "imageindex1");
        assert_eq!(spelling("Dining_Table"), spelling("dining table"));
        assert_ne!(spelling("c++"), spelling("c#"));
    }

    #[test]
    fn text_in_pages_cannot_end_what_it_is_in() {
        let json = json_in_html(&["</script>", "<!-- & -->"]);
        assert_eq!(json, r#"["\u003c/script\u003e","\u003c!-- \u0026 --\u003e"]"#);
        assert_eq!(escape_xml("<a b=\"c\">\u{1}&\n\u{7f}"), "&lt;a b=&quot;c&quot;&gt;&amp;\n");
    }
}
