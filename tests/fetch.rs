//! Weights and data by name, the version, manuals and the doctor, as users see them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Output;

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
    assert_eq!(of("resnet101-v2")["checked"], "first 8 digits of the SHA-256");
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

    let shown = at_home(home.path(), &["weights", "inspect", "efficientnet-lite0"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("backbone  resnet-small"), "{shown}");
}

#[test]
fn a_file_that_is_not_the_one_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("given.pth");
    std::fs::write(&file, b"other weights").unwrap();
    for name in ["resnet18", "resnet101-v2", "efficientnet-lite0"] {
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
    let mut fetch = command(&["data", "fetch", "coco2014", "-o", &out]);
    for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"] {
        fetch.env(name, &address);
    }
    let output =
        fetch.env("SARB_HOME", home.path()).env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let asked = asked.join().unwrap();
    assert!(asked.contains("images.cocodataset.org"), "{asked}");
    assert!(!std::path::Path::new(&out).exists());
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
    assert!(report["cpu"]["cores"].as_u64().unwrap() > 0);
    assert!(report["cpu"]["instructions"].is_array());
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
