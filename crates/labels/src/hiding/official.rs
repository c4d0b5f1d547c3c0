//! Hides labels exactly as the official data sets do.
//!
//! Official code: `np.random.seed(0); m = np.random.random(labels.shape); labels[m >= p] = 0`, with
//! NumPy's legacy MT19937. The masks of one seed are nested: what is known at 10 % is known at 20 %.

use rand_mt::Mt;

use crate::labels::LabelMatrix;

impl LabelMatrix {
    /// Keeps each label with probability `known` and makes the others unknown, `N × C -> N × C`.
    ///
    /// Reproduces the official partial labels bit for bit, given the same order of
    /// images and categories. Cells that are unknown already take part in the draw and stay unknown.
    ///
    /// # Panics
    /// If `known` is not in [0, 1].
    pub fn hide(&self, known: f64, seed: u32) -> Self {
        assert!((0.0..=1.0).contains(&known), "known is {known}, not a proportion in [0, 1]");
        let mut labels = self.clone();
        let mut uniform = NumpyUniform(Mt::new(seed));
        labels.retain(|_, _| uniform.draw() < known);
        labels
    }
}

/// `np.random.random` after `np.random.seed(seed)`.
struct NumpyUniform(Mt);

impl NumpyUniform {
    /// A number in [0, 1) of 53 bits (`genrand_res53`).
    fn draw(&mut self) -> f64 {
        let high = f64::from(self.0.next_u32() >> 5);
        let low = f64::from(self.0.next_u32() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Label;

    fn matrix(text: &str) -> LabelMatrix {
        let values: Vec<i8> =
            text.split_whitespace().flat_map(|row| row.split(',')).map(|v| v.parse().unwrap()).collect();
        LabelMatrix::from_values(20, &values)
    }

    #[test]
    fn seed_zero_draws_the_first_numbers_of_numpy() {
        // numpy: np.random.seed(0); np.random.random(3)
        let mut uniform = NumpyUniform(Mt::new(0));
        let first = [uniform.draw(), uniform.draw(), uniform.draw()];
        assert_eq!(first, [0.5488135039273248, 0.7151893663724195, 0.6027633760716439]);
    }

    #[test]
    #[ignore = "needs data that is not in the repository"]
    fn outside_data_the_nine_official_voc_files_are_reproduced() {
        let folder = crate::outside_data::outside_data("data/voc2007");
        let full = matrix(&std::fs::read_to_string(folder.join("labels_trainval.txt")).unwrap());
        assert_eq!((full.images(), full.count(Label::Positive)), (5011, 7306));
        for tenths in 1..=9 {
            let known = f64::from(tenths) / 10.0;
            let official =
                std::fs::read_to_string(folder.join(format!("masks/train_proportion_{known}.txt"))).unwrap();
            assert!(full.hide(known, 0) == matrix(&official), "{known}");
        }
    }

    #[test]
    fn masks_are_nested_and_the_ends_are_exact() {
        let values: Vec<i8> = (0..130 * 70).map(|i| (i % 3) as i8 - 1).collect();
        let full = LabelMatrix::from_values(70, &values);
        assert_eq!(full.hide(1.0, 7), full);
        assert_eq!(full.hide(0.0, 7).count(Label::Unknown), 130 * 70);
        let (few, more) = (full.hide(0.1, 7), full.hide(0.2, 7));
        assert!(few.count(Label::Unknown) > more.count(Label::Unknown));
        for image in 0..130 {
            for (a, b) in few.row(image).zip(more.row(image)) {
                assert!(a == Label::Unknown || a == b);
            }
        }
        assert_ne!(full.hide(0.5, 7), full.hide(0.5, 8));
    }
}
