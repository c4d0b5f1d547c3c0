//! JSON label files, read element by element whatever their size, and written one element per line.
//!
//! serde_json takes its source byte by byte, so that a reader that counts lines knows where each element
//! begins; nothing of the file is kept but the element at hand. Nesting is limited by serde_json.

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::marker::PhantomData;
use std::rc::Rc;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::report::Report;
use crate::bounded::Bounded;
use crate::{Error, Result};

mod array;
mod entries;
mod outline;

pub(super) use array::{ArrayWriter, write_array};
pub(super) use entries::{Entries, Lenient};
pub(super) use outline::outline;

/// What is done with the members of a file's top-level object, whose order is free.
pub(super) trait Document {
    /// What the file should be.
    const WHAT: &str = "a JSON object";
    /// Added to what is said of a broken file.
    const EXPECTED: &str = "";

    /// Takes one member; what is wrong with it goes into the member's report.
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, member: Member<'_, '_, A>) -> Result<(), A::Error>;
}

/// The value of one member, not yet read.
pub(super) struct Member<'m, 'r, A> {
    map: &'m mut A,
    report: &'m mut Report<'r>,
    line: &'m Cell<usize>,
}

impl<'de, A: MapAccess<'de>> Member<'_, '_, A> {
    /// Reads over the value, whatever it is.
    pub fn skip(self) -> Result<(), A::Error> {
        self.map.next_value::<IgnoredAny>().map(drop)
    }

    /// Reads the whole value; the report is at the line of its key.
    pub fn value<T: Deserialize<'de>>(self, take: impl FnOnce(T, &mut Report<'_>)) -> Result<(), A::Error> {
        let value = self.map.next_value()?;
        take(value, self.report);
        Ok(())
    }

    /// Reads an array; the report is at the line where the element begins that `each` gets.
    pub fn each<T: Deserialize<'de>>(self, each: impl FnMut(T, &mut Report<'_>)) -> Result<(), A::Error> {
        let Self { map, report, line } = self;
        map.next_value_seed(Elements { report, line, each, element: PhantomData })
    }

    /// Reads an object whose keys are data, in the order of the file; the report is at the line of the key
    /// that `each` gets.
    pub fn entries<T: Deserialize<'de>>(
        self,
        each: impl FnMut(String, T, &mut Report<'_>),
    ) -> Result<(), A::Error> {
        let Self { map, report, line } = self;
        map.next_value_seed(entries::Each { report, line, each, value: PhantomData })
    }
}

/// Reads a file that holds one object. `false` if it is broken, which the report then says.
///
/// # Errors
/// If the file cannot be opened or read.
pub(super) fn read_object<D: Document>(report: &mut Report<'_>, document: &mut D) -> Result<bool> {
    read(report, D::EXPECTED, |json, report, line| json.deserialize_map(Members { document, report, line }))
}

/// Reads a file that holds an array of objects, or just one of them. `false` if it is broken, which the
/// report then says.
///
/// # Errors
/// If the file cannot be opened or read.
pub(super) fn read_elements<T: DeserializeOwned>(
    report: &mut Report<'_>,
    each: impl FnMut(T, &mut Report<'_>),
) -> Result<bool> {
    read(report, "", |json, report, line| {
        json.deserialize_any(OneOrMany(Elements { report, line, each, element: PhantomData }))
    })
}

/// Reads a file that holds objects one after another, as on the lines of NDJSON, or an array of them. `false` if
/// it is broken, which the report then says.
///
/// # Errors
/// If the file cannot be opened or read.
pub(super) fn read_lines<T: DeserializeOwned>(
    report: &mut Report<'_>,
    mut each: impl FnMut(T, &mut Report<'_>),
) -> Result<bool> {
    read(report, "", |json, report, line| {
        loop {
            let each = &mut each;
            json.deserialize_any(OneOrMany(Elements { report, line, each, element: PhantomData }))?;
            match json.end() {
                Err(error) if error.is_syntax() => {}
                end => return end,
            }
        }
    })
}

type Json = serde_json::Deserializer<serde_json::de::IoRead<Counted<File>>>;

fn read<'r>(
    report: &mut Report<'r>,
    expected: &str,
    visit: impl FnOnce(&mut Json, &mut Report<'r>, &Cell<usize>) -> serde_json::Result<()>,
) -> Result<bool> {
    let path = report.path;
    let failed = |error| Error::io(path, error);
    let mut reader = Counted::new(File::open(path).map_err(failed)?);
    if !reader.skip_byte_order_mark().map_err(failed)? {
        report.note(|| "UTF-16 text; save the file as UTF-8".into());
        return Ok(false);
    }
    let line = Rc::clone(&reader.line);
    let mut json = serde_json::Deserializer::from_reader(reader);
    match visit(&mut json, report, &line).and_then(|()| json.end()) {
        Ok(()) => Ok(true),
        Err(error) if error.is_io() => Err(failed(error.into())),
        Err(error) => {
            report.line = error.line();
            report.note(|| said(&error) + expected);
            Ok(false)
        }
    }
}

/// What serde_json says of a broken file, without the place.
pub(super) fn said(error: &serde_json::Error) -> String {
    const LONGEST: usize = 160;
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = error.to_string();
    let text = text.strip_suffix(&place).unwrap_or(&text);
    let end = text.char_indices().nth(LONGEST).map_or(text.len(), |(at, _)| at);
    let (text, more) = (&text[..end], if end < text.len() { "…" } else { "" });
    if error.is_eof() {
        return format!("the file ends too early ({text}{more}); is it whole?");
    }
    let hint = if text.contains("unicode") { "; save the file as UTF-8" } else { "" };
    format!("{text}{more} (column {}){hint}", error.column())
}

/// A reader that knows the line of the byte it gave last.
struct Counted<R> {
    reader: BufReader<Bounded<R>>,
    line: Rc<Cell<usize>>,
    /// Whether that byte ended its line. The line is counted with the next byte: serde_json looks one byte
    /// ahead, and the end of a line still belongs to it.
    ended: bool,
}

impl<R: Read> Counted<R> {
    fn new(reader: R) -> Self {
        let reader = BufReader::with_capacity(1 << 20, Bounded::json(reader));
        Self { reader, line: Rc::new(Cell::new(1)), ended: false }
    }

    /// False if the text is not UTF-8, as the mark says.
    fn skip_byte_order_mark(&mut self) -> io::Result<bool> {
        let head = self.reader.fill_buf()?;
        let utf8 = !matches!(head, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
        if head.starts_with(b"\xef\xbb\xbf") {
            self.reader.consume(3);
        }
        Ok(utf8)
    }

    #[inline]
    fn count(&mut self, byte: u8) {
        if self.ended {
            self.line.set(self.line.get() + 1);
        }
        self.ended = byte == b'\n';
    }
}

impl<R: Read> Read for Counted<R> {
    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let ([place], Some(&byte)) = (&mut *into, self.reader.buffer().first()) {
            *place = byte;
            self.reader.consume(1);
            self.count(byte);
            return Ok(1);
        }
        let read = self.reader.read(into)?;
        into[..read].iter().for_each(|&byte| self.count(byte));
        Ok(read)
    }
}

struct Members<'m, 'r, D> {
    document: &'m mut D,
    report: &'m mut Report<'r>,
    line: &'m Cell<usize>,
}

impl<'de, D: Document> Visitor<'de> for Members<'_, '_, D> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(D::WHAT)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { document, report, line } = self;
        while let Some(key) = map.next_key::<String>()? {
            report.line = line.get();
            document.take(&key, Member { map: &mut map, report, line })?;
        }
        Ok(())
    }
}

struct Elements<'m, 'r, F, T> {
    report: &'m mut Report<'r>,
    line: &'m Cell<usize>,
    each: F,
    element: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, F: FnMut(T, &mut Report<'_>)> DeserializeSeed<'de> for Elements<'_, '_, F, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T, &mut Report<'_>)> Visitor<'de> for Elements<'_, '_, F, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { report, line, mut each, .. } = self;
        while let Some((first, element)) =
            elements.next_element_seed(Placed { line, element: PhantomData })?
        {
            report.line = first;
            each(element, report);
        }
        Ok(())
    }
}

/// Elements, or one element without the array around it.
struct OneOrMany<E>(E);

impl<'de, T: Deserialize<'de>, F: FnMut(T, &mut Report<'_>)> Visitor<'de>
    for OneOrMany<Elements<'_, '_, F, T>>
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<(), A::Error> {
        self.0.visit_seq(elements)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Elements { report, line, mut each, .. } = self.0;
        let first = line.get();
        let element = T::deserialize(MapAccessDeserializer::new(map))?;
        report.line = first;
        each(element, report);
        Ok(())
    }
}

/// Reads an element together with the line where it begins: its first byte was looked at already.
struct Placed<'m, T> {
    line: &'m Cell<usize>,
    element: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Placed<'_, T> {
    type Value = (usize, T);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(usize, T), D::Error> {
        let line = self.line.get();
        T::deserialize(deserializer).map(|element| (line, element))
    }
}

/// A value of any type. A wrong one does not end the reading, so that all problems are found at once.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Number(i64),
    Text(String),
    Flag(bool),
    /// A value of another type, named for a message.
    Other(&'static str),
}

impl Scalar {
    /// Whether a flag is on, written as a number or as a word of JSON.
    pub fn is_on(&self) -> bool {
        matches!(self, Scalar::Flag(true)) || matches!(self, Scalar::Number(number) if *number != 0)
    }

    /// What the value is, for a message.
    pub fn kind(&self) -> &'static str {
        match self {
            Scalar::Number(_) => "a number",
            Scalar::Text(text) if text.is_empty() => "empty",
            Scalar::Text(_) => "text",
            Scalar::Flag(_) => "true or false",
            Scalar::Other(kind) => kind,
        }
    }
}

/// The text of a value; one that is missing, empty or no text is noted by `what` it is.
pub(super) fn text(value: Option<Scalar>, what: &str, report: &mut Report<'_>) -> Option<String> {
    match value {
        Some(Scalar::Text(text)) if !text.is_empty() => Some(text),
        value => {
            let kind = value.as_ref().map_or("missing", Scalar::kind);
            report.note(|| format!("{what} is {kind}; expected text"));
            None
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyScalar)
    }
}

struct AnyScalar;

impl<'de> Visitor<'de> for AnyScalar {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Scalar, E> {
        Ok(Scalar::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(i64::try_from(number).map_or(Scalar::Other("a number beyond 63 bits"), Scalar::Number))
    }

    /// Programs whose tables hold floating-point numbers write the id 7 as 7.0.
    fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
        const EXACT: f64 = (1_u64 << 53) as f64;
        let whole = number.fract() == 0.0 && number.abs() < EXACT;
        Ok(if whole { Scalar::Number(number as i64) } else { Scalar::Other("a fraction") })
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Other("null"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Scalar, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other("an array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Scalar, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other("an object"))
    }
}

#[cfg(test)]
mod tests;
