//! Our own label file: `image,<category>,<category>…`, one line per image.
//!
//! A cell is `1` (positive), `0` (negative), or empty, `?` or `NA` (unknown); `1.0` and `0.0`, as pandas
//! writes columns with blanks, are `1` and `0`. Image paths are relative to the file. Text is UTF-8 with or
//! without a byte-order mark; lines end in LF or CRLF; the last needs no end (the official code eats its
//! last character then). Fields may be quoted within a line. No image is opened here.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use crate::annotations::Annotations;
use crate::files::{folder_of, tidy, write_atomically};
use crate::formats::Reading;
use crate::formats::format::{Format, Keeps, NotListed, Written};
use crate::formats::image_names::image_names;
use crate::formats::lines::{Lines, fields, split};
use crate::formats::names::Names;
use crate::formats::options::Options;
use crate::formats::report::{Report, shown};
use crate::labels::{Label, LabelMatrix};
use crate::{Error, Result};

/// This format.
pub const FORMAT: Format = Format {
    name: "csv",
    title: "sarb's CSV",
    about: "sarb's own CSV: image,<category>,… with cells 1, 0 and empty",
    example: r#"image,cat,dog
a.jpg,1,0
b.jpg,,1"#,
    extensions: &["csv"],
    takes: &[],
    names_categories: false,
    unlisted: NotListed::Unknown,
    recognize,
    read: read_with,
    written: Some(Written {
        keeps: Keeps::AllStates,
        write: |path, annotations| write(path, annotations).map(|()| Vec::new()),
    }),
};

/// Reads a label file; the images are joined to its folder.
///
/// # Errors
/// All problems of the file at once, each with its line.
pub fn read(path: &Path) -> Result<Annotations> {
    let mut whole = None;
    in_pieces(path, usize::MAX, &mut |piece| {
        whole = Some(piece);
        Ok::<(), Error>(())
    })?;
    Ok(whole.expect("a file without problems has images"))
}

/// Reads a label file a piece of `most` images at a time, so that it may be larger than memory, and calls `each` with
/// them in their order. An image that is there twice is found within a piece only: this is for files that are known
/// to be whole.
///
/// # Errors
/// Problems of the file, each with its line; what `each` says.
pub fn in_pieces<E: From<Error>>(
    path: &Path,
    most: usize,
    each: &mut dyn FnMut(Annotations) -> Result<(), E>,
) -> Result<(), E> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let mut lines = Lines::new(path, BufReader::with_capacity(1 << 20, file));
    let mut rows = None;
    while lines.advance()? {
        let Some(fields) = fields(&lines.bytes, &mut lines.report) else {
            if rows.is_none() {
                break;
            }
            continue;
        };
        match &mut rows {
            None => match Rows::header(&fields, &mut lines.report, path) {
                Some(header) => rows = Some(header),
                None => break,
            },
            Some(rows) => {
                rows.add(&fields, &mut lines.report);
                if rows.images.all().len() == most && lines.report.problems.is_empty() {
                    each(rows.take(path))?;
                }
            }
        }
    }
    let Lines { mut report, .. } = lines;
    match &rows {
        None if report.problems.is_empty() => {
            report.note(|| "an empty file; expected a first line image,<category>,…".into())
        }
        Some(rows) if rows.images.all().is_empty() && !rows.taken && report.problems.is_empty() => {
            report.note(|| "no images; expected a line for each image below the header".into());
        }
        _ => {}
    }
    report.problems.or(())?;
    let mut rows = rows.expect("a file without problems has a header");
    if rows.images.all().is_empty() { Ok(()) } else { each(rows.take(path)) }
}

/// As [`read`], as a format among others. The paths of its images are relative to the file; with
/// `--images`, to that folder.
pub fn read_with(path: &Path, options: &Options) -> Result<Reading> {
    let mut annotations = read(path)?;
    if let Some(folder) = &options.images {
        let own = tidy(folder_of(path));
        for image in &mut annotations.images {
            *image = tidy(&folder.join(image.strip_prefix(&own).unwrap_or(image)));
        }
    }
    Ok(Reading { annotations, notes: Vec::new() })
}

/// Whether a file begins with `image,<category>` and, below that, a line of labels.
pub fn recognize(_path: &Path, head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.trim().is_empty());
    let header = split(lines.next()?, ',').ok()?;
    let below = lines.next().and_then(|line| split(line, ',').ok());
    let labels = match &below {
        Some(fields) => fields[1..].iter().all(|field| label(field).is_some()),
        None => header.len() > 2,
    };
    let own = header.len() > 1 && header[0].trim() == "image" && labels;
    own.then(|| format!("a header image,{},… above cells of 1, 0 and nothing", shown(header[1].trim())))
}

/// Whether a file begins with `image,<category>`, whatever is below.
pub fn begins_like_ours(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let header = text.trim_start_matches('\u{feff}').lines().find(|line| !line.trim().is_empty());
    header
        .and_then(|header| split(header, ',').ok())
        .is_some_and(|fields| fields.len() > 1 && fields[0].trim() == "image")
}

/// Writes a label file whole or not at all; its image paths are valid from its folder, which must be
/// there: relative where the two share more than the root of the file system, else absolute.
pub fn write(path: &Path, annotations: &Annotations) -> Result<()> {
    let images = image_names(annotations, folder_of(path))?;
    write_atomically(path, |writer| {
        let mut writer = csv::Writer::from_writer(writer);
        writer.write_record(
            std::iter::once("image").chain(annotations.categories.iter().map(String::as_str)),
        )?;
        for (row, image) in images.iter().enumerate() {
            writer.write_field(image)?;
            for label in annotations.labels.row(row) {
                writer.write_field(match label {
                    Label::Positive => "1",
                    Label::Negative => "0",
                    Label::Unknown => "",
                })?;
            }
            writer.write_record(None::<&[u8]>)?;
        }
        writer.flush()
    })
}

/// What has been read so far.
struct Rows {
    folder: PathBuf,
    categories: Vec<String>,
    images: Names<PathBuf>,
    /// The line of each image.
    lines: Vec<usize>,
    labels: LabelMatrix,
    /// The labels of the current line.
    row: Vec<Label>,
    /// Whether some have been taken already.
    taken: bool,
}

impl Rows {
    /// Starts from the header; `None` when the file is of another kind and its rows would say nothing.
    fn header(fields: &[Cow<'_, str>], report: &mut Report<'_>, path: &Path) -> Option<Self> {
        let first = fields[0].trim();
        if first != "image" {
            report.note(|| {
                format!("the first column is {}; expected image{}", shown(first), header_hint(fields))
            });
            if fields[1..].iter().all(|field| label(field).is_some()) {
                return None;
            }
        } else if fields.len() == 1 {
            report.note(|| "no categories; expected image,<category>,<category>…".into());
            return None;
        }
        let categories: Vec<String> = fields[1..].iter().map(|field| field.trim().to_owned()).collect();
        let mut columns = HashMap::new();
        for (column, name) in categories.iter().enumerate().map(|(index, name)| (index + 2, name)) {
            if name.is_empty() {
                report.note(|| format!("column {column} has no category name"));
            } else if let Some(before) = columns.insert(name, column) {
                report.note(|| {
                    format!("category {} of column {column} is already in column {before}", shown(name))
                });
            }
        }
        Some(Self {
            folder: tidy(path.parent().unwrap_or(Path::new(""))),
            images: Names::default(),
            lines: Vec::new(),
            labels: LabelMatrix::unknown(0, categories.len()),
            row: Vec::with_capacity(categories.len()),
            categories,
            taken: false,
        })
    }

    /// The images that have been read since the last time.
    fn take(&mut self, path: &Path) -> Annotations {
        self.taken = true;
        self.lines.clear();
        Annotations {
            images: self.images.take(),
            labels: std::mem::replace(&mut self.labels, LabelMatrix::unknown(0, self.categories.len())),
            categories: self.categories.clone(),
            source: path.into(),
        }
    }

    /// Takes one line below the header.
    fn add(&mut self, fields: &[Cow<'_, str>], report: &mut Report<'_>) {
        let expected = self.categories.len() + 1;
        if fields.len() != expected {
            report.note(|| {
                format!(
                    "{} fields; expected {expected} (image and {} categories)",
                    fields.len(),
                    expected - 1
                )
            });
            return;
        }
        self.row.clear();
        for (field, category) in fields[1..].iter().zip(&self.categories) {
            let label = label(field).unwrap_or_else(|| {
                report.note(|| bad_cell(field.trim(), category));
                Label::Unknown
            });
            self.row.push(label);
        }
        let image = fields[0].as_ref();
        if image.trim().is_empty() {
            return report.note(|| "no image path in the first column".into());
        }
        match self.images.add(tidy(&self.folder.join(image))) {
            Err(before) => {
                let line = self.lines[before];
                report.note(|| format!("image {} already appears on line {line}", shown(image)));
            }
            Ok(()) => {
                self.lines.push(report.line);
                self.labels.push(&self.row);
            }
        }
    }
}

/// What a cell means.
pub(super) fn label(cell: &str) -> Option<Label> {
    match cell.as_bytes() {
        b"1" | b"1.0" => Some(Label::Positive),
        b"0" | b"0.0" => Some(Label::Negative),
        b"" | b"?" | b"NA" => Some(Label::Unknown),
        padded if padded.len() > padded.trim_ascii().len() => label(cell.trim_ascii()),
        _ => None,
    }
}

fn bad_cell(value: &str, category: &str) -> String {
    let hint = match value {
        "-1" => "; write 0 for negative, nothing for unknown",
        "+1" => "; write 1",
        _ => "",
    };
    let (value, category) = (shown(value), shown(category));
    format!(
        "{value} for category {category}; expected 1 (positive), 0 (negative), or empty, ? or NA (unknown){hint}"
    )
}

/// What is probably wrong with a first line that does not begin with `image`.
fn header_hint(fields: &[Cow<'_, str>]) -> &'static str {
    let has = |mark: char| fields.iter().any(|field| field.contains(mark));
    match fields.len() {
        1 if has(';') => {
            "; fields are separated by commas here, not by semicolons; sarb data convert reads both"
        }
        1 if has('\t') => "; fields are separated by commas here, not by tabs; sarb data convert reads both",
        _ if has('\r') => "; lines end in LF or CRLF here, not in CR alone",
        2.. if fields[1..].iter().all(|field| label(field).is_some()) => {
            ": a header line image,<category>,… is missing"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests;
