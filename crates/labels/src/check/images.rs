//! What one image file is: whole or broken, its size, what is odd about it, and what it is compared by.

use std::io::Cursor;
use std::path::Path;

use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::{AnimationDecoder, ExtendedColorType, ImageDecoder, ImageFormat, ImageReader};

use super::Code;
use super::perceptual_hash::{Look, Thumbnail};
use crate::Error;
use crate::images::tar_member::split;
use crate::images::{MAX_PIXELS, Rgb8, decode_bytes, not_read, read_file};

/// A shorter side below this many pixels is tiny.
const TINY_PX: u32 = 32;
/// More pixels than this are many: four times the 1440 × 1440 that the largest usual networks read.
const LARGE_PIXELS: u64 = 8_000_000;
/// A side this many times the other makes an image elongated.
const ELONGATED: u32 = 4;
/// Brightest value of an image that uses a sixteenth of its range.
const DARK: u8 = 16;

/// What was found out about one file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Seen {
    /// A whole image.
    Whole(Whole),
    /// A file that training would stop at: how and why.
    Broken(Code, String),
}

/// A whole image, without its pixels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Whole {
    /// Pixels in a row, upright.
    pub width: u32,
    /// Rows, upright.
    pub height: u32,
    /// How the file is encoded.
    pub format: ImageFormat,
    /// Whether its pixels are levels of gray.
    pub gray: bool,
    /// What is odd about it.
    pub odd: Vec<(Code, String)>,
    /// Half of the BLAKE3 digest of the file: equal for equal bytes.
    pub bytes: [u8; 16],
    /// Half of the BLAKE3 digest of size and pixels: equal for equal pictures in whatever encoding.
    pub pixels: [u8; 16],
    /// What it looks like; none for an image with too little detail.
    pub look: Option<Look>,
}

/// Reads, decodes and forgets an image; `name` stands for it in messages.
pub(super) fn examine(path: &Path, name: &str) -> Seen {
    let bytes = match read_file(path) {
        Ok(bytes) => bytes,
        Err(Error::Missing(_)) => {
            let what = if split(path).is_some() { "no such member of the tar file" } else { "no such file" };
            return Seen::Broken(Code::ImageMissing, format!("{name}: {what}"));
        }
        Err(Error::Io { source, .. }) => {
            return Seen::Broken(Code::ImageUnreadable, format!("{name}: {source}"));
        }
        Err(_) if path.is_file() => {
            return Seen::Broken(Code::ImageTooLarge, format!("{name}: the file is too large"));
        }
        Err(_) if path.exists() => {
            return Seen::Broken(Code::ImageNotAnImage, format!("{name}: not a file"));
        }
        // What is wrong with its tar file.
        Err(error) => return Seen::Broken(Code::ImageUnreadable, format!("{name}: {error}")),
    };
    if bytes.is_empty() {
        return Seen::Broken(Code::ImageEmpty, format!("{name}: a file of 0 bytes"));
    }
    if let Some(what) = not_read(&bytes) {
        return Seen::Broken(Code::ImageNotAnImage, format!("{name}: {what}"));
    }
    let Ok(format) = image::guess_format(&bytes) else {
        return Seen::Broken(Code::ImageNotAnImage, format!("{name}: {}", kind_of(&bytes)));
    };
    let header = header(&bytes);
    match decode_bytes(&bytes, name) {
        Ok(image) => {
            let thumbnail = Thumbnail::of(&image);
            let color = header.map_or(ExtendedColorType::Rgb8, |(_, color)| color);
            Seen::Whole(Whole {
                width: image.width,
                height: image.height,
                format,
                gray: matches!(color.channel_count(), 1 | 2),
                odd: odd(&bytes, name, format, &image, &thumbnail),
                bytes: half(blake3::hash(&bytes)),
                pixels: {
                    let mut hasher = blake3::Hasher::new();
                    hasher.update(&image.width.to_le_bytes()).update(&image.pixels);
                    half(hasher.finalize())
                },
                look: thumbnail.look(),
            })
        }
        Err(error) => {
            let too_large = header.is_some_and(|(pixels, _)| pixels > MAX_PIXELS);
            let code = if too_large { Code::ImageTooLarge } else { Code::ImageBroken };
            Seen::Broken(code, error.to_string())
        }
    }
}

fn half(digest: blake3::Hash) -> [u8; 16] {
    let (first, _) = digest.as_bytes().split_at(16);
    first.try_into().expect("16 bytes")
}

/// What a file is that is not an image.
fn kind_of(bytes: &[u8]) -> &'static str {
    let start = bytes[..bytes.len().min(512)].trim_ascii_start().to_ascii_lowercase();
    match &start[..] {
        [b'<', rest @ ..] if rest.starts_with(b"!doctype html") || rest.starts_with(b"html") => {
            "a web page, not an image"
        }
        [b'<', ..] => "XML text (SVG?), which is not read",
        _ if start.starts_with(b"version https://git-lfs") => "a Git LFS pointer; run git lfs pull",
        _ if start.get(4..8) == Some(b"ftyp") => "an MP4 or similar file, not an image",
        _ if start.starts_with(b"%pdf") => "a PDF file, not an image",
        _ => "not an image, by its content",
    }
}

/// Number of pixels and kind of color, without decoding.
fn header(bytes: &[u8]) -> Option<(u64, ExtendedColorType)> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
    let decoder = reader.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    Some((u64::from(width) * u64::from(height), decoder.original_color_type()))
}

fn odd(
    bytes: &[u8],
    name: &str,
    format: ImageFormat,
    image: &Rgb8,
    thumbnail: &Thumbnail,
) -> Vec<(Code, String)> {
    let (width, height) = (image.width, image.height);
    let (short, long) = (width.min(height), width.max(height));
    let size = format!("{width} × {height} pixels");
    let mut odd = Vec::new();
    if is_animated(bytes, format) {
        let what = match format {
            ImageFormat::Tiff => "several pages; only the first is read",
            _ => "animated; only its first frame is read",
        };
        odd.push((Code::ImageAnimated, format!("{name}: {what}")));
    }
    if short < TINY_PX {
        odd.push((Code::ImageTiny, format!("{name}: {size}")));
    } else if long / short >= ELONGATED {
        odd.push((Code::ImageElongated, format!("{name}: {size}")));
    }
    if u64::from(width) * u64::from(height) > LARGE_PIXELS {
        odd.push((Code::ImageLarge, format!("{name}: {size}")));
    }
    if thumbnail.is_one_color() {
        odd.push((Code::ImageOneColor, format!("{name}: one color all over")));
    } else {
        let brightest = image.pixels.iter().copied().max().unwrap_or(0);
        if brightest <= DARK {
            odd.push((Code::ImageDark, format!("{name}: dark, no value above {brightest} of 255")));
        }
    }
    odd
}

/// Whether there is a second frame or page.
fn is_animated(bytes: &[u8], format: ImageFormat) -> bool {
    let bytes = Cursor::new(bytes);
    match format {
        ImageFormat::Gif => GifDecoder::new(bytes)
            .is_ok_and(|decoder| decoder.into_frames().take(2).filter(Result::is_ok).count() > 1),
        ImageFormat::Png => PngDecoder::new(bytes).and_then(|decoder| decoder.is_apng()).unwrap_or(false),
        ImageFormat::Tiff => has_second_page(bytes.get_ref()).unwrap_or(false),
        ImageFormat::WebP => WebPDecoder::new(bytes).is_ok_and(|decoder| decoder.has_animation()),
        _ => false,
    }
}

/// Whether the first directory of a TIFF file leads to a second one (TIFF 6.0, section 2).
fn has_second_page(bytes: &[u8]) -> Option<bool> {
    let little = bytes.starts_with(b"II*\0");
    let number = |at: usize, length: usize| {
        let bytes = bytes.get(at..at.checked_add(length)?)?;
        let digit = |number, &byte: &u8| number << 8 | usize::from(byte);
        Some(if little { bytes.iter().rev().fold(0, digit) } else { bytes.iter().fold(0, digit) })
    };
    if !little && !bytes.starts_with(b"MM\0*") {
        return None;
    }
    let directory = number(4, 4)?;
    let next = directory + 2 + 12 * number(directory, 2)?;
    Some(number(next, 4)? != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::gif::GifEncoder;
    use image::{DynamicImage, Frame, Rgb, RgbImage, Rgba, RgbaImage};

    fn picture(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([(x * 5) as u8, (y * 3) as u8, (x * y / 50) as u8]))
    }

    fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn seen(bytes: &[u8]) -> Seen {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        std::fs::write(&path, bytes).unwrap();
        examine(&path, "a.jpg")
    }

    fn whole(bytes: &[u8]) -> Whole {
        match seen(bytes) {
            Seen::Whole(whole) => whole,
            broken => panic!("{broken:?}"),
        }
    }

    fn broken(bytes: &[u8]) -> (Code, String) {
        match seen(bytes) {
            Seen::Broken(code, message) => (code, message),
            whole => panic!("{whole:?}"),
        }
    }

    fn oddities(bytes: &[u8]) -> Vec<Code> {
        whole(bytes).odd.into_iter().map(|(code, _)| code).collect()
    }

    #[test]
    fn broken_files_are_told_apart() {
        let jpeg = encoded(picture(60, 50), ImageFormat::Jpeg);
        assert_eq!(broken(b""), (Code::ImageEmpty, "a.jpg: a file of 0 bytes".into()));
        let (code, message) = broken(&jpeg[..jpeg.len() / 2]);
        assert!(code == Code::ImageBroken && message.starts_with("a.jpg: truncated JPEG"), "{message}");
        let png = encoded(picture(60, 50), ImageFormat::Png);
        assert_eq!(broken(&png[..png.len() / 2]).0, Code::ImageBroken);
        let mut huge = encoded(picture(1, 1), ImageFormat::Bmp);
        huge[18..22].copy_from_slice(&30_000u32.to_le_bytes());
        huge[22..26].copy_from_slice(&30_000u32.to_le_bytes());
        assert_eq!(broken(&huge).0, Code::ImageTooLarge);
        for (bytes, kind) in [
            (&b" <!DOCTYPE html><title>404</title>"[..], "a web page"),
            (b"<HTML><head></head></HTML>", "a web page"),
            (b"<?xml version='1.0'?><svg></svg>", "XML text"),
            (b"%PDF-1.7\n", "a PDF file"),
            (b"\0\0\0\x18ftypisom\0\0\0\0", "an MP4"),
            (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
            (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
            (b"image,cat\n", "by its content"),
        ] {
            let (code, message) = broken(bytes);
            assert!(code == Code::ImageNotAnImage && message.contains(kind), "{message}");
        }
    }

    #[test]
    fn what_is_not_there_or_no_file_is_said_to_be_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        let missing = Seen::Broken(Code::ImageMissing, "a.jpg: no such file".into());
        assert_eq!(examine(&path, "a.jpg"), missing);
        let no_file = Seen::Broken(Code::ImageNotAnImage, "a.jpg: not a file".into());
        assert_eq!(examine(folder.path(), "a.jpg"), no_file);
        // A file with a hole in it: longer than any image may be, and yet it takes no room.
        std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
        let too_large = Seen::Broken(Code::ImageTooLarge, "a.jpg: the file is too large".into());
        assert_eq!(examine(&path, "a.jpg"), too_large);
    }

    #[test]
    fn members_of_tar_files_are_examined_as_files_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        let jpeg = encoded(picture(60, 50), ImageFormat::Jpeg);
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in [("a.jpg", &*jpeg), ("empty.jpg", b"")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, bytes).unwrap();
        }
        let tar = tar.into_inner().unwrap();
        std::fs::write(&path, &tar).unwrap();
        let examine = |member: &str| examine(&path.join(member), member);
        assert_eq!(examine("a.jpg"), seen(&jpeg));
        let [missing, empty] = ["b.jpg", "empty.jpg"].map(examine);
        let what = "b.jpg: no such member of the tar file".to_owned();
        assert_eq!(missing, Seen::Broken(Code::ImageMissing, what));
        assert_eq!(empty, Seen::Broken(Code::ImageEmpty, "empty.jpg: a file of 0 bytes".into()));
        std::fs::write(&path, &tar[..700]).unwrap();
        let Seen::Broken(code, message) = examine("a.jpg") else { panic!("a tar file that was cut off") };
        assert!(code == Code::ImageUnreadable && message.contains("not read as a tar file"), "{message}");
    }

    #[test]
    fn an_everyday_photograph_is_not_odd() {
        let whole = whole(&encoded(picture(60, 50), ImageFormat::Jpeg));
        assert_eq!((whole.width, whole.height, whole.format), (60, 50, ImageFormat::Jpeg));
        assert!(whole.odd.is_empty() && !whole.gray && whole.look.is_some(), "{whole:?}");
        let gray = DynamicImage::from(picture(60, 50)).into_luma8();
        assert!(self::whole(&encoded(gray, ImageFormat::Png)).gray);
    }

    #[test]
    fn the_inks_of_print_are_whole_images() {
        let print = whole(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/cmyk.jpg")));
        assert!(!print.gray && print.odd.iter().all(|(code, _)| *code != Code::ImageBroken), "{print:?}");
    }

    #[test]
    fn oddities_are_noted() {
        assert_eq!(oddities(&encoded(picture(31, 200), ImageFormat::Png)), [Code::ImageTiny]);
        assert_eq!(oddities(&encoded(picture(32, 100), ImageFormat::Png)), []);
        assert_eq!(oddities(&encoded(picture(400, 100), ImageFormat::Png)), [Code::ImageElongated]);
        assert_eq!(oddities(&encoded(picture(3000, 2700), ImageFormat::Bmp)), [Code::ImageLarge]);
        let page = RgbImage::from_pixel(64, 64, Rgb([250, 250, 250]));
        assert_eq!(oddities(&encoded(page, ImageFormat::Jpeg)), [Code::ImageOneColor]);
        // Twelve bits in sixteen.
        let xray = |range: u16| {
            image::ImageBuffer::from_fn(64, 64, |x, y| image::Luma([(x + y) as u16 * (range / 127)]))
        };
        assert_eq!(oddities(&encoded(xray(4095), ImageFormat::Png)), [Code::ImageDark]);
        assert_eq!(oddities(&encoded(xray(65535), ImageFormat::Png)), []);
    }

    #[test]
    fn a_second_directory_of_a_tiff_is_a_second_page() {
        let page = encoded(picture(64, 64), ImageFormat::Tiff);
        assert_eq!(has_second_page(&page), Some(false));
        assert_eq!(has_second_page(b"II*\0\x08\0\0\0\0\0\x0e\0\0\0"), Some(true));
        assert_eq!(has_second_page(b"MM\0*\0\0\0\x08\0\0\0\0\0\x0e"), Some(true));
        assert_eq!(has_second_page(b"MM\0*\xff\xff\xff\xff"), None);
        // The first directory lies at 256, in the second of four bytes, and has an entry of twelve bytes.
        let mut far = b"II*\0\0\x01\0\0".to_vec();
        far.resize(256, 7);
        far.extend(b"\x01\0entry of 12 \0\0\0\0");
        assert_eq!(has_second_page(&far), Some(false));
        *far.last_mut().unwrap() = 1;
        assert_eq!(has_second_page(&far), Some(true));
    }

    /// A chunk of a PNG file.
    fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let mut sum = flate2::Crc::new();
        sum.update(kind);
        sum.update(data);
        [&(data.len() as u32).to_be_bytes()[..], kind, data, &sum.sum().to_be_bytes()].concat()
    }

    /// A chunk of a WebP file.
    fn webp_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        [&kind[..], &(data.len() as u32).to_le_bytes(), data, &[0][..data.len() % 2]].concat()
    }

    #[test]
    fn animations_of_other_formats_than_gif_and_several_pages_are_noted() {
        let told = |bytes: &[u8]| whole(bytes).odd;
        // A second directory, a copy of the first.
        let mut tiff = encoded(picture(64, 64), ImageFormat::Tiff);
        let directory = u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize;
        let entries = usize::from(u16::from_le_bytes(tiff[directory..directory + 2].try_into().unwrap()));
        let next = directory + 2 + 12 * entries;
        let second = tiff.len().next_multiple_of(2);
        tiff.resize(second, 0);
        tiff.extend_from_within(directory..next + 4);
        tiff[next..next + 4].copy_from_slice(&(second as u32).to_le_bytes());
        assert_eq!(
            told(&tiff),
            [(Code::ImageAnimated, "a.jpg: several pages; only the first is read".into())]
        );

        let animated = [(Code::ImageAnimated, "a.jpg: animated; only its first frame is read".to_owned())];
        // https://www.w3.org/TR/png-3: acTL and fcTL stand before the data, which begin 33 bytes into the file.
        let png = encoded(picture(64, 64), ImageFormat::Png);
        let count = png_chunk(b"acTL", &[1u32.to_be_bytes(), 0u32.to_be_bytes()].concat());
        let place = [0, 64, 64, 0, 0].map(u32::to_be_bytes).concat();
        let frame = png_chunk(b"fcTL", &[&place[..], &[0, 1, 0, 1, 0, 0]].concat());
        assert_eq!(told(&[&png[..33], &count, &frame, &png[33..]].concat()), animated);

        // https://developers.google.com/speed/webp/docs/riff_container: sizes less one in three bytes.
        let webp = encoded(picture(64, 64), ImageFormat::WebP);
        let size = [63, 0, 0, 63, 0, 0];
        let header = webp_chunk(b"VP8X", &[&[2, 0, 0, 0][..], &size].concat());
        let frame = [&[0; 6][..], &size, &[100, 0, 0, 0], &webp[12..]].concat();
        let chunks = [b"WEBP".to_vec(), header, webp_chunk(b"ANIM", &[0; 6]), webp_chunk(b"ANMF", &frame)];
        assert_eq!(told(&webp_chunk(b"RIFF", &chunks.concat())), animated);
    }

    #[test]
    fn two_frames_are_an_animation_and_one_is_none() {
        let gif = |frames: u8| {
            let mut bytes = Vec::new();
            let mut encoder = GifEncoder::new(&mut bytes);
            for frame in 0..frames {
                let shade = |x: u32, y: u32| Rgba([(x * 5) as u8, (y * 5) as u8, 99 * frame, 255]);
                encoder.encode_frame(Frame::new(RgbaImage::from_fn(40, 40, shade))).unwrap();
            }
            drop(encoder);
            oddities(&bytes)
        };
        assert_eq!((gif(1), gif(2)), (vec![], vec![Code::ImageAnimated]));
    }

    #[test]
    fn a_lossless_copy_in_another_encoding_has_the_same_pixels() {
        let [png, bmp] =
            [ImageFormat::Png, ImageFormat::Bmp].map(|as_| whole(&encoded(picture(60, 50), as_)));
        assert!(png.pixels == bmp.pixels && png.bytes != bmp.bytes && png.look == bmp.look);
        // As many pixels in as many bytes, but not the same picture.
        let [wide, high] =
            [(60, 50), (50, 60)].map(|(w, h)| whole(&encoded(RgbImage::new(w, h), ImageFormat::Png)));
        assert_ne!(wide.pixels, high.pixels);
    }
}
