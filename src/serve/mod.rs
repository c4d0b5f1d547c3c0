//! `sarb serve`: trained runs answer over HTTP.
//!
//! ```text
//! connection ──► routes ──► access ──► body ──► pictures ──► recognition ──► queue of a model ──► network
//!                                       └ within limits          └ decoded on all cores  └ micro-batches, one thread
//! ```
//! An image alone in its batch has bit for bit the scores that [`Recognizer`](crate::Recognizer) gives it.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::{Cancel, Device, Error, PrecisionChoice, Result, Which};
use access::Access;
use body::Bodies;
use corrections::Corrections;
use label_studio::images::Sources;
use metrics::Metrics;
use model::Model;
use queue::Batching;
use state::{Limits, Server};

mod access;
mod body;
mod connections;
mod correct;
mod corrections;
mod label_studio;
mod metrics;
mod model;
mod open_inference;
mod openapi;
mod page;
mod pictures;
mod predict;
mod problem;
mod queue;
mod recognition;
mod routes;
mod state;
#[cfg(test)]
mod tests;

/// Files that a server keeps open beside its connections.
const OTHER_FILES: u64 = 64;

/// Most threads that decode, read files and fetch.
const BLOCKING_THREADS: usize = 64;

/// What is served, where and within which bounds.
#[derive(Debug, Clone)]
pub struct Options {
    /// Runs by the names that they are asked by.
    pub runs: Vec<(String, PathBuf)>,
    /// Which checkpoint of each.
    pub which: Which,
    /// Where they compute.
    pub device: Device,
    /// In which numbers frozen layers are multiplied, if not as in training.
    pub precision: Option<PrecisionChoice>,
    /// A name or an address to listen on.
    pub host: String,
    /// The port; 0 for any that is free.
    pub port: u16,
    /// Tokens, one a line, one of which every request has to bring.
    pub token_file: Option<PathBuf>,
    /// Names under which a server on loopback may be asked, beside those of loopback.
    pub allowed_hosts: Vec<String>,
    /// A folder with the images of Label Studio's tasks.
    pub images: Option<PathBuf>,
    /// Hosts that images of tasks may be fetched from.
    pub fetch_from: Vec<String>,
    /// Where labels that people set on the page are kept; nowhere without it.
    pub corrections: Option<PathBuf>,
    /// Most images that go through a network together.
    pub batch_size: usize,
    /// How long the first of them waits for more.
    pub batch_wait: Duration,
    /// Most images of a run in the server at once.
    pub queue: usize,
    /// Largest body of a request.
    pub max_bytes: usize,
    /// Most images of a request.
    pub max_images: usize,
    /// How long a request may take.
    pub timeout: Duration,
    /// Most connections at once.
    pub max_connections: usize,
}

/// Where a server listens, and what it serves.
#[derive(Debug, Clone)]
pub struct Listening {
    /// The address, with the port that was chosen.
    pub address: SocketAddr,
    /// Names of the models.
    pub models: Vec<String>,
}

/// Serves until an end is asked for; then answers what has begun. `listening` hears when requests are taken.
///
/// # Errors
/// [`Error::Usage`] for options that do not fit together, and for a host beyond loopback without tokens; what opening the
/// runs says; [`Error::Missing`] if the address cannot be had.
pub fn serve(
    options: &Options,
    listening: impl FnOnce(&Listening) -> Result<()>,
    cancel: &Cancel,
) -> Result<()> {
    options.check()?;
    let listener = options.listen()?;
    let address = listener.local_addr().map_err(|error| Error::io(&options.host, error))?;
    let access = options.access(address)?;
    let metrics = Arc::new(Metrics::default());
    let (models, threads) = options.open_models(&metrics)?;
    let names = models.iter().map(|model| model.about.name.clone()).collect();
    let server = Arc::new(Server {
        models,
        access,
        bodies: Bodies::new(options.max_bytes),
        limits: Limits { max_images: options.max_images, timeout: options.timeout },
        metrics,
        projects: Default::default(),
        images_of_tasks: Sources::new(options.images.as_deref(), &options.fetch_from, options.max_bytes)?,
        corrections: options.corrections.as_deref().map(Corrections::open).transpose()?,
        cores: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, NonZeroUsize::get))),
        ends: false.into(),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("serve")
        .build()
        .map_err(|error| Error::io("threads", error))?;
    let connections = options.connections();
    listening(&Listening { address, models: names })?;
    runtime.block_on(async {
        let listener =
            tokio::net::TcpListener::from_std(listener).map_err(|error| Error::io(&options.host, error))?;
        let router = routes::router(&server);
        connections::answer(listener, router, &server, connections, cancel).await;
        Ok::<(), Error>(())
    })?;
    // What still runs has had its time.
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(server);
    // A panic has told about itself.
    threads.into_iter().for_each(|thread| drop(thread.join()));
    Ok(())
}

impl Options {
    fn check(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::Usage(message));
        if self.runs.is_empty() {
            return refuse("give a RUN".into());
        }
        for (at, (name, _)) in self.runs.iter().enumerate() {
            if name.is_empty() || name.contains(['/', '?', '#', '%']) || name.chars().any(char::is_control) {
                return refuse(format!("{name:?} names no model: it is part of addresses; say NAME=RUN"));
            }
            if self.runs[..at].iter().any(|(before, _)| before == name) {
                return refuse(format!("two runs are called {name:?}; say NAME=RUN for one of them"));
            }
        }
        if self.max_images > self.queue {
            return refuse(format!(
                "--max-images {} is more than --queue {}: such a request would never find room",
                self.max_images, self.queue
            ));
        }
        if self.queue > Semaphore::MAX_PERMITS {
            return refuse(format!("--queue {}: more than {}", self.queue, Semaphore::MAX_PERMITS));
        }
        Ok(())
    }

    fn listen(&self) -> Result<TcpListener> {
        let there = |error| Error::Missing(format!("--host {} --port {}: {error}", self.host, self.port));
        let addresses: Vec<SocketAddr> = (&*self.host, self.port).to_socket_addrs().map_err(there)?.collect();
        if let Some(open) = addresses.iter().find(|address| !address.ip().is_loopback())
            && self.token_file.is_none()
        {
            return Err(Error::Usage(format!(
                "--host {}: others can reach {}; give them a token with --token-file FILE (make one with: openssl rand -hex 32), or stay on 127.0.0.1",
                self.host,
                open.ip()
            )));
        }
        let listener = TcpListener::bind(&*addresses).map_err(there)?;
        listener.set_nonblocking(true).map_err(there)?;
        Ok(listener)
    }

    /// On loopback without tokens, only names of loopback are answered.
    fn access(&self, address: SocketAddr) -> Result<Access> {
        let guarded = address.ip().is_loopback() && self.token_file.is_none();
        let ours = ["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned(), self.host.clone()];
        let hosts = guarded.then(|| ours.into_iter().chain(self.allowed_hosts.iter().cloned()).collect());
        Access::new(self.token_file.as_deref(), hosts)
    }

    /// The models and their threads.
    fn open_models(&self, metrics: &Arc<Metrics>) -> Result<(Vec<Arc<Model>>, Vec<model::Thread>)> {
        let batching = Batching { size: self.batch_size, wait: self.batch_wait, places: self.queue };
        let (mut models, mut threads) = (Vec::new(), Vec::new());
        for (name, run) in &self.runs {
            let (model, thread) =
                Model::open(name, run, self.which, &self.device, self.precision, batching, metrics)?;
            models.push(Arc::new(model));
            threads.push(thread);
        }
        Ok((models, threads))
    }

    /// As many connections as are wanted and the system gives files for.
    fn connections(&self) -> usize {
        match connections::raise_file_limit() {
            Some(files) => self.max_connections.min(files.saturating_sub(OTHER_FILES).max(1) as usize),
            None => self.max_connections,
        }
    }
}
