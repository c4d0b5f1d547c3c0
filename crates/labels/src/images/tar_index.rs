//! What a tar file holds and where: one pass over its headers, nothing is extracted.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek};

/// Where the bytes of a member lie in its tar file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub offset: u64,
    pub bytes: u64,
}

/// The plain files in a tar file, by name. Of several with one name the last counts, as when tar extracts
/// them.
#[derive(Debug, Default)]
pub(crate) struct TarIndex {
    places: HashMap<String, Place>,
    /// Names that lead elsewhere and are never found, and what is wrong with each.
    pub refused: Vec<(String, &'static str)>,
    /// Plain files that do not count, since another with their name follows.
    pub replaced: usize,
}

impl TarIndex {
    /// Reads the headers of an uncompressed tar file.
    ///
    /// # Errors
    /// If a header is damaged, or a member would end behind the end of the file.
    pub fn read(mut file: &File) -> io::Result<Self> {
        file.rewind()?;
        let size = file.metadata()?.len();
        let mut index = Self::default();
        let mut archive = tar::Archive::new(file);
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            let plain = entry.header().entry_type().is_file();
            let place =
                Place { offset: entry.raw_file_position(), bytes: if plain { entry.size() } else { 0 } };
            if place.offset.checked_add(place.bytes).is_none_or(|end| end > size) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match member_name(&entry.path_bytes()) {
                Ok(name) if plain => {
                    index.replaced += usize::from(index.places.insert(name, place).is_some())
                }
                Ok(_) => {}
                Err(refused) => index.refused.push(refused),
            }
        }
        Ok(index)
    }

    /// Where a member lies, by its name as [`member_name`] gives it.
    pub fn place(&self, name: &str) -> Option<Place> {
        self.places.get(name).copied()
    }

    /// The members as they lie in the file.
    pub fn in_order(&self) -> Vec<(&str, Place)> {
        let mut members: Vec<(&str, Place)> =
            self.places.iter().map(|(name, place)| (name.as_str(), *place)).collect();
        // Empty members do not share an offset: each has a header before it.
        members.sort_unstable_by_key(|(_, place)| place.offset);
        members
    }
}

/// The name of a member as it may be joined to a path, without `.` and doubled `/`.
///
/// # Errors
/// The name and what is wrong with it: such names are made to write elsewhere.
pub(crate) fn member_name(bytes: &[u8]) -> Result<String, (String, &'static str)> {
    let lossy = || String::from_utf8_lossy(bytes).into_owned();
    let name = std::str::from_utf8(bytes).map_err(|_| (lossy(), "the name is not UTF-8 text"))?;
    let drive = name.as_bytes().get(1) == Some(&b':') && name.as_bytes()[0].is_ascii_alphabetic();
    if name.starts_with(['/', '\\']) || drive {
        return Err((lossy(), "an absolute path; expected a path below the tar file"));
    }
    if name.split(['/', '\\']).any(|part| part == "..") {
        return Err((lossy(), "a path with \"..\"; expected a path below the tar file"));
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    Ok(parts.join("/"))
}

/// What a file is that does not begin as a tar file does.
pub(crate) fn hint(mut file: &File) -> &'static str {
    let mut head = [0; 2];
    // A file that cannot be read leaves the zeros.
    let _ = file.rewind().and_then(|()| file.read_exact(&mut head));
    match head {
        [0x1f, 0x8b] => "; it is compressed: unpack it with gunzip first",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn index(build: impl FnOnce(&mut tar::Builder<&mut Vec<u8>>)) -> (Vec<u8>, io::Result<TarIndex>) {
        let mut bytes = Vec::new();
        let mut tar = tar::Builder::new(&mut bytes);
        build(&mut tar);
        tar.finish().unwrap();
        drop(tar);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        (bytes, TarIndex::read(&file))
    }

    fn append(tar: &mut tar::Builder<&mut Vec<u8>>, name: &str, content: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content).unwrap();
    }

    #[test]
    fn long_names_in_either_form_lead_to_their_bytes() {
        let gnu = format!("{}/a.jpg", "g".repeat(150));
        let pax = format!("{}/é.jpg", "p".repeat(300));
        let (bytes, index) = index(|tar| {
            append(tar, &gnu, b"gnu");
            tar.append_pax_extensions([("path", pax.as_bytes())]).unwrap();
            append(tar, "short.jpg", b"pax");
            append(tar, "./last//one.jpg", b"");
        });
        let index = index.unwrap();
        let names: Vec<&str> = index.in_order().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [&*gnu, &*pax, "last/one.jpg"]);
        for (name, content) in [(&*gnu, &b"gnu"[..]), (&*pax, b"pax"), ("last/one.jpg", b"")] {
            let Place { offset, bytes: length } = index.place(name).unwrap();
            assert_eq!(&bytes[offset as usize..][..length as usize], content);
        }
        assert_eq!(index.place("short.jpg"), None);
    }

    #[test]
    fn of_several_members_with_one_name_the_last_counts() {
        let (bytes, index) = index(|tar| {
            append(tar, "a.jpg", b"first");
            append(tar, "b.jpg", b"other");
            append(tar, "./a.jpg", b"later!");
        });
        let index = index.unwrap();
        assert_eq!((index.replaced, index.in_order().len()), (1, 2));
        let place = index.place("a.jpg").unwrap();
        assert_eq!(&bytes[place.offset as usize..][..place.bytes as usize], b"later!");
    }

    #[test]
    fn links_and_folders_are_no_files_and_names_that_lead_elsewhere_are_never_found() {
        let (_, index) = index(|tar| {
            let mut link = tar::Header::new_gnu();
            link.set_entry_type(tar::EntryType::Symlink);
            link.set_size(0);
            tar.append_link(&mut link, "link.jpg", "/etc/passwd").unwrap();
            for name in ["/etc/a.jpg", "x/../../b.jpg"] {
                // Builder refuses such names, as it should.
                let mut header = tar::Header::new_gnu();
                header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
                header.set_size(0);
                header.set_cksum();
                tar.append(&header, &b""[..]).unwrap();
            }
        });
        let index = index.unwrap();
        assert!(index.in_order().is_empty());
        let refused: Vec<&str> = index.refused.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(refused, ["/etc/a.jpg", "x/../../b.jpg"]);
    }

    #[test]
    fn names_are_brought_into_one_form_and_those_that_lead_elsewhere_refused() {
        for name in ["C:\\a.jpg", "\\\\host\\a.jpg", "a\\..\\b.jpg", "..", "/a.jpg"] {
            assert!(member_name(name.as_bytes()).is_err(), "{name}");
        }
        assert_eq!(member_name(b"./a//b.jpg").unwrap(), "a/b.jpg");
        assert_eq!(member_name(b"a..b.jpg").unwrap(), "a..b.jpg");
        assert!(member_name(b"\xff.jpg").is_err());
    }
}
