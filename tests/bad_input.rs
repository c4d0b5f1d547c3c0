//! What users' files can be: each gets a clear message and an exit code, or simply works.

use std::path::Path;

use crate::support::{
    arg, borrow, data_copy, features, heads, quick, sarb, sarb_fails, sarb_ok, test_scores,
};

/// Trains a tiny backbone from scratch on the images of `data`.
fn train_on_images(data: &Path, out: &Path) -> Vec<String> {
    let mut args: Vec<String> = vec![
        "train".into(),
        "--method".into(),
        "bce".into(),
        "--data".into(),
        arg(data),
        "--out".into(),
        arg(out),
    ];
    let sets = [
        "data.size_px=32",
        "backbone.name=resnet-small",
        "backbone.freeze=none",
        "backbone.pool=false",
        "train.epochs=1",
        "train.batch_size=16",
    ];
    sets.iter().for_each(|set| args.extend(["--set".into(), set.to_string()]));
    args
}

fn first_image(data: &Path) -> std::path::PathBuf {
    let text = std::fs::read_to_string(data.join("train.csv")).unwrap();
    data.join(text.lines().nth(1).unwrap().split(',').next().unwrap())
}

#[test]
fn a_broken_image_stops_training_with_its_name() {
    let bytes = std::fs::read(first_image(data_copy().path())).unwrap();
    let mut huge = bytes.clone();
    // The PNG header's width and height, 10,000 × 10,000; its checksum no longer matters.
    huge[16..24].copy_from_slice(&[0, 0, 0x27, 0x10, 0, 0, 0x27, 0x10]);
    for (what, content, code) in [
        ("truncated", &bytes[..bytes.len() / 2], 3),
        ("zero-byte", &[][..], 3),
        ("no image", b"hello, world", 3),
        ("huge", &huge, 3),
    ] {
        let data = data_copy();
        let image = first_image(data.path());
        std::fs::write(&image, content).unwrap();
        let message = sarb_fails(code, &borrow(&train_on_images(data.path(), &data.path().join("run"))));
        assert!(message.contains(&*image.file_name().unwrap().to_string_lossy()), "{what}: {message}");
    }
    let data = data_copy();
    let image = first_image(data.path());
    std::fs::remove_file(&image).unwrap();
    let message = sarb_fails(4, &borrow(&train_on_images(data.path(), &data.path().join("run"))));
    assert!(message.contains(&*image.file_name().unwrap().to_string_lossy()), "{message}");
}

#[test]
fn gray_16_bit_and_misnamed_images_simply_work() {
    let data = data_copy();
    let text = std::fs::read_to_string(data.path().join("train.csv")).unwrap();
    let paths: Vec<_> =
        text.lines().skip(1).take(3).map(|line| data.path().join(line.split(',').next().unwrap())).collect();
    let photo = image::open(&paths[0]).unwrap();
    photo.to_luma8().save(&paths[0]).unwrap();
    photo.to_rgb16().save(&paths[1]).unwrap();
    photo.to_rgb8().save_with_format(&paths[2], image::ImageFormat::Bmp).unwrap();
    sarb_ok(&borrow(&train_on_images(data.path(), &data.path().join("run"))));
}

#[test]
fn a_bad_table_names_line_and_value() {
    let cases: &[(&str, &[u8], &str)] = &[
        ("empty file", b"", "train.csv"),
        ("header only", b"image,cat\n", "no image"),
        ("ragged row", b"image,cat,dog\na.png,1\n", "train.csv:2"),
        ("bad cell", b"image,cat\na.png,yes\n", "yes"),
        ("duplicate image", b"image,cat\na.png,1\na.png,0\n", "train.csv:3"),
        ("duplicate category", b"image,cat,cat\na.png,1,0\n", "cat"),
        ("not UTF-8", b"image,cat\n\xff\xfe.png,1\n", "UTF-8"),
        ("no label known", b"image,cat\na.png,?\nb.png,\n", "no known positive"),
    ];
    for (what, bytes, expected) in cases {
        let data = data_copy();
        std::fs::write(data.path().join("train.csv"), bytes).unwrap();
        let message = sarb_fails(3, &borrow(&train_on_images(data.path(), &data.path().join("run"))));
        assert!(message.contains(expected), "{what}: {message}");
    }
    sarb_fails(4, &["train", "--data", "/nowhere", "--out", "/tmp/never-made"]);
    assert!(!Path::new("/tmp/never-made").exists());
}

#[test]
fn an_unknown_category_of_the_test_file_is_named() {
    let data = data_copy();
    let run = data.path().join("run");
    sarb_ok(&borrow(&train_on_images(data.path(), &run)));
    let csv = data.path().join("test.csv");
    let text = std::fs::read_to_string(&csv).unwrap();
    let first = text.split(['\n', ',']).nth(1).unwrap().to_string();
    std::fs::write(&csv, text.replacen(&first, &format!("{first}x"), 1)).unwrap();
    let message = sarb_fails(3, &["evaluate", &arg(&run)]);
    assert!(message.contains(&format!("{first}x")) && message.contains(&first), "{message}");
}

#[test]
fn recipes_with_unknown_keys_or_values_exit_with_2() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = dir.path().join("r.toml");
    std::fs::write(&recipe, "[train]\nepoch = 3\n").unwrap();
    let data = arg(crate::support::data());
    let out = arg(dir.path().join("run"));
    assert!(sarb_fails(2, &["train", &arg(&recipe), "--data", &data, "--out", &out]).contains("r.toml:2"));
    assert!(
        sarb_fails(2, &["train", "--data", &data, "--out", &out, "--set", "data.known=1.5"])
            .contains("data.known is 1.5")
    );
    assert!(
        sarb_fails(2, &["train", "--data", &data, "--out", &out, "--method", "sarg"])
            .contains("a similar value exists: 'sarb'")
    );
    assert!(sarb_fails(4, &["train", "--data", &data, "--out", &out]).contains("--weights"));
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_category_without_positives_and_an_image_without_labels_train() {
    let data = data_copy();
    let csv = data.path().join("train.csv");
    let text = std::fs::read_to_string(&csv).unwrap();
    let rows: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(line, row)| match line {
            0 => row.to_string(),
            // Nothing is known of the first image; the first category is never seen.
            1 => format!("{}{}", row.split(',').next().unwrap(), ",?".repeat(row.matches(',').count())),
            _ => row.replacen(",1", ",0", usize::from(row.split(',').nth(1) == Some("1"))),
        })
        .collect();
    std::fs::write(&csv, rows.join("\n")).unwrap();
    for method in heads() {
        let run = data.path().join(method);
        let mut args = quick(method, &run);
        let at = args.iter().position(|a| a == "--data").unwrap();
        args[at + 1] = arg(data.path());
        let output = sarb(&borrow(&args));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && stderr.contains("no known positive"), "{method}: {stderr}");
        test_scores(&run);
    }
}

#[test]
fn a_batch_larger_than_the_data_is_one_batch() {
    let dir = tempfile::tempdir().unwrap();
    let mut args = quick("sarb", &dir.path().join("run"));
    args.extend(["--set".into(), "train.batch_size=1000".into()]);
    sarb_ok(&borrow(&args));
}

#[test]
fn weights_that_do_not_fit_or_are_not_finite_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = crate::support::data();
    let weights = dir.path().join("weights.safetensors");
    let train = |out: &str| {
        let mut args = train_on_images(data, &dir.path().join(out));
        args.extend(["--weights".into(), arg(&weights)]);
        args
    };
    let values = [f32::NAN; 27];
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let tensor = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![27], &bytes).unwrap();
    safetensors::serialize_to_file([("conv1.weight", tensor)], None, &weights).unwrap();
    let code = sarb(&borrow(&train("nan"))).status.code();
    assert!(matches!(code, Some(3 | 7)), "{code:?}");
    std::fs::write(&weights, b"not a weight file").unwrap();
    sarb_fails(3, &borrow(&train("garbage")));
    std::fs::remove_file(&weights).unwrap();
    sarb_fails(4, &borrow(&train("none")));
}

#[test]
fn features_of_another_length_or_not_finite_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("features.npy");
    let train = || {
        let mut args = quick("linear", &dir.path().join("run"));
        let at = args.iter().position(|a| a == "--features").unwrap();
        args[at + 1] = arg(&path);
        args
    };
    sarb_labels::arrays::npy::write(&path, &[0.0; 20], &[10, 2]).unwrap();
    let message = sarb_fails(3, &borrow(&train()));
    assert!(message.contains("10") && message.contains("48"), "{message}");
    let mut values = vec![0.5; 48 * 2];
    values[7] = f32::NAN;
    sarb_labels::arrays::npy::write(&path, &values, &[48, 2]).unwrap();
    sarb_fails(3, &borrow(&train()));
}

#[test]
fn divergence_keeps_the_last_good_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut args = quick("ssgrl", &run);
    args.extend(["--set".into(), "train.learning_rate=1e30".into()]);
    let message = sarb_fails(5, &borrow(&args));
    assert!(message.contains("diverged"), "{message}");
    assert!(std::fs::read_to_string(run.join("run.json")).unwrap().contains("\"failed\""));
    test_scores(&run);
}

#[test]
fn a_damaged_checkpoint_is_incompatible_and_a_missing_one_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    sarb_ok(&borrow(&quick("ssgrl", &run)));
    let features = arg(features().join("test.npy"));
    let model = run.join("checkpoints/best/model.bpk");
    let bytes = std::fs::read(&model).unwrap();
    for damaged in [&bytes[..bytes.len() / 2], b"no checkpoint", &[]] {
        std::fs::write(&model, damaged).unwrap();
        sarb_fails(7, &["evaluate", &arg(&run), "--features", &features]);
    }
    std::fs::remove_dir_all(run.join("checkpoints")).unwrap();
    assert!(sarb_fails(4, &["evaluate", &arg(&run), "--features", &features]).contains("no checkpoint"));
    assert!(sarb_fails(4, &["evaluate", &arg(dir.path())]).contains("not a run folder"));
}

#[test]
fn a_run_folder_is_not_overwritten_by_accident() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    std::fs::create_dir(&run).unwrap();
    std::fs::write(run.join("thesis.txt"), "mine").unwrap();
    assert!(sarb_fails(2, &borrow(&quick("linear", &run))).contains("not empty"));
    let mut forced = quick("linear", &run);
    forced.push("--force".into());
    assert!(sarb_fails(2, &borrow(&forced)).contains("is not a run"));
    forced.pop();
    forced.push("--resume".into());
    assert!(sarb_fails(2, &borrow(&forced)).contains("is not a run"));
    assert_eq!(std::fs::read_to_string(run.join("thesis.txt")).unwrap(), "mine");
}

#[test]
fn force_replaces_a_run_and_leaves_what_is_not_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    sarb_ok(&borrow(&quick("sarb", &run)));
    std::fs::write(run.join("notes.txt"), "mine").unwrap();
    let mut args = quick("linear", &run);
    args.push("--force".into());
    sarb_ok(&borrow(&args));
    assert_eq!(std::fs::read_to_string(run.join("notes.txt")).unwrap(), "mine");
    assert!(std::fs::read_to_string(run.join("run.json")).unwrap().contains("\"linear\""));
    test_scores(&run);
}

#[test]
fn sizes_and_options_that_contradict_each_other_are_refused() {
    let data = data_copy();
    let with = |set: &str| {
        let mut args = train_on_images(data.path(), &data.path().join("run"));
        args.extend(["--set".into(), set.into()]);
        args
    };
    let mut tiny = with("backbone.name=resnet18");
    tiny.extend(["--set".into(), "backbone.pool=true".into()]);
    assert!(sarb_fails(2, &borrow(&tiny)).contains("too small for resnet18"));
    assert!(sarb_fails(2, &borrow(&with("backbone.views=2"))).contains("backbone.views"));
    let mut both = quick("linear", &data.path().join("run"));
    both.extend(["--weights".into(), "weights.pth".into()]);
    assert!(sarb_fails(2, &borrow(&both)).contains("--weights has no use"));
}

#[test]
fn features_of_another_width_are_refused_at_evaluation() {
    let dir = tempfile::tempdir().unwrap();
    let (run, other) = (dir.path().join("run"), dir.path().join("other.npy"));
    sarb_ok(&borrow(&quick("ssgrl", &run)));
    sarb_labels::arrays::npy::write(&other, &[0.5; 24 * 7], &[24, 7]).unwrap();
    let message = sarb_fails(3, &["evaluate", &arg(&run), "--features", &arg(&other)]);
    assert!(message.contains("7 channels") && message.contains("24"), "{message}");
    assert!(sarb_fails(2, &["evaluate", &arg(&run)]).contains("--features"));
}

#[test]
fn one_category_and_no_validation_split_train() {
    let data = data_copy();
    for split in ["train.csv", "test.csv"] {
        let path = data.path().join(split);
        let text = std::fs::read_to_string(&path).unwrap();
        let rows: Vec<String> =
            text.lines().map(|row| row.split(',').take(2).collect::<Vec<_>>().join(",")).collect();
        std::fs::write(&path, rows.join("\n")).unwrap();
    }
    for method in heads() {
        let run = data.path().join(method);
        let mut args = quick(method, &run);
        let at = args.iter().position(|a| a == "--data").unwrap();
        args[at + 1] = arg(data.path());
        args.extend(["--set", "data.validation=0"].map(String::from));
        sarb_ok(&borrow(&args));
        test_scores(&run);
        let info = std::fs::read_to_string(run.join("run.json")).unwrap();
        let last = if method == "linear" { "0" } else { "4" };
        assert!(info.contains(&format!("\"best_epoch\": {last}")), "{method}: {info}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_so_and_loses_nothing_saved() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=400k", "tmpfs", &arg(&disk)])
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("skipped: a small disk can be mounted by root only");
        return;
    }
    let run = disk.join("run");
    let mut args = quick("sarb", &run);
    args.extend(["--set", "method.network.dim=64", "--set", "train.epochs=30"].map(String::from));
    let output = sarb(&borrow(&args));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let left_over = std::fs::read_dir(run.join("checkpoints")).map(|entries| entries.count());
    std::process::Command::new("umount").arg(arg(&disk)).status().unwrap();
    assert_eq!(output.status.code(), Some(4), "{stderr}\n{left_over:?}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn predict_goes_on_after_an_image_it_cannot_read() {
    let data = data_copy();
    let run = data.path().join("run");
    sarb_ok(&borrow(&train_on_images(data.path(), &run)));
    let broken = data.path().join("broken.jpg");
    std::fs::write(&broken, b"not a photograph").unwrap();
    let good = first_image(data.path());
    let output = sarb(&["predict", &arg(&run), &arg(&broken), &arg(&good), "--format", "jsonl"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
    assert!(String::from_utf8_lossy(&output.stderr).contains("broken.jpg"));
    let empty = tempfile::tempdir().unwrap();
    sarb_fails(4, &["predict", &arg(&run), &arg(empty.path())]);
}
