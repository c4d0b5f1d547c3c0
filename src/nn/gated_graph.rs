//! Gated propagation over the co-occurrence graph (SSGRL Eq. 7–8, after Li et al. ICLR 2016).

use burn::module::{Module, RunningState};
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::Rng;

use super::linear::Linear;
use crate::kernels::gated_propagation::{Gates, propagate};
use crate::kernels::shared_states::SharedStates;
use crate::kernels::vectorized::{sigmoid, tanh};
use crate::onnx::graph::{Graph, Value};

/// W m + U h of one gate; official names `fc_k_w` (2D → D) and `fc_k_u` (D → D), both with bias.
#[derive(Module, Debug)]
pub struct Gate {
    /// W, from what the neighbors send.
    pub messages: Linear,
    /// U, from the node's own state.
    pub state: Linear,
}

impl Gate {
    fn new(dim: usize, rng: &mut impl Rng, device: &Device) -> Self {
        Self { messages: Linear::new(2 * dim, dim, rng, device), state: Linear::new(dim, dim, rng, device) }
    }

    /// W m + U h in a graph, `[C, 2D], [C, D] -> [C, D]`.
    fn export(&self, graph: &mut Graph, name: &str, messages: &Value, state: &Value) -> Value {
        graph.within(name, |graph| {
            let of_messages = self.messages.export(graph, "messages", messages);
            let of_state = self.state.export(graph, "state", state);
            graph.both("Add", &of_messages, &of_state)
        })
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

    /// States after T steps, `[B · C, D]`.
    pub fn forward(&self, states: &SharedStates) -> Tensor<2> {
        let device = states.distinct.device();
        let on_cpu = device == Device::flex() || device == Device::flex().autodiff();
        match on_cpu && states.distinct.dtype() == DType::F32 && self.steps > 0 {
            true => propagate(states, self.gates(&device), self.steps),
            false => self.forward_plain(states.to_tensor()),
        }
    }

    /// The same from plain tensor operations, for any device and to read, `[B, C, D] -> [B · C, D]`; a change
    /// of the mathematics goes here and into `gated_kernels.rs`, and a test compares the two.
    fn forward_plain(&self, states: Tensor<3>) -> Tensor<2> {
        let [batch, categories, dim] = states.dims();
        let rows = batch * categories;
        let neighbors = self.neighbors(&states.device());
        let Gates { messages, state, bias, .. } = self.gates(&states.device());
        let mut h = states.reshape([rows, dim]);
        for _ in 0..self.steps {
            // m = [A h ; Aᵀ h], [B, 2C, D] read as [B·C, 2D]
            let m = neighbors.clone().matmul(h.clone().reshape([batch, categories, dim]));
            let m = m.reshape([rows, 2 * dim]);
            let of_messages = m.matmul(messages.clone()) + bias.clone().unsqueeze(); // [B·C, 3D]
            let zr = h.clone().matmul(state.clone().narrow(1, 0, 2 * dim));
            let zr = sigmoid(of_messages.clone().narrow(1, 0, 2 * dim) + zr);
            let (z, r) = (zr.clone().narrow(1, 0, dim), zr.narrow(1, dim, dim));
            let candidate = (r * h.clone()).matmul(state.clone().narrow(1, 2 * dim, dim));
            let candidate = tanh(of_messages.narrow(1, 2 * dim, dim) + candidate);
            h = h.clone() + z * (candidate - h); // (1 − z) h + z h~
        }
        h
    }

    /// T.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// [`forward`](Self::forward) in a graph, one step after the other, `[C, D] -> [C, D]`.
    pub fn export(&self, graph: &mut Graph, states: &Value) -> Value {
        let outgoing = self.cooccurrence.value_sync();
        let incoming = graph.tensor("incoming", outgoing.clone().transpose());
        let outgoing = graph.tensor("outgoing", outgoing);
        let mut h = states.clone();
        for _ in 0..self.steps {
            let m = [graph.product(&outgoing, &h), graph.product(&incoming, &h)];
            let m = graph.concatenated(&m, 1); // [A h ; Aᵀ h]
            let z = self.update.export(graph, "update", &m, &h);
            let z = graph.each("Sigmoid", &z);
            let r = self.reset.export(graph, "reset", &m, &h);
            let r = graph.each("Sigmoid", &r);
            let seen = graph.both("Mul", &r, &h);
            let candidate = self.candidate.export(graph, "candidate", &m, &seen);
            let candidate = graph.each("Tanh", &candidate);
            let change = graph.both("Sub", &candidate, &h);
            let change = graph.both("Mul", &z, &change);
            h = graph.both("Add", &h, &change); // (1 − z) h + z h~
        }
        h
    }

    /// The three gates' parameters side by side, so that the messages' part of all is one product.
    fn gates(&self, device: &Device) -> Gates {
        let gates = [&self.update, &self.reset, &self.candidate];
        let beside = |parts: [Tensor<2>; 3]| Tensor::cat(parts.to_vec(), 1);
        let bias = |linear: &Linear| linear.bias.as_ref().expect("gates have biases").val();
        let biases = gates.map(|gate| bias(&gate.messages) + bias(&gate.state));
        Gates {
            cooccurrence: self.cooccurrence.value().to_device(device),
            messages: beside(gates.map(|gate| gate.messages.weight.val())),
            state: beside(gates.map(|gate| gate.state.weight.val())),
            bias: Tensor::cat(biases.to_vec(), 0),
        }
    }

    /// A and Aᵀ with their rows in turn, `[1, 2C, C]`, so that one product gives [A h ; Aᵀ h].
    fn neighbors(&self, device: &Device) -> Tensor<3> {
        let outgoing = self.cooccurrence.value().to_device(device);
        let [categories, _] = outgoing.dims();
        let incoming = outgoing.clone().transpose();
        Tensor::stack::<3>(vec![outgoing, incoming], 1).reshape([1, 2 * categories, categories])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::precision::{Precision, tests::assert_rounded};
    use crate::nn::linear::uniform;
    use burn::tensor::Tolerance;
    use rand::RngExt;
    use sarb_labels::random::{Stream, rng};

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
        let m = graph.neighbors(&device).matmul(h).reshape([3, 4]);
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
        let all = |h: &Tensor<3>| SharedStates::all(h.clone());
        let rows = h.clone().reshape([6, 4]).into_data();
        still.forward(&all(&h)).into_data().assert_eq(&rows, true);

        let mut closed = GatedGraph::new(4, &A, 3, &mut rng, &device);
        let bias = closed.update.state.bias.as_mut().expect("gates have biases");
        crate::nn::linear::set(bias, vec![-100.0; 4]);
        closed.forward(&all(&h)).into_data().assert_approx_eq::<f32>(&rows, Tolerance::absolute(1e-6));
    }

    /// What the steps leave of nine states, and the gradients of a random projection of it: of the distinct
    /// states and of every parameter. `origin` says which states are equal.
    fn outcome(
        graph: &GatedGraph,
        origin: Option<&[usize]>,
        forward: impl Fn(&GatedGraph, &SharedStates) -> Tensor<2>,
    ) -> Vec<TensorData> {
        let device = Device::flex().autodiff();
        let rows = origin.and_then(|origin| origin.iter().max()).map_or(9, |last| last + 1);
        let h = random([rows, 4], &device).detach().require_grad();
        let states = match origin {
            Some(origin) => SharedStates::new(h.clone(), origin.to_vec(), 3),
            None => SharedStates::all(h.clone().reshape([3, 3, 4])),
        };
        let states = forward(graph, &states);
        let weights = random([9, 4], &device).detach().flip([0, 1]);
        let gradients = (states.clone() * weights).sum().backward();
        let mut all = vec![states.into_data(), h.grad(&gradients).expect("tracked").into_data()];
        for gate in [&graph.update, &graph.reset, &graph.candidate] {
            for linear in [&gate.messages, &gate.state] {
                all.push(linear.weight.val().grad(&gradients).expect("trained").into_data());
                let bias = linear.bias.as_ref().expect("gates have biases");
                all.push(bias.val().grad(&gradients).expect("trained").into_data());
            }
        }
        all
    }

    #[test]
    fn the_cpus_operation_and_plain_tensors_give_the_same_states_and_gradients() {
        // Each state its own; the second image as the first but for one category, the third with a row of
        // both and one of its own; a row that no state is.
        let shared = [0, 1, 2, 0, 3, 2, 4, 3, 1];
        let unused = [0, 1, 2, 0, 1, 2, 0, 4, 2];
        for (origin, steps) in [(None, 3), (Some(&shared), 3), (Some(&shared), 1), (Some(&unused), 2)] {
            let origin = origin.map(|origin| &origin[..]);
            let graph =
                GatedGraph::new(4, &A, steps, &mut rng(0, Stream::Init, 0, 0), &Device::flex().autodiff());
            let fused = outcome(&graph, origin, GatedGraph::forward);
            let plain = outcome(&graph, origin, |graph, states| graph.forward_plain(states.to_tensor()));
            assert_eq!(fused.len(), 14);
            for (fused, plain) in fused.iter().zip(&plain) {
                fused.assert_approx_eq::<f32>(plain, Tolerance::absolute(1e-6));
            }
        }
    }

    #[test]
    fn in_bf16_states_and_gradients_are_near() {
        let device = Device::flex().autodiff();
        let (dim, categories, images) = (64, 35, 2);
        let mut random_numbers = rng(0, Stream::Init, 0, 0);
        let cooccurrence: Vec<f32> =
            (0..categories * categories).map(|_| random_numbers.random_range(0.0..0.1)).collect();
        let graph = GatedGraph::new(dim, &cooccurrence, 3, &mut random_numbers, &device);
        let h = random([images, categories, dim], &device).detach().require_grad();
        let run = || {
            let states = graph.forward(&SharedStates::all(h.clone()));
            let gradients = states.clone().powi_scalar(2).sum().backward();
            let weight = &graph.candidate.messages.weight;
            [
                states.into_data(),
                h.grad(&gradients).expect("tracked").into_data(),
                weight.val().grad(&gradients).expect("trained").into_data(),
            ]
        };
        for (rounded, exact) in Precision::Bf16.during(run).iter().zip(&run()) {
            assert_rounded(rounded, exact);
        }
    }

    #[test]
    fn images_of_a_batch_do_not_touch_each_other() {
        let device = Device::flex();
        let graph = GatedGraph::new(4, &A, 2, &mut rng(0, Stream::Init, 0, 0), &device);
        let h = random([3, 3, 4], &device);
        let together = graph.forward(&SharedStates::all(h.clone())).narrow(0, 3, 3);
        let alone = graph.forward(&SharedStates::all(h.narrow(0, 1, 1)));
        together.into_data().assert_approx_eq::<f32>(&alone.into_data(), Tolerance::absolute(1e-6));
    }
}
