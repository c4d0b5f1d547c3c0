//! How deep a file's messages lie in one another, before anything follows them down.
//!
//! Graphs hold nodes, nodes hold attributes and attributes may hold graphs again. `rten-onnx` 0.27 reads them by
//! recursion without a bound, and a stack that overflows ends the program, which no guard can catch.

/// Deepest message that is read: some twenty graphs in one another, where networks have two or three.
const DEEPEST: usize = 64;

/// The messages of ONNX that can hold themselves, over others.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    ValueInfo,
    Type,
    SequenceType,
}

impl Message {
    /// What a field holds, where it leads on; the numbers are those of `onnx.proto3`.
    fn field(self, number: u64) -> Option<Self> {
        Some(match (self, number) {
            (Message::Model, 7) => Message::Graph,
            (Message::Graph, 1) => Message::Node,
            (Message::Graph, 11..=13) => Message::ValueInfo,
            (Message::Node, 5) => Message::Attribute,
            (Message::Attribute, 6 | 11) => Message::Graph,
            (Message::ValueInfo, 2) => Message::Type,
            (Message::Type, 4) => Message::SequenceType,
            (Message::SequenceType, 1) => Message::Type,
            _ => return None,
        })
    }
}

/// Follows the messages of a file, without recursion.
///
/// # Errors
/// What is wrong with it: messages that lie too deep, or what is no message.
pub(super) fn check(bytes: &[u8]) -> Result<(), &'static str> {
    let mut open = vec![(bytes, Message::Model, 1)];
    while let Some((mut bytes, message, depth)) = open.pop() {
        while !bytes.is_empty() {
            let (number, content) = next_field(&mut bytes).ok_or("it is damaged or cut off")?;
            if let (Some(content), Some(inner)) = (content, message.field(number)) {
                if depth == DEEPEST {
                    return Err("its graphs lie too deep in one another");
                }
                open.push((content, inner, depth + 1));
            }
        }
    }
    Ok(())
}

/// The next field's number and, if it has a length, its bytes.
fn next_field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Option<&'a [u8]>)> {
    let key = varint(bytes)?;
    let content = match key & 7 {
        0 => varint(bytes).map(|_| None),
        1 => bytes.split_off(..8).map(|_| None),
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            bytes.split_off(..length).map(Some)
        }
        5 => bytes.split_off(..4).map(|_| None),
        _ => None,
    }?;
    Some((key >> 3, content))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
