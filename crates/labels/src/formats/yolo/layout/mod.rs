//! Where a data set for YOLO has its names, images and labels.
//!
//! Ultralytics has `data.yaml` and, for `images/…/a.jpg`, `labels/…/a.txt` (`img2label_paths`). Roboflow has
//! `train/images` and writes `train: ../train/images` into the `data.yaml` beside; Ultralytics takes the `../`
//! away where nothing is there. CVAT's YOLO 1.1 and Darknet have `obj.names`, `train.txt` with the paths of
//! images, and labels beside images; Roboflow's Darknet export has `_darknet.labels`. Label Studio has
//! `classes.txt` beside `images` and `labels`; LabelImg has it among the labels.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use super::data_yaml::{self, DataYaml, YamlSet};
use crate::files::folder_of;
use crate::formats::name_list;
use crate::formats::report::shown;
use crate::formats::shards;
use crate::formats::tree::{folders_in, name_of};
use crate::images::has_extension;
use crate::{Error, Result};

/// The files of names that tools write, beside `*.names`.
const NAMES: [&str; 2] = ["classes.txt", "_darknet.labels"];

/// The images of a set and where their labels are.
#[derive(Debug, PartialEq)]
pub(super) enum Part {
    /// A folder of images and one of labels, which may be the same.
    Folder { images: PathBuf, labels: PathBuf },
    /// A text file with the paths of images, and the folder that they are below.
    List { file: PathBuf, root: PathBuf },
}

/// A set, such as `train`.
#[derive(Debug, PartialEq)]
pub(super) struct Set {
    /// Empty for a source without sets.
    pub name: String,
    pub parts: Vec<Part>,
}

/// What the user should know of a set of `data.yaml`, with the set.
pub(super) type Found = (Set, Vec<String>);

/// The sets of `data.yaml` whose images or labels are there.
///
/// # Errors
/// If there are some in the file and none of them is there.
pub(super) fn yaml_sets(file: &Path, yaml: &DataYaml) -> Result<Vec<Found>> {
    let mut sets = Vec::new();
    let mut missing: Vec<(&YamlSet, &str)> = Vec::new();
    for set in &yaml.sets {
        let (mut parts, mut notes) = (Vec::new(), Vec::new());
        for target in &set.targets {
            let place = match resolve(folder_of(file), yaml.root.as_deref(), target) {
                Ok(Some(place)) => place,
                Ok(None) => {
                    missing.push((set, target));
                    continue;
                }
                Err([first, second]) => {
                    return Err(data_yaml::two_places(file, set, target, &first, &second));
                }
            };
            if holds(&place.path, folder_of(file)) {
                return Err(data_yaml::holds_itself(file, set, target));
            }
            if place.guessed {
                let (name, target) = (set.name, shown(target));
                notes.push(format!("{name}: {target} is not there; {} is read", place.path.display()));
            }
            parts.push(part_of(place.path, folder_of(file)));
        }
        if parts.len() == set.targets.len() {
            sets.push((Set { name: set.name.into(), parts }, notes));
        } else if !parts.is_empty() {
            return Err(data_yaml::missing(file, &missing));
        }
    }
    // Roboflow names all three sets, also where it has made only one.
    if sets.is_empty() && !missing.is_empty() {
        return Err(data_yaml::missing(file, &missing));
    }
    for (set, target) in missing {
        let note = format!("{}: {} is not there: no such set", set.name, shown(target));
        sets.iter_mut().for_each(|(_, notes)| notes.push(note.clone()));
    }
    Ok(sets)
}

/// Whether a folder is one above another, links followed.
fn holds(above: &Path, folder: &Path) -> bool {
    let [above, folder] = [above, folder].map(|path| std::fs::canonicalize(path).ok());
    above.zip(folder).is_some_and(|(above, folder)| above != folder && folder.starts_with(above))
}

/// A folder or list, and whether it is not where the file says.
struct Place {
    path: PathBuf,
    guessed: bool,
}

/// Where a path of `data.yaml` leads, nothing if it is not there. What begins with `../` is one level up, or, as
/// Roboflow means it, beside the file.
///
/// # Errors
/// Both places, where both are there and differ.
fn resolve(folder: &Path, root: Option<&str>, target: &str) -> Result<Option<Place>, [PathBuf; 2]> {
    let target = target.replace('\\', "/");
    let is_there =
        |path: &PathBuf| path.exists() || swapped(path, "images", "labels").is_some_and(|it| it.is_dir());
    let base = root.map(|root| folder.join(root.replace('\\', "/")));
    let below = target.strip_prefix("../").unwrap_or(&target);
    let base = base.as_deref().unwrap_or(folder);
    match [base.join(&target), base.join(below)].map(|path| Some(path).filter(is_there)) {
        [Some(above), Some(beside)] if !is_same(&above, &beside) => return Err([above, beside]),
        [Some(path), _] | [None, Some(path)] => return Ok(Some(Place { path, guessed: false })),
        [None, None] => {}
    }
    // The folder has moved, from Colab to here, or `path` is below Ultralytics' own folder of data sets.
    let parts: Vec<&str> = target.split('/').filter(|part| !["", ".", ".."].contains(part)).collect();
    let ends = (0..parts.len()).map(|from| &parts[from..]);
    let telling = ends.filter(|end| match end {
        [last] => parts.len() == 1 || shards::is_split_folder(last) || last.ends_with(".txt"),
        _ => true,
    });
    let path = telling.map(|end| end.iter().fold(folder.to_owned(), |path, part| path.join(part)));
    Ok(path.into_iter().find(is_there).map(|path| Place { path, guessed: true }))
}

/// Whether two paths lead to the same file or folder, links followed; of images that are not there, their labels.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| {
        let labels = || std::fs::canonicalize(swapped(path, "images", "labels")?).ok();
        std::fs::canonicalize(path).ok().or_else(labels)
    };
    real(one) == real(other)
}

fn part_of(path: PathBuf, root: &Path) -> Part {
    if path.is_file() {
        return Part::List { file: path, root: root.to_owned() };
    }
    let labels = match swapped(&path, "images", "labels") {
        Some(labels) if labels.is_dir() => labels,
        // `train: train`, with `train/images` and `train/labels`.
        _ if path.join("labels").is_dir() => path.join("labels"),
        _ => path.clone(),
    };
    Part::Folder { images: path, labels }
}

/// The sets of a folder without `data.yaml`; one without a name if it has none.
pub(super) fn folder_sets(root: &Path) -> Result<Vec<Set>> {
    let lists = ["train.txt", "valid.txt", "val.txt", "test.txt"].map(|name| root.join(name));
    let lists = lists.into_iter().filter(|file| lists_images(file));
    let mut sets: Vec<Set> = lists
        .map(|file| Set {
            name: name_of(&file.with_extension("")),
            parts: vec![Part::List { file, root: root.to_owned() }],
        })
        .collect();
    let inside = ["labels", "images"].map(|name| root.join(name)).into_iter().find(|folder| folder.is_dir());
    if sets.is_empty() {
        let above = inside.as_deref().unwrap_or(root);
        let splits =
            folders_in(above)?.into_iter().filter(|folder| shards::is_split_folder(&name_of(folder)));
        sets =
            splits.map(|folder| Set { name: name_of(&folder), parts: vec![folder_part(&folder)] }).collect();
    }
    if sets.is_empty() {
        sets.push(Set { name: String::new(), parts: vec![folder_part(root)] });
    }
    Ok(sets)
}

/// A folder that holds `images` and `labels`, is one of them, or holds both kinds of files.
fn folder_part(folder: &Path) -> Part {
    if folder.join("labels").is_dir() {
        return Part::Folder { images: folder.join("images"), labels: folder.join("labels") };
    }
    if let Some(labels) = swapped(folder, "images", "labels").filter(|labels| labels.is_dir()) {
        return Part::Folder { images: folder.to_owned(), labels };
    }
    let beside = swapped(folder, "labels", "images").filter(|images| images.is_dir());
    let images = beside.unwrap_or_else(|| folder.to_owned());
    Part::Folder { images, labels: folder.to_owned() }
}

/// Whether the first line of a file is the path of an image, not an object.
fn lists_images(file: &Path) -> bool {
    head(file).lines().map(str::trim).find(|line| !line.is_empty()).is_some_and(has_extension)
}

/// The beginning of a file as text, empty if it cannot be read.
fn head(file: &Path) -> String {
    let mut bytes = Vec::new();
    let _ = File::open(file).and_then(|file| file.take(1 << 16).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).trim_start_matches('\u{feff}').to_owned()
}

/// The `data.yaml` of a folder: the file of this name, or the only YAML file that looks like one.
pub(super) fn yaml_in(folder: &Path) -> Option<PathBuf> {
    let usual = ["data.yaml", "data.yml", "dataset.yaml", "dataset.yml"].map(|name| folder.join(name));
    if let Some(file) = usual.into_iter().find(|file| is_data_yaml(file)) {
        return Some(file);
    }
    let files = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files = files.filter(|file| is_data_yaml(file));
    let file = files.next()?;
    files.next().is_none().then_some(file)
}

/// Whether a file is YAML with names of classes.
pub(super) fn is_data_yaml(file: &Path) -> bool {
    let is_yaml = file.extension().is_some_and(|end| end == "yaml" || end == "yml");
    is_yaml && file.is_file() && has_names(&head(file))
}

/// Whether the beginning of a YAML file has the keys of `data.yaml`; a model's has `nc` alone.
pub(super) fn has_names(head: &str) -> bool {
    let has = |keys: &[&str]| {
        let keys = keys.iter().map(|key| format!("{key}:")).collect::<Vec<_>>();
        head.lines().any(|line| keys.iter().any(|key| line.starts_with(&**key)))
    };
    has(&["names", "nc"]) && has(&["train", "val", "validation", "test", "path"])
}

/// The file of names of a folder: `classes.txt`, `_darknet.labels` or the only `*.names`.
pub(super) fn names_in(folder: &Path) -> Option<PathBuf> {
    let usual = NAMES.map(|name| folder.join(name)).into_iter().find(|file| file.is_file());
    usual.or_else(|| {
        let files = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        let mut files =
            files.filter(|file| file.extension().is_some_and(|end| end == "names") && file.is_file());
        let file = files.next()?;
        files.next().is_none().then_some(file)
    })
}

/// Whether a file may be a label file, by its name.
pub(super) fn is_label_name(file: &Path) -> bool {
    let name = name_of(file);
    let is_text = file.extension().is_some_and(|end| end == "txt");
    is_text && !NAMES.contains(&&*name) && !name.to_uppercase().starts_with("README")
}

/// Whether the first line of a file is a class and at least four numbers.
pub(super) fn holds_objects(file: &Path) -> bool {
    let head = head(file);
    let Some(line) = head.lines().find(|line| !line.trim().is_empty()) else { return false };
    let fields: Vec<&str> = line.split_whitespace().collect();
    fields.len() > 4 && fields[0].parse::<u32>().is_ok() && fields.iter().all(|it| it.parse::<f64>().is_ok())
}

/// The folders above one of labels or images in which the names may be, the nearest first.
pub(super) fn folders_above(folder: &Path) -> Vec<PathBuf> {
    let mut above = Vec::new();
    let Ok(mut folder) = std::path::absolute(folder) else { return above };
    while is_inside(&name_of(&folder)) && folder.pop() {
        above.push(folder.clone());
    }
    above
}

/// Whether a folder with this name is a part of a data set.
fn is_inside(name: &str) -> bool {
    ["labels", "images"].contains(&name) || name.starts_with("obj_") || shards::is_split_folder(name)
}

/// Names of classes, one per line; the number of a class is that of its line.
///
/// # Errors
/// Lines that are wrong, or empty with others below them.
pub(super) fn read_names(file: &Path) -> Result<Vec<String>> {
    let entries = name_list::read(file, "names of classes")?;
    if let Some(line) = entries.iter().zip(1..).find_map(|(entry, line)| (entry.line != line).then_some(line))
    {
        let what = "an empty line; the number of a class is that of its line, so each needs a name";
        return Err(Error::Data(format!("{}:{line}: {what}", file.display())));
    }
    Ok(entries.into_iter().map(|entry| entry.name).collect())
}

/// `path` with the last folder that is called `from` called `to`.
pub(super) fn swapped(path: &Path, from: &str, to: &str) -> Option<PathBuf> {
    let parts: Vec<Component<'_>> = path.components().collect();
    let at = parts.iter().rposition(|part| part.as_os_str() == OsStr::new(from))?;
    let to = Component::Normal(OsStr::new(to));
    Some(parts.iter().enumerate().map(|(place, part)| if place == at { to } else { *part }).collect())
}

#[cfg(test)]
mod tests;
