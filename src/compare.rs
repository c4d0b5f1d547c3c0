//! Systems measured on the same labels, side by side: how sure each mAP is, and each difference to the system
//! that the others are compared with.

use std::borrow::Borrow;

use sarb_labels::LabelMatrix;
use sarb_labels::metrics::Scores;
use sarb_labels::text::{aligned, percent};
use serde::Serialize;

use crate::bootstrap::{LEVEL, Resamples, interval};
use crate::{Error, Result};

/// One system's scores of the images that all systems are measured on.
#[derive(Debug, Clone)]
pub struct System {
    /// What tables call it.
    pub name: String,
    /// `N × C`, row by row; only their order within a category counts.
    pub values: Vec<f32>,
    /// What they are worth.
    pub scores: Scores,
}

/// The middle 95 % of a value over resamples of the images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    fn of(values: Vec<f64>) -> Self {
        let (low, high) = interval(values, LEVEL);
        Self { low, high }
    }

    /// Whether it leaves out 0.
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// A difference of mAP, 0…1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// This system's mAP less that of the one it is compared with.
    pub map: f64,
    /// Of the paired bootstrap: both systems on the same resamples; none if it was not asked for.
    pub interval: Option<Interval>,
}

/// One system among others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// What tables call it.
    pub name: String,
    /// What its scores are worth.
    pub scores: Scores,
    /// Of its mAP; none if it was not asked for.
    pub map_interval: Option<Interval>,
    /// To the reference; none for the reference itself.
    pub difference: Option<Difference>,
}

/// How the intervals are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bootstrap {
    /// Number of resamples; 0 computes no interval.
    pub resamples: usize,
    /// Their seed.
    pub seed: u64,
}

/// Several systems, the first of which the others are compared with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// How the intervals were computed.
    pub bootstrap: Bootstrap,
    /// The level of the intervals.
    pub level: f64,
    /// The systems; differences are to the first.
    pub systems: Vec<Compared>,
}

/// Compares systems with the first of them.
///
/// # Errors
/// [`Error::Data`] if a system has not a score for every label.
pub fn compare<S: Borrow<System>>(
    systems: &[S],
    labels: &LabelMatrix,
    bootstrap: Bootstrap,
) -> Result<Comparison> {
    let systems: Vec<&System> = systems.iter().map(Borrow::borrow).collect();
    let cells = labels.images() * labels.categories();
    if let Some(odd) = systems.iter().find(|system| system.values.len() != cells) {
        return Err(Error::Data(format!(
            "{}: {} scores, but the labels are of {} images × {} categories",
            odd.name,
            odd.values.len(),
            labels.images(),
            labels.categories()
        )));
    }
    // Without an image there is nothing to draw from.
    let count = if labels.images() == 0 { 0 } else { bootstrap.resamples };
    let resamples = Resamples::draw(labels, count, bootstrap.seed);
    let maps: Vec<Vec<f64>> = systems.iter().map(|system| resamples.maps(&system.values)).collect();
    let optional = |values: Vec<f64>| (!values.is_empty()).then(|| Interval::of(values));
    let compared = systems.iter().zip(&maps).enumerate().map(|(place, (system, of_system))| Compared {
        name: system.name.clone(),
        scores: system.scores.clone(),
        map_interval: optional(of_system.clone()),
        difference: (place > 0).then(|| Difference {
            map: system.scores.map - systems[0].scores.map,
            interval: optional(of_system.iter().zip(&maps[0]).map(|(own, other)| own - other).collect()),
        }),
    });
    Ok(Comparison { bootstrap, level: LEVEL, systems: compared.collect() })
}

impl Comparison {
    /// A table for people, percent with one decimal, and a line on how to read it.
    pub fn to_text(&self) -> String {
        let with_intervals = self.systems.iter().any(|system| system.map_interval.is_some());
        let mut heading = vec!["system".to_owned(), "mAP".into()];
        heading.extend(with_intervals.then(|| self.level_name()));
        heading.push("difference".into());
        heading.extend(with_intervals.then(|| self.level_name()));
        heading.extend(["OF1", "CF1"].map(String::from));
        let row = |system: &Compared| {
            let mut cells = vec![system.name.clone(), percent(system.scores.map)];
            cells.extend(with_intervals.then(|| shown(system.map_interval, percent)));
            let difference = system.difference;
            cells.push(difference.map_or("–".into(), |difference| signed(difference.map)));
            cells.extend(with_intervals.then(|| shown(difference.and_then(|d| d.interval), signed)));
            cells.extend([system.scores.all.of1, system.scores.all.cf1].map(percent));
            cells
        };
        let rows: Vec<Vec<String>> = std::iter::once(heading).chain(self.systems.iter().map(row)).collect();
        let mut text = aligned(&rows);
        text += &format!("\ndifference: mAP less that of {}", self.systems[0].name);
        if with_intervals {
            text += &format!(
                "; intervals of {} paired bootstrap resamples of the images; one that leaves out 0 is more than \
                 the choice of the images",
                self.bootstrap.resamples
            );
        }
        text
    }

    /// How sure the mAP of a system is, such as `95 % interval 54.9 to 57.6`; none without a bootstrap.
    pub fn of_map(&self, system: &Compared) -> Option<String> {
        system
            .map_interval
            .map(|interval| format!("{} {}", self.level_name(), shown(Some(interval), percent)))
    }

    fn level_name(&self) -> String {
        format!("{:.0} % interval", 100.0 * self.level)
    }
}

impl Difference {
    /// Such as `+1.3 (0.9 to 1.8)`.
    pub fn to_text(&self) -> String {
        let interval = self.interval.map_or(String::new(), |i| format!(" ({})", shown(Some(i), signed)));
        format!("{}{interval}", signed(self.map))
    }
}

fn shown(interval: Option<Interval>, number: fn(f64) -> String) -> String {
    interval.map_or("–".into(), |Interval { low, high }| format!("{} to {}", number(low), number(high)))
}

/// A difference in percent points with its sign; `0.0` has none.
fn signed(fraction: f64) -> String {
    match percent(fraction.abs()).as_str() {
        "0.0" => "0.0".into(),
        size => format!("{}{size}", if fraction < 0.0 { "−" } else { "+" }),
    }
}

#[cfg(test)]
mod tests {
    use sarb_labels::metrics::evaluate;

    use super::*;

    /// Two categories; the scores are the label and noise, more of it in a worse system.
    fn system(name: &str, labels: &LabelMatrix, noise: f32, salt: usize) -> System {
        let random = |place: usize| ((place * 7919 + salt * 104_729) % 1009) as f32 / 1009.0 - 0.5;
        let values: Vec<f32> = labels
            .to_floats()
            .iter()
            .enumerate()
            .map(|(place, label)| label + noise * random(place))
            .collect();
        let names = ["a".to_owned(), "b".to_owned()];
        let scores = evaluate(&values, labels, &names, 0.0).unwrap();
        System { name: name.into(), values, scores }
    }

    fn labels() -> LabelMatrix {
        let values: Vec<i8> = (0..400).map(|cell| if cell % 7 < 2 { 1 } else { -1 }).collect();
        LabelMatrix::from_values(2, &values)
    }

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 200, seed: 0 };

    #[test]
    fn a_worse_system_is_told_from_an_equally_good_one() {
        let labels = labels();
        let systems = [
            system("sharp", &labels, 5.0, 1),
            system("other", &labels, 5.0, 2),
            system("blurred", &labels, 14.0, 3),
        ];
        let comparison = compare(&systems, &labels, BOOTSTRAP).unwrap();
        let [first, other, blurred] = &comparison.systems[..] else { panic!("three systems") };
        assert_eq!(first.difference, None);
        let interval = first.map_interval.unwrap();
        assert!(interval.low < first.scores.map && first.scores.map < interval.high);
        let difference = blurred.difference.unwrap();
        assert_eq!(difference.map, blurred.scores.map - first.scores.map);
        assert!(difference.interval.unwrap().excludes_zero() && difference.map < 0.0, "{difference:?}");
        assert!(!other.difference.unwrap().interval.unwrap().excludes_zero(), "{:?}", other.difference);
        let text = comparison.to_text();
        assert!(text.contains("95 % interval") && text.contains('−'), "{text}");
        assert!(text.contains("difference: mAP less that of sharp; intervals of 200 paired"), "{text}");
    }

    #[test]
    fn a_system_does_not_differ_from_itself() {
        let labels = labels();
        let one = system("one", &labels, 5.0, 1);
        let comparison = compare(&[one.clone(), one], &labels, BOOTSTRAP).unwrap();
        let difference = comparison.systems[1].difference.unwrap();
        assert_eq!(difference, Difference { map: 0.0, interval: Some(Interval { low: 0.0, high: 0.0 }) });
        assert_eq!(difference.to_text(), "0.0 (0.0 to 0.0)");
    }

    #[test]
    fn without_a_bootstrap_there_are_no_intervals_and_wrong_shapes_are_refused() {
        let labels = labels();
        let one = system("one", &labels, 5.0, 1);
        let none = Bootstrap { resamples: 0, seed: 0 };
        let comparison = compare(&[one.clone(), one.clone()], &labels, none).unwrap();
        assert_eq!(comparison.systems[0].map_interval, None);
        assert!(!comparison.to_text().contains("interval"), "{}", comparison.to_text());
        let short = System { values: vec![0.0; 3], ..one };
        assert!(compare(&[short], &labels, none).unwrap_err().to_string().contains("one: 3 scores"));
    }
}
