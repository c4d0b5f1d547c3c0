//! What was measured by epoch, as the run's `metrics.csv` says it.

use std::path::Path;

use crate::{Error, Result};

/// The column of the mAP on the validation images.
pub(super) const MAP: &str = "validation_map";
/// Most points of a line; a longer training is thinned.
pub(super) const MOST_POINTS: usize = 400;

/// A run's `metrics.csv`: a value for each epoch that has one, by column.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct History {
    pub(super) columns: Vec<(String, Vec<(f64, f64)>)>,
}

impl History {
    /// Reads the file; nothing where there is none.
    ///
    /// # Errors
    /// [`Error::Data`] if it is no table.
    pub fn read(path: &Path) -> Result<Self> {
        if !path.is_file() {
            return Ok(Self::default());
        }
        let broken = |e: csv::Error| Error::Data(format!("{}: {e}", path.display()));
        let mut reader = csv::Reader::from_path(path).map_err(broken)?;
        let names = reader.headers().map_err(broken)?.clone();
        let mut columns: Vec<_> = names.iter().map(|name| (name.to_owned(), Vec::new())).collect();
        for record in reader.records() {
            let record = record.map_err(broken)?;
            let number = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite());
            let Some(epoch) = record.get(0).and_then(number) else { continue };
            for ((_, values), text) in columns.iter_mut().zip(&record) {
                values.extend(number(text).map(|value| (epoch, value)));
            }
        }
        columns.retain(|(name, values)| name != "epoch" && !values.is_empty());
        Ok(Self { columns })
    }

    /// Epochs and values of a column.
    pub fn column(&self, name: &str) -> Option<&[(f64, f64)]> {
        self.columns.iter().find(|(column, _)| column == name).map(|(_, values)| &values[..])
    }

    /// Whether not every epoch is drawn.
    pub fn is_thinned(&self) -> bool {
        self.columns.iter().any(|(_, values)| values.len() > MOST_POINTS)
    }

    /// Whether the validation images said anything.
    pub fn has_validation(&self) -> bool {
        self.column(MAP).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_without_a_number_are_left_out_and_a_run_without_a_log_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        assert_eq!(History::read(&path).unwrap(), History::default());
        let text =
            "epoch,learning_rate,validation_loss,validation_map,bce\n0,1e-3,,0.25,\n1,1e-3,,0.5,0.75\n";
        std::fs::write(&path, text).unwrap();
        let history = History::read(&path).unwrap();
        assert_eq!(history.column(MAP), Some(&[(0.0, 0.25), (1.0, 0.5)][..]));
        assert_eq!(
            (history.column("bce"), history.column("validation_loss")),
            (Some(&[(1.0, 0.75)][..]), None)
        );
        std::fs::write(&path, "epoch,bce\n1\n").unwrap();
        assert!(History::read(&path).unwrap_err().to_string().contains("metrics.csv"));
    }
}
