//! Folders whose files of one kind are the parts of one source.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::formats::report::shown;
use crate::formats::tree::is_hidden;
use crate::{Error, Result};

/// The files `*.extension` of a folder, in order of their names.
pub(crate) fn shard_files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io(folder, error))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_shard = |file: &PathBuf| {
        file.extension().is_some_and(|end| end == extension) && !is_hidden(file) && file.is_file()
    };
    let mut files: Vec<PathBuf> = files.filter(is_shard).collect();
    files.sort();
    Ok(files)
}

/// The split that a file belongs to, by its name: `train` of `train-00000-of-00002.parquet`, as Hugging Face
/// names shards, or of `train.parquet`, `train_0.tar` and `train-images.tar`.
pub(crate) fn split_of(file: &Path) -> Option<&str> {
    let name = file.file_stem()?.to_str()?;
    if let Some((name, _)) = name.split_once("-of-") {
        return Some(name.rsplit_once('-')?.0);
    }
    let word = name.split(|c: char| !c.is_alphabetic()).next()?;
    is_split_name(word).then_some(word)
}

/// Whether a word is the name of a split.
pub(crate) fn is_split_name(word: &str) -> bool {
    SPLITS.contains(&&*word.to_lowercase())
}

const SPLITS: [&str; 12] = [
    "train",
    "training",
    "val",
    "valid",
    "validate",
    "validation",
    "test",
    "testing",
    "dev",
    "eval",
    "evaluation",
    "holdout",
];

/// Whether a folder with this name holds the images of a split: `train`, `valid`, `test2017`.
pub(crate) fn is_split_folder(name: &str) -> bool {
    is_split_name(name.trim_end_matches(|c: char| c.is_ascii_digit()))
}

/// The set among these that a name means: the one of that name, else the one that other tools call so, as `val`
/// means a folder `valid`.
///
/// # Errors
/// What may be meant, if it is several.
pub(crate) fn meant<'a>(sets: &[&'a str], wanted: &str) -> Result<Option<&'a str>, String> {
    if let Some(exact) = sets.iter().find(|set| **set == wanted) {
        return Ok(Some(exact));
    }
    match &sets.iter().copied().filter(|set| is_same_set(set, wanted)).collect::<Vec<_>>()[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        several => Err(several_meant(wanted, several)),
    }
}

/// That a name may mean several sets.
pub(crate) fn several_meant(wanted: &str, sets: &[impl AsRef<str>]) -> String {
    let sets: Vec<&str> = sets.iter().map(AsRef::as_ref).collect();
    format!("{wanted} may mean {}", sets.join(" or "))
}

/// The place of the set that the user wants, or of the only one. `val` also finds a folder `valid`.
///
/// # Errors
/// [`Error::Usage`] if there are several and none is chosen, or the one that is chosen is not there or may be one
/// of several.
pub(crate) fn choose(path: &Path, sets: &[&str], wanted: Option<&str>) -> Result<usize> {
    let wrong = match wanted {
        None if sets.len() == 1 => return Ok(0),
        None => "several sets".to_owned(),
        Some(_) if sets.is_empty() => {
            let what = "has no sets such as train and val; remove --set";
            return Err(Error::Usage(format!("{} {what}", path.display())));
        }
        Some(wanted) => match meant(sets, wanted) {
            Ok(Some(name)) => return Ok(sets.iter().position(|set| *set == name).expect("a set of these")),
            Ok(None) => format!("no set {}", shown(wanted)),
            Err(several) => several,
        },
    };
    Err(Error::Usage(format!("{}: {wrong}; choose one with --set: {}", path.display(), sets.join(", "))))
}

/// Whether two names mean the same set: tools write `train` and `Training`, `val` and `validation`.
pub(crate) fn is_same_set(one: &str, other: &str) -> bool {
    one == other || usual(one) == usual(other)
}

/// One name for a set that tools call differently.
pub(crate) fn usual(set: &str) -> String {
    let set = set.trim().to_lowercase();
    match &*set {
        "training" => "train".into(),
        "valid" | "validate" | "validation" => "val".into(),
        "testing" => "test".into(),
        "evaluation" => "eval".into(),
        _ => set,
    }
}

/// The distinct splits of files, in order of their names.
pub(crate) fn splits(files: &[PathBuf]) -> Vec<&str> {
    let splits: BTreeSet<&str> = files.iter().filter_map(|file| split_of(file)).collect();
    splits.into_iter().collect()
}

/// Whether parts of a source are never read as one unasked: a part is a split, and another one is not, or is
/// another split.
pub(crate) fn are_apart<'a>(splits: impl IntoIterator<Item = Option<&'a str>>) -> bool {
    let splits: BTreeSet<Option<&str>> = splits.into_iter().collect();
    splits.len() > 1
}

/// The first folder of a path below a source that is a split: `val` of `a/val/b`.
pub(crate) fn split_in(below: &Path) -> Option<&str> {
    below.components().find_map(|part| split_of_folder(part.as_os_str().to_str()?))
}

/// The split that a folder is by its name: `train` of `train`, `train2017`, `train_images` and `train-set_2`,
/// but nothing of `train station`.
fn split_of_folder(name: &str) -> Option<&str> {
    const BESIDE: [&str; 8] = ["", "image", "images", "img", "imgs", "set", "data", "dataset"];
    let word = name.split(|c: char| !c.is_alphabetic()).next().filter(|word| is_split_name(word))?;
    let rest: String = name[word.len()..].chars().filter(|c| c.is_alphabetic()).collect();
    BESIDE.contains(&&*rest.to_lowercase()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_tell_their_splits() {
        let files = [
            "train-00000-of-00002.parquet",
            "nsfw-train-00000-of-00002.parquet",
            "validation.parquet",
            "test_1.tar",
            "trains.tar",
            "000017.tar",
        ];
        let files = files.map(PathBuf::from);
        assert_eq!(splits(&files), ["nsfw-train", "test", "train", "validation"]);
        assert_eq!(split_of(&files[5]), None);
    }

    #[test]
    fn what_another_system_leaves_beside_a_file_is_not_a_shard() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["train.json", "._train.json", "test.json", "notes.txt"] {
            std::fs::write(folder.path().join(name), "{}").unwrap();
        }
        let files = shard_files(folder.path(), "json").unwrap();
        assert_eq!(files, ["test.json", "train.json"].map(|name| folder.path().join(name)));
    }

    #[test]
    fn a_set_is_found_under_the_names_that_tools_give_it() {
        let choose = |sets: &[&str], wanted| choose(Path::new("data"), sets, wanted);
        assert_eq!(choose(&["test", "train", "valid"], Some("val")).unwrap(), 2);
        assert_eq!(choose(&["val", "valid"], Some("valid")).unwrap(), 1);
        assert_eq!(choose(&["Test", "Training"], Some("train")).unwrap(), 1);
        assert_eq!(choose(&["train"], None).unwrap(), 0);
        let error = choose(&["test", "valid"], None).unwrap_err().to_string();
        assert_eq!(error, "data: several sets; choose one with --set: test, valid");
        let error = choose(&["test"], Some("dev")).unwrap_err().to_string();
        assert_eq!(error, "data: no set \"dev\"; choose one with --set: test");
        let error = choose(&["val", "valid"], Some("validation")).unwrap_err().to_string();
        assert_eq!(error, "data: validation may mean val or valid; choose one with --set: val, valid");
        let error = choose(&[], Some("dev")).unwrap_err().to_string();
        assert_eq!(error, "data has no sets such as train and val; remove --set");
        assert_eq!(choose(&["test", "train"], Some("testing")).unwrap(), 0);
        assert_eq!(choose(&["Evaluation", "train"], Some("eval")).unwrap(), 0);
        let splits = ["a/val/b", "Train_images", "test-set 2/cat", "train station/a", "pets"];
        let expected = [Some("val"), Some("Train"), Some("test"), None, None];
        assert_eq!(splits.map(|path| split_in(Path::new(path))), expected);
        assert_eq!(["val", "Test2017", "cat", "trains"].map(is_split_folder), [true, true, false, false]);
    }
}
