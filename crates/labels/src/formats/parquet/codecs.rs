//! Compressed pages whose size is not what their header says, found before anything makes room for them.
//!
//! The `parquet` crate gives the codecs below no limit, and a few bytes can stand for gigabytes. The others
//! write into room of the size that the header says, which `headers.rs` checks.

use std::io::{self, Read};

use ::parquet::basic::Compression;
use brotli::Decompressor;
use flate2::bufread::MultiGzDecoder;

/// What is accepted, for a message.
pub(super) const CODECS: &str = "SNAPPY, ZSTD, GZIP, BROTLI, LZ4, LZ4_RAW or nothing";

/// Whether pages of this compression are read.
pub(super) fn is_read(compression: Compression) -> bool {
    match compression {
        Compression::UNCOMPRESSED
        | Compression::SNAPPY
        | Compression::ZSTD(_)
        | Compression::GZIP(_)
        | Compression::BROTLI(_)
        | Compression::LZ4
        | Compression::LZ4_RAW => true,
        Compression::LZO => false,
    }
}

/// Whether a compressed page has this size when decompressed, as far as nobody else makes sure of it.
///
/// # Errors
/// What is wrong with the page.
pub(super) fn check_size(
    compression: Compression,
    page: impl io::BufRead,
    size: u64,
) -> std::result::Result<(), String> {
    match compression {
        // A page without values has no bytes, which no codec wrote.
        _ if size == 0 => Ok(()),
        Compression::GZIP(_) => check(MultiGzDecoder::new(page), size),
        Compression::BROTLI(_) => check(Decompressor::new(page, 65_536), size),
        Compression::LZ4 => check_lz4(page),
        _ => Ok(()),
    }
}

fn check(decompressed: impl Read, size: u64) -> std::result::Result<(), String> {
    let read = io::copy(&mut decompressed.take(size + 1), &mut io::sink());
    match read {
        Ok(read) if read == size => Ok(()),
        Ok(_) => Err("the file is damaged: a page has another size than it says".into()),
        Err(error) => Err(format!("the file is damaged: {error}")),
    }
}

/// Refuses the frames of LZ4, of which the size is not known before their end. Only early versions of the
/// `parquet` crate wrote them; the frames of Hadoop begin with their size.
fn check_lz4(mut page: impl Read) -> std::result::Result<(), String> {
    const FRAME: u32 = 0x184d_2204;
    const EARLY_FRAME: u32 = 0x184c_2102;
    /// The last four bits are of no meaning.
    const SKIPPED: u32 = 0x184d_2a50;
    let mut magic = [0; 4];
    let Ok(()) = page.read_exact(&mut magic) else { return Ok(()) };
    match u32::from_le_bytes(magic) {
        magic if [FRAME, EARLY_FRAME].contains(&magic) || magic & !15 == SKIPPED => {
            Err("compressed in frames of LZ4, which are not read; write the table with ZSTD".into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_page_that_is_longer_or_shorter_than_it_says_is_refused() {
        let mut brotli = Vec::new();
        brotli::CompressorWriter::new(&mut brotli, 4096, 1, 22).write_all(&[7; 5000]).unwrap();
        for (compression, page) in [
            (Compression::GZIP(Default::default()), gzip(&[7; 5000])),
            (Compression::BROTLI(Default::default()), brotli),
        ] {
            assert_eq!(check_size(compression, &page[..], 5000), Ok(()));
            for size in [1, 4999, 5001] {
                let error = check_size(compression, &page[..], size).unwrap_err();
                assert_eq!(error, "the file is damaged: a page has another size than it says");
            }
            assert!(check_size(compression, &page[..page.len() / 2], 5000).is_err());
        }
    }

    #[test]
    fn frames_of_lz4_are_refused_and_those_of_hadoop_are_not() {
        for magic in [0x184d_2204_u32, 0x184c_2102, 0x184d_2a53] {
            let page = [&magic.to_le_bytes()[..], &[0; 20]].concat();
            let error = check_size(Compression::LZ4, &page[..], 9).unwrap_err();
            assert!(error.starts_with("compressed in frames of LZ4"), "{error}");
        }
        assert_eq!(check_size(Compression::LZ4, &[0, 0, 0, 9, 0, 0, 0, 5][..], 9), Ok(()));
        assert!(is_read(Compression::LZ4) && !is_read(Compression::LZO));
    }

    #[test]
    fn a_page_of_nothing_has_no_bytes_in_any_codec() {
        for compression in
            [Compression::GZIP(Default::default()), Compression::BROTLI(Default::default()), Compression::LZ4]
        {
            assert_eq!(check_size(compression, &[][..], 0), Ok(()), "{compression}");
        }
        assert!(check_size(Compression::BROTLI(Default::default()), &[][..], 1).is_err());
    }
}
