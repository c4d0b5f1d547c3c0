//! Archives opened into a folder: only files and folders, and none that leads out of it.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::{Moved, Watch};
use crate::{Error, Result};

/// What an archive may hold, so that a damaged or hostile one cannot fill the disk.
const LIMIT_BYTES: u64 = 64_000_000_000;

/// Where a member goes below the folder; nothing for one that is not wanted.
pub type Place<'a> = &'a dyn Fn(&str) -> Option<PathBuf>;

/// Unpacks a tar file, compressed with gzip or not, into `folder`; returns how many files were written.
///
/// # Errors
/// [`Error::Data`] for a damaged archive, a wanted member that is no file, or one that would lie outside.
pub fn tar(archive: &Path, folder: &Path, place: Place<'_>, watch: &Watch<'_>) -> Result<usize> {
    let mut file = File::open(archive).map_err(|error| Error::io(archive, error))?;
    let mut magic = [0; 2];
    let gzipped = file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    file.rewind().map_err(|error| Error::io(archive, error))?;
    let stream: Box<dyn Read> =
        if gzipped { Box::new(MultiGzDecoder::new(io::BufReader::new(file))) } else { Box::new(file) };
    let damaged = |error: io::Error| Error::Data(format!("{}: damaged archive: {error}", archive.display()));
    let mut out = Folder::new(archive, folder, watch);
    let mut members = ::tar::Archive::new(stream);
    for member in members.entries().map_err(damaged)? {
        let mut member = member.map_err(damaged)?;
        let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
        let kind = member.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() {
            continue;
        }
        let Some(target) = out.target(&name, place)? else { continue };
        if !kind.is_file() && !kind.is_contiguous() && !kind.is_gnu_sparse() {
            return Err(Error::Data(format!(
                "{}: {name}: is a link or a device; expected files",
                archive.display()
            )));
        }
        out.write(&target, &mut member)?;
    }
    Ok(out.files)
}

/// Unpacks a zip file into `folder`, as [`tar`] does; every member's CRC-32 is checked.
///
/// # Errors
/// As [`tar`].
pub fn zip(archive: &Path, folder: &Path, place: Place<'_>, watch: &Watch<'_>) -> Result<usize> {
    let file = File::open(archive).map_err(|error| Error::io(archive, error))?;
    let damaged = |error: zip::result::ZipError| {
        Error::Data(format!("{}: damaged archive: {error}", archive.display()))
    };
    let mut members = zip::ZipArchive::new(io::BufReader::new(file)).map_err(damaged)?;
    let mut out = Folder::new(archive, folder, watch);
    for index in 0..members.len() {
        let mut member = members.by_index(index).map_err(damaged)?;
        if member.is_dir() {
            continue;
        }
        let name = member.name().map_err(damaged)?.into_owned();
        let Some(target) = out.target(&name, place)? else { continue };
        if member.is_symlink() {
            return Err(Error::Data(format!("{}: {name}: is a link; expected files", archive.display())));
        }
        out.write(&target, &mut member)?;
    }
    Ok(out.files)
}

/// The folder that is filled.
struct Folder<'a> {
    archive: &'a Path,
    folder: &'a Path,
    watch: &'a Watch<'a>,
    what: String,
    files: usize,
    bytes: u64,
}

impl<'a> Folder<'a> {
    fn new(archive: &'a Path, folder: &'a Path, watch: &'a Watch<'a>) -> Self {
        let what = format!("unpacking {}", archive.file_name().unwrap_or_default().display());
        Self { archive, folder, watch, what, files: 0, bytes: 0 }
    }

    /// Where a member goes. A name that leads out is refused even if the member is not wanted: such an archive
    /// was not made in good faith.
    fn target(&self, name: &str, place: Place<'_>) -> Result<Option<PathBuf>> {
        let inside = |path: &Path| {
            path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
                && path.components().any(|part| matches!(part, Component::Normal(_)))
        };
        // On Windows a backslash separates, too.
        let portable = name.replace('\\', "/");
        let refused =
            name.contains('\0') || portable.split('/').next().is_some_and(|first| first.contains(':'));
        let target = place(name);
        if refused || !inside(Path::new(&portable)) || target.as_deref().is_some_and(|path| !inside(path)) {
            return Err(Error::Data(format!(
                "{}: {name:?} would lie outside the folder; the archive is refused",
                self.archive.display()
            )));
        }
        Ok(target.map(|target| self.folder.join(target)))
    }

    fn write(&mut self, target: &Path, member: &mut impl Read) -> Result<()> {
        self.watch.cancel.check()?;
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(|error| Error::io(parent, error))?;
        }
        let mut file = File::create(target).map_err(|error| Error::io(target, error))?;
        let mut bounded = member.take(LIMIT_BYTES - self.bytes.min(LIMIT_BYTES));
        self.bytes += copy(&mut bounded, &mut file, self.archive, target)?;
        if self.bytes >= LIMIT_BYTES {
            return Err(Error::Data(format!("{}: more than {LIMIT_BYTES} bytes", self.archive.display())));
        }
        self.files += 1;
        (self.watch.show)(Moved { what: &self.what, done: self.bytes, total: None });
        Ok(())
    }
}

/// Copies, and tells a damaged archive from a full disk.
fn copy(input: &mut impl Read, output: &mut File, archive: &Path, target: &Path) -> Result<u64> {
    let mut piece = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let read = input.read(&mut piece);
        let count =
            read.map_err(|error| Error::Data(format!("{}: damaged archive: {error}", archive.display())))?;
        if count == 0 {
            return Ok(bytes);
        }
        io::Write::write_all(output, &piece[..count]).map_err(|error| Error::io(target, error))?;
        bytes += count as u64;
    }
}

#[cfg(test)]
mod tests;
