//! Arrays as they are written, one element per line.

use std::io::{self, Write};

use serde::Serialize;

/// Writes an array whose elements are all there.
pub(in crate::formats) fn write_array<T: Serialize>(
    writer: &mut impl Write,
    elements: impl IntoIterator<Item = T>,
) -> io::Result<()> {
    let mut array = ArrayWriter::default();
    elements.into_iter().try_for_each(|element| array.push(writer, &element))?;
    array.finish(writer)
}

/// An array whose elements come one after the other.
#[derive(Debug, Default)]
pub(in crate::formats) struct ArrayWriter {
    begun: bool,
}

impl ArrayWriter {
    /// Writes one element.
    pub fn push(&mut self, writer: &mut impl Write, element: &impl Serialize) -> io::Result<()> {
        writer.write_all(if self.begun { b",\n" } else { b"[\n" })?;
        self.begun = true;
        serde_json::to_writer(writer, element).map_err(io::Error::from)
    }

    /// Ends the array.
    pub fn finish(self, writer: &mut impl Write) -> io::Result<()> {
        writer.write_all(if self.begun { b"\n]" } else { b"[\n]" })
    }
}
