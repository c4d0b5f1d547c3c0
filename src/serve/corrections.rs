//! Labels that people set on the page, in the table that `sarb labels fill --corrections` reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use sarb_labels::files::{folder_of, write_atomically};
use serde::Deserialize;

use super::problem::Problem;
use crate::{Error, Result};

/// Most labels that a file may hold.
const MOST: usize = 1_000_000;

const HEADING: [&str; 3] = ["image", "category", "label"];

/// The file, and what it holds.
#[derive(Debug)]
pub struct Corrections {
    path: PathBuf,
    /// `1`, `0` or nothing by image and category.
    labels: Mutex<BTreeMap<(String, String), &'static str>>,
}

/// A label that a person set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// What the image is called.
    pub image: String,
    /// Of which category.
    pub category: String,
    /// 1, 0, or nothing where nobody can tell.
    pub label: Option<u8>,
}

impl Corrections {
    /// A file, with what it holds if it is there.
    ///
    /// # Errors
    /// If its folder is not there, or it holds something else.
    pub fn open(path: &Path) -> Result<Self> {
        if !folder_of(path).is_dir() {
            return Err(Error::Missing(format!("{}: no such folder", folder_of(path).display())));
        }
        let mut labels = BTreeMap::new();
        if path.exists() {
            let wrong = |what: String| Error::Data(format!("{}: {what}", path.display()));
            let mut reader = csv::Reader::from_path(path).map_err(|error| wrong(error.to_string()))?;
            let heading = reader.headers().map_err(|error| wrong(error.to_string()))?;
            if heading.iter().ne(HEADING) {
                return Err(wrong("expected the heading image,category,label".into()));
            }
            for record in reader.records() {
                let record = record.map_err(|error| wrong(error.to_string()))?;
                let label = match &record[2] {
                    "1" => "1",
                    "0" => "0",
                    "" => "",
                    other => return Err(wrong(format!("label {other:?}; expected 1, 0 or nothing"))),
                };
                labels.insert((record[0].to_owned(), record[1].to_owned()), label);
            }
        }
        Ok(Self { path: path.to_owned(), labels: Mutex::new(labels) })
    }

    /// Takes labels over what was said of the same image and category before; returns how many the file holds then.
    ///
    /// # Errors
    /// 413 of too many, 500 where the file cannot be written.
    pub fn take(&self, sent: Vec<Correction>) -> Result<usize, Problem> {
        let mut held = self.labels.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut labels = held.clone();
        for Correction { image, category, label } in sent {
            let label = match label {
                Some(1) => "1",
                Some(_) => "0",
                None => "",
            };
            labels.insert((image, category), label);
        }
        if labels.len() > MOST {
            return Err(Problem::too_large(format!("more than {MOST} corrections")));
        }
        // What cannot be written is not held either.
        self.write(&labels).map_err(Problem::from)?;
        *held = labels;
        Ok(held.len())
    }

    fn write(&self, labels: &BTreeMap<(String, String), &str>) -> Result<()> {
        Ok(write_atomically(&self.path, |file| {
            let mut table = csv::Writer::from_writer(file);
            table.write_record(HEADING)?;
            for ((image, category), label) in labels {
                table.write_record([image, category, *label])?;
            }
            table.flush()
        })?)
    }
}
