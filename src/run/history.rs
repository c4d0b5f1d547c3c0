//! Where a training is, and what its epochs measured, as `metrics.csv` and TensorBoard show it.

use serde::{Deserialize, Serialize};

use crate::seal::Hashes;
use crate::tally::Means;
use crate::tensorboard::Point;

/// The state of training beside weights and moments.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Epochs completed.
    pub epoch: usize,
    /// Steps completed in the epoch after them.
    pub step: usize,
    /// Means of the loss terms over those steps.
    pub losses: Vec<(String, f64)>,
    /// Means of the other numbers over those steps.
    #[serde(default)]
    pub scalars: Vec<(String, f64)>,
    /// The sum of the loss terms in the very first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_loss: Option<f64>,
    /// The best validation value so far, and its epoch.
    pub best: Option<(f64, usize)>,
    /// A row for every completed epoch.
    pub history: Vec<EpochRow>,
    /// Wall-clock seconds so far.
    pub seconds: f64,
}

/// `state.json` of a checkpoint: the state, and the hashes of the files beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Where the training is.
    #[serde(flatten)]
    pub state: State,
    /// Empty where an earlier version wrote the checkpoint.
    #[serde(default)]
    pub files: Hashes,
}

/// One completed epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// From 1; 0 is the state before the first step.
    pub epoch: usize,
    /// Mean of each unweighted loss term.
    pub losses: Vec<(String, f64)>,
    /// Mean of the gradients' norm, and what the method reports after the epoch, such as α.
    #[serde(default)]
    pub scalars: Vec<(String, f64)>,
    /// Mean BCE over the known labels of the validation images.
    pub validation_loss: Option<f64>,
    /// mAP over the known labels of the validation images.
    pub validation_map: Option<f64>,
    /// Learning rate of the epoch's first step.
    pub learning_rate: f64,
    /// Training throughput.
    pub images_per_second: f64,
    /// When it ended, seconds since 1970.
    pub wall_time: f64,
}

impl State {
    /// The means over the steps of the epoch that is not complete.
    pub fn means(&self) -> Means {
        Means { losses: self.losses.clone(), scalars: self.scalars.clone() }
    }

    /// Notes these means.
    pub fn set_means(&mut self, Means { losses, scalars }: Means) {
        (self.losses, self.scalars) = (losses, scalars);
    }
}

impl EpochRow {
    /// The row as a point for TensorBoard.
    pub(super) fn point(&self) -> Point {
        let scalars = self.numbers().into_iter().map(|(tag, value)| (tag, value as f32)).collect();
        Point { wall_time: self.wall_time, step: self.epoch as i64, scalars }
    }

    /// What was measured, under the names that TensorBoard and tracking servers show, such as `validation/mAP`.
    pub(crate) fn numbers(&self) -> Vec<(String, f64)> {
        let losses = self.losses.iter().map(|(name, value)| (format!("loss/{name}"), *value));
        let scalars = self.scalars.iter().map(|(name, value)| (format!("train/{name}"), *value));
        let more = [
            ("validation/loss", self.validation_loss),
            ("validation/mAP", self.validation_map),
            ("learning_rate", Some(self.learning_rate)),
            ("images_per_second", (self.epoch > 0).then_some(self.images_per_second)),
        ];
        let more = more.into_iter().filter_map(|(tag, value)| Some((tag.to_string(), value?)));
        losses.chain(scalars).chain(more).collect()
    }
}

/// A row per epoch: a column for each loss term, then for each other number.
pub(super) fn table(history: &[EpochRow]) -> String {
    let losses = names(history.iter().map(|row| &row.losses));
    let scalars = names(history.iter().map(|row| &row.scalars));
    let mut text = String::from("epoch,learning_rate,images_per_second,validation_loss,validation_map");
    losses.iter().chain(&scalars).for_each(|name| text.push_str(&format!(",{name}")));
    text.push('\n');
    let cell = |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.6}"));
    let named = |values: &[(String, f64)], name: &str| {
        cell(values.iter().find(|(known, _)| known == name).map(|(_, value)| *value))
    };
    for row in history {
        let mut cells = vec![
            row.epoch.to_string(),
            format!("{:e}", row.learning_rate),
            format!("{:.1}", row.images_per_second),
            cell(row.validation_loss),
            cell(row.validation_map),
        ];
        cells.extend(losses.iter().map(|name| named(&row.losses, name)));
        cells.extend(scalars.iter().map(|name| named(&row.scalars, name)));
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text
}

/// The names in several lists, each once, in the order in which they come.
fn names<'a>(lists: impl Iterator<Item = &'a Vec<(String, f64)>>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in lists.flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_an_older_version_is_read_and_leaves_its_new_cells_empty() {
        let old = r#"{"epoch":1,"losses":[["bce",0.5]],"validation_loss":null,"validation_map":0.25,
            "learning_rate":0.001,"images_per_second":10.0,"wall_time":1.0}"#;
        let old: EpochRow = serde_json::from_str(old).unwrap();
        let scalars = vec![("gradient_norm".to_owned(), 2.0), ("alpha".to_owned(), 0.5)];
        let new = EpochRow { epoch: 2, scalars, ..old.clone() };
        assert_eq!(
            table(&[old, new]),
            "epoch,learning_rate,images_per_second,validation_loss,validation_map,bce,gradient_norm,alpha\n\
             1,1e-3,10.0,,0.250000,0.500000,,\n2,1e-3,10.0,,0.250000,0.500000,2.000000,0.500000\n"
        );
    }

    proptest::proptest! {
        /// Another best epoch was chosen when JSON gave back a loss that was one unit off.
        #[test]
        fn a_state_reads_back_to_the_last_bit(
            best in -1e3_f64..1e3,
            losses in proptest::collection::vec(proptest::num::f64::NORMAL, 0..6),
            seconds in 0.0_f64..1e9,
            epoch in 0_usize..1000,
        ) {
            let losses: Vec<(String, f64)> =
                losses.into_iter().enumerate().map(|(at, loss)| (format!("loss{at}"), loss)).collect();
            let row = EpochRow {
                epoch,
                losses: losses.clone(),
                scalars: losses.clone(),
                validation_loss: Some(best),
                validation_map: losses.first().map(|(_, loss)| *loss),
                learning_rate: best / 3.0,
                images_per_second: seconds / 7.0,
                wall_time: seconds,
            };
            let best = Some((best, epoch));
            let first_loss = losses.first().map(|(_, loss)| *loss);
            let state = State { epoch, losses, first_loss, best, seconds, history: vec![row], ..State::default() };
            let dir = tempfile::tempdir().unwrap();
            let (path, saved) = (dir.path().join("state.json"), Saved { state, files: Hashes::default() });
            std::fs::write(&path, crate::seal::json(&saved)).unwrap();
            proptest::prop_assert_eq!(crate::seal::read_json::<Saved>(&path).unwrap(), saved);
        }
    }
}
