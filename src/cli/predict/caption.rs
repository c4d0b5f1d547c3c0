//! The band below a heat map that says what is seen: the category, its probability, and what the colors mean.

use std::convert::Infallible;

use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_15::FONT_8X13;
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::text::{Baseline, Text};
use embedded_graphics::{Drawable, Pixel, draw_target::DrawTarget};
use image::{Rgb, RgbImage};

/// Height of a line of text, in pixels.
const LINE: u32 = 16;

/// Width of a letter, in pixels.
const LETTER: u32 = 8;

/// Space around the text, in pixels.
const MARGIN: u32 = 4;

/// Width of the bar of colors, in pixels.
const BAR: u32 = 96;

/// The picture with a band below it, which is wide enough for the bar and its numbers even where the picture is
/// not. `colors` gives the color of a share of the way from the lowest value to the highest.
///
/// Letters beyond Latin-9 are shown as `?`; the name of the file has them all.
pub fn below(
    picture: &RgbImage,
    text: &str,
    (low, high): (f32, f32),
    colors: impl Fn(f32) -> [u8; 3],
) -> RgbImage {
    let [low, high] = [low, high].map(|value| format!("{value:.3}"));
    let numbers = (low.len() + high.len()) as u32 * LETTER;
    let width = picture.width().max(BAR + numbers + 4 * MARGIN);
    let height = picture.height() + 2 * LINE + 2 * MARGIN;
    let mut band = Band(RgbImage::from_pixel(width, height, Rgb([255; 3])));
    image::imageops::replace(&mut band.0, picture, 0, 0);
    let first = picture.height() + MARGIN;
    let letters = ((width - 2 * MARGIN) / LETTER) as usize;
    band.write(&shortened(text, letters), MARGIN, first);
    let second = first + LINE;
    let begin = MARGIN + low.len() as u32 * LETTER + MARGIN;
    band.write(&low, MARGIN, second);
    for x in 0..BAR {
        let color = Rgb(colors(x as f32 / (BAR - 1) as f32));
        (2..LINE - 4).for_each(|y| band.0.put_pixel(begin + x, second + y, color));
    }
    band.write(&high, begin + BAR + MARGIN, second);
    band.0
}

/// A text of at most so many letters; the end of the category gives way, its probability does not.
fn shortened(text: &str, letters: usize) -> String {
    let count = text.chars().count();
    if count <= letters {
        return text.to_owned();
    }
    let (name, probability) = text.rsplit_once("  ").unwrap_or((text, ""));
    let kept = letters.saturating_sub(probability.chars().count() + 4);
    let name: String = name.chars().take(kept).collect();
    format!("{name}..  {probability}")
}

/// A picture that text can be drawn on.
struct Band(RgbImage);

impl Band {
    fn write(&mut self, text: &str, x: u32, y: u32) {
        let style = MonoTextStyle::new(&FONT_8X13, Rgb888::BLACK);
        let at = Point::new(x as i32, y as i32);
        let Ok(_) = Text::with_baseline(text, at, style, Baseline::Top).draw(self);
    }
}

impl OriginDimensions for Band {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Band {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(Point { x, y }, color) in pixels {
            if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
                && let Some(pixel) = self.0.get_pixel_mut_checked(x, y)
            {
                *pixel = Rgb([color.r(), color.g(), color.b()]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(share: f32) -> [u8; 3] {
        [(100.0 + 100.0 * share) as u8; 3]
    }

    #[test]
    fn the_picture_stays_and_text_and_colors_stand_below_it() {
        let picture = RgbImage::from_pixel(300, 50, Rgb([7, 8, 9]));
        let whole = below(&picture, "cat  87 %", (0.0, 1.0), gray);
        assert_eq!(whole.dimensions(), (300, 50 + 2 * LINE + 2 * MARGIN));
        assert!((0..50).all(|y| (0..300).all(|x| whole.get_pixel(x, y) == picture.get_pixel(x, y))));
        let text = |image: &RgbImage, y: u32| (0..image.width()).any(|x| image.get_pixel(x, y)[0] == 0);
        assert!((54..70).any(|y| text(&whole, y)) && (70..86).any(|y| text(&whole, y)));
        let bar: Vec<u8> =
            (0..300).map(|x| whole.get_pixel(x, 78)[0]).filter(|v| (100..=200).contains(v)).collect();
        assert_eq!((bar.len(), bar[0], bar[95]), (96, 100, 200));
        let other = below(&picture, "dog  87 %", (0.0, 1.0), gray);
        assert_ne!(whole, other);
    }

    #[test]
    fn a_small_picture_and_a_long_name_leave_room_for_the_probability() {
        let whole = below(&RgbImage::new(8, 8), "cat  87 %", (-1.25, 12.5), gray);
        assert!(whole.width() > 96);
        assert_eq!(shortened("a rather long name of a category  87 %", 20), "a rather lon..  87 %");
        assert_eq!(shortened("cat  87 %", 20), "cat  87 %");
    }
}
