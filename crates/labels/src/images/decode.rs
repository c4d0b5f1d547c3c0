//! Image files to 8-bit RGB, whatever they are called and however they are stored.
//!
//! The format is read from the content. Gray, palette, 16-bit, floating-point, CMYK and transparent
//! images all become RGB: transparency is dropped, not blended, as Pillow's `convert("RGB")` does,
//! on which the published numbers rest. Differing from the official code, the camera's orientation
//! is applied, so that a portrait photograph stands upright.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};

use crate::images::tar_member;
use crate::{Error, Result};

/// Largest image that is decoded, in pixels. The sensors of today's telephones end at 50 million; a
/// decoded image of that size takes 150 MB in each worker, and larger ones are rarely meant.
pub const MAX_PIXELS: u64 = 50_000_000;

/// Longest side of an image that is decoded, the longest that a JPEG has. Resizing keeps a row of pixels for every row
/// of the result, so that one of 50 million pixels in a single row would take gigabytes.
pub const MAX_SIDE_PX: u32 = 65_535;

/// Most bytes that a file may have and that a decoder may allocate: [`MAX_PIXELS`] with four
/// channels of 16 bits fit.
const MAX_BYTES: u64 = 512 << 20;

/// How the names of images end, in small letters.
pub const EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif"];

/// Whether the name of a file ends as those of images do.
pub fn has_extension(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|it| EXTENSIONS.iter().any(|known| it.eq_ignore_ascii_case(known)))
}

const ACCEPTED: &str = "expected a whole JPEG, PNG, WebP, GIF, BMP or TIFF image of at most 50 megapixels";

/// What an image is of a format that is not read, and what to do; telephones write the one, web sites the other.
/// Both begin with the `ftyp` box of ISO/IEC 14496-12, whose brands are those of HEIF (ISO/IEC 23008-12) and
/// AVIF.
pub fn not_read(bytes: &[u8]) -> Option<&'static str> {
    const AVIF: [&[u8]; 2] = [b"avif", b"avis"];
    const HEIC: [&[u8]; 8] = [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"];
    let length = usize::try_from(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?)).ok()?;
    let rest = bytes.get(4..length.min(bytes.len()))?.strip_prefix(b"ftyp")?;
    // The four bytes after the first brand are its version.
    let mut brands =
        rest.chunks_exact(4).enumerate().filter(|(place, _)| *place != 1).map(|(_, brand)| brand);
    if brands.clone().any(|brand| AVIF.contains(&brand)) {
        return Some("an AVIF image, which sarb does not read: convert it to JPEG or PNG");
    }
    let heic = brands.any(|brand| HEIC.contains(&brand));
    heic.then_some("a HEIC image, which sarb does not read: convert it to JPEG or PNG")
}

/// An image of 8-bit RGB pixels, row by row from the top left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb8 {
    /// Pixels in a row, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
    /// `height · width · 3` bytes: red, green, blue.
    pub pixels: Vec<u8>,
}

/// Reads and decodes an image file, upright. A path that leads on below a tar file, as
/// `shards/000.tar/1.jpg`, names a member of it.
///
/// # Errors
/// [`Error::Missing`] without the file, [`Error::Io`] when it cannot be read and [`Error::Data`]
/// with the reason when it is not a whole image of an accepted format and size.
pub fn decode(path: &Path) -> Result<Rgb8> {
    decode_bytes(&read_file(path)?, &path.display().to_string())
}

/// Decodes the content of an image file; `name` says in errors which one.
///
/// # Errors
/// [`Error::Data`] with the reason.
pub fn decode_bytes(bytes: &[u8], name: &str) -> Result<Rgb8> {
    let refuse = |reason: String| Error::Data(format!("{name}: {reason}; {ACCEPTED}"));
    if bytes.is_empty() {
        return Err(refuse("the file is empty".into()));
    }
    if let Some(what) = not_read(bytes) {
        return Err(Error::Data(format!("{name}: {what}")));
    }
    let (orientation, mut image) = decode_within_limits(bytes).map_err(refuse)?;
    image.apply_orientation(orientation);
    let rgb = image.into_rgb8();
    let (width, height) = rgb.dimensions();
    Ok(Rgb8 { width, height, pixels: rgb.into_raw() })
}

/// The bytes of an image file, or of a member of a tar file, refused before reading when there are too many.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let io = |source| Error::io(path, source);
    let mut file = match File::open(path) {
        Ok(file) => file,
        // Only now, so that files pay nothing for tar files.
        Err(source) => return read_member(path, source),
    };
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(unread(path, "not a file"));
    }
    check_size(path, metadata.len())?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    file.read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// The bytes of an image in a tar file, if `path` leads into one; `source` is why it opens no file.
fn read_member(path: &Path, source: std::io::Error) -> Result<Vec<u8>> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    let may_lead_into_one = matches!(source.kind(), NotADirectory | NotFound);
    let Some(within) = tar_member::split(path).filter(|_| may_lead_into_one) else {
        return Err(Error::io(path, source));
    };
    let (mut tar, place) = tar_member::find(path, within)?;
    check_size(path, place.bytes)?;
    tar.read(place)
}

fn check_size(path: &Path, bytes: u64) -> Result<()> {
    match bytes {
        0..=MAX_BYTES => Ok(()),
        _ => Err(unread(path, &format!("the file has {} MB", bytes / 1_000_000))),
    }
}

fn unread(path: &Path, reason: &str) -> Error {
    Error::Data(format!("{}: {reason}; {ACCEPTED}", path.display()))
}

/// Width and height of an image by its content, whatever its name and before the camera's orientation is
/// applied; nothing of what cannot be read or has no pixels. Of a file only the header is read, of a member
/// of a tar file all of it.
pub fn stored_size(path: &Path) -> Option<(u32, u32)> {
    fn size(content: impl BufRead + Seek) -> Option<(u32, u32)> {
        ImageReader::new(content).with_guessed_format().ok()?.into_dimensions().ok()
    }
    let (width, height) = match File::open(path) {
        Ok(file) => size(BufReader::new(file))?,
        Err(_) => size(Cursor::new(read_file(path).ok()?))?,
    };
    (width > 0 && height > 0).then_some((width, height))
}

/// The pixels as stored and how to turn them; the size is checked before anything is allocated.
fn decode_within_limits(bytes: &[u8]) -> Result<(Orientation, DynamicImage), String> {
    let mut reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    let Some(format) = reader.format() else {
        return Err("not an image, by its content".into());
    };
    if format == image::ImageFormat::Jpeg && !jpeg_is_whole(bytes) {
        return Err("truncated JPEG: its end marker is missing".into());
    }
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(reason)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(format!("an image of {width} × {height} pixels"));
    }
    if width.max(height) > MAX_SIDE_PX {
        return Err(format!("{width} × {height} pixels; a side is longer than {MAX_SIDE_PX}"));
    }
    if pixels > MAX_PIXELS || decoder.total_bytes() > MAX_BYTES {
        return Err(format!("{width} × {height} pixels are too many"));
    }
    // An unreadable orientation is no reason to lose the photograph.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((orientation, DynamicImage::from_decoder(decoder).map_err(reason)?))
}

fn reason(error: ImageError) -> String {
    match error {
        ImageError::IoError(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
            "truncated: the file ends before its last pixel".into()
        }
        other => other.to_string(),
    }
}

/// Whether the end marker follows the scans. The decoder paints what is missing gray and says
/// nothing, and a photograph half gray would be trained on; Pillow refuses such files as well.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    const END: [u8; 2] = [0xff, 0xd9];
    let mut at = 2;
    while let Some(skipped) = bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xff)) {
        at += skipped + 1;
        match bytes.get(at) {
            Some(0xd9) => return true,
            // A fill byte: the marker is still to come.
            Some(0xff) => {}
            // Stuffing within a scan, and the markers that have no content.
            Some(0x00 | 0x01 | 0xd0..=0xd8) => at += 1,
            Some(_) => match bytes.get(at + 1..at + 3) {
                Some(length) => at += 1 + usize::from(u16::from_be_bytes([length[0], length[1]])),
                None => break,
            },
            None => break,
        }
    }
    // A damaged segment length leads the walk past the end of a file that is complete.
    bytes.ends_with(&END)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ExtendedColorType, ImageFormat, Luma, LumaA, Rgb, Rgba};
    use std::path::PathBuf;

    fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    /// 24 × 16, red left of the middle and blue right of it.
    fn two_halves() -> image::RgbImage {
        image::RgbImage::from_fn(24, 16, |x, _| if x < 12 { Rgb([200, 10, 10]) } else { Rgb([10, 10, 200]) })
    }

    fn message(bytes: &[u8]) -> String {
        let error = decode_bytes(bytes, "x.jpg").unwrap_err();
        assert!(matches!(error, Error::Data(_)), "{error:?}");
        error.to_string()
    }

    #[test]
    fn an_image_that_is_all_in_one_row_is_refused_before_it_is_decoded() {
        let row = |width| encoded(image::GrayImage::new(width, 1), ImageFormat::Png);
        assert!(decode_bytes(&row(MAX_SIDE_PX), "x.png").is_ok());
        let message = message(&row(MAX_SIDE_PX + 1));
        assert!(message.contains("65536 × 1 pixels; a side is longer than 65535"), "{message}");
        let column = encoded(image::GrayImage::new(1, MAX_SIDE_PX + 1), ImageFormat::Png);
        assert!(decode_bytes(&column, "x.png").is_err());
    }

    #[test]
    fn every_format_is_known_by_its_content_whatever_its_name() {
        let folder = tempfile::tempdir().unwrap();
        for format in [
            ImageFormat::Png,
            ImageFormat::Jpeg,
            ImageFormat::WebP,
            ImageFormat::Gif,
            ImageFormat::Bmp,
            ImageFormat::Tiff,
        ] {
            let path = folder.path().join("photograph.txt");
            std::fs::write(&path, encoded(two_halves(), format)).unwrap();
            let image = decode(&path).unwrap();
            assert_eq!((image.width, image.height), (24, 16), "{format:?}");
            // JPEG and GIF lose a little.
            for (found, expected) in image.pixels.iter().zip(two_halves().as_raw()) {
                assert!(found.abs_diff(*expected) <= 12, "{format:?}: {found} for {expected}");
            }
        }
    }

    #[test]
    fn every_kind_of_pixel_becomes_rgb() {
        let gray = image::ImageBuffer::from_pixel(3, 2, Luma([77u8]));
        let gray_alpha = image::ImageBuffer::from_pixel(3, 2, LumaA([77u8, 0]));
        let deep = image::ImageBuffer::from_pixel(3, 2, Rgb([65535u16, 0, 128 * 257]));
        let transparent = image::ImageBuffer::from_pixel(3, 2, Rgba([9u8, 8, 7, 0]));
        let cases: [(DynamicImage, [u8; 3]); 4] = [
            (gray.into(), [77; 3]),
            (gray_alpha.into(), [77; 3]),
            (deep.into(), [255, 0, 128]),
            (transparent.into(), [9, 8, 7]),
        ];
        for (image, expected) in cases {
            let decoded = decode_bytes(&encoded(image, ImageFormat::Png), "x.png").unwrap();
            assert_eq!(decoded.pixels, expected.repeat(6));
        }
    }

    #[test]
    fn the_four_inks_of_print_become_rgb() {
        // Made by Pillow 13: Image.new("CMYK", (16, 16), (200, 40, 90, 30)).save("cmyk.jpg"); its own
        // convert("RGB") of the saved file gives (49, 190, 146).
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/cmyk.jpg"));
        let image = decode(&path).unwrap();
        assert_eq!((image.width, image.height), (16, 16));
        for pixel in image.pixels.chunks(3) {
            for (found, expected) in pixel.iter().zip([49u8, 190, 146]) {
                assert!(found.abs_diff(expected) <= 2, "{pixel:?}");
            }
        }
    }

    #[test]
    fn the_orientation_of_the_camera_is_applied() {
        // Orientation 6: the camera was held upright, turn a quarter clockwise to see it so.
        let exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let plain = encoded(two_halves(), ImageFormat::Jpeg);
        let mut turned = plain[..2].to_vec();
        turned.extend([0xff, 0xe1]);
        turned.extend((exif.len() as u16 + 2).to_be_bytes());
        turned.extend_from_slice(exif);
        turned.extend_from_slice(&plain[2..]);
        let image = decode_bytes(&turned, "x.jpg").unwrap();
        assert_eq!((image.width, image.height), (16, 24));
        let [first, last] = [&image.pixels[..3], &image.pixels[image.pixels.len() - 3..]];
        assert!(first[0] > 150 && last[2] > 150, "red went to the top: {first:?} {last:?}");
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp] {
            let whole = encoded(two_halves(), format);
            for length in [1, 2, 12, whole.len() / 2, whole.len() - 13] {
                let text = message(&whole[..length]);
                assert!(text.starts_with("x.jpg: ") && text.ends_with(ACCEPTED), "{format:?}: {text}");
            }
        }
        let bmp = encoded(two_halves(), ImageFormat::Bmp);
        let cut = message(&bmp[..bmp.len() / 2]);
        assert!(cut.contains("truncated: the file ends before its last pixel"), "{cut}");
        let whole = encoded(two_halves(), ImageFormat::Jpeg);
        assert!(message(&whole[..whole.len() - 2]).contains("truncated"), "only the end marker is gone");
    }

    #[test]
    fn bytes_after_the_end_marker_and_markers_inside_segments_do_no_harm() {
        let mut bytes = encoded(two_halves(), ImageFormat::Jpeg);
        bytes.extend_from_slice(b"a note by the camera");
        assert_eq!(decode_bytes(&bytes, "x.jpg").unwrap().width, 24);
        // A thumbnail's end marker within a comment is not the image's.
        let plain = encoded(two_halves(), ImageFormat::Jpeg);
        let mut commented = plain[..2].to_vec();
        commented.extend([0xff, 0xfe, 0, 4, 0xff, 0xd9]);
        commented.extend_from_slice(&plain[2..plain.len() - 40]);
        assert!(message(&commented).contains("truncated"));
    }

    #[test]
    fn what_is_no_image_is_said_to_be_none() {
        assert!(message(b"").contains("empty"));
        assert!(message(b"image,dog,cat\na.jpg,1,0\n").contains("not an image"));
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("nowhere.png");
        assert!(matches!(decode(&missing), Err(Error::Missing(text)) if text.contains("nowhere.png")));
        assert!(matches!(decode(folder.path()), Err(Error::Data(_) | Error::Io { .. })));
        let below = missing.join("a.png");
        assert!(
            matches!(decode(&below), Err(Error::Missing(text)) if text.ends_with("no such file or folder"))
        );
    }

    #[test]
    fn images_of_formats_that_are_not_read_say_what_to_do() {
        for (start, kind) in [
            (&b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf"[..], "an AVIF image"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "an AVIF image"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC image"),
            (b"\0\0\0\x10ftypmif1\0\0\0\0", "a HEIC image"),
        ] {
            let bytes = [start, &[0; 100]].concat();
            let expected = format!("x.jpg: {kind}, which sarb does not read: convert it to JPEG or PNG");
            assert_eq!(message(&bytes), expected);
        }
        // A film, and a box that is cut off.
        for other in [&b"\0\0\0\x14ftypisom\0\0\0\0mp41avif"[..], b"\0\0\0\x04ftypavif", b"\0\0\0"] {
            assert_eq!(not_read(other), None);
        }
    }

    #[test]
    fn sizes_come_from_the_content_and_what_is_broken_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        image::RgbImage::new(5, 7).save_with_format(&path, ImageFormat::Png).unwrap();
        assert_eq!(stored_size(&path), Some((5, 7)));
        std::fs::write(&path, "no image").unwrap();
        assert_eq!(stored_size(&path), None);
        assert_eq!(stored_size(folder.path()), None);
        assert_eq!(stored_size(&path.join("b.jpg")), None);
    }

    #[test]
    fn a_hundred_megapixels_are_refused_by_the_header_alone() {
        // A PNG that says 10,000 × 10,000 and carries almost nothing, so that decoding it would fail
        // in another way.
        let mut bytes = Vec::new();
        image::ImageEncoder::write_image(
            image::codecs::png::PngEncoder::new(&mut bytes),
            &[0; 3],
            1,
            1,
            ExtendedColorType::Rgb8,
        )
        .unwrap();
        bytes[16..20].copy_from_slice(&10_000u32.to_be_bytes());
        bytes[20..24].copy_from_slice(&10_000u32.to_be_bytes());
        let checksum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        assert!(message(&bytes).contains("10000 × 10000 pixels are too many"), "{}", message(&bytes));
    }

    #[test]
    fn pixels_of_many_bytes_are_counted_in_bytes() {
        // A TIFF of three numbers of 32 bits a pixel: 49 megapixels, 588 MB; its fields have two or four bytes.
        let fields = |side: u16| {
            let side = u32::from(side);
            [
                (256u16, 3u16, 1u32, side),
                (257, 3, 1, side),
                (258, 3, 3, 134),
                (259, 3, 1, 1),
                (262, 3, 1, 2),
                (273, 4, 1, 146),
                (277, 3, 1, 3),
                (278, 3, 1, side),
                (279, 4, 1, side * side * 12),
                (339, 3, 3, 140),
            ]
        };
        let tiff = |side: u16| {
            let mut bytes = b"II*\0\x08\0\0\0\x0a\0".to_vec();
            for (tag, kind, count, value) in fields(side) {
                bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
                bytes.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
            }
            bytes.extend([0; 4]);
            bytes.extend([32, 0, 32, 0, 32, 0, 3, 0, 3, 0, 3, 0]);
            bytes
        };
        let whole = [tiff(2), [0.5f32.to_le_bytes(); 12].concat()].concat();
        assert_eq!(decode_bytes(&whole, "x.tif").unwrap().pixels.len(), 12);
        let said = message(&tiff(7000));
        assert!(said.contains("7000 × 7000 pixels are too many"), "{said}");
    }

    #[test]
    fn only_a_file_that_ends_too_early_is_called_truncated() {
        let said = |kind: std::io::ErrorKind| reason(ImageError::IoError(kind.into()));
        assert!(said(std::io::ErrorKind::UnexpectedEof).starts_with("truncated: "));
        assert!(!said(std::io::ErrorKind::PermissionDenied).contains("truncated"));
    }

    /// PNG's checksum of a chunk.
    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
        })
    }

    #[test]
    #[ignore = "needs data that is not in the repository"]
    fn outside_data_our_jpeg_decoder_stays_within_a_few_levels_of_libjpeg() {
        let path = crate::outside_data::outside_data("data/coco18/images/0.jpg");
        let image = decode(&path).unwrap();
        let expected = crate::images::resize::tests::fixture("0.decoded");
        assert_eq!((image.height, image.width), (320, 240));
        let differences: Vec<u8> = image.pixels.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).collect();
        let mean = differences.iter().map(|&d| f64::from(d)).sum::<f64>() / differences.len() as f64;
        println!("largest {}, mean {mean:.4}", differences.iter().max().unwrap());
        assert!(*differences.iter().max().unwrap() <= 4 && mean < 0.6, "mean {mean}");
    }
}
