//! Writing a Parquet table: a text column of image paths and an int8 column for each category.

use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Arc;

use ::parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use ::parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
use ::parquet::errors::{ParquetError, Result as Outcome};
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::Type;

use super::schema::OURS;
use crate::Result;
use crate::annotations::Annotations;
use crate::files::{folder_of, write_atomically};
use crate::formats::image_names::image_names;
use crate::labels::{Label, LabelMatrix};

/// Rows of a row group: 64 Ki, so that a column of it fits into a processor's cache.
const ROWS: usize = 1 << 16;

/// Writes a table that holds everything: 1 (positive), 0 (negative) and null (unknown). The image paths are
/// valid from the folder of the table.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let images = image_names(annotations, folder_of(path))?;
    write_atomically(path, |writer| table(writer, &images, annotations).map_err(io_error))?;
    Ok(Vec::new())
}

fn table(writer: &mut BufWriter<std::fs::File>, images: &[String], annotations: &Annotations) -> Outcome<()> {
    let schema = Arc::new(schema(&annotations.categories)?);
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(vec![KeyValue::new(OURS.to_owned(), "1".to_owned())]));
    let mut table = SerializedFileWriter::new(writer, schema, Arc::new(properties.build()))?;
    for (group, images) in images.chunks(ROWS).enumerate() {
        let rows = group * ROWS..group * ROWS + images.len();
        let mut group = table.next_row_group()?;
        let mut category = 0;
        while let Some(mut column) = group.next_column()? {
            if category == 0 {
                let images: Vec<ByteArray> = images.iter().map(|image| image.as_str().into()).collect();
                column.typed::<ByteArrayType>().write_batch(&images, None, None)?;
            } else {
                let (values, known) = cells(&annotations.labels, rows.clone(), category - 1);
                column.typed::<Int32Type>().write_batch(&values, Some(&known), None)?;
            }
            column.close()?;
            category += 1;
        }
        group.close()?;
    }
    table.close().map(drop)
}

/// The known labels of a category in some rows, and for each row whether there is one.
fn cells(labels: &LabelMatrix, rows: std::ops::Range<usize>, category: usize) -> (Vec<i32>, Vec<i16>) {
    let labels = || rows.clone().map(|row| labels.get(row, category));
    let values = labels().filter(|label| *label != Label::Unknown);
    let values = values.map(|label| i32::from(label == Label::Positive)).collect();
    (values, labels().map(|label| i16::from(label != Label::Unknown)).collect())
}

/// The text column of image paths, whose name no category has.
pub(super) fn name_column(categories: &[String]) -> Outcome<Type> {
    let mut image = "image".to_owned();
    while categories.contains(&image) {
        image += "_path";
    }
    Type::primitive_type_builder(&image, Physical::BYTE_ARRAY)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::String))
        .build()
}

fn schema(categories: &[String]) -> Outcome<Type> {
    let mut fields = vec![Arc::new(name_column(categories)?)];
    for name in categories {
        let category = Type::primitive_type_builder(name, Physical::INT32)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(Some(LogicalType::integer(8, true)))
            .build()?;
        fields.push(Arc::new(category));
    }
    Type::group_type_builder("schema").with_fields(fields).build()
}

/// The error of the disk below, so that a full one is called so.
pub(super) fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}
