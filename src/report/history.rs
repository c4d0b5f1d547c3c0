//! What was measured by epoch: as the run's newest checkpoint has it, whose seal tells a damaged one, and not as
//! `metrics.csv` says, which has none. Only of a run whose checkpoint was taken away that file is read.

use std::path::Path;

use crate::run::Run;
use crate::{Error, Result};

/// The column of the mAP on the validation images.
pub(super) const MAP: &str = "validation_map";
/// Most points of a line; a longer training is thinned.
pub(super) const MOST_POINTS: usize = 400;

/// The columns of a run's `metrics.csv`: a value for each epoch that has one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct History {
    pub(super) columns: Vec<(String, Vec<(f64, f64)>)>,
    /// Whether it is from the file, so that nothing tells a changed digit.
    pub(super) is_unsealed: bool,
}

impl History {
    /// What a run has; nothing where it has neither a checkpoint nor the file.
    ///
    /// # Errors
    /// [`Error::Incompatible`] if its checkpoint is damaged, [`Error::Data`] if the file is no table of numbers.
    pub fn of(run: &Run) -> Result<Self> {
        let path = run.path("metrics.csv");
        if let Some(table) = run.metrics()? {
            return Self::parse(table.as_bytes(), &path);
        }
        match std::fs::read(&path) {
            Ok(text) => Ok(Self { is_unsealed: true, ..Self::parse(&text, &path)? }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::io(&path, error)),
        }
    }

    fn parse(text: &[u8], path: &Path) -> Result<Self> {
        let broken = |e: csv::Error| Error::Data(format!("{}: {e}", path.display()));
        let mut reader = csv::Reader::from_reader(text);
        let names = reader.headers().map_err(broken)?.clone();
        let mut columns: Vec<_> = names.iter().map(|name| (name.to_owned(), Vec::new())).collect();
        for (row, record) in reader.records().enumerate() {
            let record = record.map_err(broken)?;
            let number = |text: &str| match (text.is_empty(), text.parse::<f64>()) {
                (true, _) => Ok(None),
                (false, Ok(value)) => Ok(Some(value).filter(|value| value.is_finite())),
                (false, Err(_)) => {
                    let (shown, line) = (path.display(), row + 2);
                    Err(Error::Data(format!("{shown}:{line}: {text:?} is no number; the file is damaged")))
                }
            };
            let Some(epoch) = number(record.get(0).unwrap_or_default())? else { continue };
            for ((_, values), text) in columns.iter_mut().zip(&record) {
                values.extend(number(text)?.map(|value| (epoch, value)));
            }
        }
        columns.retain(|(name, values)| name != "epoch" && !values.is_empty());
        Ok(Self { columns, is_unsealed: false })
    }

    /// What to know of a history of the run called `name` that nothing vouches for.
    pub fn note(&self, name: &str) -> Option<String> {
        let known = !self.columns.is_empty() && self.is_unsealed;
        known.then(|| {
            format!(
                "{name}: its newest checkpoint is not there, so what is shown by epoch is what metrics.csv says, in which \
                 nothing would tell a changed digit."
            )
        })
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
    use crate::run::{EpochRow, Saved, State};
    use crate::run_folder::{self, Existing};
    use crate::seal;

    fn run_in(dir: &Path) -> Run {
        run_folder::create(dir, Existing::Refuse, None).unwrap().0
    }

    #[test]
    fn without_a_checkpoint_the_file_is_read_and_that_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let run = run_in(dir.path());
        let path = run.path("metrics.csv");
        assert_eq!(History::of(&run).unwrap(), History::default());
        let text =
            "epoch,learning_rate,validation_loss,validation_map,bce\n0,1e-3,,0.25,\n1,1e-3,,0.5,0.75\n";
        std::fs::write(&path, text).unwrap();
        let history = History::of(&run).unwrap();
        assert_eq!(history.column(MAP), Some(&[(0.0, 0.25), (1.0, 0.5)][..]));
        assert_eq!(
            (history.column("bce"), history.column("validation_loss")),
            (Some(&[(1.0, 0.75)][..]), None)
        );
        assert!(history.note("r").unwrap().starts_with("r: its newest checkpoint is not there"));
        for torn in ["epoch,bce\n1\n", "epoch,bce\n1,0.7.5\n", "epoch,bce\n1,0.75\n2x,0.5\n"] {
            std::fs::write(&path, torn).unwrap();
            assert!(History::of(&run).unwrap_err().to_string().contains("metrics.csv"), "{torn}");
        }
    }

    #[test]
    fn a_changed_digit_of_the_file_is_not_believed_where_there_is_a_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let run = run_in(dir.path());
        let row = EpochRow {
            epoch: 1,
            losses: vec![("bce".into(), 0.5)],
            scalars: Vec::new(),
            validation_loss: None,
            validation_map: Some(0.75),
            learning_rate: 0.1,
            images_per_second: 8.0,
            wall_time: 3.0,
        };
        let state = State { epoch: 1, history: vec![row], ..State::default() };
        run.save_metrics(&state.history).unwrap();
        let state = seal::json(&Saved { state, files: seal::Hashes::default() });
        run.write("checkpoints/last/state.json", &state).unwrap();
        let metrics = run.path("metrics.csv");
        let text = std::fs::read_to_string(&metrics).unwrap();
        std::fs::write(&metrics, text.replace("0.75", "0.95").replace("0.5", "x")).unwrap();
        let history = History::of(&run).unwrap();
        assert_eq!(history.column(MAP), Some(&[(1.0, 0.75)][..]));
        assert!(history.note("r").is_none());
        let damaged = String::from_utf8(state).unwrap().replace("0.75", "0.95");
        std::fs::write(run.path("checkpoints/last/state.json"), damaged).unwrap();
        assert_eq!(History::of(&run).unwrap_err().exit_code(), 7);
    }
}
