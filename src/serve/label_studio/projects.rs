//! What the projects of Label Studio say of themselves when they are connected.

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::uri::Uri;

/// Most projects whose connection is kept.
const PROJECTS: usize = 256;

/// What the projects said of themselves in their `/setup`.
#[derive(Debug, Default)]
pub struct Projects(Mutex<HashMap<String, Connection>>);

/// What a project said of the Label Studio that it lives in.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// Its address.
    pub hostname: Option<String>,
    /// What its files are asked with.
    pub access_token: Option<String>,
}

impl Projects {
    /// Keeps what a project says of itself.
    pub fn keep(&self, project: String, connection: Connection) {
        let mut kept = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if kept.len() >= PROJECTS {
            kept.clear();
        }
        kept.insert(project, connection);
    }

    /// What a project said; nothing of one that said nothing.
    pub fn of(&self, project: &str) -> Connection {
        let kept = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        kept.get(project).cloned().unwrap_or_default()
    }
}

impl Connection {
    /// What a file of Label Studio itself is asked with, and nobody else's.
    pub fn token_for(&self, address: &str) -> Option<String> {
        let (token, hostname) = (self.access_token.as_ref()?, self.hostname.as_ref()?);
        let own = |text: &str| {
            let uri: Uri = text.parse().ok()?;
            Some((uri.scheme_str()?.to_owned(), uri.authority()?.as_str().to_ascii_lowercase()))
        };
        // Personal tokens are JSON web tokens, with two dots.
        let scheme = if token.matches('.').count() == 2 { "Bearer" } else { "Token" };
        (own(address)? == own(hostname)?).then(|| format!("{scheme} {token}"))
    }
}
