//! JSON maps: one object whose keys are images and whose values are their labels, or the other way round.
//!
//! Scripts write such files; there is no standard. A value is a list of names, `{"a.jpg": ["cat", "dog"]}`, one
//! name, or an object that says of categories whether they are there, `{"a.jpg": {"cat": 1, "dog": 0}}`, as the
//! parts of TensorFlow's and PyTorch's label dictionaries are. `{"cat": ["a.jpg"]}` has the images of each
//! category. Images are told from categories by the endings of their names.

use std::path::Path;

use serde::de::MapAccess;

use self::entry::Entry;
use self::table::Table;
use super::Reading;
use super::json::{Document, Member, Scalar, read_object};
use super::options::{Choice, Options};
use super::report::{Report, shown};
use crate::Result;
use crate::formats::format::{Format, Keeps, NotListed, Written};

mod entry;
mod states;
mod table;
mod writing;

pub use self::writing::write;

/// This format.
pub const FORMAT: Format = Format {
    name: "json-map",
    title: "JSON map",
    about: "JSON object of image to labels, or of category to images",
    example: r#"{"1.jpg": {"cat": true, "dog": false},
 "2.jpg": {"dog": true}}"#,
    extensions: &[],
    takes: &[Choice::Unlisted, Choice::Convention],
    names_categories: false,
    unlisted: NotListed::AsYouSay,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::AllStates, write }),
};

/// Reads a file, member by member. Images lie below `--images`, else beside the file.
///
/// # Errors
/// All members that are wrong at once; lists without `--unlisted`; numbers that may mean several things
/// without `--convention`.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let mut map = Map(Table::new(path, options)?);
    let mut report = Report::new(path);
    read_object(&mut report, &mut map)?;
    let Map(mut table) = map;
    table.settle(&mut report);
    report.problems.or(())?;
    table.finish()
}

struct Map(Table);

impl Document for Map {
    const WHAT: &str = "an object of images";
    const EXPECTED: &str = r#"; expected {"IMAGE": ["LABEL", …], …}"#;

    fn take<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        member: Member<'_, '_, A>,
    ) -> std::result::Result<(), A::Error> {
        member.value(|entry: Entry, report| {
            if let Err(what) = self.0.add(key, entry, report.line) {
                report.note(|| what);
            }
        })
    }
}

/// Whether a file begins with an object of images and labels, by the first member that tells.
pub fn recognize(_path: &Path, head: &[u8]) -> Option<String> {
    let (key, entry) = entry::first_telling(head)?;
    match entry {
        // Lists of numbers are VG-200's.
        Entry::List(list) if list.iter().all(|name| matches!(name, Scalar::Number(_))) => None,
        _ => match table::direction(&key, &entry).ok()?? {
            table::Direction::Images => Some(format!("a JSON object of images, the first {}", shown(&key))),
            table::Direction::Categories => {
                Some(format!("a JSON object of categories and their images, the first {}", shown(&key)))
            }
        },
    }
}

#[cfg(test)]
mod tests;
