//! Predictions as files of other tools: what is in them is what `predict` prints, and the program's own readers find it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sarb_labels::Label;
use serde_json::Value;

use crate::support::{arg, borrow, data_copy, features, quick, sarb, sarb_fails, sarb_ok, train_on_images};

/// A copy of the generated data with a run `model` on its images beside it.
struct Made {
    _dir: tempfile::TempDir,
    data: PathBuf,
    run: String,
}

fn made() -> Made {
    let dir = data_copy();
    let run = dir.path().join("model");
    train_on_images(&run);
    Made { data: dir.path().to_owned(), run: arg(run), _dir: dir }
}

/// The categories of each image, most probable first, with their probability, as `--format jsonl` prints them.
fn printed(made: &Made, more: &[&str]) -> BTreeMap<String, Vec<(String, f64)>> {
    let images = arg(made.data.join("images"));
    let said = sarb_ok(&[&["predict", &made.run, &images, "--format", "jsonl"], more].concat());
    let lines = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let label = |it: &Value| (it["name"].as_str().unwrap().to_owned(), it["probability"].as_f64().unwrap());
    lines
        .map(|line| {
            let name = Path::new(line["image"].as_str().unwrap()).file_name().unwrap().to_owned();
            let labels = line["labels"].as_array().unwrap().iter().map(label).collect();
            (name.into_string().unwrap(), labels)
        })
        .collect()
}

fn write(made: &Made, format: &str, out: &str, more: &[&str]) -> PathBuf {
    let (out, images) = (made.data.join(out), arg(made.data.join("images")));
    sarb_ok(
        &[&["predict", &made.run, &images, "--format", format, "--out", &arg(&out), "-q"], more].concat(),
    );
    out
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Converts a file to the program's own labels and compares what is positive with what is printed.
fn read_back(file: &Path, more: &[&str], expected: &BTreeMap<String, Vec<(String, f64)>>) {
    let csv = file.with_extension("read.csv");
    sarb_ok(&[&["data", "convert", &arg(file), "-o", &arg(&csv), "--unlisted", "unknown"], more].concat());
    let read = sarb_labels::formats::csv::read(&csv).unwrap();
    assert_eq!(read.images.len(), expected.len());
    assert!(!read.categories.is_empty());
    for (row, image) in read.images.iter().enumerate() {
        assert!(image.is_file(), "{}", image.display());
        let named = &expected[image.file_name().unwrap().to_str().unwrap()];
        for (column, category) in read.categories.iter().enumerate() {
            let label = match named.iter().any(|(name, _)| name == category) {
                true => Label::Positive,
                false => Label::Unknown,
            };
            assert_eq!(read.labels.get(row, column), label, "{} {category}", image.display());
        }
    }
}

#[test]
fn every_format_names_what_is_printed_with_its_probability_and_the_model() {
    let made = made();
    let expected = printed(&made, &["--top", "2"]);
    assert!(expected.len() == 72 && expected.values().all(|named| named.len() == 2));
    let top = ["--top", "2"];

    let tasks = json(&write(&made, "label-studio", "tasks.json", &top));
    let model = tasks[0]["predictions"][0]["model_version"].as_str().unwrap().to_owned();
    assert!(model.strip_prefix("model-").is_some_and(|hash| hash.len() >= 6), "{model}");
    for task in tasks.as_array().unwrap() {
        let image = task["data"]["image"].as_str().unwrap().strip_prefix("/data/local-files/?d=images/");
        let (named, prediction) = (&expected[image.unwrap()], &task["predictions"][0]);
        let result = &prediction["result"][0];
        let choices: Vec<&str> =
            result["value"]["choices"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        assert_eq!(choices, named.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
        let mean = named.iter().map(|(_, probability)| probability).sum::<f64>() / 2.0;
        assert!((result["score"].as_f64().unwrap() - mean).abs() < 1e-6);
        assert!((0.5..=1.0).contains(&prediction["score"].as_f64().unwrap()));
    }

    let coco = write(&made, "coco", "coco.json", &top);
    read_back(&coco, &[], &expected);
    let file = json(&coco);
    assert_eq!(file["info"]["model_version"], model.as_str());
    assert_eq!((&file["images"][0]["width"], &file["images"][0]["height"]), (&32.into(), &32.into()));
    for annotation in file["annotations"].as_array().unwrap() {
        let of = |what: &str, id: &str| {
            let all = file[what].as_array().unwrap().clone();
            all.into_iter().find(|it| it["id"] == annotation[id]).unwrap()
        };
        let (image, category) = (of("images", "image_id"), of("categories", "category_id"));
        let named = &expected[image["file_name"].as_str().unwrap().strip_prefix("images/").unwrap()];
        let (_, probability) = named.iter().find(|(name, _)| category["name"] == name.as_str()).unwrap();
        assert!((annotation["score"].as_f64().unwrap() - probability).abs() < 1e-6);
    }

    let samples = write(&made, "fiftyone", "samples.json", &top);
    read_back(&samples, &["--field", "predictions"], &expected);
    let file = json(&samples);
    for sample in file["samples"].as_array().unwrap() {
        let named = &expected[sample["filepath"].as_str().unwrap().strip_prefix("images/").unwrap()];
        let predictions = &sample["predictions"];
        assert_eq!(predictions["model_version"], model.as_str());
        for (label, (name, probability)) in
            predictions["classifications"].as_array().unwrap().iter().zip(named)
        {
            assert_eq!(label["label"], name.as_str());
            assert!((label["confidence"].as_f64().unwrap() - probability).abs() < 1e-6);
        }
    }

    let tags = write(&made, "cvat", "annotations.xml", &top);
    let text = std::fs::read_to_string(&tags).unwrap();
    assert!(text.contains(&format!("<model_version>{model}</model_version>")));
    let (_, probability) = expected.values().flatten().next().unwrap();
    assert!(
        text.contains(&format!("<attribute name=\"score\">{probability:.6}</attribute>")),
        "{text:.2000}"
    );
    // The images of CVAT are those in `images` beside the file.
    read_back(&tags, &[], &expected);

    let table = std::fs::read(write(&made, "parquet", "scores.parquet", &["--threshold", "0.25"])).unwrap();
    let holds = |text: &str| table.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(holds("sarb.model_version") && holds(&model) && holds("thresholds") && holds("[0.25,0.25,"));
}

#[test]
fn without_other_wishes_what_is_at_least_half_probable_is_named() {
    let made = made();
    let half = printed(&made, &["--threshold", "50%"]);
    let named: usize = half.values().map(Vec::len).sum();
    let file = json(&write(&made, "coco", "half.json", &[]));
    assert_eq!(file["annotations"].as_array().unwrap().len(), named);
    assert_eq!(file["images"].as_array().unwrap().len(), 72);
    let decided = printed(&made, &["--decide", "f1"]);
    let file = json(&write(&made, "coco", "decided.json", &["--decide", "f1"]));
    let annotations = file["annotations"].as_array().unwrap();
    assert_eq!(annotations.len(), decided.values().map(Vec::len).sum::<usize>());
    assert_ne!(annotations.len(), named);
}

#[test]
fn a_labeling_configuration_says_what_choices_are_called() {
    let made = made();
    let categories: Vec<String> = json(&Path::new(&made.run).join("data/categories.json"))["names"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    let config = made.data.join("config.xml");
    let choices: String =
        categories.iter().map(|it| format!("<Choice value=\"The {it}\" alias=\"{it}\"/>")).collect();
    let xml = format!(
        "<View><Image name=\"photo\" value=\"$url\"/><Choices name=\"what\" toName=\"photo\" choice=\"multiple\">{choices}</Choices></View>"
    );
    std::fs::write(&config, &xml).unwrap();
    let with = ["--top", "1", "--label-config", &arg(&config)];
    // Parts have files of their own.
    let first = write(&made, "label-studio", "part.json", &[&with[..], &["--shard", "0/3"]].concat());
    assert!(!first.exists());
    let tasks = json(&made.data.join("part-00000-of-00003.json"));
    assert_eq!(tasks.as_array().unwrap().len(), 24);
    assert!(tasks[0]["data"]["url"].is_string());
    let result = &tasks[0]["predictions"][0]["result"][0];
    assert_eq!((&result["from_name"], &result["to_name"]), (&"what".into(), &"photo".into()));

    std::fs::write(&config, xml.replace(&format!("alias=\"{}\"", categories[0]), "")).unwrap();
    let (images, out) = (arg(made.data.join("images")), arg(made.data.join("more.json")));
    let predict = ["predict", &made.run, &images, "--out", &out, "--label-config", &arg(&config), "--format"];
    let message = sarb_fails(2, &[&predict[..], &["label-studio"]].concat());
    assert!(message.contains("has no choice for"), "{message}");
    let message = sarb_fails(2, &[&predict[..], &["coco"]].concat());
    assert!(message.contains("only --format label-studio has a use for it"), "{message}");
}

#[test]
fn what_cannot_be_written_is_refused() {
    let made = made();
    let images = arg(made.data.join("images"));
    let refused = |more: &[&str], expected: &str| {
        let message = sarb_fails(2, &[&["predict", &made.run, &images], more].concat());
        assert!(message.contains(expected), "{message}");
    };
    for format in ["label-studio", "cvat", "fiftyone", "coco", "npy"] {
        refused(&["--format", format], &format!("--format {format} needs a file: --out FILE"));
    }
    let out = |name: &str| arg(made.data.join(name));
    refused(&["--format", "fiftyone", "--out", &out("a.json")], "FiftyOne looks for samples.json");
    let shard = ["--format", "fiftyone", "--out", &out("samples.json"), "--shard", "0/2"];
    refused(&shard, "FiftyOne looks for samples.json");
    std::fs::create_dir(made.data.join("inner")).unwrap();
    refused(
        &["--format", "label-studio", "--out", &out("inner/tasks.json")],
        "write the file into a folder above",
    );
    assert!(made.data.join("inner").read_dir().unwrap().next().is_none());

    let run = made.data.join("features");
    sarb_ok(&borrow(&quick("linear", &run)));
    let file = arg(features().join("test.npy"));
    let rows = ["predict", &arg(&run), "--features", &file, "--format", "coco", "--out", &out("rows.json")];
    assert!(sarb_fails(2, &rows).contains("need the images by their names"));
    let names: Vec<String> = (0..24).map(|row| out(&format!("photo-{row}.jpg"))).collect();
    let said = sarb(&[&rows[..], &borrow(&names)].concat());
    assert!(said.status.success());
    assert!(String::from_utf8_lossy(&said.stderr).contains("the size of 24 images that cannot be opened"));
    assert_eq!(json(&made.data.join("rows.json"))["images"][23]["file_name"], "photo-23.jpg");
}

#[test]
fn rows_of_an_array_keep_the_places_of_images_that_cannot_be_read() {
    let made = made();
    let list: Vec<String> = ["train_00000.png", "broken.png", "train_00001.png"]
        .iter()
        .map(|name| arg(made.data.join("images").join(name)))
        .collect();
    let expected = printed(&made, &[]);
    std::fs::write(&list[1], "no image").unwrap();
    let out = made.data.join("scores.npy");
    let message = sarb_fails(3, &[&["predict", &made.run, "--out", &arg(&out)], &borrow(&list)[..]].concat());
    assert!(message.contains("1 of 3 images could not be read"), "{message}");
    let bytes = std::fs::read(&out).unwrap();
    let categories = expected.values().next().unwrap().len();
    assert!(String::from_utf8_lossy(&bytes[..128]).contains(&format!("'shape': (3, {categories}, )")));
    let values: Vec<f32> =
        bytes[128..].chunks_exact(4).map(|it| f32::from_le_bytes(it.try_into().unwrap())).collect();
    let rows: Vec<&[f32]> = values.chunks_exact(categories).collect();
    assert!(rows[1].iter().all(|value| value.is_nan()));
    for (row, name) in [(0, "train_00000.png"), (2, "train_00001.png")] {
        let mut sorted: Vec<f32> = rows[row].to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        for (value, (_, probability)) in sorted.iter().zip(&expected[name]) {
            assert!((f64::from(*value) - probability).abs() < 1e-6);
        }
    }
}
