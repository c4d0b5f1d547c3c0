//! `sarb labels fill`: unknown labels that become known ones.

use std::path::Path;

use sarb_labels::Label;
use sarb_labels::arrays::npy;
use serde_json::Value;

use crate::half_labeled::{CATEGORIES, IMAGES, made, trained};
use crate::support::{arg, borrow, quick, sarb_fails, sarb_ok};

#[test]
fn filled_labels_are_as_precise_as_was_asked_and_known_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (run, data, truth) = trained(dir.path());
    let out = arg(dir.path().join("filled/labels.csv"));
    let fill = ["labels", "fill", &run, "--precision", "90%", "-o", &out];
    let said: Value = serde_json::from_str(&sarb_ok(&[&fill[..], &["--json"]].concat())).unwrap();
    let before = sarb_labels::formats::csv::read(&data.join("train.csv")).unwrap();
    let after = sarb_labels::formats::csv::read(Path::new(&out)).unwrap();
    assert_eq!(after.images.len(), IMAGES);
    let (mut right, mut filled) = (0, 0);
    for (row, category) in (0..IMAGES).flat_map(|row| (0..CATEGORIES).map(move |category| (row, category))) {
        let (was, is) = (before.labels.get(row, category), after.labels.get(row, category));
        if was == Label::Unknown && is != Label::Unknown {
            filled += 1;
            right += usize::from(is == truth.get(row, category));
        } else {
            assert_eq!(was, is, "{row} {category}");
        }
    }
    assert!(filled > 800 && right * 10 >= filled * 9, "{right} of {filled}");
    assert_eq!(said["known_by_chance"], true);
    let told = ["filled_positives", "filled_negatives"].map(|key| said[key].as_u64().unwrap());
    assert_eq!(told.iter().sum::<u64>() as usize, filled);
    let list = std::fs::read_to_string(said["list"].as_str().unwrap()).unwrap();
    assert_eq!(list.lines().count(), filled + 1);
    assert!(list.starts_with("image,category,label,probability,threshold\n../data/"), "{list:.120}");
    // Image paths are valid from the new file, and it is labels to train on.
    assert_eq!(after.images[0], dir.path().join("filled/../data/0.png"));
    let stderr = sarb_fails(2, &fill);
    assert!(stderr.contains("labels.csv: is there already") && stderr.contains("--force"), "{stderr}");
    sarb_ok(&[&fill[..], &["--force", "-q"]].concat());
}

#[test]
fn what_is_filled_goes_back_to_other_formats() {
    let dir = tempfile::tempdir().unwrap();
    let (run, ..) = trained(dir.path());
    let out = arg(dir.path().join("tasks.json"));
    let fill = ["labels", "fill", &run, "--precision", "0.9", "-o", &out, "--to"];
    sarb_ok(&[&fill[..], &["label-studio"]].concat());
    let tasks: Value = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(tasks.as_array().unwrap().len(), IMAGES);
    let coco = [&fill[..], &["coco", "--force"]].concat();
    let stderr = sarb_fails(2, &coco);
    assert!(
        stderr.contains("would be read as negative") && stderr.contains("--unknown-as-negative"),
        "{stderr}"
    );
    sarb_ok(&[&coco[..], &["--unknown-as-negative"]].concat());
}

#[test]
fn parts_that_are_filled_one_by_one_are_read_as_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (run, _, _) = trained(dir.path());
    let whole = arg(dir.path().join("whole.csv"));
    let parts = dir.path().join("parts");
    sarb_ok(&["labels", "fill", &run, "--precision", "0.9", "-o", &whole]);
    let out = arg(parts.join("labels.parquet"));
    for part in ["0/3", "1/3", "2/3"] {
        let fill = ["labels", "fill", &run, "--precision", "0.9", "-o", &out, "--shard", part];
        sarb_ok(&fill);
        // Done already.
        sarb_ok(&fill);
    }
    for part in 0..3 {
        assert!(parts.join(format!("labels.filled/filled-0000{part}-of-00003.parquet")).is_file());
    }
    let joined = arg(dir.path().join("joined.csv"));
    sarb_ok(&["data", "convert", &arg(&parts), "-o", &joined]);
    let [whole, joined] = [whole, joined].map(|path| std::fs::read_to_string(path).unwrap());
    assert_eq!(joined.replace("parts/../", ""), whole);
    let again =
        ["labels", "fill", &run, "--precision", "0.9", "-o", &out, "--shard", "0/3", "--sheet", "x.html"];
    assert!(sarb_fails(2, &again).contains("cannot be used with"));
}

#[test]
fn what_cannot_be_filled_is_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("bce");
    sarb_ok(&borrow(&quick("bce", &run)));
    let (run, out) = (arg(&run), dir.path().join("out.csv"));
    let refused = |code: i32, precision: &str, out: &Path, expected: &str| {
        let stderr = sarb_fails(code, &["labels", "fill", &run, "--precision", precision, "-o", &arg(out)]);
        assert!(stderr.contains(expected), "{stderr}");
        assert!(!out.exists());
    };
    refused(4, "0.9", &out, "no out-of-fold scores");
    refused(2, "0.9", &dir.path().join("out.what"), "the name does not say the format");
    refused(2, "1.5", &out, "1.5");
}

#[test]
fn categories_of_which_nothing_can_be_promised_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (data, features, _) = made(dir.path());
    npy::write(&features, &[1.0; IMAGES * CATEGORIES], &[IMAGES, CATEGORIES]).unwrap();
    let (data, features, run) = (arg(data), arg(features), arg(dir.path().join("run")));
    sarb_ok(&["train", "--method", "linear", "--data", &data, "--features", &features, "--out", &run]);
    let out = arg(dir.path().join("out.csv"));
    let output = crate::support::sarb(&["labels", "fill", &run, "--precision", "0.9", "-o", &out]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    for said in ["no positive is filled of a, b, c and d: 90.0 % cannot be promised", "0 of 1,"] {
        assert!(stderr.contains(said), "{stderr}");
    }
}

#[test]
fn what_a_person_marks_on_the_sheet_is_turned_around() {
    let dir = tempfile::tempdir().unwrap();
    let (run, data, _) = trained(dir.path());
    // One photograph is there; the others are said to be missing.
    image::RgbImage::from_pixel(40, 30, image::Rgb([200, 10, 10])).save(data.join("0.png")).unwrap();
    let (out, sheet) = (dir.path().join("labels.csv"), dir.path().join("page/sheet.html"));
    let (labels, page) = (arg(&out), arg(&sheet));
    let fill = ["labels", "fill", &run, "--precision", "0.9", "-o", &labels];
    sarb_ok(&[&fill[..], &["--sheet", &page, "--sheet-labels", "100000"]].concat());
    let list = std::fs::read_to_string(dir.path().join("labels.filled.csv")).unwrap();
    let html = std::fs::read_to_string(&sheet).unwrap();
    let filled: Vec<Vec<&str>> = list.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!(html.matches("type=\"checkbox\"").count(), filled.len());
    assert!(html.contains("src=\"data:image/jpeg;base64,") && html.contains("class=\"lost\""));

    let chosen = &filled[7];
    let known = sarb_labels::formats::csv::read(&data.join("train.csv")).unwrap();
    let place = (0..IMAGES * CATEGORIES)
        .find(|at| known.labels.get(at / CATEGORIES, at % CATEGORIES) == Label::Positive);
    let (row, column) = place.map(|at| (at / CATEGORIES, at % CATEGORIES)).unwrap();
    let name = ["a", "b", "c", "d"][column];
    let turned = if chosen[2] == "1" { "0" } else { "1" };
    let corrections = dir.path().join("corrections.csv");
    let write = |lines: &str| {
        std::fs::write(&corrections, format!("image,category,label\n{lines}")).unwrap();
    };
    write(&format!("{},{},{turned}\ndata/{row}.png,{name},?\n", chosen[0], chosen[1]));
    let corrected = arg(&corrections);
    let correct = [&fill[..], &["--force", "--corrections", &corrected]].concat();
    sarb_ok(&correct);
    let after = sarb_labels::formats::csv::read(&out).unwrap();
    let image: usize = chosen[0].trim_start_matches("data/").trim_end_matches(".png").parse().unwrap();
    let category = ["a", "b", "c", "d"].iter().position(|name| *name == chosen[1]).unwrap();
    let expected = if turned == "1" { Label::Positive } else { Label::Negative };
    assert_eq!(after.labels.get(image, category), expected);
    assert_eq!(after.labels.get(row, column), Label::Unknown, "a known label may be doubted too");
    let list = std::fs::read_to_string(dir.path().join("labels.filled.csv")).unwrap();
    assert_eq!(list.lines().count(), filled.len(), "one less than before");

    for (lines, expected) in [
        ("data/9999.png,a,1\n", "line 2: \"data/9999.png\" is no image"),
        ("data/0.png,x,1\n", "line 2: \"x\" is no category"),
        ("data/0.png,a,yes\n", "line 2: label \"yes\""),
        ("data/0.png,a,1\ndata/0.png,a,0\n", "line 3: a of data/0.png is corrected a second time"),
    ] {
        write(lines);
        let stderr = sarb_fails(3, &correct);
        assert!(stderr.contains(expected), "{stderr}");
    }
    std::fs::write(&corrections, "image,label\n").unwrap();
    assert!(sarb_fails(3, &correct).contains("expected image,category,label"));
    std::fs::remove_file(&corrections).unwrap();
    assert!(sarb_fails(4, &correct).contains("no such file"));
}
