//! The matrix product of our own CPU kernels: one interface to the `gemm` crate, which Burn's CPU
//! backend uses too. It picks AVX-512, AVX2, NEON or plain code at run time. Beside it there is one in bf16
//! ([`super::bf16`]), for fixed weights ([`super::fixed_weights`]) and for what is trained in that precision.

use rayon::prelude::*;

use crate::kernels::bf16;
use crate::kernels::matrix::{Accum, Layout, Matrix, MatrixMut};
use crate::kernels::precision::Precision;

/// Up to so many rows the cores share the columns: gemm's own division lets each of them read the whole
/// right side, which for the rows of one image takes three times as long.
const FEW_ROWS: usize = 192;

/// Columns that the kernels compute together.
const LANES: usize = 64;

/// Products with fewer rows, columns or terms of a sum stay in f32: little is saved where a rounded value meets few others.
const LEAST_ROUNDED: usize = 64;

/// Who computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cores {
    /// The calling thread, which is itself one of many.
    One,
    /// All of rayon's threads.
    All,
}

/// `out ← a b` or `out ← out + a b`, `[M, K] × [K, N] -> [M, N]`. The result does not depend on how many cores compute;
/// what all of them do is in the [precision of the calling thread](Precision::of_products).
///
/// # Panics
/// If the shapes do not fit.
pub fn product(out: MatrixMut, accum: Accum, a: Matrix, b: Matrix, cores: Cores) {
    let (o, l, r) = (out.layout, a.layout, b.layout);
    let fits = l.columns == r.rows && o.rows == l.rows && o.columns == r.columns;
    assert!(
        fits,
        "[{}, {}] × [{}, {}] is not [{}, {}]",
        l.rows, l.columns, r.rows, r.columns, o.rows, o.columns
    );
    let sides = [o.rows, l.columns, o.columns];
    if cores == Cores::All
        && Precision::of_products() == Precision::Bf16
        && sides.iter().all(|&n| n >= LEAST_ROUNDED)
    {
        return bf16::product(out, accum, a, b);
    }
    let task = Task {
        out: out.values.as_mut_ptr(),
        out_layout: o,
        a: a.values.as_ptr(),
        a_layout: l,
        b: b.values.as_ptr(),
        b_layout: r,
        add: accum == Accum::Add,
    };
    let threads = rayon::current_num_threads();
    // SAFETY: every layout was built over its slice, so all its elements lie within; `out` is borrowed
    // mutably and its elements are distinct, because steps come from dense rows. Ranges of columns share
    // no element.
    unsafe {
        match cores {
            Cores::One => task.run(0, o.columns, gemm::Parallelism::None),
            Cores::All if o.rows <= FEW_ROWS && o.columns >= 2 * LANES * threads => {
                let width = o.columns.div_ceil(threads).next_multiple_of(LANES);
                let starts = (0..o.columns.div_ceil(width)).into_par_iter().map(|part| part * width);
                starts.for_each(|first| {
                    task.run(first, width.min(o.columns - first), gemm::Parallelism::None);
                });
            }
            Cores::All => task.run(0, o.columns, gemm::Parallelism::Rayon(0)),
        }
    }
}

/// A product whose shapes fit, for several threads to share.
struct Task {
    out: *mut f32,
    out_layout: Layout,
    a: *const f32,
    a_layout: Layout,
    b: *const f32,
    b_layout: Layout,
    add: bool,
}

// SAFETY: the pointers are only used by `run`, whose callers keep the parts that threads write apart.
unsafe impl Sync for Task {}

impl Task {
    /// `count` columns of the product, from `first` on.
    ///
    /// # Safety
    /// The layouts lie within the memory that the pointers lead to, nobody else touches those columns of
    /// `out`, and nobody writes `a` and `b`.
    unsafe fn run(&self, first: usize, count: usize, parallelism: gemm::Parallelism) {
        let (o, l, r) = (self.out_layout, self.a_layout, self.b_layout);
        // SAFETY: as promised by the caller; `first` is a column of `out` and so of `b`.
        unsafe {
            gemm::gemm(
                o.rows,
                count,
                l.columns,
                self.out.add(first * o.column_step),
                o.column_step as isize,
                o.row_step as isize,
                self.add,
                self.a,
                l.column_step as isize,
                l.row_step as isize,
                self.b.add(first * r.column_step),
                r.column_step as isize,
                r.row_step as isize,
                1.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]; // [2, 3]

    #[test]
    fn products_of_rows_transposes_and_columns_are_worked_out_by_hand() {
        for cores in [Cores::One, Cores::All] {
            let mut square = [0.0; 4];
            let a = Matrix::new(&A, 3);
            product(MatrixMut::new(&mut square, 2), Accum::Replace, a, a.transposed(), cores);
            assert_eq!(square, [14.0, 32.0, 32.0, 77.0]);
            product(MatrixMut::new(&mut square, 2), Accum::Add, a, a.transposed(), cores);
            assert_eq!(square, [28.0, 64.0, 64.0, 154.0]);

            // The last two columns of A times A's first, into the middle column of three.
            let mut wide = [9.0; 6];
            let b = [1.0, 10.0];
            let middle = MatrixMut::new(&mut wide, 3).columns(1, 1);
            product(middle, Accum::Replace, a.columns(1, 2), Matrix::new(&b, 1), cores);
            assert_eq!(wide, [9.0, 32.0, 9.0, 9.0, 65.0, 9.0]);
        }
    }

    #[test]
    fn one_core_and_all_give_the_same_bits() {
        let values = |len: usize| -> Vec<f32> { (0..len).map(|i| (i as f32 * 0.37).sin()).collect() };
        // Many rows, and few rows of many columns, which are divided in another way.
        for [m, k, n] in [[300, 200, 300], [80, 700, 3000]] {
            let (a, b) = (values(m * k), values(k * n));
            let [one, all] = [Cores::One, Cores::All].map(|cores| {
                let mut out = vec![0.5; m * n];
                let (a, b) = (Matrix::new(&a, k), Matrix::new(&b, n));
                product(MatrixMut::new(&mut out, n), Accum::Add, a, b, cores);
                out
            });
            assert!(one == all, "[{m}, {k}] × [{k}, {n}]");
        }
    }

    #[test]
    #[should_panic(expected = "[2, 3] × [2, 3] is not [2, 3]")]
    fn shapes_that_do_not_fit_are_refused() {
        let mut out = [0.0; 6];
        product(
            MatrixMut::new(&mut out, 3),
            Accum::Replace,
            Matrix::new(&A, 3),
            Matrix::new(&A, 3),
            Cores::One,
        );
    }
}
