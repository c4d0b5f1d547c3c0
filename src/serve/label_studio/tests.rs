//! Requests as Label Studio 1.23.2 sent them.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::images::Sources;
use crate::serve::state::Server;
use crate::serve::tests::{ask, get, json_of, png, post, server};

const CONFIG: &str = "<View><Image name=\"image\" value=\"$image\"/><Choices name=\"tags\" toName=\"image\" choice=\"multiple\">\
    <Choice value=\"bright\"/><Choice value=\"Dark\" alias=\"dark\"/><Choice value=\"gray\"/><Choice value=\"other\"/></Choices></View>";

fn post_json(server: &Arc<Server>, path: &str, body: &Value) -> (u16, Value) {
    json_of(&ask(server, post(path, "application/json", body.to_string())))
}

fn setup(schema: &str) -> Value {
    json!({ "project": "1.1795855126", "schema": schema, "hostname": "http://127.0.0.1:8181",
        "access_token": "0a1b", "extra_params": null })
}

/// A server with two images in a folder.
fn with_images() -> (tempfile::TempDir, Arc<Server>) {
    let dir = tempfile::tempdir().unwrap();
    for (name, gray) in [("white.png", 255), ("black.png", 0)] {
        std::fs::write(dir.path().join(name), png(gray)).unwrap();
    }
    std::fs::write(dir.path().join("broken.png"), "no image").unwrap();
    let mut server = Arc::try_unwrap(server(&["m"])).ok().expect("nobody else asks");
    server.images_of_tasks = Sources::new(Some(dir.path()), &[], 1000).unwrap();
    (dir, Arc::new(server))
}

fn predict(server: &Arc<Server>, images: &[&str]) -> (u16, Value) {
    let task = |(id, image): (usize, &&str)| json!({ "id": id, "data": { "image": image }, "annotations": [], "predictions": [] });
    let tasks: Vec<Value> = images.iter().enumerate().map(task).collect();
    post_json(
        server,
        "/predict",
        &json!({ "tasks": tasks, "project": "1.1795855126", "label_config": CONFIG,
        "params": { "login": null, "password": null, "context": { "result": [] } } }),
    )
}

#[test]
fn a_project_is_connected_by_health_and_setup() {
    let server = server(&["m"]);
    assert_eq!(
        json_of(&ask(&server, get("/health"))),
        (200, json!({ "status": "UP", "model_class": "sarb" }))
    );
    assert_eq!(post_json(&server, "/setup", &setup(CONFIG)), (200, json!({ "model_version": "m-0a1b2c" })));
    assert_eq!(json_of(&ask(&server, get("/versions"))), (200, json!({ "versions": ["m-0a1b2c"] })));
    for path in ["/validate", "/duplicate_model", "/delete", "/job_status"] {
        assert_eq!(post_json(&server, path, &json!({})), (200, json!({})), "{path}");
    }
    for (action, status) in [("START_TRAINING", 201), ("ANNOTATION_CREATED", 201), ("OTHER", 200)] {
        let event = json!({ "action": action, "project": { "id": 1 } });
        assert_eq!(post_json(&server, "/webhook", &event).0, status, "{action}");
    }
    assert_eq!(
        ask(&server, post("/setup", "text/plain", setup(CONFIG).to_string())).status(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
}

#[test]
fn a_project_that_lacks_choices_is_refused() {
    let server = server(&["m"]);
    for (schema, expected) in [
        (CONFIG.replace("\"bright\"", "\"brigt\""), "has no choice for bright"),
        (CONFIG.replace(" choice=\"multiple\"", ""), "say choice=\"multiple\""),
        ("<View/>".to_owned(), "no Choices or Taxonomy"),
        ("<View>".to_owned(), "the file ends inside"),
    ] {
        let (status, problem) = post_json(&server, "/setup", &setup(&schema));
        let detail = problem["detail"].as_str().unwrap();
        assert!((400..500).contains(&status) && detail.contains(expected), "{detail}");
    }
}

#[test]
fn each_task_has_its_result_in_its_place() {
    let (_dir, server) = with_images();
    let (status, answer) = predict(
        &server,
        &[
            "/data/local-files/?d=black.png",
            "/data/upload/1/0a1b2c3d-white.png",
            "lost.png",
            "broken.png",
            "white.png",
        ],
    );
    assert_eq!(status, 200, "{answer}");
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 5);
    let chosen: Vec<&Value> = results.iter().map(|result| &result["result"][0]["value"]["choices"]).collect();
    assert_eq!(
        chosen,
        [
            &json!(["dark", "gray"]),
            &json!(["bright", "gray"]),
            &Value::Null,
            &Value::Null,
            &json!(["bright", "gray"])
        ]
    );
    let first = &results[0];
    assert_eq!(first["model_version"], "m-0a1b2c");
    let result = &first["result"][0];
    assert_eq!(
        (&result["from_name"], &result["to_name"], &result["type"]),
        (&json!("tags"), &json!("image"), &json!("choices"))
    );
    let near = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-6;
    // σ(1) = 0.7310586 and σ(0) = 0.5 are chosen; the model is sure of the three by 0.731, 0.731 and 0.5.
    assert!(near(&result["score"], 0.615_529_3) && near(&first["score"], 0.654_039_05), "{first}");
    assert!(results[2]["error"].as_str().unwrap().contains("lost.png: not in"), "{answer}");
    assert!(results[3]["error"].as_str().unwrap().contains("not an image"), "{answer}");

    let (status, problem) = predict(&server, &["/data/local-files/?d=../black.png/../x"]);
    assert!(status == 422 && problem["detail"].as_str().unwrap().contains("--allow-fetch"), "{problem}");
    assert_eq!(predict(&server, &[]), (200, json!({ "results": [] })));
}

#[test]
fn a_taxonomy_is_answered_by_paths_and_several_models_by_their_address() {
    let (_dir, server) = with_images();
    let config = "<View><Image name=\"i\" value=\"$image\"/><Taxonomy name=\"t\" toName=\"i\"><Choice value=\"light\">\
        <Choice value=\"bright\"/><Choice value=\"dark\"/></Choice><Choice value=\"gray\"/></Taxonomy></View>";
    let body = json!({ "tasks": [{ "id": 1, "data": { "image": "white.png" } }], "label_config": config });
    let (_, answer) = post_json(&server, "/label-studio/m/predict", &body);
    let result = &answer["results"][0]["result"][0];
    assert_eq!(result["value"], json!({ "taxonomy": [["light", "bright"], ["gray"]] }));
    assert_eq!(result["type"], "taxonomy");
    assert_eq!(post_json(&server, "/label-studio/x/setup", &setup(CONFIG)).0, 404);
    let several = self::server(&["a", "b"]);
    assert_eq!(post_json(&several, "/setup", &setup(CONFIG)).0, 400);
    assert_eq!(
        post_json(&several, "/label-studio/b/setup", &setup(CONFIG)).1,
        json!({ "model_version": "b-0a1b2c" })
    );
    assert_eq!(ask(&several, get("/label-studio/b/health")).status(), 200);
}
