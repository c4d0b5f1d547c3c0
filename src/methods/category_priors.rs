//! How high a network's scores of each category are on average, as `csl` measures it while it trains: a category
//! of many high scores is probably there in many images without a label.

use crate::{Error, Result};

/// The mean probability of every category over the images seen so far.
#[derive(Debug, Clone, PartialEq)]
pub struct CategoryPriors {
    images: u64,
    /// Of p, C values.
    sums: Vec<f64>,
}

impl CategoryPriors {
    /// Of no image yet.
    pub fn none(categories: usize) -> Self {
        Self { images: 0, sums: vec![0.0; categories] }
    }

    /// C.
    pub fn categories(&self) -> usize {
        self.sums.len()
    }

    /// Whether no image was seen yet.
    pub fn is_empty(&self) -> bool {
        self.images == 0
    }

    /// Takes in the probabilities of some images, row by row.
    pub fn add(&mut self, probabilities: &[f32]) {
        for row in probabilities.chunks_exact(self.sums.len()) {
            self.images += 1;
            self.sums.iter_mut().zip(row).for_each(|(sum, &p)| *sum += f64::from(p));
        }
    }

    /// Whether the mean of each category is above `eta`; none is before the first image.
    pub fn above(&self, eta: f64) -> Vec<bool> {
        self.sums.iter().map(|&sum| sum > eta * self.images as f64).collect()
    }

    /// For the checkpoint: the number of images, then the sums, 8 bytes each.
    pub fn to_bytes(&self) -> Vec<u8> {
        let sums = self.sums.iter().flat_map(|sum| sum.to_le_bytes());
        self.images.to_le_bytes().into_iter().chain(sums).collect()
    }

    /// What [`to_bytes`](Self::to_bytes) gave, of so many categories.
    ///
    /// # Errors
    /// [`Error::Data`] if it is something else.
    pub fn from_bytes(categories: usize, bytes: &[u8]) -> Result<Self> {
        let wrong = || Error::Data("the priors of the checkpoint cannot be read".into());
        let (images, sums) = bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
        let (sums, rest) = sums.as_chunks::<8>();
        let sums: Vec<f64> = sums.iter().map(|sum| f64::from_le_bytes(*sum)).collect();
        let priors = Self { images: u64::from_le_bytes(*images), sums };
        let possible = priors.sums.iter().all(|sum| (0.0..=priors.images as f64).contains(sum));
        let whole = priors.categories() == categories && rest.is_empty();
        if whole && possible { Ok(priors) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, TOLERANCE, assert_close};

    #[test]
    fn means_are_those_of_all_images_however_they_come() {
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/csl.safetensors"));
        let [images, categories] = fixture.shape("p");
        let mut priors = CategoryPriors::none(categories);
        assert!(priors.is_empty() && priors.above(0.0) == vec![false; categories]);
        let p = fixture.values("p");
        priors.add(&p[..2 * categories]);
        priors.add(&p[2 * categories..]);
        assert_eq!(priors.images, images as u64);
        let means: Vec<f32> = priors.sums.iter().map(|sum| (sum / images as f64) as f32).collect();
        assert_close("prior", &means, &fixture.values("prior"), TOLERANCE);
    }

    #[test]
    fn bytes_read_back_equal_and_others_are_refused() {
        let priors = CategoryPriors { images: 4, sums: vec![4.0, 0.5] };
        assert_eq!(priors.above(0.125), [true, false], "0.5 / 4 is not above");
        let bytes = priors.to_bytes();
        assert_eq!(CategoryPriors::from_bytes(2, &bytes).unwrap(), priors);
        let beyond = CategoryPriors { images: 1, sums: vec![2.0, 0.0] }.to_bytes();
        let no_number = CategoryPriors { images: 1, sums: vec![f64::NAN, 0.0] }.to_bytes();
        for damaged in [&bytes[..5], &bytes[..16], &bytes[..20], &beyond, &no_number] {
            assert!(CategoryPriors::from_bytes(2, damaged).is_err(), "{damaged:?}");
        }
    }
}
