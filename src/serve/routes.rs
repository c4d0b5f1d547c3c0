//! Every route of the server, and what happens around each request.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use futures_util::FutureExt;
use serde_json::json;

use super::correct::correct;
use super::label_studio;
use super::open_inference;
use super::openapi::description;
use super::page::page;
use super::predict::{models, predict};
use super::problem::{Problem, json_response, with_headers};
use super::state::Server;

type Route = MethodRouter<Arc<Server>>;

/// Where Label Studio asks one of several models.
const LABEL_STUDIO: &str = "/label-studio/{model}";

/// Every path with what answers it.
fn routes() -> Vec<(String, Route)> {
    let paths = own_routes().into_iter().map(|(path, route)| (path.to_owned(), route));
    let backends = label_studio_routes().into_iter().map(|(path, route)| (path.to_owned(), route));
    let of_models =
        label_studio_routes().into_iter().map(|(path, route)| (format!("{LABEL_STUDIO}{path}"), route));
    paths.chain(backends).chain(of_models).collect()
}

/// Every path.
#[cfg(test)]
pub fn paths() -> Vec<String> {
    routes().into_iter().map(|(path, _)| path).collect()
}

/// Label Studio's machine learning backend.
fn label_studio_routes() -> Vec<(&'static str, Route)> {
    vec![
        ("/health", get(label_studio::health)),
        ("/setup", post(label_studio::setup)),
        ("/predict", post(label_studio::predict)),
        ("/versions", get(label_studio::versions)),
        ("/webhook", post(label_studio::webhook)),
        ("/validate", post(label_studio::legacy)),
        ("/duplicate_model", post(label_studio::legacy)),
        ("/delete", post(label_studio::legacy)),
        ("/job_status", post(label_studio::legacy)),
    ]
}

fn own_routes() -> Vec<(&'static str, Route)> {
    vec![
        ("/", get(page)),
        ("/openapi.json", get(description)),
        ("/healthz", get(healthz)),
        ("/readyz", get(readyz)),
        ("/metrics", get(metrics)),
        ("/v1/models", get(models)),
        ("/v1/predict", post(predict)),
        ("/v1/corrections", post(correct)),
        // What SageMaker and MLflow's scoring server are asked by.
        ("/ping", get(healthz)),
        ("/invocations", post(predict)),
        ("/v2", get(open_inference::server)),
        ("/v2/health/live", get(open_inference::live)),
        ("/v2/health/ready", get(open_inference::ready)),
        ("/v2/models", get(open_inference::models)),
        ("/v2/models/{model}", get(open_inference::metadata)),
        ("/v2/models/{model}/ready", get(open_inference::model_ready)),
        ("/v2/models/{model}/infer", post(open_inference::infer)),
        ("/v2/models/{model}/versions/{version}", get(open_inference::metadata)),
        ("/v2/models/{model}/versions/{version}/ready", get(open_inference::model_ready)),
        ("/v2/models/{model}/versions/{version}/infer", post(open_inference::infer)),
    ]
}

/// What answers requests.
pub fn router(server: &Arc<Server>) -> Router {
    let mut router = Router::new();
    for (path, route) in routes() {
        router = router.route(&path, route);
    }
    router
        .fallback(async || Problem::not_found("no such path; GET /openapi.json lists them"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method; GET /openapi.json lists them")
        })
        .layer(from_fn_with_state(server.clone(), around))
        .with_state(server.clone())
}

/// Checks who asks, bounds the time, turns a panic into an answer, and counts.
async fn around(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let path = request.uri().path().to_owned();
    let response = match server.access.check(&path, request.headers()) {
        Ok(()) => within(time(&server, &route), next.run(request)).await,
        Err(problem) => problem.into_response(),
    };
    let response = in_dialect(&path, response);
    server.metrics.answered(&route, response.status().as_u16(), start.elapsed());
    response
}

/// How long an answer may take.
fn time(server: &Server, route: &str) -> Duration {
    let many = route == "/predict" || route.strip_prefix(LABEL_STUDIO) == Some("/predict");
    if many { label_studio::PREDICT.max(server.limits.timeout) } else { server.limits.timeout }
}

/// Problems in the words of the protocol that was asked.
fn in_dialect(path: &str, response: Response) -> Response {
    match response.extensions().get::<Problem>() {
        Some(problem) if path == "/v2" || path.starts_with("/v2/") => {
            let body = json!({ "error": problem.detail });
            json_response(problem.status, &body)
        }
        _ => response,
    }
}

async fn within(time: Duration, answer: impl Future<Output = Response>) -> Response {
    let caught = AssertUnwindSafe(answer).catch_unwind();
    match tokio::time::timeout(time, caught).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Problem::internal().into_response(),
        Err(_) => {
            let detail = format!("no answer within {} s (--timeout)", time.as_secs_f64());
            Problem::new(StatusCode::GATEWAY_TIMEOUT, detail).into_response()
        }
    }
}

/// `GET /healthz`: the process answers.
async fn healthz() -> Response {
    json_response(StatusCode::OK, &json!({ "status": "ok" }))
}

/// `GET /readyz`: it takes requests.
async fn readyz(State(server): State<Arc<Server>>) -> Response {
    match server.is_ready() {
        true => json_response(StatusCode::OK, &json!({ "status": "ready" })),
        false => Problem::busy("the server ends").into_response(),
    }
}

/// `GET /metrics`.
async fn metrics(State(server): State<Arc<Server>>) -> Response {
    const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    for model in &server.models {
        server.metrics.queued(&model.about.name, model.queued());
    }
    with_headers(StatusCode::OK, TEXT, server.metrics.text())
}
