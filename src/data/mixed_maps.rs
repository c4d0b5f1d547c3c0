//! Cached feature maps of mixed images, for IP-Mixup on a frozen backbone.
//!
//! A map of a mixture cannot be made from the maps of its parts, so as many mixed views are computed
//! and kept as there are augmented ones. In each view every training image has another one of them as
//! its partner, and a share of its own; both follow from the run's seed and the view.

use std::path::PathBuf;

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use crate::batch::{Stream, rng};
use crate::data::cache_filling::{Extract, Filling, HashedImage, ToCache};
use crate::data::cache_limit::make_room;
use crate::data::feature_cache::{CacheSpec, CachedMaps, CachedView, content_hashes, drawn_view, want};
use crate::data::loader::{Examples, View};
use crate::data::map_store::{ContentHash, MapStore, StorePlace};
use crate::{Error, Result};

/// Who is mixed with whom.
#[derive(Debug, Clone)]
pub struct MixtureDraw {
    /// The training rows; nobody else is mixed.
    pub rows: Vec<usize>,
    /// The run's seed.
    pub seed: u64,
    /// a of the share's distribution Beta(a, a).
    pub concentration: u32,
}

impl MixtureDraw {
    /// Partner and share of every training row in a view, in the order of `rows`.
    fn of_view(&self, view: usize) -> Vec<(usize, f32)> {
        let draws = |place: u64| rng(self.seed, Stream::MixedView, view as u64, place);
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.shuffle(&mut draws(u64::MAX));
        let mut mixtures = vec![(0, 1.0); order.len()];
        // The next in a circle: nobody is its own partner, unless it is alone.
        for (place, &index) in order.iter().enumerate() {
            let partner = self.rows[order[(place + 1) % order.len()]];
            let kept = beta(self.concentration, &mut draws(self.rows[index] as u64));
            mixtures[index] = (partner, kept);
        }
        mixtures
    }
}

/// A draw from Beta(a, a): the a-th smallest of 2a − 1 uniform draws.
pub fn beta(concentration: u32, rng: &mut impl Rng) -> f32 {
    let mut draws: Vec<f32> = (1..2 * concentration).map(|_| rng.random()).collect();
    draws.sort_by(f32::total_cmp);
    draws[concentration as usize - 1]
}

/// Cached maps with mixed views beside the others.
#[derive(Debug)]
pub struct MixedMaps {
    plain: CachedMaps,
    views: Vec<MixedView>,
    /// Place of every row among the training rows.
    places: Vec<Option<usize>>,
}

#[derive(Debug)]
struct MixedView {
    maps: CachedView,
    mixtures: Vec<(usize, f32)>,
}

impl MixedMaps {
    /// The view and the place in it of a training row.
    fn find(&self, row: usize, view: View) -> Option<(&MixedView, usize)> {
        let View::Mixed { seed, epoch } = view else { return None };
        Some((&self.views[drawn_view(seed, epoch, row, self.views.len())], self.places[row]?))
    }
}

impl Examples for MixedMaps {
    fn len(&self) -> usize {
        self.plain.len()
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
/// [`cached_maps`](crate::data::feature_cache::cached_maps) for the rest.
///
/// # Errors
/// [`Error::Recipe`] if no view is asked for; those of `cached_maps`.
pub fn with_mixtures(
    plain: CachedMaps,
    spec: &CacheSpec,
    paths: &[PathBuf],
    draw: &MixtureDraw,
    extract: &mut Extract,
    progress: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<MixedMaps> {
    if spec.views == 0 {
        return Err(Error::Recipe(
            "backbone.views is 0; images are mixed before the backbone, so with freeze = \"all\" at least 1 mixed view must be cached".into(),
        ));
    }
    let hashes = content_hashes(paths, progress)?;
    let image = |row: usize| HashedImage { hash: hashes[row], path: paths[row].clone() };
    let mut places = vec![None; paths.len()];
    draw.rows.iter().enumerate().for_each(|(place, &row)| places[row] = Some(place));

    let shape = plain.shape();
    let mut views = Vec::with_capacity(spec.views);
    for view in 1..=spec.views {
        let mixtures = draw.of_view(view);
        let wanted: Vec<ToCache> = draw
            .rows
            .iter()
            .zip(&mixtures)
            .map(|(&row, &(partner, kept))| ToCache::mixture(image(row), image(partner), kept))
            .collect();
        let place = place(spec, view, shape);
        make_room(&spec.dir, spec.limit_bytes, &[want(&place, &wanted)?])?;
        let store = MapStore::open(place)?;
        let total = wanted.len();
        let mut filling =
            Filling { transform: &spec.transform, images: &wanted, extract, progress, done: 0, total };
        filling.fill(view, &store)?;
        let keys: Vec<ContentHash> = wanted.iter().map(|mixture| mixture.key).collect();
        views.push(MixedView { maps: CachedView::new(store, &keys, spec)?, mixtures });
    }
    Ok(MixedMaps { plain, views, places })
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
    use crate::data::feature_cache::cached_maps;
    use crate::data::transform::Transform;

    #[test]
    fn every_row_has_another_as_its_partner_once_and_draws_follow_seed_and_view() {
        let draw = MixtureDraw { rows: vec![1, 4, 5, 8, 9], seed: 3, concentration: 1 };
        let mixtures = draw.of_view(1);
        let mut partners: Vec<usize> = mixtures.iter().map(|(partner, _)| *partner).collect();
        assert!(partners.iter().zip(&draw.rows).all(|(partner, row)| partner != row));
        partners.sort_unstable();
        assert_eq!(partners, draw.rows);
        assert_eq!(draw.of_view(1), mixtures);
        assert_ne!(draw.of_view(2), mixtures);
        assert_ne!(MixtureDraw { seed: 4, ..draw }.of_view(1), mixtures);
    }

    #[test]
    fn shares_lie_in_0_to_1_and_a_larger_concentration_brings_them_nearer_to_a_half() {
        let mut rng = rng(0, Stream::MixedView, 0, 0);
        let mut spread = |concentration| {
            let draws: Vec<f32> = (0..2000).map(|_| beta(concentration, &mut rng)).collect();
            assert!(draws.iter().all(|kept| (0.0..=1.0).contains(kept)));
            let mean = draws.iter().sum::<f32>() / 2000.0;
            assert!((mean - 0.5).abs() < 0.03, "{mean}");
            draws.iter().map(|kept| (kept - 0.5).powi(2)).sum::<f32>() / 2000.0
        };
        // Var Beta(a, a) = 1 / (4 (2a + 1)).
        for concentration in [1, 4] {
            let expected = 1.0 / (4.0 * (2.0 * concentration as f32 + 1.0));
            let found = spread(concentration);
            assert!((found / expected - 1.0).abs() < 0.1, "{concentration}: {found}, not {expected}");
        }
    }

    #[test]
    fn mixed_views_are_maps_of_mixed_pixels_and_other_views_stay() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..4)
            .map(|i| {
                let path = folder.path().join(format!("{i}.png"));
                let grey = 40 * i as u8;
                ::image::RgbImage::from_pixel(12, 12, ::image::Rgb([grey, grey, grey])).save(&path).unwrap();
                path
            })
            .collect();
        let spec = CacheSpec {
            dir: folder.path().join("cache"),
            limit_bytes: 1 << 30,
            extractor: "first pixel".into(),
            transform: Transform::for_size(7),
            views: 2,
        };
        // The map of an image is its first value, which for plain colours no crop changes.
        let mut computed = 0;
        let mut extract = |pixels: &[f32], images: usize| {
            computed += images;
            Ok(pixels.chunks_exact(pixels.len() / images).map(|pixels| pixels[0]).collect())
        };
        let mut progress = |_: usize, _: usize| Ok(());
        let draw = MixtureDraw { rows: vec![0, 1, 3], seed: 0, concentration: 1 };
        let mut open = |extract: &mut Extract| {
            let plain = cached_maps(&spec, &paths, [1, 1, 1], extract, &mut progress).unwrap();
            with_mixtures(plain, &spec, &paths, &draw, extract, &mut progress).unwrap()
        };
        let maps = open(&mut extract);
        let read = |row, view| {
            let mut value = [0.0];
            maps.read(row, view, &mut value).unwrap();
            value[0]
        };
        let mixed = View::Mixed { seed: 1, epoch: 0 };
        for row in [0, 1, 3] {
            let (partner, kept) = maps.mixture(row, mixed).expect("a training row");
            let (own, other) = (read(row, View::Clean), read(partner, View::Clean));
            let expected = kept * own + (1.0 - kept) * other;
            assert!((read(row, mixed) - expected).abs() < 0.01, "row {row} with {partner}, keeping {kept}");
        }
        assert_eq!(maps.mixture(2, mixed), None, "a validation row is not mixed");
        assert_eq!(maps.mixture(0, View::Augmented { seed: 1, epoch: 0 }), None);
        drop(maps);
        let mut none = |_: &[f32], _: usize| -> Result<Vec<f32>> { panic!("everything is in the cache") };
        open(&mut none);
        assert_eq!(computed, 4 * 3 + 3 * 2);
    }
}
