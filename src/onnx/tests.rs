//! The networks of `tests/fixtures/onnx/`, whose maps are means over patches; `make.py` there says which.

use rten_onnx::onnx::{self, ModelProto, NodeProto};
use std::path::PathBuf;

use super::*;
use crate::fixture::Fixture;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx").join(name)
}

fn open(name: &str, options: &OnnxOptions, size_px: usize) -> Result<OnnxNetwork> {
    OnnxNetwork::new(NetworkFile::read(&fixture(name))?, options, size_px)
}

fn output(name: &str) -> OnnxOptions {
    OnnxOptions { output: Some(name.into()), ..OnnxOptions::default() }
}

fn refused(name: &str, options: &OnnxOptions, size_px: usize) -> (i32, String) {
    let error = open(name, options, size_px).expect_err(name);
    (error.exit_code(), error.to_string())
}

/// Images whose pixels are all different.
fn images(count: usize, size_px: usize) -> Vec<f32> {
    (0..count * 3 * size_px * size_px).map(|index| (index * 7919 % 1009) as f32 / 1009.0 - 0.3).collect()
}

/// The map of an image `[3, S, S]` as `patches.onnx` defines it, `[4, S/4, S/4]`.
fn patches(image: &[f32], size_px: usize) -> Vec<f32> {
    let side = size_px / 4;
    let mean = |color: usize, row: usize, column: usize| {
        let pixels = (0..16).map(|pixel| {
            let (y, x) = (4 * row + pixel / 4, 4 * column + pixel % 4);
            image[(color * size_px + y) * size_px + x]
        });
        pixels.sum::<f32>() / 16.0
    };
    let places = || (0..side).flat_map(|row| (0..side).map(move |column| (row, column)));
    let mut map: Vec<f32> =
        (0..3).flat_map(|color| places().map(move |(row, column)| mean(color, row, column))).collect();
    map.extend(places().map(|(row, column)| (0..3).map(|color| mean(color, row, column)).sum::<f32>() / 3.0));
    map
}

fn all_patches(images: &[f32], size_px: usize) -> Vec<f32> {
    images.chunks(3 * size_px * size_px).flat_map(|image| patches(image, size_px)).collect()
}

#[track_caller]
fn assert_close(values: &[f32], expected: &[f32]) {
    assert_eq!(values.len(), expected.len());
    // Means of 16 and 48 values of at most 1.
    assert!(values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{values:?}\n{expected:?}");
}

#[test]
fn maps_tokens_and_channels_last_are_the_same_map_at_any_size() {
    let tokens = OnnxOptions { skip_tokens: Some(2), ..output("tokens") };
    let last = OnnxOptions { channels_last: Some(true), ..output("last") };
    for size_px in [32, 20] {
        let images = images(3, size_px);
        let expected = all_patches(&images, size_px);
        for options in [&output("map"), &tokens, &last] {
            let network = open("patches.onnx", options, size_px).unwrap();
            assert_eq!(network.batch, Batch::Any);
            assert_eq!(network.shape(), [4, size_px / 4, size_px / 4]);
            assert_close(&network.maps(&images, 3).unwrap(), &expected);
        }
    }
    let grid = OnnxOptions { grid: Some([2, 32]), ..tokens };
    let network = open("patches.onnx", &grid, 32).unwrap();
    assert_eq!(network.shape(), [4, 2, 32]);
    assert_close(&network.maps(&images(2, 32), 2).unwrap(), &all_patches(&images(2, 32), 32));
}

#[test]
fn a_vector_is_a_map_of_one_position() {
    let network = open("patches.onnx", &output("vector"), 32).unwrap();
    assert_eq!(network.shape(), [4, 1, 1]);
    let images = images(2, 32);
    let expected: Vec<f32> =
        all_patches(&images, 32).chunks(64).map(|plane| plane.iter().sum::<f32>() / 64.0).collect();
    assert_close(&network.maps(&images, 2).unwrap(), &expected);
}

#[test]
fn pooling_takes_means_of_two_by_two_and_leaves_an_odd_row_out() {
    for (size_px, side) in [(32, 8), (20, 5)] {
        let tokens = OnnxOptions { skip_tokens: Some(2), pool: true, ..output("tokens") };
        let network = open("patches.onnx", &tokens, size_px).unwrap();
        assert_eq!(network.shape(), [4, side / 2, side / 2]);
        let images = images(2, size_px);
        let whole = all_patches(&images, size_px);
        let planes = whole.chunks(side * side);
        let expected: Vec<f32> = planes
            .flat_map(|plane| {
                let four = |y: usize, x: usize| [(y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)];
                let mean = move |y, x| {
                    four(2 * y, 2 * x).map(|(y, x)| plane[y * side + x]).iter().sum::<f32>() / 4.0
                };
                (0..side / 2).flat_map(move |y| (0..side / 2).map(move |x| mean(y, x)))
            })
            .collect();
        assert_close(&network.maps(&images, 2).unwrap(), &expected);
    }
    let (code, message) = refused("patches.onnx", &OnnxOptions { pool: true, ..output("vector") }, 32);
    assert!(code == 2 && message.contains("too small for backbone.pool"), "{message}");
}

#[test]
fn networks_of_a_fixed_number_of_images_get_that_many() {
    let images = images(5, 32);
    let expected = all_patches(&images, 32);
    for (name, batch) in [("fixed.onnx", 2), ("one.onnx", 1)] {
        let network = open(name, &OnnxOptions::default(), 32).unwrap();
        assert_eq!(network.batch, Batch::Fixed(batch), "{name}");
        assert_close(&network.maps(&images, 5).unwrap(), &expected);
    }
}

#[test]
fn a_network_that_mixes_its_images_sees_each_alone() {
    let network = open("crowd.onnx", &OnnxOptions::default(), 32).unwrap();
    assert_eq!(network.batch, Batch::Fixed(1));
    let images = images(3, 32);
    let expected: Vec<f32> = all_patches(&images, 32).iter().map(|value| value / 2.0).collect();
    assert_close(&network.maps(&images, 3).unwrap(), &expected);
}

#[test]
fn weights_beside_the_file_are_read_and_part_of_its_hash() {
    let network = open("parts.onnx", &OnnxOptions::default(), 32).unwrap();
    assert_close(&network.maps(&images(1, 32), 1).unwrap(), &all_patches(&images(1, 32), 32));
    let folder = tempfile::tempdir().unwrap();
    let [file, part] = ["parts.onnx", "parts.onnx.data"].map(|name| folder.path().join(name));
    std::fs::copy(fixture("parts.onnx"), &file).unwrap();
    let missing = NetworkFile::read(&file).err().unwrap();
    assert!(missing.exit_code() == 4 && missing.to_string().contains("parts.onnx.data"), "{missing}");
    let mut bytes = std::fs::read(fixture("parts.onnx.data")).unwrap();
    let hash = |bytes: &[u8]| {
        std::fs::write(&part, bytes).unwrap();
        NetworkFile::read(&file).unwrap().hash
    };
    let before = hash(&bytes);
    bytes[5] ^= 1;
    assert_ne!(hash(&bytes), before);
    std::fs::write(&part, &bytes[..100]).unwrap();
    let error = OnnxNetwork::new(NetworkFile::read(&file).unwrap(), &OnnxOptions::default(), 32).unwrap_err();
    assert_eq!(error.exit_code(), 7, "{error}");
    // Another place than beside the file could be any file of this machine.
    let bytes = std::fs::read(&file).unwrap();
    for (place, code) in [("../arts.onnx.da", 3), ("/etc/passwdata.", 3), ("...............", 4)] {
        let place = place.as_bytes();
        let at = bytes.windows(15).position(|window| window == b"parts.onnx.data").unwrap();
        let moved = [&bytes[..at], place, &bytes[at + 15..]].concat();
        std::fs::write(&file, moved).unwrap();
        let error = NetworkFile::read(&file).err().unwrap();
        assert_eq!(error.exit_code(), code, "{error}");
    }
}

#[test]
fn one_file_has_the_hash_that_b3sum_prints() {
    let file = fixture("fixed.onnx");
    let expected = blake3::hash(&std::fs::read(&file).unwrap()).to_string();
    assert_eq!(NetworkFile::read(&file).unwrap().hash, expected);
}

#[test]
fn what_does_not_fit_says_what_would() {
    let none = OnnxOptions::default();
    let tokens = |skip_tokens, grid| OnnxOptions { skip_tokens, grid, ..output("tokens") };
    let named =
        |input: &str| OnnxOptions { input: Some(input.into()), output: Some("map".into()), ..none.clone() };
    for (name, options, size_px, code, said) in [
        (
            "patches.onnx",
            none.clone(),
            32,
            2,
            "several outputs; choose one with backbone.output: \"map\" [?, 4, ?, ?]",
        ),
        (
            "patches.onnx",
            output("feature"),
            32,
            2,
            "backbone.output is \"feature\", but the network has \"map\"",
        ),
        ("patches.onnx", tokens(None, None), 32, 2, "backbone.skip_tokens = 2"),
        (
            "patches.onnx",
            tokens(Some(66), None),
            32,
            2,
            "66 tokens for an image, but backbone.skip_tokens is 66",
        ),
        ("patches.onnx", tokens(Some(2), Some([3, 5])), 32, 2, "backbone.grid is [3, 5]"),
        ("patches.onnx", output("darkest"), 32, 7, "holds INT64; expected floating-point numbers"),
        ("patches.onnx", output("nothing"), 32, 3, "holds NaN"),
        (
            "patches.onnx",
            output("cube"),
            32,
            7,
            "expected a map [B, F, H, W], tokens [B, P, F] or a vector [B, F]",
        ),
        (
            "patches.onnx",
            OnnxOptions { skip_tokens: Some(1), ..output("map") },
            32,
            2,
            "backbone.skip_tokens is of tokens",
        ),
        (
            "patches.onnx",
            OnnxOptions { grid: Some([8, 8]), ..output("vector") },
            32,
            2,
            "backbone.grid is of tokens",
        ),
        (
            "patches.onnx",
            OnnxOptions { channels_last: Some(true), ..output("tokens") },
            32,
            2,
            "of maps; leave it out",
        ),
        ("fixed.onnx", none.clone(), 64, 2, "[2, 3, 32, 32], but data.size_px is 64; set data.size_px = 32"),
        ("levels.onnx", none.clone(), 32, 7, "input \"image\" holds UINT8"),
        ("pair.onnx", output("map"), 32, 2, "several inputs; choose one with backbone.input"),
        ("pair.onnx", named("photo"), 32, 2, "backbone.input is \"photo\", but the network has"),
        ("pair.onnx", named("mask"), 32, 7, "input \"mask\" is [?, 1, 32, 32]; expected images"),
        ("cubic.onnx", none.clone(), 32, 7, "layer \"shrink\" is a bicubic Resize"),
        ("unknown.onnx", none.clone(), 32, 7, "Zauberstab operator not supported"),
    ] {
        let (found, message) = refused(name, &options, size_px);
        assert!(found == code && message.contains(said), "{name}: exit code {found}, {message}");
    }
    // At 32 px the map with channels last is [8, 8, 4], which is no square with channels first.
    let (code, message) = refused("patches.onnx", &output("last"), 32);
    assert!(code == 2 && message.contains("backbone.channels_last = true"), "{message}");
    // Of a second input that is not needed nothing is asked.
    assert_eq!(open("pair.onnx", &named("image"), 32).unwrap().shape(), [4, 8, 8]);
    let masked = OnnxOptions { output: Some("masked".into()), ..named("image") };
    let (code, message) = refused("pair.onnx", &masked, 32);
    assert!(code == 7 && message.contains("cannot be run"), "{message}");
}

#[test]
fn the_size_of_the_images_is_read_from_the_file() {
    assert_eq!(size_px_of(&fixture("fixed.onnx"), None).unwrap(), Some(32));
    assert_eq!(size_px_of(&fixture("patches.onnx"), None).unwrap(), None);
    assert_eq!(size_px_of(&fixture("pair.onnx"), Some("image")).unwrap(), Some(32));
    assert_eq!(size_px_of(&fixture("absent.onnx"), None).unwrap_err().exit_code(), 4);
}

/// What becomes of bytes as a network: nothing but an error or maps.
fn survives(bytes: &[u8], folder: &Path) -> Result<OnnxNetwork> {
    let path = folder.join("damaged.onnx");
    std::fs::write(&path, bytes).unwrap();
    OnnxNetwork::new(NetworkFile::read(&path)?, &output("map"), 32)
}

#[test]
fn no_cut_and_no_changed_byte_ends_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(fixture("patches.onnx")).unwrap();
    assert!(survives(&whole, folder.path()).is_ok());
    let mut refused = 0;
    for end in 0..whole.len() {
        match survives(&whole[..end], folder.path()) {
            Err(error) => {
                refused += 1;
                assert!(matches!(error.exit_code(), 2 | 3 | 7), "cut at {end}: {error}");
            }
            // The last bytes are the version of the operators.
            Ok(_) => assert!(end > whole.len() - 32, "cut at {end}"),
        }
    }
    assert!(refused > 1000, "{refused} were refused");
    for (round, at) in (0..whole.len()).step_by(3).enumerate() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (round % 8);
        if let Err(error) = survives(&changed, folder.path()) {
            assert!(matches!(error.exit_code(), 2 | 3 | 7), "changed at {at}: {error}");
        }
    }
    for text in [&b""[..], b"not a network", b"\x89PNG\r\n\x1a\n", &[0xff; 64], &[0x3a; 64]] {
        assert_eq!(survives(text, folder.path()).unwrap_err().exit_code(), 3, "{text:?}");
    }
}

/// A field of bytes, as Protocol Buffers writes it.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(content);
    bytes
}

#[test]
fn long_chains_of_layers_need_no_more_stack_than_there_is() {
    let folder = tempfile::tempdir().unwrap();
    for (layers, fits) in [(layers::MOST_LAYERS, true), (layers::MOST_LAYERS + 1, false)] {
        let mut model = ModelProto::parse_buf(&std::fs::read(fixture("crowd.onnx")).unwrap()).unwrap();
        let graph = model.graph.as_mut().unwrap();
        let layer = |index: usize| NodeProto {
            input: vec![if index == 0 { "image".into() } else { format!("map{index}") }],
            output: vec![if index + 1 == layers { "map".into() } else { format!("map{}", index + 1) }],
            op_type: Some("Sin".into()),
            ..NodeProto::default()
        };
        graph.node = (0..layers).map(layer).collect();
        graph.initializer.clear();
        graph.output[0] = onnx::ValueInfoProto { name: Some("map".into()), ..graph.input[0].clone() };
        match survives(&model.write_buf().unwrap(), folder.path()) {
            Ok(network) => assert!(fits && network.shape() == [3, 32, 32]),
            Err(error) => assert!(!fits && error.to_string().contains("expected at most 50000"), "{error}"),
        }
    }
}

#[test]
fn graphs_within_graphs_are_followed_so_far_and_no_further() {
    let folder = tempfile::tempdir().unwrap();
    // Deeper ones overflow the stack of whoever reads them by recursion.
    for (depth, too_deep) in [(3, false), (2000, true)] {
        let mut graph = field(2, b"innermost");
        for _ in 0..depth {
            graph = field(1, &field(5, &field(6, &graph)));
        }
        let error = survives(&[vec![8, 8], field(7, &graph)].concat(), folder.path()).unwrap_err();
        assert_eq!(error.exit_code(), 3, "{error}");
        assert_eq!(error.to_string().contains("too deep"), too_deep, "{error}");
    }
}

/// What has to be said of a network whose output in PyTorch has this shape.
fn options_of(shape: &[usize]) -> OnnxOptions {
    let (mut skip_tokens, mut channels_last) = (None, None);
    match *shape {
        [_, positions, _] => {
            skip_tokens = (0..9).find(|skip| (positions - skip).isqrt().pow(2) == positions - skip)
        }
        [_, rows, columns, channels] => {
            channels_last = (rows == columns && columns != channels).then_some(true)
        }
        _ => {}
    }
    OnnxOptions { skip_tokens, channels_last, ..OnnxOptions::default() }
}

#[test]
#[ignore = "needs what tools/onnx_parity.py exports, in SARB_ONNX_EXPORTS"]
fn exported_networks_give_pytorchs_maps() {
    let exports = PathBuf::from(std::env::var_os("SARB_ONNX_EXPORTS").expect("the folder of the exports"));
    let files = std::fs::read_dir(&exports).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|ending| ending == "safetensors")).collect();
    files.sort();
    assert!(files.len() >= 5, "{}: {} exports", exports.display(), files.len());
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let export = Fixture::read(&bytes);
        let (images, [count, _, size_px, _]) = (export.values("images"), export.shape("images"));
        let (expected, shape) = export.entry("maps");
        let options = options_of(&shape);
        let network = NetworkFile::read(&file.with_extension("onnx")).unwrap();
        let network = OnnxNetwork::new(network, &options, size_px).unwrap();
        assert_eq!(network.batch, Batch::Any, "{network:?}");
        let maps = network.maps(&images, count).unwrap();
        let [channels, height, width] = network.shape();
        let special = options.skip_tokens.unwrap_or(0);
        let positions = special + height * width;
        let at = |image: usize, channel: usize, position: usize| match shape.len() == 3
            || options.channels_last.is_some()
        {
            true => expected[(image * positions + special + position) * channels + channel],
            false => expected[(image * channels + channel) * positions + position],
        };
        let largest = expected.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
        let mut difference: f32 = 0.0;
        for (index, value) in maps.iter().enumerate() {
            let (plane, position) = (index / (height * width), index % (height * width));
            difference = difference.max((value - at(plane / channels, plane % channels, position)).abs());
        }
        println!("{}: {shape:?} of at most {largest:.3}, difference {difference:.1e}", file.display());
        assert_eq!(maps.len(), count * channels * height * width, "{network:?}");
        assert!(difference < 1e-4 * largest.max(1.0), "{network:?}: {difference} of {largest}");
    }
}
