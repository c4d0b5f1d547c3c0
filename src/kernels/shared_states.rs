//! States of images and categories of which many are equal, each distinct one kept once.

use std::sync::Arc;

use burn::tensor::{Int, Tensor, TensorData};

/// States `[B, C, D]` as their distinct rows and which of these each state is.
///
/// A blended branch of SARB differs from the clean one in a few cells. What is linear in the states is
/// then computed once for each distinct row: exactly, not approximately, a fifth of a step's work less.
#[derive(Debug, Clone)]
pub struct SharedStates {
    /// The distinct rows, `[K, D]`.
    pub distinct: Tensor<2>,
    /// The row of each state; nothing where state n is row n.
    origin: Option<Arc<[usize]>>,
    categories: usize,
}

impl SharedStates {
    /// States of their own, `[B, C, D]`.
    pub fn all(states: Tensor<3>) -> Self {
        let [batch, categories, dim] = states.dims();
        Self { distinct: states.reshape([batch * categories, dim]), origin: None, categories }
    }

    /// `B · C` states, image by image, of which each is the row `origin` of `distinct`, `[K, D]`.
    ///
    /// # Panics
    /// If there are no whole images, or if there is no such row.
    pub fn new(distinct: Tensor<2>, origin: Vec<usize>, categories: usize) -> Self {
        let [rows, _] = distinct.dims();
        assert!(origin.len().is_multiple_of(categories), "{} states of {categories}", origin.len());
        assert!(origin.iter().all(|&row| row < rows), "a state of a row that is not among {rows}");
        let own = origin.len() == rows && origin.is_sorted_by(|a, b| a < b);
        Self { distinct, origin: (!own).then(|| origin.into()), categories }
    }

    /// The row of each state, if they are shared.
    pub fn origin(&self) -> Option<&[usize]> {
        self.origin.as_deref()
    }

    /// What was computed for every distinct row, for every state: `[K, E] -> [B · C, E]`.
    pub fn spread(&self, rows: Tensor<2>) -> Tensor<2> {
        match &self.origin {
            None => rows,
            Some(origin) => select_rows(rows, origin),
        }
    }

    /// All states, `[B, C, D]`.
    pub fn to_tensor(&self) -> Tensor<3> {
        let states = self.spread(self.distinct.clone());
        let [count, dim] = states.dims();
        states.reshape([count / self.categories, self.categories, dim])
    }

    /// Number of categories C.
    pub fn categories(&self) -> usize {
        self.categories
    }
}

/// The rows `chosen`, in that order, `[K, E] -> [chosen, E]`.
pub fn select_rows(rows: Tensor<2>, chosen: &[usize]) -> Tensor<2> {
    let indices: Vec<i32> = chosen.iter().map(|&row| row as i32).collect();
    let indices = TensorData::new(indices, [chosen.len()]);
    let indices = Tensor::<1, Int>::from_data(indices, &rows.device());
    rows.select(0, indices)
}
