//! SageMaker Ground Truth's augmented manifests of image classification, which Rekognition Custom Labels reads
//! too.
//!
//! A labeling job adds two keys to each line: `"JOB": [0, 2]` with `"JOB-metadata": {"class-map": {"0": "cat",
//! …}, "confidence-map": …, "type": "groundtruth/image-classification-multilabel"}`, or, where an image has one
//! label, `"JOB": 0` with `"JOB-metadata": {"class-name": "cat", …}`. The names are those of the metadata.
//! Rekognition has such a pair of keys for every label of an image, and calls its number meaningless. A list
//! without metadata may be class ids or, as the training of SageMaker takes it by default, multi-hot.
//! Formats: <https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html>,
//! <https://docs.aws.amazon.com/sagemaker/latest/dg/image-classification.html>,
//! <https://docs.aws.amazon.com/rekognition/latest/customlabels-dg/md-create-manifest-file-classification.html>.

use std::collections::BTreeMap;

use serde_json::Value;

use super::content::{Kind, Line, Said, text};
use super::jobs::Answer;
use crate::formats::label_lists::{Members, kind};
use crate::formats::report::shown;

pub(super) const IMAGES: [&str; 2] = ["source-ref", "image-ref"];

const METADATA: &str = "-metadata";
const ONE: &str = "groundtruth/image-classification";
const MANY: &str = "groundtruth/image-classification-multilabel";

/// Reads a line.
///
/// # Errors
/// What is wrong, and what is accepted.
pub(super) fn parse(mut members: Members) -> Result<Line, String> {
    let key = if members.has(IMAGES[0]) { IMAGES[0] } else { IMAGES[1] };
    let image = text(members.take(key), key, "the address of an image")?;
    let (mut answers, mut left_out) = (Vec::new(), Vec::new());
    let mut values: BTreeMap<String, Value> = BTreeMap::new();
    let mut metadata = Vec::new();
    for (key, value) in members.0 {
        match key.strip_suffix(METADATA) {
            Some(job) if value.is_object() => metadata.push((job.to_owned(), value)),
            _ => _ = values.insert(key, value),
        }
    }
    for (job, metadata) in metadata {
        // A job that failed leaves metadata alone.
        let Some(value) = values.remove(&job).filter(|value| !value.is_null()) else { continue };
        match answer(&job, &value, &metadata)? {
            Some(answer) => answers.push(answer),
            None => left_out.push(job),
        }
    }
    // Beside a job, other keys of the input manifest are passed on.
    let bare = values.iter().find(|(_, value)| answers.is_empty() && is_bare(value));
    if let Some((key, _)) = bare {
        return Err(format!(
            "{} has no {}; expected the metadata of a labeling job, since a list of numbers may be class \
             numbers or one number per category",
            shown(key),
            shown(&format!("{key}{METADATA}"))
        ));
    }
    let said = if answers.is_empty() { Said::Nothing } else { Said::Answers(answers) };
    Ok(Line { kind: Kind::SageMaker, image, set: None, said, left_out })
}

/// Whether a value without metadata is a list of numbers.
fn is_bare(value: &Value) -> bool {
    value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_number))
}

/// What a job says; nothing if it is not one of image classification.
fn answer(job: &str, value: &Value, metadata: &Value) -> Result<Option<Answer>, String> {
    let kind_of_job = metadata.get("type").and_then(Value::as_str);
    let job_name = shown(job);
    let (map, name) = (metadata.get("class-map"), metadata.get("class-name"));
    let many = match kind_of_job {
        Some(MANY) => true,
        Some(ONE) => false,
        Some(_) => return Ok(None),
        None if map.is_some() && value.is_array() => true,
        None if name.is_some() => false,
        None => return Ok(None),
    };
    if !many {
        let name = name.and_then(Value::as_str).filter(|name| !name.is_empty());
        let name =
            name.ok_or_else(|| format!("the metadata of {job_name} has no class-name; expected text"))?;
        let unsure = usize::from(is_unsure(metadata.get("confidence")));
        return Ok(Some(Answer { job: job.into(), labels: vec![name.into()], many, unsure }));
    }
    let Value::Array(list) = value else {
        return Err(format!("{job_name} is {}; expected a list of numbers", kind(value)));
    };
    let confidences = metadata.get("confidence-map");
    let mut found = Answer { job: job.into(), labels: Vec::new(), many, unsure: 0 };
    for number in list {
        let number = number.as_str().map_or_else(|| number.to_string(), str::to_owned);
        let name =
            map.and_then(|map| map.get(&number)).and_then(Value::as_str).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| {
            format!("{job_name} has {}, which the class-map of its metadata does not name", shown(&number))
        })?;
        found.labels.push(name.into());
        found.unsure += usize::from(is_unsure(confidences.and_then(|map| map.get(&number))));
    }
    Ok(Some(found))
}

/// A single worker's answers have the confidence 0.
fn is_unsure(confidence: Option<&Value>) -> bool {
    confidence.and_then(Value::as_f64).is_some_and(|value| value > 0.0 && value < 0.5)
}
