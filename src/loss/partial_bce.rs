//! Binary cross-entropy over the known labels (SARB Eq. 3), with soft targets for blended ones.
//!
//! Official code: torch's BCE of sigmoid scores; here in logit space, where large scores stay finite.

use burn::tensor::Tensor;
use burn::tensor::activation::{log_sigmoid, relu};
use sarb_labels::{Label, LabelMatrix};

use super::normalization::Normalization;

/// BCE over the supervised entries, `[B, C], [B, C] -> [1]`.
///
/// A target t in (0, 1] is a positive with that probability, a negative target a negative, and 0
/// says nothing is known. With nothing known the loss is 0.
pub fn partial_bce(logits: Tensor<2>, targets: Tensor<2>, normalization: Normalization) -> Tensor<1> {
    let supervised = supervised(&targets);
    normalization.reduce(entries(logits, targets), supervised)
}

/// BCE of every entry, softplus(s) − max(t, 0) · s, `[B, C], [B, C] -> [B, C]`; of no meaning where t
/// is 0. Its gradient reaches t too, so α and β learn through their targets.
pub fn entries(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<2> {
    -log_sigmoid(-logits.clone()) - relu(targets) * logits
}

/// 1 where something is known, else 0, `[B, C] -> [B, C]`.
pub fn supervised(targets: &Tensor<2>) -> Tensor<2> {
    targets.clone().detach().sign().abs()
}

/// The same of scores on the host, `N · C` logits row by row, for validation.
pub fn masked_loss(logits: &[f32], labels: &LabelMatrix) -> f64 {
    let (mut sum, mut count) = (0.0, 0usize);
    for (image, logits) in logits.chunks_exact(labels.categories()).enumerate() {
        for (&logit, label) in logits.iter().zip(labels.row(image)) {
            let wrong_way = match label {
                Label::Unknown => continue,
                Label::Positive => -f64::from(logit),
                Label::Negative => f64::from(logit),
            };
            sum += wrong_way.max(0.0) + (-wrong_way.abs()).exp().ln_1p();
            count += 1;
        }
    }
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;
    use burn::tensor::Device;

    /// Loss and the gradients of logits and targets.
    fn run(logits: [[f32; 3]; 2], targets: [[f32; 3]; 2]) -> (f32, Vec<f32>, Vec<f32>) {
        let device = Device::flex().autodiff();
        let logits = Tensor::<2>::from_data(logits, &device).require_grad();
        let targets = Tensor::<2>::from_data(targets, &device).require_grad();
        let loss = partial_bce(logits.clone(), targets.clone(), Normalization::Supervised);
        let gradients = loss.backward();
        let of = |x: &Tensor<2>| x.grad(&gradients).expect("tracked").into_data().try_to_vec().expect("f32");
        (loss.into_scalar::<f32>(), of(&logits), of(&targets))
    }

    #[test]
    fn known_soft_and_unknown_entries_have_their_worked_out_values() {
        let (loss, ds, dt) = run([[0.0, 2.0, 5.0], [-1.0, 0.0, 7.0]], [[1.0, -1.0, 0.0], [0.4, 0.0, 0.0]]);
        // ln 2; ln(1 + e²) = 2.126928; ln(1 + e⁻¹) + 0.4 = 0.713262; three entries.
        assert!((loss - (2f32.ln() + 2.126_928 + 0.713_262) / 3.0).abs() < 1e-6, "{loss}");
        // σ(s) − max(t, 0), over 3.
        let expected = [-0.5, 0.880_797, 0.0, 0.268_941 - 0.4, 0.0, 0.0].map(|g: f32| g / 3.0);
        assert!(ds.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{ds:?}");
        // −s / 3 where the target is positive.
        assert!((dt[3] - 1.0 / 3.0).abs() < 1e-6 && dt[1] == 0.0 && dt[2] == 0.0, "{dt:?}");
    }

    #[test]
    fn every_normalization_equals_its_restatement_in_pytorch() {
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/normalization.safetensors"));
        let device = Device::flex().autodiff();
        for (name, how) in [
            ("supervised", Normalization::Supervised),
            ("image", Normalization::Image),
            ("all", Normalization::All),
            ("sum", Normalization::Sum),
        ] {
            let logits = fixture.tensor::<2>("logits", &device).require_grad();
            let loss = partial_bce(logits.clone(), fixture.tensor("target", &device), how);
            let gradients = loss.backward();
            fixture.assert_equals(&format!("loss.{name}"), loss);
            fixture.assert_equals(&format!("grad.{name}"), logits.grad(&gradients).expect("tracked"));
        }
    }

    #[test]
    fn an_all_unknown_batch_has_loss_and_gradient_zero() {
        let (loss, ds, _) = run([[3.0; 3]; 2], [[0.0; 3]; 2]);
        assert_eq!((loss, ds), (0.0, vec![0.0; 6]));
        assert_eq!(masked_loss(&[3.0; 6], &LabelMatrix::unknown(2, 3)), 0.0);
    }

    #[test]
    fn huge_scores_stay_finite() {
        let (loss, ds, _) = run([[1e4, -1e4, 1e4], [-1e4; 3]], [[-1.0, 1.0, 0.5], [0.0; 3]]);
        assert!((loss - 25_000.0 / 3.0).abs() < 1.0, "1e4 + 1e4 + 0.5e4 over 3, not {loss}");
        assert!(ds.iter().all(|g| g.is_finite()));
    }

    #[test]
    fn the_host_version_agrees() {
        let logits = [[0.3, -2.0, 5.0], [-1.0, 0.7, 40.0]];
        let labels = LabelMatrix::from_values(3, &[1, -1, 0, -1, 1, -1]);
        let targets = [[1.0, -1.0, 0.0], [-1.0, 1.0, -1.0]];
        let (loss, ..) = run(logits, targets);
        assert!((masked_loss(logits.as_flattened(), &labels) - f64::from(loss)).abs() < 1e-5);
    }
}
