//! Pieces of HTML. Whatever comes from users goes through here: names are escaped, and isolated from the direction
//! of the text around them.

use std::fmt::Write;

use sarb_labels::text::escape_xml;

/// A name of the user's: letters from right to left in it turn nothing else around.
pub(super) fn name(name: &str) -> String {
    // A long path breaks between its parts.
    format!("<bdi>{}</bdi>", escape_xml(name).replace('/', "/<wbr>"))
}

/// A part of the page with its heading; `note`, plain text, says how to read it, `content` is HTML.
pub(super) fn section(id: &str, title: &str, note: &str, content: &str) -> String {
    format!(
        "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{}</h2>\n{}{content}</section>\n",
        escape_xml(title),
        paragraph(note)
    )
}

/// A quiet paragraph of plain text; nothing of nothing.
pub(super) fn paragraph(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<p class=\"note\">{}</p>\n", escape_xml(text)) }
}

/// A cell of a table.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    html: String,
    /// What the column is sorted by, a number or words; cells without it come last.
    key: Option<String>,
    number: bool,
}

impl Cell {
    /// Of HTML, such as a [`name`].
    pub fn html(html: String) -> Self {
        Self { html, key: None, number: false }
    }

    /// Plain text.
    pub fn text(text: &str) -> Self {
        Self::html(escape_xml(text))
    }

    /// A number as it is shown, and as it is.
    pub fn number(shown: &str, key: Option<f64>) -> Self {
        Self { html: escape_xml(shown), key: key.map(|key| key.to_string()), number: true }
    }

    /// Shown as this HTML instead.
    pub fn with_html(self, html: String) -> Self {
        Self { html, ..self }
    }

    /// Sorted by these words.
    pub fn sorted_as(self, words: &str) -> Self {
        Self { key: Some(words.to_owned()), ..self }
    }
}

/// A table that scrolls by itself where the page is narrow; the first cell of a row is its heading. One that is
/// sorted has buttons in its heading.
pub(super) fn table(caption: &str, heading: &[&str], rows: &[Vec<Cell>], sorted: bool) -> String {
    let numbers: Vec<bool> = (0..heading.len())
        .map(|column| rows.iter().any(|row| row.get(column).is_some_and(|cell| cell.number)))
        .collect();
    let mut html = format!(
        "<div class=\"wide{}\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\">\n<table{}>\n\
         <caption>{caption}</caption>\n<thead><tr>",
        match (rows.len() > 30, heading.len() > 9) {
            (true, true) => " tall dense",
            (true, false) => " tall",
            (false, true) => " dense",
            (false, false) => "",
        },
        if sorted { " class=\"sorted\"" } else { "" },
        caption = escape_xml(caption),
    );
    for (column, words) in heading.iter().enumerate() {
        let class = if numbers[column] { " class=\"number\"" } else { "" };
        let words = escape_xml(words);
        let words = if sorted { format!("<button type=\"button\">{words}</button>") } else { words };
        let _ = write!(html, "<th scope=\"col\"{class}>{words}</th>");
    }
    html += "</tr></thead>\n<tbody>\n";
    for row in rows {
        html += "<tr>";
        for (column, cell) in row.iter().enumerate() {
            let (tag, scope) = if column == 0 { ("th", " scope=\"row\"") } else { ("td", "") };
            let class = if numbers[column] { " class=\"number\"" } else { "" };
            let key =
                cell.key.as_deref().map_or(String::new(), |key| format!(" data-key=\"{}\"", escape_xml(key)));
            let _ = write!(html, "<{tag}{scope}{class}{key}>{}</{tag}>", cell.html);
        }
        html += "</tr>\n";
    }
    html + "</tbody>\n</table>\n</div>\n"
}

/// Something that is shown when it is asked for, and on paper if it is `printed`; `summary` and `content` are HTML.
pub(super) fn details(summary: &str, content: &str, printed: bool) -> String {
    let class = if printed { " class=\"print\"" } else { "" };
    format!("<details{class}><summary>{summary}</summary>\n{content}</details>\n")
}

#[cfg(test)]
mod tests {
    use sarb_labels::text::json_in_html;

    use super::*;

    #[test]
    fn names_cannot_leave_their_place() {
        let hostile = "</script><img src=x onerror=\"alert(1)\">&\u{202e}\u{7}";
        let html = name(hostile);
        assert!(html.starts_with("<bdi>&lt;/<wbr>script&gt;") && html.ends_with("</bdi>"), "{html}");
        assert_eq!(html.matches('<').count(), 3, "{html}");
        let json = json_in_html(&serde_json::json!({ "name": hostile, "comment": "<!--" }));
        assert!(!json.contains(['<', '>', '&']), "{json}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["name"], hostile);
        let rows = [vec![Cell::html(name(hostile)), Cell::number("1", Some(1.0))]];
        let html = table("a \"b\" <c>", &["<d>", "e"], &rows, true);
        assert!(html.contains("aria-label=\"a &quot;b&quot; &lt;c&gt;\"") && html.contains("&lt;d&gt;"));
        assert!(html.contains("<td class=\"number\" data-key=\"1\">1</td>") && !html.contains("<img"));
        assert!(section("a", "<b>", "<i>", "").contains("&lt;b&gt;"));
    }
}
