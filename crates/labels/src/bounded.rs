//! Text whose pieces are never larger than a bound, so that a damaged file, or one of another format, does not fill the
//! memory: readers keep a line, a text in quotes or a tag at a time.

use std::io::{self, Read};

/// Most bytes of a line of text: a row of a table of millions of categories is shorter.
pub(crate) const LONGEST_LINE: u64 = 64 << 20;
/// Most bytes between two quotes of JSON: LabelMe keeps a whole photograph there.
const LONGEST_TEXT: u64 = 256 << 20;

/// A reader of such text.
pub(crate) struct Bounded<R> {
    inner: R,
    /// What ends a piece.
    end: u8,
    /// What keeps the byte after it from ending one.
    escape: Option<u8>,
    most: u64,
    /// Bytes since the last end.
    since: u64,
    /// The last byte that was read.
    last: u8,
    what: &'static str,
}

impl<R: Read> Bounded<R> {
    /// Text with ends of lines.
    pub fn lines(inner: R) -> Self {
        Self { inner, end: b'\n', escape: None, most: LONGEST_LINE, since: 0, last: 0, what: "a line" }
    }

    /// JSON.
    pub fn json(inner: R) -> Self {
        let what = "a text in quotes";
        Self { inner, end: b'"', escape: Some(b'\\'), most: LONGEST_TEXT, since: 0, last: 0, what }
    }

    /// XML.
    pub fn xml(inner: R) -> Self {
        Self {
            inner,
            end: b'>',
            escape: None,
            most: LONGEST_LINE,
            since: 0,
            last: 0,
            what: "a tag or a text",
        }
    }

    fn ends_at(&self, bytes: &[u8], at: usize) -> bool {
        let before = if at == 0 { self.last } else { bytes[at - 1] };
        bytes[at] == self.end && self.escape != Some(before)
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        let bytes = &into[..read];
        let first = (0..read).find(|&at| self.ends_at(bytes, at));
        let largest = self.since + first.unwrap_or(read) as u64;
        if largest > self.most {
            let what =
                format!("{} of more than {} MiB; is the file of another format?", self.what, self.most >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        // Between the first and the last end lies less than a buffer.
        self.since = match (0..read).rev().find(|&at| self.ends_at(bytes, at)) {
            Some(last) => (read - 1 - last) as u64,
            None => self.since + read as u64,
        };
        self.last = bytes.last().copied().unwrap_or(self.last);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// Reads in pieces of seven bytes; whether all of it was read.
    fn is_read(make: impl Fn(Cursor<Vec<u8>>) -> Bounded<Cursor<Vec<u8>>>, most: u64, text: &str) -> bool {
        let mut reader = Bounded { most, ..make(Cursor::new(text.into())) };
        let mut piece = [0; 7];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                    return false;
                }
            }
        }
    }

    #[test]
    fn a_piece_may_be_as_long_as_the_bound_and_no_longer() {
        for length in [1_usize, 6, 7, 8, 20, 30] {
            let line = "a".repeat(length);
            for text in [format!("{line}\n{line}\n{line}"), format!("x\n{line}"), format!("{line}\nx")] {
                assert!(is_read(Bounded::lines, length as u64, &text), "{text:?}");
                assert!(!is_read(Bounded::lines, length as u64 - 1, &text) || length == 1, "{text:?}");
            }
        }
        // A quote that is escaped ends no text.
        let text = r#"{"a": "b\"b\"b\"b\"b\"b\"b"}"#;
        assert!(is_read(Bounded::json, 20, text) && !is_read(Bounded::json, 10, text));
        assert!(is_read(Bounded::xml, 8, "<a><b>text</b>") && !is_read(Bounded::xml, 8, "<abcdefghi></a>"));
    }
}
