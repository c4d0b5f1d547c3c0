//! Cached feature maps of mixed images, for IP-Mixup on a frozen backbone.
//!
//! A map of a mixture cannot be made from the maps of its parts, so as many mixed views are computed
//! and kept as there are augmented ones; [`MixtureDraw`] says who is mixed with whom in each.

use std::path::PathBuf;

use crate::cache::filling::{Extract, Filling, HashedImage, Hear, KeptView, ToCache};
use crate::cache::limit::make_room;
use crate::cache::store::{ContentHash, MapStore, StorePlace};
use crate::cache::{CacheSpec, CachedMaps, CachedView, Survey, content_hashes, drawn_view, want};
use crate::loader::mixing::MixtureDraw;
use crate::loader::{ExampleKind, Examples, View};
use crate::{Error, Result};

/// Cached maps with mixed views beside the others.
#[derive(Debug)]
pub struct MixedMaps {
    plain: CachedMaps,
    views: Vec<MixedView>,
    draw: MixtureDraw,
}

#[derive(Debug)]
struct MixedView {
    maps: CachedView,
    mixtures: Vec<(usize, f32)>,
}

impl MixedMaps {
    /// The view and the place in it of a training row.
    fn find(&self, row: usize, view: View) -> Option<(&MixedView, usize)> {
        let View::Augmented { seed, epoch } = view else { return None };
        let place = self.draw.place(row, view)?;
        Some((&self.views[drawn_view(seed, epoch, row, self.views.len())], place))
    }
}

impl Examples for MixedMaps {
    fn kind(&self) -> ExampleKind {
        self.plain.kind()
    }

    fn shape(&self) -> [usize; 3] {
        self.plain.shape()
    }

    fn read(&self, row: usize, view: View, into: &mut [f32]) -> Result<()> {
        match self.find(row, view) {
            Some((view, place)) => view.maps.read(place, into),
            None => self.plain.read(row, view, into),
        }
    }

    fn mixture(&self, row: usize, view: View) -> Option<(usize, f32)> {
        self.find(row, view).map(|(view, place)| view.mixtures[place])
    }
}

/// Adds `spec.views` mixed views of the images `paths` to their cached maps; see
/// [`cached_maps`](crate::cache::cached_maps) for the rest.
///
/// # Errors
/// [`Error::Recipe`] if no view is asked for; those of `cached_maps`.
pub fn with_mixtures(
    plain: CachedMaps,
    spec: &CacheSpec,
    paths: &[PathBuf],
    draw: &MixtureDraw,
    extract: &mut Extract,
    hear: &mut Hear,
) -> Result<MixedMaps> {
    check_views(spec)?;
    let hashes = content_hashes(paths, hear)?;
    let shape = plain.shape();
    let mut views = Vec::with_capacity(spec.views);
    for view in 1..=spec.views {
        let mixtures = draw.of_view(view as u64);
        let wanted = mixed(draw, &mixtures, &hashes, paths);
        let place = place(spec, view, shape);
        make_room(&spec.dir, spec.limit_bytes, &[want(&place, &wanted)?])?;
        let store = MapStore::open(place)?;
        let total = wanted.len();
        let mut filling =
            Filling { transform: &spec.transform, images: &wanted, extract, hear, done: 0, total };
        filling.fill(KeptView::Augmented(view), &store)?;
        let keys: Vec<ContentHash> = wanted.iter().map(|mixture| mixture.key).collect();
        views.push(MixedView { maps: CachedView::new(store, &keys, spec)?, mixtures });
    }
    Ok(MixedMaps { plain, views, draw: draw.clone() })
}

/// What [`with_mixtures`] would compute beside the plain maps; the cache is not touched.
///
/// # Errors
/// Those of [`survey`](crate::cache::survey); [`Error::Recipe`] if no view is asked for.
pub fn survey_mixtures(
    spec: &CacheSpec,
    paths: &[PathBuf],
    shape: [usize; 3],
    draw: &MixtureDraw,
    hear: &mut Hear,
) -> Result<Survey> {
    check_views(spec)?;
    let hashes = content_hashes(paths, hear)?;
    let mut survey = Survey::default();
    for view in 1..=spec.views {
        let wanted = mixed(draw, &draw.of_view(view as u64), &hashes, paths);
        survey.add(&place(spec, view, shape), &wanted)?;
    }
    Ok(survey)
}

fn check_views(spec: &CacheSpec) -> Result<()> {
    if spec.views == 0 {
        return Err(Error::Recipe(
            "backbone.views is 0; images are mixed before the backbone, so with freeze = \"all\" at least 1 mixed view must be cached".into(),
        ));
    }
    Ok(())
}

/// The mixtures of a view, by the contents of both images.
fn mixed(
    draw: &MixtureDraw,
    mixtures: &[(usize, f32)],
    hashes: &[ContentHash],
    paths: &[PathBuf],
) -> Vec<ToCache> {
    let image = |row: usize| HashedImage { hash: hashes[row], path: paths[row].clone() };
    let mixture = |(&row, &(partner, kept)): (&usize, &(usize, f32))| {
        ToCache::mixture(image(row), image(partner), kept)
    };
    draw.rows.iter().zip(mixtures).map(mixture).collect()
}

fn place(spec: &CacheSpec, view: usize, shape: [usize; 3]) -> StorePlace {
    let about = serde_json::json!({
        "extractor": spec.extractor, "transform": spec.transform.describe_augmented(),
        "mixed view": view, "shape": shape,
    });
    StorePlace::new(&spec.dir, about.to_string(), shape.iter().product())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{CacheEvent, cached_maps};
    use sarb_labels::images::transform::Transform;

    #[test]
    fn mixed_views_are_maps_of_mixed_pixels_and_other_views_stay() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..4)
            .map(|i| {
                let path = folder.path().join(format!("{i}.png"));
                let gray = 40 * i as u8;
                ::image::RgbImage::from_pixel(12, 12, ::image::Rgb([gray, gray, gray])).save(&path).unwrap();
                path
            })
            .collect();
        let spec = CacheSpec {
            kind: ExampleKind::Map,
            dir: folder.path().join("cache"),
            limit_bytes: 1 << 30,
            extractor: "first pixel".into(),
            transform: Transform::for_size(7),
            views: 2,
            strong: false,
        };
        // The map of an image is its first value, which for plain colors no crop changes.
        let mut computed = 0;
        let mut extract = |pixels: &[f32], images: usize| {
            computed += images;
            Ok(pixels.chunks_exact(pixels.len() / images).map(|pixels| pixels[0]).collect())
        };
        let mut hear = |_: CacheEvent<'_>| Ok(());
        let draw = MixtureDraw { rows: vec![0, 1, 3], seed: 0, from_epoch: 2, concentration: 1 };
        let mut open = |extract: &mut Extract| {
            let plain = cached_maps(&spec, &paths, [1, 1, 1], extract, &mut hear).unwrap();
            with_mixtures(plain, &spec, &paths, &draw, extract, &mut hear).unwrap()
        };
        let maps = open(&mut extract);
        let read = |row, view| {
            let mut value = [0.0];
            maps.read(row, view, &mut value).unwrap();
            value[0]
        };
        let mixed = View::Augmented { seed: 1, epoch: 2 };
        for row in [0, 1, 3] {
            let (partner, kept) = maps.mixture(row, mixed).expect("a training row");
            let (own, other) = (read(row, View::Clean), read(partner, View::Clean));
            let expected = kept * own + (1.0 - kept) * other;
            assert!((read(row, mixed) - expected).abs() < 0.01, "row {row} with {partner}, keeping {kept}");
        }
        assert_eq!(maps.mixture(2, mixed), None, "a validation row is not mixed");
        assert_eq!(maps.mixture(0, View::Augmented { seed: 1, epoch: 1 }), None, "too early");
        drop(maps);
        let mut none = |_: &[f32], _: usize| -> Result<Vec<f32>> { panic!("everything is in the cache") };
        open(&mut none);
        assert_eq!(computed, 4 * 3 + 3 * 2);
    }
}
