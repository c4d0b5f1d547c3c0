//! A server on loopback that answers as MLflow 3.17 was seen to, keeps what it is sent, refuses what is beyond MLflow's
//! limits, and fails as it is told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As it should.
    Well,
    /// This status to everything.
    Fails(u16),
    /// Does what it is asked, and never answers this call.
    Silent(&'static str),
}

/// A run as it knows it.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub id: String,
    pub name: String,
    pub experiment: String,
    pub tags: BTreeMap<String, String>,
    pub params: BTreeMap<String, String>,
    /// Key, step, value and time of every point, in the order in which they came; what was there already is kept once, as
    /// MLflow's databases do.
    pub points: Vec<(String, i64, f64, i64)>,
    pub statuses: Vec<String>,
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Known {
    /// Steps and values of a key.
    pub fn history(&self, key: &str) -> Vec<(i64, f64)> {
        self.points.iter().filter(|(it, ..)| it == key).map(|(_, step, value, _)| (*step, *value)).collect()
    }

    pub fn file(&self, name: &str) -> String {
        String::from_utf8(self.files[name].clone()).unwrap()
    }
}

#[derive(Debug, Default)]
pub struct State {
    mode: Option<Mode>,
    /// By their ids, which count from 1.
    pub experiments: Vec<String>,
    pub runs: Vec<Known>,
    /// Sizes of the batches of metrics that came.
    pub batches: Vec<usize>,
    /// What was refused, and why.
    pub refused: Vec<String>,
    /// Values of `Authorization`, one a request; empty without.
    pub authorizations: Vec<String>,
}

pub struct Mlflow {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Mlflow {
    pub fn start(mode: Mode) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), mode)
    }

    /// At an address where it was before, or was expected.
    pub fn start_at(url: &str) -> Self {
        let begun = Instant::now();
        loop {
            match TcpListener::bind(url.trim_start_matches("http://")) {
                Ok(listener) => return Self::on(listener, Mode::Well),
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(30), "{url}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn on(listener: TcpListener, mode: Mode) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { mode: Some(mode), ..State::default() }));
        let shared = state.clone();
        // Waits for connections until the process of the tests ends.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Self { url, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn behave(&self, mode: Mode) {
        self.state().mode = Some(mode);
    }

    /// `mlflow=http://…`.
    pub fn target(&self) -> String {
        format!("mlflow={}", self.url)
    }

    /// The only run.
    pub fn run(&self) -> Known {
        let state = self.state();
        assert_eq!((state.runs.len(), &state.refused[..]), (1, &[][..]));
        state.runs[0].clone()
    }
}

/// An address at which nobody listens.
pub fn nobody() -> String {
    format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

struct Request {
    method: String,
    path: String,
    query: String,
    authorization: String,
    body: Vec<u8>,
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut request = Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        authorization: String::new(),
        body: Vec::new(),
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "content-length" => request.body = vec![0; value.parse().ok()?],
            "authorization" => request.authorization = value.to_owned(),
            _ => {}
        }
    }
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let Some(request) = read(&stream) else { return };
    let (mode, (status, body)) = {
        let mut state = state.lock().unwrap();
        state.authorizations.push(request.authorization.clone());
        let mode = state.mode.unwrap();
        let answer = match mode {
            Mode::Fails(status) => (status, json!({ "error_code": "INTERNAL_ERROR", "message": "as told" })),
            Mode::Well | Mode::Silent(_) => answer(&mut state, &request),
        };
        let is_looked_up = |code: &Value| code.as_str().is_some_and(|code| code.starts_with("RESOURCE_"));
        if mode == Mode::Well && answer.0 >= 400 && !is_looked_up(&answer.1["error_code"]) {
            state.refused.push(format!("{} {}: {}", request.method, request.path, answer.1));
        }
        (mode, answer)
    };
    if matches!(mode, Mode::Silent(call) if request.path.ends_with(call)) {
        std::thread::sleep(Duration::from_secs(600));
    }
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} Told\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    let location = if status == 307 { "Location: https://elsewhere.example/\r\n" } else { "" };
    // A client that is gone is none of the server's business.
    let _ = write!(stream, "{head}{location}\r\n{body}");
}

fn error(status: u16, code: &str, message: &str) -> (u16, Value) {
    (status, json!({ "error_code": code, "message": message }))
}

fn invalid(message: &str) -> (u16, Value) {
    error(400, "INVALID_PARAMETER_VALUE", message)
}

fn answer(state: &mut State, request: &Request) -> (u16, Value) {
    if let Some(path) = request.path.strip_prefix("/api/2.0/mlflow-artifacts/artifacts/") {
        let [experiment, id, "artifacts", name] = path.split('/').collect::<Vec<_>>()[..] else {
            return invalid("no such path of files");
        };
        let run = state.runs.iter_mut().find(|run| run.id == id && run.experiment == experiment);
        let Some(run) = run.filter(|_| request.method == "PUT") else { return invalid("no such run") };
        run.files.insert(name.to_owned(), request.body.clone());
        return (200, json!({}));
    }
    let Some(call) = request.path.strip_prefix("/api/2.0/mlflow/") else { return invalid("no such path") };
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let word = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    match (request.method.as_str(), call) {
        ("GET", "experiments/get-by-name") => {
            let name = request.query.strip_prefix("experiment_name=").unwrap_or_default().replace("%20", " ");
            match state.experiments.iter().position(|known| *known == name) {
                None => error(404, "RESOURCE_DOES_NOT_EXIST", "no such experiment"),
                Some(place) => (200, json!({ "experiment": { "experiment_id": (place + 1).to_string() } })),
            }
        }
        ("POST", "experiments/create") => {
            if state.experiments.contains(&word("name")) {
                return error(400, "RESOURCE_ALREADY_EXISTS", "it is there");
            }
            state.experiments.push(word("name"));
            (200, json!({ "experiment_id": state.experiments.len().to_string() }))
        }
        ("POST", "runs/create") => {
            let id = format!("run{}{}", state.runs.len(), "0".repeat(8));
            let (name, experiment) = (word("run_name"), word("experiment_id"));
            let tags = pairs(&body["tags"]);
            let statuses = vec!["RUNNING".into()];
            state.runs.push(Known { id, name, experiment, tags, statuses, ..Known::default() });
            (200, json!({ "run": { "info": info(&state.runs[state.runs.len() - 1]) } }))
        }
        ("POST", "runs/search") => {
            let filter = word("filter");
            let (key, value) = filter.split_once(" = ").unwrap_or_default();
            let key = key.trim_start_matches("tags.`").trim_end_matches('`');
            let found = |run: &&Known| run.tags.get(key).is_some_and(|it| it == value.trim_matches('\''));
            let runs: Vec<Value> =
                state.runs.iter().filter(found).map(|run| json!({ "info": info(run) })).collect();
            (200, json!({ "runs": runs }))
        }
        ("GET", "runs/get") => match request.query.strip_prefix("run_id=") {
            Some(id) => match state.runs.iter().find(|run| run.id == id) {
                Some(run) => {
                    (200, json!({ "run": { "info": info(run), "data": { "metrics": newest(run) } } }))
                }
                None => error(404, "RESOURCE_DOES_NOT_EXIST", "no such run"),
            },
            None => invalid("no run_id"),
        },
        ("POST", "runs/log-batch" | "runs/update") => {
            let Some(place) = state.runs.iter().position(|run| run.id == word("run_id")) else {
                return error(404, "RESOURCE_DOES_NOT_EXIST", "no such run");
            };
            if call == "runs/update" {
                state.runs[place].statuses.push(word("status"));
                return (200, json!({}));
            }
            log_batch(state, place, &body, request.body.len())
        }
        _ => invalid("no such call"),
    }
}

fn log_batch(state: &mut State, place: usize, body: &Value, bytes: usize) -> (u16, Value) {
    let metrics = body["metrics"].as_array().cloned().unwrap_or_default();
    let params = pairs(&body["params"]);
    if metrics.len() > 1000 || params.len() > 100 || bytes > 1_000_000 {
        return invalid("too much at once");
    }
    let takes = |key: &str| {
        let is_path = key.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        is_path && key.len() <= 250 && key.chars().all(|c| c.is_alphanumeric() || "_-. :/".contains(c))
    };
    let run = &mut state.runs[place];
    for (key, value) in params {
        if !takes(&key) || value.chars().count() > 6000 {
            return invalid(&format!("param {key}"));
        }
        if run.params.get(&key).is_some_and(|known| *known != value) {
            return invalid(&format!("changing param {key} is not allowed"));
        }
        run.params.insert(key, value);
    }
    if !metrics.is_empty() {
        state.batches.push(metrics.len());
    }
    for metric in metrics {
        let (key, value) = (metric["key"].as_str().unwrap_or_default().to_owned(), metric["value"].as_f64());
        let (step, time) = (metric["step"].as_i64().unwrap(), metric["timestamp"].as_i64().unwrap());
        let Some(value) = value.filter(|_| takes(&key)) else { return invalid(&format!("metric {metric}")) };
        let point = (key, step, value, time);
        if !run.points.contains(&point) {
            run.points.push(point);
        }
    }
    (200, json!({}))
}

/// The newest point of each key.
fn newest(run: &Known) -> Vec<Value> {
    let mut newest = BTreeMap::new();
    for (key, step, value, time) in &run.points {
        let point = newest.entry(key).or_insert((step, time, value));
        if (step, time) >= (point.0, point.1) {
            *point = (step, time, value);
        }
    }
    let json =
        |(key, (step, time, value))| json!({ "key": key, "value": value, "timestamp": time, "step": step });
    newest.into_iter().map(json).collect()
}

fn info(run: &Known) -> Value {
    let root = format!("mlflow-artifacts:/{}/{}/artifacts", run.experiment, run.id);
    json!({ "run_id": run.id, "experiment_id": run.experiment, "artifact_uri": root })
}

fn pairs(list: &Value) -> BTreeMap<String, String> {
    let list = list.as_array().cloned().unwrap_or_default();
    let text = |pair: &Value, key: &str| pair[key].as_str().unwrap_or_default().to_owned();
    list.iter().map(|pair| (text(pair, "key"), text(pair, "value"))).collect()
}
