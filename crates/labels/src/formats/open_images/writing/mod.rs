//! Writes image-level labels as Open Images has them, and the names of the categories beside them.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::label_ids::{LabelId, label_ids};
use super::names::{HEADER, is_descriptions};
use super::{CONFIDENCE, IMAGE, LABEL, SOURCE};
use crate::annotations::Annotations;
use crate::error::Problems;
use crate::files::{folder_of, write_atomically};
use crate::formats::image_names::image_names;
use crate::formats::name_list::check_name;
use crate::formats::report::{counted, shown};
use crate::labels::Label;
use crate::{Error, Result};

/// Writes a line for each known label, of the source `verification`, and the names of the categories to
/// `NAME.class-descriptions.csv` beside it, where [`read`](super::read) finds them.
///
/// An `ImageID` is the name of a file without its extension. A `LabelName` is the id that class descriptions
/// beside the file give the category, else the one that its name is or ends with, else its name.
///
/// What is lost: folders of images and extensions other than `.jpg`; images and categories of which nothing
/// is known; the order of categories.
///
/// # Errors
/// [`Error::Usage`] if the file itself is called like class descriptions; [`Error::Data`] if no label is known
/// or a name cannot be in a line; all images or categories at once that would share an id, and all
/// categories that class descriptions beside the file call otherwise.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let refuse = |what: &str| format!("{}: {what}", path.display());
    if is_descriptions(path) {
        return Err(Error::Usage(refuse(
            "a file of this name is read as class descriptions; choose another",
        )));
    }
    let descriptions = path.with_extension("class-descriptions.csv");
    let labels = label_ids(path, &descriptions, &annotations.categories)?;
    let images = Images::of(path, annotations)?;
    if images.ids.is_empty() {
        return Err(Error::Data(refuse("no label is known, and Open Images' CSV lists known labels only")));
    }
    write_descriptions(&descriptions, &labels)?;
    write_atomically(path, |writer| {
        let mut writer = csv::Writer::from_writer(writer);
        writer.write_record([IMAGE, SOURCE, LABEL, CONFIDENCE])?;
        for (row, image) in &images.ids {
            for (label, state) in labels.iter().zip(annotations.labels.row(*row)) {
                let confidence = match state {
                    Label::Positive => "1",
                    Label::Negative => "0",
                    Label::Unknown => continue,
                };
                writer.write_record([image, "verification", &label.id, confidence])?;
            }
        }
        writer.flush()
    })?;
    Ok(images.losses(annotations.images.len()).into_iter().chain(lost_categories(annotations)).collect())
}

/// Writes a line for each category that has a name.
fn write_descriptions(path: &Path, labels: &[LabelId]) -> Result<()> {
    write_atomically(path, |writer| {
        let mut writer = csv::Writer::from_writer(writer);
        writer.write_record(HEADER)?;
        for (id, name) in labels.iter().filter_map(|label| Some((&label.id, label.name.as_ref()?))) {
            writer.write_record([id, name])?;
        }
        writer.flush()
    })
}

/// The images of which anything is known.
#[derive(Default)]
struct Images {
    /// Their rows and ids.
    ids: Vec<(usize, String)>,
    /// How many are called otherwise than `ID.jpg`.
    renamed: usize,
    /// The folders in which they lie, as seen from the file and from here.
    folders: BTreeSet<(PathBuf, PathBuf)>,
}

impl Images {
    fn of(path: &Path, annotations: &Annotations) -> Result<Self> {
        let names = image_names(annotations, folder_of(path))?;
        let mut images = Self::default();
        let mut rows = HashMap::new();
        let mut problems = Problems::default();
        for (row, name) in names.iter().enumerate() {
            if annotations.labels.row(row).all(|label| label == Label::Unknown) {
                continue;
            }
            let image = Path::new(name);
            let file = image.file_name().and_then(|file| file.to_str()).unwrap_or_default();
            let jpg = file.strip_suffix(".jpg").filter(|id| !id.is_empty());
            let id = jpg.or_else(|| image.file_stem()?.to_str()).unwrap_or_default();
            check_name(path, id, "Open Images' CSV")?;
            if let Some(before) = rows.insert(id.to_owned(), row) {
                let [before, image, id] = [&names[before], name, id].map(shown);
                let both = format!("images {before} and {image}");
                problems.push(format!("{}: {both} would both have the ImageID {id}", path.display()));
            }
            images.renamed += usize::from(jpg.is_none());
            let folder = |image: &Path| image.parent().map(Path::to_owned).unwrap_or_default();
            images.folders.insert((folder(image), folder(&annotations.images[row])));
            images.ids.push((row, id.to_owned()));
        }
        problems.or(images)
    }

    fn losses(&self, all: usize) -> Vec<String> {
        let mut losses = Vec::new();
        let folders: BTreeSet<&Path> = self.folders.iter().map(|(seen, _)| seen.as_path()).collect();
        match (folders.len(), self.folders.first()) {
            (1, Some((seen, _))) if seen.as_os_str().is_empty() => {}
            (1, Some((_, here))) => losses.push(format!(
                "the folder of the images: an ImageID has none; read back with --images {}",
                here.display()
            )),
            (several, _) => losses.push(format!(
                "{several} folders of images: an ImageID has none; put the images into one, for --images"
            )),
        }
        let absent = all - self.ids.len();
        let counts = [
            (self.renamed, "extensions of images other than .jpg: read back as .jpg"),
            (absent, "images of which nothing is known: only known labels are listed"),
        ];
        losses.extend(counted(counts));
        losses
    }
}

fn lost_categories(annotations: &Annotations) -> Vec<String> {
    let known = |category| annotations.labels.column(category).position(|label| label != Label::Unknown);
    let order: Vec<usize> = (0..annotations.categories.len()).filter_map(known).collect();
    let silent = annotations.categories.len() - order.len();
    let silent = (silent > 0)
        .then(|| format!("{silent} categories of which nothing is known: only known labels are listed"));
    let order = (!order.is_sorted())
        .then(|| "the order of categories: they are read back in order of appearance".to_owned());
    silent.into_iter().chain(order).collect()
}

#[cfg(test)]
mod tests;
