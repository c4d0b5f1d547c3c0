//! Tables in every codec, encoding and version of pages, written by the `parquet` crate.

use std::sync::Arc;

use ::parquet::basic::{Compression, Encoding};
use ::parquet::column::writer::ColumnWriter;
use ::parquet::data_type::ByteArray;
use ::parquet::file::properties::{WriterProperties, WriterVersion};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;

use super::super::options::Unlisted;
use super::*;
use crate::formats::samples::read_bytes;

fn codecs() -> [Compression; 7] {
    [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::ZSTD(Default::default()),
        Compression::GZIP(Default::default()),
        Compression::BROTLI(Default::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ]
}

/// A table of images, a number `cat` that is null in every third row, and a list of one tag; its encodings are
/// those of texts and of numbers.
fn table(images: &[String], codec: Compression, encodings: [Encoding; 2], version: WriterVersion) -> Vec<u8> {
    let schema =
        "message m { required binary image (UTF8); optional int32 cat; repeated binary tags (UTF8); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(codec)
        .set_dictionary_enabled(false)
        .set_writer_version(version)
        .set_column_encoding("image".into(), encodings[0])
        .set_column_encoding("tags".into(), encodings[0])
        .set_column_encoding("cat".into(), encodings[1]);
    let mut table = SerializedFileWriter::new(Vec::new(), schema, properties.build().into()).unwrap();
    let mut group = table.next_row_group().unwrap();
    let rows = images.len();
    let mut column = 0;
    while let Some(mut writer) = group.next_column().unwrap() {
        match writer.untyped() {
            ColumnWriter::ByteArrayColumnWriter(writer) if column == 0 => {
                let texts: Vec<ByteArray> = images.iter().map(|image| image.as_str().into()).collect();
                writer.write_batch(&texts, None, None)
            }
            ColumnWriter::ByteArrayColumnWriter(writer) => {
                let tags: Vec<ByteArray> = (0..rows).map(|row| tag(row).as_str().into()).collect();
                writer.write_batch(&tags, Some(&vec![1; rows]), Some(&vec![0; rows]))
            }
            ColumnWriter::Int32ColumnWriter(writer) => {
                let known = (0..rows).filter(|row| row % 3 > 0).map(|row| (row % 3) as i32 - 1);
                let there: Vec<i16> = (0..rows).map(|row| i16::from(row % 3 > 0)).collect();
                writer.write_batch(&known.collect::<Vec<_>>(), Some(&there), None)
            }
            _ => unreachable!(),
        }
        .unwrap();
        writer.close().unwrap();
        column += 1;
    }
    group.close().unwrap();
    table.into_inner().unwrap()
}

fn tag(row: usize) -> String {
    format!("tag {}", row % 7)
}

/// Reads the labels of the tags.
fn parse(bytes: &[u8]) -> Result<Reading> {
    let options = Options { unlisted: Some(Unlisted::Negative), ..Options::default() };
    read_bytes("a.parquet", bytes, |path| FORMAT.read(path, &options))
}

#[test]
fn every_codec_encoding_and_version_of_pages_is_read() {
    use Encoding::{DELTA_BINARY_PACKED, DELTA_BYTE_ARRAY, DELTA_LENGTH_BYTE_ARRAY, PLAIN};
    let images: Vec<String> =
        (0..700).map(|row| format!("{}image {row}.jpg", "deep/".repeat(row % 5))).collect();
    for codec in codecs() {
        for encodings in [
            [PLAIN, PLAIN],
            [DELTA_LENGTH_BYTE_ARRAY, DELTA_BINARY_PACKED],
            [DELTA_BYTE_ARRAY, DELTA_BINARY_PACKED],
        ] {
            for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
                let what = format!("{codec} {encodings:?} {version:?}");
                let bytes = table(&images, codec, encodings, version);
                let annotations = parse(&bytes).unwrap_or_else(|error| panic!("{what}: {error}")).annotations;
                let back: Vec<_> = annotations.images.iter().map(|image| image.to_str().unwrap()).collect();
                assert!(
                    back.iter().zip(&images).all(|(back, image)| back.ends_with(image.as_str())),
                    "{what}"
                );
                assert_eq!(back.len(), images.len(), "{what}");
                for row in 0..images.len() {
                    for (column, category) in annotations.categories.iter().enumerate() {
                        let there = annotations.labels.get(row, column) == Label::Positive;
                        assert_eq!(there, *category == tag(row), "{what}: {row} {category}");
                    }
                }
            }
        }
    }
}

#[test]
fn numbers_in_every_codec_keep_their_blanks() {
    let images: Vec<String> = (0..700).map(|row| format!("{row}.jpg")).collect();
    for codec in codecs() {
        for encoding in [Encoding::PLAIN, Encoding::DELTA_BINARY_PACKED] {
            let bytes = table(&images, codec, [Encoding::PLAIN, encoding], WriterVersion::PARQUET_2_0);
            read_bytes("a.parquet", bytes, |path| {
                let shard = Shard::open(path)?;
                let mut report = Report::new(path);
                let rows = Rows { group: 0, before: 0, count: images.len() };
                let mut labels = vec![Label::Negative; images.len()];
                shard.column(rows, 1, &mut report, |row, label| labels[row] = label)?;
                let states = [Label::Unknown, Label::Negative, Label::Positive];
                assert!(labels.iter().enumerate().all(|(row, label)| *label == states[row % 3]), "{codec}");
                report.problems.or(())
            })
            .unwrap();
        }
    }
}

#[test]
fn few_bytes_that_stand_for_many_texts_are_refused() {
    // 2,000 names that share 60,000 letters: 120 MB from a file of less than 100 kB.
    let long = "x".repeat(60_000);
    let images: Vec<String> = (0..2000).map(|row| format!("{long}{row}")).collect();
    let encodings = [Encoding::DELTA_BYTE_ARRAY, Encoding::PLAIN];
    let bytes = table(&images, Compression::SNAPPY, encodings, WriterVersion::PARQUET_2_0);
    assert!(bytes.len() < 100_000, "{}", bytes.len());
    let error = parse(&bytes).unwrap_err().to_string();
    assert!(error.contains("a page has more than 64 MB of them; write the table with dictionary"), "{error}");
}

#[test]
fn any_one_damaged_byte_of_compressed_lengths_does_no_harm() {
    let images: Vec<String> = (0..40).map(|row| format!("{row}.jpg")).collect();
    for codec in codecs() {
        let encodings = [Encoding::DELTA_BYTE_ARRAY, Encoding::DELTA_BINARY_PACKED];
        let whole = table(&images, codec, encodings, WriterVersion::PARQUET_2_0);
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            let _ = parse(&damaged);
        }
    }
}

#[test]
fn a_column_with_more_rows_than_its_group_is_refused_and_none_is_read_beyond() {
    let images: Vec<String> = (0..700).map(|row| format!("{row}.jpg")).collect();
    let bytes =
        table(&images, Compression::SNAPPY, [Encoding::PLAIN, Encoding::PLAIN], WriterVersion::PARQUET_2_0);
    read_bytes("a.parquet", bytes, |path| {
        let shard = Shard::open(path)?;
        let mut report = Report::new(path);
        let rows = Rows { group: 0, before: 0, count: 10 };
        let mut last = 0;
        let error = shard.column(rows, 1, &mut report, |row, _| last = row).unwrap_err().to_string();
        let end =
            |name: &str| format!("column \"{name}\" has 700 rows in a group of 10; the file is damaged");
        assert!(error.ends_with(&end("cat")) && last == 9, "{error} {last}");
        let set = |row, _: Entry<'_>| {
            last = row;
            Ok(())
        };
        let error = shard.list(rows, 2, &mut report, set).unwrap_err().to_string();
        assert!(error.ends_with(&end("tags")) && last == 9, "{error} {last}");
        let error = shard.words(rows, 2).unwrap_err().to_string();
        assert!(error.ends_with(&end("tags")), "{error}");
        report.problems.or(())
    })
    .unwrap();
}
