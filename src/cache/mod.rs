//! Feature maps of a frozen network, or of the frozen trunk of one, computed once and kept on disk.
//!
//! Most of a training step is the frozen part of the network, which gives the same maps for the same
//! pixels. They are kept by image content, weights, transform, view and how this program computes here, in 16-bit floats
//! ([`crate::cache::store`]), so that data sets, runs and processes share them. Augmentation
//! becomes a choice among a few cached views: view 0 is the test-time one, the others are fixed
//! draws of the training transform, of the image's content alone.

pub mod filling;
pub mod limit;
pub mod mixtures;
pub mod store;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use half::f16;
use half::slice::HalfFloatSliceExt;
use rand::Rng;
use rayon::prelude::*;
use sarb_labels::images;
use sarb_labels::images::transform::Transform;
use sarb_labels::random::{Stream, rng};

use crate::cache::filling::{Filling, HashedImage, KeptView, ToCache};
use crate::cache::limit::{Wanted, make_room};
use crate::cache::store::{ContentHash, MapStore, Maps, StorePlace};
use crate::loader::{ExampleKind, Examples, View};
use crate::{Error, Result};

pub use crate::cache::filling::{CacheEvent, Extract, Hear};

/// Which maps are wanted, and where and how many may be kept.
#[derive(Debug, Clone)]
pub struct CacheSpec {
    /// The cache folder, such as [`default_cache_dir`].
    pub dir: PathBuf,
    /// Most bytes that all caches in the folder may take.
    pub limit_bytes: u64,
    /// Name of the network, a hash of its weights, and how it computes to the last digit.
    pub extractor: String,
    /// What its maps are.
    pub kind: ExampleKind,
    /// How the extractor's images are made.
    pub transform: Transform,
    /// Number of augmented views V besides the clean one.
    pub views: usize,
    /// Whether each of these has a strongly augmented one beside it.
    pub strong: bool,
}

impl CacheSpec {
    /// In the order of [`CachedMaps`].
    fn kept_views(&self) -> impl Iterator<Item = KeptView> {
        let strong = (1..=self.views).filter(|_| self.strong).map(KeptView::Strong);
        std::iter::once(KeptView::Clean).chain((1..=self.views).map(KeptView::Augmented)).chain(strong)
    }

    fn place(&self, view: KeptView, shape: [usize; 3]) -> StorePlace {
        // The clean view is the same whatever the crops are.
        let (transform, number) = match view {
            KeptView::Clean => (self.transform.describe_clean(), 0),
            KeptView::Augmented(number) => (self.transform.describe_augmented(), number),
            KeptView::Strong(number) => (self.transform.describe_strong(), number),
        };
        let about = serde_json::json!({
            "extractor": self.extractor, "transform": transform, "view": number, "shape": shape,
        });
        StorePlace::new(&self.dir, about.to_string(), shape.iter().product())
    }
}

/// The maps of a list of images in all views, mapped from disk.
///
/// [`View::Clean`] reads view 0; [`View::Augmented`] one of the views 1 to V, drawn by (seed, epoch,
/// row), or view 0 when there is no other; [`View::Strong`] the strongly augmented one of the same draws, where there are such
/// ones, V + 1 to 2 V.
#[derive(Debug)]
pub struct CachedMaps {
    kind: ExampleKind,
    shape: [usize; 3],
    /// V.
    augmented: usize,
    views: Vec<CachedView>,
}

/// Maps of one view.
#[derive(Debug)]
pub(crate) struct CachedView {
    maps: Maps,
    /// Place of every map that was asked for.
    slots: Vec<usize>,
    /// Whether it was found to be what was written.
    checked: Vec<AtomicBool>,
    /// Keeps other processes from deleting what is mapped.
    _store: MapStore,
}

impl CachedView {
    /// The maps of `keys` in a store that holds them all.
    pub(crate) fn new(store: MapStore, keys: &[ContentHash], spec: &CacheSpec) -> Result<Self> {
        let maps = store.maps()?;
        let slots: Option<Vec<usize>> = keys.iter().map(|key| maps.slot(key)).collect();
        let slots = slots.ok_or_else(|| {
            Error::Data(format!("{}: another program changes this cache", spec.dir.display()))
        })?;
        let checked = slots.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(Self { maps, slots, checked, _store: store })
    }

    /// Fills `into` with map number `index` of those that were asked for.
    pub(crate) fn read(&self, index: usize, into: &mut [f32]) -> Result<()> {
        if !self.checked[index].load(Ordering::Relaxed) {
            self.maps.check(self.slots[index])?;
            self.checked[index].store(true, Ordering::Relaxed);
        }
        read_halves(self.maps.bytes(self.slots[index]), into);
        Ok(())
    }
}

impl Examples for CachedMaps {
    fn kind(&self) -> ExampleKind {
        self.kind
    }

    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn read(&self, row: usize, view: View, into: &mut [f32]) -> Result<()> {
        let drawn = |seed, epoch| 1 + drawn_view(seed, epoch, row, self.augmented);
        let view = match view {
            View::Augmented { seed, epoch } if self.augmented > 0 => drawn(seed, epoch),
            View::Strong { seed, epoch } => self.augmented + drawn(seed, epoch),
            View::Clean | View::Augmented { .. } => 0,
        };
        self.views[view].read(row, into)
    }
}

/// Which of so many augmented views a row is read in, from 0.
pub(crate) fn drawn_view(seed: u64, epoch: u64, row: usize, views: usize) -> usize {
    (rng(seed, Stream::Augment, epoch, row as u64).next_u64() % views as u64) as usize
}

/// The maps of `paths`, `shape` = `[F, H, W]` each, in view 0 and the `views` augmented ones;
/// `extract` computes those that the cache lacks, `b × 3 × S × S -> b × F × H × W`.
///
/// `hear` is told how many maps of how many are there, and ends the work with an error of its own:
/// what is computed by then is kept. When another process computes maps of the same extractor and
/// view, this one says so, waits for it and finds them done.
///
/// # Errors
/// Those of [`images::decode`], of the callbacks and of the disk; [`Error::Data`] naming an image
/// whose map is not finite in 16 bits; [`Error::Usage`] when the maps do not fit the limit.
///
/// # Panics
/// If `extract` returns another number of values.
pub fn cached_maps(
    spec: &CacheSpec,
    paths: &[PathBuf],
    shape: [usize; 3],
    extract: &mut Extract,
    hear: &mut Hear,
) -> Result<CachedMaps> {
    let hashes = content_hashes(paths, hear)?;
    let images: Vec<ToCache> = distinct_images(&hashes, paths).into_iter().map(ToCache::plain).collect();
    let places: Vec<(KeptView, StorePlace)> =
        spec.kept_views().map(|view| (view, spec.place(view, shape))).collect();
    let wanted: Result<Vec<Wanted>> = places.iter().map(|(_, place)| want(place, &images)).collect();
    make_room(&spec.dir, spec.limit_bytes, &wanted?)?;

    let total = images.len() * places.len();
    let mut filling = Filling { transform: &spec.transform, images: &images, extract, hear, done: 0, total };
    let mut views = Vec::with_capacity(places.len());
    for (view, place) in places {
        let store = MapStore::open(place)?;
        filling.fill(view, &store)?;
        views.push(CachedView::new(store, &hashes, spec)?);
    }
    Ok(CachedMaps { kind: spec.kind, shape, augmented: spec.views, views })
}

/// What a cache holds of the maps that are wanted, and what it lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Survey {
    /// Maps in all views.
    pub wanted: usize,
    /// Those that are to be computed.
    pub missing: usize,
    /// Bytes that all of them take on disk.
    pub bytes: u64,
    /// Bytes that those to be computed will take.
    pub missing_bytes: u64,
}

impl Survey {
    /// Of one store.
    fn add(&mut self, place: &StorePlace, images: &[ToCache]) -> Result<()> {
        let Wanted { needed_bytes, missing_bytes, .. } = want(place, images)?;
        self.wanted += images.len();
        self.missing += (missing_bytes / place.bytes_each()) as usize;
        self.bytes += needed_bytes;
        self.missing_bytes += missing_bytes;
        Ok(())
    }
}

/// What [`cached_maps`] would compute; the cache is not touched.
///
/// # Errors
/// If an image or the cache cannot be read; what `hear` says.
pub fn survey(spec: &CacheSpec, paths: &[PathBuf], shape: [usize; 3], hear: &mut Hear) -> Result<Survey> {
    let hashes = content_hashes(paths, hear)?;
    let images: Vec<ToCache> = distinct_images(&hashes, paths).into_iter().map(ToCache::plain).collect();
    let mut survey = Survey::default();
    spec.kept_views().try_for_each(|view| survey.add(&spec.place(view, shape), &images))?;
    Ok(survey)
}

/// The hash of every file's bytes.
pub(crate) fn content_hashes(paths: &[PathBuf], hear: &mut Hear) -> Result<Vec<ContentHash>> {
    let hash = |path: &PathBuf| Ok(*blake3::hash(&images::read_file(path)?).as_bytes());
    let mut hashes = Vec::with_capacity(paths.len());
    for some in paths.chunks(1024) {
        hear(CacheEvent::Maps { done: 0, total: paths.len() })?;
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

/// What a store needs for these maps.
pub(crate) fn want(place: &StorePlace, images: &[ToCache]) -> Result<Wanted> {
    let hashes: Vec<ContentHash> = images.iter().map(|image| image.key).collect();
    Ok(Wanted {
        name: place.name.clone(),
        needed_bytes: images.len() as u64 * place.bytes_each(),
        missing_bytes: place.count_missing(&hashes)? as u64 * place.bytes_each(),
    })
}

/// [`to_halves`] backwards; the buffer lets whole vectors be converted at once.
fn read_halves(bytes: &[u8], into: &mut [f32]) {
    assert_eq!(bytes.len(), 2 * into.len(), "two bytes per value");
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
mod tests;
