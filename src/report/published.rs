//! Published numbers, read in papers and in public sources; `published.csv` says where.

use sarb_labels::categories::did_you_mean;
use serde::Deserialize;

use crate::{Error, Result};

/// The network behind every number of the file.
pub const BACKBONE: &str = "ResNet-101";

/// One published number.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Published {
    /// Data set, as a plan names it.
    pub data: String,
    /// The system, as tables name it.
    pub system: String,
    /// Proportion of known labels; none for the average over 10, 20, … 90 %.
    pub known: Option<f64>,
    /// `map`, `op`, `or`, `of1`, `cp`, `cr` or `cf1`.
    pub metric: String,
    /// In percent.
    pub value: f64,
    /// Where it was read: P, V1, V2 or V3, as the file explains.
    pub mark: String,
}

/// A data set that papers report on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataSet {
    /// Its name in plans.
    pub name: &'static str,
    /// Its name in tables.
    pub title: &'static str,
    /// Images of its test split.
    pub test_images: usize,
    /// Its categories.
    pub categories: usize,
}

/// The data sets of the published numbers.
pub const DATA_SETS: [DataSet; 3] = [
    DataSet { name: "coco", title: "MS-COCO", test_images: 40_504, categories: 80 },
    DataSet { name: "vg-200", title: "VG-200", test_images: 10_000, categories: 200 },
    DataSet { name: "voc-2007", title: "Pascal VOC 2007", test_images: 4_952, categories: 20 },
];

/// The numbers on one data set.
#[derive(Debug, Clone)]
pub struct Numbers {
    /// The data set.
    pub data: DataSet,
    numbers: Vec<Published>,
}

impl Numbers {
    /// The numbers on the data set that a plan names.
    ///
    /// # Errors
    /// [`Error::Recipe`] for an unknown name.
    pub fn on(name: &str) -> Result<Self> {
        let Some(data) = DATA_SETS.into_iter().find(|data| data.name == name) else {
            let names = DATA_SETS.map(|data| data.name);
            let hint = did_you_mean(name, names);
            let names = names.join(", ");
            return Err(Error::Recipe(format!(
                "the plan's published is {name:?}; expected one of {names}{hint}"
            )));
        };
        Ok(Self { data, numbers: all().into_iter().filter(|number| number.data == name).collect() })
    }

    /// The mAP of a system at a known proportion; with `None` its average over 10, 20, … 90 %.
    pub fn map(&self, system: &str, known: Option<f64>) -> Option<&Published> {
        let same = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-9,
            (a, b) => a == b,
        };
        self.numbers
            .iter()
            .find(|number| number.system == system && number.metric == "map" && same(number.known, known))
    }

    /// Whether there is any number of a system.
    pub fn has(&self, system: &str) -> bool {
        self.numbers.iter().any(|number| number.system == system)
    }
}

fn all() -> Vec<Published> {
    let mut reader =
        csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(include_bytes!("published.csv") as &[u8]);
    reader.deserialize().map(|row| row.expect("published.csv is part of the program")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_what_the_papers_print() {
        let coco = Numbers::on("coco").unwrap();
        let value = |numbers: &Numbers, system, known| numbers.map(system, known).map(|n| n.value);
        assert_eq!(value(&coco, "SARB", None), Some(77.9));
        assert_eq!(value(&coco, "SARB", Some(0.1)), Some(71.2));
        assert_eq!(value(&coco, "Curriculum labeling", Some(0.3)), Some(51.5));
        assert_eq!(value(&coco, "PLRB fixed β", None), Some(76.9));
        let voc = Numbers::on("voc-2007").unwrap();
        assert_eq!(value(&voc, "GCN-ML", Some(0.1 + 0.2)), Some(89.7));
        assert_eq!(value(&Numbers::on("vg-200").unwrap(), "SARB", None), Some(45.6));
    }

    #[test]
    fn nothing_unverified_or_inconsistent_is_in_the_file() {
        let all = all();
        assert!(all.len() > 300);
        for number in &all {
            assert!(["P", "V", "V1", "V2", "V3"].contains(&number.mark.as_str()), "{number:?}");
            assert!((0.0..=100.0).contains(&number.value), "{number:?}");
            assert!(DATA_SETS.iter().any(|data| data.name == number.data), "{number:?}");
            assert!(number.data != "vg-200" || number.known.is_none(), "{number:?} is from memory");
            assert!(!["HST", "DSRB"].contains(&number.system.as_str()) || number.known.is_none());
        }
        let sarb_on_voc = all.iter().filter(|n| n.data == "voc-2007" && n.system == "SARB");
        assert!(sarb_on_voc.clone().all(|number| number.metric == "map") && sarb_on_voc.count() == 10);
    }

    #[test]
    fn averages_agree_with_the_rows_by_proportion() {
        for data in DATA_SETS {
            let numbers = Numbers::on(data.name).unwrap();
            for average in all().iter().filter(|n| n.data == data.name && n.known.is_none()) {
                let at = |percent: u32| numbers.map(&average.system, Some(f64::from(percent * 10) / 100.0));
                let values: Vec<f64> = (1..10).filter_map(at).map(|number| number.value).collect();
                if average.metric == "map" && values.len() == 9 {
                    let mean = values.iter().sum::<f64>() / 9.0;
                    assert!((mean - average.value).abs() < 0.06, "{average:?}: the mean is {mean}");
                }
            }
        }
    }

    #[test]
    fn an_unknown_data_set_is_named() {
        let error = Numbers::on("voc2007").unwrap_err().to_string();
        assert!(error.contains("\"voc2007\"") && error.contains("voc-2007"), "{error}");
    }
}
