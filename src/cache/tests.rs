//! Tests of the feature cache, with an extractor of two values per image.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::cache::limit::list;

const SHAPE: [usize; 3] = [2, 1, 1];

fn spec(dir: &Path, views: usize) -> CacheSpec {
    let transform = Transform::for_size(14);
    CacheSpec {
        dir: dir.join("cache"),
        limit_bytes: 1 << 30,
        extractor: "mean, 7f".into(),
        kind: ExampleKind::Map,
        transform,
        views,
        strong: false,
    }
}

/// `count` images that differ in brightness and have a bright corner, so that views differ.
fn images(dir: &Path, count: usize) -> Vec<PathBuf> {
    let write = |row: usize| {
        let path = dir.join(format!("{row}.png"));
        image_crate(row).save(&path).unwrap();
        path
    };
    (0..count).map(write).collect()
}

fn image_crate(row: usize) -> ::image::RgbImage {
    ::image::RgbImage::from_fn(20, 16, |x, y| {
        ::image::Rgb([(row * 9 % 250) as u8, if x < 7 && y < 6 { 255 } else { 0 }, (x * 12) as u8])
    })
}

/// Mean and first value of every image; counts the images.
fn extractor(counted: &AtomicUsize) -> impl FnMut(&[f32], usize) -> Result<Vec<f32>> + '_ {
    |values, images| {
        counted.fetch_add(images, Ordering::SeqCst);
        let each = values.chunks(values.len() / images);
        Ok(each.flat_map(|image| [image.iter().sum::<f32>() / image.len() as f32, image[0]]).collect())
    }
}

/// Caches and says how many images went through the extractor.
fn cache(spec: &CacheSpec, paths: &[PathBuf]) -> (Result<CachedMaps>, usize) {
    let counted = AtomicUsize::new(0);
    let maps = cached_maps(spec, paths, SHAPE, &mut extractor(&counted), &mut |_| Ok(()));
    (maps, counted.into_inner())
}

fn row(maps: &CachedMaps, row: usize, view: View) -> [f32; 2] {
    let mut values = [0.0; 2];
    maps.read(row, view, &mut values).unwrap();
    values
}

fn file_in_store(spec: &CacheSpec, name: &str) -> PathBuf {
    let stores = list(&spec.dir).unwrap();
    assert_eq!(stores.len(), 1);
    stores[0].path.join(name)
}

#[test]
fn maps_are_those_of_the_extractor_and_computed_once() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), 0);
    let mut paths = images(folder.path(), 40);
    paths.push(paths[3].clone());
    let (maps, computed) = cache(&spec, &paths);
    let maps = maps.unwrap();
    assert_eq!((computed, maps.shape()), (40, SHAPE), "the same image twice is computed once");
    for index in [0, 3, 17, 40] {
        let mut image = vec![0.0; spec.transform.values()];
        spec.transform.clean(&images::decode(&paths[index]).unwrap(), &mut image);
        let mean = image.iter().sum::<f32>() / image.len() as f32;
        let [found_mean, found_first] = row(&maps, index, View::Clean);
        // A half has 11 significant bits.
        assert!((found_mean - mean).abs() <= mean.abs() / 2048.0 + 1e-6, "{found_mean} for {mean}");
        assert!((found_first - image[0]).abs() <= image[0].abs() / 2048.0);
        assert_eq!(row(&maps, index, View::Augmented { seed: 1, epoch: 1 }), [found_mean, found_first]);
    }
    assert_eq!(cache(&spec, &paths).1, 0);
    paths.reverse();
    let (again, computed) = cache(&spec, &paths);
    assert_eq!(computed, 0);
    assert_eq!(row(&again.unwrap(), 0, View::Clean), row(&maps, 3, View::Clean));
}

#[test]
fn maps_belong_to_the_content_of_a_file_and_to_the_extractor() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(folder.path(), 0);
    let mut paths = images(folder.path(), 3);
    assert_eq!(cache(&spec, &paths).1, 3);
    let moved = folder.path().join("moved.png");
    std::fs::rename(&paths[0], &moved).unwrap();
    paths[0] = moved;
    assert_eq!(cache(&spec, &paths).1, 0);
    image_crate(9).save(&paths[1]).unwrap();
    assert_eq!(cache(&spec, &paths).1, 1);
    spec.extractor = "mean, 80".into();
    assert_eq!(cache(&spec, &paths).1, 3);
    spec.transform.size_px = 15;
    assert_eq!(cache(&spec, &paths).1, 3);
    spec.transform.crops_px.pop();
    assert_eq!(cache(&spec, &paths).1, 0, "the clean view has no crop");
}

#[test]
fn augmented_reads_draw_among_the_cached_views() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), 3);
    let paths = images(folder.path(), 5);
    let (maps, computed) = cache(&spec, &paths);
    let maps = maps.unwrap();
    assert_eq!(computed, 5 * 4);
    let clean = row(&maps, 2, View::Clean);
    let mut seen: Vec<[f32; 2]> = Vec::new();
    for epoch in 0..40 {
        let view = View::Augmented { seed: 8, epoch };
        let found = row(&maps, 2, view);
        assert_eq!(found, row(&maps, 2, view));
        if !seen.contains(&found) {
            seen.push(found);
        }
    }
    assert_eq!(seen.len(), 3, "all three views and no other: {seen:?}");
    assert!(!seen.contains(&clean));

    // The same draws in another cache: they depend on the content alone.
    let elsewhere = CacheSpec { dir: folder.path().join("other"), ..spec };
    let other = cache(&elsewhere, &paths[2..3]).0.unwrap();
    let found = (0..40).map(|epoch| row(&other, 0, View::Augmented { seed: 1, epoch }));
    assert!(found.into_iter().all(|values| seen.contains(&values)));
}

#[test]
fn each_augmented_view_may_have_a_strong_one_of_the_same_draws() {
    let folder = tempfile::tempdir().unwrap();
    let plain = spec(folder.path(), 2);
    let paths = images(folder.path(), 5);
    assert_eq!(cache(&plain, &paths).1, 5 * 3);
    let strong = CacheSpec { strong: true, ..plain };
    let survey_of = |spec| survey(spec, &paths, SHAPE, &mut |_| Ok(())).unwrap();
    assert_eq!((survey_of(&strong).wanted, survey_of(&strong).missing), (5 * 5, 5 * 2));
    let (maps, computed) = cache(&strong, &paths);
    let maps = maps.unwrap();
    assert_eq!(computed, 5 * 2, "the other views are those of before");
    let mut pairs: Vec<[[f32; 2]; 2]> = Vec::new();
    for epoch in 0..40 {
        let (weak, strong) = (View::Augmented { seed: 8, epoch }, View::Strong { seed: 8, epoch });
        let pair = [row(&maps, 2, weak), row(&maps, 2, strong)];
        assert_ne!(pair[0], pair[1]);
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    assert_eq!(pairs.len(), 2, "each weak view with its own strong one: {pairs:?}");
}

#[test]
fn what_a_killed_writer_leaves_is_computed_again() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), 0);
    let paths = images(folder.path(), 6);
    let expected = row(&cache(&spec, &paths).0.unwrap(), 5, View::Clean);
    let cut = |name: &str, bytes: u64| {
        let file = std::fs::File::options().write(true).open(file_in_store(&spec, name)).unwrap();
        file.set_len(file.metadata().unwrap().len() - bytes).unwrap();
    };
    let intact = || {
        let (maps, computed) = cache(&spec, &paths);
        assert_eq!(row(&maps.unwrap(), 5, View::Clean), expected);
        computed
    };
    cut("index", 10);
    assert_eq!(intact(), 1, "half an entry");
    cut("maps.f16", 5);
    assert_eq!(intact(), 2, "4 bytes a map: one and a half are gone");
    let mut index = std::fs::read(file_in_store(&spec, "index")).unwrap();
    index[32 + 4 * 64 + 3] ^= 1;
    std::fs::write(file_in_store(&spec, "index"), &index).unwrap();
    assert_eq!(intact(), 2, "nothing behind a damaged entry is trusted");
    for garbage in [&b""[..], b"hello", &[7; 500]] {
        std::fs::write(file_in_store(&spec, "index"), garbage).unwrap();
        assert_eq!(intact(), 6, "a foreign index is begun anew");
    }
    assert_eq!(intact(), 0);
}

#[test]
fn a_damaged_map_is_not_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), 0);
    let paths = images(folder.path(), 2);
    drop(cache(&spec, &paths));
    let path = file_in_store(&spec, "maps.f16");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    let maps = cache(&spec, &paths).0.unwrap();
    row(&maps, 0, View::Clean);
    let error = maps.read(1, View::Clean, &mut [0.0; 2]).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[test]
fn a_map_that_is_not_finite_names_its_image() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), 0);
    let paths = images(folder.path(), 20);
    for (value, word) in [(f32::NAN, "NaN"), (1e6, "1000000")] {
        let mut extract = |_: &[f32], images: usize| {
            let mut maps = vec![0.0; 2 * images];
            maps[2 * (images - 1)] = value;
            Ok(maps)
        };
        let error = cached_maps(&spec, &paths, SHAPE, &mut extract, &mut |_| Ok(())).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Data(_)) && text.contains(word), "{text}");
        assert!(text.contains("15.png") || text.contains("19.png"), "the last of a batch: {text}");
    }
}

#[test]
fn bad_images_are_named_and_missing_ones_too() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), 0);
    let mut paths = images(folder.path(), 3);
    std::fs::write(&paths[1], b"hello").unwrap();
    let text = cache(&spec, &paths).0.unwrap_err().to_string();
    assert!(text.contains("1.png: not an image"), "{text}");
    paths.push(folder.path().join("gone.png"));
    let error = cache(&spec, &paths).0.unwrap_err();
    assert!(error.is_missing() && error.to_string().contains("gone.png"), "{error}");
}

#[test]
fn an_interrupt_keeps_what_is_computed() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), 1);
    let paths = images(folder.path(), 40);
    let counted = AtomicUsize::new(0);
    let mut heard = Vec::new();
    let mut hear = |event: CacheEvent<'_>| {
        let CacheEvent::Maps { done, total } = event else { panic!("nobody is waited for: {event:?}") };
        heard.push((done, total));
        if done >= 32 { Err(Error::Interrupted { epoch: 0 }) } else { Ok(()) }
    };
    let stopped = cached_maps(&spec, &paths, SHAPE, &mut extractor(&counted), &mut hear);
    assert!(matches!(stopped, Err(Error::Interrupted { .. })));
    assert_eq!(heard.last(), Some(&(32, 80)));
    assert_eq!(cache(&spec, &paths).1, 80 - 32);
}

#[test]
fn two_processes_share_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), 1);
    let paths = images(folder.path(), 50);
    let counted = AtomicUsize::new(0);
    let found: Mutex<Vec<[f32; 2]>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let maps = cached_maps(&spec, &paths, SHAPE, &mut extractor(&counted), &mut |_| Ok(()));
                found.lock().unwrap().push(row(&maps.unwrap(), 49, View::Clean));
            });
        }
    });
    assert_eq!(counted.into_inner(), 100, "no map was computed twice");
    let found = found.into_inner().unwrap();
    assert_eq!(found[0], found[1]);
}

#[test]
fn one_who_waits_for_another_process_says_so_and_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), 0);
    let paths = images(folder.path(), 3);
    let place = spec.place(KeptView::Clean, SHAPE);
    let appending = MapStore::open(place).unwrap().appender(|_| Ok(())).unwrap();
    let (mut waited, mut pauses) = (Vec::new(), 0);
    let mut hear = |event: CacheEvent<'_>| {
        match event {
            CacheEvent::Maps { .. } => assert!(waited.is_empty()),
            CacheEvent::Waiting(holder) => waited.push(holder.to_string()),
            CacheEvent::Pause => pauses += 1,
        }
        if waited.is_empty() { Ok(()) } else { Err(Error::Stopped) }
    };
    let counted = AtomicUsize::new(0);
    let stopped = cached_maps(&spec, &paths, SHAPE, &mut extractor(&counted), &mut hear);
    assert!(matches!(stopped, Err(Error::Stopped)));
    assert_eq!(waited, [format!("process {}", std::process::id())]);
    assert!(pauses > 3, "it can be stopped before, too");
    drop(appending);
    assert_eq!(cache(&spec, &paths).1, 3);
}

#[test]
fn no_image_needs_no_map() {
    let folder = tempfile::tempdir().unwrap();
    let (maps, computed) = cache(&spec(folder.path(), 2), &[]);
    assert_eq!((maps.is_ok(), computed), (true, 0));
}

#[test]
fn a_limit_below_what_is_needed_is_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let spec = CacheSpec { limit_bytes: 100, ..spec(folder.path(), 0) };
    let (maps, computed) = cache(&spec, &images(folder.path(), 3));
    assert!(matches!(maps, Err(Error::Usage(text)) if text.contains("--cache-limit")));
    assert_eq!(computed, 0);
}
