//! The folder of a run before it is one: whether a training may write to it, and what of an earlier run goes.

use std::path::Path;

use crate::lock::{FolderLock, entries, in_use};
use crate::run::{Run, remove, remove_dir};
use crate::{Error, Result, out_of_fold, seal};

/// The files that a run writes.
const FILES: &[&str] = &[
    "recipe.toml",
    "run.json",
    "metrics.csv",
    "events.jsonl",
    "backbone.safetensors",
    "anchor.bpk",
    "anchor.new.bpk",
    "data/train.csv",
    "data/val.csv",
    "data/skipped.csv",
    "data/categories.json",
    "data/cooccurrence.npy",
    "data/words.npy",
    "report.html",
    "tracking.json",
];
/// The folders that hold nothing but what a run writes.
const FOLDERS: &[&str] = &["checkpoints", "evaluation", "tensorboard"];
/// Those that it writes where they are asked for.
const ON_REQUEST: &[&str] = &[out_of_fold::FOLDER];

/// What to do with a folder that already holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse it.
    Refuse,
    /// Go on from its last checkpoint.
    Resume,
    /// Delete the run in it and start anew.
    Replace,
}

/// Whether a run may be written to `dir`, before anything is computed; a folder that is there is locked.
///
/// # Errors
/// [`Error::Usage`] if another process has the folder, if it holds something and `existing` refuses it, or if
/// it is to be resumed or replaced and is not a run.
pub fn claim(dir: &Path, existing: Existing) -> Result<Option<FolderLock>> {
    check_free(dir, existing)?;
    if dir.is_dir() { FolderLock::take(dir).map(Some) } else { Ok(None) }
}

/// Whether a run may be written to `dir`, which is not touched.
///
/// # Errors
/// Those of [`claim`].
pub fn check_free(dir: &Path, existing: Existing) -> Result<()> {
    match FolderLock::holder(dir)? {
        Some(holder) => Err(in_use(dir, &holder)),
        None => check(dir, existing),
    }
}

/// Makes the folder of a new run, or takes up an old one; of one that is replaced, what a run wrote is deleted
/// and nothing else. `lock` is what [`claim`] gave.
///
/// # Errors
/// Those of [`claim`]: another process may have come first.
pub fn create(dir: &Path, existing: Existing, lock: Option<FolderLock>) -> Result<(Run, FolderLock)> {
    std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
    let lock = lock.map_or_else(|| FolderLock::take(dir), Ok)?;
    check(dir, existing)?;
    let run = Run::at(dir);
    if existing == Existing::Replace {
        // The recipe, which makes the folder a run, goes last.
        FOLDERS.iter().chain(ON_REQUEST).try_for_each(|folder| remove_dir(&run.path(folder)))?;
        FILES.iter().rev().try_for_each(|file| remove(&run.path(file), |path| std::fs::remove_file(path)))?;
    }
    for part in FOLDERS.iter().chain(&["data"]) {
        let part = run.path(part);
        std::fs::create_dir_all(&part).map_err(|e| Error::io(&part, e))?;
    }
    Ok((run, lock))
}

fn check(dir: &Path, existing: Existing) -> Result<()> {
    if !dir.is_dir() || is_unused(dir)? {
        return Ok(());
    }
    let has_recipe = dir.join("recipe.toml").is_file();
    let is_run = has_recipe && (dir.join("run.json").is_file() || dir.join("checkpoints").is_dir());
    let shown = dir.display();
    match existing {
        Existing::Refuse => Err(Error::Usage(format!(
            "{shown} is not empty; --resume continues the run in it, --force replaces it"
        ))),
        _ if is_run => Ok(()),
        // A run that was killed while it began, or while the one before it was deleted.
        Existing::Replace if is_remainder(dir)? => Ok(()),
        Existing::Resume if is_remainder(dir)? => match Run::at(dir).has_checkpoint() {
            false => Ok(()),
            true => Err(Error::Usage(format!(
                "{shown} is what is left of a run whose recipe.toml is gone; put that back, or let --force begin anew"
            ))),
        },
        Existing::Resume => {
            Err(Error::Usage(format!("{shown} is not empty and is not a run; give another --out")))
        }
        Existing::Replace => {
            Err(Error::Usage(format!("{shown} is not empty and is not a run; --force replaces runs only")))
        }
    }
}

/// Whether nothing is in a folder but the folders that a run makes before its first file: it was killed then.
fn is_unused(dir: &Path) -> Result<bool> {
    for entry in entries(dir)? {
        let name = name_of(&entry);
        let folders = FOLDERS.iter().chain(ON_REQUEST).chain(&["data"]);
        let ours = folders.into_iter().any(|folder| *folder == name) && entry.is_dir();
        if !ours || !entries(&entry)?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a folder holds nothing but what runs write. A recipe alone may be somebody's own.
fn is_remainder(dir: &Path) -> Result<bool> {
    let mut found = Vec::new();
    for entry in entries(dir)? {
        let (name, is_folder) = (name_of(&entry), entry.is_dir());
        match &*name {
            "data" | "checkpoints" if is_folder => {
                let below = entries(&entry)?;
                found.extend(below.iter().map(|it| (format!("{name}/{}", name_of(it)), it.is_dir())));
            }
            _ => found.push((name, is_folder)),
        }
    }
    let is_ours = |(name, is_folder): &(String, bool)| match is_folder {
        true => FOLDERS.iter().chain(ON_REQUEST).any(|folder| folder == name) || is_checkpoint(name),
        false => FILES.contains(&name.as_str()),
    };
    let is_own_recipe = |(name, _): &(String, bool)| {
        name == "recipe.toml"
            && !std::fs::read_to_string(dir.join(name)).is_ok_and(|text| seal::is_sealed_toml(&text))
    };
    Ok(found.iter().all(is_ours) && !found.iter().any(is_own_recipe))
}

/// Whether this is a checkpoint, or one that is being replaced.
fn is_checkpoint(name: &str) -> bool {
    let name = name.trim_end_matches(".new").trim_end_matches(".old");
    ["checkpoints/best", "checkpoints/last"].contains(&name)
}

fn name_of(path: &Path) -> String {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_is_refused_with_its_process() {
        let dir = tempfile::tempdir().unwrap();
        let lock = claim(dir.path(), Existing::Refuse).unwrap();
        let (_run, lock) = create(dir.path(), Existing::Refuse, lock).unwrap();
        let own = format!("process {}", std::process::id());
        for existing in [Existing::Refuse, Existing::Resume, Existing::Replace] {
            let error = claim(dir.path(), existing).unwrap_err().to_string();
            assert!(error.contains(&own), "{error}");
            assert!(create(dir.path(), existing, None).unwrap_err().to_string().contains(&own));
        }
        drop(lock);
        // Nothing was written to it: whoever comes next begins anew.
        assert!(claim(dir.path(), Existing::Refuse).unwrap().is_some());
    }

    #[test]
    fn what_a_run_did_not_write_makes_a_folder_used() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("checkpoints")).unwrap();
        assert!(claim(dir.path(), Existing::Resume).is_ok());
        std::fs::write(dir.path().join("checkpoints/mine"), "").unwrap();
        assert!(claim(dir.path(), Existing::Resume).unwrap_err().to_string().contains("is not a run"));
    }

    #[test]
    fn a_run_that_was_killed_at_any_moment_of_its_beginning_is_in_nobodys_way() {
        let whole = tempfile::tempdir().unwrap();
        let (run, lock) = create(whole.path(), Existing::Refuse, None).unwrap();
        run.save_recipe(&crate::Recipe::default()).unwrap();
        for file in FILES.iter().filter(|file| **file != "recipe.toml") {
            run.write(file, b"{}").unwrap();
        }
        run.write("checkpoints/best/state.json", b"{}").unwrap();
        drop(lock);
        // Whatever part of the deletion was done.
        let mut gone: Vec<&str> = vec!["checkpoints", "evaluation", "tensorboard"];
        gone.extend(FILES.iter().rev());
        for gone in gone {
            let path = whole.path().join(gone);
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap()
            } else {
                std::fs::remove_file(path).unwrap()
            }
            for existing in [Existing::Resume, Existing::Replace] {
                claim(whole.path(), existing).unwrap_or_else(|error| panic!("{gone}, {existing:?}: {error}"));
            }
        }
        assert!(claim(whole.path(), Existing::Refuse).is_ok());
    }

    #[test]
    fn a_recipe_that_a_person_wrote_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("recipe.toml"), "seed = 1\n").unwrap();
        assert!(claim(dir.path(), Existing::Replace).unwrap_err().to_string().contains("is not a run"));
        std::fs::create_dir(dir.path().join("data")).unwrap();
        std::fs::write(dir.path().join("data/mine.csv"), "").unwrap();
        std::fs::remove_file(dir.path().join("recipe.toml")).unwrap();
        assert!(claim(dir.path(), Existing::Replace).unwrap_err().to_string().contains("is not a run"));
    }
}
