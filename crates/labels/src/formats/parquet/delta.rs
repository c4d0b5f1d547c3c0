//! Lengths inside pages of DELTA_LENGTH_BYTE_ARRAY and DELTA_BYTE_ARRAY, checked before anything believes them.
//!
//! The `parquet` crate makes room for as many lengths as such a page says that it has, and texts that repeat
//! the one before can be a million times as long as what is in the file. Format: section "Delta Encoding" of
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/>.

use ::parquet::basic::Encoding;
use ::parquet::column::page::{Page, PageMetadata, PageReader};
use ::parquet::errors::{ParquetError, Result};
use ::parquet::schema::types::ColumnDescriptor;

use super::thrift::zigzag;

/// Most texts of a page. Writers make pages of about 1 MB.
const MOST_TEXTS: u64 = 4 << 20;
/// Most bytes of all texts of a page.
const MOST_BYTES: u64 = 64 << 20;
/// Most values of a block of lengths; writers use 128.
const LARGEST_BLOCK: u64 = 1 << 16;

/// The pages of a column, those with lengths checked.
pub(super) struct Checked {
    pages: Box<dyn PageReader>,
    /// Whether a page of the first version begins with repetition and with definition levels.
    levels: [bool; 2],
}

impl Checked {
    pub fn new(pages: Box<dyn PageReader>, column: &ColumnDescriptor) -> Self {
        Self { pages, levels: [column.max_rep_level() > 0, column.max_def_level() > 0] }
    }

    fn check(&self, page: &Page) -> Option<()> {
        let prefixed = match page.encoding() {
            Encoding::DELTA_LENGTH_BYTE_ARRAY => false,
            Encoding::DELTA_BYTE_ARRAY => true,
            _ => return Some(()),
        };
        let mut values: &[u8] = page.buffer();
        match page {
            Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
                values = values.get(def_levels_byte_len.checked_add(*rep_levels_byte_len)? as usize..)?;
            }
            Page::DataPage { def_level_encoding, rep_level_encoding, .. } => {
                for encoding in [rep_level_encoding, def_level_encoding]
                    .iter()
                    .zip(self.levels)
                    .filter_map(|(encoding, there)| there.then_some(encoding))
                {
                    let (length, rest) = values.split_first_chunk()?;
                    let length = u32::from_le_bytes(*length) as usize;
                    // Levels of another encoding, which has not been written for ten years, have no length.
                    values = rest.get(length..).filter(|_| **encoding == Encoding::RLE)?;
                }
            }
            Page::DictionaryPage { .. } => return None,
        }
        check_lengths(values, prefixed, u64::from(page.num_values()))
    }
}

impl PageReader for Checked {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        match page.as_ref().map_or(Some(()), |page| self.check(page)) {
            Some(()) => Ok(page),
            None => Err(ParquetError::General(
                "the lengths of its texts are damaged, or a page has more than 64 MB of them; write the table \
                 with dictionary or plain encoding"
                    .into(),
            )),
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}

impl Iterator for Checked {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

/// Checks lengths at the beginning of a page's values; `prefixed` if those of what is repeated of the text
/// before come first. Nothing if they are not what they should be.
fn check_lengths(mut values: &[u8], prefixed: bool, most: u64) -> Option<()> {
    let most = most.min(MOST_TEXTS);
    let prefixes = if prefixed { Some(lengths(&mut values, most)?) } else { None };
    let suffixes = lengths(&mut values, most)?;
    if prefixes.as_ref().is_some_and(|prefixes| prefixes.len() != suffixes.len()) {
        return None;
    }
    let (mut before, mut total) = (0, 0);
    for (at, suffix) in suffixes.iter().enumerate() {
        let prefix = prefixes.as_ref().map_or(0, |prefixes| prefixes[at]);
        if prefix > before {
            return None;
        }
        before = prefix + suffix;
        total += before;
        if total > MOST_BYTES {
            return None;
        }
    }
    (suffixes.iter().sum::<u64>() <= values.len() as u64).then_some(())
}

/// Reads lengths in DELTA_BINARY_PACKED, at most so many, and moves behind them.
fn lengths(bytes: &mut &[u8], most: u64) -> Option<Vec<u64>> {
    let (block, parts, count) = (number(bytes)?, number(bytes)?, number(bytes)?);
    let first = zigzag(number(bytes)?);
    let whole = block > 0 && block <= LARGEST_BLOCK && parts > 0 && block.is_multiple_of(parts);
    let part = (block / parts.max(1)) as usize;
    if !whole || !part.is_multiple_of(32) || count > most {
        return None;
    }
    let mut value = i32::try_from(first).ok()?;
    let mut lengths = Vec::with_capacity(count as usize);
    let mut left = count as usize;
    if left > 0 {
        lengths.push(u64::try_from(value).ok()?);
        left -= 1;
    }
    while left > 0 {
        let least = i32::try_from(zigzag(number(bytes)?)).ok()?;
        let (widths, rest) = bytes.split_at_checked(parts as usize)?;
        *bytes = rest;
        for &width in widths {
            if left == 0 {
                // What is beyond the last value has no bytes.
                break;
            }
            if width > 32 {
                return None;
            }
            let (packed, rest) = bytes.split_at_checked(usize::from(width) * part / 8)?;
            *bytes = rest;
            for at in 0..left.min(part) {
                let delta = unpacked(packed, at * usize::from(width), width);
                value = value.wrapping_add(least).wrapping_add(delta as i32);
                lengths.push(u64::try_from(value).ok()?);
            }
            left -= left.min(part);
        }
    }
    Some(lengths)
}

/// The number of so many bits that begins at a bit, from the lowest.
fn unpacked(bytes: &[u8], start: usize, width: u8) -> u32 {
    let bits = (0..usize::from(width)).filter(|bit| {
        let at = start + bit;
        bytes[at / 8] >> (at % 8) & 1 == 1
    });
    bits.fold(0, |number, bit| number | 1 << bit)
}

/// A number of seven bits a byte, at most 63 bits.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of 128 lengths in 4 parts of 32, the first value and one delta for all.
    fn steady(count: u64, first: u64, delta: u64) -> Vec<u8> {
        let vlq = |mut number: u64| {
            let mut bytes = Vec::new();
            while number > 127 {
                bytes.push(number as u8 | 128);
                number >>= 7;
            }
            bytes.push(number as u8);
            bytes
        };
        let block = [vlq(delta << 1), vec![0; 4]].concat();
        let blocks = block.repeat((count.saturating_sub(1)).div_ceil(128).min(1 << 16) as usize);
        [vlq(128), vlq(4), vlq(count), vlq(first << 1), blocks].concat()
    }

    #[test]
    fn lengths_are_those_of_the_specification() {
        // The example of the specification: 1, 2, 3, 4, 5 are deltas of 1 alone; 7, 5, 3, 1, 2, 3, 4, 5 have a
        // least delta of -2 and two bits each: 0, 0, 0, 3, 3, 3, 3.
        let rising = steady(5, 1, 1);
        assert_eq!(lengths(&mut &rising[..], 5).unwrap(), [1, 2, 3, 4, 5]);
        let mixed =
            [&[0x80, 1, 4, 8, 14, 3, 2, 0, 0, 0, 0b1100_0000, 0b1111_1111, 0][..], &[0; 5], &[9]].concat();
        let mut rest = &mixed[..];
        // Beyond the seventh delta the second byte has no meaning.
        assert_eq!(lengths(&mut rest, 8).unwrap(), [7, 5, 3, 1, 2, 3, 4, 5]);
        assert_eq!(rest, [9]);
        // Of no lengths there is the header alone.
        assert_eq!(lengths(&mut &steady(0, 0, 0)[..], 5).unwrap(), [0; 0]);
    }

    #[test]
    fn more_lengths_than_values_or_longer_texts_than_the_page_are_refused() {
        assert_eq!(lengths(&mut &steady(6, 1, 0)[..], 5), None);
        assert_eq!(lengths(&mut &steady(u64::MAX >> 2, 0, 0)[..], MOST_TEXTS), None);
        let texts = |lengths: Vec<u8>, bytes: usize| [lengths, vec![b'x'; bytes]].concat();
        assert!(check_lengths(&texts(steady(3, 2, 0), 6), false, 3).is_some());
        assert!(check_lengths(&texts(steady(3, 2, 0), 5), false, 3).is_none());
        // The second text repeats more than the first has; a million texts repeat a long one.
        let repeated = |count, prefixes: u64, bytes: u64| {
            let lengths = [steady(count, 0, prefixes), steady(1, bytes, 0)].concat();
            check_lengths(&texts(lengths, bytes as usize), true, count)
        };
        assert!(repeated(1, 0, 4).is_some() && repeated(2, 5, 4).is_none());
        let bomb = [steady(1 << 20, 0, 0), steady(1 << 20, 1000, 0)].concat();
        assert!(check_lengths(&texts(bomb, 0), true, 1 << 20).is_none());
        // Cut anywhere.
        let whole = steady(300, 2, 1);
        (0..whole.len()).for_each(|end| assert_eq!(lengths(&mut &whole[..end], 300), None));
    }

    #[test]
    fn blocks_that_no_writer_makes_are_refused() {
        // One length alone has no block, whatever is said of its size.
        let one = |block: [u8; 2], parts: u8| lengths(&mut &[&block[..], &[parts, 1, 6]].concat()[..], 1);
        assert_eq!(one([0x80, 1], 4).unwrap(), [3], "128 in 4 parts");
        let largest = [0x80, 0x80, 4, 4, 1, 6];
        assert_eq!(lengths(&mut &largest[..], 1).unwrap(), [3], "65,536 in 4 parts");
        assert_eq!(lengths(&mut &[0x80, 0x80, 8, 4, 1, 6][..], 1), None, "131,072 in 4 parts");
        assert_eq!(one([0x80, 1], 0), None, "128 in no parts");
        assert_eq!(one([0x82, 1], 4), None, "130 in 4 parts");
        assert_eq!(one([0x80, 0], 4), None, "0 in 4 parts");
        assert_eq!(one([0xe0, 0], 4), None, "96 in 4 parts, of 24");
    }

    #[test]
    fn numbers_have_at_most_32_bits() {
        // Two lengths, the second of which is one more than the first, in a part of 32 of so many bits.
        let wide = |width: u8| {
            let header = [0x80, 1, 4, 2, 6, 0, width, 0, 0, 0, 1];
            lengths(&mut &[&header[..], &[0; 132]].concat()[..], 2)
        };
        assert_eq!(wide(32).unwrap(), [3, 4]);
        assert_eq!(wide(33), None);
    }

    /// Pages that are given, one after the other.
    struct Given(Vec<Page>);

    impl Iterator for Given {
        type Item = Result<Page>;

        fn next(&mut self) -> Option<Self::Item> {
            self.get_next_page().transpose()
        }
    }

    impl PageReader for Given {
        fn get_next_page(&mut self) -> Result<Option<Page>> {
            Ok((!self.0.is_empty()).then(|| self.0.remove(0)))
        }

        fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
            Ok(Some(PageMetadata { num_rows: Some(self.0.len()), num_levels: None, is_dict: false }))
        }

        fn skip_next_page(&mut self) -> Result<()> {
            self.get_next_page().map(drop)
        }

        fn at_record_boundary(&mut self) -> Result<bool> {
            Ok(self.0.len() != 1)
        }
    }

    fn first_version(encoding: Encoding, values: u32, bytes: &[u8]) -> Page {
        Page::DataPage {
            buf: bytes.to_vec().into(),
            num_values: values,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        }
    }

    fn second_version(encoding: Encoding, values: u32, levels: [u32; 2], bytes: &[u8]) -> Page {
        Page::DataPageV2 {
            buf: bytes.to_vec().into(),
            num_values: values,
            encoding,
            num_nulls: 0,
            num_rows: values,
            def_levels_byte_len: levels[0],
            rep_levels_byte_len: levels[1],
            is_compressed: false,
            statistics: None,
        }
    }

    #[test]
    fn lengths_are_checked_behind_the_levels_of_a_page() {
        use Encoding::{DELTA_BYTE_ARRAY, DELTA_LENGTH_BYTE_ARRAY, PLAIN};
        // Three texts of two letters; four of which three are there, and a letter too few.
        let whole = [&steady(3, 2, 0)[..], b"abcdef"].concat();
        let prefixed = [&steady(3, 0, 0)[..], &whole].concat();
        let short = &whole[..whole.len() - 1];
        let read = |levels: [bool; 2], page: Page| {
            Checked { pages: Box::new(Given(vec![page])), levels }.get_next_page().map(|page| page.is_some())
        };
        let is_read = |levels, page| read(levels, page).is_ok_and(|there| there);
        for (encoding, values) in [(DELTA_LENGTH_BYTE_ARRAY, &whole), (DELTA_BYTE_ARRAY, &prefixed)] {
            assert!(is_read([false; 2], first_version(encoding, 3, values)));
            assert!(!is_read([false; 2], first_version(encoding, 2, values)));
            // Each kind of levels begins with its length.
            let levels = [&[2, 0, 0, 0, 9, 9][..], values].concat();
            assert!(is_read([false, true], first_version(encoding, 3, &levels)));
            assert!(is_read([true, false], first_version(encoding, 3, &levels)));
            assert!(!is_read([true; 2], first_version(encoding, 3, &levels)));
            let levels = [&[1, 0, 0, 0, 9][..], &levels].concat();
            assert!(is_read([true; 2], first_version(encoding, 3, &levels)));
            let levels = [&[9; 5][..], values].concat();
            assert!(is_read([true; 2], second_version(encoding, 3, [2, 3], &levels)));
            assert!(!is_read([true; 2], second_version(encoding, 3, [2, 2], &levels)));
            assert!(!is_read([true; 2], second_version(encoding, 3, [2, u32::MAX], &levels)));
        }
        let error = read([false; 2], first_version(DELTA_LENGTH_BYTE_ARRAY, 3, short)).unwrap_err();
        assert!(error.to_string().contains("the lengths of its texts are damaged"), "{error}");
        assert!(is_read([false; 2], first_version(PLAIN, 3, short)));
    }

    #[test]
    fn whatever_else_is_asked_of_pages_is_answered_by_their_reader() {
        let pages = vec![first_version(Encoding::PLAIN, 1, b""); 3];
        let mut checked = Checked { pages: Box::new(Given(pages)), levels: [false; 2] };
        assert_eq!(checked.peek_next_page().unwrap().unwrap().num_rows, Some(3));
        assert!(checked.at_record_boundary().unwrap());
        checked.skip_next_page().unwrap();
        assert!(checked.next().is_some_and(|page| page.is_ok()));
        assert!(!checked.at_record_boundary().unwrap());
        assert!(checked.next().is_some() && checked.next().is_none());
    }
}
