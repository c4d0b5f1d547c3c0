//! The gradients of a batch that several ranks share: summed in the order of the ranks, so that all of them take the
//! same step.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};

use crate::batch::Losses;
use crate::model::Model;
use crate::ranks::share::{share, sum_at_the_end};

/// Gradients and loss terms of the whole batch, from those of this rank's part; as they are without other ranks.
pub fn of_all_ranks(gradients: GradientsParams, losses: Losses, model: &Model) -> (GradientsParams, Losses) {
    if share().is_none() {
        return (gradients, losses);
    }
    let mut taken = Taken { gradients, values: Vec::new(), present: Vec::new() };
    model.visit(&mut taken);
    let Taken { gradients, mut values, present } = taken;
    let (weights, parameters) = (values.len(), present.len());
    values.extend(present.iter().map(|&present| f32::from(u8::from(present))));
    values.extend(losses.terms().map(|(_, value)| value.clone().into_scalar::<f32>()));
    let values = sum_at_the_end(values);
    let losses = losses.with_values(&values[weights + parameters..]);
    let present = &values[weights..weights + parameters];
    let mut given = Given { gradients, values: &values[..weights], present };
    model.visit(&mut given);
    (given.gradients, losses)
}

/// Takes the values of the gradients out, one parameter after the other.
struct Taken {
    gradients: GradientsParams,
    values: Vec<f32>,
    /// Whether each parameter has a gradient: on another rank it may have one.
    present: Vec<bool>,
}

impl ModuleVisitor for Taken {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if !parameter.is_require_grad() {
            return;
        }
        let gradient = self.gradients.remove::<D>(parameter.id);
        self.present.push(gradient.is_some());
        match gradient {
            Some(gradient) => {
                let data = gradient.into_data();
                self.values.extend_from_slice(data.as_slice::<f32>().expect("gradients are f32"));
            }
            None => {
                let count = parameter.shape().num_elements();
                self.values.resize(self.values.len() + count, 0.0);
            }
        }
    }
}

/// Puts gradients of all parameters in that any rank has one of.
struct Given<'a> {
    gradients: GradientsParams,
    values: &'a [f32],
    present: &'a [f32],
}

impl ModuleVisitor for Given<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if !parameter.is_require_grad() {
            return;
        }
        let (present, rest) = self.present.split_first().expect("a mark for each parameter");
        self.present = rest;
        let shape = parameter.shape();
        let (values, rest) = self.values.split_at(shape.num_elements());
        self.values = rest;
        if *present > 0.0 {
            let gradient = TensorData::new(values.to_vec(), shape);
            let device = parameter.val().inner().device();
            self.gradients.register(parameter.id, Tensor::<D>::from_data(gradient, &device));
        }
    }
}
