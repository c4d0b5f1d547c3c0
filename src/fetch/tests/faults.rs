//! What servers, networks and disks do wrong: nothing half-written is ever taken for the whole.

use super::*;

/// A whole answer that knows neither ranges nor states.
fn plain(bytes: Vec<u8>) -> server::Answer {
    Box::new(move |_, mut stream| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes));
    })
}

/// The first bytes of the content as one chunk, and the end of the transfer only if it is `whole`.
fn chunked(count: usize, whole: bool) -> server::Answer {
    Box::new(move |_, mut stream| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
        let _ = write!(stream, "{head}{count:x}\r\n").and_then(|()| stream.write_all(&content()[..count]));
        let _ = stream.write_all(if whole { b"\r\n0\r\n\r\n" } else { b"" });
    })
}

#[test]
fn a_shorter_file_than_expected_is_refused() {
    let server = Server::new(vec![serve(content()[..300_000].to_vec(), "\"a\"", usize::MAX)]);
    let folder = tempfile::tempdir().unwrap();
    let error = fetched(&server.remote(&content()), folder.path()).0.unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("300000 bytes, expected 400000"), "{error}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn without_ranges_a_cut_transfer_begins_anew() {
    let server = Server::new(vec![serve(content(), "\"a\"", 150_000), plain(content())]);
    let folder = tempfile::tempdir().unwrap();
    fetched(&server.remote(&content()), folder.path()).0.unwrap();
    assert_whole(folder.path());
    assert_eq!(server.requests()[1].from, Some(150_000), "asked for the rest, and given the whole");
}

/// VOC's host sends everybody elsewhere, also those who ask for the rest.
#[test]
fn a_redirected_transfer_is_continued() {
    let away = || redirects("/elsewhere");
    let file = |at_most| serve(content(), "\"a\"", at_most);
    let server = Server::new(vec![away(), file(150_000), away(), file(usize::MAX)]);
    let folder = tempfile::tempdir().unwrap();
    fetched(&server.remote(&content()), folder.path()).0.unwrap();
    assert_whole(folder.path());
    let last = &server.requests()[3];
    assert_eq!(
        (&*last.path, last.from, last.if_range.as_deref()),
        ("/elsewhere", Some(150_000), Some("\"a\""))
    );
}

/// Where neither the table nor the server says a length, only the end of the chunks tells the whole from a part.
#[test]
fn chunks_without_their_end_are_not_whole() {
    let unknown = |server: &Server| Remote { bytes: None, sha256: "".into(), ..server.remote(b"") };
    let server = Server::new(vec![chunked(150_000, false)]);
    let folder = tempfile::tempdir().unwrap();
    let error = fetched(&unknown(&server), folder.path()).0.unwrap_err();
    assert_eq!(error.exit_code(), 4, "{error}");
    assert!(!folder.path().join("model.pth").exists());

    let server = Server::new(vec![chunked(150_000, false), chunked(400_000, true)]);
    let folder = tempfile::tempdir().unwrap();
    fetched(&unknown(&server), folder.path()).0.unwrap();
    assert_whole(folder.path());
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    let trouble =
        || says("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\nConnection: close\r\n\r\nOops");
    let server = Server::new(vec![trouble(), serve(content(), "\"a\"", usize::MAX)]);
    let folder = tempfile::tempdir().unwrap();
    let (result, notes) = fetched(&server.remote(&content()), folder.path());
    result.unwrap();
    assert_whole(folder.path());
    assert!(notes[0].contains("500") && notes[0].contains("trying again"), "{notes:?}");

    let server = Server::new(vec![trouble()]);
    let folder = tempfile::tempdir().unwrap();
    let error = fetched(&server.remote(&content()), folder.path()).0.unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(names(folder.path()).is_empty());
}

/// As on a machine without a network; `.invalid` is no host anywhere (RFC 6761).
#[test]
fn a_host_that_is_not_found_is_said() {
    let url = "http://host.invalid/model.pth".into();
    let folder = tempfile::tempdir().unwrap();
    let error = fetched(&Remote { url, bytes: None, sha256: "".into() }, folder.path()).0.unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains("host.invalid") && error.to_string().contains("--from"), "{error}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn where_nothing_can_be_written_nothing_is_asked() {
    let server = Server::new(vec![plain(content())]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"in the way").unwrap();
    let mut places = vec![file];
    // Where not even root may write.
    #[cfg(target_os = "linux")]
    places.push("/proc/sarb".into());
    for place in places {
        let error = fetched(&server.remote(&content()), &place).0.unwrap_err();
        assert_eq!(error.exit_code(), 4, "{error}");
        assert!(error.to_string().contains(&*place.to_string_lossy()), "{error}");
    }
    assert!(server.requests().is_empty());
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn a_name_that_is_taken_costs_no_second_download() {
    let server = Server::new(vec![serve(content(), "\"a\"", usize::MAX)]);
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("model.pth/inside");
    std::fs::create_dir_all(&inside).unwrap();
    fetched(&server.remote(&content()), folder.path()).0.unwrap_err();
    assert!(inside.is_dir());
    std::fs::remove_dir_all(folder.path().join("model.pth")).unwrap();
    fetched(&server.remote(&content()), folder.path()).0.unwrap();
    assert_whole(folder.path());
    assert_eq!(server.requests().len(), 1);
}

/// A disk that lost bytes between two calls, or somebody who wrote into the part.
#[test]
fn a_part_that_changed_is_found_out() {
    for at in [0, 149_999] {
        let server = Server::new(vec![serve(content(), "\"a\"", 150_000)]);
        let folder = tempfile::tempdir().unwrap();
        let cancel = Cancel::new();
        let watch = Watch { show: &|_| cancel.cancel(), note: &|_| {}, cancel: &cancel };
        let (remote, target) = (server.remote(&content()), folder.path().join("model.pth"));
        download(&remote, &target, &patience(), &watch).unwrap_err();
        let part = folder.path().join("model.pth.part");
        let mut bytes = std::fs::read(&part).unwrap();
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 1;
        std::fs::write(&part, bytes).unwrap();
        let error = fetched(&remote, folder.path()).0.unwrap_err();
        assert_eq!(error.exit_code(), 3, "{error}");
        assert!(names(folder.path()).is_empty());
        fetched(&remote, folder.path()).0.unwrap();
        assert_whole(folder.path());
    }
}

#[test]
fn a_part_of_which_nobody_knows_the_file_is_not_continued() {
    for note in
        ["", "{\"url\": 1}", "{\"url\":\"http://elsewhere/model.pth\",\"state\":null,\"length\":400000}"]
    {
        let server = Server::new(vec![serve(content(), "\"a\"", usize::MAX)]);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model.pth.part"), vec![0; 400_000]).unwrap();
        std::fs::write(folder.path().join("model.pth.part.json"), note).unwrap();
        fetched(&server.remote(&content()), folder.path()).0.unwrap();
        assert_whole(folder.path());
        assert_eq!(server.requests()[0].from, None, "{note}");
    }
}
