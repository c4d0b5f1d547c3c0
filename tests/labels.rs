//! `sarb data` on labels of other tools, as a process.

use std::path::Path;

use sarb_labels::Label;
use sarb_labels::formats::csv;

use crate::support::{arg, borrow, data, data_copy, sarb, sarb_fails};

const FORMATS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/labels/tests/fixtures/formats");

/// Runs `sarb data …`.
fn data_ok(words: &[&str]) -> (String, String) {
    let output = sarb(&[&["data"], words].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_format_is_told_by_its_content_and_losses_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let out = arg(folder.path().join("train.csv"));
    let (said, notes) = data_ok(&["convert", &format!("{FORMATS}/lvis/lvis_tiny.json"), "-o", &out]);
    assert!(said.contains("3 images, 4 categories: 1 positive, 1 negative, 10 unknown"), "{said}");
    assert!(notes.contains("lvis: a JSON object whose images have neg_category_ids"), "{notes}");

    // COCO has no unknown: ten labels would become negative, so that is asked for, and the report says so.
    let coco = arg(folder.path().join("instances.json"));
    let words = ["convert", &out, "--to", "coco", "-o", &coco, "--json"];
    let error = sarb_fails(2, &[&["data"], &words[..]].concat());
    assert!(error.contains("10 labels are unknown and would be read as negative"), "{error}");
    assert!(!Path::new(&coco).exists());
    let (said, notes) = data_ok(&[&words[..], &["--unknown-as-negative"]].concat());
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(report["lost"][0].as_str().unwrap().starts_with("10 unknown labels"), "{said}");
    assert!(notes.contains("lost: 10 unknown labels"), "{notes}");
}

#[test]
fn nothing_unlisted_is_negative_unless_the_user_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("train.csv");
    let source = format!("{FORMATS}/tags/several.csv");
    let error = sarb_fails(2, &["data", "convert", &source, "-o", &arg(&out)]);
    assert!(error.contains("pass --unlisted unknown"), "{error}");
    assert!(!out.exists());
    for (policy, negatives) in [("unknown", false), ("negative", true)] {
        data_ok(&["convert", &source, "-o", &arg(&out), "--unlisted", policy, "--force"]);
        let labels = csv::read(&out).unwrap().labels;
        assert_eq!(labels.count(Label::Negative) > 0, negatives, "{policy}");
        assert_eq!(labels.count(Label::Unknown) == 0, negatives, "{policy}");
    }
}

#[test]
fn a_file_that_is_there_and_the_source_itself_are_kept() {
    let folder = data_copy();
    let train = arg(folder.path().join("train.csv"));
    let before = std::fs::read(&train).unwrap();
    let error = sarb_fails(2, &["data", "convert", &train, "-o", &train, "--force"]);
    assert!(error.contains("is the source itself"), "{error}");
    let test = arg(folder.path().join("test.csv"));
    let error = sarb_fails(2, &["data", "convert", &train, "-o", &test]);
    assert!(error.contains("is there already"), "{error}");
    assert_eq!(std::fs::read(&train).unwrap(), before);
    let error = sarb_fails(2, &["data", "convert", &train, "-o", &test, "--force", "--set", "val"]);
    assert!(error.contains("--set"), "{error}");
}

#[test]
fn categories_are_chosen_in_the_order_of_a_file_and_what_is_missing_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("train.csv");
    std::fs::write(&source, "image,cat,dog,owl\na.jpg,1,0,?\nb.jpg,0,1,1\n").unwrap();
    let (names, out) = (folder.path().join("names.txt"), folder.path().join("some.csv"));
    std::fs::write(&names, "owl\ncat\nzebra\n").unwrap();
    let words = ["convert", &arg(&source), "-o", &arg(&out), "--categories", &arg(&names)];
    let (_, notes) = data_ok(&words);
    assert!(notes.contains("category \"zebra\" is not in the source: unknown everywhere"), "{notes}");
    assert!(notes.contains("1 categories of the source are left out"), "{notes}");
    let some = csv::read(&out).unwrap();
    assert_eq!(some.categories, ["owl", "cat", "zebra"]);
    assert_eq!(some.labels.to_floats(), [0.0, 1.0, 0.0, 1.0, -1.0, 0.0]);
    std::fs::write(&names, "owl\ncatt\n").unwrap();
    let error = sarb_fails(2, &borrow(&[&["data".to_owned()], &words.map(str::to_owned)[..]].concat()));
    assert!(error.contains("is there already"), "{error}");
    std::fs::remove_file(&out).unwrap();
    let error = sarb_fails(3, &borrow(&[&["data".to_owned()], &words.map(str::to_owned)[..]].concat()));
    assert!(
        error.contains("names.txt:2: no category \"catt\" in the source; did you mean \"cat\"?"),
        "{error}"
    );
}

#[test]
fn check_exits_with_3_where_an_image_is_missing_and_0_where_all_is_well() {
    let (said, _) = data_ok(&["check", &arg(data())]);
    assert!(said.contains("\n0 errors, "), "{said}");
    let folder = data_copy();
    let train = folder.path().join("train.csv");
    let text = std::fs::read_to_string(&train).unwrap();
    std::fs::write(&train, text.replacen(".png", ".gone.png", 1).replacen(".jpg", ".gone.jpg", 1)).unwrap();
    let error = sarb_fails(3, &["data", "check", &arg(folder.path()), "--json"]);
    assert!(error.contains("1 error in the data"), "{error}");
    data_ok(&["check", &arg(folder.path()), "--no-images"]);
}

#[test]
fn a_split_holds_every_image_once_and_a_page_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("split");
    data_ok(&["split", &arg(data()), "--val", "0.25", "--seed", "1", "-o", &arg(&out)]);
    let read = |dir: &Path, name: &str| csv::read(&dir.join(name)).unwrap().images;
    assert_eq!((read(&out, "train.csv").len(), read(&out, "val.csv").len()), (36, 12));
    assert_eq!(read(&out, "test.csv").len(), read(data(), "test.csv").len());
    let names = |images: Vec<std::path::PathBuf>| -> std::collections::BTreeSet<std::ffi::OsString> {
        images.iter().map(|image| image.file_name().unwrap().to_owned()).collect()
    };
    let both = [read(&out, "train.csv"), read(&out, "val.csv")].concat();
    assert_eq!(names(both), names(read(data(), "train.csv")));
    let error = sarb_fails(2, &["data", "split", &arg(data()), "--test", "0.1", "-o", &arg(&out)]);
    assert!(error.contains("is there already; leave --test out to keep it"), "{error}");

    let page = folder.path().join("page.html");
    data_ok(&["inspect", &arg(&out), "--html", &arg(&page), "--sheet", "2"]);
    let html = std::fs::read_to_string(&page).unwrap();
    assert_eq!(html.matches("data:image/jpeg;base64,").count(), 4);
}
