//! What a network sees of some images: the view of the test and one of training.

use std::path::Path;

use ::image::codecs::jpeg::JpegEncoder;
use ::image::{ExtendedColorType, ImageEncoder};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rayon::prelude::*;

use super::Settings;
use super::layout::section as page_section;
use crate::annotations::Annotations;
use crate::images::transform::{IMAGENET_MEAN, IMAGENET_STD, Transform};
use crate::labels::Label;
use crate::random::{Stream, rng};
use crate::text::{escape_xml, thousands};
use crate::{Result, images};

/// Quality of the photographs within the page, of 100.
const QUALITY: u8 = 80;
/// Most negatives that are named.
const NEGATIVES: usize = 6;

/// Images drawn by the seed, each as the test and as the first epoch sees it, with its labels.
pub(super) fn section(annotations: &Annotations, settings: &Settings) -> String {
    let Settings { sheet, size_px, seed, .. } = *settings;
    let all = annotations.images.len();
    let rows = rand::seq::index::sample(&mut rng(seed, Stream::Shuffle, 0, 0), all, sheet.min(all));
    let mut rows = rows.into_vec();
    rows.sort_unstable();
    let transform = Transform::for_size(size_px.max(1));
    let figures: Vec<String> =
        rows.par_iter().map(|&row| figure(annotations, row, &transform, seed)).collect();
    let note = format!(
        "{} of {} images, drawn at random (seed {seed}): left as the network sees it when it is measured, right as in the \
         first epoch of training, cut and perhaps mirrored; {size_px} × {size_px} pixels, aspect ignored. \
         + known to be there, − known not to be there.",
        rows.len(),
        thousands(all)
    );
    let content = format!("<div class=\"sheet\">\n{}</div>\n", figures.concat());
    page_section("What the network sees", &note, &content)
}

fn figure(annotations: &Annotations, row: usize, transform: &Transform, seed: u64) -> String {
    let path = &annotations.images[row];
    let name = escape_xml(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy());
    let views = match views(path, row, transform, seed) {
        Ok([clean, augmented]) => {
            let image = |jpeg: &[u8], view: &str| {
                format!(
                    "<img alt=\"{name}, {view}\" src=\"data:image/jpeg;base64,{}\">",
                    STANDARD.encode(jpeg)
                )
            };
            let views = [image(&clean, "view of the test"), image(&augmented, "view of training")];
            format!("<div class=\"views\">{}</div>", views.concat())
        }
        Err(error) => format!("<div class=\"lost\">{}</div>", escape_xml(&error.to_string())),
    };
    let labels = caption(annotations, row);
    let full = escape_xml(&path.to_string_lossy());
    format!(
        "<figure>{views}<figcaption><span class=\"name\" title=\"{full}\">{name}</span>{labels}</figcaption></figure>\n"
    )
}

/// The clean view and that of the first epoch, as JPEG files.
fn views(path: &Path, row: usize, transform: &Transform, seed: u64) -> Result<[Vec<u8>; 2]> {
    let image = images::decode(path)?;
    let mut values = vec![0.0; transform.values()];
    transform.clean(&image, &mut values);
    let clean = jpeg(&values, transform.size_px);
    transform.augmented(&image, &mut rng(seed, Stream::Augment, 0, row as u64), &mut values);
    Ok([clean, jpeg(&values, transform.size_px)])
}

/// A JPEG file of normalized values, `[3, S, S]`.
fn jpeg(values: &[f32], side: usize) -> Vec<u8> {
    let plane = side * side;
    let level = |channel: usize, at: usize| {
        let value = values[channel * plane + at] * IMAGENET_STD[channel] + IMAGENET_MEAN[channel];
        (255.0 * value).round().clamp(0.0, 255.0) as u8
    };
    let pixels: Vec<u8> = (0..plane).flat_map(|at| [0, 1, 2].map(|channel| level(channel, at))).collect();
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY)
        .write_image(&pixels, side as u32, side as u32, ExtendedColorType::Rgb8)
        .expect("memory takes an RGB image");
    bytes
}

/// Names of the positives and of some negatives, and how many labels are unknown.
fn caption(annotations: &Annotations, row: usize) -> String {
    let named = |label: Label| -> Vec<&str> {
        let labels = annotations.labels.row(row).zip(&annotations.categories);
        labels.filter(|(found, _)| *found == label).map(|(_, name)| name.as_str()).collect()
    };
    let (positives, negatives) = (named(Label::Positive), named(Label::Negative));
    let unknown = annotations.categories.len() - positives.len() - negatives.len();
    let mut caption = String::new();
    if !positives.is_empty() {
        caption += &format!("<br><span class=\"positives\">+ {}</span>", escape_xml(&positives.join(", ")));
    }
    if !negatives.is_empty() {
        let shown = &negatives[..negatives.len().min(NEGATIVES)];
        let more = match negatives.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        caption += &format!("<br>− {}{more}", escape_xml(&shown.join(", ")));
    }
    if unknown > 0 {
        caption += &format!("<br>{unknown} unknown");
    }
    caption
}

#[cfg(test)]
mod tests {
    use super::super::drawing::annotations;
    use super::*;

    #[test]
    fn a_view_becomes_the_picture_it_was_made_of() {
        let gray = images::Rgb8 { width: 9, height: 4, pixels: [200, 100, 50].repeat(36) };
        let mut values = vec![0.0; 3 * 16 * 16];
        Transform::for_size(16).clean(&gray, &mut values);
        let back = images::decode_bytes(&jpeg(&values, 16), "view").unwrap();
        assert_eq!((back.width, back.height), (16, 16));
        for (found, expected) in back.pixels.iter().zip([200u8, 100, 50].repeat(256)) {
            assert!(found.abs_diff(expected) <= 3, "{found} {expected}");
        }
    }

    #[test]
    fn a_caption_says_what_is_there_what_is_not_and_how_much_is_unknown() {
        let values = [[1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 1], [-1; 11]].concat();
        let names = ["cat", "b", "c", "d", "e", "f", "g", "h", "i", "j", "<dog>"];
        let annotations = annotations(&names, &values);
        let expected = "<br><span class=\"positives\">+ cat, &lt;dog&gt;</span>\
                        <br>− b, c, d, e, f, g and 2 more<br>1 unknown";
        assert_eq!(caption(&annotations, 0), expected);
        assert_eq!(caption(&annotations, 1), "<br>− cat, b, c, d, e, f and 5 more");
    }
}
