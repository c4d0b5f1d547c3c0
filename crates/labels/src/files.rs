//! Atomic writes of files and folders, and paths that stay valid from another folder.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

use crate::temporary::create_in;
use crate::{Error, Result};

/// A file that is written piece by piece: `path` holds the old content until [`commit`](Self::commit), and then the
/// whole new one. Until then it is a temporary file in the same folder, which goes when this is dropped. A link stays
/// one; a pipe or a device, which cannot be replaced, is written to at once.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    temporary: Option<Temporary>,
    writer: BufWriter<File>,
}

impl AtomicFile {
    /// Begins a file.
    ///
    /// # Errors
    /// If the folder is not there or cannot be written to.
    pub fn create(path: &Path) -> Result<Self> {
        if path.file_name().is_none() {
            return Err(Error::Usage(format!("{}: expected a file name", path.display())));
        }
        let path = if path.is_symlink() { linked(path) } else { path.to_path_buf() };
        let (temporary, file) = match path.metadata() {
            Ok(there) if there.is_dir() => {
                return Err(Error::Usage(format!("{}: a folder; expected a file name", path.display())));
            }
            Ok(there) if !there.is_file() => {
                let file = File::options().write(true).open(&path);
                (None, file.map_err(|source| Error::io(&path, source))?)
            }
            _ => {
                let (temporary, file) = Temporary::create(folder_of(&path))?;
                (Some(temporary), file)
            }
        };
        Ok(Self { path, temporary, writer: BufWriter::with_capacity(1 << 18, file) })
    }

    /// Puts the file where it belongs.
    ///
    /// # Errors
    /// If what is left cannot be written; the error names the path.
    pub fn commit(self) -> Result<()> {
        let Self { path, temporary, mut writer } = self;
        let failed = |source| Error::io(&path, source);
        writer.flush().map_err(failed)?;
        let Some(temporary) = temporary else { return Ok(()) };
        writer.get_ref().sync_all().map_err(failed)?;
        // Closed before it is renamed, as Windows asks for.
        drop(writer);
        std::fs::rename(&temporary.path, &path).map_err(failed)?;
        sync_folder(folder_of(&path)).map_err(failed)
    }
}

/// Where a link leads, also if nothing is there.
fn linked(link: &Path) -> PathBuf {
    let target = || Some(folder_of(link).join(std::fs::read_link(link).ok()?));
    link.canonicalize().ok().or_else(target).unwrap_or_else(|| link.to_path_buf())
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.writer.seek(to)
    }
}

/// Writes a file so that `path` always holds the old content or the whole new one: `write` fills an [`AtomicFile`].
///
/// After a failure (a full disk, an error from `write`, a panic in it) the temporary file is gone and
/// `path` is as it was; the error names `path`.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    write(&mut file.writer).map_err(|source| Error::io(path, source))?;
    file.commit()
}

/// The folder that holds `path`: `.` for a bare file name.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A file that is removed when dropped, unless it was renamed before.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn create(folder: &Path) -> Result<(Self, File)> {
        create_in(folder, |path| {
            let file = File::options().write(true).create_new(true).open(&path)?;
            Ok((Self { path }, file))
        })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After the rename there is nothing to remove, and a failure to clean up must not hide the cause.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A folder that takes its place when everything is in it, and is removed when dropped before. It lies beside its
/// place, so that what is relative to the one is relative to the other.
#[derive(Debug)]
pub struct Draft {
    folder: PathBuf,
    place: PathBuf,
}

impl Draft {
    /// Begins the folder `place`, which may be there if it is empty; its parents are made.
    ///
    /// # Errors
    /// If they cannot be written to.
    pub fn of(place: &Path) -> Result<Self> {
        let parent = folder_of(place);
        std::fs::create_dir_all(parent).map_err(|error| Error::io(parent, error))?;
        create_in(parent, |folder| {
            std::fs::create_dir(&folder)?;
            Ok(Self { folder, place: place.into() })
        })
    }

    /// Where to write meanwhile.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts the folder in its place.
    ///
    /// # Errors
    /// If something is there by now.
    pub fn publish(self) -> Result<()> {
        // An empty folder that is there already is replaced; Windows wants it gone.
        let _ = std::fs::remove_dir(&self.place);
        std::fs::rename(&self.folder, &self.place).map_err(|error| Error::io(&self.place, error))?;
        sync_folder(folder_of(&self.place)).map_err(|error| Error::io(&self.place, error))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // As that of a file.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Makes a rename in `folder` survive a power cut, where the file system can.
#[cfg(unix)]
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some network file systems cannot sync a folder; the file itself is synced.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        // A folder that one may write to but not list.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

#[cfg(not(unix))]
pub fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// `path` without its `.` components, so that `./a/./b` and `a/b` are equal.
pub fn tidy(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomically(&path, |writer| writer.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |writer| {
            writer.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert!(
            matches!(&error, Err(Error::Io { path: at, source })
                if *at == path && source.kind() == io::ErrorKind::StorageFull),
            "{error:?}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn a_file_may_be_written_in_pieces_and_in_places() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"0123456789").unwrap();
        file.flush().unwrap();
        let unfinished = folder.path().join(&names(folder.path())[0]);
        assert_eq!(std::fs::read(&unfinished).unwrap(), b"0123456789");
        assert_eq!(file.seek(SeekFrom::Start(4)).unwrap(), 4);
        file.write_all(b"ab").unwrap();
        assert_eq!(file.seek(SeekFrom::Current(1)).unwrap(), 7);
        file.write_all(b"c").unwrap();
        assert!(!path.exists());
        file.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"0123ab6c89");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        // /dev/full answers every write with ENOSPC, as a full disk does.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.csv");
        let error = write_atomically(&path, |_| {
            let mut full = BufWriter::new(File::options().write(true).open("/dev/full")?);
            full.write_all(b"image,cat\n")?;
            full.flush()
        })
        .unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Missing);
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
        assert!(names(folder.path()).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_links_and_pipes_and_devices_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::os::unix::fs::symlink("file", &link).unwrap();
        for text in ["to nothing yet", "to a file"] {
            write_atomically(&link, |writer| writer.write_all(text.as_bytes())).unwrap();
            assert!(link.is_symlink() && std::fs::read_to_string(&file).unwrap() == text);
        }
        let before = std::fs::metadata("/dev/null").unwrap();
        write_atomically(Path::new("/dev/null"), |writer| writer.write_all(b"gone")).unwrap();
        let after = std::fs::metadata("/dev/null").unwrap();
        assert!(!after.is_file() && after.file_type() == before.file_type());

        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::read_to_string(pipe).unwrap()
        });
        write_atomically(&pipe, |writer| writer.write_all(b"through")).unwrap();
        assert_eq!(reader.join().unwrap(), "through");
        assert!(write_atomically(folder.path(), |_| Ok(())).unwrap_err().to_string().contains("a folder"));
        assert_eq!(names(folder.path()).len(), 3);
    }

    #[test]
    fn a_panic_while_writing_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let writing = std::panic::AssertUnwindSafe(|| write_atomically(&path, |_| panic!("a bug")));
        assert!(std::panic::catch_unwind(writing).is_err());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_atomically(&folder.path().join("no/a.txt"), |_| Ok(())).unwrap_err().to_string();
        assert!(error.ends_with("no: no such file or folder"), "{error}");
    }

    #[test]
    fn a_draft_takes_its_place_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("made/out");
        let draft = Draft::of(&place).unwrap();
        std::fs::write(draft.folder().join("a.csv"), "a").unwrap();
        drop(draft);
        assert!(dir.path().join("made").read_dir().unwrap().next().is_none());

        std::fs::create_dir(&place).unwrap();
        let draft = Draft::of(&place).unwrap();
        std::fs::write(draft.folder().join("a.csv"), "a").unwrap();
        assert!(!place.join("a.csv").exists());
        draft.publish().unwrap();
        assert_eq!(std::fs::read(place.join("a.csv")).unwrap(), b"a");

        // Somebody has put something there meanwhile.
        let draft = Draft::of(&place).unwrap();
        assert!(draft.publish().is_err());
        assert_eq!(std::fs::read(place.join("a.csv")).unwrap(), b"a");
        assert_eq!(dir.path().join("made").read_dir().unwrap().count(), 1);
    }
}
