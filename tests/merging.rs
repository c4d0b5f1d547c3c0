//! `sarb data convert` of several sources into one file.

use std::path::{Path, PathBuf};

use sarb_labels::formats::csv;
use serde_json::Value;

use crate::support::{arg, sarb, sarb_fails};

/// A folder with `a.csv`, a list of tags `b.csv`, and a data folder `c`.
struct Sources(tempfile::TempDir);

impl Sources {
    fn new() -> Self {
        let sources = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(sources.path("c")).unwrap();
        sources.write("a.csv", "image,cat,dog\nx.jpg,1,0\ny.jpg,0,?\n");
        sources.write("b.csv", "image,tags\nx.jpg,\"cat, dog\"\nz.jpg,owl\n");
        sources.write("c/train.csv", "image,Cat\n../y.jpg,1\n");
        sources.write("c/val.csv", "image,cat\n../y.jpg,1\n");
        sources
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// `data convert` of some sources, to `out.csv` with more options.
    fn words(&self, sources: &[&str], more: &[&str]) -> Vec<String> {
        let mut words = ["data", "convert"].map(String::from).to_vec();
        words.extend(sources.iter().map(|name| arg(self.path(name))));
        words.extend(["-o".into(), arg(self.path("out.csv"))]);
        words.extend(more.iter().map(|more| more.to_string()));
        words
    }

    /// What it says on stdout and on stderr.
    fn merge(&self, sources: &[&str], more: &[&str]) -> (String, String) {
        let words = self.words(sources, more);
        let output = sarb(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{words:?}: {stderr}");
        (String::from_utf8(output.stdout).unwrap(), stderr)
    }

    fn refused(&self, sources: &[&str], more: &[&str]) -> String {
        let words = self.words(sources, more);
        sarb_fails(2, &words.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

#[test]
fn two_tools_are_merged_and_what_they_contradict_is_unknown_and_listed() {
    let sources = Sources::new();
    let all = arg(sources.path("tables/all.csv"));
    let more = ["--unlisted", "unknown", "--contradictions", &all, "--json"];
    let (said, notes) = sources.merge(&["a.csv", "b.csv"], &more);
    let merged = csv::read(&sources.path("out.csv")).unwrap();
    assert_eq!(merged.categories, ["cat", "dog", "owl"]);
    let images: Vec<_> = merged.images.iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(images, ["x.jpg", "y.jpg", "z.jpg"]);
    // x: dog is 0 in a.csv and a tag in b.csv.
    assert_eq!(merged.labels.to_floats(), [1.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);

    let (a, b) = (arg(sources.path("a.csv")), arg(sources.path("b.csv")));
    assert!(notes.contains(&format!("\"dog\" is positive in {b}, negative in {a}")), "{notes}");
    assert!(notes.contains("1 label is contradicted and becomes unknown; all of them go to "), "{notes}");
    assert!(notes.contains(&format!("--unlisted is for {b}\n")), "{notes}");
    assert!(notes.contains(&format!("{a}: 2 images, 1 of them in another source too")), "{notes}");
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&report["images"], &report["sources"]),
        (&3.into(), &Value::from(vec![a.clone(), b.clone()]))
    );
    let contradictions = report["contradictions"].as_array().unwrap();
    assert_eq!(contradictions.len(), 1);
    assert_eq!(contradictions[0]["category"], "dog");
    assert_eq!(contradictions[0]["positive"], Value::from(vec![b.clone()]));
    assert_eq!(contradictions[0]["negative"], Value::from(vec![a.clone()]));
    let table = std::fs::read_to_string(&all).unwrap();
    assert_eq!(table, format!("image,category,{a},{b}\n../x.jpg,dog,0,1\n"));
}

#[test]
fn a_data_folder_is_a_source_like_any_other() {
    let sources = Sources::new();
    let (_, notes) = sources.merge(&["a.csv", "c"], &["--split", "val"]);
    assert!(notes.contains("\"cat\" is positive in "), "{notes}");
    assert!(notes.contains(&arg(sources.path("c/val.csv"))), "{notes}");
    assert_eq!(csv::read(&sources.path("out.csv")).unwrap().images.len(), 2);
    let (_, notes) = sources.merge(&["a.csv", "c"], &["--force"]);
    assert!(notes.contains("categories \"cat\" of ") && notes.contains("differ only in case"), "{notes}");
    assert!(notes.contains("no label is contradicted"), "{notes}");
    assert_eq!(csv::read(&sources.path("out.csv")).unwrap().categories, ["cat", "dog", "Cat"]);
}

#[test]
fn the_first_twenty_contradictions_are_said_and_the_rest_counted() {
    let sources = Sources::new();
    let table = |label: &str| (0..25).map(|n| format!("{n}.jpg,{label}\n")).collect::<String>();
    sources.write("a.csv", &format!("image,cat\n{}", table("1")));
    sources.write("d.csv", &format!("image,cat\n{}", table("0")));
    let (said, notes) = sources.merge(&["a.csv", "d.csv"], &["--json"]);
    assert_eq!(notes.lines().filter(|line| line.starts_with("contradiction: ")).count(), 20, "{notes}");
    assert!(notes.contains("… and 5 more contradictions"), "{notes}");
    assert!(notes.contains("25 labels are contradicted"), "{notes}");
    assert!(notes.contains("--contradictions FILE.csv writes them all"), "{notes}");
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["contradictions"].as_array().unwrap().len(), 25);
}

#[test]
fn images_of_one_name_in_two_folders_are_not_taken_for_the_same() {
    let sources = Sources::new();
    sources.write("a.csv", "image,cat\none/x.jpg,1\n");
    sources.write("d.csv", "image,cat\ntwo/x.jpg,0\n");
    let (_, notes) = sources.merge(&["a.csv", "d.csv"], &[]);
    assert!(notes.contains(" share no image\n"), "{notes}");
    assert!(notes.contains("two/x.jpg\" have one name in different folders: they stay apart"), "{notes}");
    assert!(notes.contains("pass --images DIR"), "{notes}");
    assert_eq!(csv::read(&sources.path("out.csv")).unwrap().images.len(), 2);
}

#[test]
fn check_hands_an_option_to_the_sources_that_take_it() {
    let sources = Sources::new();
    let [a, b, c] = ["a.csv", "b.csv", "c"].map(|name| arg(sources.path(name)));
    let check = ["data", "check", "--no-images", &a, &b, &c];
    // What is wrong with the labels is found, so that all were read.
    let message = sarb_fails(3, &[&check[..], &["--unlisted", "unknown"]].concat());
    assert!(message.starts_with(&format!("--unlisted is for {b}\n")), "{message}");
    let message = sarb_fails(2, &[&check[..], &["--uncertain", "negative"]].concat());
    assert!(message.contains("--uncertain: none of the sources takes it"), "{message}");
    // One source alone takes all of them or none.
    let message = sarb_fails(2, &["data", "check", "--no-images", &a, "--unlisted", "unknown"]);
    assert!(message.contains("--unlisted: "), "{message}");
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_written() {
    let sources = Sources::new();
    let refused = |names: &[&str], more: &[&str], what: &str| {
        let message = sources.refused(names, more);
        assert!(message.contains(what), "{message}");
        assert!(!sources.path("out.csv").exists());
    };
    refused(&["a.csv", "b.csv"], &[], "pass --unlisted unknown");
    refused(&["a.csv", "c"], &["--uncertain", "negative"], "--uncertain: none of the sources takes it");
    refused(&["c", "c"], &["--images", "."], "--images: none of the sources takes it");
    refused(&["a.csv", "c"], &["--from", "csv"], "a data folder needs no --from");
    let file = |name: &str| arg(sources.path(name));
    refused(&["a.csv"], &["--contradictions", &file("n.csv")], "one source contradicts nothing");
    let (a, train, out) = (file("a.csv"), file("c/train.csv"), file("out.csv"));
    refused(&["a.csv", "c"], &["--contradictions", &a, "--force"], "a.csv: is one of the sources");
    refused(&["a.csv", "c"], &["--contradictions", &train, "--force"], "train.csv: is one of the sources");
    refused(&["a.csv", "c"], &["--contradictions", &file("b.csv")], "b.csv: is there already");
    refused(&["a.csv", "c"], &["--contradictions", &out], "out.csv: is --out too");
    refused(&["a.csv", "c"], &["--to", "coco"], "labels are unknown and would be read as negative");
}

#[test]
fn one_source_is_converted_as_ever() {
    let sources = Sources::new();
    let (said, notes) = sources.merge(&["a.csv"], &["--json"]);
    let out = sources.path("out.csv");
    let expected = serde_json::json!({
        "out": arg(&out), "format": "csv", "images": 2, "categories": 2, "lost": [],
    });
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), expected);
    assert!(!notes.contains("contradict") && !notes.contains("another source"), "{notes}");
    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert_eq!(text(&out), text(&sources.path("a.csv")).replace('?', ""));
}
