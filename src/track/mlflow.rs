//! The calls of MLflow's REST interface that a run needs: <https://mlflow.org/docs/latest/api_reference/rest-api.html>.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use ureq::http::{Response, StatusCode};

use super::Server;
use super::numbers::Number;
use crate::fetch::proxy;
use crate::{Error, Result};

/// What the server takes at most in one call.
pub const MOST_METRICS: usize = 1000;
pub const MOST_PARAMS: usize = 100;

/// Most of an answer that is read.
const ANSWER_BYTES: u64 = 4 << 20;
/// Most of what a server says that is shown.
const SHOWN: usize = 300;
/// A file may take so many times as long as another call.
const FILE_FACTOR: u32 = 6;

/// Why something was not sent.
#[derive(Debug)]
pub enum Failure {
    /// No answer, or one that may be another the next time.
    Away(String),
    /// An answer that will be the same the next time; with MLflow's code, if it has one.
    Refused {
        /// Such as `RESOURCE_DOES_NOT_EXIST`.
        code: String,
        /// What a person needs to know.
        said: String,
    },
    /// The run itself cannot be read, or what was sent not be noted.
    Run(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Run(error)
    }
}

/// Short for the result of a call.
pub type Sent<T = ()> = std::result::Result<T, Failure>;

/// A run on the server.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Known {
    /// The id of its experiment.
    pub experiment_id: String,
    /// Its own id.
    pub run_id: String,
    /// Where its files belong, such as `mlflow-artifacts:/1/3f…/artifacts`.
    pub artifacts: String,
}

/// A new run.
#[derive(Debug)]
pub struct NewRun<'a> {
    /// What people call it.
    pub name: &'a str,
    /// Milliseconds since 1970.
    pub start: i64,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

/// A server, asked with the credentials of the environment.
#[derive(Debug)]
pub struct Client {
    url: String,
    agent: Agent,
    authorization: Option<HeaderValue>,
    patience: Duration,
}

impl Client {
    /// A client that waits so long for being let in, and for an answer; `variable` gives the variables of the environment.
    ///
    /// # Errors
    /// [`Error::Usage`] if a credential or the proxy of the environment cannot be used.
    pub fn new(
        server: &Server,
        variable: impl Fn(&str) -> Option<String>,
        patience: Duration,
    ) -> Result<Self> {
        proxy::check(&variable, "")?;
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // A password goes to the host that was named, and to no other.
            .max_redirects(0)
            .user_agent(concat!("sarb/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(patience))
            .timeout_global(Some(patience))
            .build()
            .new_agent();
        let authorization = authorization(variable)?;
        Ok(Self { url: server.url().to_owned(), agent, authorization, patience })
    }

    /// Where people see a run.
    pub fn page_of(&self, run: &Known) -> String {
        format!("{}/#/experiments/{}/runs/{}", self.url, run.experiment_id, run.run_id)
    }

    /// The id of an experiment, which is made if it is not there.
    pub fn experiment(&self, name: &str) -> Sent<String> {
        let find = || self.get("experiments/get-by-name", &[("experiment_name", name)]);
        let answer = match find() {
            Err(Failure::Refused { code, .. }) if code == "RESOURCE_DOES_NOT_EXIST" => {
                match self.post("experiments/create", &json!({ "name": name })) {
                    Ok(answer) => return text(&answer, "/experiment_id"),
                    // Another process has just made it.
                    Err(Failure::Refused { code, .. }) if code == "RESOURCE_ALREADY_EXISTS" => find()?,
                    Err(failure) => return Err(failure),
                }
            }
            answer => answer?,
        };
        if answer.pointer("/experiment/lifecycle_stage").is_some_and(|stage| stage == "deleted") {
            return Err(Failure::Refused {
                code: String::new(),
                said: format!(
                    "the experiment {name:?} was deleted there; restore it, or name another with --track-experiment"
                ),
            });
        }
        text(&answer, "/experiment/experiment_id")
    }

    /// Makes a run.
    pub fn create(&self, experiment_id: &str, run: &NewRun<'_>) -> Sent<Known> {
        let answer = self.post(
            "runs/create",
            &json!({
                "experiment_id": experiment_id, "run_name": run.name, "start_time": run.start,
                "tags": pairs(&run.tags),
            }),
        )?;
        known(&answer, "/run/info")
    }

    /// The run with such a tag, if there is one.
    pub fn find(&self, experiment_id: &str, (key, value): (&str, &str)) -> Sent<Option<Known>> {
        let answer = self.post(
            "runs/search",
            &json!({
                "experiment_ids": [experiment_id], "filter": format!("tags.`{key}` = '{value}'"), "max_results": 1,
            }),
        )?;
        answer.pointer("/runs/0").map(|_| known(&answer, "/runs/0/info")).transpose()
    }

    /// The newest step of every number that is known of a run; none where the server does not know the run.
    pub fn newest_steps(&self, run: &Known) -> Sent<Option<BTreeMap<String, i64>>> {
        match self.get("runs/get", &[("run_id", &run.run_id)]) {
            Ok(answer) => {
                let metrics = answer.pointer("/run/data/metrics").and_then(Value::as_array);
                let newest =
                    |metric: &Value| Some((metric["key"].as_str()?.to_owned(), metric["step"].as_i64()?));
                Ok(Some(metrics.into_iter().flatten().filter_map(newest).collect()))
            }
            Err(Failure::Refused { code, .. }) if code == "RESOURCE_DOES_NOT_EXIST" => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Adds at most [`MOST_METRICS`] numbers.
    pub fn metrics(&self, run: &Known, numbers: &[Number]) -> Sent {
        self.post("runs/log-batch", &json!({ "run_id": run.run_id, "metrics": numbers })).map(drop)
    }

    /// Adds at most [`MOST_PARAMS`] settings.
    pub fn params(&self, run: &Known, params: &[(String, String)]) -> Sent {
        self.post("runs/log-batch", &json!({ "run_id": run.run_id, "params": pairs(params) })).map(drop)
    }

    /// Says how far a run is; `end` in milliseconds since 1970, if it has ended.
    pub fn status(&self, run: &Known, status: &str, end: Option<i64>) -> Sent {
        let mut body = json!({ "run_id": run.run_id, "status": status });
        if let Some(end) = end {
            body["end_time"] = end.into();
        }
        self.post("runs/update", &body).map(drop)
    }

    /// Puts a file beside a run; false where the files of the server are not behind it, but in a store of their own.
    pub fn file(&self, run: &Known, name: &str, content_type: &str, bytes: &[u8]) -> Sent<bool> {
        let Some(path) = path_of_artifacts(&run.artifacts) else { return Ok(false) };
        let url = format!("{}/api/2.0/mlflow-artifacts/artifacts/{path}/{name}", self.url);
        let mut request = self.agent.put(&url).header(CONTENT_TYPE, content_type);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.config().timeout_global(Some(self.patience * FILE_FACTOR)).build();
        self.read(request.send(bytes)).map(|_| true)
    }

    fn get(&self, call: &str, query: &[(&str, &str)]) -> Sent<Value> {
        let mut request = self.agent.get(self.address(call)).query_pairs(query.iter().copied());
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        self.read(request.call())
    }

    fn post(&self, call: &str, body: &Value) -> Sent<Value> {
        let mut request = self.agent.post(self.address(call)).header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        self.read(request.send(body.to_string().as_bytes()))
    }

    fn address(&self, call: &str) -> String {
        format!("{}/api/2.0/mlflow/{call}", self.url)
    }

    fn read(&self, response: std::result::Result<Response<ureq::Body>, ureq::Error>) -> Sent<Value> {
        let away = |error: ureq::Error| Failure::Away(format!("no answer: {error}"));
        let mut response = response.map_err(away)?;
        let status = response.status();
        let text = response.body_mut().with_config().limit(ANSWER_BYTES).read_to_vec().map_err(away)?;
        let answer: Option<Value> = serde_json::from_slice(&text).ok();
        if status.is_success() {
            return Ok(answer.unwrap_or_default());
        }
        let word = |key: &str| answer.as_ref().and_then(|answer| Some(answer.get(key)?.as_str()?.to_owned()));
        let mut said = format!("the server answers {status}");
        match word("message") {
            Some(message) => said += &format!(": {}", shown(&message)),
            None if status.is_redirection() => {
                let to =
                    response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("elsewhere");
                said += &format!(" and points to {}; give the address that it is at", shown(to));
            }
            None if answer.is_none() && !text.is_empty() => {
                said += &format!(": {}", shown(&String::from_utf8_lossy(&text)));
            }
            None => {}
        }
        if status == StatusCode::UNAUTHORIZED {
            said += "; credentials are read from MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD";
        }
        if status.is_server_error() || matches!(status.as_u16(), 408 | 429) {
            return Err(Failure::Away(said));
        }
        Err(Failure::Refused { code: word("error_code").unwrap_or_default(), said })
    }
}

/// The credentials of the environment as MLflow's own client reads them. A header of it is not shown in debug output.
fn authorization(variable: impl Fn(&str) -> Option<String>) -> Result<Option<HeaderValue>> {
    let set = |name: &'static str| variable(name).filter(|value| !value.is_empty());
    let (name, value) = match (set("MLFLOW_TRACKING_TOKEN"), set("MLFLOW_TRACKING_USERNAME")) {
        (Some(token), _) => ("MLFLOW_TRACKING_TOKEN", format!("Bearer {token}")),
        (None, Some(user)) => {
            use base64::Engine;
            let password = set("MLFLOW_TRACKING_PASSWORD").unwrap_or_default();
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            ("MLFLOW_TRACKING_USERNAME", format!("Basic {pair}"))
        }
        (None, None) => return Ok(None),
    };
    let mut header = HeaderValue::from_str(&value).map_err(|_| {
        Error::Usage(format!(
            "the variable {name} holds a character that no credential has, such as a line break"
        ))
    })?;
    header.set_sensitive(true);
    Ok(Some(header))
}

/// The path of files behind the server: `1/3f…/artifacts` of `mlflow-artifacts:/1/3f…/artifacts`, with or without a host.
fn path_of_artifacts(root: &str) -> Option<&str> {
    let path = root.strip_prefix("mlflow-artifacts:")?;
    let path = match path.strip_prefix("//") {
        Some(with_host) => with_host.split_once('/')?.1,
        None => path,
    };
    Some(path.trim_matches('/'))
}

fn known(answer: &Value, at: &str) -> Sent<Known> {
    let part = |name: &str| text(answer, &format!("{at}/{name}"));
    Ok(Known {
        experiment_id: part("experiment_id")?,
        run_id: part("run_id")?,
        artifacts: part("artifact_uri").unwrap_or_default(),
    })
}

fn text(answer: &Value, at: &str) -> Sent<String> {
    let found = answer.pointer(at).and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| Failure::Refused {
        code: String::new(),
        said: format!("what answers is not MLflow: its answer has no {at}"),
    })
}

fn pairs(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

/// What a server says, on one line of a terminal.
fn shown(text: &str) -> String {
    let line: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_run_are_behind_the_server_or_elsewhere() {
        for (root, path) in [
            ("mlflow-artifacts:/1/3f/artifacts", Some("1/3f/artifacts")),
            ("mlflow-artifacts://host:5000/1/3f/artifacts/", Some("1/3f/artifacts")),
            ("s3://bucket/1/3f/artifacts", None),
            ("/srv/mlruns/1/3f/artifacts", None),
            ("", None),
        ] {
            assert_eq!(path_of_artifacts(root), path, "{root}");
        }
    }

    #[test]
    fn credentials_come_from_the_environment_and_are_never_shown() {
        let of = |pairs: &[(&str, &str)]| {
            authorization(|name| {
                pairs.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(of(&[]).unwrap(), None);
        let (user, password) = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD");
        let basic = of(&[(user, "Aladdin"), (password, "open sesame")]).unwrap().unwrap();
        // The example of RFC 7617.
        assert_eq!(basic.to_str().unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let token = of(&[("MLFLOW_TRACKING_TOKEN", "secret"), (user, "me")]).unwrap().unwrap();
        assert_eq!(token.to_str().unwrap(), "Bearer secret");
        assert!(!format!("{token:?}{basic:?}").contains("secret"));
        let error = of(&[("MLFLOW_TRACKING_TOKEN", "secret\n")]).unwrap_err();
        assert!(error.exit_code() == 2 && !error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn what_a_server_says_is_one_line() {
        assert_eq!(shown("a\n\u{1b}[31m b"), "a [31m b");
        assert_eq!(shown(&"x".repeat(1000)).len(), SHOWN);
    }
}
