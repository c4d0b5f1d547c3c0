//! A table of which three in ten labels are known, and a run of linear on it.

use std::path::{Path, PathBuf};

use sarb_labels::LabelMatrix;
use sarb_labels::arrays::npy;

use crate::support::{arg, sarb_ok};

/// Images of the table.
pub const IMAGES: usize = 600;
/// Categories of the table.
pub const CATEGORIES: usize = 4;

/// A data folder without images, and features that carry the labels with noise; the labels that are there.
pub fn made(dir: &Path) -> (PathBuf, PathBuf, LabelMatrix) {
    let data = dir.join("data");
    std::fs::create_dir(&data).unwrap();
    let mut state = 7u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let (mut lines, mut features, mut labels) = (vec!["image,a,b,c,d".to_owned()], Vec::new(), Vec::new());
    for row in 0..IMAGES {
        let mut cells = Vec::new();
        for _ in 0..CATEGORIES {
            let positive = draw() < 0.3;
            let noise: f32 = (0..6).map(|_| draw()).sum::<f32>() - 3.0;
            features.push(f32::from(u8::from(positive)) * 3.0 + noise);
            labels.push(if positive { 1 } else { -1 });
            let known = draw() < 0.3;
            cells.push(if known { u8::from(positive).to_string() } else { String::new() });
        }
        lines.push(format!("{row}.png,{}", cells.join(",")));
    }
    std::fs::write(data.join("train.csv"), lines.join("\n") + "\n").unwrap();
    let path = dir.join("features.npy");
    npy::write(&path, &features, &[IMAGES, CATEGORIES]).unwrap();
    (data, path, LabelMatrix::from_values(CATEGORIES, &labels))
}

/// A run of linear on it, the data folder, and the labels that are there.
pub fn trained(dir: &Path) -> (String, PathBuf, LabelMatrix) {
    let (data, features, truth) = made(dir);
    let run = arg(dir.join("run"));
    let (train, features) = (arg(&data), arg(features));
    sarb_ok(&[
        "train",
        "--method",
        "linear",
        "--data",
        &train,
        "--features",
        &features,
        "--out",
        &run,
        "--set",
        "data.validation=0",
    ]);
    (run, data, truth)
}
