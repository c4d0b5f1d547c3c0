use proptest::prelude::*;

use super::*;
use crate::error::Kind;
use crate::formats::options::Unlisted;
use crate::formats::samples::{damaged, lines_of, read_bytes, samples};
use crate::labels::LabelMatrix;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/cvat/annotations.xml");

fn unlisted(unlisted: Unlisted) -> Options {
    Options { unlisted: Some(unlisted), ..Options::default() }
}

fn parse(xml: impl AsRef<[u8]>) -> Result<Reading> {
    read_bytes("annotations.xml", xml, |path| FORMAT.read(path, &unlisted(Unlisted::Unknown)))
}

fn problems(xml: impl AsRef<[u8]>) -> Vec<String> {
    lines_of("annotations.xml", Kind::Data, parse(xml))
}

#[test]
fn every_cell_of_the_fixture_is_read() {
    let path = Path::new(FIXTURE);
    let Reading { annotations, notes } = FORMAT.read(path, &unlisted(Unlisted::Unknown)).unwrap();
    // "color" is an attribute of a shape and "elbow" a part of a skeleton: neither is a category.
    assert_eq!(annotations.categories, ["car", "R&B sign", "person"]);
    let images = ["day/1.jpg", "day/2.jpg", "night \"3\".jpg"];
    assert_eq!(annotations.images, images.map(|image| folder_of(path).join(image)));
    assert_eq!(annotations.labels.to_floats(), [1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    let expected = [
        "2 box, 1 skeleton shapes: positive for their image",
        "1 other attributes are not read",
        "1 labels made by a model (source auto): positive",
    ];
    assert_eq!(notes, expected);
    let all = FORMAT.read(path, &unlisted(Unlisted::Negative)).unwrap().annotations.labels;
    assert_eq!(all.to_floats(), [1.0, 1.0, -1.0, -1.0, -1.0, 1.0, -1.0, -1.0, -1.0]);
}

#[test]
fn checkboxes_of_tags_are_categories_and_other_attributes_are_counted() {
    let attribute = |name, value| format!("<attribute name='{name}'>{value}</attribute>");
    let [rain, fog, sky] = [attribute("rain", "true"), attribute("fog", "False"), attribute("sky", "blue")];
    let xml = format!(
        "<annotations><image id='0' name='a.jpg'><tag label='scene'>{rain}{fog}{sky}</tag></image>\
         <image id='1' name='b.jpg'><box label='car'>{rain}</box></image></annotations>"
    );
    let Reading { annotations, notes } = parse(&xml).unwrap();
    assert_eq!(annotations.categories, ["scene", "scene/rain", "scene/fog", "car"]);
    assert_eq!(annotations.labels.to_floats(), [1.0, 1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert!(notes.contains(&"2 other attributes are not read".to_owned()), "{notes:?}");
    assert!(notes.iter().any(|note| note.starts_with("2 checkboxes of tags are read")), "{notes:?}");
    // Nobody was asked of b whether it rains in the scene that it does not show.
    let read = |path: &Path| FORMAT.read(path, &unlisted(Unlisted::Negative));
    let Reading { annotations, notes } = read_bytes("annotations.xml", &xml, read).unwrap();
    assert_eq!(annotations.labels.to_floats(), [1.0, 1.0, -1.0, -1.0, -1.0, 0.0, 0.0, 1.0]);
    let open = "2 labels of checkboxes that an image does not answer: unknown";
    assert!(notes.contains(&open.to_owned()), "{notes:?}");
}

#[test]
fn what_is_not_listed_has_no_silent_default() {
    let error = FORMAT.read(Path::new(FIXTURE), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Usage);
    assert!(error.to_string().contains("pass --unlisted unknown"), "{error}");
}

#[test]
fn labels_of_jobs_and_projects_are_found_and_images_lie_in_their_subset() {
    for owner in ["job", "project"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("annotations.xml");
        std::fs::create_dir_all(folder.path().join("images/Train")).unwrap();
        let labels = "<labels><label><name>cat</name></label><label><name>dog</name></label></labels>";
        let images = "<image id='0' name='1.jpg' subset='Train'><tag label='dog'/></image>\
                      <image id='1' name='2.jpg' subset='train'/>";
        let meta = format!("<meta><{owner}>{labels}</{owner}></meta>");
        std::fs::write(&path, format!("<annotations>{meta}{images}</annotations>")).unwrap();
        let options = Options { set: Some("train".into()), ..unlisted(Unlisted::Unknown) };
        let annotations = FORMAT.read(&path, &options).unwrap().annotations;
        assert_eq!(annotations.categories, ["cat", "dog"]);
        assert_eq!(
            annotations.images,
            ["images/Train/1.jpg", "images/2.jpg"].map(|it| folder.path().join(it))
        );
        assert_eq!(annotations.labels.to_floats(), [0.0, 1.0, 0.0, 0.0]);
    }
}

#[test]
fn an_image_that_stands_twice_has_the_labels_of_both() {
    let reading = parse(
        "<annotations><image name='a.jpg'><tag label='cat'/></image>\
         <image name='./a.jpg'><tag label='dog'/></image></annotations>",
    )
    .unwrap();
    assert_eq!(reading.annotations.labels.to_floats(), [1.0, 1.0]);
    assert_eq!(reading.notes, ["1 images listed again under the same name: labels joined"]);
}

/// A project with images of `(name, subset, task, width, label)`, one per line.
fn project(images: &[(&str, &str, &str, u32, &str)]) -> String {
    let image = |(name, subset, task, width, label): &(&str, &str, &str, u32, &str)| {
        let attributes =
            format!("name='{name}' subset='{subset}' task_id='{task}' width='{width}' height='4'");
        format!("<image {attributes}><tag label='{label}' source='auto'/></image>")
    };
    let images: Vec<String> = images.iter().map(image).collect();
    format!("<annotations>\n{}\n</annotations>", images.join("\n"))
}

#[test]
fn subsets_for_training_and_testing_are_never_mixed_in_silence() {
    let xml = project(&[
        ("1.jpg", "Train", "1", 4, "cat"),
        ("2.jpg", "Test", "2", 4, "dog"),
        ("3.jpg", "Train", "1", 4, "cat"),
    ]);
    let set = |set: Option<&str>| {
        let options = Options { set: set.map(str::to_owned), ..unlisted(Unlisted::Unknown) };
        read_bytes("annotations.xml", &xml, |path| FORMAT.read(path, &options))
    };
    let error = set(None).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    let expected = "annotations.xml: images of several subsets; choose one with --set: Test, Train";
    assert!(error.to_string().ends_with(expected), "{error}");
    assert_eq!(set(Some("training")).unwrap().annotations.labels.to_floats(), [1.0, 1.0]);
    let error = set(Some("val")).unwrap_err().to_string();
    assert!(
        error.ends_with("no images of the subset \"val\"; choose one with --set: Test, Train"),
        "{error}"
    );
    let none = project(&[("1.jpg", "Train", "1", 4, "cat"), ("2.jpg", "", "2", 4, "dog")]);
    let read = |path: &Path| FORMAT.read(path, &unlisted(Unlisted::Unknown));
    let error = read_bytes("annotations.xml", &none, read).unwrap_err().to_string();
    assert!(error.ends_with("images of a subset and of none; choose one with --set: Train"), "{error}");
    let two = project(&[("1.jpg", "val", "1", 4, "cat"), ("2.jpg", "Valid", "2", 4, "dog")]);
    let options = Options { set: Some("val".into()), ..unlisted(Unlisted::Unknown) };
    let error =
        read_bytes("annotations.xml", &two, |path| FORMAT.read(path, &options)).unwrap_err().to_string();
    assert!(error.contains("val may mean val or Valid; export each subset alone"), "{error}");
    let Reading { annotations, notes } = set(Some("test")).unwrap();
    assert_eq!(annotations.categories, ["dog"]);
    assert_eq!(annotations.images.len(), 1);
    assert!(annotations.images[0].ends_with("2.jpg"));
    let expected =
        ["1 labels made by a model (source auto): positive", "2 images of other subsets are left out"];
    assert_eq!(notes, expected);
    assert_eq!(set(Some("train")).unwrap().annotations.labels.to_floats(), [1.0, 1.0]);
    // Subsets that only sort the work are one source.
    let xml = project(&[("1.jpg", "batch1", "1", 4, "cat"), ("2.jpg", "default", "2", 4, "cat")]);
    assert_eq!(parse(xml).unwrap().annotations.images.len(), 2);
    let options = Options { set: Some("train".into()), ..unlisted(Unlisted::Unknown) };
    let error = FORMAT.read(Path::new(FIXTURE), &options).unwrap_err().to_string();
    assert!(error.ends_with("--set: no image of the file has a subset; leave the option out"), "{error}");
}

#[test]
fn images_of_one_name_in_two_tasks_are_counted_or_refused() {
    let same = project(&[
        ("1.jpg", "default", "1", 4, "cat"),
        ("1.jpg", "default", "2", 4, "dog"),
        ("1.jpg", "default", "1", 0, "owl"),
    ]);
    let Reading { annotations, notes } = parse(same).unwrap();
    assert_eq!(annotations.labels.to_floats(), [1.0, 1.0, 1.0]);
    let expected = [
        "1 images listed again under the same name: labels joined",
        "1 times an image of the same name is in another task: read as one image, labels joined",
    ];
    assert_eq!(notes[1..], expected);
    let other = project(&[
        ("1.jpg", "default", "1", 640, "cat"),
        ("1.jpg", "default", "2", 320, "dog"),
        ("2.jpg", "default", "2", 5, "dog"),
        ("2.jpg", "default", "2", 6, "dog"),
    ]);
    let advice = "two images of one name: rename one of them, or export and read each task alone";
    let expected = [
        format!(
            "3: image \"1.jpg\" has 320 × 4 pixels in task \"2\", but 640 × 4 pixels in task \"1\"; {advice}"
        ),
        format!("5: image \"2.jpg\" has 6 × 4 pixels, but 5 × 4 pixels; {advice}"),
    ];
    assert_eq!(problems(other), expected);
    let frames =
        project(&[("frame_000001", "default", "1", 4, "cat"), ("frame_000001", "default", "2", 4, "dog")]);
    let expected = "frames of two videos are two images: export and read each task alone";
    assert_eq!(problems(frames), [format!("3: image \"frame_000001\" is in two tasks; {expected}")]);
    // Only CVAT's own names are those of frames.
    for name in ["frame_000001.jpg", "frame_1"] {
        let photograph = project(&[(name, "default", "1", 4, "cat"), (name, "default", "2", 4, "dog")]);
        assert_eq!(parse(photograph).unwrap().annotations.images.len(), 1, "{name}");
    }
}

#[test]
fn all_problems_come_at_once_with_their_lines() {
    let found = problems(
        "<annotations>\n<meta><task><labels><label><name>diningtable</name></label></labels></task></meta>\n\
         <image id='0'>\n<tag label='diningtable'/></image>\n\
         <image name='a.jpg'>\n<tag label='dining table'/>\n<box/>\n<tag label='&x;'/>\n\
         </image>\n<track/></annotations>",
    );
    assert_eq!(found[0], "3: an image without a name");
    assert_eq!(found[1], "6: label \"dining table\" is not listed in meta; did you mean \"diningtable\"?");
    assert_eq!(found[2], "7: \"box\" without a label");
    assert!(found[3].starts_with("8: attribute label: "), "{found:?}");
    assert_eq!(found[5], "10: a track of a video; export the task as CVAT for images 1.1");
}

#[test]
fn files_of_another_kind_are_refused() {
    assert_eq!(problems("<annotation/>")[0], "1: the root element is \"annotation\"; expected annotations");
    assert!(problems("<annotations></annotations>")[0].ends_with("no images; nothing to read"));
    assert_eq!(
        problems("<annotations>\n<image name='a.jpg'>")[0],
        "2: the file ends inside annotations/image; is it cut short?"
    );
    assert!(problems(b"\xff")[0].starts_with("1: no UTF-8 text"));
    assert_eq!(problems("<annotations>".repeat(80))[0], "1: more than 64 elements inside one another");
    let error = FORMAT.read(Path::new("/nowhere/a.xml"), &unlisted(Unlisted::Unknown)).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Missing);
    assert!(recognize(Path::new("a.xml"), &std::fs::read(FIXTURE).unwrap()).is_some());
    assert_eq!(recognize(Path::new("a.xml"), b"<annotation><object/></annotation>"), None);
}

#[test]
fn sizes_are_written_and_missing_images_are_said() {
    let folder = tempfile::tempdir().unwrap();
    image::RgbImage::new(3, 2).save(folder.path().join("a.png")).unwrap();
    let annotations = crate::annotations::Annotations {
        images: ["a.png", "no.png"].map(|image| folder.path().join(image)).to_vec(),
        labels: LabelMatrix::from_values(2, &[1, -1, 0, 0]),
        categories: ["cat", "dog"].map(str::to_owned).to_vec(),
        source: folder.path().join("train.csv"),
    };
    let path = folder.path().join("annotations.xml");
    let lost = write(&path, &annotations).unwrap();
    let expected = [
        "1 negative labels: CVAT's tags cannot tell them from unknown ones",
        "the size of 1 images that cannot be opened: written as 0 × 0",
    ];
    assert_eq!(lost, expected);
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(r#"<image id="0" name="a.png" width="3" height="2">"#), "{text}");
    assert!(text.contains(r#"<image id="1" name="no.png" width="0" height="0">"#), "{text}");
}

#[test]
fn one_subset_needs_no_choice_and_a_size_without_pixels_says_nothing() {
    let one = project(&[("1.jpg", "Train", "1", 4, "cat"), ("2.jpg", "Train", "1", 4, "dog")]);
    assert_eq!(parse(&one).unwrap().annotations.images.len(), 2);
    let image =
        |height: u32| format!("<image name='a.jpg' width='3' height='{height}'><tag label='cat'/></image>");
    let sizes =
        |first, second| parse(format!("<annotations>{}{}</annotations>", image(first), image(second)));
    assert!(sizes(2, 2).is_ok() && sizes(2, 0).is_ok() && sizes(2, 4).is_err());
}

#[test]
fn only_annotations_of_images_or_with_their_meta_are_recognized() {
    for (head, own) in [
        ("<annotations><meta>", true),
        ("<annotations><image id='0'", true),
        ("<annotations><object>", false),
        ("<meta><image ", false),
    ] {
        assert_eq!(recognize(Path::new("a.xml"), head.as_bytes()).is_some(), own, "{head}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn only_what_is_reported_is_lost(sample in samples(), below in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        if below {
            // The reader looks for images there, so the names must be given from there.
            std::fs::create_dir(folder.path().join("images")).unwrap();
        }
        let images = if below { folder.path().join("images") } else { folder.path().to_owned() };
        let written = sample.at(folder.path(), &images, "");
        let path = folder.path().join("annotations.xml");
        let lost = write(&path, &written).unwrap();
        let back = FORMAT.read(&path, &unlisted(Unlisted::Unknown)).unwrap().annotations;
        prop_assert_eq!(&back.images, &written.images);
        prop_assert_eq!(&back.categories, &written.categories);
        let values: Vec<i8> = sample.values.iter().map(|&value| value.max(0)).collect();
        prop_assert_eq!(&back.labels, &LabelMatrix::from_values(written.categories.len(), &values));
        let negative = lost.iter().find_map(|it| it.split_once(" negative labels")).map(|(count, _)| count);
        let expected = written.labels.count(Label::Negative);
        prop_assert_eq!(negative.map_or(0, |count| count.parse().unwrap()), expected);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(xml in damaged(std::fs::read(FIXTURE).unwrap())) {
        let _ = parse(xml);
    }
}
