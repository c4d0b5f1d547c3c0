//! TensorBoard's event files, scalars only: protobuf messages, encoded by hand, in TFRecord frames.
//!
//! Frames: <https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details>. Fields:
//! `event.proto` and `summary.proto` of <https://github.com/tensorflow/tensorboard>. TensorBoard reads
//! files whose names contain `tfevents`. Left out: images, histograms, metadata.

/// What TFRecord adds to a rotated checksum.
const MASK_DELTA: u32 = 0xa282_ead8;
/// Castagnoli's polynomial, lowest bit first.
const CASTAGNOLI: u32 = 0x82f6_3b78;
/// The checksum's remainder of each byte.
static REMAINDERS: [u32; 256] = remainders();

/// The scalars of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Seconds since 1970.
    pub wall_time: f64,
    /// The step, the horizontal axis.
    pub step: i64,
    /// Tags, such as `loss/total`, and their values.
    pub scalars: Vec<(String, f32)>,
}

/// Renders a whole event file: `file_version` "brain.Event:2" first, then one event per step with its
/// scalars. More points at the end leave the bytes of the earlier ones as they were.
pub fn encode(points: &[Point]) -> Vec<u8> {
    let start = points.first().map_or(0.0, |point| point.wall_time);
    let version = [field(1, 1, &start.to_le_bytes()), bytes_field(3, b"brain.Event:2")].concat();
    [record(&version), encode_more(points)].concat()
}

/// Points at the end of a file that [`encode`] began.
pub fn encode_more(points: &[Point]) -> Vec<u8> {
    points.iter().flat_map(|point| record(&event(point))).collect()
}

/// `Event { wall_time = 1, step = 2, summary = 5 }`, each `Value { tag = 1, simple_value = 2 }` in field 1.
fn event(point: &Point) -> Vec<u8> {
    let values = point.scalars.iter().flat_map(|(tag, scalar)| {
        bytes_field(1, &[bytes_field(1, tag.as_bytes()), field(2, 5, &scalar.to_le_bytes())].concat())
    });
    let summary = values.collect::<Vec<_>>();
    let wall_time = field(1, 1, &point.wall_time.to_le_bytes());
    [wall_time, field(2, 0, &varint(point.step.cast_unsigned())), bytes_field(5, &summary)].concat()
}

/// Wire type 2: a length and that many bytes.
fn bytes_field(number: u8, bytes: &[u8]) -> Vec<u8> {
    field(number, 2, &[&varint(bytes.len() as u64)[..], bytes].concat())
}

/// The number, here below 16, is above the three bits of the wire type.
fn field(number: u8, wire_type: u8, content: &[u8]) -> Vec<u8> {
    [&[(number << 3) | wire_type][..], content].concat()
}

/// Seven bits a byte, lowest first; the top bit says that more follow.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// The length, its checksum, the message, its checksum.
fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    [&length[..], &masked_crc32c(&length), message, &masked_crc32c(message)].concat()
}

fn masked_crc32c(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(MASK_DELTA).to_le_bytes()
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| (crc >> 8) ^ REMAINDERS[usize::from(crc as u8 ^ byte)])
}

const fn remainders() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { CASTAGNOLI } else { 0 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(step: i64, scalars: &[(&str, f32)]) -> Point {
        let scalars = scalars.iter().map(|&(tag, value)| (tag.to_owned(), value)).collect();
        Point { wall_time: 2.0, step, scalars }
    }

    fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
        bytes.split_off(..length).expect("enough bytes")
    }

    fn number(varint: &[u8]) -> u64 {
        varint.iter().rev().fold(0, |number, byte| (number << 7) | u64::from(byte & 0x7f))
    }

    fn fields(mut message: &[u8]) -> Vec<(u8, &[u8])> {
        let mut fields = Vec::new();
        while !message.is_empty() {
            let key = take(&mut message, 1)[0];
            let varint = 1 + message.iter().take_while(|byte| **byte > 0x7f).count();
            let length = match key & 7 {
                0 => varint,
                1 => 8,
                2 => number(take(&mut message, varint)) as usize,
                _ => 4,
            };
            fields.push((key >> 3, take(&mut message, length)));
        }
        fields
    }

    #[test]
    fn the_checksum_is_castagnolis() {
        // The check value of CRC-32/ISCSI in the catalog of parametrized CRC algorithms.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn an_event_is_what_protobuf_writes() {
        // tensorboard.compat.proto: Event(wall_time=2, step=-1, summary=Summary(value=[
        //     Summary.Value(tag="a", simple_value=0.5)])).SerializeToString()
        let bytes = [b"\t\0\0\0\0\0\0\0@\x10", &[0xff; 9][..], b"\x01*\n\n\x08\n\x01a\x15\0\0\0?"].concat();
        assert_eq!(event(&point(-1, &[("a", 0.5)])), bytes);
    }

    #[test]
    fn a_file_gives_its_points_back() {
        let long = "t".repeat(300);
        let early = [point(0, &[("loss", 0.25), (&long, f32::INFINITY)]), point(-7, &[])];
        let late = [point(i64::MAX, &[("mAP", 0.9)]), point(i64::MIN, &[("é", -1.5)])];
        let points = [early.clone(), late].concat();
        let file = encode(&points);
        assert_eq!(file, [encode(&early), encode_more(&points[2..])].concat());

        let (mut rest, mut messages) = (&file[..], Vec::new());
        while !rest.is_empty() {
            let length = take(&mut rest, 8);
            assert_eq!(take(&mut rest, 4), masked_crc32c(length));
            messages.push(take(&mut rest, u64::from_le_bytes(length.try_into().unwrap()) as usize));
            assert_eq!(take(&mut rest, 4), masked_crc32c(messages[messages.len() - 1]));
        }
        assert_eq!(fields(messages[0])[1], (3, &b"brain.Event:2"[..]));
        let decoded = messages[1..].iter().map(|message| {
            let [(1, wall_time), (2, step), (5, summary)] = fields(message)[..] else { panic!("fields") };
            let scalars = fields(summary).into_iter().map(|(_, value)| {
                let [(1, tag), (2, scalar)] = fields(value)[..] else { panic!("fields") };
                (str::from_utf8(tag).unwrap().to_owned(), f32::from_le_bytes(scalar.try_into().unwrap()))
            });
            let wall_time = f64::from_le_bytes(wall_time.try_into().unwrap());
            Point { wall_time, step: number(step).cast_signed(), scalars: scalars.collect() }
        });
        assert!(decoded.eq(points));
    }
}
