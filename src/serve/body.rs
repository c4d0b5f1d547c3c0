//! Bodies of requests, read within the limits of one and of all together.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;

/// Bodies of at least this many requests of the largest size fit in memory together.
const TOGETHER: usize = 8;

/// At least so many bytes of bodies may be in memory.
const LEAST_BYTES: usize = 256 << 20;

/// How long the next part of a body may be on its way.
const PAUSE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

/// What bodies may take.
#[derive(Debug, Clone)]
pub struct Bodies {
    largest: usize,
    /// A permit for each byte that may be in memory.
    room: Arc<Semaphore>,
}

/// A body that is in memory as long as this is.
#[derive(Debug)]
pub struct Read {
    /// All of it.
    pub bytes: Bytes,
    #[allow(dead_code, reason = "held as long as the bytes are in use")]
    room: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// Of at most so many bytes each.
    pub fn new(largest: usize) -> Self {
        let room = largest.saturating_mul(TOGETHER).clamp(LEAST_BYTES, Semaphore::MAX_PERMITS);
        Self { largest, room: Arc::new(Semaphore::new(room)) }
    }

    /// Reads a body.
    ///
    /// # Errors
    /// 413 of one that is too large, before it is read where it says so; 503 where those of other requests take all
    /// room; 408 of one that stops coming; 415 of a compressed one; 400 of one that breaks off.
    pub async fn read(&self, headers: &HeaderMap, mut body: Body) -> Result<Read, Problem> {
        if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            let detail = "a compressed body; images are compressed already, send it as it is";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let said = headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
        if said.is_some_and(|said| said > self.largest as u64) {
            return Err(self.too_large());
        }
        let (mut bytes, mut room): (BytesMut, Option<OwnedSemaphorePermit>) = (BytesMut::new(), None);
        loop {
            let next = tokio::time::timeout(PAUSE, body.frame()).await.map_err(|_| {
                Problem::new(StatusCode::REQUEST_TIMEOUT, "the body of the request stopped coming")
            })?;
            let Some(frame) = next else { break };
            let frame = frame.map_err(|error| Problem::bad(format!("the body of the request: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > self.largest {
                return Err(self.too_large());
            }
            let taken = self.room.clone().try_acquire_many_owned(data.len() as u32);
            let taken = taken.map_err(|_| Problem::busy("other requests take all room for bodies"))?;
            match &mut room {
                Some(room) => room.merge(taken),
                None => room = Some(taken),
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Read { bytes: bytes.freeze(), room })
    }

    /// The JSON of a request. That it says so keeps pages of other sites from sending it.
    ///
    /// # Errors
    /// Those of [`read`](Self::read); 415 of a body that does not say that it is JSON, 400 of one that is none.
    pub async fn read_json<T: DeserializeOwned>(&self, request: Request) -> Result<T, Problem> {
        let (head, body) = request.into_parts();
        let kind =
            head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
            let detail = "expected Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let body = self.read(&head.headers, body).await?;
        serde_json::from_slice(&body.bytes).map_err(|error| Problem::bad(format!("JSON: {error}")))
    }

    fn too_large(&self) -> Problem {
        Problem::too_large(format!(
            "a body of more than {} bytes; the server takes no larger one (--max-bytes)",
            self.largest
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    #[test]
    fn a_body_is_read_up_to_the_limit_whatever_it_says_of_itself() {
        let bodies = Bodies::new(5);
        let read = |text: &'static str, said: &str| {
            let headers = [(header::CONTENT_LENGTH, said.parse().unwrap())].into_iter().collect();
            run(bodies.read(&headers, Body::from(text))).map_err(|problem| problem.status.as_u16())
        };
        assert_eq!(read("hello", "5").unwrap().bytes, "hello");
        assert_eq!(read("hello!", "5").unwrap_err(), 413);
        assert_eq!(read("", "99999999999999999999").unwrap().bytes, "");
        assert_eq!(read("hell", "6").unwrap_err(), 413);
    }

    #[test]
    fn bodies_share_their_room_and_give_it_back() {
        let bodies = Bodies { largest: 5, room: Arc::new(Semaphore::new(8)) };
        let read = |text: &'static str| run(bodies.read(&HeaderMap::new(), Body::from(text)));
        let first = read("12345").unwrap();
        assert_eq!(read("1234").unwrap_err().status, 503);
        assert!(read("123").is_ok());
        drop(first);
        assert!(read("12345").is_ok());
    }

    #[test]
    fn a_body_that_stops_coming_is_given_up() {
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(run(Bodies::new(5).read(&HeaderMap::new(), never)).unwrap_err().status, 408);
    }
}
