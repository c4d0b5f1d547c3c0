//! Label files in a zip or gzip file, read as if they lay beside it.
//!
//! What tools offer for download is often an archive with one label file. It is unpacked into a temporary
//! folder, which is there as long as its [`Source`]; paths of images and messages are those that the file
//! would give in the folder of the archive.

mod unpack;

use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;

use self::unpack::{Kind, gunzip, kind, unzip};
use super::format::Format;
use super::options::Options;
use super::report::shown;
use super::{ALL, Reading, detect, label_studio, open_images, recognized};
use crate::annotations::Annotations;
use crate::files::tidy;
use crate::{Error, Result};

/// Most files of an archive that are looked at to find the one with the labels.
const MOST_LOOKS: usize = 1000;
/// Most images that are looked for to find their folder.
const MOST_IMAGES: usize = 20;

/// Where labels are read from: a file, a folder or a pattern of shards as it is, an archive unpacked.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    unpacked: Option<Unpacked>,
}

impl Source {
    /// Takes a source, and unpacks it if it is a zip or gzip file of labels.
    ///
    /// # Errors
    /// An archive or spreadsheet that cannot be read as it is, with what to do; one that is damaged or too large.
    pub fn open(path: &Path) -> Result<Self> {
        let unpacked = match kind(path)? {
            Kind::Plain => None,
            kind => Some(Unpacked::new(path, kind)?),
        };
        Ok(Self { path: path.to_owned(), unpacked })
    }

    /// The format of the source, and why.
    ///
    /// # Errors
    /// If it is of no known format, or could be of several; an archive with several label files.
    pub fn detect(&self) -> Result<(Format, String)> {
        match &self.unpacked {
            None => detect(&self.path),
            Some(unpacked) => unpacked.detect().map_err(|error| unpacked.outside(error)),
        }
    }

    /// Reads the source as this format; opens no image.
    ///
    /// # Errors
    /// What is wrong with the source or the options.
    pub fn read(&self, format: Format, options: &Options) -> Result<Reading> {
        match &self.unpacked {
            None => format.read(&self.path, options),
            Some(unpacked) => unpacked.read(format, options).map_err(|error| unpacked.outside(error)),
        }
    }

    /// Who gave the labels, where the source says so: those whom [`Options::annotator`] may name.
    ///
    /// # Errors
    /// If the source cannot be read.
    pub fn annotators(&self, format: Format) -> Result<Vec<String>> {
        match &self.unpacked {
            None => annotators_of(format, &self.path),
            Some(unpacked) => {
                annotators_of(format, &unpacked.place(format)?).map_err(|error| unpacked.outside(error))
            }
        }
    }
}

/// Who labeled a source of a format that says it.
fn annotators_of(format: Format, path: &Path) -> Result<Vec<String>> {
    match format {
        format if format == label_studio::FORMAT => label_studio::annotators(path),
        format if format == open_images::FORMAT => open_images::annotators(path),
        _ => Ok(Vec::new()),
    }
}

/// The files of an archive.
#[derive(Debug)]
struct Unpacked {
    archive: PathBuf,
    folder: TempDir,
    /// Paths of the files.
    files: Vec<PathBuf>,
    /// What messages say instead of paths in the temporary folder, the first that fits.
    names: Vec<(String, String)>,
}

impl Unpacked {
    fn new(archive: &Path, kind: Kind) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|error| Error::io(std::env::temp_dir(), error))?;
        let name = archive.display().to_string();
        let mut unpacked = Self { archive: archive.to_owned(), folder, files: Vec::new(), names: Vec::new() };
        let root = unpacked.root().to_owned();
        unpacked.names.push((root.display().to_string(), name.clone()));
        if kind == Kind::Gzip {
            let file = gunzip(archive, &root).map_err(|error| unpacked.outside(error))?;
            // Whoever reads it need not know that it was unpacked.
            unpacked.names.insert(0, (file.display().to_string(), name));
            unpacked.files.push(file);
        } else {
            let files = unzip(archive, &root).map_err(|error| unpacked.outside(error))?;
            unpacked.files.extend(files.iter().map(|file| root.join(file)));
        }
        Ok(unpacked)
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn detect(&self) -> Result<(Format, String)> {
        match &self.files[..] {
            [file] => detect(file),
            _ => self.find(ALL).map(|(_, format, why)| (format, why)),
        }
    }

    /// The file or folder with the labels, which is of one of these formats.
    fn find(&self, formats: &[Format]) -> Result<(PathBuf, Format, String)> {
        let places = self.folders().into_iter().chain(self.files.iter().take(MOST_LOOKS).cloned());
        let mut found: Vec<(PathBuf, Format, String)> = Vec::new();
        for place in places {
            let folder = place.is_dir();
            for (format, why) in recognized(&place, formats)? {
                found.push((place.clone(), format, why));
            }
            // What a folder is says more than what a file in it is.
            if folder && !found.is_empty() {
                break;
            }
        }
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => {
                let (count, archive) = (self.files.len(), self.archive.display());
                let what = "none of which is a label file sarb recognizes; unpack it first";
                Err(Error::Data(format!(
                    "{archive}: holds {count} files, {what}, then give what holds the labels"
                )))
            }
            _ => Err(self.several(&found)),
        }
    }

    fn several(&self, found: &[(PathBuf, Format, String)]) -> Error {
        const SHOWN: usize = 5;
        let name = |(place, format, _): &(PathBuf, Format, String)| {
            let below = place.strip_prefix(self.root()).unwrap_or(place);
            format!("{} ({format})", shown(&below.display().to_string()))
        };
        let first = found.iter().take(SHOWN).map(name).collect::<Vec<_>>().join(", ");
        let more = if found.len() > SHOWN { ", …" } else { "" };
        let archive = self.archive.display();
        let advice = if found.iter().all(|(place, ..)| *place == found[0].0) {
            "pass --from to choose the format".to_owned()
        } else {
            format!("unpack it first: unzip {archive} -d DIR, then give one of them")
        };
        Error::Usage(format!("{archive}: holds several sources of labels: {first}{more}; {advice}"))
    }

    /// The folder of all files, and those that alone are in the one before.
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.root().to_owned()];
        loop {
            let last = &folders[folders.len() - 1];
            let mut below = self.files.iter().map(|file| {
                let rest = file.strip_prefix(last).unwrap_or(file);
                rest.components().next().map(|first| last.join(first))
            });
            let first = below.next().flatten();
            match first.filter(|first| first.is_dir() && below.all(|other| other.as_ref() == Some(first))) {
                Some(folder) => folders.push(folder),
                None => return folders,
            }
        }
    }

    fn read(&self, format: Format, options: &Options) -> Result<Reading> {
        let place = self.place(format)?;
        let Reading { annotations, notes } = format.read(&place, options)?;
        let Annotations { images, labels, categories, .. } = annotations;
        let images =
            self.beside(images, if place.is_dir() { &place } else { place.parent().unwrap_or(&place) });
        let source = self.archive.clone();
        let notes = notes.iter().map(|note| self.named(note)).collect();
        Ok(Reading { annotations: Annotations { images, labels, categories, source }, notes })
    }

    /// What is read as a format: if the user names it, it may be one that does not recognize its source.
    fn place(&self, format: Format) -> Result<PathBuf> {
        if let [file] = &self.files[..] {
            return Ok(file.clone());
        }
        match self.find(&[format]) {
            Ok((place, ..)) => Ok(place),
            Err(Error::Data(_)) => Ok(self.folders().pop().unwrap_or_else(|| self.root().to_owned())),
            Err(error) => Err(error),
        }
    }

    /// The images where the archive is, instead of in the temporary folder with the label file in `inside`:
    /// in the same folders, or right there or in `images` there, wherever the first of them are.
    fn beside(&self, images: Vec<PathBuf>, inside: &Path) -> Vec<PathBuf> {
        let outside = self.archive.parent().unwrap_or(Path::new(""));
        let pictures = outside.join("images");
        let ways: [(&Path, &Path); 3] = [(self.root(), outside), (inside, outside), (inside, &pictures)];
        let moved = |image: &Path, (from, to): (&Path, &Path)| {
            Some(tidy(&to.join(normal(image.strip_prefix(from).ok()?))))
        };
        // Of those that lie elsewhere in the archive the names might meet others.
        let takes_all = |(from, _): &(&Path, &Path)| {
            images.iter().all(|image| image.starts_with(from) || !image.starts_with(self.root()))
        };
        let is_there = |way: &(&Path, &Path)| {
            let first = images.iter().take(MOST_IMAGES);
            first.filter_map(|image| moved(image, *way)).any(|image| image.is_file())
        };
        let ways: Vec<(&Path, &Path)> = ways.into_iter().filter(takes_all).collect();
        // Where none is there, they are expected beside the archive.
        let beside = ways.get(1).unwrap_or(&ways[0]);
        let way = *ways.iter().find(|way| is_there(way)).unwrap_or(beside);
        images.into_iter().map(|image| moved(&image, way).unwrap_or(image)).collect()
    }

    /// An error as if there were no temporary folder.
    fn outside(&self, error: Error) -> Error {
        error.map_text(|text| self.named(text))
    }

    fn named(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (inside, outside)| text.replace(inside, outside))
    }
}

/// A relative path without `..` where that can be taken away.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        let last = normal.components().next_back();
        match (part, last) {
            (Component::ParentDir, Some(Component::Normal(_))) => {
                normal.pop();
            }
            _ => normal.push(part),
        }
    }
    normal
}

#[cfg(test)]
mod tests;
