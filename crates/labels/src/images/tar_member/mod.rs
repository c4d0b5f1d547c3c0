//! Images in tar files: where `shards/000.tar` is a file, `shards/000.tar/a/1.jpg` is its member `a/1.jpg`.
//!
//! The headers of a tar file are read once in a process; after that a member costs opening the file, looking
//! up a name and reading the member's bytes. Every reading opens the file anew: no more files are open than
//! threads read, each thread has a position of its own and waits for no other, and the opened file itself
//! tells whether it is still the one that was indexed. Opening takes microseconds, decoding milliseconds.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::images::tar_index::{Place, TarIndex, hint, member_name};
use crate::{Error, Result};

/// A tar file, opened, and what it holds.
#[derive(Debug)]
pub(crate) struct TarFile {
    path: PathBuf,
    file: File,
    version: Version,
    pub index: Arc<TarIndex>,
}

impl TarFile {
    /// Opens a tar file; reads its headers where this process has not, or where the file is another since.
    ///
    /// # Errors
    /// [`Error::Data`] if it is damaged, compressed or no tar file.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |source| Error::io(path, source);
        let file = File::open(path).map_err(io)?;
        let version = Version::of(&file).map_err(io)?;
        let index = index_of(path, &file, version)
            .map_err(|what| Error::Data(format!("{}: not read as a tar file: {what}", path.display())))?;
        Ok(Self { path: path.to_owned(), file, version, index })
    }

    /// As [`open`](Self::open), but reads the headers whatever is known of the file. That costs nothing where
    /// all members are looked at once, and a file written twice within a tick of the clock is noticed.
    pub fn open_anew(path: &Path) -> Result<Self> {
        *lock(&slot_of(path)) = None;
        Self::open(path)
    }

    /// The bytes of a member of its index.
    ///
    /// # Errors
    /// [`Error::Data`] if something writes into the file at the same time.
    pub fn read(&mut self, place: Place) -> Result<Vec<u8>> {
        let io = |source| Error::io(&self.path, source);
        let mut bytes = Vec::with_capacity(place.bytes as usize);
        self.file.seek(SeekFrom::Start(place.offset)).map_err(io)?;
        (&self.file).take(place.bytes).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 != place.bytes || Version::of(&self.file).map_err(io)? != self.version {
            return Err(Error::Data(format!("{}: changed while it was read", self.path.display())));
        }
        Ok(bytes)
    }
}

/// The tar file that a path leads into, and the rest of the path: the nearest path above it that is there is
/// a file.
pub fn split(path: &Path) -> Option<(&Path, &Path)> {
    let mut above = path.ancestors().skip(1);
    let (tar, there) = above.find_map(|above| Some((above, std::fs::metadata(above).ok()?)))?;
    there.is_file().then_some((tar, path.strip_prefix(tar).ok()?))
}

/// Opens the tar file of `path`, which [`split`] gave as `tar` and `member`, and finds the member.
///
/// # Errors
/// [`Error::Missing`] without such a member, [`Error::Data`] if its name leads out of the tar file or that is
/// damaged.
pub(crate) fn find(path: &Path, (tar, member): (&Path, &Path)) -> Result<(TarFile, Place)> {
    let parts: Vec<&[u8]> = member.components().map(|part| part.as_os_str().as_encoded_bytes()).collect();
    let name = member_name(&parts.join(&b'/'))
        .map_err(|(_, what)| Error::Data(format!("{}: {what}", path.display())))?;
    let tar = TarFile::open(tar)?;
    let place = tar.index.place(&name);
    let missing = || Error::Missing(format!("{}: the tar file has no such member", path.display()));
    Ok((tar, place.ok_or_else(missing)?))
}

/// The paths of all members of a tar file, as they lie in it.
///
/// # Errors
/// As [`TarFile::open`].
pub fn members(tar: &Path) -> Result<Vec<PathBuf>> {
    let index = TarFile::open(tar)?.index;
    Ok(index.in_order().into_iter().map(|(name, _)| tar.join(name)).collect())
}

/// What tells a file from one that took its place or was written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    bytes: u64,
    /// None where the system keeps no such time.
    modified: Option<SystemTime>,
    /// Two shards written at the same time are equally long, and one may be moved to the other's name.
    file: u64,
}

impl Version {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { bytes: metadata.len(), modified: metadata.modified().ok(), file: file_number(&metadata) })
    }
}

#[cfg(unix)]
fn file_number(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn file_number(_metadata: &Metadata) -> u64 {
    0
}

/// The index of a tar file, or why there is none. That is kept too: a damaged tar file would else be read
/// again for each of its images.
type Outcome = std::result::Result<Arc<TarIndex>, Arc<str>>;
/// What is known of a tar file. Who reads its headers holds the lock, and others who want them wait.
type Slot = Arc<Mutex<Option<(Version, Outcome)>>>;

/// The index of the opened tar file, read now or before.
fn index_of(path: &Path, file: &File, version: Version) -> Outcome {
    let slot = slot_of(path);
    let mut slot = lock(&slot);
    if let Some((of, outcome)) = &*slot
        && *of == version
    {
        return outcome.clone();
    }
    let read = TarIndex::read(file).map(Arc::new);
    let outcome: Outcome = read.map_err(|error| format!("{error}{}", hint(file)).into());
    *slot = Some((version, outcome.clone()));
    outcome
}

/// The place for what is known of a tar file; no other tar file waits while its headers are read.
fn slot_of(path: &Path) -> Slot {
    static SLOTS: LazyLock<Mutex<HashMap<PathBuf, Slot>>> = LazyLock::new(Mutex::default);
    let mut slots = lock(&SLOTS);
    match slots.get(path) {
        Some(slot) => slot.clone(),
        None => slots.entry(path.to_owned()).or_default().clone(),
    }
}

/// A thread that panics leaves what it locked as it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
