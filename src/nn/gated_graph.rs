//! Gated propagation over the co-occurrence graph (SSGRL Eq. 7–8, after Li et al. ICLR 2016).

use burn::module::{Module, RunningState};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::linear::Linear;
use super::vectorised::{sigmoid, tanh};

/// W m + U h of one gate; official names `fc_k_w` (2D → D) and `fc_k_u` (D → D), both with bias.
#[derive(Module, Debug)]
pub struct Gate {
    /// W, from what the neighbours send.
    pub messages: Linear,
    /// U, from the node's own state.
    pub state: Linear,
}

impl Gate {
    fn new(dim: usize, rng: &mut impl Rng, device: &Device) -> Self {
        Self { messages: Linear::new(2 * dim, dim, rng, device), state: Linear::new(dim, dim, rng, device) }
    }

    /// `[N, 2D], [N, D] -> [N, D]`.
    fn forward(&self, messages: Tensor<2>, state: Tensor<2>) -> Tensor<2> {
        self.messages.forward(messages) + self.state.forward(state)
    }
}

/// T steps in which every category's state takes in those of the categories it occurs with.
#[derive(Module, Debug)]
pub struct GatedGraph {
    /// z, how much of the state is replaced; official fc_1.
    pub update: Gate,
    /// r, how much of the state the candidate sees; official fc_2. (SSGRL's own code has fc_3's U
    /// here, a slip that SARB's corrected.)
    pub reset: Gate,
    /// h~, what it is replaced by; official fc_3.
    pub candidate: Gate,
    /// A, `[C, C]`: how often j is there when i is. Fixed; in the checkpoint.
    pub cooccurrence: RunningState<Tensor<2>>,
    steps: usize,
}

impl GatedGraph {
    /// For states of width D; `cooccurrence` is row by row, `C · C` values.
    ///
    /// # Panics
    /// If `cooccurrence` is not square.
    pub fn new(dim: usize, cooccurrence: &[f32], steps: usize, rng: &mut impl Rng, device: &Device) -> Self {
        let categories = cooccurrence.len().isqrt();
        assert_eq!(categories * categories, cooccurrence.len(), "a co-occurrence matrix is square");
        let matrix = TensorData::new(cooccurrence.to_vec(), [categories, categories]);
        Self {
            update: Gate::new(dim, rng, device),
            reset: Gate::new(dim, rng, device),
            candidate: Gate::new(dim, rng, device),
            cooccurrence: RunningState::new(Tensor::from_data(matrix, device)),
            steps,
        }
    }

    /// States after T steps, `[B, C, D] -> [B, C, D]`.
    pub fn forward(&self, states: Tensor<3>) -> Tensor<3> {
        let [batch, categories, dim] = states.dims();
        let rows = batch * categories;
        let neighbours = self.neighbours(&states.device());
        let mut h = states.reshape([rows, dim]);
        for _ in 0..self.steps {
            // m = [A h ; Aᵀ h], [B, 2C, D] read as [B·C, 2D]
            let m = neighbours.clone().matmul(h.clone().reshape([batch, categories, dim]));
            let m = m.reshape([rows, 2 * dim]);
            let z = sigmoid(self.update.forward(m.clone(), h.clone()));
            let r = sigmoid(self.reset.forward(m.clone(), h.clone()));
            let candidate = tanh(self.candidate.forward(m, r * h.clone()));
            h = h.clone() + z * (candidate - h); // (1 − z) h + z h~
        }
        h.reshape([batch, categories, dim])
    }

    /// A and Aᵀ with their rows in turn, `[1, 2C, C]`, so that one product gives [A h ; Aᵀ h].
    fn neighbours(&self, device: &Device) -> Tensor<3> {
        let outgoing = self.cooccurrence.value().to_device(device);
        let [categories, _] = outgoing.dims();
        let incoming = outgoing.clone().transpose();
        Tensor::stack::<3>(vec![outgoing, incoming], 1).reshape([1, 2 * categories, categories])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Stream, rng};
    use crate::nn::linear::uniform;
    use burn::tensor::Tolerance;

    const A: [f32; 9] = [1.0, 0.5, 0.0, 0.2, 1.0, 0.7, 0.0, 0.1, 1.0];

    /// Reproducible values in −1…1.
    fn random<const R: usize>(shape: [usize; R], device: &Device) -> Tensor<R> {
        uniform(shape, 1, &mut rng(9, Stream::Synthetic, 0, 0), device).val()
    }

    #[test]
    fn messages_are_the_products_with_the_matrix_and_its_transpose() {
        let device = Device::flex();
        let graph = GatedGraph::new(2, &A, 1, &mut rng(0, Stream::Init, 0, 0), &device);
        let h = Tensor::<3>::from_data([[[1.0, -1.0], [2.0, 0.0], [4.0, 3.0]]], &device);
        let m = graph.neighbours(&device).matmul(h).reshape([3, 4]);
        // Row 0: A₀ = (1, 0.5, 0) and column 0 = (1, 0.2, 0), worked out by hand.
        let expected = [[2.0, -1.0, 1.4, -1.0], [5.0, 1.9, 2.9, -0.2], [4.2, 3.0, 5.4, 3.0]];
        m.into_data().assert_approx_eq::<f32>(&TensorData::from(expected), Tolerance::absolute(1e-6));
    }

    #[test]
    fn without_steps_or_with_a_closed_gate_the_states_stay() {
        let device = Device::flex();
        let mut rng = rng(0, Stream::Init, 0, 0);
        let h = random([2, 3, 4], &device);
        let still = GatedGraph::new(4, &A, 0, &mut rng, &device);
        still.forward(h.clone()).into_data().assert_eq(&h.to_data(), true);

        let mut closed = GatedGraph::new(4, &A, 3, &mut rng, &device);
        let bias = closed.update.state.bias.as_mut().expect("gates have biases");
        crate::nn::linear::set(bias, vec![-100.0; 4]);
        closed
            .forward(h.clone())
            .into_data()
            .assert_approx_eq::<f32>(&h.into_data(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn images_of_a_batch_do_not_touch_each_other() {
        let device = Device::flex();
        let graph = GatedGraph::new(4, &A, 2, &mut rng(0, Stream::Init, 0, 0), &device);
        let h = random([3, 3, 4], &device);
        let together = graph.forward(h.clone()).narrow(0, 1, 1);
        let alone = graph.forward(h.narrow(0, 1, 1));
        together.into_data().assert_approx_eq::<f32>(&alone.into_data(), Tolerance::absolute(1e-6));
    }
}
