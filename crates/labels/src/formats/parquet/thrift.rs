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

fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

pub(super) fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}
