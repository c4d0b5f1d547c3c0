//! Graph convolution with the re-weighted co-occurrence graph of GCN-ML (Chen et al. CVPR 2019,
//! Eq. 2, 6–8).

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use rand::Rng;

use super::linear::uniform;

/// P(j | i) from which an edge is drawn, τ.
const THRESHOLD: f32 = 0.4;
/// Weight that a category's neighbors share. The paper says p = 0.2 of the whole; divided by the own
/// weight 1 − p it is 0.25, as in the official code.
const NEIGHBORS: f32 = 0.25;

/// Â = (A D)ᵀ D from P(j | i), `C · C` values row by row each: edges where P ≥ 0.4, the columns' edges
/// re-weighted to 0.25 together, the identity added, D the roots of the inverse row sums.
///
/// What `cooccurrence` says of a category with itself is not an edge: the identity stands for it.
pub fn normalized_adjacency(cooccurrence: &[f32]) -> Vec<f32> {
    let reweighted = reweighted_adjacency(cooccurrence);
    let categories = cooccurrence.len().isqrt();
    let roots: Vec<f32> =
        reweighted.chunks_exact(categories).map(|row| row.iter().sum::<f32>().powf(-0.5)).collect();
    let entry = |i: usize, j: usize| roots[i] * reweighted[j * categories + i] * roots[j];
    (0..categories * categories).map(|at| entry(at / categories, at % categories)).collect()
}

/// A before its normalization, `C · C` values row by row.
fn reweighted_adjacency(cooccurrence: &[f32]) -> Vec<f32> {
    let categories = cooccurrence.len().isqrt();
    assert_eq!(categories * categories, cooccurrence.len(), "a co-occurrence matrix is square");
    let edge = |i: usize, j: usize| i != j && cooccurrence[i * categories + j] >= THRESHOLD;
    let in_column = |j: usize| (0..categories).filter(|&i| edge(i, j)).count() as f32;
    let columns: Vec<f32> = (0..categories).map(in_column).collect();
    let entry = |i: usize, j: usize| match (i == j, edge(i, j)) {
        (true, _) => 1.0,
        (_, true) => NEIGHBORS / (columns[j] + 1e-6),
        _ => 0.0,
    };
    (0..categories * categories).map(|at| entry(at / categories, at % categories)).collect()
}

/// H ← Â (H W), no bias.
#[derive(Module, Debug)]
pub struct GraphConvolution {
    /// W, `[inputs, outputs]`.
    pub weight: Param<Tensor<2>>,
}

impl GraphConvolution {
    /// Weights from U(−1/√outputs, 1/√outputs), as in the official code.
    pub fn new(inputs: usize, outputs: usize, rng: &mut impl Rng, device: &Device) -> Self {
        Self { weight: uniform([inputs, outputs], outputs, rng, device) }
    }

    /// Nodes `[C, inputs]` over the graph `[C, C]` `-> [C, outputs]`.
    pub fn forward(&self, nodes: Tensor<2>, adjacency: Tensor<2>) -> Tensor<2> {
        adjacency.matmul(nodes.matmul(self.weight.val()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, TOLERANCE, assert_close};

    #[test]
    fn the_graph_equals_the_official_codes() {
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/ml_gcn.safetensors"));
        let (counts, together) = (fixture.integers("counts"), fixture.integers("cooccurrences"));
        let categories = counts.len();
        let share = |at: usize| together[at] as f32 / counts[at / categories] as f32;
        let mut cooccurrence: Vec<f32> = (0..together.len()).map(share).collect();
        // Ours says 1 of a category with itself.
        (0..categories).for_each(|c| cooccurrence[c * categories + c] = 1.0);
        let close = |name: &str, ours: &[f32]| assert_close(name, ours, &fixture.values(name), TOLERANCE);
        close("adjacency.reweighted", &reweighted_adjacency(&cooccurrence));
        close("adjacency.normalized", &normalized_adjacency(&cooccurrence));
    }
}
