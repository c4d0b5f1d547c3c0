//! Computing the feature maps that a cache lacks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::f16;
use half::slice::HalfFloatSliceExt;
use sarb_labels::images;
use sarb_labels::images::transform::Transform;
use sarb_labels::random::{Stream, rng};

use crate::cache::store::{Appender, ContentHash, MapStore};
use crate::loader::{ExampleKind, Examples, Loader, View};
use crate::lock::Holder;
use crate::{Error, Result};

/// Maps of `b` images, `b × 3 × S × S -> b × F × H × W`.
pub type Extract<'a> = dyn FnMut(&[f32], usize) -> Result<Vec<f32>> + 'a;

/// What happens while maps are looked up and computed.
#[derive(Debug, Clone, Copy)]
pub enum CacheEvent<'a> {
    /// So many maps of so many are there.
    Maps {
        /// How many are there.
        done: usize,
        /// How many are wanted.
        total: usize,
    },
    /// Another process computes maps of the same extractor and view; this one waits for it.
    Waiting(&'a Holder),
    /// It waits on, and there is nothing new to say.
    Pause,
}

/// Hears of it, and may end the work with an error of its own.
pub type Hear<'a> = dyn FnMut(CacheEvent<'_>) -> Result<()> + 'a;

/// One of the views of an image whose maps are kept, by its number from 1.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeptView {
    Clean,
    Augmented(usize),
    /// Of the same draws as the augmented one of this number.
    Strong(usize),
}

/// Images that the extractor gets at once.
const BATCH: usize = 16;
/// Decoded images that may wait for the extractor.
const QUEUE_BYTES: usize = 256 << 20;

/// An image file and the hash of its bytes.
#[derive(Debug, Clone)]
pub(crate) struct HashedImage {
    pub(crate) hash: ContentHash,
    pub(crate) path: PathBuf,
}

/// An image whose map is wanted, perhaps mixed with another.
#[derive(Debug, Clone)]
pub(crate) struct ToCache {
    /// What the map is kept by.
    pub(crate) key: ContentHash,
    pub(crate) image: HashedImage,
    /// The other image, and the share that the first keeps.
    pub(crate) mixed: Option<(HashedImage, f32)>,
}

impl ToCache {
    /// An image alone, kept by its content.
    pub(crate) fn plain(image: HashedImage) -> Self {
        Self { key: image.hash, image, mixed: None }
    }

    /// A mixture, kept by both contents and the share.
    pub(crate) fn mixture(image: HashedImage, partner: HashedImage, kept: f32) -> Self {
        let mut key = blake3::Hasher::new();
        key.update(&image.hash).update(&partner.hash).update(&kept.to_le_bytes());
        Self { key: *key.finalize().as_bytes(), image, mixed: Some((partner, kept)) }
    }
}

/// Computing what the stores lack.
pub(crate) struct Filling<'a> {
    pub(crate) transform: &'a Transform,
    pub(crate) images: &'a [ToCache],
    pub(crate) extract: &'a mut Extract<'a>,
    pub(crate) hear: &'a mut Hear<'a>,
    pub(crate) done: usize,
    pub(crate) total: usize,
}

impl Filling<'_> {
    /// Adds to a store what it lacks in a view.
    pub(crate) fn fill(&mut self, view: KeptView, store: &MapStore) -> Result<()> {
        let held = store.maps()?;
        // Only readers of a full store need not wait for one who appends to it.
        if self.images.iter().any(|image| held.slot(&image.key).is_none()) {
            let mut appender = store
                .appender(|holder| (self.hear)(holder.map_or(CacheEvent::Pause, CacheEvent::Waiting)))?;
            let missing: Vec<ToCache> =
                self.images.iter().filter(|image| !appender.contains(&image.key)).cloned().collect();
            let computed = self.compute(view, missing, &mut appender);
            // What is there is kept, even if the rest failed.
            appender.flush()?;
            computed
        } else {
            self.done += self.images.len();
            self.tell()
        }
    }

    fn tell(&mut self) -> Result<()> {
        (self.hear)(CacheEvent::Maps { done: self.done, total: self.total })
    }

    fn compute(&mut self, view: KeptView, missing: Vec<ToCache>, appender: &mut Appender) -> Result<()> {
        self.done += self.images.len() - missing.len();
        self.tell()?;
        let rows: Vec<usize> = (0..missing.len()).collect();
        let batches = rows.chunks(BATCH).map(<[usize]>::to_vec).collect();
        let views = Arc::new(ViewsToCache { images: missing, transform: self.transform.clone(), view });
        let loader = Loader::new(rayon::current_num_threads(), QUEUE_BYTES);
        for batch in loader.batches(views.clone(), batches, View::Clean) {
            let batch = batch?;
            let maps = (self.extract)(&batch.values, batch.rows.len())?;
            assert_eq!(maps.len() % batch.rows.len(), 0, "maps of one size");
            for (&row, map) in batch.rows.iter().zip(maps.chunks_exact(maps.len() / batch.rows.len())) {
                let ToCache { key, image, .. } = &views.images[row];
                appender.append(*key, &to_halves(map, &image.path)?)?;
            }
            self.done += batch.rows.len();
            self.tell()?;
        }
        Ok(())
    }
}

/// One view of images as the extractor reads it; which one is fixed here, not by the reader.
struct ViewsToCache {
    images: Vec<ToCache>,
    transform: Transform,
    view: KeptView,
}

impl Examples for ViewsToCache {
    fn kind(&self) -> ExampleKind {
        ExampleKind::Image
    }

    fn shape(&self) -> [usize; 3] {
        [3, self.transform.size_px, self.transform.size_px]
    }

    fn read(&self, row: usize, _: View, into: &mut [f32]) -> Result<()> {
        let ToCache { image, mixed, .. } = &self.images[row];
        self.pixels(image, into)?;
        if let Some((partner, kept)) = mixed {
            let mut pixels = vec![0.0; into.len()];
            self.pixels(partner, &mut pixels)?;
            into.iter_mut().zip(pixels).for_each(|(own, other)| *own = kept * *own + (1.0 - kept) * other);
        }
        Ok(())
    }
}

impl ViewsToCache {
    fn pixels(&self, HashedImage { hash, path }: &HashedImage, into: &mut [f32]) -> Result<()> {
        let bytes = images::read_file(path)?;
        if blake3::hash(&bytes).as_bytes() != hash {
            return Err(Error::Data(format!("{}: changed while it was read", path.display())));
        }
        let image = images::decode_bytes(&bytes, &path.display().to_string())?;
        let content = u64::from_le_bytes(*hash.first_chunk().expect("a hash has 32 bytes"));
        let draws = |number: usize| rng(0, Stream::Augment, number as u64, content);
        match self.view {
            KeptView::Clean => self.transform.clean(&image, into),
            KeptView::Augmented(number) => self.transform.augmented(&image, &mut draws(number), into),
            KeptView::Strong(number) => self.transform.strong(&image, &mut draws(number), into),
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
