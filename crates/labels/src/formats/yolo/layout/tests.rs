use super::*;
use crate::formats::samples::folder_with;

/// The parts of the first set of a `data.yaml` in `below`, and its notes.
fn first(folder: &Path, yaml: &str) -> Result<(Vec<Part>, Vec<String>)> {
    let file = folder.join("data.yaml");
    std::fs::write(&file, yaml).unwrap();
    let mut sets = yaml_sets(&file, &DataYaml::read(&file)?)?;
    let (set, notes) = sets.remove(0);
    Ok((set.parts, notes))
}

#[test]
fn paths_are_found_as_tools_write_them() {
    let folder =
        folder_with(&[("images/train/1.jpg", ""), ("labels/train/1.txt", ""), ("lists/train.txt", "")]);
    let [images, labels] = ["images/train", "labels/train"].map(|name| folder.path().join(name));
    let root = folder.path().display();
    for train in [
        "images/train",
        "./images/train",
        "../images/train",
        "images\\train",
        &format!("{root}/images/train"),
    ] {
        let (parts, notes) = first(folder.path(), &format!("names: [a]\ntrain: {train}\n")).unwrap();
        let Part::Folder { images: found, labels: found_labels } = &parts[0] else { panic!("{parts:?}") };
        let real = |path: &Path| std::fs::canonicalize(path).unwrap();
        assert_eq!([real(found), real(found_labels)], [real(&images), real(&labels)], "{train}");
        assert!(notes.is_empty(), "{notes:?}");
    }
    let (parts, _) =
        first(folder.path(), "names: [a]\npath: images\ntrain: [train, ../lists/train.txt]\n").unwrap();
    let list =
        Part::List { file: folder.path().join("images/../lists/train.txt"), root: folder.path().into() };
    assert_eq!(parts, [Part::Folder { images, labels }, list]);
}

#[test]
fn a_folder_one_level_up_and_one_beside_are_not_taken_for_each_other() {
    let all = [("pets/train/images/1.jpg", ""), ("train/images/1.jpg", ""), ("other/val/images/2.jpg", "")];
    let yaml = "names: [a]\ntrain: ../train/images\n";
    let real = |path: &Path| std::fs::canonicalize(path).unwrap();
    for (files, expected) in [(&all[..1], "pets/train/images"), (&all[1..], "train/images")] {
        let folder = folder_with(files);
        std::fs::create_dir_all(folder.path().join("pets")).unwrap();
        let (parts, notes) = first(&folder.path().join("pets"), yaml).unwrap();
        let Part::Folder { images, .. } = &parts[0] else { panic!("{parts:?}") };
        assert_eq!((real(images), notes), (real(&folder.path().join(expected)), Vec::new()));
    }
    let folder = folder_with(&all);
    let error = first(&folder.path().join("pets"), yaml).unwrap_err();
    let root = folder.path().display().to_string();
    let expected = "F/pets/data.yaml:2: train: \"../train/images\" may be F/pets/../train/images or F/pets/train/images, and \
                    both are there; write the one that is meant in full";
    assert_eq!(error.to_string().replace(&root, "F"), expected);
    // A path in full is plain.
    let full = format!("names: [a]\ntrain: {root}/pets/train/images\n");
    assert!(first(&folder.path().join("pets"), &full).is_ok());
}

#[cfg(unix)]
#[test]
fn a_link_to_the_folder_one_level_up_is_the_same_folder() {
    let folder = folder_with(&[("train/images/1.jpg", ""), ("pets/a.txt", "")]);
    std::os::unix::fs::symlink("../train", folder.path().join("pets/train")).unwrap();
    assert!(first(&folder.path().join("pets"), "names: [a]\ntrain: ../train/images\n").is_ok());
}

#[test]
fn folders_that_have_moved_are_found_and_said() {
    let folder = folder_with(&[("images/train/1.jpg", ""), ("valid/images/1.jpg", "")]);
    for (train, path) in [
        ("/content/pets/images/train", "images/train"),
        ("C:\\pets\\images\\train", "images/train"),
        ("/content/pets/valid/images", "valid/images"),
    ] {
        let (parts, notes) = first(folder.path(), &format!("names: [a]\ntrain: {train}\n")).unwrap();
        let images = folder.path().join(path);
        assert_eq!(notes, [format!("train: {} is not there; {} is read", shown(train), images.display())]);
        assert_eq!(parts, [Part::Folder { images: images.clone(), labels: images }]);
    }
}

#[test]
fn what_is_not_there_is_an_error_with_its_line_unless_it_is_a_whole_set() {
    let folder = folder_with(&[("images/train/1.jpg", "")]);
    let what = "is not there; correct the path, or give the folder of the labels instead of this file";
    // A folder `images` would fit any set.
    let error =
        first(folder.path(), "names: [a]\ntrain: ../other/images\nval: x/y\n").unwrap_err().to_string();
    let file = folder.path().join("data.yaml").display().to_string();
    assert_eq!(
        error.replace(&file, "F"),
        format!("F:2: train: \"../other/images\" {what}\nF:3: val: \"x/y\" {what}")
    );
    let error =
        first(folder.path(), "names: [a]\ntrain: [images/train, images/more]\n").unwrap_err().to_string();
    assert_eq!(error.replace(&file, "F"), format!("F:2: train: \"images/more\" {what}"));
    let (_, notes) = first(folder.path(), "names: [a]\ntrain: images/train\nval: x/y\n").unwrap();
    assert_eq!(notes, ["val: \"x/y\" is not there: no such set"]);
}

#[test]
fn one_other_yaml_file_is_enough_and_two_are_too_many() {
    let text = "path: .\ntrain: images\nnames:\n  0: a\n";
    let folder = folder_with(&[("pets.yaml", text), ("conda.yml", "name: x\nchannels: []\n")]);
    assert_eq!(yaml_in(folder.path()), Some(folder.path().join("pets.yaml")));
    std::fs::write(folder.path().join("cars.yaml"), text).unwrap();
    assert_eq!(yaml_in(folder.path()), None);
    std::fs::write(folder.path().join("dataset.yaml"), text).unwrap();
    assert_eq!(yaml_in(folder.path()), Some(folder.path().join("dataset.yaml")));
}

#[test]
fn the_last_folder_of_a_name_is_swapped() {
    let swap = |path: &str| swapped(Path::new(path), "images", "labels");
    assert_eq!(swap("/images/a/images/b.txt"), Some("/images/a/labels/b.txt".into()));
    assert_eq!(swap("my-images/b.txt"), None);
}

#[test]
fn the_end_of_a_path_that_is_not_there_is_a_folder_only_where_its_name_tells_it() {
    let folder = folder_with(&[
        ("train/images/1.jpg", ""),
        ("train/labels/1.txt", ""),
        ("list.txt", "1.jpg\n"),
        ("photos/1.jpg", ""),
        ("a/photos/1.jpg", ""),
    ]);
    let found = |yaml: &str| first(folder.path(), &format!("names: [a]\n{yaml}\n"));
    let path = |part: &Part| match part {
        Part::Folder { images, .. } => images.clone(),
        Part::List { file, .. } => file.clone(),
    };
    for (yaml, expected) in [
        ("train: /content/x/train", "train"),
        ("train: /content/x/list.txt", "list.txt"),
        ("train: /content/x/a/photos", "a/photos"),
        ("path: /content/x\ntrain: photos", "photos"),
    ] {
        let (parts, notes) = found(yaml).unwrap();
        assert_eq!(path(&parts[0]), folder.path().join(expected), "{yaml}");
        assert_eq!(notes.len(), 1, "{notes:?}");
    }
    assert!(found("train: /content/x/photos").is_err());
    // `train` with `images` and `labels` inside.
    let (parts, _) = found("train: train").unwrap();
    let [images, labels] = ["train", "train/labels"].map(|name| folder.path().join(name));
    assert_eq!(parts, [Part::Folder { images, labels }]);
}

#[test]
fn yaml_is_told_by_its_ending() {
    let text = "names: [a]\ntrain: x\n";
    for (name, own) in [("a.yml", true), ("a.yaml", true), ("a.txt", false), ("yml", false)] {
        let folder = folder_with(&[(name, text)]);
        assert_eq!(yaml_in(folder.path()).is_some(), own, "{name}");
    }
}

#[test]
fn names_may_lie_above_the_parts_of_a_data_set_alone() {
    let above = folders_above(Path::new("/x/data/labels/train"));
    assert_eq!(above, ["/x/data/labels", "/x/data"].map(PathBuf::from));
    assert!(folders_above(Path::new("/x/data")).is_empty());
    let holds = |line: &str| holds_objects(&folder_with(&[("a.txt", line)]).path().join("a.txt"));
    assert_eq!(["0 1 1 1 1\n", "0 1 1 1\n", "a 1 1 1 1\n", ""].map(holds), [true, false, false, false]);
}
