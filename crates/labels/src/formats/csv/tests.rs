use super::*;
use crate::formats::samples::read_bytes;

fn parse(bytes: impl AsRef<[u8]>) -> Result<Annotations> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.csv");
    std::fs::write(&path, bytes).unwrap();
    read(&path)
}

/// The problems, each without the folder.
fn problems(bytes: impl AsRef<[u8]>) -> Vec<String> {
    let error = parse(bytes).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Data);
    let strip = |line: &str| line.find("train.csv:").map_or(line.to_owned(), |at| line[at..].to_owned());
    error.to_string().lines().map(strip).collect()
}

const ACCEPTED: &str = "expected 1 (positive), 0 (negative), or empty, ? or NA (unknown)";

#[test]
fn every_way_to_write_a_label_is_read() {
    let annotations = parse("image,cat,dog\na.jpg,1,0\nb.jpg,,?\nsub/c.jpg,NA, 1 \n").unwrap();
    assert_eq!(annotations.categories, ["cat", "dog"]);
    assert_eq!(annotations.labels.to_floats(), [1.0, -1.0, 0.0, 0.0, 0.0, 1.0]);
    let folder = annotations.source.parent().unwrap();
    assert_eq!(annotations.images, ["a.jpg", "b.jpg", "sub/c.jpg"].map(|image| folder.join(image)));
}

#[test]
fn byte_order_mark_crlf_blank_lines_quotes_and_no_final_newline_are_fine() {
    let plain = parse("image,cat,dog\na.jpg,1,0\nb.jpg,,1\n").unwrap();
    let fancy = parse("\u{feff}image,cat,\"dog\"\r\n\r\n\"a.jpg\",1,\"0\"\r\nb.jpg,,1").unwrap();
    assert_eq!(plain.labels, fancy.labels);
    assert_eq!(plain.categories, fancy.categories);
    // The official code loses the last character of a file without a final newline.
    assert!(fancy.images[1].ends_with("b.jpg"));
    let quoted = parse("image,\"cat, big\",\"a \"\"dog\"\"\"\n\"a,b.jpg\",1,0").unwrap();
    assert_eq!(quoted.categories, ["cat, big", "a \"dog\""]);
    assert!(quoted.images[0].ends_with("a,b.jpg"));
}

#[test]
fn all_problems_come_at_once_with_their_lines() {
    let found =
        problems("image,cat,dog,cat\na.jpg,1\n\nb.jpg,-1,yes,0\n./b.jpg,1,1,1\n,1,1,1\nb.jpg,0,0,0\n");
    let expected = [
        "train.csv:1: category \"cat\" of column 4 is already in column 2".to_owned(),
        "train.csv:2: 2 fields; expected 4 (image and 3 categories)".to_owned(),
        format!(
            "train.csv:4: \"-1\" for category \"cat\"; {ACCEPTED}; write 0 for negative, nothing for unknown"
        ),
        format!("train.csv:4: \"yes\" for category \"dog\"; {ACCEPTED}"),
        "train.csv:5: image \"./b.jpg\" already appears on line 4".to_owned(),
        "train.csv:6: no image path in the first column".to_owned(),
        "train.csv:7: image \"b.jpg\" already appears on line 4".to_owned(),
    ];
    assert_eq!(found, expected);
}

#[test]
fn problems_beyond_the_first_twenty_are_counted() {
    let mut text = "image,cat\n".to_owned();
    (0..1000).for_each(|row| text += &format!("{row}.jpg,2\n"));
    let found = problems(text);
    assert_eq!(found.len(), 21);
    assert_eq!(found[20], "… and 980 more problems");
}

#[test]
fn an_odd_cell_in_the_first_line_is_named_where_no_format_is_given() {
    for (cell, problem) in [("maybe", "\"maybe\" for category"), ("2", "\"2\"")] {
        let text = format!("image,cat\na.jpg,{cell}\n");
        let error = read_bytes("a.csv", text, crate::formats::detect).unwrap_err().to_string();
        assert!(error.contains("a.csv:2: ") && error.contains(problem), "{error}");
    }
}

#[test]
fn files_of_another_kind_are_named_once() {
    let only = |bytes: &[u8]| {
        let found = problems(bytes);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    };
    assert_eq!(only(b""), "train.csv:1: an empty file; expected a first line image,<category>,…");
    assert!(only(b"\xef\xbb\xbf\r\n").starts_with("train.csv:1: an empty file"));
    assert!(only(b"image,cat\n").contains("no images"));
    assert!(only(b"image\na.jpg\n").contains("no categories"));
    let tabs = "train.csv:1: the first column is \"image\\tcat\"; expected image; fields are separated by commas \
                here, not by tabs; sarb data convert reads both";
    assert_eq!(only(b"image\tcat\na.jpg\t1\n"), tabs);
    assert_eq!(only(b"file\na.jpg\n"), "train.csv:1: the first column is \"file\"; expected image");
    assert!(only(b"file,cat\ra.jpg,1\r").ends_with("; lines end in LF or CRLF here, not in CR alone"));
    assert!(only(b"image,cat\na.jpg,+1\n").ends_with("; write 1"));
    // The rows of a table with another first column are looked at all the same.
    let rows = problems("file,cat\na.jpg,7\n");
    assert_eq!((rows.len(), rows[1].starts_with("train.csv:2: \"7\" for category")), (2, true), "{rows:?}");
    assert!(only(b"image;cat\na.jpg;1\n").ends_with("not by semicolons; sarb data convert reads both"));
    assert!(only(b"a.jpg,1,0\nb.jpg,1,1\n").ends_with("a header line image,<category>,… is missing"));
    assert!(only(b"\xff\xfei\0m\0a\0g\0e\0\n\0").contains("UTF-16"));
    assert_eq!(
        only(b"file,cat,dog\na.jpg,1,0\n"),
        "train.csv:1: the first column is \"file\"; expected image"
    );
}

#[test]
fn an_empty_name_bad_text_and_an_open_quote_are_found_in_their_lines() {
    assert_eq!(problems("image,cat,\na.jpg,1,0\n"), ["train.csv:1: column 3 has no category name"]);
    let found = problems(b"image,cat\na.jpg,1\nb\xe9.jpg,1\n\"c.jpg,1\n\"d\"e,1\n");
    assert_eq!(found[0], "train.csv:3: no UTF-8 text (byte 0xE9 at column 2); save the file as UTF-8");
    assert!(found[1].starts_with("train.csv:4: a quoted field does not end on this line"));
    assert_eq!(found[2], "train.csv:5: text after a closing quote; expected a comma");
}

#[test]
fn a_file_is_read_in_pieces_in_its_order_up_to_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.csv");
    let read = |lines: &[&str], most: usize| {
        std::fs::write(&path, format!("image,cat,dog\n{}\n", lines.join("\n"))).unwrap();
        let mut pieces = Vec::new();
        let result = in_pieces::<Error>(&path, most, &mut |piece| {
            let names =
                piece.images.iter().map(|image| image.file_name().unwrap().to_str().unwrap().to_owned());
            pieces.push((names.collect::<Vec<_>>().join(" "), piece.labels.to_floats()));
            Ok(())
        });
        (pieces, result)
    };
    let lines = ["a,1,0", "b,,1", "c,0,", "d,1,1"];
    let piece = |names: &str, labels: &[f32]| (names.to_owned(), labels.to_vec());
    let (ab, c) = (piece("a b", &[1.0, -1.0, 0.0, 1.0]), piece("c", &[-1.0, 0.0]));
    let (pieces, result) = read(&lines, 2);
    assert_eq!(pieces, [ab.clone(), piece("c d", &[-1.0, 0.0, 1.0, 1.0])]);
    assert!(result.is_ok());
    assert_eq!(read(&lines[..3], 2).0, [ab.clone(), c]);
    let (pieces, result) = read(&["a,1,0", "b,,1", "c,x,"], 2);
    assert_eq!(pieces, [ab]);
    assert!(result.unwrap_err().to_string().contains("train.csv:4: \"x\" for category \"cat\""));
    let (pieces, result) = read(&[], 2);
    assert!(pieces.is_empty() && result.unwrap_err().to_string().contains("no images"));
}

#[test]
fn the_header_and_the_cells_below_tell_the_format() {
    for (head, own) in [
        ("image,cat\na.jpg,1", true),
        ("image,cat\na.jpg,maybe", false),
        ("image,cat,dog\n", true),
        // Alone, two words may be the header of any list.
        ("image,cat\n", false),
        ("image\na.jpg\n", false),
        ("file,cat\na.jpg,1", false),
    ] {
        assert_eq!(recognize(Path::new("a.csv"), head.as_bytes()).is_some(), own, "{head}");
    }
    assert!(begins_like_ours(b"\n image ,cat\n"));
    assert!(!begins_like_ours(b"image\n") && !begins_like_ours(b"file,cat\n") && !begins_like_ours(b""));
}

#[test]
fn a_missing_file_is_something_missing() {
    let error = read(Path::new("/nowhere/train.csv")).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Missing);
}

#[test]
fn what_is_written_is_read_back_from_another_folder() {
    let root = tempfile::tempdir().unwrap();
    let (data, out) = (root.path().join("data"), root.path().join("a/b"));
    std::fs::create_dir_all(data.join("images")).unwrap();
    std::fs::create_dir_all(&out).unwrap();
    std::fs::write(data.join("images/1,2.jpg"), b"no image, never opened").unwrap();
    std::fs::write(data.join("train.csv"), "image,cat,\"dog, big\"\n\"images/1,2.jpg\",1,\n/x/3.jpg,0,1\n")
        .unwrap();
    let labels = read(&data.join("train.csv")).unwrap();
    write(&out.join("train.csv"), &labels).unwrap();
    let text = std::fs::read_to_string(out.join("train.csv")).unwrap();
    assert_eq!(text, "image,cat,\"dog, big\"\n\"../../data/images/1,2.jpg\",1,\n/x/3.jpg,0,1\n");
    let back = read(&out.join("train.csv")).unwrap();
    assert_eq!((&back.labels, &back.categories), (&labels.labels, &labels.categories));
    assert!(back.images[0].exists());
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1);
}

#[test]
#[ignore = "needs data that is not in the repository"]
fn outside_data_the_photographs_of_coco18_are_read_whole() {
    let annotations = read(&crate::outside_data::outside_data("data/coco18/train.csv")).unwrap();
    assert_eq!((annotations.images.len(), annotations.categories.len()), (8000, 18));
    assert!(annotations.images[7999].exists());
    // numpy: np.random.seed(0); m = np.random.random(labels.shape) < 0.1
    let hidden = annotations.labels.hide(0.1, 0);
    assert_eq!((hidden.count(Label::Positive), hidden.count(Label::Negative)), (1254, 13222));
}
