//! Loops over `f32` slices that the compiler vectorizes for the processor it finds at run time.
//!
//! The C library's `tanh` takes 10–20 ns a value and one value at a time; in the head of SSGRL it is
//! called `B · C · P · M` times a step (14.5 million on coco18), so it would dominate training. Here
//! it is `e^y − 1` by range reduction and a Taylor polynomial: relative error below 4e-7.

/// Values a loop handles together: one AVX-512 register.
pub const LANES: usize = 16;

/// One register's values, such as 16 channels of a pixel.
pub type Lanes = [f32; LANES];

/// Values as whole registers; their number is a multiple of [`LANES`].
#[inline(always)]
pub fn vectors(values: &[f32]) -> &[Lanes] {
    values.as_chunks().0
}

/// [`vectors`], to be written.
#[inline(always)]
pub fn vectors_mut(values: &mut [f32]) -> &mut [Lanes] {
    values.as_chunks_mut().0
}

/// Compiles a loop three times, for AVX-512, for AVX2 and for any processor, and picks at run time. The body
/// is generic over whether the processor fuses a multiplication with the addition after it.
macro_rules! multiversion {
    ($(#[$doc:meta])* $vis:vis $name:ident($($argument:ident: $type:ty),* $(,)?) = $body:ident) => {
        $(#[$doc])*
        $vis fn $name($($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,fma")]
                fn avx512($($argument: $type),*) {
                    $body::<true>($($argument),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($argument: $type),*) {
                    $body::<true>($($argument),*)
                }
                if std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                    && std::arch::is_x86_feature_detected!("avx512dq")
                    && std::arch::is_x86_feature_detected!("fma")
                {
                    // SAFETY: the processor has these instructions, as was asked just above.
                    return unsafe { avx512($($argument),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                    // SAFETY: as above.
                    return unsafe { avx2($($argument),*) };
                }
            }
            // Every 64-bit ARM has a fused multiply-add; elsewhere it would be a call of the C library.
            $body::<{ cfg!(target_arch = "aarch64") }>($($argument),*)
        }
    };
}

pub(crate) use multiversion;

multiversion! {
    /// `x ← tanh x`.
    pub tanh_in_place(values: &mut [f32]) = tanh_body
}

multiversion! {
    /// `x ← 1 / (1 + e^−x)`.
    pub sigmoid_in_place(values: &mut [f32]) = sigmoid_body
}

multiversion! {
    /// `g ← g · (1 − y²)`, the gradient of `y = tanh x`.
    pub tanh_backward(gradient: &mut [f32], output: &[f32]) = tanh_backward_body
}

multiversion! {
    /// `g ← g · y (1 − y)`, the gradient of `y = sigmoid x`.
    pub sigmoid_backward(gradient: &mut [f32], output: &[f32]) = sigmoid_backward_body
}

multiversion! {
    /// `scores[p] ← Σ_m u[m] · tanh(g[p, m] · q[m])` for the positions of one image and one category.
    pub joint_scores(scores: &mut [f32], g: &[f32], q: &[f32], u: &[f32]) = joint_scores_body
}

multiversion! {
    /// Adds one category's part of the gradient of [`joint_scores`], given that of its scores:
    /// with `t = tanh(g[p, m] · q[m])` and `w = gradient[p] · (1 − t²)`, `dg[p, m] += w · q[m]`,
    /// `dq[m] += w · g[p, m]`, `du[m] += gradient[p] · t`. The factor `u[m]` of dg and dq is left to
    /// the caller, who can apply it once.
    pub joint_scores_backward(
        gradient: &[f32],
        g: &[f32],
        q: &[f32],
        dg: &mut [f32],
        dq: &mut [f32],
        du: &mut [f32],
    ) = joint_scores_backward_body
}

multiversion! {
    /// `sum ← Σ x²`.
    pub square_sum(values: &[f32], sum: &mut f32) = square_sum_body
}

#[inline(always)]
fn square_sum_body<const FUSED: bool>(values: &[f32], sum: &mut f32) {
    // Four registers, so that an addition need not wait for the one before.
    let (blocks, rest) = values.as_chunks::<{ 4 * LANES }>();
    let mut sums = [0.0; 4 * LANES];
    for block in blocks {
        for (sum, &x) in sums.iter_mut().zip(block) {
            *sum = multiply_add::<FUSED>(x, x, *sum);
        }
    }
    *sum = sums.iter().sum::<f32>() + rest.iter().map(|x| x * x).sum::<f32>();
}

#[inline(always)]
fn tanh_body<const FUSED: bool>(values: &mut [f32]) {
    values.iter_mut().for_each(|x| *x = tanh::<FUSED>(*x));
}

#[inline(always)]
fn sigmoid_body<const FUSED: bool>(values: &mut [f32]) {
    values.iter_mut().for_each(|x| *x = sigmoid::<FUSED>(*x));
}

#[inline(always)]
fn tanh_backward_body<const FUSED: bool>(gradient: &mut [f32], output: &[f32]) {
    for (g, &y) in gradient.iter_mut().zip(output) {
        *g *= multiply_add::<FUSED>(-y, y, 1.0);
    }
}

#[inline(always)]
fn sigmoid_backward_body<const FUSED: bool>(gradient: &mut [f32], output: &[f32]) {
    for (g, &y) in gradient.iter_mut().zip(output) {
        *g *= multiply_add::<FUSED>(-y, y, y);
    }
}

#[inline(always)]
fn joint_scores_body<const FUSED: bool>(scores: &mut [f32], g: &[f32], q: &[f32], u: &[f32]) {
    let (q_blocks, q_rest) = q.as_chunks::<LANES>();
    let (u_blocks, u_rest) = u.as_chunks::<LANES>();
    for (score, g) in scores.iter_mut().zip(g.chunks_exact(q.len())) {
        let (g_blocks, g_rest) = g.as_chunks::<LANES>();
        let mut sums = [0.0; LANES];
        for ((g, q), u) in g_blocks.iter().zip(q_blocks).zip(u_blocks) {
            for (((sum, g), q), u) in sums.iter_mut().zip(g).zip(q).zip(u) {
                *sum = multiply_add::<FUSED>(*u, tanh::<FUSED>(g * q), *sum);
            }
        }
        let mut sum = sums.iter().sum::<f32>();
        for ((g, q), u) in g_rest.iter().zip(q_rest).zip(u_rest) {
            sum = multiply_add::<FUSED>(*u, tanh::<FUSED>(g * q), sum);
        }
        *score = sum;
    }
}

#[inline(always)]
fn joint_scores_backward_body<const FUSED: bool>(
    gradient: &[f32],
    g: &[f32],
    q: &[f32],
    dg: &mut [f32],
    dq: &mut [f32],
    du: &mut [f32],
) {
    let width = q.len();
    for ((&gradient, g), dg) in gradient.iter().zip(g.chunks_exact(width)).zip(dg.chunks_exact_mut(width)) {
        let sums = dg.iter_mut().zip(dq.iter_mut()).zip(du.iter_mut());
        for ((&g, &q), ((dg, dq), du)) in g.iter().zip(q).zip(sums) {
            let t = tanh::<FUSED>(g * q);
            let w = gradient * multiply_add::<FUSED>(-t, t, 1.0);
            *dg = multiply_add::<FUSED>(w, q, *dg);
            *dq = multiply_add::<FUSED>(w, g, *dq);
            *du = multiply_add::<FUSED>(gradient, t, *du);
        }
    }
}

/// `a · b + c`, rounded once where the processor can.
#[inline(always)]
pub fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// tanh x = −t / (t + 2) with t = e^(−2|x|) − 1, and x's sign: no cancellation near 0, no overflow.
#[inline(always)]
fn tanh<const FUSED: bool>(x: f32) -> f32 {
    let (scale, p) = exp_minus_one_parts::<FUSED>(-2.0 * x.abs());
    let t = multiply_add::<FUSED>(scale, p, scale - 1.0);
    (-t / (t + 2.0)).copysign(x)
}

/// 1 / (1 + e^−x), and e^x / (1 + e^x) below 0, so that small values keep their relative precision.
#[inline(always)]
fn sigmoid<const FUSED: bool>(x: f32) -> f32 {
    let (scale, p) = exp_minus_one_parts::<FUSED>(-x.abs());
    let e = multiply_add::<FUSED>(scale, p, scale);
    let numerator = if x < 0.0 { e } else { 1.0 };
    numerator / (1.0 + e)
}

/// (2ⁿ, e^r − 1) with y = n ln 2 + r and |r| ≤ ln 2 / 2, so that e^y = 2ⁿ (1 + (e^r − 1)), for y ≤ 0.
///
/// y below −87 counts as −87 (e^y stays a normal number); a NaN stays a NaN.
#[inline(always)]
fn exp_minus_one_parts<const FUSED: bool>(y: f32) -> (f32, f32) {
    // Adding 1.5 · 2²³ rounds to a whole number and leaves it in the low bits of the mantissa.
    const SHIFT: f32 = 12_582_912.0;
    // ln 2 in two parts, the first short enough that n times it is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;

    let y = if y < -87.0 { -87.0 } else { y };
    let shifted = multiply_add::<FUSED>(y, std::f32::consts::LOG2_E, SHIFT);
    let n = shifted - SHIFT;
    let r = multiply_add::<FUSED>(n, -LN_2_HIGH, y);
    let r = multiply_add::<FUSED>(n, -LN_2_LOW, r);
    // Taylor: the first term left out, r⁷/8!, is 1.5e-8 of the result at |r| = ln 2 / 2.
    let mut tail = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 1.0 / 2.0] {
        tail = multiply_add::<FUSED>(tail, r, coefficient);
    }
    let p = multiply_add::<FUSED>(r * r, tail, r);
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    (scale, p)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both rounding variants, and the one that the processor picks.
    const TANH: [fn(&mut [f32]); 3] = [tanh_in_place, tanh_body::<false>, tanh_body::<true>];
    const SIGMOID: [fn(&mut [f32]); 3] = [sigmoid_in_place, sigmoid_body::<false>, sigmoid_body::<true>];

    /// ±1e-30 … ±100, geometrically, and zero; odd in number, so that a remainder is left.
    fn sweep() -> Vec<f32> {
        let positive = (0..30_000).map(|i| 1e-30f32 * 10f32.powf(i as f32 * 32.0 / 30_000.0));
        positive.flat_map(|x| [x, -x]).chain([0.0]).collect()
    }

    #[test]
    fn tanh_is_within_4e_7_of_the_exact_value_everywhere() {
        for run in TANH {
            let mut values = sweep();
            run(&mut values);
            for (x, y) in sweep().into_iter().zip(values) {
                let exact = f64::from(x).tanh();
                assert!((f64::from(y) - exact).abs() <= 4e-7 * exact.abs(), "tanh({x}) = {y}, not {exact}");
            }
        }
    }

    #[test]
    fn sigmoid_is_within_4e_7_of_the_exact_value_until_it_underflows() {
        for run in SIGMOID {
            let mut values = sweep();
            run(&mut values);
            for (x, y) in sweep().into_iter().zip(values).filter(|(x, _)| *x > -87.0) {
                let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
                assert!((f64::from(y) - exact).abs() <= 4e-7 * exact, "sigmoid({x}) = {y}, not {exact}");
            }
        }
    }

    #[test]
    fn infinities_saturate_and_not_a_number_stays() {
        for (tanh, sigmoid) in TANH.into_iter().zip(SIGMOID) {
            let mut values = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
            tanh(&mut values);
            assert_eq!(values[..2], [1.0, -1.0]);
            assert!(values[2].is_nan());
            let mut values = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
            sigmoid(&mut values);
            assert_eq!(values[0], 1.0);
            assert!(values[1] < 1e-37 && values[2].is_nan());
        }
    }

    #[test]
    fn joint_scores_and_their_gradients_are_the_formulas_at_any_width() {
        for width in [1, 5, 16, 37] {
            let value = |i: usize| (i as f32 * 0.37).sin();
            let (g, q, u): (Vec<f32>, Vec<f32>, Vec<f32>) = (
                (0..3 * width).map(value).collect(),
                (0..width).map(|i| value(i + 100)).collect(),
                (0..width).map(|i| value(i + 200)).collect(),
            );
            let gradient = [0.5, -1.0, 2.0];
            let mut scores = [0.0; 3];
            joint_scores(&mut scores, &g, &q, &u);
            let (mut dg, mut dq, mut du) = (vec![0.0; 3 * width], vec![0.0; width], vec![0.0; width]);
            joint_scores_backward(&gradient, &g, &q, &mut dg, &mut dq, &mut du);
            let t = |p: usize, m: usize| (g[p * width + m] * q[m]).tanh();
            for (p, score) in scores.iter().enumerate() {
                let exact: f32 = (0..width).map(|m| u[m] * t(p, m)).sum();
                assert!((score - exact).abs() < 1e-5, "{score} and {exact}");
            }
            let w = |p: usize, m: usize| gradient[p] * (1.0 - t(p, m) * t(p, m));
            for (m, (dq, du)) in dq.iter().zip(&du).enumerate() {
                let dq_exact: f32 = (0..3).map(|p| w(p, m) * g[p * width + m]).sum();
                let du_exact: f32 = (0..3).map(|p| gradient[p] * t(p, m)).sum();
                assert!((dq - dq_exact).abs() < 1e-5 && (du - du_exact).abs() < 1e-5);
            }
            for (place, dg) in dg.iter().enumerate() {
                let (p, m) = (place / width, place % width);
                assert!((dg - w(p, m) * q[m]).abs() < 1e-5);
            }
        }
    }
}
