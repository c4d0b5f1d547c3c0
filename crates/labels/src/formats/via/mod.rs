//! VGG Image Annotator (VIA) 1 and 2: a project, its annotations as JSON, or as CSV.
//!
//! Facts are from `via.js` of VIA 2 (<https://gitlab.com/vgg/via>): a project holds `_via_settings`,
//! `_via_img_metadata` and `_via_attributes`, the annotations are the object of `_via_img_metadata` alone. An
//! image has attributes of its own and regions with theirs. A value is text, or an object of checkboxes, of
//! which only the ticked ones are stored: unticking one deletes it.

use std::path::{Path, PathBuf};

use serde::de::MapAccess;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Reading;
use super::json::{Document, Entries, Lenient, Member, Scalar, outline, read_object};
use super::location::locate;
use super::marks::{Marks, all_negative};
use super::names::Names;
use super::options::{Choice, Options, Unlisted};
use super::report::{Report, counted, shown};
use crate::Result;
use crate::files::folder_of;
use crate::formats::format::{Format, NotListed};
use attributes::{Attributes, Definition};

mod attributes;
mod table;

/// This format.
pub const FORMAT: Format = Format {
    name: "via",
    title: "VIA",
    about: "VGG Image Annotator project, JSON or CSV",
    example: r#"{"a.jpg12345": {"filename": "a.jpg", "size": 12345,
  "file_attributes": {"weather": {"rain": true}},
  "regions": [{"region_attributes": {"kind": "car"}}]}}"#,
    extensions: &[],
    takes: &[Choice::Unlisted, Choice::Field],
    names_categories: false,
    unlisted: NotListed::AsYouSay,
    recognize,
    read,
    written: None,
};

/// Reads a project, or annotations as JSON or CSV. The value of an attribute of the image or of a region is +1,
/// and so is a ticked checkbox; everything else is what `--unlisted` says.
///
/// With `--field` one attribute is read, and its values are the categories. Without it, those are read whose
/// values are chosen from a list (checkbox, radio, dropdown, image), or the only one there is; with several,
/// a category is `ATTRIBUTE/VALUE`.
///
/// # Errors
/// All problems of the file at once; that `--unlisted` is missing, or which of several attributes of text holds
/// labels.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let unlisted = options.unlisted("VIA stores what was chosen, not what was looked for")?;
    let mut report = Report::new(path);
    let mut project = Project::default();
    if table::is_table(&super::head_of(path)?) {
        table::read(path, &mut report, &mut project)?;
    } else {
        read_object(&mut report, &mut project)?;
    }
    report.problems.or(())?;
    project.finish(path, options, unlisted)
}

/// What is read of a project.
#[derive(Default)]
struct Project {
    /// The names of images, each once.
    images: Names<String>,
    attributes: Attributes,
    /// What VIA puts before the names of images.
    prefix: String,
    remote: usize,
    regions: usize,
    unlabeled_regions: usize,
    repeated: usize,
}

/// An image: attributes of its own, and regions.
#[derive(Deserialize)]
#[serde(expecting = "an image: an object with filename, file_attributes and regions")]
struct Image {
    filename: Option<Scalar>,
    file_attributes: Option<Entries<Value>>,
    #[serde(default, deserialize_with = "regions")]
    regions: Vec<Region>,
}

#[derive(Deserialize)]
#[serde(expecting = "a region: an object with region_attributes")]
struct Region {
    region_attributes: Option<Entries<Value>>,
}

/// An array of regions, or VIA 1's object of regions by number.
fn regions<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<Region>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "regions: an array or an object of regions")]
    enum Regions {
        List(Vec<Region>),
        ByNumber(Entries<Region>),
    }
    Ok(match Option::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Regions::List(regions)) => regions,
        Some(Regions::ByNumber(Entries(regions))) => regions.into_iter().map(|(_, region)| region).collect(),
    })
}

#[derive(Deserialize)]
struct Settings {
    core: Option<Core>,
}

#[derive(Deserialize)]
struct Core {
    default_filepath: Option<Scalar>,
}

impl Document for Project {
    const EXPECTED: &str = "; expected a project of VIA 2, or annotations of VIA 1 or 2";

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, member: Member<'_, '_, A>) -> Result<(), A::Error> {
        match key {
            "_via_settings" => member.value(|settings: Lenient<Settings>, _| {
                let Lenient::Object(Settings { core: Some(core) }) = settings else { return };
                if let Some(Scalar::Text(prefix)) = core.default_filepath {
                    self.prefix = prefix;
                }
            }),
            "_via_attributes" => member.entries(|_, attributes: Entries<Definition>, _| {
                attributes.0.into_iter().for_each(|(name, definition)| {
                    self.attributes.define(&name, definition);
                });
            }),
            "_via_img_metadata" => member.entries(|_, image: Lenient<Image>, report| {
                self.image(image, report);
            }),
            _ if key.starts_with("_via_") => member.skip(),
            _ => member.value(|image: Lenient<Image>, report| self.image(image, report)),
        }
    }
}

impl Project {
    fn image(&mut self, image: Lenient<Image>, report: &mut Report<'_>) {
        let image = match image {
            Lenient::Object(image) => image,
            Lenient::Other(value) => {
                return report
                    .note(|| format!("{}; expected an image: an object with filename", value.kind()));
            }
        };
        let Some(row) = self.row(image.filename.as_ref(), report) else { return };
        for (name, value) in image.file_attributes.unwrap_or_default().0 {
            self.attributes.value(row, &name, &value, report);
        }
        for region in image.regions {
            self.region(row, region.region_attributes.unwrap_or_default(), report);
        }
    }

    /// The row of an image, which may have been there before.
    fn row(&mut self, name: Option<&Scalar>, report: &mut Report<'_>) -> Option<usize> {
        match name {
            Some(Scalar::Text(name)) if !name.is_empty() => {
                let count = self.images.all().len();
                let row = self.images.place(name.as_str());
                self.repeated += usize::from(row < count);
                Some(row)
            }
            name => {
                let kind = name.map_or("missing", Scalar::kind);
                report.note(|| {
                    format!("filename of an image is {kind}; expected its path (VIA 3 is not read)")
                });
                None
            }
        }
    }

    fn region(&mut self, row: usize, attributes: Entries<Value>, report: &mut Report<'_>) {
        self.regions += 1;
        let mut labeled = false;
        for (name, value) in attributes.0 {
            labeled |= self.attributes.value(row, &name, &value, report);
        }
        self.unlabeled_regions += usize::from(!labeled);
    }

    fn finish(mut self, path: &Path, options: &Options, unlisted: Unlisted) -> Result<Reading> {
        let chosen = self.attributes.choose(path, options.field.as_deref())?;
        let mut marks = Marks::default();
        let names = std::mem::take(&mut self.images).into_all();
        let rows: Vec<usize> = names
            .iter()
            .map(|name| {
                let image = self.path_of(path, options.images.as_deref(), name);
                marks.image(&image)
            })
            .collect();
        self.attributes.mark(&chosen, &rows, &mut marks);
        let mut notes = self.attributes.notes(&chosen);
        let mut reading = marks.finish(unlisted.label(), path)?;
        let empty = all_negative(&reading.annotations.labels, rows);
        let counts = [
            (self.regions, "regions: their attributes are those of the image"),
            (self.unlabeled_regions, "regions have no attribute: nothing is known from them"),
            (empty, "images have no label: every category negative"),
            (self.repeated, "images are listed again under the same name: labels joined"),
            (self.remote, "images are URLs: looked for by their path below the host"),
        ];
        notes.extend(counted(counts));
        reading.notes.extend(notes);
        Ok(reading)
    }

    /// Where an image lies: below the folder of the user, else below the project's own path.
    fn path_of(&mut self, path: &Path, images: Option<&Path>, name: &str) -> PathBuf {
        let remote = name.contains("://").then(|| locate(name).ok()).flatten();
        self.remote += usize::from(remote.is_some());
        let name = remote.map_or_else(|| name.to_owned(), |location| location.name.into_owned());
        match images {
            Some(images) => images.join(name),
            None => folder_of(path).join(&self.prefix).join(name),
        }
    }
}

/// Whether it is a project, or annotations as JSON or CSV.
pub fn recognize(_path: &Path, head: &[u8]) -> Option<String> {
    if table::is_table(head) {
        return Some("a CSV table with file_attributes and region_id".into());
    }
    let keys = outline(head);
    if keys.contains("_via_settings") || keys.contains("_via_img_metadata") {
        return Some("a JSON object with _via_settings".into());
    }
    let images = keys.iter().filter_map(|key| key.strip_suffix(".filename"));
    let has = |image: &str, key: &str| keys.contains(&format!("{image}.{key}"));
    let mut images = images.filter(|image| has(image, "size") && has(image, "regions"));
    images
        .next()
        .map(|image| format!("a JSON object with images and their regions, such as {}", shown(image)))
}

#[cfg(test)]
mod tests;
