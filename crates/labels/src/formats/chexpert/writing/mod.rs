//! Writes label files of CheXpert's kind: `Path,<category>…`.

use std::path::Path;

use super::Folders;
use super::columns::{PATHS, is_finding};
use crate::annotations::Annotations;
use crate::error::Problems;
use crate::files::{folder_of, write_atomically};
use crate::formats::image_names::image_names;
use crate::formats::name_list::check_name;
use crate::formats::report::shown;
use crate::formats::sheet::{describes, is_split_column};
use crate::labels::Label;
use crate::text::letters;
use crate::{Error, Result};

/// Writes `1.0` (positive), `0.0` (negative) and blank (unknown); image paths are valid from the folder of the
/// file. `--unlisted unknown` reads it back.
///
/// What is lost: categories of which nothing is known, unless they are CheXpert's own: their columns are
/// not seen to hold labels.
///
/// # Errors
/// [`Error::Data`] if a name cannot be in a line or no column could be read back; all categories at once
/// whose columns are taken for something else.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let check = |name: &String| check_name(path, name, "CheXpert's CSV");
    annotations.categories.iter().try_for_each(check)?;
    let mut problems = Problems::default();
    for name in &annotations.categories {
        if let Some(why) = taken_for(name) {
            let name = shown(name);
            problems.push(format!("{}: category {name} {why}; call it otherwise", path.display()));
        }
    }
    problems.or(())?;
    let mut images = image_names(annotations, folder_of(path))?;
    images.iter().try_for_each(check)?;
    let folders = Folders::new(path, None);
    for image in images.iter_mut().filter(|image| folders.leads_from_above(image)) {
        image.insert_str(0, "./");
    }
    let known = annotations.categories.iter().zip(annotations.labels.counts());
    let silent = known.filter(|(name, (_, known))| *known == 0 && !is_finding(name)).count();
    if silent == annotations.categories.len() {
        let what = "no label is known and no category is one of CheXpert's; its CSV would have no findings";
        return Err(Error::Data(format!("{}: {what}", path.display())));
    }
    write_atomically(path, |writer| {
        let mut writer = csv::Writer::from_writer(writer);
        writer
            .write_record(std::iter::once("Path").chain(annotations.categories.iter().map(String::as_str)))?;
        for (row, image) in images.iter().enumerate() {
            writer.write_field(image)?;
            for label in annotations.labels.row(row) {
                writer.write_field(match label {
                    Label::Positive => "1.0",
                    Label::Negative => "0.0",
                    Label::Unknown => "",
                })?;
            }
            writer.write_record(None::<&[u8]>)?;
        }
        writer.flush()
    })?;
    let blank = annotations.labels.count(Label::Unknown);
    let blank = (blank > 0).then(|| {
        format!(
            "what a blank cell means, which {blank} unknown labels are: read back with --unlisted unknown"
        )
    });
    let silent = (silent > 0).then(|| {
        format!("{silent} categories of which nothing is known: a blank column is read as no finding")
    });
    Ok(blank.into_iter().chain(silent).collect())
}

/// What a column of this name is taken for instead of a finding.
fn taken_for(name: &str) -> Option<&'static str> {
    match letters(name).as_str() {
        "" => Some("has neither letter nor digit, so that its column would not be read"),
        name if name == PATHS[0] => Some("is the name of the column of image paths"),
        _ if is_split_column(name) => Some("is the name of a column of splits"),
        _ if describes(name) => Some("is the name of a column that is never read as a finding"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
