//! What a command made in a folder, so that the next time it removes that and nothing else: a list of files with
//! the hashes of their content. A file that was changed since is somebody's work, and is not removed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use sarb::labels::files::write_atomically;
use sarb::{Error, FolderLock, Result};
use serde::{Deserialize, Serialize};

/// The list, in the folder.
const LIST: &str = "quickstart.json";
/// So many files are named in a message.
const NAMED: usize = 5;

/// A folder in use, with what was found in it and not made here.
pub struct Made {
    dir: PathBuf,
    strangers: BTreeSet<PathBuf>,
    _lock: FolderLock,
}

#[derive(Serialize, Deserialize)]
struct List {
    /// What the list is, for people.
    about: String,
    /// Hashes of the files, by their paths in the folder.
    files: BTreeMap<PathBuf, String>,
    /// What was there before, while the command is at work: of one that was killed, all else is its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    strangers: Option<BTreeSet<PathBuf>>,
}

impl Made {
    /// Takes a folder that is empty or that this command has used before; what it made then is removed. It writes files
    /// of these `names`, or below them.
    ///
    /// # Errors
    /// [`Error::Usage`] for a folder in use, one that holds something else, or files that were changed since.
    pub fn take(dir: &Path, names: &[&str]) -> Result<Self> {
        if dir.exists() && !dir.join(LIST).is_file() && !files_below(dir)?.is_empty() {
            return Err(Error::Usage(format!(
                "{} is not empty, and no {LIST} in it says what an earlier quickstart made; give another --out",
                dir.display()
            )));
        }
        std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        let lock = FolderLock::take(dir)?;
        remove_made(dir, names)?;
        let strangers = files_below(dir)?;
        let made = Self { dir: dir.into(), strangers, _lock: lock };
        made.check_free(names)?;
        made.begin()?;
        Ok(made)
    }

    /// How many files lie in the folder that were not made here.
    pub fn strangers(&self) -> usize {
        self.strangers.len()
    }

    /// Refuses to go on where a file of one of these names, or a file below one, was not made here.
    ///
    /// # Errors
    /// [`Error::Usage`] naming it.
    fn check_free(&self, names: &[&str]) -> Result<()> {
        let taken = self.strangers.iter().find(|path| names.iter().any(|name| path.starts_with(name)));
        match taken {
            None => Ok(()),
            Some(path) => Err(Error::Usage(format!(
                "{} is where quickstart writes, and no {LIST} says that it made it; move it away or give another --out",
                self.dir.join(path).display()
            ))),
        }
    }

    /// Notes that all is done: what has been made, by the hashes of its content.
    ///
    /// # Errors
    /// If a file cannot be read or the list not written.
    pub fn finish(&self) -> Result<()> {
        let mut files = BTreeMap::new();
        for path in files_below(&self.dir)?.difference(&self.strangers) {
            files.insert(path.clone(), hash(&self.dir.join(path))?);
        }
        self.save(files, None)
    }

    /// Notes that the command is at work.
    fn begin(&self) -> Result<()> {
        self.save(BTreeMap::new(), Some(self.strangers.clone()))
    }

    fn save(&self, files: BTreeMap<PathBuf, String>, strangers: Option<BTreeSet<PathBuf>>) -> Result<()> {
        let about =
            "Files that `sarb quickstart` made and removes when it is run again, with their BLAKE3 hashes";
        let list = List { about: about.into(), files, strangers };
        let text = serde_json::to_vec_pretty(&list).expect("plain data");
        Ok(write_atomically(&self.dir.join(LIST), |file| file.write_all(&text))?)
    }
}

/// Removes the files of the list, if none was changed, and the folders that are empty then.
fn remove_made(dir: &Path, names: &[&str]) -> Result<()> {
    let path = dir.join(LIST);
    let text = match std::fs::read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        text => text.map_err(|e| Error::io(&path, e))?,
    };
    let list: List = serde_json::from_slice(&text)
        .map_err(|e| Error::Usage(format!("{}: {e}; give another --out", path.display())))?;
    if let Some(strangers) = list.strangers {
        // It was killed.
        let is_own = |path: &&PathBuf| names.iter().any(|name| path.starts_with(name));
        let own: Vec<PathBuf> =
            files_below(dir)?.difference(&strangers).filter(is_own).map(|path| dir.join(path)).collect();
        return remove_files(dir, &own);
    }
    let mut there = Vec::new();
    let mut changed = Vec::new();
    for (file, noted) in &list.files {
        let file = dir.join(file);
        if !file.is_file() {
            continue;
        }
        match hash(&file)? == *noted {
            true => there.push(file),
            false => changed.push(file.display().to_string()),
        }
    }
    if !changed.is_empty() {
        let more = if changed.len() > NAMED { ", …" } else { "" };
        let named = changed[..changed.len().min(NAMED)].join(", ");
        return Err(Error::Usage(format!(
            "changed since a quickstart made them, so nothing was removed: {named}{more}; give another --out, or move them away"
        )));
    }
    remove_files(dir, &there)
}

/// Removes files, and the folders below `dir` that are empty then.
fn remove_files(dir: &Path, files: &[PathBuf]) -> Result<()> {
    for file in files {
        std::fs::remove_file(file).map_err(|e| Error::io(file, e))?;
        let above = file.ancestors().skip(1).take_while(|above| *above != dir);
        // Refused, as it should be, where something else is left in it.
        above.take_while(|above| std::fs::remove_dir(above).is_ok()).for_each(drop);
    }
    Ok(())
}

/// All files below a folder but its list and its lock, by their paths in it. Links are not followed.
fn files_below(dir: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let here = dir.join(&folder);
        for entry in std::fs::read_dir(&here).map_err(|e| Error::io(&here, e))? {
            let entry = entry.map_err(|e| Error::io(&here, e))?;
            let path = folder.join(entry.file_name());
            match entry.file_type().map_err(|e| Error::io(&here, e))?.is_dir() {
                true => folders.push(path),
                false if path == Path::new(LIST) || path == Path::new(FolderLock::FILE) => {}
                false => {
                    files.insert(path);
                }
            }
        }
    }
    Ok(files)
}

fn hash(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["data/images", "linear", "sarb.toml"];

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let made = Made::take(&out, &NAMES).unwrap();
        std::fs::create_dir_all(out.join("data/images")).unwrap();
        std::fs::write(out.join("data/images/1.png"), "pixels").unwrap();
        std::fs::write(out.join("sarb.toml"), "seed = 0").unwrap();
        made.finish().unwrap();
        (dir, out)
    }

    #[test]
    fn what_was_made_is_removed_and_the_rest_stays() {
        let (_dir, out) = folder();
        std::fs::write(out.join("data/mine.png"), "mine").unwrap();
        let made = Made::take(&out, &NAMES).unwrap();
        assert!(!out.join("data/images").exists() && !out.join("sarb.toml").exists());
        assert_eq!(std::fs::read(out.join("data/mine.png")).unwrap(), b"mine");
        assert_eq!(made.strangers(), 1);
        // Not made here, and not noted as if it were.
        made.finish().unwrap();
        drop(made);
        drop(Made::take(&out, &NAMES).unwrap());
        assert!(out.join("data/mine.png").is_file());
    }

    #[test]
    fn a_file_that_was_changed_keeps_everything() {
        let (_dir, out) = folder();
        std::fs::write(out.join("sarb.toml"), "seed = 1").unwrap();
        let error = Made::take(&out, &NAMES).err().unwrap().to_string();
        assert!(error.contains("sarb.toml") && error.contains("nothing was removed"), "{error}");
        assert!(out.join("data/images/1.png").is_file());
    }

    #[test]
    fn other_folders_and_folders_in_use_are_refused() {
        let (dir, out) = folder();
        assert!(Made::take(dir.path(), &NAMES).err().unwrap().to_string().contains("is not empty"));
        let _made = Made::take(&out, &NAMES).unwrap();
        assert!(Made::take(&out, &NAMES).err().unwrap().to_string().contains("in use by process"));
    }

    #[test]
    fn a_strangers_file_is_not_written_to() {
        let (_dir, out) = folder();
        std::fs::write(out.join("linear"), "mine").unwrap();
        let error = Made::take(&out, &NAMES).err().unwrap().to_string();
        assert!(error.contains("linear is where quickstart writes"), "{error}");
    }

    #[test]
    fn what_a_killed_one_made_is_removed_too() {
        let (_dir, out) = folder();
        std::fs::write(out.join("data/mine.png"), "mine").unwrap();
        let killed = Made::take(&out, &NAMES).unwrap();
        std::fs::create_dir_all(out.join("data/images")).unwrap();
        std::fs::write(out.join("data/images/2.png"), "half").unwrap();
        std::fs::create_dir(out.join("linear")).unwrap();
        std::fs::write(out.join("linear/run.json"), "{}").unwrap();
        // Nothing is noted.
        std::fs::write(out.join("later.txt"), "mine").unwrap();
        drop(killed);
        drop(Made::take(&out, &NAMES).unwrap());
        assert!(!out.join("data/images").exists() && !out.join("linear").exists());
        assert!(out.join("data/mine.png").exists() && out.join("later.txt").exists());
    }
}
