//! Connections: how many, how long their heads may take, and how they end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::state::Server;
use crate::Cancel;

/// How often the wish to stop is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How long the head of a request may take, and a connection lie idle.
const HEAD: Duration = Duration::from_secs(10);

/// Largest head of a request.
const HEAD_BYTES: usize = 64 << 10;

/// How long is waited for more files where the process may open no other one.
const NO_FILES: Duration = Duration::from_millis(100);

/// How much longer than the longest request the last ones may take.
const GRACE: Duration = Duration::from_secs(2);

/// Most bytes that are read of a client that is refused.
const LAST_BYTES: u64 = 1 << 20;

/// What a connection is told that is one too many.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Answers connections, at most `most` of them at once, until an end is asked for; then ends those that are idle and waits
/// for the others.
pub async fn answer(
    listener: TcpListener,
    router: Router,
    server: &Arc<Server>,
    most: usize,
    cancel: &Cancel,
) {
    let (places, drain) = (Arc::new(Semaphore::new(most)), GracefulShutdown::new());
    let mut heads = http1::Builder::new();
    heads.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES);
    while !cancel.is_cancelled() {
        let stream = match timeout(LOOK, listener.accept()).await {
            Ok(Ok((stream, _))) => stream,
            Ok(Err(_)) => {
                sleep(NO_FILES).await;
                continue;
            }
            Err(_) => continue,
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tokio::spawn(refuse(stream));
            continue;
        };
        // Answers are written at once; there is nothing to wait for.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = drain.watch(heads.serve_connection(TokioIo::new(stream), service));
        let open = server.metrics.connections.clone();
        open.inc();
        tokio::spawn(async move {
            // A connection that breaks is its peer's affair.
            let _ = connection.await;
            open.dec();
            drop(place);
        });
    }
    server.ends.store(true, Ordering::Relaxed);
    drop(listener);
    let _ = timeout(server.limits.timeout + GRACE, drain.shutdown()).await;
}

async fn refuse(mut stream: TcpStream) {
    // What the client sends is read too: closed before that, the connection would be reset and the answer lost.
    let told = async {
        stream.write_all(FULL).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(LAST_BYTES), &mut tokio::io::sink()).await
    };
    let _ = timeout(GRACE, told).await;
}

/// Lets the process open as many files as it may; gives how many. A connection is a file.
pub fn raise_file_limit() -> Option<u64> {
    #[cfg(unix)]
    {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the calls read and write the structure that they are given.
        let raised = unsafe {
            if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
                return None;
            }
            let before = limit.rlim_cur;
            limit.rlim_cur = limit.rlim_max;
            if libc::setrlimit(libc::RLIMIT_NOFILE, &limit) == 0 { limit.rlim_max } else { before }
        };
        Some(raised)
    }
    #[cfg(not(unix))]
    None
}
