//! A new data folder beside the one that it is made of.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sarb::{Error, Result};
use sarb_labels::Split;
use sarb_labels::files::{Draft, write_atomically};
use sarb_labels::words::Words;

/// The folder of `--out` while it is written: a new one takes its place when all is in it, so that one that was
/// killed leaves nothing in the way of the next.
pub struct OutFolder {
    out: PathBuf,
    draft: Option<Draft>,
}

impl OutFolder {
    /// Refuses a folder `out` whose files would be lost or would mix with those to be `written`.
    pub fn prepare(dir: &Path, out: &Path, force: bool, written: &[String]) -> Result<Self> {
        let failed = |error| Error::io(out, error);
        let is_there = out.symlink_metadata().is_ok();
        let is_empty = !is_there || std::fs::read_dir(out).map_err(failed)?.next().is_none();
        // A link stays one.
        if is_empty && !out.is_symlink() {
            let draft = Draft::of(out)?;
            return Ok(Self { out: out.into(), draft: Some(draft) });
        }
        let real = |path: &Path| std::fs::canonicalize(path).map_err(|error| Error::io(path, error));
        if real(dir)? == real(out)? {
            let what = "is the data folder itself; choose another, to keep the complete labels";
            return Err(Error::Usage(format!("--out {}: {what}", out.display())));
        }
        if !force && !is_empty {
            let what = "the folder is not empty; choose another or add --force";
            return Err(Error::Usage(format!("--out {}: {what}", out.display())));
        }
        let of_a_data_folder = Split::ALL.map(Split::file_name).into_iter();
        let strangers = of_a_data_folder
            .chain(["words.npy", "words.txt"].map(str::to_owned))
            .filter(|name| !written.contains(name) && out.join(name).exists());
        let strangers: Vec<String> = strangers.collect();
        if !strangers.is_empty() {
            let what = format!("holds {}, which {} does not have", strangers.join(", "), dir.display());
            return Err(Error::Usage(format!("--out {}: {what}; remove it first", out.display())));
        }
        Ok(Self { out: out.into(), draft: None })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        self.draft.as_ref().map_or(&self.out, Draft::folder)
    }

    /// All is written.
    pub fn finish(self) -> Result<()> {
        Ok(self.draft.map_or(Ok(()), Draft::publish)?)
    }
}

/// The word vectors of a data folder, which its copies take along.
pub struct WordFiles(Vec<PathBuf>);

impl WordFiles {
    /// Those of `dir`.
    pub fn of(dir: &Path) -> Result<Self> {
        Ok(Self(Words::files(dir)?))
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
    }

    /// Copies them into the folder `out`.
    pub fn copy(&self, out: &Path) -> Result<()> {
        for (path, name) in self.0.iter().zip(self.names()) {
            let mut source = File::open(path).map_err(|error| Error::io(path, error))?;
            write_atomically(&out.join(name), |writer| io::copy(&mut source, writer).map(drop))?;
        }
        Ok(())
    }
}
