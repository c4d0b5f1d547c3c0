//! Writing a Parquet table of scores, row group by row group: a text column of names and a float column for each category.

use std::io::{self, Write};
use std::sync::Arc;

use ::parquet::basic::{Compression, Repetition, Type as Physical};
use ::parquet::data_type::{ByteArray, ByteArrayType, FloatType};
use ::parquet::errors::Result as Outcome;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::Type;

use super::writing::{io_error, name_column};

/// Rows of a row group, which are held until it is full.
const ROWS: usize = 1 << 14;

/// A table that is being written.
pub struct ScoreTable<W: Write + Send> {
    file: SerializedFileWriter<W>,
    names: Vec<ByteArray>,
    /// One column a category; nothing where there is no score.
    columns: Vec<Vec<Option<f32>>>,
}

impl<W: Write + Send> ScoreTable<W> {
    /// Begins a table with a column `image` and one for each of these categories.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(writer: W, categories: &[String]) -> io::Result<Self> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let schema = schema(categories).map_err(io_error)?;
        let file = SerializedFileWriter::new(writer, Arc::new(schema), Arc::new(properties));
        Ok(Self {
            file: file.map_err(io_error)?,
            names: Vec::new(),
            columns: vec![Vec::new(); categories.len()],
        })
    }

    /// Says something of the table as a whole, under a key of its metadata.
    pub fn note(&mut self, key: &str, value: &str) {
        self.file.append_key_value_metadata(KeyValue::new(key.to_owned(), value.to_owned()));
    }

    /// Adds a row, with a score or nothing for each category.
    ///
    /// # Errors
    /// If a full row group cannot be written.
    pub fn push(&mut self, name: &str, scores: impl Iterator<Item = Option<f32>>) -> io::Result<()> {
        self.names.push(name.into());
        self.columns.iter_mut().zip(scores).for_each(|(column, score)| column.push(score));
        if self.names.len() == ROWS { self.write_group().map_err(io_error) } else { Ok(()) }
    }

    /// Writes what is left, and gives the writer back.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        if !self.names.is_empty() {
            self.write_group().map_err(io_error)?;
        }
        self.file.into_inner().map_err(io_error)
    }

    fn write_group(&mut self) -> Outcome<()> {
        let mut group = self.file.next_row_group()?;
        let mut column = group.next_column()?.expect("there is a column of names");
        column.typed::<ByteArrayType>().write_batch(&self.names, None, None)?;
        column.close()?;
        self.names.clear();
        for scores in &mut self.columns {
            let values: Vec<f32> = scores.iter().copied().flatten().collect();
            let present: Vec<i16> = scores.iter().map(|score| i16::from(score.is_some())).collect();
            scores.clear();
            let mut column = group.next_column()?.expect("there is a column for each category");
            column.typed::<FloatType>().write_batch(&values, Some(&present), None)?;
            column.close()?;
        }
        group.close().map(drop)
    }
}

fn schema(categories: &[String]) -> Outcome<Type> {
    let mut fields = vec![Arc::new(name_column(categories)?)];
    for name in categories {
        let column = Type::primitive_type_builder(name, Physical::FLOAT);
        fields.push(Arc::new(column.with_repetition(Repetition::OPTIONAL).build()?));
    }
    Type::group_type_builder("schema").with_fields(fields).build()
}

#[cfg(test)]
mod tests {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::RowAccessor;

    use super::*;

    fn read(bytes: &[u8]) -> SerializedFileReader<std::fs::File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        SerializedFileReader::new(file).unwrap()
    }

    #[test]
    fn rows_over_several_groups_come_back() {
        let categories = ["image", "cat, black"].map(str::to_owned);
        let mut table = ScoreTable::new(Vec::new(), &categories).unwrap();
        table.note("model", "run-0a1b2c");
        let count = ROWS + 3;
        for row in 0..count {
            let second = (row % 3 > 0).then_some(row as f32);
            table.push(&format!("{row}.jpg"), [Some(0.5), second].into_iter()).unwrap();
        }
        let bytes = table.finish().unwrap();
        let reader = read(&bytes);
        assert_eq!(reader.metadata().num_row_groups(), 2);
        let notes = reader.metadata().file_metadata().key_value_metadata().unwrap();
        assert!(notes.contains(&KeyValue::new("model".to_owned(), "run-0a1b2c".to_owned())));
        let names: Vec<_> = reader
            .metadata()
            .file_metadata()
            .schema()
            .get_fields()
            .iter()
            .map(|f| f.name().to_owned())
            .collect();
        assert_eq!(names, ["image_path", "image", "cat, black"]);
        for (row, record) in reader.get_row_iter(None).unwrap().enumerate() {
            let record = record.unwrap();
            assert_eq!(record.get_string(0).unwrap(), &format!("{row}.jpg"));
            assert_eq!(record.get_float(1).unwrap(), 0.5);
            match row % 3 {
                0 => assert!(record.get_float(2).is_err()),
                _ => assert_eq!(record.get_float(2).unwrap(), row as f32),
            }
        }
        let empty = ScoreTable::new(Vec::new(), &categories).unwrap().finish().unwrap();
        let reader = read(&empty);
        assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
    }
}
