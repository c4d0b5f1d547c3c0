//! 176 bits that stay nearly the same when an image is resized, compressed anew or a little brighter.
//!
//! *Waves*: the image shrunk to 32 × 32 gray levels, its discrete cosine transform, and a bit for each of the
//! lowest 8 × 8 frequencies that is above their median; the frequency 0, the mean brightness, is left out
//! (Zauner, *Implementation and benchmarking of perceptual image hash functions*, 2010). *Slopes*: for 8 × 8
//! parts a bit for each that is brighter than the one before it, along either axis. Pictures whose waves happen
//! to agree, such as any small dark thing before a bright ground, differ in their slopes. Mirrored, turned and
//! cut images differ in both.

use std::cell::RefCell;
use std::f32::consts::PI;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use crate::images::Rgb8;

/// Side of the shrunk image.
const SIDE: usize = 32;
/// Number of frequencies along either axis.
const FREQUENCIES: usize = 8;
/// Number of parts along either axis whose brightness is compared.
const PARTS: usize = 8;
/// Most slopes of 112 that may differ. Among 12,000 photographs of COCO all 7 groups with up to 10 other
/// waves and 18 other slopes are the same picture or scene; by waves alone there are 39 groups, 8 of them right.
const MOST_SLOPES: u32 = 18;
/// Least standard deviation of the shrunk image in levels of 255: of images with less, such as a clear
/// sky or an empty page, noise decides the bits.
const LEAST_DETAIL: f32 = 5.0;

/// What an image looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Look {
    /// Which low frequencies are above their median.
    pub waves: u64,
    /// Which parts are brighter than the one to the left, and than the one above.
    pub slopes: u128,
}

impl Look {
    /// Whether another looks so much alike that at most `distance` waves differ.
    pub fn is_near(self, other: Self, distance: u32) -> bool {
        (self.waves ^ other.waves).count_ones() <= distance
            && (self.slopes ^ other.slopes).count_ones() <= MOST_SLOPES
    }
}

/// An image of 32 × 32 pixels, red, green, blue.
pub(super) struct Thumbnail([[u8; 3]; SIDE * SIDE]);

impl Thumbnail {
    /// Each pixel is the mean of those it covers.
    pub fn of(image: &Rgb8) -> Self {
        thread_local! {
            // Keeps its scratch memory between images.
            static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
        }
        let source = TypedImageRef::<U8x3>::from_buffer(image.width, image.height, &image.pixels);
        let mut bytes = [0; 3 * SIDE * SIDE];
        let side = SIDE as u32;
        let mut target = TypedImage::<U8x3>::from_buffer(side, side, &mut bytes).expect("3 bytes a pixel");
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Box));
        let resize = |resizer: &mut Resizer| {
            resizer.resize_typed(&source.expect("3 bytes a pixel"), &mut target, &options)
        };
        RESIZER.with_borrow_mut(resize).expect("an image has pixels");
        let mut pixels = [[0; 3]; SIDE * SIDE];
        pixels.as_flattened_mut().copy_from_slice(&bytes);
        Self(pixels)
    }

    /// Whether the image has one color all over.
    pub fn is_one_color(&self) -> bool {
        (0..3).all(|channel| {
            let levels = self.0.iter().map(|pixel| pixel[channel]);
            levels.clone().max().unwrap_or(0) - levels.min().unwrap_or(0) <= 1
        })
    }

    /// What it looks like; `None` for an image with too little detail.
    pub fn look(&self) -> Option<Look> {
        let gray = self.0.map(brightness);
        let mean = gray.iter().sum::<f32>() / gray.len() as f32;
        let variance = gray.iter().map(|level| (level - mean).powi(2)).sum::<f32>() / gray.len() as f32;
        if variance < LEAST_DETAIL * LEAST_DETAIL {
            return None;
        }
        Some(Look { waves: waves(&gray), slopes: slopes(&gray) })
    }
}

/// How bright a color looks, 0…255 (ITU-R BT.601).
fn brightness([red, green, blue]: [u8; 3]) -> f32 {
    0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue)
}

fn waves(gray: &[f32; SIDE * SIDE]) -> u64 {
    let frequencies = low_frequencies(gray);
    let mut sorted = frequencies;
    // All but the first, which is much larger than the others.
    let (_, median, _) = sorted[1..].select_nth_unstable_by(31, f32::total_cmp);
    let bits = frequencies.iter().enumerate().skip(1);
    bits.fold(0, |waves, (at, value)| waves | u64::from(value > median) << at)
}

fn slopes(gray: &[f32; SIDE * SIDE]) -> u128 {
    let mut parts = [[0.0; PARTS]; PARTS];
    for (at, level) in gray.iter().enumerate() {
        let (x, y) = (at % SIDE, at / SIDE);
        parts[y * PARTS / SIDE][x * PARTS / SIDE] += level;
    }
    let mut slopes = 0;
    for (a, b) in (0..PARTS).flat_map(|a| (1..PARTS).map(move |b| (a, b))) {
        for brighter in [parts[a][b] > parts[a][b - 1], parts[b][a] > parts[b - 1][a]] {
            slopes = slopes << 1 | u128::from(brighter);
        }
    }
    slopes
}

/// The lowest frequencies of the cosine transform, the vertical ones row by row.
fn low_frequencies(gray: &[f32; SIDE * SIDE]) -> [f32; FREQUENCIES * FREQUENCIES] {
    let cosines: [[f32; SIDE]; FREQUENCIES] = std::array::from_fn(|frequency| {
        std::array::from_fn(|at| (PI * frequency as f32 * (at as f32 + 0.5) / SIDE as f32).cos())
    });
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let mut rows = [[0.0; SIDE]; FREQUENCIES];
    for (y, row) in gray.chunks_exact(SIDE).enumerate() {
        for (frequency, cosine) in cosines.iter().enumerate() {
            rows[frequency][y] = dot(row, cosine);
        }
    }
    std::array::from_fn(|at| dot(&rows[at % FREQUENCIES], &cosines[at / FREQUENCIES]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of slopes and blobs, scaled from the unit square.
    fn picture(width: u32, height: u32, change: impl Fn(f32) -> f32) -> Rgb8 {
        let mut pixels = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let (x, y) = ((x as f32 + 0.5) / width as f32, (y as f32 + 0.5) / height as f32);
                let blob = (-30.0 * ((x - 0.3).powi(2) + (y - 0.6).powi(2))).exp();
                let level = 40.0 + 80.0 * x * y + 110.0 * blob + 20.0 * (17.0 * x + 5.0 * y).sin();
                pixels.extend([level, 0.8 * level, 255.0 - level].map(|value| change(value) as u8));
            }
        }
        Rgb8 { width, height, pixels }
    }

    fn look(image: &Rgb8) -> Look {
        Thumbnail::of(image).look().unwrap()
    }

    #[test]
    fn size_and_brightness_change_little_and_a_mirror_much() {
        let original = look(&picture(240, 320, |level| level));
        assert!(look(&picture(151, 200, |level| level)).is_near(original, 2));
        assert!(look(&picture(240, 320, |level| 0.8 * level + 10.0)).is_near(original, 2));
        let mut mirrored = picture(240, 320, |level| level);
        let rows = mirrored.pixels.chunks(720);
        mirrored.pixels = rows.flat_map(|row| row.rchunks(3).flatten().copied()).collect();
        let mirrored = look(&mirrored);
        assert!((mirrored.waves ^ original.waves).count_ones() >= 16 && !mirrored.is_near(original, 64));
    }

    #[test]
    fn half_of_the_waves_are_set_and_the_mean_brightness_is_none() {
        let waves = look(&picture(100, 100, |level| level)).waves;
        assert_eq!((waves & 1, waves.count_ones()), (0, 31));
    }

    #[test]
    fn slopes_rise_along_either_axis() {
        // 56 bits an axis, those of x at odd places.
        let along_x = std::array::from_fn(|at| (at % SIDE) as f32);
        let along_y = std::array::from_fn(|at| (at / SIDE) as f32);
        assert_eq!(slopes(&along_x).count_ones(), 56);
        assert_eq!(slopes(&along_x) & slopes(&along_y), 0);
        assert_eq!(slopes(&along_x) | slopes(&along_y), (1 << 112) - 1);
    }

    #[test]
    fn a_transform_of_a_cosine_is_one_frequency() {
        // cos(3π(x + ½)/32) cos(2π(y + ½)/32): its own square sums to 16 · 16.
        let wave = |frequency: f32, at: usize| (PI * frequency * (at as f32 + 0.5) / 32.0).cos();
        let gray = std::array::from_fn(|at| wave(3.0, at % 32) * wave(2.0, at / 32));
        for (at, value) in low_frequencies(&gray).into_iter().enumerate() {
            let expected = if at == 2 * 8 + 3 { 256.0 } else { 0.0 };
            assert!((value - expected).abs() < 1e-3, "{at}: {value}");
        }
    }

    #[test]
    fn green_looks_brighter_than_red_and_red_than_blue() {
        let found = [[200, 0, 0], [0, 200, 0], [0, 0, 200], [100, 100, 100], [200, 100, 50]].map(brightness);
        for (found, expected) in found.into_iter().zip([59.8, 117.4, 22.8, 100.0, 124.2]) {
            assert!((found - expected).abs() < 1e-3, "{found}, not {expected}");
        }
    }

    #[test]
    fn an_image_needs_a_deviation_of_five_levels() {
        // Half of the pixels are darker, half brighter than 100, by so much.
        let of = |by: u8| {
            let pixel = |at: usize| [if at % SIDE < SIDE / 2 { 100 - by } else { 100 + by }; 3];
            Thumbnail(std::array::from_fn(pixel)).look().is_some()
        };
        assert_eq!([1, 4, 6, 50].map(of), [false, false, true, true]);
    }

    #[test]
    fn an_empty_page_has_no_bits() {
        let page = |level| Rgb8 { width: 50, height: 40, pixels: vec![level; 6000] };
        assert!(Thumbnail::of(&page(250)).look().is_none() && Thumbnail::of(&page(250)).is_one_color());
        let mut marked = page(250);
        marked.pixels[..300].fill(0);
        assert!(!Thumbnail::of(&marked).is_one_color());
    }
}
