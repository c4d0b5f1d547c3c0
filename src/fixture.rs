//! Reads the parity fixtures in tests.

use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;
use sarb_labels::LabelMatrix;

/// Relative to the largest entry of a tensor, as the fixtures' README asks of a CPU.
pub const TOLERANCE: f32 = 1e-5;
/// Of a GPU, whose products may be of shorter numbers.
const GPU_TOLERANCE: f32 = 1e-3;

/// Where the fixtures are computed: on the CPU, or on the device that `SARB_TEST_DEVICE` names (docs/gpu.md).
pub fn device() -> Device {
    device_name().map_or_else(Device::flex, |name| crate::device::open(&name).expect("SARB_TEST_DEVICE"))
}

fn device_name() -> Option<String> {
    std::env::var("SARB_TEST_DEVICE").ok()
}

/// A safetensors file of f32 tensors.
pub struct Fixture<'a>(SafeTensors<'a>);

impl<'a> Fixture<'a> {
    /// Of the bytes of a file.
    pub fn read(bytes: &'a [u8]) -> Self {
        Self(SafeTensors::deserialize(bytes).expect("a fixture"))
    }

    /// Values and shape of a tensor.
    pub fn entry(&self, name: &str) -> (Vec<f32>, Vec<usize>) {
        let view = self.0.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(view.dtype(), safetensors::Dtype::F32, "{name}");
        let (values, _) = view.data().as_chunks::<4>();
        (values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(), view.shape().to_vec())
    }

    /// Sizes of the axes of a tensor; every size of a test comes from its file.
    pub fn shape<const R: usize>(&self, name: &str) -> [usize; R] {
        let view = self.0.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        view.shape().try_into().unwrap_or_else(|_| panic!("{name}: shape {:?}", view.shape()))
    }

    /// Values row by row.
    pub fn values(&self, name: &str) -> Vec<f32> {
        self.entry(name).0
    }

    /// Whole numbers row by row.
    pub fn integers(&self, name: &str) -> Vec<i64> {
        let view = self.0.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(view.dtype(), safetensors::Dtype::I64, "{name}");
        view.data().as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()
    }

    /// A tensor in the shape of the file.
    pub fn tensor<const R: usize>(&self, name: &str, device: &Device) -> Tensor<R> {
        let (values, shape) = self.entry(name);
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// A linear weight, which PyTorch stores transposed: `[outputs, inputs]` (a 1×1 convolution's has
    /// two axes of length 1 more) `-> [inputs, outputs]`.
    pub fn transposed(&self, name: &str) -> Vec<f32> {
        let (values, shape) = self.entry(name);
        let (outputs, inputs) = (shape[0], shape[1]);
        (0..inputs).flat_map(|i| (0..outputs).map(|o| values[o * inputs + i]).collect::<Vec<_>>()).collect()
    }

    /// Labels −1 / 0 / +1, `[N, C]`.
    pub fn labels(&self, name: &str) -> LabelMatrix {
        let (values, shape) = self.entry(name);
        LabelMatrix::from_values(shape[1], &values.iter().map(|&y| y as i8).collect::<Vec<_>>())
    }

    /// How many tensors have names that start so.
    pub fn count(&self, prefix: &str) -> usize {
        self.0.names().iter().filter(|name| name.starts_with(prefix)).count()
    }

    /// Fails unless a loss of the file's `logits` and labels `target`, and its gradient, are the file's `loss.NAME`
    /// and `grad.NAME`.
    pub fn assert_loss(&self, name: &str, loss: impl FnOnce(Tensor<2>, &LabelMatrix) -> Tensor<1>) {
        let logits = self.tensor::<2>("logits", &device().autodiff()).require_grad();
        let loss = loss(logits.clone(), &self.labels("target"));
        let gradients = loss.backward();
        self.assert_equals(&format!("loss.{name}"), loss);
        self.assert_equals(&format!("grad.{name}"), logits.grad(&gradients).expect("tracked"));
    }

    /// Fails unless `ours` is the file's tensor.
    pub fn assert_equals<const R: usize>(&self, name: &str, ours: Tensor<R>) {
        let ours = ours.into_data().try_into_vec::<f32>().expect("f32");
        assert_close(name, &ours, &self.values(name), TOLERANCE);
    }
}

/// Fails unless all values are equal within `tolerance` of the largest.
pub fn assert_close(name: &str, ours: &[f32], official: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), official.len(), "{name}");
    let tolerance = if device_name().is_some() { tolerance.max(GPU_TOLERANCE) } else { tolerance };
    let largest = official.iter().fold(f32::MIN_POSITIVE, |a, b| a.max(b.abs()));
    let difference = ours.iter().zip(official).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference <= tolerance * largest, "{name}: off by {difference}, largest entry {largest}");
}
