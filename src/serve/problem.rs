//! What the server answers where it cannot do what was asked: `application/problem+json` of RFC 9457.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::Error;

/// Seconds after which a client that found the queue full may ask again.
const RETRY_AFTER_S: u32 = 1;

/// Why a request is not answered as it was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The status of the answer.
    pub status: StatusCode,
    /// What is wrong, which value, what is accepted.
    pub detail: String,
}

impl Problem {
    /// One of this status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// 400: the request does not say what it should.
    pub fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 404: no such thing here.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 413: more than the server takes at once.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// 503: the server has as much to do as it takes, or it ends.
    pub fn busy(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// 500: an error of the program, which tells about it on stderr.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the server failed at this request; its log says where, and other requests are not affected",
        )
    }
}

impl From<Error> for Problem {
    /// What an image or a label file causes is the request's; everything else the server's.
    fn from(error: Error) -> Self {
        let status = match error.exit_code() {
            2 => StatusCode::BAD_REQUEST,
            3 => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("error");
        let body = json!({ "type": "about:blank", "title": title, "status": self.status.as_u16(), "detail": self.detail });
        let mut response = with_headers(self.status, "application/problem+json", body.to_string());
        // For whoever has to say it in another protocol's words.
        response.extensions_mut().insert(self);
        response
    }
}

/// A response with this JSON.
pub fn json_response(status: StatusCode, body: &serde_json::Value) -> Response {
    with_headers(status, "application/json", body.to_string())
}

/// A response whose status says what else a client has to know.
pub fn with_headers(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    match status {
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        // Browsers ask for a password where they may send one.
        StatusCode::UNAUTHORIZED => {
            headers
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer, Basic realm=\"sarb\""));
        }
        _ => {}
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_status_of_whose_they_are() {
        for (error, status) in [
            (Error::Usage("a".into()), 400),
            (Error::Data("a".into()), 422),
            (Error::Missing("a".into()), 500),
        ] {
            assert_eq!(Problem::from(error).status.as_u16(), status);
        }
    }

    #[test]
    fn a_full_queue_says_when_to_come_again_and_a_missing_token_how_to_give_it() {
        let headers = |problem: Problem| problem.into_response().headers().clone();
        assert_eq!(headers(Problem::busy("full"))["retry-after"], "1");
        let refused = headers(Problem::new(StatusCode::UNAUTHORIZED, "no token"));
        assert!(refused["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
        assert_eq!(refused["content-type"], "application/problem+json");
    }
}
