//! Headers of a Parquet file, checked before anything believes the sizes that they give.
//!
//! The `parquet` crate allocates what a page header asks for, up to 2 GB for a page of a few bytes, and
//! follows a schema however deep it is nested. Format: <https://github.com/apache/parquet-format>.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use ::parquet::basic::Compression;
use ::parquet::file::metadata::ColumnChunkMetaData;

use super::codecs::check_size;
use super::thrift::{Thrift, malformed};

/// Most bytes of a page when decompressed. Writers make pages of about 1 MB.
const MOST_BYTES: i64 = 64 << 20;
/// Most values in the lists of a column chunk, besides [`MOST_PER_ROW`] for each row.
const MOST_VALUES: i64 = 4 << 20;
const MOST_PER_ROW: i64 = 1024;
/// Deepest nesting of columns.
const DEEPEST: usize = 32;

/// Numbers of fields in `FileMetaData`, `SchemaElement` and `PageHeader`.
const SCHEMA: i64 = 2;
const CHILDREN: i64 = 5;
const BYTES: i64 = 2;
const COMPRESSED: i64 = 3;
const DATA: i64 = 5;
const DICTIONARY: i64 = 7;
const DATA_V2: i64 = 8;

/// Checks that the schema at the end of a file is not nested too deep. Whatever else is wrong with the
/// end is left to the `parquet` crate, which says it better.
pub(super) fn check_schema(mut file: &File) -> Result<(), String> {
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let mut tail = [0; 8];
    let mut read_tail = || {
        file.seek(SeekFrom::Start(size.checked_sub(8).ok_or_else(malformed)?))?;
        file.read_exact(&mut tail)
    };
    let Ok(()) = read_tail() else { return Ok(()) };
    let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    let Some(start) = (size - 8).checked_sub(length) else { return Ok(()) };
    match depth(file, start, length) {
        Ok(depth) if depth <= DEEPEST => Ok(()),
        Ok(_) => Err(format!("columns are nested more than {DEEPEST} deep")),
        Err(_) => Err("not read as a Parquet table: its schema is damaged".into()),
    }
}

/// How deep the schema is nested, which lists each column before those inside it.
fn depth(mut file: &File, start: u64, length: u64) -> io::Result<usize> {
    file.seek(SeekFrom::Start(start))?;
    let mut thrift = Thrift::new(BufReader::new(file.take(length)));
    let mut last = 0;
    while let Some((field, kind)) = thrift.field(&mut last)? {
        if field != SCHEMA {
            thrift.skip(kind)?;
            continue;
        }
        // How many columns are still to come inside each open one.
        let mut open: Vec<i64> = Vec::new();
        for _ in 0..thrift.structures(kind)? {
            let mut children = 0;
            let mut last = 0;
            while let Some((field, kind)) = thrift.field(&mut last)? {
                match field {
                    CHILDREN => children = thrift.size(kind)?,
                    _ => thrift.skip(kind)?,
                }
            }
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            if children > 0 {
                open.push(children);
            }
            if open.len() > DEEPEST {
                return Ok(open.len());
            }
            while open.last().is_some_and(|left| *left == 0) {
                open.pop();
            }
        }
        return Ok(0);
    }
    Err(malformed())
}

/// Checks a column chunk of a row group with `rows` rows that lies in `file`.
///
/// # Errors
/// What is wrong, said of the column.
pub(super) fn check_pages(file: &File, chunk: &ColumnChunkMetaData, rows: usize) -> Result<(), String> {
    let damaged = |_| "the file is damaged: a page header is not what it should be".to_owned();
    let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let size = file.metadata().map_err(damaged)?.len();
    let end =
        start.checked_add(chunk.compressed_size()).filter(|_| start >= 0 && chunk.compressed_size() >= 0);
    let Some(end) = end.filter(|end| *end as u64 <= size) else {
        return Err("the file is damaged or cut off: it ends before the column does".into());
    };
    let lists = chunk.column_descr().max_rep_level() > 0;
    let most = MOST_PER_ROW.saturating_mul(rows as i64).saturating_add(MOST_VALUES);
    let (mut at, mut values) = (start, 0i64);
    while at < end {
        let page = Page::read(file, at as u64).map_err(damaged)?;
        page.check()?;
        page.check_size(file, at as u64, chunk.compression())?;
        values = values.saturating_add(page.values);
        if lists && values > most {
            return Err(format!("more than {most} values in the lists of {rows} rows"));
        }
        at = at.saturating_add(page.length as i64).saturating_add(page.compressed);
    }
    if at == end { Ok(()) } else { Err("the file is damaged: a page reaches beyond its column".into()) }
}

/// What a page header says.
#[derive(Debug, Default)]
struct Page {
    /// Bytes of the header itself.
    length: u64,
    /// Bytes of the page, decompressed.
    bytes: i64,
    compressed: i64,
    values: i64,
    dictionary: bool,
    /// Bytes at its beginning that are not compressed, and whether none is.
    levels: i64,
    plain: bool,
}

impl Page {
    fn read(mut file: &File, at: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(at))?;
        let mut thrift = Thrift::new(BufReader::with_capacity(512, file));
        let mut page = Self { bytes: -1, compressed: -1, ..Self::default() };
        let mut last = 0;
        while let Some((field, kind)) = thrift.field(&mut last)? {
            match field {
                BYTES => page.bytes = thrift.size(kind)?,
                COMPRESSED => page.compressed = thrift.size(kind)?,
                DATA | DICTIONARY | DATA_V2 => page.read_kind(&mut thrift, field, kind)?,
                _ => thrift.skip(kind)?,
            }
        }
        page.length = thrift.length;
        if page.bytes < 0 || page.compressed < 0 { Err(malformed()) } else { Ok(page) }
    }

    /// Reads the header of one kind of page.
    fn read_kind<R: Read>(&mut self, thrift: &mut Thrift<R>, of: i64, kind: u8) -> io::Result<()> {
        if kind != Thrift::<R>::STRUCT {
            return Err(malformed());
        }
        self.dictionary |= of == DICTIONARY;
        let mut last = 0;
        while let Some((field, kind)) = thrift.field(&mut last)? {
            match (of, field) {
                (_, 1) => self.values = self.values.max(thrift.size(kind)?),
                (DATA_V2, 5 | 6) => self.levels += thrift.size(kind)?,
                (DATA_V2, 7) => {
                    self.plain |= kind == Thrift::<R>::FALSE;
                    thrift.skip(kind)?;
                }
                _ => thrift.skip(kind)?,
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        if self.bytes > MOST_BYTES {
            return Err(format!("a page of {} bytes; at most {MOST_BYTES} are accepted", self.bytes));
        }
        // The smallest value of a dictionary has four bytes.
        if self.dictionary && self.values.saturating_mul(4) > self.bytes {
            return Err("the file is damaged: a dictionary is shorter than it says".into());
        }
        Ok(())
    }

    /// Checks that the page, whose header is at `at`, has the size that it says when decompressed.
    fn check_size(&self, mut file: &File, at: u64, compression: Compression) -> Result<(), String> {
        let lengths = (self.bytes.checked_sub(self.levels), self.compressed.checked_sub(self.levels));
        let (Some(bytes @ 0..), Some(compressed @ 0..)) = lengths else {
            return Err("the file is damaged: a page is shorter than its levels".into());
        };
        if self.plain {
            return Ok(());
        }
        let start = at + self.length + self.levels as u64;
        file.seek(SeekFrom::Start(start)).map_err(|error| error.to_string())?;
        check_size(compression, BufReader::new(file.take(compressed as u64)), bytes as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use ::parquet::schema::parser::parse_message_type;
    use ::parquet::schema::types::SchemaDescriptor;

    use super::*;

    /// A number as Thrift writes it.
    fn number(value: i64) -> Vec<u8> {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        let mut bytes = Vec::new();
        while rest >= 128 {
            bytes.push(rest as u8 | 128);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes
    }

    /// The header of a page: kind, sizes, and the number of values and the encoding after the field `of`.
    fn header(sizes: [i64; 2], of: u8, values: i64, encoding: i64) -> Vec<u8> {
        let step = (of - 3) << 4;
        let parts = [
            vec![0x15, 0, 0x15],
            number(sizes[0]),
            vec![0x15],
            number(sizes[1]),
            vec![step | 12, 0x15],
            number(values),
            vec![0x15],
            number(encoding),
            vec![0, 0],
        ];
        parts.concat()
    }

    fn page(bytes: &[u8]) -> io::Result<Page> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Page::read(&file, 0)
    }

    #[test]
    fn a_header_is_read_to_its_end() {
        let bytes = header([300, 200], 5, 77, 8);
        let page = page(&bytes).unwrap();
        assert_eq!((page.bytes, page.compressed, page.values), (300, 200, 77));
        assert_eq!((page.dictionary, page.length), (false, bytes.len() as u64));
        assert_eq!(page.check(), Ok(()));
    }

    #[test]
    fn sizes_that_no_writer_means_are_refused() {
        let error = |bytes: Vec<u8>| page(&bytes).unwrap().check().unwrap_err();
        assert!(error(header([i64::from(i32::MAX), 20], 5, 1, 0)).starts_with("a page of 2147483647 bytes"));
        assert!(error(header([20, 20], 7, 1 << 30, 0)).contains("a dictionary is shorter than it says"));
        assert!(page(&header([20, 20], 7, 5, 0)).unwrap().check().is_ok());
    }

    #[test]
    fn headers_that_could_be_read_in_two_ways_are_refused() {
        let whole = header([300, 200], 5, 77, 8);
        for cut in 0..whole.len() {
            assert!(page(&whole[..cut]).is_err());
        }
        assert!(page(&header([-1, 200], 5, 77, 8)).is_err());
        assert!(page(&header([1 << 40, 200], 5, 77, 8)).is_err());
        // The same field once more: number 3 again, written in full.
        let twice = [&[0x15, 0, 0x15, 2, 0x15, 2, 0x05, 6, 4][..], &[0]].concat();
        assert!(page(&twice).is_err());
        // A number without an end.
        assert!(page(&[0x15; 1]).is_err() && page(&[&[0x15][..], &[0xff; 30]].concat()).is_err());
    }

    /// A column chunk in a file of these bytes, of a column of lists if it has `repeated`.
    fn chunk(column: &str, [start, size]: [i64; 2], codec: Compression) -> ColumnChunkMetaData {
        let schema = parse_message_type(&format!("message m {{ {column} int32 a; }}")).unwrap();
        let schema = SchemaDescriptor::new(Arc::new(schema));
        let chunk = ColumnChunkMetaData::builder(schema.column(0)).set_data_page_offset(start);
        chunk.set_total_compressed_size(size).set_compression(codec).build().unwrap()
    }

    fn checked(bytes: &[u8], chunk: &ColumnChunkMetaData, rows: usize) -> String {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        check_pages(&file, chunk, rows).map_or_else(|what| what, |()| "whole".into())
    }

    /// A page of `values` values, of which the file says that it takes 20 bytes.
    fn twenty_bytes(values: i64) -> Vec<u8> {
        [header([20, 20], 5, values, 0), vec![7; 20]].concat()
    }

    #[test]
    fn a_column_is_as_long_as_its_pages() {
        let bytes = [b"PAR1".to_vec(), twenty_bytes(5), twenty_bytes(5)].concat();
        let size = bytes.len() as i64 - 4;
        let of = |place| checked(&bytes, &chunk("required", place, Compression::UNCOMPRESSED), 10);
        assert_eq!(of([4, size]), "whole");
        let cut_off = "the file is damaged or cut off: it ends before the column does";
        for place in [[4, size + 1], [-5, 10], [30, -5], [4, i64::MAX]] {
            assert_eq!(of(place), cut_off, "{place:?}");
        }
        assert_eq!(of([4, size - 1]), "the file is damaged: a page reaches beyond its column");
        assert_eq!(of([5, size - 1]), "the file is damaged: a page header is not what it should be");
    }

    #[test]
    fn lists_have_at_most_so_many_values() {
        let bytes = twenty_bytes(MOST_VALUES / 2 + MOST_PER_ROW).repeat(2);
        let of = |column: &str, rows: usize| {
            checked(&bytes, &chunk(column, [0, bytes.len() as i64], Compression::UNCOMPRESSED), rows)
        };
        assert_eq!(of("repeated", 2), "whole");
        assert_eq!(of("repeated", 1), "more than 4195328 values in the lists of 1 rows");
        assert_eq!(of("required", 1), "whole");
        assert_eq!(of("optional", 1), "whole");
    }

    #[test]
    fn a_page_has_the_size_that_it_says() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&[7; 50]).unwrap();
        let gzip = gzip.finish().unwrap();
        let of = |header: Vec<u8>, content: &[u8]| {
            let bytes = [&header, content].concat();
            let chunk = chunk("required", [0, bytes.len() as i64], Compression::GZIP(Default::default()));
            checked(&bytes, &chunk, 5)
        };
        let compressed = gzip.len() as i64;
        assert_eq!(of(header([50, compressed], 5, 5, 0), &gzip), "whole");
        let other = "the file is damaged: a page has another size than it says";
        assert_eq!(of(header([49, compressed], 5, 5, 0), &gzip), other);
        assert_eq!(of(header([0, 0], 5, 5, 0), &[]), "whole");
        // In the second version levels come first, which are not compressed.
        let second = |bytes: i64, levels: [i64; 2]| {
            let [sizes, levels] = [[bytes, compressed + 3], levels].map(|it| it.map(number));
            let parts = [&[0x15, 6, 0x15][..], &sizes[0], &[0x15], &sizes[1], &[0x5c, 0x55], &levels[0]];
            [&parts.concat(), &[0x15][..], &levels[1], &[0, 0]].concat()
        };
        let content = [&[9; 3][..], &gzip].concat();
        assert_eq!(of(second(53, [1, 2]), &content), "whole");
        assert_eq!(of(second(52, [1, 2]), &content), other);
        assert_eq!(
            of(second(53, [30, 24]), &content),
            "the file is damaged: a page is shorter than its levels"
        );
    }

    #[test]
    fn a_header_without_a_size_is_refused() {
        // Field 3 alone, and field 2 alone.
        assert!(page(&[&[0x15, 0, 0x25, 2][..], &[0]].concat()).is_err());
        assert!(page(&[&[0x15, 0, 0x15, 2][..], &[0]].concat()).is_err());
        let both = page(&[&[0x15, 0, 0x15, 2, 0x15, 0][..], &[0]].concat()).unwrap();
        assert_eq!((both.bytes, both.compressed), (1, 0));
    }
}
