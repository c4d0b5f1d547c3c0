//! Lists of names, one per line: the images of a split, the rows or the columns of an array.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use crate::files::write_atomically;
use crate::formats::lines::{Lines, text};
use crate::formats::report::shown;
use crate::{Error, Result};

/// A name and its line, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub line: usize,
    pub name: String,
}

/// Reads the names of a list, of `what` it is; white space around them and blank lines do not count.
///
/// # Errors
/// All lines that are not UTF-8 text or repeat a name; a list without names.
pub(crate) fn read(path: &Path, what: &str) -> Result<Vec<Entry>> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let mut lines = Lines::new(path, BufReader::with_capacity(1 << 20, file));
    let mut entries = Vec::new();
    let mut before = HashMap::new();
    while lines.advance()? {
        let Lines { bytes, report, .. } = &mut lines;
        // White space beyond ASCII is not a blank line yet.
        let Some(name) = text(bytes, report).map(str::trim).filter(|name| !name.is_empty()) else {
            continue;
        };
        match before.insert(name.to_owned(), report.line) {
            Some(first) => report.note(|| format!("{} already appears on line {first}", shown(name))),
            None => entries.push(Entry { line: report.line, name: name.to_owned() }),
        }
    }
    let mut report = lines.report;
    if entries.is_empty() && report.problems.is_empty() {
        report.note(|| format!("an empty list; expected {what}, one per line"));
    }
    report.problems.or(entries)
}

/// Names for `count` categories whose source has none, and what the user should know of that.
pub(crate) fn numbered_categories(count: usize) -> (Vec<String>, String) {
    let note = format!("{count} categories without names: category_0 … ; give them with --categories FILE");
    ((0..count).map(|index| format!("category_{index}")).collect(), note)
}

/// Writes names that [`read`] gives back.
///
/// # Errors
/// [`Error::Data`] for a name that a line cannot hold.
pub(crate) fn write<'a>(path: &Path, names: impl Iterator<Item = &'a str> + Clone) -> Result<()> {
    for name in names.clone() {
        check_name(path, name, "a list of names")?;
    }
    write_atomically(path, |writer| {
        for name in names {
            writeln!(writer, "{name}")?;
        }
        Ok(())
    })
}

/// Refuses a name that a text file cannot give back: empty, more than a line, or with white space around it.
pub(crate) fn check_name(path: &Path, name: &str, file: &str) -> Result<()> {
    let why = match name {
        "" => "an empty name",
        _ if name.contains(['\n', '\r']) => "a name of more than one line",
        _ if name.trim() != name => "a name with white space around it",
        _ => return Ok(()),
    };
    Err(Error::Data(format!("{}: {} is {why}; {file} cannot hold it", path.display(), shown(name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_lines_and_what_is_inside_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images.txt");
        std::fs::write(&path, "\u{feff}a b.jpg\r\n\n  ü,1.jpg \nc.jpg").unwrap();
        let entries = read(&path, "images").unwrap();
        let expected = [(1, "a b.jpg"), (3, "ü,1.jpg"), (4, "c.jpg")];
        assert_eq!(entries, expected.map(|(line, name)| Entry { line, name: name.into() }));
        write(&path, entries.iter().map(|entry| entry.name.as_str())).unwrap();
        assert_eq!(read(&path, "images").unwrap().len(), 3);
    }

    #[test]
    fn repeated_names_and_bytes_that_are_no_text_come_with_their_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images.txt");
        std::fs::write(&path, b"a\nb\na\n\xff\n").unwrap();
        let error = read(&path, "images").unwrap_err().to_string();
        assert!(error.contains("images.txt:3: \"a\" already appears on line 1"), "{error}");
        assert!(error.contains("images.txt:4: no UTF-8 text"), "{error}");
        std::fs::write(&path, "\n \n").unwrap();
        let error = read(&path, "names of images").unwrap_err().to_string();
        assert!(error.ends_with("an empty list; expected names of images, one per line"), "{error}");
    }

    #[test]
    fn names_that_a_line_cannot_hold_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images.txt");
        for name in ["", " a", "a\nb", "a\u{3000}"] {
            let error = write(&path, ["good", name].into_iter()).unwrap_err();
            assert!(error.to_string().ends_with("a list of names cannot hold it"), "{error}");
        }
        assert!(!path.exists());
    }
}
