//! `--dry-run`: everything is checked and the cost is said, and nothing is written.

use std::path::Path;

use serde_json::Value;

use crate::support::{arg, borrow, command, data, data_copy, quick, random_trunk, sarb_fails, sarb_ok};
use crate::sweep::two_rows;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} of {value}"))
}

/// Arguments that train on images through a frozen backbone, with a cache of their own.
fn frozen(dir: &Path, more: &[&str]) -> Vec<String> {
    let (data, out, cache) = (arg(data()), arg(dir.join("run")), arg(dir.join("cache")));
    let trunk = random_trunk(dir);
    let args =
        ["train", "--method", "bce", "--data", &data, "--out", &out, "--cache", &cache, "--weights", &trunk];
    let mut args: Vec<String> = args.map(String::from).to_vec();
    let sets =
        ["data.size_px=32", "backbone.name=resnet-small", "backbone.pool=false", "backbone.freeze=all"];
    for set in sets.iter().chain(&["backbone.views=1", "train.epochs=3"]) {
        args.extend(["--set".into(), (*set).into()]);
    }
    args.extend(more.iter().map(|more| more.to_string()));
    args
}

#[test]
fn a_dry_run_counts_what_is_cached_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let temporary = dir.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let dry = |more: &[&str]| {
        let args = frozen(dir.path(), &[&["--dry-run"], more].concat());
        let output = command(&borrow(&args)).env("TMPDIR", &temporary).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!dir.path().join("run").exists(), "the run's folder");
        assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "of the sample nothing is left");
        String::from_utf8(output.stdout).unwrap()
    };
    let before = json(&dry(&["--json"]));
    assert!(!dir.path().join("cache").exists(), "the cache");
    // 48 images, a tenth of them held out, batches of 8; one view beside the clean one.
    assert_eq!((number(&before, "/images"), number(&before, "/validation_images")), (43.0, 5.0));
    assert_eq!((number(&before, "/epochs"), number(&before, "/steps_per_epoch")), (3.0, 6.0));
    assert_eq!((number(&before, "/maps/wanted"), number(&before, "/maps/to_compute")), (96.0, 96.0));
    assert!(number(&before, "/seconds/maps") > 0.0 && number(&before, "/seconds/training") > 0.0, "{before}");
    assert!(number(&before, "/memory_mb") > 10.0, "{before}");

    let real = frozen(dir.path(), &[]);
    sarb_ok(&borrow(&real));
    let held: u64 =
        sarb::Cache::in_folder(dir.path().join("cache")).stores().unwrap().iter().map(|s| s.bytes).sum();
    let (bytes, header) = (number(&before, "/maps/bytes"), 4096.0);
    assert!((held as f64 - bytes).abs() < 2.0 * header, "{held} bytes on disk, {bytes} were forecast");
    let taken: u64 = sizes(&dir.path().join("run"));
    let run = number(&before, "/run_bytes");
    assert!((0.8..1.2).contains(&(taken as f64 / run)), "{taken} bytes, {run} were forecast");

    std::fs::rename(dir.path().join("run"), dir.path().join("trained")).unwrap();
    let after = json(&dry(&["--json", "--then-evaluate", "test"]));
    assert_eq!((number(&after, "/maps/cached"), number(&after, "/maps/to_compute")), (96.0, 24.0));
    assert!(number(&after, "/seconds/evaluation") > 0.0, "{after}");
    let text = dry(&[]);
    assert!(text.starts_with("bce: 43 images train, 5 validate; 3 epochs of 6 steps, 18 in all\n"), "{text}");
    assert!(text.contains("96 of 96 are cached, 0 are to be computed\n"), "{text}");
}

fn sizes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { sizes(&path) } else { path.metadata().unwrap().len() }).sum()
}

#[test]
fn every_method_has_a_cost_on_features() {
    let dir = tempfile::tempdir().unwrap();
    for method in ["linear", "curriculum", "sarb", "fm-mixup"] {
        let mut args = quick(method, &dir.path().join(method));
        args.extend(["--dry-run".into(), "--json".into()]);
        let cost = json(&sarb_ok(&borrow(&args)));
        assert!(cost["maps"].is_null(), "{cost}");
        assert_eq!(number(&cost, "/seconds/training") > 0.0, method != "linear", "{cost}");
        assert!(!dir.path().join(method).exists());
    }
}

#[test]
fn a_dry_run_refuses_what_the_training_would() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |code: i32, args: &[String], expected: &str| {
        let stderr = sarb_fails(code, &borrow(args));
        assert!(stderr.contains(expected), "{stderr}");
    };
    refused(2, &frozen(dir.path(), &["--dry-run", "--set", "train.epoch=1"]), "there is no key train.epoch");
    refused(2, &frozen(dir.path(), &["--dry-run", "--cache-limit", "1KB"]), "more than the limit");
    refused(2, &frozen(dir.path(), &["--dry-run", "--resume"]), "cannot be used with");
    refused(2, &frozen(dir.path(), &["--then-evaluate", "test"]), "--dry-run");
    let folder = data_copy();
    let gone = std::fs::read_dir(folder.path().join("images")).unwrap();
    let gone = gone.map(|entry| entry.unwrap().path());
    let gone = gone.into_iter().find(|path| path.to_string_lossy().contains("train")).unwrap();
    std::fs::remove_file(&gone).unwrap();
    let mut args = frozen(dir.path(), &["--dry-run"]);
    let at = args.iter().position(|arg| arg == "--data").unwrap();
    args[at + 1] = arg(folder.path());
    refused(4, &args, "1 of 48 images are not there");
    std::fs::create_dir(dir.path().join("run")).unwrap();
    std::fs::write(dir.path().join("run/thesis.txt"), "mine").unwrap();
    refused(2, &frozen(dir.path(), &["--dry-run"]), "is not empty");
    assert_eq!(std::fs::read_dir(dir.path().join("run")).unwrap().count(), 1);
}

#[test]
fn a_sweep_says_what_its_cells_cost_and_those_that_are_done_cost_nothing() {
    let fixture = two_rows();
    let dry = |more: &[&str]| {
        let output = fixture.run(&[&["--dry-run"], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let before = json(&dry(&["--json"]));
    assert!(!fixture.out().exists());
    assert_eq!(number(&before, "/total/cells"), 2.0);
    let of_cells: f64 =
        (0..2).map(|cell| number(&before, &format!("/cells/{cell}/forecast/seconds/total"))).sum();
    assert!((number(&before, "/total/seconds") - of_cells).abs() < 1e-9, "{before}");
    assert_eq!(number(&before, "/cells/1/forecast/epochs"), 100.0);

    fixture.expect(0, &[]);
    let text = dry(&[]);
    assert!(text.contains("0 of 2 cells to do: about 0 s"), "{text}");
    let stderr = fixture.expect(2, &["--dry-run", "--shard", "0/2"]);
    assert!(stderr.contains("cannot be used with"), "{stderr}");
}
