//! Folders of images, one for each class: `cat/1.jpg`, or `train/cat/1.jpg`.
//!
//! The layout of torchvision's `ImageFolder` and of Ultralytics' classification data sets
//! (<https://docs.ultralytics.com/datasets/classify/>). An image of several classes is in several folders as
//! copies of a file; these are one image here.

use std::path::{Path, PathBuf};

use super::Reading;
use super::marks::Marks;
use super::options::{Choice, Options};
use super::shards;
use super::tree::{Tree, folders_in, is_hidden, is_image, name_of, walk};
use crate::formats::format::{Format, NotListed};
use crate::formats::report::{counted, shown};
use crate::labels::Label;
use crate::{Error, Result};
use copies::copies;

mod copies;

/// This format.
pub const FORMAT: Format = Format {
    name: "folders",
    title: "folders",
    about: "Folders of images, one for each class",
    example: r#"train/cat/1.jpg
train/cat/2.jpg
train/dog/1.jpg"#,
    extensions: &[],
    takes: &[Choice::Unlisted, Choice::Set],
    names_categories: false,
    unlisted: NotListed::AsYouSay,
    recognize,
    read,
    written: None,
};

/// Files of these kinds beside the folders may hold labels: then the folders are not taken for them unasked.
const LABEL_FILES: [&str; 12] =
    ["csv", "tsv", "json", "jsonl", "xml", "yaml", "yml", "parquet", "tar", "npy", "npz", "names"];

/// Folders with these names hold the images or labels of other layouts.
const OTHER_LAYOUTS: [&str; 7] =
    ["images", "labels", "annotations", "imagesets", "jpegimages", "segmentationclass", "segmentationobject"];

/// Reads the folders of a folder, or of one of its sets: an image is +1 in the class of its folder, and in
/// other classes what the user says. Of files, only those are opened whose names and sizes are equal in two
/// classes: equal bytes are one image of both.
///
/// Categories are the names of the folders of all sets, in alphabetical order.
///
/// # Errors
/// A missing policy or set; a folder without folders of images; a file or folder that cannot be read.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    if path.is_file() {
        let what = "a file; expected a folder with a folder of images for each class";
        return Err(Error::Data(format!("{}: {what}", path.display())));
    }
    let sets = Set::all(path)?;
    let names: Vec<&str> = sets.iter().map(|set| &*set.name).filter(|name| !name.is_empty()).collect();
    let chosen = match (&names[..], &options.set) {
        ([], None) => 0,
        (names, set) => shards::choose(path, names, set.as_deref())?,
    };
    let unlisted = options.unlisted("a folder says what its images show, not what else was looked for")?;
    let mut categories = Vec::new();
    for folder in sets.iter().flat_map(|set| &set.classes) {
        let no_text = || Error::Data(format!("{}: its name is no UTF-8 text; rename it", folder.display()));
        folder.file_name().and_then(|name| name.to_str()).ok_or_else(no_text)?;
        categories.push(name_of(folder));
    }
    categories.sort();
    categories.dedup();
    let mut images = Images { table: Marks::with_categories(categories), ..Images::default() };
    let into = options.images.as_deref().unwrap_or(path);
    for class in &sets[chosen].classes {
        images.add(class, path, into)?;
    }
    images.finish(unlisted.label(), path, sets[chosen].loose)
}

/// The class folders of a set.
struct Set {
    /// Empty for a source without sets.
    name: String,
    classes: Vec<PathBuf>,
    /// Images beside the class folders.
    loose: usize,
}

impl Set {
    /// The sets of a folder whose folders are all called like splits, else the one set that it is.
    fn all(path: &Path) -> Result<Vec<Self>> {
        let folders = folders_in(path)?;
        let splits =
            !folders.is_empty() && folders.iter().all(|folder| shards::is_split_folder(&name_of(folder)));
        let sets = if splits {
            let sets = folders.iter().map(|folder| Self::of(folder, name_of(folder)));
            sets.collect::<Result<Vec<Self>>>()?.into_iter().filter(|set| !set.classes.is_empty()).collect()
        } else {
            vec![Self::of(path, String::new())?]
        };
        if sets.iter().all(|set| set.classes.is_empty()) {
            let what = "no folders; expected a folder of images for each class";
            return Err(Error::Data(format!("{}: {what}", path.display())));
        }
        Ok(sets)
    }

    fn of(folder: &Path, name: String) -> Result<Self> {
        Ok(Self { name, classes: folders_in(folder)?, loose: images_in(folder)? })
    }
}

/// How many images are right in a folder.
fn images_in(folder: &Path) -> Result<usize> {
    let failed = |error| Error::io(folder, error);
    let mut count = 0;
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        count += usize::from(is_image(&path) && !is_hidden(&path) && path.is_file());
    }
    Ok(count)
}

/// An image file and the class of its folder.
struct Entry {
    /// Where it is read from.
    file: PathBuf,
    /// Its path in the labels.
    image: PathBuf,
    class: usize,
}

/// The images of a set.
#[derive(Default)]
struct Images {
    table: Marks,
    entries: Vec<Entry>,
    /// How many images lie below a folder of their class folder.
    deep: usize,
    /// Folders called like splits whose images are all deeper, as those of a split are.
    splits: Vec<String>,
    empty: usize,
    others: usize,
    hidden: usize,
    repeated: usize,
    broken: usize,
}

impl Images {
    /// Adds the images of a class folder, and of the folders in it.
    fn add(&mut self, folder: &Path, root: &Path, into: &Path) -> Result<()> {
        let class = self.table.category(&name_of(folder));
        let Tree { files, hidden, repeated, broken } = walk(folder)?;
        let (before, deep) = (self.entries.len(), self.deep);
        for file in files {
            if !is_image(&file) {
                self.others += 1;
                continue;
            }
            self.deep += usize::from(file.parent() != Some(folder));
            let image = into.join(file.strip_prefix(root).unwrap_or(&file));
            self.entries.push(Entry { file, image, class });
        }
        let added = self.entries.len() - before;
        self.empty += usize::from(added == 0);
        if added > 0 && self.deep - deep == added && shards::is_split_folder(&name_of(folder)) {
            self.splits.push(name_of(folder));
        }
        self.hidden += hidden;
        self.repeated += repeated;
        self.broken += broken;
        Ok(())
    }

    fn finish(self, unlisted: Label, source: &Path, loose: usize) -> Result<Reading> {
        let Self { mut table, entries, .. } = self;
        if !entries.is_empty() && self.deep == entries.len() {
            let example = shown(&entries[0].file.display().to_string());
            let what =
                "the images are not right in the folders of this one; name the folder of the class folders";
            return Err(Error::Data(format!("{}: {what} ({example})", source.display())));
        }
        if !self.splits.is_empty() {
            let splits = self.splits.join(", ");
            let what = "looks like a split, beside folders that look like classes; name one of the folders, or \
                        move the others away";
            return Err(Error::Data(format!("{}: {splits} {what}", source.display())));
        }
        let same_as = copies(&entries)?;
        for (place, entry) in entries.iter().enumerate() {
            let first = &entries[same_as.get(&place).copied().unwrap_or(place)];
            let image = table.image(&first.image);
            table.mark(image, entry.class, Label::Positive);
        }
        let mut reading = table.finish(unlisted, source)?;
        let counts = [
            (
                same_as.len(),
                "images are copies of one, in folders of several classes: one image with all their labels",
            ),
            (self.deep, "images lie deeper than their class folder: they have its class"),
            (self.empty, "class folders are without images"),
            (loose, "images are in no class folder: left out"),
            (self.others, "files are no images: left out"),
            (self.hidden, "hidden folders and images: left out"),
            (self.repeated, "links lead to folders that were read already: left out"),
            (self.broken, "links lead nowhere: left out"),
        ];
        reading.notes.extend(counted(counts));
        Ok(reading)
    }
}

/// Whether a folder has at least two folders with images in them, or folders of splits that have, and nothing
/// that another format reads.
pub fn recognize(path: &Path, _head: &[u8]) -> Option<String> {
    if !path.is_dir() || is_other_layout(path) {
        return None;
    }
    let sets = Set::all(path).ok()?;
    if sets.iter().any(|set| set.classes.iter().any(|folder| is_other_layout(folder)))
        || sets.iter().any(|set| set.loose > 0)
    {
        return None;
    }
    let has_images = |folder: &&PathBuf| images_in(folder).is_ok_and(|count| count > 0);
    let mut sizes = sets.iter().map(|set| (set, set.classes.iter().filter(has_images).count()));
    let (set, count) = sizes.find(|(_, count)| *count > 1)?;
    let of = if set.name.is_empty() { String::new() } else { format!(" in {}", set.name) };
    Some(format!("{count} folders of images{of}"))
}

/// Whether a folder holds label files, or folders of another layout.
fn is_other_layout(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return true };
    entries.filter_map(|entry| Some(entry.ok()?.path())).any(|path| {
        let end = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let name = name_of(&path);
        OTHER_LAYOUTS.contains(&&*name.to_lowercase())
            || LABEL_FILES.contains(&&*end) && path.is_file() && !is_hidden(&path)
            || name == "classes.txt"
            || shards::is_split_folder(&name_of(&path.with_extension(""))) && end == "txt"
    })
}

#[cfg(test)]
mod tests;
