//! Which places show the same image: the same file, the same content, or pictures that look alike.

use super::images::{Seen, Whole};
use super::perceptual_hash::Look;
use super::places::Places;
use super::{Code, near};

/// In which way images are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One file.
    File,
    /// Files with the same bytes.
    Bytes,
    /// Files with the same pixels.
    Pixels,
    /// Pictures that look alike.
    Looks,
}

impl Kind {
    /// As the verb of a sentence.
    pub fn verb(self) -> &'static str {
        match self {
            Kind::File => "is also",
            Kind::Bytes => "is the same file as",
            Kind::Pixels => "has the same pixels as",
            Kind::Looks => "looks like",
        }
    }
}

/// At least two places with the same image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repeat {
    /// In which way it is the same.
    pub kind: Kind,
    /// Where it stands, in order.
    pub places: Vec<u32>,
}

/// All places with the same image: by path, and by content for the files in `seen`, which is empty if no
/// image was opened. Pictures look alike if at most `distance` bits of their waves differ, and if they are linked
/// by such.
pub(super) fn find(places: &Places<'_>, seen: &[Seen], distance: u32) -> Vec<Repeat> {
    let by_file = places.by_file();
    let expanded = |(kind, files): (Kind, Vec<u32>)| {
        let mut places: Vec<u32> = files.iter().flat_map(|&file| &by_file[file as usize]).copied().collect();
        places.sort_unstable();
        Repeat { kind, places }
    };
    let several = by_file.iter().filter(|places| places.len() > 1);
    let mut repeats: Vec<Repeat> =
        several.map(|places| Repeat { kind: Kind::File, places: places.clone() }).collect();
    repeats.extend(same_content(seen).into_iter().map(expanded));
    let near = look_alike(seen, distance).into_iter().map(|files| (Kind::Looks, files));
    repeats.extend(near.map(expanded));
    repeats
}

/// The whole images with their file numbers.
fn whole(seen: &[Seen]) -> impl Iterator<Item = (u32, &Whole)> {
    (0..).zip(seen).filter_map(|(file, seen)| match seen {
        Seen::Whole(whole) => Some((file, whole)),
        Seen::Broken(..) => None,
    })
}

/// Files with the same pixels, in groups of at least two.
fn same_content(seen: &[Seen]) -> Vec<(Kind, Vec<u32>)> {
    // One color all over holds nothing to compare.
    let with_content = whole(seen).filter(|(_, whole)| !is_one_color(whole));
    let mut sorted: Vec<([u8; 16], u32, [u8; 16])> =
        with_content.map(|(file, whole)| (whole.pixels, file, whole.bytes)).collect();
    sorted.sort_unstable();
    let same = sorted.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1);
    let mut groups: Vec<(Kind, Vec<u32>)> = same
        .map(|group| {
            let to_the_last_byte = group.iter().all(|(.., bytes)| *bytes == group[0].2);
            let kind = if to_the_last_byte { Kind::Bytes } else { Kind::Pixels };
            (kind, group.iter().map(|(_, file, _)| *file).collect())
        })
        .collect();
    groups.sort_unstable_by_key(|(_, files)| files[0]);
    groups
}

/// Files that look alike, in groups of at least two, of which not all have the same pixels.
fn look_alike(seen: &[Seen], distance: u32) -> Vec<Vec<u32>> {
    let looks: Vec<(Look, u32)> = whole(seen).filter_map(|(file, whole)| Some((whole.look?, file))).collect();
    let mut groups = near::groups(&looks, distance);
    let pixels = |file: u32| match &seen[file as usize] {
        Seen::Whole(whole) => Some(whole.pixels),
        Seen::Broken(..) => None,
    };
    groups.retain(|group| group.iter().any(|&file| pixels(file) != pixels(group[0])));
    groups
}

fn is_one_color(whole: &Whole) -> bool {
    whole.odd.iter().any(|(code, _)| *code == Code::ImageOneColor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::annotations;
    use image::ImageFormat;

    fn image(bytes: u8, pixels: u8, waves: Option<u64>) -> Seen {
        Seen::Whole(Whole {
            width: 9,
            height: 9,
            format: ImageFormat::Png,
            gray: false,
            odd: vec![],
            bytes: [bytes; 16],
            pixels: [pixels; 16],
            look: waves.map(|waves| Look { waves, slopes: 0 }),
        })
    }

    #[test]
    fn same_pixels_look_alike_too_and_are_not_said_twice() {
        let seen = [
            image(1, 1, Some(0)),
            Seen::Broken(Code::ImageEmpty, String::new()),
            image(1, 1, Some(0)),
            image(2, 1, Some(0)),
            image(3, 3, Some(0xff00)),
            image(4, 4, Some(0xff01)),
            image(5, 5, None),
            image(6, 6, None),
        ];
        assert_eq!(same_content(&seen), [(Kind::Pixels, vec![0, 2, 3])]);
        assert_eq!(same_content(&seen[..3]), [(Kind::Bytes, vec![0, 2])]);
        assert_eq!(look_alike(&seen, 3), [[4, 5]]);
    }

    #[test]
    fn pages_of_one_color_are_no_copies_of_each_other() {
        let Seen::Whole(mut page) = image(1, 1, None) else { unreachable!() };
        page.odd.push((Code::ImageOneColor, String::new()));
        assert!(same_content(&[Seen::Whole(page.clone()), Seen::Whole(page)]).is_empty());
    }

    #[test]
    fn a_file_of_two_splits_stands_at_all_its_places() {
        let [train, test] = [&["a.jpg", "b.jpg"][..], &["b.jpg", "c.jpg"]]
            .map(|images| annotations(images, &["cat"], &[0, 0]));
        let splits = [("train".into(), &train), ("test".into(), &test)];
        // Files a, b and c; b and c have the same bytes.
        let seen = [image(1, 1, Some(1)), image(2, 2, Some(!0)), image(2, 2, Some(!0))];
        let repeats = find(&Places::of(&splits), &seen, 3);
        let expected = [(Kind::File, vec![1, 2]), (Kind::Bytes, vec![1, 2, 3])]
            .map(|(kind, places)| Repeat { kind, places });
        assert_eq!(repeats, expected);
    }
}
