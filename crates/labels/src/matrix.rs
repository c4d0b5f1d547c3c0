//! A matrix of numbers with the names that its file gave it.

/// Numbers of one file, `rows × cols`.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// Number of rows, at least 1.
    pub rows: usize,
    /// Number of columns, at least 1.
    pub cols: usize,
    /// Row by row, `rows · cols` finite values.
    pub values: Vec<f32>,
    /// Names of the columns, if the file has them (a CSV with a header).
    pub column_names: Option<Vec<String>>,
    /// Names of the rows, if the file has them (a CSV whose first column is text).
    pub row_names: Option<Vec<String>>,
}
