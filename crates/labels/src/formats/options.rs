//! What a user says about a source of labels.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::files::folder_of;
use crate::images::has_extension;
use crate::labels::Label;
use crate::{Error, Result};

/// What a category is that a source does not list for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Unlisted {
    /// Nobody looked.
    Unknown,
    /// Somebody looked at every category, and it is not there.
    Negative,
}

/// What an image holds if all its objects of a category are marked difficult (Pascal VOC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Difficult {
    /// Unknown: nobody can say.
    #[default]
    Unknown,
    /// Not there, as the official code of SARB reads it.
    Negative,
    /// There.
    Positive,
    /// The image is left out.
    Dropped,
}

/// What a label is that its source calls uncertain (CheXpert's -1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Uncertain {
    /// Unknown.
    #[default]
    Unknown,
    /// Not there.
    Negative,
    /// There.
    Positive,
}

/// What the numbers of a label array mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Convention {
    /// 1 there, -1 not there, 0 unknown: HCP-MLR-PL, and the arrays that sarb writes
    Hcp,
    /// 1 there, 0 not there, -1 unknown: PartialLabelingCSL
    Csl,
    /// 1 there, -1 not there, 0 unknown: the observed labels of single-positive-multi-label
    Spml,
    /// 1 there, 0 not there, nothing unknown: complete labels, also those of single-positive-multi-label
    Complete,
}

impl Convention {
    /// The label of a number, given as positive (1), negative (−1) and unknown (0); `None` if it has none.
    pub(super) fn label(self, number: Label) -> Option<Label> {
        match (self, number) {
            (_, Label::Positive) => Some(Label::Positive),
            (Convention::Hcp | Convention::Spml, other) => Some(other),
            (Convention::Csl | Convention::Complete, Label::Unknown) => Some(Label::Negative),
            (Convention::Csl, Label::Negative) => Some(Label::Unknown),
            (Convention::Complete, Label::Negative) => None,
        }
    }
}

/// How a source is read. A format that has no use for an option refuses it; see [`Options::only`].
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What a category is that is not listed for an image; needed where the source does not say.
    pub unlisted: Option<Unlisted>,
    /// The folder of the images; by default the format says where they lie.
    pub images: Option<PathBuf>,
    /// Names of the images in row order, where the labels are an array without names.
    pub image_list: Option<PathBuf>,
    /// Names of the categories, one per line, in the order wanted; others are left out.
    pub categories: Option<PathBuf>,
    /// What 1, 0 and −1 mean in an array, a table or a JSON map.
    pub convention: Option<Convention>,
    /// Which of several sets of images is read: `train`, `val`, `test`, a list of Pascal VOC, a subset of CVAT.
    pub set: Option<String>,
    /// Pascal VOC's difficult objects; unknown by default.
    pub difficult: Option<Difficult>,
    /// CheXpert's uncertain labels; unknown by default.
    pub uncertain: Option<Uncertain>,
    /// The category hierarchy that implies labels: Open Images' JSON file.
    pub hierarchy: Option<PathBuf>,
    /// What is between the tags of a cell.
    pub separator: Option<Separator>,
    /// Which of several fields of a source holds the labels: FiftyOne's fields, VIA's attributes.
    pub field: Option<String>,
    /// Whose labels are read of a source that says who gave which; by default those of all.
    pub annotator: Option<String>,
    /// The column of images of a table; by default its name or content says.
    pub image_column: Option<String>,
    /// The columns of labels of a table; by default their names or contents say.
    pub label_columns: Vec<String>,
    /// The ending of image names that lack one, with or without its dot.
    pub extension: Option<String>,
    /// What cells of a table say, beside the words that are known.
    pub words: Words,
}

/// Words of a user's table, in any case; each wins over what it would mean otherwise.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// There.
    pub yes: Vec<String>,
    /// Not there.
    pub no: Vec<String>,
    /// Nobody knows.
    pub unknown: Vec<String>,
}

impl Words {
    /// What a user means by a cell; nothing where no word is given for it.
    pub fn label(&self, cell: &str) -> Option<Label> {
        let says = |words: &[String]| words.iter().any(|word| word.to_lowercase() == cell.to_lowercase());
        let lists =
            [(&self.yes, Label::Positive), (&self.no, Label::Negative), (&self.unknown, Label::Unknown)];
        lists.into_iter().find_map(|(words, label)| says(words).then_some(label))
    }

    fn is_empty(&self) -> bool {
        [&self.yes, &self.no, &self.unknown].iter().all(|words| words.is_empty())
    }
}

/// What is between the tags of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    /// Nothing: a cell is one tag.
    None,
    /// This character.
    Character(char),
}

impl std::str::FromStr for Separator {
    type Err = String;

    /// `none`, `space`, `tab` or a character.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let mut characters = text.chars();
        match (text, characters.next(), characters.next()) {
            ("none", ..) => Ok(Separator::None),
            ("space", ..) => Ok(Separator::Character(' ')),
            ("tab", ..) => Ok(Separator::Character('\t')),
            (_, Some(character), None) => Ok(Separator::Character(character)),
            _ => Err(format!("`{text}` is not a separator; expected one character, space, tab or none")),
        }
    }
}

impl Unlisted {
    /// The label of a cell that is not listed.
    pub fn label(self) -> Label {
        match self {
            Unlisted::Unknown => Label::Unknown,
            Unlisted::Negative => Label::Negative,
        }
    }
}

impl Uncertain {
    /// The label of an uncertain cell.
    pub fn label(self) -> Label {
        match self {
            Uncertain::Unknown => Label::Unknown,
            Uncertain::Negative => Label::Negative,
            Uncertain::Positive => Label::Positive,
        }
    }
}

/// An option that only some formats take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// `--unlisted`
    Unlisted,
    /// `--image-list`
    ImageList,
    /// `--convention`
    Convention,
    /// `--set`
    Set,
    /// `--difficult`
    Difficult,
    /// `--uncertain`
    Uncertain,
    /// `--hierarchy`
    Hierarchy,
    /// `--separator`
    Separator,
    /// `--image-column`
    ImageColumn,
    /// `--label-columns`
    LabelColumns,
    /// `--extension`
    Extension,
    /// `--yes`, `--no`, `--unknown`
    Words,
    /// `--field`
    Field,
    /// `--annotator`
    Annotator,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Choice::Unlisted => "--unlisted",
            Choice::ImageList => "--image-list",
            Choice::Convention => "--convention",
            Choice::Set => "--set",
            Choice::Difficult => "--difficult",
            Choice::Uncertain => "--uncertain",
            Choice::Hierarchy => "--hierarchy",
            Choice::Separator => "--separator",
            Choice::ImageColumn => "--image-column",
            Choice::LabelColumns => "--label-columns",
            Choice::Extension => "--extension",
            Choice::Words => "--yes, --no, --unknown",
            Choice::Field => "--field",
            Choice::Annotator => "--annotator",
        })
    }
}

impl Options {
    /// The folder that image names are joined to: the user's, else that of the label file.
    pub fn image_folder<'a>(&'a self, path: &'a Path) -> &'a Path {
        self.images.as_deref().unwrap_or_else(|| folder_of(path))
    }

    /// An image name with `--extension` where it lacks the ending of an image file.
    pub fn image_name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match &self.extension {
            Some(extension) if !has_extension(name) => {
                format!("{name}.{}", extension.trim_start_matches('.')).into()
            }
            _ => name.into(),
        }
    }

    /// The options among [`Choice`] that are set.
    pub fn given(&self) -> impl Iterator<Item = Choice> {
        let set = [
            (Choice::Unlisted, self.unlisted.is_some()),
            (Choice::ImageList, self.image_list.is_some()),
            (Choice::Convention, self.convention.is_some()),
            (Choice::Set, self.set.is_some()),
            (Choice::Difficult, self.difficult.is_some()),
            (Choice::Uncertain, self.uncertain.is_some()),
            (Choice::Hierarchy, self.hierarchy.is_some()),
            (Choice::Separator, self.separator.is_some()),
            (Choice::ImageColumn, self.image_column.is_some()),
            (Choice::LabelColumns, !self.label_columns.is_empty()),
            (Choice::Extension, self.extension.is_some()),
            (Choice::Words, !self.words.is_empty()),
            (Choice::Field, self.field.is_some()),
            (Choice::Annotator, self.annotator.is_some()),
        ];
        set.into_iter().filter_map(|(choice, set)| set.then_some(choice))
    }

    /// Refuses options that a format would ignore.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the first option that is set and not among `taken`.
    pub fn only(&self, format: &str, taken: &[Choice]) -> Result<()> {
        match self.given().find(|choice| !taken.contains(choice)) {
            Some(choice) => {
                Err(Error::Usage(format!("{choice}: {format} has no use for it; remove the option")))
            }
            None => Ok(()),
        }
    }

    /// Without the options that are not among `taken`: what one of several sources is read with.
    pub fn restricted_to(self, taken: &[Choice]) -> Self {
        let takes = |choice| taken.contains(&choice);
        Self {
            unlisted: self.unlisted.filter(|_| takes(Choice::Unlisted)),
            image_list: self.image_list.filter(|_| takes(Choice::ImageList)),
            convention: self.convention.filter(|_| takes(Choice::Convention)),
            set: self.set.filter(|_| takes(Choice::Set)),
            difficult: self.difficult.filter(|_| takes(Choice::Difficult)),
            uncertain: self.uncertain.filter(|_| takes(Choice::Uncertain)),
            hierarchy: self.hierarchy.filter(|_| takes(Choice::Hierarchy)),
            separator: self.separator.filter(|_| takes(Choice::Separator)),
            image_column: self.image_column.filter(|_| takes(Choice::ImageColumn)),
            label_columns: if takes(Choice::LabelColumns) { self.label_columns } else { Vec::new() },
            extension: self.extension.filter(|_| takes(Choice::Extension)),
            field: self.field.filter(|_| takes(Choice::Field)),
            annotator: self.annotator.filter(|_| takes(Choice::Annotator)),
            words: if takes(Choice::Words) { self.words } else { Words::default() },
            images: self.images,
            categories: self.categories,
        }
    }

    /// The policy for what is not listed, of a format that does not say it; `why` says what it leaves open.
    ///
    /// # Errors
    /// [`Error::Usage`] if the user did not choose.
    pub fn unlisted(&self, why: &str) -> Result<Unlisted> {
        self.unlisted.ok_or_else(|| {
            Error::Usage(format!(
                "{why}; pass --unlisted unknown (nobody looked) or --unlisted negative (all were looked for)"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Options {
        let path = || Some(PathBuf::from("a"));
        let text = || Some("a".to_owned());
        Options {
            unlisted: Some(Unlisted::Negative),
            images: path(),
            image_list: path(),
            categories: path(),
            convention: Some(Convention::Hcp),
            set: text(),
            difficult: Some(Difficult::Dropped),
            uncertain: Some(Uncertain::Positive),
            hierarchy: path(),
            separator: Some(Separator::None),
            field: text(),
            annotator: text(),
            image_column: text(),
            label_columns: vec!["a".into()],
            extension: Some(".jpg".into()),
            words: Words { unknown: vec!["a".into()], ..Words::default() },
        }
    }

    #[test]
    fn of_all_options_those_that_a_format_takes_are_left() {
        assert_eq!(all().given().count(), 14);
        for choice in all().given() {
            let options = all().restricted_to(&[choice]);
            assert_eq!(options.given().collect::<Vec<_>>(), [choice]);
            assert_eq!((options.images, options.categories), (Some("a".into()), Some("a".into())));
            let rest: Vec<Choice> = all().given().filter(|other| *other != choice).collect();
            let error = all().only("it", &rest).unwrap_err().to_string();
            assert_eq!(error, format!("{choice}: it has no use for it; remove the option"));
        }
        assert!(all().only("it", &all().given().collect::<Vec<_>>()).is_ok());
    }

    #[test]
    fn a_separator_is_one_character_or_its_name() {
        let parsed = |text: &str| text.parse::<Separator>().ok();
        for (text, separator) in [
            ("none", Separator::None),
            ("space", Separator::Character(' ')),
            ("tab", Separator::Character('\t')),
            ("|", Separator::Character('|')),
        ] {
            assert_eq!(parsed(text), Some(separator), "{text}");
        }
        assert_eq!(["", "||", "comma"].map(parsed), [None; 3]);
    }

    #[test]
    fn an_extension_is_added_to_names_that_lack_one() {
        let named = |name: &str| all().image_name(name).into_owned();
        assert_eq!(["1", "a.b", "c.png"].map(named), ["1.jpg", "a.b.jpg", "c.png"]);
        assert_eq!(Options::default().image_name("1"), "1");
    }
}
