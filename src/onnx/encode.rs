//! A graph as the bytes of a file. Layers and weights are `rten-onnx`'s messages; those around them are our own, because
//! its have no place for what an input means, nor for what a file says of itself. The numbers of fields are those of
//! onnx.proto.

use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto,
};
use rten_onnx::protobuf::{EncodeMessage, MessageWriter, ProtobufError, ValueWriter, WriteValue};

use super::graph::{Constant, Graph, Node, Numbers, Setting, Value};
use crate::{Error, Result};

/// The version of operators: that of ONNX 1.13, from 2022.
const OPERATOR_SET: i64 = 18;
/// The version of the format that came with it.
const FORMAT: i64 = 8;
/// Readers of Protocol Buffers end here.
const MOST_BYTES: u64 = i32::MAX as u64;

/// What a file says of itself beside its graph.
#[derive(Debug)]
pub struct About<'a> {
    /// What the network does, in a sentence.
    pub description: &'a str,
    /// Version of the program.
    pub version: &'a str,
    /// Keys and values.
    pub metadata: Vec<(&'a str, String)>,
}

impl Graph {
    /// The bytes of the file of a graph with one input, images `[batch, 3, H, W]`, and these outputs by name.
    ///
    /// # Errors
    /// [`Error::Data`] if it is larger than what can be read.
    ///
    /// # Panics
    /// If there is another number of inputs.
    pub fn encode(mut self, outputs: &[(&str, Value)], about: &About<'_>) -> Result<Vec<u8>> {
        let outputs: Vec<Value> = outputs.iter().map(|(name, value)| self.rename(value, name)).collect();
        self.keep(&outputs);
        let [image] = &self.inputs[..] else { panic!("one input") };
        let meanings = ["DATA_BATCH", "DATA_CHANNEL", "DATA_FEATURE", "DATA_FEATURE"];
        let model = Model {
            about,
            graph: Network {
                nodes: self.nodes.iter().map(Node::proto).collect(),
                constants: self.constants.iter().map(Constant::proto).collect(),
                input: Port { value: image, meaning: Some("IMAGE"), axes: &meanings },
                outputs: outputs.iter().map(|value| Port { value, meaning: None, axes: &[] }).collect(),
            },
        };
        let bytes = model.encoded_len().expect("plain data");
        if bytes > MOST_BYTES {
            return Err(Error::Data(format!(
                "the network has {:.1} GB, more than the 2.1 GB of a file in ONNX form",
                bytes as f64 / 1e9
            )));
        }
        let mut file = ValueWriter::new(Vec::with_capacity(bytes as usize));
        model.encode(&mut file).expect("memory takes all");
        Ok(file.into_inner())
    }
}

impl Constant {
    fn proto(&self) -> TensorProto {
        let (kind, bytes): (_, Vec<u8>) = match &self.numbers {
            Numbers::Floats(values) => {
                (DataType::FLOAT, values.iter().flat_map(|it| it.to_le_bytes()).collect())
            }
            Numbers::Integers(values) => {
                (DataType::INT64, values.iter().flat_map(|it| it.to_le_bytes()).collect())
            }
        };
        TensorProto {
            name: Some(self.name.clone()),
            dims: self.shape.iter().map(|&size| size as i64).collect(),
            data_type: Some(kind),
            raw_data: Some(bytes.into()),
            ..TensorProto::default()
        }
    }
}

impl Node {
    fn proto(&self) -> NodeProto {
        NodeProto {
            name: Some(self.name.clone()),
            op_type: Some(self.operator.to_owned()),
            input: self.inputs.clone(),
            output: self.outputs.clone(),
            attribute: self.settings.iter().map(|(name, setting)| setting.proto(name)).collect(),
            domain: None,
        }
    }
}

impl Setting {
    fn proto(&self, name: &str) -> AttributeProto {
        let plain = AttributeProto { name: Some(name.to_owned()), ..AttributeProto::default() };
        match self {
            Setting::Int(value) => {
                AttributeProto { r#type: Some(AttributeType::INT), i: Some(*value), ..plain }
            }
            Setting::Ints(values) => {
                AttributeProto { r#type: Some(AttributeType::INTS), ints: values.clone(), ..plain }
            }
        }
    }
}

/// What writing a field returns.
type Written = Result<(), ProtobufError>;

/// ModelProto.
struct Model<'a> {
    about: &'a About<'a>,
    graph: Network<'a>,
}

impl EncodeMessage for Model<'_> {
    fn encode_fields<W: WriteValue>(&self, fields: &mut MessageWriter<W>) -> Written {
        let About { description, version, metadata } = self.about;
        fields.write_int64(1, FORMAT)?;
        fields.write_string(2, "sarb")?;
        fields.write_string(3, version)?;
        fields.write_string(6, description)?;
        fields.write_message(7, &self.graph)?;
        let operators = OperatorSetIdProto { domain: Some(String::new()), version: Some(OPERATOR_SET) };
        fields.write_message(8, &operators)?;
        for (key, value) in metadata {
            let entry = StringStringEntryProto { key: Some((*key).to_owned()), value: Some(value.clone()) };
            fields.write_message(14, &entry)?;
        }
        Ok(())
    }
}

/// GraphProto.
struct Network<'a> {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    input: Port<'a>,
    outputs: Vec<Port<'a>>,
}

impl EncodeMessage for Network<'_> {
    fn encode_fields<W: WriteValue>(&self, fields: &mut MessageWriter<W>) -> Written {
        fields.write_repeated_message(1, &self.nodes)?;
        fields.write_string(2, "sarb")?;
        fields.write_repeated_message(5, &self.constants)?;
        fields.write_message(11, &self.input)?;
        fields.write_repeated_message(12, &self.outputs)
    }
}

/// ValueInfoProto: an input or output of floats, `[batch, axes…]`, and what it and its axes mean.
struct Port<'a> {
    value: &'a Value,
    meaning: Option<&'static str>,
    axes: &'a [&'static str],
}

impl EncodeMessage for Port<'_> {
    fn encode_fields<W: WriteValue>(&self, fields: &mut MessageWriter<W>) -> Written {
        fields.write_string(1, &self.value.name)?;
        fields.write_message(2, &Kind(self))
    }
}

/// TypeProto of a port.
struct Kind<'a>(&'a Port<'a>);

impl EncodeMessage for Kind<'_> {
    fn encode_fields<W: WriteValue>(&self, fields: &mut MessageWriter<W>) -> Written {
        fields.write_message(1, &Tensor(self.0))?;
        self.0.meaning.map_or(Ok(()), |meaning| fields.write_string(6, meaning))
    }
}

/// TypeProto.Tensor of a port.
struct Tensor<'a>(&'a Port<'a>);

impl EncodeMessage for Tensor<'_> {
    fn encode_fields<W: WriteValue>(&self, fields: &mut MessageWriter<W>) -> Written {
        fields.write_enum(1, DataType::FLOAT.0)?;
        fields.write_message(2, &Shape(self.0))
    }
}

/// TensorShapeProto of a port.
struct Shape<'a>(&'a Port<'a>);

impl EncodeMessage for Shape<'_> {
    fn encode_fields<W: WriteValue>(&self, fields: &mut MessageWriter<W>) -> Written {
        let sizes = self.0.value.axes().iter().map(|&size| Some(size as i64));
        let meanings = self.0.axes.iter().copied().map(Some).chain(std::iter::repeat(None));
        for (size, meaning) in std::iter::once(None).chain(sizes).zip(meanings) {
            fields.write_message(1, &Axis { size, meaning })?;
        }
        Ok(())
    }
}

/// TensorShapeProto.Dimension; without a size it is the batch.
struct Axis {
    size: Option<i64>,
    meaning: Option<&'static str>,
}

impl EncodeMessage for Axis {
    fn encode_fields<W: WriteValue>(&self, fields: &mut MessageWriter<W>) -> Written {
        match self.size {
            Some(size) => fields.write_int64(1, size)?,
            None => fields.write_string(2, "batch")?,
        }
        self.meaning.map_or(Ok(()), |meaning| fields.write_string(3, meaning))
    }
}
