//! A linear layer with PyTorch's initial weights, drawn on the host.
//!
//! Burn's own draws from a generator that every thread shares, so the same seed would give other
//! weights as soon as something else draws too.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, RngExt};

use crate::onnx::graph::{Graph, Value};

/// y = x W + b. Weights are stored `[inputs, outputs]`, the transpose of PyTorch's.
#[derive(Module, Debug)]
pub struct Linear {
    /// W, `[inputs, outputs]`.
    pub weight: Param<Tensor<2>>,
    /// b, `[outputs]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// Weights and bias from U(−1/√inputs, 1/√inputs).
    pub fn new(inputs: usize, outputs: usize, rng: &mut impl Rng, device: &Device) -> Self {
        let weight = uniform([inputs, outputs], inputs, rng, device);
        Self { weight, bias: Some(uniform([outputs], inputs, rng, device)) }
    }

    /// Weights from U(−1/√inputs, 1/√inputs), no bias.
    pub fn without_bias(inputs: usize, outputs: usize, rng: &mut impl Rng, device: &Device) -> Self {
        Self { weight: uniform([inputs, outputs], inputs, rng, device), bias: None }
    }

    /// `[N, inputs] -> [N, outputs]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = x.matmul(self.weight.val());
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        }
    }

    /// [`forward`](Self::forward) of the last axis in a graph, `[…, inputs] -> […, outputs]`.
    pub fn export(&self, graph: &mut Graph, name: &str, x: &Value) -> Value {
        graph.linear(name, x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}

/// A parameter from U(−1/√fan_in, 1/√fan_in), PyTorch's default for linear and convolution layers.
pub fn uniform<const R: usize>(
    shape: [usize; R],
    fan_in: usize,
    rng: &mut impl Rng,
    device: &Device,
) -> Param<Tensor<R>> {
    let bound = 1.0 / (fan_in as f32).sqrt();
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|_| rng.random_range(-bound..=bound)).collect();
    Param::from_data(TensorData::new(values, shape), device)
}

/// Replaces a parameter's values; its identity, device and whether it is trained stay.
///
/// # Panics
/// If `values` are not as many as the parameter has.
pub fn set<const R: usize>(parameter: &mut Param<Tensor<R>>, values: Vec<f32>) {
    *parameter = parameter.clone().map(|old| {
        let new = Tensor::from_data(TensorData::new(values, old.shape()), &old.device());
        if old.is_require_grad() { new.require_grad() } else { new }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use sarb_labels::random::{Stream, rng};

    #[test]
    fn initial_weights_fill_pytorchs_range_and_depend_on_the_seed_alone() {
        let device = Device::flex();
        let draw = |seed| Linear::new(25, 40, &mut rng(seed, Stream::Init, 0, 0), &device);
        let weights = draw(3).weight.val().into_data();
        weights.assert_eq(&draw(3).weight.val().into_data(), true);
        assert_ne!(weights, draw(4).weight.val().into_data());
        let weights = weights.try_to_vec::<f32>().expect("f32");
        assert!(weights.iter().all(|w| w.abs() <= 0.2), "1/√25 is 0.2");
        assert!(weights.iter().any(|w| *w > 0.19) && weights.iter().any(|w| *w < -0.19));
    }

    #[test]
    fn setting_values_keeps_the_parameter_trainable() {
        for device in [Device::flex(), Device::flex().autodiff()] {
            let mut layer = Linear::without_bias(2, 1, &mut rng(0, Stream::Init, 0, 0), &device);
            let id = layer.weight.id;
            set(&mut layer.weight, vec![2.0, 3.0]);
            let layer = layer.train();
            assert_eq!(layer.weight.id, id);
            let x = Tensor::<2>::from_data([[1.0, 10.0]], &device).autodiff();
            let y = layer.forward(x);
            assert_eq!(y.to_data().try_to_vec::<f32>().expect("f32"), [32.0]);
            let gradient = layer.weight.val().grad(&y.backward()).expect("the weight is trained");
            assert_eq!(gradient.into_data().try_to_vec::<f32>().expect("f32"), [1.0, 10.0]);
        }
    }
}
