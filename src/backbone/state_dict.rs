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
        }
    }

    /// The values, row by row.
    pub(crate) fn values(&self) -> Vec<f32> {
        let data = match self {
            Slot::Filters(param) => param.val().into_data(),
            Slot::Vector(param) => param.val().into_data(),
            Slot::Statistic(state) => state.value_sync().into_data(),
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
        let data = TensorData::new(values, self.shape());
        match self {
            Slot::Filters(param) => load(param, data),
            Slot::Vector(param) => load(param, data),
            Slot::Statistic(state) => {
                let device = state.value().device();
                *state = RunningState::new(Tensor::from_data(data, &device));
            }
        }
    }
}
