//! Feature maps of one extractor, transform and view on disk, shared by data sets and processes.
//!
//! A store is a folder of three files. `maps.f16` holds map after map, little-endian 16-bit floats.
//! `index` holds a header and, for each map, the hash of the image's content, a digest of the map and
//! a check of the entry. `about.json` says for people what the maps are of. Both data files only
//! grow, under a lock, the index after the maps are on the disk: whatever a killed writer leaves
//! behind its last whole entry is ignored and overwritten. The locks lie beside the folder, because
//! a lock on a file that somebody deletes protects nothing.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memmap2::Mmap;

use crate::lock::{FileLock, Holder};
use crate::{Error, Result};

/// BLAKE3 of an image file's bytes.
pub(crate) type ContentHash = [u8; 32];

type Digest = [u8; 16];

const INDEX: &str = "index";
const MAPS: &str = "maps.f16";
pub(crate) const ABOUT: &str = "about.json";
const MAGIC: &[u8; 8] = b"sarbmap1";
pub(crate) const HEADER_BYTES: usize = 32;
/// Content hash, digest of the map, check of the entry.
pub(crate) const ENTRY_BYTES: usize = 64;
/// So many bytes of maps are collected before they are written and synced.
const FLUSH_BYTES: usize = 32 << 20;

/// Which maps a store holds and where it lies; it need not exist.
#[derive(Debug, Clone)]
pub(crate) struct StorePlace {
    cache: PathBuf,
    /// Name of the folder, made of a hash of `about`.
    pub(crate) name: String,
    about: String,
    /// Bytes of one map.
    map_bytes: usize,
}

impl StorePlace {
    /// The store in `cache` of maps of `map_len` values that `about` describes completely.
    pub(crate) fn new(cache: &Path, about: String, map_len: usize) -> Self {
        let name = format!("{}{}", PREFIX, &blake3::hash(about.as_bytes()).to_hex()[..NAME_DIGITS]);
        Self { cache: cache.to_path_buf(), name, about, map_bytes: 2 * map_len }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.cache.join(&self.name).join(name)
    }

    /// Bytes of one map with its entry.
    pub(crate) fn bytes_each(&self) -> u64 {
        (self.map_bytes + ENTRY_BYTES) as u64
    }

    fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        header[8..16].copy_from_slice(&(self.map_bytes as u64).to_le_bytes());
        header[16..].copy_from_slice(&digest(self.about.as_bytes()));
        header
    }

    /// The entries that are whole and whose maps are; `None` for a missing or foreign index.
    fn entries(&self) -> Result<Option<Vec<(ContentHash, Digest)>>> {
        let Some(index) = read_if_there(&self.file(INDEX))? else { return Ok(None) };
        if index.get(..HEADER_BYTES) != Some(&self.header()[..]) {
            return Ok(None);
        }
        let maps = self.file(MAPS);
        let maps_len = match std::fs::metadata(&maps) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(Error::io(&maps, error)),
        };
        let whole_maps = (maps_len / self.map_bytes as u64) as usize;
        let entries = index[HEADER_BYTES..]
            .as_chunks::<ENTRY_BYTES>()
            .0
            .iter()
            .take(whole_maps)
            .enumerate()
            .map_while(|(slot, bytes)| parse_entry(slot, bytes));
        Ok(Some(entries.collect()))
    }

    /// How many of `wanted` the store does not hold.
    pub(crate) fn count_missing(&self, wanted: &[ContentHash]) -> Result<usize> {
        let entries = self.entries()?.unwrap_or_default();
        let held: HashSet<&ContentHash> = entries.iter().map(|(hash, _)| hash).collect();
        Ok(wanted.iter().filter(|hash| !held.contains(hash)).count())
    }
}

/// How the folders of stores are called: this and the first digits of a hash.
pub(crate) const PREFIX: &str = "maps-";
pub(crate) const NAME_DIGITS: usize = 32;

/// A store that nobody evicts as long as this value lives.
#[derive(Debug)]
pub(crate) struct MapStore {
    place: StorePlace,
    _in_use: File,
}

impl MapStore {
    /// Opens or makes the store and notes that it was used now. One that cannot be written to, as another user's, is
    /// opened to read what it holds.
    pub(crate) fn open(place: StorePlace) -> Result<Self> {
        match Self::open_to_write(&place) {
            Ok(in_use) => Ok(Self { place, _in_use: in_use }),
            Err(error) if error.is_read_only() && place.file(INDEX).is_file() => {
                let lock = place.cache.join(format!("{}.use", place.name));
                let path = if lock.is_file() { lock } else { place.file(INDEX) };
                let in_use = File::open(&path).map_err(|source| Error::io(&path, source))?;
                in_use.lock_shared().map_err(|source| Error::io(&path, source))?;
                Ok(Self { place, _in_use: in_use })
            }
            Err(error) => Err(error),
        }
    }

    /// The lock that says that the store is in use.
    fn open_to_write(place: &StorePlace) -> Result<File> {
        let folder = place.cache.join(&place.name);
        std::fs::create_dir_all(&place.cache).map_err(|source| Error::io(&place.cache, source))?;
        let (path, in_use) = lock_file(&place.cache, &place.name, "use")?;
        in_use.lock_shared().map_err(|source| Error::io(&path, source))?;
        std::fs::create_dir_all(&folder).map_err(|source| Error::io(&folder, source))?;
        let about = place.file(ABOUT);
        if read_if_there(&about)?.as_deref() != Some(place.about.as_bytes()) {
            std::fs::write(&about, &place.about).map_err(|source| Error::io(&about, source))?;
        }
        let noted = File::options().write(true).open(&about);
        let noted = noted.and_then(|file| file.set_modified(SystemTime::now()));
        noted.map_err(|source| Error::io(&about, source))?;
        Ok(in_use)
    }

    /// What the store holds now, mapped into memory.
    pub(crate) fn maps(&self) -> Result<Maps> {
        let entries = self.place.entries()?.unwrap_or_default();
        let path = self.place.file(MAPS);
        let bytes = if entries.is_empty() {
            None
        } else {
            let file = File::open(&path).map_err(|source| Error::io(&path, source))?;
            // SAFETY: the map is read-only. Writers of this program only append behind the entries
            // that were read above, and delete a store only while nobody holds its `use` lock.
            Some(unsafe { Mmap::map(&file) }.map_err(|source| Error::io(&path, source))?)
        };
        let digests = entries.iter().map(|&(_, digest)| digest).collect();
        let slots = entries.into_iter().enumerate().map(|(slot, (hash, _))| (hash, slot)).collect();
        Ok(Maps { path, bytes, map_bytes: self.place.map_bytes, slots, digests })
    }

    /// Takes the right to append; while another process has it, calls `waiting` again and again, as
    /// [`FileLock::wait`] says.
    pub(crate) fn appender(&self, waiting: impl FnMut(Option<&Holder>) -> Result<()>) -> Result<Appender> {
        Appender::new(
            &self.place,
            FileLock::wait(&lock_path(&self.place.cache, &self.place.name, "append"), waiting)?,
        )
    }
}

/// The maps of a store at one time.
#[derive(Debug)]
pub(crate) struct Maps {
    path: PathBuf,
    bytes: Option<Mmap>,
    map_bytes: usize,
    slots: HashMap<ContentHash, usize>,
    digests: Vec<Digest>,
}

impl Maps {
    /// Where the map of an image lies.
    pub(crate) fn slot(&self, hash: &ContentHash) -> Option<usize> {
        self.slots.get(hash).copied()
    }

    /// The map at `slot`, as stored.
    pub(crate) fn bytes(&self, slot: usize) -> &[u8] {
        let bytes = self.bytes.as_ref().expect("a slot is that of a map");
        &bytes[slot * self.map_bytes..][..self.map_bytes]
    }

    /// Whether the map at `slot` is what was written.
    pub(crate) fn check(&self, slot: usize) -> Result<()> {
        if digest(self.bytes(slot)) == self.digests[slot] {
            return Ok(());
        }
        Err(Error::Data(format!(
            "{}: the feature map at place {slot} is damaged; clear the cache with `sarb doctor`",
            self.path.display()
        )))
    }
}

/// The right to append to a store, and what is not written yet.
#[derive(Debug)]
pub(crate) struct Appender {
    maps_path: PathBuf,
    index_path: PathBuf,
    maps: File,
    index: File,
    map_bytes: usize,
    held: HashSet<ContentHash>,
    written: usize,
    new_maps: Vec<u8>,
    new_entries: Vec<u8>,
    _lock: FileLock,
}

impl Appender {
    fn new(place: &StorePlace, lock: FileLock) -> Result<Self> {
        let open = |path: &Path| {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
            file.map_err(|source| Error::io(path, source))
        };
        let entries = place.entries()?;
        let (index_path, maps_path) = (place.file(INDEX), place.file(MAPS));
        let (mut index, maps) = (open(&index_path)?, open(&maps_path)?);
        if entries.is_none() {
            let begun = index.set_len(0).and_then(|()| index.write_all(&place.header()));
            begun.map_err(|source| Error::io(&index_path, source))?;
        }
        let entries = entries.unwrap_or_default();
        let mut appender = Self {
            maps_path,
            index_path,
            maps,
            index,
            map_bytes: place.map_bytes,
            written: entries.len(),
            held: entries.into_iter().map(|(hash, _)| hash).collect(),
            new_maps: Vec::new(),
            new_entries: Vec::new(),
            _lock: lock,
        };
        appender.cut_tails()?;
        Ok(appender)
    }

    /// Whether the map of an image is there already.
    pub(crate) fn contains(&self, hash: &ContentHash) -> bool {
        self.held.contains(hash)
    }

    /// Adds the map of an image; it may be written later.
    ///
    /// # Panics
    /// If `map` has not the length of this store's maps.
    pub(crate) fn append(&mut self, hash: ContentHash, map: &[u8]) -> Result<()> {
        assert_eq!(map.len(), self.map_bytes, "bytes of a map");
        let slot = self.written + self.new_entries.len() / ENTRY_BYTES;
        self.new_maps.extend_from_slice(map);
        self.new_entries.extend_from_slice(&entry(slot, &hash, &digest(map)));
        self.held.insert(hash);
        if self.new_maps.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes what was added, the maps before their entries.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.new_entries.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.write() {
            // Give the space of half a map back; what cannot be cut now is ignored later.
            let _ = self.cut_tails();
            return Err(error);
        }
        self.written += self.new_entries.len() / ENTRY_BYTES;
        self.new_maps.clear();
        self.new_entries.clear();
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        let maps = self.maps.write_all(&self.new_maps).and_then(|()| self.maps.sync_data());
        maps.map_err(|source| Error::io(&self.maps_path, source))?;
        let index = self.index.write_all(&self.new_entries).and_then(|()| self.index.sync_data());
        index.map_err(|source| Error::io(&self.index_path, source))
    }

    /// Cuts both files behind the last whole entry and goes there.
    fn cut_tails(&mut self) -> Result<()> {
        let cut = |file: &mut File, bytes: usize, path: &Path| {
            let cut = file.set_len(bytes as u64).and_then(|()| file.seek(SeekFrom::End(0)));
            cut.map(|_| ()).map_err(|source| Error::io(path, source))
        };
        cut(&mut self.index, HEADER_BYTES + self.written * ENTRY_BYTES, &self.index_path)?;
        cut(&mut self.maps, self.written * self.map_bytes, &self.maps_path)
    }
}

/// The path of a lock file of a store, beside its folder.
fn lock_path(cache: &Path, name: &str, kind: &str) -> PathBuf {
    cache.join(format!("{name}.{kind}"))
}

/// A lock file of a store.
pub(crate) fn lock_file(cache: &Path, name: &str, kind: &str) -> Result<(PathBuf, File)> {
    let path = lock_path(cache, name, kind);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    match file {
        Ok(file) => Ok((path, file)),
        Err(source) => Err(Error::io(&path, source)),
    }
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, error)),
    }
}

fn digest(bytes: &[u8]) -> Digest {
    let hash = blake3::hash(bytes);
    *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
}

fn entry(slot: usize, hash: &ContentHash, digest_of_map: &Digest) -> [u8; ENTRY_BYTES] {
    let mut checked = [0; 56];
    checked[..32].copy_from_slice(hash);
    checked[32..48].copy_from_slice(digest_of_map);
    checked[48..].copy_from_slice(&(slot as u64).to_le_bytes());
    let mut entry = [0; ENTRY_BYTES];
    entry[..48].copy_from_slice(&checked[..48]);
    entry[48..].copy_from_slice(&digest(&checked));
    entry
}

fn parse_entry(slot: usize, bytes: &[u8; ENTRY_BYTES]) -> Option<(ContentHash, Digest)> {
    let hash = *bytes.first_chunk().expect("64 bytes begin with 32");
    let digest_of_map = *bytes[32..].first_chunk().expect("32 bytes begin with 16");
    (entry(slot, &hash, &digest_of_map) == *bytes).then_some((hash, digest_of_map))
}
