//! The precision–recall curve of a ranking, thinned for drawing.

use super::Ranking;

/// One place on a precision–recall curve, fractions in 0…1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrecisionRecall {
    /// Share of the known positives that are found.
    pub recall: f64,
    /// Share of the found that are positive.
    pub precision: f64,
}

/// The curve from the highest score downwards, at most `most` points, and one at recall 0 where a
/// negative stands first. Each is a point of the whole
/// curve, at the end of a group of equal scores; of those within a step of `1 / most` of recall the one with the
/// highest precision stands. Empty without a known positive.
pub fn precision_recall(ranking: &Ranking, most: usize) -> Vec<PrecisionRecall> {
    let positives: usize = ranking.groups().flatten().map(|entry| (entry & 1) as usize).sum();
    let (mut rank, mut hits) = (0, 0);
    let mut points: Vec<PrecisionRecall> = Vec::new();
    let step = |point: &PrecisionRecall| (point.recall * most as f64).ceil() as usize;
    for group in ranking.groups() {
        let found = group.iter().filter(|&&entry| entry & 1 == 1).count();
        (rank, hits) = (rank + group.len(), hits + found);
        let point = PrecisionRecall {
            recall: hits as f64 / positives.max(1) as f64,
            precision: hits as f64 / rank as f64,
        };
        match points.last_mut() {
            Some(last) if step(last) == step(&point) => {
                if point.precision >= last.precision {
                    *last = point;
                }
            }
            _ => points.push(point),
        }
    }
    if positives == 0 { Vec::new() } else { points }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::LabelMatrix;
    use crate::metrics::ranking;
    use crate::metrics::tests::random_case;

    #[test]
    fn a_short_curve_is_whole() {
        // + − + : 1/1 at recall 1/2, 2/3 at recall 1.
        let labels = LabelMatrix::from_values(1, &[1, -1, 1, 0]);
        let points = precision_recall(&ranking(&[3.0, 2.0, 1.0, 9.0], &labels, 0), 10);
        let point = |recall, precision| PrecisionRecall { recall, precision };
        assert_eq!(points, [point(0.5, 1.0), point(1.0, 2.0 / 3.0)]);
        assert_eq!(precision_recall(&ranking(&[1.0; 4], &LabelMatrix::unknown(4, 1), 0), 10), []);
        // − + − + : a negative first is a point of its own, one later is none.
        let labels = LabelMatrix::from_values(1, &[-1, 1, -1, 1]);
        let points = precision_recall(&ranking(&[4.0, 3.0, 2.0, 1.0], &labels, 0), 10);
        assert_eq!(points, [point(0.0, 0.0), point(0.5, 0.5), point(1.0, 0.5)]);
    }

    #[test]
    fn a_thinned_curve_has_points_of_the_whole_one_in_order() {
        let (scores, labels, _) = random_case(3, 4000, 2);
        let ranking = ranking(&scores, &labels, 1);
        let (whole, thin) = (precision_recall(&ranking, usize::MAX >> 12), precision_recall(&ranking, 50));
        assert!(whole.len() > 51 && thin.len() <= 51, "{} {}", whole.len(), thin.len());
        assert!(thin.iter().all(|point| whole.contains(point)));
        assert!(thin.is_sorted_by(|a, b| a.recall <= b.recall));
        let best = |points: &[PrecisionRecall], from: f64| {
            points.iter().filter(|p| p.recall > from).map(|p| p.precision).fold(0.0, f64::max)
        };
        for from in [0.0, 0.2, 0.5, 0.9] {
            assert_eq!(best(&whole, from), best(&thin, from), "the envelope at {from}");
        }
    }
}
