//! Checks of whole data folders, and what the tests of the parts share.

use std::cell::Cell;
use std::path::Path;

use image::{Rgb, RgbImage};

use super::*;
use crate::formats::csv;
use crate::labels::LabelMatrix;

/// Labels in memory, their file in the current folder.
pub(super) fn annotations(images: &[&str], categories: &[&str], values: &[i8]) -> Annotations {
    let labels = match values {
        [] => LabelMatrix::unknown(0, categories.len()),
        values => LabelMatrix::from_values(categories.len(), values),
    };
    assert_eq!(labels.images(), images.len());
    Annotations {
        images: images.iter().map(Into::into).collect(),
        labels,
        categories: categories.iter().map(|name| name.to_string()).collect(),
        source: "labels.csv".into(),
    }
}

pub(super) fn codes(found: &[Found]) -> Vec<Code> {
    found.iter().map(|found| found.code).collect()
}

/// A picture of its own for every seed.
fn picture(seed: u32, width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (x as f32 / width as f32, y as f32 / height as f32);
        let wave = |a: f32, b: f32| (127.0 + 120.0 * (a * x + b * y + seed as f32).sin()) as u8;
        let seed = seed as f32;
        Rgb([wave(3.0 + seed, 9.0 - seed), wave(7.0 - seed, 2.0 + 2.0 * seed), wave(11.0, 5.0 * seed)])
    })
}

/// A folder with a problem of most kinds.
fn troubled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for seed in 0..6 {
        picture(seed, 80, 60).save(at(&format!("{seed}.png"))).unwrap();
    }
    std::fs::copy(at("0.png"), at("copy.png")).unwrap();
    picture(1, 80, 60).save(at("same_pixels.bmp")).unwrap();
    picture(2, 150, 110).save(at("larger.jpg")).unwrap();
    std::fs::write(at("empty.jpg"), "").unwrap();
    std::fs::write(at("page.jpg"), "<html>404</html>").unwrap();
    let whole = std::fs::read(at("3.png")).unwrap();
    std::fs::write(at("cut.png"), &whole[..whole.len() / 2]).unwrap();
    let train = "image,cat,dog\n0.png,1,0\n\n1.png,0,1\nsame_pixels.bmp,1,1\n2.png,?,1\n3.png,1,0\n\
                 empty.jpg,1,0\npage.jpg,0,?\nnowhere.jpg,1,0\n5.png,0,1\n";
    std::fs::write(at("train.csv"), train).unwrap();
    std::fs::write(
        at("test.csv"),
        "image,cat,dog\ncopy.png,0,0\nlarger.jpg,0,?\n4.png,1,0\n5.png,0,1\ncut.png,1,0\n",
    )
    .unwrap();
    folder
}

fn check_folder(folder: &Path, settings: &Settings) -> Checkup {
    let [train, test] = ["train.csv", "test.csv"].map(|name| csv::read(&folder.join(name)).unwrap());
    check(&[("train".into(), &train), ("test".into(), &test)], settings, &|_, _| {}).unwrap()
}

fn said(checkup: &Checkup, folder: &Path) -> Vec<(&'static str, String)> {
    let prefix = format!("{}/", folder.display());
    let said = checkup.findings.iter();
    said.map(|finding| (finding.code.name(), finding.to_string().replace(&prefix, ""))).collect()
}

#[test]
fn a_folder_with_every_kind_of_trouble_is_reported_line_by_line() {
    let folder = troubled();
    let checkup = check_folder(folder.path(), &Settings::default());
    let found = said(&checkup, folder.path());
    let expected = [
        ("image-missing", "train.csv:10: nowhere.jpg: no such file"),
        ("image-empty", "train.csv:8: empty.jpg: a file of 0 bytes"),
        ("image-not-an-image", "train.csv:9: page.jpg: a web page, not an image"),
        ("image-broken", "test.csv:6: cut.png: "),
        ("leak-path", "train.csv:11: 5.png of train is also 5.png of test"),
        ("leak-exact", "train.csv:2: 0.png of train is the same file as copy.png of test"),
        (
            "contradiction",
            "train.csv:2: cat is positive for 0.png of train and negative for the same image copy.png of test",
        ),
        (
            "contradiction",
            "train.csv:5: cat is positive for same_pixels.bmp of train and negative for the same image 1.png of train",
        ),
        ("leak-near", "train.csv:6: 2.png of train looks like larger.jpg of test"),
        ("duplicate-exact", "train.csv:4: 1.png has the same pixels as same_pixels.bmp"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((code, message), (expected_code, expected)) in found.iter().zip(expected) {
        assert!(*code == expected_code && message.starts_with(expected), "{code} {message}\n{expected}");
    }
    assert_eq!(checkup.counts, Counts { errors: 8, warnings: 2, infos: 0 });
    assert_eq!(checkup.verdict().unwrap_err().kind(), crate::error::Kind::Data);
    let leak = &checkup.findings[5];
    assert_eq!((leak.split.as_deref(), leak.line), (Some("train"), Some(2)));
    assert!(
        leak.file.as_ref().unwrap().ends_with("train.csv") && leak.image.as_ref().unwrap().ends_with("0.png")
    );
    assert_eq!((leak.also.len(), &*leak.also[0].split, leak.also[0].line), (1, "test", Some(2)));
    let images = checkup.images.as_ref().unwrap();
    let formats = [("bmp", 1), ("jpeg", 1), ("png", 7)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!((images.files, images.whole, &images.formats), (13, 9, &formats.into()));
    assert_eq!(images.width, Some(Range { min: 80, median: 80, max: 150 }));
}

#[test]
fn images_of_formats_that_are_not_read_are_not_called_broken() {
    let folder = tempfile::tempdir().unwrap();
    let brands = [("a.jpg", "avif"), ("b.jpg", "heic"), ("c.jpg", "isom")];
    for (name, brand) in brands {
        let file = [b"\0\0\0\x10ftyp", brand.as_bytes(), &[0; 40]].concat();
        std::fs::write(folder.path().join(name), file).unwrap();
    }
    std::fs::write(folder.path().join("train.csv"), "image,cat\na.jpg,1\nb.jpg,0\nc.jpg,1\n").unwrap();
    let train = csv::read(&folder.path().join("train.csv")).unwrap();
    let settings = Settings::default();
    let checkup = check(&[("train".into(), &train)], &settings, &|_, _| {}).unwrap();
    let found = said(&checkup, folder.path());
    for (line, what) in [
        "train.csv:2: a.jpg: an AVIF image, which sarb does not read: convert it to JPEG or PNG",
        "train.csv:3: b.jpg: a HEIC image, which sarb does not read: convert it to JPEG or PNG",
        "train.csv:4: c.jpg: an MP4 or similar file, not an image",
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(found[line], ("image-not-an-image", what.to_owned()));
    }
}

#[test]
fn without_images_only_what_the_label_files_say_is_found() {
    let folder = troubled();
    let checkup = check_folder(folder.path(), &Settings { images: false, ..Settings::default() });
    let codes: Vec<&str> = checkup.findings.iter().map(|finding| finding.code.name()).collect();
    assert_eq!(codes, ["leak-path"]);
    assert!(checkup.images.is_none());
}

#[test]
fn json_has_every_finding_with_its_file_line_and_companions() {
    let folder = troubled();
    let json = serde_json::to_value(check_folder(folder.path(), &Settings::default())).unwrap();
    assert_eq!(json["counts"]["errors"], 8);
    assert_eq!(json["codes"]["leak-exact"], 1);
    assert_eq!(json["splits"][1]["images"], 5);
    let leak = &json["findings"][5];
    assert_eq!(
        (&leak["severity"], &leak["code"], &leak["line"]),
        (&"error".into(), &"leak-exact".into(), &2.into())
    );
    let other = &leak["also"][0];
    assert_eq!((&other["split"], &other["line"]), (&"test".into(), &2.into()));
    assert!(other["image"].as_str().unwrap().ends_with("copy.png"), "{other}");
}

#[test]
fn a_terminal_shows_twenty_findings_of_a_code_and_their_number() {
    let images: Vec<String> = (0..25).map(|row| format!("nowhere/{row}.jpg")).collect();
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    let train = annotations(&images, &["cat", "dog"], &[1, -1, -1, 1].repeat(13)[..50]);
    let told = Cell::new((0, 0));
    let splits = [("train".into(), &train)];
    let checkup = check(&splits, &Settings::default(), &|done, all| told.set((done, all))).unwrap();
    assert_eq!((checkup.counts.errors, told.get()), (25, (25, 25)));
    let text = checkup.to_string();
    assert!(text.contains("\nerror: image-missing (25): put the file there"), "{text}");
    assert_eq!(text.matches("no such file").count(), 20);
    assert!(text.contains("  … and 5 more (all with --json)\n\ninfo: nothing-unknown (1): "), "{text}");
    assert!(text.ends_with("\n25 errors, 0 warnings, 1 worth knowing"), "{text}");
}

#[test]
fn clean_data_have_no_errors_and_wrong_settings_are_usage_errors() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [1, 2].map(|seed| folder.path().join(format!("{seed}.png")));
    for (seed, path) in (1..).zip(&paths) {
        picture(seed, 50, 60).save(path).unwrap();
    }
    let paths = paths.each_ref().map(|path| path.to_str().unwrap());
    let train = annotations(&paths, &["cat", "dog"], &[1, -1, -1, 0]);
    let splits = [("train".into(), &train)];
    let checkup = check(&splits, &Settings::default(), &|_, _| {}).unwrap();
    let codes: Vec<&str> = checkup.findings.iter().map(|finding| finding.code.name()).collect();
    assert_eq!(codes, ["category-no-positive"]);
    checkup.verdict().unwrap();
    let far = Settings { distance: 12, ..Settings::default() };
    assert!(check(&splits, &far, &|_, _| {}).unwrap_err().to_string().contains("expected 0 to 11"));
    assert_eq!(check(&[], &far, &|_, _| {}).unwrap_err().kind(), crate::error::Kind::Usage);
}

#[test]
fn findings_about_a_split_name_it_and_its_images() {
    let train = annotations(&["a.jpg", "b.jpg"], &["cat", "dog"], &[1, 0, 1, -1]);
    // The largest distance that is accepted.
    let settings = Settings { images: false, distance: 11 };
    let checkup = check(&[("train".into(), &train)], &settings, &|_, _| {}).unwrap();
    let about = checkup.findings.iter().find(|finding| finding.image.is_none()).unwrap();
    assert_eq!(about.split.as_deref(), Some("train"), "{about:?}");
    assert_eq!(about.file.as_deref(), Some(Path::new("labels.csv")));
    // Images that nobody looked at, all of the same standing: none comes first.
    let values = [1, -1, -1, -1, -1, -1];
    let train = annotations(&["a.jpg", "b.jpg", "c.jpg"], &["cat", "dog"], &values);
    let checkup = check(&[("train".into(), &train)], &settings, &|_, _| {}).unwrap();
    let about = checkup.findings.iter().find(|finding| !finding.also.is_empty()).unwrap();
    assert_eq!((about.split.as_deref(), &about.image, about.line), (Some("train"), &None, None));
    let also: Vec<&Path> = about.also.iter().map(|place| &*place.image).collect();
    assert_eq!(also, [Path::new("b.jpg"), Path::new("c.jpg")]);
}

#[test]
fn images_are_counted_in_words() {
    let range = |min, max| Range::of(vec![max, min, 7, min]);
    let counts = super::summary::ImageCounts {
        files: 5,
        whole: 4,
        formats: [("jpeg".to_owned(), 3), ("png".to_owned(), 1)].into(),
        gray: 2,
        width: range(5, 9),
        height: range(7, 7),
        distance: 6,
    };
    let sizes = "5 image files opened, 4 whole: 3 jpeg, 1 png; 5 to 9 (median 7) wide, 7 high";
    assert_eq!(counts.to_string(), format!("{sizes}; 2 gray"));
    assert_eq!(super::summary::ImageCounts { gray: 0, ..counts }.to_string(), sizes);
}
