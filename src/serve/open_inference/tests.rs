//! Requests as tritonclient 2.73 and kserve 0.21 sent them, and what may not be asked.

use axum::body::Body;
use axum::http::{Request, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::request::JSON_LENGTH;
use crate::recognizer::probability;
use crate::serve::tests::{ask, get, json_of, png, post, server};

const INFER: &str = "/v2/models/m/infer";

/// JSON, then bytes, as both clients send them.
fn binary(json: &Value, behind: &[u8]) -> Request<Body> {
    let json = json.to_string();
    let request = Request::post(INFER).header("Inference-Header-Content-Length", json.len());
    request.body([json.as_bytes(), behind].concat().into()).unwrap()
}

fn lengths_and_bytes(elements: &[&[u8]]) -> Vec<u8> {
    elements.iter().flat_map(|it| [&(it.len() as u32).to_le_bytes()[..], it].concat()).collect()
}

/// The JSON of an answer, and the bytes behind it.
fn parts(response: &Response<Vec<u8>>) -> (Value, Vec<u8>) {
    assert_eq!(response.status(), 200, "{}", String::from_utf8_lossy(response.body()));
    let length: usize = response.headers()[JSON_LENGTH].to_str().unwrap().parse().unwrap();
    let (json, behind) = response.body().split_at(length);
    (serde_json::from_slice(json).unwrap(), behind.to_vec())
}

/// Logits 1, −1 and 0 of a bright image.
fn bright() -> [f32; 3] {
    [1.0, -1.0, 0.0].map(probability)
}

#[test]
fn what_is_there_is_described() {
    let server = server(&["m", "n"]);
    let told = |path: &str| json_of(&ask(&server, get(path)));
    let (status, about) = told("/v2");
    assert_eq!(
        (status, &about["name"], &about["extensions"]),
        (200, &json!("sarb"), &json!(["binary_tensor_data"]))
    );
    assert_eq!(told("/v2/health/live"), (200, json!({ "live": true })));
    assert_eq!(told("/v2/health/ready"), (200, json!({ "ready": true })));
    assert_eq!(told("/v2/models"), (200, json!({ "models": ["m", "n"] })));
    assert_eq!(told("/v2/models/n/ready"), (200, json!({ "name": "n", "ready": true })));
    assert_eq!(told("/v2/models/n/versions/1/ready").0, 200);
    let (_, model) = told("/v2/models/m");
    assert_eq!(model, told("/v2/models/m/versions/1").1);
    assert_eq!(model["inputs"][0], json!({ "name": "image", "datatype": "BYTES", "shape": [-1] }));
    assert_eq!(model["outputs"][0], json!({ "name": "scores", "datatype": "FP32", "shape": [-1, 3] }));
    for path in ["/v2/models/x", "/v2/models/x/ready", "/v2/models/m/versions/2", "/v2/nothing"] {
        let (status, error) = told(path);
        assert!(status == 404 && error["error"].is_string(), "{path}: {error}");
    }
}

#[test]
fn tritonclient_sends_and_wants_bytes() {
    let server = server(&["m"]);
    let file = png(255);
    let behind = lengths_and_bytes(&[&file]);
    // No Content-Type, no id.
    let request = json!({ "inputs": [{ "name": "image", "shape": [1], "datatype": "BYTES",
        "parameters": { "binary_data_size": behind.len() } }],
        "outputs": [{ "name": "scores", "parameters": { "binary_data": true } }] });
    let (json, floats) = parts(&ask(&server, binary(&request, &behind)));
    assert_eq!(
        json["outputs"],
        json!([{ "name": "scores", "shape": [1, 3], "datatype": "FP32",
        "parameters": { "binary_data_size": 12 } }])
    );
    assert_eq!((&json["model_name"], &json["model_version"]), (&json!("m"), &json!("1")));
    assert_eq!(floats, bright().map(f32::to_le_bytes).concat());
    assert!(json.get("id").is_none());

    // Without outputs, but all that come in bytes; with texts.
    let mut request = request;
    request["outputs"] =
        json!([{ "name": "labels" }, { "name": "logits", "parameters": { "binary_data": false } }]);
    request["parameters"] = json!({ "binary_data_output": true });
    let (json, texts) = parts(&ask(&server, binary(&request, &behind)));
    assert_eq!(texts, lengths_and_bytes(&[b"bright", b"dark", b"gray"]));
    assert_eq!(json["outputs"][0]["shape"], json!([3]));
    assert_eq!(json["outputs"][1]["data"], json!([1.0, -1.0, 0.0]));
}

#[test]
fn kserve_sends_an_id_and_json_with_base64() {
    let server = server(&["m"]);
    let [bright_file, dark_file] = [255, 0].map(png).map(|file| STANDARD.encode(file));
    let request = json!({ "id": "7e0d", "inputs": [{ "name": "image", "shape": [2, 1], "datatype": "BYTES",
        "data": [[bright_file], [dark_file]] }] });
    let (status, answer) = json_of(&ask(&server, post(INFER, "application/json", request.to_string())));
    assert_eq!((status, &answer["id"]), (200, &json!("7e0d")), "{answer}");
    let [b, d, g] = bright();
    assert_eq!(
        answer["outputs"],
        json!([{ "name": "scores", "shape": [2, 3], "datatype": "FP32", "data": [b, d, g, d, b, g] }])
    );
}

#[test]
fn pixels_and_bare_bytes_are_images_too() {
    let server = server(&["m"]);
    let white = vec![255u8; 2 * 4 * 5 * 3];
    let request = json!({ "inputs": [{ "name": "pixels", "shape": [2, 4, 5, 3], "datatype": "UINT8",
        "parameters": { "binary_data_size": white.len() } }] });
    let (status, answer) = json_of(&ask(&server, binary(&request, &white)));
    assert_eq!((status, &answer["outputs"][0]["shape"]), (200, &json!([2, 3])), "{answer}");
    let one = json!({ "inputs": [{ "name": "pixels", "shape": [1, 2, 3], "datatype": "UINT8", "data": [[[255, 255, 255], [255, 255, 255]]] }] });
    let (status, answer) = json_of(&ask(&server, post(INFER, "", one.to_string())));
    assert_eq!((status, &answer["outputs"][0]["data"]), (200, &json!(bright())), "{answer}");
    let bare = Request::post(INFER).header(JSON_LENGTH, "0").body(png(255).into()).unwrap();
    let (status, answer) = json_of(&ask(&server, bare));
    assert_eq!((status, &answer["outputs"][0]["data"]), (200, &json!(bright())), "{answer}");
}

#[test]
fn what_is_wrong_is_said_as_an_error() {
    let server = server(&["m"]);
    let input = |more: Value| {
        let mut input = json!({ "name": "image", "shape": [1], "datatype": "BYTES", "data": ["aGk="] });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "inputs": [input] })
    };
    let asks = |more: Value| {
        let mut whole = input(json!({}));
        whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        whole
    };
    for (request, status, expected) in [
        (json!({}), 400, "missing field `inputs`"),
        (json!({ "inputs": [] }), 400, "expected one input"),
        (input(json!({ "name": "x" })), 400, "no input \"x\""),
        (input(json!({ "datatype": "FP32" })), 400, "expected \"BYTES\""),
        (input(json!({ "shape": [2] })), 400, "has 2 elements, the data 1"),
        (input(json!({ "shape": [0] })), 400, "no image"),
        (input(json!({ "shape": [4] })), 413, "4 images"),
        (input(json!({ "shape": [u64::MAX, 2] })), 400, "too many elements"),
        (input(json!({ "data": ["*"] })), 400, "base64"),
        (input(json!({ "data": [1] })), 400, "expected base64"),
        (input(json!({ "data": null })), 400, "expected data, or"),
        (input(json!({ "parameters": { "binary_data_size": 4 } })), 400, "exclude each other"),
        (input(json!({ "data": null, "parameters": { "binary_data_size": 4 } })), 400, "but 0 bytes follow"),
        (input(json!({ "data": null, "parameters": { "binary_data_size": -4 } })), 400, "a number of bytes"),
        (input(json!({})), 422, "image 0: not an image"),
        (asks(json!({ "outputs": [{ "name": "x" }] })), 400, "expected one of scores, logits"),
        (
            asks(json!({ "outputs": [{ "name": "scores", "parameters": { "binary_data": 1 } }] })),
            400,
            "true or false",
        ),
        (asks(json!({ "parameters": { "decide": "f1" } })), 409, "needs out-of-fold scores"),
        (asks(json!({ "parameters": { "decide": 1 } })), 400, "expected a text"),
        (
            json!({ "inputs": [{ "name": "pixels", "shape": [1, 2, 2], "datatype": "UINT8", "data": [] }] }),
            400,
            "expected [B, H, W, 3]",
        ),
        (
            json!({ "inputs": [{ "name": "pixels", "shape": [1, 0, 2, 3], "datatype": "UINT8", "data": [] }] }),
            400,
            "2 × 0 pixels",
        ),
        (
            json!({ "inputs": [{ "name": "pixels", "shape": [1, 70000, 1, 3], "datatype": "UINT8", "data": [] }] }),
            400,
            "1 × 70000 pixels",
        ),
        (
            json!({ "inputs": [{ "name": "pixels", "shape": [1, 1, 1, 3], "datatype": "UINT8", "data": [1, 2, 256] }] }),
            400,
            "0 to 255",
        ),
    ] {
        let (found, answer) = json_of(&ask(&server, post(INFER, "", request.to_string())));
        let error = answer["error"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(found == status && error.contains(expected), "{request}: {found} {error}");
    }
    let cut = json!({ "inputs": [{ "name": "image", "shape": [1], "datatype": "BYTES", "parameters": { "binary_data_size": 5 } }] });
    let (_, answer) = json_of(&ask(&server, binary(&cut, &[9, 0, 0, 0, 1])));
    assert!(answer["error"].as_str().unwrap().contains("end within an element"), "{answer}");
    for length in ["-1", "x", "99"] {
        let request = Request::post(INFER).header(JSON_LENGTH, length).body("{}".into()).unwrap();
        assert_eq!(ask(&server, request).status(), 400, "{length}");
    }
    let thresholds = json!({ "inputs": [{ "name": "image", "shape": [1], "datatype": "BYTES", "data": [STANDARD.encode(png(0))] }],
        "outputs": [{ "name": "thresholds" }] });
    let (_, answer) = json_of(&ask(&server, post(INFER, "", thresholds.to_string())));
    assert!(answer["error"].as_str().unwrap().contains("\"decide\": \"f1\""), "{answer}");
}
