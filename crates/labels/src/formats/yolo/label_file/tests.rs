use super::*;
use crate::error::Kind;
use crate::formats::samples::{lines_of, read_bytes};

fn read(text: impl AsRef<[u8]>) -> Result<Objects> {
    let names = ["cat", "dog", "owl"].map(str::to_owned);
    read_bytes("a.txt", text, |path| {
        let mut problems = Problems::default();
        let objects = Objects::read(path, &names, &mut problems)?;
        problems.or(objects)
    })
}

#[test]
fn boxes_outlines_and_points_are_objects() {
    let text = "\u{feff}0 0.5 0.5 1e-1 .25\r\n\n2.0 0.5 0.5 1 1\n 2\t0.1 0.1 0.9 0.1 0.5 0.8\n\
                0 0.5 0.5 0.1 0.1 0.2 0.3 2.0 0.4 0.4 1.0";
    let expected = Objects { classes: BTreeSet::from([0, 2]), predicted: 0, outside: 0 };
    assert_eq!(read(text).unwrap(), expected);
    assert_eq!(read("").unwrap(), Objects::default());
    let expected = Objects { classes: BTreeSet::from([1]), predicted: 1, outside: 1 };
    assert_eq!(read("1 0.5 0.5 1 1 0.875\n1 320 240 64 48\n").unwrap(), expected);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let range = "expected a number from 0 to 2";
    let multi_hot = "only 0 and 1, as where a line has one number per category";
    for (text, expected) in [
        ("\n3 0.5 0.5 1 1", format!("2: class 3, but there are 3 names; {range}")),
        ("cat 0.5 0.5 1 1", format!("1: class \"cat\" is not a number; {range}")),
        ("-1 0.5 0.5 1 1", format!("1: class -1; {range}")),
        ("0.5 0.5 0.5 1 1", format!("1: class 0.5; {range}")),
        ("nan 0.5 0.5 1 1", format!("1: class nan; {range}")),
        ("0,0.5,0.5,1,1", format!("1: class \"0,0.5,0.5,1,1\" is not a number; {range}")),
        ("0 0.5 x 1 1", "1: \"x\" is not a number".into()),
        ("0 0.5 inf 1 1", "1: \"inf\" is not a number".into()),
        ("0", "1: nothing after the class; expected class x y width height".into()),
        ("0 0.5 0.5 1", "1: 3 numbers after the class; expected class x y width height".into()),
        ("1 0 0 1 0 1", format!("1: {multi_hot}; expected class x y width height")),
    ] {
        assert_eq!(lines_of("a.txt", Kind::Data, read(text)), [expected], "{text}");
    }
    let text = lines_of("a.txt", Kind::Data, read(b"0 0.5 0.5 1 1\n\xff\xfe0"));
    assert!(text[0].starts_with("2: UTF-16 text"), "{text:?}");
}

#[test]
fn boxes_within_the_tolerance_are_inside_and_whole_images_are_boxes() {
    let outside = |line: &str| read(line).unwrap().outside;
    for line in ["0 0.0 0.0 1.0 1.0", "0 -0.01 1.01 0.5 0.5", "2 0 0 1 1", "0 0.5 0.5 1 1 7"] {
        assert_eq!(outside(line), 0, "{line}");
    }
    for line in ["0 0.5 0.5 0.5 1.5", "0 -0.02 0.5 0.5 0.5", "0 0.5 1.02 0.5 0.5 0.9"] {
        assert_eq!(outside(line), 1, "{line}");
    }
}
