//! Heat maps: where a category is seen, laid over the image.

use sarb_labels::images::Rgb8;

/// How much of a pixel is the color of the map; the rest is the photograph in gray.
const TINT: f32 = 0.6;

/// What the colors of heat maps mean: the lowest and the highest value that they show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// What the darkest color stands for.
    pub low: f32,
    /// What the brightest color stands for.
    pub high: f32,
}

impl Scale {
    /// Of all these values, so that maps on one scale can be compared.
    pub fn of(values: impl IntoIterator<Item = f32>) -> Self {
        let start = Self { low: f32::INFINITY, high: f32::NEG_INFINITY };
        values
            .into_iter()
            .fold(start, |Self { low, high }, value| Self { low: low.min(value), high: high.max(value) })
    }

    /// How far a value is on the way from the lowest to the highest, 0…1.
    fn share(&self, value: f32) -> f32 {
        let span = self.high - self.low;
        if span > 0.0 { ((value - self.low) / span).clamp(0.0, 1.0) } else { 0.5 }
    }
}

/// The color of a share of the way from the lowest value to the highest: viridis, in which equal steps look
/// equally large, also to the color-blind and in gray.
pub fn color(share: f32) -> [u8; 3] {
    let colorous::Color { r, g, b } = colorous::VIRIDIS.eval_continuous(f64::from(share));
    [r, g, b]
}

/// The photograph in gray, tinted by the colors of the map. `map` has a value for each cell of a
/// grid of `[rows, columns]`, row by row.
///
/// # Panics
/// If the map has no or not so many values.
pub fn overlay(photo: &Rgb8, map: &[f32], [rows, columns]: [usize; 2], scale: Scale) -> Rgb8 {
    let cells = rows * columns;
    assert!(cells > 0 && map.len() == cells, "{} values of a map of {rows} × {columns}", map.len());
    let (width, height) = (photo.width, photo.height);
    let mut pixels = Vec::with_capacity(photo.pixels.len());
    for (at, pixel) in photo.pixels.chunks_exact(3).enumerate() {
        let (x, y) = (at as u32 % width, at as u32 / width);
        let place =
            |pixel: u32, pixels: u32, cells: usize| (pixel as f32 + 0.5) / pixels as f32 * cells as f32 - 0.5;
        let at = [place(y, height, rows), place(x, width, columns)];
        let tint = color(scale.share(bilinear(map, [rows, columns], at)));
        let gray = 0.3 * f32::from(pixel[0]) + 0.59 * f32::from(pixel[1]) + 0.11 * f32::from(pixel[2]);
        pixels.extend(tint.map(|tint| (TINT * f32::from(tint) + (1.0 - TINT) * gray) as u8));
    }
    Rgb8 { width, height, pixels }
}

fn bilinear(map: &[f32], [rows, columns]: [usize; 2], [y, x]: [f32; 2]) -> f32 {
    let (x, y) = (x.clamp(0.0, (columns - 1) as f32), y.clamp(0.0, (rows - 1) as f32));
    let (x0, y0) = (x as usize, y as usize);
    let (x1, y1) = ((x0 + 1).min(columns - 1), (y0 + 1).min(rows - 1));
    let (fx, fy) = (x - x0 as f32, y - y0 as f32);
    let row = |y: usize| map[y * columns + x0] * (1.0 - fx) + map[y * columns + x1] * fx;
    row(y0) * (1.0 - fy) + row(y1) * fy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(width: u32, height: u32) -> Rgb8 {
        Rgb8 { width, height, pixels: vec![100; 3 * (width * height) as usize] }
    }

    #[test]
    fn the_highest_value_is_yellow_and_the_lowest_dark() {
        let map = [0.0, 0.1, 0.2, 1.0];
        let picture = overlay(&gray(40, 40), &map, [2, 2], Scale::of(map));
        let (hot, cold) = (&picture.pixels[3 * (40 * 40 - 1)..], &picture.pixels[..3]);
        assert!(hot[0] > 170 && hot[1] > 170 && hot[2] < 80, "{hot:?}");
        assert!(cold.iter().all(|value| *value < 100), "{cold:?}");
    }

    #[test]
    fn maps_on_one_scale_can_be_compared() {
        let (weak, strong) = ([0.0, 0.1, 0.1, 0.2], [0.0, 0.5, 0.5, 1.0]);
        let scale = Scale::of(weak.into_iter().chain(strong));
        assert_eq!(scale, Scale { low: 0.0, high: 1.0 });
        let brightest = |map: &[f32]| {
            let picture = overlay(&gray(20, 20), map, [2, 2], scale);
            picture.pixels.chunks_exact(3).map(|pixel| pixel[1]).max().unwrap()
        };
        assert!(brightest(&weak) < 120 && brightest(&strong) > 170);
    }

    #[test]
    fn rows_and_columns_are_told_apart() {
        let map = [0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
        let picture = overlay(&gray(30, 20), &map, [2, 3], Scale::of(map));
        let green = |x: usize, y: usize| picture.pixels[3 * (y * 30 + x) + 1];
        assert!(green(29, 0) > 170 && green(29, 19) < 60 && green(0, 0) < 60);
    }

    #[test]
    fn a_flat_map_gives_a_picture_too() {
        let picture = overlay(&gray(3, 5), &[0.5; 4], [2, 2], Scale::of([0.5; 4]));
        assert_eq!((picture.width, picture.height, picture.pixels.len()), (3, 5, 45));
    }
}
