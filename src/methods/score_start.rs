//! Starting [`Ssgrl`] where a linear model already is: `start = "ridge"`.

use burn::tensor::{Tensor, TensorData};

use super::linear::{Calibrated, calibrated};
use super::pooled::pooled_features;
use super::ssgrl::{Represent, Ssgrl};
use super::{Reading, TrainSet};
use crate::nn::batch_norm::set_running;
use crate::nn::linear::set;
use crate::{Error, Result, ridge};

/// How steep the fuse layer passes a score on. tanh(x) is x up to x²/3, so scores up to four
/// standard deviations arrive within 1.5 %.
const SLOPE: f32 = 0.05;

/// Linear scores s_c = w_c · (mean over positions of x) + b_c of F-channel maps, and what the rest of
/// the representation may hold.
#[derive(Debug, Clone)]
pub struct LinearScores<'a> {
    /// w, `C · F` values row by row.
    pub directions: &'a [f32],
    /// b, `C` values.
    pub intercepts: &'a [f32],
    /// Leading principal directions, `(D − C) · F` values row by row.
    pub components: &'a [f32],
    /// Mean of a position's features, `F` values.
    pub mean: &'a [f32],
    /// Standard deviation over all positions of the response to each of the C directions, then to each
    /// of the D − C components, `D` values; with it the batch statistics of the first training step
    /// are the ones assumed here.
    pub deviations: &'a [f32],
}

impl Ssgrl {
    /// Starts from the calibrated ridge regression of [`linear`](super::linear) on the training data,
    /// with the leading principal directions of the pooled features as the other dimensions.
    pub(super) fn start_from_ridge(&mut self, train: &dyn TrainSet) -> Result<()> {
        let [channels, dim] = self.reduce.weight.dims();
        self.check_width()?;
        let features = pooled_features(train, channels)?;
        let ridge = ridge::fit(&features, &[channels], train.labels(), train.soft_labels(), false);
        let Calibrated { weight: directions, bias: intercepts, .. } = calibrated(&ridge, train.labels());
        let count = dim.saturating_sub(self.categories());
        let mut components = ridge::principal_components(&features, channels, count).components;
        // Fewer features than dimensions: the rest stays as it was drawn.
        let drawn =
            self.reduce.weight.val().transpose().into_data().try_into_vec::<f32>().expect("f32 weights");
        components.extend_from_slice(&drawn[components.len()..count * channels]);
        let rows = [&*directions, &components].concat();
        let (mean, deviations) = position_moments(train, &rows, channels)?;
        self.start_from_scores(&LinearScores {
            directions: &directions,
            intercepts: &intercepts,
            components: &components,
            mean: &mean,
            deviations: &deviations,
        })
    }

    /// Sets the weights such that, in evaluation, the network's scores are `scores`, up to the
    /// curvature of tanh.
    ///
    /// Dimension c of a representation is the score of category c in standard deviations, the others
    /// are principal directions; attention starts uniform (w₄ = 0), which is mean pooling; of the
    /// fuse layer the first C outputs pass those scores on and ignore the graph, the others stay
    /// random and unread. Everything that starts at 0 has a gradient.
    ///
    /// # Errors
    /// If D is less than C.
    ///
    /// # Panics
    /// If a slice has another length than its description says.
    pub fn start_from_scores(&mut self, scores: &LinearScores) -> Result<()> {
        let [channels, dim] = self.reduce.weight.dims();
        let categories = self.categories();
        self.check_width()?;
        assert_eq!(scores.directions.len(), categories * channels, "directions");
        assert_eq!(scores.components.len(), (dim - categories) * channels, "components");
        assert_eq!(scores.deviations.len(), dim, "deviations");
        // A response that does not vary, such as that of a category without labels, is left as it is.
        let deviations: Vec<f32> = scores.deviations.iter().map(|&d| if d > 0.0 { d } else { 1.0 }).collect();
        let rows = [scores.directions, scores.components].concat();
        let offsets: Vec<f32> = rows.chunks_exact(channels).map(|row| dot(row, scores.mean)).collect();

        let mut reduce = vec![0.0; channels * dim];
        for (d, row) in rows.chunks_exact(channels).enumerate() {
            for (channel, weight) in row.iter().enumerate() {
                reduce[channel * dim + d] = weight / deviations[d];
            }
        }
        set(&mut self.reduce.weight, reduce);
        let means: Vec<f32> = offsets.iter().zip(&deviations).map(|(offset, d)| offset / d).collect();
        set_running(&self.norm.running_mean, &means);
        set_running(&self.norm.running_var, &vec![1.0; dim]);
        set(&mut self.norm.weight, vec![1.0; dim]);
        set(&mut self.norm.bias, vec![0.0; dim]);

        let Represent::Decoupling(decoupling) = &mut self.pool else {
            return Err(Error::Recipe(
                "method.representation is \"attention\"; start = \"ridge\" needs \"decoupling\", whose attention can start uniform".into(),
            ));
        };
        let joint = decoupling.fc4.weight.dims()[0];
        set(&mut decoupling.fc4.weight, vec![0.0; joint]);

        let mut fuse = self.fuse.weight.val().into_data().try_into_vec::<f32>().expect("f32 weights");
        for input in 0..2 * dim {
            for category in 0..categories {
                let passes = input == dim + category;
                fuse[input * dim + category] = if passes { SLOPE } else { 0.0 };
            }
        }
        set(&mut self.fuse.weight, fuse);
        let bias = self.fuse.bias.as_mut().expect("the fuse layer has a bias");
        let mut fuse_bias = bias.val().into_data().try_into_vec::<f32>().expect("f32 biases");
        fuse_bias[..categories].fill(0.0);
        set(bias, fuse_bias);

        let mut weights = vec![0.0; categories * dim];
        for (category, deviation) in deviations.iter().take(categories).enumerate() {
            weights[category * dim + category] = deviation / SLOPE;
        }
        set(&mut self.classifiers.weight, weights);
        let biases = scores.intercepts.iter().zip(&offsets).map(|(intercept, offset)| intercept + offset);
        set(&mut self.classifiers.bias, biases.collect());
        Ok(())
    }

    fn check_width(&self) -> Result<()> {
        let (dim, categories) = (self.dim(), self.categories());
        if dim >= categories {
            return Ok(());
        }
        Err(Error::Recipe(format!(
            "method.network.dim is {dim}; start = \"ridge\" needs one dimension per category, at least {categories}"
        )))
    }
}

/// Mean of a position's features, and the standard deviation over all positions of the response to
/// each of `rows`, `R · F` values.
fn position_moments(train: &dyn TrainSet, rows: &[f32], channels: usize) -> Result<(Vec<f32>, Vec<f32>)> {
    let mut sums = vec![0.0f64; channels];
    let mut squares = vec![0.0f64; rows.len() / channels];
    let mut responses = vec![0.0f64; rows.len() / channels];
    let mut positions = 0;
    let directions = TensorData::new(rows.to_vec(), [rows.len() / channels, channels]);
    train.for_each_maps(Reading::Clean, &mut |_, maps| {
        let [batch, _, height, width] = maps.dims();
        positions += batch * height * width;
        let features = maps.permute([0, 2, 3, 1]).reshape([batch * height * width, channels]);
        let directions = Tensor::<2>::from_data(directions.clone(), &features.device());
        let response = features.clone().matmul(directions.transpose()); // [B·P, R]
        add(&mut sums, features.sum_dim(0));
        add(&mut squares, response.clone().powi_scalar(2).sum_dim(0));
        add(&mut responses, response.sum_dim(0));
        Ok(())
    })?;
    let n = positions.max(1) as f64;
    let deviation = |(square, sum): (&f64, &f64)| (square / n - (sum / n).powi(2)).max(0.0).sqrt() as f32;
    Ok((
        sums.iter().map(|sum| (sum / n) as f32).collect(),
        squares.iter().zip(&responses).map(deviation).collect(),
    ))
}

fn add(sums: &mut [f64], values: Tensor<2>) {
    for (sum, value) in sums.iter_mut().zip(values.into_data().iter::<f32>()) {
        *sum += f64::from(value);
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "mean");
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::super::Method;
    use super::super::knowledge::CategoryKnowledge;
    use super::super::network_recipe::NetworkRecipe;
    use super::super::ssgrl::tests::{batch, knowledge, maps, small};
    use super::*;
    use crate::batch::Progress;
    use crate::loss::normalization::Normalization;
    use burn::module::Module;
    use burn::tensor::{Device, Tensor};
    use rand::RngExt;
    use sarb_labels::LabelMatrix;
    use sarb_labels::random::{Stream, rng};

    const CHANNELS: usize = 8;
    const IMAGES: usize = 20;

    /// Random directions with the true mean and deviations of the features in `maps`.
    struct Fitted {
        rows: Vec<f32>,
        mean: Vec<f32>,
        deviations: Vec<f32>,
        intercepts: [f32; 5],
    }

    impl Fitted {
        fn new(maps: &Tensor<4>) -> Self {
            let values = maps.to_data().try_to_vec::<f32>().expect("f32");
            let features: Vec<Vec<f32>> = (0..IMAGES * 4)
                .map(|p| (0..CHANNELS).map(|f| values[(p / 4 * CHANNELS + f) * 4 + p % 4]).collect())
                .collect();
            let average = |of: &dyn Fn(&[f32]) -> f32| {
                features.iter().map(|x| of(x)).sum::<f32>() / features.len() as f32
            };
            let mut random = rng(2, Stream::Synthetic, 0, 0);
            let rows: Vec<f32> = (0..12 * CHANNELS).map(|_| random.random_range(-1.0..1.0)).collect();
            let deviations = rows.chunks_exact(CHANNELS).map(|row| {
                let mean = average(&|x| dot(row, x));
                average(&|x| (dot(row, x) - mean).powi(2)).sqrt()
            });
            Self {
                deviations: deviations.collect(),
                mean: (0..CHANNELS).map(|f| average(&|x| x[f])).collect(),
                intercepts: [0.5, -2.0, 0.0, 1.0, -0.5],
                rows,
            }
        }

        fn scores(&self) -> LinearScores<'_> {
            let (directions, components) = self.rows.split_at(5 * CHANNELS);
            LinearScores {
                directions,
                intercepts: &self.intercepts,
                components,
                mean: &self.mean,
                deviations: &self.deviations,
            }
        }

        /// The linear scores, worked out from their definition.
        fn expected(&self, maps: &Tensor<4>) -> Vec<f32> {
            let values = maps.to_data().try_to_vec::<f32>().expect("f32");
            let pooled =
                |image: usize, f: usize| values[(image * CHANNELS + f) * 4..][..4].iter().sum::<f32>() / 4.0;
            let score = |image: usize, c: usize| {
                let of = |f| self.rows[c * CHANNELS + f] * pooled(image, f);
                (0..CHANNELS).map(of).sum::<f32>() + self.intercepts[c]
            };
            (0..IMAGES).flat_map(|image| (0..5).map(move |c| score(image, c)).collect::<Vec<_>>()).collect()
        }
    }

    /// Largest difference from the linear scores, relative to their spread.
    fn error(logits: Tensor<2>, expected: &[f32]) -> f32 {
        let logits = logits.into_data().try_to_vec::<f32>().expect("f32");
        let largest = expected.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        logits.iter().zip(expected).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f32::max)
    }

    #[test]
    fn scores_right_after_the_start_are_the_linear_ones() {
        let device = Device::flex().autodiff();
        let maps = maps(IMAGES, &device);
        let fitted = Fitted::new(&maps);
        let mut network = Ssgrl::new(&small(), CHANNELS, &knowledge(), 0, &device);
        network.start_from_scores(&fitted.scores()).expect("12 dimensions for 5 categories");
        let expected = fitted.expected(&maps);
        let evaluated = error(network.valid().forward(maps.clone().inner()), &expected);
        assert!(evaluated < 0.02, "evaluation is off by {evaluated}");
        // All images in one batch: its statistics are those of the data.
        let trained = error(network.forward(maps), &expected);
        assert!(trained < 0.02, "training mode is off by {trained}");
    }

    #[test]
    fn every_parameter_that_matters_moves_from_the_start() {
        let device = Device::flex().autodiff();
        let maps = maps(IMAGES, &device);
        let mut network = Ssgrl::new(&small(), CHANNELS, &knowledge(), 0, &device);
        network.start_from_scores(&Fitted::new(&maps).scores()).expect("12 dimensions for 5 categories");
        let labels: Vec<i8> = (0..IMAGES * 5).map(|i| (i % 3) as i8 - 1).collect();
        let batch = batch(&maps, LabelMatrix::from_values(5, &labels));
        let at = Progress { seed: 0, epoch: 0, step: 0, steps: 1 };
        let gradients = network.loss(maps, &batch, Normalization::default(), at).total().backward();
        let moves = |w: Tensor<2>| w.abs().sum().into_scalar::<f32>() > 0.0;
        let gradient = |w: Tensor<2>| w.grad(&gradients).expect("tracked");
        assert!(moves(gradient(network.reduce.weight.val())), "reduction");
        let Represent::Decoupling(decoupling) = &network.pool else { panic!("decoupling") };
        assert!(moves(gradient(decoupling.fc4.weight.val())), "attention");
        assert!(moves(gradient(network.classifiers.weight.val())), "classifiers");
        let from_graph = gradient(network.fuse.weight.val()).slice([0..12, 0..5]);
        assert!(moves(from_graph), "what the passed-on scores take from the graph, 0 at first");
    }

    #[test]
    fn fewer_dimensions_than_categories_are_refused() {
        let recipe = NetworkRecipe { dim: 4, ..small() };
        let knowledge: CategoryKnowledge = knowledge();
        let mut network = Ssgrl::new(&recipe, CHANNELS, &knowledge, 0, &Device::flex());
        let scores =
            LinearScores { directions: &[], intercepts: &[], components: &[], mean: &[], deviations: &[] };
        let message = network.start_from_scores(&scores).unwrap_err().to_string();
        assert!(message.contains("dim is 4") && message.contains("at least 5"), "{message}");
    }
}
