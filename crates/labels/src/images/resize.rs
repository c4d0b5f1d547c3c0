//! Pillow's bicubic resizing, with 8-bit results.

use std::cell::RefCell;
use std::ops::Range;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use crate::images::Rgb8;

/// A rectangle of an image, in its pixels, that a resize reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

/// All of an image.
pub(super) fn whole(image: &Rgb8) -> Part {
    Part { left: 0.0, top: 0.0, width: f64::from(image.width), height: f64::from(image.height) }
}

/// Pillow's BICUBIC (a = −1/2, widened when shrinking) of a part of an image, to `side × side` pixels.
pub(super) fn resize_part(image: &Rgb8, part: Part, side: usize) -> Vec<u8> {
    resize(&image.pixels, [image.width, image.height], part, side)
}

/// Rows first, then columns, with 8-bit levels between, as Pillow does it the other way round.
///
/// Two passes of our own, because fast_image_resize 6.1.0 reads outside its memory where it makes both at
/// once. It keeps of the rows' result the columns from the first output pixel's first coefficient to the
/// last one's last (`resizer.rs`, `x_first` and `x_last`), but leaves out coefficients that are exactly 0
/// at either end (`precompute_coefficients`), so that the pixel beside it may need one column more: at the
/// right the read runs past the row, at the left the column's number wraps around. Sizes whose scale puts
/// a pixel exactly one or two filter units from the border do that, such as 366 of 320 px. With one axis
/// at a time there is no such cut, and every coefficient lies inside the image.
pub(super) fn resize(pixels: &[u8], [width, height]: [u32; 2], part: Part, side: usize) -> Vec<u8> {
    let columns = columns_read(part, side, width);
    let count = columns.end - columns.start;
    let rows = Part { left: f64::from(columns.start), width: f64::from(count), ..part };
    let between = resample(pixels, [width, height], rows, [count, side as u32]);
    let left = part.left - f64::from(columns.start);
    let all = Part { left, top: 0.0, width: part.width, height: side as f64 };
    resample(&between, [count, side as u32], all, [side as u32; 2])
}

/// The columns of an image that the filter reads of a part.
fn columns_read(part: Part, side: usize, width: u32) -> Range<u32> {
    // Bicubic: two pixels to either side, of the larger of both sizes.
    let radius = 2.0 * (part.width / side as f64).max(1.0);
    let first = (part.left - radius).floor().max(0.0) as u32;
    let end = (part.left + part.width + radius).ceil().min(f64::from(width)) as u32;
    first..end
}

/// Pillow's bicubic along the axes whose size changes, at most one of them at a time.
fn resample(pixels: &[u8], [width, height]: [u32; 2], part: Part, [columns, rows]: [u32; 2]) -> Vec<u8> {
    thread_local! {
        // Keeps its scratch memory between images.
        static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
    }
    let source = TypedImageRef::<U8x3>::from_buffer(width, height, pixels).expect("3 bytes per pixel");
    let mut resized = vec![0; 3 * columns as usize * rows as usize];
    let mut target = TypedImage::<U8x3>::from_buffer(columns, rows, &mut resized).expect("3 bytes per pixel");
    // A rounding error may put the end of the part a hair outside.
    let (part_width, part_height) =
        (part.width.min(f64::from(width) - part.left), part.height.min(f64::from(height) - part.top));
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom)).crop(
        part.left,
        part.top,
        part_width,
        part_height,
    );
    RESIZER
        .with_borrow_mut(|resizer| resizer.resize_typed(&source, &mut target, &options))
        .expect("the part lies within the image");
    resized
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::outside_data::outside_data;

    /// Pixels of photographs as Pillow decodes and resizes them.
    pub(in crate::images) fn fixture(name: &str) -> Vec<u8> {
        let bytes = std::fs::read(outside_data("fixtures/preprocess.safetensors")).unwrap();
        safetensors::SafeTensors::deserialize(&bytes).unwrap().tensor(name).unwrap().data().to_vec()
    }

    /// 150 × 97 pixels of edges and slopes.
    pub(in crate::images) fn pattern() -> Rgb8 {
        let (width, height) = (150, 97);
        let pixels = (0..width * height)
            .flat_map(|i| {
                let (x, y) = (i % width, i / width);
                [(x * 7 % 256) as u8, (y * 5 % 256) as u8, if (x / 9 + y / 7) % 2 == 0 { 240 } else { 15 }]
            })
            .collect();
        Rgb8 { width, height, pixels }
    }

    pub(in crate::images) fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
    }

    /// Pillow's bicubic weights of the pixels that output pixel `out` reads along one axis.
    fn weights(pixels: u32, start: f64, extent: f64, side: usize, out: usize) -> Vec<(usize, f64)> {
        let cubic = |x: f64| match x.abs() {
            x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            x if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            _ => 0.0,
        };
        let scale = extent / side as f64;
        let (unit, center) = (scale.max(1.0), start + (out as f64 + 0.5) * scale);
        let first = (center - 2.0 * unit).floor().max(0.0) as usize;
        let end = (center + 2.0 * unit).ceil().min(f64::from(pixels)) as usize;
        let weights: Vec<f64> = (first..end).map(|x| cubic((x as f64 + 0.5 - center) / unit)).collect();
        let sum: f64 = weights.iter().sum();
        (first..end).zip(weights.into_iter().map(|weight| weight / sum)).collect()
    }

    /// One pixel of a resize in 64 bits, with 8-bit levels between the axes.
    fn resized_pixel(image: &Rgb8, part: Part, side: usize, [x, y]: [usize; 2]) -> [u8; 3] {
        let rows = weights(image.height, part.top, part.height, side, y);
        let columns = weights(image.width, part.left, part.width, side, x);
        std::array::from_fn(|channel| {
            let level = |column: usize| {
                let at = |row: usize| image.pixels[3 * (row * image.width as usize + column) + channel];
                let sum: f64 = rows.iter().map(|&(row, weight)| weight * f64::from(at(row))).sum();
                sum.round().clamp(0.0, 255.0)
            };
            let sum: f64 = columns.iter().map(|&(column, weight)| weight * level(column)).sum();
            sum.round().clamp(0.0, 255.0) as u8
        })
    }

    /// The largest difference to [`resized_pixel`] along the borders, where a filter may reach outside.
    pub(in crate::images) fn largest_error(image: &Rgb8, part: Part, side: usize) -> u8 {
        let resized = resize_part(image, part, side);
        let places = [0, 1, side / 2, side - 2, side - 1];
        let errors = places.iter().flat_map(|&y| places.iter().map(move |&x| [x, y])).map(|[x, y]| {
            let ours = &resized[3 * (y * side + x)..][..3];
            largest_difference(ours, &resized_pixel(image, part, side, [x, y]))
        });
        errors.max().unwrap()
    }

    #[test]
    fn all_that_the_filter_reads_beside_a_part_is_there() {
        // Bright beside the part, so that a column that is not read leaves its share of the sum to the others.
        let level = |x: u32| if (150..270).contains(&x) { 100 } else { 255 };
        let pixels = (0..40 * 400).flat_map(|at| [level(at % 400); 3]).collect();
        let image = Rgb8 { width: 400, height: 40, pixels };
        let part = Part { left: 150.0, top: 0.0, width: 120.0, height: 40.0 };
        assert!(largest_error(&image, part, 20) <= 1);
    }

    #[test]
    #[ignore = "needs data that is not in the repository"]
    fn outside_data_resizing_equals_pillows_bicubic_within_a_level() {
        let image = Rgb8 { width: 240, height: 320, pixels: fixture("0.decoded") };
        let resized = resize_part(&image, whole(&image), 96);
        assert!(largest_difference(&resized, &fixture("0.bicubic_96")) <= 1);
    }

    #[test]
    #[ignore = "needs data that is not in the repository"]
    fn outside_data_decoding_and_resizing_stay_within_a_few_levels_of_pillow() {
        for row in [0, 1, 17] {
            let path = outside_data(&format!("data/coco18/images/{row}.jpg"));
            let image = crate::images::decode(&path).unwrap();
            let resized = resize_part(&image, whole(&image), 96);
            let expected = fixture(&format!("{row}.bicubic_96"));
            let difference = largest_difference(&resized, &expected);
            let sum: f64 = resized.iter().zip(&expected).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
            let mean = sum / expected.len() as f64;
            println!("image {row}: largest difference {difference}, mean {mean:.4}");
            // Measured with image 0.25 (zune-jpeg): 2, 4 and 4 levels, mean 0.2 to 0.3.
            assert!(difference <= 5 && mean < 0.6, "image {row}: {difference}, mean {mean}");
        }
    }
}
