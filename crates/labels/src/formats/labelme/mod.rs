//! LabelMe (<https://github.com/wkentaro/labelme>): one JSON file per image, with flags of the image and shapes.
//!
//! Keys are those that `labelme/label_file.py` writes (version 5.5). LabelMe shows every flag that it was
//! started with unticked and writes it as `false`, so that a flag nobody looked at is `false` too. Its examples
//! call what is to be left out `__ignore__` and what is no object `_background_`.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use super::Reading;
use super::json::outline;
use super::marks::{Marks, all_negative, clear};
use super::options::{Choice, Options};
use super::report::{Report, counted};
use super::shards::shard_files;
use crate::error::Problems;
use crate::files::{folder_of, tidy};
use crate::formats::format::{Format, NotListed};
use crate::images::has_extension;
use crate::labels::{Label, LabelMatrix};
use crate::{Error, Result};
use file::{File, Shape};

mod file;

/// This format.
pub const FORMAT: Format = Format {
    name: "labelme",
    title: "LabelMe",
    about: "LabelMe JSON, or a folder of such files",
    example: r#"{"version": "5.5.0", "flags": {"cat": true, "dog": false},
  "shapes": [{"label": "car", "points": [[1, 2], [3, 4]]}],
  "imagePath": "a.jpg", "imageData": null}"#,
    extensions: &[],
    takes: &[Choice::Unlisted],
    names_categories: false,
    unlisted: NotListed::AsYouSay,
    recognize,
    read,
    written: None,
};

/// Reads one file, or the files `*.json` of a folder in the order of their names: a flag that is true and the
/// label of a shape are +1; a flag that is false, and everything else, is what `--unlisted` says.
///
/// # Errors
/// All problems of the files at once; that `--unlisted` is missing.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let why = "LabelMe writes a flag that nobody ticked as false, and lists no labels that an image lacks";
    let unlisted = options.unlisted(why)?;
    let mut folder = Folder { images: options.images.clone(), ..Folder::default() };
    if path.is_dir() {
        for file in shard_files(path, "json")? {
            if is_labelme(&super::head_of(&file)?) {
                folder.read(&file)?;
            } else {
                folder.others.push(file);
            }
        }
        if folder.files == 0 {
            return Err(Error::Data(format!("{}: no JSON files of LabelMe", path.display())));
        }
    } else {
        folder.read(path)?;
    }
    let Folder { problems, .. } = &mut folder;
    std::mem::take(problems).or(())?;
    let unread = if path.is_dir() && options.images.is_none() { folder.unread_images(path)? } else { 0 };
    let marks = std::mem::take(&mut folder.marks);
    let mut reading = marks.finish(unlisted.label(), path)?;
    clear(&mut reading.annotations.labels, folder.ignored.iter().copied());
    reading.notes.extend(folder.notes(&reading.annotations.labels, unread));
    Ok(reading)
}

#[derive(Default)]
struct Folder {
    /// Where the user says that the images are.
    images: Option<PathBuf>,
    marks: Marks,
    problems: Problems,
    files: usize,
    /// JSON files that are not LabelMe's.
    others: Vec<PathBuf>,
    /// Rows whose flag `__ignore__` is ticked.
    ignored: BTreeSet<usize>,
    unticked: usize,
    shapes: usize,
    left_out: usize,
    flags_of_shapes: usize,
    /// Images of files without a ticked flag or a shape.
    empty: Vec<usize>,
    repeated: usize,
}

/// A flag or label that says to leave the image or the shape out.
const IGNORE: &str = "__ignore__";
const BACKGROUND: &str = "_background_";

impl Folder {
    fn read(&mut self, path: &Path) -> Result<()> {
        self.files += 1;
        let mut report = Report::new(path);
        report.problems = std::mem::take(&mut self.problems);
        let file = File::read(&mut report)?;
        if let Some(File { image, flags, shapes }) = file {
            let before = self.marks.images().len();
            let image = self.marks.image(&self.image_path(path, &image));
            self.repeated += usize::from(image < before);
            let ticked = flags.into_iter().filter(|(flag, on)| self.flag(image, flag, *on)).count();
            let drawn = shapes.into_iter().filter(|shape| self.shape(image, shape)).count();
            if ticked + drawn == 0 {
                self.empty.push(image);
            }
        }
        self.problems = report.problems;
        Ok(())
    }

    /// The image that a file names from its own folder; in the folder of the user, without the way up to it.
    fn image_path(&self, file: &Path, name: &str) -> PathBuf {
        let Some(images) = &self.images else { return folder_of(file).join(name) };
        let mut below = name;
        while let Some(rest) = ["../", "..\\"].iter().find_map(|up| below.strip_prefix(up)) {
            below = rest;
        }
        images.join(below)
    }

    /// Takes a flag of an image; false if it is not ticked.
    fn flag(&mut self, image: usize, flag: &str, on: bool) -> bool {
        if flag == IGNORE {
            if on {
                self.ignored.insert(image);
            }
            return on;
        }
        let category = self.marks.category(flag);
        if on {
            self.marks.mark(image, category, Label::Positive);
        } else {
            self.unticked += 1;
        }
        on
    }

    /// Takes a shape; false if it is no object.
    fn shape(&mut self, image: usize, shape: &Shape) -> bool {
        self.flags_of_shapes += shape.flags;
        if [IGNORE, BACKGROUND].contains(&&*shape.label) {
            self.left_out += 1;
            return false;
        }
        self.shapes += 1;
        let category = self.marks.category(&shape.label);
        self.marks.mark(image, category, Label::Positive);
        true
    }

    /// How many images of the folder no file names: LabelMe writes none for an image that nobody saved.
    fn unread_images(&self, folder: &Path) -> Result<usize> {
        let named: HashSet<&PathBuf> = self.marks.images().iter().collect();
        let entries = std::fs::read_dir(folder).map_err(|error| Error::io(folder, error))?;
        let images = entries.filter_map(|entry| Some(tidy(&entry.ok()?.path())));
        Ok(images.filter(|path| has_extension(&path.to_string_lossy()) && !named.contains(path)).count())
    }

    fn notes(&self, labels: &LabelMatrix, unread: usize) -> Vec<String> {
        let empty = all_negative(labels, self.empty.iter().copied());
        let others = self.others.first().map(|file| file.display().to_string()).unwrap_or_default();
        let counts = [
            (self.unticked, "flags are false, not ticked: read as if they were not there".into()),
            (self.shapes, "shapes: positive for their image".into()),
            (self.left_out, format!("shapes called {IGNORE} or {BACKGROUND} are not read")),
            (self.flags_of_shapes, "ticked flags of shapes are not read".into()),
            (
                self.ignored.len(),
                format!(
                    "images with the flag {IGNORE}: kept, every category unknown, whatever else they have"
                ),
            ),
            (empty, "images have no ticked flag and no shape: every category negative".into()),
            (self.repeated, "files name an image again: labels joined".into()),
            (self.others.len(), format!("JSON files are not LabelMe's and not read, such as {others}")),
            (unread, "images of the folder have no file of LabelMe: left out".into()),
        ];
        counted(counts).collect()
    }
}

/// Whether a file is LabelMe's, or a folder has one among its first JSON files.
pub fn recognize(path: &Path, head: &[u8]) -> Option<String> {
    const LOOKED_AT: usize = 20;
    if !path.is_dir() {
        return is_labelme(head).then(|| "a JSON object with shapes and imagePath".into());
    }
    let files = shard_files(path, "json").ok()?;
    let found = files.iter().take(LOOKED_AT).any(|file| super::head_of(file).is_ok_and(|it| is_labelme(&it)));
    found.then(|| "a folder with JSON files of LabelMe".into())
}

/// LabelMe's keys; long shapes or image data may hide what follows them.
fn is_labelme(head: &[u8]) -> bool {
    let keys = outline(head);
    let has = |key: &str| keys.contains(key);
    has("shapes") && (has("imagePath") || has("imageData") || has("shapes[].points"))
        || has("flags") && has("imageData")
}

#[cfg(test)]
mod tests;
