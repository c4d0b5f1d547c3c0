use super::*;

fn said(text: &str) -> Said<Option<Labels>> {
    labels_of(&mut serde_json::from_str(text).unwrap(), &FURTHER)
}

fn positives(text: &str) -> Vec<Name> {
    said(text).unwrap().unwrap().positive
}

#[test]
fn one_list_has_one_of_several_keys() {
    let cat = || vec![Name::Text("cat".into())];
    for text in [
        r#"{"labels": ["cat"]}"#,
        r#"{"label": "cat"}"#,
        r#"{"label": ["cat"], "labels": null}"#,
        r#"{"tags": ["cat"], "objects": {"bbox": []}}"#,
        r#"{"objects": {"bbox": [[0, 0, 1, 1]], "categories": ["cat"]}}"#,
    ] {
        let labels = said(text).unwrap().unwrap();
        assert_eq!((labels.positive, labels.negative), (cat(), None), "{text}");
    }
    assert_eq!(positives(r#"{"objects": {"category": [1, 1]}}"#), [Name::Number(1), Name::Number(1)]);
    // Each entry of a list of boxes is a label: it is no list of one number per category.
    for (text, single) in [
        (r#"{"objects": {"category": [0, 1]}}"#, true),
        (r#"{"label": 1}"#, true),
        (r#"{"label": "1"}"#, true),
        (r#"{"labels": [0, 1]}"#, false),
    ] {
        assert_eq!(said(text).unwrap().unwrap().single, single, "{text}");
    }
    assert_eq!(said(r#"{"labels": null, "caption": "a cat"}"#), Ok(None));
    // Keys that only some files mean so.
    let mut members = serde_json::from_str(r#"{"label": 3}"#).unwrap();
    assert_eq!(labels_of(&mut members, &[]), Ok(None));
}

#[test]
fn both_lists_come_under_either_pair_of_keys() {
    for text in [
        r#"{"positive": ["cat"], "negative": ["dog"], "categories": ["dog", "cat"]}"#,
        r#"{"labels": ["cat"], "negative_labels": ["dog"], "categories": ["dog", "cat"]}"#,
    ] {
        let labels = said(text).unwrap().unwrap();
        assert_eq!(labels.positive, [Name::Text("cat".into())]);
        assert_eq!(labels.negative, Some(vec![Name::Text("dog".into())]));
        assert_eq!(labels.categories, ["dog", "cat"]);
    }
    let alone = said(r#"{"negative_labels": ["dog"]}"#).unwrap().unwrap();
    assert_eq!((alone.positive.len(), alone.negative.map(|names| names.len())), (0, Some(1)));
    let error = said(r#"{"positive": [], "negative_labels": []}"#).unwrap_err();
    assert!(error.starts_with("labels beside positive and negative; expected {"), "{error}");
}

#[test]
fn what_may_mean_several_things_is_refused() {
    for (text, what) in [
        (r#"{"labels": [], "tags": []}"#, "labels and tags may both be the labels; keep one of them"),
        (r#"{"labels": {"cat": 1}}"#, "labels is an object; expected a list of labels"),
        (r#"{"labels": "cat"}"#, "labels is \"\\\"cat\\\"\"; expected a list of labels"),
        (r#"{"label": "cat,dog"}"#, "\"cat,dog\" looks like several labels; expected one, or a list"),
        (r#"{"label": ""}"#, "an empty label; expected a name"),
        (r#"{"label": -1}"#, "\"-1\" in label; expected names or numbers from 0"),
        (r#"{"labels": [0.0, 1.0]}"#, "\"0.0\" in labels; expected names or numbers from 0"),
        (r#"{"labels": [true, false]}"#, "\"true\" in labels; expected names or numbers from 0"),
        (r#"{"labels": ["cat", ""]}"#, "\"\\\"\\\"\" in labels; expected names or numbers from 0"),
        (r#"{"objects": [{}]}"#, "objects is a list; expected an object with the list categories"),
        (
            r#"{"objects": {"categories": 3}}"#,
            "objects is an object; expected an object with the list categories",
        ),
    ] {
        assert_eq!(said(text), Err(what.into()), "{text}");
    }
    for text in [
        r#"{"labels": [0, 1, 0]}"#,
        r#"{"tags": ["1", "0", "1"]}"#,
        r#"{"labels": [1, 1, 7]}"#,
        r#"{"tags": ["0", "0"]}"#,
    ] {
        assert!(said(text).unwrap_err().contains("is in "), "{text}");
    }
    assert_eq!(
        [Value::from(""), Value::from("x"), Value::Null].map(|it| kind(&it)),
        ["empty", "text", "null"]
    );
    let twice = serde_json::from_str::<Members>(r#"{"a": 1, "a": 2}"#).unwrap_err().to_string();
    assert!(twice.starts_with("key \"a\" twice"), "{twice}");
}

#[test]
fn lists_that_are_all_0_and_1_are_in_doubt_for_two_categories_only() {
    let check = |lists: &[&[u64]], names| {
        let mut all = NumberLists::default();
        lists.iter().for_each(|list| all.add(list.iter().map(|number| Some(*number))));
        all.check(names, Path::new("a.json")).map_err(|error| error.to_string())
    };
    let doubt = "a.json: every list is 0 and 1 (2 lists), which may be one number per category or the numbers \
                 of both; write names in place of the numbers";
    for names in [None, Some(2)] {
        assert_eq!(check(&[&[0, 1], &[1, 0]], names), Err(doubt.into()));
    }
    assert!(check(&[&[0, 1], &[1, 0]], Some(3)).is_ok());
    for lists in [&[&[0, 1][..], &[]][..], &[&[0, 1], &[1]], &[&[0, 1], &[0, 2]], &[&[0], &[1]], &[]] {
        assert!(check(lists, None).is_ok(), "{lists:?}");
    }
    // Beside negative labels, or standing alone, nothing else can be meant.
    for text in [r#"{"positive": [0, 1], "negative": []}"#, r#"{"objects": {"category": [0, 1]}}"#] {
        let (mut columns, mut marks) = (Columns::default(), Marks::default());
        let found = columns.of(&said(text).unwrap().unwrap(), &mut marks);
        assert_eq!(found, Ok([vec![0, 1], vec![]]), "{text}");
        assert!(columns.finish(Path::new("a.json")).is_ok(), "{text}");
    }
    let mut named = NumberLists::default();
    named.add([Some(0), Some(1)].into_iter());
    named.no_doubt();
    assert!(named.check(None, Path::new("a.json")).is_ok());
}
