//! Which columns are read, and what their cells say, in tables that are made here.

use std::sync::Arc;

use ::parquet::column::writer::ColumnWriter;
use ::parquet::data_type::{ByteArray, ByteArrayType};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use ::parquet::schema::types::SchemaDescriptor;

use super::super::options::Unlisted;
use super::*;
use crate::formats::samples::read_bytes;

/// A table whose row groups have these rows, each a text and a number, for all columns. No cell is null.
fn table(schema: &str, groups: &[&[(&str, f64)]]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let columns = SchemaDescriptor::new(schema.clone());
    let mut table = SerializedFileWriter::new(Vec::new(), schema, Default::default()).unwrap();
    for rows in groups {
        let texts: Vec<ByteArray> = rows.iter().map(|row| row.0.into()).collect();
        let numbers = || rows.iter().map(|row| row.1);
        let mut group = table.next_row_group().unwrap();
        let mut place = 0;
        while let Some(mut column) = group.next_column().unwrap() {
            let levels = vec![columns.column(place).max_def_level(); rows.len()];
            let starts = vec![0; rows.len()];
            let (levels, starts) = (Some(&levels[..]), Some(&starts[..]));
            match column.untyped() {
                ColumnWriter::ByteArrayColumnWriter(it) => it.write_batch(&texts, levels, starts),
                ColumnWriter::DoubleColumnWriter(it) => {
                    it.write_batch(&numbers().collect::<Vec<_>>(), levels, starts)
                }
                ColumnWriter::Int32ColumnWriter(it) => {
                    it.write_batch(&numbers().map(|it| it as i32).collect::<Vec<_>>(), levels, starts)
                }
                ColumnWriter::Int64ColumnWriter(it) => {
                    it.write_batch(&numbers().map(|it| it as i64).collect::<Vec<_>>(), levels, starts)
                }
                _ => unreachable!(),
            }
            .unwrap();
            column.close().unwrap();
            place += 1;
        }
        group.close().unwrap();
    }
    table.into_inner().unwrap()
}

fn parse(bytes: &[u8], set: Option<&str>) -> Result<Reading> {
    let options = Options { set: set.map(str::to_owned), ..Options::default() };
    read_bytes("a.parquet", bytes, |path| FORMAT.read(path, &options))
}

/// The categories and labels of a table, or what is wrong with it from its name on.
fn said(schema: &str, groups: &[&[(&str, f64)]]) -> std::result::Result<(String, Vec<f32>), String> {
    let read = parse(&table(&format!("message m {{ {schema} }}"), groups), None);
    let read = read.map(|it| (it.annotations.categories.join(" "), it.annotations.labels.to_floats()));
    read.map_err(|error| {
        let text = error.to_string();
        text[text.find("a.parquet").unwrap_or(0)..].to_owned()
    })
}

const IMAGE: &str = "optional binary image (UTF8);";

#[test]
fn fractions_are_labels_only_where_they_are_whole_or_missing() {
    let schema = format!("{IMAGE} optional double cat;");
    let rows = [("1.jpg", 1.0), ("2.jpg", 0.0), ("3.jpg", f64::NAN)];
    assert_eq!(said(&schema, &[&rows]), Ok(("cat".into(), vec![1.0, -1.0, 0.0])));
    let expected =
        "a.parquet:2: 0.5 for category \"cat\"; expected 1 (positive), 0 (negative) or null (unknown)";
    assert_eq!(said(&schema, &[&[rows[0], ("2.jpg", 0.5)]]), Err(expected.into()));
}

#[test]
fn rows_are_counted_through_all_groups() {
    let schema = format!("{IMAGE} optional int64 cat; optional int64 is_valid;");
    let schema = format!("message m {{ {schema} }}");
    // The number is the label and the split: 1 is one that validates.
    let groups: [&[(&str, f64)]; 3] =
        [&[("1.jpg", 0.0), ("2.jpg", 1.0)], &[("3.jpg", 1.0), ("4.jpg", 0.0)], &[("5.jpg", 1.0)]];
    let bytes = table(&schema, &groups);
    for (set, names, label) in
        [("val", &["2.jpg", "3.jpg", "5.jpg"][..], 1.0), ("train", &["1.jpg", "4.jpg"], -1.0)]
    {
        let annotations = parse(&bytes, Some(set)).unwrap().annotations;
        let found = annotations.images.iter().map(|image| image.file_name().unwrap().to_str().unwrap());
        assert_eq!(found.collect::<Vec<_>>(), names, "{set}");
        assert_eq!(annotations.labels.to_floats(), vec![label; names.len()], "{set}");
    }
    let schema = format!("{IMAGE} optional int64 cat;");
    let wrong = [groups[0], groups[1], &[("5.jpg", 1.0), ("6.jpg", 7.0)]];
    let found = said(&schema, &wrong).unwrap_err();
    assert!(found.starts_with("a.parquet:6: 7 for category \"cat\""), "{found}");
}

#[test]
fn parts_of_structures_and_lists_are_no_categories() {
    let rows: [(&str, f64); 1] = [("1.jpg", 1.0)];
    let read = |rest: &str| said(&format!("{IMAGE} {rest} optional int64 cat;"), &[&rows]);
    let cat = Ok(("cat".to_owned(), vec![1.0]));
    assert_eq!(read("optional group size { optional int64 width; optional int64 n; }"), cat);
    let boxes = "optional group objects (LIST) { repeated group list { optional group element { \
                 optional double x; optional double y; } } }";
    assert_eq!(read(boxes), cat);
    let map = "optional group labels (MAP) { repeated group key_value { required binary key (UTF8); \
               optional int64 value; } }";
    for name in ["labels", "negative_labels"] {
        let found = read(&map.replace("labels", name)).unwrap_err();
        assert!(
            found.contains(&format!("column {name:?} is a map or a list of structures; expected")),
            "{found}"
        );
    }
    // A number in `set` tells no split.
    assert_eq!(read("optional int64 set;"), Ok(("set cat".into(), vec![1.0, 1.0])));
    assert_eq!(read("optional int32 old (UINT_8);"), Ok(("old cat".into(), vec![1.0, 1.0])));
}

#[test]
fn the_only_column_of_text_holds_the_images() {
    let rows: [(&str, f64); 1] = [("1.jpg", 1.0)];
    let cat = Ok(("cat".to_owned(), vec![1.0]));
    assert_eq!(said("optional binary foto (UTF8); optional int64 cat;", &[&rows]), cat);
    let two = "optional binary foto (UTF8); optional binary title (UTF8); optional int64 cat;";
    assert!(said(two, &[&rows]).unwrap_err().contains("no column of image paths among"));
}

#[test]
fn images_in_the_table_are_said_where_they_take_room() {
    let schema = "message m { optional group image { optional binary bytes; optional binary path (UTF8); } \
                  optional int64 cat; }";
    let notes = |name: &str| parse(&table(schema, &[&[(name, 1.0)]]), None).unwrap().notes;
    assert_eq!(notes("1.jpg"), [""; 0]);
    let long = notes(&"x".repeat(600));
    assert!(long[0].starts_with("the table holds images, which are not read"), "{long:?}");
}

#[test]
fn an_entry_of_a_list_may_not_be_null_but_a_list_may() {
    let schema = "message m { optional binary image (UTF8); optional group labels (LIST) { repeated group list { \
                  optional binary element (UTF8); } } }";
    // Levels: 0 no list, 1 an empty one, 2 an entry that is null, 3 an entry.
    let read = |images: &[&str], names: &[&str], levels: &[i16], repeats: &[i16]| {
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut table = SerializedFileWriter::new(Vec::new(), schema, Default::default()).unwrap();
        let mut group = table.next_row_group().unwrap();
        let [images, names] = [images, names].map(|it| it.iter().map(|&it| it.into()).collect::<Vec<_>>());
        let mut column = group.next_column().unwrap().unwrap();
        let there = vec![1; images.len()];
        column.typed::<ByteArrayType>().write_batch(&images, Some(&there), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&names, Some(levels), Some(repeats)).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        let options = Options { unlisted: Some(Unlisted::Negative), ..Options::default() };
        read_bytes("a.parquet", table.into_inner().unwrap(), |path| FORMAT.read(path, &options))
    };
    let Reading { annotations, notes } =
        read(&["1.jpg", "2.jpg", "3.jpg"], &["cat", "dog"], &[3, 3, 1, 0], &[0, 1, 0, 0]).unwrap();
    assert_eq!(annotations.labels.to_floats(), [1.0, 1.0, -1.0, -1.0, 0.0, 0.0]);
    assert_eq!(notes, ["1 rows have null instead of a list of labels: all unknown"]);
    let error = read(&["1.jpg", "2.jpg"], &["cat", "dog"], &[3, 3, 2], &[0, 0, 1]).unwrap_err().to_string();
    assert!(error.ends_with("a.parquet:2: null in the list (column \"labels\")"), "{error}");
}
