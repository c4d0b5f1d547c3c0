//! Lines of text files, and their fields between commas or tabs.
//!
//! Text is UTF-8 with or without a byte-order mark; lines end in LF or CRLF, the last needs no end; fields
//! may be quoted within a line.

use std::borrow::Cow;
use std::io::{BufRead, Read};
use std::path::Path;

use crate::bounded::LONGEST_LINE;
use crate::formats::report::Report;
use crate::{Error, Result};

/// The lines of a text file, without blank ones.
pub(crate) struct Lines<'a, R> {
    reader: R,
    /// The current line with its end.
    pub bytes: Vec<u8>,
    pub report: Report<'a>,
    /// Most bytes of a line.
    longest: u64,
}

impl<'a, R: BufRead> Lines<'a, R> {
    pub fn new(path: &'a Path, reader: R) -> Self {
        Self { reader, bytes: Vec::new(), report: Report::new(path), longest: LONGEST_LINE }
    }

    /// Refuses lines of more bytes, so that a file without ends of lines is not read into memory.
    pub fn at_most(self, bytes: u64) -> Self {
        Self { longest: bytes, ..self }
    }

    /// Goes to the next line that is not blank; false at the end of the file.
    pub fn advance(&mut self) -> Result<bool> {
        while self.advance_one()? {
            if !self.bytes.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Goes to the next line, blank or not; false at the end of the file.
    pub fn advance_one(&mut self) -> Result<bool> {
        self.bytes.clear();
        let most = self.longest.saturating_add(1);
        let read = (&mut self.reader).take(most).read_until(b'\n', &mut self.bytes);
        let read = read.map_err(|error| Error::io(self.report.path, error))?;
        if read == 0 {
            return Ok(false);
        }
        self.report.line += 1;
        if read as u64 == most && self.bytes.last() != Some(&b'\n') {
            let (path, line) = (self.report.path.display(), self.report.line);
            let what = format!("a line of more than {} bytes; is the file of another format?", self.longest);
            return Err(Error::Data(format!("{path}:{line}: {what}")));
        }
        if self.report.line == 1 && self.bytes.starts_with(b"\xef\xbb\xbf") {
            self.bytes.drain(..3);
        }
        Ok(true)
    }
}

/// A line of the file as text, without its end; one that is not text is noted.
pub(crate) fn text<'a>(bytes: &'a [u8], report: &mut Report<'_>) -> Option<&'a str> {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let note = |error: std::str::Utf8Error| {
        let at = error.valid_up_to();
        let (byte, utf16) = (line[at], matches!(line, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]));
        let kind = if utf16 { "UTF-16 text" } else { "no UTF-8 text" };
        report.note(|| format!("{kind} (byte 0x{byte:02X} at column {}); save the file as UTF-8", at + 1));
    };
    std::str::from_utf8(line).map_err(note).ok()
}

/// The fields between the commas of a line of the file; a line that is not text or has an open quote is noted.
pub(crate) fn fields<'a>(bytes: &'a [u8], report: &mut Report<'_>) -> Option<Vec<Cow<'a, str>>> {
    split(text(bytes, report)?, ',').map_err(|what| report.note(|| what.into())).ok()
}

/// The fields of one line, between commas or tabs.
#[allow(
    clippy::manual_pattern_char_comparison,
    reason = "1.7 times as fast over many short cells: the search for a plain char is set up anew for each"
)]
pub(crate) fn split(line: &str, delimiter: char) -> std::result::Result<Vec<Cow<'_, str>>, &'static str> {
    if !line.contains('"') {
        return Ok(line.split(|c| c == delimiter).map(Cow::Borrowed).collect());
    }
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let (field, after) = rest.split_at(rest.find(delimiter).unwrap_or(rest.len()));
                (Cow::Borrowed(field), after)
            }
        };
        fields.push(field);
        match after.strip_prefix(delimiter) {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None if delimiter == '\t' => return Err("text after a closing quote; expected a tab"),
            None => return Err("text after a closing quote; expected a comma"),
        }
    }
}

/// The text up to the closing quote, and what follows it.
fn unquote(text: &str) -> std::result::Result<(Cow<'_, str>, &str), &'static str> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let open = "a quoted field does not end on this line; line breaks inside quotes are not accepted";
        let (before, after) = rest.split_once('"').ok_or(open)?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Ok((Cow::Owned(field), after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_quote_is_said_to_be_wrong_of_the_delimiter_of_the_file() {
        assert_eq!(split("\"a, b\"\tc", '\t').unwrap(), ["a, b", "c"]);
        assert_eq!(split("\"a\"b\tc", '\t').unwrap_err(), "text after a closing quote; expected a tab");
        assert_eq!(split("\"a\"b,c", ',').unwrap_err(), "text after a closing quote; expected a comma");
    }
}
