//! From a decoded image to what a network reads, in training and at test time.
//!
//! SARB §4.1 and its official code (the sizes for 224 px are in proportion): in training
//! resize to 512 × 512, crop a square of a random one of five sizes, resize it to 448 × 448, flip
//! every second one; at test time resize straight to 448 × 448. Aspect is ignored, all resizing is
//! Pillow's bicubic with 8-bit results, and the values are normalized with ImageNet's statistics, unless a
//! network was trained with others.

use std::cell::RefCell;
use std::ops::Range;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use rand::{Rng, RngExt};

use crate::images::Rgb8;

/// Mean of ImageNet's red, green and blue, of 1.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviation of ImageNet's red, green and blue, of 1.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// What values of 0 to 1 are normalized with: the mean of each channel is taken off, the rest divided by the
/// standard deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelStatistics {
    /// Mean of red, green and blue.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue, above 0.
    pub std: [f32; 3],
}

impl PixelStatistics {
    /// ImageNet's.
    pub const IMAGENET: Self = Self { mean: IMAGENET_MEAN, std: IMAGENET_STD };
}

/// Sizes of the resize, crop and resize chain, all squares, in pixels, and what the result is normalized with.
#[derive(Debug, Clone, PartialEq)]
pub struct Transform {
    /// Side of the result S.
    pub size_px: usize,
    /// Side of the square that crops are taken from.
    pub resize_px: usize,
    /// Sides of the crops, one drawn for each image; none larger than `resize_px`.
    pub crops_px: Vec<usize>,
    /// What the values are normalized with.
    pub statistics: PixelStatistics,
}

impl Transform {
    /// The sizes of the paper and its code scaled to `size_px`: crops of the whole, 7/8, 3/4, 5/8 and
    /// 1/2 of a square of 8/7 of it. 448 gives 512 and {512, 448, 384, 320, 256}, 224 gives 256 and
    /// {256, 224, 192, 160, 128}. Values are normalized with ImageNet's statistics.
    ///
    /// # Panics
    /// If `size_px` is 0.
    pub fn for_size(size_px: usize) -> Self {
        assert!(size_px > 0, "an image of no pixels");
        let resize_px = (size_px * 8 + 3) / 7;
        let crops_px = (4..=8).rev().map(|eighths| (resize_px * eighths + 4) / 8).collect();
        Self { size_px, resize_px, crops_px, statistics: PixelStatistics::IMAGENET }
    }

    /// The same with other statistics.
    pub fn normalized_with(self, statistics: PixelStatistics) -> Self {
        Self { statistics, ..self }
    }

    /// [`Transform::for_size`], by the name of its source: 448 px in the paper's tables.
    pub fn paper(size_px: usize) -> Self {
        Self::for_size(size_px)
    }

    /// Number of values of one image, `3 · S · S`.
    pub fn values(&self) -> usize {
        3 * self.size_px * self.size_px
    }

    /// What the clean view depends on, in words that stay the same between versions of the program.
    pub fn describe_clean(&self) -> String {
        let PixelStatistics { mean, std } = self.statistics;
        let statistics = match self.statistics {
            PixelStatistics::IMAGENET => "ImageNet mean and std".to_owned(),
            _ => format!("mean {mean:?}, std {std:?}"),
        };
        format!("bicubic {0}x{0}, {statistics}", self.size_px)
    }

    /// What augmented views depend on, in words that stay the same between versions of the program.
    pub fn describe_augmented(&self) -> String {
        let crops: Vec<String> = self.crops_px.iter().map(ToString::to_string).collect();
        let crops = crops.join(" ");
        format!("bicubic {0}x{0}, crop of {crops}, flip, {1}", self.resize_px, self.describe_clean())
    }

    /// The test-time view: resized to S × S, normalized; fills `into`, `[3, S, S]`.
    ///
    /// # Panics
    /// If `into` has another length.
    pub fn clean(&self, image: &Rgb8, into: &mut [f32]) {
        let pixels = resize_part(image, whole(image), self.size_px);
        normalize(&pixels, self.size_px, self.statistics, false, into);
    }

    /// The training view that `rng` draws; fills `into`, `[3, S, S]`.
    ///
    /// # Panics
    /// If `into` has another length.
    pub fn augmented(&self, image: &Rgb8, rng: &mut impl Rng, into: &mut [f32]) {
        let draw = self.draw(rng);
        let cropped = self.cropped(image, draw);
        let pixels = self.to_size(cropped, draw.crop_px);
        normalize(&pixels, self.size_px, self.statistics, draw.flip, into);
    }

    fn draw(&self, rng: &mut impl Rng) -> Draw {
        // u32 draws are the same on machines of any word size.
        let mut below = |end: usize| rng.random_range(0..end as u32) as usize;
        let crop_px = self.crops_px[below(self.crops_px.len())];
        let [left, top] = [below(self.resize_px - crop_px + 1), below(self.resize_px - crop_px + 1)];
        Draw { crop_px, left, top, flip: below(2) == 1 }
    }

    /// The crop of the image resized to `resize_px`. Only the pixels of the crop are computed: the
    /// filter reads across the border of the part, so they are those of the whole resized image.
    fn cropped(&self, image: &Rgb8, draw: Draw) -> Vec<u8> {
        resize_part(image, self.part(image, draw), draw.crop_px)
    }

    /// The part of the image that the crop shows, in its own pixels.
    fn part(&self, image: &Rgb8, draw: Draw) -> Part {
        let resized = self.resize_px as f64;
        let along = |start: usize, side: u32| {
            let side = f64::from(side);
            let start = start as f64 * side / resized;
            (start, (draw.crop_px as f64 * side / resized).min(side - start))
        };
        let (left, width) = along(draw.left, image.width);
        let (top, height) = along(draw.top, image.height);
        Part { left, top, width, height }
    }

    /// The second resize, whose filter stops at the border of the crop.
    fn to_size(&self, cropped: Vec<u8>, crop_px: usize) -> Vec<u8> {
        if crop_px == self.size_px {
            return cropped;
        }
        let side = crop_px as f64;
        let all = Part { left: 0.0, top: 0.0, width: side, height: side };
        resize(&cropped, [crop_px as u32; 2], all, self.size_px)
    }
}

/// What one augmented view draws, in the order of the official code: size, place, flip.
#[derive(Debug, Clone, Copy)]
struct Draw {
    crop_px: usize,
    left: usize,
    top: usize,
    flip: bool,
}

/// A rectangle of an image, in its pixels, that a resize reads.
#[derive(Debug, Clone, Copy)]
struct Part {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

fn whole(image: &Rgb8) -> Part {
    Part { left: 0.0, top: 0.0, width: f64::from(image.width), height: f64::from(image.height) }
}

/// Pillow's BICUBIC (a = −1/2, widened when shrinking) of a part of an image, to `side × side` pixels.
fn resize_part(image: &Rgb8, part: Part, side: usize) -> Vec<u8> {
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
fn resize(pixels: &[u8], [width, height]: [u32; 2], part: Part, side: usize) -> Vec<u8> {
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

/// `[S, S, 3]` levels to `[3, S, S]` normalized values, mirrored if `flip`.
fn normalize(pixels: &[u8], side: usize, statistics: PixelStatistics, flip: bool, into: &mut [f32]) {
    assert_eq!(into.len(), 3 * side * side, "the values of an image of {side} px");
    let (red, rest) = into.split_at_mut(side * side);
    let (green, blue) = rest.split_at_mut(side * side);
    let PixelStatistics { mean, std } = statistics;
    let scale = std.map(|std| 1.0 / (255.0 * std));
    let shift: [f32; 3] = std::array::from_fn(|channel| mean[channel] / std[channel]);
    for (y, row) in pixels.chunks_exact(3 * side).enumerate() {
        let places = y * side..(y + 1) * side;
        let planes = [&mut red[places.clone()], &mut green[places.clone()], &mut blue[places]];
        for (channel, values) in planes.into_iter().enumerate() {
            for (value, pixel) in values.iter_mut().zip(row.as_chunks::<3>().0) {
                *value = f32::from(pixel[channel]) * scale[channel] - shift[channel];
            }
            if flip {
                values.reverse();
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::outside_data::outside_data;
    use crate::random::{Stream, rng};

    /// Pixels of photographs as Pillow decodes and resizes them.
    pub(crate) fn fixture(name: &str) -> Vec<u8> {
        let bytes = std::fs::read(outside_data("fixtures/preprocess.safetensors")).unwrap();
        safetensors::SafeTensors::deserialize(&bytes).unwrap().tensor(name).unwrap().data().to_vec()
    }

    /// 150 × 97 pixels of edges and slopes.
    fn pattern() -> Rgb8 {
        let (width, height) = (150, 97);
        let pixels = (0..width * height)
            .flat_map(|i| {
                let (x, y) = (i % width, i / width);
                [(x * 7 % 256) as u8, (y * 5 % 256) as u8, if (x / 9 + y / 7) % 2 == 0 { 240 } else { 15 }]
            })
            .collect();
        Rgb8 { width, height, pixels }
    }

    fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
    }

    #[test]
    fn the_sizes_are_those_of_the_paper_and_its_code() {
        let paper = Transform::paper(448);
        assert_eq!((paper.resize_px, paper.crops_px), (512, vec![512, 448, 384, 320, 256]));
        let small = Transform::for_size(224);
        assert_eq!((small.resize_px, small.crops_px), (256, vec![256, 224, 192, 160, 128]));
        for size_px in 1..100 {
            let tiny = Transform::for_size(size_px);
            assert!(tiny.crops_px.iter().all(|&crop| crop >= 1 && crop <= tiny.resize_px), "{tiny:?}");
        }
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
    fn largest_error(image: &Rgb8, part: Part, side: usize) -> u8 {
        let resized = resize_part(image, part, side);
        let places = [0, 1, side / 2, side - 2, side - 1];
        let errors = places.iter().flat_map(|&y| places.iter().map(move |&x| [x, y])).map(|[x, y]| {
            let ours = &resized[3 * (y * side + x)..][..3];
            largest_difference(ours, &resized_pixel(image, part, side, [x, y]))
        });
        errors.max().unwrap()
    }

    #[test]
    fn borders_of_every_size_and_crop_are_those_of_the_filter() {
        // fast_image_resize 6.1.0 read outside its memory at 320 px and other sizes; see `resize`.
        let image = pattern();
        for size_px in 32..=640 {
            let error = largest_error(&image, whole(&image), size_px);
            assert!(error <= 1, "the whole image to {size_px} px: off by {error} levels");
            let transform = Transform::for_size(size_px);
            for &crop_px in &transform.crops_px {
                for start in [0, transform.resize_px - crop_px] {
                    let part = transform.part(&image, Draw { crop_px, left: start, top: start, flip: false });
                    let error = largest_error(&image, part, crop_px);
                    assert!(
                        error <= 1,
                        "{size_px} px, a crop of {crop_px} from {start}: off by {error} levels"
                    );
                }
            }
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn nothing_behind_the_pixels_is_read() {
        use std::io::Write;
        const PAGE: usize = 4096;
        let image = pattern();
        let mut file = tempfile::tempfile().unwrap();
        let length = image.pixels.len().next_multiple_of(PAGE);
        file.write_all(&vec![0; length - image.pixels.len()]).unwrap();
        file.write_all(&image.pixels).unwrap();
        // SAFETY: nobody else has the file. The last page is behind its end: reading it ends the process.
        let map = unsafe { memmap2::MmapOptions::new().len(length + PAGE).map(&file).unwrap() };
        let pixels = &map[length - image.pixels.len()..length];
        let size = [image.width, image.height];
        for size_px in (32..=640).step_by(3) {
            let transform = Transform::for_size(size_px);
            for &crop_px in &transform.crops_px {
                let start = transform.resize_px - crop_px;
                let part = transform.part(&image, Draw { crop_px, left: start, top: start, flip: false });
                let guarded = resize(pixels, size, part, crop_px);
                assert!(guarded == resize_part(&image, part, crop_px), "{size_px} px, a crop of {crop_px}");
            }
        }
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

    #[test]
    fn a_crop_is_the_one_cut_out_of_the_whole_resized_image() {
        let image = pattern();
        let transform = Transform::for_size(56);
        let side = transform.resize_px;
        let resized = resize_part(&image, whole(&image), side);
        for (crop_px, left, top) in [(64, 0, 0), (32, 17, 32), (48, 16, 3), (40, 0, 24)] {
            let cut: Vec<u8> = (top..top + crop_px)
                .flat_map(|y| resized[3 * (y * side + left)..][..3 * crop_px].to_vec())
                .collect();
            let cropped = transform.cropped(&image, Draw { crop_px, left, top, flip: false });
            assert!(largest_difference(&cropped, &cut) <= 1, "crop {crop_px}");
            let direct = transform.to_size(cropped, crop_px);
            assert!(largest_difference(&direct, &transform.to_size(cut, crop_px)) <= 1);
        }
    }

    #[test]
    fn a_clean_view_is_normalized_plane_by_plane() {
        let image = Rgb8 { width: 5, height: 3, pixels: [255, 0, 128].repeat(15) };
        let mut values = vec![0.0; 3 * 8 * 8];
        Transform::for_size(8).clean(&image, &mut values);
        // (1 − 0.485)/0.229, −0.456/0.224, (128/255 − 0.406)/0.225.
        for (plane, expected) in values.chunks(64).zip([2.248_908_3, -2.035_714_3, 0.426_492_37_f32]) {
            assert!(plane.iter().all(|value| (value - expected).abs() < 1e-5), "{plane:?}");
        }
    }

    #[test]
    fn other_statistics_change_the_values_and_the_description() {
        let image = Rgb8 { width: 1, height: 1, pixels: vec![255, 0, 51] };
        let mut values = vec![0.0; 3];
        let transform = Transform::for_size(1);
        let signed = transform.clone().normalized_with(PixelStatistics { mean: [0.5; 3], std: [0.5; 3] });
        signed.clean(&image, &mut values);
        // 2 v − 1 of 1, 0 and 0.2.
        for (value, expected) in values.iter().zip([1.0, -1.0, -0.6]) {
            assert!((value - expected).abs() < 1e-6, "{values:?}");
        }
        // Caches of the versions before keep their names.
        assert_eq!(transform.describe_clean(), "bicubic 1x1, ImageNet mean and std");
        assert_eq!(signed.describe_clean(), "bicubic 1x1, mean [0.5, 0.5, 0.5], std [0.5, 0.5, 0.5]");
        assert!(signed.describe_augmented().ends_with(&signed.describe_clean()));
    }

    #[test]
    fn a_flip_mirrors_every_row() {
        let pixels: Vec<u8> = (0..12).collect();
        let [mut plain, mut mirrored] = [vec![0.0; 12], vec![0.0; 12]];
        normalize(&pixels, 2, PixelStatistics::IMAGENET, false, &mut plain);
        normalize(&pixels, 2, PixelStatistics::IMAGENET, true, &mut mirrored);
        for (row, turned) in plain.chunks(2).zip(mirrored.chunks(2)) {
            assert_eq!([row[1], row[0]], turned);
        }
    }

    #[test]
    fn views_follow_their_generator_and_cover_every_choice() {
        let transform = Transform::for_size(28);
        let mut generator = rng(0, Stream::Augment, 0, 0);
        let draws: Vec<Draw> = (0..400).map(|_| transform.draw(&mut generator)).collect();
        for crop_px in &transform.crops_px {
            let of_size: Vec<&Draw> = draws.iter().filter(|draw| draw.crop_px == *crop_px).collect();
            assert!((50..=110).contains(&of_size.len()), "400 draws of 5 sizes: {}", of_size.len());
            let last = transform.resize_px - crop_px;
            assert_eq!(of_size.iter().map(|draw| draw.left).min(), Some(0));
            assert_eq!(of_size.iter().map(|draw| draw.top).max(), Some(last));
        }
        assert!((160..=240).contains(&draws.iter().filter(|draw| draw.flip).count()));

        let view = |row| {
            let mut values = vec![0.0; transform.values()];
            transform.augmented(&pattern(), &mut rng(3, Stream::Augment, 1, row), &mut values);
            values
        };
        assert_eq!(view(5), view(5));
        assert_ne!(view(5), view(6));
    }
}
