use proptest::prelude::*;

use super::*;
use crate::annotations::Annotations;
use crate::error::Kind;
use crate::formats::samples::{damaged, problems_of, read_bytes, samples};
use crate::labels::LabelMatrix;

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
fn what_says_nothing_of_the_image_stays_unknown() {
    let annotated = |result: &str| {
        let first = task("a.jpg", &[("tags", "cat")]);
        parse(
            format!(r#"[{first},{{"data":{{"image":"b.jpg"}},"annotations":[{{"result":{result}}}]}}]"#),
            Unlisted::Negative,
        )
        .unwrap()
    };
    let of_second = |result: &str| annotated(result).annotations.labels.get(1, 0);
    assert_eq!(of_second("[]"), crate::Label::Negative, "submitted without a choice");
    assert_eq!(of_second("null"), crate::Label::Unknown);
    let value = r#""x":1,"y":2,"width":3,"height":4"#;
    let boxes = format!(
        r#"[{{"from_name":"box","type":"rectanglelabels","value":{{{value},"rectanglelabels":["cat"]}}}}]"#
    );
    assert_eq!(of_second(&boxes), crate::Label::Unknown);
    assert!(
        annotated(&boxes)
            .notes
            .iter()
            .any(|note| note.starts_with("1 annotations have other results and no choice"))
    );
    let region =
        format!(r#"[{{"from_name":"tags","type":"choices","value":{{{value},"choices":["cat"]}}}}]"#);
    assert_eq!(of_second(&region), crate::Label::Unknown);
    assert!(
        annotated(&region).notes.iter().any(|note| note.starts_with("1 choices of a region are not read"))
    );
    assert!(
        problems(r#"[{"data":{"image":"b.jpg"},"annotations":[{"result":3}]}]"#)[0].contains("not an array")
    );

    let min = format!(
        r#"[{{"image":"a.jpg","tags":{{"choices":["cat"]}}}},{{"image":"b.jpg","tags":[{{{value},"choices":["cat"]}}]}}]"#
    );
    let Reading { annotations, notes } = parse(min, Unlisted::Unknown).unwrap();
    assert_eq!(annotations.labels.to_floats(), [1.0, 0.0]);
    assert!(notes.iter().any(|note| note.starts_with("1 choices of a region are not read")), "{notes:?}");
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
        "2 images have no annotation of their choices: kept, every category unknown",
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
    assert!(notes.contains(&"1 submitted annotations chose nothing: no to every category".to_owned()));
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
    assert_eq!(reading.notes, ["4 labels of controls that were left open: unknown"]);
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
    for name in ["export.json", "export_min.json", "yes_no.json", "export.csv", "export.tsv"] {
        assert!(recognized(&std::fs::read(Path::new(FIXTURES).join(name)).unwrap()), "{name}");
    }
    assert!(!recognized(br#"[{"image_id": 1, "category_id": 2, "score": 0.5}]"#) && !recognized(b"{}"));
}

/// The export of one annotation for each image, of `(control, choice)` pairs.
fn export(images: &[&[(&str, &str)]]) -> String {
    let tasks: Vec<String> =
        images.iter().enumerate().map(|(at, choices)| task(&format!("{at}.jpg"), choices)).collect();
    format!("[{}]", tasks.join(",\n"))
}

#[test]
fn a_control_per_category_answered_with_yes_and_no_has_three_states() {
    let options = Options { images: Some("media".into()), ..Options::default() };
    let Reading { annotations, notes } =
        FORMAT.read(&Path::new(FIXTURES).join("yes_no.json"), &options).unwrap();
    assert_eq!(annotations.categories, ["cat", "traffic light"]);
    let names = ["1/0a-beach.jpg", "1/0b-wood.jpg", "1/0c-town.jpg", "1/0d-wall.jpg"];
    assert_eq!(annotations.images, names.map(|name| Path::new("media").join(name)));
    // The annotators of the first image contradict each other about the traffic light; yes beside unsure is
    // yes. The third was submitted without an answer. In the fourth, no beside unsure is unknown.
    assert_eq!(annotations.labels.to_floats(), [1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let expected = [
        "1 labels are positive in one place and negative in another: unknown",
        "1 skipped annotations (was_cancelled): nothing is known from them",
        "categories answered with yes (positive), no (negative) or unsure: \"cat\", \"traffic light\"",
    ];
    assert_eq!(notes, expected);
}

#[test]
fn nothing_is_left_for_unlisted_where_all_answers_are_yes_and_no() {
    let error = parse(export(&[&[("cat", "Yes")]]), Unlisted::Negative).unwrap_err();
    assert_eq!(error.to_string(), "--unlisted: an export of yes and no has no use for it; remove the option");
}

#[test]
fn answers_beside_yes_and_no_make_all_of_them_categories() {
    let text = export(&[&[("cat", "Yes")], &[("cat", "No")], &[("cat", "N/A")]]);
    let reading = parse(&text, Unlisted::Unknown).unwrap();
    assert_eq!(reading.annotations.categories, ["Yes", "No", "N/A"]);
    assert_eq!(
        reading.notes,
        ["controls with yes, no and other answers, each of which is a category: \"cat\""]
    );
    let error = read_bytes("a.json", &text, |path| FORMAT.read(path, &Options::default())).unwrap_err();
    assert!(error.to_string().contains("pass --unlisted unknown"), "{error}");
    // One control that was only ever answered with unsure is a question, too.
    let unsure =
        read_bytes("a.json", export(&[&[("cat", "Unsure")]]), |path| FORMAT.read(path, &Options::default()));
    let annotations = unsure.unwrap().annotations;
    assert_eq!((annotations.categories, annotations.labels.to_floats()), (vec!["cat".into()], vec![0.0]));
}

#[test]
fn beside_plain_choices_what_is_not_answered_with_yes_or_no_stays_unknown() {
    let text = export(&[
        &[("cat", "Yes"), ("scene", "sea")],
        &[("scene", "sand")],
        &[("cat", "No")],
        &[("cat", "Unsure"), ("scene", "sea")],
    ]);
    let Reading { annotations, notes } = parse(&text, Unlisted::Negative).unwrap();
    assert_eq!(annotations.categories, ["cat", "scene/sea", "scene/sand"]);
    #[rustfmt::skip]
    assert_eq!(annotations.labels.to_floats(), [
        1.0, 1.0, -1.0,
        0.0, -1.0, 1.0,
        -1.0, 0.0, 0.0,
        0.0, 1.0, -1.0,
    ]);
    let expected = [
        "categories answered with yes (positive), no (negative) or unsure: \"cat\"",
        "3 labels of controls that were left open: unknown",
    ];
    assert_eq!(notes, expected);
}

#[test]
fn one_control_may_be_answered_with_yes_and_no_at_once() {
    let text = export(&[&[("cat", "Yes"), ("cat", "No")], &[("cat", "No")]]);
    let reading = read_bytes("a.json", text, |path| FORMAT.read(path, &Options::default())).unwrap();
    assert_eq!(reading.annotations.labels.to_floats(), [0.0, -1.0]);
    assert_eq!(reading.notes[0], "1 labels are positive in one place and negative in another: unknown");
}

#[test]
fn small_exports_with_a_key_for_each_control_hold_yes_and_no() {
    let record = |image: &str, rest: &str| {
        format!(r#"{{"image": "{image}", "annotation_id": 1, "lead_time": 1, {rest}}}"#)
    };
    let text = [
        record("a.jpg", r#""cat": "yes", "dog": "no", "license": "unknown", "caption": "Yes we can""#),
        record("b.jpg", r#""cat": "no", "license": "unknown", "caption": "No cat""#),
    ];
    let text = format!("[{}]", text.join(","));
    let reading = read_bytes("a.json", &text, |path| FORMAT.read(path, &Options::default())).unwrap();
    assert_eq!(reading.annotations.categories, ["cat", "dog"]);
    assert_eq!(reading.annotations.labels.to_floats(), [1.0, -1.0, -1.0, 0.0]);
    let expected = "fields that hold only plain text are not read as choices: \"caption\", \"license\"";
    assert_eq!(reading.notes[1], expected);
    // A task without an annotation, as some versions export it: nobody looked.
    let open = text.replacen("\"annotation_id\": 1", "\"annotation_id\": null", 1).replace("cat", "choice");
    let open = open.replace("yes", "sun").replace("\"no\"", "\"rain\"");
    let Reading { annotations, notes } = parse(&open, Unlisted::Negative).unwrap();
    assert_eq!(annotations.labels.to_floats(), [0.0, 1.0]);
    assert_eq!(notes[0], "1 images have no annotation of their choices: kept, every category unknown");
}

#[test]
fn tables_are_read_like_the_small_export() {
    for name in ["export.csv", "export.tsv"] {
        let Reading { annotations, notes } = fixture(name, Unlisted::Negative);
        assert_eq!(annotations.categories, ["dog", "scene/sea", "scene/sand"], "{name}");
        let names = ["1/0a-beach.jpg", "1/0b-wood.jpg", "1/0c-town.jpg", "1/0d-wall.jpg"];
        assert_eq!(annotations.images, names.map(|name| Path::new("media").join(name)));
        #[rustfmt::skip]
        assert_eq!(annotations.labels.to_floats(), [
            0.0, 1.0, 0.0,
            -1.0, 0.0, 0.0,
            0.0, 0.0, 0.0,
            0.0, -1.0, 1.0,
        ], "{name}");
        let expected = [
            "2 labels are positive in one place and negative in another: unknown",
            "1 images have no annotation of their choices: kept, every category unknown",
            "categories answered with yes (positive), no (negative) or unsure: \"dog\"",
            "fields that hold only plain text are not read as choices: \"caption\"",
            "2 labels of controls that were left open: unknown",
        ];
        assert_eq!(notes, expected, "{name}");
    }
    let error = FORMAT.read(&Path::new(FIXTURES).join("export.csv"), &Options::default()).unwrap_err();
    assert!(error.to_string().contains("--unlisted unknown"), "{error}");
}

const COLUMNS: &str = "annotation_id,annotator,choice,created_at,image,lead_time,updated_at";

#[test]
fn problems_of_tables_come_at_once_with_their_lines() {
    let rows = [
        "\u{feff}annotation_id,annotator,choice,created_at,image,lead_time,updated_at\r",
        "1,a,sun,,a.jpg,1,",
        "2,a,\"{\"\"choices\"\":",
        "[\"\"sun\"\",",
        "3]}\",,b.jpg,1,",
        "3,a,sun,,c.jpg,1",
        "4,a,sun,,,1,",
        "5,a,\"sun\"shine,,d.jpg,1,",
        "6,a,\"sun,,e.jpg,1,",
    ];
    let expected = [
        "a.json:3: choices of a result is not an array of texts",
        "a.json:6: 6 fields; expected 7, as in the header",
        "a.json:7: no image; expected a field image, or one whose text ends like an image's name",
        "a.json:8: text after a closing quote; expected a comma",
        "a.json:9: a quoted field does not end; is the file whole?",
    ];
    assert_eq!(problems(rows.join("\n")), expected);
    let twice = format!("{COLUMNS},image\n");
    assert_eq!(problems(twice), ["a.json:1: the column \"image\" is there twice"]);
    assert_eq!(problems(format!("{COLUMNS}\n\n")), ["a.json: no images; nothing to read"]);
    let other = problems(format!("{COLUMNS}\n1,a,,,a.jpg,1,\n"));
    assert_eq!(other, ["a.json:1: no choices in any annotation; expected results of type choices"]);
    let latin = [COLUMNS.as_bytes(), b"\n1,a,caf\xe9,,a.jpg,1,\n"].concat();
    assert!(problems(latin)[0].starts_with("a.json:2: no UTF-8 text (byte 0xE9"));
    let long = format!("{COLUMNS}\n1,a,\"{}", "x\n".repeat(9 << 20));
    assert_eq!(problems(long), ["a.json:2: a record of more than 16 MB; is a quote missing?"]);
}

#[test]
fn tables_saved_by_a_spreadsheet_are_read() {
    let text = format!("{}\n1;a;sun;;a.jpg;1;\n", COLUMNS.replace(',', ";"));
    let reading = parse(&text, Unlisted::Unknown).unwrap();
    assert_eq!((reading.annotations.categories, reading.annotations.images.len()), (vec!["sun".into()], 1));
    assert!(recognize(Path::new("a.csv"), text.as_bytes()).is_some());
}

#[test]
fn a_category_that_two_controls_name_is_refused() {
    let text = export(&[&[("a", "b/c"), ("a/b", "c")]]);
    let expected = "a.json:1: two controls name the category \"a/b/c\"; rename one of them";
    assert_eq!(problems(&text), [expected]);
}

#[test]
fn samples_of_other_formats_are_not_recognized_and_ours_by_no_other() {
    for format in crate::formats::ALL.iter().filter(|format| format.name != FORMAT.name) {
        assert_eq!(recognize(Path::new("a"), format.example.as_bytes()), None, "{format}");
        for name in ["export.json", "export_min.json", "yes_no.json", "export.csv", "export.tsv"] {
            let path = Path::new(FIXTURES).join(name);
            let head = std::fs::read(&path).unwrap();
            assert_eq!((format.recognize)(&path, &head), None, "{format} of {name}");
        }
    }
    for head in ["image,choice\na.jpg,sun\n", "annotation_id,annotator,image\n", ""] {
        assert_eq!(recognize(Path::new("a.csv"), head.as_bytes()), None, "{head}");
    }
}

#[test]
fn tasks_and_records_are_recognized_by_both_of_their_keys() {
    for (head, own) in [
        (r#"[{"data": {}, "annotations": []"#, true),
        (r#"[{"data": {}, "completions": []"#, true),
        (r#"[{"data": {}, "predictions": []"#, true),
        (r#"[{"data": {}, "id": 1"#, false),
        (r#"[{"annotations": []"#, false),
        (r#"[{"annotation_id": 1, "lead_time": 2}"#, true),
        (r#"[{"annotation_id": 1}"#, false),
        (r#"[{"lead_time": 2}"#, false),
    ] {
        assert_eq!(recognize(Path::new("a.json"), head.as_bytes()).is_some(), own, "{head}");
    }
}

#[test]
fn an_empty_choice_is_refused_and_of_many_names_the_first_are_listed() {
    for choices in [r#"[""]"#, r#"[[""]]"#, "[[]]"] {
        let text = format!(
            r#"[{{"data": {{"image": "a.jpg"}}, "annotations": [{{"result": [
                {{"from_name": "t", "type": "choices", "value": {{"choices": {choices}}}}}]}}]}}]"#
        );
        assert_eq!(problems(&text), ["a.json:1: choices of a result is not an array of texts"], "{choices}");
    }
    let names: Vec<String> = (0..12).map(|name| name.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let ten = r#""0", "1", "2", "3", "4", "5", "6", "7", "8", "9""#;
    assert_eq!(
        [listed(&names[..10]), listed(&names[..11]), listed(&names)],
        [ten.into(), format!("{ten}, …"), format!("{ten}, …")]
    );
}

#[test]
fn what_is_written_asks_first_where_something_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    let annotations = Annotations {
        images: ["1.jpg", "2.jpg", "3.jpg"].map(|name| folder.path().join(name)).to_vec(),
        labels: LabelMatrix::from_values(2, &[0, 0, 1, 0, 0, -1]),
        categories: vec!["cat".into(), "dog".into()],
        source: folder.path().join("train.csv"),
    };
    write(&path, &annotations).unwrap();
    let tasks: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let answers = |task: &Value| {
        let results = task["annotations"][0]["result"].as_array().cloned().unwrap_or_default();
        let answer =
            |it: &Value| format!("{} {}", it["from_name"], it["value"]["choices"][0]).replace('"', "");
        (task["id"].as_u64().unwrap(), results.iter().map(answer).collect::<Vec<_>>().join(", "))
    };
    let found: Vec<(u64, String)> = tasks.as_array().unwrap().iter().map(answers).collect();
    assert_eq!(found, [(1, String::new()), (2, "cat Yes, dog Unsure".into()), (3, "dog No".into())]);
    let question = |row, categories| Question { row, categories, reason: "why".into() };
    write_questions(&path, &annotations, &[question(2, vec![1, 0]), question(0, vec![0])]).unwrap();
    let tasks: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let data = |at: usize| tasks[at]["data"].clone();
    assert_eq!((&tasks[0]["id"], &tasks[1]["id"]), (&1.into(), &2.into()));
    assert_eq!((&data(0)["ask"], &data(1)["ask"]), (&"dog\ncat".into(), &"cat".into()));
    assert!(data(0)["image"].as_str().unwrap().ends_with("3.jpg") && data(0)["reason"] == "why");
}

proptest! {
    #[test]
    fn everything_comes_back(sample in samples()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let annotations = sample.at(folder.path(), &folder.path().join("images"), ".jpg");
        prop_assert!(write(&path, &annotations).unwrap().is_empty());
        let back = FORMAT.read(&path, &Options::default()).unwrap().annotations;
        prop_assert_eq!(back, Annotations { source: path, ..annotations });
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        full in damaged(std::fs::read(Path::new(FIXTURES).join("export.json")).unwrap()),
        min in damaged(std::fs::read(Path::new(FIXTURES).join("export_min.json")).unwrap()),
        table in damaged(std::fs::read(Path::new(FIXTURES).join("export.csv")).unwrap()),
    ) {
        for text in [full, min, table] {
            let _ = parse(&text, Unlisted::Negative);
        }
    }
}
