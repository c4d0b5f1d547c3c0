//! The images that the arguments of `sarb predict` name.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use sarb::{Cancel, Error, Result, Shard};
use sarb_labels::images::{self, tar_member};

/// Lines of standard input that may wait to be read.
const AHEAD: usize = 64;

/// How often somebody who waits for a line looks whether it shall stop.
const LOOK: Duration = Duration::from_millis(50);

/// Files as given, the images of folders in name order and of tar files as they lie there; the lines of
/// standard input where `-` is, as they come.
pub struct Files {
    before: std::vec::IntoIter<PathBuf>,
    lines: Option<Receiver<std::io::Result<String>>>,
    after: std::vec::IntoIter<PathBuf>,
    cancel: Cancel,
}

impl Files {
    /// Looks into folders, tar files and globs; nothing is read from standard input yet.
    ///
    /// # Errors
    /// If a folder or a tar file cannot be read, or no image is there; [`Error::Usage`] for a wrong glob and a
    /// second `-`.
    pub fn of(paths: &[String], cancel: &Cancel) -> Result<Self> {
        let mut parts = paths.splitn(2, |path| path == "-");
        let (before, after) = (parts.next().unwrap_or_default(), parts.next());
        if after.is_some_and(|after| after.iter().any(|path| path == "-")) {
            return Err(Error::Usage("- stands for standard input and is given twice".into()));
        }
        let lines = after.is_some().then(lines_of_stdin);
        let (before, after) = (expand(before)?, expand(after.unwrap_or_default())?);
        if before.is_empty() && lines.is_none() {
            return Err(Error::Missing(format!(
                "no image in {}; looked for {}",
                paths.join(" "),
                images::EXTENSIONS.join(", ")
            )));
        }
        let (before, after) = (before.into_iter(), after.into_iter());
        Ok(Self { before, lines, after, cancel: cancel.clone() })
    }

    /// Those of a shard. A list on standard input is read to its end first.
    ///
    /// # Errors
    /// If standard input cannot be read; [`Error::Stopped`] once it is cancelled.
    pub fn stretch(mut self, shard: Option<Shard>) -> Result<Self> {
        let Some(shard) = shard else { return Ok(self) };
        let mut all: Vec<PathBuf> = self.by_ref().collect::<Result<_>>()?;
        let stretch = shard.range(all.len());
        self.before = all.drain(stretch).collect::<Vec<_>>().into_iter();
        self.after = Vec::new().into_iter();
        Ok(self)
    }

    /// How many there are, where that is known.
    pub fn total(&self) -> Option<usize> {
        self.lines.is_none().then(|| self.before.len() + self.after.len())
    }

    /// The next one and those that follow it without waiting, at most `most`; none at the end.
    ///
    /// # Errors
    /// If standard input cannot be read; [`Error::Stopped`] once it is cancelled.
    pub fn next_few(&mut self, most: usize) -> Result<Vec<PathBuf>> {
        let mut few: Vec<PathBuf> = self.next().transpose()?.into_iter().collect();
        while !few.is_empty() && few.len() < most {
            let listed =
                self.before.next().or_else(|| self.lines.is_none().then(|| self.after.next()).flatten());
            let Some(file) = listed.map(Ok).or_else(|| self.line_that_is_there()) else { break };
            few.push(file?);
        }
        Ok(few)
    }

    /// The next one that standard input has named already.
    fn line_that_is_there(&mut self) -> Option<Result<PathBuf>> {
        loop {
            match self.lines.as_ref()?.try_recv() {
                Ok(line) => {
                    if let Some(file) = file_of(line) {
                        return Some(file);
                    }
                }
                Err(_) => return None,
            }
        }
    }

    /// The next one that standard input names.
    fn next_line(&mut self) -> Option<Result<PathBuf>> {
        let lines = self.lines.as_ref()?;
        loop {
            match lines.recv_timeout(LOOK) {
                Ok(line) => {
                    if let Some(file) = file_of(line) {
                        return Some(file);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(stopped) = self.cancel.check() {
                        return Some(Err(stopped));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.lines = None;
                    return None;
                }
            }
        }
    }
}

impl Iterator for Files {
    type Item = Result<PathBuf>;

    fn next(&mut self) -> Option<Result<PathBuf>> {
        if let Err(stopped) = self.cancel.check() {
            return Some(Err(stopped));
        }
        self.before.next().map(Ok).or_else(|| self.next_line()).or_else(|| self.after.next().map(Ok))
    }
}

/// A thread of its own reads, so that a wish to stop is heard while nothing comes.
fn lines_of_stdin() -> Receiver<std::io::Result<String>> {
    let (sender, receiver) = sync_channel(AHEAD);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let failed = line.is_err();
            if sender.send(line).is_err() || failed {
                break;
            }
        }
    });
    receiver
}

/// What a line names; none if it is empty.
fn file_of(line: std::io::Result<String>) -> Option<Result<PathBuf>> {
    match line {
        Ok(line) if line.trim().is_empty() => None,
        Ok(line) => Some(Ok(PathBuf::from(line.trim()))),
        Err(error) => Some(Err(Error::io("standard input", error))),
    }
}

fn expand(paths: &[String]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if Path::new(path).is_dir() {
            images_below(Path::new(path), &mut files)?;
        } else if path.contains(['*', '?', '[']) && !is_there(Path::new(path)) {
            // The shell expands globs; this is for those that it was told not to.
            let pattern = glob::glob(path).map_err(|e| Error::Usage(format!("{path}: {e}")))?;
            files.extend(pattern.filter_map(std::result::Result::ok));
        } else if path.ends_with(".tar") && Path::new(path).is_file() {
            files.extend(tar_member::members(Path::new(path))?.into_iter().filter(|file| is_image(file)));
        } else {
            files.push(PathBuf::from(path));
        }
    }
    Ok(files)
}

/// Whether a path is a file or leads into a tar file, so that its `[` is not that of a glob.
fn is_there(path: &Path) -> bool {
    path.exists() || tar_member::split(path).is_some()
}

fn images_below(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries = std::fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>())
        .map_err(|e| Error::io(dir, e))?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() && !entry.is_symlink() {
            images_below(&entry, files)?;
        } else if is_image(&entry) {
            files.push(entry);
        }
    }
    Ok(())
}

/// Whether a file is an image by its name.
fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
    images::EXTENSIONS.contains(&extension.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(paths: &[&str], cancel: &Cancel) -> Result<Files> {
        Files::of(&paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>(), cancel)
    }

    #[test]
    fn folders_are_searched_in_order_and_files_are_taken_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.jpg", "a.png", "notes.txt"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let folder = dir.path().display().to_string();
        let files = of(&[&folder, "gone.jpg"], &Cancel::new()).unwrap();
        assert_eq!(files.total(), Some(3));
        let names: Vec<String> =
            files.map(|file| file.unwrap().file_name().unwrap().to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["a.png", "b.jpg", "gone.jpg"]);
    }

    #[test]
    fn a_shard_of_a_list_on_standard_input_is_a_stretch_of_all_that_is_named() {
        let named = |index: usize| {
            let (sender, lines) = sync_channel(4);
            ["b.jpg", "", " c.jpg ", "d.jpg"]
                .iter()
                .for_each(|line| sender.send(Ok((*line).into())).unwrap());
            drop(sender);
            let before = vec![PathBuf::from("a.jpg")].into_iter();
            let files =
                Files { before, lines: Some(lines), after: Vec::new().into_iter(), cancel: Cancel::new() };
            let shard = Shard { index, count: 2, variable: None };
            files.stretch(Some(shard)).unwrap().map(|file| file.unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(named(0), [PathBuf::from("a.jpg"), "b.jpg".into()]);
        assert_eq!(named(1), [PathBuf::from("c.jpg"), "d.jpg".into()]);
    }

    #[test]
    fn a_few_are_taken_without_waiting_for_what_standard_input_has_not_named_yet() {
        let (sender, lines) = sync_channel(8);
        let say = |line: &str| sender.send(Ok(line.into())).unwrap();
        let before = vec![PathBuf::from("a.jpg"), "b.jpg".into()].into_iter();
        let after = vec![PathBuf::from("z.jpg")].into_iter();
        let mut files = Files { before, lines: Some(lines), after, cancel: Cancel::new() };
        ["c.jpg", "", "d.jpg"].into_iter().for_each(say);
        let names =
            |files: Vec<PathBuf>| files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>();
        assert_eq!(names(files.next_few(3).unwrap()), ["a.jpg", "b.jpg", "c.jpg"]);
        assert_eq!(names(files.next_few(3).unwrap()), ["d.jpg"], "what comes later is not waited for");
        say("e.jpg");
        assert_eq!(names(files.next_few(3).unwrap()), ["e.jpg"]);
        drop(sender);
        assert_eq!(names(files.next_few(3).unwrap()), ["z.jpg"]);
        assert!(files.next_few(3).unwrap().is_empty());
    }

    #[test]
    fn an_empty_folder_and_a_second_standard_input_are_refused_and_a_wish_to_stop_is_heard() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().display().to_string();
        let refused = |paths: &[&str]| of(paths, &Cancel::new()).err().unwrap().to_string();
        assert!(refused(&[&folder]).starts_with("no image in"));
        assert!(refused(&["-", "-"]).contains("given twice"));
        let cancel = Cancel::new();
        let mut files = of(&["a.jpg", "b.jpg"], &cancel).unwrap();
        assert!(files.next().unwrap().is_ok());
        cancel.cancel();
        assert!(matches!(files.next(), Some(Err(Error::Stopped))));
    }
}
