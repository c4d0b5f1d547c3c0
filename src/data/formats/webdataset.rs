//! WebDataset: tar files whose members with the same name up to the first dot are one sample.
//!
//! `KEY.jpg` (or another kind of image) is the image, `KEY.json` its labels: `{"positive": […],
//! "negative": […]}`, where what is in neither list is unknown, or a list of labels, or an object with
//! `labels`; `KEY.cls` has one label a line. What is not in such a single list is the user's to say.
//! Only headers and labels are read; the path of an image is that of its tar, `/` and the name of the
//! member, and nothing is ever extracted. Format: <https://github.com/webdataset/webdataset>.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::marks::Marks;
use super::options::{Choice, Options};
use super::report::shown;
use super::shards::shard_files;
use super::{Reading, name_list};
use crate::data::image::EXTENSIONS;
use crate::data::labels::Label;
use crate::error::Problems;
use crate::files::folder_of;
use crate::{Error, Result};

use self::labels::{Name, parse_class, parse_json};

mod labels;
mod writing;

pub use self::writing::write;

/// Most bytes of a member with labels.
const MOST_BYTES: u64 = 16 << 20;

/// Reads a tar file, a folder of them (`*.tar`) or those that a pattern with `*` finds.
///
/// `--images DIR` says that the tar files were extracted there: image paths are then those of the files.
///
/// # Errors
/// All problems of a tar file at once, each with its member.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    options.only("WebDataset", &[Choice::Unlisted])?;
    let numbers = match &options.categories {
        Some(list) => name_list::read(list, "categories")?.into_iter().map(|entry| entry.name).collect(),
        None => Vec::new(),
    };
    let mut samples = Samples::new(options, numbers);
    for shard in shards(path)? {
        samples.add(&shard)?;
    }
    samples.finish(path)
}

/// Why a file or folder is a WebDataset.
pub fn recognise(path: &Path, head: &[u8]) -> Option<String> {
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
    Ok(files)
}

/// What has been read so far.
struct Samples<'a> {
    options: &'a Options,
    /// What numbers as labels mean.
    numbers: Vec<String>,
    /// Their columns, once a label was a number.
    numbered: Vec<usize>,
    marks: Marks,
    /// Images whose labels are one list, so that the user's policy holds for what is not in it.
    listed: Vec<usize>,
    /// Images that are inside tar files, and one of these.
    inside: usize,
    shard: Option<PathBuf>,
    counts: Counts,
}

/// How doubtful things were read.
#[derive(Default)]
struct Counts {
    without_labels: usize,
    without_image: usize,
    unnamed_number: bool,
}

/// The members of one key, as far as they matter.
#[derive(Default)]
struct Sample {
    /// The name of the image's member.
    image: Option<String>,
    labels: Option<Found>,
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
    fn new(options: &'a Options, numbers: Vec<String>) -> Self {
        let (marks, counts) = (Marks::default(), Counts::default());
        Self {
            options,
            numbers,
            numbered: Vec::new(),
            marks,
            listed: Vec::new(),
            inside: 0,
            shard: None,
            counts,
        }
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
        let failed = |error: std::io::Error| {
            Error::Data(format!("{}: not read as a tar file: {error}{}", shard.display(), hint(shard)))
        };
        let file = File::open(shard).map_err(|error| Error::io(shard, error))?;
        let size = file.metadata().map_err(|error| Error::io(shard, error))?.len();
        let mut archive = tar::Archive::new(BufReader::new(file));
        let mut samples: Vec<(String, Sample)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for entry in archive.entries_with_seek().map_err(failed)? {
            let mut entry = entry.map_err(failed)?;
            let plain = entry.header().entry_type().is_file();
            let end = entry.raw_file_position().checked_add(if plain { entry.size() } else { 0 });
            if end.is_none_or(|end| end > size) {
                return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
            }
            let mut wrong = |name: &str, what: String| problems.push(problem(shard, name, &what));
            let name = match member_name(&entry.path_bytes()) {
                Ok(name) => name,
                Err((name, what)) => {
                    wrong(&name, what.into());
                    continue;
                }
            };
            let Some((key, kind)) = split(&name).filter(|_| plain) else { continue };
            let is_image = EXTENSIONS.contains(&&*kind);
            if !is_image && kind != "json" && kind != "cls" {
                continue;
            }
            let sample = match places.entry(key.to_owned()) {
                Entry::Occupied(place) => &mut samples[*place.get()].1,
                Entry::Vacant(place) => {
                    place.insert(samples.len());
                    samples.push((key.to_owned(), Sample::default()));
                    &mut samples.last_mut().expect("was just pushed").1
                }
            };
            if is_image {
                match &sample.image {
                    Some(before) => {
                        wrong(&name, format!("the sample has the image {} already", shown(before)))
                    }
                    None => sample.image = Some(name),
                }
                continue;
            }
            if let Some(before) = &sample.labels {
                wrong(&name, format!("the sample has the labels {} already", shown(&before.member)));
                continue;
            }
            if entry.size() > MOST_BYTES {
                wrong(&name, format!("{} bytes of labels; at most {MOST_BYTES} are accepted", entry.size()));
                continue;
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(failed)?;
            let parsed = if kind == "json" { parse_json(&bytes) } else { parse_class(&bytes).map(Some) };
            match parsed {
                Ok(None) => {}
                Ok(Some(labels)) => match self.columns(labels, &name)? {
                    Ok(found) => sample.labels = Some(found),
                    Err(what) => wrong(&name, what),
                },
                Err(what) => wrong(&name, what),
            }
        }
        Ok(samples)
    }

    /// The columns of the labels of a sample.
    fn columns(
        &mut self,
        labels: labels::Labels,
        member: &str,
    ) -> Result<std::result::Result<Found, String>> {
        let listed = labels.negative.is_none();
        if listed {
            self.options.unlisted(
                "the samples have one list of labels, not one of positive and one of negative ones",
            )?;
        }
        for name in labels.categories {
            self.marks.category(&name);
        }
        let mut column = |names: Vec<Name>| names.iter().map(|name| self.column(name)).collect();
        let both = (column(labels.positive), column(labels.negative.unwrap_or_default()));
        Ok(match both {
            (Ok(positive), Ok(negative)) => {
                Ok(Found { member: member.to_owned(), positive, negative, listed, image: labels.image })
            }
            (Err(what), _) | (_, Err(what)) => Err(what),
        })
    }

    fn column(&mut self, name: &Name) -> std::result::Result<usize, String> {
        let number = match name {
            Name::Text(name) => return Ok(self.marks.category(name)),
            Name::Number(number) => *number,
        };
        if self.numbers.is_empty() {
            self.counts.unnamed_number = true;
            return Ok(self.marks.category(&number.to_string()));
        }
        // All at once, so that the columns have the order of the numbers.
        if self.numbered.is_empty() {
            self.numbered = self.numbers.iter().map(|name| self.marks.category(name)).collect();
        }
        match usize::try_from(number).ok().and_then(|number| self.numbered.get(number)) {
            Some(column) => Ok(*column),
            None => Err(format!("label {number}; --categories names {} labels, from 0", self.numbers.len())),
        }
    }

    /// Adds a sample that is complete.
    fn take(&mut self, shard: &Path, key: &str, sample: Sample, problems: &mut Problems) {
        let Sample { image, labels } = sample;
        let outside = labels.as_ref().and_then(|labels| labels.image.clone());
        let path = match (&image, outside, &self.options.images) {
            (Some(name), _, Some(folder)) => folder.join(name),
            (Some(name), _, None) => {
                self.inside += 1;
                self.shard.get_or_insert_with(|| shard.to_owned());
                shard.join(name)
            }
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
        let Self { options, marks, listed, inside, shard, counts, .. } = self;
        let all_said = listed.is_empty() && options.unlisted.is_some();
        if all_said && !marks.images().is_empty() {
            options.only("this WebDataset", &[])?;
        }
        let mut reading = marks.finish(Label::Unknown, path)?;
        if let Some(unlisted) = options.unlisted {
            let labels = &mut reading.annotations.labels;
            for row in listed {
                for category in 0..labels.categories() {
                    if labels.get(row, category) == Label::Unknown {
                        labels.set(row, category, unlisted.label());
                    }
                }
            }
        }
        let notes = &mut reading.notes;
        let mut count = |count: usize, what: &str| {
            if count > 0 {
                notes.push(format!("{count} {what}"));
            }
        };
        count(counts.without_labels, "images have no labels in KEY.json or KEY.cls: all unknown");
        count(counts.without_image, "samples have labels but no image: left out");
        if counts.unnamed_number {
            notes.push(
                "labels are numbers without names; name them with --categories FILE, the name of 0 first"
                    .into(),
            );
        }
        if let Some(shard) = shard {
            notes.push(format!(
                "{inside} images lie inside tar files, where training cannot open them yet; extract them \
                 (tar -xf {} -C DIR, for each tar file) and read again with --images DIR",
                shard.display()
            ));
        }
        Ok(reading)
    }
}

/// The name of a member as it may be joined to a path.
///
/// # Errors
/// The name and what is wrong with it: such names are made to write elsewhere.
fn member_name(bytes: &[u8]) -> std::result::Result<String, (String, &'static str)> {
    let lossy = || String::from_utf8_lossy(bytes).into_owned();
    let name = std::str::from_utf8(bytes).map_err(|_| (lossy(), "the name is no UTF-8 text"))?;
    let drive = name.as_bytes().get(1) == Some(&b':') && name.as_bytes()[0].is_ascii_alphabetic();
    if name.starts_with(['/', '\\']) || drive {
        return Err((lossy(), "an absolute path; expected a path below the tar file"));
    }
    if name.split(['/', '\\']).any(|part| part == "..") {
        return Err((lossy(), "a path with \"..\"; expected a path below the tar file"));
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    Ok(parts.join("/"))
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

/// What a file is that does not begin as a tar file does.
fn hint(path: &Path) -> &'static str {
    let mut head = [0; 2];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    match head {
        [0x1f, 0x8b] if read.is_ok() => "; it is compressed: unpack it with gunzip first",
        _ => "",
    }
}

#[cfg(test)]
#[path = "webdataset_tests.rs"]
mod tests;
