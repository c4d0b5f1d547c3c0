//! One file over HTTP: `NAME.part` grows, with `NAME.part.json` beside it that says of which file it is a part.
//! A cut or stalled transfer goes on where it ended, as long as the server still has the same file (RFC 9110,
//! ranges and `If-Range`).

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sarb_labels::files::{folder_of, sync_folder, write_atomically};
use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::http::{Response, StatusCode, header};

use super::check::{self, Digest};
use super::{Moved, Patience, Remote, Watch};
use crate::{Error, Result};

/// Where nobody says how large a file is, it may not be larger.
const LIMIT_BYTES: u64 = 40_000_000_000;

/// Of which file the part is one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Origin {
    url: String,
    /// What the server calls this state of the file: a strong ETag, or when it was last modified.
    state: Option<String>,
    length: Option<u64>,
}

/// What a single try ended with.
enum Ended {
    Whole,
    /// Worth another try, and why.
    Cut(String),
}

/// Brings a file to `target`, which is there only when whole and checked.
///
/// The proxy is that of the environment (the first of `ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY`; not for `NO_PROXY`).
///
/// # Errors
/// [`Error::Usage`] if the proxy cannot be used. [`Error::Missing`] if the file cannot be had: what arrived stays for the next call. [`Error::Data`] if it is
/// another file than expected: what arrived is deleted. [`Error::Stopped`] on request.
pub fn download(remote: &Remote, target: &Path, patience: &Patience, watch: &Watch<'_>) -> Result<()> {
    let folder = folder_of(target);
    std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
    let instead = ", or bring the file by other means and give it with --from";
    super::proxy::check(|name| std::env::var(name).ok(), instead)?;
    let mut part = Part::open(target, remote)?;
    let agent = agent(remote, patience);
    let mut fruitless = 0;
    loop {
        let before = part.digest.bytes();
        let why = match part.go_on(&agent, remote, watch)? {
            Ended::Whole => return part.finish(remote, target),
            Ended::Cut(why) => why,
        };
        fruitless = if part.digest.bytes() > before { 0 } else { fruitless + 1 };
        if fruitless >= patience.tries {
            return Err(part.given_up(remote, &why));
        }
        (watch.note)(&format!("{}: {why}; trying again", remote.url));
        rest(patience.pause * 2_u32.pow(fruitless), watch)?;
    }
}

/// Waits, but not for one who wants to stop.
fn rest(pause: Duration, watch: &Watch<'_>) -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < pause {
        watch.cancel.check()?;
        std::thread::sleep(Duration::from_millis(50).min(pause));
    }
    Ok(())
}

fn agent(remote: &Remote, patience: &Patience) -> Agent {
    let config = Agent::config_builder()
        // A redirect must not take away what https gives, above all where only some digits are known.
        .https_only(remote.url.starts_with("https:"))
        .http_status_as_error(false)
        .max_redirects(patience.redirects)
        .max_redirects_will_error(true)
        .user_agent(concat!("sarb/", env!("CARGO_PKG_VERSION")))
        // Ranges count the bytes of the file, not those of a compressed transfer.
        .accept_encoding("identity")
        .timeout_resolve(Some(patience.connect))
        .timeout_connect(Some(patience.connect))
        .timeout_recv_response(Some(patience.stall))
        .timeout_per_read(Some(patience.stall));
    config.build().new_agent()
}

/// What there is of a file so far.
struct Part {
    path: PathBuf,
    file: File,
    origin: Origin,
    digest: Digest,
}

impl Part {
    fn open(target: &Path, remote: &Remote) -> Result<Self> {
        let path = with_ending(target, ".part");
        let failed = |error| Error::io(&path, error);
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Usage(format!(
                    "{}: another process is fetching this file",
                    path.display()
                )));
            }
            // Some network file systems know no locks.
            Err(TryLockError::Error(_)) => {}
        }
        if !path.exists() {
            let shown = target.display();
            return Err(Error::Usage(format!(
                "{shown}: another process has just fetched it; run the command again"
            )));
        }
        let mut digest = Digest::default();
        check::copy(&mut file, &mut std::io::sink(), &mut digest, |_| Ok(())).map_err(failed)??;
        let note = std::fs::read(with_ending(&path, ".json")).ok();
        let origin: Origin = note.and_then(|note| serde_json::from_slice(&note).ok()).unwrap_or_default();
        let mut part = Self { path, file, origin, digest };
        if part.origin.url != remote.url {
            part.start_over()?;
        }
        Ok(part)
    }

    /// One request, and what it brings.
    fn go_on(&mut self, agent: &Agent, remote: &Remote, watch: &Watch<'_>) -> Result<Ended> {
        watch.cancel.check()?;
        let have = self.digest.bytes();
        if have > 0 && remote.bytes.or(self.origin.length) == Some(have) {
            return Ok(Ended::Whole);
        }
        let mut request = agent.get(&*remote.url);
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
            if let Some(state) = &self.origin.state {
                request = request.header(header::IF_RANGE, state);
            }
        }
        let response = match request.call() {
            Ok(response) => response,
            Err(error) => return cut_or_error(&remote.url, error),
        };
        match response.status() {
            StatusCode::OK => {
                self.start_over()?;
                self.note(Origin { length: header_number(&response), ..origin(remote, &response) })?;
            }
            StatusCode::PARTIAL_CONTENT if self.continues(&response) => {
                (watch.note)(&format!("{}: continuing after {have} bytes", remote.file_name()));
            }
            // What is here is of another file: only the whole new one helps.
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
                self.start_over()?;
                return Ok(Ended::Cut("the server has another file than before".into()));
            }
            status if status.is_server_error() || matches!(status.as_u16(), 408 | 429) => {
                return Ok(Ended::Cut(format!("the server answers {status}")));
            }
            status => return Err(Error::Missing(format!("{}: the server answers {status}", remote.url))),
        }
        self.receive(response, remote, watch)
    }

    /// Whether an answer continues exactly where the part ends, in the same file.
    fn continues(&self, response: &Response<ureq::Body>) -> bool {
        let range = response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let parsed = range.and_then(|range| {
            let (range, total) = range.strip_prefix("bytes ")?.split_once('/')?;
            Some((range.split_once('-')?.0.parse::<u64>().ok()?, total.parse::<u64>().ok()))
        });
        let Some((start, total)) = parsed else { return false };
        let same_length = total.is_none() || self.origin.length.is_none() || total == self.origin.length;
        start == self.digest.bytes() && same_length
    }

    fn receive(
        &mut self,
        response: Response<ureq::Body>,
        remote: &Remote,
        watch: &Watch<'_>,
    ) -> Result<Ended> {
        let total = remote.bytes.or(self.origin.length);
        let limit = total.unwrap_or(LIMIT_BYTES);
        let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
        let what = format!("downloading {}", remote.file_name());
        let mut piece = vec![0; 1 << 17];
        loop {
            let count = match body.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Ended::Cut(format!("the transfer broke off: {error}"))),
            };
            if self.digest.bytes() + count as u64 > limit {
                self.delete();
                return Err(Error::Data(format!(
                    "{}: is not {}: more than {limit} bytes; what arrived was deleted",
                    remote.url,
                    remote.file_name()
                )));
            }
            self.file.write_all(&piece[..count]).map_err(|error| Error::io(&self.path, error))?;
            self.digest.update(&piece[..count]);
            (watch.show)(Moved { what: &what, done: self.digest.bytes(), total });
            watch.cancel.check()?;
        }
        let have = self.digest.bytes();
        // The server's own word: where it contradicts what is known, the check at the end says so.
        let promised = self.origin.length.or(remote.bytes);
        match promised.filter(|&promised| have < promised) {
            Some(promised) => {
                Ok(Ended::Cut(format!("the transfer broke off after {have} of {promised} bytes")))
            }
            None => Ok(Ended::Whole),
        }
    }

    /// What to say after the last try, and what to do.
    fn given_up(&self, remote: &Remote, why: &str) -> Error {
        let url = &remote.url;
        Error::Missing(match self.digest.bytes() {
            0 => {
                self.delete();
                format!(
                    "{url}: {why}; where there is no network, bring the file by other means and give it with --from"
                )
            }
            have => format!("{url}: {why}; {have} bytes are kept: run the same command again to continue"),
        })
    }

    /// Checks the whole and gives it its name.
    fn finish(self, remote: &Remote, target: &Path) -> Result<()> {
        if let Err(error) = self.digest.check(remote, &remote.url) {
            self.delete();
            return Err(Error::Data(format!("{error}; what arrived was deleted")));
        }
        let failed = |error| Error::io(target, error);
        self.file.sync_all().map_err(failed)?;
        // Still locked, so that no other process takes the finished file for its part.
        std::fs::rename(&self.path, target).map_err(failed)?;
        let _ = std::fs::remove_file(with_ending(&self.path, ".json"));
        sync_folder(folder_of(target)).map_err(failed)
    }

    fn start_over(&mut self) -> Result<()> {
        let failed = |error| Error::io(&self.path, error);
        self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)).map(drop)).map_err(failed)?;
        self.digest = Digest::default();
        Ok(())
    }

    fn note(&mut self, origin: Origin) -> Result<()> {
        let text = serde_json::to_vec(&origin).expect("text and numbers");
        self.origin = origin;
        Ok(write_atomically(&with_ending(&self.path, ".json"), |writer| writer.write_all(&text))?)
    }

    fn delete(&self) {
        // Left behind, they would only be started over by the next call.
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(with_ending(&self.path, ".json"));
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// What an answer says of its file. A weak ETag does not promise equal bytes.
fn origin(remote: &Remote, response: &Response<ureq::Body>) -> Origin {
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let etag = text(header::ETAG).filter(|etag| !etag.starts_with("W/"));
    let state = etag.or_else(|| text(header::LAST_MODIFIED));
    Origin { url: remote.url.to_string(), state, length: None }
}

fn header_number(response: &Response<ureq::Body>) -> Option<u64> {
    response.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether a failed request is worth another try.
fn cut_or_error(url: &str, error: ureq::Error) -> Result<Ended> {
    match error {
        ureq::Error::Io(error) => Ok(Ended::Cut(format!("no answer: {error}"))),
        ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed | ureq::Error::Protocol(_) => {
            Ok(Ended::Cut(format!("no answer: {error}")))
        }
        ureq::Error::TooManyRedirects => Err(Error::Missing(format!("{url}: redirected too often"))),
        ureq::Error::HostNotFound => Err(Error::Missing(format!(
            "{url}: the host was not found; without a network, copy the file here and give it with --from"
        ))),
        error => Err(Error::Missing(format!("{url}: {error}"))),
    }
}
