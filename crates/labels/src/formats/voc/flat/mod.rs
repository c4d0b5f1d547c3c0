//! Pascal VOC's XML files as annotation tools export them: without lists, beside the images or in a folder of
//! their own.
//!
//! LabelImg (`libs/pascal_voc_io.py`) writes `NAME.xml` beside `NAME.jpg` or into a folder of its own, with the
//! image's `<folder>`, `<filename>` and `<path>`; MakeSense writes XML files alone; Roboflow writes `train/`,
//! `valid/` and `test/` with images and XML files side by side; Label Studio writes `Annotations/` and `images/`.
//! Nothing in them says that every category was looked for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Labels, Photo, children, file_name, find_root, stems};
use crate::error::Problems;
use crate::files::{folder_of, tidy};
use crate::formats::Reading;
use crate::formats::options::Options;
use crate::formats::report::{Report, counted, shown};
use crate::formats::shards;
use crate::formats::tree::{folders_in, is_hidden, is_image, name_of};
use crate::images::{EXTENSIONS, has_extension};
use crate::{Error, Result};

/// The XML files of a folder, by set.
pub(super) struct Flat {
    /// At least one; the name of one that is alone and no split is empty.
    sets: Vec<Set>,
}

struct Set {
    name: String,
    /// Sorted, not empty.
    xml: Vec<PathBuf>,
}

impl Flat {
    pub fn files(&self) -> usize {
        self.sets.iter().map(|set| set.xml.len()).sum()
    }

    /// Whether the first file of each set looks like an annotation.
    pub fn is_annotated(&self) -> bool {
        self.sets.iter().all(|set| begins_as_annotation(&set.xml[0]).unwrap_or(false))
    }
}

/// XML files right in a folder, in its `annotations` beside `images`, or in folders of splits; nothing of a
/// folder with Pascal VOC's own layout.
pub(super) fn find(path: &Path) -> Result<Option<Flat>> {
    let own_layout = |root: &Path| {
        ["ImageSets", "JPEGImages"].iter().any(|it| root.join(it).is_dir()) || !root.join("images").is_dir()
    };
    let root = find_root(path).ok();
    if !path.is_dir() || root.as_ref().is_some_and(|root| own_layout(root)) {
        return Ok(None);
    }
    let path = root.as_deref().unwrap_or(path);
    let xml = xml_files(path)?;
    if !xml.is_empty() {
        return Ok(Some(Flat { sets: vec![Set { name: String::new(), xml }] }));
    }
    let mut sets = Vec::new();
    for folder in folders_in(path)? {
        let name = name_of(&folder);
        if name.eq_ignore_ascii_case("annotations") {
            let xml = xml_files(&folder)?;
            if !xml.is_empty() {
                return Ok(Some(Flat { sets: vec![Set { name: String::new(), xml }] }));
            }
        }
        if shards::is_split_folder(&name) {
            sets.push(Set { xml: xml_files(&folder)?, name });
        }
    }
    sets.retain(|set| !set.xml.is_empty());
    Ok((!sets.is_empty()).then_some(Flat { sets }))
}

fn xml_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let files = stems(folder, "xml")?.into_iter().map(|stem| folder.join(format!("{stem}.xml")));
    Ok(files.filter(|file| !is_hidden(file) && file.is_file()).collect())
}

/// Whether the root element of a file is `annotation`.
fn begins_as_annotation(path: &Path) -> std::io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(4096).read_to_end(&mut head)?;
    let head = String::from_utf8_lossy(&head);
    let mut rest = head.trim_start_matches('\u{feff}').trim_start();
    while let Some((_, end)) =
        [("<?", "?>"), ("<!--", "-->"), ("<!", ">")].into_iter().find(|(start, _)| rest.starts_with(start))
    {
        rest = rest.split_once(end).map_or("", |(_, after)| after.trim_start());
    }
    let after = rest.strip_prefix("<annotation");
    Ok(after.is_some_and(|after| after.starts_with(|c: char| c.is_whitespace() || ">/".contains(c))))
}

/// Reads one set: an object that is not difficult is +1, everything else is what the user says.
///
/// # Errors
/// A missing policy, a set that is not there, and all problems of all its files.
pub(super) fn read(path: &Path, flat: Flat, options: &Options) -> Result<Reading> {
    let named: Vec<&str> = flat.sets.iter().map(|set| &*set.name).filter(|name| !name.is_empty()).collect();
    let chosen = match (&named[..], &options.set) {
        ([], None) => 0,
        (names, set) => shards::choose(path, names, set.as_deref())?,
    };
    let unlisted =
        options.unlisted("the XML files of a tool name what was found, not what was looked for")?;
    let difficult = options.difficult.unwrap_or_default();
    let mut reader = Reader {
        labels: Labels::new(Vec::new(), difficult),
        images: options.images.as_deref(),
        counts: Counts::default(),
    };
    reader.set(&flat.sets[chosen])?;
    reader.counts.without_xml = without_xml(&flat.sets[chosen], reader.labels.marks.images())?;
    // So that the label files of all sets have the same columns.
    for (place, set) in flat.sets.iter().enumerate() {
        if place != chosen {
            reader.categories(set)?;
        }
    }
    let Reader { labels, counts, .. } = reader;
    labels.finish(unlisted.label(), path, counts.notes())
}

/// What is read of a set so far.
struct Reader<'a> {
    labels: Labels,
    /// The folder of the images, if the user names one.
    images: Option<&'a Path>,
    counts: Counts,
}

impl Reader<'_> {
    fn set(&mut self, set: &Set) -> Result<()> {
        let mut problems = Problems::default();
        // Several files may be about one image, whose objects are those of all of them.
        let mut photos: Vec<(PathBuf, BTreeMap<String, bool>)> = Vec::new();
        let mut places: HashMap<PathBuf, usize> = HashMap::new();
        for path in &set.xml {
            let mut report = Report { path, line: 0, problems };
            let photo = Photo::read(open(path)?, &mut report)?;
            if let Some(image) = self.image(path, &photo, &mut report) {
                let place = *places.entry(tidy(&image)).or_insert(photos.len());
                if place == photos.len() {
                    photos.push((image, photo.categories));
                } else {
                    self.counts.repeated += 1;
                    for (name, only_difficult) in photo.categories {
                        *photos[place].1.entry(name).or_insert(true) &= only_difficult;
                    }
                }
            }
            problems = report.problems;
        }
        problems.or(())?;
        photos.iter().for_each(|(image, categories)| self.labels.add(image, categories));
        Ok(())
    }

    /// Only the categories of a set; what is wrong with its files is said when it is read itself.
    fn categories(&mut self, set: &Set) -> Result<()> {
        for path in &set.xml {
            let photo = Photo::read(open(path)?, &mut Report::new(path))?;
            for name in photo.categories.keys() {
                self.labels.marks.category(name);
            }
        }
        Ok(())
    }

    /// The image of an XML file: that of its `<filename>`; where that contradicts the name of the XML file,
    /// the one that is there.
    fn image(&mut self, xml: &Path, photo: &Photo, report: &mut Report<'_>) -> Option<PathBuf> {
        let stem = xml.file_stem()?.to_str()?;
        let places = places(xml, photo, self.images);
        let own = || find_image(&places, stem);
        let named = [&photo.file_name, &photo.path].map(|name| last_part(name));
        let Some(named) = named.into_iter().find(|name| !name.is_empty()) else {
            return Some(own().unwrap_or_else(|| places[0].join(file_name(stem))));
        };
        let there = find_image(&places, named);
        if named == stem || Path::new(named).file_stem().is_some_and(|it| it == stem) {
            return Some(there.or_else(own).unwrap_or_else(|| places[0].join(named)));
        }
        // The other image has labels of its own: this file was copied, or its image was renamed.
        let is_taken = || folder_of(xml).join(format!("{}.xml", stem_of(named))).exists();
        match (there, own()) {
            (Some(_), Some(own)) if is_taken() => {
                self.counts.by_own_name += 1;
                Some(own)
            }
            (Some(_), Some(own)) => {
                report.line = photo.file_name_line;
                report.note(|| {
                    let own = shown(&name_of(&own));
                    format!("filename is {}, but {own} is there too; remove the wrong image", shown(named))
                });
                None
            }
            (None, Some(own)) => {
                self.counts.by_own_name += 1;
                Some(own)
            }
            (there, None) => {
                self.counts.by_file_name += 1;
                Some(there.unwrap_or_else(|| places[0].join(named)))
            }
        }
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| Error::io(path, error))
}

/// The folders where the image of an XML file may be, the likeliest first.
fn places(xml: &Path, photo: &Photo, images: Option<&Path>) -> Vec<PathBuf> {
    if let Some(images) = images {
        return vec![images.to_owned()];
    }
    let folder = folder_of(xml);
    let above = folder.parent().map_or_else(|| folder.join(".."), Path::to_owned);
    let mut places = vec![folder.to_owned()];
    let named = last_part(&photo.folder);
    if !["", ".", ".."].contains(&named) {
        places.extend([folder.join(named), above.join(named)]);
    }
    places.extend(["images", "JPEGImages"].map(|name| above.join(name)));
    let path = photo.path.replace('\\', "/");
    places.extend(Path::new(&path).parent().map(|parent| folder.join(parent)));
    places
}

/// The image with this name in the first of the folders that has it; an extension may be missing in the name,
/// or be another one.
fn find_image(places: &[PathBuf], name: &str) -> Option<PathBuf> {
    let there = |name: &str| places.iter().map(|place| place.join(name)).find(|path| path.is_file());
    if has_extension(name)
        && let Some(path) = there(name)
    {
        return Some(path);
    }
    let stem = stem_of(name);
    let both = EXTENSIONS.iter().flat_map(|end| [(*end).to_owned(), end.to_uppercase()]);
    both.map(|end| format!("{stem}.{end}")).find_map(|name| there(&name))
}

/// The name of an image without its extension; names may have other dots, as `a.rf.01.jpg` has.
fn stem_of(name: &str) -> &str {
    let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str());
    stem.filter(|_| has_extension(name)).unwrap_or(name)
}

/// What is after the last slash of either kind.
fn last_part(path: &str) -> &str {
    path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default()
}

/// How many images lie among the XML files of a set and have none.
fn without_xml(set: &Set, taken: &[PathBuf]) -> Result<usize> {
    let taken: HashSet<&PathBuf> = taken.iter().collect();
    let beside = children(folder_of(&set.xml[0]))?;
    let images = beside.iter().filter(|path| is_image(path) && !is_hidden(path));
    Ok(images.filter(|path| !taken.contains(&tidy(path)) && !path.with_extension("xml").exists()).count())
}

#[derive(Default)]
struct Counts {
    by_own_name: usize,
    by_file_name: usize,
    repeated: usize,
    without_xml: usize,
}

impl Counts {
    fn notes(&self) -> Vec<String> {
        let counts = [
            (
                self.by_own_name,
                "XML files name another image in filename: the image of their own name is taken",
            ),
            (self.by_file_name, "XML files name another image in filename: that image is taken"),
            (self.repeated, "XML files are about an image of another one: their objects are put together"),
            (self.without_xml, "images have no XML file: left out"),
        ];
        counted(counts).collect()
    }
}

#[cfg(test)]
mod tests;
