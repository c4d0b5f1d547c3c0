//! One table, printed as text, Markdown, LaTeX, HTML or CSV.

mod markup;

use std::iter::zip;

/// Characters in a line of sentences below or above a table of text.
const LINE: usize = 100;
/// What is shown where nothing was measured.
pub const NOTHING: &str = "–";

/// A table for people, with the plain values for programs beside each cell.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// Its name in files: letters, digits and hyphens.
    pub name: String,
    /// What it shows, in a few words.
    pub title: String,
    /// What has to be known to read it.
    pub caption: String,
    /// The columns, the names of the rows first.
    pub columns: Vec<Column>,
    /// The rows, a cell a column.
    pub rows: Vec<Vec<Cell>>,
    /// What is to be said below it.
    pub notes: Vec<String>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Column {
    /// What it shares with the columns beside it; empty for nothing.
    pub group: String,
    /// What it holds.
    pub heading: String,
    /// Numbers stand at the right, text and numbers with more behind them at the left.
    pub right: bool,
    /// The columns of the CSV file that it becomes.
    pub csv: Vec<String>,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cell {
    /// What people see.
    pub text: String,
    /// What the CSV file holds, a value for each of the column's.
    pub csv: Vec<String>,
    /// The best of its column.
    pub best: bool,
}

impl Column {
    /// A column of text, one of the CSV file.
    pub fn text(heading: &str, csv: &str) -> Self {
        Self { heading: heading.into(), csv: vec![csv.into()], ..Self::default() }
    }

    /// A column of numbers at the right.
    pub fn number(heading: &str, csv: &str) -> Self {
        Self { right: true, ..Self::text(heading, csv) }
    }

    /// The same column under a heading that it shares with others.
    pub fn under(self, group: &str) -> Self {
        Self { group: group.into(), ..self }
    }
}

impl Cell {
    /// Text, the same for people and programs.
    pub fn text(text: &str) -> Self {
        Self { text: text.into(), csv: vec![text.into()], best: false }
    }

    /// Nothing measured; `columns` empty values in the CSV file.
    pub fn nothing(columns: usize) -> Self {
        Self { text: NOTHING.into(), csv: vec![String::new(); columns], best: false }
    }

    /// A fraction as percent, one decimal for people and two for programs.
    pub fn percent(fraction: Option<f64>) -> Self {
        match fraction {
            Some(fraction) => Self { text: percent(fraction), csv: vec![csv_percent(fraction)], best: false },
            None => Self::nothing(1),
        }
    }
}

/// A fraction as percent with one decimal.
pub fn percent(fraction: f64) -> String {
    format!("{:.1}", 100.0 * fraction)
}

/// A fraction as percent with two decimals, for programs.
pub fn csv_percent(fraction: f64) -> String {
    format!("{:.2}", 100.0 * fraction)
}

/// A difference of fractions in percent, with its sign; what rounds to 0 has none.
pub fn signed_percent(fraction: f64) -> String {
    let digits = format!("{:.1}", (100.0 * fraction).abs());
    match () {
        () if digits == "0.0" => digits,
        () if fraction < 0.0 => format!("−{digits}"),
        () => format!("+{digits}"),
    }
}

impl Table {
    /// Aligned text, as a terminal shows it.
    pub fn to_text(&self) -> String {
        let widths = self.widths();
        let mut lines = vec![self.title.clone(), wrapped(&self.caption), String::new()];
        if self.has_groups() {
            lines.push(self.group_line(&widths));
        }
        let headings: Vec<&str> = self.columns.iter().map(|column| column.heading.as_str()).collect();
        lines.push(self.line(&headings, &widths));
        lines.push(widths.iter().map(|&width| "─".repeat(width)).collect::<Vec<_>>().join("  "));
        for row in &self.rows {
            let texts: Vec<&str> = row.iter().map(|cell| cell.text.as_str()).collect();
            lines.push(self.line(&texts, &widths));
        }
        if !self.notes.is_empty() {
            lines.push(String::new());
            lines.extend(self.notes.iter().map(|note| wrapped(note)));
        }
        lines.join("\n") + "\n"
    }

    /// Comma-separated values, a header line and a line per row.
    pub fn to_csv(&self) -> String {
        let line =
            |fields: Vec<String>| fields.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(",");
        let header = line(self.columns.iter().flat_map(|column| column.csv.clone()).collect());
        let rows = self.rows.iter().map(|row| line(row.iter().flat_map(|cell| cell.csv.clone()).collect()));
        std::iter::once(header).chain(rows).map(|line| line + "\n").collect()
    }

    /// What the CSV file holds, for programs: title, caption and notes, and an object per row by the names of
    /// the columns; numbers as numbers, nothing measured as null.
    pub fn to_json(&self) -> serde_json::Value {
        let names: Vec<&String> = self.columns.iter().flat_map(|column| &column.csv).collect();
        let value = |text: &String| match (text.is_empty(), text.parse::<f64>()) {
            (true, _) => serde_json::Value::Null,
            (false, Ok(number)) => number.into(),
            (false, Err(_)) => text.as_str().into(),
        };
        let row = |row: &Vec<Cell>| -> serde_json::Value {
            let values = row.iter().flat_map(|cell| &cell.csv).map(value);
            zip(&names, values).map(|(name, value)| ((*name).clone(), value)).collect()
        };
        let rows: Vec<serde_json::Value> = self.rows.iter().map(row).collect();
        serde_json::json!({ "title": self.title, "caption": self.caption, "rows": rows, "notes": self.notes })
    }

    fn line(&self, texts: &[&str], widths: &[usize]) -> String {
        let cells = zip(zip(texts, widths), &self.columns).map(|((text, &width), column)| {
            let space = " ".repeat(width.saturating_sub(length(text)));
            if column.right { space + text } else { (*text).to_owned() + &space }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }

    /// Group names over the first of their columns.
    fn group_line(&self, widths: &[usize]) -> String {
        let mut line = String::new();
        for (name, columns) in self.groups() {
            let width = widths[columns.clone()].iter().sum::<usize>() + 2 * (columns.len() - 1);
            let space = width.saturating_sub(length(name));
            let rule = match space {
                3.. if !name.is_empty() => format!(" {}", "─".repeat(space - 1)),
                _ => " ".repeat(space),
            };
            line += &format!("{name}{rule}  ");
        }
        line.trim_end().to_owned()
    }

    /// Wide enough for headings, cells and, in the last column of each group, the group's name.
    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|column| length(&column.heading)).collect();
        for row in &self.rows {
            zip(&mut widths, row).for_each(|(width, cell)| *width = length(&cell.text).max(*width));
        }
        for (name, columns) in self.groups() {
            let width = widths[columns.clone()].iter().sum::<usize>() + 2 * (columns.len() - 1);
            widths[columns.end - 1] += length(name).saturating_sub(width);
        }
        widths
    }

    fn has_groups(&self) -> bool {
        self.columns.iter().any(|column| !column.group.is_empty())
    }

    /// Runs of columns that share a group; columns without one stand alone.
    fn groups(&self) -> Vec<(&str, std::ops::Range<usize>)> {
        let mut groups: Vec<(&str, std::ops::Range<usize>)> = Vec::new();
        for (at, column) in self.columns.iter().enumerate() {
            match groups.last_mut() {
                Some((name, columns)) if !name.is_empty() && *name == column.group => columns.end = at + 1,
                _ => groups.push((&column.group, at..at + 1)),
            }
        }
        groups
    }
}

/// Sentences in lines of at most [`LINE`] characters, broken at spaces.
fn wrapped(text: &str) -> String {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split(' ') {
        if !line.is_empty() && length(&line) + 1 + length(word) > LINE {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    lines.push(line);
    lines.join("\n")
}

/// Characters, which is what a terminal gives a place each in the scripts that tables are written in.
fn length(text: &str) -> usize {
    text.chars().count()
}

fn quoted(field: &str) -> String {
    match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Two rows with names that every format has to escape, a group and a note.
    pub fn awkward() -> Table {
        let number = |value: f64, best| Cell { best, ..Cell::percent(Some(value)) };
        Table {
            name: "awkward".into(),
            title: "A & B".into(),
            caption: "50 % of a_b < c|d.".into(),
            columns: vec![
                Column::text("system", "system"),
                Column::number("mAP", "map_percent").under("ours"),
                Column::number("OF1", "of1_percent").under("ours"),
                Column::text("paper", "paper"),
            ],
            rows: vec![
                vec![Cell::text("a & b_c, 5 %"), number(0.5, false), number(0.0814, true), Cell::nothing(1)],
                vec![Cell::text("x|y < z"), number(1.0, true), number(0.08, false), Cell::text("± α")],
            ],
            notes: vec!["a & b: missing".into()],
        }
    }

    #[test]
    fn text_is_aligned() {
        assert_eq!(
            awkward().to_text(),
            "A & B\n50 % of a_b < c|d.\n\n              ours ─────\n\
             system          mAP  OF1  paper\n────────────  ─────  ───  ─────\n\
             a & b_c, 5 %   50.0  8.1  –\nx|y < z       100.0  8.0  ± α\n\na & b: missing\n"
        );
    }

    #[test]
    fn long_group_names_widen_their_last_column() {
        let mut table = awkward();
        table.columns.iter_mut().for_each(|column| {
            if !column.group.is_empty() {
                column.group = "paper, MS-COCO".into();
            }
        });
        let text = table.to_text();
        assert!(text.contains("\n              paper, MS-COCO\n"), "{text}");
        assert!(text.contains("\nsystem          mAP      OF1  paper\n"), "{text}");
    }

    #[test]
    fn csv_holds_two_decimals_and_quotes_what_needs_it() {
        assert_eq!(
            awkward().to_csv(),
            "system,map_percent,of1_percent,paper\n\"a & b_c, 5 %\",50.00,8.14,\nx|y < z,100.00,8.00,± α\n"
        );
        assert_eq!(quoted("a \"b\""), "\"a \"\"b\"\"\"");
    }

    #[test]
    fn sentences_are_broken_at_spaces() {
        let text = format!("{} {}", "a".repeat(98), "b c");
        assert_eq!(wrapped(&text), format!("{} b\nc", "a".repeat(98)));
        assert_eq!(wrapped(&"a".repeat(120)), "a".repeat(120));
    }

    #[test]
    fn differences_carry_their_sign() {
        assert_eq!([-0.0123, 0.0123, -0.0001].map(signed_percent), ["−1.2", "+1.2", "0.0"]);
    }
}
