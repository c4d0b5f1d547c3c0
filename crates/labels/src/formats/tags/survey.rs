//! A first look over a list of tags: which fields hold what, whether there is a header, what separates tags.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::cells::{Cell, cell};
use crate::files::tidy;
use crate::formats::options::Options;
use crate::formats::report::{Report, shown};
use crate::formats::sheet::{
    Columns, beginning, for_each_row, image_column, usage, weak_image_column, wrong_count,
};
use crate::images::has_extension;
use crate::text::letters;
use crate::{Error, Result};

/// What a column of several tags in a cell may be called, by its letters and digits.
const SEVERAL: [&str; 8] =
    ["tags", "labels", "categories", "classes", "findinglabels", "targets", "target", "attributeids"];
/// What a column of one tag in a cell may be called.
const ONE: [&str; 4] = ["tag", "label", "category", "class"];
/// What may be between the tags of a cell, beside spaces.
const SEPARATORS: [char; 4] = [';', '|', ',', '#'];

/// The columns of images and of tags by their names; nothing if the row is not a header.
pub(super) fn known_columns(header: &[String]) -> Option<(usize, usize)> {
    let named = |names: &[&str]| header.iter().position(|name| names.contains(&&*letters(name)));
    let tags = named(&SEVERAL).or_else(|| named(&ONE))?;
    let weak = || weak_image_column(header).filter(|_| header.len() == 2);
    let image = image_column(header).or_else(weak).filter(|image| *image != tags)?;
    Some((image, tags))
}

/// Whether the name of a column says that a cell is one tag; `None` if it says nothing.
fn says_one(name: &str) -> Option<bool> {
    let name = letters(name);
    let (one, several) = (ONE.contains(&&*name), SEVERAL.contains(&&*name));
    (one || several).then_some(one)
}

/// Which fields of a row are read.
pub(super) struct Fields {
    pub image: usize,
    tags: Vec<usize>,
    /// How many fields a row has.
    count: usize,
    /// The columns of a header that is known.
    pub columns: Option<Columns>,
}

impl Fields {
    /// By the header, if it is known or the user names columns of it; else an image and its tags.
    pub fn of(path: &Path, options: &Options) -> Result<Self> {
        let [header, row] = beginning(path)?;
        let known = known_columns(&header);
        if known.is_none() && options.image_column.is_none() && options.label_columns.is_empty() {
            return Ok(Self { image: 0, tags: vec![1], count: 2, columns: None });
        }
        let row: Vec<Cow<'_, str>> = row.iter().map(Into::into).collect();
        let mut columns = Columns::of(&header, Some(&row), options, &Report::new(path))?;
        if let (Some((image, _)), None) = (known, &options.image_column) {
            columns.image = image;
        }
        let tags = match (columns.chosen.take(), known) {
            (Some(chosen), _) => chosen,
            (None, Some((_, tags))) if tags != columns.image => vec![tags],
            _ => {
                let header = shown(&header.join(","));
                return usage(
                    path,
                    format!("name the columns of tags with --label-columns; the header is {header}"),
                );
            }
        };
        Ok(Self { image: columns.image, tags, count: columns.names.len(), columns: Some(columns) })
    }

    pub fn tags<'a>(&'a self, row: &'a [Cow<'_, str>]) -> impl Iterator<Item = &'a str> {
        self.tags.iter().map(|&column| row[column].trim())
    }

    /// Calls `each` with every row, without the first if that is a header.
    pub fn for_each_row(
        &self,
        path: &Path,
        has_header: bool,
        mut each: impl FnMut(&[Cow<'_, str>]),
    ) -> Result<()> {
        let mut first = true;
        for_each_row(path, |row, report| {
            let is_header = std::mem::take(&mut first) && has_header;
            if row.len() != self.count {
                report.note(|| match self.columns {
                    Some(_) => wrong_count(row.len(), self.count),
                    None => format!(
                        "{} fields; expected two: image and tags, or a header and --image-column and \
                         --label-columns",
                        row.len()
                    ),
                });
            } else if row[self.image].trim().is_empty() && !is_header {
                report.note(|| "no image in its column".into());
            } else if !is_header {
                each(row);
            }
            Ok(())
        })
    }
}

/// What a first look over the file shows.
pub(super) struct Survey {
    /// Whether the first line is a header.
    pub has_header: bool,
    /// The first line, where it is no header that is known.
    first: Option<String>,
    /// Whether the header says that a cell holds one tag, or several.
    one: Option<bool>,
    separators: Vec<char>,
    /// A cell with a space inside.
    spaced: Option<String>,
    /// The cells that are text.
    cells: HashSet<String>,
    images: HashSet<PathBuf>,
    /// Whether an image is in several lines.
    repeated: bool,
}

impl Survey {
    pub fn of(path: &Path, fields: &Fields) -> Result<Self> {
        let known = fields.columns.is_some();
        let one = match (&fields.columns, &fields.tags[..]) {
            (Some(columns), [tags]) => says_one(&columns.names[*tags]),
            _ => None,
        };
        let mut survey = Self {
            has_header: known,
            one,
            first: None,
            separators: Vec::new(),
            spaced: None,
            cells: HashSet::new(),
            images: HashSet::new(),
            repeated: false,
        };
        let (mut rows, mut named_like_images) = (0, 0);
        let mut first: Option<[String; 2]> = None;
        fields.for_each_row(path, known, |row| {
            let image = row[fields.image].trim();
            if rows == 0 && !known {
                first = Some([image.to_owned(), row[1].trim().to_owned()]);
            } else {
                named_like_images += usize::from(has_extension(image));
                survey.look_at(image, fields.tags(row));
            }
            rows += 1;
        })?;
        if let Some([image, tags]) = first {
            // Its first field is not the name of an image, while all others are.
            survey.has_header = rows > 1 && !has_extension(&image) && named_like_images + 1 == rows;
            if !survey.has_header {
                survey.look_at(&image, std::iter::once(&*tags));
            }
            survey.first = Some(format!("{image},{tags}"));
        }
        Ok(survey)
    }

    /// What was taken for what, where the names of the columns left it open.
    pub fn note(&self, fields: &Fields) -> Option<String> {
        let first = self.first.as_ref().filter(|_| self.has_header);
        if let Some(first) = first {
            return Some(format!("the first line is taken for a header: {}", shown(first)));
        }
        let columns = fields.columns.as_ref().filter(|columns| columns.names.len() > 2)?;
        let name = |column: usize| shown(&columns.names[column]);
        let tags = fields.tags.iter().map(|&column| name(column)).collect::<Vec<_>>().join(", ");
        Some(format!("images in column {}; tags in {tags}; other columns are not read", name(columns.image)))
    }

    /// Takes one line below the header.
    fn look_at<'a>(&mut self, image: &str, cells: impl Iterator<Item = &'a str>) {
        self.repeated |= !self.images.insert(tidy(Path::new(image)));
        for text in cells {
            let Cell::Text(tags) = cell(text) else { continue };
            for separator in SEPARATORS.into_iter().filter(|it| tags.contains(*it)) {
                if !self.separators.contains(&separator) {
                    self.separators.push(separator);
                }
            }
            if self.spaced.is_none() && tags.contains(char::is_whitespace) {
                self.spaced = Some(tags.to_owned());
            }
            self.cells.insert(tags.to_owned());
        }
    }

    /// A cell that holds what other cells are, with what is between.
    fn compound(&self) -> Option<(&str, char)> {
        self.separators.iter().find_map(|&separator| {
            let parts = |cell: &&String| {
                let parts = || cell.split(separator).map(str::trim).filter(|part| !part.is_empty());
                parts().nth(1).is_some() && parts().any(|part| self.cells.contains(part))
            };
            Some((self.cells.iter().filter(parts).min()?.as_str(), separator))
        })
    }

    /// What is between the tags of a cell; `None` if a cell is one tag.
    pub fn separator(&self, path: &Path) -> Result<Option<char>> {
        let unclear = |what: String| {
            let advice = "put ; between the tags of an image, give one tag per line below image,tag, or pass \
                          --separator";
            Err(Error::Usage(format!("{}: {what}; {advice}", path.display())))
        };
        match (self.one, &self.separators[..], &self.spaced) {
            (Some(true), _, _) => match self.compound() {
                None => Ok(None),
                Some((cell, separator)) => Err(Error::Usage(format!(
                    "{}: the header says that a cell is one tag, but {} holds what other cells are; pass \
                     --separator {separator:?} if it holds several tags, --separator none if it is one",
                    path.display(),
                    shown(cell)
                ))),
            },
            (_, [], None) => Ok(None),
            (_, [separator], _) => Ok(Some(*separator)),
            (Some(false), [], Some(_)) if !self.repeated => Ok(Some(' ')),
            (None, [], Some(_)) if self.repeated => Ok(None),
            (_, [], Some(cell)) => unclear(format!("{} may be one tag or several", shown(cell))),
            (_, several, _) => {
                let all: Vec<String> = several.iter().map(char::to_string).collect();
                unclear(format!(
                    "its tags hold {}, and only one of them can separate tags",
                    all.join(" and ")
                ))
            }
        }
    }
}
