//! Archives as they should be, damaged ones, and such as mean no good.

use std::io::Write as _;

use super::*;
use crate::Cancel;

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A tar file of members as they are, also such as the crate would not write.
fn tarred(members: &[(&str, ::tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut archive = ::tar::Builder::new(Vec::new());
    for (name, kind, bytes) in members {
        let mut header = ::tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        archive.append(&header, *bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

fn zipped(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        archive.start_file(*name, ::zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Unpacks bytes into `inside` of a folder; returns the folder and what came of it.
fn unpacked(bytes: &[u8], kind: &str) -> (tempfile::TempDir, Result<usize>) {
    let folder = tempfile::tempdir().unwrap();
    let (archive, inside) = (folder.path().join("archive"), folder.path().join("inside"));
    std::fs::write(&archive, bytes).unwrap();
    std::fs::create_dir(&inside).unwrap();
    let watch = Watch { show: &|_| {}, note: &|_| {}, cancel: &Cancel::new() };
    let everything = |name: &str| Some(PathBuf::from(name));
    let result = match kind {
        "tar" => tar(&archive, &inside, &everything, &watch),
        _ => zip(&archive, &inside, &everything, &watch),
    };
    (folder, result)
}

#[test]
fn archives_are_unpacked() {
    use ::tar::EntryType::{Directory, Regular};
    let plain = tarred(&[("a/", Directory, b""), ("a/b.txt", Regular, b"hello")]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let zip = zipped(&[("a/b.txt", b"hello")]);
    for (bytes, kind) in [(plain, "tar"), (gzip.finish().unwrap(), "tar"), (zip, "zip")] {
        let (folder, result) = unpacked(&bytes, kind);
        assert_eq!(result.unwrap(), 1);
        assert_eq!(std::fs::read(folder.path().join("inside/a/b.txt")).unwrap(), b"hello");
    }
}

#[test]
fn nothing_leads_out_of_the_folder() {
    use ::tar::EntryType::{Link, Regular, Symlink};
    for name in ["../out.txt", "a/../../out.txt", "/tmp/out.txt", "..\\out.txt", "C:\\out.txt"] {
        for (bytes, kind) in
            [(tarred(&[(name, Regular, b"evil")]), "tar"), (zipped(&[(name, b"evil")]), "zip")]
        {
            let (folder, result) = unpacked(&bytes, kind);
            assert_eq!(result.unwrap_err().exit_code(), 3, "{kind} {name}");
            assert_eq!(names(folder.path()), ["archive", "inside"]);
            assert!(names(&folder.path().join("inside")).is_empty(), "{kind} {name}");
        }
    }
    for kind in [Link, Symlink] {
        let (_folder, result) = unpacked(&tarred(&[("link", kind, b"")]), "tar");
        assert!(result.unwrap_err().to_string().contains("a link"));
    }
}

#[test]
fn damaged_archives_are_errors() {
    use ::tar::EntryType::Regular;
    let tar = tarred(&[("a.txt", Regular, &[7; 5_000])]);
    let zip = zipped(&[("a.txt", &[7; 5_000])]);
    for (bytes, kind) in [(tar, "tar"), (zip, "zip")] {
        let (_folder, result) = unpacked(&bytes[..bytes.len().min(2_000) / 2], kind);
        assert_eq!(result.unwrap_err().exit_code(), 3, "{kind}");
    }
}
