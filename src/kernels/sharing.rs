//! Which of many states are equal.

use rayon::prelude::*;

/// Which distinct row each state is, and the other way round.
#[derive(Debug, Clone)]
pub struct Sharing {
    /// The row of each state, N numbers below K.
    pub origin: Vec<usize>,
    /// The states of row k are `users[starts[k]..starts[k + 1]]`.
    starts: Vec<usize>,
    users: Vec<usize>,
}

impl Sharing {
    /// Of N states of `rows` distinct rows.
    pub fn new(origin: &[usize], rows: usize) -> Self {
        let mut starts = vec![0; rows + 1];
        origin.iter().for_each(|&row| starts[row + 1] += 1);
        (0..rows).for_each(|row| starts[row + 1] += starts[row]);
        let mut next = starts.clone();
        let mut users = vec![0; origin.len()];
        for (state, &row) in origin.iter().enumerate() {
            users[next[row]] = state;
            next[row] += 1;
        }
        Self { origin: origin.to_vec(), starts, users }
    }

    /// K.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Each state's row, `[K, D] -> [N, D]`.
    pub fn spread(&self, distinct: &[f32], dim: usize) -> Vec<f32> {
        let mut states = vec![0.0; self.origin.len() * dim];
        gather(distinct, dim, &self.origin, &mut states);
        states
    }

    /// The sum over each row's states of the first `columns` of their `wide` values, `[N, wide] -> [K, columns]`.
    pub fn collect(&self, states: &[f32], wide: usize, columns: usize) -> Vec<f32> {
        let mut sums = vec![0.0; self.rows() * columns];
        sums.par_chunks_mut(columns).zip(self.starts.par_windows(2)).for_each(|(sum, range)| {
            for &state in &self.users[range[0]..range[1]] {
                let values = &states[state * wide..][..columns];
                sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
        });
        sums
    }
}

/// The rows `origin` of `distinct`, one after the other.
pub fn gather(distinct: &[f32], wide: usize, origin: &[usize], out: &mut [f32]) {
    for (out, &row) in out.chunks_exact_mut(wide).zip(origin) {
        out.copy_from_slice(&distinct[row * wide..][..wide]);
    }
}
