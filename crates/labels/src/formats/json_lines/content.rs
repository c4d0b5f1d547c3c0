//! What a line holds, whichever program wrote it.

use serde_json::Value;

use super::jobs::Answer;
use crate::formats::label_lists::{Labels, kind};

/// Which program's keys a line has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Hugging Face's and our own.
    Plain,
    Vertex,
    SageMaker,
}

/// What a line holds.
#[derive(Debug)]
pub(super) struct Line {
    pub kind: Kind,
    /// A path, or an address with `://`.
    pub image: String,
    /// The set of images that it belongs to, as it is written.
    pub set: Option<String>,
    pub said: Said,
    /// What beside the labels was not read, to be counted.
    pub left_out: Vec<String>,
}

/// What a line says of labels.
#[derive(Debug)]
pub(super) enum Said {
    Nothing,
    Lists(Labels),
    /// Names of labels that are there, each list from one labeling job.
    Answers(Vec<Answer>),
}

/// A text that is not empty.
///
/// # Errors
/// If it is something else.
pub(super) fn text(value: Option<Value>, key: &str, what: &str) -> Result<String, String> {
    match value {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        value => {
            let kind = value.as_ref().map_or("null", kind);
            Err(format!("{key} is {kind}; expected {what}"))
        }
    }
}
