//! Heat maps: where a category is seen, laid over the image.

use sarb_labels::images::Rgb8;

/// The photograph in gray, tinted from blue (least) over yellow to red (most). `map` has `side²` values, row by row.
///
/// # Panics
/// If the map has no or not so many values.
pub fn overlay(photo: &Rgb8, map: &[f32], side: usize) -> Rgb8 {
    assert!(side > 0 && map.len() == side * side, "{} values of a map of {side} × {side}", map.len());
    let low = map.iter().copied().fold(f32::INFINITY, f32::min);
    let high = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let scale = if high > low { 1.0 / (high - low) } else { 0.0 };
    let (width, height) = (photo.width, photo.height);
    let mut pixels = Vec::with_capacity(photo.pixels.len());
    for (at, pixel) in photo.pixels.chunks_exact(3).enumerate() {
        let (x, y) = (at as u32 % width, at as u32 / width);
        let place = |pixel: u32, pixels: u32| (pixel as f32 + 0.5) / pixels as f32 * side as f32 - 0.5;
        // Between pure blue at 1/8 and pure red at 7/8 of the ramp.
        let heat = 0.125 + 0.75 * (bilinear(map, side, place(x, width), place(y, height)) - low) * scale;
        let gray = 0.3 * f32::from(pixel[0]) + 0.59 * f32::from(pixel[1]) + 0.11 * f32::from(pixel[2]);
        let ramp = |center: f32| (1.5 - (4.0 * heat - center).abs()).clamp(0.0, 1.0);
        pixels
            .extend([ramp(3.0), ramp(2.0), ramp(1.0)].map(|tint| (0.55 * gray + 0.45 * 255.0 * tint) as u8));
    }
    Rgb8 { width, height, pixels }
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

    fn gray(width: u32, height: u32) -> Rgb8 {
        Rgb8 { width, height, pixels: vec![100; 3 * (width * height) as usize] }
    }

    #[test]
    fn the_hottest_cell_is_red_and_the_coldest_blue() {
        let picture = overlay(&gray(40, 40), &[0.0, 0.1, 0.2, 1.0], 2);
        let (hot, cold) = (&picture.pixels[3 * (40 * 40 - 1)..], &picture.pixels[..3]);
        assert!(hot[0] > 150 && hot[2] < 80, "{hot:?}");
        assert!(cold[2] > 100 && cold[0] < 80, "{cold:?}");
    }

    #[test]
    fn a_flat_map_gives_a_picture_too() {
        let picture = overlay(&gray(3, 5), &[0.5; 4], 2);
        assert_eq!((picture.width, picture.height, picture.pixels.len()), (3, 5, 45));
    }
}
