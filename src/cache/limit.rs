//! How much the caches of feature maps may take, and which go first.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::cache::store::{ABOUT, ENTRY_BYTES, HEADER_BYTES, NAME_DIGITS, PREFIX, lock_file};
use crate::{Error, Result};

/// `$XDG_CACHE_HOME/sarb`, or `.cache/sarb` in the home folder.
///
/// # Errors
/// [`Error::Missing`] when there is neither.
pub fn default_cache_dir() -> Result<PathBuf> {
    let xdg = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    xdg.or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .map(|cache| cache.join("sarb"))
        .ok_or_else(|| Error::Missing("no home folder for the cache; give one with --cache DIR".into()))
}

/// A store of feature maps in a cache folder.
#[derive(Debug, Clone)]
pub struct StoreInfo {
    /// Its folder.
    pub path: PathBuf,
    /// Bytes on disk.
    pub bytes: u64,
    /// How many maps it holds.
    pub maps: usize,
    /// Extractor, transform, view and shape, as JSON.
    pub about: String,
    /// When a run last opened it.
    pub last_used: SystemTime,
}

impl StoreInfo {
    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// The stores in a cache folder, the one used longest ago first; none when there is no folder.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be read.
pub fn list(dir: &Path) -> Result<Vec<StoreInfo>> {
    let folders = match std::fs::read_dir(dir) {
        Ok(folders) => folders,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(dir, error)),
    };
    let mut stores = Vec::new();
    for folder in folders {
        let path = folder.map_err(|source| Error::io(dir, source))?.path();
        // A store that another process is deleting just now is no longer a store.
        stores.extend(info(path));
    }
    stores.sort_by(|a, b| (a.last_used, &a.path).cmp(&(b.last_used, &b.path)));
    Ok(stores)
}

/// What a folder holds, if it is a store: by its name and its `about.json`.
fn info(path: PathBuf) -> Option<StoreInfo> {
    let digits = path.file_name()?.to_str()?.strip_prefix(PREFIX)?;
    if digits.len() != NAME_DIGITS || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let last_used = std::fs::metadata(path.join(ABOUT)).ok()?.modified().ok()?;
    let about = std::fs::read_to_string(path.join(ABOUT)).ok()?;
    let sizes = std::fs::read_dir(&path).ok()?.filter_map(|file| file.ok()?.metadata().ok());
    let bytes = sizes.map(|metadata| metadata.len()).sum();
    let index_len = std::fs::metadata(path.join("index")).map_or(0, |metadata| metadata.len() as usize);
    let maps = index_len.saturating_sub(HEADER_BYTES) / ENTRY_BYTES;
    Some(StoreInfo { path, bytes, maps, about, last_used })
}

/// What [`clear`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleared {
    /// Stores deleted.
    pub stores: usize,
    /// Bytes freed.
    pub bytes: u64,
    /// Stores that a running process uses, left alone.
    pub in_use: usize,
}

/// Deletes every store in a cache folder that no running process uses, and nothing else.
///
/// # Errors
/// [`Error::Io`] when a store cannot be deleted.
pub fn clear(dir: &Path) -> Result<Cleared> {
    let mut cleared = Cleared { stores: 0, bytes: 0, in_use: 0 };
    for store in list(dir)? {
        if remove_unused(dir, &store)? {
            cleared.stores += 1;
            cleared.bytes += store.bytes;
        } else {
            cleared.in_use += 1;
        }
    }
    Ok(cleared)
}

/// What a run wants of one store.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Name of the store's folder.
    pub name: String,
    /// Bytes of all maps that the run reads from it.
    pub needed_bytes: u64,
    /// Bytes of those that are still to be computed.
    pub missing_bytes: u64,
}

/// Deletes stores until those wanted fit beside the rest: first others, the one used longest ago
/// first, then wanted ones that hold many maps of other data sets and are begun anew.
///
/// # Errors
/// [`Error::Usage`] with the bytes needed, when they are more than the limit allows.
pub(crate) fn make_room(dir: &Path, limit_bytes: u64, wanted: &[Wanted]) -> Result<()> {
    check_limit(dir, limit_bytes, wanted.iter().map(|store| store.needed_bytes).sum())?;
    let stores = list(dir)?;
    let missing: u64 = wanted.iter().map(|store| store.missing_bytes).sum();
    let mut total = missing + stores.iter().map(|store| store.bytes).sum::<u64>();
    let find_wanted = |store: &StoreInfo| wanted.iter().find(|wanted| wanted.name == store.name());
    for store in stores.iter().filter(|&store| find_wanted(store).is_none()) {
        if total > limit_bytes && remove_unused(dir, store)? {
            total -= store.bytes;
        }
    }
    for store in &stores {
        let Some(wanted) = find_wanted(store) else { continue };
        let kept = wanted.needed_bytes - wanted.missing_bytes;
        if total > limit_bytes && store.bytes > kept + SMALL && remove_unused(dir, store)? {
            total = total - store.bytes + kept;
        }
    }
    // Headers and descriptions are not worth an error.
    if total > limit_bytes + wanted.len() as u64 * SMALL {
        return Err(too_much(dir, limit_bytes, total, " with what running processes hold"));
    }
    Ok(())
}

/// Refuses maps that do not fit the limit even if nothing else is kept.
///
/// # Errors
/// [`Error::Usage`] with the bytes needed.
pub(crate) fn check_limit(dir: &Path, limit_bytes: u64, needed: u64) -> Result<()> {
    if needed > limit_bytes { Err(too_much(dir, limit_bytes, needed, "")) } else { Ok(()) }
}

fn too_much(dir: &Path, limit_bytes: u64, bytes: u64, why: &str) -> Error {
    Error::Usage(format!(
        "{}: the feature maps need {}{why}, more than the limit of {}; give a larger --cache-limit",
        dir.display(),
        readable(bytes),
        readable(limit_bytes)
    ))
}

/// Bytes that a store may have beside its maps: its header and its description.
const SMALL: u64 = 4096;

/// Deletes a store unless somebody uses it; says whether it did.
fn remove_unused(dir: &Path, store: &StoreInfo) -> Result<bool> {
    let (path, lock) = lock_file(dir, &store.name(), "use")?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(source)) => return Err(Error::io(path, source)),
    }
    match std::fs::remove_dir_all(&store.path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&store.path, error)),
        _ => Ok(true),
    }
}

/// A size as people write it.
pub(crate) fn readable(bytes: u64) -> String {
    match bytes {
        1_000_000_000.. => format!("{:.1} GB", bytes as f64 / 1e9),
        1_000_000.. => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::store::{MapStore, StorePlace};
    use std::time::Duration;

    /// A store of `maps` maps of 1000 bytes, last used `age` seconds ago.
    fn store(dir: &Path, about: &str, maps: u8, age: u64) -> (MapStore, StorePlace) {
        let place = StorePlace::new(dir, about.into(), 500);
        let store = MapStore::open(place.clone()).unwrap();
        let mut appender = store.appender(|_| Ok(())).unwrap();
        for map in 0..maps {
            appender.append([map; 32], &[map; 1000]).unwrap();
        }
        appender.flush().unwrap();
        let about = std::fs::File::options().write(true).open(dir.join(&place.name).join(ABOUT)).unwrap();
        about.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        (store, place)
    }

    fn abouts(dir: &Path) -> Vec<String> {
        list(dir).unwrap().into_iter().map(|store| store.about).collect()
    }

    fn wanted(place: &StorePlace, needed_bytes: u64, missing_bytes: u64) -> Wanted {
        Wanted { name: place.name.clone(), needed_bytes, missing_bytes }
    }

    #[test]
    fn the_store_used_longest_ago_goes_first_but_none_that_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let used = store(dir, "used and oldest", 10, 90);
        drop(store(dir, "young", 10, 10));
        drop(store(dir, "old", 10, 50));
        let new = StorePlace::new(dir, "new".into(), 500);
        make_room(dir, 50_000, &[wanted(&new, 15_000, 15_000)]).unwrap();
        assert_eq!(abouts(dir), ["used and oldest", "old", "young"]);
        make_room(dir, 40_000, &[wanted(&new, 15_000, 15_000)]).unwrap();
        assert_eq!(abouts(dir), ["used and oldest", "young"]);
        let error = make_room(dir, 20_000, &[wanted(&new, 15_000, 15_000)]).unwrap_err();
        assert!(matches!(&error, Error::Usage(text) if text.contains("running processes")), "{error}");
        drop(used);
        make_room(dir, 20_000, &[wanted(&new, 15_000, 15_000)]).unwrap();
        assert!(abouts(dir).is_empty());
    }

    #[test]
    fn a_store_full_of_other_images_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let (open, place) = store(dir, "mine", 30, 5);
        drop(open);
        make_room(dir, 40_000, &[wanted(&place, 9_000, 5_000)]).unwrap();
        assert_eq!(abouts(dir), ["mine"], "30 of 40 kB and 5 to come fit");
        make_room(dir, 30_000, &[wanted(&place, 9_000, 5_000)]).unwrap();
        assert!(abouts(dir).is_empty());
    }

    #[test]
    fn more_than_the_limit_is_refused_with_the_bytes_and_the_flag() {
        let folder = tempfile::tempdir().unwrap();
        let place = StorePlace::new(folder.path(), "big".into(), 500);
        let wanted = [wanted(&place, 30_000_000_000, 0)];
        let error = make_room(folder.path(), 20_000_000_000, &wanted).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        for part in ["30.0 GB", "20.0 GB", "--cache-limit"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn clearing_deletes_unused_stores_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        assert!(list(&dir.join("nowhere")).unwrap().is_empty());
        std::fs::create_dir_all(dir.join("maps-of-my-town")).unwrap();
        std::fs::write(dir.join("maps-of-my-town/about.json"), "{}").unwrap();
        let used = store(dir, "used", 2, 0);
        drop(store(dir, "unused", 3, 0));
        let of = |about: &str| list(dir).unwrap().into_iter().find(|store| store.about == about).unwrap();
        assert_eq!((of("unused").maps, of("used").maps), (3, 2));
        let bytes = of("unused").bytes;
        assert_eq!(clear(dir).unwrap(), Cleared { stores: 1, bytes, in_use: 1 });
        assert_eq!(abouts(dir), ["used"]);
        drop(used);
        assert_eq!(clear(dir).unwrap().stores, 1);
        assert!(dir.join("maps-of-my-town/about.json").exists());
    }
}
