//! `--track` and `sarb track`: what a tracking server is told, and what becomes of a training where it does not answer.
//! `tests/clients/tracking.py` asks a real MLflow.

mod server;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use sarb::track::{Message, Patience, Target, Tracking};
use sarb::{EpochRow, Event};
use serde_json::Value;

use crate::support::{arg, borrow, command, data, features, quick, sarb, sarb_fails, sarb_ok};
use server::{Known, Mlflow, Mode, nobody};

fn trained(method: &str, out: &Path, more: &[&str]) -> Output {
    let args = quick(method, out);
    let output = sarb(&[&borrow(&args)[..], more].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

fn evaluated(run: &Path, more: &[&str]) -> Output {
    let output =
        sarb(&[&["evaluate", &arg(run), "--features", &arg(features().join("test.npy"))], more].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The rows of a kind in `events.jsonl`.
fn rows(run: &Path, kind: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("events.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == kind).map(|line| line["row"].clone()).collect()
}

/// Steps of the training and losses, as the run's own log has them.
fn losses(run: &Path) -> Vec<(i64, f64)> {
    let of = |row: &Value| {
        let number = |key: &str| row[key].as_i64().unwrap();
        let step = (number("epoch") - 1) * number("steps") + number("step");
        (step, row["losses"][0][1].as_f64().unwrap())
    };
    rows(run, "step").iter().map(of).collect()
}

/// That the server has every point of the run's own log, and each once.
fn assert_told(known: &Known, run: &Path) {
    assert_eq!(known.history("loss/bce"), losses(run));
    let maps: Vec<(i64, f64)> = rows(run, "epoch")
        .iter()
        .map(|row| (row["epoch"].as_i64().unwrap(), row["validation_map"].as_f64().unwrap()))
        .collect();
    assert_eq!(known.history("validation/mAP"), maps);
    assert_each_once(known);
}

fn assert_each_once(known: &Known) {
    let places: BTreeSet<(&str, i64)> = known.points.iter().map(|(key, step, ..)| (&**key, *step)).collect();
    assert_eq!(places.len(), known.points.len(), "a key has a step twice");
}

/// Every file below a folder that holds a text.
fn files_with(dir: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(text) {
            found.push(path);
        }
    }
    found
}

/// A training that does not outlive its test.
struct Killed(Child);

impl Killed {
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn a_training_and_its_evaluation_are_told_whole() {
    let (server, dir) = (Mlflow::start(Mode::Well), tempfile::tempdir().unwrap());
    let run = dir.path().join("my run");
    let output =
        trained("partial-bce", &run, &["--seed", "3", "--track", &server.target(), "--track-tag", "team=cv"]);
    let known = server.run();
    let said = stderr(&output);
    assert!(said.contains(&format!("tracked at {}/#/experiments/1/runs/{}", server.url, known.id)), "{said}");
    assert!(!said.contains("warning"), "{said}");
    assert_eq!((&server.state().experiments[..], &*known.name), (&["sarb".to_owned()][..], "my run"));
    assert_eq!(known.tags["team"], "cv");
    assert_told(&known, &run);
    assert_eq!(rows(&run, "step").len(), known.history("learning_rate").len());
    assert_eq!(known.history("epoch/loss/bce").len(), 4);
    for (key, value) in [("seed", "3"), ("method.name", "partial-bce"), ("data.known", "0.5")] {
        assert_eq!(known.params[key], value, "{key}");
    }
    let info: Value = serde_json::from_slice(&std::fs::read(run.join("run.json")).unwrap()).unwrap();
    assert_eq!(known.params["sarb.data_fingerprint"], info["fingerprint"].as_str().unwrap());
    assert_eq!(known.statuses.last().unwrap(), "FINISHED");
    assert_eq!(known.file("recipe.toml"), std::fs::read_to_string(run.join("recipe.toml")).unwrap());
    let page = known.file("report.html");
    assert!(page.contains("</html>") && !page.contains("AP by category"), "nothing is measured yet");

    let json = evaluated(&run, &["--json", "--track", &server.target()]).stdout;
    let json: Value = serde_json::from_slice(&json).unwrap();
    let known = server.run();
    for (key, value) in [("mAP", "map"), ("OF1", "of1"), ("CF1", "cf1")] {
        assert_eq!(known.history(&format!("test/{key}")), [(0, json[value].as_f64().unwrap())]);
    }
    assert_eq!(known.history("test/anchor/mAP"), [(0, json["anchor"]["scores"]["map"].as_f64().unwrap())]);
    let category = &json["per_category"][0];
    let key = format!("test/AP/{}", category["name"].as_str().unwrap());
    assert_eq!(known.history(&key), [(0, category["ap"].as_f64().unwrap())]);
    let measured = known.file("report.html");
    assert!(measured.len() > page.len() && !measured.contains("data:image/jpeg"), "no photographs");

    // What is there is not sent again.
    evaluated(&run, &["--track", &server.target()]);
    sarb_ok(&["track", &arg(&run), "--to", &server.target()]);
    assert_eq!(server.run().points, known.points);
    assert_eq!(server.run().statuses, known.statuses);
}

#[test]
fn what_can_be_seen_to_be_wrong_is_refused_before_anything_is_trained() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let args = quick("partial-bce", &run);
    for (more, said) in [
        (&["--track", "wandb=http://127.0.0.1:1"][..], "unknown tracker \"wandb\""),
        (&["--track", "mlflow=127.0.0.1:1"][..], "does not begin with http://"),
        (&["--track", "mlflow=http://me:geheim@h"][..], "MLFLOW_TRACKING_PASSWORD"),
        (&["--track-tag", "a=b"][..], "--track-tag needs --track"),
        (&["--track", "mlflow=http://h", "--track-tag", "ab"][..], "expected KEY=VALUE"),
        (&["--track", "mlflow=http://h", "--track-experiment", " "][..], "a name is expected"),
    ] {
        let said_of = sarb_fails(2, &[&borrow(&args)[..], more].concat());
        assert!(said_of.contains(said), "{said_of}");
        assert!(!run.exists());
    }
    let output = command(&[&borrow(&args)[..], &["--track", "mlflow=http://h"]].concat())
        .env("MLFLOW_TRACKING_TOKEN", "geheim\n")
        .output()
        .unwrap();
    assert!(output.status.code() == Some(2) && !stderr(&output).contains("geheim"), "{}", stderr(&output));
    assert!(!run.exists());
    let scores = arg(dir.path().join("scores.npy"));
    let args = ["evaluate", "--scores", &scores, "--labels", &scores, "--track", "mlflow=http://h"];
    assert!(sarb_fails(2, &args).contains("--track tells of runs"));
}

#[test]
fn a_server_that_is_away_stops_nothing_and_is_told_later() {
    let dir = tempfile::tempdir().unwrap();
    let (run, url) = (dir.path().join("run"), nobody());
    let target = format!("mlflow={url}");
    let names = ["--track-experiment", "later", "--track-tag", "mlflow.runName=mine", "--track-tag", "a=b"];
    let args = [&["--set", "train.epochs=2", "--track", &target][..], &names].concat();
    let said = stderr(&trained("partial-bce", &run, &args));
    assert!(said.contains("no answer") && said.contains("the training goes on"), "{said}");
    assert!(said.contains(&format!("`sarb track {} --to {target}` sends the rest", run.display())), "{said}");
    let said = stderr(&evaluated(&run, &["--track", &target]));
    assert!(said.contains("warning: not sent"), "{said}");
    let track = ["track", &arg(&run), "--to", &target];
    assert!(sarb_fails(4, &track).contains("no answer"));

    let server = Mlflow::start_at(&url);
    sarb_ok(&track);
    let known = server.run();
    assert_told(&known, &run);
    assert_eq!(server.state().experiments, ["later"]);
    assert_eq!((&*known.name, &*known.tags["a"]), ("mine", "b"), "as it was asked for at the beginning");
    assert_eq!(known.history("test/mAP").len(), 1);
    assert_eq!(known.statuses.last().unwrap(), "FINISHED");

    // And a run that goes on is the same run, with the settings that it began with.
    trained("partial-bce", &run, &["--resume", "--track", &target]);
    let known = server.run();
    assert_eq!(known.statuses, ["RUNNING", "FINISHED", "RUNNING", "FINISHED"]);
    assert_eq!(known.params["train.epochs"], "2");
    assert!(known.file("recipe.toml").contains("epochs = 4"));
    assert_eq!(rows(&run, "epoch").len(), 5);
    assert_told(&known, &run);
}

#[test]
fn a_server_that_takes_and_never_answers_holds_nothing_up_and_gets_one_run() {
    let (server, dir) = (Mlflow::start(Mode::Silent("runs/create")), tempfile::tempdir().unwrap());
    let run = dir.path().join("run");
    let begun = Instant::now();
    trained("partial-bce", &dir.path().join("untold"), &[]);
    let alone = begun.elapsed();
    let begun = Instant::now();
    let said = stderr(&trained("partial-bce", &run, &["--track", &server.target()]));
    let longest = alone * 2 + Duration::from_secs(12);
    assert!(begun.elapsed() < longest, "{:?} in place of {alone:?}", begun.elapsed());
    assert!(said.contains("sends the rest"), "{said}");

    server.behave(Mode::Well);
    sarb_ok(&["track", &arg(&run), "--to", &server.target()]);
    assert_told(&server.run(), &run);
}

/// Changes fields of `tracking.json`.
fn note(run: &Path, fields: &[(&str, Value)]) {
    let path = run.join("tracking.json");
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let all = record.as_object_mut().unwrap();
    all.extend(fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    all.remove("seal");
    std::fs::write(&path, record.to_string()).unwrap();
}

#[test]
fn a_run_whose_making_was_not_acknowledged_is_found_again() {
    let (server, dir) = (Mlflow::start(Mode::Well), tempfile::tempdir().unwrap());
    let run = dir.path().join("run");
    trained("partial-bce", &run, &["--track", &server.target()]);
    // As a kill between the answer and the note of it leaves the file.
    note(&run, &[("run", Value::Null), ("params", false.into()), ("step", Value::Null)]);
    let before = server.run();
    sarb_ok(&["track", &arg(&run), "--to", &server.target()]);
    // The same points with the same times are those that were there.
    assert_eq!(server.run().points, before.points);
}

#[test]
fn what_arrived_and_was_not_noted_before_a_kill_is_not_told_again() {
    let (server, dir) = (Mlflow::start(Mode::Well), tempfile::tempdir().unwrap());
    let run = dir.path().join("run");
    trained("partial-bce", &run, &["--set", "train.epochs=2", "--track", &server.target()]);
    let before = server.run();
    // As a kill between the answer and the note of it leaves the file; the steps behind the checkpoint were then done again.
    note(&run, &[("step", Value::Null), ("epoch", Value::Null)]);
    let log = run.join("events.jsonl");
    let later = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        if let Some(time) = line["row"]["wall_time"].as_f64() {
            line["row"]["wall_time"] = (time + 60.0).into();
        }
        line.to_string() + "\n"
    };
    let text: String = std::fs::read_to_string(&log).unwrap().lines().map(later).collect();
    std::fs::write(&log, text).unwrap();

    sarb_ok(&["track", &arg(&run), "--to", &server.target()]);
    assert_eq!(server.run().points, before.points);
    // And what is new is told.
    trained("partial-bce", &run, &["--resume", "--track", &server.target()]);
    assert_eq!(rows(&run, "epoch").len(), 5);
    assert_told(&server.run(), &run);
}

#[test]
fn a_run_that_is_killed_and_resumed_has_no_point_twice_and_none_too_few() {
    let (server, dir) = (Mlflow::start(Mode::Well), tempfile::tempdir().unwrap());
    let run = dir.path().join("run");
    let mut args = quick("partial-bce", &run);
    args.extend(["--set".into(), "train.epochs=100000".into(), "--track".into(), server.target()]);
    let mut child = Killed(command(&borrow(&args)).stderr(Stdio::null()).spawn().unwrap());
    let begun = Instant::now();
    let told = || server.state().runs.first().map_or(0, |known| known.history("loss/bce").len());
    while told() < 5 {
        assert!(begun.elapsed() < Duration::from_secs(120), "nothing was told");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill();
    let before = server.run();

    // Of a training that is dead the server hears so.
    sarb_ok(&["track", &arg(&run), "--to", &server.target()]);
    assert_eq!(server.run().statuses, ["RUNNING", "RUNNING", "KILLED"]);

    args.extend(["--resume".into(), "--max-time".into(), "3s".into()]);
    let output = command(&borrow(&args)).output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", stderr(&output));
    let known = server.run();
    assert_eq!(known.id, before.id);
    assert_eq!(known.statuses, ["RUNNING", "RUNNING", "KILLED", "RUNNING", "KILLED"]);
    assert_each_once(&known);
    let (told, log) = (known.history("loss/bce"), losses(&run));
    assert!(log.len() > 5 && told.len() > before.history("loss/bce").len());
    // A resumed run computes the same numbers again.
    assert_eq!(told[..log.len().min(told.len())], log[..], "{} told", told.len());
}

#[test]
fn a_server_that_comes_back_is_told_while_the_training_goes_on() {
    let (server, dir) = (Mlflow::start(Mode::Fails(503)), tempfile::tempdir().unwrap());
    let run = dir.path().join("run");
    trained("partial-bce", &run, &[]);
    let target = Target::new(server.target().parse().unwrap());
    let [short, long] = [5, 60_000].map(Duration::from_millis);
    let patience = Patience { answer: long, between: short, away: (short, short), end: long };
    let tracking = Tracking::new(&run, &target, patience).unwrap();
    let row: EpochRow = serde_json::from_value(rows(&run, "epoch")[1].clone()).unwrap();
    let heard = |wanted: &str| {
        let (begun, mut all) = (Instant::now(), Vec::new());
        while !all.iter().any(|message: &Message| format!("{message:?}").contains(wanted)) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{wanted}: {all:?}");
            all.extend(tracking.hear(&Event::Epoch(&row)));
            std::thread::sleep(Duration::from_millis(5));
        }
        all
    };
    assert_eq!(heard("503").len(), 1);
    std::thread::sleep(Duration::from_millis(100));
    assert!(tracking.hear(&Event::Note("")).is_empty(), "one warning is enough");
    server.behave(Mode::Well);
    heard("answers again");
    assert_told(&server.run(), &run);
    assert_eq!(tracking.end(true), []);
    assert_eq!(server.run().statuses.last().unwrap(), "FINISHED");
}

#[test]
fn what_a_server_refuses_is_said_in_its_words() {
    let (server, dir) = (Mlflow::start(Mode::Fails(401)), tempfile::tempdir().unwrap());
    let run = dir.path().join("run");
    let said = stderr(&trained("partial-bce", &run, &["--track", &server.target()]));
    assert!(said.contains("401") && said.contains("MLFLOW_TRACKING_TOKEN"), "{said}");
    assert!(said.contains("nothing more is sent during this training"), "{said}");
    let track = ["track", &arg(&run), "--to", &server.target()];
    assert!(sarb_fails(4, &track).contains("as told"));
    server.behave(Mode::Fails(307));
    let said = sarb_fails(4, &track);
    assert!(said.contains("307"), "{said}");
    server.behave(Mode::Well);
    sarb_ok(&track);
    assert_told(&server.run(), &run);
    let damaged = std::fs::read_to_string(run.join("tracking.json"))
        .unwrap()
        .replace("\"params\": true", "\"params\": false");
    std::fs::write(run.join("tracking.json"), damaged).unwrap();
    assert!(sarb_fails(7, &track).contains("tracking.json"));
    assert!(sarb_fails(4, &["track", &arg(data()), "--to", &server.target()]).contains("not a run folder"));
}

#[test]
fn credentials_reach_the_server_and_nothing_else() {
    let (server, dir) = (Mlflow::start(Mode::Well), tempfile::tempdir().unwrap());
    let run = dir.path().join("run");
    let mut args = quick("partial-bce", &run);
    args.extend(["--track".into(), server.target()]);
    let output = command(&borrow(&args)).env("MLFLOW_TRACKING_TOKEN", "geheim-4711").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let state = server.state();
    assert!(state.authorizations.len() > 5);
    assert!(state.authorizations.iter().all(|it| it == "Bearer geheim-4711"), "{:?}", state.authorizations);
    drop(state);
    assert!(!stderr(&output).contains("geheim"));
    let known = server.run();
    assert_eq!(files_with(&run, &known.id), [run.join("tracking.json")]);
    assert_eq!(files_with(&run, "geheim"), [] as [PathBuf; 0]);
    assert!(known.files.values().all(|file| !String::from_utf8_lossy(file).contains("geheim")));
}

#[test]
fn nothing_is_asked_without_track() {
    let (server, dir) = (Mlflow::start(Mode::Well), tempfile::tempdir().unwrap());
    let run = dir.path().join("run");
    trained("partial-bce", &run, &["--set", "train.epochs=2", "--track", &server.target()]);
    let asked = server.state().authorizations.len();
    let said = stderr(&trained("partial-bce", &run, &["--resume"]));
    assert!(said.contains("told to a tracking server"), "{said}");
    evaluated(&run, &[]);
    assert_eq!(server.state().authorizations.len(), asked);
}

#[test]
fn a_long_log_goes_in_batches_that_the_server_takes_and_anew_to_a_server_that_lost_it() {
    let (server, dir) = (Mlflow::start(Mode::Well), tempfile::tempdir().unwrap());
    let run = dir.path().join("run");
    trained("partial-bce", &run, &[]);
    let mut row = rows(&run, "step")[0].clone();
    let mut text = String::new();
    for step in 1..=2500 {
        row["epoch"] = 1.into();
        row["step"] = step.into();
        row["steps"] = 2500.into();
        text += &format!("{}\n", serde_json::json!({ "event": "step", "row": row }));
    }
    std::fs::write(run.join("events.jsonl"), text + "{\"event\":\"step\",\"row\":{\"epo").unwrap();
    sarb_ok(&["track", &arg(&run), "--to", &server.target()]);
    let known = server.run();
    assert_eq!(known.history("loss/bce").len(), 2500);
    assert_eq!(known.points.len(), server.state().batches.iter().sum::<usize>());
    assert!(server.state().batches.len() >= 10);

    let other = Mlflow::start(Mode::Well);
    sarb_ok(&["track", &arg(&run), "--to", &other.target()]);
    assert_eq!(other.run().points, known.points);
    assert_eq!(other.run().params, known.params);
}

#[test]
fn each_cell_of_a_sweep_is_a_run_with_the_name_of_the_sweep() {
    let (server, dir) = (Mlflow::start(Mode::Well), tempfile::tempdir().unwrap());
    std::fs::write(dir.path().join("linear.toml"), "[method]\nname = 'linear'\n").unwrap();
    let row = "[[row]]\nname = 'Linear'\nrecipe = 'linear.toml'\n";
    std::fs::write(dir.path().join("plan.toml"), format!("known = [0.5, 0.9]\n{row}")).unwrap();
    let (plan, out) = (arg(dir.path().join("plan.toml")), arg(dir.path().join("mine")));
    let [train, test] = ["train.npy", "test.npy"].map(|name| arg(features().join(name)));
    let target = server.target();
    let mut args = vec!["sweep", &plan, "--data", "", "--out", &out, "--features", &train];
    let data = arg(data());
    args[3] = &data;
    args.extend(["--test-features", &test, "--jobs", "2"]);
    let said = sarb_fails(2, &[&args[..], &["--track", "mlflow=nowhere"]].concat());
    assert!(said.contains("does not begin with http://"), "{said}");
    args.extend(["--track", &target, "--track-experiment", "my sweeps"]);
    sarb_ok(&args);
    let state = server.state();
    assert_eq!((&state.experiments[..], &state.refused[..]), (&["my sweeps".to_owned()][..], &[][..]));
    let names: BTreeSet<&str> = state.runs.iter().map(|run| &*run.name).collect();
    assert_eq!(names, BTreeSet::from(["Linear, 50 % known, seed 0", "Linear, 90 % known, seed 0"]));
    for run in &state.runs {
        assert_eq!((&*run.tags["sarb.sweep"], run.history("test/mAP").len()), ("mine", 1));
        assert_eq!(run.statuses.last().unwrap(), "FINISHED");
        assert!(run.files.contains_key("report.html"));
    }
    let points: Vec<usize> = state.runs.iter().map(|run| run.points.len()).collect();
    drop(state);
    sarb_ok(&["track", &out, "--to", &target]);
    let again: Vec<usize> = server.state().runs.iter().map(|run| run.points.len()).collect();
    assert_eq!(again, points);
}
