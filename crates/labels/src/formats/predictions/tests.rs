use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::Label;
use crate::formats::format::Format;
use crate::formats::label_studio::config::{Control, control_of};
use crate::formats::label_studio::predictions::Tasks;
use crate::formats::options::{Options, Unlisted};
use crate::formats::{coco, cvat, fiftyone};

const VERSION: &str = "run<1>-0a1b2c";

fn categories() -> Vec<String> {
    ["cat", "black & white", "dog"].map(str::to_owned).to_vec()
}

/// Three images in folders below, the second of 3 × 2 pixels, the others not there; and what is said of them.
fn made(dir: &Path) -> Vec<(PathBuf, Vec<(usize, f32)>)> {
    let images = ["photos/a ü.jpg", "photos/b.png", "photos/c&d.jpg"].map(|name| dir.join(name));
    std::fs::create_dir(dir.join("photos")).unwrap();
    image::RgbImage::new(3, 2).save(&images[1]).unwrap();
    let named = [vec![(2, 0.9), (0, 0.5)], vec![], vec![(1, 0.25)]];
    images.into_iter().zip(named).collect()
}

fn written(mut writer: Box<dyn PredictionWriter + '_>, said: &[(PathBuf, Vec<(usize, f32)>)]) -> Vec<String> {
    for (image, named) in said {
        writer.push(&Prediction { image, named, sure: 0.75 }).unwrap();
    }
    writer.finish().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Reads a file by its own format and compares what is positive with what was said.
fn check(format: Format, path: &Path, field: Option<&str>, said: &[(PathBuf, Vec<(usize, f32)>)]) {
    let options =
        Options { unlisted: Some(Unlisted::Unknown), field: field.map(str::to_owned), ..Options::default() };
    let read = format.read(path, &options).unwrap().annotations;
    assert_eq!(read.categories, categories());
    assert_eq!(read.images, said.iter().map(|(image, _)| image.clone()).collect::<Vec<_>>());
    for (row, (_, named)) in said.iter().enumerate() {
        for category in 0..3 {
            let expected = match named.iter().any(|(name, _)| *name == category) {
                true => Label::Positive,
                false => Label::Unknown,
            };
            assert_eq!(read.labels.get(row, category), expected, "{row} {category}");
        }
    }
}

#[test]
fn coco_has_scores_and_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let (said, categories, path) = (made(dir.path()), categories(), dir.path().join("coco.json"));
    let predictor = Predictor { categories: &categories, version: VERSION };
    let lost = written(Box::new(coco::predictions::Instances::create(&path, predictor).unwrap()), &said);
    assert_eq!(lost, ["the size of 2 images that cannot be opened: written as 0 × 0"]);
    check(coco::FORMAT, &path, None, &said);
    let file = json(&path);
    assert_eq!(file["info"]["model_version"], VERSION);
    assert_eq!((&file["images"][1]["width"], &file["images"][1]["height"]), (&3.into(), &2.into()));
    let annotations = file["annotations"].as_array().unwrap();
    let brief = |it: &Value| (it["image_id"].as_u64(), it["category_id"].as_u64(), it["score"].as_f64());
    let ids = |key: &str| {
        file[key].as_array().unwrap().iter().map(|it| it["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!([ids("images"), ids("annotations")], [[1, 2, 3], [1, 2, 3]]);
    assert_eq!(
        annotations.iter().map(brief).collect::<Vec<_>>(),
        [(Some(1), Some(3), Some(0.9)), (Some(1), Some(1), Some(0.5)), (Some(3), Some(2), Some(0.25))]
    );
    let none = dir.path().join("none.json");
    written(Box::new(coco::predictions::Instances::create(&none, predictor).unwrap()), &[]);
    assert_eq!(json(&none)["annotations"], Value::Array(vec![]));
}

#[test]
fn cvat_has_tags_of_a_model_with_their_score() {
    let dir = tempfile::tempdir().unwrap();
    let (said, categories, path) = (made(dir.path()), categories(), dir.path().join("tags.xml"));
    let predictor = Predictor { categories: &categories, version: VERSION };
    let lost = written(Box::new(cvat::predictions::Tags::create(&path, predictor).unwrap()), &said);
    assert_eq!(lost, ["the size of 2 images that cannot be opened: written as 0 × 0"]);
    check(cvat::FORMAT, &path, None, &said);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("<model_version>run&lt;1&gt;-0a1b2c</model_version>"), "{text}");
    let tag = "<tag label=\"dog\" source=\"auto\"><attribute name=\"score\">0.900000</attribute></tag>";
    for (id, name) in ["a ü.jpg", "b.png", "c&amp;d.jpg"].into_iter().enumerate() {
        assert!(text.contains(&format!("<image id=\"{id}\" name=\"photos/{name}\"")), "{text}");
    }
    assert!(text.contains(tag) && text.contains("width=\"3\" height=\"2\""), "{text}");
}

#[test]
fn fiftyone_has_confidences_in_a_field_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (said, categories, path) = (made(dir.path()), categories(), dir.path().join("samples.json"));
    let predictor = Predictor { categories: &categories, version: VERSION };
    written(Box::new(fiftyone::predictions::Samples::create(&path, predictor).unwrap()), &said);
    check(fiftyone::FORMAT, &path, Some("predictions"), &said);
    let file = json(&path);
    let first = &file["samples"][0]["predictions"];
    assert_eq!((&first["model_version"], &first["_cls"]), (&VERSION.into(), &"Classifications".into()));
    assert_eq!(first["classifications"][0]["confidence"], 0.9);
    let other = fiftyone::predictions::Samples::create(&dir.path().join("other.json"), predictor);
    assert!(other.unwrap_err().to_string().contains("FiftyOne looks for samples.json"));
}

#[test]
fn label_studio_has_tasks_with_one_prediction_each() {
    let dir = tempfile::tempdir().unwrap();
    let (said, categories, path) = (made(dir.path()), categories(), dir.path().join("tasks.json"));
    let predictor = Predictor { categories: &categories, version: VERSION };
    written(Box::new(Tasks::create(&path, predictor, Control::tags(&categories)).unwrap()), &said);
    let tasks = json(&path);
    assert_eq!(tasks.as_array().unwrap().len(), 3);
    assert_eq!(tasks[0]["data"]["image"], "/data/local-files/?d=photos/a%20%C3%BC.jpg");
    let first = &tasks[0]["predictions"][0];
    assert_eq!((&first["model_version"], &first["score"]), (&VERSION.into(), &0.75.into()));
    let result = &first["result"][0];
    assert_eq!((&result["from_name"], &result["to_name"]), (&"tags".into(), &"image".into()));
    assert_eq!(result["value"]["choices"], serde_json::json!(["dog", "cat"]));
    assert!((result["score"].as_f64().unwrap() - 0.7).abs() < 1e-6);
    assert_eq!(tasks[1]["predictions"][0]["result"], Value::Array(vec![]));

    let config = "<View><Image name='photo' value='$url'/><Choices name='c' toName='photo' choice='multiple'>\
        <Choice value='Cat' alias='cat'/><Choice value='black &amp; white'/><Choice value='dog'/></Choices></View>";
    let control = control_of(config, &categories, "config.xml").unwrap();
    written(Box::new(Tasks::create(&path, predictor, control).unwrap()), &said);
    let task = &json(&path)[0];
    assert!(task["data"]["url"].is_string());
    let result = &task["predictions"][0]["result"][0];
    assert_eq!((&result["from_name"], &result["to_name"]), (&"c".into(), &"photo".into()));
    for (from, to, expected) in [
        ("'dog'", "'dogs'", "config.xml: the control \"c\" has no choice for dog"),
        (" choice='multiple'", "", "say choice=\"multiple\""),
    ] {
        let error = control_of(&config.replace(from, to), &categories, "config.xml").unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn what_a_tool_could_not_open_is_refused_and_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let (categories, inner) = (categories(), dir.path().join("inner"));
    let predictor = Predictor { categories: &categories, version: VERSION };
    std::fs::create_dir(&inner).unwrap();
    let tar = dir.path().join("a.tar");
    std::fs::write(&tar, "").unwrap();
    let refused = |writer: &mut dyn PredictionWriter, image: &Path| {
        writer.push(&Prediction { image, named: &[], sure: 1.0 }).unwrap_err().to_string()
    };
    let mut tasks = Tasks::create(&inner.join("tasks.json"), predictor, Control::tags(&categories)).unwrap();
    assert!(refused(&mut tasks, &dir.path().join("a.jpg")).contains("write the file into a folder above"));
    assert!(refused(&mut tasks, &tar.join("1.jpg")).contains("Label Studio opens no image inside of a tar"));
    let mut samples = fiftyone::predictions::Samples::create(&inner.join("samples.json"), predictor).unwrap();
    assert!(refused(&mut samples, &tar.join("1.jpg")).contains("FiftyOne opens no image"));
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let strange = dir.path().join(std::ffi::OsStr::from_bytes(b"\xff.jpg"));
        let mut instances =
            coco::predictions::Instances::create(&inner.join("coco.json"), predictor).unwrap();
        assert!(refused(&mut instances, &strange).contains("UTF-8"));
        let mut tags = cvat::predictions::Tags::create(&inner.join("tags.xml"), predictor).unwrap();
        assert!(refused(&mut tags, &strange).contains("UTF-8"));
        assert!(refused(&mut tags, &dir.path().join("a\u{1}.jpg")).contains("tags.xml: "));
    }
    drop((tasks, samples));
    assert!(inner.read_dir().unwrap().next().is_none());
}
