//! From a decoded image to what a network reads, in training and at test time.
//!
//! SARB §4.1 and its official code (the sizes for 224 px are in proportion): in training
//! resize to 512 × 512, crop a square of a random one of five sizes, resize it to 448 × 448, flip
//! every second one; at test time resize straight to 448 × 448. Aspect is ignored, all resizing is
//! Pillow's bicubic with 8-bit results, and the values are normalized with ImageNet's statistics, unless a
//! network was trained with others.

use rand::{Rng, RngExt};

use crate::images::Rgb8;
use crate::images::resize::{Part, resize, resize_part, whole};
use crate::images::strong::Change;

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

    /// What strongly augmented views depend on, in words that stay the same between versions of the program.
    pub fn describe_strong(&self) -> String {
        format!("{}, {}", self.describe_augmented(), Change::describe())
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

    /// The strongly augmented view that `rng` draws: that of [`augmented`](Self::augmented) with other colors and a hidden square.
    /// Fills `into`, `[3, S, S]`.
    ///
    /// # Panics
    /// If `into` has another length.
    pub fn strong(&self, image: &Rgb8, rng: &mut impl Rng, into: &mut [f32]) {
        let draw = self.draw(rng);
        let change = Change::draw(rng);
        let mut pixels = self.to_size(self.cropped(image, draw), draw.crop_px);
        change.recolor(&mut pixels);
        normalize(&pixels, self.size_px, self.statistics, draw.flip, into);
        change.hide(into, self.size_px);
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
mod tests {
    use super::*;
    use crate::images::resize::tests::{largest_difference, largest_error, pattern};
    use crate::random::{Stream, rng};

    #[test]
    fn the_sizes_are_those_of_the_paper_and_its_code() {
        let paper = Transform::for_size(448);
        assert_eq!((paper.resize_px, paper.crops_px), (512, vec![512, 448, 384, 320, 256]));
        let small = Transform::for_size(224);
        assert_eq!((small.resize_px, small.crops_px), (256, vec![256, 224, 192, 160, 128]));
        for size_px in 1..100 {
            let tiny = Transform::for_size(size_px);
            assert!(tiny.crops_px.iter().all(|&crop| crop >= 1 && crop <= tiny.resize_px), "{tiny:?}");
        }
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
            for starts in [|draw: &&Draw| draw.left, |draw: &&Draw| draw.top] {
                assert_eq!(of_size.iter().map(starts).min(), Some(0));
                assert_eq!(of_size.iter().map(starts).max(), Some(last));
            }
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

    #[test]
    fn a_strong_view_is_of_the_crop_that_the_same_draws_give() {
        // Of one gray: whatever the colors are, they are one, and the hidden square is the mean color.
        let image = Rgb8 { width: 60, height: 40, pixels: vec![90; 3 * 60 * 40] };
        let transform = Transform::for_size(28);
        let mut values = vec![0.0; transform.values()];
        transform.strong(&image, &mut rng(3, Stream::Augment, 1, 0), &mut values);
        let seen: Vec<f32> = values[..28 * 28].iter().copied().filter(|value| *value != 0.0).collect();
        assert!(seen.iter().all(|value| (value - seen[0]).abs() < 0.05), "one color");
        let hidden = 28 * 28 - seen.len();
        assert!((49..=196).contains(&hidden), "a quarter of the square to all of it: {hidden}");

        // Brightness turns no edge: the crop and flip are those of the weak view.
        let edge = |x: u32| if x < 30 { [20; 3] } else { [230; 3] };
        let image = Rgb8 { width: 60, height: 40, pixels: (0..2400).flat_map(|at| edge(at % 60)).collect() };
        let [mut weak, mut strong] = [vec![0.0; transform.values()], vec![0.0; transform.values()]];
        let mut compared = 0;
        for row in 0..20 {
            transform.augmented(&image, &mut rng(3, Stream::Augment, 1, row), &mut weak);
            transform.strong(&image, &mut rng(3, Stream::Augment, 1, row), &mut strong);
            let (weak, strong) = (&weak[..28], &strong[..28]);
            let least = |row: &[f32]| row.iter().copied().fold(f32::INFINITY, f32::min);
            let most = |row: &[f32]| row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let bright = |row: &[f32]| -> Vec<bool> {
                row.iter().map(|value| *value > (least(row) + most(row)) / 2.0).collect()
            };
            // Rows with the edge in sight and nothing hidden.
            if most(weak) - least(weak) > 2.0 && !strong.contains(&0.0) {
                assert_eq!(bright(weak), bright(strong), "row {row}");
                compared += 1;
            }
        }
        assert!(compared > 3, "{compared} rows were compared");
    }
}
