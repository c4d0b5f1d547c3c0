//! `sarb serve`: runs answer over HTTP.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use sarb::serve::{Listening, Options, serve};
use sarb::{Cancel, Error, PrecisionChoice, Result, Which};

use super::console::{print, say};

/// Arguments of `sarb serve`.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Folders of runs, each asked by the name of its folder, or by NAME with NAME=RUN
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<String>,
    /// Name or address to listen on; beyond loopback only with --token-file
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// Port to listen on; 0 takes a free one, which is printed
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Tokens, one a line, one of which requests have to bring: Authorization: Bearer TOKEN
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Another name under which a server on loopback may be asked, such as that of a proxy before it. May be repeated
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,
    /// Folder with the images of Label Studio's tasks: its document root, or a copy of its uploads
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Host that images of Label Studio's tasks may be fetched from, such as studio.example:8080. May be repeated
    #[arg(long, value_name = "HOST")]
    pub allow_fetch: Vec<String>,
    /// Keep the labels that people set on the page in this file, a table image,category,label
    #[arg(long, value_name = "FILE")]
    pub corrections: Option<PathBuf>,
    /// Most images that go through a network together
    #[arg(long, value_name = "N", default_value = "8")]
    pub batch_size: NonZeroUsize,
    /// How long the first image of a batch waits for more, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(..=10_000))]
    pub batch_wait: u64,
    /// Most images of a run in the server at once, waiting or in work; more are answered 503
    #[arg(long, value_name = "N", default_value = "64")]
    pub queue: NonZeroUsize,
    /// Largest request, such as 32MB
    #[arg(long, value_name = "SIZE", default_value = "32MB", value_parser = super::parse_size)]
    pub max_bytes: u64,
    /// Most images of a request
    #[arg(long, value_name = "N", default_value = "32")]
    pub max_images: NonZeroUsize,
    /// How long a request may take, in seconds
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// Most connections at once
    #[arg(long, value_name = "N", default_value = "4096")]
    pub max_connections: NonZeroUsize,
    /// Which checkpoint of the runs
    #[arg(long, value_enum, default_value = "best")]
    pub checkpoint: Which,
    /// cpu, vulkan, cuda or metal; cuda:1 or vulkan:1 is the second GPU
    #[arg(long, value_name = "D", default_value = "cpu")]
    pub device: String,
    /// In which numbers frozen layers are multiplied: f32, bf16, or auto: the faster one here; by default as in training
    #[arg(long, value_name = "P", value_enum)]
    pub precision: Option<PrecisionChoice>,
    /// Print where the server listens as JSON
    #[arg(long)]
    pub json: bool,
}

impl Serve {
    /// Serves until it is asked to stop; what has begun by then is answered.
    pub fn run(&self, cancel: &Cancel) -> Result<()> {
        serve(&self.options()?, |listening| self.tell(listening), cancel)
    }

    fn options(&self) -> Result<Options> {
        Ok(Options {
            runs: self.runs.iter().map(|run| named(run)).collect::<Result<_>>()?,
            which: self.checkpoint,
            device: sarb::device::open(&self.device)?,
            precision: self.precision,
            host: self.host.clone(),
            port: self.port,
            token_file: self.token_file.clone(),
            allowed_hosts: self.allow_host.clone(),
            images: self.images.clone(),
            fetch_from: self.allow_fetch.clone(),
            corrections: self.corrections.clone(),
            batch_size: self.batch_size.get(),
            batch_wait: Duration::from_millis(self.batch_wait),
            queue: self.queue.get(),
            max_bytes: usize::try_from(self.max_bytes).unwrap_or(usize::MAX),
            max_images: self.max_images.get(),
            timeout: Duration::from_secs(self.timeout),
            max_connections: self.max_connections.get(),
        })
    }

    /// The first line on stdout: whoever started the program can read the port there.
    fn tell(&self, listening: &Listening) -> Result<()> {
        let url = format!("http://{}", listening.address);
        if self.json {
            let port = listening.address.port();
            print(&serde_json::json!({ "url": url, "port": port, "models": listening.models }).to_string())
        } else {
            print(&url)?;
            say(&format!("serving {}; Ctrl-C ends it", listening.models.join(", ")));
            Ok(())
        }
    }
}

/// `NAME=RUN`, or the folder of a run, whose name it gets.
fn named(run: &str) -> Result<(String, PathBuf)> {
    // A folder may have a = in its name.
    if let Some((name, dir)) = run.split_once('=').filter(|_| !Path::new(run).exists()) {
        return Ok((name.to_owned(), dir.into()));
    }
    let path = Path::new(run);
    // `.` and the like have no name of their own.
    let whole = path.canonicalize().map_err(|error| Error::io(path, error))?;
    let name = whole.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let name = name.ok_or_else(|| Error::Usage(format!("{run}: has no name; say NAME={run}")))?;
    Ok((name, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_called_after_their_folder_or_as_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
            dir.path().join(name).display().to_string()
        };
        let run = folder("sarb-1");
        assert_eq!(named(&run).unwrap(), ("sarb-1".to_owned(), run.clone().into()));
        assert_eq!(named(&format!("{run}/.")).unwrap().0, "sarb-1");
        assert_eq!(named(&format!("best={run}")).unwrap(), ("best".to_owned(), run.into()));
        assert_eq!(named(&folder("a=b")).unwrap().0, "a=b");
        assert_eq!(named("nowhere").unwrap_err().exit_code(), 4);
    }
}
