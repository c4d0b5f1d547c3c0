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
    parse_with(bytes, &unlisted(Unlisted::Unknown))
}

fn parse_with(bytes: impl AsRef<[u8]>, options: &Options) -> Result<Annotations> {
    read_bytes("tags.csv", bytes, |path| FORMAT.read(path, options).map(|reading| reading.annotations))
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
        b"\xef\xbb\xbfimage,tag\r\n\r\na.jpg\r\n,cat\nb.jpg,cat,dog\nc\xff.jpg,cat\n\"e\"f,cat\n\"d.jpg,cat\n",
        Kind::Data,
    );
    let expected = [
        "3: 1 fields; expected 2, as in the header",
        "4: no image in its column",
        "5: 3 fields; expected 2, as in the header",
        "6: no UTF-8 text (byte 0xFF at column 2); save the file as UTF-8",
        "7: text after a closing quote; expected a comma",
        "8: a quoted field has no closing quote up to line 8",
    ];
    assert_eq!(found, expected);
    // The image of the first row is beyond the header.
    let options = Options { label_columns: vec!["things".into()], ..unlisted(Unlisted::Unknown) };
    let wide = lines_of("tags.csv", Kind::Usage, parse_with("photograph,things\ncat,dog,a.jpg\n", &options));
    assert!(wide[0].contains("name the column of images with --image-column"), "{wide:?}");
    assert_eq!(problems("", Kind::Data), ["1: an empty file; expected lines of an image and its labels"]);
    assert!(problems("image,tag\n", Kind::Data)[0].ends_with("no images; nothing to read"));
    let found = &problems("a.jpg,cat,dog\n", Kind::Data)[0];
    assert!(found.starts_with("1: 3 fields; expected two: image and tags, or a header and --image-column"));
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
    // Numbers below may be labels of our own file as well: the user says.
    assert!(recognize(Path::new("a.csv"), b"image,labels\na.jpg,1\n").is_some());
    for head in ["image,cat,dog\n", "image,cat\n", "", "a.jpg,cat;dog\n"] {
        assert_eq!(recognize(Path::new("a.csv"), head.as_bytes()), None, "{head}");
    }
}

#[test]
fn tags_beside_other_columns_are_read() {
    let nih = "Image Index,Finding Labels,Follow-up #,Patient ID\n\
               1.png,Cardiomegaly|Effusion,0,1\n2.png,No Finding,1,1\n";
    assert!(recognize(Path::new("a.csv"), nih.as_bytes()).is_some());
    let reading =
        read_bytes("tags.csv", nih, |path| FORMAT.read(path, &unlisted(Unlisted::Unknown))).unwrap();
    assert_eq!(reading.annotations.categories, ["Cardiomegaly", "Effusion", "No Finding"]);
    let note = "images in column \"Image Index\"; tags in \"Finding Labels\"; other columns are not read";
    assert_eq!(reading.notes, [note]);
    // PadChest: lists, a report with commas, several columns in between.
    let padchest = "ImageID,ImageDir,Report,Labels\n1.png,0,\"a, b\",\"['pleural effusion', 'normal']\"\n";
    assert_eq!(parse(padchest).unwrap().categories, ["pleural effusion", "normal"]);
    // HPA: class numbers between spaces, and names of images without an ending.
    let hpa = Options { extension: Some(".png".into()), ..unlisted(Unlisted::Unknown) };
    let hpa = read_bytes("tags.csv", "Id,Target\nx,16 0\ny,7 2\n", |path| FORMAT.read(path, &hpa)).unwrap();
    assert_eq!(hpa.annotations.categories, ["16", "0", "7", "2"]);
    assert!(hpa.annotations.images[1].ends_with("y.png"));
    // One tag in each of several columns, which the user names.
    let text = "shot,first,second\nx,cat,dog\ny,owl,\n";
    let options = Options {
        image_column: Some("shot".into()),
        label_columns: ["first", "second"].map(str::to_owned).to_vec(),
        ..unlisted(Unlisted::Unknown)
    };
    let several = read_bytes("tags.csv", text, |path| FORMAT.read(path, &options)).unwrap().annotations;
    assert_eq!(several.categories, ["cat", "dog", "owl"]);
    assert_eq!(several.labels.to_floats(), [1.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn splits_and_numbers_are_not_taken_for_tags() {
    let fastai = "fname,labels,is_valid\na.jpg,car person,True\nb.jpg,dog,False\n";
    let found = &problems(fastai, Kind::Usage)[0];
    assert!(found.contains("images of several sets; choose one with --set: train ("), "{found}");
    let options = Options { set: Some("train".into()), ..unlisted(Unlisted::Negative) };
    let train = read_bytes("tags.csv", fastai, |path| FORMAT.read(path, &options)).unwrap().annotations;
    assert_eq!((train.images.len(), train.categories), (1, vec!["dog".to_owned()]));
    for numbers in ["image,tags\na.jpg,0;1;0;1\nb.jpg,1;0;0;0\n", "filename,label\na.jpg,1\nb.jpg,0\n"] {
        let found = &problems(numbers, Kind::Usage)[0];
        assert!(
            found.contains("as where numbers say whether a category is there; pass --from table"),
            "{found}"
        );
    }
    let names = Options { separator: Some(Separator::None), ..unlisted(Unlisted::Unknown) };
    let text = "filename,label\na.jpg,1\nb.jpg,0\n";
    let named = read_bytes("tags.csv", text, |path| FORMAT.read(path, &names)).unwrap().annotations;
    assert_eq!(named.categories, ["1", "0"]);
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

#[test]
fn tags_that_look_like_nothing_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["{}", "nan", "['a']", r#"["\"]"#, "-1"].map(str::to_owned).to_vec();
    let annotations = Annotations {
        images: vec![folder.path().join("a.jpg")],
        labels: LabelMatrix::from_values(5, &[1; 5]),
        categories: names.clone(),
        source: folder.path().join("train.csv"),
    };
    let path = folder.path().join("tags.csv");
    write(&path, &annotations).unwrap();
    let whole = Options { separator: Some(Separator::None), ..unlisted(Unlisted::Unknown) };
    assert_eq!(FORMAT.read(&path, &whole).unwrap().annotations.categories, names);
}

#[test]
fn a_first_line_that_names_no_image_above_lines_that_do_is_a_header() {
    let read = |text: &str| {
        let read = |path: &Path| FORMAT.read(path, &unlisted(Unlisted::Unknown));
        let Reading { annotations, notes } = read_bytes("tags.csv", text, read).unwrap();
        let names =
            annotations.images.iter().map(|image| image.file_name().unwrap().to_str().unwrap().to_owned());
        (names.collect::<Vec<_>>().join(" "), annotations.categories.join(" "), notes)
    };
    let (images, tags, notes) = read("Bild,Art\na.jpg,cat\nb.jpg,dog\nc.jpg,cat\n");
    assert_eq!((&*images, &*tags), ("a.jpg b.jpg c.jpg", "cat dog"));
    assert_eq!(notes, ["the first line is taken for a header: \"Bild,Art\""]);
    assert_eq!(read("Bild,Art\na.jpg,cat\n").1, "cat");
    // Names without an ending, a line alone, and lists without a header.
    for (text, images, tags) in [
        ("x,cat\ny,dog\nz,cat\n", "x y z", "cat dog"),
        ("foto,cat\n", "foto", "cat"),
        ("a.jpg,cat\nb.jpg,dog\nc.jpg,cat\n", "a.jpg b.jpg c.jpg", "cat dog"),
        ("foto,art\na.jpg,cat\nb,dog\n", "foto a.jpg b", "art cat dog"),
        ("image,tags\na.jpg,cat\n", "a.jpg", "cat"),
    ] {
        let found = read(text);
        assert_eq!((&*found.0, &*found.1), (images, tags), "{text}");
        assert!(found.2.is_empty(), "{text} {:?}", found.2);
    }
    let note = &read("image,tags,size\na.jpg,cat,3\n").2[0];
    assert_eq!(note, "images in column \"image\"; tags in \"tags\"; other columns are not read");
}

#[test]
fn a_cell_of_one_tag_that_holds_others_and_a_column_of_both_are_refused() {
    let found = &problems("image,tag\na.jpg,cat|dog\nb.jpg,cat\n", Kind::Usage)[0];
    assert!(
        found.contains("the header says that a cell is one tag, but \"cat|dog\" holds what other cells"),
        "{found}"
    );
    assert_eq!(parse("image,tag\na.jpg,cat|dog\nb.jpg,owl\n").unwrap().categories, ["cat|dog", "owl"]);
    let options = Options { image_column: Some("tags".into()), ..unlisted(Unlisted::Unknown) };
    let found = lines_of("tags.csv", Kind::Usage, parse_with("image,tags\na.jpg,cat\n", &options));
    assert!(found[0].starts_with("name the columns of tags with --label-columns"), "{found:?}");
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
