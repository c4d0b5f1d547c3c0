//! Inputs of a sweep: looked at before anything is trained, corrected without training anew.

use std::path::{Path, PathBuf};

use crate::support::{arg, borrow, data_copy, features, sarb_fails, sarb_ok};
use crate::sweep::{Fixture, LINEAR, LINEAR_LOG, SSGRL, count, two_rows};

/// A file of features like another, with other values or rows.
fn changed(features: &Path, change: impl Fn(&mut Vec<f32>, &mut usize)) -> (tempfile::TempDir, PathBuf) {
    let (dir, f) =
        (tempfile::tempdir().unwrap(), sarb_labels::arrays::ArrayFile::open(features, "features").unwrap());
    let shape = f.shape().to_vec();
    let each: usize = shape[1..].iter().product();
    let (mut values, mut rows) = (vec![0.0; shape[0] * each], shape[0]);
    values.chunks_mut(each).enumerate().for_each(|(row, values)| f.read_row(row, values).unwrap());
    change(&mut values, &mut rows);
    let path = dir.path().join("features.npy");
    let shape = [&[rows][..], &shape[1..]].concat();
    sarb_labels::arrays::npy::write(&path, &values, &shape).unwrap();
    (dir, path)
}

#[test]
fn inputs_that_do_not_fit_are_found_before_anything_is_trained() {
    let fixture = two_rows();
    let train = features().join("train.npy");
    let (_dir, short) = changed(&features().join("test.npy"), |values, rows| {
        *rows -= 1;
        values.truncate(*rows * values.len() / (*rows + 1));
    });
    let message = sarb_fails(3, &borrow(&fixture.args_with(&[train, short], &[])));
    assert!(message.contains("23 rows; expected 24"), "{message}");
    assert!(!fixture.out().exists());

    // On images: one is gone, then there are no weights for two of the rows, each said once.
    let fixture = Fixture::new("known = [0.1, 0.5]", &[LINEAR, SSGRL]);
    let folder = data_copy();
    let on_images = || {
        let args =
            ["sweep".into(), arg(fixture.dir.path().join("plan.toml")), "--data".into(), arg(folder.path())];
        [&args[..], &["--out".into(), arg(fixture.out())]].concat()
    };
    let message = sarb_fails(4, &borrow(&on_images()));
    assert!(
        message.contains("needs --weights FILE") && message.matches("needs --weights").count() == 1,
        "{message}"
    );
    let text = std::fs::read_to_string(folder.path().join("test.csv")).unwrap();
    let image = folder.path().join(text.lines().nth(1).unwrap().split(',').next().unwrap());
    std::fs::remove_file(&image).unwrap();
    let message = sarb_fails(4, &borrow(&on_images()));
    assert!(
        message.contains("test.csv: 1 of 24 images are not there") && message.contains(&arg(image)),
        "{message}"
    );
    assert!(!fixture.out().exists());
}

#[test]
fn evaluation_inputs_are_corrected_without_training_anew() {
    let fixture = Fixture::new("known = [0.1, 0.5]", &[LINEAR]);
    let train = features().join("train.npy");
    let (_dir, wrong) = changed(&features().join("test.npy"), |values, _| values.reverse());
    let with = |test: &PathBuf, more: &[&str]| fixture.args_with(&[train.clone(), test.clone()], more);
    sarb_ok(&borrow(&with(&wrong, &[])));
    let map = |fixture: &Fixture| fixture.status()["cells"][1]["map"].as_f64().unwrap();
    let before = map(&fixture);
    let right = features().join("test.npy");
    let message = sarb_fails(2, &borrow(&with(&right, &[])));
    assert!(
        message.contains("2 cells were evaluated with --test-features")
            && message.contains("--evaluate-again"),
        "{message}"
    );
    assert_eq!(map(&fixture), before);
    sarb_ok(&borrow(&with(&right, &["--evaluate-again"])));
    assert!(map(&fixture) > before + 0.1, "{} after {before}", map(&fixture));
    let log = fixture.log(LINEAR_LOG);
    assert_eq!((count(&log, "$ sarb train"), count(&log, "$ sarb evaluate")), (1, 2), "{log}");
    // The same command once more has nothing to do.
    fixture.expect(0, &[]);
    assert_eq!(count(&fixture.log(LINEAR_LOG), "$ sarb evaluate"), 2);
}

#[test]
fn an_error_that_all_cells_share_ends_the_sweep() {
    let fixture = Fixture::new("known = [0.1, 0.5, 0.9]", &[LINEAR, SSGRL]);
    let (_dir, broken) = changed(&features().join("train.npy"), |values, _| values[5] = f32::NAN);
    let test = features().join("test.npy");
    let message = sarb_fails(3, &borrow(&fixture.args_with(&[broken, test], &[])));
    assert!(
        message.contains("the first 3 cells failed with the same error, 3 of 6 were not begun"),
        "{message}"
    );
    assert!(message.contains("row 0, value 5") && message.contains("--retry-failed"), "{message}");
    assert_eq!(fixture.statuses().iter().filter(|status| *status == "waiting").count(), 3);
}
