//! A learned number within 0 and 1: SARB's α and β, HST's margins.

use burn::module::Param;
use burn::tensor::{Device, Tensor};

/// A parameter, `[1]`, that starts at `value` and is trained if it is `learned`.
pub fn share(value: f64, learned: bool, device: &Device) -> Param<Tensor<1>> {
    Param::from_tensor(Tensor::from_data([value as f32], device)).set_require_grad(learned)
}

/// Brings a trained one back within 0 and 1, after a step; one that is not trained stays as it is.
pub fn keep_within_bounds(share: &mut Param<Tensor<1>>) {
    if share.is_require_grad() {
        let bounded = |value: Tensor<1>| Tensor::from_inner(value.inner().clamp(0.0, 1.0)).require_grad();
        *share = share.clone().map(bounded);
    }
}

/// What it is now; waits for the device.
pub fn value(share: &Param<Tensor<1>>) -> f64 {
    f64::from(share.val().into_scalar::<f32>())
}
