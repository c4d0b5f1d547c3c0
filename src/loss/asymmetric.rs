//! The terms of the asymmetric loss (Ridnik et al., ICCV 2021, Eq. 4–5): entries that are right already count
//! less, negatives in another way than positives.
//!
//! With p = σ(x) and (u)₊ = max(u, 0): a positive costs −(1 − p)^γ log p, a negative −q^γ log(1 − q) with
//! q = (p − m)₊, so that negatives below the clip m cost nothing. In the published code the factor with γ is
//! a weight without a gradient; in that of SST it has one.

use burn::tensor::Tensor;
use burn::tensor::activation::{log_sigmoid, relu, sigmoid};

use super::masks::{as_negative, as_positive};

/// Whether the factor with γ is a weight, or trained through as every other part of the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// Without a gradient.
    Weight,
    /// With its gradient.
    Trained,
}

impl Focus {
    fn of(self, logits: &Tensor<2>) -> Tensor<2> {
        match self {
            Self::Weight => logits.clone().detach(),
            Self::Trained => logits.clone(),
        }
    }
}

/// −(1 − p)^γ log p of every entry, `[B, C] -> [B, C]`.
pub fn positive(logits: Tensor<2>, gamma: f64, focus: Focus) -> Tensor<2> {
    let weight = log_sigmoid(-focus.of(&logits)).mul_scalar(gamma).exp();
    weight * as_positive(logits)
}

/// −q^γ log(1 − q) of every entry with q = (p − `clip`)₊, `[B, C] -> [B, C]`.
pub fn negative(logits: Tensor<2>, gamma: f64, clip: f64, focus: Focus) -> Tensor<2> {
    if clip == 0.0 {
        let weight = log_sigmoid(focus.of(&logits)).mul_scalar(gamma).exp();
        return weight * as_negative(logits);
    }
    // q is at most 1 − clip, so its logarithm stays finite.
    let shifted = relu(sigmoid(logits).sub_scalar(clip));
    // The slope of q^γ at 0 is infinite for γ below 1.
    let weight = focus.of(&shifted).clamp_min(1e-12).powf_scalar(gamma);
    weight * -(-shifted).log1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn terms_have_their_worked_out_values() {
        let device = Device::flex();
        let of = |x: f32| Tensor::<2>::from_data([[x]], &device);
        let near = |term: Tensor<2>, value: f32| {
            let term = term.into_scalar::<f32>();
            assert!((term - value).abs() < 1e-6, "{term}, not {value}");
        };
        // p = 1/2: (1/2)² ln 2; q = 0.45: −0.45⁴ ln 0.55.
        near(positive(of(0.0), 2.0, Focus::Weight), 0.25 * 2f32.ln());
        near(negative(of(0.0), 4.0, 0.05, Focus::Weight), -(0.45f32.powi(4)) * 0.55f32.ln());
        near(negative(of(0.0), 0.0, 0.0, Focus::Weight), 2f32.ln());
        // p = 0.0474 lies below the clip.
        near(negative(of(-3.0), 4.0, 0.05, Focus::Weight), 0.0);
    }

    #[test]
    fn huge_scores_stay_finite() {
        let device = Device::flex().autodiff();
        let cases = [(4.0, 0.05), (0.0, 0.05), (0.5, 0.05), (1.5, 0.0), (0.0, 0.0)];
        for (gamma, clip, focus) in cases
            .iter()
            .flat_map(|&(gamma, clip)| [Focus::Weight, Focus::Trained].map(|focus| (gamma, clip, focus)))
        {
            let logits = Tensor::<2>::from_data([[1e4, -1e4, 40.0, -40.0]], &device).require_grad();
            let loss =
                (negative(logits.clone(), gamma, clip, focus) + positive(logits.clone(), gamma, focus)).sum();
            let gradient = logits.grad(&loss.backward()).expect("tracked").into_data();
            assert!(loss.into_scalar::<f32>().is_finite(), "{gamma} {clip}");
            let gradient = gradient.try_to_vec::<f32>().expect("f32");
            assert!(gradient.iter().all(|g| g.is_finite()), "{gamma} {clip}: {gradient:?}");
        }
    }
}
