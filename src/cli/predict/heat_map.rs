//! Heat maps: where a category is seen, laid over the image.

use std::io::Write;
use std::path::Path;

use image::{ImageBuffer, Rgb, RgbImage};
use sarb::{Attention, Error, Result};
use sarb_labels::images::decode;

/// Writes `<prefix>.<category>.png` for each category in `shown`.
pub fn write(prefix: &Path, file: &Path, attention: &Attention, shown: &[(usize, &str)]) -> Result<()> {
    let pixels = decode(file)?;
    let photo: RgbImage =
        ImageBuffer::from_raw(pixels.width, pixels.height, pixels.pixels).expect("three bytes a pixel");
    let cells = attention.side * attention.side;
    for &(category, name) in shown {
        let map = &attention.values[category * cells..(category + 1) * cells];
        let name: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let path = std::path::PathBuf::from(format!("{}.{name}.png", prefix.display()));
        let mut bytes = std::io::Cursor::new(Vec::new());
        overlay(&photo, map, attention.side)
            .write_to(&mut bytes, image::ImageFormat::Png)
            .map_err(|e| Error::io(&path, std::io::Error::other(e)))?;
        sarb_labels::files::write_atomically(&path, |out| out.write_all(bytes.get_ref()))?;
    }
    Ok(())
}

/// The photograph in gray, tinted from blue (least) over yellow to red (most).
fn overlay(photo: &RgbImage, map: &[f32], side: usize) -> RgbImage {
    let low = map.iter().copied().fold(f32::INFINITY, f32::min);
    let high = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let scale = if high > low { 1.0 / (high - low) } else { 0.0 };
    let (width, height) = photo.dimensions();
    ImageBuffer::from_fn(width, height, |x, y| {
        let at = |pixel: u32, pixels: u32| (pixel as f32 + 0.5) / pixels as f32 * side as f32 - 0.5;
        // Between pure blue at 1/8 and pure red at 7/8 of the ramp.
        let heat = 0.125 + 0.75 * (bilinear(map, side, at(x, width), at(y, height)) - low) * scale;
        let Rgb([r, g, b]) = *photo.get_pixel(x, y);
        let gray = 0.3 * f32::from(r) + 0.59 * f32::from(g) + 0.11 * f32::from(b);
        let ramp = |center: f32| (1.5 - (4.0 * heat - center).abs()).clamp(0.0, 1.0);
        Rgb([ramp(3.0), ramp(2.0), ramp(1.0)].map(|tint| (0.55 * gray + 0.45 * 255.0 * tint) as u8))
    })
}

fn bilinear(map: &[f32], side: usize, x: f32, y: f32) -> f32 {
    let last = (side - 1) as f32;
    let (x, y) = (x.clamp(0.0, last), y.clamp(0.0, last));
    let (x0, y0) = (x as usize, y as usize);
    let (x1, y1) = ((x0 + 1).min(side - 1), (y0 + 1).min(side - 1));
    let (fx, fy) = (x - x0 as f32, y - y0 as f32);
    let row = |y: usize| map[y * side + x0] * (1.0 - fx) + map[y * side + x1] * fx;
    row(y0) * (1.0 - fy) + row(y1) * fy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_cell_is_red_and_the_coldest_blue() {
        let photo = RgbImage::from_pixel(40, 40, Rgb([100, 100, 100]));
        let picture = overlay(&photo, &[0.0, 0.1, 0.2, 1.0], 2);
        let (hot, cold) = (picture.get_pixel(39, 39), picture.get_pixel(0, 0));
        assert!(hot[0] > 150 && hot[2] < 80, "{hot:?}");
        assert!(cold[2] > 100 && cold[0] < 80, "{cold:?}");
    }

    #[test]
    fn a_flat_map_gives_a_picture_too() {
        let photo = RgbImage::from_pixel(3, 5, Rgb([9, 9, 9]));
        assert_eq!(overlay(&photo, &[0.5; 4], 2).dimensions(), (3, 5));
    }
}
