//! Label arrays, N × C, of papers' code: `.npy`, `.npz`, or lines of numbers.
//!
//! An array has no names: the images come from `--image-list`, the categories from `--categories`. It
//! does not say what its numbers mean either, and programs differ: see [`Convention`].

use std::fs::File;
use std::io::{BufReader, Read, Seek, Write};
use std::path::Path;

pub(in crate::formats) mod convention;
mod numbers;

use self::numbers::Numbers;
use super::name_list::{self, numbered_categories};
use crate::annotations::Annotations;
use crate::arrays::{extension, npy};
use crate::error::Problems;
use crate::files::{folder_of, tidy, write_atomically};
use crate::formats::Reading;
use crate::formats::format::{Format, Keeps, NotListed, Written};
use crate::formats::image_names::image_names;
use crate::formats::lines::{Lines, text};
use crate::formats::options::{Choice, Convention, Options};
use crate::formats::report::shown;
use crate::labels::{Label, LabelMatrix};
use crate::{Error, Result};

/// This format.
pub const FORMAT: Format = Format {
    name: "arrays",
    title: "arrays",
    about: "Label arrays of research code: .npy, .npz, .txt",
    example: r#"labels.npy
images.txt
categories.txt"#,
    extensions: &["npy"],
    takes: &[Choice::ImageList, Choice::Convention],
    names_categories: true,
    unlisted: NotListed::Never,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::AllStates, write }),
};

/// The array of an `.npz` file that is read if it holds several.
const MEMBER: &str = "labels";

/// Reads an array of 1, 0 and −1; images lie beside it. Without a convention, the one that the array itself
/// shows: +1 there, −1 not there, 0 unknown; refused where 0 or −1 may mean something else.
///
/// # Errors
/// [`Error::Usage`] without a list of images, or without a convention where one is needed; every value
/// that is not 1, 0 or −1; lists whose length is not that of the array.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let list = options.image_list.as_deref().ok_or_else(|| {
        let what =
            "an array does not name its images; pass --image-list FILE, one per line in the order of rows";
        Error::Usage(format!("{}: {what}", path.display()))
    })?;
    let images = name_list::read(list, "names of images")?;
    let numbers = read_numbers(path)?;
    if images.len() != numbers.values.images() {
        let (rows, names) = (numbers.values.images(), images.len());
        return Err(Error::Data(format!(
            "{}: {names} images; expected {rows}, one for each row of {}",
            list.display(),
            path.display()
        )));
    }
    let (categories, unnamed) =
        category_names(path, options.categories.as_deref(), numbers.values.categories())?;
    let (labels, read_as) = convention::interpret(numbers, options.convention, path)?;
    let folder = options.image_folder(path);
    let images = images.iter().map(|entry| tidy(&folder.join(&entry.name))).collect();
    let annotations = Annotations { images, labels, categories, source: path.into() };
    Ok(Reading { annotations, notes: unnamed.into_iter().chain(read_as).collect() })
}

/// Whether a file is an array of numbers, or its first line could be a row of labels.
pub fn recognize(path: &Path, head: &[u8]) -> Option<String> {
    if head.starts_with(b"\x93NUMPY") {
        return Some("a NumPy array".into());
    }
    match extension(path).as_str() {
        "npz" => head.starts_with(b"PK").then(|| "NumPy arrays in an archive".into()),
        "txt" => {
            let end = head.iter().position(|byte| *byte == b'\n').unwrap_or(head.len());
            let mut row = cells(std::str::from_utf8(&head[..end]).ok()?).peekable();
            row.peek()?;
            row.all(|cell| label(cell).is_some()).then(|| "lines of 1, 0 and -1".into())
        }
        _ => None,
    }
}

fn category_names(path: &Path, names: Option<&Path>, count: usize) -> Result<(Vec<String>, Option<String>)> {
    let Some(file) = names else {
        let (names, note) = numbered_categories(count);
        return Ok((names, Some(note)));
    };
    let names = name_list::read(file, "names of categories")?;
    if names.len() != count {
        let what = format!("{} categories; expected {count}, one for each column of", names.len());
        return Err(Error::Data(format!("{}: {what} {}", file.display(), path.display())));
    }
    Ok((names.into_iter().map(|entry| entry.name).collect(), None))
}

/// The labels of an array to measure scores with, whose rows and columns have no names, and a note where a
/// convention was guessed. There must be negative labels among them, so that −1 is one where no 0 could be.
///
/// # Errors
/// Those of [`FORMAT`]'s reader.
pub fn read_labels(path: &Path, convention: Option<Convention>) -> Result<(LabelMatrix, Option<String>)> {
    let numbers = read_numbers(path)?;
    let no_zeros = numbers.values.count(Label::Unknown) == numbers.missing.len();
    let convention = convention.or(no_zeros.then_some(Convention::Hcp));
    convention::interpret(numbers, convention, path)
}

/// The numbers of a file, whatever they mean.
fn read_numbers(path: &Path) -> Result<Numbers> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let file = BufReader::with_capacity(1 << 20, file);
    let mut problems = Problems::default();
    let numbers = match extension(path).as_str() {
        "npy" => numbers::read(file, path, numbers::MOST_CELLS, &mut problems)?,
        "npz" => read_member(file, path, &mut problems)?,
        "txt" => return Ok(Numbers { values: read_text(file, path)?, missing: Vec::new() }),
        _ => return Err(refuse(path, "expected a file called .npy, .npz or .txt")),
    };
    problems.or(numbers)
}

fn refuse(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::Data(format!("{}: {what}", path.display()))
}

/// Reads the only array of an archive, or the one called `labels`.
fn read_member(file: impl Read + Seek, path: &Path, problems: &mut Problems) -> Result<Numbers> {
    let wrong = |error| refuse(path, format!("no archive of NumPy arrays: {error}"));
    let mut archive = zip::ZipArchive::new(file).map_err(wrong)?;
    let names: zip::result::ZipResult<Vec<String>> =
        archive.file_names().map(|name| name.map(|name| name.into_owned())).collect();
    let names = names.map_err(wrong)?;
    let wanted = format!("{MEMBER}.npy");
    let name = match &names[..] {
        [only] => only,
        several if several.contains(&wanted) => &wanted,
        several => {
            let names: Vec<String> = several.iter().take(20).map(|name| shown(name)).collect();
            let what = format!("holds {}; expected one array, or one called {MEMBER}", names.join(", "));
            return Err(refuse(path, what));
        }
    };
    let member = archive.by_name(name).map_err(wrong)?;
    numbers::read(member, path, numbers::MOST_COMPRESSED_CELLS, problems)
}

/// Reads lines of numbers between commas or white space, as `numpy.savetxt` writes them.
fn read_text(file: BufReader<File>, path: &Path) -> Result<LabelMatrix> {
    let mut lines = Lines::new(path, file);
    let mut matrix: Option<LabelMatrix> = None;
    let mut row = Vec::new();
    while lines.advance()? {
        let Lines { bytes, report, .. } = &mut lines;
        let Some(line) = text(bytes, report).map(str::trim) else { continue };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        row.clear();
        row.extend(cells(line).enumerate().map(|(column, cell)| {
            label(cell).unwrap_or_else(|| {
                let column = column + 1;
                report.note(|| format!("number {column} is {}; expected 1, 0 or -1", shown(cell)));
                Label::Unknown
            })
        }));
        let matrix = matrix.get_or_insert_with(|| LabelMatrix::unknown(0, row.len()));
        if row.len() == matrix.categories() {
            matrix.push(&row);
        } else {
            let (count, expected) = (row.len(), matrix.categories());
            report.note(|| format!("{count} numbers; expected {expected} as in the first row"));
        }
    }
    lines.report.problems.or(())?;
    matrix.ok_or_else(|| refuse(path, "no rows; expected lines of 1, 0 and -1"))
}

/// The cells of a line of numbers.
fn cells(line: &str) -> impl Iterator<Item = &str> {
    let commas = line.contains(',');
    let cells = line.trim().split(move |c: char| if commas { c == ',' } else { c.is_whitespace() });
    cells.map(str::trim).filter(move |cell| commas || !cell.is_empty())
}

fn label(number: &str) -> Option<Label> {
    numbers::label(number.parse().ok()?)
}

/// Writes an array of int8 (`.npy`) or lines of numbers (`.txt`): +1 there, −1 not there, 0 unknown; and
/// beside it the images in `NAME.images.txt` and the categories in `NAME.categories.txt`.
///
/// # Errors
/// If a name cannot be in a list.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let lines = match extension(path).as_str() {
        "npy" => false,
        "txt" => true,
        _ => return Err(Error::Usage(format!("{}: expected a name in .npy or .txt", path.display()))),
    };
    let images = image_names(annotations, folder_of(path))?;
    let [list, names] = ["images.txt", "categories.txt"].map(|extension| path.with_extension(extension));
    name_list::write(&list, images.iter().map(String::as_str))?;
    name_list::write(&names, annotations.categories.iter().map(String::as_str))?;
    let labels = &annotations.labels;
    let rows = (0..labels.images()).map(|row| labels.row(row).map(|label| label as i8));
    write_atomically(path, |writer| {
        if lines {
            for row in rows {
                let row: Vec<String> = row.map(|value| value.to_string()).collect();
                writeln!(writer, "{}", row.join(","))?;
            }
            return Ok(());
        }
        npy::write_header(writer, "|i1", &[labels.images(), labels.categories()])?;
        rows.flatten().try_for_each(|label| writer.write_all(&label.to_le_bytes()))
    })?;
    let (list, names) = (list.display(), names.display());
    let what = "the names of images and categories, and the meaning of the numbers";
    Ok(vec![format!("{what}: read with --image-list {list} --categories {names} --convention hcp")])
}

#[cfg(test)]
mod tests;
