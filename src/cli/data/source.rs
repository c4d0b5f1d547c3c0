//! Where labels are read from: a data folder, or a file, folder or archive of any format.

use std::path::{Path, PathBuf};

use clap::Args;
use sarb::{Error, Result};
use sarb_labels::Annotations;
use sarb_labels::dataset::{self, Split};
use sarb_labels::formats::options::{Convention, Difficult, Options, Separator, Uncertain, Unlisted, Words};
use sarb_labels::formats::{self, Reading, Source, format::Format};
use sarb_labels::text::listed;

use crate::cli::console::{say, warn};
use crate::cli::labels::fill::list_beside;

/// How a source is read; each option belongs to some formats, and the others refuse it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "How the labels are read")]
pub struct ReadArgs {
    /// Format of the source; without it the content says
    #[arg(long, value_name = "FORMAT")]
    from: Option<Format>,
    /// What a category is that is not listed for an image, where the source does not say
    #[arg(long)]
    unlisted: Option<Unlisted>,
    /// Folder of the images; without it the format says where they lie
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Categories, one per line, in the order wanted; names of the columns of an array
    #[arg(long, value_name = "FILE")]
    categories: Option<PathBuf>,
    /// Arrays, VG-200: names of the images, one per line
    #[arg(long, value_name = "FILE")]
    image_list: Option<PathBuf>,
    /// Arrays, tables, JSON maps: what 1, 0 and -1 mean
    #[arg(long)]
    convention: Option<Convention>,
    /// Pascal VOC: which list of images, such as trainval; others: which set, such as train
    #[arg(long, value_name = "NAME")]
    set: Option<String>,
    /// Pascal VOC: what a category is whose objects are all difficult [default: unknown]
    #[arg(long)]
    difficult: Option<Difficult>,
    /// CheXpert: what an uncertain label is [default: unknown]
    #[arg(long)]
    uncertain: Option<Uncertain>,
    /// Open Images: JSON file of the hierarchy, whose implied labels are filled in
    #[arg(long, value_name = "FILE")]
    hierarchy: Option<PathBuf>,
    /// Lists of tags: what is between the tags of a cell; a character, space, tab or none
    #[arg(long, value_name = "CHARACTER")]
    separator: Option<Separator>,
    /// Tables, tags: the column of images [default: by its name or content]
    #[arg(long, value_name = "NAME")]
    image_column: Option<String>,
    /// Tables, tags: the columns of labels, with commas between [default: by their names or contents]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    label_columns: Vec<String>,
    /// Tables, tags: the ending of image names that have none, such as jpg
    #[arg(long, value_name = "EXTENSION")]
    extension: Option<String>,
    /// Tables: words for what is there, beside 1, yes and true
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    yes: Vec<String>,
    /// Tables: words for what is not there, beside 0, no and false
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    no: Vec<String>,
    /// Tables: words for what nobody knows, beside blank, nan and ?
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    unknown: Vec<String>,
    /// FiftyOne: the field with the labels; VIA: the attribute
    #[arg(long, value_name = "NAME")]
    field: Option<String>,
    /// Label Studio, Open Images: only labels that this person gave, or of this Source [default: of all]
    #[arg(long, value_name = "NAME")]
    annotator: Option<String>,
}

impl ReadArgs {
    /// Reads the labels of a source; says on stderr what it was taken for and how it was read. Of a data
    /// folder, `split` is read.
    pub fn read(&self, source: &Path, split: Split) -> Result<Annotations> {
        match self.format_of(source)? {
            None => {
                self.refuse_all(source)?;
                Ok(open_split(source, split)?)
            }
            Some(taken) => read_as(source, taken, &self.options()),
        }
    }

    /// Reads several sources, each under the name of its file; an option goes to those whose format takes it.
    pub fn read_several(&self, sources: &[PathBuf], split: Split) -> Result<Vec<(String, Annotations)>> {
        let read = |(source, taken): (&PathBuf, Option<Taken>)| {
            let file = label_file(source, split);
            let annotations = match taken {
                None => open_split(source, split)?,
                Some(taken) => self.read_one_of_several(source, taken)?,
            };
            Ok((file.display().to_string(), annotations))
        };
        self.hand_out(sources)?.into_iter().map(read).collect()
    }

    /// Reads one of several sources with those of the options that its format takes.
    fn read_one_of_several(&self, source: &Path, taken: Taken) -> Result<Annotations> {
        let options = self.options().restricted_to(taken.format.takes);
        read_as(source, taken, &options)
    }

    /// The formats of several sources. Says which of them take the options; one that none takes is refused.
    fn hand_out<'a>(&self, sources: &'a [PathBuf]) -> Result<Vec<(&'a PathBuf, Option<Taken>)>> {
        let sources = sources.iter().map(|source| Ok((source, self.format_of(source)?)));
        let sources = sources.collect::<Result<Vec<_>>>()?;
        if let Some((folder, _)) = sources.iter().find(|(_, taken)| taken.is_none() && self.from.is_some()) {
            let what = "a data folder needs no --from; name a label file in it";
            return Err(Error::Usage(format!("{}: {what}", folder.display())));
        }
        let of_all = [("--images", self.images.is_some()), ("--categories", self.categories.is_some())];
        let of_all = of_all.into_iter().filter(|(_, given)| *given).map(|(name, _)| (name.to_owned(), None));
        let of_some =
            self.options().given().map(|choice| (choice.to_string(), Some(choice))).collect::<Vec<_>>();
        for (name, choice) in of_all.chain(of_some) {
            let takes = |format: &Format| choice.is_none_or(|choice| format.takes.contains(&choice));
            let takers =
                sources.iter().filter(|(_, taken)| taken.as_ref().is_some_and(|taken| takes(&taken.format)));
            let takers: Vec<String> = takers.map(|(source, _)| source.display().to_string()).collect();
            match takers.len() {
                0 => {
                    return Err(Error::Usage(format!(
                        "{name}: none of the sources takes it; remove the option"
                    )));
                }
                count if count < sources.len() => say(&format!("{name} is for {}", listed(&takers))),
                _ => say(&format!("{name} is for all sources")),
            }
        }
        Ok(sources)
    }

    /// The format of a source and why; nothing for a data folder.
    fn format_of(&self, source: &Path) -> Result<Option<Taken>> {
        if is_data_folder(source) {
            return Ok(None);
        }
        let unpacked = Source::open(source)?;
        let (format, why) = match self.from {
            Some(format) => (format, "as you say".to_owned()),
            None => unpacked.detect()?,
        };
        Ok(Some(Taken { unpacked, format, why }))
    }

    /// All labels of sources, with their names: of a data folder every split that it has. Of several, an option
    /// goes to those whose format takes it.
    pub fn read_all(&self, sources: &[PathBuf]) -> Result<Vec<(String, Annotations)>> {
        if let [source] = sources {
            if is_data_folder(source) {
                self.refuse_all(source)?;
                return every_split(source);
            }
            return Ok(vec![(source.display().to_string(), self.read(source, Split::Train)?)]);
        }
        let mut all = Vec::new();
        for (source, taken) in self.hand_out(sources)? {
            let name = source.display();
            match taken {
                Some(taken) => all.push((name.to_string(), self.read_one_of_several(source, taken)?)),
                None => all.extend(
                    every_split(source)?.into_iter().map(|(split, it)| (format!("{name}: {split}"), it)),
                ),
            }
        }
        Ok(all)
    }

    /// Reads a source once for each person who labeled it, with their names; one that names nobody is one person's, called
    /// like the file. Of a data folder, `train.csv` is read.
    pub fn read_by_annotator(&self, source: &Path) -> Result<Vec<(String, Annotations)>> {
        let names = match self.format_of(source)? {
            Some(taken) if self.annotator.is_none() => taken.unpacked.annotators(taken.format)?,
            _ => Vec::new(),
        };
        if names.is_empty() {
            let name = self.annotator.clone().unwrap_or_else(|| source.display().to_string());
            return Ok(vec![(name, self.read(source, Split::Train)?)]);
        }
        let read = |name: String| {
            let only = Self { annotator: Some(name.clone()), ..self.clone() };
            Ok((name, only.read(source, Split::Train)?))
        };
        names.into_iter().map(read).collect()
    }

    fn options(&self) -> Options {
        let arguments = self.clone();
        Options {
            unlisted: arguments.unlisted,
            images: arguments.images,
            image_list: arguments.image_list,
            categories: arguments.categories,
            convention: arguments.convention,
            set: arguments.set,
            difficult: arguments.difficult,
            uncertain: arguments.uncertain,
            hierarchy: arguments.hierarchy,
            separator: arguments.separator,
            image_column: arguments.image_column,
            label_columns: arguments.label_columns,
            extension: arguments.extension,
            words: Words { yes: arguments.yes, no: arguments.no, unknown: arguments.unknown },
            field: arguments.field,
            annotator: arguments.annotator,
        }
    }

    /// Refuses options where nothing is read with them; `without` says what is missing.
    pub fn refuse(&self, without: &str) -> Result<()> {
        let Options { images, categories, .. } = self.options();
        let general = [
            ("--from", self.from.is_some()),
            ("--images", images.is_some()),
            ("--categories", categories.is_some()),
        ];
        let general = general.into_iter().filter(|(_, given)| *given).map(|(name, _)| name.to_owned());
        match general.chain(self.options().given().map(|choice| choice.to_string())).next() {
            Some(option) => Err(Error::Usage(format!("{option}: without {without} nothing is read with it"))),
            None => Ok(()),
        }
    }

    /// A data folder takes none of the options.
    fn refuse_all(&self, folder: &Path) -> Result<()> {
        let Options { images, categories, .. } = self.options();
        self.options().only("a data folder", &[])?;
        if self.from.is_some() || images.is_some() || categories.is_some() {
            let what = "a data folder needs no --from, --images or --categories";
            return Err(Error::Usage(format!("{}: {what}; name a label file in it", folder.display())));
        }
        Ok(())
    }
}

/// The splits of a data folder, with their names.
fn every_split(folder: &Path) -> Result<Vec<(String, Annotations)>> {
    let present = |split: &Split| folder.join(split.file_name()).exists();
    let splits = Split::ALL.into_iter().filter(present);
    splits.map(|split| Ok((split.to_string(), open_split(folder, split)?))).collect()
}

/// What a source was taken for, and why.
struct Taken {
    unpacked: Source,
    format: Format,
    why: String,
}

/// Reads a source as a format; says what it was taken for and how it was read.
fn read_as(source: &Path, taken: Taken, options: &Options) -> Result<Annotations> {
    let Taken { unpacked, format, why } = taken;
    if format != formats::csv::FORMAT {
        say(&format!("{}: {format}: {why}", source.display()));
    }
    let Reading { mut annotations, mut notes } = unpacked.read(format, options)?;
    notes.extend(formats::find_images(&mut annotations));
    notes.iter().for_each(|note| say(&format!("{}: {note}", source.display())));
    warn_of_filled(&annotations);
    Ok(annotations)
}

/// One label file of a data folder.
fn open_split(folder: &Path, split: Split) -> Result<Annotations> {
    let annotations = dataset::open_split(folder, split)?;
    warn_of_filled(&annotations);
    Ok(annotations)
}

/// Says where a list beside a label file names labels that `sarb labels fill` filled in: what is read here does not tell
/// them from those that somebody gave.
pub fn warn_of_filled(annotations: &Annotations) {
    let list = list_beside(&annotations.source, None);
    if list.is_file() {
        warn(&format!(
            "{}: a run filled in some of its labels, as {} says; they are read like labels that somebody gave, and what is made of them does not say so",
            annotations.source.display(),
            list.display()
        ));
    }
}

/// The file that is read of a source: of a data folder, that of the split.
pub fn label_file(source: &Path, split: Split) -> PathBuf {
    if is_data_folder(source) { source.join(split.file_name()) } else { source.to_path_buf() }
}

/// Whether a path is a folder with a label file of ours.
pub fn is_data_folder(path: &Path) -> bool {
    path.is_dir() && Split::ALL.iter().any(|split| path.join(split.file_name()).is_file())
}
