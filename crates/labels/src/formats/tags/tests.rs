use proptest::prelude::*;

use super::*;
use crate::error::Kind;
use crate::formats::options::Unlisted;
use crate::formats::samples::{damaged, lines_of, read_bytes, samples};
use crate::labels::LabelMatrix;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/tags");

fn unlisted(unlisted: Unlisted) -> Options {
    Options { unlisted: Some(unlisted), ..Options::default() }
}

fn parse(bytes: impl AsRef<[u8]>) -> Result<Annotations> {
    read_bytes("tags.csv", bytes, |path| {
        FORMAT.read(path, &unlisted(Unlisted::Unknown)).map(|reading| reading.annotations)
    })
}

fn problems(bytes: impl AsRef<[u8]>, kind: Kind) -> Vec<String> {
    lines_of("tags.csv", kind, parse(bytes))
}

#[test]
fn every_cell_of_the_fixtures_is_read() {
    let path = Path::new(FIXTURE).join("several.csv");
    let annotations = FORMAT.read(&path, &unlisted(Unlisted::Unknown)).unwrap().annotations;
    assert_eq!(annotations.images, ["a, 1.jpg", "b.jpg", "c.jpg"].map(|it| Path::new(FIXTURE).join(it)));
    assert_eq!(annotations.categories, ["clear", "primary", "haze", "traffic light"]);
    let expected = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0];
    assert_eq!(annotations.labels.to_floats(), expected);

    let path = Path::new(FIXTURE).join("one.tsv");
    let annotations = FORMAT.read(&path, &unlisted(Unlisted::Negative)).unwrap().annotations;
    assert_eq!(annotations.images.len(), 3);
    // The header says tag, not tags: a cell is not taken apart.
    assert_eq!(annotations.categories, ["cat", "traffic light", "dog; big"]);
    let expected = [1.0, -1.0, 1.0, -1.0, 1.0, -1.0, -1.0, -1.0, -1.0];
    assert_eq!(annotations.labels.to_floats(), expected);
}

#[test]
fn what_is_not_listed_has_no_silent_default() {
    let error = FORMAT.read(&Path::new(FIXTURE).join("one.tsv"), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Usage);
    assert!(error.to_string().contains("pass --unlisted unknown"), "{error}");
}

#[test]
fn the_separator_is_found_and_never_guessed() {
    let categories = |text: &str| parse(text).unwrap().categories;
    assert_eq!(categories("image,tags\na.jpg,clear primary\nb.jpg,haze\n"), ["clear", "primary", "haze"]);
    assert_eq!(categories("image,labels\na.jpg,traffic light|cat\n"), ["traffic light", "cat"]);
    assert_eq!(categories("a.jpg,\"cat, dog\"\nb.jpg,cat\n"), ["cat", "dog"]);
    assert_eq!(categories("a.jpg\tcat,dog\n"), ["cat", "dog"]);
    // An image in several lines: one tag per line, with spaces inside.
    assert_eq!(categories("a.jpg,traffic light\na.jpg,cat\n"), ["traffic light", "cat"]);
    assert_eq!(categories("a.jpg,cat\nb.jpg,dog\n"), ["cat", "dog"]);
    for unclear in ["a.jpg,traffic light\nb.jpg,cat\n", "image,tags\na.jpg,traffic light\na.jpg,cat\n"] {
        let found = &problems(unclear, Kind::Usage)[0];
        assert!(
            found.contains("\"traffic light\" may be one tag or several; put ; between the tags"),
            "{found}"
        );
    }
    let found = &problems("image,tags\na.jpg,cat;dog|owl\n", Kind::Usage)[0];
    assert!(found.contains("its tags hold ; and |, and only one of them can separate tags"), "{found}");
}

#[test]
fn wrong_lines_come_all_at_once() {
    let found = problems(
        b"\xef\xbb\xbfimage,tag\r\n\r\na.jpg\r\n,cat\nb.jpg,cat,dog\nc\xff.jpg,cat\n\"d.jpg,cat\n\"e\"f,cat\n",
        Kind::Data,
    );
    let expected = [
        "3: 1 fields; expected two with a comma between: image and tags",
        "4: no image in the first column",
        "5: 3 fields; expected two with a comma between: image and tags",
        "6: no UTF-8 text (byte 0xFF at column 2); save the file as UTF-8",
        "7: a quoted field does not end on this line; line breaks inside quotes are not accepted",
        "8: text after a closing quote; expected a comma",
    ];
    assert_eq!(found, expected);
    assert_eq!(problems("", Kind::Data), ["1: an empty file; expected lines of image and tags"]);
    assert!(problems("image,tag\n", Kind::Data)[0].ends_with("no images; nothing to read"));
    assert!(
        problems("image;tags\na.jpg;cat\n", Kind::Data)[0]
            .starts_with("1: 1 fields; expected two with a comma")
    );
    assert_eq!(
        FORMAT.read(Path::new("/nowhere/a.csv"), &unlisted(Unlisted::Unknown)).unwrap_err().kind(),
        crate::error::Kind::Missing
    );
}

#[test]
fn only_its_own_header_is_recognized() {
    for head in ["image,tags\n", "\u{feff}\"image_name\",\"Labels\"\r\n", "filename\tclass\n"] {
        assert!(recognize(Path::new("a.csv"), head.as_bytes()).is_some(), "{head}");
    }
    for head in ["image,cat,dog\n", "image,cat\n", "", "a.jpg,cat;dog\n"] {
        assert_eq!(recognize(Path::new("a.csv"), head.as_bytes()), None, "{head}");
    }
}

#[test]
fn what_a_list_of_tags_cannot_hold_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let annotations = Annotations {
        images: ["a.jpg", "b.jpg"].map(|image| folder.path().join(image)).to_vec(),
        labels: LabelMatrix::from_values(3, &[-1, 1, 0, 1, -1, -1]),
        categories: ["cat", "dog", "owl"].map(str::to_owned).to_vec(),
        source: folder.path().join("train.csv"),
    };
    let path = folder.path().join("tags.csv");
    let lost = write(&path, &annotations).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "image,tag\na.jpg,dog\nb.jpg,cat\n");
    let expected = [
        "3 negative labels: a list of tags cannot tell them from unknown ones",
        "1 categories without a positive label: a list of tags does not name them",
        "the order of categories: they are read back in order of appearance",
    ];
    assert_eq!(lost, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn only_what_is_reported_is_lost(sample in samples()) {
        let folder = tempfile::tempdir().unwrap();
        let written = sample.at(folder.path(), folder.path(), "");
        let path = folder.path().join("tags.csv");
        let lost = write(&path, &written).unwrap();
        if written.labels.count(Label::Positive) == 0 {
            prop_assert!(FORMAT.read(&path, &unlisted(Unlisted::Unknown)).is_err());
            return Ok(());
        }
        // Made-up tags may look like lists of each other, which is refused unless this is said.
        let whole = Options { separator: Some(Separator::None), ..unlisted(Unlisted::Unknown) };
        let back = FORMAT.read(&path, &whole).unwrap().annotations;
        prop_assert_eq!(&back.images, &written.images);
        let place = |name: &String| written.categories.iter().position(|it| it == name).unwrap();
        let columns: Vec<usize> = back.categories.iter().map(place).collect();
        let positive: Vec<i8> = sample.values.iter().map(|&value| value.max(0)).collect();
        let positive = LabelMatrix::from_values(written.categories.len(), &positive);
        prop_assert_eq!(&back.labels, &positive.select_categories(&columns));
        let says = |what: &str| lost.iter().any(|it| it.contains(what));
        prop_assert_eq!(says("negative labels"), written.labels.count(Label::Negative) > 0);
        prop_assert_eq!(says("without a positive"), columns.len() < written.categories.len());
        prop_assert_eq!(says("the order"), !columns.is_sorted());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        csv in damaged(std::fs::read(format!("{FIXTURE}/several.csv")).unwrap()),
    ) {
        let _ = recognize(Path::new("a.csv"), &csv);
        let _ = parse(csv);
    }
}
