use std::path::Path;

use sarb_labels::cooccurrence::Cooccurrence;

use super::*;

fn recipe_file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn the_methods_that_read_a_graph_are_known() {
    let reads = |method: &str, sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        Recipe::read(None, Some(method), &sets).unwrap().method.reads_graph()
    };
    let plain = [
        "linear",
        "bce",
        "partial-bce",
        "asl",
        "csl",
        "hill",
        "splc",
        "large-loss",
        "em",
        "role",
        "sr",
        "curriculum",
    ];
    for method in crate::METHODS {
        assert_eq!(reads(method, &[]), !plain.contains(method), "{method}");
    }
    assert!(reads("bce", &["method.head=ssgrl"]));
}

#[test]
fn a_typo_is_an_error_with_its_line() {
    let file = recipe_file("seed = 1\n[train]\nepochs = 3\nlearing_rate = 0.1\n");
    let error = Recipe::read(Some(file.path()), None, &[]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let text = error.to_string();
    assert!(text.contains(":4: unknown field `learing_rate`") && text.contains("learning_rate"), "{text}");
}

#[test]
fn a_seed_beyond_the_numbers_of_toml_says_where_they_end() {
    for seed in ["9223372036854775808", "18446744073709551615", "99999999999999999999"] {
        let file = recipe_file(&format!("[data]\nknown = 0.5\n[train]\nepochs = 3\nbatch_size = {seed}\n"));
        let in_file = Recipe::read(Some(file.path()), None, &[]).unwrap_err().to_string();
        assert!(in_file.contains(":5: "), "{in_file}");
        let set = Recipe::read(None, None, &[format!("seed={seed}")]).unwrap_err().to_string();
        for said in [in_file, set] {
            assert!(said.contains("9223372036854775807"), "{seed}: {said}");
        }
    }
}

#[test]
fn a_typo_in_the_methods_settings_is_an_error() {
    let error = Recipe::read(None, Some("sarb"), &["method.alhpa=0.3".into()]).unwrap_err().to_string();
    assert!(error.contains("alhpa"), "{error}");
}

#[test]
fn values_out_of_range_name_key_value_and_range() {
    let error = Recipe::read(None, None, &["data.known=1.5".into()]).unwrap_err().to_string();
    assert_eq!(error, "--set data.known=1.5: data.known is 1.5; expected a proportion in (0, 1]");
    assert!(Recipe::read(None, None, &["train.epochs=-1".into()]).is_err());
    assert!(Recipe::read(None, None, &["train.learning_rate=nan".into()]).is_err());
}

#[test]
fn an_override_wins_and_a_bare_word_is_a_string() {
    let file = recipe_file("[train]\nepochs = 3\n[method]\nname = \"sarb\"\n");
    let sets =
        ["train.epochs=5".to_string(), "train.select=last".to_string(), "method.network.dim=64".to_string()];
    let recipe = Recipe::read(Some(file.path()), None, &sets).unwrap();
    assert_eq!((recipe.train.epochs, recipe.train.select), (5, Select::Last));
    assert_eq!(recipe.method.name(), "sarb");
}

#[test]
fn settings_of_a_method_without_a_recipe_are_the_default_methods() {
    let recipe = Recipe::read(None, None, &["method.network.dim=64".into()]).unwrap();
    let MethodRecipe::Sarb(sarb) = &recipe.method else { panic!("{:?}", recipe.method) };
    assert_eq!(sarb.network.dim, 64);
}

#[test]
fn the_resolved_recipe_reads_back_equal() {
    let recipe = Recipe::read(None, Some("sarb"), &["data.known=0.1".into()]).unwrap();
    let file = recipe_file(&recipe.to_toml());
    assert_eq!(Recipe::read(Some(file.path()), None, &[]).unwrap(), recipe);
}

#[test]
fn every_recipe_of_the_repository_is_valid() {
    let mut read = 0;
    for profile in ["coco18", "paper", "quickstart"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes").join(profile);
        for file in std::fs::read_dir(folder).unwrap() {
            Recipe::read(Some(&file.unwrap().path()), None, &[]).unwrap();
            read += 1;
        }
    }
    assert!(read >= 10, "{read} recipes");
}

#[test]
fn validation_is_a_share_the_file_or_whichever_there_is() {
    let read = |value: &str| Recipe::read(None, None, &[format!("data.validation={value}")]);
    let folder = tempfile::tempdir().unwrap();
    for (value, expected, without, with) in [
        ("0.25", Validation::Share(0.25), Validation::Share(0.25), Validation::Share(0.25)),
        ("0", Validation::Share(0.0), Validation::Share(0.0), Validation::Share(0.0)),
        ("val.csv", Validation::File, Validation::File, Validation::File),
        ("auto", Validation::Auto, Validation::Share(0.1), Validation::File),
    ] {
        let recipe = read(value).unwrap();
        assert_eq!(recipe.data.validation, expected);
        let file = recipe_file(&recipe.to_toml());
        assert_eq!(Recipe::read(Some(file.path()), None, &[]).unwrap(), recipe, "{value}");

        let path = folder.path().join("val.csv");
        assert_eq!(recipe.clone().settled(folder.path()).unwrap().data.validation, without, "{value}");
        std::fs::write(&path, "").unwrap();
        assert_eq!(recipe.settled(folder.path()).unwrap().data.validation, with, "{value}");
        std::fs::remove_file(&path).unwrap();
    }
    assert_eq!(Recipe::default().data.validation, Validation::Auto);
    let accepted = "expected \"auto\", \"val.csv\" or a proportion in [0, 1)";
    for value in ["1.0", "-1", "nan", "test.csv", "true"] {
        let error = read(value).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(accepted), "{value}: {error}");
    }
}

#[test]
fn step_schedule_decays_at_the_papers_epoch() {
    let train = TrainRecipe::default();
    assert_eq!(train.learning_rate_at(9 * 100 + 99, 100), 1e-5);
    assert!((train.learning_rate_at(10 * 100, 100) - 1e-6).abs() < 1e-18);
}

/// Files in a folder, by name.
fn recipe_folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn a_recipe_that_extends_another_says_what_differs() {
    let folder = recipe_folder(&[
        (
            "ssgrl.toml",
            "[train]\nepochs = 3\nbatch_size = 4\n[method]\nname = 'ssgrl'\n[method.network]\ndim = 64\njoint = 32",
        ),
        (
            "sarb.toml",
            "extends = 'ssgrl.toml'\n[train]\nepochs = 5\n[method]\nname = 'sarb'\nalpha = 0.25\n[method.network]\njoint = 16",
        ),
        ("instance.toml", "extends = 'sarb.toml'\n[method]\nname = 'sarb'\nblends = ['instance']"),
        ("linear.toml", "extends = 'sarb.toml'\n[method]\nname = 'linear'"),
        ("small.toml", "[backbone]\nname = 'efficientnet-lite0'\nfreeze = 'all'\npool = false\nviews = 2"),
        ("large.toml", "extends = 'small.toml'\n[backbone]\nname = 'efficientnet-lite2'"),
        ("circle.toml", "extends = 'circle.toml'"),
        ("lost.toml", "extends = 'nowhere.toml'"),
    ]);
    let read = |name: &str| Recipe::read(Some(&folder.path().join(name)), None, &[]);
    let recipe = read("instance.toml").unwrap();
    assert_eq!((recipe.train.epochs, recipe.train.batch_size), (5, 4));
    let MethodRecipe::Sarb(sarb) = &recipe.method else { panic!("{:?}", recipe.method) };
    assert_eq!((sarb.network.dim, sarb.network.joint, sarb.alpha, sarb.blends.len()), (64, 16, 0.25, 1));
    assert!(recipe.extends.is_none(), "a resolved recipe stands alone");
    assert_eq!(read("linear.toml").unwrap().method.name(), "linear");
    let backbone = read("large.toml").unwrap().backbone;
    assert_eq!((backbone.freeze, backbone.pool, backbone.views), (Freeze::All, false, 2));
    assert!(read("circle.toml").unwrap_err().to_string().contains("circle"));
    assert_eq!(read("lost.toml").unwrap_err().exit_code(), 4);
}

#[test]
fn the_reference_protocol_sets_what_the_official_code_does() {
    let recipe = Recipe::read(None, Some("sarb"), &["protocol=reference".into()]).unwrap();
    assert_eq!(
        (recipe.data.cooccurrence, recipe.data.validation, recipe.train.drop_last, recipe.train.select),
        (Cooccurrence::Reference, Validation::Share(0.0), true, Select::Test)
    );
    let MethodRecipe::Sarb(sarb) = &recipe.method else { panic!("{:?}", recipe.method) };
    assert!(sarb.overwrite_known && sarb.prototype_restarts == 10);
    // Saved and read again it is the same.
    let file = recipe_file(&recipe.to_toml());
    assert_eq!(Recipe::read(Some(file.path()), None, &[]).unwrap(), recipe);
}

#[test]
fn a_setting_that_contradicts_the_reference_protocol_is_an_error() {
    let read = |set: &str| Recipe::read(None, Some("sarb"), &["protocol=reference".into(), set.into()]);
    let error = read("train.drop_last=false").unwrap_err().to_string();
    assert!(error.contains("means train.drop_last = true"), "{error}");
    let error = read("method.network.output_bias=prior").unwrap_err().to_string();
    assert!(error.contains("method.network.output_bias = \"random\""), "{error}");
    assert!(read("train.epochs=3").is_ok());
    let error = Recipe::read(None, None, &["train.select=test".into()]).unwrap_err().to_string();
    assert!(error.contains("optimistic"), "{error}");
}

#[test]
fn a_key_under_its_old_name_is_read_with_a_note() {
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), "[method]\nname = 'linear'\nstandardise = true\n").unwrap();
    let (recipe, notes) = Recipe::read_with_notes(Some(file.path()), None, &[]).unwrap();
    assert!(recipe.to_toml().contains("standardize = true"), "{}", recipe.to_toml());
    assert_eq!(notes.len(), 1);
    assert!(notes[0].ends_with(": method.standardise is now called method.standardize"), "{notes:?}");
    assert!(Recipe::read_with_notes(None, Some("linear"), &[]).unwrap().1.is_empty());
}
