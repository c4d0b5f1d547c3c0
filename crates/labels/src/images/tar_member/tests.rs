use std::sync::Barrier;
use std::time::Duration;

use super::*;
use crate::images::read_file;

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

/// A folder with this as `0.tar`.
fn folder_with(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("0.tar");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn message(path: &Path) -> String {
    read_file(path).unwrap_err().to_string()
}

#[test]
fn members_are_read_by_path_whatever_the_form_of_their_names() {
    let long = format!("{}/é.jpg", "d".repeat(200));
    let (_folder, path) = folder_with(&tar(&[("./a/1.jpg", b"one"), (&long, b"two"), ("3.jpg", b"")]));
    let read = |member: &str| read_file(&path.join(member)).unwrap();
    assert_eq!(
        (read("a/1.jpg"), read("a/./1.jpg"), read("a//1.jpg")),
        (b"one".into(), b"one".into(), b"one".into())
    );
    assert_eq!((read(&long), read("3.jpg")), (b"two".into(), b"".into()));
}

#[test]
fn a_path_leads_into_the_nearest_file_above_it() {
    let (folder, path) = folder_with(b"");
    let deep = path.join("a/b/c.jpg");
    assert_eq!(split(&deep), Some((path.as_path(), Path::new("a/b/c.jpg"))));
    assert_eq!(split(&path), None);
    assert_eq!(split(&folder.path().join("no/a.jpg")), None);
    assert_eq!(split(Path::new("no.jpg")), None);
    assert_eq!(split(Path::new("")), None);
}

#[test]
fn a_member_that_is_not_there_is_missing_and_a_name_that_leads_out_is_refused() {
    let (folder, path) = folder_with(&tar(&[("a/1.jpg", b"one")]));
    std::fs::write(folder.path().join("secret.jpg"), "secret").unwrap();
    for member in ["2.jpg", "1.jpg", "a", "a/1.jpg/2.jpg"] {
        let error = read_file(&path.join(member)).unwrap_err();
        let expected = format!("{}: the tar file has no such member", path.join(member).display());
        assert!(matches!(&error, Error::Missing(text) if *text == expected), "{error}");
    }
    let found = message(&path.join("a/../../secret.jpg"));
    assert!(found.ends_with("secret.jpg: a path with \"..\"; expected a path below the tar file"), "{found}");
    #[cfg(unix)]
    {
        let name = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff.jpg");
        let name: &std::ffi::OsStr = name;
        assert!(message(&path.join(name)).ends_with("the name is not UTF-8 text"));
    }
}

#[test]
fn what_is_no_whole_tar_file_is_said_to_be_none() {
    let whole = tar(&[("a.jpg", &[7; 3000]), ("b.jpg", &[7; 3000])]);
    for (bytes, what) in [
        (&whole[..2000], "unexpected end of file"),
        (&whole[..6000], "unexpected end of file"),
        (&[7; 2000], ""),
        (&[&[0x1f, 0x8b][..], &[7; 2000]].concat(), "it is compressed: unpack it with gunzip first"),
    ] {
        let (_folder, path) = folder_with(bytes);
        let error = read_file(&path.join("a.jpg")).unwrap_err();
        assert!(matches!(error, Error::Data(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("{}: not read as a tar file: ", path.display())), "{text}");
        assert!(text.ends_with(what), "{text}");
        // The second time it is known.
        assert_eq!(message(&path.join("b.jpg")), text);
    }
    let (_folder, path) = folder_with(b"");
    assert!(message(&path.join("a.jpg")).ends_with("no such member"));
}

#[test]
fn a_member_of_very_many_bytes_is_refused_before_it_is_read() {
    let most = (512 << 20) + 1_u64;
    let mut header = tar::Header::new_gnu();
    header.set_path("a.jpg").unwrap();
    header.set_size(most);
    header.set_cksum();
    let (_folder, path) = folder_with(header.as_bytes());
    // A hole: it takes no room on the disk.
    File::options().write(true).open(&path).unwrap().set_len(512 + most + 2048).unwrap();
    let text = message(&path.join("a.jpg"));
    assert!(text.contains("0.tar/a.jpg: the file has 536 MB; expected"), "{text}");
}

#[test]
fn a_tar_file_that_was_replaced_or_written_anew_gives_the_new_bytes() {
    let (folder, path) = folder_with(&tar(&[("a.jpg", b"old"), ("b.jpg", b"other")]));
    let image = path.join("a.jpg");
    assert_eq!(read_file(&image).unwrap(), b"old");
    // As long as before and as old, but another file.
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    let other = folder.path().join("other.tar");
    std::fs::write(&other, tar(&[("b.jpg", b"other"), ("a.jpg", b"new")])).unwrap();
    File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
    #[cfg(unix)]
    {
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(read_file(&image).unwrap(), b"new");
    }
    // In place, later.
    std::fs::write(&path, tar(&[("b.jpg", b"others"), ("a.jpg", b"newer")])).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(time + Duration::from_secs(1)).unwrap();
    assert_eq!(read_file(&image).unwrap(), b"newer");
    std::fs::write(&path, "no tar").unwrap();
    assert!(message(&image).contains("not read as a tar file"));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(read_file(&image), Err(Error::Missing(_))));
}

#[test]
fn writing_into_a_tar_file_while_it_is_read_is_noticed() {
    let (_folder, path) = folder_with(&tar(&[("a.jpg", b"old")]));
    let image = path.join("a.jpg");
    let (mut opened, place) = find(&image, split(&image).unwrap()).unwrap();
    assert_eq!(opened.read(place).unwrap(), b"old");
    std::fs::write(&path, tar(&[("a.jpg", b"newer"), ("b.jpg", &[1; 9000])])).unwrap();
    let error = opened.read(place).unwrap_err().to_string();
    assert!(error.ends_with("0.tar: changed while it was read"), "{error}");
}

#[test]
fn threads_that_want_one_tar_file_share_one_reading_of_its_headers() {
    const THREADS: usize = 8;
    let names: Vec<String> = (0..500).map(|number| format!("{number}.jpg")).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
    let (_folder, path) = folder_with(&tar(&members));
    let barrier = Barrier::new(THREADS);
    let work = |thread: usize| {
        barrier.wait();
        let index = TarFile::open(&path).unwrap().index;
        for name in names.iter().skip(thread).step_by(THREADS) {
            assert_eq!(read_file(&path.join(name)).unwrap(), name.as_bytes());
        }
        index
    };
    let indices: Vec<Arc<TarIndex>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(indices.iter().all(|index| Arc::ptr_eq(index, &indices[0])));
}

#[test]
fn all_members_of_a_tar_file_are_listed_as_they_lie_in_it() {
    let (_folder, path) = folder_with(&tar(&[("b.jpg", b"b"), ("a/c.json", b"{}")]));
    assert_eq!(members(&path).unwrap(), ["b.jpg", "a/c.json"].map(|name| path.join(name)));
    assert!(members(Path::new("/nowhere/a.tar")).is_err());
}
