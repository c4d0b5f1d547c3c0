//! Azure Custom Vision: images and tags as the training API gives them, saved as JSON.
//!
//! Format: `Image`, `ImageTag` and `Tag` in Microsoft's description of the API,
//! `CustomVision/Training/…/v3.4-preview/Training.json` of Azure/azure-rest-api-specs; keys in snake case as
//! `as_dict()` of the Python SDK (msrest) writes them. GetTaggedImages and GetImages give at most 256 images at
//! once, so that a project is one file or a folder of several. GetTags alone says which tag is the negative one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::Reading;
use super::json::{outline, read_elements};
use super::marks::{Marks, clear};
use super::options::{Choice, Options, Unlisted};
use super::report::{Report, counted, shown};
use super::shards::{are_apart, shard_files, split_of};
use crate::error::Problems;
use crate::files::folder_of;
use crate::formats::format::{Format, NotListed};
use crate::labels::{Label, LabelMatrix};
use crate::{Error, Result};
use tags::{Seen, Tags, text};

mod tags;

/// This format.
pub const FORMAT: Format = Format {
    name: "custom-vision",
    title: "Custom Vision",
    about: "Azure Custom Vision images JSON",
    example: r#"[{"id": "GUID", "originalImageUri": "https://…",
  "tags": [{"tagId": "GUID", "tagName": "cat"}], "regions": []}]"#,
    extensions: &[],
    takes: &[Choice::Unlisted],
    names_categories: false,
    unlisted: NotListed::AsYouSay,
    recognize,
    read,
    written: None,
};

/// What GetTags gave, beside the images.
const TAGS: &str = "tags.json";

/// Reads a file of images, or all of a folder. A tag of an image or of a region of it is +1. With a `tags.json`
/// beside it, which GetTags gives, an image that has the tag of type `Negative` is −1 throughout, and that tag is
/// no category. An image without any tag is 0 throughout. Everything else is what `--unlisted` says.
///
/// Images are called by their id, which is all that Custom Vision keeps of their names.
///
/// # Errors
/// All problems of the files at once.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let unlisted = options.unlisted("Custom Vision lists the tags of an image, not what was looked for")?;
    let (folder, pages) = match path.is_dir() {
        true => (path, pages(path)?),
        false => (folder_of(path), vec![path.to_owned()]),
    };
    let list = folder.join(TAGS);
    let tags = list.is_file().then(|| Tags::read(&list)).transpose()?;
    let images = options.images.as_deref().unwrap_or(folder).to_owned();
    let mut project = Project::new(images, tags);
    let mut problems = Problems::default();
    for page in &pages {
        let mut report = Report { path: page, line: 0, problems };
        read_elements(&mut report, |image: Map<String, Value>, report| {
            if let Err(what) = project.image(&image) {
                report.note(|| what);
            }
        })?;
        problems = report.problems;
    }
    problems.or(())?;
    project.finish(unlisted, path)
}

/// Whether a file begins like a list of images, or all JSON files of a folder do, beside that of the tags.
pub fn recognize(path: &Path, head: &[u8]) -> Option<String> {
    if !path.is_dir() {
        return is_page(head).then(|| "a JSON array of images with tags, as Custom Vision gives".into());
    }
    let pages = pages(path).ok()?;
    let all = pages.iter().all(|page| super::head_of(page).is_ok_and(|head| is_page(&head)));
    all.then(|| {
        format!("a folder with {} JSON files of images with tags, as Custom Vision gives", pages.len())
    })
}

fn is_page(head: &[u8]) -> bool {
    let keys = outline(head);
    let image = ["[].originalImageUri", "[].original_image_uri"].iter().any(|key| keys.contains(*key));
    image && keys.contains("[].tags")
}

/// The files with images in a folder.
fn pages(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = shard_files(folder, "json")?;
    files.retain(|file| file.file_name().is_none_or(|name| name != TAGS));
    if files.is_empty() {
        let what = "no JSON files of images; expected what GetTaggedImages or GetImages gives";
        return Err(Error::Data(format!("{}: {what}", folder.display())));
    }
    if are_apart(files.iter().map(|file| split_of(file))) {
        let what = "its files are of several splits, or of a split and of none; name one of them";
        return Err(Error::Usage(format!("{}: {what}", folder.display())));
    }
    Ok(files)
}

/// What has been read so far.
struct Project {
    folder: PathBuf,
    marks: Marks,
    tags: Option<Tags>,
    /// The tags of the images, where there is no list of them.
    seen: Seen,
    /// Names of tags that have another one in the list.
    renamed: BTreeSet<String>,
    /// Images that have the negative tag, and those that have no tag.
    negative: Vec<usize>,
    untagged: Vec<usize>,
    regions: usize,
    repeated: usize,
    /// A tag that is called as the negative one is by default.
    named_negative: Option<String>,
}

impl Project {
    fn new(folder: PathBuf, tags: Option<Tags>) -> Self {
        let names = tags.iter().flat_map(Tags::categories).map(str::to_owned);
        let marks = Marks::with_categories(names);
        let (negative, untagged) = (Vec::new(), Vec::new());
        let (seen, renamed) = (Seen::default(), BTreeSet::new());
        Self {
            folder,
            marks,
            tags,
            seen,
            renamed,
            negative,
            untagged,
            regions: 0,
            repeated: 0,
            named_negative: None,
        }
    }

    fn image(&mut self, image: &Map<String, Value>) -> Result<(), String> {
        let id = text(image, &["id"]).ok_or("an image without an id; expected text")?;
        let list = |key: &str| match image.get(key) {
            None | Some(Value::Null) => Ok(&[][..]),
            Some(Value::Array(list)) => Ok(list.as_slice()),
            Some(_) => Err(format!("{key} of image {} is not an array", shown(id))),
        };
        if !image.contains_key("tags") {
            return Err(format!("image {} without tags; expected an array", shown(id)));
        }
        let (tags, regions) = (list("tags")?, list("regions")?);
        let before = self.marks.images().len();
        let row = self.marks.image(&self.folder.join(id));
        self.repeated += usize::from(row < before);
        tags.iter().chain(regions).try_for_each(|tag| self.mark(row, tag))?;
        self.regions += regions.len();
        if tags.is_empty() && regions.is_empty() {
            self.untagged.push(row);
        }
        Ok(())
    }

    /// Takes a tag of an image, or of a region of it.
    fn mark(&mut self, row: usize, tag: &Value) -> Result<(), String> {
        let name = tag.as_object().and_then(|tag| text(tag, &["tagName", "tag_name"]));
        let name = name.ok_or("a tag without tagName; expected text")?;
        let id = tag.as_object().and_then(|tag| text(tag, &["tagId", "tag_id"]));
        let name = match &self.tags {
            Some(tags) => {
                let Some(current) = tags.category(id, name)? else {
                    self.negative.push(row);
                    return Ok(());
                };
                if current != name {
                    self.renamed.insert(name.to_owned());
                }
                current
            }
            None => {
                id.map_or(Ok(()), |id| self.seen.tag(id, name))?;
                if name.eq_ignore_ascii_case("negative") || name == "_negative_" {
                    self.named_negative = Some(name.to_owned());
                }
                name
            }
        };
        let category = self.marks.category(name);
        self.marks.mark(row, category, Label::Positive);
        Ok(())
    }

    fn finish(self, unlisted: Unlisted, path: &Path) -> Result<Reading> {
        let Self { marks, mut negative, mut untagged, renamed, regions, repeated, named_negative, .. } = self;
        let mut reading = marks.finish(unlisted.label(), path)?;
        let labels = &mut reading.annotations.labels;
        [&mut negative, &mut untagged].into_iter().for_each(|rows| {
            rows.sort_unstable();
            rows.dedup();
        });
        let has = |labels: &LabelMatrix, row: usize| labels.row(row).any(|at| at == Label::Positive);
        // Listed again, an image may have tags after all.
        untagged.retain(|row| negative.binary_search(row).is_err() && !has(labels, *row));
        clear(labels, untagged.iter().copied());
        let mut contradictions = 0;
        for &row in &negative {
            for category in 0..labels.categories() {
                let positive = labels.get(row, category) == Label::Positive;
                contradictions += usize::from(positive);
                labels.set(row, category, if positive { Label::Unknown } else { Label::Negative });
            }
        }
        let counts = [
            (negative.len(), "images have the negative tag: every tag that they lack negative"),
            (contradictions, "tags of images that have the negative tag, too: unknown"),
            (untagged.len(), "images have no tag: kept, every category unknown"),
            (regions, "regions: positive for their image"),
            (repeated, "images listed again under the same id: labels joined"),
            (renamed.len(), "names of tags are others in tags.json: those of tags.json are the categories"),
        ];
        reading.notes.extend(counted(counts));
        if let Some(name) = named_negative {
            let hint = "save what GetTags gives as tags.json beside the images if it is the negative tag";
            reading.notes.push(format!("tag {} is read as any other; {hint}", shown(&name)));
        }
        Ok(reading)
    }
}

#[cfg(test)]
mod tests;
