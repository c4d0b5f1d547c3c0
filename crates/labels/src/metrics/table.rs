//! Scores as tables for people: percent with one decimal.

use std::fmt::{Display, Formatter, Result};

use super::{CategoryScores, Ratios, Scores};

impl Display for Scores {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let counted = self.categories - self.skipped_categories.len();
        writeln!(
            f,
            "mAP {:.1}   plain {:.1}   categories {counted}   images {}",
            self.map * 100.0,
            self.map_plain * 100.0,
            self.images
        )?;
        writeln!(f)?;
        writeln!(f, "       {:>6} {:>6} {:>6} {:>6} {:>6} {:>6}", "OP", "OR", "OF1", "CP", "CR", "CF1")?;
        writeln!(f, "all    {}", self.all)?;
        write!(f, "top 3  {}", self.top3)?;
        if !self.skipped_categories.is_empty() {
            write!(f, "\n\nno known positive, left out of mAP, CP and CR: ")?;
            write!(f, "{}", self.skipped_categories.join(", "))?;
        }
        Ok(())
    }
}

impl Display for Ratios {
    /// OP, OR, OF1, CP, CR and CF1 in percent, six columns of six characters.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let columns = [self.op, self.or, self.of1, self.cp, self.cr, self.cf1];
        let columns: Vec<String> = columns.iter().map(|value| format!("{:6.1}", value * 100.0)).collect();
        f.write_str(&columns.join(" "))
    }
}

impl Scores {
    /// A row per category: positives, AP, plain AP, precision, recall and F1 in percent; `–` where
    /// a category has no known positive.
    pub fn per_category_table(&self) -> String {
        let width = self.per_category.iter().map(|category| category.name.chars().count()).max();
        let width = width.unwrap_or(0).max("category".len());
        let header = format!(
            "{:width$}  {:>9} {:>6} {:>6} {:>9} {:>6} {:>6}",
            "category", "positives", "AP", "plain", "precision", "recall", "F1"
        );
        let rows = self.per_category.iter().map(|category| category_row(category, width));
        std::iter::once(header).chain(rows).collect::<Vec<_>>().join("\n")
    }
}

fn category_row(category: &CategoryScores, width: usize) -> String {
    let percent = |value: f64| match category.positives {
        0 => "–".to_owned(),
        _ => format!("{:.1}", value * 100.0),
    };
    format!(
        "{:width$}  {:>9} {:>6} {:>6} {:>9} {:>6} {:>6}",
        category.name,
        category.positives,
        percent(category.ap),
        percent(category.ap_plain),
        percent(category.precision),
        percent(category.recall),
        percent(category.f1)
    )
}

#[cfg(test)]
mod tests {
    use crate::labels::LabelMatrix;
    use crate::metrics::evaluate;

    #[test]
    fn tables_show_percent_and_mark_what_was_skipped() {
        let names = ["cat".to_owned(), "a café table".to_owned()];
        let labels = LabelMatrix::from_values(2, &[1, -1, 1, 0, -1, -1]);
        let scores = evaluate(&[2.0, 1.0, 0.5, 1.0, 1.0, -1.0], &labels, &names, 0.0).unwrap();
        assert_eq!(
            scores.to_string(),
            "mAP 83.3   plain 83.3   categories 1   images 3\n\n           OP     OR    OF1     CP     CR    CF1\n\
             all      50.0  100.0   66.7   66.7  100.0   80.0\ntop 3    50.0  100.0   66.7   66.7  100.0   80.0\n\n\
             no known positive, left out of mAP, CP and CR: a café table"
        );
        assert_eq!(
            scores.per_category_table(),
            "category      positives     AP  plain precision recall     F1\n\
             cat                   2   83.3   83.3      66.7  100.0   80.0\n\
             a café table          0      –      –         –      –      –"
        );
    }
}
