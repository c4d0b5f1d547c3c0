use proptest::prelude::*;

use super::*;
use crate::annotations::Annotations;
use crate::error::Kind;
use crate::formats::samples::{damaged, problems_of, read_bytes};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/via");

fn fixture(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

fn unlisted(unlisted: Unlisted) -> Options {
    Options { unlisted: Some(unlisted), ..Options::default() }
}

fn field(name: &str) -> Options {
    Options { field: Some(name.into()), ..unlisted(Unlisted::Unknown) }
}

fn parse(name: &str, text: impl AsRef<[u8]>) -> Result<Reading> {
    read_bytes(name, text, |path| FORMAT.read(path, &unlisted(Unlisted::Unknown)))
}

#[test]
fn chosen_values_of_a_project_are_positive_and_the_rest_is_what_the_user_says() {
    let reading = FORMAT.read(&fixture("project.json"), &unlisted(Unlisted::Negative)).unwrap();
    let Annotations { images, categories, labels, .. } = reading.annotations;
    let names = ["weather/rain", "weather/snow", "weather/fog", "kind/car", "kind/bus", "kind/tram"];
    assert_eq!(categories, names);
    assert_eq!(images, ["photos/a.jpg", "photos/b.jpg", "photos/img/c d.jpg"].map(fixture));
    let rows = [[1.0, 1.0, -1.0, 1.0, 1.0, -1.0], [-1.0, -1.0, -1.0, -1.0, 1.0, -1.0], [-1.0; 6]];
    assert_eq!(labels.to_floats(), rows.concat());
    let notes = [
        "attribute \"kind\" has a default, which VIA fills in unasked",
        "2 attributes are read as categories ATTRIBUTE/VALUE",
        "attributes that are not read: \"caption\"; choose one with --field",
        "1 checkboxes are false, not ticked: read as if they were not there",
        "4 regions: their attributes are those of the image",
        "1 regions have no attribute: nothing is known from them",
        "1 images have no label: every category negative",
        "1 images are listed again under the same name: labels joined",
        "1 images are URLs: looked for by their path below the host",
    ];
    assert_eq!(reading.notes, notes);
    let reading = FORMAT.read(&fixture("project.json"), &unlisted(Unlisted::Unknown)).unwrap();
    let positive = rows.concat().iter().map(|&label: &f32| label.max(0.0)).collect::<Vec<_>>();
    assert_eq!(reading.annotations.labels.to_floats(), positive);
    assert_eq!(reading.notes, [&notes[..6], &notes[7..]].concat());
}

#[test]
fn an_attribute_is_chosen_by_name_and_its_values_are_the_categories() {
    let read = |name| FORMAT.read(&fixture("project.json"), &field(name));
    let annotations = read("kind").unwrap().annotations;
    assert_eq!(annotations.categories, ["car", "bus", "tram"]);
    assert_eq!(annotations.labels.to_floats(), [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    let reading = read("caption").unwrap();
    assert_eq!(reading.annotations.categories, ["a street"]);
    assert_eq!(reading.notes[0], "attribute \"caption\" holds text: its 1 values are categories");
    let error = read("wether").unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    let expected = ": no image or region has an attribute \"wether\"; did you mean \"weather\"?; there are \
                    \"weather\", \"caption\", \"kind\"";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[test]
fn of_several_attributes_of_text_one_must_be_chosen() {
    let text = r#"{"a.jpg1": {"filename": "a.jpg", "size": 1, "file_attributes": {"author": "Ann"},
        "regions": [{"region_attributes": {"name": "cat"}}]}}"#;
    let error = parse("a.json", text).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    let expected = ": the attributes \"author\", \"name\" hold text, which may be labels or not; choose one with --field";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[test]
fn via_1_has_regions_by_number_and_its_only_attribute_is_read() {
    let reading = FORMAT.read(&fixture("via1.json"), &unlisted(Unlisted::Negative)).unwrap();
    let Annotations { images, categories, labels, .. } = reading.annotations;
    assert_eq!(categories, ["balloon", "kite"]);
    assert_eq!(images, ["1.jpg", "2.jpg"].map(fixture));
    assert_eq!(labels.to_floats(), [1.0, 1.0, -1.0, -1.0]);
    let notes = [
        "attribute \"name\" holds text: its 2 values are categories",
        "2 regions: their attributes are those of the image",
        "1 images have no label: every category negative",
    ];
    assert_eq!(reading.notes, notes);
}

#[test]
fn a_table_has_a_line_for_each_region() {
    let reading = FORMAT.read(&fixture("table.csv"), &unlisted(Unlisted::Negative)).unwrap();
    let Annotations { images, categories, labels, .. } = reading.annotations;
    assert_eq!(categories, ["quality/sharp", "kind/car", "kind/bus"]);
    assert_eq!(images, ["1.jpg", "2.jpg"].map(fixture));
    assert_eq!(labels.to_floats(), [1.0, 1.0, 1.0, -1.0, -1.0, -1.0]);
    let notes = [
        "2 attributes are read as categories ATTRIBUTE/VALUE",
        "2 regions: their attributes are those of the image",
        "1 images have no label: every category negative",
    ];
    assert_eq!(reading.notes, notes);
    let table = std::fs::read_to_string(fixture("table.csv")).unwrap();
    let via_1_0 = parse("a.csv", format!("#{table}{}", table.lines().nth(1).unwrap())).unwrap();
    assert_eq!(via_1_0.annotations.categories, categories);
    let again = "1 images are listed again under the same name: labels joined".to_owned();
    assert!(via_1_0.notes.contains(&again), "{:?}", via_1_0.notes);
}

#[test]
fn attributes_of_an_image_count_once_however_many_regions_it_has() {
    let header =
        "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes";
    let line = |name: &str, of_file: &str, region: usize| {
        format!("{name},1,\"{{{of_file}}}\",2,{region},\"{{}}\",\"{{\"\"kind\"\":{{\"\"car\"\":true}}}}\"\n")
    };
    let unticked = r#"""quality"":{""sharp"":false}"#;
    let ticked = r#"""quality"":{""sharp"":true}"#;
    let lines = [line("a.jpg", unticked, 0), line("a.jpg", unticked, 1), line("./a.jpg", ticked, 0)];
    let text = format!("{header}\n{}", lines.concat());
    let Reading { annotations, notes } = parse("a.csv", text).unwrap();
    assert_eq!(annotations.labels.to_floats(), [1.0, 1.0]);
    let expected = "1 checkboxes are false, not ticked: read as if they were not there".to_owned();
    assert!(notes.contains(&expected), "{notes:?}");
    // An image with two names is none without a label.
    let lines = ["a.jpg", "./a.jpg"].map(|name| line(name, ticked, 0)).concat();
    let none = "./b.jpg,1,\"{}\",0,0,\"{}\",\"{}\"\nb.jpg,1,\"{}\",0,0,\"{}\",\"{}\"\n";
    let read = |path: &Path| FORMAT.read(path, &unlisted(Unlisted::Negative));
    let Reading { notes, .. } = read_bytes("a.csv", format!("{header}\n{lines}{none}"), read).unwrap();
    assert!(notes.contains(&"1 images have no label: every category negative".to_owned()), "{notes:?}");
}

#[test]
fn images_lie_where_the_user_says() {
    let options = Options { images: Some("there".into()), ..unlisted(Unlisted::Unknown) };
    let images = FORMAT.read(&fixture("project.json"), &options).unwrap().annotations.images;
    assert_eq!(images, ["a.jpg", "b.jpg", "img/c d.jpg"].map(|name| Path::new("there").join(name)));
}

#[test]
fn what_is_unlisted_must_be_said() {
    let error = FORMAT.read(&fixture("project.json"), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().starts_with("VIA stores what was chosen, not what was looked for"), "{error}");
}

#[test]
fn all_problems_come_at_once_with_their_lines() {
    let text = r#"{"a": {"size": 1},
        "b": 3,
        "c": {"filename": "c.jpg", "file_attributes": {"x": true, "y": ["cat"], "z": {"cat": "yes"}}},
        "d": {"filename": 4}, "e": {"filename": "e.jpg", "file_attributes": {"n": 3, "none": null}}}"#;
    let expected = [
        "a.json:1: filename of an image is missing; expected its path (VIA 3 is not read)",
        "a.json:2: a number; expected an image: an object with filename",
        "a.json:3: attribute \"x\" is \"true\"; expected text or an object of checkboxes",
        "a.json:3: attribute \"y\" is \"[\\\"cat\\\"]\"; expected text or an object of checkboxes",
        "a.json:3: checkbox \"cat\" of \"z\" is \"\\\"yes\\\"\"; expected true",
        "a.json:4: filename of an image is a number; expected its path (VIA 3 is not read)",
    ];
    assert_eq!(problems_of("a.json", Kind::Data, parse("a.json", text)), expected);
    let broken = problems_of("a.json", Kind::Data, parse("a.json", "[1]"));
    assert!(broken[0].ends_with("; expected a project of VIA 2, or annotations of VIA 1 or 2"), "{broken:?}");
    let none = parse("a.json", "{}").unwrap_err();
    assert!(none.to_string().ends_with("no images; nothing to read"), "{none}");
}

#[test]
fn broken_lines_of_a_table_are_said() {
    let table = std::fs::read_to_string(fixture("table.csv")).unwrap();
    let text = format!("{table}3.jpg,1,{{}}\n,1,{{}},0,0,{{}},{{}}\n4.jpg,1,[],0,0,{{}},{{}}\n");
    let expected = [
        "a.csv:5: 3 fields; expected 7 as in the header",
        "a.csv:6: filename of an image is empty; expected its path (VIA 3 is not read)",
        "a.csv:7: file_attributes is \"[]\"; expected a JSON object",
    ];
    assert_eq!(problems_of("a.csv", Kind::Data, parse("a.csv", text)), expected);
}

#[test]
fn projects_annotations_and_tables_are_recognized() {
    let why = |name: &str| recognize(&fixture(name), &std::fs::read(fixture(name)).unwrap());
    assert_eq!(why("project.json").as_deref(), Some("a JSON object with _via_settings"));
    let images = "a JSON object with images and their regions, such as \"1.jpg10\"";
    assert_eq!(why("via1.json").as_deref(), Some(images));
    assert_eq!(why("table.csv").as_deref(), Some("a CSV table with file_attributes and region_id"));
    let recognized = |text: &str| recognize(Path::new("a"), text.as_bytes()).is_some();
    assert!(recognized(FORMAT.example) && parse("a.json", FORMAT.example).is_ok());
    assert!(!recognized(r#"{"a": {"filename": "a.jpg", "size": 1}, "b": {"regions": []}}"#));
    for key in ["_via_settings", "_via_img_metadata"] {
        assert!(recognized(&format!(r#"{{"{key}": {{}}}}"#)), "{key}");
    }
    assert!(!recognized("filename,file_size,tags\na.jpg,1,cat\n"));
    assert!(!recognized(r#"{"project": {"pid": "1"}, "metadata": {}, "attribute": {}}"#));
}

#[test]
fn lines_of_regions_are_told_from_those_of_images_by_any_of_their_cells() {
    let header =
        "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes";
    let counted = |rest: &str| {
        let text = format!("{header}\na.jpg,1,\"{{\"\"kind\"\":{{\"\"car\"\":true}}}}\",{rest}\n");
        let notes = parse("a.csv", text).unwrap().notes;
        notes.iter().any(|note| note.contains("regions"))
    };
    assert!(!counted(r#"0,0,"{}","{}""#));
    assert!(counted(r#"1,0,"{}","{}""#));
    assert!(counted(r#"0,0,"{""name"":""rect""}","{}""#));
    assert!(counted(r#"0,0,"{}","{""kind"":{""car"":true}}""#));
}

#[test]
fn defaults_and_attributes_that_are_not_read_are_said() {
    let text = |count: usize| {
        let types: String = (0..count).map(|at| format!(r#", "t{at}": {{"type": "text"}}"#)).collect();
        let values: String = (0..count).map(|at| format!(r#", "t{at}": "x""#)).collect();
        let kind = r#""kind": {"type": "checkbox", "options": {"car": ""}}"#;
        let name = r#""name": {"type": "text", "default_value": "x"}"#;
        let image = format!(
            r#"{{"filename": "a.jpg", "size": 1, "regions": [], "file_attributes": {{"kind": {{"car": true}}{values}}}}}"#
        );
        format!(
            r#"{{"_via_settings": {{}}, "_via_attributes": {{"file": {{{kind}, {name}{types}}}, "region": {{}}}},
                "_via_img_metadata": {{"a": {image}}}}}"#
        )
    };
    let unread = |count: usize| {
        let notes = parse("a.json", text(count)).unwrap().notes;
        notes.into_iter().find(|note| note.starts_with("attributes that")).unwrap()
    };
    assert!(unread(10).contains("\"t9\"; choose"), "{}", unread(10));
    assert!(unread(11).contains("\"t9\", …; choose") && unread(12).contains("\"t9\", …; choose"));
    let named = text(0).replace(r#""file_attributes": {"#, r#""file_attributes": {"name": "b", "#);
    let notes = read_bytes("a.json", named, |path| FORMAT.read(path, &field("name"))).unwrap().notes;
    assert!(notes.iter().any(|note| note.starts_with("attribute \"name\" has a default")), "{notes:?}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        project in damaged(std::fs::read(fixture("project.json")).unwrap()),
        annotations in damaged(std::fs::read(fixture("via1.json")).unwrap()),
        table in damaged(std::fs::read(fixture("table.csv")).unwrap()),
    ) {
        let _ = parse("a.json", &project);
        let _ = parse("a.json", &annotations);
        let _ = parse("a.csv", &table);
    }
}
