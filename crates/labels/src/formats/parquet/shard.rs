//! One Parquet file of a table, read one row group and one column at a time.

use std::fs::File;
use std::path::Path;

use ::parquet::column::reader::get_column_reader;
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};

use super::cells::{Cell, Value, each_cell};
use super::codecs::{CODECS, is_read};
use super::delta::Checked;
use super::guard::guarded;
use super::headers::{check_pages, check_schema};
use super::schema::{EXTRACT, Plan, plan};
use crate::formats::report::{Report, multi_hot, shown};
use crate::labels::Label;
use crate::{Error, Result};

/// An open file.
pub(super) struct Shard<'a> {
    path: &'a Path,
    file: File,
    reader: SerializedFileReader<File>,
}

/// A row group whose images are read.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub group: usize,
    /// Rows of the file before it.
    pub before: usize,
    pub count: usize,
}

/// What a list column says of a row.
pub(super) enum Entry<'a> {
    /// One more label.
    Label(Value<'a>),
    /// Null instead of a list.
    NoList,
}

impl<'a> Shard<'a> {
    pub fn open(path: &'a Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::io(path, error))?;
        check_schema(&file).map_err(|what| Error::Data(format!("{}: {what}", path.display())))?;
        let copy = file.try_clone().map_err(|error| Error::io(path, error))?;
        let reader = guarded(|| SerializedFileReader::new(copy)).map_err(|error| damaged(path, &error))?;
        Ok(Self { path, file, reader })
    }

    /// What its columns are.
    pub fn plan(&self) -> Result<Plan> {
        plan(self.reader.metadata()).map_err(|what| Error::Data(format!("{}: {what}", self.path.display())))
    }

    pub fn path(&self) -> &Path {
        self.path
    }

    pub fn groups(&self) -> usize {
        self.reader.num_row_groups()
    }

    /// Reads the image paths of a row group; `add` says whether an image is new. Gives the number of rows.
    pub fn images(
        &self,
        group: usize,
        before: usize,
        leaf: usize,
        report: &mut Report<'_>,
        mut add: impl FnMut(&str) -> bool,
    ) -> Result<usize> {
        let mut count = 0;
        self.each(group, leaf, usize::MAX, |cell| {
            count += 1;
            report.line = before + count;
            let Some(Value::Text(text)) = cell.value else {
                return report.note(|| format!("no path of the image; {EXTRACT}"));
            };
            match std::str::from_utf8(text) {
                Ok(image) if !image.trim().is_empty() => {
                    if !add(image) {
                        report.note(|| format!("image {} is in the table already", shown(image)));
                    }
                }
                _ => report.note(|| "the path of the image is empty or no UTF-8 text".into()),
            }
        })?;
        Ok(count)
    }

    /// Reads the labels of one category; `set` takes the row within the group.
    pub fn column(
        &self,
        rows: Rows,
        leaf: usize,
        report: &mut Report<'_>,
        mut set: impl FnMut(usize, Label),
    ) -> Result<()> {
        let name = shown(self.name(leaf));
        let mut row = 0;
        self.each(rows.group, leaf, rows.count, |cell| {
            row += 1;
            let label = cell.value.map_or(Some(Label::Unknown), Value::label);
            match (label, cell.value) {
                _ if row > rows.count => {}
                (Some(label), _) => set(row - 1, label),
                (None, value) => {
                    report.line = rows.before + row;
                    let value = value.map(|value| value.to_string()).unwrap_or_default();
                    let accepted = "expected 1 (positive), 0 (negative) or null (unknown)";
                    report.note(|| format!("{value} for category {name}; {accepted}"));
                }
            }
        })?;
        self.same_length(&name, row, rows.count)
    }

    /// Reads a column of words, numbers or booleans as text, nothing where a cell is null.
    pub fn words(&self, rows: Rows, leaf: usize) -> Result<Vec<Option<String>>> {
        // A text that all rows share takes no room in the file, but would here.
        const LONGEST: usize = 100;
        let (mut words, mut count) = (Vec::new(), 0);
        self.each(rows.group, leaf, rows.count, |cell| {
            count += 1;
            if count <= rows.count {
                words.push(cell.value.map(|value| match value {
                    Value::Text(text) => {
                        String::from_utf8_lossy(&text[..text.len().min(LONGEST)]).into_owned()
                    }
                    other => other.to_string(),
                }));
            }
        })?;
        self.same_length(&shown(self.name(leaf)), count, rows.count)?;
        Ok(words)
    }

    /// Reads a column of lists; `each` takes the row within the group and may say what is wrong with an entry.
    pub fn list(
        &self,
        rows: Rows,
        leaf: usize,
        report: &mut Report<'_>,
        mut each: impl FnMut(usize, Entry<'_>) -> std::result::Result<(), String>,
    ) -> Result<()> {
        let name = shown(self.name(leaf));
        let mut row = 0;
        // Whether the list of the row has 0 and 1 already.
        let mut seen = [false; 2];
        self.each(rows.group, leaf, rows.count, |cell| {
            if cell.starts_row {
                row += 1;
                seen = [false; 2];
            }
            // In a damaged file the first entry may begin no row.
            if row == 0 || row > rows.count {
                return;
            }
            let twice = match cell.value {
                Some(Value::Whole(number @ (0 | 1))) => std::mem::replace(&mut seen[number as usize], true),
                _ => false,
            };
            let done = match cell.value {
                Some(value) if twice => Err(multi_hot(value, "the list")),
                Some(value) => each(row - 1, Entry::Label(value)),
                None if cell.in_list => Err("null in the list".into()),
                None if cell.no_list => each(row - 1, Entry::NoList),
                None => Ok(()),
            };
            if let Err(what) = done {
                report.line = rows.before + row;
                report.note(|| format!("{what} (column {name})"));
            }
        })?;
        self.same_length(&name, row, rows.count)
    }

    /// Calls `each` for every cell of a column in a row group.
    fn each(&self, group: usize, leaf: usize, rows: usize, each: impl FnMut(Cell<'_>)) -> Result<()> {
        let chunk = self.reader.metadata().row_group(group).column(leaf);
        let wrong = |what: String| {
            Error::Data(format!("{}: column {}: {what}", self.path.display(), shown(self.name(leaf))))
        };
        let compression = chunk.compression();
        if !is_read(compression) {
            return Err(wrong(format!("compressed with {compression}; expected {CODECS}")));
        }
        check_pages(&self.file, chunk, rows).map_err(wrong)?;
        let failed = |error: ParquetError| damaged(self.path, &error);
        let pages = guarded(|| self.reader.get_row_group(group)?.get_column_page_reader(leaf));
        let pages = Checked::new(pages.map_err(failed)?, chunk.column_descr());
        let column = get_column_reader(chunk.column_descr_ptr(), Box::new(pages));
        each_cell(column, chunk.column_descr(), each).map_err(failed)
    }

    /// `name` is in quotes already.
    fn same_length(&self, name: &str, found: usize, rows: usize) -> Result<()> {
        if found == rows {
            return Ok(());
        }
        let what = format!("column {name} has {found} rows in a group of {rows}; the file is damaged");
        Err(Error::Data(format!("{}: {what}", self.path.display())))
    }

    fn name(&self, leaf: usize) -> &str {
        let columns = self.reader.metadata().file_metadata().schema_descr().columns();
        columns[leaf].path().parts().first().map_or("", String::as_str)
    }
}

fn damaged(path: &Path, error: &ParquetError) -> Error {
    Error::Data(format!("{}: not read as a Parquet table: {error}", path.display()))
}
