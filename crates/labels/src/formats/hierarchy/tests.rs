use proptest::prelude::*;

use super::*;

/// entity > animal > mammal > {dog > poodle, cat}; entity > pet > dog; animal has part tail > docked.
const ANIMALS: &str = r#"{"LabelName": "entity", "Subcategory": [
    {"Subcategory": [{"LabelName": "mammal", "Subcategory": [
        {"LabelName": "dog", "Subcategory": [{"LabelName": "poodle"}]}, {"LabelName": "cat"}]}],
     "Part": [{"LabelName": "tail", "Subcategory": [{"LabelName": "docked"}]}],
     "LabelName": "animal", "Unknown key": [1, {"a": null}]},
    {"LabelName": "pet", "Subcategory": [{"LabelName": "dog"}]}]}"#;
const COLUMNS: [&str; 8] = ["dog", "animal", "mammal", "poodle", "cat", "pet", "tail", "docked"];

fn parse(text: impl AsRef<[u8]>) -> Result<Hierarchy> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("h.json");
    std::fs::write(&path, text).unwrap();
    Hierarchy::read(&path)
}

fn column(id: &str) -> Option<usize> {
    COLUMNS.iter().position(|name| *name == id)
}

/// The known labels after the hierarchy was applied to one image.
fn applied(given: &[(&str, i8)]) -> (Vec<(&'static str, f32)>, Filled) {
    let mut values = [0; 8];
    given.iter().for_each(|(id, value)| values[column(id).unwrap()] = *value);
    let mut labels = LabelMatrix::from_values(8, &values);
    let filled = parse(ANIMALS).unwrap().apply(&mut labels, column);
    let known = COLUMNS.into_iter().zip(labels.to_floats()).filter(|(_, value)| *value != 0.0);
    (known.collect(), filled)
}

#[test]
fn a_positive_child_makes_all_its_ancestors_positive_and_nothing_else() {
    let (known, filled) = applied(&[("dog", 1)]);
    assert_eq!(known, [("dog", 1.0), ("animal", 1.0), ("mammal", 1.0), ("pet", 1.0)]);
    assert_eq!(filled, Filled { cells: 3, contradictions: 0 });
}

#[test]
fn a_negative_parent_makes_all_its_descendants_negative_and_nothing_else() {
    let (known, filled) = applied(&[("mammal", -1)]);
    assert_eq!(known, [("dog", -1.0), ("mammal", -1.0), ("poodle", -1.0), ("cat", -1.0)]);
    assert_eq!(filled, Filled { cells: 3, contradictions: 0 });
    // A negative child says nothing of its parents, a positive parent nothing of its children.
    assert_eq!(applied(&[("cat", -1), ("animal", 1)]).0, [("animal", 1.0), ("cat", -1.0)]);
}

#[test]
fn parts_imply_nothing_but_kinds_of_parts_do() {
    assert_eq!(applied(&[("docked", 1)]).0, [("tail", 1.0), ("docked", 1.0)]);
    assert!(applied(&[("animal", -1)]).0.iter().all(|(id, _)| !["tail", "docked"].contains(id)));
}

#[test]
fn everything_between_a_positive_and_a_negative_ancestor_of_it_is_unknown() {
    let (known, filled) = applied(&[("poodle", 1), ("mammal", -1)]);
    assert_eq!(known, [("animal", 1.0), ("cat", -1.0), ("pet", 1.0)]);
    assert_eq!(filled, Filled { cells: 3, contradictions: 3 });
}

#[test]
fn implied_categories_are_named() {
    let hierarchy = parse(ANIMALS).unwrap();
    assert_eq!(hierarchy.root(), "entity");
    let mut implied = hierarchy.implied(["cat", "none"], ["pet"]);
    implied.sort_unstable();
    assert_eq!(implied, ["animal", "cat", "dog", "entity", "mammal", "pet", "poodle"]);
}

#[test]
fn files_of_another_form_are_refused_with_their_line() {
    let error = |text: &str| parse(text).unwrap_err().to_string();
    let expected = r#"expected {"LabelName": …, "Subcategory": […], "Part": […]}"#;
    let missing = error("{\n\"Subcategory\": []}");
    assert!(missing.ends_with(&format!("h.json:2: missing field `LabelName`; {expected}")), "{missing}");
    assert!(error("").contains("h.json:1: EOF while parsing"));
    assert!(error(r#"{"LabelName": 7}"#).contains("h.json:1: invalid type: integer `7`, expected a string"));
    let deep = r#"{"LabelName": "a", "Subcategory": ["#.repeat(100_000);
    assert!(error(&deep).contains("recursion limit exceeded"));
    let circle =
        r#"{"LabelName": "a", "Subcategory": [{"LabelName": "b", "Subcategory": [{"LabelName": "b"}]}]}"#;
    assert!(error(circle).ends_with(r#"category "b" is a subcategory of itself"#), "{}", error(circle));
    assert_eq!(Hierarchy::read(Path::new("/nowhere.json")).unwrap_err().kind(), crate::error::Kind::Missing);
}

#[test]
fn labels_beyond_the_first_64_categories_imply_the_same() {
    let at = |id: &str| column(id).map(|place| place + 60);
    let mut values = vec![0; 70];
    values[at("poodle").unwrap()] = 1;
    values[at("cat").unwrap()] = -1;
    values[at("tail").unwrap()] = -1;
    let mut labels = LabelMatrix::from_values(70, &values);
    let filled = parse(ANIMALS).unwrap().apply(&mut labels, at);
    let known: Vec<f32> = labels.to_floats().split_off(60);
    assert_eq!(known, [1.0, 1.0, 1.0, 1.0, -1.0, 1.0, -1.0, -1.0, 0.0, 0.0]);
    assert_eq!(filled, Filled { cells: 5, contradictions: 0 });
}

proptest! {
    #[test]
    fn applying_it_twice_changes_nothing_and_no_label_is_turned_round(
        values in prop::collection::vec(-1..=1i8, 8 * 5)
    ) {
        let hierarchy = parse(ANIMALS).unwrap();
        let given = LabelMatrix::from_values(8, &values);
        let mut once = given.clone();
        let filled = hierarchy.apply(&mut once, column);
        let mut twice = once.clone();
        prop_assert_eq!(hierarchy.apply(&mut twice, column), Filled::default());
        prop_assert_eq!(&twice, &once);
        let changed = |from: f32, to: f32| {
            given.to_floats().into_iter().zip(once.to_floats()).filter(|pair| *pair == (from, to)).count()
        };
        prop_assert_eq!(changed(1.0, -1.0) + changed(-1.0, 1.0), 0);
        prop_assert_eq!(changed(0.0, 1.0) + changed(0.0, -1.0), filled.cells);
        prop_assert!(changed(1.0, 0.0) + changed(-1.0, 0.0) <= filled.contradictions);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..ANIMALS.len()) {
        let _ = parse(&bytes);
        let mut mutated = ANIMALS.as_bytes().to_vec();
        mutated.splice(at..at + 1, bytes.into_iter().take(3));
        let _ = parse(mutated);
    }
}
