//! A server on loopback that answers as it is told.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::{Remote, sha256};

/// A request: its path, the first byte that it asks for, and in which state of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) path: String,
    pub(super) from: Option<usize>,
    pub(super) if_range: Option<String>,
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let mut request = Request { path, from: None, if_range: None };
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ")?;
        match name.to_lowercase().as_str() {
            "range" => request.from = value.strip_prefix("bytes=")?.trim_end_matches('-').parse().ok(),
            "if-range" => request.if_range = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(request)
}

pub(super) type Answer = Box<dyn Fn(&Request, TcpStream) + Send>;

/// Answers each connection with the next of its answers, the last of them for all that follow.
pub(super) struct Server {
    pub(super) address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(super) fn new(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let seen = requests.clone();
        // Waits for connections until the process of the tests ends.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(request) = read(&stream) else { continue };
                let number = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(request.clone());
                    seen.len() - 1
                };
                answers[number.min(answers.len() - 1)](&request, stream);
            }
        });
        Self { address, requests }
    }

    pub(super) fn remote(&self, bytes: &[u8]) -> Remote {
        let url = format!("{}/model.pth", self.address).into();
        Remote { url, bytes: Some(bytes.len() as u64), sha256: sha256(bytes).into() }
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// Serves a file, with ranges, but sends at most so many bytes in one answer.
pub(super) fn serve(bytes: Vec<u8>, etag: &'static str, at_most: usize) -> Answer {
    Box::new(move |request, mut stream| {
        let same = request.if_range.as_deref().is_none_or(|state| state == etag);
        let start = request.from.filter(|_| same).unwrap_or(0);
        let (status, range) = match start {
            0 => ("200 OK", String::new()),
            _ => {
                let range = format!("Content-Range: bytes {start}-{}/{}\r\n", bytes.len() - 1, bytes.len());
                ("206 Partial Content", range)
            }
        };
        let length = bytes.len() - start;
        let head = format!(
            "HTTP/1.1 {status}\r\nETag: {etag}\r\nContent-Length: {length}\r\n{range}Connection: close\r\n\r\n"
        );
        let body = &bytes[start..start.saturating_add(at_most).min(bytes.len())];
        // A client that hangs up is none of the server's business.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    })
}

pub(super) fn says(answer: &'static str) -> Answer {
    Box::new(move |_, mut stream| {
        let _ = stream.write_all(answer.as_bytes());
    })
}

pub(super) fn redirects(to: &'static str) -> Answer {
    Box::new(move |_, mut stream| {
        let _ = write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    })
}
