//! Feature maps of a frozen trunk, computed once and kept on disk.
//!
//! Most of a training step is the frozen part of the network, which gives the same maps for the same
//! pixels. They are kept by image content, weights, transform and view, in 16-bit floats
//! ([`crate::data::map_store`]), so that data sets, runs and processes share them. Augmentation
//! becomes a choice among a few cached views: view 0 is the test-time one, the others are fixed
//! draws of the training transform, of the image's content alone.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use half::f16;
use half::slice::HalfFloatSliceExt;
use rand::Rng;
use rayon::prelude::*;

pub use crate::data::cache_limit::{Cleared, StoreInfo, clear, default_cache_dir, list};

use crate::batch::{Stream, rng};
use crate::data::cache_limit::{Wanted, make_room};
use crate::data::image;
use crate::data::loader::{Examples, Loader, View};
use crate::data::map_store::{Appender, ContentHash, MapStore, Maps, StorePlace};
use crate::data::transform::Transform;
use crate::{Error, Result};

/// Maps of `b` images, `b × 3 × S × S -> b × F × H × W`.
pub type Extract<'a> = dyn FnMut(&[f32], usize) -> Result<Vec<f32>> + 'a;

/// Images that the extractor gets at once.
const BATCH: usize = 16;
/// Decoded images that may wait for the extractor.
const QUEUE_BYTES: usize = 256 << 20;

/// Which maps are wanted, and where and how many may be kept.
#[derive(Debug, Clone)]
pub struct CacheSpec {
    /// The cache folder, such as [`default_cache_dir`].
    pub dir: PathBuf,
    /// Most bytes that all caches in the folder may take.
    pub limit_bytes: u64,
    /// Name of the trunk and a hash of its weights.
    pub extractor: String,
    /// How the extractor's images are made.
    pub transform: Transform,
    /// Number of augmented views V besides the clean one.
    pub views: usize,
}

impl CacheSpec {
    fn place(&self, view: usize, shape: [usize; 3]) -> StorePlace {
        // The clean view is the same whatever the crops are.
        let transform = match view {
            0 => self.transform.describe_clean(),
            _ => self.transform.describe_augmented(),
        };
        let about = serde_json::json!({
            "extractor": self.extractor, "transform": transform, "view": view, "shape": shape,
        });
        StorePlace::new(&self.dir, about.to_string(), shape.iter().product())
    }
}

/// The maps of a list of images in all views, mapped from disk.
///
/// [`View::Clean`] reads view 0; [`View::Augmented`] one of the views 1 to V, drawn by (seed, epoch,
/// row), or view 0 when there is no other.
#[derive(Debug)]
pub struct CachedMaps {
    shape: [usize; 3],
    rows: usize,
    views: Vec<CachedView>,
}

#[derive(Debug)]
struct CachedView {
    maps: Maps,
    /// Place of every row's map.
    slots: Vec<usize>,
    /// Whether the map of a row was found to be what was written.
    checked: Vec<AtomicBool>,
    /// Keeps other processes from deleting what is mapped.
    _store: MapStore,
}

impl Examples for CachedMaps {
    fn len(&self) -> usize {
        self.rows
    }

    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn read(&self, row: usize, view: View, into: &mut [f32]) -> Result<()> {
        let view = match view {
            View::Augmented { seed, epoch } if self.views.len() > 1 => {
                let drawn = rng(seed, Stream::Augment, epoch, row as u64).next_u64();
                1 + (drawn % (self.views.len() as u64 - 1)) as usize
            }
            _ => 0,
        };
        let CachedView { maps, slots, checked, .. } = &self.views[view];
        if !checked[row].load(Ordering::Relaxed) {
            maps.check(slots[row])?;
            checked[row].store(true, Ordering::Relaxed);
        }
        read_halves(maps.bytes(slots[row]), into);
        Ok(())
    }
}

/// The maps of `paths`, `shape` = `[F, H, W]` each, in view 0 and the `views` augmented ones;
/// `extract` computes those that the cache lacks, `b × 3 × S × S -> b × F × H × W`.
///
/// `progress` hears how many maps of how many are there, and ends the work with an error of its own:
/// what is computed by then is kept. When another process computes maps of the same extractor and
/// view, this one waits for it and finds them done.
///
/// # Errors
/// Those of [`image::decode`], of the callbacks and of the disk; [`Error::Data`] naming an image
/// whose map is not finite in 16 bits; [`Error::Usage`] when the maps do not fit the limit.
///
/// # Panics
/// If `extract` returns another number of values.
pub fn cached_maps(
    spec: &CacheSpec,
    paths: &[PathBuf],
    shape: [usize; 3],
    extract: &mut Extract,
    progress: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<CachedMaps> {
    let hashes = content_hashes(paths, progress)?;
    let images = distinct_images(&hashes, paths);
    let places: Vec<StorePlace> = (0..=spec.views).map(|view| spec.place(view, shape)).collect();
    let wanted: Result<Vec<Wanted>> = places.iter().map(|place| want(place, &images)).collect();
    make_room(&spec.dir, spec.limit_bytes, &wanted?)?;

    let total = images.len() * places.len();
    let mut filling = Filling { spec, images: &images, extract, progress, done: 0, total };
    let mut views = Vec::with_capacity(places.len());
    for (view, place) in places.into_iter().enumerate() {
        let store = MapStore::open(place)?;
        filling.fill(view, &store)?;
        let maps = store.maps()?;
        let slots: Option<Vec<usize>> = hashes.iter().map(|hash| maps.slot(hash)).collect();
        let slots = slots.ok_or_else(|| {
            Error::Data(format!("{}: another program changes this cache", spec.dir.display()))
        })?;
        let checked = slots.iter().map(|_| AtomicBool::new(false)).collect();
        views.push(CachedView { maps, slots, checked, _store: store });
    }
    Ok(CachedMaps { shape, rows: paths.len(), views })
}

/// An image file and the hash of its bytes.
#[derive(Debug, Clone)]
struct HashedImage {
    hash: ContentHash,
    path: PathBuf,
}

fn content_hashes(
    paths: &[PathBuf],
    progress: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<Vec<ContentHash>> {
    let hash = |path: &PathBuf| Ok(*blake3::hash(&image::read_file(path)?).as_bytes());
    let mut hashes = Vec::with_capacity(paths.len());
    for some in paths.chunks(1024) {
        progress(0, paths.len())?;
        hashes.extend(some.par_iter().map(hash).collect::<Result<Vec<ContentHash>>>()?);
    }
    Ok(hashes)
}

/// Each content once, in order of appearance.
fn distinct_images(hashes: &[ContentHash], paths: &[PathBuf]) -> Vec<HashedImage> {
    let mut first: HashMap<&ContentHash, usize> = HashMap::new();
    hashes
        .iter()
        .enumerate()
        .filter(|(row, hash)| *first.entry(hash).or_insert(*row) == *row)
        .map(|(row, &hash)| HashedImage { hash, path: paths[row].clone() })
        .collect()
}

fn want(place: &StorePlace, images: &[HashedImage]) -> Result<Wanted> {
    let hashes: Vec<ContentHash> = images.iter().map(|image| image.hash).collect();
    Ok(Wanted {
        name: place.name.clone(),
        needed_bytes: images.len() as u64 * place.bytes_each(),
        missing_bytes: place.count_missing(&hashes)? as u64 * place.bytes_each(),
    })
}

/// Computing what the stores lack.
struct Filling<'a> {
    spec: &'a CacheSpec,
    images: &'a [HashedImage],
    extract: &'a mut Extract<'a>,
    progress: &'a mut dyn FnMut(usize, usize) -> Result<()>,
    done: usize,
    total: usize,
}

impl Filling<'_> {
    fn fill(&mut self, view: usize, store: &MapStore) -> Result<()> {
        let held = store.maps()?;
        // Only readers of a full store need not wait for one who appends to it.
        if self.images.iter().any(|image| held.slot(&image.hash).is_none()) {
            let mut appender = store.appender(|| (self.progress)(self.done, self.total))?;
            let missing: Vec<HashedImage> =
                self.images.iter().filter(|image| !appender.contains(&image.hash)).cloned().collect();
            let computed = self.compute(view, missing, &mut appender);
            // What is there is kept, even if the rest failed.
            appender.flush()?;
            computed
        } else {
            self.done += self.images.len();
            (self.progress)(self.done, self.total)
        }
    }

    fn compute(&mut self, view: usize, missing: Vec<HashedImage>, appender: &mut Appender) -> Result<()> {
        self.done += self.images.len() - missing.len();
        (self.progress)(self.done, self.total)?;
        let rows: Vec<usize> = (0..missing.len()).collect();
        let batches = rows.chunks(BATCH).map(<[usize]>::to_vec).collect();
        let views = Arc::new(ViewsToCache { images: missing, transform: self.spec.transform.clone(), view });
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let loader = Loader::new(workers, QUEUE_BYTES);
        for batch in loader.batches(views.clone(), batches, View::Clean) {
            let batch = batch?;
            let maps = (self.extract)(&batch.values, batch.rows.len())?;
            assert_eq!(maps.len() % batch.rows.len(), 0, "maps of one size");
            for (&row, map) in batch.rows.iter().zip(maps.chunks_exact(maps.len() / batch.rows.len())) {
                let image = &views.images[row];
                appender.append(image.hash, &to_halves(map, &image.path)?)?;
            }
            self.done += batch.rows.len();
            (self.progress)(self.done, self.total)?;
        }
        Ok(())
    }
}

/// One view of images as the extractor reads it; which one is fixed here, not by the reader.
struct ViewsToCache {
    images: Vec<HashedImage>,
    transform: Transform,
    view: usize,
}

impl Examples for ViewsToCache {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn shape(&self) -> [usize; 3] {
        [3, self.transform.size_px, self.transform.size_px]
    }

    fn read(&self, row: usize, _: View, into: &mut [f32]) -> Result<()> {
        let HashedImage { hash, path } = &self.images[row];
        let bytes = image::read_file(path)?;
        if blake3::hash(&bytes).as_bytes() != hash {
            return Err(Error::Data(format!("{}: changed while it was read", path.display())));
        }
        let image = image::decode_bytes(&bytes, &path.display().to_string())?;
        if self.view == 0 {
            self.transform.clean(&image, into);
        } else {
            let content = u64::from_le_bytes(*hash.first_chunk().expect("a hash has 32 bytes"));
            let mut draws = rng(0, Stream::Augment, self.view as u64, content);
            self.transform.augmented(&image, &mut draws, into);
        }
        Ok(())
    }
}

/// A map as little-endian 16-bit floats.
fn to_halves(map: &[f32], path: &Path) -> Result<Vec<u8>> {
    let mut halves = vec![f16::ZERO; map.len()];
    halves.convert_from_f32_slice(map);
    if let Some(index) = halves.iter().position(|half| !half.is_finite()) {
        return Err(Error::Data(format!(
            "{}: value {index} of its feature map is {}; expected finite values of at most 65504",
            path.display(),
            map[index]
        )));
    }
    Ok(halves.iter().flat_map(|half| half.to_le_bytes()).collect())
}

/// [`to_halves`] backwards; the buffer lets whole vectors be converted at once.
fn read_halves(bytes: &[u8], into: &mut [f32]) {
    assert_eq!(bytes.len(), 2 * into.len(), "two bytes a value");
    let mut halves = [f16::ZERO; 512];
    for (values, bytes) in into.chunks_mut(512).zip(bytes.chunks(1024)) {
        let halves = &mut halves[..values.len()];
        for (half, &bytes) in halves.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *half = f16::from_le_bytes(bytes);
        }
        halves.convert_to_f32_slice(values);
    }
}

#[cfg(test)]
#[path = "feature_cache_tests.rs"]
mod tests;
