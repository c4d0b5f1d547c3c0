//! What a strongly augmented view has beside crop and flip: other colors, and a square that is hidden.
//!
//! Methods that want the same answer for a weakly and a strongly augmented view read one. Colors change as in the usual color
//! jitter, at the strengths of MoCo v2 (Chen et al. 2020); the square is that of Cutout (DeVries and Taylor 2017), half as wide
//! as the image.

use rand::{Rng, RngExt};

/// Brightness, contrast and saturation are multiplied by 1 − this to 1 + this.
const FACTORS: f32 = 0.4;
/// tan ½θ for the largest turn θ of the hue, a tenth of the circle.
const MOST_TURNED: f32 = 0.325;

/// How a view differs from the one of the same crop that is not strongly augmented.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    brightness: f32,
    contrast: f32,
    saturation: f32,
    /// tan ½θ of the turn θ of the hue.
    turn: f32,
    /// The middle of the hidden square, in parts of the side.
    hidden: [f32; 2],
}

impl Change {
    /// What `rng` draws.
    pub(super) fn draw(rng: &mut impl Rng) -> Self {
        let mut factor = || 1.0 + rng.random_range(-FACTORS..=FACTORS);
        let [brightness, contrast, saturation] = [factor(), factor(), factor()];
        Self {
            brightness,
            contrast,
            saturation,
            turn: rng.random_range(-MOST_TURNED..=MOST_TURNED),
            hidden: [rng.random_range(0.0..1.0), rng.random_range(0.0..1.0)],
        }
    }

    /// In words that stay the same between versions of the program, and change with what is drawn or how it is applied: cached
    /// maps are kept by them.
    pub(super) fn describe() -> &'static str {
        "brightness, contrast and saturation by 0.4, hue by 0.1, a square of half the side hidden"
    }

    /// Changes the colors of red, green and blue levels, pixel after pixel.
    pub(super) fn recolor(&self, pixels: &mut [u8]) {
        let (pixels, _) = pixels.as_chunks_mut::<3>();
        let mean = pixels.iter().map(|pixel| f64::from(luma_and_chroma(*pixel)[0])).sum::<f64>();
        let mean = (mean / pixels.len().max(1) as f64) as f32;
        let gain = self.brightness * self.contrast;
        let lift = self.brightness * (1.0 - self.contrast) * mean;
        // Half-angle formulas: nothing that another machine's library could round otherwise.
        let square = self.turn * self.turn;
        let [cos, sin] = [(1.0 - square) / (1.0 + square), 2.0 * self.turn / (1.0 + square)];
        for pixel in pixels {
            let [y, i, q] = luma_and_chroma(*pixel);
            let chroma = gain * self.saturation;
            let turned = [chroma * (cos * i - sin * q), chroma * (sin * i + cos * q)];
            *pixel = levels([gain * y + lift, turned[0], turned[1]]);
        }
    }

    /// Hides a square of the normalized values `[3, S, S]` of an image of side S behind the mean color, 0.
    pub(super) fn hide(&self, values: &mut [f32], side: usize) {
        let along = |middle: f32| {
            let middle = (middle * side as f32) as usize;
            middle.saturating_sub(side / 4)..(middle + side.div_ceil(4)).min(side)
        };
        let [left_to_right, top_to_bottom] = self.hidden.map(along);
        for plane in values.chunks_exact_mut(side * side) {
            for row in plane.chunks_exact_mut(side).take(top_to_bottom.end).skip(top_to_bottom.start) {
                row[left_to_right.clone()].fill(0.0);
            }
        }
    }
}

/// Y, I and Q of NTSC: of equal red, green and blue I and Q are 0, and turning them turns the hue.
fn luma_and_chroma(pixel: [u8; 3]) -> [f32; 3] {
    let [r, g, b] = pixel.map(f32::from);
    [0.299 * r + 0.587 * g + 0.114 * b, 0.596 * r - 0.274 * g - 0.322 * b, 0.211 * r - 0.523 * g + 0.312 * b]
}

/// [`luma_and_chroma`] backwards, to the nearest levels.
fn levels([y, i, q]: [f32; 3]) -> [u8; 3] {
    [y + 0.956 * i + 0.621 * q, y - 0.272 * i - 0.647 * q, y - 1.106 * i + 1.703 * q]
        .map(|level| level.round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, rng};

    const NONE: Change =
        Change { brightness: 1.0, contrast: 1.0, saturation: 1.0, turn: 0.0, hidden: [0.5, 0.5] };

    fn recolored(change: Change, mut pixels: Vec<u8>) -> Vec<u8> {
        change.recolor(&mut pixels);
        pixels
    }

    #[test]
    fn colors_change_as_each_factor_says() {
        let colors = vec![200, 40, 90, 10, 160, 70, 60, 60, 220];
        let away = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(away(&recolored(NONE, colors.clone()), &colors) <= 1);
        assert_eq!(recolored(Change { brightness: 0.5, ..NONE }, vec![200; 3]), [100; 3]);
        // Around the mean, 150.
        let contrast = Change { contrast: 1.4, ..NONE };
        assert_eq!(recolored(contrast, [[100u8; 3], [200; 3]].concat()), [[80u8; 3], [220; 3]].concat());
        let gray = recolored(Change { saturation: 0.0, ..NONE }, vec![200, 40, 90]);
        assert!(away(&gray, &[94; 3]) <= 1, "{gray:?}");
        // Whatever is gray stays as it is when hues turn, and red turned by a tenth of the circle is no red.
        let turned = Change { turn: MOST_TURNED, ..NONE };
        assert!(away(&recolored(turned, vec![120; 3]), &[120; 3]) <= 1);
        assert!(away(&recolored(turned, vec![220, 20, 20]), &[220, 20, 20]) > 30);
        assert_eq!(recolored(Change { brightness: 1.4, ..NONE }, vec![250; 3]), [255; 3]);
    }

    #[test]
    fn a_square_of_half_the_side_is_hidden_as_far_as_it_lies_inside() {
        let hidden = |middle: [f32; 2], side: usize| {
            let mut values = vec![1.0; 3 * side * side];
            Change { hidden: middle, ..NONE }.hide(&mut values, side);
            let planes: Vec<Vec<f32>> = values.chunks(side * side).map(<[f32]>::to_vec).collect();
            assert!(planes.iter().all(|plane| *plane == planes[0]));
            planes[0].iter().filter(|value| **value == 0.0).count()
        };
        assert_eq!(hidden([0.5, 0.5], 8), 16);
        assert_eq!(hidden([0.0, 0.0], 8), 4);
        assert_eq!(hidden([0.999, 0.5], 8), 12);
        assert_eq!(hidden([0.5, 0.5], 1), 1);
    }

    #[test]
    fn draws_cover_their_ranges() {
        let rng = &mut rng(0, Stream::Augment, 0, 0);
        let draws: Vec<Change> = (0..400).map(|_| Change::draw(rng)).collect();
        let spread = |of: fn(&Change) -> f32| {
            let values = draws.iter().map(of);
            [values.clone().fold(f32::INFINITY, f32::min), values.fold(f32::NEG_INFINITY, f32::max)]
        };
        for of in
            [|it: &Change| it.brightness, |it| it.contrast, |it| it.saturation] as [fn(&Change) -> f32; 3]
        {
            let [least, most] = spread(of);
            assert!((0.6..0.62).contains(&least) && (1.38..=1.4).contains(&most), "{least} to {most}");
        }
        let [least, most] = spread(|it| it.turn);
        assert!(least < -0.3 && most > 0.3, "{least} to {most}");
        let [least, most] = spread(|it| it.hidden[0]);
        assert!(least < 0.02 && most > 0.98 && most < 1.0, "{least} to {most}");
    }
}
