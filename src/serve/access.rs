//! Who may ask: a token where one is needed, and only under names that are the server's.
//!
//! A server on loopback can be reached by every page that a browser of the same machine shows. Such a page may not read
//! answers, unless its own name is made to lead to loopback; so the `Host` of a request must be a name of loopback.

use std::path::Path;

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::problem::Problem;
use crate::{Error, Result};

/// Shorter tokens can be guessed.
const LEAST_CHARACTERS: usize = 16;

/// Paths that monitors read without a token.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// What a request has to bring.
#[derive(Debug, Default)]
pub struct Access {
    /// Hashes of the tokens, any of which opens; none where nobody is asked for one.
    tokens: Vec<blake3::Hash>,
    /// Names under which the server is asked; none where any will do.
    hosts: Option<Vec<String>>,
}

impl Access {
    /// With the tokens of a file, one a line, and under these names.
    ///
    /// # Errors
    /// If the file cannot be read, or holds no token or one that is too short.
    pub fn new(token_file: Option<&Path>, hosts: Option<Vec<String>>) -> Result<Self> {
        let tokens = token_file.map(read_tokens).transpose()?.unwrap_or_default();
        Ok(Self { tokens, hosts })
    }

    /// Whether a request with these headers may pass.
    ///
    /// # Errors
    /// 401 without a token that fits, 421 under another name.
    pub fn check(&self, path: &str, headers: &HeaderMap) -> Result<(), Problem> {
        if !self.is_ours(headers) {
            let detail =
                "this server is asked as localhost, 127.0.0.1 or [::1]; name others with --allow-host";
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
        }
        if self.tokens.is_empty() || OPEN.contains(&path) || self.has_token(headers) {
            return Ok(());
        }
        let detail = "expected a token of the server's --token-file, as Authorization: Bearer TOKEN, or as the password of basic authentication";
        Err(Problem::new(StatusCode::UNAUTHORIZED, detail))
    }

    fn is_ours(&self, headers: &HeaderMap) -> bool {
        let Some(hosts) = &self.hosts else { return true };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(without_port);
        host.is_some_and(|host| hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host)))
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let Some(given) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
            return false;
        };
        let Some((scheme, value)) = given.split_once(' ') else { return false };
        let token = match scheme.to_ascii_lowercase().as_str() {
            "bearer" | "token" => value.trim().to_owned(),
            // What Label Studio and browsers can send: any user, the token as the password.
            "basic" => match STANDARD.decode(value.trim()).ok().and_then(|it| String::from_utf8(it).ok()) {
                Some(pair) => pair.split_once(':').map_or(String::new(), |(_, password)| password.to_owned()),
                None => return false,
            },
            _ => return false,
        };
        // Hashes of equal length, which blake3 compares in constant time; all of them, whichever fits.
        let given = blake3::hash(token.as_bytes());
        self.tokens.iter().fold(false, |fits, token| fits | (*token == given))
    }
}

fn read_tokens(path: &Path) -> Result<Vec<blake3::Hash>> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return Err(Error::Usage(format!("{}: holds no token; expected one a line", path.display())));
    }
    if let Some(at) = lines.iter().position(|line| line.chars().count() < LEAST_CHARACTERS) {
        return Err(Error::Usage(format!(
            "{}: token {} has fewer than {LEAST_CHARACTERS} characters; make one with: openssl rand -hex 32",
            path.display(),
            at + 1
        )));
    }
    Ok(lines.into_iter().map(|line| blake3::hash(line.as_bytes())).collect())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons of an address in brackets are its own.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn with_tokens(text: &str) -> Result<Access> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Access::new(Some(file.path()), None)
    }

    #[test]
    fn any_token_of_the_file_opens_as_bearer_or_password() {
        let access = with_tokens(&format!("another-token-of-the-file\n\n {TOKEN}\n")).unwrap();
        let status = |value: &str| {
            let headers = headers(&[(header::AUTHORIZATION, value)]);
            access.check("/v1/predict", &headers).map_err(|problem| problem.status.as_u16())
        };
        let basic = |pair: String| format!("Basic {}", STANDARD.encode(pair));
        for good in [format!("Bearer {TOKEN}"), format!("bearer  {TOKEN}"), basic(format!("me:{TOKEN}"))] {
            assert_eq!(status(&good), Ok(()), "{good}");
        }
        let prefix = format!("Bearer {}", &TOKEN[1..]);
        for bad in [&prefix, "Bearer", "Bearer ", TOKEN, "Digest x", "Basic ***", &basic(TOKEN.into())] {
            assert_eq!(status(bad), Err(401), "{bad}");
        }
        assert_eq!(access.check("/metrics", &HeaderMap::new()).unwrap_err().status, 401);
        assert!(access.check("/healthz", &HeaderMap::new()).is_ok());
    }

    #[test]
    fn files_without_good_tokens_are_refused() {
        for (text, expected) in [("", "no token"), ("\n \n", "no token"), ("secret\n", "fewer than 16")] {
            let error = with_tokens(text).unwrap_err();
            assert!(error.to_string().contains(expected) && error.exit_code() == 2, "{error}");
        }
        assert_eq!(Access::new(Some("nowhere".as_ref()), None).unwrap_err().exit_code(), 4);
    }

    #[test]
    fn only_names_of_the_server_are_answered() {
        let hosts = ["localhost", "127.0.0.1", "[::1]"].map(String::from).to_vec();
        let access = Access::new(None, Some(hosts)).unwrap();
        let answered = |host: &str| access.check("/", &headers(&[(header::HOST, host)])).is_ok();
        for ours in ["localhost", "LocalHost:8080", "127.0.0.1:1", "[::1]:8080", "[::1]"] {
            assert!(answered(ours), "{ours}");
        }
        for foreign in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "::1", ""] {
            assert!(!answered(foreign), "{foreign}");
        }
        assert_eq!(access.check("/healthz", &HeaderMap::new()).unwrap_err().status, 421);
    }
}
