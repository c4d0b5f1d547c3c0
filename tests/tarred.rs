//! Images that lie in tar files alone: every command opens them, and the numbers are those of the files.

use std::path::Path;

use sarb_labels::formats::csv;

use crate::support::{arg, data, data_copy, random_trunk, sarb_fails, sarb_ok};

/// A tiny backbone, one epoch.
const SETS: [&str; 5] = [
    "data.size_px=32",
    "backbone.name=resnet-small",
    "backbone.pool=false",
    "train.epochs=1",
    "train.batch_size=16",
];

/// The generated data as tar files and label files made from them; the images themselves are gone.
fn tarred() -> tempfile::TempDir {
    let folder = data_copy();
    let at = |name: &str| folder.path().join(name);
    for (split, shards) in [("train", 2), ("test", 1)] {
        let labels = at(&format!("{split}.csv"));
        let whole = csv::read(&labels).unwrap();
        let each = whole.images.len() / shards;
        for shard in 0..shards {
            let part = at("part.csv");
            let rows: Vec<usize> = (shard * each..(shard + 1) * each).collect();
            csv::write(&part, &whole.select(&rows)).unwrap();
            let tar = at(&format!("shards/{split}/{shard:03}.tar"));
            sarb_ok(&["data", "convert", &arg(part), "-o", &arg(tar)]);
        }
        let shards = arg(at(&format!("shards/{split}")));
        sarb_ok(&["data", "convert", &shards, "-o", &arg(&labels), "--force"]);
        let back = csv::read(&labels).unwrap();
        assert_eq!((&back.labels, &back.categories), (&whole.labels, &whole.categories));
    }
    std::fs::remove_file(at("part.csv")).unwrap();
    std::fs::remove_dir_all(at("images")).unwrap();
    folder
}

/// Trains in a folder of its own, with a cache of its own, and returns the scores of the test images.
fn scores(data: &Path, method: &str, more: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let [run, cache] = ["run", "cache"].map(|name| arg(folder.path().join(name)));
    let data = arg(data);
    let mut args = vec!["train", "--method", method, "--known", "0.5", "--data", &data, "--out", &run];
    args.extend(["--cache", &cache]);
    SETS.iter().for_each(|set| args.extend(["--set", set]));
    args.extend(more);
    sarb_ok(&args);
    sarb_ok(&["evaluate", &run, "--cache", &cache]);
    std::fs::read(Path::new(&run).join("evaluation/scores.npy")).unwrap()
}

#[test]
fn training_from_tar_files_gives_the_numbers_of_training_from_files() {
    let (tarred, folder) = (tarred(), tempfile::tempdir().unwrap());
    let text = std::fs::read_to_string(tarred.path().join("train.csv")).unwrap();
    assert!(text.lines().nth(1).unwrap().starts_with("shards/train/000.tar/00000000.png,"), "{text}");
    assert!(text.lines().last().unwrap().starts_with("shards/train/001.tar/00000023.png,"), "{text}");
    let weights = random_trunk(folder.path());
    // Maps that are computed once, and images that are read anew by the loader's threads.
    let frozen = ["--weights", &weights, "--set", "backbone.freeze=all"];
    let trained = ["--set", "backbone.freeze=none", "--set", "train.learning_rate=0.001"];
    for (method, more) in [("linear", frozen), ("bce", trained)] {
        let [files, members] = [data(), tarred.path()].map(|data| scores(data, method, &more));
        assert!(files == members, "{method}: other scores from tar files");
    }
}

#[test]
fn members_are_checked_shown_and_predicted() {
    let (tarred, folder) = (tarred(), tempfile::tempdir().unwrap());
    let said = sarb_ok(&["data", "check", &arg(tarred.path())]);
    assert!(said.contains("\n0 errors, "), "{said}");
    let page = folder.path().join("page.html");
    sarb_ok(&["data", "inspect", &arg(tarred.path()), "--html", &arg(&page), "--sheet", "2"]);
    let html = std::fs::read_to_string(&page).unwrap();
    assert_eq!(html.matches("data:image/jpeg;base64,").count(), 4);

    let (run, data) = (arg(folder.path().join("run")), arg(tarred.path()));
    let weights = random_trunk(folder.path());
    let mut args = vec!["train", "--method", "linear", "--data", &data, "--out", &run, "--weights", &weights];
    SETS.iter().chain(&["backbone.freeze=all"]).for_each(|set| args.extend(["--set", set]));
    sarb_ok(&args);
    let shard = tarred.path().join("shards/test/000.tar");
    let member = |name: &str| arg(shard.join(name));
    let (there, missing, out) = (member("00000003.png"), member("9.png"), member("../000.tar"));
    assert_eq!(sarb_ok(&["predict", &run, &there, "--format", "csv"]).lines().count(), 2);
    let all = csv::read(&tarred.path().join("test.csv")).unwrap().images.len();
    assert_eq!(sarb_ok(&["predict", &run, &arg(&shard), "--format", "csv"]).lines().count(), all + 1);
    let error = sarb_fails(3, &["predict", &run, &there, &missing, &out]);
    assert!(error.contains("000.tar/9.png: the tar file has no such member"), "{error}");
    assert!(error.contains("a path with \"..\"; expected a path below the tar file"), "{error}");
    assert!(error.contains("2 of 3 images could not be read"), "{error}");
}

#[test]
fn what_is_wrong_with_a_tar_file_stops_training_with_its_name() {
    let (tarred, runs) = (tarred(), tempfile::tempdir().unwrap());
    let data = arg(tarred.path());
    let fails = |code: i32, name: &str| {
        let run = arg(runs.path().join(name));
        let mut args = vec!["train", "--method", "bce", "--data", &data, "--out", &run];
        SETS.iter().chain(&["backbone.freeze=none"]).for_each(|set| args.extend(["--set", set]));
        sarb_fails(code, &args)
    };
    let tar = tarred.path().join("shards/train/001.tar");
    let whole = std::fs::read(&tar).unwrap();
    std::fs::write(&tar, &whole[..whole.len() / 2]).unwrap();
    let error = fails(3, "damaged");
    assert!(error.contains("001.tar: not read as a tar file"), "{error}");
    std::fs::remove_file(&tar).unwrap();
    let error = fails(4, "gone");
    assert!(error.contains("001.tar/") && error.contains("no such file"), "{error}");
}
