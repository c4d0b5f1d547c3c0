use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::formats::csv as own_csv;

fn annotations(images: &[&str], categories: &[&str], labels: &[i8]) -> Annotations {
    let labels = match labels {
        [] => LabelMatrix::unknown(images.len(), categories.len()),
        labels => LabelMatrix::from_values(categories.len(), labels),
    };
    Annotations {
        images: images.iter().map(Into::into).collect(),
        labels,
        categories: categories.iter().map(|name| name.to_string()).collect(),
        source: "labels.csv".into(),
    }
}

fn named(sources: Vec<Annotations>) -> Vec<(String, Annotations)> {
    ["A", "B", "C"].iter().map(|name| name.to_string()).zip(sources).collect()
}

fn notes(sources: Vec<Annotations>) -> Vec<String> {
    merge(&named(sources)).unwrap().notes
}

#[test]
fn what_one_source_knows_the_others_need_not_know() {
    let sources = named(vec![
        annotations(&["a.jpg", "b.jpg"], &["cat", "dog"], &[1, 0, 0, -1]),
        annotations(&["./b.jpg", "c.jpg"], &["owl", "cat"], &[-1, 1, 1, -1]),
    ]);
    let Merged { annotations: merged, contradicted, .. } = merge(&sources).unwrap();
    assert_eq!(merged.images, ["a.jpg", "b.jpg", "c.jpg"].map(std::path::PathBuf::from));
    assert_eq!(merged.categories, ["cat", "dog", "owl"]);
    // owl is unknown for a.jpg, which only A has, and dog for c.jpg, which only B has.
    assert_eq!(merged.labels.to_floats(), [1.0, 0.0, 0.0, 1.0, -1.0, -1.0, -1.0, 0.0, 1.0]);
    assert!(contradicted.is_empty());
}

#[test]
fn a_contradiction_is_unknown_whatever_a_third_source_says() {
    let one = |label| annotations(&["a.jpg"], &["cat"], &[label]);
    for labels in [[1, -1, 1], [1, -1, -1], [1, -1, 0], [-1, 0, 1]] {
        let sources = named(labels.map(one).to_vec());
        let merged = merge(&sources).unwrap();
        assert_eq!(merged.annotations.labels.to_floats(), [0.0], "{labels:?}");
        assert_eq!(merged.contradicted(), 1);
    }
    let sources = named([1, -1, 1].map(one).to_vec());
    let merged = merge(&sources).unwrap();
    let contradiction = merged.contradictions().next().unwrap();
    assert_eq!(contradiction.to_string(), r#""a.jpg": "cat" is positive in A and C, negative in B"#);
    let json = serde_json::to_value(&contradiction).unwrap();
    let expected = r#"{"image":"a.jpg","category":"cat","positive":["A","C"],"negative":["B"]}"#;
    assert_eq!(json, serde_json::from_str::<serde_json::Value>(expected).unwrap());
}

#[test]
fn a_source_that_has_an_image_twice_contradicts_itself() {
    let sources = named(vec![annotations(&["a.jpg", "./a.jpg"], &["cat", "dog"], &[1, 0, -1, 1])]);
    let merged = merge(&sources).unwrap();
    assert_eq!((merged.annotations.images.len(), merged.contradicted()), (1, 1));
    assert_eq!(merged.annotations.labels.to_floats(), [0.0, 1.0]);
    let contradiction = merged.contradictions().next().unwrap();
    assert_eq!((contradiction.positive, contradiction.negative), (vec!["A"], vec!["A"]));
}

#[test]
fn contradictions_are_written_with_a_column_for_each_source() {
    let folder = tempfile::tempdir().unwrap();
    let image = |name: &str| folder.path().join(name).display().to_string();
    let (a, b) = (image("x/a.jpg"), image("x/b.jpg"));
    let images = [a.as_str(), b.as_str()];
    let sources = named(vec![
        annotations(&images, &["cat", "d,g"], &[1, 1, -1, 0]),
        annotations(&images, &["d,g", "cat"], &[-1, 1, 0, 1]),
        annotations(&images[..1], &["owl"], &[1]),
    ]);
    let path = folder.path().join("contradictions.csv");
    merge(&sources).unwrap().write_contradictions(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, "image,category,A,B,C\nx/a.jpg,\"d,g\",1,0,\nx/b.jpg,cat,0,1,\n");
}

#[cfg(unix)]
#[test]
fn one_file_by_two_ways_is_one_image_and_another_folder_is_not() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("images")).unwrap();
    std::os::unix::fs::symlink("images", root.path().join("link")).unwrap();
    let at = |path: &str| root.path().join(path).display().to_string();
    let (images, ways) = (at("images/a.jpg"), [at("link/a.jpg"), at("link/../images/a.jpg")]);
    for way in &ways {
        let sources =
            named(vec![annotations(&[&images], &["cat"], &[1]), annotations(&[way], &["cat"], &[0])]);
        let merged = merge(&sources).unwrap().annotations;
        assert_eq!(merged.images, [std::path::PathBuf::from(&images)], "{way}");
    }
    let elsewhere = at("other/a.jpg");
    let sources = vec![annotations(&[&images], &["cat"], &[1]), annotations(&[&elsewhere], &["cat"], &[0])];
    assert_eq!(merge(&named(sources)).unwrap().annotations.images.len(), 2);
}

#[test]
fn images_that_are_shared_are_counted_and_those_of_one_name_in_two_folders_are_named() {
    let one = |images: &[&str]| annotations(images, &["cat"], &[]);
    let apart = notes(vec![one(&["x/a.jpg", "x/b.jpg", "x/c.jpg"]), one(&["y/b.jpg", "y/a.jpg"])]);
    assert_eq!(apart[0], "A and B share no image");
    let names = "\"x/a.jpg\" and \"y/a.jpg\" have one name in different folders, as have 1 more such pairs: they stay \
                 apart; if they are the same images, pass --images DIR, the folder that the names in the sources \
                 start from";
    assert_eq!(apart[1..], [names]);
    assert_eq!(
        notes(vec![one(&["a.jpg", "b.jpg"]), one(&["b.jpg"]), one(&["c.jpg"])]),
        [
            "A: 2 images, 1 of them in another source too",
            "B: 1 images, 1 of them in another source too",
            "C: 1 images, none of them in another source",
        ]
    );
    // One source may well have one name in two folders, and a name that both share is settled.
    let twice = notes(vec![one(&["x/a.jpg", "y/a.jpg"]), one(&["x/a.jpg"])]);
    assert!(!twice.iter().any(|note| note.contains("one name")), "{twice:?}");
    let third = notes(vec![one(&["x/a.jpg"]), one(&["x/a.jpg"]), one(&["y/a.jpg"])]);
    assert!(!third.iter().any(|note| note.contains("one name")), "{third:?}");
}

#[test]
fn categories_that_are_written_nearly_alike_stay_apart_with_a_note() {
    let one = |categories: &[&str]| annotations(&["a.jpg"], categories, &[]);
    let found = notes(vec![one(&["Traffic Light", "dog", "zebra"]), one(&["traffic_light", "dogs", "cup"])]);
    let stay = "they stay apart; give them one name in the sources if they mean the same";
    let expected = [
        "A: 3 of the 6 categories, such as \"traffic_light\", are not in it: unknown where no other source knows"
            .to_owned(),
        "B: 3 of the 6 categories, such as \"Traffic Light\", are not in it: unknown where no other source knows"
            .to_owned(),
        format!(
            "categories \"Traffic Light\" of A and \"traffic_light\" of B differ only in case, spaces, _ or -: {stay}"
        ),
        format!("categories \"dog\" of A and \"dogs\" of B are nearly the same: {stay}"),
    ];
    assert_eq!(found[2..], expected);
    // A source that has both keeps them apart on purpose.
    let both = notes(vec![one(&["dog", "dogs"]), one(&["dogs"])]);
    assert!(!both.iter().any(|note| note.contains("stay apart")), "{both:?}");
    // Said once for two sources of the same categories.
    let twice = notes(vec![one(&["dog"]), one(&["dogs"]), one(&["dogs"])]);
    assert_eq!(twice.iter().filter(|note| note.contains("stay apart")).count(), 1, "{twice:?}");
}

#[test]
fn many_similar_categories_are_counted() {
    let names = |first: char| (0..30).map(|n| format!("{first}ategory {n:02}0000")).collect::<Vec<_>>();
    let one = |names: Vec<String>| {
        annotations(&["a.jpg"], &names.iter().map(String::as_str).collect::<Vec<_>>(), &[])
    };
    let found = notes(vec![one(names('c')), one(names('C'))]);
    assert_eq!(found.iter().filter(|note| note.starts_with("categories ")).count(), 20);
    assert_eq!(found.last().unwrap(), "… and 10 more pairs of categories with similar names");
}

#[test]
fn of_very_many_categories_only_the_writing_is_compared() {
    let one = |first: &str, last: &str| {
        let names: Vec<String> =
            (0..1_001).map(|n| format!("{first} {n}")).chain([last.to_owned()]).collect();
        annotations(&["a.jpg"], &names.iter().map(String::as_str).collect::<Vec<_>>(), &[])
    };
    let found = notes(vec![one("mammal", "Dining Table"), one("vehicle", "dining-table")]);
    let last = &found[found.len() - 2..];
    assert!(
        last[0].contains("\"Dining Table\" of A and \"dining-table\" of B differ only in case"),
        "{found:?}"
    );
    assert_eq!(last[1], "too many categories to look for names that differ by some letters");
}

#[test]
fn nothing_is_merged_of_no_source_and_one_source_stays_as_it_is() {
    assert_eq!(merge(&[]).unwrap_err().to_string(), "nothing to merge");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.csv");
    std::fs::write(&path, "image,cat,dog\nb.jpg,1,0\na.jpg,?,1\n").unwrap();
    let sources = [("train.csv".to_owned(), own_csv::read(&path).unwrap())];
    let merged = merge(&sources).unwrap();
    assert_eq!((&merged.annotations, merged.notes.len()), (&sources[0].1, 0));
}

/// Some of five images and some of 70 categories, the columns of two words, with labels.
fn source() -> impl Strategy<Value = Annotations> {
    let images = proptest::sample::subsequence(vec!["a.jpg", "b.jpg", "x/a.jpg", "x/c.jpg", "d.jpg"], 1..=5);
    let categories = proptest::sample::subsequence((0..70).collect::<Vec<u32>>(), 1..=70);
    (images.prop_shuffle(), categories.prop_shuffle()).prop_flat_map(|(images, categories)| {
        let cells = images.len() * categories.len();
        proptest::collection::vec(-1..=1i8, cells).prop_map(move |labels| {
            let names: Vec<String> = categories.iter().map(|number| format!("category {number}")).collect();
            annotations(&images, &names.iter().map(String::as_str).collect::<Vec<_>>(), &labels)
        })
    })
}

/// The labels of all cells by image and category.
fn cells(annotations: &Annotations) -> BTreeMap<(String, String), i8> {
    let mut cells = BTreeMap::new();
    for (row, image) in annotations.images.iter().enumerate() {
        for (column, category) in annotations.categories.iter().enumerate() {
            let label = annotations.labels.get(row, column) as i8;
            cells.insert((image.display().to_string(), category.clone()), label);
        }
    }
    cells
}

proptest! {
    #[test]
    fn each_cell_is_what_the_sources_agree_on(a in source(), b in source(), c in source()) {
        let sources = named(vec![a, b, c]);
        let merged = merge(&sources).unwrap();
        let each: Vec<_> = sources.iter().map(|(_, annotations)| cells(annotations)).collect();
        let together = cells(&merged.annotations);
        let mut contradicted = 0;
        for (cell, label) in &together {
            let said: Vec<i8> = each.iter().filter_map(|cells| cells.get(cell).copied()).collect();
            let expected = match (said.contains(&1), said.contains(&-1)) {
                (true, true) => {
                    contradicted += 1;
                    0
                }
                (positive, negative) => i8::from(positive) - i8::from(negative),
            };
            // In particular no known label becomes its opposite, and nothing unknown becomes negative.
            prop_assert_eq!(*label, expected, "{:?}: {:?}", cell, said);
        }
        prop_assert_eq!(merged.contradicted(), contradicted);
        prop_assert_eq!(merged.contradictions().count(), contradicted);
        for contradiction in merged.contradictions() {
            prop_assert!(!contradiction.positive.is_empty() && !contradiction.negative.is_empty());
        }
        let missing = each.iter().flat_map(|cells| cells.keys()).find(|cell| !together.contains_key(*cell));
        prop_assert_eq!(missing, None);
    }

    #[test]
    fn the_order_of_the_sources_changes_only_the_order_of_the_result(a in source(), b in source()) {
        let (one, other) = (named(vec![a.clone(), b.clone()]), named(vec![b, a]));
        let (one, other) = (merge(&one).unwrap(), merge(&other).unwrap());
        prop_assert_eq!(cells(&one.annotations), cells(&other.annotations));
        prop_assert_eq!(one.contradicted(), other.contradicted());
    }

    #[test]
    fn merging_with_itself_and_with_its_result_changes_nothing(a in source(), b in source()) {
        let twice = named(vec![a.clone(), a.clone()]);
        let merged = merge(&twice).unwrap();
        prop_assert_eq!(&merged.annotations, &a);
        prop_assert_eq!(merged.contradicted(), 0);
        let both = named(vec![a, b]);
        let merged = merge(&both).unwrap().annotations;
        let again = named(vec![merged.clone(), merged.clone()]);
        prop_assert_eq!(merge(&again).unwrap().annotations, merged);
    }
}
