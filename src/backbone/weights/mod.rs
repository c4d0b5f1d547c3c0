//! Backbone weights in files: PyTorch checkpoints and safetensors.
//!
//! Tensors are matched by their official names, so torchvision's files load as they are. Nothing
//! is assigned before all of a file has been checked.

mod fit;
mod named;

use std::collections::BTreeMap;
use std::path::Path;

use burn::store::pytorch_reader::{self, PytorchError, PytorchReader};
use burn::tensor::Device;
use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::backbone::{Backbone, BackboneName, Classifier};
use crate::{Error, Result};
use fit::Fit;

pub(crate) use named::{NamedMatrix, load_all, matrices, number};

/// Where the numbers of a stored tensor are.
enum Source<'a> {
    Safetensors(TensorView<'a>),
    Pytorch(&'a pytorch_reader::Tensor),
}

/// The types of number that are read.
#[derive(Clone, Copy, Debug)]
enum Float {
    F16,
    Bf16,
    F32,
    F64,
}

impl Source<'_> {
    fn shape(&self) -> &[usize] {
        match self {
            Source::Safetensors(view) => view.shape(),
            Source::Pytorch(tensor) => tensor.shape(),
        }
    }

    /// The type, or the name of one that cannot be a weight.
    fn float(&self) -> Result<Float, String> {
        match self {
            Source::Safetensors(view) => match view.dtype() {
                Dtype::F16 => Ok(Float::F16),
                Dtype::BF16 => Ok(Float::Bf16),
                Dtype::F32 => Ok(Float::F32),
                Dtype::F64 => Ok(Float::F64),
                other => Err(format!("{other:?}")),
            },
            Source::Pytorch(tensor) => match tensor.dtype() {
                pytorch_reader::DType::F16 => Ok(Float::F16),
                pytorch_reader::DType::BF16 => Ok(Float::Bf16),
                pytorch_reader::DType::F32 => Ok(Float::F32),
                pytorch_reader::DType::F64 => Ok(Float::F64),
                other => Err(format!("{other:?}")),
            },
        }
    }

    fn values(&self, float: Float) -> std::io::Result<Vec<f32>> {
        Ok(match self {
            // The file is little-endian, the reader's bytes are native.
            Source::Safetensors(view) => match float {
                Float::F16 => decode(view.data(), |bytes| f16::from_le_bytes(bytes).to_f32()),
                Float::Bf16 => decode(view.data(), |bytes| bf16::from_le_bytes(bytes).to_f32()),
                Float::F32 => decode(view.data(), f32::from_le_bytes),
                Float::F64 => decode(view.data(), |bytes| f64::from_le_bytes(bytes) as f32),
            },
            Source::Pytorch(tensor) => {
                let data = tensor.read()?;
                match float {
                    Float::F16 => decode(&data, |bytes| f16::from_ne_bytes(bytes).to_f32()),
                    Float::Bf16 => decode(&data, |bytes| bf16::from_ne_bytes(bytes).to_f32()),
                    Float::F32 => decode(&data, f32::from_ne_bytes),
                    Float::F64 => decode(&data, |bytes| f64::from_ne_bytes(bytes) as f32),
                }
            }
        })
    }
}

fn decode<const N: usize>(data: &[u8], one: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    data.as_chunks().0.iter().map(|&bytes| one(bytes)).collect()
}

/// Tensors of a file by name.
type Sources<'a> = BTreeMap<String, Source<'a>>;

/// Replaces all tensors of `backbone` by those of a file.
///
/// # Errors
/// As [`Backbone::load`].
pub(crate) fn load(backbone: &mut Backbone, path: &Path) -> Result<()> {
    let assign = |sources: &Sources<'_>| {
        let (what, hint) = (backbone.name().to_string(), || other_backbone(sources));
        let mut values = matching(layout(backbone), (what.as_str(), hint), &[], sources, path)?;
        backbone.tensors(&mut |name, slot| {
            slot.assign(values.remove(&name).expect("every tensor was found"));
        });
        Ok(())
    };
    with_sources(path, assign)
}

/// Opens a file by its ending and hands its tensors on.
fn with_sources<T>(path: &Path, use_sources: impl FnOnce(&Sources<'_>) -> Result<T>) -> Result<T> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let shown = path.display();
    if ends(&[".safetensors"]) {
        let bytes = read(path)?;
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|error| Error::Data(format!("{shown}: not a whole safetensors file: {error}")))?;
        use_sources(&file.iter().map(|(name, view)| (name.to_owned(), Source::Safetensors(view))).collect())
    } else if ends(&[".pth", ".pt", ".pth.tar"]) {
        // Says "no such file" and "is a folder" as for every other file.
        std::fs::File::open(path).and_then(|file| file.metadata()).map_err(|error| Error::io(path, error))?;
        let file = PytorchReader::new(path).map_err(|error| match error {
            PytorchError::Io(source) if source.raw_os_error().is_some() => Error::io(path, source),
            error => Error::Data(format!("{shown}: not a whole PyTorch checkpoint: {error}")),
        })?;
        let tensors = file.tensors().iter();
        use_sources(&tensors.map(|(name, tensor)| (name.clone(), Source::Pytorch(tensor))).collect())
    } else {
        Err(Error::Data(format!("{shown}: unknown kind of weights; expected .safetensors, .pth or .pt")))
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::io(path, error))
}

/// Names and shapes of all tensors of a backbone, in state-dict order.
fn layout(backbone: &Backbone) -> Vec<(String, Vec<usize>)> {
    let mut layout = Vec::new();
    backbone.clone().tensors(&mut |name, slot| layout.push((name, slot.shape())));
    layout
}

/// The checked values of every tensor of a layout, by official name; `what` says what they are together and, where they
/// do not fit, what may be meant.
fn matching(
    layout: Vec<(String, Vec<usize>)>,
    (what, hint): (&str, impl FnOnce() -> String),
    ignored: &[&str],
    sources: &Sources<'_>,
    path: &Path,
) -> Result<BTreeMap<String, Vec<f32>>> {
    let fit = Fit::new(&layout, sources, ignored);
    if !fit.is_complete() {
        let shown = path.display();
        return Err(Error::Incompatible(format!(
            "{shown}: does not fit {what}: {}{}",
            fit.problems(),
            hint()
        )));
    }
    let checked = |(name, _): (String, _)| {
        let full = format!("{}{name}", fit.prefix);
        let values = finite(&full, &sources[&full], path)?;
        Ok((name, values))
    };
    layout.into_iter().map(checked).collect()
}

/// What to say where a file is of another backbone.
fn other_backbone(sources: &Sources<'_>) -> String {
    let hint =
        |name| format!("; it looks like {name}: if the recipe means that one, --set backbone.name={name}");
    recognized(sources).map(hint).unwrap_or_default()
}

/// The backbone that a file holds all of.
fn recognized(sources: &Sources<'_>) -> Option<BackboneName> {
    let fits = |&name: &BackboneName| {
        Fit::new(&layout(&Backbone::new(name, &Device::flex())), sources, &[]).is_complete()
    };
    BackboneName::ALL.into_iter().find(fits)
}

/// What a file says of one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The type of its numbers, such as `F32`.
    pub number: String,
}

/// The tensors in a file, by name, and the backbone that they are.
///
/// # Errors
/// [`Error::Missing`] without the file, [`Error::Data`] if it cannot be read.
pub(crate) fn describe(path: &Path) -> Result<(Vec<TensorInfo>, Option<BackboneName>)> {
    with_sources(path, |sources| {
        let described = sources.iter().map(|(name, source)| {
            let number =
                source.float().map_or_else(|other| other, |float| format!("{float:?}").to_uppercase());
            TensorInfo { name: name.clone(), shape: source.shape().to_vec(), number }
        });
        Ok((described.collect(), recognized(sources)))
    })
}

/// The tensors of 32-bit numbers in a file as a safetensors file, under their names, with a note in its header.
///
/// # Errors
/// As [`describe`]; [`Error::Data`] if values cannot be used.
pub(crate) fn as_safetensors(path: &Path, note: Option<(String, String)>) -> Result<Vec<u8>> {
    with_sources(path, |sources| {
        let mut tensors = Vec::new();
        for (name, source) in sources.iter().filter(|(_, it)| matches!(it.float(), Ok(Float::F32))) {
            let values = finite(name, source, path)?;
            let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
            tensors.push((name.as_str(), source.shape().to_vec(), bytes));
        }
        let mut views = Vec::new();
        for (name, shape, bytes) in &tensors {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes)
                .map_err(|error| Error::Data(format!("{}: {name}: {error}", path.display())))?;
            views.push((*name, view));
        }
        let notes = note.map(|note| [note].into_iter().collect());
        Ok(safetensors::serialize(views, notes).expect("names are distinct and lengths fit"))
    })
}

/// The values of one tensor, all of them usable.
fn finite(name: &str, source: &Source<'_>, path: &Path) -> Result<Vec<f32>> {
    let shown = path.display();
    let float = source.float().map_err(|found| {
        Error::Incompatible(format!("{shown}: {name} holds {found}; expected F16, BF16, F32 or F64"))
    })?;
    let values = source
        .values(float)
        .map_err(|error| Error::Data(format!("{shown}: {name} cannot be read: {error}")))?;
    let bad = values.iter().filter(|value| !value.is_finite()).count();
    if bad > 0 {
        let all = values.len();
        return Err(Error::Data(format!("{shown}: {name}: {bad} of {all} values are NaN or infinite")));
    }
    if name.ends_with("running_var") && values.iter().any(|&value| value < 0.0) {
        return Err(Error::Data(format!("{shown}: {name}: a variance is negative")));
    }
    Ok(values)
}

/// The classifier in a file of weights of the backbone `name`.
///
/// # Errors
/// As [`Backbone::classifier`].
pub(crate) fn classifier(name: BackboneName, path: &Path) -> Result<Classifier> {
    with_sources(path, |sources| {
        let part = |part: &str, dims: usize| {
            let wanted = format!("{}.{part}", name.classifier());
            let found = sources.iter().find(|(full, source)| {
                let prefix = full.strip_suffix(wanted.as_str());
                source.shape().len() == dims && prefix.is_some_and(|it| it.is_empty() || it.ends_with('.'))
            });
            let (full, source) = found.ok_or_else(|| {
                Error::Incompatible(format!(
                    "{}: has no classifier {wanted}, which a descriptor of {name} reads; leave the blocks \"probability\" and \"score\" out of backbone.descriptor.blocks",
                    path.display()
                ))
            })?;
            Ok::<_, Error>((source.shape().to_vec(), finite(full, source, path)?))
        };
        let ((shape, weight), (_, bias)) = (part("weight", 2)?, part("bias", 1)?);
        if shape != [bias.len(), name.channels()] || bias.is_empty() {
            return Err(Error::Incompatible(format!(
                "{}: the classifier has weights {shape:?} and {} biases; expected {} weights a bias",
                path.display(),
                bias.len(),
                name.channels()
            )));
        }
        Ok(Classifier { weight, bias })
    })
}

/// Writes all tensors of a backbone, and perhaps its classifier, as safetensors under their official names. An old file is
/// replaced only by a whole new one.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written.
pub(crate) fn save(backbone: &Backbone, classifier: Option<&Classifier>, path: &Path) -> Result<()> {
    let bytes = |values: Vec<f32>| values.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>();
    let mut tensors = Vec::new();
    backbone.clone().tensors(&mut |name, slot| tensors.push((name, slot.shape(), bytes(slot.values()))));
    if let Some(Classifier { weight, bias }) = classifier {
        let (name, classes) = (backbone.name().classifier(), bias.len());
        tensors.push((format!("{name}.weight"), vec![classes, backbone.channels()], bytes(weight.clone())));
        tensors.push((format!("{name}.bias"), vec![classes], bytes(bias.clone())));
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        (name.as_str(), view.expect("shape and bytes come from one tensor"))
    });
    let file = safetensors::serialize(views, None).expect("names are distinct and lengths fit");
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, file).map_err(|error| Error::io(&partial, error))?;
    std::fs::rename(&partial, path).map_err(|error| Error::io(path, error))
}

/// The BLAKE3 hash of a file in hexadecimal, for cache keys.
///
/// # Errors
/// [`Error::Missing`] without the file, [`Error::Io`] if it cannot be read.
pub fn fingerprint(path: &Path) -> Result<String> {
    let file = std::fs::File::open(path).map_err(|error| Error::io(path, error))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).map_err(|error| Error::io(path, error))?;
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
pub(crate) mod testing {
    //! What the tests of all backbones share.

    use super::*;
    use crate::backbone::state_dict::{Slot, Visit};
    use burn::tensor::{Tensor, TensorData};
    use std::path::PathBuf;

    /// A tensor of a file in tests/fixtures.
    pub(crate) fn fixture<const D: usize>(file: &str, name: &str, device: &Device) -> Tensor<D> {
        let path = format!("{}/tests/fixtures/{file}.safetensors", env!("CARGO_MANIFEST_DIR"));
        with_sources(Path::new(&path), |sources| {
            let data = TensorData::new(sources[name].values(Float::F32).unwrap(), sources[name].shape());
            Ok(Tensor::from_data(data, device))
        })
        .unwrap()
    }

    /// Fills a network as tests/fixtures/README.md states for backbones.safetensors.
    pub(crate) fn closed_form(each: &mut dyn FnMut(&mut Visit<'_>)) {
        let mut number = 0.0;
        each(&mut |name: String, slot: Slot<'_>| {
            let shape = slot.shape();
            let (shift, scale) = match &slot {
                Slot::Filters(_) => (0.0, (2.0 / (shape[1] * shape[2] * shape[3]) as f64).sqrt()),
                _ if name.ends_with("running_var") => (1.0, 0.5),
                Slot::Vector(_) if name.ends_with("weight") => (1.0, 0.1),
                _ => (0.0, 0.1),
            };
            let count: usize = shape.iter().product();
            let value = |index: usize| (shift + scale * (0.37 * index as f64 + number).sin()) as f32;
            slot.assign((0..count).map(value).collect());
            number += 1.0;
        });
    }

    /// Largest difference over the largest expected entry.
    pub(crate) fn relative_error(found: Tensor<4>, expected: Tensor<4>) -> f32 {
        assert_eq!(found.dims(), expected.dims());
        let scale: f32 = expected.clone().abs().max().into_scalar();
        let error: f32 = (found - expected).abs().max().into_scalar();
        error / scale
    }

    /// The published EfficientNet-Lite2 weights.
    pub(crate) fn lite2_weights() -> PathBuf {
        crate::outside_data::outside_data("data/weights/efficientnet_lite2.safetensors")
    }

    /// The published EfficientNet-Lite0 weights.
    pub(crate) fn lite0_weights() -> PathBuf {
        crate::outside_data::outside_data("data/weights/efficientnet_lite0.safetensors")
    }
}

#[cfg(test)]
mod tests;
