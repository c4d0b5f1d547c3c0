//! The Open Inference Protocol, version 2, as KServe, Triton, OpenVINO and MLServer speak it over HTTP, with Triton's binary
//! tensors.
//!
//! <https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md>,
//! <https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md>

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::model::Model;
use super::problem::{Problem, json_response};
use super::state::Server;
use crate::decisions::thresholds::Decisions;
use crate::recognizer::probability;
use request::{Asked, Kind, Wanted};
use tensors::{Data, Output};

mod request;
mod tensors;

#[cfg(test)]
mod tests;

/// The one version that a model has.
const VERSION: &str = "1";

/// A threshold that no score reaches, for categories of which no threshold gives what was wanted.
const NEVER: f32 = 2.0;

/// `GET /v2`.
pub async fn server() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    json_response(
        StatusCode::OK,
        &json!({ "name": "sarb", "version": version, "extensions": ["binary_tensor_data"] }),
    )
}

/// `GET /v2/health/live`.
pub async fn live() -> Response {
    json_response(StatusCode::OK, &json!({ "live": true }))
}

/// `GET /v2/health/ready`.
pub async fn ready(State(server): State<Arc<Server>>) -> Response {
    let ready = server.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_response(status, &json!({ "ready": ready }))
}

/// `GET /v2/models`.
pub async fn models(State(server): State<Arc<Server>>) -> Response {
    let names: Vec<&str> = server.models.iter().map(|model| model.about.name.as_str()).collect();
    json_response(StatusCode::OK, &json!({ "models": names }))
}

/// A model in a path, with or without its version.
#[derive(Debug, serde::Deserialize)]
pub struct Named {
    model: String,
    version: Option<String>,
}

impl Named {
    fn find<'a>(&self, server: &'a Server) -> Result<&'a Arc<Model>, Problem> {
        let model = server.model(Some(&self.model))?;
        match self.version.as_deref() {
            None | Some(VERSION) => Ok(model),
            Some(other) => {
                Err(Problem::not_found(format!("{}: no version {other:?}; there is {VERSION:?}", self.model)))
            }
        }
    }
}

/// `GET /v2/models/{model}`: what goes in and what comes out.
pub async fn metadata(
    State(server): State<Arc<Server>>,
    Path(named): Path<Named>,
) -> Result<Response, Problem> {
    let model = named.find(&server)?;
    let count = model.about.categories.len();
    let tensor = |name: &str, datatype: &str, shape: serde_json::Value| json!({ "name": name, "datatype": datatype, "shape": shape });
    let mut outputs = vec![
        tensor("scores", "FP32", json!([-1, count])),
        tensor("logits", "FP32", json!([-1, count])),
        tensor("labels", "BYTES", json!([count])),
    ];
    if model.decides() {
        outputs.push(tensor("thresholds", "FP32", json!([count])));
    }
    let metadata = json!({
        "name": model.about.name,
        "versions": [VERSION],
        "platform": "sarb",
        "inputs": [tensor("image", "BYTES", json!([-1])), tensor("pixels", "UINT8", json!([-1, -1, -1, 3]))],
        "outputs": outputs,
        "properties": { "checkpoint": model.about.version },
    });
    Ok(json_response(StatusCode::OK, &metadata))
}

/// `GET /v2/models/{model}/ready`.
pub async fn model_ready(
    State(server): State<Arc<Server>>,
    Path(named): Path<Named>,
) -> Result<Response, Problem> {
    let name = &named.find(&server)?.about.name;
    let ready = server.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(json_response(status, &json!({ "name": name, "ready": ready })))
}

/// `POST /v2/models/{model}/infer`.
pub async fn infer(
    State(server): State<Arc<Server>>,
    Path(named): Path<Named>,
    request: Request,
) -> Result<Response, Problem> {
    let model = named.find(&server)?.clone();
    let (head, body) = request.into_parts();
    let body = server.bodies.read(&head.headers, body).await?;
    let asked = Asked::read(&head.headers, &body.bytes, server.limits.max_images)?;
    let decisions = match asked.decide {
        Some(goal) => {
            let model = model.clone();
            Some(server.on_a_core(move || model.decisions(goal)).await??)
        }
        None => None,
    };
    let mut logits = Vec::new();
    for recognized in server.recognize(&model, asked.images, false).await? {
        // One answer for all: a batch with an image that cannot be read has none.
        logits.push(recognized?.logits);
    }
    let outputs = asked.outputs.iter().map(|wanted| output(&model, decisions.as_deref(), *wanted, &logits));
    let outputs = outputs.collect::<Result<Vec<Output>, Problem>>()?;
    Ok(tensors::response(&model.about.name, VERSION, asked.id.as_deref(), &outputs))
}

/// A tensor of the answer.
fn output(
    model: &Model,
    decisions: Option<&Decisions>,
    wanted: Wanted,
    logits: &[Vec<f32>],
) -> Result<Output, Problem> {
    let names = &model.about.categories;
    let of_images = vec![logits.len(), names.len()];
    let said = || logits.iter().flat_map(|row| decisions.map_or(row.clone(), |it| it.calibrated(row)));
    let (shape, data) = match wanted.kind {
        Kind::Scores => (of_images, Data::Floats(said().map(probability).collect())),
        Kind::Logits => (of_images, Data::Floats(said().collect())),
        Kind::Labels => (vec![names.len()], Data::Bytes(names.clone())),
        Kind::Thresholds => {
            let decisions = decisions.ok_or_else(|| {
                Problem::bad("output thresholds needs the request's \"parameters\": {\"decide\": \"f1\"}, or precision=P, or recall=P")
            })?;
            let thresholds = decisions.categories.iter().map(|it| it.threshold.map_or(NEVER, |it| it as f32));
            (vec![names.len()], Data::Floats(thresholds.collect()))
        }
    };
    Ok(Output { name: wanted.kind.name(), shape, data, binary: wanted.binary })
}
