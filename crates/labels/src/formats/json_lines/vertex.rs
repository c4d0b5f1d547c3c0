//! Vertex AI's import and export files of image classification.
//!
//! `{"imageGcsUri": "gs://…", "classificationAnnotations": [{"displayName": "cat", "annotationResourceLabels":
//! {"aiplatform.googleapis.com/annotation_set_name": "…"}}], "dataItemResourceLabels":
//! {"aiplatform.googleapis.com/ml_use": "training"}}`; data sets of one label per image have
//! `classificationAnnotation` with one such object. The image alone is required.
//! Format: <https://cloud.google.com/vertex-ai/docs/image-data/classification/prepare-data>.

use serde_json::Value;

use super::content::{Kind, Line, Said, text};
use super::jobs::Answer;
use crate::formats::label_lists::{Members, kind};

pub(super) const IMAGE: &str = "imageGcsUri";

const SET: &str = "aiplatform.googleapis.com/ml_use";
const ANNOTATION_SET: &str = "aiplatform.googleapis.com/annotation_set_name";

/// Reads a line; every annotation set is a labeling job.
///
/// # Errors
/// What is wrong, and what is accepted.
pub(super) fn parse(mut members: Members) -> Result<Line, String> {
    let image = text(members.take(IMAGE), IMAGE, "the address of an image")?;
    let items = members.take("dataItemResourceLabels").unwrap_or_default();
    let set = items.get(SET).filter(|set| !set.is_null());
    let set = set.map(|set| text(Some(set.clone()), SET, "training, validation or test")).transpose()?;
    let (many, one) = (members.take("classificationAnnotations"), members.take("classificationAnnotation"));
    let annotations = match (many, one) {
        (Some(_), Some(_)) => {
            return Err(
                "classificationAnnotations beside classificationAnnotation; expected one of them".into()
            );
        }
        (Some(Value::Array(list)), None) => Some(list),
        (Some(other), None) => {
            return Err(format!("classificationAnnotations is {}; expected a list of objects", kind(&other)));
        }
        (None, Some(one)) => Some(vec![one]),
        (None, None) => None,
    };
    let others = members.0.into_iter().map(|(key, _)| key).filter(|key| key.ends_with("Annotations"));
    let left_out = others.collect();
    let said = annotations.map(|list| answers(&list)).transpose()?;
    let said = said.map_or(Said::Nothing, Said::Answers);
    Ok(Line { kind: Kind::Vertex, image, set, said, left_out })
}

fn answers(annotations: &[Value]) -> Result<Vec<Answer>, String> {
    let mut answers: Vec<Answer> = Vec::new();
    for annotation in annotations {
        let name = annotation.get("displayName").and_then(Value::as_str).filter(|name| !name.is_empty());
        let name = name.ok_or("an annotation without displayName; expected text")?;
        let job = annotation.get("annotationResourceLabels").and_then(|labels| labels.get(ANNOTATION_SET));
        let job = job.and_then(Value::as_str).unwrap_or_default();
        match answers.iter_mut().find(|answer| answer.job == job) {
            Some(answer) => answer.labels.push(name.into()),
            None => {
                answers.push(Answer { job: job.into(), labels: vec![name.into()], many: true, unsure: 0 })
            }
        }
    }
    // An image in which nothing was found belongs to the set that has no name.
    if answers.is_empty() {
        answers.push(Answer { job: String::new(), labels: Vec::new(), many: true, unsure: 0 });
    }
    Ok(answers)
}
