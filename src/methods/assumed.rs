//! Unknown labels that are assumed to be negative, because nothing else says of a category what is not there.
//!
//! Labels that are lists of tags, or one positive an image (Cole et al., CVPR 2021), hold no negative. Assuming one in
//! every other image is wrong as often as the category was overlooked, which is seldom where categories are rare.

use sarb_labels::{Label, LabelMatrix};
use serde::{Deserialize, Serialize};

use super::keys::{Key, Kind};
use crate::soft_labels::SoftLabels;

/// Which unknown labels count as negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Assumed {
    /// Those of categories of which a positive is known and no negative, which otherwise could not be learned.
    #[default]
    Auto,
    /// None.
    Ignore,
    /// All.
    Negative,
}

/// The key `unknown` of a method.
pub(super) const UNKNOWN: Key = Key::new(
    "unknown",
    Kind::Word(&["auto", "ignore", "negative"]),
    "Whether unknown labels count as negative: those of categories of which positives are known and no negative, none, or all",
);

impl Assumed {
    /// Whether the unknown labels of a category count as negative that has so many known positives among its known labels.
    pub fn is_negative(self, (positives, known): (usize, usize)) -> bool {
        match self {
            Self::Auto => positives > 0 && positives == known,
            Self::Ignore => false,
            Self::Negative => true,
        }
    }

    /// `labels` with what is assumed, but for what is probable by `soft`; and for each category whether anything is.
    pub fn beside(self, labels: &LabelMatrix, soft: &SoftLabels) -> (LabelMatrix, Vec<bool>) {
        let assumed: Vec<bool> = labels.counts().into_iter().map(|counts| self.is_negative(counts)).collect();
        let mut told = labels.clone();
        for row in 0..labels.images() {
            for category in (0..labels.categories()).filter(|&category| assumed[category]) {
                if labels.get(row, category) == Label::Unknown && soft.get(row, category).is_none() {
                    told.set(row, category, Label::Negative);
                }
            }
        }
        (told, assumed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_labels_are_negative_where_nothing_else_is_and_nothing_says_otherwise() {
        // Positives alone; both; nothing known; a negative alone.
        let labels = LabelMatrix::from_values(4, &[1, 1, 0, 0, 0, -1, 0, -1, 0, 0, 0, 0]);
        let soft = SoftLabels::new(3, vec![(2, 0, 0.7)]);
        let told = |assumed: Assumed| {
            let (told, flags) = assumed.beside(&labels, &soft);
            let values: Vec<i8> =
                (0..3).flat_map(|row| told.row(row).map(|it| it as i8).collect::<Vec<_>>()).collect();
            (values, flags)
        };
        assert_eq!(
            told(Assumed::Auto),
            (vec![1, 1, 0, 0, -1, -1, 0, -1, 0, 0, 0, 0], vec![true, false, false, false])
        );
        assert_eq!(told(Assumed::Ignore), (vec![1, 1, 0, 0, 0, -1, 0, -1, 0, 0, 0, 0], vec![false; 4]));
        assert_eq!(
            told(Assumed::Negative),
            (vec![1, 1, -1, -1, -1, -1, -1, -1, 0, -1, -1, -1], vec![true; 4])
        );
    }
}
