use proptest::prelude::*;

use super::*;
use crate::annotations::Annotations;
use crate::error::Kind;
use crate::formats::samples::{damaged, problems_of, read_bytes, samples};
use crate::labels::Label;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/label_studio");

fn options(unlisted: Unlisted) -> Options {
    Options { unlisted: Some(unlisted), ..Options::default() }
}

fn fixture(name: &str, unlisted: Unlisted) -> Reading {
    let options = Options { images: Some("media".into()), ..options(unlisted) };
    FORMAT.read(&Path::new(FIXTURES).join(name), &options).unwrap()
}

fn parse(text: impl AsRef<[u8]>, unlisted: Unlisted) -> Result<Reading> {
    read_bytes("a.json", text, |path| FORMAT.read(path, &options(unlisted)))
}

fn problems(text: impl AsRef<[u8]>) -> Vec<String> {
    problems_of("a.json", Kind::Data, parse(text, Unlisted::Unknown))
}

/// A task with one annotation of `(control, choice)` pairs.
fn task(image: &str, choices: &[(&str, &str)]) -> String {
    let result: Vec<String> = choices
        .iter()
        .map(|(control, choice)| {
            format!(r#"{{"from_name":"{control}","type":"choices","value":{{"choices":["{choice}"]}}}}"#)
        })
        .collect();
    format!(r#"{{"data":{{"image":"{image}"}},"annotations":[{{"result":[{}]}}]}}"#, result.join(","))
}

#[test]
fn what_is_not_chosen_is_unknown_if_the_user_says_so() {
    let Reading { annotations, notes } = fixture("export.json", Unlisted::Unknown);
    let Annotations { images, categories, labels, .. } = annotations;
    assert_eq!(categories, ["sea", "sand", "animal/dog"]);
    let names = ["1/0a-beach.jpg", "set/my dog.jpg", "a/town.jpg", "1/0d-wall.jpg", "1/0e-dog.jpg"];
    assert_eq!(images, names.map(|name| Path::new("media").join(name)));
    let rows = [[1.0, 1.0, 0.0], [0.0; 3], [0.0; 3], [0.0; 3], [0.0, 1.0, 1.0]];
    assert_eq!(labels.to_floats(), rows.concat());
    let expected = [
        "2 skipped annotations (was_cancelled): nothing is known from them",
        "2 images have no annotation: kept, every category unknown",
        "1 images are URLs: looked for by their path below the host",
        "1 results of other types are not read: \"rectanglelabels\"",
    ];
    assert_eq!(notes, expected);
}

#[test]
fn skipped_and_open_tasks_stay_unknown_where_the_rest_is_negative() {
    let Reading { annotations, notes } = fixture("export.json", Unlisted::Negative);
    // Two annotators of the first image disagree about the sand. The second image was skipped, the third is
    // open; the fourth was skipped by one, and another submitted it without a choice.
    let rows = [[1.0, 0.0, -1.0], [0.0; 3], [0.0; 3], [-1.0; 3], [-1.0, 1.0, 1.0]];
    assert_eq!(annotations.labels.to_floats(), rows.concat());
    assert_eq!(notes[0], "1 labels are positive in one place and negative in another: unknown");
    assert!(notes.contains(&"1 submitted annotations chose nothing: every category negative".to_owned()));
}

#[test]
fn the_small_export_is_read_alike() {
    let Reading { annotations, notes } = fixture("export_min.json", Unlisted::Negative);
    assert_eq!(annotations.categories, ["sea", "sand", "dog"]);
    assert_eq!(annotations.images, ["media/1/0a-beach.jpg", "media/1/0e-dog.jpg"].map(Path::new));
    assert_eq!(annotations.labels.to_floats(), [1.0, 0.0, -1.0, -1.0, -1.0, 1.0]);
    let expected = [
        "1 labels are positive in one place and negative in another: unknown",
        "fields that hold only plain text are not read as choices: \"source\"",
    ];
    assert_eq!(notes, expected);
}

#[test]
fn there_is_no_default_for_what_is_not_chosen() {
    let error = FORMAT.read(&Path::new(FIXTURES).join("export.json"), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Usage);
    assert!(error.to_string().contains("--unlisted unknown"), "{error}");
}

#[test]
fn several_controls_name_their_choices_and_one_left_open_stays_unknown() {
    let tasks = [
        task("a.jpg", &[("weather", "sun"), ("objects", "car")]),
        task("b.jpg", &[("weather", "rain")]),
        task("c.jpg", &[]),
    ];
    let text = format!("[{}]", tasks.join(",\n"));
    let reading = parse(&text, Unlisted::Negative).unwrap();
    assert_eq!(reading.annotations.categories, ["weather/sun", "objects/car", "weather/rain"]);
    assert_eq!(reading.annotations.labels.to_floats(), [1.0, 1.0, -1.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    assert_eq!(reading.notes, ["3 times a control was left open where another was answered: unknown"]);
    let reading = parse(&text, Unlisted::Unknown).unwrap();
    assert_eq!(reading.annotations.labels.to_floats(), [1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    assert!(reading.notes.is_empty());
}

#[test]
fn a_task_alone_old_names_and_repeated_images_are_read() {
    let alone = parse(task("a.jpg", &[("choice", "sun")]), Unlisted::Negative).unwrap();
    assert_eq!(alone.annotations.labels.to_floats(), [1.0]);
    let old = task("a.jpg", &[("choice", "sun")]).replace("annotations", "completions");
    let skipped = old.replace("\"result\"", "\"skipped\": true, \"result\"").replace("sun", "rain");
    let reading = parse(format!("[{old},{skipped}]"), Unlisted::Negative).unwrap();
    assert_eq!(reading.annotations.categories, ["sun"]);
    assert_eq!(reading.annotations.labels.to_floats(), [1.0]);
    assert!(reading.notes[1].starts_with("1 tasks name an image again"), "{:?}", reading.notes);
    let named = r#"[{"image": "a.jpg", "choice": "sun", "annotation_id": 1, "lead_time": 1}]"#;
    assert_eq!(parse(named, Unlisted::Unknown).unwrap().annotations.categories, ["sun"]);
}

#[test]
fn all_problems_come_at_once_with_their_lines() {
    let text = r#"[
        {"annotations": []},
        {"data": {"text": "no image", "n": 3}, "annotations": []},
        {"data": {"left": "a.jpg", "right": "b.jpg"}},
        {"data": {"image": "data:image/png;base64,AAAA"}},
        {"data": {"image": "a.jpg"}, "annotations": {"id": 1}},
        {"data": {"image": "b.jpg"}, "annotations": [{"id": 1}]},
        {"data": {"image": "c.jpg"}, "annotations": [{"result": [{"value": {"choices": "sun"}}]}]},
        {"data": {"image": "d.jpg"}, "annotations": [{"result": [{"value": {"choices": [["a", 1]]}}]}]}]"#;
    let expected = [
        "a.json:2: a task without data; expected an object with the image",
        "a.json:3: no image; expected a field image, or one whose text ends like an image's name",
        "a.json:4: images in the fields \"left\" and \"right\"; expected one",
        "a.json:5: an image inside the file (data: URI); expected its path",
        "a.json:6: annotations of a task is not an array",
        "a.json:7: an annotation without result; expected an array",
        "a.json:8: choices of a result is not an array of texts",
        "a.json:9: choices of a result is not an array of texts",
    ];
    assert_eq!(problems(text), expected);
}

#[test]
fn exports_without_choices_say_what_they_hold() {
    let boxes = r#"[{"data": {"image": "a.jpg"}, "annotations": [{"result": [
        {"type": "rectanglelabels", "value": {"rectanglelabels": ["boat"]}}]}]}]"#;
    let found = problems(boxes);
    assert!(found[0].ends_with("expected results of type choices; results are of type \"rectanglelabels\""));
    let plain = r#"[{"image": "a.jpg", "weather": "sun", "annotation_id": 1}]"#;
    assert!(problems(plain)[0].ends_with("export as JSON instead"), "{:?}", problems(plain));
    assert_eq!(problems("[]"), ["a.json: no images; nothing to read"]);
    assert!(problems("[3]")[0].starts_with("a.json:1: invalid type: integer `3`"));
    assert!(problems("[{\"data\":\n{\"image\"")[0].starts_with("a.json:2: the file ends too early"));
    assert!(problems("\"text\"")[0].contains("expected a JSON array of objects"));
    assert!(problems("[{\"a\":".to_owned() + &"[".repeat(1000))[0].contains("recursion limit"));
}

#[test]
fn exports_are_recognized() {
    let recognized = |head: &[u8]| recognize(Path::new("a.json"), head).is_some();
    for name in ["export.json", "export_min.json"] {
        assert!(recognized(&std::fs::read(Path::new(FIXTURES).join(name)).unwrap()), "{name}");
    }
    assert!(!recognized(br#"[{"image_id": 1, "category_id": 2, "score": 0.5}]"#) && !recognized(b"{}"));
}

proptest! {
    #[test]
    fn positive_labels_are_read_back_and_what_is_lost_is_said(sample in samples()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let annotations = sample.at(folder.path(), &folder.path().join("images"), ".jpg");
        let lost = write(&path, &annotations).unwrap();
        let labels = &annotations.labels;
        let negative = labels.count(Label::Negative);
        prop_assert_eq!(lost.iter().any(|lost| lost.starts_with(&format!("{negative} negative"))), negative > 0);
        let never = labels.counts().iter().filter(|count| count.0 == 0).count();
        prop_assert_eq!(lost.iter().any(|lost| lost.starts_with(&format!("{never} categories"))), never > 0);
        if never == annotations.categories.len() {
            prop_assert!(FORMAT.read(&path, &options(Unlisted::Unknown)).is_err());
            return Ok(());
        }
        let back = FORMAT.read(&path, &options(Unlisted::Unknown)).unwrap().annotations;
        prop_assert_eq!(&back.images, &annotations.images);
        prop_assert_eq!(back.labels.count(Label::Negative), 0);
        for (column, name) in annotations.categories.iter().enumerate() {
            let found = back.categories.iter().position(|category| category == name);
            for row in 0..annotations.images.len() {
                let positive = labels.get(row, column) == Label::Positive;
                let read = found.is_some_and(|column| back.labels.get(row, column) == Label::Positive);
                prop_assert_eq!(read, positive);
            }
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        full in damaged(std::fs::read(Path::new(FIXTURES).join("export.json")).unwrap()),
        min in damaged(std::fs::read(Path::new(FIXTURES).join("export_min.json")).unwrap()),
    ) {
        for text in [full, min] {
            let _ = parse(&text, Unlisted::Negative);
        }
    }
}
