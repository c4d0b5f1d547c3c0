//! What a run says of its labels beside filling them: doubts, decisions, what to ask people for and what their answers are good for.

use std::path::Path;

use sarb_labels::{Label, LabelMatrix};
use serde_json::Value;

use crate::half_labeled::{CATEGORIES, IMAGES, made, trained};
use crate::support::{arg, borrow, quick, sarb_fails, sarb_ok};

#[test]
fn a_wrong_label_is_the_first_that_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    let (data, features, truth) = made(dir.path());
    // The surest of the known negatives of the first category becomes a positive.
    let known = sarb_labels::formats::csv::read(&data.join("train.csv")).unwrap();
    let values = sarb_labels::arrays::read_matrix(&features).unwrap().values;
    let value = |row: &usize| values[row * CATEGORIES];
    let negatives = (0..IMAGES).filter(|row| known.labels.get(*row, 0) == Label::Negative);
    let wrong = negatives.min_by(|a, b| value(a).total_cmp(&value(b))).unwrap();
    assert_eq!(truth.get(wrong, 0), Label::Negative);
    let mut labels = known.clone();
    labels.labels.set(wrong, 0, Label::Positive);
    sarb_labels::formats::csv::write(&data.join("train.csv"), &labels).unwrap();
    let (data, features, run) = (arg(&data), arg(features), arg(dir.path().join("run")));
    sarb_ok(&["train", "--method", "linear", "--data", &data, "--features", &features, "--out", &run]);

    let issues = ["labels", "issues", &run];
    let json: Value =
        serde_json::from_str(&sarb_ok(&[&issues[..], &["--json", "--top", "0"]].concat())).unwrap();
    let all = json["issues"].as_array().unwrap();
    let count = labels.labels.count(Label::Positive) + labels.labels.count(Label::Negative);
    assert_eq!((all.len(), json["known"].as_u64().unwrap() as usize), (count, count));
    let first = (all[0]["image"].as_str().unwrap(), all[0]["category"].as_str().unwrap(), &all[0]["label"]);
    assert!(first.0.ends_with(&format!("/{wrong}.png")), "{first:?}");
    assert_eq!((first.1, first.2.as_u64().unwrap()), ("a", 1));

    let table = sarb_ok(&[&issues[..], &["--top", "3"]].concat());
    let first: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(first[1..3], ["a", "there"]);
    // As it is seen from here.
    let image = std::fs::canonicalize(dir.path()).unwrap().join(format!("data/{wrong}.png"));
    assert!(first[0] == arg(&image) || image.ends_with(first[0].trim_start_matches("../")), "{first:?}");
    assert!(table.contains("not there"), "{table}");
    let out = arg(dir.path().join("doubts/list.csv"));
    sarb_ok(&[&issues[..], &["-o", &out]].concat());
    let list = std::fs::read_to_string(&out).unwrap();
    assert!(list.lines().nth(1).unwrap().starts_with(&format!("../data/{wrong}.png,a,1,0.0")), "{list:.200}");
    assert_eq!(list.lines().count(), 101);
    assert!(sarb_fails(2, &[&issues[..], &["-o", &out]].concat()).contains("--force"));
}

#[test]
fn a_run_decides_by_its_own_thresholds() {
    let dir = tempfile::tempdir().unwrap();
    let (data, features, truth) = made(dir.path());
    let (data, features, run) = (data, arg(features), arg(dir.path().join("run")));
    let train = arg(&data);
    sarb_ok(&["train", "--method", "linear", "--data", &train, "--features", &features, "--out", &run]);
    // The same images with all labels.
    let mut all = sarb_labels::formats::csv::read(&data.join("train.csv")).unwrap();
    all.labels = truth.clone();
    sarb_labels::formats::csv::write(&data.join("test.csv"), &all).unwrap();
    let evaluate = |more: &[&str]| -> Value {
        let args = [&["evaluate", &run, "--features", &features, "--json"], more].concat();
        serde_json::from_str(&sarb_ok(&args)).unwrap()
    };
    let of = |value: &Value, key: &str| value[key].as_f64().unwrap();
    let (half, best) = (evaluate(&[]), evaluate(&["--decide", "f1"]));
    assert!((half["map"].as_f64().unwrap() - best["map"].as_f64().unwrap()).abs() < 1e-6);
    assert!(of(&best, "cf1") > of(&half, "cf1") - 0.01, "{half} {best}");
    let (sure, wide) = (evaluate(&["--decide", "precision=0.995"]), evaluate(&["--decide", "recall=99.5%"]));
    assert!(of(&sure, "cp") > 0.98 && of(&wide, "cr") > 0.98, "{sure} {wide}");
    assert!(of(&sure, "cr") < of(&wide, "cr") && of(&sure, "cp") > of(&wide, "cp"), "{sure} {wide}");

    let said =
        sarb_ok(&["predict", &run, "--features", &features, "--format", "jsonl", "--decide", "recall=99.5%"]);
    let (mut found, mut there) = (0, 0);
    for (row, line) in said.lines().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        let names: Vec<&str> =
            line["labels"].as_array().unwrap().iter().map(|label| label["name"].as_str().unwrap()).collect();
        for (category, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
            if truth.get(row, category) == Label::Positive {
                there += 1;
                found += usize::from(names.contains(&name));
            }
        }
    }
    assert!(there > 500 && found * 100 > there * 94, "{found} of {there}");
    let refused = |args: &[&str], expected: &str| {
        let stderr = sarb_fails(2, args);
        assert!(stderr.contains(expected), "{stderr}");
    };
    refused(
        &["predict", &run, "--features", &features, "--decide", "f2"],
        "expected f1, precision=P or recall=P",
    );
    refused(
        &["predict", &run, "--features", &features, "--decide", "f1", "--threshold", "0.5"],
        "cannot be used",
    );
    let bce = dir.path().join("bce");
    sarb_ok(&borrow(&quick("bce", &bce)));
    let test = arg(crate::support::features().join("test.npy"));
    let stderr = sarb_fails(4, &["evaluate", &arg(&bce), "--features", &test, "--decide", "f1"]);
    assert!(stderr.contains("no out-of-fold scores"), "{stderr}");
}

/// Makes labels known by what they say, and returns them: `known` tells of each cell, by its number and whether it is positive.
fn chosen(data: &Path, truth: &LabelMatrix, known: impl Fn(usize, bool) -> bool) -> LabelMatrix {
    let path = data.join("train.csv");
    let mut labels = sarb_labels::formats::csv::read(&path).unwrap();
    for at in 0..IMAGES * CATEGORIES {
        let (row, category) = (at / CATEGORIES, at % CATEGORIES);
        let label = truth.get(row, category);
        let label = if known(at, label == Label::Positive) { label } else { Label::Unknown };
        labels.labels.set(row, category, label);
    }
    sarb_labels::formats::csv::write(&path, &labels).unwrap();
    labels.labels
}

#[test]
fn labels_that_are_not_known_by_chance_draw_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let (data, features, truth) = made(dir.path());
    // Most of what is there was labeled, and little of what is not.
    chosen(&data, &truth, |at, positive| if positive { at % 10 < 7 } else { at % 10 < 2 });
    let (data, features, run) = (arg(&data), arg(features), arg(dir.path().join("run")));
    sarb_ok(&["train", "--method", "linear", "--data", &data, "--features", &features, "--out", &run]);
    let out = arg(dir.path().join("out.csv"));
    let output = crate::support::sarb(&["labels", "fill", &run, "--precision", "0.9", "-o", &out, "--json"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("warning: labels are not known by chance: of those that are likely"), "{stderr}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["known_by_chance"], false);
}

#[test]
fn an_audited_sample_keeps_the_promise_where_labels_are_known_by_choice() {
    let dir = tempfile::tempdir().unwrap();
    let (data, features, truth) = made(dir.path());
    // Of what is there much was labeled, of what is not little: the known labels say that everything is likely.
    let labels = chosen(&data, &truth, |at, positive| if positive { at % 10 < 7 } else { at % 50 < 2 });
    let (train, features, run) = (arg(&data), arg(features), arg(dir.path().join("run")));
    let set = ["--set", "data.validation=0"];
    let args = ["train", "--method", "linear", "--data", &train, "--features", &features, "--out", &run];
    sarb_ok(&[&args[..], &set].concat());

    let ask = arg(dir.path().join("ask.csv"));
    sarb_ok(&["labels", "next", &run, "--budget", "400", "--by", "chance", "-o", &ask]);
    let (mut answers, mut audited) = (String::from("image,category,label\n"), Vec::new());
    for line in std::fs::read_to_string(&ask).unwrap().lines().skip(1) {
        let fields: Vec<&str> = line.splitn(4, ',').collect();
        let row: usize = fields[0].trim_start_matches("data/").trim_end_matches(".png").parse().unwrap();
        let category = ["a", "b", "c", "d"].iter().position(|name| *name == fields[1]).unwrap();
        let answer = u8::from(truth.get(row, category) == Label::Positive);
        answers += &format!("{},{},{answer}\n", fields[0], fields[1]);
        audited.push((row, category));
    }
    assert_eq!(audited.len(), 400);
    let answered = arg(dir.path().join("answers.csv"));
    std::fs::write(&answered, answers).unwrap();

    let precision = |more: &[&str]| {
        let out = arg(dir.path().join("out.csv"));
        let fill = ["labels", "fill", &run, "--precision", "0.9", "-o", &out, "--force"];
        let output = crate::support::sarb(&[&fill[..], more].concat());
        assert!(output.status.success());
        let warned = String::from_utf8_lossy(&output.stderr).contains("not known by chance");
        let after = sarb_labels::formats::csv::read(Path::new(&out)).unwrap();
        let (mut filled, mut right) = (0, 0);
        for (row, category) in
            (0..IMAGES).flat_map(|row| (0..CATEGORIES).map(move |category| (row, category)))
        {
            let is_new = labels.get(row, category) == Label::Unknown && !audited.contains(&(row, category));
            if is_new && after.labels.get(row, category) == Label::Positive {
                filled += 1;
                right += usize::from(truth.get(row, category) == Label::Positive);
            }
        }
        let looked_up = audited
            .iter()
            .all(|&(row, category)| after.labels.get(row, category) == truth.get(row, category));
        assert!(more.is_empty() || looked_up, "what was looked up is taken over");
        (filled, right as f64 / filled.max(1) as f64, warned)
    };
    let (filled, reached, warned) = precision(&[]);
    assert!(filled > 50 && reached < 0.8 && warned, "{filled} {reached} {warned}");
    let (filled, reached, warned) = precision(&["--audited", &answered]);
    assert!(filled > 5 && reached >= 0.85 && !warned, "{filled} {reached} {warned}");

    let refused = |code: i32, lines: &str, expected: &str| {
        let wrong = arg(dir.path().join("wrong.csv"));
        std::fs::write(&wrong, format!("image,category,label\n{lines}")).unwrap();
        let out = arg(dir.path().join("none.csv"));
        let fill = ["labels", "fill", &run, "--precision", "0.9", "-o", &out, "--audited", &wrong];
        let stderr = sarb_fails(code, &fill);
        assert!(stderr.contains(expected) && !Path::new(&out).exists(), "{stderr}");
    };
    refused(3, "data/0.png,e,1\n", "the run has no e");
    refused(3, "data/9999.png,a,1\n", "9999.png");
    let (row, category) = audited[0];
    let name = ["a", "b", "c", "d"][category];
    refused(
        3,
        &format!("data/{row}.png,{name},1\n"),
        "wrong.csv: no negative label is in the audited sample",
    );
    let predict = ["predict", &run, "--features", &features, "--audited", &answered];
    assert!(sarb_fails(2, &predict).contains("without --decide"));
}

#[test]
fn what_is_asked_for_next_is_answered_and_joins_the_labels() {
    let dir = tempfile::tempdir().unwrap();
    let (run, data, truth) = trained(dir.path());
    let known = sarb_labels::formats::csv::read(&data.join("train.csv")).unwrap();
    let out = arg(dir.path().join("ask/list.csv"));
    let ask = ["labels", "next", &run, "--budget", "40"];
    let said: Value = serde_json::from_str(&sarb_ok(&[&ask[..], &["-o", &out, "--json"]].concat())).unwrap();
    assert_eq!(said["ask"].as_array().unwrap().len(), 40);
    let list = std::fs::read_to_string(&out).unwrap();
    let mut lines = list.lines();
    assert_eq!(lines.next().unwrap(), "image,category,label,probability,reason");
    let (mut positives, mut answers) = (0, String::from("image,category,label\n"));
    for line in lines {
        let fields: Vec<&str> = line.splitn(5, ',').collect();
        let row: usize = fields[0].trim_start_matches("../data/").trim_end_matches(".png").parse().unwrap();
        let category = ["a", "b", "c", "d"].iter().position(|name| *name == fields[1]).unwrap();
        assert_eq!((known.labels.get(row, category), fields[2]), (Label::Unknown, ""));
        assert!(fields[4].contains("% probable and has"), "{line}");
        let positive = truth.get(row, category) == Label::Positive;
        positives += usize::from(positive);
        answers += &format!("{},{},{}\n", fields[0], fields[1], if positive { "yes" } else { "no" });
    }
    assert!((8..32).contains(&positives), "{positives} of 40 answers are yes, which were to be uncertain");
    let answered = dir.path().join("ask/answers.csv");
    std::fs::write(&answered, answers).unwrap();
    let joined = arg(dir.path().join("data/train2.csv"));
    sarb_ok(&["data", "convert", &arg(data.join("train.csv")), &arg(&answered), "-o", &joined]);
    let joined = sarb_labels::formats::csv::read(Path::new(&joined)).unwrap();
    assert_eq!((&joined.images, &joined.categories), (&known.images, &known.categories));
    assert_eq!(joined.labels.count(Label::Unknown) + 40, known.labels.count(Label::Unknown));
    assert_eq!(joined.labels.count(Label::Positive), known.labels.count(Label::Positive) + positives);

    // By images, as tasks of Label Studio.
    let tasks = dir.path().join("tasks.json");
    sarb_ok(&[&ask[..], &["--by", "image", "-o", &arg(&tasks)]].concat());
    let tasks: Value = serde_json::from_slice(&std::fs::read(&tasks).unwrap()).unwrap();
    let tasks = tasks.as_array().unwrap();
    assert_eq!(tasks.len(), 40);
    for task in tasks {
        let image = task["data"]["image"].as_str().unwrap();
        let row = image.trim_start_matches("/data/local-files/?d=data/").trim_end_matches(".png");
        let row: usize = row.parse().unwrap_or_else(|_| panic!("{image}"));
        let asked: Vec<&str> = task["data"]["ask"].as_str().unwrap().lines().collect();
        let unknown = known.labels.row(row).filter(|label| *label == Label::Unknown).count();
        assert_eq!(asked.len(), unknown);
        assert!(task["data"]["reason"].as_str().unwrap().starts_with(&format!("{} is ", asked[0])), "{task}");
    }
    let table = sarb_ok(&[&ask[..], &["--by", "image"]].concat());
    assert!(table.contains("… and 20; -o FILE writes them all"), "{table}");

    let refused = |code: i32, more: &[&str], expected: &str| {
        let stderr = sarb_fails(code, &[&ask[..], more].concat());
        assert!(stderr.contains(expected), "{stderr}");
    };
    refused(2, &["-o", &out], "--force");
    refused(2, &["-o", "list.txt"], "expected a name that ends in .csv, or in .json");
    refused(2, &["--seed", "1"], "--by label draws nothing");
    let stderr = sarb_fails(2, &["labels", "next", &run, "--budget", "0"]);
    assert!(stderr.contains("a budget of 0"), "{stderr}");
}

#[test]
fn whoever_gave_wrong_labels_is_named_beside_them() {
    let dir = tempfile::tempdir().unwrap();
    let (_, data, truth) = trained(dir.path());
    // Ben answers every fourth image and sees what is not there; Anna answers the rest well.
    let table = std::fs::read_to_string(data.join("train.csv")).unwrap();
    let mut lines: Vec<String> = table.lines().map(str::to_owned).collect();
    let mut tasks = Vec::new();
    for (row, line) in lines.iter_mut().skip(1).enumerate() {
        let (who, wrong) = if row % 4 == 0 { ("ben", row % 8 == 0) } else { ("anna", false) };
        let image = line.split(',').next().unwrap().to_owned();
        let (mut cells, mut chosen) = (Vec::new(), Vec::new());
        for category in 0..CATEGORIES {
            let there = (truth.get(row, category) == Label::Positive) != wrong;
            cells.push(u8::from(there).to_string());
            if there {
                chosen.push(["a", "b", "c", "d"][category]);
            }
        }
        *line = format!("{image},{}", cells.join(","));
        let result =
            serde_json::json!([{ "from_name": "tags", "type": "choices", "value": { "choices": chosen } }]);
        let annotation = serde_json::json!({ "completed_by": { "email": who }, "result": result });
        tasks.push(serde_json::json!({ "data": { "image": image }, "annotations": [annotation] }));
    }
    std::fs::write(data.join("train.csv"), lines.join("\n") + "\n").unwrap();
    let export = data.join("export.json");
    std::fs::write(&export, serde_json::to_string(&tasks).unwrap()).unwrap();
    let run = arg(dir.path().join("careless"));
    let features = arg(dir.path().join("features.npy"));
    let train =
        ["train", "--method", "linear", "--data", &arg(&data), "--features", &features, "--out", &run];
    sarb_ok(&[&train[..], &["--set", "data.validation=0"]].concat());

    let export = arg(&export);
    let issues = ["labels", "issues", &run, "--top", "50", "--by", &export];
    let stderr = sarb_fails(2, &issues);
    assert!(stderr.contains("--unlisted"), "{stderr}");
    let said = sarb_ok(&[&issues[..], &["--unlisted", "negative", "--json"]].concat());
    let said: Value = serde_json::from_str(&said).unwrap();
    let of_ben =
        said["issues"].as_array().unwrap().iter().filter(|it| it["annotators"] == serde_json::json!(["ben"]));
    assert!(of_ben.count() >= 45, "{said}");
    let [anna, ben] = [0, 1].map(|at| said["annotators"][at].clone());
    assert_eq!((&anna["name"], &ben["name"]), (&Value::from("anna"), &Value::from("ben")));
    assert_eq!((anna["labels"].as_u64(), ben["labels"].as_u64()), (Some(1800), Some(600)));
    let share = |it: &Value| it["expected_wrong"].as_f64().unwrap() / it["labels"].as_f64().unwrap();
    assert!(share(&ben) > 0.3 && share(&anna) < 0.2, "{anna} {ben}");

    let list = arg(dir.path().join("issues.csv"));
    sarb_ok(&[&issues[..], &["--unlisted", "negative", "-o", &list]].concat());
    let list = std::fs::read_to_string(list).unwrap();
    assert!(list.starts_with("image,category,label,probability,annotators\n"), "{list:.100}");
    let stderr = sarb_fails(2, &["labels", "issues", &run, "--unlisted", "negative"]);
    assert!(stderr.contains("--unlisted: without --by"), "{stderr}");
}
