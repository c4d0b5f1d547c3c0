//! Heat maps as files: where a category is seen, laid over the image.

use std::io::Write;
use std::path::Path;

use image::RgbImage;
use sarb::{Attention, Error, Result};
use sarb_labels::images::decode;

/// Writes `<prefix>.<category>.png` for each category in `shown`.
pub fn write(prefix: &Path, file: &Path, attention: &Attention, shown: &[(usize, &str)]) -> Result<()> {
    let photo = decode(file)?;
    for &(category, name) in shown {
        let name: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let path = std::path::PathBuf::from(format!("{}.{name}.png", prefix.display()));
        let tinted = sarb::heat_map::overlay(&photo, attention.of(category), attention.side);
        let picture = RgbImage::from_raw(tinted.width, tinted.height, tinted.pixels);
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture
            .expect("three bytes a pixel")
            .write_to(&mut bytes, image::ImageFormat::Png)
            .map_err(|e| Error::io(&path, std::io::Error::other(e)))?;
        sarb_labels::files::write_atomically(&path, |out| out.write_all(bytes.get_ref()))?;
    }
    Ok(())
}
