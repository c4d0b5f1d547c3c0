//! Images of a training that cannot be read: all of them are named, not only the first, and a share that the user allows is
//! left out.

use std::path::PathBuf;

use rayon::prelude::*;
use sarb_labels::text::percent;
use sarb_labels::{Annotations, images};

use crate::cancel::Cancel;
use crate::inputs::Inputs;
use crate::{Error, Result};

/// So many are named in a message.
const NAMED: usize = 20;
/// Images that are read between two looks at whether to stop.
const PIECE: usize = 1024;

/// An image that cannot be read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its row in its file, from 0.
    pub row: usize,
    /// What is wrong with it, with its path.
    pub why: String,
}

/// The annotations without the images that cannot be read, if they are no larger a share than `inputs` allow; where
/// these allow none, no image is looked at here.
///
/// # Errors
/// [`Error::Data`] if there are more, [`Error::Usage`] where there are features in place of images,
/// [`Error::Stopped`] once `cancel` asks for it.
pub fn left_out(
    annotations: Annotations,
    inputs: &Inputs,
    cancel: &Cancel,
) -> Result<(Annotations, Vec<Broken>)> {
    let Some(most) = inputs.skip_broken else { return Ok((annotations, Vec::new())) };
    if inputs.features.is_some() {
        return Err(Error::Usage(
            "--skip-broken leaves out images, but --features has a row for each of them; leave it out".into(),
        ));
    }
    let broken = find(&annotations.images, cancel)?;
    let all = annotations.images.len();
    if broken.len() as f64 > most * all as f64 {
        let share = broken.len() as f64 / all as f64;
        let more =
            format!("more than --skip-broken allows: {} % of them, not {} %", percent(share), percent(most));
        return Err(named(&broken, all, &more));
    }
    Ok((annotations.select(&whole(&broken, all)), broken))
}

/// Rows of `all` that can be read.
pub fn whole(broken: &[Broken], all: usize) -> Vec<usize> {
    let mut whole = vec![true; all];
    broken.iter().for_each(|broken| whole[broken.row] = false);
    (0..all).filter(|&row| whole[row]).collect()
}

/// What is said of a training that failed at one image that cannot be read: all such images.
pub fn all(error: Error, annotations: &Annotations, cancel: &Cancel) -> Error {
    if error.exit_code() != Error::Data(String::new()).exit_code() {
        return error;
    }
    match find(&annotations.images, cancel) {
        Ok(broken) if broken.len() > 1 => {
            let more = "`sarb data check` names all; --skip-broken 0.01 leaves out up to 1 %";
            named(&broken, annotations.images.len(), more)
        }
        _ => error,
    }
}

/// What is said of images that are left out.
pub fn warning(training: &[Broken], validating: &[Broken]) -> Option<String> {
    let counted = [(training.len(), "train.csv"), (validating.len(), "val.csv")];
    let counted = counted.iter().filter(|(count, _)| *count > 0);
    let counted: Vec<String> = counted.map(|(count, file)| format!("{count} of {file}")).collect();
    (!counted.is_empty()).then(|| {
        format!(
            "images that cannot be read are left out, as --skip-broken allows: {}; data/skipped.csv in the run names them",
            counted.join(" and ")
        )
    })
}

/// What is left out as a table, for people.
pub fn table(broken: &[Broken]) -> Vec<u8> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let lines = std::iter::once("why").chain(broken.iter().map(|broken| broken.why.as_str()));
    lines.for_each(|line| table.write_record([line]).expect("records of one field"));
    table.into_inner().expect("a table in memory")
}

fn named(broken: &[Broken], all: usize, more: &str) -> Error {
    let count = broken.len();
    let lines: Vec<&str> = broken.iter().take(NAMED).map(|broken| broken.why.as_str()).collect();
    let rest = if count > NAMED { format!("\n… and {} more", count - NAMED) } else { String::new() };
    let lines = lines.join("\n");
    Error::Data(format!("{count} of {all} images cannot be read ({more}):\n{lines}{rest}"))
}

/// Reads all images.
fn find(paths: &[PathBuf], cancel: &Cancel) -> Result<Vec<Broken>> {
    let mut broken = Vec::new();
    for (piece, paths) in paths.chunks(PIECE).enumerate() {
        cancel.check()?;
        let read = |(at, path): (usize, &PathBuf)| {
            let why = images::decode(path).err()?.to_string();
            Some(Broken { row: piece * PIECE + at, why })
        };
        broken.extend(paths.par_iter().enumerate().filter_map(read).collect::<Vec<_>>());
    }
    Ok(broken)
}
