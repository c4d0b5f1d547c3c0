//! Label Studio's machine learning backend: Label Studio asks, this answers with the choices that a run would make.
//!
//! <https://labelstud.io/guide/ml_create>; the bodies are those of Label Studio 1.23. A choice cannot say that something is
//! not there: what reaches its threshold is chosen, the rest stays open.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use sarb_labels::formats::label_studio::config::{Control, control_of};
use sarb_labels::formats::label_studio::predictions::prediction;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::model::Model;
use super::pictures::Image;
use super::problem::{Problem, json_response};
use super::recognition::Recognized;
use super::state::Server;
use crate::decisions::selection::{Selection, sureness};
use crate::decisions::thresholds::{Decisions, Goal};
use crate::recognizer::probability;
use projects::Connection;

pub mod images;
pub mod projects;

#[cfg(test)]
mod tests;

/// How long a prediction may take; Label Studio waits for 100 s.
pub const PREDICT: Duration = Duration::from_secs(95);

/// Images of a prediction that are in the queue at once, so that others find room in it.
const AT_ONCE: usize = 8;

/// How long a full queue is left alone.
const PAUSE: Duration = Duration::from_millis(50);

/// From which probability on something is chosen where the run has no thresholds of its own.
const HALF: f32 = 0.5;

/// The model in the path, if it names one.
#[derive(Debug, Deserialize)]
pub struct Named {
    model: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Setup {
    project: Option<String>,
    schema: String,
    hostname: Option<String>,
    access_token: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Predict {
    tasks: Vec<Task>,
    project: Option<String>,
    label_config: String,
}

#[derive(Debug, Deserialize)]
struct Task {
    #[serde(default)]
    data: Map<String, Value>,
}

/// `GET /health`.
pub async fn health() -> Response {
    json_response(StatusCode::OK, &json!({ "status": "UP", "model_class": "sarb" }))
}

/// `POST /setup`: whether the project can be served.
pub async fn setup(
    State(server): State<Arc<Server>>,
    Path(named): Path<Named>,
    request: Request,
) -> Result<Response, Problem> {
    let model = server.model(named.model.as_deref())?.clone();
    let setup: Setup = server.bodies.read_json(request).await?;
    control(&model, &setup.schema)?;
    if let Some(project) = setup.project {
        let connection = Connection { hostname: setup.hostname, access_token: setup.access_token };
        server.projects.keep(project, connection);
    }
    Ok(json_response(StatusCode::OK, &json!({ "model_version": version(&model) })))
}

/// `GET /versions`.
pub async fn versions(
    State(server): State<Arc<Server>>,
    Path(named): Path<Named>,
) -> Result<Response, Problem> {
    let model = server.model(named.model.as_deref())?;
    Ok(json_response(StatusCode::OK, &json!({ "versions": [version(model)] })))
}

/// `POST /webhook`: nothing is learned from it.
pub async fn webhook(State(server): State<Arc<Server>>, request: Request) -> Result<Response, Problem> {
    let event: Map<String, Value> = server.bodies.read_json(request).await?;
    let action = event.get("action").and_then(Value::as_str).unwrap_or_default();
    let known =
        action == "START_TRAINING" || action.starts_with("ANNOTATION") || action.starts_with("PROJECT");
    Ok(match known {
        true => json_response(StatusCode::CREATED, &json!({ "result": {}, "status": "ok" })),
        false => json_response(StatusCode::OK, &json!({ "status": "unknown event" })),
    })
}

/// What older versions of Label Studio call besides.
pub async fn legacy() -> Response {
    json_response(StatusCode::OK, &json!({}))
}

/// `POST /predict`: a result for each task, in their order.
pub async fn predict(
    State(server): State<Arc<Server>>,
    Path(named): Path<Named>,
    request: Request,
) -> Result<Response, Problem> {
    let model = server.model(named.model.as_deref())?.clone();
    let asked: Predict = server.bodies.read_json(request).await?;
    let control = control(&model, &asked.label_config)?;
    let connection = asked.project.map(|project| server.projects.of(&project)).unwrap_or_default();
    let decisions = match model.decides() {
        true => {
            let model = model.clone();
            Some(server.on_a_core(move || model.decisions(Goal::F1)).await??)
        }
        false => None,
    };
    let end = Instant::now() + PREDICT;
    let (mut results, mut failed) = (Vec::with_capacity(asked.tasks.len()), Vec::new());
    for tasks in asked.tasks.chunks(AT_ONCE.min(server.limits.max_images)) {
        let said = some(&server, &model, &connection, &control, tasks, end).await?;
        for recognized in said {
            results.push(match recognized {
                Ok(recognized) => result(&model, &control, decisions.as_deref(), &recognized.logits),
                Err(problem) => {
                    failed.push(problem.detail.clone());
                    nothing(&model, &problem)
                }
            });
        }
    }
    match failed.first() {
        // Nothing at all is an error that Label Studio shows.
        Some(first) if failed.len() == results.len() => {
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, first))
        }
        _ => Ok(json_response(StatusCode::OK, &json!({ "results": results }))),
    }
}

/// What the model says of some tasks; waits for a place in the queue.
async fn some(
    server: &Arc<Server>,
    model: &Arc<Model>,
    connection: &Connection,
    control: &Control,
    tasks: &[Task],
    end: Instant,
) -> Result<Vec<Result<Recognized, Problem>>, Problem> {
    let mut found: Vec<Result<Image, Problem>> = Vec::with_capacity(tasks.len());
    for task in tasks {
        found.push(
            server.images_of_tasks.find(task.data.get(&control.field), &control.field, connection).await,
        );
    }
    let images: Vec<Image> = found.iter().filter_map(|image| image.as_ref().ok()).cloned().collect();
    let mut said = loop {
        match server.recognize(model, images.clone(), false).await {
            Err(full) if full.status == StatusCode::SERVICE_UNAVAILABLE && Instant::now() < end => {
                tokio::time::sleep(PAUSE).await;
            }
            said => break said?,
        }
    }
    .into_iter();
    Ok(found.into_iter().map(|image| image.and_then(|_| said.next().expect("one for each image"))).collect())
}

/// The control that the categories are choices of.
fn control(model: &Model, xml: &str) -> Result<Control, Problem> {
    Ok(control_of(xml, &model.about.categories, &model.about.name).map_err(crate::Error::from)?)
}

fn version(model: &Model) -> String {
    format!("{}-{}", model.about.name, model.about.version)
}

/// What is chosen, and how sure the model is.
fn result(model: &Model, control: &Control, decisions: Option<&Decisions>, logits: &[f32]) -> Value {
    let logits = decisions.map_or(logits.to_vec(), |decisions| decisions.calibrated(logits));
    let chosen = Selection { top: None, threshold: Some(HALF), decisions }.shown(&logits);
    let named: Vec<(usize, f32)> = chosen.into_iter().map(|c| (c, probability(logits[c]))).collect();
    // Label Studio sorts by it: the images of which the model is least sure come first.
    prediction(&version(model), control, &model.about.categories, &named, sureness(&logits))
}

/// Instead of a result, so that the others keep their place.
fn nothing(model: &Model, problem: &Problem) -> Value {
    json!({ "model_version": version(model), "score": 0.0, "result": [], "error": problem.detail })
}
