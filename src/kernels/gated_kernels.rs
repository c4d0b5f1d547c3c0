//! Gated propagation and its gradient on the CPU, over slices: products go straight to where they are
//! needed, and everything between them is done in one pass over rows that are still in the cache.
//!
//! N = B · C rows of width D. Gates lie side by side, `[update | reset | candidate]`, so that the
//! messages' part of all three is one product.

use rayon::prelude::*;

use crate::kernels::matrix::{Accum, Matrix, MatrixMut};
use crate::kernels::product::{Cores, product};
use crate::kernels::sharing::Sharing;
use crate::kernels::simd;

/// Rows that one task passes over.
const ROWS: usize = 16;

/// Gates and gradients below this are taken as 0. Saturated gates, as dense graphs of many categories give,
/// otherwise leave subnormal numbers, with which products take thirty times as long.
const TINY: f32 = 1e-30;

/// What a propagation is computed from.
#[derive(Debug, Clone, Copy)]
pub struct Graph<'a> {
    /// A, `[C, C]`.
    pub cooccurrence: &'a [f32],
    /// W of the three gates, `[2D, 3D]`.
    pub messages: &'a [f32],
    /// U of the three gates, `[D, 3D]`.
    pub state: &'a [f32],
    /// Both biases of the three gates added, `[3D]`.
    pub bias: &'a [f32],
    /// T.
    pub steps: usize,
}

/// What a step leaves for the gradient.
#[derive(Debug, Clone)]
pub struct Step {
    /// The state before it, `[N, D]`.
    h: Vec<f32>,
    /// What was multiplied by the weights.
    factor: Factor,
    /// z, r and h~, `[N, 3D]`.
    gates: Vec<f32>,
}

/// What a step's messages were computed from.
#[derive(Debug, Clone)]
enum Factor {
    /// What the neighbors send, `[N, 2D]`.
    Messages(Vec<f32>),
    /// The distinct rows, `[K, D]`, of the first step of shared states.
    Distinct(Vec<f32>),
}

/// The gradients of the states before the first step and of what is learned; shapes as in [`Graph`].
#[derive(Debug)]
pub struct GraphGradients {
    pub h: Vec<f32>,
    pub messages: Vec<f32>,
    pub state: Vec<f32>,
    pub bias: Vec<f32>,
}

impl Graph<'_> {
    pub fn dim(&self) -> usize {
        self.bias.len() / 3
    }

    pub fn categories(&self) -> usize {
        self.cooccurrence.len().isqrt()
    }

    /// A.
    pub fn adjacency(&self) -> Matrix<'_> {
        Matrix::new(self.cooccurrence, self.categories())
    }

    /// States after T steps, `[N, D] -> [N, D]`, or of their distinct rows `[K, D]` with `sharing`; calls
    /// `keep` with what each step leaves.
    pub fn forward(
        &self,
        distinct: Vec<f32>,
        sharing: Option<&Sharing>,
        mut keep: impl FnMut(Step),
    ) -> Vec<f32> {
        let (mut h, mut first) = match sharing {
            Some(sharing) => (sharing.spread(&distinct, self.dim()), Some((sharing, distinct))),
            None => (distinct, None),
        };
        let mut rh = vec![0.0; h.len()];
        for _ in 0..self.steps {
            let mut gates = self.bias.repeat(h.len() / self.dim());
            let factor = match first.take() {
                Some((sharing, distinct)) => {
                    self.add_linear_shared(&distinct, sharing, &mut gates);
                    Factor::Distinct(distinct)
                }
                None => Factor::Messages(self.add_linear(&h, &mut gates)),
            };
            let next = self.step(&h, &mut gates, &mut rh);
            keep(Step { h, factor, gates });
            h = next;
        }
        h
    }

    /// Adds the messages' part of all gates and the states' part of z and r to `gates`; the messages.
    fn add_linear(&self, h: &[f32], gates: &mut [f32]) -> Vec<f32> {
        let (dim, wide) = (self.dim(), 3 * self.dim());
        let mut m = vec![0.0; 2 * h.len()];
        self.send(h, &mut m);
        let messages = Matrix::new(self.messages, wide);
        product(MatrixMut::new(gates, wide), Accum::Add, Matrix::new(&m, 2 * dim), messages, Cores::All);
        let two = MatrixMut::new(gates, wide).columns(0, 2 * dim);
        let state = Matrix::new(self.state, wide).columns(0, 2 * dim);
        product(two, Accum::Add, Matrix::new(h, dim), state, Cores::All);
        m
    }

    /// m = [A h ; Aᵀ h], `[N, D] -> [N, 2D]`.
    fn send(&self, h: &[f32], m: &mut [f32]) {
        let (dim, image) = (self.dim(), self.categories() * self.dim());
        let a = self.adjacency();
        m.par_chunks_mut(2 * image).zip(h.par_chunks(image)).for_each(|(m, h)| {
            let h = Matrix::new(h, dim);
            product(MatrixMut::new(m, 2 * dim).columns(0, dim), Accum::Replace, a, h, Cores::One);
            let incoming = MatrixMut::new(m, 2 * dim).columns(dim, dim);
            product(incoming, Accum::Replace, a.transposed(), h, Cores::One);
        });
    }

    /// Turns `gates`, which hold what is linear in the states, into z, r and h~; `rh` is filled with r h.
    fn step(&self, h: &[f32], gates: &mut [f32], rh: &mut [f32]) -> Vec<f32> {
        let dim = self.dim();
        let state = Matrix::new(self.state, 3 * dim);
        let rows = (rh.par_chunks_mut(dim), gates.par_chunks_mut(3 * dim), h.par_chunks(dim));
        rows.into_par_iter().with_min_len(ROWS).for_each(|(rh, gates, h)| {
            let zr = &mut gates[..2 * dim];
            simd::sigmoid_in_place(zr);
            rh.iter_mut().zip(&zr[dim..]).zip(h).for_each(|((rh, r), h)| *rh = flushed(r * h));
        });
        let candidate = MatrixMut::new(gates, 3 * dim).columns(2 * dim, dim);
        product(candidate, Accum::Add, Matrix::new(rh, dim), state.columns(2 * dim, dim), Cores::All);
        let mut next = vec![0.0; h.len()];
        let rows = (next.par_chunks_mut(dim), gates.par_chunks_mut(3 * dim), h.par_chunks(dim));
        rows.into_par_iter().with_min_len(ROWS).for_each(|(next, gates, h)| {
            let (zr, candidate) = gates.split_at_mut(2 * dim);
            simd::tanh_in_place(candidate);
            let values = next.iter_mut().zip(&zr[..dim]).zip(&*candidate).zip(h);
            values.for_each(|(((next, z), c), h)| *next = h + z * (c - h)); // (1 − z) h + z h~
        });
        next
    }

    /// The gradients, from that of the last states, `[N, D]`, and what the steps left.
    ///
    /// That of the states is `[K, D]` with `sharing`, if there was a step.
    pub fn backward(&self, steps: &[Step], sharing: Option<&Sharing>, gradient: Vec<f32>) -> GraphGradients {
        let dim = self.dim();
        let mut gradients = GraphGradients {
            h: gradient,
            messages: vec![0.0; 6 * dim * dim],
            state: vec![0.0; 3 * dim * dim],
            bias: vec![0.0; 3 * dim],
        };
        let len = gradients.h.len();
        let (mut dgates, mut drh) = (vec![0.0; 3 * len], vec![0.0; len]);
        for step in steps.iter().rev() {
            self.step_backward(step, &mut gradients, &mut dgates, &mut drh);
            match &step.factor {
                Factor::Messages(m) => self.linear_backward(&step.h, m, &dgates, &mut gradients),
                Factor::Distinct(rows) => {
                    let sharing = sharing.expect("the forward pass had it too");
                    self.linear_shared_backward(rows, sharing, &dgates, &mut gradients);
                }
            }
        }
        gradients
    }

    /// From the gradient of the state after the step to what goes past the gates to the state before it,
    /// both in `gradients.h`, and to that of the gates before their activations, in `dgates`; adds the
    /// candidate's own part of what is learned, and the biases'.
    fn step_backward(
        &self,
        Step { h, gates, .. }: &Step,
        gradients: &mut GraphGradients,
        dgates: &mut [f32],
        drh: &mut [f32],
    ) {
        let dim = self.dim();
        let wide = 3 * dim;
        let chunks = (dgates.par_chunks_mut(wide), gradients.h.par_chunks_mut(dim));
        let rows = (chunks.0, chunks.1, gates.par_chunks(wide), h.par_chunks(dim));
        rows.into_par_iter().with_min_len(ROWS).for_each(|(dgates, dh, gates, h)| {
            update_backward(dim, dgates, dh, gates, h);
        });
        let dcandidate = Matrix::new(dgates, wide).columns(2 * dim, dim);
        let u = Matrix::new(self.state, wide).columns(2 * dim, dim).transposed();
        product(MatrixMut::new(drh, dim), Accum::Replace, dcandidate, u, Cores::All);
        // Leaves r h in `drh`, of which U's gradient is made.
        let chunks = (dgates.par_chunks_mut(wide), gradients.h.par_chunks_mut(dim), drh.par_chunks_mut(dim));
        let rows = (chunks.0, chunks.1, chunks.2, gates.par_chunks(wide), h.par_chunks(dim));
        rows.into_par_iter().with_min_len(ROWS).for_each(|(dgates, dh, drh, gates, h)| {
            reset_backward(dim, dgates, dh, drh, gates, h);
        });
        let dgates = Matrix::new(dgates, wide);
        let du = MatrixMut::new(&mut gradients.state, wide).columns(2 * dim, dim);
        let rh = Matrix::new(drh, dim).transposed();
        product(du, Accum::Add, rh, dgates.columns(2 * dim, dim), Cores::All);
        let ones = vec![1.0; h.len() / dim];
        let db = MatrixMut::new(&mut gradients.bias, wide);
        product(db, Accum::Add, Matrix::new(&ones, ones.len()), dgates, Cores::All);
    }

    /// The gradient of [`add_linear`](Self::add_linear) from that of the gates, added to `gradients`.
    fn linear_backward(&self, h: &[f32], m: &[f32], dgates: &[f32], gradients: &mut GraphGradients) {
        let (dim, wide) = (self.dim(), 3 * self.dim());
        let dgates = Matrix::new(dgates, wide);
        let dtwo = dgates.columns(0, 2 * dim);
        let mut dm = vec![0.0; m.len()];
        let messages = Matrix::new(self.messages, wide).transposed();
        product(MatrixMut::new(&mut dm, 2 * dim), Accum::Replace, dgates, messages, Cores::All);
        let two = Matrix::new(self.state, wide).columns(0, 2 * dim).transposed();
        product(MatrixMut::new(&mut gradients.h, dim), Accum::Add, dtwo, two, Cores::All);
        self.send_backward(&dm, &mut gradients.h);

        let m = Matrix::new(m, 2 * dim).transposed();
        product(MatrixMut::new(&mut gradients.messages, wide), Accum::Add, m, dgates, Cores::All);
        let du = MatrixMut::new(&mut gradients.state, wide).columns(0, 2 * dim);
        product(du, Accum::Add, Matrix::new(h, dim).transposed(), dtwo, Cores::All);
    }

    /// Adds Aᵀ dm_outgoing + A dm_incoming to the gradient of the states.
    fn send_backward(&self, dm: &[f32], dh: &mut [f32]) {
        let (dim, image) = (self.dim(), self.categories() * self.dim());
        let a = self.adjacency();
        dh.par_chunks_mut(image).zip(dm.par_chunks(2 * image)).for_each(|(dh, dm)| {
            let dm = Matrix::new(dm, 2 * dim);
            product(MatrixMut::new(dh, dim), Accum::Add, a.transposed(), dm.columns(0, dim), Cores::One);
            product(MatrixMut::new(dh, dim), Accum::Add, a, dm.columns(dim, dim), Cores::One);
        });
    }
}

fn flushed(value: f32) -> f32 {
    if value.abs() < TINY { 0.0 } else { value }
}

/// h' = h + z (h~ − h): writes the gradients of z and h~ before their activations and leaves (1 − z) dh'
/// in `dh`; one row.
fn update_backward(dim: usize, dgates: &mut [f32], dh: &mut [f32], gates: &[f32], h: &[f32]) {
    let (dz, rest) = dgates.split_at_mut(dim);
    let dc = &mut rest[dim..];
    let (z, c) = (&gates[..dim], &gates[2 * dim..]);
    let places = dz.iter_mut().zip(dc).zip(dh).zip(z.iter().zip(c).zip(h));
    for (((dz, dc), dh), ((z, c), h)) in places {
        *dz = flushed(*dh * (c - h) * z * (1.0 - z));
        *dc = flushed(*dh * z * (1.0 - c * c));
        *dh *= 1.0 - z;
    }
}

/// The candidate sees r h: writes the gradient of r before its activation, adds r d(rh) to `dh`, and
/// replaces d(rh) by r h; one row.
fn reset_backward(dim: usize, dgates: &mut [f32], dh: &mut [f32], drh: &mut [f32], gates: &[f32], h: &[f32]) {
    let (dr, r) = (&mut dgates[dim..2 * dim], &gates[dim..2 * dim]);
    for ((((dr, dh), drh), r), h) in dr.iter_mut().zip(dh).zip(drh).zip(r).zip(h) {
        *dr = flushed(*drh * h * r * (1.0 - r));
        *dh += *drh * r;
        *drh = flushed(r * h);
    }
}
