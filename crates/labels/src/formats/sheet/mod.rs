//! Tables of other programs, whatever separates their fields: rows of text, read line by line.
//!
//! Text is UTF-8 or UTF-16, with or without a byte-order mark. Fields are separated by commas, semicolons,
//! tabs or runs of spaces, which the beginning of the file shows. A quoted field may hold line breaks. A line
//! `sep=;`, which Excel writes, and a number of rows, as CelebA's lists begin with, are skipped; a header
//! without a name above the names of images (R's row names, CelebA) gets one.

mod columns;
mod encoding;

use std::borrow::Cow;
use std::path::Path;

pub(super) use self::columns::{
    Columns, describes, image_column, is_split_column, never_labels, split_said, weak_image_column,
};
pub(super) use self::encoding::head_text;
use super::lines::{Lines, split, text};
use super::report::Report;
use crate::images::has_extension;
use crate::{Error, Result};

/// Most bytes and lines of a row whose quoted fields hold line breaks.
const LONGEST_ROW: (usize, usize) = (1 << 16, 200);

/// The name of a first column that has none.
const UNNAMED: &str = "image";

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Lines before the first row.
    skipped: usize,
    delimiter: Delimiter,
    /// Whether the first row lacks the name of the first column.
    lacks_name: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delimiter {
    Character(char),
    /// Any number of spaces.
    Spaces,
}

impl Layout {
    /// How a table with this beginning is written.
    pub fn of(head: &str) -> Self {
        let mut lines = head.lines().filter(|line| !line.trim().is_empty()).peekable();
        let first = lines.peek().copied().unwrap_or_default().trim();
        let chosen = first.strip_prefix("sep=").and_then(|rest| rest.chars().next());
        let counted = first.parse::<u64>().is_ok();
        let skipped = usize::from(chosen.is_some() || counted);
        let mut lines = lines.skip(skipped);
        let (header, row) = (lines.next().unwrap_or_default(), lines.next());
        let delimiter = chosen.map(Delimiter::Character).unwrap_or_else(|| Delimiter::between(header, row));
        let names: Vec<String> = delimiter
            .split(header)
            .map_or_else(|_| Vec::new(), |names| names.into_iter().map(Cow::into_owned).collect());
        let below = row.and_then(|row| delimiter.split(row).ok());
        let named = names.is_empty() || image_column(&names).is_some();
        let lacks_name =
            !named && below.is_some_and(|row| row.len() == names.len() + 1 && has_row_name(&row));
        Self { skipped, delimiter, lacks_name }
    }

    /// The first two rows of a beginning, fields trimmed.
    pub fn rows(self, head: &str) -> [Vec<String>; 2] {
        let mut lines = head.lines().filter(|line| !line.trim().is_empty()).skip(self.skipped);
        let [mut header, row] = [(); 2].map(|()| self.row(&mut lines).unwrap_or_default());
        if self.lacks_name {
            header.insert(0, UNNAMED.to_owned());
        }
        [header, row]
    }

    /// The next row, over several lines where a quoted field holds line breaks.
    fn row<'a>(self, lines: &mut impl Iterator<Item = &'a str>) -> Option<Vec<String>> {
        let mut row = lines.next()?.to_owned();
        for _ in 0..LONGEST_ROW.1 {
            if !is_open(&row, self.delimiter) {
                break;
            }
            row = row + "\n" + lines.next()?;
        }
        let fields = self.delimiter.split(&row).ok()?;
        Some(fields.iter().map(|field| field.trim().to_owned()).collect())
    }
}

/// Whether a row is the name of an image and numbers; in a list of tags, `a.jpg,cat,dog` below `image,tags` is
/// a wrong line.
fn has_row_name(row: &[Cow<'_, str>]) -> bool {
    // R writes NA, TRUE and FALSE.
    let cell = |field: &Cow<'_, str>| {
        let field = field.trim();
        field.parse::<f64>().is_ok() || ["", "NA", "TRUE", "FALSE"].contains(&field)
    };
    has_extension(row[0].trim()) && row[1..].iter().all(cell)
}

impl Delimiter {
    /// What separates the fields of a first row and of the row below it: a tab where there is one; a comma or a
    /// semicolon, whichever leaves the name of an image at the beginning, else whichever is there more often;
    /// spaces where nothing else does.
    fn between(header: &str, row: Option<&str>) -> Self {
        if header.contains('\t') {
            return Delimiter::Character('\t');
        }
        let count = |mark: char| split(header, mark).map_or(0, |fields| fields.len());
        let names = |mark: char| {
            let fields = split(row.unwrap_or(header), mark).unwrap_or_default();
            fields.len() > 1 && fields.first().is_some_and(|field| has_extension(field.trim()))
        };
        let [comma, semicolon] = [',', ';'].map(|mark| (names(mark), count(mark)));
        if comma.1 < 2 && semicolon.1 < 2 {
            let names = |row: &str| row.split_whitespace().next().is_some_and(has_extension);
            let spaces = header.trim().contains(char::is_whitespace) && row.is_some_and(names);
            return if spaces { Delimiter::Spaces } else { Delimiter::Character(',') };
        }
        Delimiter::Character(if semicolon > comma && semicolon.1 > 1 { ';' } else { ',' })
    }

    fn split(self, line: &str) -> Result<Vec<Cow<'_, str>>, &'static str> {
        match self {
            Delimiter::Character(mark) => split(line, mark),
            Delimiter::Spaces => Ok(line.split_whitespace().map(Cow::Borrowed).collect()),
        }
    }
}

/// The first two rows of a table, fields trimmed.
///
/// # Errors
/// If the file cannot be opened or read.
pub(super) fn beginning(path: &Path) -> Result<[Vec<String>; 2]> {
    let (_, head) = encoding::open(path)?;
    Ok(Layout::of(&head).rows(&head))
}

/// Calls `each` with the fields of every row, the header first; rows that cannot be read are noted in its
/// report.
///
/// # Errors
/// All wrong lines at once; a file that cannot be opened or read.
pub(super) fn for_each_row(
    path: &Path,
    mut each: impl FnMut(&[Cow<'_, str>], &mut Report<'_>) -> Result<()>,
) -> Result<()> {
    let (reader, head) = encoding::open(path)?;
    let layout = Layout::of(&head);
    let mut lines = Lines::new(path, reader);
    for _ in 0..layout.skipped {
        lines.advance()?;
    }
    let mut first = true;
    let mut row = String::new();
    while lines.advance()? {
        let begin = lines.report.line;
        let Some(line) = text(&lines.bytes, &mut lines.report) else { continue };
        line.clone_into(&mut row);
        while is_open(&row, layout.delimiter)
            && row.len() < LONGEST_ROW.0
            && lines.report.line - begin < LONGEST_ROW.1
            && lines.advance_one()?
        {
            row.push('\n');
            row += text(&lines.bytes, &mut lines.report).unwrap_or_default();
        }
        let last = std::mem::replace(&mut lines.report.line, begin);
        match layout.delimiter.split(&row) {
            Ok(mut fields) => {
                if std::mem::take(&mut first) && layout.lacks_name {
                    fields.insert(0, UNNAMED.into());
                }
                each(&fields, &mut lines.report)?;
            }
            Err(_) if is_open(&row, layout.delimiter) => {
                lines.report.note(|| format!("a quoted field has no closing quote up to line {last}"));
            }
            Err(what) => lines.report.note(|| what.into()),
        }
        lines.report.line = last;
    }
    let mut report = lines.report;
    if first && report.problems.is_empty() {
        report.note(|| "an empty file; expected lines of an image and its labels".into());
    }
    report.problems.or(())
}

/// Whether a quoted field of a row has no end yet.
fn is_open(row: &str, delimiter: Delimiter) -> bool {
    row.contains('"') && delimiter.split(row).is_err_and(|what| what.starts_with("a quoted field"))
}

/// What is wrong with a row that has not as many fields as the header.
pub(super) fn wrong_count(found: usize, expected: usize) -> String {
    format!("{found} fields; expected {expected}, as in the header")
}

/// A usage error about a table.
pub(super) fn usage<T>(path: &Path, what: impl std::fmt::Display) -> Result<T> {
    Err(Error::Usage(format!("{}: {what}", path.display())))
}

#[cfg(test)]
mod tests;
