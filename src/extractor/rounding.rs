//! How maps come out here, to the last digit.
//!
//! Another version of this program or another kind of processor rounds otherwise. Its maps are as good, but a training
//! that finds them in the cache has other numbers than one that computes its own, and whether it finds them should not
//! matter. So what is made of one picture, from its JPEG on, is part of the name under which maps are kept.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use sarb_labels::images::decode_bytes;
use sarb_labels::images::transform::Transform;

use crate::Result;

/// Wider than high, and no multiple of what kernels take at a time.
const WIDTH: u32 = 331;
const HEIGHT: u32 = 247;

/// The picture as the network reads it, `[3, S, S]`: edges, slopes and something like noise.
pub(super) fn picture(transform: &Transform) -> Result<Vec<f32>> {
    let pixel = |at: u32| {
        let (x, y) = (at % WIDTH, at / WIDTH);
        let noise = x.wrapping_mul(2_654_435_761).wrapping_add(y.wrapping_mul(2_246_822_519)) >> 27;
        let edge = if (x / 40 + y / 30) % 2 == 0 { 90 } else { 0 };
        [(x * 160 / WIDTH + edge) as u8, (y * 200 / HEIGHT + noise) as u8, (edge + noise) as u8]
    };
    let pixels: Vec<u8> = (0..WIDTH * HEIGHT).flat_map(pixel).collect();
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 90)
        .write_image(&pixels, WIDTH, HEIGHT, ExtendedColorType::Rgb8)
        .expect("memory takes an RGB image");
    let mut values = vec![0.0; transform.values()];
    transform.clean(&decode_bytes(&jpeg, "the picture of the cache")?, &mut values);
    Ok(values)
}

/// A name for a map, bit by bit.
pub(super) fn name(map: &[f32]) -> String {
    let mut hash = blake3::Hasher::new();
    map.iter().for_each(|value| {
        hash.update(&value.to_le_bytes());
    });
    hash.finalize().to_hex()[..12].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::{Backbone, BackboneName, Freeze};
    use crate::extractor::Extractor;
    use crate::kernels::precision::Precision;
    use crate::recipe::Recipe;
    use burn::tensor::Device;

    #[test]
    fn the_picture_and_its_name_are_the_same_on_one_core_and_on_all() {
        let transform = Transform::for_size(40);
        let whole = picture(&transform).unwrap();
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one.install(|| picture(&transform).unwrap()), whole);
        let (darkest, brightest) = whole.iter().fold((f32::MAX, f32::MIN), |(a, b), &v| (a.min(v), b.max(v)));
        assert!(darkest < -1.5 && brightest > 1.5, "{darkest} {brightest}");
        let mut other = whole.clone();
        *other.last_mut().unwrap() = f32::from_bits(whole.last().unwrap().to_bits() ^ 1);
        assert_ne!(name(&whole), name(&other));
    }

    #[test]
    fn maps_that_round_otherwise_have_another_key() {
        let folder = tempfile::tempdir().unwrap();
        let (weights, device) = (folder.path().join("trunk.safetensors"), Device::flex());
        let backbone = Backbone::new(BackboneName::ResnetSmall, &device).freeze(Freeze::All);
        backbone.save(&weights).unwrap();
        let settings = Recipe::default().backbone;
        let key_of = |backbone: &Backbone| {
            let extractor = Extractor::new(backbone, &settings, &weights).unwrap();
            (extractor.key().to_owned(), extractor.key_here(40, &device).unwrap())
        };
        let (key, here) = key_of(&backbone);
        assert_eq!((key.clone(), here.clone()), key_of(&backbone));
        assert!(here.starts_with(&format!("{key}-as-")), "{here}");
        let (same, rounded) = key_of(&backbone.clone().with_precision(Precision::Bf16));
        assert_eq!(same, key);
        assert_ne!(rounded, here);
    }
}
