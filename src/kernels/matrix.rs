//! Matrices in memory: what our own products read and write.

use rayon::prelude::*;

/// A matrix in memory: element (i, j) at `i · row_step + j · column_step`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    pub(super) values: &'a [f32],
    pub(super) layout: Layout,
}

/// A matrix that is written; its elements do not overlap.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    pub(super) values: &'a mut [f32],
    pub(super) layout: Layout,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub rows: usize,
    pub columns: usize,
    pub row_step: usize,
    pub column_step: usize,
}

/// What becomes of the values that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accum {
    /// They are overwritten.
    Replace,
    /// The product is added to them.
    Add,
}

impl Layout {
    /// Row by row without gaps.
    fn dense(len: usize, columns: usize) -> Self {
        assert!(columns > 0 && len.is_multiple_of(columns), "{len} values are not rows of {columns}");
        Self { rows: len / columns, columns, row_step: columns, column_step: 1 }
    }

    /// Some of the columns, and where they start.
    fn slice(self, first: usize, count: usize) -> (usize, Self) {
        assert!(first + count <= self.columns, "columns {first}+{count} of {}", self.columns);
        (first * self.column_step, Self { columns: count, ..self })
    }

    /// The block `index` of so many rows; the last may have fewer.
    fn block(self, index: usize, rows: usize) -> Self {
        Self { rows: rows.min(self.rows - index * rows), ..self }
    }
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` values.
    ///
    /// # Panics
    /// If `values` are not whole rows.
    pub fn new(values: &'a [f32], columns: usize) -> Self {
        Self { values, layout: Layout::dense(values.len(), columns) }
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.layout.rows, self.layout.columns]
    }

    /// The values of a row of a matrix that lies row by row.
    ///
    /// # Panics
    /// If it lies otherwise, or has fewer rows.
    pub fn row(&self, index: usize) -> &'a [f32] {
        let Layout { columns, row_step, column_step, .. } = self.layout;
        assert!(column_step == 1, "the matrix lies column by column");
        &self.values[index * row_step..][..columns]
    }

    /// Whether the values of a row lie side by side.
    pub fn lies_by_rows(&self) -> bool {
        self.layout.column_step == 1
    }

    /// The transpose of the same memory.
    pub fn transposed(self) -> Self {
        let Layout { rows, columns, row_step, column_step } = self.layout;
        let layout = Layout { rows: columns, columns: rows, row_step: column_step, column_step: row_step };
        Self { layout, ..self }
    }

    /// `count` columns from `first` on.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn columns(self, first: usize, count: usize) -> Self {
        let (start, layout) = self.layout.slice(first, count);
        Self { values: &self.values[start..], layout }
    }

    /// `count` rows from `first` on.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn rows(self, first: usize, count: usize) -> Self {
        self.transposed().columns(first, count).transposed()
    }
}

impl<'a> MatrixMut<'a> {
    /// As [`Matrix::new`].
    pub fn new(values: &'a mut [f32], columns: usize) -> Self {
        let layout = Layout::dense(values.len(), columns);
        Self { values, layout }
    }

    /// As [`Matrix::columns`].
    pub fn columns(self, first: usize, count: usize) -> Self {
        let (start, layout) = self.layout.slice(first, count);
        Self { values: &mut self.values[start..], layout }
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.layout.rows, self.layout.columns]
    }

    /// The memory from the first value on, and how far one row lies behind the other.
    pub fn into_rows(self) -> (&'a mut [f32], usize) {
        (self.values, self.layout.row_step)
    }

    /// Blocks of up to `rows` rows.
    pub fn blocks(self, rows: usize) -> impl Iterator<Item = MatrixMut<'a>> {
        let layout = self.layout;
        let blocks = self.values.chunks_mut(rows * layout.row_step).enumerate();
        blocks.map(move |(index, values)| MatrixMut { values, layout: layout.block(index, rows) })
    }

    /// [`blocks`](Self::blocks) for several threads.
    pub fn par_blocks(self, rows: usize) -> impl IndexedParallelIterator<Item = MatrixMut<'a>> {
        let layout = self.layout;
        let blocks = self.values.par_chunks_mut(rows * layout.row_step).enumerate();
        blocks.map(move |(index, values)| MatrixMut { values, layout: layout.block(index, rows) })
    }
}
