//! A network in ONNX form in place of a backbone: training, evaluation, predictions, and what is refused.

use std::path::{Path, PathBuf};

use crate::support::{arg, borrow, compare_predictions, data, sarb_fails, sarb_ok};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx").join(name)
}

/// Arguments that train a small head on the maps of a network.
fn on_network(file: &Path, method: &str, run: &Path, more: &[&str]) -> Vec<String> {
    let (data, run) = (arg(data()), arg(run));
    let mut args = ["train", "--method", method, "--known", "0.5", "--data", &data, "--out", &run]
        .map(String::from)
        .to_vec();
    let mut sets = vec![format!("backbone.onnx={}", file.display())];
    sets.extend(["train.epochs=2", "train.batch_size=16"].map(String::from));
    if method == "sarb" {
        sets.extend(["method.network.dim=16", "method.network.joint=8"].map(String::from));
    }
    sets.extend(more.iter().map(|set| (*set).to_owned()));
    sets.into_iter().for_each(|set| args.extend(["--set".to_owned(), set]));
    args
}

fn patches(method: &str, run: &Path, output: &str, more: &[&str]) -> Vec<String> {
    let output = format!("backbone.output={output}");
    let more = [&["data.size_px=32", &output], more].concat();
    on_network(&fixture("patches.onnx"), method, run, &more)
}

fn scores(run: &Path) -> Vec<u8> {
    sarb_ok(&["evaluate", &arg(run), "--checkpoint", "last"]);
    std::fs::read(run.join("evaluation/scores.npy")).unwrap()
}

#[test]
fn a_run_on_a_network_evaluates_predicts_and_resumes() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, parts] = ["whole", "parts"].map(|name| dir.path().join(name));
    sarb_ok(&borrow(&patches("sarb", &whole, "map", &["backbone.views=2"])));
    let expected = scores(&whole);
    assert_eq!(compare_predictions(&whole), 24 * 12);
    let maps = arg(dir.path().join("heat"));
    let image = arg(data().join("images"));
    sarb_ok(&["predict", &arg(&whole), &image, "--top", "1", "--maps", &maps]);
    assert!(Path::new(&maps).read_dir().unwrap().count() > 20);

    sarb_ok(&borrow(&patches("sarb", &parts, "map", &["backbone.views=2", "train.epochs=1"])));
    sarb_ok(&["train", "--data", &arg(data()), "--out", &arg(&parts), "--resume", "--set", "train.epochs=2"]);
    assert!(scores(&parts) == expected, "the resumed run took another way");

    let info: serde_json::Value =
        serde_json::from_slice(&std::fs::read(whole.join("run.json")).unwrap()).unwrap();
    let network = std::fs::read(fixture("patches.onnx")).unwrap();
    assert_eq!(info["network"]["hash"], blake3::hash(&network).to_string());
    assert_eq!(info["network"]["file"], arg(fixture("patches.onnx")));
    assert!(!whole.join("backbone.safetensors").exists());
}

#[test]
fn tokens_and_a_map_of_one_network_give_the_same_scores_and_lie_in_caches_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let cache = arg(dir.path().join("cache"));
    let trained = |name: &str, output: &str, more: &[&str]| {
        let run = dir.path().join(name);
        let mut args = patches("linear", &run, output, more);
        args.extend(["--cache".into(), cache.clone()]);
        sarb_ok(&borrow(&args));
        sarb_ok(&["evaluate", &arg(&run), "--cache", &cache]);
        std::fs::read(run.join("evaluation/scores.npy")).unwrap()
    };
    let stores = || {
        let said = sarb_ok(&["doctor", "--cache", &cache]);
        said.lines().filter(|line| line.contains("72 maps") && line.contains("onnx-")).count()
    };
    let map = trained("map", "map", &[]);
    assert_eq!(stores(), 1);
    assert!(trained("tokens", "tokens", &["backbone.skip_tokens=2"]) == map);
    assert_eq!(stores(), 2);
    // What is the same is not computed again; what is not, is.
    trained("again", "map", &[]);
    assert_eq!(stores(), 2);
    assert!(trained("clip", "map", &["backbone.normalization=clip"]) != map);
    assert_eq!(stores(), 3);
    trained("pooled", "map", &["backbone.pool=true"]);
    trained("vector", "vector", &[]);
    trained("numbers", "map", &["backbone.normalization={ mean = [0.5, 0.5, 0.5], std = [1, 1, 1] }"]);
    assert_eq!(stores(), 6);
}

#[test]
fn a_recipe_names_its_network_beside_itself_and_takes_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let [run, recipe, network] = ["run", "fixed.toml", "net.onnx"].map(|name| dir.path().join(name));
    std::fs::copy(fixture("fixed.onnx"), &network).unwrap();
    std::fs::write(&recipe, "[backbone]\nonnx = \"net.onnx\"\n[method]\nname = \"linear\"\n").unwrap();
    let train = ["train", &arg(&recipe), "--data", &arg(data()), "--out", &arg(&run)];
    sarb_ok(&train);
    let saved = std::fs::read_to_string(run.join("recipe.toml")).unwrap();
    for line in [
        &format!("onnx = {:?}", arg(&network)),
        "size_px = 32",
        "freeze = \"all\"",
        "pool = false",
        "normalization = \"imagenet\"",
    ] {
        assert!(saved.contains(line), "{saved}");
    }
    assert!(!saved.contains("name = \"resnet"), "{saved}");
    sarb_ok(&[
        "train",
        &arg(run.join("recipe.toml")),
        "--data",
        &arg(data()),
        "--out",
        &arg(dir.path().join("again")),
    ]);

    // A network that does not say its size asks for it.
    std::fs::copy(fixture("patches.onnx"), &network).unwrap();
    let train = [&train[..], &["--force", "--set", "backbone.output=map"]].concat();
    assert!(sarb_fails(2, &train).contains("say it with data.size_px"));
}

#[test]
fn another_network_in_the_place_of_the_runs_is_refused_and_a_lost_one_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let [run, network, moved] = ["run", "net.onnx", "moved.onnx"].map(|name| dir.path().join(name));
    std::fs::copy(fixture("fixed.onnx"), &network).unwrap();
    sarb_ok(&borrow(&on_network(&network, "bce", &run, &["train.epochs=1"])));
    let expected = scores(&run);
    let hash = |path: &Path| blake3::hash(&std::fs::read(path).unwrap()).to_string();
    let (right, run_arg, data) = (hash(&network), arg(&run), arg(data()));
    let resume = ["train", "--data", &data, "--out", &run_arg, "--resume", "--set", "train.epochs=2"];
    let image = arg(Path::new(&data).join("images"));

    std::fs::copy(fixture("one.onnx"), &network).unwrap();
    for args in [&["evaluate", &run_arg][..], &["predict", &run_arg, &image], &resume] {
        let message = sarb_fails(7, args);
        for part in [&right, &hash(&network), &arg(&network)] {
            assert!(message.contains(part), "{args:?}: {message}");
        }
    }
    std::fs::remove_file(&network).unwrap();
    for args in [&["evaluate", &run_arg][..], &["predict", &run_arg, &image]] {
        let message = sarb_fails(4, args);
        assert!(message.contains(&right) && message.contains(&arg(run.join("net.onnx"))), "{message}");
    }
    assert!(sarb_fails(4, &resume).contains(&arg(&network)));

    // Moved, it is named to the training; a copy in the run's folder goes with the run.
    std::fs::copy(fixture("fixed.onnx"), &moved).unwrap();
    let set = format!("backbone.onnx={}", moved.display());
    std::fs::copy(fixture("fixed.onnx"), run.join("net.onnx")).unwrap();
    assert!(scores(&run) == expected);
    sarb_ok(&[&resume[..], &["--set", &set]].concat());
    assert!(scores(&run) != expected, "the second epoch changed nothing");
}

#[test]
fn what_a_network_cannot_be_used_for_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let fixed = fixture("fixed.onnx");
    for (set, code, said) in [
        ("backbone.freeze=trunk", 2, "is frozen and cannot be trained"),
        ("backbone.freeze=none", 2, "is frozen and cannot be trained"),
        ("data.size_px=64", 2, "set data.size_px = 32"),
        ("backbone.skip_tokens=1", 2, "backbone.skip_tokens is of tokens"),
        ("backbone.output=nowhere", 2, "backbone.output is \"nowhere\""),
        ("backbone.normalization=imgenet", 2, "\"clip\", \"zero-one\""),
        ("backbone.normalization={ mean = [0, 0, 0], std = [1, 0, 1] }", 2, "standard deviations above 0"),
        ("backbone.onnx=nowhere.onnx", 4, "nowhere.onnx: no such file"),
    ] {
        let message = sarb_fails(code, &borrow(&on_network(&fixed, "linear", &run, &[set])));
        assert!(message.contains(said), "{set}: {message}");
    }
    let mut with_weights = on_network(&fixed, "linear", &run, &[]);
    with_weights.extend(["--weights".into(), arg(fixture("fixed.onnx"))]);
    assert!(sarb_fails(2, &borrow(&with_weights)).contains("--weights has no use"));
    let text = dir.path().join("text.onnx");
    std::fs::write(&text, "image,cat\n").unwrap();
    let message = sarb_fails(3, &borrow(&on_network(&text, "linear", &run, &[])));
    assert!(message.contains("not a whole network in ONNX form"), "{message}");
    let message = sarb_fails(7, &borrow(&on_network(&fixture("unknown.onnx"), "linear", &run, &[])));
    assert!(message.contains("Zauberstab"), "{message}");
    let without = ["train", "--data", &arg(data()), "--out", &arg(&run), "--set", "backbone.skip_tokens=1"];
    assert!(sarb_fails(2, &without).contains("name it with backbone.onnx"));
    assert!(!run.exists(), "nothing was trained");
}
