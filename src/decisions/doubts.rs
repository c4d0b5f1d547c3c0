//! Known labels that look wrong: those to which the out-of-fold scores give the least probability.
//!
//! The scores are those of models that did not learn the label in question, so a model cannot defend it by heart. They
//! are calibrated category by category, which makes them comparable: a label of a category that the run hardly tells
//! apart is never far from even odds and comes late in the list. This is the self-confidence of confident learning
//! (Northcutt, Jiang, Chuang, JAIR 2021; Thyagarajan et al. 2022 for several labels an image) with one probability for
//! each label, not one for each image.

use std::path::Path;

use sarb_labels::Label;
use sarb_labels::files::{folder_of, write_atomically};
use sarb_labels::formats::image_names::image_names;

use super::evidence::Evidence;
use crate::Result;
use crate::out_of_fold::OutOfFold;

/// A known label, and how probable it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Doubt {
    /// Row of the image.
    pub row: usize,
    /// Column of the category.
    pub category: usize,
    /// Whether the label says that the category is there.
    pub positive: bool,
    /// The calibrated probability that the label is right, 0…1.
    pub probability: f64,
}

/// All known labels of the images that are asked about, the least probable first; equal ones in the order of the table.
pub fn doubts(scores: &OutOfFold) -> Vec<Doubt> {
    let curves = Evidence::known(scores).curves();
    let mut doubts = Vec::new();
    for row in 0..scores.asked {
        for (category, label) in scores.labels().row(row).enumerate() {
            let probability = curves.categories[category].probability(scores.logit(row, category));
            let (positive, probability) = match label {
                Label::Positive => (true, probability),
                Label::Negative => (false, 1.0 - probability),
                Label::Unknown => continue,
            };
            doubts.push(Doubt { row, category, positive, probability });
        }
    }
    doubts.sort_by(|a, b| a.probability.total_cmp(&b.probability));
    doubts
}

/// Writes doubts as CSV: image, category, label, the probability that it is right and, where that is known, who gave it.
///
/// # Errors
/// If the file cannot be written; a path of an image that is not UTF-8 text.
pub fn write(
    path: &Path,
    scores: &OutOfFold,
    doubts: &[Doubt],
    who: Option<&dyn Fn(&Doubt) -> String>,
) -> Result<()> {
    let images = image_names(&scores.annotations, folder_of(path))?;
    let written = write_atomically(path, |file| {
        let mut lines = csv::Writer::from_writer(file);
        let header = ["image", "category", "label", "probability", "annotators"];
        // Where nobody is known to have given any there is no such column.
        let columns = header.len() - usize::from(who.is_none());
        lines.write_record(&header[..columns])?;
        for doubt in doubts {
            let record = [
                images[doubt.row].as_str(),
                scores.annotations.categories[doubt.category].as_str(),
                if doubt.positive { "1" } else { "0" },
                &format!("{:.5}", doubt.probability),
                &who.map_or_else(String::new, |who| who(doubt)),
            ];
            lines.write_record(&record[..columns])?;
        }
        lines.flush()
    });
    Ok(written?)
}

#[cfg(test)]
mod tests {
    use sarb_labels::{Annotations, LabelMatrix};

    use super::*;
    use crate::out_of_fold::How;

    #[test]
    fn a_flipped_label_comes_first_where_the_scores_know_better() {
        // The first category is told apart well, the second not at all.
        let images = 200;
        let (mut labels, mut logits) = (Vec::new(), Vec::new());
        for row in 0..images {
            let positive = row % 4 == 0;
            let noise = (row as f32 * 12.9898).sin();
            labels.extend([if positive { 1 } else { -1 }, if row % 3 == 0 { 1 } else { -1 }]);
            logits.extend([if positive { 3.0 + noise } else { noise - 3.0 }, noise]);
        }
        // Image 8 is there, and labeled not there; image 5 the other way; image 7 is not known.
        (labels[16], labels[10], labels[14]) = (-1, 1, 0);
        let annotations = Annotations {
            images: (0..images).map(|row| format!("{row}.png").into()).collect(),
            categories: vec!["a".into(), "b".into()],
            labels: LabelMatrix::from_values(2, &labels),
            source: "train.csv".into(),
        };
        let scores =
            OutOfFold { annotations, logits, how: How::LeaveOneOut, folds: Vec::new(), asked: images };
        let doubts = doubts(&scores);
        assert_eq!(doubts.len(), 2 * images - 1);
        let mut first = [doubts[0], doubts[1]].map(|doubt| (doubt.row, doubt.category, doubt.positive));
        first.sort_unstable();
        assert_eq!(first, [(5, 0, true), (8, 0, false)]);
        assert!(doubts[1].probability < 0.1 && doubts[2].probability > 0.2, "{:?}", &doubts[..3]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("doubts.csv");
        let source = dir.path().join("train.csv");
        let images = scores.annotations.images.iter().map(|image| dir.path().join(image)).collect();
        let annotations = Annotations { source, images, ..scores.annotations.clone() };
        write(&path, &OutOfFold { annotations, ..scores.clone() }, &doubts[..1], None).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("image,category,label,probability\n"), "{text}");
        assert!(text.contains(".png,a,") && text.lines().count() == 2, "{text}");
    }
}
