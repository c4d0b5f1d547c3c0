//! `sarb evaluate`: what runs, or the scores of any other program, are worth.

use std::path::PathBuf;

use clap::Args;
use sarb::compare::{Comparison, System, compare};
use sarb::decisions::thresholds::Goal;
use sarb::labels::text::{aligned, percent};
use sarb::labels::{LabelMatrix, Split, metrics};
use sarb::{Cancel, Error, Result, Run, Which};
use serde_json::json;

use super::console::{print, warn};
use super::decide::Audited;
use super::numbers::mean_average_precision;
use super::systems::{ScoreArgs, Systems};
use super::track::{self, TrackArgs};
use super::{BootstrapArgs, CacheArgs};

/// Arguments of `sarb evaluate`.
#[derive(Debug, Clone, Args)]
pub struct Evaluate {
    /// Folders of runs; several are compared with the first
    #[arg(required_unless_present = "scores", value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Data folder [default: the one each run was trained on]
    #[arg(long, value_name = "DIR", requires = "runs")]
    pub data: Option<PathBuf>,
    /// Which of its files: train, val or test
    #[arg(long, default_value = "test", requires = "runs", value_parser = |text: &str| text.parse::<Split>().map_err(|e| e.to_string()))]
    pub split: Split,
    /// Which checkpoint of the runs
    #[arg(long, value_enum, default_value = "best", requires = "runs")]
    pub checkpoint: Which,
    /// Features of the split's images, for runs trained with --features; once for all of them, or once for each
    #[arg(long, value_name = "FILE", requires = "runs")]
    pub features: Vec<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub others: ScoreArgs,
    /// Let each run decide by its own thresholds, not at 50 %: f1 (the best F1 in each category), precision=P or
    /// recall=P; and say how well calibrated its probabilities are. Needs out-of-fold scores: a run of linear, or --folds
    #[arg(long, value_name = "GOAL", requires = "runs", conflicts_with = "together")]
    pub decide: Option<Goal>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub audited: Audited,
    /// Measure the mean of the systems' scores too, as of one system; of scores that are all logits, or all
    /// probabilities
    #[arg(long)]
    pub together: bool,
    /// Print one JSON object, fractions in 0…1
    #[arg(long)]
    pub json: bool,
    /// Exit with 6 if a mAP is below this: 0.9, 90 or 90%
    #[arg(long, value_name = "MAP", value_parser = mean_average_precision)]
    pub fail_under: Option<f64>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub bootstrap: BootstrapArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub track: TrackArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub cache: CacheArgs,
}

/// Categories that a terminal shows; `--json` has all.
const MOST_CATEGORIES: usize = 100;

/// What a person must know of the two averages.
const PLAIN: &str = "plain: average precision without interpolation, as scikit-learn computes it; mAP and AP are \
                     the papers', interpolated at every recall";

impl Evaluate {
    /// Measures, and prints tables or JSON.
    pub fn run(&self, cancel: &Cancel) -> Result<()> {
        self.audited.only_with(self.decide)?;
        let target = self.track.target()?;
        if target.is_some() && self.runs.is_empty() {
            return Err(Error::Usage("--track tells of runs; files of scores belong to none".into()));
        }
        let Systems { mut systems, anchors, labels } = self.systems(cancel)?;
        if self.together {
            if self.others.probabilities && !self.runs.is_empty() {
                return Err(Error::Usage(
                    "--together: runs give logits and --probabilities says that the files do not; convert them first".into(),
                ));
            }
            systems.push(together(&systems, &labels, self.others.threshold())?);
        }
        let all = [&systems[..], &anchors].concat();
        let comparison = compare(&all, &labels, self.bootstrap.options())?;
        match (self.json, systems.len()) {
            (true, _) => print(&json(&comparison, systems.len()))?,
            (false, 1) => print(&one(&comparison))?,
            (false, _) => print(&several(&comparison))?,
        }
        if let Some(target) = target {
            for run in &self.runs {
                track::tell(&Run::open(run)?, &target);
            }
        }
        let first = &systems[0].scores;
        if first.skipped_categories.len() == first.categories {
            warn("no category has a known positive in these labels, so mAP is 0 by definition");
        }
        let Some(bar) = self.fail_under else { return Ok(()) };
        let below: Vec<String> = systems
            .iter()
            .filter(|system| system.scores.map < bar)
            .map(|system| match systems.len() {
                1 => format!("mAP {}", percent(system.scores.map)),
                _ => format!("{}: mAP {}", system.name, percent(system.scores.map)),
            })
            .collect();
        match below.is_empty() {
            true => Ok(()),
            false => {
                Err(Error::Gate(format!("{} is below --fail-under {} %", below.join(", "), percent(bar))))
            }
        }
    }
}

/// The mean of several systems' scores as a system of its own.
fn together(systems: &[System], labels: &LabelMatrix, threshold: f32) -> Result<System> {
    let [first, _, ..] = systems else {
        return Err(Error::Usage("--together needs at least two runs or files of scores".into()));
    };
    let share = 1.0 / systems.len() as f32;
    let mean = |cell: usize| systems.iter().map(|system| system.values[cell] * share).sum();
    let values: Vec<f32> = (0..first.values.len()).map(mean).collect();
    let categories: Vec<String> = first.scores.per_category.iter().map(|c| c.name.clone()).collect();
    let scores = metrics::evaluate(&values, labels, &categories, threshold)?;
    Ok(System { name: "the mean of their scores".into(), values, scores })
}

/// One object; of a single system its scores at the top, as before there could be several.
fn json(comparison: &Comparison, systems: usize) -> String {
    let mut value = serde_json::to_value(comparison).expect("plain data");
    if systems == 1 {
        let Comparison { systems, level, bootstrap } = comparison;
        value = serde_json::to_value(&systems[0].scores).expect("plain data");
        value["map_interval"] = json!(systems[0].map_interval);
        value["level"] = json!(level);
        value["bootstrap"] = json!(bootstrap);
        if let Some(anchor) = systems.get(1) {
            value["anchor"] = json!(anchor);
        }
    }
    serde_json::to_string_pretty(&value).expect("plain data")
}

/// One system: its table, its categories, its anchor.
fn one(comparison: &Comparison) -> String {
    let system = &comparison.systems[0];
    let mut parts = vec![
        system.scores.to_text(comparison.of_map(system).as_deref()).trim_end().to_owned(),
        system.scores.per_category_table(MOST_CATEGORIES),
    ];
    parts.extend(left_out(comparison));
    let mut notes = vec![PLAIN.to_owned()];
    for anchor in &comparison.systems[1..] {
        let sure = comparison.of_map(anchor).map_or(String::new(), |sure| format!(" ({sure})"));
        let difference =
            anchor.difference.map_or(String::new(), |d| format!(", {} against this run", d.to_text()));
        notes.push(format!("{}: mAP {}{sure}{difference}", anchor.name, percent(anchor.scores.map)));
    }
    parts.push(notes.join("\n"));
    parts.join("\n\n")
}

/// Several systems: the table of their differences, and AP by category.
fn several(comparison: &Comparison) -> String {
    let systems = &comparison.systems;
    let mut heading = vec!["AP by category".to_owned(), "positives".into()];
    heading.extend((1..=systems.len()).map(|number| format!("({number})")));
    let row = |place: usize| {
        let category = &systems[0].scores.per_category[place];
        let mut cells = vec![category.name.clone(), category.positives.to_string()];
        cells.extend(systems.iter().map(|system| match category.positives {
            0 => "–".to_owned(),
            _ => percent(system.scores.per_category[place].ap),
        }));
        cells
    };
    let rows = systems[0].scores.most_positives(MOST_CATEGORIES).into_iter().map(row);
    let table = aligned(&std::iter::once(heading).chain(rows).collect::<Vec<_>>());
    let mut parts = vec![comparison.to_text(), table.trim_end().to_owned()];
    parts.extend(left_out(comparison));
    let names = systems.iter().enumerate().map(|(at, system)| format!("({}) {}", at + 1, system.name));
    parts.push(names.collect::<Vec<_>>().join("\n"));
    parts.join("\n\n")
}

/// That there are more categories than a terminal shows.
fn left_out(comparison: &Comparison) -> Option<String> {
    let categories = comparison.systems[0].scores.categories;
    (categories > MOST_CATEGORIES).then(|| {
        format!("{MOST_CATEGORIES} of {categories} categories, those with the most known positives; --json has all")
    })
}
