//! Where the images of tasks come from: a folder of this machine, and hosts that were named.

use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::uri::{Authority, Uri};
use sarb_labels::formats::label_studio::config::image_paths;
use sarb_labels::images::read_file;
use serde_json::Value;

use super::projects::Connection;
use crate::serve::pictures::{Content, Image};
use crate::serve::problem::Problem;
use crate::{Error, Result};

/// How long another server may take.
const FETCH: Duration = Duration::from_secs(10);

/// Where images may come from.
#[derive(Debug, Default)]
pub struct Sources {
    /// The folder, without links.
    folder: Option<PathBuf>,
    /// Hosts, with a port or for any.
    hosts: Vec<String>,
    /// Most bytes of an image from elsewhere.
    max_bytes: usize,
}

impl Sources {
    /// A folder of images, and hosts that may be asked.
    ///
    /// # Errors
    /// If the folder is not there.
    pub fn new(folder: Option<&Path>, hosts: &[String], max_bytes: usize) -> Result<Arc<Self>> {
        let whole = |folder: &Path| folder.canonicalize().map_err(|error| Error::io(folder, error));
        let folder = folder.map(whole).transpose()?;
        if let Some(file) = folder.as_ref().filter(|folder| !folder.is_dir()) {
            return Err(Error::Usage(format!("--images {}: not a folder", file.display())));
        }
        Ok(Arc::new(Self { folder, hosts: hosts.to_vec(), max_bytes }))
    }

    /// The image that a task's field holds.
    ///
    /// # Errors
    /// 422 where it is not in the folder and may not, or cannot, be fetched.
    pub async fn find(
        self: &Arc<Self>,
        value: Option<&Value>,
        field: &str,
        connection: &Connection,
    ) -> Result<Image, Problem> {
        let text = value.and_then(Value::as_str);
        let text = text.ok_or_else(|| lost(format!("a task without {field:?} in its data")))?.to_owned();
        let (sources, connection) = (self.clone(), connection.clone());
        let found = tokio::task::spawn_blocking(move || sources.read(&text, &connection));
        found.await.map_err(|_| Problem::internal())?
    }

    fn read(&self, text: &str, connection: &Connection) -> Result<Image, Problem> {
        let paths = image_paths(text).map_err(|what| lost(format!("{text}: {what}")))?;
        let bytes = match self.in_folder(&paths) {
            Some(path) => read_file(&path).map_err(Error::from)?,
            None => match self.address(text, connection)? {
                Some(address) => self.fetch(&address, connection)?,
                None => {
                    let known =
                        self.folder.as_ref().map_or("no folder was named with --images".into(), |it| {
                            format!("not in {}", it.display())
                        });
                    return Err(lost(format!(
                        "{text}: {known}, and no host that may be asked was named with --allow-fetch"
                    )));
                }
            },
        };
        Ok(Image { name: text.to_owned(), content: Content::Bytes(bytes.into()) })
    }

    /// The first of these paths that is a file in the folder, and not outside of it by a link.
    fn in_folder(&self, paths: &[PathBuf]) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        let inside = |path: &&PathBuf| path.components().all(|part| matches!(part, Component::Normal(_)));
        let whole = paths.iter().filter(inside).filter_map(|path| folder.join(path).canonicalize().ok());
        whole.into_iter().find(|path| path.starts_with(folder) && path.is_file())
    }

    /// The address of an image elsewhere; none where nothing may be fetched.
    fn address(&self, text: &str, connection: &Connection) -> Result<Option<String>, Problem> {
        if self.hosts.is_empty() {
            return Ok(None);
        }
        let address = match (text.contains("://"), &connection.hostname) {
            (true, _) => text.to_owned(),
            (false, Some(hostname)) => {
                format!("{}/{}", hostname.trim_end_matches('/'), text.trim_start_matches('/'))
            }
            (false, None) => return Err(lost(format!("{text}: Label Studio has not said its address"))),
        };
        let uri: Uri = address.parse().map_err(|error| lost(format!("{address}: {error}")))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(lost(format!("{address}: only http:// and https:// are fetched")));
        }
        match uri.authority().filter(|authority| self.may_be_asked(authority)) {
            Some(_) => Ok(Some(address)),
            None => Err(lost(format!("{address}: not a host that was named with --allow-fetch"))),
        }
    }

    fn may_be_asked(&self, authority: &Authority) -> bool {
        // A user in front of the host would be taken for it by people.
        let whole = authority.as_str();
        let is =
            |host: &String| host.eq_ignore_ascii_case(authority.host()) || host.eq_ignore_ascii_case(whole);
        !whole.contains('@') && self.hosts.iter().any(is)
    }

    /// Redirects are not followed: they lead to hosts that nobody named.
    fn fetch(&self, address: &str, connection: &Connection) -> Result<Vec<u8>, Problem> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(FETCH))
            .http_status_as_error(false)
            .build()
            .into();
        let mut request = agent.get(address);
        if let Some(token) = connection.token_for(address) {
            request = request.header("Authorization", &token);
        }
        let response = request.call().map_err(|error| lost(format!("{address}: {error}")))?;
        if response.status() != 200 {
            return Err(lost(format!("{address}: answered {}", response.status())));
        }
        let mut bytes = Vec::new();
        let limited =
            response.into_body().into_reader().take(self.max_bytes as u64 + 1).read_to_end(&mut bytes);
        limited.map_err(|error| lost(format!("{address}: {error}")))?;
        if bytes.len() > self.max_bytes {
            return Err(lost(format!("{address}: more than {} bytes", self.max_bytes)));
        }
        Ok(bytes)
    }
}

fn lost(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("images");
        std::fs::create_dir_all(folder.join("set")).unwrap();
        for file in ["secret.jpg", "images/a.jpg", "images/set/b.jpg"] {
            std::fs::write(dir.path().join(file), file).unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(dir.path().join("secret.jpg"), folder.join("link.jpg")).unwrap();
        let sources = Sources::new(Some(&folder), &[], 100).unwrap();
        let read = |text: &str| match sources.read(text, &Connection::default()).map(|image| image.content) {
            Ok(Content::Bytes(bytes)) => Some(String::from_utf8(bytes.to_vec()).unwrap()),
            _ => None,
        };
        for (text, found) in [
            ("/data/local-files/?d=set/b.jpg", Some("images/set/b.jpg")),
            ("/data/upload/1/0a1b2c3d-a.jpg", Some("images/a.jpg")),
            ("https://elsewhere/x/a.jpg", Some("images/a.jpg")),
            ("/data/local-files/?d=../secret.jpg", None),
            ("/data/local-files/?d=..%2Fsecret.jpg", None),
            ("/data/local-files/?d=set/../../secret.jpg", None),
            ("../secret.jpg", None),
            ("link.jpg", None),
            ("set", None),
            ("", None),
        ] {
            assert_eq!(read(text).as_deref(), found, "{text}");
        }
        let absolute = dir.path().join("secret.jpg").display().to_string();
        assert_eq!((read(&absolute), read(&format!("/data/local-files/?d={absolute}"))), (None, None));
        assert_eq!(Sources::new(Some(&folder.join("a.jpg")), &[], 1).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn only_hosts_that_were_named_are_asked_and_tokens_go_to_label_studio_alone() {
        let hosts = ["studio".to_owned(), "files.example:8000".to_owned()];
        let sources = Sources::new(None, &hosts, 100).unwrap();
        let studio =
            Connection { hostname: Some("http://studio:8181/".into()), access_token: Some("0a1b".into()) };
        let address = |text: &str| sources.address(text, &studio).ok().flatten();
        assert_eq!(
            address("/data/upload/1/a.jpg").as_deref(),
            Some("http://studio:8181/data/upload/1/a.jpg")
        );
        assert!(address("http://files.example:8000/a.jpg").is_some());
        for foreign in [
            "http://files.example/a.jpg",
            "http://169.254.169.254/latest",
            "http://studio@evil.example/a.jpg",
            "s3://studio/a.jpg",
            "file://studio/etc/passwd",
        ] {
            assert_eq!(address(foreign), None, "{foreign}");
        }
        assert_eq!(studio.token_for("http://studio:8181/data/a.jpg").as_deref(), Some("Token 0a1b"));
        for other in ["http://studio/a.jpg", "https://studio:8181/a.jpg", "http://files.example:8000/a.jpg"] {
            assert_eq!(studio.token_for(other), None, "{other}");
        }
    }
}
