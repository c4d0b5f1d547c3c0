use proptest::prelude::*;

use super::super::options::Unlisted;
use super::*;
use crate::formats::samples::read_bytes;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/parquet");

fn fixture(name: &str, options: &Options) -> Result<Reading> {
    FORMAT.read(&Path::new(FIXTURES).join(name), options)
}

fn unlisted(unlisted: Unlisted) -> Options {
    Options { unlisted: Some(unlisted), ..Options::default() }
}

fn parse(bytes: &[u8], options: &Options) -> Result<Reading> {
    read_bytes("a.parquet", bytes, |path| FORMAT.read(path, options))
}

fn images(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(|name| Path::new(FIXTURES).join(name)).collect()
}

fn annotations(images: &[&str], categories: &[&str], values: &[i8]) -> Annotations {
    Annotations {
        images: images.iter().map(PathBuf::from).collect(),
        labels: LabelMatrix::from_values(categories.len(), values),
        categories: categories.iter().map(|name| name.to_string()).collect(),
        source: "train.csv".into(),
    }
}

#[test]
fn columns_are_read_from_the_files_of_four_libraries() {
    for library in ["pyarrow", "pyarrow_v2", "pyarrow_delta", "polars", "duckdb", "fastparquet", "gzip"] {
        let reading = fixture(&format!("{library}.parquet"), &Options::default());
        let Reading { annotations, notes } = reading.unwrap_or_else(|error| panic!("{library}: {error}"));
        assert_eq!(annotations.images, images(&["a/1.jpg", "a/2, big.jpg", "ü 3.jpg"]), "{library}");
        assert_eq!(annotations.categories, ["cat", "traffic light", "dog.big"]);
        #[rustfmt::skip]
        assert_eq!(annotations.labels.to_floats(), [
            1.0, 0.0, -1.0,
            -1.0, 1.0, 0.0,
            0.0, -1.0, 1.0,
        ], "{library}");
        assert_eq!(notes, ["columns that were not read: caption, width"]);
    }
}

#[test]
fn two_lists_hold_all_three_states() {
    let Reading { annotations, notes } = fixture("lists.parquet", &Options::default()).unwrap();
    assert_eq!(annotations.images, images(&["1.jpg", "2.jpg", "3.jpg", "4.jpg"]));
    assert_eq!(annotations.categories, ["cat", "dog", "owl"]);
    #[rustfmt::skip]
    assert_eq!(annotations.labels.to_floats(), [
        1.0, 1.0, -1.0,
        -1.0, 0.0, 0.0,
        0.0, 0.0, 0.0,
        0.0, 0.0, 1.0,
    ]);
    assert_eq!(notes, [""; 0]);
    let error = fixture("lists.parquet", &unlisted(Unlisted::Negative)).unwrap_err();
    assert_eq!(error.to_string(), "--unlisted: this Parquet table has no use for it; remove the option");
}

#[test]
fn splits_of_a_column_are_never_read_as_one() {
    let columns = "message m { optional binary image (UTF8); optional int64 cat; optional int64 is_valid; }";
    let bytes = table(columns, &[("1.jpg", 1), ("2.jpg", 0)], &[]);
    let error = parse(&bytes, &Options::default()).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Usage);
    let end = "images of several sets; choose one with --set: train (1), valid (1)";
    assert!(error.to_string().ends_with(end), "{error}");
    let set = |set: &str| Options { set: Some(set.into()), ..Options::default() };
    let Reading { annotations, notes } = parse(&bytes, &set("validation")).unwrap();
    assert_eq!((annotations.images.len(), &*annotations.categories), (1, &["cat".to_owned()][..]));
    assert!(annotations.images[0].ends_with("1.jpg"));
    assert_eq!(annotations.labels.to_floats(), [1.0]);
    assert_eq!(notes, ["columns that were not read: is_valid"]);
    // All text columns of this table are alike: the split is the name of the image.
    let text =
        "message m { optional binary image (UTF8); optional binary split (UTF8); optional int64 cat; }";
    let bytes = table(text, &[("1.jpg", 1), ("2.jpg", 0)], &[]);
    assert!(parse(&bytes, &Options::default()).is_err());
    assert_eq!(parse(&bytes, &set("2.jpg")).unwrap().annotations.labels.to_floats(), [-1.0]);
    let same = table(text, &[("1.jpg", 1)], &[]);
    assert_eq!(parse(&same, &Options::default()).unwrap().annotations.labels.to_floats(), [1.0]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("0.parquet"), &same).unwrap();
    let other =
        table("message m { optional binary image (UTF8); optional int64 cat; }", &[("2.jpg", 1)], &[]);
    std::fs::write(folder.path().join("1.parquet"), other).unwrap();
    let error = read(folder.path(), &Options::default()).unwrap_err().to_string();
    assert!(
        error.ends_with("1.parquet: a column of splits in some shards alone; expected one table"),
        "{error}"
    );
    let error = fixture("pyarrow.parquet", &set("train")).unwrap_err().to_string();
    assert!(
        error.ends_with("--set: nothing says which set an image belongs to; leave the option out"),
        "{error}"
    );
}

#[test]
fn one_list_needs_a_policy_and_null_is_unknown_under_any() {
    let error = fixture("list.parquet", &Options::default()).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Usage);
    assert!(error.to_string().contains("none of negative_labels; pass --unlisted unknown"), "{error}");
    let labels = |policy| fixture("list.parquet", &unlisted(policy)).unwrap().annotations.labels.to_floats();
    #[rustfmt::skip]
    assert_eq!(labels(Unlisted::Negative), [
        1.0, 1.0, -1.0,
        -1.0, -1.0, -1.0,
        0.0, 0.0, 0.0,
        -1.0, -1.0, 1.0,
    ]);
    let Reading { annotations, notes } = fixture("list.parquet", &unlisted(Unlisted::Unknown)).unwrap();
    assert!(annotations.labels.to_floats().iter().all(|label| *label >= 0.0));
    assert_eq!(notes, ["1 rows have null instead of a list of labels: all unknown"]);
}

#[test]
fn shards_are_one_table_and_numbers_have_the_names_of_the_metadata() {
    let options = Options { set: Some("training".into()), ..unlisted(Unlisted::Negative) };
    let Reading { annotations, notes } = fixture("shards", &options).unwrap();
    assert_eq!(annotations.images, images(&["shards/1.jpg", "shards/2.jpg", "shards/3.jpg"]));
    assert_eq!(annotations.categories, ["cat", "dog", "owl"]);
    assert_eq!(annotations.labels.to_floats(), [1.0, -1.0, 1.0, -1.0, -1.0, -1.0, -1.0, 1.0, -1.0]);
    assert_eq!(notes[0], "columns that were not read: text");
    assert!(notes[1].starts_with("the table holds images, which are not read"), "{notes:?}");
    // A test split is not read into a training set in silence.
    let error = fixture("shards", &unlisted(Unlisted::Negative)).unwrap_err().to_string();
    let end = "shards of several splits, or of a split and of none; choose one with --set: ";
    assert!(error.ends_with(&format!("{end}test, train")), "{error}");
    let folder = tempfile::tempdir().unwrap();
    for name in ["train.parquet", "more.parquet"] {
        std::fs::copy(Path::new(FIXTURES).join("list.parquet"), folder.path().join(name)).unwrap();
    }
    let error = read(folder.path(), &Options::default()).unwrap_err().to_string();
    assert!(error.ends_with(&format!("{end}train")), "{error}");
    for (from, to) in [("train", "val"), ("more", "valid")] {
        let file = |name| folder.path().join(name).with_extension("parquet");
        std::fs::rename(file(from), file(to)).unwrap();
    }
    let of = |set: &str| Options { set: Some(set.into()), ..unlisted(Unlisted::Unknown) };
    assert_eq!(shards(folder.path(), Some("valid")).unwrap().0, [folder.path().join("valid.parquet")]);
    let error = read(folder.path(), &of("validation")).unwrap_err().to_string();
    assert!(
        error.ends_with("validation may mean val or valid; choose one with --set: val, valid"),
        "{error}"
    );
    let error = fixture("shards", &Options { set: Some("val".into()), ..Options::default() }).unwrap_err();
    assert!(error.to_string().contains("no shards of val; choose one with --set: test, train"));
    let images_elsewhere = Options { images: Some("/data".into()), ..options };
    assert_eq!(fixture("shards", &images_elsewhere).unwrap().annotations.images[0], Path::new("/data/1.jpg"));
}

/// A table of one image `a.jpg` with a list of numbers in column `name` and a column `flag` of true.
fn table_with_list(name: &str, list: &[i64]) -> Vec<u8> {
    use ::parquet::data_type::{BoolType, ByteArrayType, Int64Type};
    use ::parquet::file::writer::SerializedFileWriter;
    let schema = format!(
        "message schema {{ required binary image (STRING); required group {name} (LIST) {{ repeated group list {{ \
         required int64 element; }} }} required boolean flag; }}"
    );
    let schema = ::parquet::schema::parser::parse_message_type(&schema).unwrap();
    let mut bytes = Vec::new();
    let mut table = SerializedFileWriter::new(&mut bytes, schema.into(), Default::default()).unwrap();
    let mut group = table.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&["a.jpg".into()], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let repetition: Vec<i16> = (0..list.len()).map(|at| i16::from(at > 0)).collect();
    let definition = vec![1; list.len()];
    column.typed::<Int64Type>().write_batch(list, Some(&definition), Some(&repetition)).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<BoolType>().write_batch(&[true], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    table.close().unwrap();
    bytes
}

#[test]
fn a_list_under_another_name_is_read_or_refused_and_no_flag_takes_its_place() {
    let negative = unlisted(Unlisted::Negative);
    for name in ["label", "tags", "categories"] {
        let reading = parse(&table_with_list(name, &[3, 5]), &negative).unwrap();
        assert_eq!(reading.annotations.categories, ["3", "5"], "{name}");
        assert!(reading.notes.iter().any(|note| note == "columns that were not read: flag"));
    }
    let error = parse(&table_with_list("objects", &[3, 5]), &negative).unwrap_err().to_string();
    assert!(error.contains("column \"objects\" holds lists that may be the labels"), "{error}");
}

#[test]
fn a_vector_of_0_and_1_is_no_list_of_classes() {
    let negative = unlisted(Unlisted::Negative);
    let error = parse(&table_with_list("labels", &[0, 1, 0, 1]), &negative).unwrap_err().to_string();
    assert!(error.contains("0 is in the list more than once, as where a list has one number"), "{error}");
    assert!(parse(&table_with_list("labels", &[2, 2, 0, 1]), &negative).is_ok());
}

#[test]
fn images_that_are_only_in_the_table_have_to_be_written_to_files() {
    let error = fixture("bytes.parquet", &unlisted(Unlisted::Unknown)).unwrap_err().to_string();
    let expected = "bytes.parquet:2: no path of the image; write each image to a file and put the file's name \
                    into a text column called image (docs/formats/parquet.md shows how, in Python)";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn that_a_table_holds_images_is_told_wherever_they_stand() {
    let long = "x".repeat(2000);
    let note = |image: &str, rows: &[(&str, i64)]| {
        let schema = format!(
            "message m {{ optional binary icon; optional group image {{ {image} }} optional int64 cat; }}"
        );
        parse(&table(&schema, rows, &[]), &Options::default()).unwrap().notes.join("; ")
    };
    let held = "the table holds images, which are not read";
    let path = "required binary path (UTF8);";
    assert!(note(&format!("required binary bytes; {path}"), &[(&long, 1)]).contains(held));
    assert!(note(&format!("{path} required binary bytes;"), &[(&long, 1)]).contains(held));
    assert!(!note(&format!("{path} required binary bytes;"), &[("1.jpg", 1)]).contains(held));
    // Bytes of another column are no images.
    assert!(!note(path, &[(&long, 1)]).contains(held));
}

/// A table with text columns, whole numbers and lists of them, as the schema says.
fn table(schema: &str, rows: &[(&str, i64)], metadata: &[(&str, &str)]) -> Vec<u8> {
    use ::parquet::column::writer::ColumnWriter;
    use ::parquet::file::{metadata::KeyValue, properties::WriterProperties, writer::SerializedFileWriter};
    let schema = std::sync::Arc::new(::parquet::schema::parser::parse_message_type(schema).unwrap());
    let metadata = metadata.iter().map(|(key, value)| KeyValue::new(key.to_string(), value.to_string()));
    let properties = WriterProperties::builder().set_key_value_metadata(Some(metadata.collect()));
    let mut table = SerializedFileWriter::new(Vec::new(), schema, properties.build().into()).unwrap();
    let mut group = table.next_row_group().unwrap();
    while let Some(mut column) = group.next_column().unwrap() {
        let text: Vec<::parquet::data_type::ByteArray> = rows.iter().map(|row| row.0.into()).collect();
        let levels = vec![1; rows.len()];
        match column.untyped() {
            ColumnWriter::ByteArrayColumnWriter(column) => column.write_batch(&text, Some(&levels), None),
            ColumnWriter::Int64ColumnWriter(column) => {
                let numbers: Vec<i64> = rows.iter().map(|row| row.1).collect();
                column.write_batch(&numbers, Some(&levels), Some(&vec![0; rows.len()]))
            }
            _ => unreachable!(),
        }
        .unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    table.into_inner().unwrap()
}

fn problem(bytes: &[u8], options: &Options) -> String {
    let error = parse(bytes, options).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Data, "{error}");
    let text = error.to_string();
    text.lines()
        .map(|line| line.find("a.parquet").map_or(line, |at| &line[at..]))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn wrong_cells_are_named_with_their_rows() {
    let columns = "message m { optional binary image (UTF8); optional int64 cat; }";
    let bytes = table(columns, &[("1.jpg", 1), ("2.jpg", -1), ("./1.jpg", 0), ("", 1)], &[]);
    let found = problem(&bytes, &Options::default());
    assert_eq!(
        found,
        "a.parquet:3: image \"./1.jpg\" is in the table already\n\
                       a.parquet:4: the path of the image is empty or no UTF-8 text"
    );
    let bytes = table(columns, &[("1.jpg", 1), ("2.jpg", -1), ("3.jpg", 80)], &[]);
    let accepted = "expected 1 (positive), 0 (negative) or null (unknown)";
    assert_eq!(
        problem(&bytes, &Options::default()),
        format!(
            "a.parquet:2: -1 for category \"cat\"; {accepted}\na.parquet:3: 80 for category \"cat\"; {accepted}"
        )
    );
}

#[test]
fn numbers_in_lists_are_named_by_the_list_of_categories_or_stay_numbers() {
    let lists = "message m { optional binary image (UTF8); repeated int64 labels; }";
    let bytes = table(lists, &[("1.jpg", 1), ("2.jpg", 0)], &[]);
    let Reading { annotations, notes } = parse(&bytes, &unlisted(Unlisted::Unknown)).unwrap();
    assert_eq!(annotations.categories, ["1", "0"]);
    assert!(notes[0].starts_with("labels are numbers without names; name them with --categories FILE"));
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("names.txt");
    std::fs::write(&list, "cat\ndog\n").unwrap();
    let options = Options { categories: Some(list), ..unlisted(Unlisted::Unknown) };
    assert_eq!(parse(&bytes, &options).unwrap().annotations.categories, ["cat", "dog"]);
    let bytes = table(lists, &[("1.jpg", 2), ("2.jpg", -1)], &[]);
    let accepted = "--categories names 2 labels, from 0 (column \"labels\")";
    let expected = format!("a.parquet:1: label 2; {accepted}\na.parquet:2: label -1; {accepted}");
    assert_eq!(problem(&bytes, &options), expected);
    assert!(
        problem(&bytes, &unlisted(Unlisted::Unknown))
            .contains(":2: label -1; expected a name or a number from 0")
    );
}

#[test]
fn tables_without_paths_or_labels_say_what_was_expected() {
    let found = |schema: &str, metadata: &[(&str, &str)]| {
        problem(&table(schema, &[("1.jpg", 1)], metadata), &Options::default())
    };
    assert!(found("message m { optional int64 image; }", &[]).contains(
        "no column of image paths among \"image\"; expected a text column called image, image_path"
    ));
    assert!(
        found("message m { optional binary image; }", &[])
            .contains("column \"image\" holds the images themselves")
    );
    assert!(found("message m { optional binary image (UTF8); optional int64 id; }", &[]).contains(
        "no labels among \"image, id\"; expected a column of 1, 0 and null for each category, or list"
    ));
    let objects = "optional group objects (LIST) { repeated group list { optional group element { \
                   optional binary class (UTF8); } } }";
    let lists = parse(
        &table_of_depth(&format!("message m {{ optional binary image (UTF8); {objects} }}")),
        &Options::default(),
    );
    let expected = "column \"objects.class\" holds lists that may be the labels; call it labels, or drop it";
    assert!(lists.as_ref().is_err_and(|error| error.to_string().ends_with(expected)), "{lists:?}");
    assert!(
        found("message m { optional binary path (UTF8); repeated int64 negative_labels; }", &[])
            .contains("a list column negative_labels, but none called labels")
    );
    let single = r#"{"info": {"features": {"label": {"names": ["a"], "_type": "ClassLabel"}}}}"#;
    assert!(
        found(
            "message m { optional binary image (UTF8); optional int64 label; }",
            &[("huggingface", single)]
        )
        .contains(
            "column \"label\" holds one class for each image, as a number; expected a column of 1, 0 and null"
        )
    );
    assert!(
        found("message m { optional binary image (UTF8); optional binary cat (UTF8); }", &[("sarb", "1")])
            .contains("the columns are not those that it stands for")
    );
    let deep =
        format!("message m {{ {} optional int64 a; {} }}", "optional group g {".repeat(40), "}".repeat(40));
    let error = parse(&table_of_depth(&deep), &Options::default()).unwrap_err().to_string();
    assert!(error.ends_with("columns are nested more than 32 deep"), "{error}");
    let many: String = (0..40).map(|at| format!("optional group g{at} {{ optional int64 a; }} ")).collect();
    let error = parse(&table_of_depth(&format!("message m {{ {many} }}")), &Options::default()).unwrap_err();
    assert!(error.to_string().contains("no column of image paths among"), "{error}");
}

/// A table without rows.
fn table_of_depth(schema: &str) -> Vec<u8> {
    let schema = std::sync::Arc::new(::parquet::schema::parser::parse_message_type(schema).unwrap());
    let properties = ::parquet::file::properties::WriterProperties::builder().build();
    let table = ::parquet::file::writer::SerializedFileWriter::new(Vec::new(), schema, properties.into());
    table.unwrap().into_inner().unwrap()
}

#[test]
fn shards_of_other_columns_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write_shard = |name: &str, images: &[&str], categories: &[&str], values: &[i8]| {
        write(&folder.path().join(name), &annotations(images, categories, values)).unwrap();
    };
    write_shard("0.parquet", &["1.jpg"], &["cat", "dog"], &[1, -1]);
    write_shard("1.parquet", &["2.jpg"], &["dog", "cat"], &[1, 0]);
    let read_all = || FORMAT.read(folder.path(), &Options::default());
    assert_eq!(read_all().unwrap().annotations.labels.to_floats(), [1.0, -1.0, 0.0, 1.0]);
    write_shard("2.parquet", &["3.jpg"], &["dog"], &[1]);
    let error = read_all().unwrap_err().to_string();
    assert!(
        error.ends_with("2.parquet: no column \"cat\"; expected the columns of the first shard"),
        "{error}"
    );
    write_shard("2.parquet", &["3.jpg"], &["dog", "cat", "owl"], &[1, 1, 1]);
    assert!(read_all().unwrap_err().to_string().contains("a further column \"owl\""));
    std::fs::copy(Path::new(FIXTURES).join("lists.parquet"), folder.path().join("2.parquet")).unwrap();
    assert!(
        read_all().unwrap_err().to_string().contains("labels are lists in one shard and columns in another")
    );
}

#[test]
fn shards_whose_lists_mean_something_else_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let put = |from: &str, to: &str| {
        std::fs::copy(Path::new(FIXTURES).join(from), folder.path().join(to)).unwrap();
    };
    put("lists.parquet", "0.parquet");
    put("list.parquet", "1.parquet");
    let error = FORMAT.read(folder.path(), &Options::default()).unwrap_err().to_string();
    assert!(
        error.ends_with("1.parquet: negative_labels in some shards alone; expected one table"),
        "{error}"
    );
    put("shards/test-00000-of-00001.parquet", "0.parquet");
    let other = r#"{"info": {"features": {"labels": [{"names": ["dog", "cat"], "_type": "ClassLabel"}]}}}"#;
    let lists = "message m { optional binary image (UTF8); repeated int64 labels; }";
    let bytes = table(lists, &[("9.jpg", 1)], &[("huggingface", other)]);
    std::fs::write(folder.path().join("1.parquet"), &bytes).unwrap();
    let error = FORMAT.read(folder.path(), &unlisted(Unlisted::Unknown)).unwrap_err().to_string();
    assert!(error.contains("1.parquet: other names of labels than in the first shard"), "{error}");
    // Older versions of the library write the feature of a list in an array.
    let alone = parse(&bytes, &unlisted(Unlisted::Unknown)).unwrap().annotations;
    assert_eq!(
        (alone.categories, alone.labels.to_floats()),
        (vec!["dog".into(), "cat".into()], vec![0.0, 1.0])
    );
}

#[test]
fn files_that_cannot_be_read_are_errors() {
    for bytes in [&b""[..], b"PAR1", b"PAR1PAR1PAR1", &[b'P'; 500]] {
        assert!(problem(bytes, &Options::default()).starts_with("a.parquet: not read as a Parquet table"));
    }
    assert_eq!(fixture("no.parquet", &Options::default()).unwrap_err().kind(), crate::error::Kind::Missing);
    let empty = tempfile::tempdir().unwrap();
    assert!(
        FORMAT
            .read(empty.path(), &Options::default())
            .unwrap_err()
            .to_string()
            .ends_with("no *.parquet files")
    );
    let difficult = Options { image_list: Some("x".into()), ..Options::default() };
    assert_eq!(fixture("pyarrow.parquet", &difficult).unwrap_err().kind(), crate::error::Kind::Usage);
    let none = table_of_depth("message m { optional binary image (UTF8); optional int64 cat; }");
    assert!(problem(&none, &Options::default()).ends_with("no rows; nothing to read"));
}

#[test]
fn any_one_damaged_byte_is_an_error_or_does_no_harm() {
    let whole = std::fs::read(Path::new(FIXTURES).join("list.parquet")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let mut caught = 0;
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] = 29;
        std::fs::write(&path, damaged).unwrap();
        let error = FORMAT.read(&path, &unlisted(Unlisted::Negative)).err();
        caught += usize::from(error.is_some_and(|error| error.to_string().contains("its bytes are damaged")));
    }
    // The parquet crate panics on some of them.
    assert!(caught > 0);
}

#[test]
fn the_magic_bytes_or_the_folder_tell_the_format() {
    assert_eq!(recognize(Path::new("a.parquet"), b"PAR1\x15\x04").unwrap(), "a Parquet file");
    assert_eq!(recognize(Path::new("a.csv"), b"image,PAR1"), None);
    assert_eq!(recognize(&Path::new(FIXTURES).join("shards"), b"").unwrap(), "a folder with 3 Parquet files");
}

#[test]
fn more_rows_than_a_row_group_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let rows = (1 << 16) + 3;
    let values: Vec<i8> = (0..rows * 2).map(|cell| ((cell * 7 + cell / 100) % 3) as i8 - 1).collect();
    let names: Vec<String> = (0..rows).map(|row| format!("/x/{row}.jpg")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let large = annotations(&names, &["cat", "dog"], &values);
    assert_eq!(write(&path, &large).unwrap(), [""; 0]);
    let back = FORMAT.read(&path, &Options::default()).unwrap().annotations;
    assert!(back.labels == large.labels && back.images == large.images);
}

proptest! {
    #[test]
    fn everything_comes_back(
        categories in prop::collection::hash_set(
            "[a-z \"é,.\\\\/\n]{0,6}|image|width|labels|id|image_path", 1..70
        ),
        images in prop::collection::hash_set("[a-zA-Z0-9é ,\"'_]{1,8}", 1..8),
        values in prop::collection::vec(-1..=1i8, 70 * 8)
    ) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("out")).unwrap();
        let path = folder.path().join("out/a.parquet");
        let categories: Vec<String> = categories.into_iter().collect();
        let labels = LabelMatrix::from_values(categories.len(), &values[..categories.len() * images.len()]);
        let images: Vec<PathBuf> =
            images.iter().map(|image| folder.path().join(format!("i{image}.jpg"))).collect();
        let truth = Annotations { images, labels, categories, source: folder.path().join("train.csv") };
        prop_assert!(write(&path, &truth).unwrap().is_empty());
        let Reading { annotations, notes } = FORMAT.read(&path, &Options::default()).unwrap();
        prop_assert!(notes.is_empty());
        prop_assert_eq!((&annotations.labels, &annotations.categories), (&truth.labels, &truth.categories));
        for (back, image) in annotations.images.iter().zip(&truth.images) {
            prop_assert_eq!(back, &folder.path().join("out/..").join(image.file_name().unwrap()));
        }
    }

    #[test]
    fn no_bytes_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        file in 0..9usize
    ) {
        let names = [
            "pyarrow", "pyarrow_v2", "pyarrow_delta", "polars", "duckdb", "fastparquet", "gzip", "lists", "list",
        ];
        let policy = if names[file] == "list" { unlisted(Unlisted::Negative) } else { Options::default() };
        let _ = parse(&bytes, &policy);
        let mut mutated = std::fs::read(Path::new(FIXTURES).join(format!("{}.parquet", names[file]))).unwrap();
        for (at, byte) in &changes {
            let at = at.index(mutated.len());
            mutated[at] = *byte;
        }
        let _ = parse(&mutated, &policy);
        mutated.truncate(changes[0].0.index(mutated.len()));
        let _ = parse(&mutated, &policy);
    }
}
