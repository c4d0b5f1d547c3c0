//! Downloads from a server on loopback that does what servers and networks do.

mod faults;
mod server;

use std::cell::RefCell;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use super::*;
use server::{Request, Server, redirects, says, serve};

/// What is served: large enough for several pieces.
fn content() -> Vec<u8> {
    (0..400_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn sha256(bytes: &[u8]) -> String {
    let mut digest = Digest::default();
    digest.update(bytes);
    digest.hex()
}

/// Impatient, so that tests are quick.
fn patience() -> Patience {
    let [connect, stall, pause] = [2_000, 300, 1].map(Duration::from_millis);
    Patience { connect, stall, tries: 2, pause, redirects: 3 }
}

/// Downloads into a folder; returns what came of it and the notes.
fn fetched(remote: &Remote, folder: &Path) -> (Result<()>, Vec<String>) {
    let notes = RefCell::new(Vec::new());
    let note = |note: &str| notes.borrow_mut().push(note.to_owned());
    let cancel = Cancel::new();
    let watch = Watch { show: &|_| {}, note: &note, cancel: &cancel };
    let result = download(remote, &folder.join("model.pth"), &patience(), &watch);
    (result, notes.take())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The whole file is there and nothing else.
fn assert_whole(folder: &Path) {
    assert_eq!(names(folder), ["model.pth"]);
    assert!(std::fs::read(folder.join("model.pth")).unwrap() == content());
}

#[test]
fn a_whole_answer_becomes_a_file() {
    let server = Server::new(vec![serve(content(), "\"a\"", usize::MAX)]);
    let folder = tempfile::tempdir().unwrap();
    fetched(&server.remote(&content()), folder.path()).0.unwrap();
    assert_whole(folder.path());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_cut_transfer_continues_where_it_ended() {
    let server = Server::new(vec![serve(content(), "\"a\"", 150_000)]);
    let folder = tempfile::tempdir().unwrap();
    fetched(&server.remote(&content()), folder.path()).0.unwrap();
    assert_whole(folder.path());
    let from: Vec<_> = server.requests().iter().map(|request| request.from).collect();
    assert_eq!(from, [None, Some(150_000), Some(300_000)]);
    assert_eq!(server.requests()[1].if_range.as_deref(), Some("\"a\""));
}

#[test]
fn what_arrived_is_kept_for_the_next_call() {
    let gone = says("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let server = Server::new(vec![serve(content(), "\"a\"", 150_000), gone]);
    let folder = tempfile::tempdir().unwrap();
    let error = fetched(&server.remote(&content()), folder.path()).0.unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(
        error.to_string().contains("503") && error.to_string().contains("150000 bytes are kept"),
        "{error}"
    );
    assert_eq!(names(folder.path()), ["model.pth.part", "model.pth.part.json"]);

    // Another server, as after a restart: the address in the note must be the same for a continuation.
    let again = Server::new(vec![serve(content(), "\"a\"", usize::MAX)]);
    let note = folder.path().join("model.pth.part.json");
    let text = std::fs::read_to_string(&note).unwrap().replace(&server.address, &again.address);
    std::fs::write(&note, text).unwrap();
    fetched(&again.remote(&content()), folder.path()).0.unwrap();
    assert_whole(folder.path());
    assert_eq!(again.requests()[0].from, Some(150_000));
}

#[test]
fn a_file_that_changed_in_between_is_fetched_anew() {
    let old: Vec<u8> = content().iter().map(|byte| byte ^ 1).collect();
    let server = Server::new(vec![serve(old, "\"old\"", 150_000), serve(content(), "\"new\"", usize::MAX)]);
    let folder = tempfile::tempdir().unwrap();
    fetched(&server.remote(&content()), folder.path()).0.unwrap();
    assert_whole(folder.path());
    assert_eq!(server.requests()[1].if_range.as_deref(), Some("\"old\""));
}

#[test]
fn a_range_of_another_length_is_not_appended() {
    // A server that does not heed If-Range and has another file by now.
    let longer = Box::new(|request: &Request, mut stream: TcpStream| {
        let start = request.from.unwrap();
        let _ = write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-999999/1000000\r\nContent-Length: 5\r\n\
             Connection: close\r\n\r\nwrong"
        );
    });
    let server =
        Server::new(vec![serve(content(), "\"a\"", 150_000), longer, serve(content(), "\"b\"", usize::MAX)]);
    let folder = tempfile::tempdir().unwrap();
    let (result, notes) = fetched(&server.remote(&content()), folder.path());
    result.unwrap();
    assert_whole(folder.path());
    assert!(notes.iter().any(|note| note.contains("another file")), "{notes:?}");
    assert_eq!(server.requests()[2].from, None);
}

#[test]
fn a_server_without_ranges_that_always_cuts_is_given_up() {
    let rude = Box::new(|_: &Request, mut stream: TcpStream| {
        let _ =
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\nConnection: close\r\n\r\nshort");
    });
    let server = Server::new(vec![rude]);
    let folder = tempfile::tempdir().unwrap();
    let error = fetched(&server.remote(&content()), folder.path()).0.unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert_eq!(server.requests().len(), 3, "one try that brought bytes, two that brought no more");
}

#[test]
fn wrong_content_is_deleted_and_named() {
    let lie: Vec<u8> = content().iter().map(|byte| byte ^ 1).collect();
    let server = Server::new(vec![serve(lie.clone(), "\"a\"", usize::MAX)]);
    let folder = tempfile::tempdir().unwrap();
    let remote = server.remote(&content());
    let error = fetched(&remote, folder.path()).0.unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(
        error.to_string().contains(&sha256(&lie)) && error.to_string().contains(&*remote.sha256),
        "{error}"
    );
    assert!(names(folder.path()).is_empty());

    // The first digits alone are checked where only they are known.
    let eight = Remote { sha256: remote.sha256[..8].to_owned().into(), ..remote.clone() };
    assert!(fetched(&eight, folder.path()).0.unwrap_err().to_string().contains("begins with"));
    let right = Remote { sha256: sha256(&lie)[..8].to_owned().into(), ..remote };
    fetched(&right, folder.path()).0.unwrap();
    assert_eq!(std::fs::read(folder.path().join("model.pth")).unwrap(), lie);
}

#[test]
fn more_bytes_than_the_file_has_are_not_stored() {
    let mut long = content();
    long.extend([0; 1_000_000]);
    let server = Server::new(vec![serve(long, "\"a\"", usize::MAX)]);
    let folder = tempfile::tempdir().unwrap();
    let error = fetched(&server.remote(&content()), folder.path()).0.unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_redirect_is_followed_and_a_circle_is_not() {
    let server = Server::new(vec![redirects("/elsewhere"), serve(content(), "\"a\"", usize::MAX)]);
    let folder = tempfile::tempdir().unwrap();
    fetched(&server.remote(&content()), folder.path()).0.unwrap();
    assert_whole(folder.path());
    assert_eq!(server.requests()[1].path, "/elsewhere");

    let circle = Server::new(vec![redirects("/model.pth")]);
    let other = tempfile::tempdir().unwrap();
    let error = fetched(&circle.remote(&content()), other.path()).0.unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains("redirected too often"), "{error}");
    assert_eq!(circle.requests().len(), 4, "the first request and three redirects");
}

#[test]
fn a_server_that_stalls_is_left() {
    let stalls = Box::new(|_: &Request, mut stream: TcpStream| {
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n")
            .and_then(|()| stream.flush());
        // Held open from another thread, so that the next connection is answered.
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(5));
            drop(stream);
        });
    });
    let server = Server::new(vec![stalls, serve(content(), "\"a\"", usize::MAX)]);
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    fetched(&server.remote(&content()), folder.path()).0.unwrap();
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_whole(folder.path());
}

#[test]
fn a_missing_file_is_said_at_once() {
    let server =
        Server::new(vec![says("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")]);
    let folder = tempfile::tempdir().unwrap();
    let error = fetched(&server.remote(&content()), folder.path()).0.unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains("404"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn where_nobody_answers_nothing_is_left() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/model.pth").into();
    let folder = tempfile::tempdir().unwrap();
    let error = fetched(&Remote { url, bytes: None, sha256: "".into() }, folder.path()).0.unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains("--from"), "{error}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn two_processes_do_not_fetch_one_file() {
    let server = Server::new(vec![serve(content(), "\"a\"", usize::MAX)]);
    let folder = tempfile::tempdir().unwrap();
    let part = std::fs::File::create(folder.path().join("model.pth.part")).unwrap();
    part.lock().unwrap();
    let error = fetched(&server.remote(&content()), folder.path()).0.unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    assert!(server.requests().is_empty());
}

#[test]
fn a_wish_to_stop_keeps_what_arrived() {
    let server = Server::new(vec![serve(content(), "\"a\"", usize::MAX)]);
    let folder = tempfile::tempdir().unwrap();
    let cancel = Cancel::new();
    let watch = Watch { show: &|_| cancel.cancel(), note: &|_| {}, cancel: &cancel };
    let target = folder.path().join("model.pth");
    let error = download(&server.remote(&content()), &target, &patience(), &watch).unwrap_err();
    assert_eq!(error.exit_code(), 75);
    assert_eq!(names(folder.path()), ["model.pth.part", "model.pth.part.json"]);
    fetched(&server.remote(&content()), folder.path()).0.unwrap();
    assert_whole(folder.path());
}

#[test]
fn a_file_of_this_machine_is_checked_as_a_download_is() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("from-a-stick.pth");
    let target = folder.path().join("model.pth");
    let remote =
        Remote { url: "http://nowhere/model.pth".into(), bytes: None, sha256: sha256(&content()).into() };
    let watch = Watch { show: &|_| {}, note: &|_| {}, cancel: &Cancel::new() };
    std::fs::write(&source, b"something else").unwrap();
    let error = import(&source, &remote, &target, &watch).unwrap_err();
    assert_eq!(error.exit_code(), 3, "{error}");
    assert_eq!(names(folder.path()), ["from-a-stick.pth"]);
    std::fs::write(&source, content()).unwrap();
    import(&source, &remote, &target, &watch).unwrap();
    assert!(std::fs::read(&target).unwrap() == content());
    assert_eq!(import(Path::new("/no/such"), &remote, &target, &watch).unwrap_err().exit_code(), 4);
}

#[test]
fn the_home_is_what_the_environment_says() {
    let given = |pairs: &'static [(&'static str, &'static str)]| {
        move |name: &str| pairs.iter().find(|(it, _)| *it == name).map(|(_, value)| PathBuf::from(value))
    };
    let home = || Some(PathBuf::from("/home/me"));
    assert_eq!(home_from(given(&[("SARB_HOME", "/big/sarb")]), home()).unwrap(), Path::new("/big/sarb"));
    #[cfg(target_os = "linux")]
    {
        let xdg = given(&[("XDG_DATA_HOME", "/data"), ("SARB_HOME", "")]);
        assert_eq!(home_from(xdg, home()).unwrap(), Path::new("/data/sarb"));
        assert_eq!(
            home_from(given(&[("XDG_DATA_HOME", "relative")]), home()).unwrap(),
            Path::new("/home/me/.local/share/sarb")
        );
        assert_eq!(home_from(given(&[]), None).unwrap_err().exit_code(), 4);
    }
}
