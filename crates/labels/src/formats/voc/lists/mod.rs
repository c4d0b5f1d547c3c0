//! Pascal VOC's lists of labels, `ImageSets/Main/CATEGORY_SET.txt`: an image and `1`, `-1` or `0` a line.
//!
//! 0 says that all objects of the category are difficult. It is not a negative: by default it is unknown,
//! so that lists hold all three states.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use super::{ImageSets, difficult_label, difficult_note, file_name};
use crate::annotations::Annotations;
use crate::error::Problems;
use crate::files::{Draft, write_atomically};
use crate::formats::Reading;
use crate::formats::image_names::image_names;
use crate::formats::lines::{Lines, text};
use crate::formats::marks::Marks;
use crate::formats::name_list::check_name;
use crate::formats::options::Difficult;
use crate::formats::report::shown;
use crate::images::has_extension;
use crate::labels::Label;
use crate::{Error, Result};

/// Reads the lists of all categories for one set.
pub(super) fn read(lists: &ImageSets, set: &str, images: &Path, difficult: Difficult) -> Result<Reading> {
    let classes = lists.classes(set);
    if classes.is_empty() {
        let what = format!("no Annotations, and no lists of categories such as cat_{set}.txt");
        return Err(Error::Data(format!("{}: {what}", lists.folder.display())));
    }
    let mut table = Table { marks: Marks::with_categories(classes.clone()), ..Table::new(images, difficult) };
    if lists.has(set) {
        for id in lists.ids(set)? {
            table.marks.image(&images.join(file_name(&id.name)));
        }
        table.listed = Some(table.marks.images().len());
    }
    let mut problems = Problems::default();
    for (category, class) in classes.iter().enumerate() {
        let path = lists.folder.join(format!("{class}_{set}.txt"));
        let file = File::open(&path).map_err(|error| Error::io(&path, error))?;
        let mut lines = Lines::new(&path, BufReader::with_capacity(1 << 16, file));
        lines.report.problems = problems;
        table.read_class(category, set, &mut lines)?;
        problems = lines.report.problems;
    }
    problems.or(())?;
    table.finish(&lists.folder)
}

/// The labels of the lists so far.
struct Table<'a> {
    marks: Marks,
    images: &'a Path,
    difficult: Difficult,
    /// How many images the list of the set has, if there is one.
    listed: Option<usize>,
    /// Cells that a list speaks of, and those of them that are 0.
    said: usize,
    zeros: usize,
    /// Images to leave out.
    dropped: Vec<bool>,
}

impl<'a> Table<'a> {
    fn new(images: &'a Path, difficult: Difficult) -> Self {
        let marks = Marks::default();
        Self { marks, images, difficult, listed: None, said: 0, zeros: 0, dropped: Vec::new() }
    }

    fn read_class(&mut self, category: usize, set: &str, lines: &mut Lines<'_, impl BufRead>) -> Result<()> {
        let mut seen = vec![false; self.marks.images().len()];
        while lines.advance()? {
            let Lines { bytes, report, .. } = &mut *lines;
            let Some(line) = text(bytes, report).map(str::trim) else { continue };
            let Some((id, label)) = fields(line) else {
                report.note(|| format!("{}; expected an image and 1, -1 or 0", shown(line)));
                continue;
            };
            let image = self.marks.image(&self.images.join(file_name(id)));
            if self.listed.is_some_and(|listed| image >= listed) {
                report.note(|| format!("image {} is not in {set}.txt", shown(id)));
                continue;
            }
            seen.resize(self.marks.images().len(), false);
            if std::mem::replace(&mut seen[image], true) {
                report.note(|| format!("image {} is already in this list", shown(id)));
                continue;
            }
            self.mark(image, category, label);
        }
        Ok(())
    }

    /// `label` is unknown for 0.
    fn mark(&mut self, image: usize, category: usize, label: Label) {
        self.said += 1;
        if label != Label::Unknown {
            return self.marks.mark(image, category, label);
        }
        self.zeros += 1;
        if self.difficult == Difficult::Dropped {
            self.dropped.resize(self.marks.images().len(), false);
            self.dropped[image] = true;
        }
        self.marks.mark(image, category, difficult_label(self.difficult));
    }

    fn finish(self, folder: &Path) -> Result<Reading> {
        let Self { marks, difficult, said, zeros, mut dropped, .. } = self;
        let mut reading = marks.finish(Label::Unknown, folder)?;
        let Annotations { images, labels, .. } = &mut reading.annotations;
        let silent = labels.images() * labels.categories() - said;
        let left_out = dropped.iter().filter(|dropped| **dropped).count();
        if left_out > 0 {
            dropped.resize(images.len(), false);
            let kept: Vec<usize> = (0..images.len()).filter(|&image| !dropped[image]).collect();
            if kept.is_empty() {
                let what = "no image without a category of only difficult objects; nothing to read";
                return Err(Error::Data(format!("{}: {what}", folder.display())));
            }
            *images = kept.iter().map(|&image| images[image].clone()).collect();
            *labels = labels.select(&kept);
        }
        reading.notes.extend(difficult_note(difficult, zeros, left_out));
        if silent > 0 {
            reading.notes.push(format!("{silent} labels that no list speaks of: unknown"));
        }
        Ok(reading)
    }
}

/// The image and its label, unknown for 0.
fn fields(line: &str) -> Option<(&str, Label)> {
    let (id, label) = line.rsplit_once(char::is_whitespace)?;
    let label = match label {
        "1" | "+1" => Label::Positive,
        "-1" => Label::Negative,
        "0" => Label::Unknown,
        _ => return None,
    };
    Some((id.trim_end(), label))
}

/// Writes `ImageSets/Main/trainval.txt` and one list per category into the folder `path`, which is made;
/// images are named from its `JPEGImages`. All three states are held: unknown is 0, which is read back
/// as unknown, though other programs take it for difficult objects. What is lost is the order of categories.
///
/// # Errors
/// If there are lists already, or a name cannot be a file name or stand in a list.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    if !path.exists() {
        let draft = Draft::of(path)?;
        let lost = write_into(draft.folder(), path, annotations)?;
        return draft.publish().map(|()| lost);
    }
    write_into(path, path, annotations)
}

/// Writes into `folder` what errors call `path`.
fn write_into(folder: &Path, path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let photos = folder.join("JPEGImages");
    std::fs::create_dir_all(&photos).map_err(|error| Error::io(&photos, error))?;
    let names = image_names(annotations, &photos)?;
    let ids = names.iter().map(|name| id(path, name)).collect::<Result<Vec<String>>>()?;
    let main = folder.join("ImageSets").join("Main");
    let full = main.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if full {
        let what = "there are lists already; choose another folder or remove them";
        return Err(Error::Usage(format!("{}: {what}", main.display())));
    }
    let draft = Draft::of(&main)?;
    for (category, name) in annotations.categories.iter().enumerate() {
        let list = draft.folder().join(format!("{}_trainval.txt", class_name(path, name)?));
        if list.exists() {
            let what = format!("the file system takes the list of {} for that of another one", shown(name));
            return Err(Error::Data(format!("{}: {what}", path.display())));
        }
        write_atomically(&list, |writer| {
            for (image, id) in ids.iter().enumerate() {
                writeln!(writer, "{id} {:2}", annotations.labels.get(image, category) as i8)?;
            }
            Ok(())
        })?;
    }
    write_atomically(&draft.folder().join("trainval.txt"), |writer| {
        ids.iter().try_for_each(|id| writeln!(writer, "{id}"))
    })?;
    draft.publish()?;
    let sorted = annotations.categories.is_sorted();
    let order = "the order of the categories: they are read back in alphabetical order";
    Ok(if sorted { Vec::new() } else { vec![order.to_owned()] })
}

/// The name in a list from which [`file_name`] makes `image` again.
fn id(path: &Path, image: &str) -> Result<String> {
    let stem = image.strip_suffix(".jpg").filter(|stem| !has_extension(stem) && !stem.ends_with('/'));
    let id = stem.unwrap_or(image);
    if file_name(id) != image {
        let what = format!("{}: a VOC list holds images whose names end in .jpg, .png …", shown(image));
        return Err(Error::Data(format!("{}: {what}", path.display())));
    }
    check_name(path, id, "a VOC list")?;
    Ok(id.to_owned())
}

/// `name`, if it can be a part of a file name.
fn class_name<'a>(path: &Path, name: &'a str) -> Result<&'a str> {
    check_name(path, name, "a VOC list")?;
    let long = name.len() > 200;
    if long || name.contains(|c: char| c.is_control() || r#"/\:*?"<>|"#.contains(c)) {
        let what = "its list cannot be called so; use letters, digits, spaces, - and _";
        return Err(Error::Data(format!("{}: category {}: {what}", path.display(), shown(name))));
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
