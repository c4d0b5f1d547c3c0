//! Prototypes by place, of DSRB (Expert Systems with Applications 2024, as its published code has it): the mean
//! representation of a category's known positives that are seen in each quarter of the image.
//!
//! A category is seen where most is added to its representation f_c = Σ_p a_cp f_p: at the position p of the
//! largest m_p = a_cp Σ_d f_pd. Quadrants are counted row by row, the larger half of an odd side belongs to the
//! second. A quadrant without a positive takes the mean of the category's other prototypes; a category without
//! any positive has none (published code: it fails), and the mean of n representations is divided by n (published
//! code: by n + 1).

use burn::tensor::{Int, Tensor};
use sarb_labels::Label;

use super::{Reading, TrainSet};
use crate::{Error, Result};

/// Quadrants of an image.
pub const QUADRANTS: usize = 4;
/// Positives of which a prototype is the mean, at most: the first that are read.
pub const POSITIVES: usize = 100;

/// What a network in evaluation says of a batch: representations `[B, C, D]`, and what each position adds to them
/// in all, `[B, C, P]`.
pub type ByPosition = (Tensor<3>, Tensor<3>);

/// The quadrant in which every category is seen, `B · C` values; `added` is `[B, C, P]`, P = `height` · `width`.
pub fn seen_in(added: Tensor<3>, [height, width]: [usize; 2]) -> Vec<usize> {
    let positions: Tensor<3, Int> = added.argmax(2);
    let positions = positions.into_data();
    let quadrant = |position: i64| {
        let (row, column) = (position as usize / width, position as usize % width);
        2 * usize::from(row >= height / 2) + usize::from(column >= width / 2)
    };
    positions.iter::<i64>().map(quadrant).collect()
}

/// Prototypes of all categories, `C · 4 · D` values, and how many each has: 4, or 0 without a positive.
///
/// # Errors
/// [`Error::Recipe`] if maps have fewer than 2 × 2 positions; what reading an example says.
pub fn prototypes(
    represent: impl Fn(Tensor<4>) -> ByPosition,
    train: &dyn TrainSet,
    reading: Reading,
    [categories, dim]: [usize; 2],
) -> Result<(Vec<f32>, Vec<usize>)> {
    let mut means = Means::new(categories, dim, POSITIVES);
    train.for_each_maps(reading, &mut |rows, maps| {
        let [_, _, height, width] = maps.dims();
        if height < 2 || width < 2 {
            return Err(Error::Recipe(format!(
                "method.prototypes is \"quadrants\", but feature maps have {height} × {width} positions; expected 2 × 2 or more, as with backbone.pool = false"
            )));
        }
        let (representations, added) = represent(maps);
        let quadrants = seen_in(added, [height, width]);
        let values = representations.into_data();
        let values = values.as_slice::<f32>().expect("f32 tensors hold f32").chunks_exact(dim);
        let labels = rows.iter().flat_map(|&row| train.labels().row(row));
        for (cell, ((label, values), quadrant)) in labels.zip(values).zip(quadrants).enumerate() {
            if label == Label::Positive {
                means.add(cell % categories, quadrant, values);
            }
        }
        Ok(())
    })?;
    Ok(means.prototypes())
}

/// Sums of representations by category and quadrant.
struct Means {
    dim: usize,
    most: usize,
    /// Of category c and quadrant q at c · 4 + q: D sums, and how many were added.
    cells: Vec<(Vec<f64>, usize)>,
}

impl Means {
    /// Of the first `most` representations of each quadrant.
    fn new(categories: usize, dim: usize, most: usize) -> Self {
        Self { dim, most, cells: vec![(vec![0.0; dim], 0); categories * QUADRANTS] }
    }

    fn add(&mut self, category: usize, quadrant: usize, representation: &[f32]) {
        let (sums, count) = &mut self.cells[category * QUADRANTS + quadrant];
        if *count < self.most {
            sums.iter_mut().zip(representation).for_each(|(sum, &value)| *sum += f64::from(value));
            *count += 1;
        }
    }

    fn prototypes(&self) -> (Vec<f32>, Vec<usize>) {
        let (mut values, mut filled) = (Vec::new(), Vec::new());
        for quadrants in self.cells.chunks_exact(QUADRANTS) {
            let own = |(sums, count): &(Vec<f64>, usize)| {
                (*count > 0).then(|| sums.iter().map(|sum| sum / *count as f64).collect::<Vec<f64>>())
            };
            let own: Vec<Option<Vec<f64>>> = quadrants.iter().map(own).collect();
            let found = own.iter().flatten().count();
            let mean =
                |place: usize| own.iter().flatten().map(|own| own[place]).sum::<f64>() / found.max(1) as f64;
            let others: Vec<f64> = (0..self.dim).map(mean).collect();
            let all = own.iter().flat_map(|own| own.as_ref().unwrap_or(&others));
            values.extend(all.map(|&value| value as f32));
            filled.push(if found > 0 { QUADRANTS } else { 0 });
        }
        (values, filled)
    }
}

/// One of the three other quadrants, by `draw` from 0 to 2.
pub fn other(quadrant: usize, draw: usize) -> usize {
    (quadrant + 1 + draw) % QUADRANTS
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use burn::tensor::activation::softmax;
    use sarb_labels::LabelMatrix;

    use super::super::blending::{blend_rows, one_unknown_mask, shared_by};
    use super::super::prototypes::tests::Memory;
    use super::*;
    use crate::fixture::{Fixture, TOLERANCE, assert_close};
    use crate::loss::normalization::Normalization;
    use crate::loss::partial_bce::partial_bce;

    /// a_c = softmax over p of u_c · f_p, f_c = Σ_p a_cp f_p; maps `[B, D, H, W]`, u `[C, D]`.
    fn by_position(maps: Tensor<4>, attend: Tensor<2>) -> ByPosition {
        let positions = maps.flatten::<3>(2, 3).swap_dims(1, 2); // [B, P, D]
        let attention = softmax(attend.unsqueeze::<3>().matmul(positions.clone().swap_dims(1, 2)), 2); // [B, C, P]
        let added = attention.clone() * positions.clone().sum_dim(2).swap_dims(1, 2);
        (attention.matmul(positions), added)
    }

    #[test]
    fn prototypes_blends_and_every_gradient_equal_their_restatement_in_pytorch() {
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/dsrb.safetensors"));
        let device = Device::flex().autodiff();
        let trained = |name: &str| fixture.tensor::<2>(name, &device).require_grad();
        let (attend, weight) = (trained("attend"), trained("weight"));
        let bias = fixture.tensor::<1>("bias", &device).require_grad();
        let beta = fixture.tensor::<1>("beta", &device).require_grad();
        let maps = fixture.tensor::<4>("maps", &device).require_grad();
        let [categories, dim] = attend.dims();

        let train = Memory {
            maps: fixture.tensor("train.maps", &Device::flex()),
            labels: fixture.labels("train.target"),
        };
        let fixed = attend.clone().inner();
        let represent = |maps: Tensor<4>| by_position(maps, fixed.clone());
        let (values, filled) = prototypes(represent, &train, Reading::Clean, [categories, dim]).unwrap();
        assert_close("prototypes", &values, &fixture.values("prototypes"), TOLERANCE);
        let counts: Vec<f32> = filled.iter().map(|&count| count as f32).collect();
        assert_eq!(counts, fixture.values("filled"), "one category has no positive");

        let [_, _, height, width] = maps.dims();
        let (clean, added) = by_position(maps.clone(), attend.clone());
        let whole = |name: &str| -> Vec<usize> {
            fixture.integers(name).into_iter().map(|number| number as usize).collect()
        };
        assert_eq!(seen_in(added, [height, width]), whole("seen_in"));
        let (labels, numbers) = (fixture.labels("target"), whole("numbers"));
        let has: Vec<bool> = filled.iter().map(|&count| count > 0).collect();
        let mask = one_unknown_mask(&labels, &has, &fixture.values("priority"));
        let table = fixture.tensor::<3>("prototypes", &device).flatten(0, 1);
        let row = |cell: usize| cell % categories * QUADRANTS + numbers[cell];
        let blended = blend_rows(&clean, &labels, &mask, table, row, beta.clone());
        fixture.assert_equals("targets", blended.targets.clone());
        let states = shared_by(&clean, [&blended]).to_tensor();
        fixture.assert_equals("representations", states.clone());

        let logits = (states * weight.clone().unsqueeze()).sum_dim(2).squeeze_dim::<2>(2);
        let loss = partial_bce(logits + bias.clone().unsqueeze(), blended.targets, Normalization::Supervised);
        let gradients = loss.backward();
        fixture.assert_equals("loss", loss);
        fixture.assert_equals("grad.attend", attend.grad(&gradients).expect("tracked"));
        fixture.assert_equals("grad.weight", weight.grad(&gradients).expect("tracked"));
        fixture.assert_equals("grad.bias", bias.grad(&gradients).expect("tracked"));
        fixture.assert_equals("grad.beta", beta.grad(&gradients).expect("tracked"));
        fixture.assert_equals("grad.maps", maps.grad(&gradients).expect("tracked"));
        assert_eq!(fixture.count("grad."), 5, "every gradient of the file");
    }

    #[test]
    fn the_quadrant_is_that_of_the_largest_sum_and_the_larger_half_comes_second() {
        // One category in as many images as positions, the largest at each of these.
        let seen = |at: &[usize], [height, width]: [usize; 2]| {
            let (images, positions) = (at.len(), height * width);
            let mut added = vec![0.0f32; images * positions];
            at.iter().enumerate().for_each(|(image, position)| added[image * positions + position] = 1.0);
            let added = burn::tensor::TensorData::new(added, [images, 1, positions]);
            seen_in(Tensor::<3>::from_data(added, &Device::flex()), [height, width])
        };
        assert_eq!(seen(&[0, 1, 2, 3, 4, 6, 9, 11], [3, 4]), [0, 0, 1, 1, 2, 3, 2, 3]);
        assert_eq!(seen(&[0, 1, 3, 5, 6, 11], [4, 3]), [0, 1, 0, 1, 2, 3]);
    }

    #[test]
    fn the_first_positives_make_the_mean_and_quadrants_without_any_take_that_of_the_others() {
        let mut means = Means::new(2, 1, 2);
        [(0, 1.0), (0, 3.0), (0, 100.0), (3, 8.0)].iter().for_each(|&(q, value)| means.add(0, q, &[value]));
        let (values, filled) = means.prototypes();
        assert_eq!(values, [2.0, 5.0, 5.0, 8.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(filled, [4, 0]);
    }

    #[test]
    fn another_quadrant_is_never_the_same_and_every_one_of_the_three() {
        for quadrant in 0..QUADRANTS {
            let mut others: Vec<usize> = (0..3).map(|draw| other(quadrant, draw)).collect();
            others.sort_unstable();
            let expected: Vec<usize> = (0..QUADRANTS).filter(|&q| q != quadrant).collect();
            assert_eq!(others, expected);
        }
    }

    #[test]
    fn maps_without_quadrants_are_refused() {
        let device = Device::flex();
        let maps = Tensor::<4>::ones([2, 3, 1, 5], &device);
        let train = Memory { maps, labels: LabelMatrix::unknown(2, 1) };
        let represent = |maps: Tensor<4>| by_position(maps, Tensor::ones([1, 3], &device));
        let message = prototypes(represent, &train, Reading::Clean, [1, 3]).unwrap_err().to_string();
        assert!(message.contains("1 × 5 positions; expected 2 × 2 or more"), "{message}");
    }
}
