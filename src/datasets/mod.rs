//! Public data sets by name: fetched, unpacked, and their labels written as `train.csv` and `test.csv`.
//!
//! A folder is made beside its final place and renamed when it is whole, so that a data folder is never half there.
//! Archives lie in the folder of what was fetched until the data folder is complete, so that nothing is fetched twice.

mod coco18;
mod voc_coco;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use sarb_labels::files::folder_of;
use sarb_labels::formats::{self, csv, format::Format, options::Options};
use sarb_labels::{Dataset, Split, dataset};

use crate::fetch::{self, Patience, Remote, Watch};
use crate::{Error, Result};

/// A data set that [`fetch()`] knows.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name on the command line.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Under which terms it may be used.
    pub license: &'static str,
    /// What is fetched.
    pub files: Vec<Remote>,
    /// What is fetched, in MB (10⁶ bytes), rounded.
    pub megabytes: u32,
    /// Images of `train.csv` and `test.csv`.
    pub images: [usize; 2],
    /// Makes the data folder of the files.
    build: fn(&Job<'_>) -> Result<()>,
}

/// What a data set is made of, and where.
struct Job<'a> {
    /// The fetched files, in the order of [`Entry::files`].
    files: &'a [PathBuf],
    /// The folder to fill.
    folder: &'a Path,
    watch: &'a Watch<'a>,
}

/// Every data set that can be fetched.
pub fn all() -> [Entry; 3] {
    [voc_coco::voc2007(), voc_coco::coco2014(), coco18::entry()]
}

impl Entry {
    /// The data set of a name.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name that is not in [`all`].
    pub fn named(name: &str) -> Result<Self> {
        let names = all().map(|entry| entry.name).join(", ");
        let found = all().into_iter().find(|entry| entry.name == name);
        found.ok_or_else(|| Error::Usage(format!("unknown data set {name:?}; one of {names}")))
    }
}

/// Makes the data folder `out`. The files come from their addresses, or from the folder `from` where they lie under
/// the names of the addresses; downloads are removed afterwards unless `keep` is set.
///
/// # Errors
/// [`Error::Usage`] if `out` is there and not empty; what downloading, unpacking and reading labels say;
/// [`Error::Data`] if the result has other numbers of images than it should.
pub fn fetch(
    entry: &Entry,
    out: &Path,
    (home, keep): (&Path, bool),
    from: Option<&Path>,
    patience: &Patience,
    watch: &Watch<'_>,
) -> Result<Dataset> {
    refuse_full(out)?;
    let archives = home.join("downloads").join(entry.name);
    let mut files = Vec::new();
    for remote in &entry.files {
        files.push(match from {
            Some(folder) => given(&folder.join(remote.file_name()), remote, watch)?,
            None => downloaded(&archives.join(remote.file_name()), remote, patience, watch)?,
        });
    }
    let parent = folder_of(out);
    std::fs::create_dir_all(parent).map_err(|error| Error::io(parent, error))?;
    let staging = Staging::new(parent, entry.name)?;
    let built = build(entry, &Job { files: &files, folder: &staging.0, watch });
    match built {
        Err(error) if from.is_none() && error.exit_code() == 3 => return Err(discard(entry, &files, &error)),
        built => built?,
    }
    // An empty folder that is there already is in the way of the rename on some systems.
    let _ = std::fs::remove_dir(out);
    std::fs::rename(&staging.0, out).map_err(|error| Error::io(out, error))?;
    if from.is_none() && !keep {
        let _ = std::fs::remove_dir_all(&archives);
    }
    Ok(dataset::open(out)?)
}

/// Fills the folder, and counts what is in it.
fn build(entry: &Entry, job: &Job<'_>) -> Result<()> {
    (entry.build)(job)?;
    let data = dataset::open(job.folder)?;
    let counts = [data.train.images.len(), data.test.as_ref().map_or(0, |test| test.images.len())];
    if counts != entry.images {
        return Err(Error::Data(format!(
            "{}: {counts:?} images to train and to test, expected {:?}; nothing was written",
            entry.name, entry.images
        )));
    }
    Ok(())
}

/// Downloads that could not be checked may be what is wrong: they go, so that the next call does not find them again.
fn discard(entry: &Entry, files: &[PathBuf], why: &Error) -> Error {
    let unchecked = files.iter().zip(&entry.files).filter(|(_, remote)| remote.sha256.is_empty());
    let deleted = unchecked.filter(|(file, _)| std::fs::remove_file(file).is_ok()).count();
    Error::Data(match deleted {
        0 => why.to_string(),
        _ => format!("{why}; what was downloaded was deleted: run the same command again to fetch it anew"),
    })
}

fn refuse_full(out: &Path) -> Result<()> {
    match std::fs::read_dir(out).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(false) => {
            Err(Error::Usage(format!("--out {}: is not empty; choose another folder", out.display())))
        }
        Err(error) => Err(Error::io(out, error)),
    }
}

/// A file that the user brought, checked where it lies.
fn given(path: &Path, remote: &Remote, watch: &Watch<'_>) -> Result<PathBuf> {
    if !path.is_file() {
        return Err(Error::Missing(format!("{}: no such file; it is {}", path.display(), remote.url)));
    }
    if !remote.sha256.is_empty() || remote.bytes.is_some() {
        (watch.note)(&format!("checking {}", path.display()));
        fetch::Digest::of_file(path)?.check(remote, &path.display().to_string())?;
    }
    Ok(path.to_path_buf())
}

fn downloaded(path: &Path, remote: &Remote, patience: &Patience, watch: &Watch<'_>) -> Result<PathBuf> {
    if !path.is_file() {
        fetch::download(remote, path, patience, watch)?;
    }
    Ok(path.to_path_buf())
}

/// Reads labels of another format and writes them as a split of the data folder.
fn convert(job: &Job<'_>, format: Format, source: &Path, options: &Options, split: Split) -> Result<()> {
    job.watch.cancel.check()?;
    let reading = format.read(source, options)?;
    reading.notes.iter().for_each(|note| (job.watch.note)(&format!("{split}: {note}")));
    Ok(csv::write(&job.folder.join(split.file_name()), &reading.annotations)?)
}

/// The format of a name.
fn format(name: &str) -> Format {
    *formats::ALL.iter().find(|format| format.name == name).expect("a format of sarb-labels")
}

/// A folder that is removed when dropped, unless it was renamed before.
struct Staging(PathBuf);

impl Staging {
    fn new(parent: &Path, name: &str) -> Result<Self> {
        let path = parent.join(format!(".sarb-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(|error| Error::io(&path, error))?;
        Ok(Self(path))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // After the rename there is nothing to remove.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
