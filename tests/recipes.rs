//! Recipes and plans by name, from a folder without any; and what `--set` says of a key that is not there.

use std::path::Path;
use std::process::Output;

use crate::support::{arg, command, data, features, sarb_fails, sarb_ok};

/// Runs `sarb` in a folder.
fn run_in(folder: &Path, args: &[&str]) -> Output {
    command(args).current_dir(folder).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_recipe_of_the_program_trains_in_an_empty_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (data, features) = (arg(data()), arg(features().join("train.npy")));
    let args = ["train", "coco18/linear", "--data", &data, "--features", &features, "--out", "run"];
    let output = run_in(dir.path(), &args);
    assert!(output.status.success(), "{}", stderr(&output));
    let recipe = std::fs::read_to_string(dir.path().join("run/recipe.toml")).unwrap();
    assert!(recipe.contains("efficientnet-lite0") && recipe.contains("size_px = 224"), "{recipe}");
}

#[test]
fn a_copy_means_the_same_and_comes_before_the_one_in_the_program() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("coco18")).unwrap();
    let write = ["recipes", "write", "coco18/sarb", "-o", "coco18/sarb.toml"];
    assert!(run_in(dir.path(), &write).status.success());
    let shown = |name: &str| {
        let output = run_in(dir.path(), &["recipes", "show", name]);
        assert!(output.status.success(), "{}", stderr(&output));
        (String::from_utf8(output.stdout.clone()).unwrap(), stderr(&output))
    };
    let (copy, note) = shown("coco18/sarb");
    let (own, silence) = shown("sarb:coco18/sarb");
    assert_eq!((&copy, silence.as_str()), (&own, ""));
    assert!(note.contains("coco18/sarb.toml is read, a file"), "{note}");
    assert!(
        own.contains("dim = 256") && own.contains("neg_neg = \"repel\"") && !own.contains("extends"),
        "{own}"
    );

    let file = dir.path().join("coco18/sarb.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("prototype_interval = 2", "prototype_interval = 7")).unwrap();
    assert!(shown("coco18/sarb").0.contains("prototype_interval = 7"));
    let again = run_in(dir.path(), &write);
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("--force") && shown("coco18/sarb").0.contains("prototype_interval = 7"));
    assert!(run_in(dir.path(), &[&write[..], &["--force"]].concat()).status.success());
    assert_eq!(shown("coco18/sarb").0, own);
}

#[test]
fn everything_that_is_listed_is_shown_and_written() {
    let dir = tempfile::tempdir().unwrap();
    let list: serde_json::Value = serde_json::from_str(&sarb_ok(&["recipes", "list", "--json"])).unwrap();
    let names: Vec<&str> =
        list.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    let text = sarb_ok(&["recipes", "list"]);
    assert!(names.len() > 30 && names.len() == text.lines().count());
    for name in ["plans/coco18", "paper/sarb-attention", "quickstart/trunk"] {
        assert!(names.contains(&name) && text.contains(name));
        let file = arg(dir.path().join("copy.toml"));
        sarb_ok(&["recipes", "write", name, "-o", &file, "--force"]);
        assert_eq!(sarb_ok(&["recipes", "show", &file]), sarb_ok(&["recipes", "show", name]), "{name}");
        assert!(sarb_ok(&["recipes", "show", name, "--as-written"]).starts_with("# "), "{name}");
    }
}

#[test]
fn a_plan_of_the_program_and_rows_by_name_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let output = run_in(dir.path(), &["sweep", "coco18", "--data", "nowhere", "--out", "sweep"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("train.csv"), "{}", stderr(&output));

    std::fs::write(
        dir.path().join("plan.toml"),
        "known = [0.5]\n[[row]]\nname = 'A'\nrecipe = 'coco18/linear'\n",
    )
    .unwrap();
    let (data, train, test) =
        (arg(data()), arg(features().join("train.npy")), arg(features().join("test.npy")));
    let args = [
        "sweep",
        "plan.toml",
        "--data",
        &data,
        "--features",
        &train,
        "--test-features",
        &test,
        "--out",
        "out",
    ];
    let output = run_in(dir.path(), &args);
    assert!(output.status.success(), "{}", stderr(&output));
    let recipe = run_in(dir.path(), &["sweep", "coco18/sarb", "--data", &data, "--out", "out2"]);
    assert!(stderr(&recipe).contains("no plan of this name"), "{}", stderr(&recipe));
}

#[test]
fn a_name_that_is_not_there_says_which_may_be_meant() {
    let dir = tempfile::tempdir().unwrap();
    for (name, meant) in [("recipes/coco18/sarb.toml", "coco18/sarb"), ("coco18/sgrl", "coco18/ssgrl")] {
        let output = run_in(dir.path(), &["train", name, "--data", "x", "--out", "run"]);
        assert_eq!(output.status.code(), Some(4));
        assert!(stderr(&output).contains(&format!("did you mean {meant:?}")), "{}", stderr(&output));
    }
    assert!(sarb_fails(4, &["recipes", "write", "coco18/sgrl", "-o", "x"]).contains("coco18/ssgrl"));
}

#[test]
fn set_names_the_flag_the_key_and_what_is_meant() {
    let train =
        |set: &str| sarb_fails(2, &["train", "coco18/sarb", "--data", "x", "--out", "y", "--set", set]);
    for (set, said) in [
        ("train.epoch=3", "--set train.epoch=3: there is no key train.epoch; did you mean \"train.epochs\"?"),
        ("method.alhpa=0.3", "there is no key method.alhpa of sarb; did you mean \"method.alpha\"?"),
        ("epochs=3", "there is no key epochs; did you mean \"train.epochs\"?"),
        ("method.dim=3", "there is no key method.dim of sarb; did you mean \"method.network.dim\"?"),
        ("method.name=sabr", "did you mean \"sarb\"?"),
        ("method.name=bce", "--method leaves them out"),
        ("method.network=3", "expected a table; `sarb recipes keys network` lists its keys"),
        (
            "train.epochs=many",
            "--set train.epochs=many: train.epochs is \"many\"; expected a whole number, 0 or more",
        ),
        ("train.select=losss", "\"loss\", \"map\", \"last\" or \"test\"; did you mean \"loss\"?"),
        ("data.known=1.5", "--set data.known=1.5: data.known is 1.5; expected a proportion in (0, 1]"),
        ("method.alpha=2", "--set method.alpha=2: method.alpha is 2; expected 0 to 1"),
        ("train.epochs", "--set train.epochs: no `=`"),
        ("train.epochs.x=3", "`epochs` is a value, not a table"),
    ] {
        let message = train(set);
        assert!(message.contains(said), "{set}: {message}");
    }
}

#[test]
fn keys_are_listed_with_type_default_and_range() {
    let keys = sarb_ok(&["recipes", "keys", "network.dim"]);
    assert!(keys.contains("method.network.dim: whole number, 1 or more (default 1024)"), "{keys}");
    let rows: serde_json::Value = serde_json::from_str(&sarb_ok(&["recipes", "keys", "--json"])).unwrap();
    assert!(rows.as_array().unwrap().len() > 80);
    sarb_fails(2, &["recipes", "keys", "no-such-key"]);
}
