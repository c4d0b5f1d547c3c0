use proptest::prelude::*;

use super::*;
use crate::error::Kind;
use crate::formats::samples::{damaged, problems_of, read_bytes, recognized_alone};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/labelbox");

fn options(unlisted: Unlisted) -> Options {
    Options { unlisted: Some(unlisted), ..Options::default() }
}

fn fixture(name: &str, unlisted: Unlisted) -> Reading {
    let options = Options { images: Some("photos".into()), ..options(unlisted) };
    FORMAT.read(&Path::new(FIXTURES).join(name), &options).unwrap()
}

fn parse(text: impl AsRef<[u8]>, unlisted: Unlisted) -> Result<Reading> {
    read_bytes("a.json", text, |path| FORMAT.read(path, &options(unlisted)))
}

fn problems(text: impl AsRef<[u8]>) -> Vec<String> {
    problems_of("a.json", Kind::Data, parse(text, Unlisted::Unknown))
}

/// A data row whose labels have these classifications.
fn row(image: &str, labels: &[&str]) -> String {
    let label = |list: &&str| format!(r#"{{"annotations": {{"objects": [], "classifications": [{list}]}}}}"#);
    let labels: Vec<String> = labels.iter().map(label).collect();
    let labels = labels.join(", ");
    format!(
        r#"{{"data_row": {{"id": "{image}", "row_data": "{image}"}}, "projects": {{"p": {{"labels": [{labels}]}}}}}}"#
    )
}

const RAIN: &str = r#"{"name": "rain", "radio_answer": {"name": "yes"}}"#;
const NO_RAIN: &str = r#"{"name": "rain", "radio_answer": {"name": "no"}}"#;
const UNSURE: &str = r#"{"name": "rain", "radio_answer": {"name": "unsure"}}"#;

#[test]
fn yes_no_and_unsure_are_three_states_and_other_answers_are_positive() {
    let Reading { annotations, notes } = fixture("export.ndjson", Unlisted::Unknown);
    let expected =
        ["car", "Rain?", "Things/dog/leash", "Ground/sand", "Things/dog", "Things/ball", "Ground/gravel"];
    assert_eq!(annotations.categories, expected);
    // By external id; by global key; by the address, as the key does not end like an image's name.
    let names = ["street/1.jpg", "2.jpg", "a/my dog.jpg", "4.jpg", "5.jpg"];
    assert_eq!(annotations.images, names.map(|name| Path::new("photos").join(name)));
    let rows = [
        [1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 0.0],
        [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0],
        [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0],
        [0.0; 7],
        [0.0; 7],
    ];
    assert_eq!(annotations.labels.to_floats(), rows.concat());
    let expected = [
        "1 labels are positive in one place and negative in another: unknown",
        "1 skipped labels: nothing is known from them",
        "2 images have no label that was not skipped: kept, every category unknown",
        "5 answers yes, no or unknown: positive, negative and unknown",
        "1 objects: positive for their image",
        "1 answers about single objects are not read",
        "1 answers in free text are not read",
        "1 images are URLs: looked for by their path below the host",
    ];
    assert_eq!(notes, expected);
}

#[test]
fn what_nobody_answered_stays_unknown_where_the_rest_is_negative() {
    let Reading { annotations, notes } = fixture("export.ndjson", Unlisted::Negative);
    let rows = [
        [1.0, 1.0, -1.0, 1.0, 1.0, 1.0, -1.0],
        // Sand and gravel, by two annotators; nobody said anything of things.
        [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        // The ground was left open, and the dog's leash.
        [-1.0, 0.0, 0.0, 0.0, 1.0, -1.0, 0.0],
        [0.0; 7],
        [0.0; 7],
    ];
    assert_eq!(annotations.labels.to_floats(), rows.concat());
    assert_eq!(notes[0], "3 labels are positive in one place and negative in another: unknown");
    let open = "6 labels of questions that were left open: unknown".to_owned();
    assert!(notes.contains(&open), "{notes:?}");
}

#[test]
fn an_answer_is_found_behind_one_that_is_null() {
    let list = r#"{"name": "ground", "radio_answer": null, "checklist_answers": [{"name": "sand"}]}"#;
    let annotations = parse(row("a.jpg", &[list]), Unlisted::Unknown).unwrap().annotations;
    assert_eq!((annotations.categories.len(), annotations.labels.to_floats()), (1, vec![1.0]));
}

#[test]
fn export_v1_has_a_row_for_each_label() {
    let Reading { annotations, notes } = fixture("v1.json", Unlisted::Negative);
    assert_eq!(
        annotations.categories,
        ["Blue bird", "Rain?", "Attributes/Crowded", "Attributes/Foot traffic"]
    );
    let names = ["1.jpg", "2.jpg", "3.jpg", "a/4.jpg"];
    assert_eq!(annotations.images, names.map(|name| Path::new("photos").join(name)));
    let rows = [[1.0, -1.0, 1.0, 1.0], [0.0; 4], [0.0; 4], [0.0; 4]];
    assert_eq!(annotations.labels.to_floats(), rows.concat());
    let expected = [
        "2 skipped labels: nothing is known from them",
        "3 images have no label that was not skipped: kept, every category unknown",
        "2 answers yes, no or unknown: positive, negative and unknown",
        "1 objects: positive for their image",
        "1 answers in free text are not read",
        "1 images are URLs: looked for by their path below the host",
    ];
    assert_eq!(notes, expected);
}

#[test]
fn the_answers_of_a_checklist_alone_are_categories_by_themselves() {
    let things =
        |answer: &str| format!(r#"{{"name": "Things", "checklist_answers": [{{"name": "{answer}"}}]}}"#);
    let text = [row("a.jpg", &[&things("dog")]), row("b.jpg", &[&things("cat")]), row("c.jpg", &[""])];
    // The same as an array of data rows.
    for text in [text.join("\n"), format!("[{}]", text.join(",\n"))] {
        let Reading { annotations, notes } = parse(text, Unlisted::Negative).unwrap();
        assert_eq!(annotations.categories, ["dog", "cat"]);
        assert_eq!(annotations.labels.to_floats(), [1.0, -1.0, -1.0, 1.0, -1.0, -1.0]);
        assert_eq!(notes, ["1 labels chose nothing: no to every category"]);
    }
    // Beside another question, even of free text, choosing nothing is no answer.
    let text = [
        row("a.jpg", &[&things("dog")]),
        row("b.jpg", &[r#"{"name": "Note", "text_answer": {"content": "x"}}"#]),
    ];
    let Reading { annotations, notes } = parse(text.join("\n"), Unlisted::Negative).unwrap();
    assert_eq!(annotations.categories, ["Things/dog"]);
    assert_eq!(annotations.labels.to_floats(), [1.0, 0.0]);
    assert_eq!(notes[1], "1 labels of questions that were left open: unknown");
}

#[test]
fn annotators_who_disagree_give_unknown_and_a_sure_one_wins_over_an_unsure_one() {
    let text = [
        row("a.jpg", &[RAIN, NO_RAIN]),
        row("b.jpg", &[RAIN, UNSURE]),
        row("c.jpg", &[NO_RAIN, UNSURE]),
        row("d.jpg", &[NO_RAIN, NO_RAIN]),
        row("e.jpg", &[""]),
    ];
    for unlisted in [Unlisted::Unknown, Unlisted::Negative] {
        let Reading { annotations, notes } = parse(text.join("\n"), unlisted).unwrap();
        assert_eq!(annotations.categories, ["rain"]);
        assert_eq!(annotations.labels.to_floats(), [0.0, 1.0, 0.0, -1.0, 0.0]);
        assert_eq!(notes[0], "1 labels are positive in one place and negative in another: unknown");
    }
}

#[test]
fn an_unsure_answer_makes_no_category_and_leaves_the_others_open() {
    let ground = |answer: &str| format!(r#"{{"name": "Ground", "radio_answer": {{"name": "{answer}"}}}}"#);
    let text = ["sand", "gravel", "unsure"].map(|answer| row(&format!("{answer}.jpg"), &[&ground(answer)]));
    let Reading { annotations, notes } = parse(text.join("\n"), Unlisted::Negative).unwrap();
    assert_eq!(annotations.categories, ["Ground/sand", "Ground/gravel"]);
    assert_eq!(annotations.labels.to_floats(), [1.0, -1.0, -1.0, 1.0, 0.0, 0.0]);
    assert_eq!(notes[0], "1 answers yes, no or unknown: positive, negative and unknown");
}

#[test]
fn a_question_may_have_other_answers_beside_yes_and_no() {
    let snow = r#"{"name": "rain", "radio_answer": {"name": "snow"}}"#;
    let text =
        [row("a.jpg", &[RAIN]), row("b.jpg", &[snow]), row("c.jpg", &[UNSURE]), row("d.jpg", &[NO_RAIN])];
    let annotations = parse(text.join("\n"), Unlisted::Negative).unwrap().annotations;
    assert_eq!(annotations.categories, ["rain", "rain/snow"]);
    assert_eq!(annotations.labels.to_floats(), [1.0, -1.0, 0.0, 1.0, 0.0, 0.0, -1.0, -1.0]);
}

#[test]
fn two_data_rows_of_one_image_are_counted() {
    let text = [row("a.jpg", &[RAIN]), row("a.jpg", &[RAIN]).replace(r#""id": "a.jpg""#, r#""id": "2""#)];
    let Reading { annotations, notes } = parse(text.join("\n"), Unlisted::Unknown).unwrap();
    assert_eq!(annotations.labels.to_floats(), [1.0]);
    assert_eq!(notes[1], "1 data rows name the image of another data row: read as further labels of it");
}

#[test]
fn what_is_not_listed_has_no_silent_default() {
    let error = FORMAT.read(&Path::new(FIXTURES).join("v1.json"), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().starts_with("an export of Labelbox lists what was chosen"), "{error}");
}

#[test]
fn all_problems_come_at_once_with_their_lines() {
    let label = |annotations: &str| {
        format!(
            r#"{{"data_row": {{"row_data": "a.jpg"}}, "projects": {{"p": {{"labels": [{annotations}]}}}}}}"#
        )
    };
    let text = [
        r#"{"image": "a.jpg"}"#.to_owned(),
        r#"{"data_row": {"id": "1", "row_data": ""}, "projects": {}}"#.to_owned(),
        r#"{"data_row": {"row_data": "a.jpg"}, "experiments": {}}"#.to_owned(),
        r#"{"data_row": {"row_data": "a.jpg"}, "projects": []}"#.to_owned(),
        r#"{"data_row": {"row_data": "a.jpg"}, "projects": {"p": {}}}"#.to_owned(),
        label(r#"{"annotations": 3}"#),
        label(r#"{"annotations": {"frames": {}, "classifications": []}}"#),
        label(r#"{"annotations": {"rain": "yes"}}"#),
        label(r#"{"annotations": {"objects": {}}}"#),
        label(r#"{"annotations": {"objects": [{"bbox": 1}]}}"#),
        label(r#"{"annotations": {"classifications": [{"radio_answer": {"name": "yes"}}]}}"#),
        label(r#"{"annotations": {"classifications": [{"name": "q", "radio_answer": {}}]}}"#),
        label(r#"{"annotations": {"classifications": [{"name": "q", "radio_answer": ["yes"]}]}}"#),
        label(r#"{"annotations": {"classifications": [{"name": "q", "checklist_answers": ["yes"]}]}}"#),
        r#"{"External ID": "a.jpg", "Label": {"Car": [{"geometry": []}]}}"#.to_owned(),
        r#"{"External ID": "a.jpg", "Label": "yes"}"#.to_owned(),
    ];
    let expected = [
        "1: neither data_row nor Label; expected a data row of an export of Labelbox",
        "2: no image; expected external_id, global_key or row_data with its name",
        "3: no projects but experiments: a model run; export a project instead",
        "4: projects of a data row is not an object",
        "5: a project of a data row without labels; expected an array",
        "6: annotations of a label is not an object",
        "7: annotations of a label has frames: a video; expected an image",
        "8: annotations of a label has neither objects nor classifications; exports before 2020 had another \
         layout; export again",
        "9: objects of a label is not an array",
        "10: an object without a name; expected text",
        "11: a classification without a name; expected text",
        "12: an answer to \"q\" without a name; expected text",
        "13: radio_answer to \"q\" is of an unknown layout",
        "14: an answer to \"q\" without a name; expected text",
        "15: Label of a label has neither objects nor classifications; exports before 2020 had another layout; \
         export again",
        "16: Label of a label is not an object",
    ];
    assert_eq!(problems(text.join("\n")), expected.map(|what| format!("a.json:{what}")));
}

#[test]
fn exports_without_answers_are_named() {
    let nothing = "a.json:1: no answers to radio questions or checklists and no objects in any label";
    assert_eq!(problems(row("a.jpg", &[])), [nothing]);
    assert_eq!(problems(row("a.jpg", &[r#"{"name": "q", "radio_answer": null}, {"name": "r"}"#])), [nothing]);
    assert_eq!(problems(r#"{"data_row": {"row_data": "a.jpg"}}"#), [nothing]);
    assert_eq!(problems("[]"), ["a.json: no images; nothing to read"]);
    assert!(problems("")[0].starts_with("a.json:1: the file ends too early"));
    let good = row("a.jpg", &[RAIN]);
    assert!(problems(format!("{good}\n{{\"data_row\":"))[0].starts_with("a.json:2: the file ends too early"));
    let inline = row("data:image/png;base64,AAAA", &[RAIN]);
    assert_eq!(problems(inline), ["a.json:1: an image inside the file (data: URI); expected its path"]);
    let deep = format!("{{\"data_row\": {}", "[".repeat(1000));
    assert!(problems(deep)[0].contains("recursion limit exceeded"));
}

#[test]
fn only_exports_of_labelbox_are_recognized() {
    let paths = ["export.ndjson", "v1.json"].map(|name| Path::new(FIXTURES).join(name));
    recognized_alone(FORMAT, &[&paths[0], &paths[1]]);
    let recognized = |text: &str| recognize(Path::new("a.json"), text.as_bytes()).is_some();
    assert!(recognized("[{\"data_row\": {\"id\": \"1\", \"row_data\": \"a.jpg\""));
    assert!(recognized(r#"[{"External ID": "1", "DataRow ID": "2", "Label": {}}]"#));
    assert!(!recognized(r#"[{"DataRow ID": "2", "Label": {}}]"#));
    assert!(
        !recognized(r#"{"data_row": "a.jpg"}"#) && !recognized(r#"[{"Label": "cat", "External ID": "1"}]"#)
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        second in damaged(std::fs::read(Path::new(FIXTURES).join("export.ndjson")).unwrap()),
        first in damaged(std::fs::read(Path::new(FIXTURES).join("v1.json")).unwrap()),
    ) {
        for text in [second, first] {
            let _ = parse(&text, Unlisted::Negative);
        }
    }
}
