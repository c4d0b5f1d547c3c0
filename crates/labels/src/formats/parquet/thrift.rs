//! Thrift's compact protocol, as far as the headers of Parquet files use it: numbers of fields rise and
//! nothing is believed of sizes. Format: the compact protocol of
//! <https://github.com/apache/thrift/tree/master/doc/specs>.

use std::io::{self, Read};

/// Deepest structure within a structure.
const DEEPEST: usize = 8;

pub(super) struct Thrift<R> {
    reader: R,
    /// Bytes read so far.
    pub length: u64,
}

impl<R: Read> Thrift<R> {
    const TRUE: u8 = 1;
    pub const FALSE: u8 = 2;
    const I8: u8 = 3;
    const I16: u8 = 4;
    const I32: u8 = 5;
    const I64: u8 = 6;
    const BINARY: u8 = 8;
    const LIST: u8 = 9;
    pub const STRUCT: u8 = 12;

    pub fn new(reader: R) -> Self {
        Self { reader, length: 0 }
    }

    /// The number and the kind of the next field of a structure, after the field `last`, 0 at its start;
    /// `None` at its end.
    ///
    /// Numbers have to rise, so that no field comes twice, which others might read in another way.
    pub fn field(&mut self, last: &mut i64) -> io::Result<Option<(i64, u8)>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        let field = match byte >> 4 {
            0 => zigzag(self.number()?),
            step => *last + i64::from(step),
        };
        if field <= *last || field > i64::from(i16::MAX) {
            return Err(malformed());
        }
        *last = field;
        Ok(Some((field, byte & 15)))
    }

    /// A number from 0 to what 32 bits hold.
    pub fn size(&mut self, kind: u8) -> io::Result<i64> {
        let size = zigzag(self.number()?);
        if kind == Self::I32 && (0..=i64::from(i32::MAX)).contains(&size) {
            Ok(size)
        } else {
            Err(malformed())
        }
    }

    /// How many structures the list holds that begins here.
    pub fn structures(&mut self, kind: u8) -> io::Result<u64> {
        let byte = self.byte()?;
        if kind != Self::LIST || byte & 15 != Self::STRUCT {
            return Err(malformed());
        }
        if byte >> 4 == 15 { self.number() } else { Ok(u64::from(byte >> 4)) }
    }

    pub fn skip(&mut self, kind: u8) -> io::Result<()> {
        self.skip_below(kind, DEEPEST)
    }

    fn skip_below(&mut self, kind: u8, depth: usize) -> io::Result<()> {
        match kind {
            Self::TRUE | Self::FALSE => Ok(()),
            Self::I8 => self.byte().map(drop),
            Self::I16 | Self::I32 | Self::I64 => self.number().map(drop),
            Self::BINARY => {
                let bytes = self.number()?;
                let read = io::copy(&mut (&mut self.reader).take(bytes), &mut io::sink())?;
                self.length += read;
                if read == bytes { Ok(()) } else { Err(malformed()) }
            }
            Self::STRUCT if depth > 0 => {
                let mut last = 0;
                while let Some((_, kind)) = self.field(&mut last)? {
                    self.skip_below(kind, depth - 1)?;
                }
                Ok(())
            }
            _ => Err(malformed()),
        }
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut number = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(number);
            }
        }
        Err(malformed())
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.reader.read_exact(&mut byte)?;
        self.length += 1;
        Ok(byte[0])
    }
}

/// The number that is written as this one, which has its sign in the last bit.
pub(super) fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

pub(super) fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thrift(bytes: &[u8]) -> Thrift<&[u8]> {
        Thrift::new(bytes)
    }

    #[test]
    fn numbers_have_their_sign_in_the_last_bit() {
        assert_eq!([0, 1, 2, 3, 4, u64::MAX].map(zigzag), [0, -1, 1, -2, 2, i64::MIN]);
    }

    #[test]
    fn fields_have_numbers_of_16_bits_that_rise() {
        // 32,767 and 32,768, written in full.
        assert_eq!(thrift(&[0x05, 0xfe, 0xff, 3]).field(&mut 0).unwrap(), Some((32_767, 5)));
        assert!(thrift(&[0x05, 0x80, 0x80, 4]).field(&mut 0).is_err());
        assert!(thrift(&[0x05, 0x80, 0x80, 0x80, 4]).field(&mut 0).is_err());
        assert!(thrift(&[0x05, 6]).field(&mut 3).is_err());
        assert_eq!(thrift(&[0x05, 8]).field(&mut 3).unwrap(), Some((4, 5)));
        assert_eq!(thrift(&[0]).field(&mut 3).unwrap(), None);
    }

    #[test]
    fn only_lists_of_structures_are_read_as_such() {
        const LIST: u8 = Thrift::<&[u8]>::LIST;
        assert_eq!(thrift(&[0x3c]).structures(LIST).unwrap(), 3);
        assert_eq!(thrift(&[0xfc, 200, 1]).structures(LIST).unwrap(), 200);
        assert!(thrift(&[0x35]).structures(LIST).is_err(), "numbers");
        assert!(thrift(&[0x3c]).structures(Thrift::<&[u8]>::STRUCT).is_err(), "no list");
    }

    #[test]
    fn structures_are_skipped_to_their_end_and_not_below_the_deepest() {
        let nested = |depth: usize| [vec![0x1c; depth - 1], vec![0; depth], vec![7]].concat();
        let skip = |depth: usize| {
            let bytes = nested(depth);
            let mut thrift = thrift(&bytes);
            thrift.skip(Thrift::<&[u8]>::STRUCT)?;
            thrift.byte()
        };
        for depth in 1..=DEEPEST {
            assert_eq!(skip(depth).unwrap(), 7);
        }
        assert!(skip(DEEPEST + 1).is_err() && skip(100).is_err());
    }
}
