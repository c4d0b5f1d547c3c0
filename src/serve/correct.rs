//! `POST /v1/corrections`: labels that people set on the page are kept.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::corrections::Correction;
use super::problem::{Problem, json_response};
use super::state::Server;

/// Longest name of an image, in bytes.
const LONGEST_NAME: usize = 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    corrections: Vec<Correction>,
}

/// `POST /v1/corrections`.
pub async fn correct(State(server): State<Arc<Server>>, request: Request) -> Result<Response, Problem> {
    if server.corrections.is_none() {
        return Err(Problem::not_found("this server keeps no corrections; start it with --corrections FILE"));
    }
    let Sent { corrections } = server.bodies.read_json(request).await?;
    for (at, correction) in corrections.iter().enumerate() {
        check(&server, correction).map_err(|what| Problem::bad(format!("corrections[{at}]: {what}")))?;
    }
    let taken = {
        let server = server.clone();
        server.clone().on_a_core(move || server.corrections.as_ref().map(|it| it.take(corrections))).await?
    };
    let held = taken.ok_or_else(Problem::internal)??;
    Ok(json_response(StatusCode::OK, &json!({ "corrections": held })))
}

fn check(server: &Server, Correction { image, category, label }: &Correction) -> Result<(), String> {
    if image.is_empty() || image.len() > LONGEST_NAME || image.chars().any(char::is_control) {
        return Err(format!(
            "image: expected a name of at most {LONGEST_NAME} bytes without control characters"
        ));
    }
    if !server.models.iter().any(|model| model.about.categories.contains(category)) {
        return Err(format!("no model has the category {category:?}"));
    }
    match label {
        None | Some(0 | 1) => Ok(()),
        Some(other) => Err(format!("label is {other}; expected 1, 0 or null")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::serve::corrections::Corrections;
    use crate::serve::tests::{ask, json_of, post, server};

    fn with_file(path: &Path) -> Arc<Server> {
        let mut server = Arc::try_unwrap(server(&["m"])).ok().expect("nobody else asks");
        server.corrections = Some(Corrections::open(path).unwrap());
        Arc::new(server)
    }

    fn send(server: &Arc<Server>, corrections: serde_json::Value) -> (u16, serde_json::Value) {
        let body = json!({ "corrections": corrections }).to_string();
        json_of(&ask(server, post("/v1/corrections", "application/json", body)))
    }

    #[test]
    fn the_last_word_on_a_label_is_kept_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("corrections.csv");
        let server = with_file(&path);
        let first = json!([{ "image": "b, \"c\".jpg", "category": "dark", "label": 1 }, { "image": "a.jpg", "category": "gray", "label": null }]);
        assert_eq!(send(&server, first), (200, json!({ "corrections": 2 })));
        let server = with_file(&path);
        assert_eq!(
            send(&server, json!([{ "image": "a.jpg", "category": "gray", "label": 0 }])).1["corrections"],
            2
        );
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "image,category,label\na.jpg,gray,0\n\"b, \"\"c\"\".jpg\",dark,1\n");
        for (wrong, expected) in [
            (json!([{ "image": "", "category": "dark", "label": 1 }]), "corrections[0]: image"),
            (json!([{ "image": "a\nb", "category": "dark", "label": 1 }]), "control characters"),
            (json!([{ "image": "a", "category": "cat", "label": 1 }]), "no model has the category \"cat\""),
            (json!([{ "image": "a", "category": "dark", "label": 2 }]), "expected 1, 0 or null"),
            (json!([{ "image": "a", "category": "dark", "label": 1, "x": 1 }]), "unknown field"),
        ] {
            let (status, problem) = send(&server, wrong);
            assert!(status == 400 && problem["detail"].as_str().unwrap().contains(expected), "{problem}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn without_a_file_nothing_is_taken_and_no_other_file_is_overwritten() {
        assert_eq!(send(&server(&["m"]), json!([])).0, 404);
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("notes.txt");
        std::fs::write(&other, "shopping\nmilk\n").unwrap();
        assert_eq!(Corrections::open(&other).unwrap_err().exit_code(), 3);
        assert_eq!(Corrections::open(&dir.path().join("no/file.csv")).unwrap_err().exit_code(), 4);
    }
}
