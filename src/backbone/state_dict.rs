//! The tensors of a network under their official names.

use burn::module::{Param, RunningState};
use burn::tensor::{Tensor, TensorData};

/// One tensor of a network, to be read or replaced.
#[derive(Debug)]
pub(crate) enum Slot<'a> {
    /// Filters of a convolution, `[out, in, k, k]`.
    Filters(&'a mut Param<Tensor<4>>),
    /// A trained value a channel, `[C]`.
    Vector(&'a mut Param<Tensor<1>>),
    /// A running statistic of batch normalization, `[C]`.
    Statistic(&'a mut RunningState<Tensor<1>>),
    /// A matrix as it is.
    Matrix(&'a mut Param<Tensor<2>>),
    /// A matrix that is not trained.
    FixedMatrix(&'a mut RunningState<Tensor<2>>),
    /// The weights of a linear layer: `[in, out]` here, `[out, in]` in PyTorch.
    Linear(&'a mut Param<Tensor<2>>),
    /// The same where PyTorch has a 1×1 convolution, `[out, in, 1, 1]`.
    Pointwise(&'a mut Param<Tensor<2>>),
}

/// What is shown every tensor of a network with its official name.
pub(crate) type Visit<'a> = dyn FnMut(String, Slot<'_>) + 'a;

impl Slot<'_> {
    /// The shape; does not draw random weights that were not needed yet.
    pub(crate) fn shape(&self) -> Vec<usize> {
        match self {
            Slot::Filters(param) => param.lazy_shape().to_vec(),
            Slot::Vector(param) => param.lazy_shape().to_vec(),
            Slot::Statistic(state) => state.value().dims().to_vec(),
            Slot::Matrix(param) => param.lazy_shape().to_vec(),
            Slot::FixedMatrix(state) => state.value().dims().to_vec(),
            Slot::Linear(param) => param.lazy_shape().iter().rev().copied().collect(),
            Slot::Pointwise(param) => param.lazy_shape().iter().rev().copied().chain([1, 1]).collect(),
        }
    }

    /// The values, row by row.
    pub(crate) fn values(&self) -> Vec<f32> {
        let data = match self {
            Slot::Filters(param) => param.val().into_data(),
            Slot::Vector(param) => param.val().into_data(),
            Slot::Statistic(state) => state.value_sync().into_data(),
            Slot::Matrix(param) => param.val().into_data(),
            Slot::FixedMatrix(state) => state.value_sync().into_data(),
            Slot::Linear(param) | Slot::Pointwise(param) => param.val().transpose().into_data(),
        };
        data.try_into_vec().expect("weights are f32 tensors")
    }

    /// Replaces the values; whether they are trained and where they live stays.
    ///
    /// # Panics
    /// If the number of values is not the shape's.
    pub(crate) fn assign(self, values: Vec<f32>) {
        fn load<const D: usize>(param: &mut Param<Tensor<D>>, data: TensorData) {
            let device = param.lazy_device();
            let fresh = param.clone();
            *param = fresh.transform_for_load(Tensor::from_data(data, &device), param.id);
        }
        fn replace<const D: usize>(state: &mut RunningState<Tensor<D>>, data: TensorData) {
            let device = state.value().device();
            *state = RunningState::new(Tensor::from_data(data, &device));
        }
        let data = TensorData::new(values, self.shape());
        match self {
            Slot::Filters(param) => load(param, data),
            Slot::Vector(param) => load(param, data),
            Slot::Statistic(state) => replace(state, data),
            Slot::Matrix(param) => load(param, data),
            Slot::FixedMatrix(state) => replace(state, data),
            Slot::Linear(param) | Slot::Pointwise(param) => {
                let [inputs, outputs] = param.lazy_shape().dims();
                let values: Vec<f32> = data.try_into_vec().expect("just made of floats");
                let turned = (0..inputs * outputs).map(|at| values[at % outputs * inputs + at / outputs]);
                load(param, TensorData::new(turned.collect::<Vec<f32>>(), [inputs, outputs]));
            }
        }
    }
}
