//! The answer: JSON, and behind it the tensors that were asked for as bytes.

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::request::JSON_LENGTH;
use crate::serve::problem::with_headers;

/// A tensor of an answer.
#[derive(Debug)]
pub struct Output {
    /// What it was asked by.
    pub name: &'static str,
    /// Its sides.
    pub shape: Vec<usize>,
    /// Its elements, row by row.
    pub data: Data,
    /// Whether it is given as bytes.
    pub binary: bool,
}

/// The elements of a tensor.
#[derive(Debug)]
pub enum Data {
    /// FP32.
    Floats(Vec<f32>),
    /// BYTES that are text.
    Bytes(Vec<String>),
}

impl Data {
    fn datatype(&self) -> &'static str {
        match self {
            Self::Floats(_) => "FP32",
            Self::Bytes(_) => "BYTES",
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Floats(values) => json!(values),
            Self::Bytes(texts) => json!(texts),
        }
    }

    /// Floats with the least byte first; of texts each after its length.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Floats(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Bytes(texts) => texts
                .iter()
                .flat_map(|text| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat())
                .collect(),
        }
    }
}

/// The response with these tensors.
pub fn response(model: &str, version: &str, id: Option<&str>, outputs: &[Output]) -> Response {
    let mut behind = Vec::new();
    let described: Vec<Value> = outputs
        .iter()
        .map(|output| {
            let datatype = output.data.datatype();
            let mut tensor = json!({ "name": output.name, "shape": output.shape, "datatype": datatype });
            if output.binary {
                let bytes = output.data.bytes();
                tensor["parameters"] = json!({ "binary_data_size": bytes.len() });
                behind.extend(bytes);
            } else {
                tensor["data"] = output.data.json();
            }
            tensor
        })
        .collect();
    let mut answer = json!({ "model_name": model, "model_version": version, "outputs": described });
    if let Some(id) = id {
        answer["id"] = json!(id);
    }
    let answer = answer.to_string();
    if !outputs.iter().any(|output| output.binary) {
        return with_headers(StatusCode::OK, "application/json", answer);
    }
    let length = HeaderValue::from(answer.len());
    let mut response =
        with_headers(StatusCode::OK, "application/octet-stream", [answer.as_bytes(), &behind].concat());
    response.headers_mut().insert(HeaderName::from_static(JSON_LENGTH), length);
    response
}
