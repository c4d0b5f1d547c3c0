//! Which column of a table is what. Names count by their letters and digits only.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::categories::did_you_mean;
use crate::formats::options::Options;
use crate::formats::report::{Report, shown};
use crate::formats::shards::is_split_name;
use crate::images::has_extension;
use crate::text::letters;
use crate::{Error, Result};

/// Names of the column of images, best first.
const IMAGES: [&str; 20] = [
    "path",
    "imagepath",
    "imgpath",
    "jpgpath",
    "dicompath",
    "filepath",
    "filename",
    "fname",
    "file",
    "image",
    "images",
    "imagename",
    "imagefile",
    "imageindex",
    "imageid",
    "img",
    "imgname",
    "imgid",
    "photo",
    "picture",
];

/// Names of the column of images where no column holds names with an extension.
const NAMES: [&str; 2] = ["name", "id"];

/// Columns that describe an image and are not labels, even where all their values look like labels.
const DESCRIBING: [&str; 24] = [
    "",
    "unnamed0",
    "index",
    "id",
    "sex",
    "gender",
    "age",
    "frontallateral",
    "appa",
    "view",
    "viewposition",
    "subjectid",
    "studyid",
    "dicomid",
    "patientid",
    "patient",
    "study",
    "studydate",
    "studytime",
    "split",
    "fold",
    "rows",
    "columns",
    "report",
];

/// Further ones of a table whose other columns may be anything.
const DESCRIBING_TABLES: [&str; 6] = ["subset", "partition", "isvalid", "width", "height", "annotator"];

/// Names of the column of splits.
const SPLITS: [&str; 6] = ["split", "set", "subset", "partition", "mluse", "isvalid"];

/// Whether a column is not one of labels, whatever it holds.
pub(in crate::formats) fn never_labels(name: &str) -> bool {
    describes(name) || DESCRIBING_TABLES.contains(&letters(name).as_str())
}

/// Whether a column describes an image in any table.
pub(in crate::formats) fn describes(name: &str) -> bool {
    DESCRIBING.contains(&letters(name).as_str())
}

/// Whether a column may hold the split of each image.
pub(in crate::formats) fn is_split_column(name: &str) -> bool {
    SPLITS.contains(&letters(name).as_str())
}

/// What a cell of such a column says: any word in one called `split`, `partition` or `subset`, a known split in
/// another one.
pub(in crate::formats) fn split_said<'a>(column: &str, cell: &'a str) -> Option<&'a str> {
    let cell = cell.trim();
    match (letters(column).as_str(), cell.to_lowercase().as_str()) {
        ("isvalid", "true" | "1" | "yes") => Some("valid"),
        ("isvalid", "false" | "0" | "no") => Some("train"),
        ("split" | "partition" | "subset", _) => (!cell.is_empty()).then_some(cell),
        _ => is_split_name(cell).then_some(cell),
    }
}

/// The column of images by its name.
pub(in crate::formats) fn image_column(names: &[String]) -> Option<usize> {
    place(names, &IMAGES)
}

/// The column of images by names that other columns bear too.
pub(in crate::formats) fn weak_image_column(names: &[String]) -> Option<usize> {
    place(names, &NAMES)
}

/// The first of the wanted names that is there.
fn place(names: &[String], wanted: &[&str]) -> Option<usize> {
    wanted.iter().find_map(|wanted| names.iter().position(|name| letters(name) == *wanted))
}

/// The columns of a table.
#[derive(Debug)]
pub(in crate::formats) struct Columns {
    pub names: Vec<String>,
    pub image: usize,
    /// Where the split of each image may be.
    pub splits: Vec<usize>,
    /// The columns of labels that the user chose.
    pub chosen: Option<Vec<usize>>,
}

impl Columns {
    /// Tells the columns by the header, the first row below it (unless it has another number of fields) and what
    /// the user says.
    ///
    /// # Errors
    /// [`Error::Usage`] if an option is needed or names no column, [`Error::Data`] if two columns have one name.
    pub fn of(
        header: &[impl AsRef<str>],
        row: Option<&[Cow<'_, str>]>,
        options: &Options,
        report: &Report<'_>,
    ) -> Result<Self> {
        let names: Vec<String> = header.iter().map(|name| name.as_ref().trim().to_owned()).collect();
        let file = report.path.display();
        let mut places = HashMap::new();
        for (column, name) in names.iter().enumerate() {
            if let Some(before) = places.insert(name.as_str(), column).filter(|_| !name.is_empty()) {
                let (name, column, before) = (shown(name), column + 1, before + 1);
                let what = format!("column {column} of the header is called {name} as column {before}");
                return Err(Error::Data(format!("{file}: {what}")));
            }
        }
        let all = || shown(&names.join(","));
        let find = |name: &String, option: &str| {
            places.get(name.as_str()).copied().ok_or_else(|| {
                let hint = did_you_mean(name, names.iter().map(String::as_str));
                Error::Usage(format!(
                    "{file}: {option}: no column {} in the header {}{hint}",
                    shown(name),
                    all()
                ))
            })
        };
        let image = match &options.image_column {
            Some(name) => find(name, "--image-column")?,
            None => {
                let row = row.filter(|row| row.len() == names.len());
                let by_content = || row?.iter().position(|field| has_extension(field.trim()));
                let found = image_column(&names).or_else(by_content).or_else(|| weak_image_column(&names));
                let help = "name the column of images with --image-column";
                found.ok_or_else(|| Error::Usage(format!("{file}: {help}; the header is {}", all())))?
            }
        };
        let mut chosen = Vec::new();
        for name in &options.label_columns {
            chosen.push(find(name, "--label-columns")?);
        }
        if chosen.contains(&image) {
            let name = shown(&names[image]);
            return Err(Error::Usage(format!("{file}: --label-columns: {name} is the column of images")));
        }
        let may_tell = |column: &usize| *column != image && !chosen.contains(column);
        let splits = (0..names.len()).filter(|&column| is_split_column(&names[column])).filter(may_tell);
        let splits = splits.collect();
        Ok(Self { names, image, splits, chosen: (!chosen.is_empty()).then_some(chosen) })
    }

    /// What each of the columns of splits says of a row.
    pub fn splits_of<'a>(&'a self, fields: &'a [Cow<'_, str>]) -> impl Iterator<Item = Option<&'a str>> {
        self.splits.iter().map(|&column| split_said(&self.names[column], fields.get(column)?))
    }
}
