//! `val.csv` in a sweep: looked at before anything is trained, and never mixed with what cells were trained with.

use std::path::{Path, PathBuf};

use sarb_labels::arrays::npy;
use sarb_labels::formats::csv;

use crate::support::{arg, borrow, features, sarb_fails, sarb_ok};
use crate::validation::{VAL, val_features, with_val};

/// A plan, its data folder with `val.csv`, and a place for sweeps.
struct Fixture {
    data: tempfile::TempDir,
    dir: tempfile::TempDir,
}

const ROW: &str = "[[row]]\nname = 'BCE'\nrecipe = 'bce.toml'\n";
const HELD_OUT: &str = "[[row]]\nname = 'Held out'\nrecipe = 'bce.toml'\nset = ['data.validation=0.2']\n";

impl Fixture {
    fn new() -> Self {
        let fixture = Self { data: with_val(), dir: tempfile::tempdir().unwrap() };
        std::fs::write(fixture.dir.path().join("bce.toml"), "[method]\nname = 'bce'\n").unwrap();
        fixture.plan("known = [0.5]", "", ROW);
        fixture
    }

    fn plan(&self, known: &str, set: &str, rows: &str) {
        let text = format!("{known}\nset = ['train.epochs=1', 'train.learning_rate=0.003'{set}]\n{rows}");
        std::fs::write(self.dir.path().join("plan.toml"), text).unwrap();
    }

    fn out(&self, out: &str) -> PathBuf {
        self.dir.path().join(out)
    }

    fn val(&self) -> PathBuf {
        self.data.path().join("val.csv")
    }

    /// The arguments of a sweep on features; `of_val` are those of `val.csv`.
    fn args(&self, out: &str, of_val: Option<&Path>) -> Vec<String> {
        let mut args = vec!["sweep".to_string(), arg(self.dir.path().join("plan.toml"))];
        args.extend(["--data".into(), arg(self.data.path()), "--out".into(), arg(self.out(out))]);
        args.extend(["--features".into(), arg(features().join("train.npy"))]);
        args.extend(["--test-features".into(), arg(features().join("test.npy"))]);
        args.extend(of_val.map(|path| ["--val-features".to_string(), arg(path)]).into_iter().flatten());
        args
    }

    fn with(&self, out: &str) -> Vec<String> {
        self.args(out, Some(&val_features(self.data.path())))
    }

    fn without(&self, out: &str) -> Vec<String> {
        self.args(out, None)
    }

    /// Images that the first cell was trained on.
    fn trained(&self, out: &str) -> usize {
        let run = self.out(out).join("runs/bce/known-50/seed-0");
        csv::read(&run.join("data/train.csv")).unwrap().images.len()
    }
}

#[test]
fn a_sweep_selects_on_val_csv_and_one_that_is_wrong_is_found_before_anything_is_trained() {
    let fixture = Fixture::new();
    sarb_ok(&borrow(&fixture.with("file")));
    sarb_ok(&borrow(&fixture.with("file")));
    assert_eq!(fixture.trained("file"), 48);

    // Features of it are missing, too few, or of another width.
    let message = sarb_fails(2, &borrow(&fixture.without("wrong")));
    assert!(message.contains("with --val-features FILE"), "{message}");
    let other = fixture.out("other.npy");
    let message = sarb_fails(4, &borrow(&fixture.args("wrong", Some(&other))));
    assert!(message.contains("other.npy"), "{message}");
    npy::write(&other, &[0.0; (VAL - 1) * 24 * 9], &[VAL - 1, 24, 3, 3]).unwrap();
    let message = sarb_fails(3, &borrow(&fixture.args("wrong", Some(&other))));
    assert!(message.contains("11 rows; expected 12"), "{message}");
    npy::write(&other, &[0.0; VAL * 23 * 9], &[VAL, 23, 3, 3]).unwrap();
    let message = sarb_fails(3, &borrow(&fixture.args("wrong", Some(&other))));
    assert!(message.contains("other.npy") && message.contains("23"), "{message}");

    // A broken cell, an image that trains too, no known label.
    let text = std::fs::read_to_string(fixture.val()).unwrap();
    let train = std::fs::read_to_string(fixture.data.path().join("train.csv")).unwrap();
    let leak = format!("{}\n{}\n", text.trim_end(), train.lines().nth(1).unwrap());
    for (val, said) in
        [("image,circle\nx.png,2\n", "val.csv:2"), (leak.as_str(), "remove it from one of them")]
    {
        std::fs::write(fixture.val(), val).unwrap();
        let message = sarb_fails(3, &borrow(&fixture.with("wrong")));
        assert!(message.contains(said), "{message}");
    }
    assert!(!fixture.out("wrong").exists(), "nothing is begun");
}

#[test]
fn an_image_of_val_csv_that_is_not_there_is_found_before_anything_is_trained() {
    let fixture = Fixture::new();
    let text = std::fs::read_to_string(fixture.val()).unwrap();
    let name = text.lines().nth(1).unwrap().split(',').next().unwrap().to_owned();
    // An image of its own, so that test.csv does not name the same.
    std::fs::write(fixture.val(), text.replacen(&name, "gone.png", 1)).unwrap();
    let (plan, data, out) =
        (arg(fixture.dir.path().join("plan.toml")), arg(fixture.data.path()), arg(fixture.out("images")));
    let message = sarb_fails(4, &["sweep", &plan, "--data", &data, "--out", &out]);
    assert!(message.contains("val.csv: 1 of 12 images are not there"), "{message}");
    assert!(message.contains("gone.png") && !fixture.out("images").exists(), "{message}");
}

#[test]
fn a_begun_sweep_refuses_a_val_csv_that_came_changed_or_went() {
    let fixture = Fixture::new();
    let text = std::fs::read_to_string(fixture.val()).unwrap();
    std::fs::remove_file(fixture.val()).unwrap();
    sarb_ok(&borrow(&fixture.without("drawn")));
    assert_eq!(fixture.trained("drawn"), 43);
    std::fs::write(fixture.val(), &text).unwrap();
    let message = sarb_fails(2, &borrow(&fixture.without("drawn")));
    assert!(message.contains("val.csv has come since") && message.contains("BCE, 50 % known"), "{message}");
    // What the message says to do.
    assert!(message.contains("set = ['data.validation=0.1']"), "{message}");
    fixture.plan("known = [0.5, 0.9]", ", 'data.validation=0.1'", ROW);
    sarb_ok(&borrow(&fixture.without("drawn")));
    assert_eq!(fixture.trained("drawn"), 43);

    fixture.plan("known = [0.5]", "", ROW);
    sarb_ok(&borrow(&fixture.with("file")));
    fixture.plan("known = [0.5, 0.9]", "", ROW);
    let message = sarb_fails(2, &borrow(&fixture.without("file")));
    assert!(message.contains("begun with --val-features"), "{message}");
    std::fs::write(fixture.val(), text.replacen(",0", ",1", 3)).unwrap();
    let message = sarb_fails(2, &borrow(&fixture.with("file")));
    assert!(
        message.contains("is not what cells selected their epoch on; put the earlier one back"),
        "{message}"
    );
    std::fs::remove_file(fixture.val()).unwrap();
    let message = sarb_fails(2, &borrow(&fixture.with("file")));
    assert!(message.contains("is gone; put it back"), "{message}");
    std::fs::write(fixture.val(), &text).unwrap();

    let of_val = val_features(fixture.data.path());
    let bytes = std::fs::read(&of_val).unwrap();
    npy::write(&of_val, &[0.0; VAL * 24 * 9], &[VAL, 24, 3, 3]).unwrap();
    let message = sarb_fails(2, &borrow(&fixture.with("file")));
    assert!(message.contains("the file of --val-features is not what"), "{message}");
    std::fs::write(&of_val, bytes).unwrap();

    let train = fixture.data.path().join("train.csv");
    let labels = std::fs::read_to_string(&train).unwrap();
    std::fs::write(&train, labels.replacen(",0", ",1", 8)).unwrap();
    let message = sarb_fails(2, &borrow(&fixture.with("file")));
    assert!(message.contains("train.csv in") && message.contains("put the earlier one back"), "{message}");
    std::fs::write(&train, labels).unwrap();
    // All as it was: the cell that the plan got meanwhile is trained.
    sarb_ok(&borrow(&fixture.with("file")));
    assert!(fixture.out("file").join("runs/bce/known-90/seed-0/evaluation/test.json").is_file());
}

#[test]
fn features_that_do_not_go_with_every_row_are_refused_at_the_start() {
    let fixture = Fixture::new();
    fixture.plan("known = [0.5]", "", &format!("{ROW}{HELD_OUT}"));
    let message = sarb_fails(2, &borrow(&fixture.with("mixed")));
    assert!(message.contains("data.validation: 0.2 (\"Held out\")"), "{message}");

    let other = "[[row]]\nname = 'Lite0'\nrecipe = 'bce.toml'\nset = ['backbone.name=efficientnet-lite0']\n";
    fixture.plan("known = [0.5]", "", &format!("{ROW}{other}"));
    let message = sarb_fails(2, &borrow(&fixture.with("mixed")));
    assert!(
        message.contains(
            "resnet101 (\"BCE\") and efficientnet-lite0 (\"Lite0\"), but --features and --val-features"
        ),
        "{message}"
    );
    assert!(!fixture.out("mixed").exists(), "nothing is begun");
    // What the message says to do.
    let same = other.replace("efficientnet-lite0", "resnet101");
    fixture.plan("known = [0.5]", "", &format!("{ROW}{same}"));
    sarb_ok(&borrow(&fixture.with("mixed")));
}
