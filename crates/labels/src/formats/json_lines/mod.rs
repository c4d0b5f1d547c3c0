//! JSON Lines: one JSON object a line, which is an image and its labels.
//!
//! Three programs write such files. Hugging Face's `metadata.jsonl` of an image folder has `file_name` and any
//! other keys (<https://huggingface.co/docs/datasets/image_dataset>): `labels`, `label`, `tags` or
//! `objects.categories` are read, and `negative_labels`, by which our own files hold all three states. Vertex
//! AI has `imageGcsUri` (see [`vertex`]), SageMaker `source-ref` (see [`sagemaker`]).

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use self::content::Kind;
use self::line::parse;
use self::table::Table;
use super::Reading;
use super::json::{outline, said};
use super::label_lists::Members;
use super::lines::Lines;
use super::options::{Choice, Options};
use super::report::Report;
use crate::formats::format::{Format, Keeps, NotListed, Written};
use crate::{Error, Result};

mod content;
mod jobs;
mod line;
mod sagemaker;
mod table;
mod vertex;
mod writing;

pub use self::writing::write;

/// This format.
pub const FORMAT: Format = Format {
    name: "json-lines",
    title: "JSON Lines",
    about: "JSON Lines: Hugging Face metadata.jsonl, Vertex AI, SageMaker manifest",
    example: r#"{"file_name": "1.jpg", "labels": ["cat"], "negative_labels": ["dog"]}
{"file_name": "2.jpg", "labels": [], "negative_labels": ["cat"]}"#,
    extensions: &["jsonl"],
    takes: &[Choice::Unlisted, Choice::Set],
    names_categories: false,
    unlisted: NotListed::AsYouSay,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::AllStates, write }),
};

/// Most bytes of a line.
const LONGEST: u64 = 16 << 20;

/// Reads a file, line by line. Images lie below `--images`, else beside the file; of an address such as
/// `gs://bucket/set/cat/1.jpg` the part below the folder that all of them share.
///
/// # Errors
/// All lines that are wrong at once; images of several sets without `--set`; lists of labels without
/// `--unlisted`.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let mut lines = Lines::new(path, BufReader::with_capacity(1 << 20, file)).at_most(LONGEST);
    let mut table = Table::new(path, options)?;
    while lines.advance()? {
        let Lines { bytes, report, .. } = &mut lines;
        if let Some(members) = object(bytes, report)
            && let Err(what) = parse(members).and_then(|line| table.add(line, report.line))
        {
            report.note(|| what);
        }
    }
    lines.report.problems.or(())?;
    table.finish()
}

/// The object of a line; one that is not whole is noted.
fn object(bytes: &[u8], report: &mut Report<'_>) -> Option<Members> {
    let wrong = |error: serde_json::Error| {
        let over_lines = error.is_eof() && matches!(bytes.trim_ascii(), b"{" | b"[");
        report.note(|| match over_lines {
            true => "JSON over several lines; expected one object a line, as `jq -c . FILE` writes it \
                     (`jq -c '.[]' FILE` for an array)"
                .into(),
            false if error.is_eof() => {
                "the object does not end on this line; expected one object a line".into()
            }
            false => said(&error),
        });
    };
    serde_json::from_slice(bytes).map_err(wrong).ok()
}

/// Whether a file begins with whole lines of objects, each with an image, and labels in one of them.
pub fn recognize(_path: &Path, head: &[u8]) -> Option<String> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let end = head.iter().rposition(|byte| *byte == b'\n');
    if end.is_none() && head.len() >= LONG_LINE {
        return recognize_part(head);
    }
    let whole = end.map_or(head, |end| &head[..end]);
    let lines = whole.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let mut found = None;
    for line in lines.take(100) {
        let members: Members = serde_json::from_slice(line).ok()?;
        let kind = Kind::of(&members)?;
        if kind.tells_labels(&members) {
            found = Some(kind);
        }
    }
    found.map(|kind| format!("one JSON object a line, with {}", kind.image_key()))
}

/// A first line of more bytes may go on beyond the head of the file.
const LONG_LINE: usize = 32 << 10;

/// The same of the beginning of a line, by the keys in it.
fn recognize_part(head: &[u8]) -> Option<String> {
    let keys = outline(head);
    let is = keys.contains("file_name") && (keys.contains("labels") || keys.contains("negative_labels"));
    is.then(|| format!("one JSON object a line, with {}", Kind::Plain.image_key()))
}

#[cfg(test)]
mod tests;
