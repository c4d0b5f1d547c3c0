//! The images of a set, each with its label file.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::layout::{Part, is_label_name, swapped};
use crate::error::Problems;
use crate::files::{folder_of, tidy};
use crate::formats::lines::{Lines, text};
use crate::formats::report::{counted, shown};
use crate::formats::shards::{are_apart, split_in};
use crate::formats::tree::{Tree, is_image, walk};
use crate::{Error, Result};

/// An image and, if there is one, its label file.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub image: PathBuf,
    pub labels: Option<PathBuf>,
}

/// The images so far.
#[derive(Default)]
pub(super) struct Rows {
    pub rows: Vec<Row>,
    /// Label files without an image.
    orphans: usize,
    /// Images in the user's folder.
    of_user: HashSet<PathBuf>,
    /// Lines of lists that repeat an image.
    repeated: usize,
    /// The label file of each image so far, of all parts.
    taken: HashMap<PathBuf, Option<PathBuf>>,
    /// Images that several parts have.
    shared: usize,
}

impl Rows {
    /// Adds the images of a part of a set.
    ///
    /// # Errors
    /// A folder or list that cannot be read; label files that fit several images of the user's folder.
    pub fn add(&mut self, part: &Part, images: Option<&Path>) -> Result<()> {
        match (part, images) {
            (Part::List { file, root }, images) => self.list(file, root, images),
            (Part::Folder { labels, .. }, Some(images)) => self.elsewhere(labels, images),
            (Part::Folder { images, labels }, None) => self.folder(images, labels),
        }
    }

    /// Adds a row; one that is there already is counted.
    ///
    /// # Errors
    /// If the image has another label file there.
    fn push(&mut self, row: Row) -> std::result::Result<(), String> {
        match self.taken.get(&row.image) {
            None => {
                self.taken.insert(row.image.clone(), row.labels.clone());
                self.rows.push(row);
                Ok(())
            }
            Some(labels) if *labels == row.labels => {
                self.shared += 1;
                Ok(())
            }
            Some(_) => {
                let what = "is the image of another label file too; give a folder with an image for each";
                Err(format!("{} {what}", row.image.display()))
            }
        }
    }

    /// The images of a folder; where there is none at all, what the label files are named after.
    fn folder(&mut self, images: &Path, labels: &Path) -> Result<()> {
        let files = if images.is_dir() { walk(images)?.files } else { Vec::new() };
        let found: Vec<PathBuf> = files.into_iter().filter(|file| is_image(file)).collect();
        let mut files = label_files(labels)?;
        if found.is_empty() {
            check_splits(labels, &files)?;
            let named = files.into_iter().map(|file| {
                let below = file.strip_prefix(labels).unwrap_or(&file).with_extension("");
                Row { image: images.join(below), labels: Some(file) }
            });
            return self.extend(named);
        }
        let used: HashSet<PathBuf> = found.iter().filter_map(|image| labels_of(image)).collect();
        check_splits(images, &found)?;
        files.retain(|file| !used.contains(file));
        self.orphans += files.len();
        self.extend(found.into_iter().map(|image| Row { labels: labels_of(&image), image }))
    }

    /// Adds rows, each with the problem of its label file if there is one.
    fn extend(&mut self, rows: impl Iterator<Item = Row>) -> Result<()> {
        let mut problems = Problems::default();
        for row in rows {
            let file = row.labels.as_ref().unwrap_or(&row.image).display().to_string();
            if let Err(what) = self.push(row) {
                problems.push(format!("{file}:1: {what}"));
            }
        }
        problems.or(())
    }

    /// The images of the user's folder: those at the same place below it as the label files, or of the
    /// same name.
    fn elsewhere(&mut self, labels: &Path, images: &Path) -> Result<()> {
        let Tree { files, .. } = walk(images)?;
        let mut by_stem: HashMap<PathBuf, Vec<PathBuf>> = HashMap::new();
        for image in files.into_iter().filter(|file| is_image(file)) {
            let stem = image.file_stem().unwrap_or_default().into();
            by_stem.entry(stem).or_default().push(image);
        }
        self.of_user.extend(by_stem.values().flatten().cloned());
        let mut problems = Problems::default();
        let mut rows = Vec::new();
        let files = label_files(labels)?;
        check_splits(labels, &files)?;
        for file in files {
            let below = file.strip_prefix(labels).unwrap_or(&file).with_extension("");
            let candidates = by_stem.get(Path::new(below.file_name().unwrap_or_default()));
            let candidates = candidates.map_or(&[][..], Vec::as_slice);
            let same_place = |image: &&PathBuf| image.with_extension("") == images.join(&below);
            let image = match candidates {
                [] => images.join(&below),
                [image] => image.clone(),
                several => match several.iter().find(same_place) {
                    Some(image) => image.clone(),
                    None => {
                        let what = "several images of this name; give a folder that holds one of them";
                        problems.push(format!("{}:1: {} has {what}", file.display(), images.display()));
                        continue;
                    }
                },
            };
            rows.push(Row { image, labels: Some(file) });
        }
        problems.or(())?;
        self.extend(rows.into_iter())
    }

    /// The images of a list.
    fn list(&mut self, path: &Path, root: &Path, images: Option<&Path>) -> Result<()> {
        let file = File::open(path).map_err(|error| Error::io(path, error))?;
        let mut lines = Lines::new(path, BufReader::with_capacity(1 << 16, file));
        let mut seen: HashMap<PathBuf, PathBuf> = HashMap::new();
        while lines.advance()? {
            let Lines { bytes, report, .. } = &mut lines;
            let Some(line) = text(bytes, report).map(str::trim).filter(|line| !line.is_empty()) else {
                continue;
            };
            if !is_image(Path::new(line)) {
                let what = "expected the path of an image";
                report.note(|| format!("{}; {what}", shown(line)));
                continue;
            }
            let row = match listed(line, folder_of(path), root, images) {
                Ok(row) => row,
                Err(what) => {
                    report.note(|| what);
                    continue;
                }
            };
            let line = tidy(Path::new(&line.replace('\\', "/")));
            match seen.get(&row.image) {
                None => {
                    seen.insert(row.image.clone(), line);
                    if let Err(what) = self.push(row) {
                        report.note(|| what);
                    }
                }
                Some(first) if *first == line => self.repeated += 1,
                Some(_) => {
                    let what = "is the image of another line too; give a folder with an image for each";
                    report.note(|| format!("{} {what}", row.image.display()));
                }
            }
        }
        lines.report.problems.or(())
    }

    /// What the user should know.
    pub fn notes(&self) -> Vec<String> {
        let others = self.of_user.iter().filter(|image| !self.taken.contains_key(*image)).count();
        let mut files = HashSet::new();
        let same_file =
            self.rows.iter().filter_map(|row| row.labels.as_ref()).filter(|file| !files.insert(*file));
        let counts = [
            (self.orphans, "text files have no image of their name: left out; --images DIR looks elsewhere"),
            (others, "images of --images have no label file in this set: left out"),
            (self.repeated, "lines of lists repeat an image: read once"),
            (self.shared, "images are in several parts of the set: read once"),
            (
                same_file.count(),
                "images have the label file of another image, whose name differs in its extension",
            ),
        ];
        counted(counts).collect()
    }
}

/// Refuses files of several splits below a folder that is one set, as in `a/train/images` and `a/val/images`.
fn check_splits(root: &Path, files: &[PathBuf]) -> Result<()> {
    let folders = files.iter().map(|file| file.strip_prefix(root).map_or(Path::new(""), folder_of));
    if are_apart(folders.map(split_in)) {
        let what =
            "holds folders of several splits, or of a split and others; name the folder of one of them";
        return Err(Error::Usage(format!("{}: {what}", root.display())));
    }
    Ok(())
}

/// The label files of a folder.
fn label_files(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(walk(folder)?.files.into_iter().filter(|file| is_label_name(file)).collect())
}

/// The label file of an image, if it is there: in the folder `labels` instead of `images`, else beside it.
fn labels_of(image: &Path) -> Option<PathBuf> {
    let beside = image.with_extension("txt");
    let places = [swapped(&beside, "images", "labels"), Some(beside)];
    places.into_iter().flatten().find(|file| file.is_file())
}

/// The image that a line of a list means: its path from the list or the data set, or as much of its end as is
/// there, since Darknet's paths begin where it was run (`data/obj_train_data/1.jpg`).
///
/// # Errors
/// A path that leads to one image from the list and to another from the data set.
fn listed(line: &str, folder: &Path, root: &Path, images: Option<&Path>) -> std::result::Result<Row, String> {
    let line = line.replace('\\', "/");
    let parts: Vec<&str> = line.split('/').filter(|part| !["", "."].contains(part)).collect();
    let ends = || (0..parts.len()).map(|from| parts[from..].join("/"));
    let whole = [folder.join(&line), root.join(&line)].map(|path| tidy(&path));
    if let [first, second] = whole.each_ref()
        && first != second
        && first.is_file()
        && second.is_file()
        && std::fs::canonicalize(first).ok() != std::fs::canonicalize(second).ok()
    {
        let [first, second] = [first, second].map(|path| path.display());
        return Err(format!("{} may be {first} or {second}, and both are there", shown(&line)));
    }
    let below = ends().map(|end| root.join(end));
    let mut said = whole[0].clone();
    let mut labels = None;
    for path in whole.iter().cloned().chain(below) {
        let file = labels_of(&path);
        if file.is_some() || path.is_file() {
            (said, labels) = (path, file);
            break;
        }
    }
    let image = match images {
        None => said,
        Some(images) => ends()
            .map(|end| images.join(end))
            .find(|path| path.is_file())
            .unwrap_or_else(|| images.join(parts.join("/"))),
    };
    Ok(Row { image, labels })
}
