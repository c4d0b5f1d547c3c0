//! The first step of gated propagation where many states are equal, as SARB's blended branches are.
//!
//! Before the gates' activations everything is linear in the states, and A (h W) = (A h) W. So what a row
//! sends and what it does to its own gates is computed once for each distinct row, and only what follows
//! for every state: of a step's 9 D² products a state, 8 D² are shared.

use rayon::prelude::*;

use crate::kernels::gated_kernels::{Graph, GraphGradients};
use crate::kernels::matrix::{Accum, Matrix, MatrixMut};
use crate::kernels::product::{Cores, product};
use crate::kernels::sharing::{Sharing, gather};

impl Graph<'_> {
    /// Adds what `[K, D]` distinct states send and their own part of z and r to the gates `[N, 3D]`.
    pub fn add_linear_shared(&self, distinct: &[f32], sharing: &Sharing, gates: &mut [f32]) {
        let (dim, wide, rows) = (self.dim(), 3 * self.dim(), sharing.rows());
        let h = Matrix::new(distinct, dim);
        let (outgoing, incoming) = self.messages.split_at(dim * wide);
        let [outgoing, incoming] = [outgoing, incoming].map(|weight| {
            let mut sent = vec![0.0; rows * wide];
            product(
                MatrixMut::new(&mut sent, wide),
                Accum::Replace,
                h,
                Matrix::new(weight, wide),
                Cores::All,
            );
            sent
        });
        let mut own = vec![0.0; rows * 2 * dim];
        let two = Matrix::new(self.state, wide).columns(0, 2 * dim);
        product(MatrixMut::new(&mut own, 2 * dim), Accum::Replace, h, two, Cores::All);

        let (a, categories) = (self.adjacency(), self.categories());
        let images = gates.par_chunks_mut(categories * wide).zip(sharing.origin.par_chunks(categories));
        images.for_each_init(
            || vec![0.0; categories * wide],
            |sent, (gates, origin)| {
                for (a, rows) in [(a, &outgoing), (a.transposed(), &incoming)] {
                    gather(rows, wide, origin, sent);
                    let out = MatrixMut::new(gates, wide);
                    product(out, Accum::Add, a, Matrix::new(sent, wide), Cores::One);
                }
                for (gates, &row) in gates.chunks_exact_mut(wide).zip(origin) {
                    let own = &own[row * 2 * dim..][..2 * dim];
                    gates.iter_mut().zip(own).for_each(|(gate, own)| *gate += own);
                }
            },
        );
    }

    /// From the gradient `dgates` `[N, 3D]` before the activations: adds the messages' and the states' parts
    /// to what is learned, and turns `gradients.h` from `[N, D]` into the distinct rows', `[K, D]`.
    pub fn linear_shared_backward(
        &self,
        distinct: &[f32],
        sharing: &Sharing,
        dgates: &[f32],
        gradients: &mut GraphGradients,
    ) {
        let (dim, wide) = (self.dim(), 3 * self.dim());
        let h = Matrix::new(distinct, dim).transposed();
        let mut dh = sharing.collect(&gradients.h, dim, dim);
        let image = self.categories() * wide;
        let mut dsent = vec![0.0; dgates.len()];
        let (outgoing, incoming) = self.messages.split_at(dim * wide);
        let (doutgoing, dincoming) = gradients.messages.split_at_mut(dim * wide);
        let a = self.adjacency();
        for (a, weight, dweight) in [(a.transposed(), outgoing, doutgoing), (a, incoming, dincoming)] {
            dsent.par_chunks_mut(image).zip(dgates.par_chunks(image)).for_each(|(dsent, dgates)| {
                let out = MatrixMut::new(dsent, wide);
                product(out, Accum::Replace, a, Matrix::new(dgates, wide), Cores::One);
            });
            let drows = sharing.collect(&dsent, wide, wide);
            let drows = Matrix::new(&drows, wide);
            product(MatrixMut::new(dweight, wide), Accum::Add, h, drows, Cores::All);
            let weight = Matrix::new(weight, wide).transposed();
            product(MatrixMut::new(&mut dh, dim), Accum::Add, drows, weight, Cores::All);
        }
        let dtwo = sharing.collect(dgates, wide, 2 * dim);
        let dtwo = Matrix::new(&dtwo, 2 * dim);
        let two = Matrix::new(self.state, wide).columns(0, 2 * dim).transposed();
        product(MatrixMut::new(&mut dh, dim), Accum::Add, dtwo, two, Cores::All);
        let du = MatrixMut::new(&mut gradients.state, wide).columns(0, 2 * dim);
        product(du, Accum::Add, h, dtwo, Cores::All);
        gradients.h = dh;
    }
}
