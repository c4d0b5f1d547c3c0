//! The whole of gated propagation as one operation with its own gradient, for the CPU.
//!
//! As separate tensor operations a step is some forty passes over its `N × 3D` gates, most of them on
//! one thread; here it is six products and two passes ([`super::gated_kernels`]). Other devices take the
//! plain form in [`super::gated_graph`], which says the same.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use crate::kernels::flex::{tensor, values, vector};
use crate::kernels::gated_kernels::{Graph, Step};
use crate::kernels::shared_states::SharedStates;
use crate::kernels::sharing::Sharing;

/// What is fixed, and the parameters side by side.
#[derive(Debug, Clone)]
pub struct Gates {
    /// A, `[C, C]`; gets no gradient.
    pub cooccurrence: Tensor<2>,
    /// W of update, reset and candidate, `[2D, 3D]`.
    pub messages: Tensor<2>,
    /// U of the same, `[D, 3D]`.
    pub state: Tensor<2>,
    /// The biases of W and U added, `[3D]`.
    pub bias: Tensor<1>,
}

/// States after `steps` steps, at least one, on the CPU, f32; `[B · C, D]`.
pub fn propagate(states: &SharedStates, gates: Gates, steps: usize) -> Tensor<2> {
    if states.origin().is_some_and(|origin| !sharing_pays(states, origin.len())) {
        return propagate(&SharedStates::all(states.to_tensor()), gates, steps);
    }
    let [h, a] = [states.distinct.clone().into_dispatch(), gates.cooccurrence.into_dispatch()];
    let [w, u, b] = [gates.messages.into_dispatch(), gates.state.into_dispatch(), gates.bias.into_dispatch()];
    let [rows, _] = states.distinct.dims();
    let sharing = states.origin().map(|origin| Sharing::new(origin, rows));
    Tensor::from_dispatch(Dispatch::propagate(h, a, w, u, b, sharing, steps))
}

/// Whether the first step's products that are saved, 8 D² for each of N − K states, are more than those
/// added, 4 C D for every state: A is applied to what is sent, which is three times as wide as the states.
fn sharing_pays(shared: &SharedStates, states: usize) -> bool {
    let [rows, dim] = shared.distinct.dims();
    2 * dim * states.saturating_sub(rows) > shared.categories() * states
}

/// The operation.
#[backend_extension(Flex, Autodiff)]
pub trait Propagation: Backend {
    /// States `[N, D]`, or their rows `[K, D]` with `sharing`, A `[C, C]`, W `[2D, 3D]`, U `[D, 3D]` and
    /// b `[3D]` to states `[N, D]`.
    fn propagate(
        h: FloatTensor<Self>,
        a: FloatTensor<Self>,
        w: FloatTensor<Self>,
        u: FloatTensor<Self>,
        b: FloatTensor<Self>,
        sharing: Option<Sharing>,
        steps: usize,
    ) -> FloatTensor<Self>;
}

impl Propagation for Flex {
    fn propagate(
        h: FlexTensor,
        a: FlexTensor,
        w: FlexTensor,
        u: FlexTensor,
        b: FlexTensor,
        sharing: Option<Sharing>,
        steps: usize,
    ) -> FlexTensor {
        let [_, dim]: [usize; 2] = h.shape().dims();
        let operands = Operands::new(a, w, u, b, sharing, steps);
        let states = operands.graph().forward(vector(h), operands.sharing.as_ref(), |_| ());
        let rows = states.len() / dim;
        tensor(states, [rows, dim])
    }
}

impl<C: CheckpointStrategy> Propagation for Autodiff<Flex, C> {
    fn propagate(
        h: FloatTensor<Self>,
        a: FloatTensor<Self>,
        w: FloatTensor<Self>,
        u: FloatTensor<Self>,
        b: FloatTensor<Self>,
        sharing: Option<Sharing>,
        steps: usize,
    ) -> FloatTensor<Self> {
        let ((h, h_node), (w, w_node)) = (h.into_parts(), w.into_parts());
        let ((u, u_node), (b, b_node)) = (u.into_parts(), b.into_parts());
        let nodes = [h_node, w_node, u_node, b_node];
        match PropagationBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let [_, dim]: [usize; 2] = h.shape().dims();
                let operands = Operands::new(a.into_parts().0, w, u, b, sharing, steps);
                let mut kept = Vec::new();
                let keep = |step| kept.push(step);
                let states = operands.graph().forward(vector(h), operands.sharing.as_ref(), keep);
                let rows = states.len() / dim;
                prepared.finish((operands, kept), tensor(states, [rows, dim]))
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(Flex::propagate(h, a.into_parts().0, w, u, b, sharing, steps))
            }
        }
    }
}

#[derive(Debug)]
struct PropagationBackward;

impl Backward<Flex, 4> for PropagationBackward {
    type State = (Operands, Vec<Step>);

    fn backward(self, ops: Ops<Self::State, 4>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let (operands, kept) = ops.state;
        let dim = operands.b.shape()[0] / 3;
        let learned = operands.graph().backward(&kept, operands.sharing.as_ref(), vector(gradient));
        let rows = learned.h.len() / dim;
        let of_parents = [
            tensor(learned.h, [rows, dim]),
            tensor(learned.messages, [2 * dim, 3 * dim]),
            tensor(learned.state, [dim, 3 * dim]),
            tensor(learned.bias, [3 * dim]),
        ];
        for (parent, gradient) in ops.parents.into_iter().zip(of_parents) {
            if let Some(parent) = parent {
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// The operands but the states, contiguous.
#[derive(Debug, Clone)]
struct Operands {
    a: FlexTensor,
    w: FlexTensor,
    u: FlexTensor,
    b: FlexTensor,
    sharing: Option<Sharing>,
    steps: usize,
}

impl Operands {
    fn new(
        a: FlexTensor,
        w: FlexTensor,
        u: FlexTensor,
        b: FlexTensor,
        sharing: Option<Sharing>,
        steps: usize,
    ) -> Self {
        let [a, w, u, b] = [a, w, u, b].map(|x| x.to_contiguous());
        Self { a, w, u, b, sharing, steps }
    }

    fn graph(&self) -> Graph<'_> {
        Graph {
            cooccurrence: values(&self.a),
            messages: values(&self.w),
            state: values(&self.u),
            bias: values(&self.b),
            steps: self.steps,
        }
    }
}
