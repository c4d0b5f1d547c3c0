//! Sweeps: every cell once, whatever is killed, stopped, shared or changed on the way.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::support::{arg, borrow, command, data, data_copy, features, sarb_fails, sarb_ok};

pub const LINEAR: &str = "[[row]]\nname = 'Linear'\nrecipe = 'linear.toml'\n";
/// Long enough to be stopped in the middle.
pub const SSGRL: &str = "[[row]]\nname = 'SSGRL (narrow)'\nrecipe = 'ssgrl.toml'\n\
                     set = ['method.network.dim=32', 'method.network.joint=16', 'method.network.word_width=8']\n";
const SSGRL_RUN: &str = "runs/ssgrl-narrow/known-50/seed-0";
const SSGRL_LOG: &str = "logs/ssgrl-narrow/known-50-seed-0.log";
pub const LINEAR_LOG: &str = "logs/linear/known-50-seed-0.log";

/// A folder with a plan, its recipes and the sweep's folder `out`.
pub struct Fixture {
    pub dir: tempfile::TempDir,
}

impl Fixture {
    pub fn new(head: &str, rows: &[&str]) -> Self {
        let fixture = Self { dir: tempfile::tempdir().unwrap() };
        for method in ["linear", "ssgrl"] {
            let recipe = format!("[method]\nname = '{method}'\n");
            std::fs::write(fixture.dir.path().join(format!("{method}.toml")), recipe).unwrap();
        }
        fixture.plan(head, rows);
        fixture
    }

    fn plan(&self, head: &str, rows: &[&str]) {
        let set = "set = ['train.batch_size=8', 'train.learning_rate=0.003', 'train.schedule=constant', 'train.epochs=100']";
        let text = format!("{head}\n{set}\n{}", rows.concat());
        std::fs::write(self.dir.path().join("plan.toml"), text).unwrap();
    }

    pub fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    pub fn args(&self, more: &[&str]) -> Vec<String> {
        self.args_with(&[features().join("train.npy"), features().join("test.npy")], more)
    }

    pub fn args_with(&self, [train, test]: &[PathBuf; 2], more: &[&str]) -> Vec<String> {
        let mut args = vec!["sweep".to_string(), arg(self.dir.path().join("plan.toml"))];
        args.extend(["--data".into(), arg(data()), "--out".into(), arg(self.out())]);
        args.extend(["--features".into(), arg(train), "--test-features".into(), arg(test)]);
        args.extend(more.iter().map(|more| more.to_string()));
        args
    }

    /// The sweep, not yet started, outside any scheduler's array.
    fn command(&self, more: &[&str]) -> Command {
        let mut command = command(&borrow(&self.args(more)));
        for variable in ["SLURM_ARRAY_TASK_ID", "AWS_BATCH_JOB_ARRAY_INDEX", "JOB_COMPLETION_INDEX"] {
            command.env_remove(variable);
        }
        command
    }

    pub fn run(&self, more: &[&str]) -> Output {
        self.command(more).output().unwrap()
    }

    /// Runs and expects this exit code; returns stderr.
    pub fn expect(&self, code: i32, more: &[&str]) -> String {
        let output = self.run(more);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        stderr
    }

    fn spawn(&self, more: &[&str]) -> Child {
        self.command(more).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&sarb_ok(&["sweep", "status", &arg(self.out()), "--json"])).unwrap()
    }

    pub fn statuses(&self) -> Vec<String> {
        let status = self.status();
        let cells = status["cells"].as_array().unwrap();
        cells.iter().map(|cell| cell["status"].as_str().unwrap().to_string()).collect()
    }

    pub fn log(&self, log: &str) -> String {
        std::fs::read_to_string(self.out().join(log)).unwrap()
    }

    fn scores(&self) -> Vec<Vec<u8>> {
        let runs = ["runs/linear/known-50/seed-0", SSGRL_RUN];
        runs.map(|run| std::fs::read(self.out().join(run).join("evaluation/scores.npy")).unwrap()).to_vec()
    }

    /// Waits until the long cell has a checkpoint, and a moment more.
    fn wait_for_checkpoint(&self) {
        let state = self.out().join(SSGRL_RUN).join("checkpoints/last/state.json");
        let begun = Instant::now();
        while !state.exists() {
            assert!(begun.elapsed() < Duration::from_secs(120), "no checkpoint appears");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Both rows at 50 % known labels.
pub fn two_rows() -> Fixture {
    Fixture::new("known = [0.5]", &[LINEAR, SSGRL])
}

/// The scores of both rows from a sweep that nothing interrupts.
fn uninterrupted() -> &'static [Vec<u8>] {
    static SCORES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SCORES.get_or_init(|| {
        let fixture = two_rows();
        fixture.expect(0, &[]);
        fixture.scores()
    })
}

fn modified(path: &Path) -> SystemTime {
    std::fs::metadata(path).unwrap().modified().unwrap()
}

pub fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

#[test]
fn a_sweep_runs_every_cell_once_and_a_second_time_nothing() {
    let fixture = Fixture::new("known = [0.1, 0.5]", &[LINEAR]);
    let output = fixture.run(&["--jobs", "2"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(count(&stderr, ": started") == 2 && stderr.contains(", 0 left"), "{stderr}");
    let status = fixture.status();
    assert_eq!((status["done"].as_u64(), status["waiting"].as_u64()), (Some(2), Some(0)), "{status}");
    let map = status["cells"][1]["map"].as_f64().unwrap();
    let folder = Path::new(status["cells"][1]["folder"].as_str().unwrap()).to_path_buf();
    let scores = std::fs::read_to_string(folder.join("evaluation/test.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&scores).unwrap()["map"].as_f64(), Some(map));
    let table = sarb_ok(&["sweep", "status", &arg(fixture.out())]);
    assert!(table.contains(&format!("{:.1}", 100.0 * map)) && table.contains("2 done of 2 cells"), "{table}");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("mAP "));

    let log = fixture.out().join(LINEAR_LOG);
    let files = [log, fixture.out().join("sweep.toml"), folder.join("run.json")];
    let before = files.clone().map(|file| modified(&file));
    let stderr = fixture.expect(0, &[]);
    assert!(stderr.contains("2 done before") && !stderr.contains(": started"), "{stderr}");
    assert_eq!(before, files.map(|file| modified(&file)));
}

#[test]
fn a_cell_is_what_train_and_evaluate_make_of_its_recipe() {
    let fixture = two_rows();
    let run = arg(fixture.dir.path().join("run"));
    let (data, recipe) = (arg(data()), arg(fixture.dir.path().join("ssgrl.toml")));
    let [train, test] = ["train.npy", "test.npy"].map(|file| arg(features().join(file)));
    let sets = [
        "train.batch_size=8",
        "train.learning_rate=0.003",
        "train.schedule=constant",
        "train.epochs=100",
        "method.network.dim=32",
        "method.network.joint=16",
        "method.network.word_width=8",
    ];
    let mut args =
        vec!["train", &recipe, "--data", &data, "--features", &train, "--known", "0.5", "--out", &run];
    sets.iter().for_each(|set| args.extend(["--set", set]));
    sarb_ok(&args);
    sarb_ok(&["evaluate", &run, "--features", &test]);
    let scores = std::fs::read(Path::new(&run).join("evaluation/scores.npy")).unwrap();
    assert!(scores == uninterrupted()[1]);
}

#[cfg(unix)]
#[test]
fn a_killed_sweep_goes_on_where_it_was() {
    let fixture = two_rows();
    let mut sweep = fixture.spawn(&[]);
    fixture.wait_for_checkpoint();
    // SIGKILL, to the sweep alone.
    sweep.kill().unwrap();
    sweep.wait().unwrap();
    assert_ne!(fixture.statuses()[1], "done", "the kill came too late to test anything");
    fixture.expect(0, &[]);
    assert!(fixture.scores() == uninterrupted(), "the resumed sweep took another way");
    let log = fixture.log(SSGRL_LOG);
    assert_eq!((count(&log, "$ sarb train"), count(&log, "--resume --cache")), (2, 1), "{log}");
    // The child noticed that its sweep was gone, and saved what it had.
    assert_eq!(count(&log, "sarb: stopped after epoch"), 1, "{log}");
    assert_eq!(count(&fixture.log(LINEAR_LOG), "$ sarb train"), 1, "a done cell was trained again");
}

#[cfg(unix)]
#[test]
fn a_signal_stops_the_children_and_the_same_command_goes_on() {
    let fixture = two_rows();
    let sweep = fixture.spawn(&[]);
    fixture.wait_for_checkpoint();
    assert_eq!(fixture.statuses(), ["done", "running"]);
    assert!(Command::new("kill").args(["-TERM", &sweep.id().to_string()]).status().unwrap().success());
    let output = sweep.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "{stderr}");
    assert!(stderr.contains("1 of 2 cells done; the same command continues"), "{stderr}");
    assert_eq!(fixture.statuses(), ["done", "interrupted"]);
    let info = std::fs::read_to_string(fixture.out().join(SSGRL_RUN).join("run.json")).unwrap();
    assert!(info.contains("\"interrupted\""), "{info}");
    fixture.expect(0, &[]);
    assert!(fixture.scores() == uninterrupted(), "the resumed sweep took another way");
}

#[test]
fn at_the_end_of_its_time_a_sweep_stops_and_goes_on_from_there() {
    let fixture = two_rows();
    let stderr = fixture.expect(75, &["--max-time", "0.1s"]);
    assert!(stderr.contains("the same command continues"), "{stderr}");
    assert_ne!(fixture.statuses()[1], "done", "the time came too late to test anything");
    fixture.expect(0, &[]);
    assert!(fixture.scores() == uninterrupted(), "the resumed sweep took another way");
}

#[test]
fn what_is_trained_but_not_evaluated_is_only_evaluated() {
    let fixture = Fixture::new("known = [0.5]", &[LINEAR]);
    fixture.expect(0, &[]);
    let evaluation = fixture.out().join("runs/linear/known-50/seed-0/evaluation");
    // As after a kill between the two files of an evaluation.
    std::fs::remove_file(evaluation.join("scores.npy")).unwrap();
    assert_eq!(fixture.statuses(), ["interrupted"]);
    fixture.expect(0, &[]);
    assert!(evaluation.join("scores.npy").is_file());
    let log = fixture.log(LINEAR_LOG);
    assert_eq!((count(&log, "$ sarb train"), count(&log, "$ sarb evaluate")), (1, 2), "{log}");
}

#[test]
fn two_sweeps_on_one_folder_share_its_cells() {
    let fixture = Fixture::new("known = [0.1, 0.5, 0.9]\nseeds = [0, 1]", &[LINEAR]);
    let sweeps = [fixture.spawn(&[]), fixture.spawn(&["--jobs", "2"])];
    let mut started = 0;
    for sweep in sweeps {
        let output = sweep.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
        started += count(&stderr, ": started");
    }
    assert_eq!(started, 6);
    assert!(fixture.statuses().iter().all(|status| status == "done"));
    for seed in ["0", "1"] {
        for known in ["10", "50", "90"] {
            let log = fixture.log(&format!("logs/linear/known-{known}-seed-{seed}.log"));
            assert_eq!((count(&log, "$ sarb train"), count(&log, "$ sarb evaluate")), (1, 1), "{log}");
        }
    }
}

#[test]
fn shards_are_disjoint_and_together_everything() {
    let fixture = Fixture::new("known = [0.1, 0.5, 0.9]", &[LINEAR]);
    fixture.expect(0, &["--shard", "0/2"]);
    assert_eq!(fixture.statuses(), ["done", "waiting", "done"]);
    // The other one, as a task of an indexed job.
    let mut second = fixture.command(&["--shard", "2"]);
    let output = second.env("JOB_COMPLETION_INDEX", "1").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("1 to do in shard 1/2, from JOB_COMPLETION_INDEX"), "{stderr}");
    assert_eq!(count(&stderr, ": started"), 1, "{stderr}");
    assert_eq!(fixture.statuses(), ["done", "done", "done"]);
    assert!(fixture.expect(2, &["--shard", "2/2"]).contains("no shard 2 of 2"));
}

#[test]
fn a_plan_may_grow_but_its_begun_cells_keep_their_settings() {
    let fixture = Fixture::new("known = [0.5]", &[LINEAR]);
    fixture.expect(0, &[]);
    fixture.plan("known = [0.1, 0.5]", &[LINEAR]);
    fixture.expect(0, &[]);
    assert_eq!(fixture.status()["done"].as_u64(), Some(2));
    assert_eq!(count(&fixture.log(LINEAR_LOG), "$ sarb train"), 1);

    std::fs::write(
        fixture.dir.path().join("linear.toml"),
        "[method]\nname = 'linear'\n[data]\nvalidation = 0.2\n",
    )
    .unwrap();
    let message = fixture.expect(7, &[]);
    assert!(message.contains("Linear, 50 % known, seed 0"), "{message}");
    assert!(message.contains("data.validation was 0.1, is 0.2") && message.contains("delete"), "{message}");

    fixture.plan("known = [0.1]", &[LINEAR]);
    std::fs::write(fixture.dir.path().join("linear.toml"), "[method]\nname = 'linear'\n").unwrap();
    let message = fixture.expect(2, &[]);
    assert!(message.contains("no cell Linear, 50 % known, seed 0"), "{message}");
}

#[test]
fn other_inputs_and_foreign_folders_are_refused() {
    let fixture = Fixture::new("known = [0.5]", &[LINEAR]);
    fixture.expect(0, &[]);
    let other = data_copy();
    let mut args = fixture.args(&[]);
    let at = args.iter().position(|arg| arg == "--data").unwrap();
    args[at + 1] = arg(other.path());
    let message = sarb_fails(2, &borrow(&args));
    assert!(message.contains("begun with --data") && message.contains(&arg(other.path())), "{message}");

    let fixture = Fixture::new("known = [0.5]", &[LINEAR]);
    std::fs::create_dir_all(fixture.out()).unwrap();
    std::fs::write(fixture.out().join("thesis.txt"), "precious").unwrap();
    assert!(fixture.expect(2, &[]).contains("is not empty and no sweep"));
    let left: Vec<_> = std::fs::read_dir(fixture.out()).unwrap().collect();
    assert_eq!(left.len(), 1);
    assert!(sarb_fails(4, &["sweep", "status", &arg(fixture.out())]).contains("not a sweep folder"));
}

#[test]
fn everything_wrong_with_the_recipes_is_said_before_anything_is_trained() {
    let rows = [
        "[[row]]\nname = 'A'\nrecipe = 'ssgrl.toml'\nset = ['method.network.dim=0']\n",
        "[[row]]\nname = 'B'\nrecipe = 'linear.toml'\nset = ['train.epoch=3']\n",
        LINEAR,
    ];
    let fixture = Fixture::new("known = [0.1, 0.5]", &rows);
    let message = fixture.expect(2, &[]);
    assert!(message.contains("row \"A\"") && message.contains("row \"B\""), "{message}");
    assert_eq!(message.lines().count(), 2, "{message}");
    assert!(!fixture.out().exists());
}

#[test]
fn a_failed_cell_loses_only_itself_and_is_tried_again_when_told() {
    let diverging = "[[row]]\nname = 'Diverging'\nrecipe = 'ssgrl.toml'\n\
                     set = ['method.network.dim=32', 'method.network.joint=16', 'train.learning_rate=1e30']\n";
    let fixture = Fixture::new("known = [0.5]", &[diverging, LINEAR]);
    let log = "logs/diverging/known-50-seed-0.log";
    let message = fixture.expect(5, &[]);
    assert!(message.contains("1 of 2 cells failed"), "{message}");
    assert!(message.contains("training diverged") && message.contains(log), "{message}");
    assert_eq!(fixture.statuses(), ["failed", "done"]);
    let status = fixture.status();
    assert!(status["cells"][0]["error"].as_str().unwrap().contains("diverged"), "{status}");

    let before = modified(&fixture.out().join(log));
    let message = fixture.expect(5, &[]);
    assert!(message.contains("1 failed before, 0 to do") && message.contains("diverged"), "{message}");
    assert_eq!(before, modified(&fixture.out().join(log)));

    fixture.expect(5, &["--retry-failed"]);
    assert_eq!(count(&fixture.log(log), "$ sarb train"), 2);
    assert_eq!(count(&fixture.log(LINEAR_LOG), "$ sarb train"), 1);
}
