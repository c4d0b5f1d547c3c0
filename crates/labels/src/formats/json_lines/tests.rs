use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::annotations::Annotations;
use crate::error::Kind as ErrorKind;
use crate::formats::marks::Marks;
use crate::formats::options::Unlisted;
use crate::formats::samples::{damaged, lines_of, read_bytes, samples};
use crate::labels::{Label, LabelMatrix};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/json_lines");

fn fixture(name: &str) -> PathBuf {
    Path::new(FIXTURES).join(name)
}

fn options(unlisted: Option<Unlisted>, set: Option<&str>) -> Options {
    Options { unlisted, set: set.map(str::to_owned), ..Options::default() }
}

fn parse(text: impl AsRef<[u8]>, options: &Options) -> Result<Reading> {
    read_bytes("a.jsonl", text, |path| FORMAT.read(path, options))
}

fn problems(text: impl AsRef<[u8]>) -> Vec<String> {
    lines_of("a.jsonl", ErrorKind::Data, parse(text, &options(Some(Unlisted::Unknown), None)))
}

fn usage(text: impl AsRef<[u8]>, options: &Options) -> String {
    let error = parse(text, options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    error.to_string()
}

/// The images below the folder of the file.
fn names(text: &str) -> Vec<String> {
    read_bytes("a.jsonl", text, |path| {
        let reading = FORMAT.read(path, &options(Some(Unlisted::Unknown), None))?;
        let below =
            |image: &PathBuf| image.strip_prefix(path.parent().unwrap()).unwrap().display().to_string();
        Ok(reading.annotations.images.iter().map(below).collect())
    })
    .unwrap()
}

#[test]
fn both_lists_are_known_and_everything_else_is_unknown() {
    let path = fixture("metadata.jsonl");
    let Reading { annotations, notes } = FORMAT.read(&path, &Options::default()).unwrap();
    assert_eq!(annotations.categories, ["cat", "dog", "traffic light"]);
    assert_eq!(annotations.images, ["a.jpg", "sub/b.png", "c.jpg"].map(fixture));
    #[rustfmt::skip]
    assert_eq!(annotations.labels.to_floats(), [
        1.0, -1.0, 1.0,
        -1.0, 0.0, 0.0,
        0.0, 0.0, 0.0,
    ]);
    assert_eq!(notes, ["1 images have no labels: all unknown"]);
    let error = FORMAT.read(&path, &options(Some(Unlisted::Negative), None)).unwrap_err();
    assert_eq!(error.to_string(), "--unlisted: this JSON Lines file has no use for it; remove the option");
}

#[test]
fn one_list_needs_a_policy_which_holds_for_its_images_alone() {
    let text = r#"{"file_name": "a.jpg", "labels": ["cat"]}
{"file_name": "b.jpg", "label": "dog"}
{"file_name": "c.jpg", "labels": ["dog"], "negative_labels": []}
{"file_name": "d.jpg", "objects": {"bbox": [], "categories": []}}
{"file_name": "e.jpg"}"#;
    let asked = usage(text, &Options::default());
    assert!(
        asked.starts_with("the lines list the labels that are there, without negative_labels; pass --unl")
    );
    let Reading { annotations, notes } = parse(text, &options(Some(Unlisted::Negative), None)).unwrap();
    #[rustfmt::skip]
    assert_eq!(annotations.labels.to_floats(), [
        1.0, -1.0,
        -1.0, 1.0,
        0.0, 1.0,
        -1.0, -1.0,
        0.0, 0.0,
    ]);
    assert_eq!(notes, ["1 images have no labels: all unknown"]);
    let unknown = parse(text, &options(Some(Unlisted::Unknown), None)).unwrap().annotations.labels;
    assert_eq!(unknown.count(crate::labels::Label::Negative), 0);
}

#[test]
fn numbers_get_their_names_from_the_list_of_categories() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("names.txt");
    std::fs::write(&list, "cat\ndog\nowl\n").unwrap();
    let named = Options { categories: Some(list), ..options(Some(Unlisted::Unknown), None) };
    let text = "{\"file_name\": \"a.jpg\", \"labels\": [2, 0]}\n{\"file_name\": \"b.jpg\", \"label\": 1}\n";
    let reading = parse(text, &named).unwrap();
    assert_eq!(reading.annotations.categories, ["cat", "dog", "owl"]);
    assert_eq!(reading.annotations.labels.to_floats(), [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    assert!(reading.notes.is_empty());
    let Reading { annotations, notes } = parse(text, &options(Some(Unlisted::Unknown), None)).unwrap();
    assert_eq!(annotations.categories, ["2", "0", "1"]);
    assert!(notes[0].starts_with("labels are numbers without names; name them with --categories FILE"));
    let beyond = parse("{\"file_name\": \"a.jpg\", \"label\": 3}", &named);
    assert_eq!(
        lines_of("a.jsonl", ErrorKind::Data, beyond),
        ["1: label 3; --categories names 3 labels, from 0"]
    );
}

#[test]
fn lists_with_a_number_per_category_are_refused() {
    let found = problems(r#"{"file_name": "a.jpg", "labels": [0, 1, 0, 1]}"#);
    assert!(found[0].starts_with("1: 0 is in labels more than once, as where a list has one number per"));
    let two =
        "{\"file_name\": \"a.jpg\", \"labels\": [0, 1]}\n{\"file_name\": \"b.jpg\", \"labels\": [1, 0]}\n";
    assert!(
        problems(two)[0].starts_with("every list is 0 and 1 (2 lists), which may be one number per category")
    );
    // Boxes of two classes, and one list that is not of 0 and 1.
    let boxes = r#"{"file_name": "a.jpg", "objects": {"bbox": [[0, 0, 1, 1]], "categories": [0, 1, 1]}}"#;
    assert!(parse(boxes, &options(Some(Unlisted::Unknown), None)).is_ok());
    let told = format!("{two}{{\"file_name\": \"c.jpg\", \"labels\": [1]}}");
    assert!(parse(told, &options(Some(Unlisted::Unknown), None)).is_ok());
}

#[test]
fn vertex_ai_names_labels_and_the_sets_of_images() {
    let path = fixture("vertex.jsonl");
    let asked = FORMAT.read(&path, &options(Some(Unlisted::Negative), None)).unwrap_err();
    assert_eq!(asked.kind(), ErrorKind::Usage);
    assert!(
        asked.to_string().ends_with(
            "vertex.jsonl: images of several sets; choose one with --set: test (1), training (3), unassigned (1)"
        ),
        "{asked}"
    );
    for set in ["train", "training"] {
        let Reading { annotations, notes } =
            FORMAT.read(&path, &options(Some(Unlisted::Negative), Some(set))).unwrap();
        assert_eq!(annotations.images, ["1.jpeg", "sub/2.png", "3.jpeg"].map(fixture));
        assert_eq!(annotations.categories, ["daisy", "full_shot", "tulips"]);
        #[rustfmt::skip]
        assert_eq!(annotations.labels.to_floats(), [
            1.0, 1.0, -1.0,
            -1.0, -1.0, 1.0,
            0.0, 0.0, 0.0,
        ]);
        assert_eq!(notes, ["1 images have no labels: all unknown"]);
    }
    let test = FORMAT.read(&path, &options(Some(Unlisted::Unknown), Some("test"))).unwrap().annotations;
    assert_eq!((test.images, test.categories), (vec![fixture("1.jpeg")], vec!["daisy".into()]));
    let error = FORMAT.read(&path, &options(None, Some("dev"))).unwrap_err().to_string();
    assert!(error.contains("no images of dev; choose one with --set: test (1), training (3)"), "{error}");
    let asked = FORMAT.read(&path, &options(None, Some("train"))).unwrap_err().to_string();
    assert!(asked.starts_with("the lines list the labels that were chosen; pass --unlisted"), "{asked}");
}

#[test]
fn a_split_is_a_set_in_any_file_and_a_set_without_one_is_refused() {
    let text = "{\"file_name\": \"a.jpg\", \"label\": \"cat\", \"split\": \"train\"}\n\
                {\"file_name\": \"b.jpg\", \"label\": \"dog\", \"split\": \"val\"}\n";
    let asked = usage(text, &options(Some(Unlisted::Unknown), None));
    assert!(asked.ends_with("images of several sets; choose one with --set: train (1), val (1)"), "{asked}");
    let val = parse(text, &options(Some(Unlisted::Unknown), Some("validation"))).unwrap().annotations;
    assert_eq!((val.images.len(), val.categories), (1, vec!["dog".into()]));
    let valid = "{\"file_name\": \"c.jpg\", \"label\": \"dog\", \"split\": \"valid\"}\n";
    let both = usage(format!("{text}{valid}"), &options(Some(Unlisted::Unknown), Some("val")));
    assert!(
        both.ends_with("a.jsonl: val may mean val or valid; give them one name, or leave one out"),
        "{both}"
    );
    // They are not one set without a choice, either.
    let both = format!("{}{valid}", text.lines().last().unwrap().to_owned() + "\n");
    let both = usage(&both, &options(Some(Unlisted::Unknown), None));
    assert!(both.ends_with("images of several sets; choose one with --set: val (1), valid (1)"), "{both}");
    let none = usage("{\"file_name\": \"a.jpg\", \"label\": \"cat\"}", &options(None, Some("train")));
    assert!(
        none.ends_with("a.jsonl: --set: nothing says which set an image belongs to; leave the option out"),
        "{none}"
    );
}

#[test]
fn labeling_jobs_of_sagemaker_are_taken_together_and_none_speaks_for_another() {
    let path = fixture("output.manifest");
    let Reading { annotations, notes } =
        FORMAT.read(&path, &options(Some(Unlisted::Negative), None)).unwrap();
    assert_eq!(annotations.categories, ["bicycle", "person", "clothing", "summer", "winter"]);
    assert_eq!(annotations.images, ["1.jpg", "2.jpg", "3.jpg", "4.jpg"].map(fixture));
    #[rustfmt::skip]
    assert_eq!(annotations.labels.to_floats(), [
        1.0, 1.0, 1.0, 1.0, -1.0,
        -1.0, -1.0, -1.0, 0.0, 0.0,
        0.0, 0.0, 0.0, 0.0, 0.0,
        0.0, 0.0, 0.0, -1.0, 1.0,
    ]);
    let expected = [
        "1 labels with a confidence below 0.5: read as there",
        "labels of 2 labeling jobs are taken together: \"scene\", \"season\"",
        "2 images lack a labeling job that others have: unknown in its categories",
        "1 images have no labels: all unknown",
        "not read, since they are not labels of whole images: \"boxes\"",
    ];
    assert_eq!(notes, expected);
    let unknown = FORMAT.read(&path, &options(Some(Unlisted::Unknown), None)).unwrap();
    assert_eq!(unknown.annotations.labels.count(crate::labels::Label::Negative), 0);
}

#[test]
fn rekognition_has_a_key_for_every_label() {
    let line = |image: &str, labels: &[&str]| {
        let keys = labels
            .iter()
            .map(|name| format!(r#", "l_{name}": 1, "l_{name}-metadata": {{"class-name": "{name}"}}"#));
        format!("{{\"source-ref\": \"s3://b/{image}.jpg\"{}}}\n", keys.collect::<String>())
    };
    let text = line("1", &["sunrise", "lake"]) + &line("2", &["lake"]);
    let Reading { annotations, notes } = parse(text, &options(Some(Unlisted::Negative), None)).unwrap();
    assert_eq!(annotations.categories, ["sunrise", "lake"]);
    assert_eq!(annotations.labels.to_floats(), [1.0, 1.0, -1.0, 1.0]);
    let note = "1 labels whose job names no other category are read as not there where the job is missing";
    assert_eq!(notes, [note]);
}

#[test]
fn addresses_become_paths_below_the_folder_that_all_share() {
    let uri = |uri: &str| {
        format!("{{\"imageGcsUri\": \"{uri}\", \"classificationAnnotation\": {{\"displayName\": \"x\"}}}}\n")
    };
    let text = uri("gs://b/set/cat/1.jpg") + &uri("gs://b/set/dog/1.jpg");
    assert_eq!(names(&text), ["cat/1.jpg", "dog/1.jpg"]);
    assert_eq!(names(&uri("gs://b/set/cat/1.jpg")), ["1.jpg"]);
    assert_eq!(names(&(uri("gs://a/1.jpg") + &uri("gs://b/1.jpg"))), ["a/1.jpg", "b/1.jpg"]);
    // Copied into one folder, where the names alone tell them apart.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("1.jpg"), "").unwrap();
    let path = folder.path().join("a.jsonl");
    std::fs::write(&path, uri("gs://b/cat/1.jpg") + &uri("gs://b/dog/2.jpg")).unwrap();
    let flat = FORMAT.read(&path, &options(Some(Unlisted::Unknown), None)).unwrap().annotations;
    assert_eq!(flat.images, ["1.jpg", "2.jpg"].map(|name| folder.path().join(name)));
    // One place for two images.
    let text = uri("gs://b/1.jpg") + &uri("s3://b/1.jpg");
    let found = problems(&text)[0].clone();
    assert!(found.starts_with("2: ") && found.contains("is also where another image of the file"), "{found}");
    assert_eq!(problems(uri("gs://b")), ["1: \"gs://b\" has no path behind the bucket"]);
    let twice = problems(uri("gs://b/1.jpg") + &uri("gs://b/1.jpg"));
    assert_eq!(twice, ["2: image \"gs://b/1.jpg\" already appears on line 1"]);
}

#[test]
fn all_problems_come_at_once_with_their_lines() {
    let text = r#"{"file_name": "a.jpg", "labels": ["cat"]}
{"labels": ["cat"]}
{"file_name": 3, "labels": []}
{"file_name": "a.jpg", "labels": []}
{"file_name": "b.jpg", "labels": "cat"}
{"file_name": "c.jpg", "labels": [], "tags": []}
{"file_name": "d.jpg", "split": 1}
{"imageGcsUri": "gs://b/e.jpg"}
{"file_name": "f.jpg"
["g.jpg"]
{"file_name": "h.jpg", "labels": [], "labels": ["cat"]}"#;
    let found = problems(text);
    let expected = [
        "2: no image; expected file_name, imageGcsUri or source-ref",
        "3: file_name is a number; expected the path of an image",
        "4: image \"a.jpg\" already appears on line 1",
        "5: labels is \"\\\"cat\\\"\"; expected a list of labels",
        "6: labels and tags may both be the labels; keep one of them",
        "7: split is a number; expected the name of a set",
        "8: an object with imageGcsUri (Vertex AI) after those with file_name and labels; expected one kind",
        "9: the object does not end on this line; expected one object a line",
    ];
    assert_eq!(found[..8], expected);
    assert!(found[8].starts_with("10: invalid type: sequence, expected a JSON object"), "{}", found[8]);
    assert!(found[9].starts_with("11: key \"labels\" twice"), "{}", found[9]);
}

#[test]
fn what_the_programs_do_not_write_is_named() {
    for (text, what) in [
        (r#"{"imageGcsUri": ""}"#, "1: imageGcsUri is empty; expected the address of an image"),
        (
            r#"{"imageGcsUri": "gs://b/1.jpg", "classificationAnnotations": {}}"#,
            "1: classificationAnnotations is an object; expected a list of objects",
        ),
        (
            r#"{"imageGcsUri": "gs://b/1.jpg", "classificationAnnotations": [{}]}"#,
            "1: an annotation without displayName; expected text",
        ),
        (
            r#"{"source-ref": "s3://b/1.jpg", "j": [3], "j-metadata": {"class-map": {"1": "cat"}}}"#,
            "1: \"j\" has \"3\", which the class-map of its metadata does not name",
        ),
        (
            r#"{"source-ref": "s3://b/1.jpg", "j": 3, "j-metadata": {"class-map": {}, "type": "groundtruth/image-classification-multilabel"}}"#,
            "1: \"j\" is a number; expected a list of numbers",
        ),
        (
            r#"{"source-ref": "s3://b/1.jpg", "j": 3, "j-metadata": {"type": "groundtruth/image-classification"}}"#,
            "1: the metadata of \"j\" has no class-name; expected text",
        ),
        (
            r#"{"image-ref": "s3://b/1.jpg", "class": [1, 0, 1]}"#,
            "1: \"class\" has no \"class-metadata\"; expected the metadata of a labeling job, since a list of \
             numbers may be class numbers or one number per category",
        ),
    ] {
        assert_eq!(problems(text), [what], "{text}");
    }
    let both =
        r#"{"imageGcsUri": "gs://b/1.jpg", "classificationAnnotations": [], "classificationAnnotation": {}}"#;
    assert!(problems(both)[0].contains("beside classificationAnnotation; expected one of them"));
    // A verification of labels says "good", and boxes are not labels of images.
    for text in [
        r#"{"source-ref": "s3://b/1.jpg", "v": 1, "v-metadata": {"class-name": "good", "type": "groundtruth/label-verification"}}"#,
        r#"{"imageGcsUri": "gs://b/1.jpg", "boundingBoxAnnotations": [{"displayName": "cat"}]}"#,
        r#"{"file_name": "a.jpg", "caption": "a cat"}"#,
    ] {
        assert!(
            problems(text)[0]
                .starts_with("no line has labels; expected labels (with negative_labels), label")
        );
    }
}

#[test]
fn files_that_are_not_lines_are_named() {
    assert_eq!(problems("")[0], "no images; nothing to read");
    assert!(
        problems("{\n\"file_name\": \"a.jpg\"\n}")[0].starts_with("1: JSON over several lines; expected one")
    );
    assert!(problems(b"{\"file_name\": \"\xff\"}")[0].ends_with("save the file as UTF-8"));
    let long = vec![b' '; LONGEST as usize + 1];
    assert!(problems(long)[0].starts_with("1: a line of more than 16777216 bytes; is the file of another"));
    let nested = format!("{{\"file_name\": {}", "[".repeat(100_000));
    assert!(problems(nested)[0].contains("recursion limit exceeded"));
    let error = FORMAT.read(Path::new("/nowhere/a.jsonl"), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
}

#[test]
fn whole_lines_with_an_image_and_labels_are_recognized() {
    let is = |head: &str| recognize(Path::new("a"), head.as_bytes()).is_some();
    assert!(is("\u{feff}{\"file_name\": \"a.jpg\", \"labels\": []}\r\n{\"file_name\": \"b."));
    assert!(is("{\"image\": \"a.jpg\"}\n{\"image\": \"b.jpg\", \"tags\": []}\n"));
    assert!(is("{\"imageGcsUri\": \"gs://b/a.jpg\"}") && is("{\"source-ref\": \"s3://b/a.jpg\"}"));
    assert!(!is("{\"file_name\": \"a.jpg\", \"caption\": \"a cat\"}\n"));
    assert!(!is("{\"file_name\": \"a.jpg\", \"labels\": []}\nimage,cat\n"));
    let many =
        format!("{{\"file_name\": \"a.jpg\", \"labels\": [], \"categories\": [{}", "\"cat\", ".repeat(9000));
    assert!(is(&many) && !is(&many.replace("file_name", "id")));
    assert!(!is("{\"image\": {\"bytes\": \"/9j/\"}, \"title\": \"a cat\", \"labels\": []}\n"));
    assert!(!is("{\"image\": {\"id\": 1}, \"label\": 1}") && !is("[]") && !is("") && !is("{"));
}

const JOB: &str = r#"{"source-ref": "s3://b/1.jpg", "j": [0], "j-metadata": {"class-map": {"0": "cat"}}}"#;

#[test]
fn what_a_labeling_job_says_is_told_by_its_metadata() {
    let unlisted = options(Some(Unlisted::Unknown), None);
    let read = |line: &str| parse(format!("{JOB}\n{line}"), &unlisted).unwrap();
    // One class with its number and its name, and other values beside a job.
    let Reading { annotations, notes } = read(
        r#"{"source-ref": "s3://b/2.jpg", "k": 1, "k-metadata": {"class-name": "dog", "class-map": {"1": "dog"}, "confidence": 0.5},
            "boxes": {}, "boxes-metadata": {"objects": []}, "note": "x"}"#
            .replace('\n', "")
            .as_str(),
    );
    assert_eq!(annotations.categories, ["cat", "dog"]);
    assert_eq!(annotations.labels.to_floats(), [1.0, 0.0, 0.0, 1.0]);
    assert!(notes.iter().any(|note| note.ends_with("not labels of whole images: \"boxes\"")), "{notes:?}");
    assert!(!notes.iter().any(|note| note.contains("confidence below")), "{notes:?}");
    // Other values of an image without a job say nothing.
    let Reading { notes, .. } =
        read(r#"{"source-ref": "s3://b/2.jpg", "note": "x", "words": ["a"], "none": []}"#);
    assert!(notes.contains(&"1 images have no labels: all unknown".to_owned()), "{notes:?}");
    let bare = problems(r#"{"source-ref": "s3://b/2.jpg", "j": [1], "j-metadata": 3}"#);
    assert!(bare[0].starts_with("1: \"j\" has no \"j-metadata\"; expected the metadata"), "{bare:?}");
}

#[test]
fn jobs_and_keys_that_are_left_out_are_named_up_to_five() {
    let line = |image: usize, count: usize| {
        let jobs = (0..count).map(|job| format!(r#", "j{job}": {{}}, "j{job}-metadata": {{"objects": []}}"#));
        format!("{{\"source-ref\": \"s3://b/x{image}.jpg\"{}}}\n", jobs.collect::<String>())
    };
    for (count, end) in
        [(1, "\"j0\""), (5, "\"j3\", \"j4\""), (6, "\"j3\", \"j4\", …"), (9, "\"j3\", \"j4\", …")]
    {
        let text = format!("{JOB}\n{}{}", line(1, count), line(2, count));
        let notes = parse(text, &options(Some(Unlisted::Unknown), None)).unwrap().notes;
        let named = notes.iter().find(|note| note.starts_with("not read")).unwrap();
        assert!(named.ends_with(end) && named.matches('j').count() == count.min(5), "{named}");
    }
    let answer = |job: usize, many: bool| super::jobs::Answer {
        job: format!("j{job}"),
        labels: vec![format!("c{job}")],
        many,
        unsure: 0,
    };
    for (count, end) in [(5, "\"j4\""), (6, "\"j4\", …"), (7, "\"j4\", …")] {
        let (mut jobs, mut marks) = (super::jobs::Jobs::default(), Marks::default());
        jobs.add(0, (0..count).map(|job| answer(job, true)).collect(), &mut marks);
        let notes = jobs.finish(&mut LabelMatrix::unknown(1, count), Unlisted::Unknown);
        assert!(notes[0].ends_with(end), "{notes:?}");
    }
    // A job that once chose among several is no label of its own: where it is missing, nothing is known.
    let (mut jobs, mut marks) = (super::jobs::Jobs::default(), Marks::default());
    jobs.add(0, vec![answer(0, false)], &mut marks);
    jobs.add(1, vec![answer(0, true)], &mut marks);
    jobs.add(2, vec![], &mut marks);
    let mut labels = LabelMatrix::unknown(3, 1);
    let notes = jobs.finish(&mut labels, Unlisted::Negative);
    assert_eq!(labels.get(2, 0), Label::Unknown, "{notes:?}");
}

#[test]
fn annotations_of_vertex_belong_to_their_sets() {
    let annotation = |name: &str, set: &str| {
        format!(
            r#"{{"displayName": "{name}", "annotationResourceLabels": {{"aiplatform.googleapis.com/annotation_set_name": "{set}"}}}}"#
        )
    };
    let line = |image: &str, annotations: &[String]| {
        format!(
            r#"{{"imageGcsUri": "gs://b/{image}.jpg", "classificationAnnotations": [{}]}}"#,
            annotations.join(", ")
        )
    };
    let text = [
        line("1", &[annotation("cat", "A"), annotation("red", "B"), annotation("dog", "A")]),
        line("2", &[annotation("dog", "A")]),
        line("3", &[annotation("blue", "B")]),
    ]
    .join("\n");
    let labels = parse(text, &options(Some(Unlisted::Negative), None)).unwrap().annotations;
    assert_eq!(labels.categories, ["cat", "dog", "red", "blue"]);
    // Who was asked of animals was not asked of colors.
    #[rustfmt::skip]
    assert_eq!(labels.labels.to_floats(), [
        1.0, 1.0, 1.0, -1.0,
        -1.0, 1.0, 0.0, 0.0,
        0.0, 0.0, -1.0, 1.0,
    ]);
}

#[test]
fn objects_with_labels_but_no_image_are_not_recognized() {
    let recognized = |text: &str| recognize(Path::new("a.jsonl"), text.as_bytes()).is_some();
    assert!(recognized("{\"file_name\": \"a.jpg\", \"labels\": [\"cat\"]}\n"));
    assert!(!recognized("{\"title\": \"a.jpg\", \"labels\": [\"cat\"]}\n"));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(sample in samples()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.jsonl");
        let annotations = sample.at(folder.path(), &folder.path().join("data"), ".jpg");
        prop_assert!(write(&path, &annotations).unwrap().is_empty());
        prop_assert!(recognize(&path, &std::fs::read(&path).unwrap()).is_some());
        let Annotations { images, labels, categories, .. } =
            FORMAT.read(&path, &Options::default()).unwrap().annotations;
        prop_assert_eq!((images, categories), (annotations.images, annotations.categories));
        prop_assert_eq!(labels, annotations.labels);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        plain in damaged(std::fs::read(fixture("metadata.jsonl")).unwrap()),
        vertex in damaged(std::fs::read(fixture("vertex.jsonl")).unwrap()),
        manifest in damaged(std::fs::read(fixture("output.manifest")).unwrap()),
    ) {
        for text in [plain, vertex, manifest] {
            let _ = recognize(Path::new("a.jsonl"), &text);
            let _ = parse(&text, &Options::default());
            let _ = parse(&text, &options(Some(Unlisted::Negative), Some("train")));
            let _ = parse(&text, &options(Some(Unlisted::Negative), None));
        }
    }
}
