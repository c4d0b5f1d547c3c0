//! The CSV and TSV exports of Label Studio: a record for each annotation, like those of JSON-MIN.
//!
//! As `converter/exports/csv2.py` of label-studio-sdk writes them: the columns are the task's data, the
//! controls and [`ALWAYS`], in alphabetical order; a cell that is no text or number is JSON. A task without
//! an annotation, which some versions export, has no `annotation_id`.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::{Map, Value};

use crate::formats::lines::{Lines, split, text};
use crate::formats::report::{Report, shown};
use crate::{Error, Result};

/// Columns that every such table has.
const ALWAYS: [&str; 5] = ["annotation_id", "annotator", "created_at", "lead_time", "updated_at"];

/// Most bytes of a record, which may go over several lines inside quotes.
const LONGEST: usize = 16 << 20;

/// What is between the fields of a header of such a table; nothing if it is no such header.
pub fn delimiter(header: &str) -> Option<char> {
    ['\t', ',', ';'].into_iter().find(|delimiter| {
        let names = split(header, *delimiter).unwrap_or_default();
        ALWAYS.iter().all(|always| names.iter().any(|name| name.trim() == *always))
    })
}

/// Whether a file begins with a header of such a table.
pub fn recognize(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line).unwrap_or_default();
    delimiter(line.trim_start_matches('\u{feff}').trim_end()).is_some()
}

/// Calls `each` with every record as JSON-MIN would hold it; what is wrong is in the report.
///
/// # Errors
/// If the file cannot be opened or read.
pub fn read<'a>(
    path: &'a Path,
    mut each: impl FnMut(&Map<String, Value>) -> std::result::Result<(), String>,
) -> Result<Report<'a>> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let mut lines = Lines::new(path, BufReader::with_capacity(1 << 20, file));
    let mut header: Option<Header> = None;
    while let Some((first, bytes)) = record(&mut lines)? {
        let report = &mut lines.report;
        // Problems are those of the line where the record begins.
        let last = std::mem::replace(&mut report.line, first);
        if bytes.len() > LONGEST {
            report.note(|| format!("a record of more than {} MB; is a quote missing?", LONGEST >> 20));
            break;
        }
        let Some(line) = text(&bytes, report) else { break };
        match &header {
            None => match Header::of(line) {
                Ok(found) => header = Some(found),
                Err(what) => {
                    report.note(|| what);
                    break;
                }
            },
            Some(header) => {
                if let Err(what) = header.record(line).and_then(|record| each(&record)) {
                    report.note(|| what);
                }
            }
        }
        report.line = last;
    }
    Ok(lines.report)
}

/// The next record with the line where it begins: further lines are added while a quote is open.
fn record<R: BufRead>(lines: &mut Lines<'_, R>) -> Result<Option<(usize, Vec<u8>)>> {
    if !lines.advance()? {
        return Ok(None);
    }
    let first = lines.report.line;
    let quotes = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'"').count();
    let mut bytes = lines.bytes.clone();
    let mut open = quotes(&bytes) % 2 == 1;
    while open && bytes.len() <= LONGEST && lines.advance()? {
        open ^= quotes(&lines.bytes) % 2 == 1;
        bytes.extend_from_slice(&lines.bytes);
    }
    Ok(Some((first, bytes)))
}

struct Header {
    delimiter: char,
    names: Vec<String>,
}

impl Header {
    fn of(line: &str) -> std::result::Result<Self, String> {
        let Some(delimiter) = delimiter(line) else {
            let always = ALWAYS.join(", ");
            return Err(format!("expected a JSON export, or a table with the columns {always}"));
        };
        let names = split(line, delimiter)?.into_iter().map(|name| name.trim().to_owned());
        let names: Vec<String> = names.collect();
        let mut before = HashSet::new();
        match names.iter().find(|name| !before.insert(*name)) {
            Some(twice) => Err(format!("the column {} is there twice", shown(twice))),
            None => Ok(Self { delimiter, names }),
        }
    }

    /// A record of JSON-MIN. An empty cell is no field, but for the number of the annotation.
    fn record(&self, line: &str) -> std::result::Result<Map<String, Value>, String> {
        let cells = split(line, self.delimiter).map_err(|what| match what {
            what if what.starts_with("text") => what.to_owned(),
            _ => "a quoted field does not end; is the file whole?".to_owned(),
        })?;
        let (found, expected) = (cells.len(), self.names.len());
        if found != expected {
            return Err(format!("{found} fields; expected {expected}, as in the header"));
        }
        let mut record = Map::new();
        for (name, cell) in self.names.iter().zip(cells) {
            match cell.trim() {
                "" if name == "annotation_id" => {
                    record.insert(name.clone(), Value::Null);
                }
                "" => {}
                cell => {
                    record.insert(name.clone(), value(cell));
                }
            }
        }
        Ok(record)
    }
}

/// What a cell holds: JSON, if it is an array or an object, else text.
fn value(cell: &str) -> Value {
    let json = cell.starts_with(['[', '{']).then(|| serde_json::from_str(cell).ok()).flatten();
    json.unwrap_or_else(|| Value::String(cell.to_owned()))
}
