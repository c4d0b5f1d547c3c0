//! Streams the XML of label files: elements by their path, each problem with its line.
//!
//! A document type is skipped; no entity is expanded but the five of XML itself; nesting is bounded.
//! So a file can ask for no more memory than its longest tag or text.

use std::io::{self, BufRead, BufReader, Read};

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::bounded::Bounded;
use crate::formats::report::{Report, shown};
use crate::{Error, Result};

/// Most elements inside one another; label files need about six.
const DEEPEST: usize = 64;

/// What happens at an element.
pub(crate) enum Node<'a> {
    /// It begins.
    Open(&'a BytesStart<'a>),
    /// It ends; with its text, trimmed, if no element stands in it.
    Close(&'a str),
}

/// Calls `each` with every element, as the path of its names from the root: `annotation/object/name`.
///
/// Problems of the file go to `report`, whose line is that of the tag; what is not XML ends the walk.
///
/// # Errors
/// [`Error::Io`] only.
pub(crate) fn walk(
    source: impl Read,
    buffer_bytes: usize,
    report: &mut Report<'_>,
    mut each: impl FnMut(&str, Node<'_>, &mut Report<'_>),
) -> Result<()> {
    let lines = Lines { inner: BufReader::with_capacity(buffer_bytes, Bounded::xml(source)), line: 1 };
    let mut reader = Reader::from_reader(lines);
    reader.config_mut().expand_empty_elements = true;
    let mut bytes = Vec::new();
    let mut place = Place::default();
    loop {
        bytes.clear();
        report.line = reader.get_ref().line;
        match reader.read_event_into(&mut bytes) {
            Ok(Event::Start(start)) => {
                if !place.enter(start.name().as_ref(), report) {
                    return Ok(());
                }
                each(&place.path, Node::Open(&start), report);
            }
            Ok(Event::End(_)) => {
                each(&place.path, Node::Close(place.text.trim()), report);
                place.leave();
            }
            Ok(Event::Text(text)) => place.text.push_str(&text),
            Ok(Event::CData(text)) => place.text.push_str(&text),
            Ok(Event::GeneralRef(reference)) => match resolve(&reference) {
                Ok(character) => place.text.push_str(&character),
                Err(what) => report.note(|| what),
            },
            Ok(Event::Eof) => {
                place.check_end(report);
                return Ok(());
            }
            Ok(_) => {}
            Err(quick_xml::Error::Io(error)) => {
                let error = io::Error::new(error.kind(), error.to_string());
                return Err(Error::io(report.path, error));
            }
            Err(quick_xml::Error::Encoding(_)) => {
                report.note(|| "no UTF-8 text; save the file as UTF-8".into());
                return Ok(());
            }
            Err(error) => {
                report.note(|| format!("no XML: {error}"));
                return Ok(());
            }
        }
    }
}

/// The value of an attribute, if it is there; one that cannot be read is noted.
pub(crate) fn attribute(element: &BytesStart<'_>, name: &str, report: &mut Report<'_>) -> Option<String> {
    // The check for repeated attributes would take quadratic time.
    for attribute in element.attributes().with_checks(false) {
        let value = match attribute {
            Ok(attribute) if attribute.key.as_ref() == name => {
                quick_xml::escape::unescape(&attribute.value).map(|value| value.into_owned())
            }
            Ok(_) => continue,
            Err(error) => {
                report.note(|| format!("no XML: {error}"));
                return None;
            }
        };
        return value.map_err(|error| report.note(|| format!("attribute {name}: {error}"))).ok();
    }
    None
}

/// `text` for an attribute or an element.
///
/// # Errors
/// If it holds a character that XML 1.0 cannot hold.
pub(crate) fn escape(text: &str) -> std::result::Result<String, String> {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => escaped.push_str(&format!("&#{};", character as u32)),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => {
                return Err(format!("{} has a character that XML cannot hold", shown(text)));
            }
            _ => escaped.push(character),
        }
    }
    Ok(escaped)
}

fn resolve(reference: &BytesRef<'_>) -> std::result::Result<String, String> {
    let name: &str = reference;
    let wrong = || {
        format!(
            "entity {}; expected &amp; &lt; &gt; &quot; &apos; or a character such as &#233;",
            shown(&format!("&{name};"))
        )
    };
    match reference.resolve_char_ref() {
        Ok(Some(character)) => Ok(character.to_string()),
        Ok(None) => resolve_predefined_entity(name).map(str::to_owned).ok_or_else(wrong),
        Err(_) => Err(wrong()),
    }
}

/// Where the walk is.
#[derive(Default)]
struct Place {
    /// The names of the open elements, from the root.
    path: String,
    /// The length of `path` before each open element.
    starts: Vec<usize>,
    /// The text since the last tag.
    text: String,
    /// Whether the root was there.
    begun: bool,
}

impl Place {
    /// Goes into an element; false if that ends the walk.
    fn enter(&mut self, name: &str, report: &mut Report<'_>) -> bool {
        if self.starts.len() == DEEPEST {
            report.note(|| format!("more than {DEEPEST} elements inside one another"));
            return false;
        }
        if self.starts.is_empty() && std::mem::replace(&mut self.begun, true) {
            report.note(|| format!("a second root element {}; expected the end of the file", shown(name)));
            return false;
        }
        self.starts.push(self.path.len());
        if !self.path.is_empty() {
            self.path.push('/');
        }
        self.path.push_str(name);
        self.text.clear();
        true
    }

    fn leave(&mut self) {
        // An end without a start is an error of the reader.
        let start = self.starts.pop().unwrap_or_default();
        self.path.truncate(start);
        self.text.clear();
    }

    fn check_end(&self, report: &mut Report<'_>) {
        if !self.begun {
            report.note(|| "no XML element".into());
        } else if !self.starts.is_empty() {
            report.note(|| format!("the file ends inside {}; is it cut short?", self.path));
        }
    }
}

/// Counts the lines of what has been taken.
struct Lines<R> {
    inner: BufReader<R>,
    /// The line that comes next, from 1.
    line: usize,
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Lines<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        let taken = self.inner.buffer().iter().take(count);
        self.line += taken.filter(|byte| **byte == b'\n').count();
        self.inner.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Every element as `line path = text`, and the problems.
    fn walked(xml: impl AsRef<[u8]>) -> (Vec<String>, String) {
        let mut report = Report::new(Path::new("a.xml"));
        let mut seen = Vec::new();
        walk(xml.as_ref(), 4, &mut report, |path, node, report| match node {
            Node::Open(start) => {
                if let Some(value) = attribute(start, "x", report) {
                    seen.push(format!("{} {path} x={value}", report.line));
                }
            }
            Node::Close(text) => seen.push(format!("{} {path} = {text}", report.line)),
        })
        .unwrap();
        (seen, report.problems.or(()).map_or_else(|error| error.to_string(), |()| String::new()))
    }

    #[test]
    fn elements_come_with_path_text_attribute_and_line() {
        let xml = "\u{feff}<?xml version='1.0'?>\n<!DOCTYPE a [<!ENTITY e \"boom\">]>\n\
                   <a>\n <b x='1 &lt; &#50;'\n/>\n \
                   <b>caf&#xe9; &amp; <![CDATA[<c>]]><!-- no --></b>\n</a>\n";
        let (seen, problems) = walked(xml);
        assert_eq!(problems, "");
        assert_eq!(seen, ["4 a/b x=1 < 2", "5 a/b = ", "6 a/b = café & <c>", "7 a = "]);
    }

    #[test]
    fn entities_of_a_document_type_are_never_expanded() {
        let xml = "<!DOCTYPE a [<!ENTITY e \"boom\">]>\n<a x='&e;'>\n&e;</a>";
        let (seen, problems) = walked(xml);
        assert_eq!(seen, ["3 a = "]);
        assert!(problems.starts_with("a.xml:2: attribute x: "), "{problems}");
        assert!(problems.contains("\na.xml:3: entity \"&e;\"; expected &amp; &lt;"), "{problems}");
    }

    #[test]
    fn what_is_no_xml_is_said_with_its_line() {
        for (xml, expected) in [
            (&b""[..], "a.xml:1: no XML element"),
            (b"\n\nhello", "a.xml:3: no XML element"),
            (b"<a>\n<b>\n", "a.xml:3: the file ends inside a/b; is it cut short?"),
            (b"<a>\n</b>", "a.xml:2: no XML: ill-formed document: expected `</a>`, but `</b>` was found"),
            (b"<a>\n<b x='1", "a.xml:2: no XML: syntax error: attribute value not closed"),
            (b"<a>\n\xff\xfe</a>", "a.xml:1: no UTF-8 text"),
            (b"\xff\xfe<\0a\0", "a.xml:1: no UTF-8 text"),
            (b"<a/>\n<a/>", "a.xml:2: a second root element \"a\""),
        ] {
            let (_, problems) = walked(xml);
            assert!(problems.starts_with(expected), "{problems} for {xml:?}");
        }
        let (_, problems) = walked("<a>".repeat(1000));
        assert_eq!(problems, "a.xml:1: more than 64 elements inside one another");
    }

    #[test]
    fn what_is_escaped_is_read_back() {
        for text in ["a \"b\" <c> & 'd'", "tab\tline\nreturn\r", "käfig \u{1f408}"] {
            let xml = format!("<a x=\"{}\">-{}-</a>", escape(text).unwrap(), escape(text).unwrap());
            assert_eq!(walked(xml).0[0], format!("1 a x={text}"));
        }
        assert!(escape("\u{1}").unwrap_err().contains("cannot hold"));
    }
}
