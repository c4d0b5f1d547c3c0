//! A convolution followed by batch normalization: the brick that every backbone here is built from.

use burn::module::{Initializer, Module, Param, RunningState};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};

use crate::backbone::state_dict::{Slot, Visit};
use crate::kernels::activation::Activation;
use crate::kernels::conv_rows::convolve_rows;
use crate::kernels::depthwise_rows::convolve_depthwise_rows;
use crate::kernels::folded_conv::FoldedConv;
use crate::kernels::normalize_rows::normalize_rows;
use crate::kernels::window::Window;
use crate::nn::batch_norm_of_ranks::normalized_of_ranks;
use crate::onnx::graph::{Graph, Sliding, Value};

/// How a layer and the activation after it run: [`ConvNorm::activated`] or [`ConvNorm::activated_rows`].
pub(crate) trait Forward: Fn(&ConvNorm, Tensor<4>, Activation) -> Tensor<4> {}

impl<T: Fn(&ConvNorm, Tensor<4>, Activation) -> Tensor<4>> Forward for T {}

/// A convolution without bias and the batch normalization after it.
#[derive(Module, Debug)]
pub struct ConvNorm {
    /// Filters, `[out, in, k, k]`, or `[C, 1, k, k]` depthwise.
    pub weight: Param<Tensor<4>>,
    /// Normalizes each output channel.
    pub norm: BatchNorm,
    #[module(skip)]
    window: Window,
}

impl ConvNorm {
    /// With torchvision's initialization: Kaiming normal over the fan-out, scale 1, shift 0.
    pub fn new(channels: [usize; 2], window: Window, epsilon: f64, device: &Device) -> Self {
        let [inputs, outputs] = channels;
        let inputs = if window.depthwise { 1 } else { inputs };
        let area = window.kernel * window.kernel;
        let fan_out = if window.depthwise { area } else { outputs * area };
        let initializer = Initializer::KaimingNormal { gain: std::f64::consts::SQRT_2, fan_out_only: true };
        Self {
            weight: initializer.init_with(
                [outputs, inputs, window.kernel, window.kernel],
                Some(inputs * area),
                Some(fan_out),
                device,
            ),
            norm: BatchNormConfig::new(outputs).with_epsilon(epsilon).init(device),
            window,
        }
    }

    /// `[B, in, H, W] -> [B, out, H', W']`, without an activation.
    pub fn forward(&self, maps: Tensor<4>) -> Tensor<4> {
        self.normalize(self.convolve(maps))
    }

    /// With the statistics of the batch where it is trained; of all ranks, where several share the batch.
    fn normalize<const R: usize>(&self, maps: Tensor<R>) -> Tensor<R> {
        let norm = &self.norm;
        let trains = maps.is_autodiff() && norm.training.is_enabled();
        let of_ranks = || normalized_of_ranks(&maps, norm.gamma.val(), norm.beta.val(), norm.epsilon);
        let Some(normalized) = trains.then(of_ranks).flatten() else { return norm.forward(maps) };
        // As Burn's does.
        let update = |running: &RunningState<Tensor<1>>, of_batch: Tensor<1>| {
            let kept = running.value_sync().to_device(&of_batch.device()).mul_scalar(1.0 - norm.momentum);
            running.update((kept + of_batch.mul_scalar(norm.momentum)).detach());
        };
        update(&norm.running_mean, normalized.mean);
        update(&norm.running_var, normalized.variance);
        normalized.output
    }

    /// [`forward`](Self::forward) and the activation after it.
    pub(crate) fn activated(&self, maps: Tensor<4>, activation: Activation) -> Tensor<4> {
        activation.of(self.forward(maps))
    }

    /// The same on the CPU with channels last, `[B, H, W, in] -> [B, H', W', out]`.
    ///
    /// # Panics
    /// If the layer is depthwise and its channels are not a multiple of 16.
    pub(crate) fn activated_rows(&self, maps: Tensor<4>, activation: Activation) -> Tensor<4> {
        let convolve = if self.window.depthwise { convolve_depthwise_rows } else { convolve_rows };
        let maps = convolve(maps, self.weight.val(), self.window);
        if self.norm_is_fixed() {
            let (scale, shift) = self.scale_and_shift(&maps.device());
            return normalize_rows(maps, scale, shift, activation);
        }
        let [batch, height, width, outputs] = maps.dims();
        let normalized = self.normalize::<2>(maps.reshape([batch * height * width, outputs]));
        activation.of(normalized.reshape([batch, height, width, outputs]))
    }

    /// Whether nothing of the batch normalization is trained, so that it takes its running statistics.
    fn norm_is_fixed(&self) -> bool {
        let BatchNorm { gamma, beta, training, .. } = &self.norm;
        !training.is_enabled() && !gamma.is_require_grad() && !beta.is_require_grad()
    }

    /// What a fixed batch normalization multiplies each channel by, and adds.
    fn scale_and_shift(&self, device: &Device) -> (Tensor<1>, Tensor<1>) {
        let BatchNorm { gamma, beta, running_mean, running_var, epsilon, .. } = &self.norm;
        let [mean, variance] = [running_mean, running_var].map(|state| state.value().to_device(device));
        let scale = gamma.val() / (variance + *epsilon).sqrt();
        let shift = beta.val() - mean * scale.clone();
        (scale, shift)
    }

    fn convolve(&self, maps: Tensor<4>) -> Tensor<4> {
        let [batch, inputs, height, width] = maps.dims();
        let Window { stride, depthwise, .. } = self.window;
        let weight = self.weight.val();
        if self.window.is_pointwise() && maps.device().is_autodiff() {
            // On burn-flex the backward of a 1×1 convolution is 3–6 times slower than the same
            // product written as a matrix product.
            let outputs = weight.dims()[0];
            let pixels = maps.reshape([batch, inputs, height * width]);
            let weight = weight.reshape([1, outputs, inputs]);
            return weight.matmul(pixels).reshape([batch, outputs, height, width]);
        }
        let padding = [self.window.border(height), self.window.border(width)];
        let groups = if depthwise { inputs } else { 1 };
        conv2d(maps, weight, None, ConvOptions::new_with_padding([stride; 2], padding, [1, 1], groups))
    }

    /// Channels of what it gives.
    pub(crate) fn channels(&self) -> usize {
        self.weight.dims()[0]
    }

    /// The same layer with its batch normalization fixed: running statistics, scale and shift.
    pub fn freeze_batch_norm(self) -> Self {
        Self { norm: self.norm.freeze(), ..self }
    }

    /// Shows every tensor under its official name, in the order of a PyTorch state dict.
    pub(crate) fn tensors(&mut self, conv: &str, norm: &str, visit: &mut Visit<'_>) {
        visit(format!("{conv}.weight"), Slot::Filters(&mut self.weight));
        visit(format!("{norm}.weight"), Slot::Vector(&mut self.norm.gamma));
        visit(format!("{norm}.bias"), Slot::Vector(&mut self.norm.beta));
        visit(format!("{norm}.running_mean"), Slot::Statistic(&mut self.norm.running_mean));
        visit(format!("{norm}.running_var"), Slot::Statistic(&mut self.norm.running_var));
    }

    /// The layer as one convolution with a bias, the normalization's running statistics folded in.
    pub(crate) fn fold(&self, activation: Activation) -> FoldedConv {
        let (weight, bias) = self.folded();
        FoldedConv::new(self.window, &weight, bias, activation)
    }

    /// The same in a graph, with the activation after it, `[in, H, W] -> [out, H', W']`.
    pub(crate) fn export(
        &self,
        graph: &mut Graph,
        name: &str,
        maps: &Value,
        activation: Activation,
    ) -> Value {
        let (weight, bias) = self.folded();
        let [inputs, height, width] = maps.sizes();
        let Window { kernel, stride, depthwise, .. } = self.window;
        let padding = [self.window.border(height), self.window.border(width)];
        let how = Sliding { kernel, stride, padding, groups: if depthwise { inputs } else { 1 } };
        graph.within(name, |graph| {
            let filters = graph.constant("weight", &self.weight.dims(), weight);
            let bias = graph.constant("bias", &[bias.len()], bias);
            let maps = graph.convolution(maps, &filters, Some(&bias), how);
            match activation {
                Activation::None => maps,
                Activation::Relu => graph.each("Relu", &maps),
                Activation::Relu6 => graph.clamp(&maps, 0.0, 6.0),
            }
        })
    }

    /// Filters and biases of that convolution.
    fn folded(&self) -> (Vec<f32>, Vec<f32>) {
        let host = |tensor: Tensor<1>| -> Vec<f32> {
            tensor.into_data().try_into_vec().expect("weights are f32 tensors")
        };
        let scale: Vec<f64> = host(self.norm.gamma.val())
            .into_iter()
            .zip(host(self.norm.running_var.value_sync()))
            .map(|(gamma, variance)| f64::from(gamma) / (f64::from(variance) + self.norm.epsilon).sqrt())
            .collect();
        let bias = host(self.norm.beta.val())
            .into_iter()
            .zip(host(self.norm.running_mean.value_sync()))
            .zip(&scale)
            .map(|((beta, mean), scale)| (f64::from(beta) - f64::from(mean) * scale) as f32)
            .collect();
        let mut weight: Vec<f32> =
            self.weight.val().into_data().try_into_vec().expect("weights are f32 tensors");
        let filter = weight.len() / scale.len();
        for (filter, scale) in weight.chunks_exact_mut(filter).zip(&scale) {
            filter.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
        }
        (weight, bias)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::window::Padding;
    use burn::tensor::Distribution;

    #[test]
    fn same_padding_puts_the_odd_pixel_after() {
        // TensorFlow pads max((⌈n/s⌉−1)·s + k − n, 0) in all.
        let window = |kernel, stride| Window { kernel, stride, padding: Padding::Same, depthwise: false };
        assert_eq!(window(3, 2).border(224), (0, 1));
        assert_eq!(window(5, 2).border(28), (1, 2));
        assert_eq!(window(5, 2).border(7), (2, 2));
        assert_eq!(window(3, 1).border(7), (1, 1));
        assert_eq!(window(3, 2).positions(225), 113);
    }

    #[test]
    fn half_padding_counts_positions_like_pytorch() {
        // torch: Conv2d(3, 1, 7, stride=2, padding=3) over 65 pixels gives 33.
        assert_eq!(Window::dense(7, 2).positions(65), 33);
        assert_eq!(Window::dense(1, 2).positions(5), 3);
    }

    #[test]
    fn a_pointwise_layer_gives_the_same_with_and_without_autodiff() {
        let device = Device::flex();
        let layer = ConvNorm::new([6, 10], Window::dense(1, 1), 1e-5, &device);
        let maps = Tensor::<4>::random([2, 6, 5, 4], Distribution::Normal(0.0, 1.0), &device);
        let plain = layer.forward(maps.clone());
        let tracked = layer.train().freeze_batch_norm().forward(maps.autodiff()).inner();
        let error: f32 = (plain - tracked).abs().max().into_scalar();
        assert!(error < 1e-5, "{error}");
    }

    #[test]
    fn random_filters_spread_as_kaiming_over_the_fan_out() {
        // torch.nn.init.kaiming_normal_(mode="fan_out", nonlinearity="relu"): std = sqrt(2 / fan_out);
        // depthwise, each output channel feeds k·k products.
        let dense = Window::dense(3, 1);
        let depthwise = Window { depthwise: true, ..dense };
        for (channels, window, fan_out) in [([64, 128], dense, 128.0 * 9.0), ([4096, 4096], depthwise, 9.0)] {
            let layer = ConvNorm::new(channels, window, 1e-5, &Device::flex());
            let spread: f32 = layer.weight.val().powi_scalar(2).mean().sqrt().into_scalar();
            let expected = (2.0_f32 / fan_out).sqrt();
            // Over 36,864 draws or more, a standard deviation is within 3 % almost surely.
            assert!((spread / expected - 1.0).abs() < 0.03, "{spread} {expected}");
        }
    }
}
