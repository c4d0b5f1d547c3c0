//! Global average pooling, as the plain heads read a feature map.

use burn::tensor::Tensor;

use super::{Reading, TrainSet};
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
