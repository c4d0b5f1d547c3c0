//! Precision, recall and the scores of a category at a threshold that the reader moves: the numbers behind the
//! script of the page.

use sarb_labels::metrics::{self, Histogram, PrecisionRecall, precision_recall, ranking, thresholds};
use sarb_labels::text::thousands;
use serde::Serialize;

use super::Measured;
use super::html::section;
use super::names::Names;

/// Most points of a curve.
const MOST_POINTS: usize = 60;
/// Most curves on a page; of more categories those with the most known positives are shown.
const MOST_CURVES: usize = 3000;

/// What the script reads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Explorer {
    /// Probabilities, ascending.
    thresholds: Vec<f64>,
    /// The place of 0.5 among them.
    start: usize,
    systems: Vec<Named>,
    /// All categories together, then one after the other.
    categories: Vec<Category>,
}

/// A system and the place that gives it its color.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Named {
    name: String,
    place: usize,
}

/// A category, or all together.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Category {
    name: String,
    systems: Vec<Counted>,
}

/// What a system says of the known labels of a category.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Counted {
    /// Known positives by bin of the thresholds.
    positives: Vec<u32>,
    negatives: Vec<u32>,
    /// Recall and precision, in thousandths.
    curve: Vec<[u32; 2]>,
}

impl Explorer {
    pub fn of(measured: &Measured, names: &Names) -> Self {
        let Measured { rows, labels, categories, .. } = measured;
        let by_system: Vec<Vec<Histogram>> =
            rows.iter().map(|row| metrics::histograms(&row.system.values, labels, row.scale)).collect();
        let all = Category {
            name: "all categories together".into(),
            systems: by_system.iter().map(|of_categories| pooled(&Histogram::sum(of_categories))).collect(),
        };
        let most = (MOST_CURVES / rows.len()).max(1);
        let shown = rows[0].system.scores.most_positives(most);
        let of_category = |category: usize| Category {
            name: categories[category].clone(),
            systems: rows
                .iter()
                .zip(&by_system)
                .map(|(row, of_categories)| {
                    let ranking = ranking(&row.system.values, labels, category);
                    let curve = precision_recall(&ranking, MOST_POINTS);
                    counted(&of_categories[category], &curve)
                })
                .collect(),
        };
        let thresholds = thresholds();
        Self {
            start: thresholds.iter().position(|&threshold| threshold == 0.5).expect("0.5 is a threshold"),
            thresholds,
            systems: rows
                .iter()
                .map(|row| Named { name: row.system.name.clone(), place: names.place(row.source) })
                .collect(),
            categories: std::iter::once(all).chain(shown.into_iter().map(of_category)).collect(),
        }
    }

    /// The part of the page that the script fills.
    pub fn section(&self, measured: &Measured) -> String {
        let (all, shown) = (measured.categories.len(), self.categories.len() - 1);
        let left_out = match shown == all {
            true => String::new(),
            false => format!(
                " To bound the page, {} of {} categories are here, those with the most known positives.",
                thousands(shown),
                thousands(all)
            ),
        };
        let note = format!(
            "What is claimed where the probability is at or above the threshold, among known labels only. The counts \
             at each of {} thresholds are exact; a curve is drawn through at most {MOST_POINTS} of its points, that \
             of all categories together through those of the thresholds.{left_out}",
            self.thresholds.len()
        );
        section("explorer", "Precision and recall by threshold", &note, CONTROLS)
    }
}

const CONTROLS: &str =
    "<p id=\"no-script\">Here are curves with a threshold to move, which need the script of this page. \
It did not run; the table by category has precision and recall at 0.5.</p>
<div id=\"explorer-body\" hidden>
<div class=\"controls\">
<label for=\"category\">Category</label> <select id=\"category\"></select>
<label for=\"threshold\">Threshold <output id=\"threshold-shown\" for=\"threshold\"></output></label>
<input type=\"range\" id=\"threshold\" min=\"0\" step=\"1\">
</div>
<div id=\"at-threshold\"></div>
<div class=\"charts\" id=\"drawings\">
<figure><figcaption><strong>Precision by recall</strong> [%]; dots: at the threshold</figcaption>
<div id=\"curve\"></div></figure>
</div>
</div>
";

/// The points of all labels together are those of the thresholds.
fn pooled(histogram: &Histogram) -> Counted {
    let places = (0..thresholds().len()).rev().map(|place| histogram.at(place));
    let claimed = places.filter(|claims| claims.claimed > 0);
    let curve: Vec<PrecisionRecall> = claimed
        .map(|claims| PrecisionRecall { recall: claims.recall, precision: claims.precision })
        .collect();
    counted(histogram, &curve)
}

fn counted(histogram: &Histogram, curve: &[PrecisionRecall]) -> Counted {
    let thousandths = |fraction: f64| (1000.0 * fraction).round() as u32;
    let points = curve.iter().map(|point| [thousandths(point.recall), thousandths(point.precision)]);
    let Histogram { positives, negatives } = histogram.clone();
    Counted { positives, negatives, curve: points.collect() }
}
