//! Global average pooling, as the plain heads read a feature map.

use burn::tensor::Tensor;

use super::{Exported, Reading, TrainSet};
use crate::onnx::graph::{Graph, Sliding, Value};
use crate::{Error, Result};

/// The mean over positions, `[B, F, H, W] -> [B, F]`.
pub fn pooled(maps: Tensor<4>) -> Tensor<2> {
    let [batch, channels, ..] = maps.dims();
    maps.mean_dims(&[2, 3]).reshape([batch, channels])
}

/// Pooled features of all training examples, `N × F` row by row.
pub fn pooled_features(train: &dyn TrainSet, channels: usize) -> Result<Vec<f32>> {
    let mut features = vec![0.0; train.labels().images() * channels];
    train.for_each_maps(Reading::Clean, &mut |rows, maps| {
        let values: Vec<f32> = pooled(maps).into_data().iter::<f32>().collect();
        for (&row, values) in rows.iter().zip(values.chunks_exact(channels)) {
            if let Some(channel) = values.iter().position(|value| !value.is_finite()) {
                return Err(Error::Data(format!(
                    "the feature of training example {} (counted from 1) in channel {channel} is {}; \
                     expected a finite number",
                    row + 1,
                    values[channel]
                )));
            }
            features[row * channels..(row + 1) * channels].copy_from_slice(values);
        }
        Ok(())
    })?;
    Ok(features)
}

/// The logit that each position alone would give, `[B, F, H, W], [F, C] -> [B, C, H·W]`.
pub fn class_activation(maps: Tensor<4>, weight: Tensor<2>) -> Tensor<3> {
    let positions = maps.flatten::<3>(2, 3).swap_dims(1, 2); // [B, P, F]
    positions.matmul(weight.unsqueeze()).swap_dims(1, 2)
}

/// [`class_activation`] in a graph, `[F, H, W], [F, C] -> [C, H·W]`.
pub fn export_class_activation(graph: &mut Graph, maps: &Value, weight: Tensor<2>) -> Value {
    let [channels, height, width] = maps.sizes();
    let categories = weight.dims()[1];
    let filters = graph.tensor("class_maps", weight.transpose().reshape([categories, channels, 1, 1]));
    let how = Sliding { kernel: 1, stride: 1, padding: [(0, 0); 2], groups: 1 };
    let class_maps = graph.convolution(maps, &filters, None, how);
    graph.reshaped(&class_maps, &[categories, height * width])
}

/// A linear layer on the mean over positions and what each position gives, in a graph; weights `[F, C]`, bias `[C]`.
pub fn export_pooled_linear(graph: &mut Graph, maps: &Value, weight: Tensor<2>, bias: Tensor<1>) -> Exported {
    let pooled = graph.over("ReduceMean", maps, &[1, 2]);
    Exported {
        logits: graph.linear("classifier", &pooled, weight.clone(), Some(bias)),
        attention: export_class_activation(graph, maps, weight),
    }
}
