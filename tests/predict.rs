//! Predictions: of features, of a list that is still being written, of the categories that are sure enough.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{
    arg, borrow, command, data, features, quick, sarb_fails, sarb_ok, test_scores, train_on_images,
};

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn features_are_named_as_evaluate_scores_them() {
    let dir = tempfile::tempdir().unwrap();
    let run_path = dir.path().join("run");
    sarb_ok(&borrow(&quick("linear", &run_path)));
    let scores = test_scores(&run_path);
    let (run, file) = (arg(&run_path), arg(features().join("test.npy")));
    let predict = ["predict", &run, "--features", &file, "--format", "jsonl"];
    let lines = json_lines(&sarb_ok(&predict));
    assert_eq!(lines.len(), 24);
    let categories: Vec<String> = std::fs::read_to_string(data().join("test.csv"))
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .split(',')
        .skip(1)
        .map(String::from)
        .collect();
    let values = &scores[scores.len() - 24 * categories.len() * 4..];
    let logits = values.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
    let logits: Vec<f32> = logits.collect();
    for (row, line) in lines.iter().enumerate() {
        assert_eq!(line["image"], row.to_string());
        for label in line["labels"].as_array().unwrap() {
            let column = categories.iter().position(|name| label["name"] == *name).unwrap();
            let expected = f64::from(logits[row * categories.len() + column]);
            let found = label["logit"].as_f64().unwrap();
            assert!((found - expected).abs() < 1e-4, "{row} {column}: {found} is not {expected}");
        }
    }

    let images: Vec<String> = (0..24).map(|row| format!("photo-{row}.jpg")).collect();
    let named = json_lines(&sarb_ok(&[&predict[..], &borrow(&images)].concat()));
    assert_eq!((&named[23]["image"], &named[23]["labels"]), (&"photo-23.jpg".into(), &lines[23]["labels"]));
    let message = sarb_fails(3, &[&predict[..], &borrow(&images[1..])].concat());
    assert!(message.contains("24 rows, but 23 names"), "{message}");
    let folder = arg(data().join("images"));
    assert!(sarb_fails(2, &[&predict[..], &[&folder]].concat()).contains("does not say which row"));
    sarb_fails(4, &["predict", &run, "--features", "gone.npy"]);
    assert!(sarb_fails(2, &["predict", &run, &folder]).contains("cannot read images"));
}

#[test]
fn a_threshold_leaves_the_categories_that_are_sure_enough() {
    let dir = tempfile::tempdir().unwrap();
    let run_path = dir.path().join("run");
    sarb_ok(&borrow(&quick("linear", &run_path)));
    let (run, file) = (arg(&run_path), arg(features().join("test.npy")));
    let predict = |more: &[&str]| {
        let args = ["predict", &run, "--features", &file, "--format", "jsonl"];
        json_lines(&sarb_ok(&[&args[..], more].concat()))
    };
    let count = |lines: &[Value]| lines.iter().map(|l| l["labels"].as_array().unwrap().len()).sum::<usize>();
    let (all, sure, half) =
        (predict(&[]), predict(&["--threshold", "80%"]), predict(&["--threshold", "0.5"]));
    assert!(0 < count(&sure) && count(&sure) < count(&half) && count(&half) < count(&all));
    let least = |lines: &[Value]| {
        let labels = lines.iter().flat_map(|line| line["labels"].as_array().unwrap().clone());
        labels.map(|label| label["probability"].as_f64().unwrap()).fold(1.0, f64::min)
    };
    assert!(least(&sure) >= 0.8 && least(&half) >= 0.5 && least(&half) < 0.8);
    let both = predict(&["--threshold", "0.5", "--top", "1"]);
    assert!(both.iter().all(|line| line["labels"].as_array().unwrap().len() <= 1));
    assert!(sarb_fails(2, &["predict", &run, "--features", &file, "--threshold", "80"]).contains("80%"));
    assert!(
        sarb_fails(2, &["predict", &arg(&run_path), "--features", &file, "--maps", "m"]).contains("--maps")
    );
}

#[test]
fn parts_of_a_list_go_to_files_of_their_own_that_together_are_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let run_path = dir.path().join("run");
    sarb_ok(&borrow(&quick("linear", &run_path)));
    let (run, file) = (arg(&run_path), arg(features().join("test.npy")));
    let (text, table) =
        (arg(dir.path().join("out/scores.jsonl")), arg(dir.path().join("out/scores.parquet")));
    let predict = ["predict", &run, "--features", &file];
    let to = |out: &str, more: &[&str]| sarb_ok(&[&predict[..], &["--out", out], more].concat());
    assert_eq!(to(&text, &[]), format!("{text}\n"));
    let whole = std::fs::read_to_string(&text).unwrap();
    let printed = sarb_ok(&[&predict[..], &["--format", "jsonl"]].concat());
    assert!(whole == printed, "what is printed is what is written");
    let mut parts = String::new();
    for (index, part) in ["0/5", "1/5", "2/5", "3/5", "4/5"].iter().enumerate() {
        to(&text, &["--shard", part]);
        let name = format!("scores-0000{index}-of-00005.jsonl");
        parts += &std::fs::read_to_string(dir.path().join("out").join(name)).unwrap();
        to(&table, &["--shard", part]);
    }
    // How many rows go through the network at once shows in the last digits.
    let (parts, whole) = (json_lines(&parts), json_lines(&whole));
    assert_eq!(parts.len(), whole.len());
    for (part, whole) in parts.iter().zip(&whole) {
        assert_eq!(part["image"], whole["image"]);
        let best = |line: &Value| line["labels"][0]["logit"].as_f64().unwrap();
        assert!((best(part) - best(whole)).abs() < 1e-4, "{part} {whole}");
    }
    let third = dir.path().join("out/scores-00003-of-00005.parquet");
    let bytes = std::fs::read(&third).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));

    // A part that is there is not made again; one that went is.
    std::fs::write(&third, "kept").unwrap();
    to(&table, &["--shard", "3/5"]);
    assert_eq!(std::fs::read(&third).unwrap(), b"kept");
    std::fs::remove_file(&third).unwrap();
    to(&table, &["--shard", "3/5"]);
    assert_eq!(std::fs::read(&third).unwrap(), bytes);
    let in_array = command(&[&predict[..], &["--out", &text, "--shard", "array", "--force"]].concat())
        .envs([("AWS_BATCH_JOB_ARRAY_INDEX", "2"), ("AWS_BATCH_JOB_ARRAY_SIZE", "5")])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&in_array.stdout).trim(),
        text.replace(".jsonl", "-00002-of-00005.jsonl")
    );

    let refused = |more: &[&str], expected: &str| {
        let message = sarb_fails(2, &[&predict[..], more].concat());
        assert!(message.contains(expected), "{message}");
    };
    refused(&["--out", &text], "--force");
    refused(&["--out", "scores.txt"], "expected a name that ends in .csv, .jsonl, .parquet or .npy");
    refused(&["--format", "parquet"], "needs a file");
    refused(&["--shard", "0/2"], "--out");
    refused(&["--out", &table, "--shard", "2/2"], "there is no shard 2 of 2");
    refused(&["--out", &table, "--shard", "array"], "no variable of Slurm");
}

#[test]
fn a_list_on_stdin_is_answered_line_by_line_and_a_signal_ends_the_wait() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    train_on_images(&run);
    let mut child = command(&["predict", &arg(&run), "-", "--format", "csv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    let images: Vec<_> = std::fs::read_dir(data().join("images")).unwrap().take(2).collect();
    for (place, image) in images.into_iter().enumerate() {
        let image = arg(image.unwrap().path());
        writeln!(stdin, "{image}\n").unwrap();
        // The heading comes with the first answer.
        if place == 0 {
            assert!(answers.next().unwrap().unwrap().starts_with("image,"));
        }
        assert!(answers.next().unwrap().unwrap().starts_with(&image));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(75));
    drop(stdin);
}

#[test]
fn images_that_are_scored_at_once_have_the_scores_that_each_has_alone() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    train_on_images(&run);
    let (run, broken) = (arg(&run), arg(dir.path().join("broken.jpg")));
    std::fs::write(&broken, "no image").unwrap();
    let mut images: Vec<String> =
        std::fs::read_dir(data().join("images")).unwrap().map(|image| arg(image.unwrap().path())).collect();
    images.insert(5, broken.clone());
    let predict = |images: &[&str], threads: &str| {
        let output = command(&[&["predict", &run, "--format", "jsonl"], images].concat())
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(if said.contains("broken.jpg") { 3 } else { 0 }), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = borrow(&images);
    let together = predict(&listed, "3");
    assert_eq!(together.lines().count(), images.len() - 1);
    assert!(together == predict(&listed, "1"));
    let some = [&listed[..7], &listed[listed.len() - 1..]].concat();
    let alone: String = some.iter().map(|image| predict(&[image], "2")).collect();
    let lines: Vec<&str> = together.lines().collect();
    let expected = [&lines[..6], &lines[lines.len() - 1..]].concat();
    assert_eq!(alone.lines().collect::<Vec<_>>(), expected);
}
