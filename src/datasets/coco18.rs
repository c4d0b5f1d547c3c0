//! The 12,000 photographs of docs/results: what `tools/coco18.py` does, with equal bytes as result.
//!
//! GitHub makes the archive when it is asked for, so that it has no lasting hash of its own; everything that is taken
//! out of it is checked instead.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::{Entry, Job};
use crate::fetch::{Digest, Remote, unpack};
use crate::{Error, Result};

/// Photographs; the first 8,000 are to train.
const IMAGES: usize = 12_000;
const TRAIN: usize = 8_000;
/// Numbers of a category's word vector.
const WORD_WIDTH: usize = 300;
/// Categories of the pickled word vectors.
const WORD_ROWS: usize = 80;

/// SHA-256 of what is made; `images` is the one over the bytes of all photographs in turn.
const SHA256: [(&str, &str); 4] = [
    ("train.csv", "afb0bba70cd43264ef0816cd07d011935d23da83e68897158af751d2e164b0b4"),
    ("test.csv", "aefd0e4caa1b13e2265a5bce8ec037e170783e90b79ac391327ebd7bea76fdeb"),
    ("words.npy", "8d678f252a388d0ab3a1cd7409337f9a2e5dd35443444c70d41418c029ccca1c"),
    ("images", "9d52dbb5c876183a17f48f095a43e31c39deb91469d2508723a9e401e9beea18"),
];

/// The label's number in the source, its name, its place in the alphabetical order of COCO's 80 names.
pub(super) const CATEGORIES: [(u32, &str, usize); 18] = [
    (1, "person", 49),
    (2, "bicycle", 9),
    (3, "car", 18),
    (4, "motorcycle", 44),
    (5, "airplane", 0),
    (6, "bus", 16),
    (7, "train", 73),
    (8, "truck", 74),
    (9, "boat", 11),
    (10, "traffic light", 72),
    (11, "fire hydrant", 31),
    (13, "stop sign", 63),
    (14, "parking meter", 48),
    (15, "bench", 8),
    (16, "bird", 10),
    (17, "cat", 20),
    (18, "dog", 28),
    (19, "horse", 37),
];

/// The data set.
pub fn entry() -> Entry {
    Entry {
        name: "coco18",
        about: "12,000 photographs of MS-COCO, 18 categories, word vectors: the data of docs/results",
        license: "labels CC BY 4.0; photographs of Flickr, each under its owner's terms; the repositories name none",
        files: vec![
            Remote::known(
                "https://codeload.github.com/syf0122/COMP5329_Assignment02/tar.gz/7c1fe6ff6a8b1498e1cb85e2fa4c3870ffdfefbb",
                None,
                "",
            ),
            Remote::known(
                "https://raw.githubusercontent.com/megvii-research/ML-GCN/5517d6ff8012ead45c26a07b3a9d960cdaa0b9d1/data/coco/coco_glove_word2vec.pkl",
                None,
                "",
            ),
        ],
        megabytes: 390,
        images: [TRAIN, IMAGES - TRAIN],
        build,
    }
}

fn build(job: &Job<'_>) -> Result<()> {
    let [archive, pickle] = job.files else { unreachable!("two files are fetched") };
    let pickled = std::fs::read(pickle).map_err(|error| Error::io(pickle, error))?;
    let words = words(&pickled).ok_or_else(|| {
        Error::Data(format!("{}: holds no array of {WORD_ROWS} × {WORD_WIDTH} numbers", pickle.display()))
    })?;
    write(job, "words.npy", &words)?;
    unpack::tar(archive, job.folder, &place, job.watch)?;
    let source = job.folder.join("labels.csv");
    let labels = std::fs::read(&source).map_err(|error| Error::io(archive, error))?;
    let present = present(&String::from_utf8_lossy(&labels));
    for (name, numbers) in [("train.csv", 0..TRAIN), ("test.csv", TRAIN..IMAGES)] {
        write(job, name, table(&present, numbers).as_bytes())?;
    }
    std::fs::remove_file(&source).map_err(|error| Error::io(&source, error))?;
    check_images(job)
}

/// Where a member of the archive goes; its outermost folder has any name.
fn place(name: &str) -> Option<PathBuf> {
    let (_, inner) = name.split_once("data/")?;
    if inner == "train.csv" {
        return Some("labels.csv".into());
    }
    let image = inner.strip_prefix("data/")?;
    let number: usize = image.strip_suffix(".jpg")?.parse().ok()?;
    (number < IMAGES).then(|| PathBuf::from(format!("images/{number}.jpg")))
}

/// The numbers of the labels of each photograph. Lines are `1.jpg,1 19,"A caption"`, or the rest of a caption.
fn present(labels: &str) -> HashMap<usize, Vec<u32>> {
    let line = |line: &str| {
        let (image, rest) = line.split_once(".jpg,")?;
        let (numbers, _) = rest.split_once(',')?;
        let numbers: Option<Vec<u32>> =
            numbers.split_whitespace().map(|number| number.parse().ok()).collect();
        Some((image.parse().ok()?, numbers?))
    };
    labels.lines().filter_map(line).collect()
}

fn table(present: &HashMap<usize, Vec<u32>>, numbers: std::ops::Range<usize>) -> String {
    let mut text = String::from("image");
    CATEGORIES.iter().for_each(|(_, name, _)| write!(text, ",{name}").expect("text"));
    text.push('\n');
    for number in numbers {
        write!(text, "images/{number}.jpg").expect("text");
        for (label, _, _) in &CATEGORIES {
            let there = present.get(&number).is_some_and(|labels| labels.contains(label));
            text.push_str(if there { ",1" } else { ",0" });
        }
        text.push('\n');
    }
    text
}

/// The bytes of `words.npy`: the rows of our categories. The pickle is searched for its one array, never executed:
/// opcode `B` (BINBYTES), the length in four bytes, the numbers; or `T` (BINSTRING) of older protocols.
fn words(pickled: &[u8]) -> Option<Vec<u8>> {
    let row = 4 * WORD_WIDTH;
    let length = WORD_ROWS * row;
    let size = u32::try_from(length).ok()?.to_le_bytes();
    let start = pickled.windows(5).position(|it| (it[0] == b'B' || it[0] == b'T') && it[1..] == size)? + 5;
    let array = pickled.get(start..start + length)?;
    let shape = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {WORD_WIDTH}), }}",
        CATEGORIES.len()
    );
    let mut file = b"\x93NUMPY\x01\x00v\x00".to_vec();
    file.extend(shape.bytes());
    file.resize(127, b' ');
    file.push(b'\n');
    CATEGORIES.iter().for_each(|&(_, _, place)| file.extend(&array[place * row..(place + 1) * row]));
    Some(file)
}

/// Writes a file of the data folder, if it is the one that was measured with.
fn write(job: &Job<'_>, name: &str, bytes: &[u8]) -> Result<()> {
    check(name, &Digest::of(bytes))?;
    let path = job.folder.join(name);
    std::fs::write(&path, bytes).map_err(|error| Error::io(&path, error))
}

fn check_images(job: &Job<'_>) -> Result<()> {
    let mut digest = Digest::default();
    for number in 0..IMAGES {
        let path = job.folder.join(format!("images/{number}.jpg"));
        let bytes = std::fs::read(&path)
            .map_err(|_| Error::Data(format!("coco18: the archive holds no photograph {number}.jpg")))?;
        digest.update(&bytes);
    }
    check("images", &digest)
}

fn check(name: &str, digest: &Digest) -> Result<()> {
    let (_, expected) = SHA256.iter().find(|(known, _)| *known == name).expect("one hash for each file");
    let found = digest.hex();
    if found == *expected {
        return Ok(());
    }
    Err(Error::Data(format!(
        "coco18: {name} is not the measured one: its SHA-256 is {found}, expected {expected}"
    )))
}
