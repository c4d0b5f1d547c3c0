use proptest::prelude::*;

use super::*;
use crate::error::Kind;
use crate::formats::detect;
use crate::formats::options::Words;
use crate::formats::samples::{damaged, lines_of, read_bytes};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/table");

fn with(text: impl AsRef<[u8]>, options: &Options) -> Result<Reading> {
    read_bytes("table.csv", text, |path| FORMAT.read(path, options))
}

fn parse(text: impl AsRef<[u8]>) -> Reading {
    with(text, &Options::default()).unwrap()
}

fn refusal(text: impl AsRef<[u8]>, options: &Options) -> String {
    lines_of("table.csv", Kind::Usage, with(text, options)).join("\n")
}

fn recognized(text: &str) -> bool {
    recognize(Path::new("table.csv"), text.as_bytes()).is_some()
}

#[test]
fn every_cell_of_the_fixtures_is_read() {
    let path = Path::new(FIXTURES).join("words.csv");
    assert_eq!(detect(&path).unwrap().0, FORMAT);
    let Reading { annotations, notes } = FORMAT.read(&path, &Options::default()).unwrap();
    assert_eq!(annotations.images, ["a, 1.jpg", "b.jpg", "sub/c.jpg"].map(|it| Path::new(FIXTURES).join(it)));
    assert_eq!(annotations.categories, ["Cat", "Dog, big", "Owl"]);
    assert_eq!(annotations.labels.to_floats(), [1.0, -1.0, 0.0, 0.0, 1.0, -1.0, 0.0, -1.0, 1.0]);
    let expected =
        r#"images in column "file"; 3 columns of labels: "Cat", "Dog, big", "Owl"; not read: "Notes""#;
    assert_eq!(notes, [expected]);
}

#[test]
fn attributes_of_celeba_are_read_as_its_authors_write_them() {
    let path = Path::new(FIXTURES).join("celeba.txt");
    assert_eq!(detect(&path).unwrap().0, FORMAT);
    let Reading { annotations, notes } = FORMAT.read(&path, &Options::default()).unwrap();
    assert_eq!(annotations.categories, ["Bald", "Smiling", "Young"]);
    assert_eq!(annotations.images[1], Path::new(FIXTURES).join("000002.jpg"));
    assert_eq!(annotations.labels.to_floats(), [-1.0, 1.0, 1.0, 1.0, -1.0, 1.0, -1.0, -1.0, 1.0]);
    assert_eq!(notes.len(), 1, "{notes:?}");
}

#[test]
fn what_zero_means_is_asked_where_no_cell_is_blank() {
    let path = Path::new(FIXTURES).join("_classes.csv");
    assert_eq!(detect(&path).unwrap().0, FORMAT);
    let error = FORMAT.read(&path, &Options::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    let what = "holds 1 and 0 but no -1: 0 may mean unknown or not there; pass --convention hcp or spml";
    assert!(error.to_string().contains(what), "{error}");
    for (convention, zero) in [(Convention::Complete, -1.0), (Convention::Hcp, 0.0)] {
        let options = Options { convention: Some(convention), ..Options::default() };
        let labels = FORMAT.read(&path, &options).unwrap().annotations.labels;
        assert_eq!(labels.to_floats(), [1.0, zero, zero, 1.0]);
    }
    // What pandas writes: a blank says unknown, so 0 says not there.
    let Reading { annotations, notes } = parse("fname,cat,dog\na.jpg,1.0,\nb.jpg,0.0,1.0\n");
    assert_eq!(annotations.labels.to_floats(), [1.0, 0.0, -1.0, 1.0]);
    assert_eq!(notes[1], "1 blank cells read as unknown, 1 of 0 as not there; if not, pass --convention");
}

#[test]
fn minus_one_has_both_meanings() {
    let three = "image,cat,dog\na.jpg,1,-1\nb.jpg,0,1\nc.jpg,-1,1\nd.jpg,1,1\n";
    let csl = Options { convention: Some(Convention::Csl), ..Options::default() };
    assert_eq!(
        with(three, &csl).unwrap().annotations.labels.to_floats(),
        [1.0, 0.0, -1.0, 1.0, 0.0, 1.0, 1.0, 1.0]
    );
    let Reading { annotations, notes } = parse(three);
    assert_eq!(annotations.labels.to_floats(), [1.0, -1.0, 0.0, 1.0, -1.0, 1.0, 1.0, 1.0]);
    assert_eq!(notes[1], "2 of -1 read as not there, 1 of 0 as unknown; if not, pass --convention");
    // One label an image at most: -1 may be what nobody looked at.
    let single = "image,cat,dog\na.jpg,1,-1\nb.jpg,-1,1\n";
    assert!(refusal(single, &Options::default()).contains("-1 may mean unknown; pass --convention"));
    let complete = Options { convention: Some(Convention::Complete), ..Options::default() };
    let found = lines_of("table.csv", Kind::Data, with(three, &complete));
    assert!(found[0].starts_with("2: -1 in column \"dog\"; expected 1 and 0"), "{found:?}");
}

#[test]
fn words_of_the_user_are_read() {
    let marks = "Photo\tcat\tdog\nIMG 1\tx\t-\nIMG 2\t\tx\n";
    let list = |word: &str| vec![word.to_owned()];
    let words = Words { yes: list("x"), no: list("-"), unknown: Vec::new() };
    let options = Options { words, extension: Some("jpg".into()), ..Options::default() };
    let annotations = with(marks, &options).unwrap().annotations;
    assert!(annotations.images[0].ends_with("IMG 1.jpg"));
    assert_eq!(annotations.labels.to_floats(), [1.0, -1.0, 0.0, 1.0]);
    // Without them the columns hold no labels.
    let found = lines_of("table.csv", Kind::Data, with(marks, &Options::default()));
    assert!(
        found[0].contains("no column of labels; expected 1, 0 or -1, words such as yes and no"),
        "{found:?}"
    );
    let numbers = Options { convention: Some(Convention::Hcp), ..Options::default() };
    let found = refusal("image,cat\na.jpg,yes\nb.jpg,no\n", &numbers);
    assert!(found.contains("--convention: for numbers; this table says yes and no in words"), "{found}");
    // A word for no settles what 0 means.
    let reading = parse("image,cat,dog\na.jpg,no,1\nb.jpg,0,\n");
    assert_eq!(reading.annotations.labels.to_floats(), [-1.0, 1.0, -1.0, 0.0]);
}

#[test]
fn only_positives_are_said_and_blanks_are_negative_if_the_user_says_so() {
    let text = "image,cat,dog\na.jpg,1,\nb.jpg,,1\n";
    let notes = parse(text).notes;
    assert!(notes.iter().any(|it| it.starts_with("no cell says that something is not there")), "{notes:?}");
    let options = Options { unlisted: Some(Unlisted::Negative), ..Options::default() };
    let reading = with(text, &options).unwrap();
    assert_eq!(reading.annotations.labels.to_floats(), [1.0, -1.0, -1.0, 1.0]);
    assert_eq!(reading.notes.len(), 1);
}

#[test]
fn the_user_chooses_columns() {
    let text = "a,b,c\nx.jpg,yes,u.png\ny.jpg,no,v.png\n";
    assert!(parse(text).annotations.images[0].ends_with("x.jpg"));
    let column = |image: &str, labels: &[&str]| Options {
        image_column: Some(image.into()),
        label_columns: labels.iter().map(|&it| it.to_owned()).collect(),
        ..Options::default()
    };
    let annotations = with(text, &column("c", &["b"])).unwrap().annotations;
    assert!(annotations.images[1].ends_with("v.png"));
    assert_eq!(annotations.labels.to_floats(), [1.0, -1.0]);
    let found = refusal(text, &column("d", &[]));
    assert!(found.contains("--image-column: no column \"d\" in the header \"a,b,c\""), "{found}");
    let found = refusal(text, &column("c", &["c"]));
    assert!(found.contains("--label-columns: \"c\" is the column of images"), "{found}");
    let found = lines_of("table.csv", Kind::Data, with(text, &column("c", &["a"])));
    assert!(found[0].starts_with("2: \"x.jpg\" in column \"a\", where 0 cells are labels and 2 are not"));
    // A column of other things that look like labels can be left out, or must be chosen.
    let text = "image,cat,fold\na.jpg,yes,0\nb.jpg,no,1\n";
    assert_eq!(parse(text).annotations.categories, ["cat"]);
    assert_eq!(with(text, &column("image", &["fold"])).unwrap_err().kind(), Kind::Usage);
    let found = refusal("k,cat\nfirst,yes\nsecond,no\n", &Options::default());
    assert!(
        found.contains("name the column of images with --image-column; the header is \"k,cat\""),
        "{found}"
    );
}

#[test]
fn splits_in_one_table_are_not_joined() {
    let text = "image,cat,split\na.jpg,yes,train\nb.jpg,no,train\nc.jpg,yes,test\n";
    let found = refusal(text, &Options::default());
    assert!(found.contains("images of several sets; choose one with --set: test ("), "{found}");
    let set = |set: &str| Options { set: Some(set.into()), ..Options::default() };
    for name in ["train", "Training"] {
        assert_eq!(with(text, &set(name)).unwrap().annotations.images.len(), 2);
    }
    assert!(refusal(text, &set("val")).contains("no images of val; choose one with --set: test ("));
    let plain = "image,cat\na.jpg,yes\nb.jpg,no\n";
    assert!(refusal(plain, &set("train")).contains("--set: nothing says which set an image belongs to"));
    let fastai = "fname,cat,is_valid\na.jpg,yes,True\nb.jpg,no,False\n";
    assert!(with(fastai, &set("valid")).unwrap().annotations.images[0].ends_with("a.jpg"));
}

#[test]
fn rows_of_r_are_named_whatever_their_cells_hold() {
    // As write.csv of R writes a data frame whose rows are named, without a name above them.
    let annotations =
        with("cat,dog\na.jpg,NA,TRUE\nb.jpg,FALSE,NA\n", &Options::default()).unwrap().annotations;
    assert_eq!(annotations.categories, ["cat", "dog"]);
    assert_eq!(annotations.labels.to_floats(), [0.0, 1.0, -1.0, 0.0]);
}

#[test]
fn splits_of_names_of_their_own_are_not_joined_either() {
    for column in ["split", "Subset", "partition"] {
        let text = format!("image,cat,{column}\na.jpg,yes,train\nb.jpg,no,unseen city\nc.jpg,yes,\n");
        let found = refusal(&text, &Options::default());
        assert!(
            found.contains("choose one with --set: train (1), unassigned (1), unseen city (1)"),
            "{found}"
        );
        let set = Options { set: Some("unseen city".into()), ..Options::default() };
        assert!(with(&text, &set).unwrap().annotations.images[0].ends_with("b.jpg"));
        // Rows that say nothing may be of any split.
        let none = refusal(text.replace("unseen city", ""), &Options::default());
        assert!(none.contains("choose one with --set: train (1), unassigned (2)"), "{none}");
    }
    let two = "image,cat,split\na.jpg,yes,val\nb.jpg,no,valid\n";
    let both = refusal(two, &Options { set: Some("val".into()), ..Options::default() });
    assert!(both.contains("val may mean val or valid; give them one name"), "{both}");
    // Whichever column comes first.
    for header in ["image,cat,set,split", "image,cat,split,set"] {
        let [one, two] = if header.ends_with("set") { ["train,a", "test,a"] } else { ["a,train", "a,test"] };
        let text = format!("{header}\na.jpg,yes,{one}\nb.jpg,no,{two}\n");
        let found = refusal(&text, &Options::default());
        assert!(found.contains("choose one with --set: test (1), train (1)"), "{found}");
        let test = Options { set: Some("test".into()), ..Options::default() };
        assert!(with(&text, &test).unwrap().annotations.images[0].ends_with("b.jpg"));
    }
    let set = "image,cat,set\na.jpg,yes,train\nb.jpg,no,validate\n";
    let chosen = Options { set: Some("val".into()), ..Options::default() };
    assert!(with(set, &chosen).unwrap().annotations.images[0].ends_with("b.jpg"));
}

#[test]
fn wrong_rows_come_all_at_once() {
    let text = "image,cat,dog\na.jpg,yes\n,no,yes\na.jpg,no,no\na.jpg,no,yes\nb.jpg,no,7\n";
    let found = lines_of("table.csv", Kind::Data, with(text, &Options::default()));
    let expected = [
        "2: 2 fields; expected 3, as in the header",
        "3: no image in column \"image\"",
        "5: image \"a.jpg\" already appears on line 4",
    ];
    assert_eq!(found, expected);
    // The image of the first row is beyond the header.
    let wide = "photograph,cat\nyes,no,a.jpg\nb.jpg,yes\n";
    let found = lines_of("table.csv", Kind::Data, with(wide, &Options::default()));
    assert_eq!(found, ["2: 3 fields; expected 2, as in the header"]);
    let mixed = "image,cat,dog\na.jpg,yes,no\nb.jpg,no,yes\nc.jpg,no,perhaps\n";
    let found = lines_of("table.csv", Kind::Data, with(mixed, &Options::default()));
    let begin = "4: \"perhaps\" in column \"dog\", where 2 cells are labels and 1 are not; expected 1, 0";
    assert!(found[0].starts_with(begin), "{found:?}");
    assert_eq!(
        lines_of("table.csv", Kind::Data, with("image,cat\n", &Options::default())),
        ["1: no images; expected a line for each image below the header"]
    );
    let twice = lines_of("table.csv", Kind::Data, with("image,cat,cat\na.jpg,1,\n", &Options::default()));
    assert_eq!(twice, ["column 3 of the header is called \"cat\" as column 2"]);
}

#[test]
fn only_tables_of_no_other_format_are_recognized() {
    for text in [
        "filename, cat, dog\nx.jpg, 1, 0\n",
        "image,cat\na.jpg,yes\n",
        "image;cat;dog\na.jpg;1;0\n",
        "a\tb\nx.jpg\tTrue\n",
        "image,cat\na.jpg,-1\n",
    ] {
        assert!(recognized(text), "{text}");
    }
    for text in [
        "image,cat\na.jpg,1\n",                                         // our own
        "image,labels\na.jpg,yes\n",                                    // tags
        "ImageID,Source,LabelName,Confidence\na,verification,/m/1,1\n", // Open Images
        "Path,Sex,Edema,Fracture,Pneumonia\na.jpg,F,1.0,,0.0\n",        // CheXpert
        "a.jpg,1,0\nb.jpg,0,1\n",                                       // no header
        "image,title\na.jpg,Sunset\n",
        "image,id\na.jpg,1\n",
        "image,cat\n",
        "{\"image\": 1}\n",
        "",
    ] {
        assert!(!recognized(text), "{text}");
    }
}

#[test]
fn a_table_without_a_label_says_how_it_would_be_read() {
    let said = |text: &str| read_bytes("survey.csv", text, detect).unwrap_err().to_string();
    let found = said("Bild;Katze\na.jpg;ja\n");
    assert!(
        found.contains("looks like a table with the header \"Bild,Katze\", but nothing in its first line"),
        "{found}"
    );
    for text in ["Bild Katze\n", "Bild\na.jpg\n", "a;b\nx;y\n", "a;b\nx.jpg;y;z\n"] {
        assert!(said(text).contains("not a label format sarb recognizes"), "{text}");
    }
}

#[test]
fn columns_of_something_else_are_not_labels_and_those_that_may_be_are_said() {
    let text = "image,cat,empty,zeros,ones,half\na.jpg,yes,,no,yes,yes\nb.jpg,no,,no,yes,no\nc.jpg,,,x,x,x\n\
                d.jpg,yes,,,,z\n";
    let Reading { annotations, notes } = parse(text);
    assert_eq!(annotations.categories, ["cat"]);
    assert_eq!(annotations.labels.to_floats(), [1.0, -1.0, 0.0, 1.0]);
    let left_out = r#"; not read: "empty", "zeros", "ones", "half""#;
    assert_eq!(notes[0], format!(r#"images in column "image"; 1 columns of labels: "cat"{left_out}"#));
    let mixed = with("image,cat\na.jpg,yes\nb.jpg,no\nc.jpg,x\n", &Options::default()).unwrap_err();
    assert_eq!(mixed.kind(), Kind::Data);
}

#[test]
fn a_column_of_splits_that_is_chosen_is_one_of_labels() {
    let text = "image,is_valid\na.jpg,yes\nb.jpg,no\n";
    assert!(with(text, &Options::default()).is_err());
    let label_columns = vec!["is_valid".to_owned()];
    let annotations = with(text, &Options { label_columns, ..Options::default() }).unwrap().annotations;
    assert_eq!(annotations.labels.to_floats(), [1.0, -1.0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_make_the_reader_panic(
        csv in damaged(std::fs::read(format!("{FIXTURES}/words.csv")).unwrap()),
        txt in damaged(std::fs::read(format!("{FIXTURES}/celeba.txt")).unwrap()),
    ) {
        for bytes in [csv, txt] {
            let _ = recognize(Path::new("a.csv"), &bytes);
            let _ = with(bytes, &Options::default());
        }
    }
}
