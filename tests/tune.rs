//! `sarb tune`: settings are tried on training images alone, within a budget, and again after a stop.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{arg, borrow, change, command, data_copy, features, random_trunk, sarb_fails, sarb_ok};

/// A data folder whose `test.csv` nobody can read, and a space.
struct Fixture {
    data: tempfile::TempDir,
    dir: tempfile::TempDir,
}

const RATES: &str = "train.learning_rate = [1e-7, 0.003, 0.01]\n";

impl Fixture {
    fn new(space: &str) -> Self {
        let fixture = Self { data: data_copy(), dir: tempfile::tempdir().unwrap() };
        std::fs::write(fixture.data.path().join("test.csv"), [0xff, 0x00, b'\n', b'"']).unwrap();
        std::fs::write(fixture.space(), space).unwrap();
        fixture
    }

    fn space(&self) -> PathBuf {
        self.dir.path().join("space.toml")
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn args(&self, method: &str, more: &[&str]) -> Vec<String> {
        let mut args = ["tune", "--method", method, "--known", "0.5"].map(String::from).to_vec();
        args.extend(["--data".into(), arg(self.data.path()), "--out".into(), arg(self.out())]);
        args.extend(["--features".into(), arg(features().join("train.npy"))]);
        args.extend(["--space".into(), arg(self.space())]);
        for set in ["train.batch_size=8", "train.schedule=constant", "train.learning_rate=1e-5"] {
            args.extend(["--set".into(), set.into()]);
        }
        args.extend(more.iter().map(|more| more.to_string()));
        args
    }

    /// Every line of `trials.csv` but for the seconds.
    fn trials(&self) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.out().join("trials.csv")).unwrap();
        let seconds = text.lines().next().unwrap().split(',').position(|name| name == "seconds").unwrap();
        let cells = |line: &str| {
            let cells = line.split(',').enumerate().filter(|(place, _)| *place != seconds);
            cells.map(|(_, cell)| cell.to_owned()).collect()
        };
        text.lines().map(cells).collect()
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn trial<'a>(found: &'a Value, number: u64, rung: &str) -> &'a Value {
    let rows = found["trials"].as_array().unwrap();
    rows.iter().find(|row| row["trial"] == number && row["rung"] == rung).unwrap_or_else(|| panic!("{found}"))
}

#[test]
fn a_tuning_finds_a_better_setting_that_trains_and_never_reads_the_test_images() {
    let fixture = Fixture::new(RATES);
    let more = ["--budget", "20m", "--set", "train.epochs=6", "--json"];
    let found = json(&sarb_ok(&borrow(&fixture.args("bce", &more))));
    // The recipe's rate learns nothing in six epochs; of three others on a third of them one goes on.
    let (own, best) = (found["own_map"].as_f64().unwrap(), found["best_map"].as_f64().unwrap());
    assert!(best > own + 0.1, "{found}");
    let number = found["best"].as_u64().unwrap();
    let rate = trial(&found, number, "full")["settings"]["train.learning_rate"].as_f64().unwrap();
    assert!(rate >= 0.003, "{found}");
    assert_eq!(found["difference"]["map"].as_f64().unwrap(), best - own);
    assert!(found["difference"]["interval"]["high"].as_f64().unwrap() >= best - own, "{found}");
    assert_eq!(
        (trial(&found, number, "third")["epochs"].as_u64(), found["held_out"].as_u64()),
        (Some(2), Some(10))
    );
    assert_eq!(fixture.trials().len(), 1 + 2 + 3 + 1, "{:?}", fixture.trials());

    // Held-out images and those that train are the images of train.csv, each once.
    let images = |file: &str| {
        let file = sarb_labels::formats::csv::read(&fixture.out().join(file)).unwrap();
        file.images.into_iter().map(|path| path.file_name().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut both = [images("data/full/train.csv"), images("held-out/val.csv")].concat();
    both.sort();
    let all = sarb_labels::formats::csv::read(&fixture.data.path().join("train.csv")).unwrap();
    assert_eq!(both, all.images.iter().map(|path| path.file_name().unwrap()).collect::<Vec<_>>());

    let best = std::fs::read_to_string(fixture.out().join("best.toml")).unwrap();
    assert!(best.contains("known = 0.5") && best.contains("epochs = 6"), "{best}");
    let run = arg(fixture.dir.path().join("run"));
    let (recipe, data) = (arg(fixture.out().join("best.toml")), arg(fixture.data.path()));
    let features = arg(features().join("train.npy"));
    sarb_ok(&["train", &recipe, "--data", &data, "--features", &features, "--out", &run]);
    let trained = std::fs::read_to_string(Path::new(&run).join("recipe.toml")).unwrap();
    assert!(
        trained.contains("known = 0.5") && trained.contains(&format!("learning_rate = {rate}")),
        "{trained}"
    );

    // A second time nothing is left to do, and the table says the same.
    let begun = Instant::now();
    let text = sarb_ok(&borrow(&fixture.args("bce", &more[..4])));
    assert!(text.contains("optimistic") && text.contains(&format!("trial {number} is the best")), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[cfg(unix)]
#[test]
fn a_tuning_that_is_stopped_goes_on_to_the_same_numbers() {
    let (whole, parts) = (Fixture::new(RATES), Fixture::new(RATES));
    let more = ["--budget", "20m", "--set", "train.epochs=60"];
    sarb_ok(&borrow(&whole.args("bce", &more)));

    // Once within the recipe's own training, once within a trial.
    for run in ["trials/000/ninth", "trials/002/third"] {
        let mut child = command(&borrow(&parts.args("bce", &more)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let state = parts.out().join(run).join("checkpoints/last/state.json");
        while !state.is_file() {
            assert!(begun.elapsed() < Duration::from_secs(120), "no checkpoint of {run}");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        let output = child.wait().map(|status| status.code()).unwrap();
        assert_eq!(output, Some(75), "{run}");
    }
    assert!(parts.trials().iter().any(|row| row.contains(&"interrupted".to_owned())), "{:?}", parts.trials());
    let text = sarb_ok(&borrow(&parts.args("bce", &more)));
    assert!(text.contains("is the best") || text.contains("no setting is better"), "{text}");
    assert_eq!(parts.trials(), whole.trials());

    let plan = parts.out().join("plan.json");
    // What was begun is not continued with something else.
    for (more, what) in [
        (&["--budget", "20m", "--set", "train.epochs=50"][..], "another recipe"),
        (&["--budget", "20m", "--set", "train.epochs=60", "--seed", "1"], "another --seed"),
        (&["--budget", "30m", "--set", "train.epochs=60"], "planned for --budget 20 min"),
        (
            &["--budget", "20m", "--set", "train.epochs=60", "--settings", "1"],
            "planned for --settings 200, not 1",
        ),
    ] {
        let stderr = sarb_fails(2, &borrow(&parts.args("bce", more)));
        assert!(stderr.contains(what), "{stderr}");
    }
    change(&plan, "        3\n", "        300\n");
    let stderr = sarb_fails(7, &borrow(&parts.args("bce", &more)));
    assert!(stderr.contains("plan.json: not the plan of this tuning"), "{stderr}");
}

#[test]
fn a_budget_for_less_than_two_trials_is_refused_and_a_larger_one_continues() {
    let fixture = Fixture::new(RATES);
    let more = |budget| ["--budget", budget, "--set", "train.epochs=2", "--settings", "1"];
    let stderr = sarb_fails(2, &borrow(&fixture.args("bce", &more("0.05s"))));
    assert!(stderr.contains("does not suffice to compare") && stderr.contains("; that takes "), "{stderr}");
    let text = sarb_ok(&borrow(&fixture.args("bce", &more("20m"))));
    assert!(text.contains("1 other setting tried"), "{text}");
}

#[test]
fn a_space_that_the_recipe_refuses_is_refused_before_anything_is_trained() {
    for (space, expected) in [
        ("train.epoch = [1, 2]", "space.toml: train.epoch=1: there is no key train.epoch; did you mean"),
        ("train.learning_rate = { from = -1.0, to = 1.0 }", "space.toml: train.learning_rate=-1"),
        ("train.schedule = ['cosine', 'linear']", "space.toml: train.schedule=\"linear\": train.schedule is"),
        ("train.epochs = 3", "space.toml: train.epochs is 3; expected a list of values"),
        ("train.epochs = [", "space.toml:1: "),
        ("data.known = [0.1]", "space.toml: data.known cannot be tuned"),
        ("train.learning_rate = [1e-5]", "nothing to try"),
    ] {
        let fixture = Fixture::new(space);
        let stderr = sarb_fails(2, &borrow(&fixture.args("bce", &["--budget", "1m"])));
        assert!(stderr.contains(expected), "{space}: {stderr}");
        assert!(!fixture.out().exists(), "{space}");
    }
    let fixture = Fixture::new(RATES);
    for (more, code, expected) in [
        (&["--held-out", "0"][..], 2, "--held-out 0: expected a proportion above 0"),
        (&["--set", "protocol=reference"], 2, "selects on the test images"),
        (&["--held-out", "0.02"], 3, "held out"),
    ] {
        let stderr = sarb_fails(code, &borrow(&fixture.args("bce", &[&["--budget", "1m"], more].concat())));
        assert!(stderr.contains(expected), "{stderr}");
        assert!(!fixture.out().exists(), "{more:?}");
    }
    std::fs::create_dir(fixture.out()).unwrap();
    std::fs::write(fixture.out().join("thesis.txt"), "mine").unwrap();
    let stderr = sarb_fails(2, &borrow(&fixture.args("bce", &["--budget", "1m"])));
    assert!(stderr.contains("is not empty and no tuning"), "{stderr}");
}

#[test]
fn the_penalty_of_linear_is_tuned_on_images_through_a_frozen_backbone() {
    let fixture = Fixture::new("");
    let trunk = random_trunk(fixture.dir.path());
    let (data, out) = (arg(fixture.data.path()), arg(fixture.out()));
    let args = ["tune", "--method", "linear", "--data", &data, "--out", &out, "--weights", &trunk];
    let mut args: Vec<String> = args.map(String::from).to_vec();
    for set in ["data.size_px=32", "backbone.name=resnet-small", "backbone.pool=false", "backbone.freeze=all"]
    {
        args.extend(["--set".into(), set.into()]);
    }
    args.extend(["--budget", "20m", "--settings", "3", "--json"].map(String::from));
    let stderr = sarb_fails(2, &borrow(&args));
    assert!(stderr.contains("there is nothing to tune"), "{stderr}");
    args.extend(["--set", "method.penalty=fixed"].map(String::from));
    let found = json(&sarb_ok(&borrow(&args)));
    assert_eq!(found["trials"].as_array().unwrap().len(), 4, "{found}");
    assert!(trial(&found, 2, "full")["settings"]["method.penalty_factor"].is_f64(), "{found}");
}

#[test]
fn a_setting_that_diverges_is_listed_and_does_not_end_the_tuning() {
    let fixture = Fixture::new("train.learning_rate = [1e38, 0.003]");
    let more = ["--budget", "20m", "--set", "train.epochs=2", "--json"];
    let found = json(&sarb_ok(&borrow(&fixture.args("bce", &more))));
    let failed: Vec<&Value> =
        found["trials"].as_array().unwrap().iter().filter(|row| row["status"] == "failed").collect();
    assert!(failed.len() == 1 && failed[0]["error"].as_str().unwrap().contains("diverged"), "{found}");
    assert!(found["best"].as_u64() != failed[0]["trial"].as_u64(), "{found}");
}
