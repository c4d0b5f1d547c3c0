use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::error::Kind;
use crate::formats::samples::{damaged, problems_of, recognized_alone};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/supervisely");

fn options(unlisted: Unlisted) -> Options {
    Options { unlisted: Some(unlisted), ..Options::default() }
}

fn of_set(set: &str) -> Options {
    Options { set: Some(set.into()), ..options(Unlisted::Unknown) }
}

const META: &str = r#"{"classes": [{"title": "car"}], "tags": [{"name": "sunny", "value_type": "none"},
    {"name": "sky", "value_type": "oneof_string", "values": ["blue", "grey"]}]}"#;

/// A project with `meta.json` and annotations by their paths.
fn project(meta: &str, annotations: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("meta.json"), meta).unwrap();
    for (name, text) in annotations {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn parse(meta: &str, annotation: &str) -> Result<Reading> {
    let folder = project(meta, &[("ds0/ann/a.jpg.json", annotation)]);
    FORMAT.read(folder.path(), &options(Unlisted::Unknown))
}

#[test]
fn every_cell_of_the_fixture_is_read() {
    let Reading { annotations, notes } =
        FORMAT.read(Path::new(FIXTURE), &options(Unlisted::Unknown)).unwrap();
    // Those of meta.json first; "occluded" is for objects alone; "remark" once says no.
    let categories = ["car", "person", "like", "situated/inside", "situated/outside", "rain", "remark"];
    assert_eq!(annotations.categories, categories);
    let images =
        ["fruit/datasets/apple/img/1.jpg", "street/img/1.jpg", "street/img/2.jpg", "street/img/3.jpg"];
    assert_eq!(annotations.images, images.map(|image| Path::new(FIXTURE).join(image)));
    let rows = [
        [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0],
        [1.0, 0.0, 1.0, 0.0, 1.0, -1.0, 0.0],
        [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0],
        [0.0; 7],
    ];
    assert_eq!(annotations.labels.to_floats(), rows.concat());
    let expected = [
        "2 datasets are read together: fruit/apple, street",
        "3 objects: positive for their image",
        "1 tags of objects are not read",
        "4 tags with the value yes, no or unknown: positive, negative and unknown",
        "3 tags whose value is a date or a number or a text are not read",
    ];
    assert_eq!(notes, expected);
}

#[test]
fn an_image_without_a_tag_that_asks_stays_unknown_where_the_rest_is_negative() {
    let Reading { annotations, notes } =
        FORMAT.read(Path::new(FIXTURE), &options(Unlisted::Negative)).unwrap();
    let rows = [
        [-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, 0.0],
        [1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 0.0],
        [-1.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0],
        [-1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 0.0],
    ];
    assert_eq!(annotations.labels.to_floats(), rows.concat());
    let expected = [
        "1 images have neither tags nor objects: negative, but for tags with values",
        "9 labels of tags whose value an image does not say: unknown",
    ];
    assert_eq!(notes[5..], expected);
}

#[test]
fn a_value_that_nobody_knows_leaves_the_others_open() {
    let meta = r#"{"classes": [], "tags": [
        {"name": "sky", "value_type": "oneof_string", "values": ["blue", "grey", "unknown"]},
        {"name": "rain", "value_type": "oneof_string", "values": ["yes", "no", "snow"]}]}"#;
    let tags = |sky: &str, rain: &str| {
        format!(r#"{{"tags": [{{"name": "sky", "value": "{sky}"}}, {{"name": "rain", "value": "{rain}"}}]}}"#)
    };
    let (first, second, third) = (tags("unknown", "snow"), tags("blue", "yes"), tags("grey", "no"));
    let files = [("ds0/ann/1.json", first.as_str()), ("ds0/ann/2.json", &second), ("ds0/ann/3.json", &third)];
    let folder = project(meta, &files);
    let annotations = FORMAT.read(folder.path(), &options(Unlisted::Negative)).unwrap().annotations;
    // There is no category "sky"; whether snow is rain is not said.
    assert_eq!(annotations.categories, ["sky/blue", "sky/grey", "rain", "rain/snow"]);
    let rows = [[0.0, 0.0, 0.0, 1.0], [1.0, -1.0, 1.0, -1.0], [-1.0, 1.0, -1.0, -1.0]];
    assert_eq!(annotations.labels.to_floats(), rows.concat());
}

#[test]
fn a_dataset_is_read_with_the_meta_json_of_its_project() {
    for (dataset, images) in [("street", 3), ("fruit/datasets/apple", 1)] {
        let path = Path::new(FIXTURE).join(dataset);
        let annotations = FORMAT.read(&path, &options(Unlisted::Unknown)).unwrap().annotations;
        assert_eq!(
            (annotations.images.len(), annotations.images[0].clone()),
            (images, path.join("img/1.jpg"))
        );
        let elsewhere = Options { images: Some("photos".into()), ..options(Unlisted::Unknown) };
        let annotations = FORMAT.read(&path, &elsewhere).unwrap().annotations;
        assert_eq!(annotations.images[0], Path::new("photos/1.jpg"));
        let refused = FORMAT.read(&path, &of_set("street")).unwrap_err();
        assert_eq!(refused.kind(), Kind::Usage);
        assert_eq!(
            refused.to_string(),
            "--set: chooses among the datasets of a project; leave the option out"
        );
    }
    let alone = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(alone.path().join("project/street/ann")).unwrap();
    let path = alone.path().join("project/street");
    let error = FORMAT.read(&path, &options(Unlisted::Unknown)).unwrap_err().to_string();
    assert!(
        error.ends_with("no meta.json above this dataset; copy that of its project into the folder above")
    );
}

#[test]
fn a_set_is_a_dataset_with_those_inside_it() {
    let images = |set: &str| {
        let options = Options { images: Some("photos".into()), ..of_set(set) };
        FORMAT.read(&Path::new(FIXTURE).join("meta.json"), &options).map(|reading| reading.annotations.images)
    };
    let apple = [PathBuf::from("photos/fruit/datasets/apple/img/1.jpg")];
    assert_eq!(images("fruit").unwrap(), apple);
    assert_eq!(images("fruit/apple").unwrap(), apple);
    assert_eq!(images("street").unwrap().len(), 3);
    for set in ["stree", "fruit/", "apple"] {
        let error = images(set).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        let end = format!("no dataset {set}; choose one with --set: fruit/apple, street");
        assert!(error.to_string().ends_with(&end), "{error}");
    }
}

#[test]
fn datasets_lie_at_any_depth_but_not_among_images_and_metadata() {
    let annotation = r#"{"tags": []}"#;
    let paths =
        ["a/ann/1.json", "a/b/ann/1.json", "a/datasets/c/ann/1.json", "a/meta/ann/1.json", "d/e/ann/1.json"];
    let folder = project(META, &paths.map(|path| (path, annotation)));
    let reading = FORMAT.read(folder.path(), &options(Unlisted::Unknown)).unwrap();
    let images = ["a/img/1", "a/b/img/1", "a/datasets/c/img/1", "d/e/img/1"];
    assert_eq!(reading.annotations.images, images.map(|image| folder.path().join(image)));
    assert_eq!(reading.notes, ["4 datasets are read together: a, a/b, a/c, d/e"]);
}

#[test]
fn splits_are_not_read_together() {
    let annotation = r#"{"tags": [], "objects": []}"#;
    let read = |names: &[&str], set: Option<&str>| {
        let paths: Vec<String> = names.iter().map(|name| format!("{name}/ann/a.jpg.json")).collect();
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), annotation)).collect();
        let options = Options { set: set.map(str::to_owned), ..options(Unlisted::Unknown) };
        FORMAT.read(project(META, &files).path(), &options).map(|reading| reading.annotations.images.len())
    };
    let error = read(&["train", "val", "more"], None).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    let end = "datasets of several splits, or a split beside other datasets; choose one with --set: ";
    assert!(error.to_string().ends_with(&format!("{end}more, train, val")), "{error}");
    assert_eq!(read(&["train", "val"], Some("val")).unwrap(), 1);
    assert_eq!(read(&["ds0", "ds1", "ds2"], None).unwrap(), 3);
    // What is no split may hold images of any.
    let error = read(&["train", "more"], None).unwrap_err().to_string();
    assert!(error.ends_with(&format!("{end}more, train")), "{error}");
    assert_eq!(read(&["train", "more"], Some("more")).unwrap(), 1);
    assert_eq!(read(&["train", "train/more"], None).unwrap(), 2);
}

#[test]
fn splits_inside_datasets_are_not_read_together() {
    let names = ["street/train", "street/datasets/val", "fruit/train"];
    let files = names.map(|name| (format!("{name}/ann/a.jpg.json"), r#"{"tags": []}"#));
    let folder = project(META, &files.each_ref().map(|(path, text)| (path.as_str(), *text)));
    let read = |set: Option<&str>| {
        let options = Options { set: set.map(str::to_owned), ..options(Unlisted::Unknown) };
        FORMAT.read(folder.path(), &options).map(|reading| reading.annotations.images.len())
    };
    let end = "a split beside other datasets; choose one with --set: ";
    let error = read(None).unwrap_err().to_string();
    assert!(error.ends_with(&format!("{end}fruit/train, street/val, street/train")), "{error}");
    let error = read(Some("street")).unwrap_err().to_string();
    assert!(error.ends_with(&format!("{end}street/val, street/train")), "{error}");
    for (set, count) in [("fruit", 1), ("street/val", 1), ("train", 2), ("validation", 1)] {
        assert_eq!(read(Some(set)).unwrap(), count, "{set}");
    }
    std::fs::rename(folder.path().join("fruit/train"), folder.path().join("fruit/valid")).unwrap();
    assert_eq!(read(Some("val")).unwrap(), 1);
    let error = read(Some("validation")).unwrap_err().to_string();
    assert!(
        error.contains("validation may mean val or valid; choose one with --set: fruit/valid, "),
        "{error}"
    );
}

#[test]
fn what_is_not_listed_has_no_silent_default() {
    let error = FORMAT.read(Path::new(FIXTURE), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().starts_with("Supervisely does not say whether a tag or class that"), "{error}");
}

#[test]
fn images_without_an_annotation_are_counted() {
    let annotation = r#"{"tags": [{"name": "sunny", "value": ""}]}"#;
    // Old projects leave out the ending of the image.
    let files = [
        ("ds0/ann/a.jpg.json", annotation),
        ("ds0/ann/b.json", annotation),
        ("ds0/img/a.jpg", ""),
        ("ds0/img/b.jpg", ""),
        ("ds0/img/c.jpg", ""),
        ("ds0/img/.DS_Store", ""),
    ];
    let folder = project(META, &files);
    let Reading { annotations, notes } = FORMAT.read(folder.path(), &options(Unlisted::Unknown)).unwrap();
    assert_eq!(annotations.images, ["a.jpg", "b"].map(|name| folder.path().join("ds0/img").join(name)));
    assert_eq!(notes, ["1 files of img have none in ann: left out"]);
}

#[test]
fn all_problems_come_at_once_with_their_files_and_lines() {
    let text = r#"{"tags": [
        {"value": 1},
        {"name": "suny"},
        {"name": "sunny", "value": "no"},
        {"name": "sky"},
        {"name": "sky", "value": "gray"},
        {"name": "sky", "value": 3}],
      "objects": [
        {"tags": []},
        {"classTitle": "cars"},
        {"classTitle": ""}]}"#;
    let files = [("ds0/ann/a.jpg.json", text), ("ds0/ann/b.jpg.json", r#"{"frames": []}"#)];
    let folder = project(META, &files);
    let found = problems_of(".jpg.json", Kind::Data, FORMAT.read(folder.path(), &options(Unlisted::Unknown)));
    let expected = [
        ".jpg.json:2: a tag without a name; expected text",
        ".jpg.json:3: tag \"suny\" is not listed in meta.json; did you mean \"sunny\"?",
        ".jpg.json:4: tag \"sunny\" has a value; its value_type in meta.json is none",
        ".jpg.json:5: tag \"sky\" has no value; expected one of those in meta.json",
        ".jpg.json:6: value \"gray\" of tag \"sky\" is not listed in meta.json; did you mean \"grey\"?",
        ".jpg.json:7: tag \"sky\" has no value; expected one of those in meta.json",
        ".jpg.json:9: classTitle of an object is missing; expected text",
        ".jpg.json:10: class \"cars\" is not listed in meta.json; did you mean \"car\"?",
        ".jpg.json:11: classTitle of an object is empty; expected text",
        ".jpg.json:1: neither tags nor objects; expected the annotation of an image",
    ];
    assert_eq!(found, expected);
    let cut = problems_of(".jpg.json", Kind::Data, parse(META, "{\"tags\": [\n"));
    assert!(cut[0].starts_with(".jpg.json:2: the file ends too early"), "{cut:?}");
}

#[test]
fn what_is_wrong_with_meta_json_is_said_with_its_line() {
    let problems = |meta: &str| problems_of("meta.json", Kind::Data, parse(meta, r#"{"tags": []}"#));
    let text = r#"{"classes": [{"shape": "any"},
        {"title": 3}, {"title": ""}], "tags": [
        {"value_type": "none"},
        {"name": "a"},
        {"name": "b", "value_type": "some"},
        {"name": "c", "value_type": "oneof_string", "values": [""]},
        {"name": "d", "value_type": "none"},
        {"name": "d", "value_type": "none"}],
        "projectType": "videos"}"#;
    let expected = [
        "meta.json:1: title of a class is missing; expected text",
        "meta.json:2: title of a class is a number; expected text",
        "meta.json:2: title of a class is empty; expected text",
        "meta.json:3: name of a tag is missing; expected text",
        "meta.json:4: value_type of tag \"a\" is missing; expected text",
        "meta.json:5: value_type of tag \"b\" is \"some\"; expected none, oneof_string, any_string, any_number or \
         date",
        "meta.json:6: tag \"c\" is oneof_string without values",
        "meta.json:8: tag \"d\" is listed twice",
        "meta.json:9: projectType is \"videos\"; expected a project of images",
    ];
    assert_eq!(problems(text), expected);
    assert_eq!(
        problems(r#"{"classes": []}"#),
        ["meta.json:1: not both classes and tags; expected the meta.json of a project"]
    );
    assert_eq!(
        problems(r#"{"classes": [], "tags": [], "projectType": null}"#),
        ["meta.json:1: projectType is null; expected images"]
    );
}

#[test]
fn folders_that_are_no_project_are_named() {
    let folder = project(META, &[]);
    let read = |path: &Path| FORMAT.read(path, &options(Unlisted::Unknown)).unwrap_err();
    let said = read(folder.path()).to_string();
    assert!(said.ends_with("no dataset beside meta.json; expected folders that hold ann"), "{said}");
    std::fs::create_dir_all(folder.path().join("ds0/ann")).unwrap();
    let said = read(folder.path()).to_string();
    assert!(said.ends_with("no annotations ann/IMAGE.json in any dataset"), "{said}");
    let said = read(tempfile::tempdir().unwrap().path()).to_string();
    assert!(said.ends_with("neither a project with meta.json nor a dataset with ann"), "{said}");
    assert_eq!(read(Path::new("/nowhere/project")).kind(), Kind::Missing);
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_back_up_ends() {
    let folder = project(META, &[("ds0/ann/a.jpg.json", r#"{"tags": ["sunny"]}"#)]);
    std::os::unix::fs::symlink(folder.path(), folder.path().join("ds0/datasets")).unwrap();
    let reading = FORMAT.read(folder.path(), &options(Unlisted::Unknown)).unwrap();
    assert_eq!(reading.annotations.images.len(), 1);
}

#[test]
fn only_projects_and_their_datasets_are_recognized() {
    let folder = Path::new(FIXTURE);
    let own = ["", "meta.json", "street", "fruit/datasets/apple"].map(|name| folder.join(name));
    recognized_alone(FORMAT, &own.each_ref().map(PathBuf::as_path));
    // A meta.json of something else, one without datasets, and datasets without one.
    let other = project(r#"{"name": "x", "tags": []}"#, &[("ds0/ann/a.json", "{}")]);
    assert!(recognize(other.path(), b"").is_none() && recognize(&other.path().join("ds0"), b"").is_none());
    let empty = project(META, &[("ds0/img/a.jpg", "")]);
    assert!(recognize(empty.path(), b"").is_none());
    assert!(recognize(&empty.path().join("meta.json"), META.as_bytes()).is_none());
    std::fs::remove_file(other.path().join("meta.json")).unwrap();
    assert!(recognize(other.path(), b"").is_none());
}

#[test]
fn a_dataset_belongs_to_the_project_right_above_it_and_the_first_datasets_are_named() {
    let folder = project(META, &[("x/y/z/ann/a.jpg.json", "{}")]);
    assert!(recognize(&folder.path().join("x/y/z"), b"").is_none());
    for (count, end) in
        [(5, "read together: 0, 1, 2, 3, 4"), (6, ": 0, 1, 2, 3, 4, …"), (7, ": 0, 1, 2, 3, 4, …")]
    {
        let names: Vec<String> = (0..count).map(|name| format!("{name}/ann/a.jpg.json")).collect();
        let files: Vec<(&str, &str)> =
            names.iter().map(|name| (name.as_str(), r#"{"tags": [{"name": "sunny"}]}"#)).collect();
        let notes = FORMAT.read(project(META, &files).path(), &options(Unlisted::Unknown)).unwrap().notes;
        assert!(notes.iter().any(|note| note.ends_with(end)), "{notes:?}");
    }
}

#[test]
fn only_the_file_called_meta_json_stands_for_a_project() {
    let folder = project(META, &[("ds0/ann/a.jpg.json", "{}")]);
    std::fs::copy(folder.path().join("meta.json"), folder.path().join("other.json")).unwrap();
    std::fs::create_dir(folder.path().join("ds0/meta")).unwrap();
    let recognized = |name: &str| recognize(&folder.path().join(name), b"").is_some();
    assert_eq!(["meta.json", "other.json"].map(recognized), [true, false]);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        meta in damaged(std::fs::read(Path::new(FIXTURE).join("meta.json")).unwrap()),
        annotation in damaged(std::fs::read(Path::new(FIXTURE).join("street/ann/1.jpg.json")).unwrap()),
    ) {
        let whole = std::fs::read(Path::new(FIXTURE).join("meta.json")).unwrap();
        let folder = project("", &[("ds0/ann/a.jpg.json", "")]);
        std::fs::write(folder.path().join("ds0/ann/a.jpg.json"), annotation).unwrap();
        for meta in [whole, meta] {
            std::fs::write(folder.path().join("meta.json"), meta).unwrap();
            let _ = FORMAT.read(folder.path(), &options(Unlisted::Negative));
        }
    }
}
