//! The server as its clients see it: the program in a process of its own, asked over loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{arg, command, data, sarb_fails, sarb_ok, train_on_images};

/// A run that is trained once.
fn run() -> &'static Path {
    static RUN: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = RUN.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        train_on_images(&dir.path().join("tiny"));
        dir
    });
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| dir.path().join("tiny"))
}

/// A server that ends with the test.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(more: &[&str]) -> Self {
        let run = arg(run());
        let args = [&["serve", &run, "--port", "0", "--quiet"], more].concat();
        let mut child = command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Status, head and body of an answer.
    fn ask(&self, request: &str, headers: &[&str], body: &[u8]) -> (u16, String, Vec<u8>) {
        let mut stream = self.connect();
        send(&mut stream, request, headers, body);
        read(&mut stream)
    }

    fn json(&self, request: &str, headers: &[&str], body: &[u8]) -> (u16, Value) {
        let (status, _, body) = self.ask(request, headers, body);
        let text = String::from_utf8_lossy(&body);
        (status, serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{text}")))
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Its exit code, and what it said.
    fn wait(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        let code = self.child.wait().unwrap().code();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (code, said)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(stream: &mut TcpStream, request: &str, headers: &[&str], body: &[u8]) {
    let mut head = format!(
        "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    headers.iter().for_each(|header| head += &format!("{header}\r\n"));
    stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
}

fn read(stream: &mut TcpStream) -> (u16, String, Vec<u8>) {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), answer[end + 4..].to_vec())
}

fn images() -> Vec<PathBuf> {
    let mut images: Vec<PathBuf> =
        std::fs::read_dir(data().join("images")).unwrap().map(|entry| entry.unwrap().path()).collect();
    images.sort();
    images.truncate(12);
    images
}

#[test]
fn an_image_alone_has_the_very_numbers_of_predict_and_in_company_nearly() {
    let served = Served::start(&["--batch-wait", "50", "--batch-size", "4"]);
    let images = images();
    for options in [&[][..], &["--top", "2"], &["--threshold", "0.4"], &["--decide", "recall=0.9"]] {
        let paths: Vec<String> = images.iter().map(arg).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let said = sarb_ok(&[&["predict", &arg(run()), "--format", "jsonl"], options, &paths[..]].concat());
        let query = match options {
            [name, value] => format!("{}={}", name.trim_start_matches('-'), value.replace('=', "%3D")),
            _ => String::new(),
        };
        let mut parts = Vec::new();
        for (line, path) in said.lines().zip(&images) {
            let expected: Value = serde_json::from_str(line).unwrap();
            let bytes = std::fs::read(path).unwrap();
            let (status, answer) =
                served.json(&format!("POST /v1/predict?{query}"), &["Content-Type: image/png"], &bytes);
            assert_eq!(status, 200, "{answer}");
            let version = answer["version"].as_str().unwrap();
            assert!(version.len() == 12 && version.chars().all(|c| c.is_ascii_hexdigit()), "{version}");
            let mut labels = answer["predictions"][0]["labels"].clone();
            labels.as_array_mut().unwrap().iter_mut().for_each(|label| {
                label.as_object_mut().unwrap().remove("threshold");
            });
            assert_eq!(labels, expected["labels"], "{}", path.display());
            parts.push((path.file_name().unwrap().to_string_lossy().into_owned(), bytes, labels));
        }
        let form: Vec<u8> =
            parts.iter().flat_map(|(name, bytes, _)| part(name, bytes)).chain(*b"--b--\r\n").collect();
        let (status, answer) = served.json(
            &format!("POST /v1/predict?{query}"),
            &["Content-Type: multipart/form-data; boundary=b"],
            &form,
        );
        assert_eq!(status, 200, "{answer}");
        for ((name, _, labels), together) in parts.iter().zip(answer["predictions"].as_array().unwrap()) {
            assert_eq!(together["image"], **name);
            for (alone, together) in
                labels.as_array().unwrap().iter().zip(together["labels"].as_array().unwrap())
            {
                let logit = |label: &Value| label["logit"].as_f64().unwrap();
                assert!((logit(alone) - logit(together)).abs() < 1e-5, "{alone} and {together}");
            }
        }
    }
    let (_, _, text) = served.ask("GET /metrics", &[], &[]);
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("sarb_images_total{model=\"tiny\"} 96"), "{text}");
    assert!(text.contains("sarb_batch_images_bucket{le=\"4.0\",model=\"tiny\"}"), "{text}");
}

fn part(name: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!("--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\n\r\n");
    [head.as_bytes(), bytes, b"\r\n"].concat()
}

#[test]
fn a_signal_ends_the_server_after_it_has_answered() {
    let served = Served::start(&["--batch-wait", "1500"]);
    let image = std::fs::read(&images()[0]).unwrap();
    let mut waiting = served.connect();
    send(&mut waiting, "POST /v1/predict?top=1", &[], &image);
    // Idle connections do not hold it up.
    let _idle = served.connect();
    std::thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    served.signal("-TERM");
    assert_eq!(read(&mut waiting).0, 200, "what has begun is answered");
    let (code, said) = served.wait();
    assert_eq!((code, &*said), (Some(0), ""));
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[test]
fn a_thousand_idle_connections_and_slow_heads_keep_nobody_from_an_answer() {
    let served = Served::start(&["--max-connections", "1100"]);
    let mut idle: Vec<TcpStream> = (0..1000).map(|_| served.connect()).collect();
    let image = std::fs::read(&images()[0]).unwrap();
    for stream in idle.iter_mut().take(100) {
        stream.write_all(b"POST /v1/predict HTTP/1.1\r\nHost: loc").unwrap();
    }
    assert_eq!(served.ask("POST /v1/predict", &[], &image).0, 200);
    let more: Vec<TcpStream> = (0..120).map(|_| served.connect()).collect();
    let (status, head, _) = served.ask("GET /healthz", &[], &[]);
    assert!(status == 503 && head.contains("retry-after: 1"), "one too many is told: {head}");
    drop(more);
    // A head that does not end is given up.
    let start = Instant::now();
    let mut end = Vec::new();
    let _ = idle[0].read_to_end(&mut end);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert_eq!(served.ask("POST /v1/predict", &[], &image).0, 200);
}

#[test]
fn tokens_open_what_is_reached_from_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "a-token-of-this-test\n").unwrap();
    let served = Served::start(&["--host", "0.0.0.0", "--token-file", &arg(&file)]);
    let status = |path: &str, headers: &[&str]| served.ask(&format!("GET {path}"), headers, &[]).0;
    assert_eq!((status("/healthz", &[]), status("/readyz", &[])), (200, 200));
    assert_eq!(status("/v1/models", &[]), 401);
    assert_eq!(status("/v1/models", &["Authorization: Bearer a-token-of-this-tesT"]), 401);
    assert_eq!(status("/v1/models", &["Authorization: Bearer a-token-of-this-test"]), 200);
}

#[test]
fn what_cannot_be_served_is_refused_before_anybody_asks() {
    let run = arg(run());
    for (code, args, expected) in [
        (2, &["--host", "0.0.0.0"][..], "others can reach 0.0.0.0"),
        (2, &["--host", "::"], "--token-file"),
        (2, &[&*run], "two runs are called \"tiny\""),
        (2, &["--max-images", "65"], "more than --queue 64"),
        (2, &["--batch-size", "0"], "--batch-size"),
        (4, &["nowhere"], "nowhere: no such file or folder"),
        (4, &["--token-file", "nowhere"], "nowhere: no such file or folder"),
        (4, &["--host", "no.such.host.invalid"], "--host no.such.host.invalid"),
        (4, &[&*format!("x={}", arg(data()))], "not a run"),
    ] {
        let message = sarb_fails(code, &[&["serve", &run, "--port", "0"], args].concat());
        assert!(message.contains(expected), "{args:?}: {message}");
    }
    let dir = tempfile::tempdir().unwrap();
    let features = dir.path().join("features");
    sarb_ok(&crate::support::borrow(&crate::support::quick("linear", &features)));
    assert!(sarb_fails(2, &["serve", &arg(features)]).contains("cannot read images"));
    // A port that somebody has.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    assert!(sarb_fails(4, &["serve", &run, "--port", &port]).contains(&port));
}
