//! Text files as UTF-8, whatever they are encoded in: UTF-16, as Excel writes "Unicode text", is decoded.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;

use crate::bounded::Bounded;
use crate::{Error, Result};

/// How much of a file shows how it is written.
const HEAD: usize = crate::formats::HEAD as usize;

/// Largest file in UTF-16 that is read; it is decoded in memory.
const LARGEST: u64 = 1 << 30;

/// The text of a file as UTF-8, and its beginning.
///
/// # Errors
/// If the file cannot be read, or is UTF-16 and broken or larger than 1 GiB.
pub(super) fn open(path: &Path) -> Result<(Box<dyn BufRead>, String)> {
    let failed = |error| Error::io(path, error);
    let file = File::open(path).map_err(failed)?;
    let mut reader = BufReader::with_capacity(1 << 20, Bounded::lines(file));
    let head = reader.fill_buf().map_err(failed)?;
    let head = &head[..head.len().min(HEAD)];
    let Some(byte_order) = ByteOrder::of(head) else {
        let head = head_text(head).into_owned();
        return Ok((Box::new(reader), head));
    };
    let mut bytes = Vec::new();
    reader.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    let wrong = |what: &str| Err(Error::Data(format!("{}: {what}; save the file as UTF-8", path.display())));
    if bytes.len() as u64 > LARGEST {
        return wrong("UTF-16 text of more than 1 GiB");
    }
    let Some(text) = byte_order.decode(&bytes).filter(|_| bytes.len().is_multiple_of(2)) else {
        return wrong("broken UTF-16 text");
    };
    let mut end = text.len().min(HEAD);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = head_text(&text.as_bytes()[..end]).into_owned();
    Ok((Box::new(Cursor::new(text.into_bytes())), head))
}

/// The beginning of a file as text, without a byte-order mark and a last line that is cut.
pub(in crate::formats) fn head_text(head: &[u8]) -> Cow<'_, str> {
    let text: Cow<'_, str> = match ByteOrder::of(head) {
        Some(byte_order) => {
            // An odd last byte is no unit.
            let units = byte_order.units(head);
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        None => String::from_utf8_lossy(head),
    };
    let whole =
        if head.len() >= HEAD { text.rfind('\n').map_or(text.len(), |at| at + 1) } else { text.len() };
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text[..whole].trim_start_matches('\u{feff}')),
        Cow::Owned(text) => Cow::Owned(text[..whole].trim_start_matches('\u{feff}').to_owned()),
    }
}

/// Which byte of a unit of UTF-16 comes first.
#[derive(Clone, Copy)]
enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    /// By the byte-order mark, else by the zero byte of the first letter; `None` of text that is not UTF-16.
    fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0xff, 0xfe, ..] => Some(ByteOrder::Little),
            [0xfe, 0xff, ..] => Some(ByteOrder::Big),
            &[first, 0, ..] if first != 0 => Some(ByteOrder::Little),
            &[0, second, ..] if second != 0 => Some(ByteOrder::Big),
            _ => None,
        }
    }

    fn units(self, bytes: &[u8]) -> impl Iterator<Item = u16> {
        bytes.chunks_exact(2).map(move |pair| match self {
            ByteOrder::Little => u16::from_le_bytes([pair[0], pair[1]]),
            ByteOrder::Big => u16::from_be_bytes([pair[0], pair[1]]),
        })
    }

    fn decode(self, bytes: &[u8]) -> Option<String> {
        let text: std::result::Result<String, _> = char::decode_utf16(self.units(bytes)).collect();
        text.ok().map(|text| text.trim_start_matches('\u{feff}').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_whole_lines_where_the_file_goes_on() {
        assert_eq!(head_text(b"\xef\xbb\xbfimage,cat\na.jpg,yes"), "image,cat\na.jpg,yes");
        let long = "a.jpg,yes\n".repeat(HEAD / 10) + "b.jpg,";
        assert_eq!(head_text(&long.as_bytes()[..HEAD]).len(), HEAD / 10 * 10);
        let line = "x".repeat(HEAD);
        assert_eq!(head_text(line.as_bytes()), line);
    }

    #[test]
    fn text_in_two_bytes_is_told_by_its_mark_or_its_first_letter() {
        for (bytes, text) in [
            (&b"\xff\xfea\0b\0c"[..], "ab"),
            (b"\xfe\xff\0a\0b", "ab"),
            (b"a\0b\0", "ab"),
            (b"\0a\0b", "ab"),
            (b"\0\0a\0", "\0\0a\0"),
            (b"ab", "ab"),
        ] {
            assert_eq!(head_text(bytes), text, "{bytes:?}");
        }
    }
}
