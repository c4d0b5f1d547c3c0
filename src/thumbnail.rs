//! Photographs small enough to lie within a page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use sarb_labels::images::Rgb8;

/// The longer side of a picture within a page, in pixels.
pub const SIDE_PX: u32 = 240;
/// Quality of the pictures within a page, of 100.
const QUALITY: u8 = 80;

/// So small that the longer side fits within a page.
pub fn shrunk(photo: &Rgb8) -> Rgb8 {
    shrunk_to(photo, SIDE_PX)
}

/// So small that the longer side has at most so many pixels.
pub fn shrunk_to(photo: &Rgb8, side_px: u32) -> Rgb8 {
    let longer = photo.width.max(photo.height);
    if longer <= side_px {
        return photo.clone();
    }
    let scaled = |side: u32| (u64::from(side) * u64::from(side_px) / u64::from(longer)).max(1) as u32;
    let picture =
        RgbImage::from_raw(photo.width, photo.height, photo.pixels.clone()).expect("three bytes a pixel");
    let small =
        image::imageops::resize(&picture, scaled(photo.width), scaled(photo.height), FilterType::Triangle);
    Rgb8 { width: small.width(), height: small.height(), pixels: small.into_raw() }
}

/// A picture as the address of an `<img>`.
///
/// # Panics
/// If it has no pixel.
pub fn data_uri(picture: &Rgb8) -> String {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .write_image(&picture.pixels, picture.width, picture.height, ExtendedColorType::Rgb8)
        .expect("memory takes an RGB image");
    format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_small_and_keep_their_shape() {
        let photo = Rgb8 { width: 1000, height: 10, pixels: vec![7; 30_000] };
        let small = shrunk(&photo);
        assert_eq!((small.width, small.height), (SIDE_PX, 2));
        assert!(data_uri(&small).starts_with("data:image/jpeg;base64,"));
    }
}
