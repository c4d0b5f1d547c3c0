//! WebDataset: tar files whose members with the same name up to the first dot are one sample.
//!
//! `KEY.jpg` (or another kind of image) is the image, `KEY.json` its labels: `{"positive": […],
//! "negative": […]}`, where what is in neither list is unknown, or a list of labels, or an object with
//! `labels`; `KEY.cls` has one label per line. What is not in such a single list is the user's to say.
//! Only headers and labels are read; the path of an image is that of its tar, `/` and the name of the
//! member, by which [`crate::images::decode`] opens it; nothing is ever extracted.
//! Format: <https://github.com/webdataset/webdataset>.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use self::labels::{Said, parse_class, parse_json};
use super::Reading;
use super::label_lists::{Columns, fill_unlisted};
use super::marks::Marks;
use super::options::{Choice, Options};
use super::report::{counted, shown};
use super::shards::{are_apart, shard_files, split_of, splits};
use crate::error::Problems;
use crate::files::folder_of;
use crate::images::EXTENSIONS;
use crate::images::tar_index::Place;
use crate::images::tar_member::TarFile;
use crate::labels::Label;
use crate::{Error, Result};

mod labels;
mod writing;

use crate::formats::format::{Format, Keeps, NotListed, Written};

pub use self::writing::write;

/// This format.
pub const FORMAT: Format = Format {
    name: "webdataset",
    title: "WebDataset",
    about: "WebDataset tar, or a folder of its shards",
    example: r#"000000.tar: 000001.jpg 000001.json 000002.jpg …"#,
    extensions: &["tar"],
    takes: &[Choice::Unlisted],
    names_categories: false,
    unlisted: NotListed::AsYouSay,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::AllStates, write }),
};

/// Most bytes of a member with labels.
const MOST_BYTES: u64 = 16 << 20;

/// Reads a tar file, a folder of them (`*.tar`) or those that a pattern with `*` finds.
///
/// `--images DIR` says that the tar files were extracted there: image paths are then those of the files.
///
/// # Errors
/// All problems of a tar file at once, each with its member.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let mut samples = Samples::new(options)?;
    for shard in shards(path)? {
        samples.add(&shard)?;
    }
    samples.finish(path)
}

/// Why a file or folder is a WebDataset.
pub fn recognize(path: &Path, head: &[u8]) -> Option<String> {
    if head.get(257..262) == Some(b"ustar") {
        return Some("a tar file".into());
    }
    let files = path.is_dir().then(|| shard_files(path, "tar").ok()).flatten()?;
    (!files.is_empty()).then(|| format!("a folder with {} tar files", files.len()))
}

/// The tar files that a path stands for, in order of their names.
fn shards(path: &Path) -> Result<Vec<PathBuf>> {
    let pattern = path.to_str().filter(|text| text.contains(['*', '?', '[']) && !path.exists());
    let files = match pattern {
        _ if path.is_dir() => shard_files(path, "tar")?,
        Some(pattern) => {
            let files = glob::glob(pattern)
                .map_err(|error| Error::Usage(format!("{pattern}: no pattern of files: {error}")))?;
            files.filter_map(|file| file.ok()).filter(|file| file.is_file()).collect()
        }
        None => vec![path.to_owned()],
    };
    if files.is_empty() {
        return Err(Error::Missing(format!("{}: no tar files", path.display())));
    }
    if are_apart(files.iter().map(|file| split_of(file))) {
        return Err(several_splits(path, &splits(&files)));
    }
    Ok(files)
}

/// The error for a folder in which some shards are of a split that others are not of.
fn several_splits(path: &Path, splits: &[&str]) -> Error {
    let (source, last) = (path.display(), splits.last().copied().unwrap_or_default());
    let folder = if path.is_dir() { path } else { folder_of(path) }.display();
    let what = match splits {
        [split] => format!("shards of {split}, and shards of no split"),
        _ => format!("shards of several splits: {}", splits.join(", ")),
    };
    Error::Usage(format!("{source}: {what}; choose one with a pattern, such as '{folder}/{last}*.tar'"))
}

/// What has been read so far.
struct Samples<'a> {
    options: &'a Options,
    columns: Columns,
    marks: Marks,
    /// Images whose labels are one list, so that the user's policy holds for what is not in it.
    listed: Vec<usize>,
    counts: Counts,
}

/// How doubtful things were read.
#[derive(Default)]
struct Counts {
    without_labels: usize,
    without_image: usize,
    replaced: usize,
    /// Images whose names have a dot before their kind, and the first of them.
    dotted: usize,
    dotted_name: Option<String>,
}

/// The members of one key, as far as they matter.
#[derive(Default)]
struct Sample {
    /// The name of the image's member.
    image: Option<String>,
    labels: Option<Found>,
}

impl Sample {
    /// Names the image; there is one at most.
    fn add_image(&mut self, member: &str) -> std::result::Result<(), String> {
        match &self.image {
            Some(before) => Err(format!("the sample has the image {} already", shown(before))),
            None => {
                self.image = Some(member.to_owned());
                Ok(())
            }
        }
    }
}

/// Labels of a sample, as columns.
struct Found {
    member: String,
    positive: Vec<usize>,
    negative: Vec<usize>,
    /// Whether they were one list.
    listed: bool,
    /// Where the image is, if it is not in the tar.
    image: Option<String>,
}

impl<'a> Samples<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        let (marks, counts) = (Marks::default(), Counts::default());
        Ok(Self { options, columns: Columns::new(options)?, marks, listed: Vec::new(), counts })
    }

    /// Reads one tar file.
    fn add(&mut self, shard: &Path) -> Result<()> {
        let mut problems = Problems::default();
        let samples = self.members(shard, &mut problems)?;
        for (key, sample) in samples {
            self.take(shard, &key, sample, &mut problems);
        }
        problems.or(())
    }

    /// The samples of a tar file in order of their first member.
    fn members(&mut self, shard: &Path, problems: &mut Problems) -> Result<Vec<(String, Sample)>> {
        let mut tar = TarFile::open_anew(shard)?;
        let index = tar.index.clone();
        self.counts.replaced += index.replaced;
        index.refused.iter().for_each(|(name, what)| problems.push(problem(shard, name, what)));
        let mut samples: Vec<(String, Sample)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (name, place) in index.in_order() {
            let Some((key, kind)) = split(name) else { continue };
            let is_image = EXTENSIONS.contains(&&*kind);
            if !is_image && kind != "json" && kind != "cls" {
                let last = kind.rsplit('.').next().unwrap_or_default();
                if kind.contains('.') && EXTENSIONS.contains(&last) {
                    self.counts.dotted += 1;
                    self.counts.dotted_name.get_or_insert_with(|| name.to_owned());
                }
                continue;
            }
            let row = *places.entry(key).or_insert(samples.len());
            if row == samples.len() {
                samples.push((key.to_owned(), Sample::default()));
            }
            let sample = &mut samples[row].1;
            let added = match is_image {
                true => sample.add_image(name),
                false => self.add_labels(sample, &mut tar, (name, &kind), place)?,
            };
            if let Err(what) = added {
                problems.push(problem(shard, name, &what));
            }
        }
        Ok(samples)
    }

    /// Reads the labels of a sample; what is wrong with them is the inner error.
    fn add_labels(
        &mut self,
        sample: &mut Sample,
        tar: &mut TarFile,
        (member, kind): (&str, &str),
        place: Place,
    ) -> Result<std::result::Result<(), String>> {
        if place.bytes > MOST_BYTES {
            return Ok(Err(format!("{} bytes of labels; at most {MOST_BYTES} are accepted", place.bytes)));
        }
        let bytes = tar.read(place)?;
        let parsed = if kind == "json" { parse_json(&bytes) } else { parse_class(&bytes).map(Some) };
        let found = match parsed {
            // Metadata without labels may stand beside them.
            Ok(None) => return Ok(Ok(())),
            Ok(Some(_)) if sample.labels.is_some() => {
                let before = sample.labels.as_ref().map_or("", |labels| &labels.member);
                Err(format!("the sample has the labels {} already", shown(before)))
            }
            Ok(Some(said)) => self.columns(said, member)?,
            Err(what) => Err(what),
        };
        Ok(found.map(|found| sample.labels = Some(found)))
    }

    /// The columns of the labels of a sample.
    fn columns(&mut self, said: Said, member: &str) -> Result<std::result::Result<Found, String>> {
        let Said { labels, image } = said;
        let listed = labels.negative.is_none();
        if listed {
            self.options.unlisted(
                "the samples have one list of labels, not one of positive and one of negative ones",
            )?;
        }
        let columns = self.columns.of(&labels, &mut self.marks);
        let member = member.to_owned();
        Ok(columns.map(|[positive, negative]| Found { member, positive, negative, listed, image }))
    }

    /// Adds a sample that is complete.
    fn take(&mut self, shard: &Path, key: &str, sample: Sample, problems: &mut Problems) {
        let Sample { image, labels } = sample;
        let outside = labels.as_ref().and_then(|labels| labels.image.clone());
        let path = match (&image, outside, &self.options.images) {
            (Some(name), _, Some(folder)) => folder.join(name),
            (Some(name), _, None) => shard.join(name),
            (None, Some(name), images) => images.as_deref().unwrap_or(folder_of(shard)).join(name),
            (None, None, _) => {
                self.counts.without_image += 1;
                return;
            }
        };
        let before = self.marks.images().len();
        let row = self.marks.image(&path);
        if row < before {
            let what = format!("image {} is in another sample already", shown(&path.display().to_string()));
            return problems.push(problem(shard, image.as_deref().unwrap_or(key), &what));
        }
        let Some(labels) = labels else {
            self.counts.without_labels += 1;
            return;
        };
        if labels.listed {
            self.listed.push(row);
        }
        for (columns, label) in [(labels.positive, Label::Positive), (labels.negative, Label::Negative)] {
            columns.into_iter().for_each(|column| self.marks.mark(row, column, label));
        }
    }

    fn finish(self, path: &Path) -> Result<Reading> {
        let Self { options, columns, marks, listed, counts } = self;
        let all_said = listed.is_empty() && options.unlisted.is_some();
        if all_said && !marks.images().is_empty() {
            options.only("this WebDataset", &[])?;
        }
        let mut reading = marks.finish(Label::Unknown, path)?;
        if let Some(unlisted) = options.unlisted {
            fill_unlisted(&mut reading.annotations.labels, &listed, unlisted);
        }
        let notes = &mut reading.notes;
        notes.extend(counted([
            (counts.without_labels, "images have no labels in KEY.json or KEY.cls: all unknown"),
            (counts.without_image, "samples have labels but no image: left out"),
            (
                counts.replaced,
                "members have the name of a later one, which counts, as where tar extracts them",
            ),
        ]));
        if let Some(name) = &counts.dotted_name {
            notes.push(format!(
                "{} images are left out, such as {}: WebDataset takes what follows the first dot of a name for \
                 the kind of a member; rename them without the dot if they are samples",
                counts.dotted,
                shown(name)
            ));
        }
        notes.extend(columns.finish(path)?);
        Ok(reading)
    }
}

/// The key and the kind of a member: before and after the first dot of its last part.
fn split(name: &str) -> Option<(&str, String)> {
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = file + name[file..].find('.').filter(|dot| *dot > 0)?;
    Some((&name[..dot], name[dot + 1..].to_ascii_lowercase()))
}

fn problem(shard: &Path, member: &str, what: &str) -> String {
    format!("{}: member {}: {what}", shard.display(), shown(member))
}

#[cfg(test)]
mod tests;
