//! Heat maps as files: where a category is seen, laid over the image, with a caption below.

use std::io::Write;
use std::path::{Path, PathBuf};

use image::RgbImage;
use sarb::heat_map::{Scale, color, overlay};
use sarb::{Attention, Error, Result};
use sarb_labels::images::decode;

use super::caption;

/// A category that is shown.
pub struct Shown<'a> {
    /// Its place among all.
    pub category: usize,
    /// Its name.
    pub name: &'a str,
    /// How probable it is in this image, 0…1.
    pub probability: f32,
}

/// Writes `<prefix>.<category>.png` for each category in `shown`, all on one scale.
pub fn write(prefix: &Path, file: &Path, attention: &Attention, shown: &[Shown<'_>]) -> Result<()> {
    let photo = decode(file)?;
    let values = shown.iter().flat_map(|shown| attention.of(shown.category)).copied();
    let scale = Scale::of(values);
    for Shown { category, name, probability } in shown {
        let tinted = overlay(&photo, attention.of(*category), attention.grid(), scale);
        let picture = RgbImage::from_raw(tinted.width, tinted.height, tinted.pixels);
        let text = format!("{name}  {:.0} %", 100.0 * probability);
        let picture =
            caption::below(&picture.expect("three bytes a pixel"), &text, (scale.low, scale.high), color);
        let name: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let path = PathBuf::from(format!("{}.{name}.png", prefix.display()));
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture
            .write_to(&mut bytes, image::ImageFormat::Png)
            .map_err(|e| Error::io(&path, std::io::Error::other(e)))?;
        sarb_labels::files::write_atomically(&path, |out| out.write_all(bytes.get_ref()))?;
    }
    Ok(())
}
