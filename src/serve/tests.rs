//! Requests to the routes, answered by a network that sees how bright an image is.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use sarb_labels::images::transform::Transform;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::access::Access;
use super::body::Bodies;
use super::metrics::Metrics;
use super::model::{About, Model, Prepared, Seen};
use super::queue::Batching;
use super::state::{Limits, Server};
use crate::{Attention, Error, Result};

/// Side of the images that the network reads, in pixels.
const SIDE: usize = 8;

/// An image of one gray, from 0 to 255, as a PNG file.
pub fn png(gray: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(12, 10, image::Rgb([gray; 3]))
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

/// Logits of `bright`, `dark` and `gray`: ±1, and 0. Red images are a panic, blue ones take 150 ms.
fn look(images: &[Prepared]) -> Vec<Result<Seen>> {
    let see = |image: &Prepared| {
        let channel = |at: usize| image.values()[at * SIDE * SIDE];
        assert!(channel(0) < 1.0 || channel(1) > 0.0, "a wanted panic of a test");
        if channel(2) > 1.0 && channel(1) < 0.0 {
            std::thread::sleep(Duration::from_millis(150));
        }
        let bright = if channel(1) > 0.0 { 1.0 } else { -1.0 };
        let places = || Attention { values: (0..12).map(|it| it as f32).collect(), height: 2, width: 2 };
        Seen { logits: vec![bright, -bright, 0.0], attention: image.asks_for_attention().then(places) }
    };
    images.iter().map(|image| Ok(see(image))).collect()
}

/// A server of models that see alike.
pub fn server(names: &[&str]) -> Arc<Server> {
    let metrics = Arc::new(Metrics::default());
    let batching = Batching { size: 4, wait: Duration::from_millis(1), places: 4 };
    let model = |name: &&str| {
        let about = About {
            name: (*name).to_owned(),
            categories: ["bright", "dark", "gray"].map(String::from).to_vec(),
            version: "0a1b2c".into(),
            sees_places: *name != "blind",
        };
        let transform = Transform::for_size(SIDE);
        Arc::new(Model::start(about, transform, None, batching, &metrics, look).unwrap().0)
    };
    Arc::new(Server {
        models: names.iter().map(model).collect(),
        access: Access::default(),
        bodies: Bodies::new(100_000),
        limits: Limits { max_images: 3, timeout: Duration::from_secs(20) },
        metrics: metrics.clone(),
        projects: Default::default(),
        images_of_tasks: Arc::default(),
        corrections: None,
        cores: Arc::new(Semaphore::new(2)),
        ends: false.into(),
    })
}

/// The answer of a server, its body read.
pub fn ask(server: &Arc<Server>, request: Request<Body>) -> Response<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(answer(server, request))
}

async fn answer(server: &Arc<Server>, request: Request<Body>) -> Response<Vec<u8>> {
    let response = TowerToHyperService::new(super::routes::router(server)).call(request).await.unwrap();
    let (head, body) = response.into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes().to_vec())
}

/// A request with a body.
pub fn post(path: &str, kind: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("content-type", kind).body(body.into()).unwrap()
}

/// A request without one.
pub fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

/// The status and the JSON of an answer.
pub fn json_of(response: &Response<Vec<u8>>) -> (u16, Value) {
    let text = String::from_utf8_lossy(response.body());
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap_or_else(|_| panic!("{text}")))
}

/// The status and the problem that a prediction ends with.
fn refused(server: &Arc<Server>, path: &str, body: Vec<u8>) -> (u16, String) {
    let response = ask(server, post(path, "image/png", body));
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let (status, problem) = json_of(&response);
    assert_eq!(problem["status"], status);
    (status, problem["detail"].as_str().unwrap().to_owned())
}

#[test]
fn an_image_is_named_with_the_keys_of_predict() {
    let server = server(&["m"]);
    let (status, answer) = json_of(&ask(&server, post("/v1/predict?name=a.png", "image/png", png(255))));
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&answer["model"], &answer["version"]), (&json!("m"), &json!("0a1b2c")));
    let labels = answer["predictions"][0]["labels"].as_array().unwrap();
    let names: Vec<&str> = labels.iter().map(|label| label["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["bright", "gray", "dark"]);
    let first = json!({ "name": "bright", "probability": crate::recognizer::probability(1.0), "logit": 1.0 });
    assert_eq!((&labels[0], &answer["predictions"][0]["image"]), (&first, &json!("a.png")));
    let count = |query: &str| {
        let (_, answer) = json_of(&ask(&server, post(&format!("/v1/predict?{query}"), "", png(0))));
        answer["predictions"][0]["labels"].as_array().unwrap_or_else(|| panic!("{answer}")).len()
    };
    assert_eq!(
        (count("top=2"), count("threshold=0.6"), count("threshold=0.5"), count("threshold=0.6&all=true")),
        (2, 1, 2, 3)
    );
}

#[test]
fn several_images_are_answered_in_order_and_a_broken_one_alone_is_not() {
    let server = server(&["m"]);
    let listed = [png(255), b"no image".to_vec(), png(0)].map(|bytes| STANDARD.encode(bytes));
    let (status, answer) = json_of(&ask(
        &server,
        post("/v1/predict?top=1", "application/json", json!({ "images": listed }).to_string()),
    ));
    assert_eq!(status, 200, "{answer}");
    let [first, second, third] = [0, 1, 2].map(|at| &answer["predictions"][at]);
    assert_eq!(
        (&first["labels"][0]["name"], &third["labels"][0]["name"]),
        (&json!("bright"), &json!("dark"))
    );
    assert!(second["error"].as_str().unwrap().starts_with("image-2: not an image"), "{second}");
    let (status, detail) = refused(&server, "/v1/predict?name=b.png", b"no image".to_vec());
    assert!(status == 422 && detail.starts_with("b.png: not an image"), "{detail}");
    let four = json!({ "images": vec![&listed[0]; 4] }).to_string();
    assert_eq!(ask(&server, post("/v1/predict", "application/json", four)).status(), 413);
}

#[test]
fn maps_are_pictures_of_the_categories_that_are_asked_for() {
    let server = server(&["m", "blind"]);
    let maps = |query: &str| {
        let (status, answer) =
            json_of(&ask(&server, post(&format!("/v1/predict?model=m&{query}"), "", png(255))));
        assert_eq!(status, 200, "{answer}");
        answer["predictions"][0]["maps"].as_object().unwrap().clone()
    };
    let two = maps("maps=1&map=dark");
    let mut names: Vec<&String> = two.keys().collect();
    names.sort();
    assert_eq!(names, ["bright", "dark"]);
    let picture = STANDARD.decode(two["dark"].as_str().unwrap()).unwrap();
    assert_eq!(image::load_from_memory(&picture).unwrap().width(), 12);
    assert!(!maps("map=gray&top=0").is_empty());
    for (query, expected) in [
        ("model=blind&maps=1", "no places to show"),
        ("model=m&maps=21", "at most 20"),
        ("model=m&map=cat", "no category \"cat\""),
    ] {
        let (status, detail) = refused(&server, &format!("/v1/predict?{query}"), png(0));
        assert!(status == 400 && detail.contains(expected), "{detail}");
    }
}

#[test]
fn what_cannot_be_asked_is_said() {
    let server = server(&["a", "b"]);
    for (query, status, expected) in [
        ("", 400, "say which model: a, b"),
        ("?model=c", 404, "no model \"c\"; there is a, b"),
        ("?model=a&tpo=3", 400, "unknown field `tpo`"),
        ("?model=a&top=x", 400, "invalid digit"),
        ("?model=a&threshold=2", 400, "from 0 to 1"),
        ("?model=a&decide=best", 400, "expected f1, precision=P or recall=P"),
        ("?model=a&decide=f1", 409, "needs out-of-fold scores"),
        ("?model=a&decide=f1&threshold=0.5", 400, "exclude each other"),
    ] {
        let (found, detail) = refused(&server, &format!("/v1/predict{query}"), png(0));
        assert!(found == status && detail.contains(expected), "{query}: {found} {detail}");
    }
    assert_eq!(refused(&server, "/v1/predict?model=a", vec![0; 100_001]).0, 413);
    assert_eq!(ask(&server, get("/v1/predict")).status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ask(&server, get("/v9")).status(), StatusCode::NOT_FOUND);
    let (_, models) = json_of(&ask(&server, get("/v1/models")));
    assert_eq!(models["models"][1]["name"], "b");
    assert_eq!(models["models"][0]["decides"], false);
}

/// A picture of one color.
fn colored(color: [u8; 3]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(8, 8, image::Rgb(color))
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

#[test]
fn a_panic_is_an_answer_and_the_next_request_is_another() {
    let server = server(&["m"]);
    let (status, detail) = refused(&server, "/v1/predict", colored([255, 0, 0]));
    assert!(status == 500 && detail.contains("other requests are not affected"));
    assert_eq!(ask(&server, post("/v1/predict", "", png(255))).status(), 200);
}

#[test]
fn a_full_queue_is_said_at_once_and_who_waits_too_long_is_told() {
    let server = server(&["m"]);
    let slow = || post("/v1/predict", "", colored([0, 0, 255]));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let statuses: Vec<u16> = runtime.block_on(async {
        let asked = (0..8).map(|_| {
            tokio::spawn({
                let server = server.clone();
                async move { answer(&server, slow()).await.status().as_u16() }
            })
        });
        let all = futures_util::future::join_all(asked).await;
        all.into_iter().map(|status| status.unwrap()).collect()
    });
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert!(count(503) >= 1 && count(200) >= 4 && count(200) + count(503) == 8, "{statuses:?}");
    let text = server.metrics.text();
    assert!(
        text.contains(&format!("sarb_requests_total{{route=\"/v1/predict\",status=\"503\"}} {}", count(503))),
        "{text}"
    );

    let mut hasty = Arc::try_unwrap(server).ok().expect("nobody else asks");
    hasty.limits.timeout = Duration::from_millis(50);
    let hasty = Arc::new(hasty);
    assert_eq!(refused(&hasty, "/v1/predict", colored([0, 0, 255])).0, 504);
}

#[test]
fn monitors_hear_when_it_ends() {
    let server = server(&["m"]);
    let status = |path: &str| ask(&server, get(path)).status().as_u16();
    assert_eq!((status("/healthz"), status("/readyz"), status("/metrics")), (200, 200, 200));
    server.ends.store(true, Ordering::Relaxed);
    assert_eq!((status("/healthz"), status("/readyz")), (200, 503));
}

#[test]
fn browsers_get_the_page_and_label_studio_its_status_at_the_same_address() {
    let server = server(&["m"]);
    let browser = Request::get("/").header("accept", "text/html,*/*;q=0.8").body(Body::empty()).unwrap();
    let response = ask(&server, browser);
    let policy = response.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; connect-src 'self'"), "{policy}");
    let page = String::from_utf8(response.body().clone()).unwrap();
    assert!(
        page.contains("<h1>What is in an image</h1>")
            && page.contains("'use strict'")
            && page.contains(".drop")
    );
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("//cdn"));
    assert_eq!(json_of(&ask(&server, get("/"))).1["status"], "UP");
}

#[test]
fn errors_of_the_network_are_the_servers() {
    let problem = super::problem::Problem::from(Error::Missing("a network".into()));
    assert_eq!(problem.status.as_u16(), 500);
}
