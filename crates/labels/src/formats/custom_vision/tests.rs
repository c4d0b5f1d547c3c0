use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::error::Kind;
use crate::formats::samples::{damaged, folder_with, problems_of, read_bytes, recognized_alone};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/custom_vision");

fn options(unlisted: Unlisted) -> Options {
    Options { unlisted: Some(unlisted), ..Options::default() }
}

fn fixture(name: &str, unlisted: Unlisted) -> Reading {
    FORMAT.read(&Path::new(FIXTURES).join(name), &options(unlisted)).unwrap()
}

fn parse(text: impl AsRef<[u8]>, unlisted: Unlisted) -> Result<Reading> {
    read_bytes("a.json", text, |path| FORMAT.read(path, &options(unlisted)))
}

fn problems(text: impl AsRef<[u8]>) -> Vec<String> {
    problems_of("a.json", Kind::Data, parse(text, Unlisted::Unknown))
}

#[test]
fn tags_and_regions_are_positive_and_images_without_any_stay_unknown() {
    let Reading { annotations, notes } = fixture("images.json", Unlisted::Unknown);
    assert_eq!(annotations.categories, ["hemlock", "cherry", "oak"]);
    let names = ["0fd9b0a8-0001", "0fd9b0a8-0002", "0fd9b0a8-0003"];
    assert_eq!(annotations.images, names.map(|name| Path::new(FIXTURES).join(name)));
    assert_eq!(annotations.labels.to_floats(), [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    let expected =
        ["1 images have no tag: kept, every category unknown", "1 regions: positive for their image"];
    assert_eq!(notes, expected);
    let negative = fixture("images.json", Unlisted::Negative).annotations.labels;
    assert_eq!(negative.to_floats(), [1.0, 1.0, -1.0, -1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn the_negative_tag_of_tags_json_makes_every_category_negative() {
    for unlisted in [Unlisted::Unknown, Unlisted::Negative] {
        let Reading { annotations, notes } = fixture("project", unlisted);
        assert_eq!(annotations.categories, ["hemlock", "cherry"]);
        let names = ["0001", "0002", "0003", "0004"];
        let path = |name| Path::new(FIXTURES).join("project").join(format!("0fd9b0a8-{name}"));
        assert_eq!(annotations.images, names.map(path));
        let rest = if unlisted == Unlisted::Unknown { 0.0 } else { -1.0 };
        // The third has a tag beside the negative one; the fourth has none.
        assert_eq!(annotations.labels.to_floats(), [rest, 1.0, -1.0, -1.0, 0.0, -1.0, 0.0, 0.0]);
        let expected = [
            "2 images have the negative tag: every tag that they lack negative",
            "1 tags of images that have the negative tag, too: unknown",
            "1 images have no tag: kept, every category unknown",
        ];
        assert_eq!(notes, expected);
    }
}

#[test]
fn a_page_of_a_folder_has_the_tags_beside_it_and_images_lie_where_one_says() {
    let options = Options { images: Some("photos".into()), ..options(Unlisted::Unknown) };
    let path = Path::new(FIXTURES).join("project/0.json");
    let annotations = FORMAT.read(&path, &options).unwrap().annotations;
    assert_eq!(annotations.images[1], Path::new("photos/0fd9b0a8-0002"));
    assert_eq!(annotations.labels.to_floats(), [0.0, 1.0, -1.0, -1.0]);
}

#[test]
fn a_tag_that_was_renamed_is_one_category_or_refused() {
    let page = |id: &str, tag: &str, name: &str| {
        format!(r#"[{{"id": "{id}", "tags": [{{"tagId": "{tag}", "tagName": "{name}"}}]}}]"#)
    };
    let first = page("1", "A1", "oak");
    let read = |second: &str, tags: &str| {
        let files = [("0.json", first.as_str()), ("1.json", second), ("tags.json", tags)];
        let files = &files[..if tags.is_empty() { 2 } else { 3 }];
        FORMAT.read(folder_with(files).path(), &options(Unlisted::Unknown))
    };
    let advice = "as after renaming; save what GetTags gives as tags.json beside the images";
    let problems = |second: &str| problems_of(".json", Kind::Data, read(second, ""));
    let renamed = page("2", "a1", "red oak");
    assert_eq!(
        problems(&renamed),
        [format!(".json:1: tag \"red oak\" is called \"oak\" elsewhere, {advice}")]
    );
    let replaced = page("2", "b2", "oak");
    assert_eq!(problems(&replaced), [format!(".json:1: tag \"oak\" has another id elsewhere, {advice}")]);
    assert!(read(&page("2", "a1", "oak"), "").is_ok());
    let list = r#"[{"id": "a1", "name": "red oak", "type": "Regular"}]"#;
    let Reading { annotations, notes } = read(&renamed, list).unwrap();
    assert_eq!(annotations.categories, ["red oak"]);
    assert_eq!(annotations.labels.to_floats(), [1.0, 1.0]);
    assert_eq!(notes, ["1 names of tags are others in tags.json: those of tags.json are the categories"]);
    let twice = list.replace("]", r#", {"id": "b2", "name": "red oak", "type": "Regular"}]"#);
    assert_eq!(
        problems_of(".json", Kind::Data, read(&renamed, &twice)),
        [".json:1: tag \"red oak\" has the name of another"]
    );
}

#[test]
fn files_of_several_splits_are_not_read_together() {
    let page = r#"[{"id": "1", "tags": [{"tagName": "cat"}]}]"#;
    for other in ["test.json", "more.json"] {
        let folder = folder_with(&[("train.json", page), (other, page)]);
        let error = FORMAT.read(folder.path(), &options(Unlisted::Unknown)).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().ends_with("or of a split and of none; name one of them"), "{error}");
    }
}

#[test]
fn a_tag_called_negative_is_no_guess() {
    let text =
        r#"[{"id": "1", "tags": [{"tagName": "Negative"}]}, {"id": "1", "tags": [{"tagName": "cat"}]}]"#;
    let Reading { annotations, notes } = parse(text, Unlisted::Unknown).unwrap();
    assert_eq!(annotations.categories, ["Negative", "cat"]);
    assert_eq!(annotations.labels.to_floats(), [1.0, 1.0]);
    let expected = [
        "1 images listed again under the same id: labels joined",
        "tag \"Negative\" is read as any other; save what GetTags gives as tags.json beside the images if it is \
         the negative tag",
    ];
    assert_eq!(notes, expected);
}

#[test]
fn an_image_that_has_a_tag_on_another_page_is_not_without_one() {
    let text = r#"[{"id": "1", "tags": []}, {"id": "1", "tags": [{"tagName": "cat"}]},
        {"id": "2", "tags": [{"tagName": "dog"}]}]"#;
    let Reading { annotations, notes } = parse(text, Unlisted::Negative).unwrap();
    assert_eq!(annotations.labels.to_floats(), [1.0, -1.0, -1.0, 1.0]);
    assert_eq!(notes, ["1 images listed again under the same id: labels joined"]);
}

#[test]
fn what_is_not_listed_has_no_silent_default() {
    let error = FORMAT.read(&Path::new(FIXTURES).join("images.json"), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(
        error.to_string().starts_with("Custom Vision lists the tags of an image, not what was"),
        "{error}"
    );
}

#[test]
fn all_problems_come_at_once_with_their_lines() {
    let text = r#"[
        {"tags": []},
        {"id": 3, "tags": []},
        {"id": "a"},
        {"id": "b", "tags": {}},
        {"id": "c", "tags": [], "regions": 1},
        {"id": "d", "tags": ["cat"]},
        {"id": "e", "tags": [{"tagName": ""}]}]"#;
    let expected = [
        "a.json:2: an image without an id; expected text",
        "a.json:3: an image without an id; expected text",
        "a.json:4: image \"a\" without tags; expected an array",
        "a.json:5: tags of image \"b\" is not an array",
        "a.json:6: regions of image \"c\" is not an array",
        "a.json:7: a tag without tagName; expected text",
        "a.json:8: a tag without tagName; expected text",
    ];
    assert_eq!(problems(text), expected);
    assert_eq!(problems("[]"), ["a.json: no images; nothing to read"]);
    assert_eq!(problems(r#"[{"id": "a", "tags": []}]"#), ["a.json: no categories; nothing to read"]);
    assert!(problems("[{\"id\":\n\"a\"")[0].starts_with("a.json:2: the file ends too early"));
}

#[test]
fn tags_without_a_type_and_tags_that_are_not_listed_are_named() {
    let read = |tags: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tags.json"), tags).unwrap();
        std::fs::write(folder.path().join("0.json"), r#"[{"id": "1", "tags": [{"tagName": "cat"}]}]"#)
            .unwrap();
        FORMAT.read(folder.path(), &options(Unlisted::Unknown))
    };
    let problems = |tags: &str| problems_of(".json", Kind::Data, read(tags));
    let tags = r#"[{"id": "1", "name": "cat"},
        {"id": "2", "name": "dog", "type": "Odd"},
        {"name": "dog", "type": "Regular"},
        {"id": "2", "type": "Regular"},
        {"id": "3", "name": "owl", "type": "Regular"},
        {"id": "3", "name": "fox", "type": "GeneralProduct"}]"#;
    let expected = [
        ".json:1: type of tag \"cat\" is missing; expected Regular, Negative or GeneralProduct",
        ".json:2: type of tag \"dog\" is \"Odd\"; expected Regular, Negative or GeneralProduct",
        ".json:3: tag \"dog\" without an id",
        ".json:4: a tag without a name; expected text",
        ".json:6: tag \"fox\" has the id of another",
    ];
    assert_eq!(problems(tags), expected);
    let other = problems(r#"[{"id": "1", "name": "cats", "type": "Regular"}]"#);
    assert_eq!(other, [".json:1: tag \"cat\" is not in tags.json; did you mean \"cats\"?"]);
    let fits = read(r#"[{"id": "1", "name": "cat", "type": "Regular"}]"#).unwrap();
    assert_eq!(fits.annotations.labels.to_floats(), [1.0]);
}

#[test]
fn a_folder_without_images_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tags.json"), "[]").unwrap();
    let error = FORMAT.read(folder.path(), &options(Unlisted::Unknown)).unwrap_err().to_string();
    assert!(
        error.ends_with("no JSON files of images; expected what GetTaggedImages or GetImages gives"),
        "{error}"
    );
}

#[test]
fn only_images_of_custom_vision_are_recognized() {
    let folder = Path::new(FIXTURES);
    recognized_alone(FORMAT, &[&folder.join("images.json"), &folder.join("project")]);
    let recognized = |text: &str| recognize(Path::new("a.json"), text.as_bytes()).is_some();
    assert!(recognized(r#"[{"id": "1", "originalImageUri": "u", "tags": ["#));
    // Predictions, and other images with tags.
    assert!(!recognized(r#"[{"id": "1", "originalImageUri": "u", "predictions": []}]"#));
    assert!(!recognized(r#"[{"id": "1", "tags": [{"tagName": "cat"}]}]"#));
    let mixed = tempfile::tempdir().unwrap();
    std::fs::copy(folder.join("images.json"), mixed.path().join("images.json")).unwrap();
    assert!(recognize(mixed.path(), b"").is_some());
    std::fs::write(mixed.path().join("other.json"), "{}").unwrap();
    assert!(recognize(mixed.path(), b"").is_none());
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        images in damaged(std::fs::read(Path::new(FIXTURES).join("images.json")).unwrap()),
        tags in damaged(std::fs::read(Path::new(FIXTURES).join("project/tags.json")).unwrap()),
    ) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("0.json"), images).unwrap();
        let _ = FORMAT.read(folder.path(), &options(Unlisted::Negative));
        std::fs::write(folder.path().join("tags.json"), tags).unwrap();
        let _ = FORMAT.read(folder.path(), &options(Unlisted::Negative));
    }
}
