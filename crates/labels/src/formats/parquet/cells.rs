//! The cells of a Parquet column, one by one, whatever its type.

use std::fmt;

use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::DataType;
use ::parquet::errors::Result;
use ::parquet::schema::types::ColumnDescriptor;

use super::guard::guarded;
use crate::labels::Label;

/// Rows that are decoded at once.
const ROWS: usize = 1024;

/// A value that labels and paths may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Whole(i64),
    Fraction(f64),
    Truth(bool),
    Text(&'a [u8]),
}

/// One cell of a column, or one entry of a list.
#[derive(Debug)]
pub(super) struct Cell<'a> {
    /// Whether it is the first of its row.
    pub starts_row: bool,
    /// Null without it, or an empty list.
    pub value: Option<Value<'a>>,
    /// Whether it is an entry of a list.
    pub in_list: bool,
    /// Whether the list itself is null.
    pub no_list: bool,
}

impl Value<'_> {
    /// What a cell says of its category. Not a number is how some libraries write null.
    pub fn label(self) -> Option<Label> {
        match self {
            Value::Whole(1) | Value::Truth(true) => Some(Label::Positive),
            Value::Whole(0) | Value::Truth(false) => Some(Label::Negative),
            Value::Fraction(1.0) => Some(Label::Positive),
            Value::Fraction(0.0) => Some(Label::Negative),
            Value::Fraction(value) if value.is_nan() => Some(Label::Unknown),
            _ => None,
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Whole(value) => write!(f, "{value}"),
            Value::Fraction(value) => write!(f, "{value}"),
            Value::Truth(value) => write!(f, "{value}"),
            Value::Text(_) => write!(f, "text"),
        }
    }
}

/// Calls `each` for every cell of a column, in order.
pub(super) fn each_cell(
    column: ColumnReader,
    description: &ColumnDescriptor,
    each: impl FnMut(Cell<'_>),
) -> Result<()> {
    let levels = Levels::new(description);
    match column {
        ColumnReader::BoolColumnReader(column) => {
            walk(column, levels, |value| Some(Value::Truth(*value)), each)
        }
        ColumnReader::Int32ColumnReader(column) => {
            walk(column, levels, |value| Some(Value::Whole(i64::from(*value))), each)
        }
        ColumnReader::Int64ColumnReader(column) => {
            walk(column, levels, |value| Some(Value::Whole(*value)), each)
        }
        ColumnReader::FloatColumnReader(column) => {
            walk(column, levels, |value| Some(Value::Fraction(f64::from(*value))), each)
        }
        ColumnReader::DoubleColumnReader(column) => {
            walk(column, levels, |value| Some(Value::Fraction(*value)), each)
        }
        ColumnReader::ByteArrayColumnReader(column) => {
            walk(column, levels, |value| Some(Value::Text(value.data())), each)
        }
        // No column of these types is ever chosen.
        ColumnReader::Int96ColumnReader(column) => walk(column, levels, |_| None, each),
        ColumnReader::FixedLenByteArrayColumnReader(column) => walk(column, levels, |_| None, each),
    }
}

/// What the definition levels of a column mean.
#[derive(Clone, Copy)]
struct Levels {
    /// Of a value.
    value: i16,
    /// From which on a list has an entry; 0 if the column has no lists.
    list: i16,
}

impl Levels {
    fn new(description: &ColumnDescriptor) -> Self {
        let list = match description.max_rep_level() {
            0 => 0,
            _ => description.repeated_ancestor_def_level(),
        };
        Self { value: description.max_def_level(), list }
    }
}

fn walk<T: DataType>(
    mut column: ColumnReaderImpl<T>,
    levels: Levels,
    value: impl Fn(&T::T) -> Option<Value<'_>>,
    mut each: impl FnMut(Cell<'_>),
) -> Result<()> {
    let (mut definition, mut repetition, mut values) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        definition.clear();
        repetition.clear();
        values.clear();
        let (_, _, count) =
            guarded(|| column.read_records(ROWS, Some(&mut definition), Some(&mut repetition), &mut values))?;
        if count == 0 {
            return Ok(());
        }
        let mut present = values.iter();
        for at in 0..count {
            let level = definition.get(at).copied().unwrap_or(levels.value);
            let starts_row = repetition.get(at).is_none_or(|level| *level == 0);
            let in_list = levels.list > 0 && level >= levels.list;
            let no_list = levels.list > 0 && level < levels.list - 1;
            let value = if level == levels.value { present.next().and_then(&value) } else { None };
            each(Cell { starts_row, value, in_list, no_list });
        }
    }
}
