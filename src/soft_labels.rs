//! Labels that are not known but probable: what a run filled in, with how sure it was.
//!
//! The loss of a label that is there with probability p is p times the loss if it is there plus 1 − p times the
//! loss if it is not. For the BCE that is the BCE with the target p; for the squared error of ridge regression it is, up to
//! a constant, that with the target 2p − 1.

use burn::tensor::{Device, Tensor, TensorData};

/// For each of N images the categories whose label is probable, and the probability that they are there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SoftLabels {
    /// Where the cells of each image end; empty where there are none at all.
    ends: Vec<usize>,
    /// Category and probability, ascending within an image.
    cells: Vec<(u32, f32)>,
}

impl SoftLabels {
    /// Of `images` images; `cells` are row, category and the probability in (0, 1) that the category is there.
    ///
    /// # Panics
    /// If a row is not below `images`.
    pub fn new(images: usize, mut cells: Vec<(usize, usize, f32)>) -> Self {
        if cells.is_empty() {
            return Self::default();
        }
        cells.sort_unstable_by_key(|&(row, category, _)| (row, category));
        let mut ends = vec![0; images];
        cells.iter().for_each(|&(row, ..)| ends[row] += 1);
        let mut end = 0;
        ends.iter_mut().for_each(|count| {
            end += *count;
            *count = end;
        });
        let cells = cells.into_iter().map(|(_, category, probability)| (category as u32, probability));
        Self { ends, cells: cells.collect() }
    }

    /// None at all.
    pub fn none() -> &'static Self {
        static NONE: SoftLabels = SoftLabels { ends: Vec::new(), cells: Vec::new() };
        &NONE
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Of how many images; 0 where there are none at all.
    pub fn images(&self) -> usize {
        self.ends.len()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.cells.len()
    }

    /// Those of an image: categories, ascending, and their probabilities.
    pub fn row(&self, image: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        let cells = match self.ends.get(image) {
            None => &[],
            Some(&end) => &self.cells[if image == 0 { 0 } else { self.ends[image - 1] }..end],
        };
        cells.iter().map(|&(category, probability)| (category as usize, probability))
    }

    /// That of one cell.
    pub fn get(&self, image: usize, category: usize) -> Option<f32> {
        self.row(image).find_map(|(own, probability)| (own == category).then_some(probability))
    }

    /// Those of some images, in this order.
    pub fn select(&self, images: &[usize]) -> Self {
        let rows = images.iter().enumerate();
        let cells = rows.flat_map(|(row, &image)| self.row(image).map(move |(c, p)| (row, c, p)));
        Self::new(images.len(), cells.collect())
    }

    /// `targets` of the known labels of these images, `[B, C]`, and the probabilities where they say nothing.
    pub fn beside(&self, targets: Tensor<2>) -> Tensor<2> {
        if self.is_empty() {
            return targets;
        }
        let unsaid = targets.clone().detach().equal_elem(0.0).float();
        let soft = self.tensor(targets.dims(), &targets.device());
        targets + soft * unsaid
    }

    /// The probabilities, 0 where there is none, `[B, C]`.
    fn tensor(&self, [images, categories]: [usize; 2], device: &Device) -> Tensor<2> {
        let mut values = vec![0.0; images * categories];
        for image in 0..images {
            self.row(image).for_each(|(category, p)| values[image * categories + category] = p);
        }
        Tensor::from_data(TensorData::new(values, [images, categories]), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> SoftLabels {
        SoftLabels::new(4, vec![(2, 1, 0.9), (0, 2, 0.2), (2, 0, 0.4)])
    }

    #[test]
    fn each_image_has_its_own() {
        let soft = some();
        assert_eq!(soft.row(0).collect::<Vec<_>>(), [(2, 0.2)]);
        assert_eq!(soft.row(2).collect::<Vec<_>>(), [(0, 0.4), (1, 0.9)]);
        assert!([1, 3, 4].iter().all(|&image| soft.row(image).next().is_none()));
        assert_eq!((soft.get(2, 1), soft.get(2, 2), soft.count()), (Some(0.9), None, 3));
        let selected = soft.select(&[2, 3, 0]);
        assert_eq!(selected, SoftLabels::new(3, vec![(0, 0, 0.4), (0, 1, 0.9), (2, 2, 0.2)]));
        assert_eq!(soft.select(&[1, 3]), SoftLabels::default());
    }

    #[test]
    fn they_are_targets_where_nothing_is_known_and_nowhere_else() {
        let targets = Tensor::<2>::from_data([[1.0, -1.0, 0.0], [0.0, 0.25, 0.0]], &Device::flex());
        let soft = SoftLabels::new(2, vec![(0, 1, 0.9), (0, 2, 0.2), (1, 0, 0.7), (1, 1, 0.9)]);
        let both = soft.beside(targets).into_data().try_to_vec::<f32>().expect("f32");
        assert_eq!(both, [1.0, -1.0, 0.2, 0.7, 0.25, 0.0]);
    }
}
