//! Whether labels are known by chance, which promises and calibration rest on: if so, as many are known where a category
//! is likely as where it is not.
//!
//! People label what they see and skip what they would have to look for; tools ask for what a model proposed. Then the
//! known labels are no sample of the others. Scores tell, because they are there for every image: among images with a
//! probability of at least one half, and among the others, the share of known labels is compared, over all categories
//! of which a negative is known: of the others nothing is promised.

use sarb_labels::Label;
use serde::Serialize;

use super::probability::Curves;
use crate::out_of_fold::OutOfFold;

/// The shares differ by more than chance from this many standard errors on; with so many labels small differences do too,
/// so they must also differ by a factor.
const STANDARD_ERRORS: f64 = 5.0;
const FACTOR: f64 = 1.25;

/// Labels that are known where a category is likely, and where it is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct KnownShares {
    /// Of labels with a probability of at least one half: how many are known, and how many there are.
    pub likely: [usize; 2],
    /// Of the others.
    pub unlikely: [usize; 2],
}

impl KnownShares {
    /// Adds those of some images, of the categories that are `telling`.
    pub(super) fn add(&mut self, scores: &OutOfFold, curves: &Curves, telling: &[bool]) {
        for row in 0..scores.annotations.images.len() {
            for (category, label) in scores.labels().row(row).enumerate().filter(|(at, _)| telling[*at]) {
                let is_likely = curves.categories[category].logit(scores.logit(row, category)) >= 0.0;
                let [known, all] = if is_likely { &mut self.likely } else { &mut self.unlikely };
                *known += usize::from(label != Label::Unknown);
                *all += 1;
            }
        }
    }

    /// The shares, 0…1, where they are there and differ too much for chance.
    pub fn differ(&self) -> Option<[f64; 2]> {
        let [[a, n], [b, m]] = [self.likely, self.unlikely].map(|counts| counts.map(|count| count as f64));
        if n == 0.0 || m == 0.0 {
            return None;
        }
        let (likely, unlikely, both) = (a / n, b / m, (a + b) / (n + m));
        let error = (both * (1.0 - both) * (1.0 / n + 1.0 / m)).sqrt();
        let far = (likely - unlikely).abs() > STANDARD_ERRORS * error;
        let (low, high) = (likely.min(unlikely), likely.max(unlikely));
        (far && high > FACTOR * low).then_some([likely, unlikely])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_shares_do_not_differ_and_unequal_ones_do() {
        let shares = |likely, unlikely| KnownShares { likely, unlikely }.differ();
        assert_eq!(shares([100, 1000], [9_000, 90_000]), None);
        assert_eq!(shares([110, 1000], [9_000, 90_000]), None, "within chance");
        assert_eq!(shares([10_500, 100_000], [90_000, 900_000]), None, "beyond chance, and small");
        assert_eq!(shares([400, 1000], [9_000, 90_000]), Some([0.4, 0.1]));
        assert_eq!(shares([0, 0], [9_000, 90_000]), None);
    }
}
