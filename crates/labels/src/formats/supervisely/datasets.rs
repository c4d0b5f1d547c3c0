//! The folders of a project.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use crate::files::folder_of;
use crate::formats::head_of;
use crate::formats::json::outline;
use crate::formats::shards::{are_apart, meant, shard_files, split_in};
use crate::{Error, Result};

const META: &str = "meta.json";
const ANNOTATIONS: &str = "ann";
const IMAGES: &str = "img";
/// The folder of the datasets inside a dataset, which is no part of their names.
const NESTED: &str = "datasets";
/// Folders that hold no datasets, as the SDK knows them, and the masks that its apps make.
const OTHERS: [&str; 9] = [
    ANNOTATIONS,
    IMAGES,
    "img_info",
    "seg",
    "meta",
    "blob",
    "masks_human",
    "masks_machine",
    "masks_instances",
];

/// What is read: datasets of a project.
pub struct Source {
    pub meta: PathBuf,
    pub datasets: Vec<Dataset>,
    /// The folder of the project, if it is the source.
    project: Option<PathBuf>,
}

/// A folder with annotations.
pub struct Dataset {
    /// Its name in the project: `train`, or `fruit/apple` for one in another.
    pub name: String,
    folder: PathBuf,
}

impl Dataset {
    /// The split that it is or is inside.
    fn split(&self) -> Option<&str> {
        split_in(Path::new(&self.name))
    }

    /// Whether it has this name, or is inside the one that has.
    fn is_inside(&self, name: &str) -> bool {
        self.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The names by which `--set` may mean it without the whole of its name: `a` and `val` of `a/val`.
    fn short_names(&self) -> impl Iterator<Item = &str> {
        self.name.split('/').next().into_iter().chain(self.split())
    }
}

impl Source {
    /// Finds the datasets of a project, which may be named by its `meta.json`, or one dataset.
    ///
    /// # Errors
    /// A folder that is neither; a `--set` that is not there, or needed.
    pub fn open(path: &Path, set: Option<&str>) -> Result<Self> {
        let project = if path.is_file() { folder_of(path) } else { path };
        let wrong = |what: &str| Err(Error::Data(format!("{}: {what}", path.display())));
        if !path.exists() {
            return Err(Error::Missing(format!("{}: no such file or folder", path.display())));
        }
        if project.join(META).is_file() {
            let all = datasets(project)?;
            if all.is_empty() {
                return wrong("no dataset beside meta.json; expected folders that hold ann");
            }
            let datasets = choose(all, set, path)?;
            return Ok(Self { meta: project.join(META), datasets, project: Some(project.to_owned()) });
        }
        if !path.join(ANNOTATIONS).is_dir() {
            return wrong("neither a project with meta.json nor a dataset with ann");
        }
        if set.is_some() {
            let what = "--set: chooses among the datasets of a project; leave the option out";
            return Err(Error::Usage(what.into()));
        }
        let Some(meta) = meta_above(path) else {
            return wrong("no meta.json above this dataset; copy that of its project into the folder above");
        };
        Ok(Self {
            meta,
            datasets: vec![Dataset { name: String::new(), folder: path.to_owned() }],
            project: None,
        })
    }

    /// Where the images of a dataset lie. `--images` stands for the folder of the project, or, if the source is
    /// a dataset, for that of its images.
    pub fn images(&self, dataset: &Dataset, images: Option<&Path>) -> PathBuf {
        match (images, &self.project) {
            (None, _) => dataset.folder.join(IMAGES),
            (Some(images), None) => images.to_owned(),
            (Some(images), Some(project)) => {
                let below = dataset.folder.strip_prefix(project).unwrap_or(&dataset.folder);
                images.join(below).join(IMAGES)
            }
        }
    }

    /// That several datasets became one.
    pub fn note(&self) -> Option<String> {
        const SHOWN: usize = 5;
        let names: Vec<&str> = self.datasets.iter().map(|dataset| dataset.name.as_str()).collect();
        let more = if names.len() > SHOWN { ", …" } else { "" };
        let first = names[..names.len().min(SHOWN)].join(", ");
        (names.len() > 1).then(|| format!("{} datasets are read together: {first}{more}", names.len()))
    }
}

impl Dataset {
    /// The names of the annotated images, sorted: those of the files in `ann` without `.json`.
    pub fn annotations(&self) -> Result<Vec<String>> {
        let files = shard_files(&self.folder.join(ANNOTATIONS), "json")?;
        let names = files.iter().map(|file| match file.file_stem().and_then(|name| name.to_str()) {
            Some(name) => Ok(name.to_owned()),
            None => Err(Error::Data(format!("{}: expected a name of UTF-8 text", file.display()))),
        });
        names.collect()
    }

    /// The file with the annotation of an image.
    pub fn annotation(&self, image: &str) -> PathBuf {
        self.folder.join(ANNOTATIONS).join(format!("{image}.json"))
    }

    /// How many files of `img`, if it is there, have no annotation, under their name with or without its ending.
    pub fn without_annotation(&self) -> Result<usize> {
        let images = self.folder.join(IMAGES);
        if !images.is_dir() {
            return Ok(0);
        }
        let entries = std::fs::read_dir(&images).map_err(|error| Error::io(&images, error))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let visible = names.filter(|name| !name.starts_with('.'));
        let stem = |name: &str| name.rsplit_once('.').map_or(String::new(), |(stem, _)| stem.to_owned());
        let has_one = |name: &str| self.annotation(name).is_file() || self.annotation(&stem(name)).is_file();
        Ok(visible.filter(|name| !has_one(name)).count())
    }
}

/// Whether a folder is a project or a dataset of one, or a file the `meta.json` of one.
pub fn recognize(path: &Path) -> Option<String> {
    if path.is_file() {
        let ours = path.file_name().is_some_and(|name| name == META) && is_meta(path);
        let count = ours.then(|| datasets(folder_of(path)).ok())??.len();
        return (count > 0).then(|| format!("the meta.json of a project of {count} datasets"));
    }
    if path.join(ANNOTATIONS).is_dir() && is_meta(&meta_above(path)?) {
        return Some("a dataset with ann below a project's meta.json".into());
    }
    let count = is_meta(&path.join(META)).then(|| datasets(path).ok())??.len();
    (count > 0).then(|| format!("a project folder with meta.json and {count} datasets"))
}

/// Whether a file begins like the `meta.json` of a project.
fn is_meta(path: &Path) -> bool {
    let keys = head_of(path).map(|head| outline(&head)).unwrap_or_default();
    ["classes", "tags"].iter().all(|key| keys.contains(*key))
}

/// The `meta.json` of the project that a dataset belongs to: in the folder above, or above the datasets that
/// it is inside.
fn meta_above(dataset: &Path) -> Option<PathBuf> {
    // Of `.` and the like, too.
    let dataset = std::path::absolute(dataset).ok()?;
    let mut above = dataset.parent()?;
    while above.file_name().is_some_and(|name| name == NESTED) && !above.join(META).is_file() {
        above = above.parent()?.parent()?;
    }
    let meta = above.join(META);
    meta.is_file().then_some(meta)
}

/// The datasets of a project, by name.
fn datasets(project: &Path) -> Result<Vec<Dataset>> {
    let (mut found, mut before) = (Vec::new(), HashSet::new());
    collect(project, "", &mut before, &mut found)?;
    Ok(found)
}

/// Finds the datasets in a folder. `before` has the folders that were looked at: a link that leads back up must
/// not be followed for ever.
fn collect(
    folder: &Path,
    inside: &str,
    before: &mut HashSet<PathBuf>,
    found: &mut Vec<Dataset>,
) -> Result<()> {
    if !before.insert(folder.canonicalize().map_err(|error| Error::io(folder, error))?) {
        return Ok(());
    }
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io(folder, error))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut folders: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    folders.sort();
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        if OTHERS.contains(&&*name) {
            continue;
        }
        let name = match inside {
            "" => name.into_owned(),
            _ if name == NESTED => inside.to_owned(),
            _ => format!("{inside}/{name}"),
        };
        if folder.join(ANNOTATIONS).is_dir() {
            found.push(Dataset { name: name.clone(), folder: folder.clone() });
        }
        collect(&folder, &name, before, found)?;
    }
    Ok(())
}

/// The datasets that `--set` names, with those inside it; without it all, unless some are splits.
fn choose(mut datasets: Vec<Dataset>, set: Option<&str>, path: &Path) -> Result<Vec<Dataset>> {
    let names = |datasets: &[Dataset]| {
        let names: Vec<&str> = datasets.iter().take(20).map(|dataset| dataset.name.as_str()).collect();
        names.join(", ")
    };
    let all = names(&datasets);
    let several = match set {
        Some(set) if datasets.iter().any(|dataset| dataset.is_inside(set)) => {
            datasets.retain(|dataset| dataset.is_inside(set));
            None
        }
        Some(set) => {
            let short = datasets.iter().flat_map(Dataset::short_names).collect::<BTreeSet<_>>();
            let chosen = meant(&Vec::from_iter(short), set).map(|name| name.map(str::to_owned));
            let is_chosen = |dataset: &Dataset| match &chosen {
                Ok(Some(chosen)) => dataset.short_names().any(|name| name == chosen),
                _ => false,
            };
            datasets.retain(is_chosen);
            chosen.err()
        }
        None => None,
    };
    let (wrong, others) = match set {
        Some(set) if datasets.is_empty() => (several.unwrap_or_else(|| format!("no dataset {set}")), all),
        _ if are_apart(datasets.iter().map(Dataset::split)) => {
            ("datasets of several splits, or a split beside other datasets".into(), names(&datasets))
        }
        _ => return Ok(datasets),
    };
    Err(Error::Usage(format!("{}: {wrong}; choose one with --set: {others}", path.display())))
}
