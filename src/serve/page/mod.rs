//! `GET /`: a page that shows what is in images and takes corrections. It is one file that loads nothing from elsewhere.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::label_studio;
use super::problem::with_headers;

const HTML: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page, and what a browser may do with it.
static PAGE: LazyLock<(String, HeaderValue)> = LazyLock::new(|| {
    let page = HTML.replace("/*STYLE*/", STYLE).replace("/*SCRIPT*/", SCRIPT);
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    // Bars and ticks are placed by style attributes, which only the script sets, through the document and not as text.
    let policy = format!(
        "default-src 'none'; connect-src 'self'; img-src blob: data:; style-src 'sha256-{}'; script-src 'sha256-{}'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    (page, HeaderValue::from_str(&policy).expect("a header of letters"))
});

/// The page for browsers; for Label Studio, which asks here too, that the server is up.
pub async fn page(headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if !accept.contains("text/html") {
        return label_studio::health().await;
    }
    let (page, policy) = &*PAGE;
    let mut response = with_headers(StatusCode::OK, "text/html; charset=utf-8", page.as_str());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("cache-control"), HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}
