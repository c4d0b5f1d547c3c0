//! Weights and data by name, the version, manuals and the doctor, as users see them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::support::{arg, command, data, random_trunk, sarb_ok};

/// Runs `sarb` with a home of its own, which is in the way of every real download.
fn at_home(home: &std::path::Path, args: &[&str]) -> Output {
    command(args).env("SARB_HOME", home).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_list_says_what_can_be_fetched_and_what_is_here() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("weights")).unwrap();
    let here = home.path().join("weights/resnet18.pth");
    std::fs::write(&here, b"weights").unwrap();
    let output = at_home(home.path(), &["weights", "list", "--json"]);
    let entries: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let of = |name: &str| entries.iter().find(|entry| entry["name"] == name).unwrap();
    assert_eq!(of("resnet18")["path"], arg(here));
    assert!(of("resnet101")["path"].is_null());
    assert_eq!(of("resnet101")["checked"], "SHA-256");
    assert_eq!(of("resnet152-v2")["checked"], "first 8 digits of the SHA-256");
    let table = String::from_utf8(at_home(home.path(), &["weights", "list"]).stdout).unwrap();
    assert!(
        table.lines().any(|line| line.starts_with("efficientnet-lite0") && line.contains("Apache-2.0")),
        "{table}"
    );
}

#[test]
fn weights_are_found_by_name_once_they_are_there() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("run");
    let (data, out) = (arg(data()), arg(out));
    let train = ["train", "--data", &data, "--out", &out, "--weights", "resnet18", "--method", "linear"];
    let output = at_home(home.path(), &train);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("sarb weights fetch resnet18"), "{}", stderr(&output));

    // Weights of another network under that name: they are found and refused for what they are.
    std::fs::create_dir(home.path().join("weights")).unwrap();
    let trunk = random_trunk(home.path());
    std::fs::rename(&trunk, home.path().join("weights/efficientnet-lite0.safetensors")).unwrap();
    let mut train = train.map(|word| if word == "resnet18" { "efficientnet-lite0" } else { word }).to_vec();
    train.extend(["--set", "backbone.name=efficientnet-lite0"]);
    let output = at_home(home.path(), &train);
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    assert!(stderr(&output).contains("it looks like resnet-small"), "{}", stderr(&output));

    // A file of that name in the folder comes first, whatever it holds.
    std::fs::write(home.path().join("efficientnet-lite0"), b"mine").unwrap();
    let mut inspect = command(&["weights", "inspect", "efficientnet-lite0"]);
    let output = inspect.env("SARB_HOME", home.path()).current_dir(home.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));

    let shown = at_home(home.path(), &["weights", "inspect", "efficientnet-lite0"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("backbone  resnet-small"), "{shown}");
}

#[test]
fn a_file_that_is_not_the_one_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("given.pth");
    std::fs::write(&file, b"other weights").unwrap();
    for name in ["resnet18", "resnet152-v2", "efficientnet-lite0"] {
        let output = at_home(home.path(), &["weights", "fetch", name, "--from", &arg(&file)]);
        assert_eq!(output.status.code(), Some(3), "{name}: {}", stderr(&output));
        assert!(
            stderr(&output).contains("its SHA-256 is") || stderr(&output).contains("bytes, expected"),
            "{}",
            stderr(&output)
        );
    }
    assert_eq!(at_home(home.path(), &["weights", "fetch", "resnet19"]).status.code(), Some(2));
}

/// A proxy that answers 403 to everything; returns its address, and after the end the first line it was sent.
fn proxy() -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let first = lines.next().unwrap();
        lines.take_while(|line| !line.is_empty()).for_each(drop);
        stream
            .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        first
    });
    (address, asked)
}

#[test]
fn downloads_go_through_the_proxy_of_the_environment() {
    let home = tempfile::tempdir().unwrap();
    let (out, (address, asked)) = (arg(home.path().join("coco")), proxy());
    let fetch = command(&["data", "fetch", "coco2014", "-o", &out]);
    let output = fetch_through(&address, home.path(), fetch).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let asked = asked.join().unwrap();
    assert!(asked.contains("images.cocodataset.org"), "{asked}");
    assert!(!std::path::Path::new(&out).exists());
}

/// A proxy behind which stands one host for all: after a million bytes of 252,872,794 it sends no more, or one now and
/// then. Returns its address, and by the channel the first byte that each request asks for.
fn slow_host(trickles: bool) -> (String, mpsc::Receiver<Option<u64>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, asked) = mpsc::channel();
    // Waits for connections until the process of the tests ends.
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let mut head = || lines.by_ref().take_while(|line| !line.is_empty()).collect::<Vec<_>>();
            let mut request = head();
            if request.first().is_some_and(|line| line.starts_with("CONNECT")) {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                request = head();
            }
            let range = request.iter().find_map(|line| {
                line.to_lowercase().strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok()
            });
            let head = match range {
                Some(start) => format!(
                    "206 Partial Content\r\nContent-Range: bytes {start}-252872793/252872794\r\nContent-Length: {}",
                    252_872_794 - start
                ),
                None => "200 OK\r\nContent-Length: 252872794".to_owned(),
            };
            // A client that hangs up is none of the server's business.
            let _ = write!(stream, "HTTP/1.1 {head}\r\nETag: \"a\"\r\n\r\n")
                .and_then(|()| stream.write_all(&[7; 1_000_000]));
            let _ = sender.send(range);
            while trickles && stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(10));
            }
            held.push(stream);
        }
    });
    (address, asked)
}

/// `sarb data fetch coco2014` through a proxy.
fn fetch_through(proxy: &str, home: &std::path::Path, mut command: Command) -> Command {
    for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"] {
        command.env(name, proxy);
    }
    command.env("SARB_HOME", home).env_remove("NO_PROXY").env_remove("no_proxy");
    command
}

#[test]
fn a_killed_download_leaves_a_part_that_the_next_call_continues() {
    let home = tempfile::tempdir().unwrap();
    let (out, (address, asked)) = (home.path().join("coco"), slow_host(false));
    let part = home.path().join("downloads/coco2014/annotations_trainval2014.zip.part");
    let arrived = || std::fs::metadata(&part).map_or(0, |part| part.len());
    let mut kept = 0;
    for expected in [None, Some(1_000_000)] {
        let command = command(&["data", "fetch", "coco2014", "-o", &arg(out.clone())]);
        let mut child = fetch_through(&address, home.path(), command).stderr(Stdio::null()).spawn().unwrap();
        assert_eq!(asked.recv_timeout(Duration::from_secs(30)).unwrap(), expected);
        let started = Instant::now();
        while arrived() < kept + 1_000_000 && started.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kept += 1_000_000;
        assert_eq!(arrived(), kept);
    }
    assert!(!out.exists());
    let whole = std::fs::read_dir(part.parent().unwrap()).unwrap().flatten().map(|entry| entry.path());
    assert!(whole.into_iter().all(|path| path.to_string_lossy().contains(".part")));
}

#[cfg(unix)]
#[test]
fn an_interrupted_download_says_that_it_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let (out, (address, asked)) = (arg(home.path().join("coco")), slow_host(true));
    let fetch = command(&["data", "fetch", "coco2014", "-o", &out]);
    let child = fetch_through(&address, home.path(), fetch).stderr(Stdio::piped()).spawn().unwrap();
    asked.recv_timeout(Duration::from_secs(30)).unwrap();
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", stderr(&output));
    assert!(stderr(&output).contains("what was done is kept"), "{}", stderr(&output));
    assert!(home.path().join("downloads/coco2014/annotations_trainval2014.zip.part").exists());
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "no folder was begun");
}

/// A limit on the size of files stands for a full disk.
#[cfg(unix)]
#[test]
fn a_full_disk_is_said_and_what_fitted_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let (out, (address, _asked)) = (home.path().join("coco"), slow_host(false));
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$0\" data fetch coco2014 -o \"$1\""]);
    shell.arg(command(&[]).get_program()).arg(&out);
    let output = fetch_through(&address, home.path(), shell).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("annotations_trainval2014.zip.part"), "{}", stderr(&output));
    assert!(!out.exists());
    let archive = home.path().join("downloads/coco2014/annotations_trainval2014.zip");
    assert!(!archive.exists());
    assert!(std::fs::metadata(archive.with_extension("zip.part")).unwrap().len() > 0);
}

#[test]
fn the_version_names_the_commit_and_the_features() {
    let long = sarb_ok(&["--version"]);
    assert!(long.starts_with(&format!("sarb {} (commit ", env!("CARGO_PKG_VERSION"))), "{long}");
    assert!(long.contains("\nfeatures: "), "{long}");
    assert_eq!(sarb_ok(&["-V"]).trim(), format!("sarb {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_doctor_speaks_json() {
    let report: serde_json::Value = serde_json::from_str(&sarb_ok(&["doctor", "--json"])).unwrap();
    assert!(report["cores"].as_u64().unwrap() > 0);
    assert!(report["instructions"].is_array());
    assert!(report["memory"]["total_bytes"].as_u64().unwrap() > 1_000_000);
    assert!(report["disks"].as_array().unwrap().len() >= 2);
    assert!(
        report["devices"].as_array().unwrap().iter().any(|it| it["name"] == "cpu" && it["built_in"] == true)
    );
    assert!(report["cache"]["limit_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn shells_and_man_learn_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = sarb_ok(&["completions", shell]);
        assert!(script.contains("quickstart") && script.contains("weights"), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    sarb_ok(&["man", "-o", &arg(folder.path())]);
    for page in ["sarb.1", "sarb-train.1", "sarb-data-fetch.1", "sarb-weights-list.1"] {
        let text = std::fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
}
