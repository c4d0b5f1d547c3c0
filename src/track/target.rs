//! Where runs are told of, as it is said on a command line.

use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;

use ureq::http::Uri;

use crate::{Error, Result};

/// The experiment where nobody names one.
pub const EXPERIMENT: &str = "sarb";
/// What comes before the address of an MLflow server.
const MLFLOW: &str = "mlflow=";
/// The tag by which MLflow knows the name of a run.
const RUN_NAME: &str = "mlflow.runName";

/// The address of a tracking server, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    url: String,
}

impl Server {
    /// `http://127.0.0.1:5000`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl FromStr for Server {
    type Err = Error;

    /// Reads `mlflow=http://127.0.0.1:5000`.
    fn from_str(text: &str) -> Result<Self> {
        let expected = "expected mlflow=http://HOST:PORT or mlflow=https://HOST";
        let Some(url) = text.strip_prefix(MLFLOW) else {
            let name = text.split_once('=').map(|(name, _)| name).filter(|name| !name.contains(':'));
            return Err(Error::Usage(match name {
                Some(name) => format!("unknown tracker {name:?}; {expected}"),
                None => format!("the tracker is missing; {expected}"),
            }));
        };
        // What is not an address is not shown: it may hold a password.
        let refused = |why: &str| Error::Usage(format!("the address of mlflow {why}; {expected}"));
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(refused("does not begin with http:// or https://"));
        }
        let uri: Uri = url.parse().map_err(|_| refused("cannot be read"))?;
        let authority = uri.authority().ok_or_else(|| refused("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused(
                "holds a name or a password, which belong into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
            ));
        }
        if authority.host().is_empty() {
            return Err(refused("has no host"));
        }
        if uri.query().is_some() || url.contains('#') {
            return Err(refused("has more than a path behind the host"));
        }
        Ok(Self { url: url.trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for Server {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MLFLOW}{}", self.url)
    }
}

/// A tracking server, and what a run is called there; of a run that is known there, that is settled already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where.
    pub server: Server,
    /// The experiment that a new run belongs to.
    pub experiment: String,
    /// Tags of a new run; `mlflow.runName` names it.
    pub tags: Vec<(String, String)>,
}

impl Target {
    /// The experiment `sarb` of a server.
    pub fn new(server: Server) -> Self {
        Self { server, experiment: EXPERIMENT.to_owned(), tags: Vec::new() }
    }

    /// The same, for one of the runs of a group called `group`.
    pub(crate) fn in_group(&self, group: &str, name: &str) -> Self {
        let mut target = self.clone();
        target.tags.push((RUN_NAME.into(), name.into()));
        target.tags.push(("sarb.sweep".into(), group.into()));
        target
    }

    /// The arguments that say the same to another process of this program.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["--track".into(), self.server.to_string().into()];
        arguments.extend(["--track-experiment".into(), self.experiment.clone().into()]);
        for (key, value) in &self.tags {
            arguments.extend(["--track-tag".into(), format!("{key}={value}").into()]);
        }
        arguments
    }

    /// The name that the tags give to a run.
    pub(super) fn run_name(&self) -> Option<&str> {
        self.tags.iter().rev().find(|(key, _)| key == RUN_NAME).map(|(_, name)| name.as_str())
    }

    /// The tags but that of the name, of several with one key the last.
    pub(super) fn other_tags(&self) -> Vec<(String, String)> {
        let mut tags: Vec<(String, String)> = Vec::new();
        for (key, value) in self.tags.iter().filter(|(key, _)| key != RUN_NAME) {
            tags.retain(|(known, _)| known != key);
            tags.push((key.clone(), value.clone()));
        }
        tags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_said_again() {
        for (text, url) in [
            ("mlflow=http://127.0.0.1:5000", "http://127.0.0.1:5000"),
            ("mlflow=https://mlflow.example/", "https://mlflow.example"),
            (
                "mlflow=https://gitlab.example/api/v4/projects/1/ml/mlflow/",
                "https://gitlab.example/api/v4/projects/1/ml/mlflow",
            ),
            ("mlflow=http://[::1]:5000", "http://[::1]:5000"),
        ] {
            let server: Server = text.parse().unwrap();
            assert_eq!(server.url(), url);
            assert_eq!(server.to_string().parse::<Server>().unwrap(), server);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_is_accepted() {
        for (text, why) in [
            ("wandb=http://127.0.0.1", "unknown tracker \"wandb\""),
            ("http://127.0.0.1:5000", "the tracker is missing"),
            ("http://127.0.0.1:5000/?a=b", "the tracker is missing"),
            ("mlflow=127.0.0.1:5000", "does not begin with http://"),
            ("mlflow=file:///tmp/runs", "does not begin with http://"),
            ("mlflow=http://", "expected mlflow=http://HOST"),
            ("mlflow=http://:5000", "has no host"),
            ("mlflow=http://a b", "cannot be read"),
            ("mlflow=http://me:secret@host", "MLFLOW_TRACKING_PASSWORD"),
            ("mlflow=http://host/?token=secret", "more than a path"),
            ("mlflow=http://host/#secret", "more than a path"),
        ] {
            let error = text.parse::<Server>().unwrap_err();
            let said = error.to_string();
            assert!(error.exit_code() == 2 && said.contains(why), "{text}: {said}");
            assert!(said.contains("expected mlflow=http") && !said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn the_tags_of_a_cell_name_it_and_its_sweep() {
        let mut target = Target::new("mlflow=http://h".parse().unwrap());
        assert_eq!(target.run_name(), None);
        target.tags.push(("sarb.sweep".into(), "mine".into()));
        let cell = target.in_group("coco18", "SARB, 10 % known, seed 0");
        assert_eq!(cell.run_name(), Some("SARB, 10 % known, seed 0"));
        assert_eq!(cell.other_tags(), [("sarb.sweep".to_owned(), "coco18".to_owned())]);
        let arguments = cell.arguments();
        assert_eq!(arguments[..4], ["--track", "mlflow=http://h", "--track-experiment", "sarb"]);
        assert_eq!(arguments[arguments.len() - 1], "sarb.sweep=coco18");
    }
}
