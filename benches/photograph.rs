//! Generated photographs to measure with: light, color and texture at every scale, as JPEG files.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use rand::{Rng, RngExt};
use sarb::labels::random::{Stream, rng};

/// JPEG quality. With the scales and strengths below, 640 × 480 pixels take about as many bytes as a
/// photograph of that size: the time of a decoder goes with its bytes.
const QUALITY: u8 = 90;
/// Sides of the cells of the light's octaves, in pixels.
const LIGHT_CELLS: [u32; 8] = [256, 128, 64, 32, 16, 8, 4, 2];
/// Sides of the cells of the colors' octaves: colors change over larger distances than light.
const COLOR_CELLS: [u32; 2] = [256, 64];
/// Strongest grain, in levels.
const GRAIN: f32 = 50.0;

/// Photograph number `index` as the bytes of a JPEG file; the same for the same arguments.
///
/// # Panics
/// If it has no pixels or a side above 65,535, JPEG's largest.
pub fn jpeg(width: u32, height: u32, seed: u64, index: u64) -> Vec<u8> {
    let pixels = pixels([width, height], &mut rng(seed, Stream::Synthetic, 0, index));
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY)
        .write_image(&pixels, width, height, ExtendedColorType::Rgb8)
        .expect("an image in memory that JPEG has room for");
    bytes
}

fn pixels(size: [u32; 2], rng: &mut impl Rng) -> Vec<u8> {
    let light = Noise::new(size, &LIGHT_CELLS, 50.0, rng);
    let [warm, cold] = [(); 2].map(|()| Noise::new(size, &COLOR_CELLS, 25.0, rng));
    // Some places are smooth and some rough.
    let rough = Noise::new(size, &[128], GRAIN, rng);
    let mut pixels = Vec::with_capacity(3 * size[0] as usize * size[1] as usize);
    for y in 0..size[1] {
        for x in 0..size[0] {
            let grain = rough.at(x, y).max(0.0) * rng.random_range(-1.0..=1.0f32);
            let gray = 128.0 + light.at(x, y) + grain;
            let (warm, cold) = (warm.at(x, y), cold.at(x, y));
            pixels.extend([gray + warm, gray - (warm + cold) / 2.0, gray + cold].map(|level| level as u8));
        }
    }
    pixels
}

/// A sum of octaves.
struct Noise(Vec<Octave>);

impl Noise {
    /// Amplitude `strength` at cells of 256 px, less at smaller ones as in pictures of nature.
    fn new(size: [u32; 2], cells: &[u32], strength: f32, rng: &mut impl Rng) -> Self {
        let octave = |&cell: &u32| Octave::new(size, cell, strength * (cell as f32 / 256.0).powf(0.45), rng);
        Self(cells.iter().map(octave).collect())
    }

    fn at(&self, x: u32, y: u32) -> f32 {
        self.0.iter().map(|octave| octave.at(x, y)).sum()
    }
}

/// Random values at the corners of square cells, smoothly joined.
struct Octave {
    corners: Vec<f32>,
    columns: usize,
    cell: u32,
}

impl Octave {
    fn new([width, height]: [u32; 2], cell: u32, amplitude: f32, rng: &mut impl Rng) -> Self {
        let [columns, rows] = [width, height].map(|side| (side / cell) as usize + 2);
        let corners = (0..columns * rows).map(|_| rng.random_range(-amplitude..=amplitude)).collect();
        Self { corners, columns, cell }
    }

    fn at(&self, x: u32, y: u32) -> f32 {
        let corner = (y / self.cell) as usize * self.columns + (x / self.cell) as usize;
        let [right, down] = [x, y].map(|place| {
            let part = (place % self.cell) as f32 / self.cell as f32;
            part * part * (3.0 - 2.0 * part)
        });
        let along =
            |corner: usize| self.corners[corner] + right * (self.corners[corner + 1] - self.corners[corner]);
        let (above, below) = (along(corner), along(corner + self.columns));
        above + down * (below - above)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sarb::labels::images::decode_bytes;

    #[test]
    fn photographs_are_the_same_for_a_seed_and_differ_by_number() {
        let bytes = jpeg(70, 50, 3, 0);
        assert_eq!(bytes, jpeg(70, 50, 3, 0));
        assert_ne!(bytes, jpeg(70, 50, 3, 1));
        let image = decode_bytes(&bytes, "0.jpg").unwrap();
        assert_eq!((image.width, image.height), (70, 50));
    }
}
