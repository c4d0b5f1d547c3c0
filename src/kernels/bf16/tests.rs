use half::bf16;

use super::*;

/// Values between −1 and 1 without a period that a matrix could have.
fn pattern(len: usize, step: f32) -> Vec<f32> {
    (0..len).map(|index| (index as f32 * step).sin()).collect()
}

fn rounded(value: f32) -> f64 {
    f64::from(bf16::from_f32(value).to_f32())
}

/// The products of rounded factors, summed in f64, and the sum of their absolute values.
fn exact(rows: Matrix, weights: &[f32], columns: usize) -> Vec<(f64, f64)> {
    let [count, depth] = rows.shape();
    let one = |index: usize| {
        let (row, column) = (rows.row(index / columns), index % columns);
        let terms = (0..depth).map(|d| rounded(row[d]) * rounded(weights[d * columns + column]));
        terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
    };
    (0..count * columns).map(one).collect()
}

fn processors() -> Vec<Processor> {
    let mut all = vec![Processor::Plain, Processor::here()];
    all.dedup();
    all
}

/// The same values column by column.
fn turned(values: &[f32], columns: usize) -> Vec<f32> {
    (0..values.len())
        .map(|at| values[at % (values.len() / columns) * columns + at / (values.len() / columns)])
        .collect()
}

fn assert_close(out: &[f32], exact: &[(f64, f64)], before: f64, what: &str) {
    assert_eq!(out.len(), exact.len(), "{what}");
    for (out, (sum, size)) in out.iter().zip(exact) {
        // Roundings of f32 alone.
        let error = (f64::from(*out) - before - sum).abs();
        assert!(error <= 1e-5 * (size + before), "{what}: {out}, {sum}");
    }
}

#[test]
fn every_shape_and_layout_is_the_product_of_rounded_factors() {
    // Fewer and more rows than a tile and a block, odd depths, depths of several blocks, panels of each width.
    let depths = [1, 2, 27, 64, 300, 600];
    let widths = [1, 16, 17, 40, 48, 64, 80, 130];
    for (depth, columns) in depths.into_iter().flat_map(|d| widths.map(|c| (d, c))) {
        let b = pattern(depth * columns, 0.71);
        let b_turned = turned(&b, columns);
        for count in [1, 5, 6, 13, 200] {
            let a = pattern(count * (depth + 3), 0.37);
            let a_turned = turned(&a, depth + 3);
            let rows = Matrix::new(&a, depth + 3).columns(2, depth);
            let exact = exact(rows, &b, columns);
            for (processor, is_turned) in processors().into_iter().flat_map(|p| [(p, false), (p, true)]) {
                let what = format!("{processor:?} [{count}, {depth}, {columns}], turned {is_turned}");
                let (rows, b) = match is_turned {
                    false => (rows, Matrix::new(&b, columns)),
                    true => (
                        Matrix::new(&a_turned, count).transposed().columns(2, depth),
                        Matrix::new(&b_turned, depth).transposed(),
                    ),
                };
                let b = HalfMatrix::on(processor, b);
                let mut out = vec![f32::NAN; count * columns];
                b.product_on(processor, MatrixMut::new(&mut out, columns), Accum::Replace, rows);
                assert_close(&out, &exact, 0.0, &what);
                // Into columns of a wider matrix, beside which nothing changes.
                let mut wide = vec![2.0; count * (columns + 5)];
                let middle = MatrixMut::new(&mut wide, columns + 5).columns(3, columns);
                b.product_on(processor, middle, Accum::Add, rows);
                let (mut inside, mut beside): (Vec<f32>, Vec<f32>) = Default::default();
                for row in wide.chunks(columns + 5) {
                    inside.extend(&row[3..3 + columns]);
                    beside.extend(row[..3].iter().chain(&row[3 + columns..]));
                }
                assert_close(&inside, &exact, 2.0, &what);
                assert!(beside.iter().all(|value| *value == 2.0), "{what}");
            }
        }
    }
}

#[test]
fn all_cores_give_the_bits_of_one() {
    for [m, k, n] in [[1, 70, 3], [64, 64, 64], [500, 130, 200]] {
        let (a, b) = (pattern(m * k, 0.37), pattern(k * n, 0.71));
        let (a, b) = (Matrix::new(&a, k), Matrix::new(&b, n));
        let mut out = [(); 2].map(|()| vec![0.5; m * n]);
        product(MatrixMut::new(&mut out[0], n), Accum::Add, a, b);
        HalfMatrix::new(b).product(MatrixMut::new(&mut out[1], n), Accum::Add, a);
        assert!(out[0] == out[1], "[{m}, {k}] × [{k}, {n}]");
    }
}

#[test]
fn rows_are_rounded_to_the_nearest_and_ties_to_even() {
    // 1 + 2⁻⁸ lies between 1 and 1 + 2⁻⁷, 1 + 3 · 2⁻⁸ between 1 + 2⁻⁷ and 1 + 2⁻⁶.
    let row = [1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, 1.0 + 1.1 / 256.0, -3.0, 0.1];
    let expected = [[0x3f80, 0x3f82], [0x3f81, 0xc040], [0x3dcd, 0]];
    for processor in processors() {
        let mut pairs = [7; 3];
        processor.round(&row, &mut pairs);
        assert_eq!(pairs.map(|pair| [pair & 0xffff, pair >> 16]), expected, "{processor:?}");
        processor.interleave(&[row[0], row[2], row[4]], &[row[1], row[3], 0.0], &mut pairs);
        assert_eq!(pairs.map(|pair| [pair & 0xffff, pair >> 16]), expected, "{processor:?}");
    }
}

#[test]
fn what_is_not_a_number_stays_so_and_infinity_too() {
    let weights = HalfMatrix::new(Matrix::new(&[1.0, 1.0], 1));
    for processor in processors() {
        for (row, is_right) in [
            ([f32::NAN, 1.0], f32::is_nan as fn(f32) -> bool),
            ([1.0, f32::INFINITY], |sum| sum == f32::INFINITY),
        ] {
            let mut out = [0.0];
            weights.product_on(processor, MatrixMut::new(&mut out, 1), Accum::Replace, Matrix::new(&row, 2));
            assert!(is_right(out[0]), "{processor:?} {row:?}: {}", out[0]);
        }
    }
}

#[test]
#[should_panic(expected = "[1, 3] × [2, 1] is not [1, 1]")]
fn shapes_that_do_not_fit_are_refused() {
    let weights = HalfMatrix::new(Matrix::new(&[1.0, 1.0], 1));
    weights.product(MatrixMut::new(&mut [0.0], 1), Accum::Replace, Matrix::new(&[1.0; 3], 3));
}
