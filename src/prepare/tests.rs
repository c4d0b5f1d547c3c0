use std::path::Path;

use sarb_labels::arrays::npy;

use super::*;
use crate::inputs::Cache;
use crate::loader::View;

/// Six images, four of whose labels are unknown.
const TRAIN: &str = "image,cat,dog\na.jpg,1,0\nb.jpg,0,1\nc.jpg,1,?\nd.jpg,?,0\ne.jpg,1,1\nf.jpg,?,?\n";
/// In another order of the categories.
const VAL: &str = "image,dog,cat\nx.jpg,1,0\ny.jpg,?,1\n";

/// A data folder with features of 3 channels for `train.csv` and for so many rows of `val.csv`.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(val: Option<&str>) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("train.csv", TRAIN);
        folder.features("train.npy", 6, 3);
        if let Some(val) = val {
            folder.write("val.csv", val);
            folder.features("val.npy", val.lines().count() - 1, 3);
        }
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// Row r holds r · 10 + channel.
    fn features(&self, name: &str, rows: usize, channels: usize) {
        let values: Vec<f32> =
            (0..rows * channels).map(|at| (at / channels * 10 + at % channels) as f32).collect();
        npy::write(&self.path().join(name), &values, &[rows, channels]).unwrap();
    }

    fn inputs(&self) -> Inputs {
        let val_features = self.path().join("val.npy");
        Inputs {
            data: self.path().into(),
            weights: None,
            words: None,
            features: Some(self.path().join("train.npy")),
            val_features: val_features.exists().then_some(val_features),
            cache: Cache::in_folder(self.path().join("cache")),
            skip_broken: None,
        }
    }

    fn prepare_with(&self, sets: &[&str], inputs: &Inputs) -> Result<Prepared> {
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        let recipe = Recipe::read(None, Some("linear"), &sets).unwrap().settled(self.path()).unwrap();
        prepare(&recipe, inputs, &crate::device::open("cpu").unwrap(), &|_| (), &Cancel::new())
    }

    fn prepare(&self, sets: &[&str]) -> Prepared {
        self.prepare_with(sets, &self.inputs()).unwrap_or_else(|error| panic!("{sets:?}: {error}"))
    }

    /// The message and its exit code.
    fn refused(&self, sets: &[&str]) -> (String, i32) {
        let error = self.prepare_with(sets, &self.inputs()).err().expect("it is refused");
        (error.to_string(), error.exit_code())
    }
}

fn said(notes: &[String], what: &str) -> bool {
    notes.iter().any(|note| note.contains(what))
}

#[test]
fn val_csv_selects_the_epoch_and_all_of_train_csv_trains() {
    let prepared = Folder::new(Some(VAL)).prepare(&["data.known=0.9"]);
    assert_eq!(prepared.rows, [0, 1, 2, 3, 4, 5]);
    let validation = prepared.validation.unwrap();
    assert_eq!(validation.categories, ["cat", "dog"]);
    // As they are given, in the order of train.csv: none is hidden.
    assert_eq!(validation.labels.to_floats(), [-1.0, 1.0, 1.0, 0.0]);
    assert_eq!((&prepared.selection.labels, &prepared.selection.rows[..]), (&validation.labels, &[0, 1][..]));
    let mut features = [0.0; 3];
    prepared.selection.examples.read(1, View::Clean, &mut features).unwrap();
    assert_eq!(features, [10.0, 11.0, 12.0]);
    let note = "the epoch is selected on val.csv: 2 images, 2 positive, 1 negative, 1 unknown; data.known hides \
                none of its labels; all 6 images of train.csv train";
    assert!(prepared.notes.contains(&note.to_string()), "{:?}", prepared.notes);
    assert!(prepared.val_file.unwrap().features.is_some());
    assert!(prepared.warnings.is_empty(), "{:?}", prepared.warnings);
}

#[test]
fn without_val_csv_a_tenth_is_held_out() {
    let prepared = Folder::new(None).prepare(&[]);
    assert_eq!((prepared.rows.len(), prepared.selection.rows.len()), (5, 1));
    assert_eq!(prepared.validation.unwrap().images.len(), 1);
    assert!(prepared.val_file.is_none() && !said(&prepared.notes, "val.csv"), "{:?}", prepared.notes);
}

#[test]
fn a_share_that_the_recipe_names_wins_over_val_csv_aloud() {
    let folder = Folder::new(Some(VAL));
    std::fs::remove_file(folder.path().join("val.npy")).unwrap();
    let prepared = folder.prepare(&["data.validation=0.5"]);
    assert_eq!((prepared.rows.len(), prepared.selection.rows.len()), (3, 3));
    let note = "val.csv is not used: data.validation is 0.5, so 3 images of train.csv are held out; \
                --set data.validation=val.csv measures epochs on it";
    assert!(prepared.notes.contains(&note.to_string()), "{:?}", prepared.notes);
    let prepared = folder.prepare(&["data.validation=0"]);
    assert!(prepared.validation.is_none() && prepared.rows.len() == 6);
    let note = "data.validation is 0, so nothing is held out and the last epoch is kept";
    assert!(said(&prepared.notes, note), "{:?}", prepared.notes);
}

#[test]
fn where_the_last_epoch_is_kept_val_csv_is_measured_and_may_be_unlabeled() {
    let folder = Folder::new(Some("image,cat,dog\nx.jpg,?,?\n"));
    let prepared = folder.prepare(&["train.select=last"]);
    let note = "every epoch is measured on val.csv, and the last one is kept (train.select): 1 images";
    assert!(said(&prepared.notes, note), "{:?}", prepared.notes);
    assert!(prepared.warnings.is_empty(), "{:?}", prepared.warnings);
    let (message, code) = folder.refused(&[]);
    assert!(message.contains("val.csv: no known label, so no epoch can be selected on it"), "{message}");
    assert_eq!(code, 3);
}

#[test]
fn val_csv_without_positives_or_negatives_is_refused_or_warned_of() {
    let (negatives, positives) = ("image,cat,dog\nx.jpg,0,0\n", "image,cat,dog\nx.jpg,1,?\n");
    let (message, code) = Folder::new(Some(negatives)).refused(&["train.select=map"]);
    assert!(message.contains("val.csv: no known positive label"), "{message}");
    assert_eq!(code, 3);
    assert!(Folder::new(Some(negatives)).prepare(&[]).warnings.is_empty());
    let warnings = Folder::new(Some(positives)).prepare(&[]).warnings;
    assert!(said(&warnings, "val.csv has no known negative label"), "{warnings:?}");
}

#[test]
fn positives_alone_are_warned_of_unless_the_method_learns_from_unknown_labels() {
    let folder = Folder::new(None);
    folder.write("train.csv", &TRAIN.replace(",0", ",?"));
    for (method, sets, is_warned) in [
        ("bce", vec![], true),
        ("asl", vec![], true),
        ("asl", vec!["method.unknown=negative"], false),
        ("csl", vec![], false),
        ("csl", vec!["method.mode=ignore"], true),
        ("csl", vec!["method.prior_epochs=2"], true),
        ("splc", vec![], false),
        ("role", vec![], false),
        ("linear", vec![], false),
        ("linear", vec!["method.unknown=ignore"], true),
    ] {
        let sets: Vec<String> = sets.into_iter().map(String::from).collect();
        let recipe = Recipe::read(None, Some(method), &sets).unwrap().settled(folder.path()).unwrap();
        let device = crate::device::open("cpu").unwrap();
        let prepared = prepare(&recipe, &folder.inputs(), &device, &|_| (), &Cancel::new()).unwrap();
        assert_eq!(said(&prepared.warnings, "has no known negative label"), is_warned, "{method} {sets:?}");
        assert_eq!(said(&prepared.notes, "is learned from unknown labels"), !is_warned, "{method} {sets:?}");
    }
}

#[test]
fn selecting_by_bce_is_warned_of_where_a_method_does_not_minimize_it() {
    let folder = Folder::new(Some(VAL));
    for (method, select, is_warned) in
        [("asl", "loss", true), ("asl", "map", false), ("splc", "last", false), ("bce", "loss", false)]
    {
        let sets = [format!("train.select={select}")];
        let recipe = Recipe::read(None, Some(method), &sets).unwrap().settled(folder.path()).unwrap();
        let device = crate::device::open("cpu").unwrap();
        let prepared = prepare(&recipe, &folder.inputs(), &device, &|_| (), &Cancel::new()).unwrap();
        assert_eq!(said(&prepared.warnings, "which asl does not minimize"), is_warned, "{method} {select}");
    }
}

#[test]
fn an_image_that_trains_does_not_validate() {
    let folder = Folder::new(Some("image,cat,dog\nx.jpg,1,0\n./b.jpg,0,1\nother/../e.jpg,1,1\n"));
    let (message, code) = folder.refused(&[]);
    assert_eq!((message.lines().count(), code), (2, 3), "{message}");
    let train = folder.path().join("train.csv");
    let line = format!("{}:3: b.jpg of train is also ", train.display());
    assert!(message.starts_with(&line), "{message}");
    assert!(message.lines().all(|line| line.ends_with(" of val; remove it from one of them")), "{message}");
    // Nobody selects on it here.
    folder.prepare_with(&["data.validation=0.5"], &Inputs { val_features: None, ..folder.inputs() }).unwrap();
}

#[test]
fn val_csv_has_the_categories_of_train_csv_and_is_there_if_it_is_asked_for() {
    let (message, code) = Folder::new(Some("image,cat,dgo\nx.jpg,1,0\n")).refused(&[]);
    assert!(message.contains("val.csv:1: category \"dgo\" is not in"), "{message}");
    assert_eq!(code, 3);
    let (message, code) = Folder::new(None).refused(&["data.validation=val.csv"]);
    assert!(message.contains("val.csv: no such file, but data.validation is \"val.csv\""), "{message}");
    assert_eq!(code, 4);
}

#[test]
fn features_of_val_csv_are_given_where_they_are_read_and_fit() {
    let folder = Folder::new(Some(VAL));
    let refused = |sets: &[&str], inputs: &Inputs| {
        let error = folder.prepare_with(sets, inputs).err().expect("it is refused");
        (error.to_string(), error.exit_code())
    };
    let (message, code) = refused(&[], &Inputs { val_features: None, ..folder.inputs() });
    assert!(message.contains("give those of val.csv with --val-features FILE"), "{message}");
    assert_eq!(code, 2);
    let (message, code) = refused(&["data.validation=0.5"], &folder.inputs());
    assert!(message.contains("which is not used: data.validation is 0.5"), "{message}");
    assert_eq!(code, 2);
    let (message, code) = refused(&[], &Inputs { features: None, ..folder.inputs() });
    assert!(message.starts_with("--val-features goes with --features"), "{message}");
    assert_eq!(code, 2);
    folder.features("val.npy", 3, 3);
    let (message, _) = refused(&[], &folder.inputs());
    assert!(message.contains("val.npy: 3 rows; expected 2"), "{message}");
    folder.features("val.npy", 2, 4);
    let (message, _) = refused(&[], &folder.inputs());
    assert!(message.contains("features of 4 channels; the training features have 3"), "{message}");
    std::fs::remove_file(folder.path().join("val.csv")).unwrap();
    let (message, code) = refused(&[], &folder.inputs());
    assert!(message.starts_with("--val-features holds features of val.csv, but "), "{message}");
    assert_eq!(code, 2);
}

#[test]
fn what_is_noted_of_val_csv_changes_with_its_labels_paths_and_features() {
    let origin = |val: &str| Folder::new(Some(val)).prepare(&[]).val_file.unwrap();
    let (first, again) = (origin(VAL), origin(VAL));
    assert_eq!(first, again, "the folder itself does not count");
    assert_ne!(first.fingerprint, origin(&VAL.replace("x.jpg,1", "x.jpg,0")).fingerprint);
    assert_ne!(first.fingerprint, origin(&VAL.replace("x.jpg", "z.jpg")).fingerprint);
    let folder = Folder::new(Some(VAL));
    npy::write(&folder.path().join("val.npy"), &[0.0; 6], &[2, 3]).unwrap();
    let other = folder.prepare(&[]).val_file.unwrap();
    assert!(other.fingerprint == first.fingerprint && other.features != first.features);
}
