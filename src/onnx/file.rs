//! A network's file: whether it is one, what goes in and comes out, and the hash by which it is known.

use std::fmt;
use std::path::{Path, PathBuf};

use rten_onnx::onnx::{self, DataLocation, DataType, GraphProto, ModelProto, TensorProto};
use sarb_labels::files::folder_of;
use sarb_labels::text::listed;

use crate::onnx::{layers, nesting, threads};
use crate::{Error, Result};

/// Most bytes of the file itself: Protocol Buffers ends there, and larger networks keep weights in parts.
const FILE_BYTES: u64 = 2 << 30;
/// Most bytes of all parts.
const PART_BYTES: u64 = 8 << 30;

/// A network's file, read whole.
pub struct NetworkFile {
    /// Where it is.
    pub path: PathBuf,
    /// BLAKE3 of its bytes in hexadecimal digits; where weights are kept in parts, of all of them.
    pub hash: String,
    /// What goes in.
    inputs: Vec<Port>,
    /// What comes out.
    outputs: Vec<Port>,
    /// The file.
    pub(super) bytes: Vec<u8>,
    /// Files beside it that hold weights, by name.
    pub(super) parts: Vec<(String, Vec<u8>)>,
}

/// An input or an output.
#[derive(Debug, Clone)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Whether it holds floating-point numbers.
    pub(super) holds: Floats,
    /// Sizes along its axes, where they are fixed; nothing where not even the number of axes is known.
    axes: Option<Vec<Option<usize>>>,
}

/// Whether something holds floating-point numbers that can be computed with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Floats {
    /// It does.
    Yes,
    /// It holds something else.
    No(String),
}

impl NetworkFile {
    /// Reads a file and the parts that it names.
    ///
    /// # Errors
    /// [`Error::Missing`] if one is not there, [`Error::Data`] if it is not a network in ONNX form or too large,
    /// [`Error::Incompatible`] if it has layers that cannot be run.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let bytes = read(path, FILE_BYTES)?;
        let not_onnx = |why: &str| Error::Data(format!("{shown}: not a whole network in ONNX form: {why}"));
        nesting::check(&bytes).map_err(not_onnx)?;
        let parsed = threads::guarded(|| ModelProto::parse_buf(&bytes));
        let model =
            parsed.ok_or_else(|| not_onnx("it is damaged"))?.map_err(|error| not_onnx(&error.to_string()))?;
        let graph = model.graph.filter(|graph| !graph.output.is_empty() && model.ir_version.is_some());
        let graph = graph.ok_or_else(|| not_onnx("it has no graph with an output"))?;
        layers::check(&graph).map_err(|why| Error::Incompatible(format!("{shown}: cannot be run: {why}")))?;
        let mut names = Vec::new();
        part_names(&graph, &mut names);
        let (mut parts, mut left) = (Vec::new(), PART_BYTES);
        for name in names {
            let part = read(&part_path(path, &name)?, left)?;
            left -= part.len() as u64;
            parts.push((name, part));
        }
        let (inputs, outputs) = ports(&graph);
        Ok(Self { path: path.to_owned(), hash: hash(&bytes, &parts), inputs, outputs, bytes, parts })
    }

    /// The input that is called `name`, or the only one.
    ///
    /// # Errors
    /// [`Error::Recipe`] without it.
    pub fn input(&self, name: Option<&str>) -> Result<&Port> {
        self.pick("input", &self.inputs, name)
    }

    /// The output that is called `name`, or the only one.
    ///
    /// # Errors
    /// [`Error::Recipe`] without it.
    pub fn output(&self, name: Option<&str>) -> Result<&Port> {
        self.pick("output", &self.outputs, name)
    }

    fn pick<'a>(&self, kind: &str, ports: &'a [Port], name: Option<&str>) -> Result<&'a Port> {
        let shown = self.path.display();
        let said: Vec<String> = ports.iter().map(|port| format!("{:?} {port}", port.name)).collect();
        match (name, ports) {
            (None, [port]) => Ok(port),
            (_, []) => Err(Error::Incompatible(format!("{shown}: the network has no {kind}"))),
            (None, _) => Err(Error::Recipe(format!(
                "{shown}: the network has several {kind}s; choose one with backbone.{kind}: {}",
                listed(&said)
            ))),
            (Some(name), _) => ports.iter().find(|port| port.name == name).ok_or_else(|| {
                Error::Recipe(format!(
                    "{shown}: backbone.{kind} is {name:?}, but the network has {}",
                    listed(&said)
                ))
            }),
        }
    }
}

impl Port {
    /// Sizes along its axes, if there are N of them; all unknown where the file says nothing.
    pub(super) fn axes<const N: usize>(&self) -> Option<[Option<usize>; N]> {
        match &self.axes {
            None => Some([None; N]),
            Some(axes) => axes.as_slice().try_into().ok(),
        }
    }

    /// Side of the square images `[B, 3, S, S]` that it takes, if it takes those of one size.
    pub(super) fn size_px(&self) -> Option<usize> {
        match self.axes()? {
            [_, _, Some(height), Some(width)] if height == width => Some(height),
            _ => None,
        }
    }
}

/// The shape, as `[?, 3, 224, 224]`.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(axes) = &self.axes else { return f.write_str("of an unknown shape") };
        let axes = axes.iter().map(|axis| axis.map_or("?".to_owned(), |size| size.to_string()));
        write!(f, "[{}]", axes.collect::<Vec<_>>().join(", "))
    }
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let bytes = std::fs::metadata(path).map_err(|error| Error::io(path, error))?.len();
    if bytes > most {
        return Err(Error::Data(format!(
            "{}: {:.1} GB, more than the {:.1} GB of a network that is read",
            path.display(),
            bytes as f64 / 1e9,
            most as f64 / 1e9
        )));
    }
    std::fs::read(path).map_err(|error| Error::io(path, error))
}

/// BLAKE3 of a file; of several, of their hashes, so that no byte can move from one to the next.
fn hash(bytes: &[u8], parts: &[(String, Vec<u8>)]) -> String {
    let whole = blake3::hash(bytes);
    if parts.is_empty() {
        return whole.to_hex().to_string();
    }
    let mut hash = blake3::Hasher::new();
    hash.update(whole.as_bytes());
    for (name, bytes) in parts {
        hash.update(blake3::hash(name.as_bytes()).as_bytes()).update(blake3::hash(bytes).as_bytes());
    }
    hash.finalize().to_hex().to_string()
}

/// A part lies beside the network: another place could be any file of this machine.
fn part_path(network: &Path, name: &str) -> Result<PathBuf> {
    let plain = Path::new(name).file_name().is_some_and(|file| file == name) && !name.contains(['/', '\\']);
    if !plain {
        return Err(Error::Data(format!(
            "{}: keeps weights in {name:?}; expected the name of a file beside it",
            network.display()
        )));
    }
    Ok(folder_of(network).join(name))
}

/// The files in which the weights of a graph are kept, each once.
fn part_names(graph: &GraphProto, names: &mut Vec<String>) {
    let mut add = |tensor: &TensorProto| {
        if tensor.data_location != Some(DataLocation::EXTERNAL) {
            return;
        }
        let location = tensor.external_data.iter().find(|entry| entry.key.as_deref() == Some("location"));
        let name = location.and_then(|entry| entry.value.clone()).unwrap_or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    };
    graph.initializer.iter().for_each(&mut add);
    let attributes = || graph.node.iter().flat_map(|node| &node.attribute);
    attributes().filter_map(|attribute| attribute.t.as_ref()).for_each(&mut add);
    for inner in attributes().filter_map(|attribute| attribute.g.as_ref()) {
        part_names(inner, names);
    }
}

/// Inputs, without the weights that old files list among them, and outputs.
fn ports(graph: &GraphProto) -> (Vec<Port>, Vec<Port>) {
    let is_weight = |port: &Port| {
        graph.initializer.iter().any(|tensor| tensor.name.as_deref() == Some(port.name.as_str()))
    };
    let inputs = graph.input.iter().map(port).filter(|port| !is_weight(port)).collect();
    (inputs, graph.output.iter().map(port).collect())
}

fn port(info: &onnx::ValueInfoProto) -> Port {
    let tensor = info.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let holds = match tensor.and_then(|tensor| tensor.elem_type) {
        // The runtime computes with 32 bits in place of 16 and 64.
        Some(DataType::FLOAT | DataType::FLOAT16 | DataType::DOUBLE) => Floats::Yes,
        Some(other) => Floats::No(other.to_string()),
        None => Floats::No("no tensor of a known type".to_owned()),
    };
    let axis = |dimension: &onnx::Dimension| dimension.dim_value.and_then(|size| usize::try_from(size).ok());
    let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
    Port {
        name: info.name.clone().unwrap_or_default(),
        holds,
        axes: shape.map(|shape| shape.dim.iter().map(axis).collect()),
    }
}
