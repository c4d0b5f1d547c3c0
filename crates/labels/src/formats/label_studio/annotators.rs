//! Who gave which annotation: `completed_by` of tasks, a number, an e-mail address or a person with both; `annotator` of
//! records.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::Export;
use crate::categories::did_you_mean;
use crate::{Error, Result};

/// Everyone who gave an annotation of an export that is read, in the order of their names.
///
/// # Errors
/// If the file cannot be read. What is wrong in it says [`read`](super::read).
pub fn annotators(path: &Path) -> Result<Vec<String>> {
    let mut export = Export::default();
    export.read(path)?;
    let names: BTreeSet<String> = export.said_by.into_iter().flatten().collect();
    Ok(names.into_iter().collect())
}

/// What somebody is called.
pub(super) fn name(by: &Value) -> Option<String> {
    match by {
        Value::Number(number) => Some(number.to_string()),
        Value::String(name) if !name.is_empty() => Some(name.clone()),
        Value::Object(person) => ["email", "id"].iter().find_map(|key| name(person.get(*key)?)),
        _ => None,
    }
}

/// Which annotations are of one person.
pub(super) fn annotations_of(wanted: &str, said_by: &[Option<String>], path: &Path) -> Result<Vec<bool>> {
    let kept: Vec<bool> = said_by.iter().map(|by| by.as_deref() == Some(wanted)).collect();
    if kept.contains(&true) {
        return Ok(kept);
    }
    let hint = did_you_mean(wanted, said_by.iter().flatten().map(String::as_str));
    Err(Error::Usage(format!("--annotator {wanted}: no annotation in {} is theirs{hint}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Label;
    use crate::formats::label_studio::FORMAT;
    use crate::formats::options::{Options, Unlisted};

    /// Anna chooses a cat in the first image, where Ben, whose number is 7, sees a dog; he alone did the second.
    const EXPORT: &str = r#"[
      {"data": {"image": "a.jpg"}, "annotations": [
        {"completed_by": {"id": 3, "email": "anna@lab.org"}, "result": [{"from_name": "tags", "type": "choices", "value": {"choices": ["cat"]}}]},
        {"completed_by": 7, "result": [{"from_name": "tags", "type": "choices", "value": {"choices": ["dog"]}}]}]},
      {"data": {"image": "b.jpg"}, "annotations": [
        {"completed_by": 7, "was_cancelled": true, "result": []},
        {"completed_by": 7, "result": []}]},
      {"data": {"image": "c.jpg"}, "annotations": []}]"#;

    #[test]
    fn everyone_has_labels_of_their_own_in_the_same_categories() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("export.json");
        std::fs::write(&path, EXPORT).unwrap();
        assert_eq!(annotators(&path).unwrap(), ["7", "anna@lab.org"]);
        let read = |annotator: Option<&str>| {
            let options = Options {
                unlisted: Some(Unlisted::Negative),
                annotator: annotator.map(str::to_owned),
                ..Options::default()
            };
            FORMAT.read(&path, &options).map(|reading| reading.annotations)
        };
        let labels = |annotator| {
            let annotations = read(annotator).unwrap();
            assert_eq!(annotations.categories, ["cat", "dog"]);
            let row = |row| annotations.labels.row(row).collect::<Vec<Label>>();
            [row(0), row(1), row(2)]
        };
        let (yes, no, open) = (Label::Positive, Label::Negative, Label::Unknown);
        assert_eq!(labels(None), [vec![open, open], vec![no, no], vec![open, open]], "they disagree");
        assert_eq!(labels(Some("anna@lab.org")), [vec![yes, no], vec![open, open], vec![open, open]]);
        assert_eq!(labels(Some("7")), [vec![no, yes], vec![no, no], vec![open, open]]);
        assert_eq!([name(&"".into()), name(&"b".into())], [None, Some("b".to_owned())]);
        let error = read(Some("anna@lab.com")).unwrap_err().to_string();
        assert!(error.contains("is theirs; did you mean \"anna@lab.org\"?"), "{error}");
        // Of what is counted, too, only their own.
        let options =
            Options { unlisted: Some(Unlisted::Negative), annotator: Some("7".into()), ..Options::default() };
        let notes = FORMAT.read(&path, &options).unwrap().notes;
        let empty = "1 submitted annotations chose nothing: no to every category";
        assert!(notes.contains(&empty.to_owned()), "{notes:?}");
    }
}
