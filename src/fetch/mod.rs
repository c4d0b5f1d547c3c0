//! Files from public addresses: fetched only when asked for, resumed, checked, and there only when whole.
//!
//! [`download()`] brings one [`Remote`] file, [`import`] takes it from this machine instead, and both leave
//! nothing under its name that was not checked. [`unpack`] opens archives whose paths must stay inside.

pub mod check;
mod download;
pub(crate) mod proxy;
pub mod unpack;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sarb_labels::files::write_atomically;

use crate::{Cancel, Error, Result};
pub use check::Digest;
pub use download::download;

/// A file at a public address, and what is known of it.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Its address.
    pub url: Cow<'static, str>,
    /// Its exact size, where a source says it.
    pub bytes: Option<u64>,
    /// Its SHA-256 in hexadecimal: all 64 digits, the first ones, or none where nobody has published any.
    pub sha256: Cow<'static, str>,
}

impl Remote {
    /// A file of which size and hash are known.
    pub const fn known(url: &'static str, bytes: Option<u64>, sha256: &'static str) -> Self {
        Self { url: Cow::Borrowed(url), bytes, sha256: Cow::Borrowed(sha256) }
    }

    /// The last part of the address.
    pub fn file_name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }

    /// What is checked of its content.
    pub fn checked(&self) -> String {
        match (self.sha256.len(), self.bytes) {
            (64, _) => "SHA-256".into(),
            (0, Some(_)) => "size".into(),
            (0, None) => "nothing".into(),
            (digits, _) => format!("first {digits} digits of the SHA-256"),
        }
    }
}

/// How patient a download is.
#[derive(Debug, Clone)]
pub struct Patience {
    /// For finding the host and being let in, each.
    pub connect: Duration,
    /// For the next bytes.
    pub stall: Duration,
    /// Tries in a row that bring not one byte.
    pub tries: u32,
    /// Before a try that follows one with bytes; doubled for each fruitless one in between.
    pub pause: Duration,
    /// Redirects that are followed.
    pub redirects: u32,
}

impl Default for Patience {
    fn default() -> Self {
        let [connect, stall] = [20, 30].map(Duration::from_secs);
        Self { connect, stall, tries: 4, pause: Duration::from_secs(1), redirects: 5 }
    }
}

/// What is being done, how many bytes of it are, and how many there will be.
#[derive(Debug, Clone, Copy)]
pub struct Moved<'a> {
    /// Such as `downloading resnet101-63fe2227.pth`.
    pub what: &'a str,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all, where that is known.
    pub total: Option<u64>,
}

/// Shown the progress, and asked whether to stop.
pub struct Watch<'a> {
    /// Called after every piece.
    pub show: &'a dyn Fn(Moved<'_>),
    /// Notes for people, such as that a download is continued.
    pub note: &'a dyn Fn(&str),
    /// A wish to stop.
    pub cancel: &'a Cancel,
}

/// The folder of what was fetched: `$SARB_HOME`, or `sarb` in the system's folder for data of programs.
///
/// # Errors
/// [`Error::Missing`] where the system names none.
pub fn home() -> Result<PathBuf> {
    home_from(|name| std::env::var_os(name).map(PathBuf::from), std::env::home_dir())
}

/// XDG's base directories on Linux and other Unix systems, and what macOS and Windows have in their place.
fn home_from(variable: impl Fn(&str) -> Option<PathBuf>, home: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(own) = variable("SARB_HOME").filter(|path| !path.as_os_str().is_empty()) {
        return std::path::absolute(&own).map_err(|error| Error::io(&own, error));
    }
    let named = |name: &str| variable(name).filter(|path| path.is_absolute());
    let data = if cfg!(windows) {
        named("LOCALAPPDATA")
    } else {
        let default = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
        named("XDG_DATA_HOME").or_else(|| home.map(|home| home.join(default)))
    };
    data.map(|data| data.join("sarb"))
        .ok_or_else(|| Error::Missing("no home folder for weights and data; set SARB_HOME".into()))
}

/// Takes a file of this machine in the place of a download: copied to `target` if it is the expected one.
///
/// # Errors
/// [`Error::Data`] if size or hash differ; `target` is then as it was. [`Error::Stopped`] on request.
pub fn import(source: &Path, remote: &Remote, target: &Path, watch: &Watch<'_>) -> Result<()> {
    let failed = |error| Error::io(source, error);
    let mut input = std::fs::File::open(source).map_err(failed)?;
    let total = input.metadata().map_err(failed)?;
    if total.is_dir() {
        return Err(Error::Data(format!(
            "{}: is a folder; expected the file {}",
            source.display(),
            remote.file_name()
        )));
    }
    let what = format!("reading {}", source.display());
    let mut digest = Digest::default();
    let mut refused = None;
    let copied = write_atomically(target, |writer| {
        let result = check::copy(&mut input, writer, &mut digest, |done| {
            (watch.show)(Moved { what: &what, done, total: Some(total.len()) });
            watch.cancel.check()
        });
        let result = result.map_err(failed).and_then(|stopped| stopped);
        let result = result.and_then(|()| digest.check(remote, &source.display().to_string()));
        result.map_err(|error| {
            refused = Some(error);
            std::io::Error::other("refused")
        })
    });
    match refused {
        Some(error) => Err(error),
        None => Ok(copied?),
    }
}
