//! `GET /openapi.json`: every route in words that programs read. The file is written by hand; a test holds it to the routes.

use axum::http::StatusCode;
use axum::response::Response;

use super::problem::with_headers;

const DESCRIPTION: &str = include_str!("openapi.json");

/// The description.
pub async fn description() -> Response {
    with_headers(StatusCode::OK, "application/json", DESCRIPTION)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::body::Body;
    use axum::http::Request;
    use serde_json::Value;

    use crate::serve::routes::paths;
    use crate::serve::tests::{ask, get, json_of, server};

    #[test]
    fn every_route_is_described_and_every_description_is_a_route() {
        let server = server(&["m"]);
        let (_, document) = json_of(&ask(&server, get("/openapi.json")));
        let described = document["paths"].as_object().unwrap();
        let names: BTreeSet<String> = described.keys().cloned().collect();
        assert_eq!(names, paths().into_iter().collect::<BTreeSet<String>>());
        for (path, operations) in described {
            let real = path.replace("{model}", "m").replace("{version}", "1");
            for method in ["get", "post"] {
                let request = Request::builder().method(&*method.to_uppercase()).uri(&real);
                let status = ask(&server, request.body(Body::empty()).unwrap()).status();
                let is_described = operations.get(method).is_some();
                assert_eq!(status != 405, is_described, "{method} {path}: {status}");
            }
        }
    }

    #[test]
    fn every_reference_of_the_description_leads_somewhere() {
        let document: Value = serde_json::from_str(super::DESCRIPTION).unwrap();
        let references: Vec<&str> = super::DESCRIPTION.split("\"$ref\": \"#").skip(1).collect();
        assert!(references.len() > 100, "only {} were found", references.len());
        for reference in references {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
