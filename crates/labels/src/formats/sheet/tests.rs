use super::*;
use crate::error::Kind;
use crate::formats::samples::{lines_of, read_bytes};

fn rows(bytes: impl AsRef<[u8]>) -> Result<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    read_bytes("a.csv", bytes, |path| {
        for_each_row(path, |fields, _| {
            rows.push(fields.iter().map(|field| field.trim().to_owned()).collect());
            Ok(())
        })
    })?;
    Ok(rows)
}

fn utf16(text: &str, little: bool, mark: bool) -> Vec<u8> {
    let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
    let bytes = |unit: u16| if little { unit.to_le_bytes() } else { unit.to_be_bytes() };
    units.flat_map(bytes).collect()
}

#[test]
fn every_way_to_write_a_table_gives_the_same_rows() {
    let expected = [["image", "cat, big", "dog"], ["a b.jpg", "yes", "no"], ["b.jpg", "", "yes"]];
    let comma = "image,\"cat, big\",dog\na b.jpg,yes,no\nb.jpg,,yes\n";
    let semicolon = "image;cat, big;dog\na b.jpg;yes;no\nb.jpg;;yes\n";
    let tab = "image\tcat, big\tdog\na b.jpg\tyes\tno\nb.jpg\t\tyes\n";
    for text in [comma, semicolon, tab] {
        assert_eq!(rows(text).unwrap(), expected, "{text}");
        assert_eq!(rows(format!("\u{feff}{}", text.replace('\n', "\r\n"))).unwrap(), expected, "{text}");
        for (little, mark) in [(true, true), (true, false), (false, true), (false, false)] {
            assert_eq!(rows(utf16(text, little, mark)).unwrap(), expected, "{text} {little} {mark}");
        }
    }
    assert_eq!(rows(format!("sep=;\r\n{semicolon}")).unwrap(), expected);
    assert_eq!(rows(format!("sep=|\n{}", semicolon.replace(';', "|"))).unwrap(), expected);
    // R writes names of rows without a name of their column.
    assert_eq!(rows("cat dog\na.jpg 1 0\n").unwrap(), [["image", "cat", "dog"], ["a.jpg", "1", "0"]]);
    assert_eq!(rows("2\ncat dog\na.jpg  1  0\n").unwrap(), [["image", "cat", "dog"], ["a.jpg", "1", "0"]]);
    // A line with too many fields does not give the header another name.
    for text in ["filename,tags\na.jpg,cat,dog\n", "Foto,tags\na.jpg,cat,dog\n", "filename,tags\na.jpg,3,4\n"]
    {
        assert_eq!(rows(text).unwrap()[0].len(), 2, "{text}");
    }
}

#[test]
fn commas_inside_the_cells_of_other_tables_separate_nothing() {
    assert_eq!(rows("a.jpg;cat,dog\nb.jpg;owl,fox\n").unwrap()[0], ["a.jpg", "cat,dog"]);
    assert_eq!(rows("a.jpg,cat;dog\nb.jpg,owl;fox\n").unwrap()[0], ["a.jpg", "cat;dog"]);
    assert_eq!(rows("image;tags\na.jpg;cat,dog\n").unwrap()[1], ["a.jpg", "cat,dog"]);
    // The image may stand last; one mark of each kind is a comma's, and a space beside one separates nothing.
    assert_eq!(rows("label;image\ncat;a.jpg\n").unwrap()[1], ["cat", "a.jpg"]);
    assert_eq!(rows("a,b;c\nx,y;z\n").unwrap()[0], ["a", "b;c"]);
    assert_eq!(rows("image,cat\na.jpg;1,0\n").unwrap()[1], ["a.jpg;1", "0"]);
    assert_eq!(rows("image file,cat\na.jpg ,1\n").unwrap()[0], ["image file", "cat"]);
}

#[test]
fn a_quoted_field_may_hold_line_breaks_but_must_end() {
    let text = "image,report,cat\na.jpg,\"first\n\nthird, \"\"line\"\"\",yes\nb.jpg,,no\n";
    assert_eq!(
        rows(text).unwrap()[1],
        ["a.jpg", "first\n\n\nthird, \"line\"", "yes"].map(|it| it.replace("\n\n\n", "\n\n"))
    );
    let open = format!("image,cat\na.jpg,\"yes\n{}", "b.jpg,no\n".repeat(300));
    let found = lines_of("a.csv", Kind::Data, rows(open));
    assert!(found[0].starts_with("2: a quoted field has no closing quote up to line 202"), "{found:?}");
    assert_eq!(found.len(), 1);
}

#[test]
fn text_that_is_broken_or_missing_is_said() {
    let found = lines_of("a.csv", Kind::Data, rows(b"image,cat\nb\xe4r.jpg,yes\n"));
    assert_eq!(found, ["2: no UTF-8 text (byte 0xE4 at column 2); save the file as UTF-8"]);
    let mut odd = utf16("image,cat\n", true, true);
    odd.push(7);
    assert_eq!(lines_of("a.csv", Kind::Data, rows(odd)), ["broken UTF-16 text; save the file as UTF-8"]);
    let found = lines_of("a.csv", Kind::Data, rows(" \n\n"));
    assert_eq!(found, ["2: an empty file; expected lines of an image and its labels"]);
}
