//! Zip and gzip files, unpacked into a folder within limits; what is not unpacked says what to do instead.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::arrays::extension;
use crate::formats::report::shown;
use crate::images::has_extension;
use crate::{Error, Result};

/// Most bytes of all files that an archive may hold when unpacked.
const MOST_BYTES: u64 = 4 << 30;
/// Most files in an archive: label formats with a file for each image have about as many.
const MOST_FILES: usize = 200_000;
/// What to do with what is not unpacked here.
const FIRST: &str = "unpack it first, then give the label file or its folder";
/// Endings of images that are not read, beside those that are.
const OTHER_IMAGES: [&str; 4] = ["avif", "heic", "heif", "jxl"];

/// How a source has to be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Not at all.
    Plain,
    Zip,
    Gzip,
}

/// Tells a source by its first bytes.
///
/// # Errors
/// [`Error::Usage`] for an archive or a spreadsheet that is not read, with what to do.
pub fn kind(path: &Path) -> Result<Kind> {
    if !path.is_file() {
        return Ok(Kind::Plain);
    }
    let failed = |error| Error::io(path, error);
    let mut head = Vec::new();
    File::open(path).map_err(failed)?.take(16).read_to_end(&mut head).map_err(failed)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let is_tar = name.contains(".tar.") || [".tgz", ".tbz2", ".txz"].iter().any(|end| name.ends_with(end));
    let others: [(&str, &[u8]); 5] = [
        ("a 7z archive", b"7z\xbc\xaf\x27\x1c"),
        ("a RAR archive", b"Rar!\x1a\x07"),
        ("compressed by bzip2", b"BZh"),
        ("compressed by xz", b"\xfd7zXZ\0"),
        ("compressed by Zstandard", b"\x28\xb5\x2f\xfd"),
    ];
    let other = others.iter().find(|(_, magic)| head.starts_with(magic));
    let ending = extension(path);
    match &head[..] {
        // The container of Office files before 2007.
        [0xd0, 0xcf, 0x11, 0xe0, ..] => Err(spreadsheet(path)),
        [b'P', b'K', 3 | 5, 4 | 6, ..] if ["xlsx", "xlsm", "ods"].contains(&&*ending) => {
            Err(spreadsheet(path))
        }
        // NumPy's archives are read as they are.
        [b'P', b'K', 3 | 5, 4 | 6, ..] if ending != "npz" => Ok(Kind::Zip),
        [0x1f, 0x8b, ..] | [b'B', b'Z', b'h', ..] | [0xfd, b'7', ..] if is_tar => Err(tar(path)),
        [0x1f, 0x8b, ..] => Ok(Kind::Gzip),
        _ => match other {
            Some((what, _)) => Err(refused(path, &format!("{what}; {FIRST}"))),
            None => Ok(Kind::Plain),
        },
    }
}

fn refused(path: &Path, what: &str) -> Error {
    Error::Usage(format!("{}: {what}", path.display()))
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::Data(format!("{}: {what}", path.display()))
}

fn spreadsheet(path: &Path) -> Error {
    refused(path, "a spreadsheet; save the sheet as CSV (UTF-8) and give that file")
}

fn tar(path: &Path) -> Error {
    let path_shown = path.display();
    refused(
        path,
        &format!("a compressed tar archive; unpack it first: tar -xf {path_shown} -C DIR, then give DIR"),
    )
}

/// Unpacks a gzip file into a folder, under its name without `.gz`.
///
/// # Errors
/// What it holds: a tar archive, too much, or nothing that can be unpacked; a folder that cannot be written.
pub fn gunzip(path: &Path, folder: &Path) -> Result<PathBuf> {
    let stem = match extension(path).as_str() {
        "gz" => path.file_stem(),
        _ => path.file_name(),
    };
    let target = folder.join(stem.unwrap_or("labels".as_ref()));
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let mut content = MultiGzDecoder::new(BufReader::new(file));
    let mut head = Vec::new();
    let broken =
        |error: io::Error| damaged(path, &format!("no gzip file that can be read: {error}; is it whole?"));
    content.by_ref().take(512).read_to_end(&mut head).map_err(broken)?;
    if head.get(257..262) == Some(b"ustar") {
        return Err(tar(path));
    }
    let mut left = MOST_BYTES;
    save(path, head.chain(content), &target, &mut left, broken)?;
    Ok(target)
}

/// Unpacks the files of a zip file into a folder; gives their paths below it.
///
/// # Errors
/// What it holds: images, a spreadsheet, a path that leaves the folder, a link, too much, or nothing that can be
/// unpacked; a folder that cannot be written.
pub fn unzip(path: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    unzip_within(path, folder, MOST_FILES, MOST_BYTES)
}

/// The same with other limits to the files and to all bytes.
pub(super) fn unzip_within(path: &Path, folder: &Path, most: usize, mut left: u64) -> Result<Vec<PathBuf>> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let broken = |error: ZipError| damaged(path, &said(&error));
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    if archive.len() > most {
        let count = archive.len();
        return Err(damaged(path, &format!("holds {count} files; at most {most} are unpacked")));
    }
    if archive.has_duplicate_names() {
        return Err(damaged(path, "holds two files of one name; unpack it yourself and give the right one"));
    }
    let names: Vec<String> = archive
        .file_names()
        .map(|name| name.map(|name| name.replace('\\', "/")).map_err(broken))
        .collect::<Result<_>>()?;
    check_names(path, &names)?;
    let mut files = Vec::new();
    for (index, name) in names.iter().enumerate().filter(|(_, name)| !is_noise(name)) {
        let below = below(name).ok_or_else(|| leaves(path, name))?;
        let member = archive.by_index(index).map_err(broken)?;
        if member.is_symlink() {
            return Err(damaged(path, &format!("{} is a link, which is not unpacked", shown(name))));
        }
        let target = folder.join(&below);
        let parent = target.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|error| unwritten(path, parent, error))?;
        let broken = |error: io::Error| {
            let advice = match error.kind() {
                // Another compression than that of nearly all zip files, such as Deflate64.
                io::ErrorKind::Unsupported => FIRST,
                _ => "is the file whole?",
            };
            damaged(path, &format!("{}: {error}; {advice}", shown(name)))
        };
        save(path, member, &target, &mut left, broken)?;
        files.push(below);
    }
    if files.is_empty() {
        return Err(damaged(path, "an archive without files"));
    }
    Ok(files)
}

/// Refuses archives that are something else, before anything is unpacked.
fn check_names(path: &Path, names: &[String]) -> Result<()> {
    let is_image =
        |name: &&String| has_extension(name) || OTHER_IMAGES.contains(&&*extension(Path::new(name.as_str())));
    if names.iter().any(|name| name == "[Content_Types].xml") {
        return Err(spreadsheet(path));
    }
    if let Some(outside) = names.iter().find(|name| !is_noise(name) && below(name).is_none()) {
        return Err(leaves(path, outside));
    }
    match names.iter().filter(|name| !is_noise(name)).find(is_image) {
        Some(image) => {
            let first = shown(image);
            let what =
                format!("holds images, such as {first}, which are not read from a zip file; unpack it first");
            Err(refused(path, &format!("{what}: unzip {} -d DIR, then give DIR", path.display())))
        }
        None => Ok(()),
    }
}

/// Folders, and what systems put beside the files.
fn is_noise(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or_default();
    last.is_empty() || name.starts_with("__MACOSX/") || last.starts_with('.') || last == "Thumbs.db"
}

/// The path of a file below the folder into which it is unpacked; nothing if it leads elsewhere.
fn below(name: &str) -> Option<PathBuf> {
    let drive = name.as_bytes().get(1) == Some(&b':');
    let inside =
        Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    (inside && !drive && !name.contains('\0')).then(|| crate::files::tidy(Path::new(name)))
}

fn leaves(path: &Path, name: &str) -> Error {
    damaged(path, &format!("{} leads out of the folder of the archive, which is not unpacked", shown(name)))
}

/// What is wrong with an archive.
fn said(error: &ZipError) -> String {
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => {
            format!("protected by a password; {FIRST}")
        }
        _ => format!("no zip file that can be read: {error}; is it whole?"),
    }
}

/// Saves what a member of an archive holds as a new file, unless that is more than what is left of the limit.
fn save(
    archive: &Path,
    mut content: impl Read,
    target: &Path,
    left: &mut u64,
    broken: impl Fn(io::Error) -> Error,
) -> Result<()> {
    let failed = |error| unwritten(archive, target, error);
    let mut file = File::create_new(target).map_err(failed)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = content.read(&mut buffer).map_err(&broken)?;
        if read == 0 {
            return Ok(());
        }
        *left = left.checked_sub(read as u64).ok_or_else(|| {
            let most = MOST_BYTES >> 30;
            damaged(
                archive,
                &format!("more than {most} GB when unpacked; unpack it yourself if that is meant"),
            )
        })?;
        file.write_all(&buffer[..read]).map_err(failed)?;
    }
}

/// Why a member of an archive cannot be written.
fn unwritten(archive: &Path, target: &Path, error: io::Error) -> Error {
    use io::ErrorKind::{AlreadyExists, InvalidFilename, IsADirectory, NotADirectory};
    let name = shown(&target.file_name().unwrap_or_default().to_string_lossy());
    match error.kind() {
        AlreadyExists | IsADirectory | NotADirectory => {
            damaged(archive, &format!("holds two files called {name}"))
        }
        InvalidFilename => damaged(archive, &format!("{name} is too long a name for a file")),
        _ => Error::io(target, error),
    }
}
