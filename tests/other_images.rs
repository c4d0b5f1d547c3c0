//! `sarb labels … --data`: images that the run was not trained on.

use std::fmt::Write;
use std::path::Path;

use sarb_labels::arrays::npy;
use sarb_labels::formats::csv;
use sarb_labels::{Label, LabelMatrix};
use serde_json::Value;

use crate::half_labeled::{CATEGORIES, IMAGES, trained};
use crate::support::{arg, sarb, sarb_fails, sarb_ok};

/// Images of another folder.
const NEW: usize = 500;

/// A folder of other images of which nothing is known, their features, and what is there.
fn others(dir: &Path) -> (String, String, LabelMatrix) {
    let data = dir.join("others");
    std::fs::create_dir(&data).unwrap();
    let mut state = 99u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let (mut table, mut features, mut labels) = ("image,d,c,b,a\n".to_owned(), Vec::new(), Vec::new());
    for row in 0..NEW {
        for _ in 0..CATEGORIES {
            let positive = draw() < 0.3;
            let noise: f32 = (0..6).map(|_| draw()).sum::<f32>() - 3.0;
            features.push(f32::from(u8::from(positive)) * 3.0 + noise);
            labels.push(if positive { 1 } else { -1 });
        }
        writeln!(table, "new{row}.png,,,,").unwrap();
    }
    std::fs::write(data.join("train.csv"), table).unwrap();
    let path = dir.join("others.npy");
    npy::write(&path, &features, &[NEW, CATEGORIES]).unwrap();
    (arg(data), arg(path), LabelMatrix::from_values(CATEGORIES, &labels))
}

#[test]
fn other_images_are_filled_as_precisely_as_was_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (run, ..) = trained(dir.path());
    let (data, features, truth) = others(dir.path());
    let out = arg(dir.path().join("filled.csv"));
    let fill = ["labels", "fill", &run, "--precision", "0.9", "-o", &out];
    let said: Value = serde_json::from_str(&sarb_ok(
        &[&fill[..], &["--data", &data, "--features", &features, "--json"]].concat(),
    ))
    .unwrap();
    let after = csv::read(Path::new(&out)).unwrap();
    assert_eq!((after.images.len(), said["unknown"].as_u64()), (NEW, Some((NEW * CATEGORIES) as u64)));
    assert_eq!(after.categories, ["a", "b", "c", "d"]);
    let (mut right, mut filled) = (0, 0);
    for (row, category) in (0..NEW).flat_map(|row| (0..CATEGORIES).map(move |category| (row, category))) {
        let label = after.labels.get(row, category);
        filled += usize::from(label != Label::Unknown);
        right += usize::from(label == truth.get(row, category));
    }
    assert!(filled > 1000 && right * 10 >= filled * 9, "{right} of {filled}");

    // What to ask for is among them too.
    let ask = arg(dir.path().join("ask.csv"));
    sarb_ok(&[
        "labels",
        "next",
        &run,
        "--budget",
        "50",
        "--data",
        &data,
        "--features",
        &features,
        "-o",
        &ask,
    ]);
    let asked = std::fs::read_to_string(&ask).unwrap();
    assert_eq!(asked.lines().skip(1).filter(|line| line.starts_with("others/new")).count(), 50, "{asked}");
}

#[test]
fn the_runs_own_images_keep_their_scores_and_newer_labels_count() {
    let dir = tempfile::tempdir().unwrap();
    let (run, data, _) = trained(dir.path());
    let fill = |out: &Path, more: &[&str]| {
        let out = arg(out);
        sarb_ok(&[&["labels", "fill", &run, "--precision", "0.9", "-o", &out], more].concat());
        std::fs::read_to_string(out).unwrap()
    };
    let own = fill(&dir.path().join("own.csv"), &[]);
    assert_eq!(fill(&dir.path().join("same.csv"), &["--data", &arg(&data)]), own);

    // A part of them, of which one label is turned around and listed as doubtful.
    let table = std::fs::read_to_string(data.join("train.csv")).unwrap();
    let mut lines: Vec<String> = table.lines().take(201).map(str::to_owned).collect();
    let line = lines.iter().position(|line| line.contains(",0,")).unwrap();
    lines[line] = lines[line].replacen(",0,", ",1,", 1);
    let part = data.join("part.csv");
    std::fs::write(&part, lines.join("\n")).unwrap();
    let output = sarb(&["labels", "issues", &run, "--data", &arg(&part), "--json"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("200 images, 0 of them none of the run's"), "{stderr}");
    assert!(stderr.contains("1 are the opposite here and 0 unknown"), "{stderr}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let known = table.lines().skip(1).take(200).flat_map(|line| line.split(',').skip(1));
    assert_eq!(said["known"].as_u64().unwrap() as usize, known.filter(|cell| !cell.is_empty()).count());
    let image = lines[line].split(',').next().unwrap();
    let first = said["issues"][0]["image"].as_str().unwrap();
    assert!(first.ends_with(&format!("/{image}")), "{first} {image}");
    assert!(lines.len() < IMAGES);
}

#[test]
fn images_that_cannot_be_told_from_the_runs_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (run, data, _) = trained(dir.path());
    let (other, features, _) = others(dir.path());
    let out = arg(dir.path().join("out.csv"));
    let refused = |code: i32, data: &str, more: &[&str], expected: &str| {
        let fill = ["labels", "fill", &run, "--precision", "0.9", "-o", &out, "--data", data];
        let stderr = sarb_fails(code, &[&fill[..], more].concat());
        assert!(stderr.contains(expected), "{stderr}");
        assert!(!Path::new(&out).exists());
    };
    // Copies of the run's table beside images that are not there.
    let moved = dir.path().join("moved");
    std::fs::create_dir(&moved).unwrap();
    std::fs::copy(data.join("train.csv"), moved.join("train.csv")).unwrap();
    refused(3, &arg(&moved), &[], "is the image");
    std::fs::write(moved.join("train.csv"), "image,a,b,c,e\nx.png,,,,\n").unwrap();
    refused(3, &arg(&moved), &[], "category \"e\"");
    std::fs::write(moved.join("train.csv"), "image,a,b,c,d\nx.png,1,1,1,0\n").unwrap();
    refused(2, &arg(&moved), &[], "give --features FILE");
    refused(3, &arg(&moved), &["--features", &features], "500");
    refused(2, &other, &["--features", &features, "--shard", "7/3"], "7/3");
    let stderr =
        sarb_fails(2, &["labels", "fill", &run, "--precision", "0.9", "-o", &out, "--features", &features]);
    assert!(stderr.contains("--data"), "{stderr}");
    for option in [["--cache", "somewhere"], ["--cache-limit", "1GB"]] {
        let stderr = sarb_fails(2, &[&["labels", "issues", &run][..], &option].concat());
        assert!(stderr.contains(option[0]) && stderr.contains("without --data"), "{stderr}");
    }
}
