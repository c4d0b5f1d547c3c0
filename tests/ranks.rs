//! One training on several processes: the numbers of one process, whatever happens to one of them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::{arg, borrow, command, data, data_copy, quick, random_trunk, sarb_ok, test_scores};

/// Arguments of a quick training with `more`, which may say other epochs.
fn on_ranks(method: &str, out: &Path, more: &[&str]) -> Vec<String> {
    let mut args = quick(method, out);
    args.extend(more.iter().map(|arg| (*arg).to_string()));
    args
}

/// The columns of metrics.csv that are numbers of the training, row by row.
fn metrics(run: &Path) -> Vec<Vec<f64>> {
    let text = std::fs::read_to_string(run.join("metrics.csv")).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let timed = |name: &str| name.contains("second") || name.contains("time");
    let numbers = |line: &str| {
        let cells = names.iter().zip(line.split(',')).filter(|(name, cell)| !timed(name) && !cell.is_empty());
        cells.map(|(name, cell)| cell.parse().unwrap_or_else(|_| panic!("{name}: {cell}"))).collect()
    };
    lines.map(numbers).collect()
}

/// The largest difference, relative to the larger number where that is above 1.
fn difference(one: &[Vec<f64>], other: &[Vec<f64>]) -> f64 {
    assert_eq!(one.len(), other.len());
    let pairs = one.iter().zip(other).flat_map(|(one, other)| {
        assert_eq!(one.len(), other.len());
        one.iter().zip(other)
    });
    pairs.map(|(a, b)| (a - b).abs() / a.abs().max(b.abs()).max(1.0)).fold(0.0, f64::max)
}

fn info(run: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(run.join("run.json")).unwrap()).unwrap()
}

#[test]
fn ranks_train_as_one_process_does_and_repeat_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: String| dir.path().join(name);
    for method in ["bce", "ssgrl", "sarb"] {
        let alone = at(method.to_string());
        sarb_ok(&borrow(&quick(method, &alone)));
        for (ranks, repeats) in [("2", 2), ("3", 1)] {
            let run = |repeat| at(format!("{method}-{ranks}-{repeat}"));
            for repeat in 0..repeats {
                sarb_ok(&borrow(&on_ranks(method, &run(repeat), &["--ranks", ranks])));
            }
            assert_eq!(info(&run(0))["ranks"], ranks.parse::<usize>().unwrap());
            let (ours, one) = (metrics(&run(0)), metrics(&alone));
            // Before the first step nothing is summed over ranks. Adam divides gradients by their size, so that those
            // near 0 may turn with a rounding: after 24 steps weights differ by far more than roundings.
            assert_eq!(difference(&ours[..1], &one[..1]), 0.0, "{method}, {ranks} ranks");
            let differs = difference(&ours, &one);
            assert!(differs < 1e-3, "{method}, {ranks} ranks: {differs}");
            if repeats > 1 {
                assert!(
                    test_scores(&run(0)) == test_scores(&run(1)),
                    "{method}: {ranks} ranks differ from themselves"
                );
            }
        }
    }
}

#[test]
fn a_trained_backbone_and_its_prototypes_are_shared_out() {
    let dir = tempfile::tempdir().unwrap();
    let (data, weights) = (arg(data()), random_trunk(dir.path()));
    let train = |name: &str, more: &[&str]| {
        let run = dir.path().join(name);
        let sets = [
            "data.size_px=32",
            "backbone.name=resnet-small",
            "backbone.freeze=trunk",
            "backbone.pool=false",
            "train.epochs=2",
            "train.batch_size=16",
            "train.learning_rate=1e-4",
            "train.select=last",
            "method.network={dim=16, joint=8, word_width=4}",
            "method.blend_from_epoch=0",
            "method.prototypes_per_category=2",
        ];
        let out = arg(&run);
        let mut args = vec!["train", "--method", "sarb", "--known", "0.5", "--data", &data, "--out", &out];
        args.extend(["--weights", &weights]);
        sets.iter().for_each(|set| args.extend(["--set", set]));
        args.extend(more);
        sarb_ok(&args);
        run
    };
    let (alone, two) = (train("alone", &[]), train("two", &["--ranks", "2"]));
    let differs = difference(&metrics(&two), &metrics(&alone));
    assert!(differs < 1e-3, "{differs}");
}

/// The processes that a process has started.
fn children_of(parent: u32) -> Vec<u32> {
    let stats = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: u32 = entry.unwrap().file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent: u32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((pid, parent))
    });
    stats.filter(|(_, of)| *of == parent).map(|(pid, _)| pid).collect()
}

/// Waits until a training has some rows of metrics.csv.
fn wait_for_epochs(training: &mut Child, run: &Path, epochs: usize) {
    let until = Instant::now() + Duration::from_secs(120);
    let rows = || std::fs::read_to_string(run.join("metrics.csv")).map_or(0, |text| text.lines().count());
    while rows() < epochs {
        assert!(training.try_wait().unwrap().is_none(), "it has ended before");
        assert!(Instant::now() < until, "no epoch in two minutes");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(pid: u32, signal: i32) {
    // SAFETY: the process was started by this test, or by what it started.
    assert_eq!(unsafe { libc::kill(pid as i32, signal) }, 0);
}

fn ended(training: Child) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = training.wait_with_output().unwrap();
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

const LONG: [&str; 6] = ["--ranks", "2", "--set", "train.epochs=16", "--set", "train.select=last"];

#[test]
fn a_killed_rank_ends_all_and_the_run_goes_on_to_the_same_end() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
    sarb_ok(&borrow(&on_ranks("sarb", &whole, &LONG)));
    let args = on_ranks("sarb", &killed, &LONG);
    let mut training = command(&borrow(&args)).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_epochs(&mut training, &killed, 4);
    let [rank] = children_of(training.id())[..] else { panic!("one rank beside the first") };
    let begin = Instant::now();
    signal(rank, libc::SIGKILL);
    let (code, said) = ended(training);
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert_eq!(code, Some(75), "{said}");
    assert!(
        said.contains("sarb: rank 1 is lost: its connection is closed; the last checkpoint is whole"),
        "{said}"
    );
    assert_eq!(info(&killed)["status"], "failed");
    let again = [&borrow(&args)[..], &["--resume"]].concat();
    sarb_ok(&again);
    assert!(test_scores(&whole) == test_scores(&killed), "it took another way");
}

#[test]
fn a_signal_to_any_rank_stops_all_at_the_same_step() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    sarb_ok(&borrow(&on_ranks("ssgrl", &whole, &LONG)));
    for to_first in [true, false] {
        let run = dir.path().join(format!("stopped-{to_first}"));
        let args = on_ranks("ssgrl", &run, &LONG);
        let mut training = command(&borrow(&args)).stderr(Stdio::piped()).spawn().unwrap();
        wait_for_epochs(&mut training, &run, 3);
        let other = children_of(training.id())[0];
        signal(if to_first { training.id() } else { other }, libc::SIGTERM);
        let (code, said) = ended(training);
        assert_eq!(code, Some(75), "{said}");
        assert_eq!(info(&run)["status"], "interrupted", "{said}");
        sarb_ok(&[&borrow(&args)[..], &["--resume"]].concat());
        assert!(test_scores(&whole) == test_scores(&run), "it took another way");
    }
}

/// A rank of two as torchrun starts it, at this port.
fn rank(rank: usize, port: u16, args: &[String]) -> Child {
    let mut command = command(&borrow(args));
    command.env("RANK", rank.to_string()).env("WORLD_SIZE", "2").env("MASTER_PORT", port.to_string());
    command.env("MASTER_ADDR", "localhost").env("RAYON_NUM_THREADS", "1");
    command.env("SARB_RANKS_SECRET", "the secret of this test");
    command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// A port that nobody has.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Both ranks' exit codes and what they say.
fn pair(args: [&[String]; 2]) -> [(Option<i32>, String); 2] {
    let port = free_port();
    let [first, second] = [rank(0, port, args[0]), rank(1, port, args[1])];
    [ended(first), ended(second)]
}

#[test]
fn ranks_that_others_start_meet_and_only_the_first_writes() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let args = |out: PathBuf| on_ranks("ssgrl", &out, &["--ranks", "env"]);
    let ends = pair([&args(at("run")), &args(at("nowhere"))]);
    assert!(ends.iter().all(|(code, _)| *code == Some(0)), "{ends:?}");
    assert!(!at("nowhere").exists() && ends[1].1.is_empty(), "{ends:?}");
    sarb_ok(&borrow(&on_ranks("ssgrl", &at("started"), &["--ranks", "2"])));
    assert!(test_scores(&at("run")) == test_scores(&at("started")));
}

#[test]
fn ranks_with_another_recipe_or_other_labels_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let args = |name: &str, more: &[&str]| {
        on_ranks("bce", &dir.path().join(name), &[&["--ranks", "env"], more].concat())
    };
    let ends = pair([&args("a", &[]), &args("b", &["--seed", "5"])]);
    for (code, said) in &ends {
        assert_eq!(*code, Some(2), "{said}");
        assert!(said.contains("rank 1 has a recipe other than rank 0's"), "{said}");
    }
    let other = data_copy();
    let table = std::fs::read_to_string(other.path().join("train.csv")).unwrap();
    let (head, rest) = table.split_once('\n').unwrap();
    let turned = format!("{head}\n{}", rest.replacen(",1", ",0", 30));
    std::fs::write(other.path().join("train.csv"), turned).unwrap();
    let mut others = args("d", &[]);
    let place = others.iter().position(|arg| arg == "--data").unwrap() + 1;
    others[place] = arg(other.path());
    let ends = pair([&args("c", &[]), &others]);
    for (code, said) in &ends {
        assert_eq!(*code, Some(2), "{said}");
        assert!(said.contains("rank 1 has labels of train.csv other than rank 0's"), "{said}");
    }
    assert!(!dir.path().join("c/checkpoints").exists(), "nothing was begun");
}

#[test]
fn what_ranks_cannot_share_is_refused_before_anything_is_computed() {
    let dir = tempfile::tempdir().unwrap();
    let fails = |args: &[String], env: &[(&str, &str)]| {
        let mut command: Command = command(&borrow(args));
        let output = command.envs(env.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let out = dir.path().join("run");
    for method in ["linear", "role"] {
        let (code, said) = fails(&on_ranks(method, &out, &["--ranks", "2"]), &[]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(&format!("method {method} takes no --ranks")), "{said}");
    }
    let env = on_ranks("bce", &out, &["--ranks", "env"]);
    let (code, said) = fails(&env, &[]);
    assert!(code == Some(2) && said.contains("neither RANK"), "{said}");
    let place = [("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "localhost"), ("MASTER_PORT", "1")];
    let (code, said) = fails(&env, &place);
    assert!(code == Some(2) && said.contains("--ranks-secret FILE"), "{said}");
    assert!(!out.exists());
}
