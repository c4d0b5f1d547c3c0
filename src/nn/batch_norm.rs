//! Batch normalization as PyTorch does it (Ioffe and Szegedy 2015, arXiv:1502.03167).
//!
//! Burn's own updates the running variance with the biased variance of the batch, PyTorch with the
//! unbiased one, a factor n / (n − 1); and a record of Burn's lags one update behind.

use burn::module::{Flag, Module, Param, RunningState};
use burn::tensor::{Device, Tensor};

use crate::nn::batch_norm_of_ranks::{Normalized, normalized_of_ranks};

/// ((x − mean) / √(variance + ε)) · weight + bias for every channel, the second axis.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// Scale γ, `[D]`.
    pub weight: Param<Tensor<1>>,
    /// Shift β, `[D]`.
    pub bias: Param<Tensor<1>>,
    /// Off in a frozen layer, which then uses and keeps its running statistics.
    pub training: Param<Flag>,
    /// Mean of past batches, `[D]`.
    pub running_mean: RunningState<Tensor<1>>,
    /// Unbiased variance of past batches, `[D]`.
    pub running_var: RunningState<Tensor<1>>,
    epsilon: f64,
    momentum: f64,
}

impl BatchNorm {
    /// PyTorch's defaults: scale 1, shift 0, mean 0, variance 1, ε 1e-5, momentum 0.1.
    pub fn new(channels: usize, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::ones([channels], device)),
            bias: Param::from_tensor(Tensor::zeros([channels], device)),
            training: Param::from_bool(true),
            running_mean: RunningState::new(Tensor::zeros([channels], device)),
            running_var: RunningState::new(Tensor::ones([channels], device)),
            epsilon: 1e-5,
            momentum: 0.1,
        }
    }

    /// `[N, D, ..] -> [N, D, ..]`: with the statistics of the batch in training, else with the
    /// running ones.
    ///
    /// One value per channel has no variance; PyTorch refuses it, here it takes the running
    /// statistics, because the last batch of an epoch may be one image.
    pub fn forward<const R: usize>(&self, x: Tensor<R>) -> Tensor<R> {
        let values = x.shape().num_elements() / x.dims()[1];
        // A gradient may be asked of frozen layers too, so the device alone does not decide.
        let trains = x.is_autodiff() && self.training.is_enabled();
        if let Some(of_ranks) = trains.then(|| self.forward_of_ranks(&x)).flatten() {
            of_ranks
        } else if trains && values > 1 {
            self.forward_training(x, values)
        } else {
            let device = x.device();
            let mean = self.running_mean.value().to_device(&device);
            let variance = self.running_var.value().to_device(&device);
            let (weight, bias) = (self.weight.val(), self.bias.val());
            burn::tensor::module::batch_norm(x, weight, bias, mean, variance, self.epsilon)
        }
    }

    /// What each channel is multiplied by with the running statistics, and what is added, each `[D]`.
    pub fn scale_and_shift(&self) -> (Tensor<1>, Tensor<1>) {
        let scale = self.weight.val() / (self.running_var.value_sync() + self.epsilon).sqrt();
        let shift = self.bias.val() - self.running_mean.value_sync() * scale.clone();
        (scale, shift)
    }

    fn forward_training<const R: usize>(&self, x: Tensor<R>, values: usize) -> Tensor<R> {
        let normalized =
            burn::tensor::module::batch_norm_train(x, self.weight.val(), self.bias.val(), self.epsilon);
        let unbiased = normalized.variance.mul_scalar(values as f64 / (values - 1) as f64);
        self.update(&self.running_mean, normalized.mean);
        self.update(&self.running_var, unbiased);
        normalized.output
    }

    /// With the statistics of the whole batch, of which this rank has a part.
    fn forward_of_ranks<const R: usize>(&self, x: &Tensor<R>) -> Option<Tensor<R>> {
        let Normalized { output, mean, variance, values } =
            normalized_of_ranks(x, self.weight.val(), self.bias.val(), self.epsilon)?;
        self.update(&self.running_mean, mean);
        self.update(&self.running_var, variance.mul_scalar(values as f64 / (values - 1) as f64));
        Some(output)
    }

    fn update(&self, running: &RunningState<Tensor<1>>, of_batch: Tensor<1>) {
        let kept = running.value_sync().mul_scalar(1.0 - self.momentum);
        running.update(kept + of_batch.detach().mul_scalar(self.momentum));
        // Until it is synchronized an update is not part of a record.
        running.value_sync();
    }
}

/// Replaces running statistics, `[D]` values.
pub fn set_running(running: &RunningState<Tensor<1>>, values: &[f32]) {
    running.update(Tensor::from_data(values, &running.value_sync().device()));
    running.value_sync();
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    fn values<const R: usize>(x: Tensor<R>) -> Vec<f32> {
        x.into_data().try_to_vec().expect("f32")
    }

    /// Channel 0 holds 1, 3, 5, 7 and channel 1 holds 2 only.
    fn batch(device: &Device) -> Tensor<4> {
        let values = vec![1.0f32, 3.0, 2.0, 2.0, 5.0, 7.0, 2.0, 2.0];
        Tensor::from_data(TensorData::new(values, [2, 2, 1, 2]), device)
    }

    #[test]
    fn training_uses_the_batch_and_remembers_the_unbiased_variance() {
        let layer = BatchNorm::new(2, &Device::flex().autodiff());
        let y = values(layer.forward(batch(&Device::flex().autodiff())));
        // Mean 4, biased variance 5, unbiased 20/3: (1 − 4) / √5 = −1.3416.
        assert!((y[0] + 1.341_639).abs() < 1e-5 && y[2] == 0.0, "{y:?}");
        assert_eq!(values(layer.running_mean.value()), [0.4, 0.2]);
        let variance = values(layer.running_var.value());
        assert!((variance[0] - (0.9 + 0.1 * 20.0 / 3.0)).abs() < 1e-6 && variance[1] == 0.9, "{variance:?}");
    }

    #[test]
    fn evaluation_and_frozen_layers_use_and_keep_the_running_statistics() {
        let device = Device::flex().autodiff();
        let layer = BatchNorm::new(2, &device);
        set_running(&layer.running_mean, &[3.0, 0.0]);
        set_running(&layer.running_var, &[4.0, 1.0]);
        let expected = [-1.0, 0.0, 2.0, 2.0, 1.0, 2.0, 2.0, 2.0];
        let evaluated = layer.valid().forward(batch(&Device::flex()));
        let frozen = layer.clone().freeze().forward(batch(&device));
        for y in [evaluated, frozen] {
            assert!(values(y).iter().zip(expected).all(|(y, e)| (y - e).abs() < 1e-4), "ε shifts by 1e-5");
        }
        assert_eq!(values(layer.running_mean.value()), [3.0, 0.0]);
    }

    #[test]
    fn a_record_holds_the_statistics_of_the_last_step() {
        let device = Device::flex().autodiff();
        let layer = BatchNorm::new(2, &device);
        layer.forward(batch(&device));
        let record = layer.clone().into_record();
        let loaded = BatchNorm::new(2, &device).load_record(record);
        assert_eq!(values(loaded.running_mean.value()), [0.4, 0.2]);
    }

    #[test]
    fn a_single_value_a_channel_takes_the_running_statistics() {
        let device = Device::flex().autodiff();
        let layer = BatchNorm::new(2, &device);
        let y = values(layer.forward(Tensor::<2>::from_data([[3.0, -2.0]], &device)));
        assert!((y[0] - 3.0).abs() < 1e-4 && (y[1] + 2.0).abs() < 1e-4);
        assert_eq!(values(layer.running_var.value()), [1.0, 1.0]);
    }
}
