//! Scores as tables for people: percent with one decimal.

use std::fmt::{Display, Formatter, Result, Write};

use super::{CategoryScores, Ratios, Scores};
use crate::text::{aligned, percent};

/// The share of tied scores from which on people should know of it.
const MANY_TIES: f64 = 0.05;

impl Display for Scores {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(&self.to_text(None))
    }
}

impl Scores {
    /// The scores as a table; how sure the mAP is, if that is known, stands beside it.
    pub fn to_text(&self, sure: Option<&str>) -> String {
        let mut text = String::new();
        self.write(&mut text, sure).expect("writing to memory");
        text
    }

    fn write(&self, f: &mut impl Write, sure: Option<&str>) -> Result {
        let counted = self.categories - self.skipped_categories.len();
        let (map, plain) = (percent(self.map), percent(self.map_plain));
        let sure = sure.map_or(String::new(), |sure| format!(" ({sure})"));
        writeln!(f, "mAP {map}{sure}   plain {plain}   categories {counted}   images {}\n", self.images)?;
        let heading = ["", "OP", "OR", "OF1", "CP", "CR", "CF1"].map(str::to_owned).to_vec();
        let rows = [heading, row("all", &self.all), row("top 3", &self.top3)];
        f.write_str(aligned(&rows).trim_end())?;
        if !self.skipped_categories.is_empty() {
            write!(f, "\n\nno known positive, left out of mAP, CP and CR: ")?;
            write!(f, "{}", self.skipped_categories.join(", "))?;
        }
        if !self.without_negatives.is_empty() {
            write!(f, "\n\nno known negative, so that every ranking there is perfect: ")?;
            write!(f, "{}", self.without_negatives.join(", "))?;
        }
        if self.tied >= MANY_TIES {
            let share = percent(self.tied);
            write!(
                f,
                "\n\n{share} % of the scores are tied with another of their category (rounded or saturated "
            )?;
            write!(f, "scores?); a tie counts as one rank, that of its last")?;
        }
        Ok(())
    }
}

fn row(name: &str, ratios: &Ratios) -> Vec<String> {
    let Ratios { op, or, of1, cp, cr, cf1 } = *ratios;
    std::iter::once(name.to_owned()).chain([op, or, of1, cp, cr, cf1].map(percent)).collect()
}

impl Scores {
    /// A row per category: positives, AP, plain AP, precision, recall and F1 in percent; `–` where a category
    /// has no known positive. Of more than `most` categories, those with the most known positives.
    pub fn per_category_table(&self, most: usize) -> String {
        let heading = ["category", "positives", "AP", "plain", "precision", "recall", "F1"];
        let heading = heading.map(str::to_owned).to_vec();
        let rows = self.most_positives(most).into_iter().map(|place| category_row(&self.per_category[place]));
        aligned(&std::iter::once(heading).chain(rows).collect::<Vec<_>>()).trim_end().to_owned()
    }

    /// The places of all categories or, of more than `most`, of those with the most known positives; in the
    /// order of the categories.
    pub fn most_positives(&self, most: usize) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.per_category.len()).collect();
        places.sort_by_key(|&place| std::cmp::Reverse(self.per_category[place].positives));
        places.truncate(most);
        places.sort_unstable();
        places
    }
}

fn category_row(category: &CategoryScores) -> Vec<String> {
    let CategoryScores { ap, ap_plain, precision, recall, f1, .. } = *category;
    let shown = [ap, ap_plain, precision, recall, f1].map(|value| match category.positives {
        0 => "–".to_owned(),
        _ => percent(value),
    });
    [category.name.clone(), category.positives.to_string()].into_iter().chain(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::LabelMatrix;
    use crate::metrics::evaluate;

    #[test]
    fn tables_show_percent_and_mark_what_was_skipped() {
        let names = ["cat".to_owned(), "a café table".to_owned()];
        let labels = LabelMatrix::from_values(2, &[1, -1, 1, 0, -1, -1]);
        let scores = evaluate(&[2.0, 1.0, 0.5, 1.0, 1.0, -1.0], &labels, &names, 0.0).unwrap();
        assert_eq!(
            scores.to_string(),
            "mAP 83.3   plain 83.3   categories 1   images 3\n\n         OP     OR   OF1    CP     CR   CF1\n\
             all    50.0  100.0  66.7  66.7  100.0  80.0\ntop 3  50.0  100.0  66.7  66.7  100.0  80.0\n\n\
             no known positive, left out of mAP, CP and CR: a café table"
        );
        assert_eq!(
            scores.per_category_table(9),
            "category      positives    AP  plain  precision  recall    F1\n\
             cat                   2  83.3   83.3       66.7   100.0  80.0\n\
             a café table          0     –      –          –       –     –"
        );
        assert_eq!(scores.per_category_table(1).lines().count(), 2, "the heading and the cat");
        assert!(
            scores.to_text(Some("as sure as can be")).starts_with("mAP 83.3 (as sure as can be)   plain")
        );
    }

    #[test]
    fn many_ties_are_told_of() {
        let labels = LabelMatrix::from_values(1, &[1, -1, 1, -1]);
        let told =
            |scores: [f32; 4]| evaluate(&scores, &labels, &["cat".to_owned()], 0.0).unwrap().to_string();
        let ties = told([3.0, 3.0, 2.0, 1.0]);
        assert!(ties.contains("\n\n50.0 % of the scores are tied with another of their category"), "{ties}");
        assert!(!told([4.0, 3.0, 2.0, 1.0]).contains("tied"));
        let scores = evaluate(&[4.0, 3.0, 2.0, 1.0], &labels, &["cat".to_owned()], 0.0).unwrap();
        let told = |tied: f64| Scores { tied, ..scores.clone() }.to_string().contains("tied");
        assert_eq!([0.049, 0.05, 0.051].map(told), [false, true, true]);
    }
}
