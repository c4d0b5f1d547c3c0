//! Generated multi-label pictures for `sarb quickstart`: hard enough that methods differ, small
//! enough to be learned in minutes.
//!
//! Twelve categories of shape and texture, turned, in many sizes, often in a usual color, over a gradient, between
//! sticks, ovals and corners that no label speaks of, partly hidden by each other and under noise.
//! A picture is of one of four kinds of scene, each with categories of its own, so that labels tell
//! of one another as they do in photographs; nothing but the objects shows the scene.

mod shapes;

use std::io::Write;
use std::path::Path;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use sarb_labels::images::Rgb8;
use sarb_labels::random::{Stream, rng};

use crate::synthetic::shapes::{Canvas, Color, Mark, Shape, Vec2, length};
use crate::{Error, Result};

/// Names of the categories, in the order of the label columns.
pub const CATEGORIES: [&str; 12] = [
    "arc", "bars", "checker", "crescent", "cross", "disc", "frame", "ring", "square", "star", "stripes",
    "triangle",
];

/// The color that an object of each category often has, as sheep are often white: a hint, no proof.
const USUAL_COLORS: [Color; 12] = [
    [220.0, 60.0, 60.0],
    [60.0, 200.0, 70.0],
    [60.0, 90.0, 220.0],
    [220.0, 200.0, 50.0],
    [200.0, 70.0, 200.0],
    [60.0, 200.0, 200.0],
    [225.0, 130.0, 40.0],
    [120.0, 60.0, 200.0],
    [230.0, 230.0, 230.0],
    [130.0, 90.0, 50.0],
    [240.0, 150.0, 180.0],
    [25.0, 25.0, 25.0],
];
/// How often it has it.
const USUAL: f32 = 0.6;

/// How often each category is drawn in each kind of scene, in the order of [`CATEGORIES`].
const AFFINITIES: [[u32; 12]; 4] = [
    [1, 1, 8, 1, 1, 5, 1, 8, 1, 1, 1, 8],
    [8, 1, 1, 1, 8, 1, 8, 1, 5, 1, 1, 1],
    [1, 8, 1, 1, 1, 1, 1, 3, 8, 1, 8, 1],
    [2, 1, 1, 8, 1, 8, 1, 1, 1, 5, 1, 1],
];
/// How often each kind of scene appears.
const SCENES: [u32; 4] = [7, 6, 4, 3];
/// How often a picture has one, two … five objects.
const OBJECTS: [u32; 5] = [3, 5, 6, 4, 2];
/// Places tried for an object that must not hide too much of the others.
const TRIES: usize = 12;
/// Tangent of half the largest turn: 34 degrees. A thousand pictures are too few to learn any turn.
const TURN: f32 = 0.3;
/// The part of an object that must stay in sight, or its label would not be fair.
const VISIBLE: f32 = 0.7;

/// Writes `train` and `test` pictures of `size_px` × `size_px` as PNG under `dir/images`, and their
/// full labels as `dir/train.csv` and `dir/test.csv`. The same bytes for a seed on every machine.
///
/// # Errors
/// [`Error::Usage`] for no picture or a size outside 24 to 1024, [`Error::Io`] when writing fails.
pub fn generate(dir: &Path, train: usize, test: usize, size_px: usize, seed: u64) -> Result<()> {
    if !(24..=1024).contains(&size_px) {
        return Err(Error::Usage(format!("generated pictures of {size_px} px; expected 24 to 1024")));
    }
    if train == 0 || test == 0 {
        return Err(Error::Usage(format!("{train} training and {test} test pictures; expected at least 1")));
    }
    write_split(dir, "train", train, |index| picture(size_px, &mut rng(seed, Stream::Synthetic, 0, index)))?;
    write_split(dir, "test", test, |index| picture(size_px, &mut rng(seed, Stream::Synthetic, 1, index)))
}

/// Writes `count` pictures of one large object each, as ImageNet's are, with all labels known, in the
/// form of [`generate`] with `train.csv` alone: a backbone learns from them what the categories look
/// like before it sees scenes.
///
/// # Errors
/// [`Error::Io`] when writing fails.
pub fn generate_objects(dir: &Path, count: usize, size_px: usize, seed: u64) -> Result<()> {
    write_split(dir, "train", count, |index| {
        portrait(size_px, index, &mut rng(seed, Stream::Synthetic, 2, index))
    })
}

fn write_split(
    dir: &Path,
    name: &str,
    count: usize,
    make: impl Fn(u64) -> (Rgb8, [bool; 12]) + Sync,
) -> Result<()> {
    let images = dir.join("images");
    std::fs::create_dir_all(&images).map_err(|source| Error::io(&images, source))?;
    let lines: Result<Vec<String>> = (0..count)
        .into_par_iter()
        .map(|index| {
            let (picture, labels) = make(index as u64);
            let file = format!("images/{name}_{index:05}.png");
            write_png(&dir.join(&file), &picture)?;
            Ok(labels.iter().fold(file, |line, &there| line + if there { ",1" } else { ",0" }))
        })
        .collect();
    write_csv(&dir.join(format!("{name}.csv")), &lines?)
}

/// One large object in the middle, the categories in turn.
fn portrait(side: usize, index: u64, generator: &mut ChaCha8Rng) -> (Rgb8, [bool; 12]) {
    let mut canvas = background(side, generator);
    let category = index as usize % CATEGORIES.len();
    let mut mark = object(category, &canvas, generator);
    mark.radius = side as f32 * between(20.0, 36.0, generator) / 112.0;
    mark.center = std::array::from_fn(|_| side as f32 * between(0.4, 0.6, generator));
    canvas.paint(&mark.pixels(side));
    add_noise(&mut canvas, generator);
    (canvas.to_rgb8(), std::array::from_fn(|c| c == category))
}

/// One picture and which categories are in it.
fn picture(side: usize, generator: &mut ChaCha8Rng) -> (Rgb8, [bool; 12]) {
    let mut canvas = background(side, generator);
    for _ in 0..generator.random_range(0..=2) {
        let shape = Shape::CLUTTER[generator.random_range(0..3)];
        let mark = mark(shape, &canvas, generator);
        canvas.paint(&mark.pixels(side));
    }
    let mut labels = [false; 12];
    let mut in_sight = InSight { owners: vec![None; side * side], areas: Vec::new() };
    let affinities = &AFFINITIES[draw(&SCENES, generator)];
    for _ in 0..=draw(&OBJECTS, generator) {
        let category = draw(affinities, generator);
        let tries = (0..TRIES).map(|_| object(category, &canvas, generator).pixels(side));
        if let Some(pixels) = tries.into_iter().find(|pixels| in_sight.leaves_enough(pixels)) {
            in_sight.place(&pixels);
            canvas.paint(&pixels);
            labels[category] = true;
        }
    }
    for _ in 0..generator.random_range(0..=1) {
        let stroke = stroke(&canvas, generator);
        canvas.paint(&stroke.pixels(side));
    }
    add_noise(&mut canvas, generator);
    (canvas.to_rgb8(), labels)
}

/// Which object is on top at each pixel, and how many pixels each had when it was placed.
struct InSight {
    owners: Vec<Option<usize>>,
    areas: Vec<usize>,
}

impl InSight {
    fn leaves_enough(&self, pixels: &[(usize, f32, Color)]) -> bool {
        let mut seen = vec![0usize; self.areas.len()];
        self.owners.iter().flatten().for_each(|&owner| seen[owner] += 1);
        for &(place, coverage, _) in pixels {
            if let (Some(owner), true) = (self.owners[place], coverage >= 0.5) {
                seen[owner] -= 1;
            }
        }
        seen.iter().zip(&self.areas).all(|(&seen, &area)| seen as f32 >= VISIBLE * area as f32)
    }

    fn place(&mut self, pixels: &[(usize, f32, Color)]) {
        let object = self.areas.len();
        let covered = pixels.iter().filter(|(_, coverage, _)| *coverage >= 0.5);
        self.areas.push(covered.map(|(place, ..)| self.owners[*place] = Some(object)).count());
    }
}

/// An index, as often as its weight says.
fn draw(weights: &[u32], generator: &mut ChaCha8Rng) -> usize {
    let mut left = generator.random_range(0..weights.iter().sum::<u32>());
    let mut index = 0;
    while left >= weights[index] {
        left -= weights[index];
        index += 1;
    }
    index
}

fn between(low: f32, high: f32, generator: &mut ChaCha8Rng) -> f32 {
    low + (high - low) * generator.random::<f32>()
}

fn color(generator: &mut ChaCha8Rng) -> Color {
    std::array::from_fn(|_| between(20.0, 235.0, generator))
}

/// The one of a few random colors that differs most from `other`.
fn color_apart_from(other: Color, generator: &mut ChaCha8Rng) -> Color {
    let difference = |a: &Color| -> f32 { a.iter().zip(other).map(|(a, b)| (a - b).abs()).sum() };
    let colors: [Color; 3] = std::array::from_fn(|_| color(generator));
    colors.into_iter().max_by(|a, b| difference(a).total_cmp(&difference(b))).expect("three colors")
}

/// Cosine and sine of an angle of at most 2 · atan(`limit`) either way, without computing either.
fn turn(limit: f32, generator: &mut ChaCha8Rng) -> Vec2 {
    let tangent_of_half = between(-limit, limit, generator);
    let square = tangent_of_half * tangent_of_half;
    [(1.0 - square) / (1.0 + square), 2.0 * tangent_of_half / (1.0 + square)]
}

/// A shape of random place, size, turn and colors, 12 to 28 px across on 56 px.
fn mark(shape: Shape, canvas: &Canvas, generator: &mut ChaCha8Rng) -> Mark {
    let side = canvas.side as f32;
    let radius = side * between(12.0, 28.0, generator) / 112.0;
    let center = std::array::from_fn(|_| between(0.7 * radius, side - 0.7 * radius, generator));
    let under = canvas.pixels[center[1] as usize * canvas.side + center[0] as usize];
    let first = color_apart_from(under, generator);
    let second = color_apart_from(first, generator);
    let shade = between(-40.0, 40.0, generator);
    let round = generator.random();
    Mark { shape, center, radius, turn: turn(TURN, generator), round, colors: [first, second], shade }
}

/// An object of a category, often in its usual color.
fn object(category: usize, canvas: &Canvas, generator: &mut ChaCha8Rng) -> Mark {
    let mut mark = mark(Shape::CATEGORIES[category], canvas, generator);
    if generator.random::<f32>() < USUAL {
        mark.colors[0] = USUAL_COLORS[category].map(|level| level + between(-30.0, 30.0, generator));
    }
    mark
}

/// A thin line across a part of the picture.
fn stroke(canvas: &Canvas, generator: &mut ChaCha8Rng) -> Mark {
    let side = canvas.side as f32;
    // A stick is a sixth as thick as long.
    let radius = side * between(3.0, 6.0, generator) / 56.0;
    Mark { radius, turn: turn(1.0, generator), ..mark(Shape::Stick, canvas, generator) }
}

/// A slope from one color to another, with a blot or two of a third.
fn background(side: usize, generator: &mut ChaCha8Rng) -> Canvas {
    let [from, to, blot] = std::array::from_fn(|_| color(generator));
    let direction = turn(1.0, generator);
    let middle = [between(0.0, 1.0, generator), between(0.0, 1.0, generator)];
    let reach = between(0.3, 0.8, generator);
    let pixels = (0..side * side).map(|place| {
        let p = [place % side, place / side].map(|along| (along as f32 + 0.5) / side as f32);
        let along = ((p[0] - 0.5) * direction[0] + (p[1] - 0.5) * direction[1]) * 0.7 + 0.5;
        let blotted = (1.0 - length([p[0] - middle[0], p[1] - middle[1]]) / reach).max(0.0) * 0.7;
        std::array::from_fn(|channel| {
            let slope = from[channel] + along * (to[channel] - from[channel]);
            slope + blotted * (blot[channel] - slope)
        })
    });
    Canvas { side, pixels: pixels.collect() }
}

fn add_noise(canvas: &mut Canvas, generator: &mut ChaCha8Rng) {
    let strength = between(5.0, 35.0, generator);
    for level in canvas.pixels.iter_mut().flatten() {
        // Two uniform draws: a triangle is near enough to a bell.
        *level += strength * (generator.random::<f32>() - generator.random::<f32>());
    }
}

fn write_png(path: &Path, picture: &Rgb8) -> Result<()> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    let (width, height) = (picture.width, picture.height);
    image::ImageEncoder::write_image(encoder, &picture.pixels, width, height, image::ExtendedColorType::Rgb8)
        .expect("a picture in memory can be encoded");
    std::fs::write(path, bytes).map_err(|source| Error::io(path, source))
}

/// Writes the labels last and at once: a data set without them is not finished.
fn write_csv(path: &Path, lines: &[String]) -> Result<()> {
    let partial = path.with_extension("csv.partial");
    let io = |source| Error::io(&partial, source);
    let mut file = std::fs::File::create(&partial).map_err(io)?;
    let text = format!("image,{}\n{}\n", CATEGORIES.join(","), lines.join("\n"));
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    std::fs::rename(&partial, path).map_err(|source| Error::io(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(count: u64) -> Vec<[bool; 12]> {
        (0..count).map(|index| picture(28, &mut rng(0, Stream::Synthetic, 0, index)).1).collect()
    }

    #[test]
    fn a_seed_gives_the_same_bytes_and_another_one_others() {
        let hash = |seed| {
            let folder = tempfile::tempdir().unwrap();
            generate(folder.path(), 12, 5, 56, seed).unwrap();
            let mut hasher = blake3::Hasher::new();
            for name in ["train.csv", "test.csv", "images/train_00011.png", "images/test_00004.png"] {
                hasher.update(&std::fs::read(folder.path().join(name)).unwrap());
            }
            assert_eq!(std::fs::read_dir(folder.path().join("images")).unwrap().count(), 17);
            hasher.finalize().to_hex().to_string()
        };
        assert_eq!(hash(0), hash(0));
        assert_ne!(hash(0), hash(1));
    }

    #[test]
    fn pictures_of_objects_show_one_category_each_in_equal_numbers() {
        let folder = tempfile::tempdir().unwrap();
        generate_objects(folder.path(), 24, 28, 0).unwrap();
        let labels = sarb_labels::formats::csv::read(&folder.path().join("train.csv")).unwrap().labels;
        assert!((0..24).all(|row| labels.row(row).filter(|label| *label as i8 == 1).count() == 1));
        assert!(labels.counts().iter().all(|&(positive, known)| (positive, known) == (2, 24)));
    }

    #[test]
    fn the_pixels_of_seed_0_never_change() {
        // Made by this test on x86-64 Linux; every other machine must agree.
        let (picture, labels) = picture(56, &mut rng(0, Stream::Synthetic, 0, 0));
        let hash = blake3::hash(&picture.pixels).to_hex();
        let names: Vec<&str> =
            CATEGORIES.iter().zip(labels).filter(|(_, there)| *there).map(|(name, _)| *name).collect();
        assert_eq!((&hash[..16], names), ("255e7ffb559b272a", vec!["checker"]));
    }

    #[test]
    fn the_label_files_say_what_was_drawn() {
        let folder = tempfile::tempdir().unwrap();
        generate(folder.path(), 3, 2, 24, 7).unwrap();
        let text = std::fs::read_to_string(folder.path().join("test.csv")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("image,{}", CATEGORIES.join(",")));
        assert_eq!(lines.len(), 3);
        let (expected, labels) = picture(24, &mut rng(7, Stream::Synthetic, 1, 1));
        let cells: Vec<&str> = lines[2].split(',').collect();
        assert_eq!(cells[0], "images/test_00001.png");
        for (cell, there) in cells[1..].iter().zip(labels) {
            assert_eq!(*cell, if there { "1" } else { "0" });
        }
        let found = sarb_labels::images::decode(&folder.path().join(cells[0])).unwrap();
        assert_eq!(found, expected);
    }

    #[test]
    fn labels_are_neither_rare_nor_independent() {
        let labels = many(2000);
        let share = |of: &dyn Fn(&[bool; 12]) -> bool| {
            labels.iter().filter(|labels| of(labels)).count() as f64 / labels.len() as f64
        };
        for category in 0..12 {
            let prevalence = share(&|labels| labels[category]);
            assert!((0.07..0.4).contains(&prevalence), "{}: {prevalence}", CATEGORIES[category]);
        }
        // Checker and ring belong to the same scenes, crescent and frame to different ones.
        let lift = |a: usize, b: usize| {
            share(&|labels| labels[a] && labels[b])
                / (share(&|labels| labels[a]) * share(&|labels| labels[b]))
        };
        assert!(lift(2, 7) > 1.3, "{}", lift(2, 7));
        assert!(lift(3, 6) < 0.7, "{}", lift(3, 6));
        let positives = labels.iter().flatten().filter(|&&there| there).count() as f64 / 2000.0;
        assert!((1.8..3.2).contains(&positives), "{positives}");
    }

    #[test]
    fn every_shape_fills_a_part_of_its_square_and_no_two_are_alike() {
        let masks: Vec<Vec<bool>> = Shape::CATEGORIES
            .iter()
            .map(|&shape| {
                let colors = [[255.0; 3], [0.0; 3]];
                let place = Mark {
                    shape,
                    center: [32.0, 32.0],
                    radius: 26.0,
                    turn: [1.0, 0.0],
                    round: false,
                    colors,
                    shade: 0.0,
                };
                let mut mask = vec![false; 64 * 64];
                for (at, coverage, color) in place.pixels(64) {
                    mask[at] = coverage > 0.5 && color[0] > 128.0;
                }
                mask
            })
            .collect();
        for (a, mask) in masks.iter().enumerate() {
            let area = mask.iter().filter(|&&on| on).count();
            assert!((350..2300).contains(&area), "{}: {area} of 2704 pixels", CATEGORIES[a]);
            for (b, other) in masks.iter().enumerate().skip(a + 1) {
                let different = mask.iter().zip(other).filter(|(a, b)| a != b).count();
                assert!(different > 250, "{} and {}: {different}", CATEGORIES[a], CATEGORIES[b]);
            }
        }
    }

    #[test]
    fn sizes_and_counts_that_make_no_sense_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (train, test, size_px) in [(0, 1, 56), (1, 0, 56), (1, 1, 8), (1, 1, 5000)] {
            assert!(matches!(generate(folder.path(), train, test, size_px, 0), Err(Error::Usage(_))));
        }
    }
}
