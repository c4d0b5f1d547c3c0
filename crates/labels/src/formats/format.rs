//! What a format of labels is.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use super::Reading;
use super::name_list::{self, Entry};
use super::options::{Choice, Options};
use crate::annotations::Annotations;
use crate::categories::did_you_mean;
use crate::error::Problems;
use crate::labels::LabelMatrix;
use crate::{Error, Result};

/// A format of labels: what it is called, what it looks like, which options its reader takes, and its
/// functions. Each stands in its own file as `FORMAT`; [`ALL`](super::ALL) lists them.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// Its name in options.
    pub name: &'static str,
    /// Its name in sentences.
    pub title: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Endings of file names that mean this format when a file is written.
    pub extensions: &'static [&'static str],
    /// The options that its reader takes beside `--images` and `--categories`; it refuses the others.
    pub takes: &'static [Choice],
    /// Whether its reader gives `--categories` a meaning of its own, since the source has no names.
    pub names_categories: bool,
    /// The beginning of such a source, or its folder: enough to tell it by.
    pub example: &'static str,
    /// What a category is that a source does not list for an image.
    pub unlisted: NotListed,
    /// Why a source is of this format, or nothing; the bytes are the beginning of a file.
    pub recognize: fn(&Path, &[u8]) -> Option<String>,
    /// Reads a source; opens no image.
    pub read: fn(&Path, &Options) -> Result<Reading>,
    /// How labels are written; nothing of a format that is only read.
    pub written: Option<Written>,
}

/// What a category is that a source does not list for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotListed {
    /// Unknown: the format has a place for what is not there.
    Unknown,
    /// Not there: the format says that every category was looked for.
    Negative,
    /// What the user says with `--unlisted`.
    AsYouSay,
    /// Not there in the format's own layout; in that of other tools what the user says.
    NegativeOrAsYouSay,
    /// Every image has a value for every category.
    Never,
}

/// How a format is written.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    /// What of the three states comes back when it is read.
    pub keeps: Keeps,
    /// Writes labels; says what the format cannot hold.
    pub write: fn(&Path, &Annotations) -> Result<Vec<String>>,
}

/// Which of the three states a format holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// There, not there and unknown.
    AllStates,
    /// What is there; what is not there becomes as unlisted as what is unknown.
    Positives,
    /// What is there; readers take everything else for not there.
    NoUnknown,
}

impl Format {
    /// Whether unknown labels that are written become negative ones.
    pub fn unknown_becomes_negative(&self) -> bool {
        self.written.is_some_and(|written| written.keeps == Keeps::NoUnknown)
    }

    /// Reads a source; with `--categories`, those in that order.
    ///
    /// # Errors
    /// What is wrong with the source or the options; opens no image.
    pub fn read(&self, path: &Path, options: &Options) -> Result<Reading> {
        options.only(self.title, self.takes)?;
        let reading = (self.read)(path, options)?;
        match &options.categories {
            Some(file) if !self.names_categories => chosen(reading, file),
            _ => Ok(reading),
        }
    }

    /// Writes labels; says what the format cannot hold.
    ///
    /// # Errors
    /// A format that is only read, a name that it cannot hold, or a file that cannot be written.
    pub fn write(&self, path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
        match self.written {
            Some(Written { write, .. }) => write(path, annotations),
            None => {
                let names = super::ALL.iter().filter(|format| format.written.is_some());
                let names = names.map(|format| format.name).collect::<Vec<_>>().join(", ");
                Err(Error::Usage(format!("{self} is read, not written; sarb writes {names}")))
            }
        }
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Format {}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(feature = "clap")]
impl clap::ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        super::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name).help(self.about))
    }
}

/// The categories that a file names, in its order. One that the source never mentions is unknown
/// everywhere, even where what is not listed is negative: nobody says that it was looked for.
fn chosen(reading: Reading, file: &Path) -> Result<Reading> {
    let Reading { annotations, mut notes } = reading;
    let wanted = name_list::read(file, "names of categories")?;
    let columns: HashMap<&String, usize> = annotations.categories.iter().zip(0..).collect();
    let mut problems = Problems::default();
    for Entry { line, name } in wanted.iter().filter(|entry| !columns.contains_key(&entry.name)) {
        let hint = did_you_mean(name, annotations.categories.iter().map(String::as_str));
        if hint.is_empty() {
            notes.push(format!("category {name:?} is not in the source: unknown everywhere"));
        } else {
            problems.push(format!("{}:{line}: no category {name:?} in the source{hint}", file.display()));
        }
    }
    problems.or(())?;
    let places: Vec<Option<usize>> = wanted.iter().map(|entry| columns.get(&entry.name).copied()).collect();
    let found = places.iter().flatten().count();
    if found == 0 {
        return Err(Error::Data(format!("{}: none of its categories is in the source", file.display())));
    }
    if found < columns.len() {
        notes.push(format!("{} categories of the source are left out", columns.len() - found));
    }
    let mut labels = LabelMatrix::unknown(annotations.images.len(), wanted.len());
    for image in 0..annotations.images.len() {
        for (to, from) in places.iter().enumerate().filter_map(|(to, from)| Some((to, (*from)?))) {
            labels.set(image, to, annotations.labels.get(image, from));
        }
    }
    let categories = wanted.into_iter().map(|entry| entry.name).collect();
    Ok(Reading { annotations: Annotations { labels, categories, ..annotations }, notes })
}

#[cfg(test)]
mod tests {
    use super::super::{ALL, csv};
    use super::*;
    use crate::formats::samples::{folder_with, rows_below};

    #[test]
    fn the_categories_of_a_list_are_read_in_its_order() {
        let folder = folder_with(&[
            ("train.csv", "image,cat,dog,fox\na.jpg,1,0,\nb.jpg,,1,1\n"),
            ("names.txt", "fox\nzebra\ncat\n"),
            ("all.txt", "fox\ndog\ncat\n"),
            ("wrong.txt", "cat\ndogs\n"),
            ("none.txt", "zebra\n"),
        ]);
        let read = |list: &str| {
            let categories = Some(folder.path().join(list));
            csv::FORMAT.read(&folder.path().join("train.csv"), &Options { categories, ..Options::default() })
        };
        let Reading { annotations, notes } = read("names.txt").unwrap();
        assert_eq!(annotations.categories, ["fox", "zebra", "cat"]);
        assert_eq!(rows_below(folder.path(), &annotations), ["a.jpg ??+", "b.jpg +??"]);
        let missing = "category \"zebra\" is not in the source: unknown everywhere";
        assert_eq!(notes, [missing, "1 categories of the source are left out"]);
        let Reading { annotations, notes } = read("all.txt").unwrap();
        assert_eq!(rows_below(folder.path(), &annotations), ["a.jpg ?-+", "b.jpg ++?"]);
        assert!(notes.is_empty(), "{notes:?}");
        let error = read("wrong.txt").unwrap_err().to_string();
        assert!(
            error.ends_with("wrong.txt:2: no category \"dogs\" in the source; did you mean \"dog\"?"),
            "{error}"
        );
        let error = read("none.txt").unwrap_err().to_string();
        assert!(error.ends_with("none.txt: none of its categories is in the source"), "{error}");
    }

    #[test]
    fn formats_that_take_everything_else_for_negative_are_known() {
        let lose = ALL.iter().filter(|format| format.unknown_becomes_negative());
        let lose: Vec<&str> = lose.map(|format| format.name).collect();
        assert_eq!(lose, ["coco", "vg"]);
    }

    #[cfg(feature = "clap")]
    #[test]
    fn every_format_is_chosen_by_its_name() {
        use clap::ValueEnum;
        for format in ALL {
            assert_eq!(Format::from_str(format.name, false), Ok(*format));
            let help = format.to_possible_value().unwrap();
            assert_eq!(help.get_help().unwrap().to_string(), format.about);
        }
        assert!(Format::from_str("word", false).is_err());
    }
}
