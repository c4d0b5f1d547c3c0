use super::*;
use crate::error::Kind;
use crate::formats::samples::{lines_of, read_bytes};

fn read(text: impl AsRef<[u8]>) -> Result<DataYaml> {
    read_bytes("data.yaml", text, DataYaml::read)
}

/// The problems of a file.
fn problems(text: impl AsRef<[u8]>) -> Vec<String> {
    lines_of("data.yaml", Kind::Data, read(text))
}

#[test]
fn names_are_a_list_or_a_map_and_sets_one_folder_or_several() {
    let list = "names: ['a', \"b c\", no, 3]\nnc: 4\ntrain: ../x\nval:\ntest: ~\n";
    let yaml = read(list).unwrap();
    // YAML 1.1 would make a truth value of the third name.
    assert_eq!(yaml.names, ["a", "b c", "no", "3"]);
    let train = YamlSet { name: "train", line: 3, targets: vec!["../x".into()] };
    assert_eq!(yaml.sets, [train]);
    let map = "\u{feff}# about\npath: ../data\nnames:\n  1: dog\n  '0': cat\nvalidation:\n  - a\n  - b\n";
    let yaml = read(map).unwrap();
    assert_eq!(
        (yaml.names, yaml.root, yaml.count),
        (vec!["cat".into(), "dog".into()], Some("../data".into()), None)
    );
    let val = YamlSet { name: "val", line: 7, targets: vec!["a".into(), "b".into()] };
    assert_eq!(yaml.sets, [val]);
    assert_eq!(problems("nc: 0\n"), ["1: no names; expected names: with a list of the classes"]);
    assert_eq!(read("nc: 3").unwrap().count, Some(3));
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (text, expected) in [
        ("", "1: no YAML: an empty file"),
        ("- a\n", "1: no map; expected names: and train: at the beginning of lines"),
        ("train: x\n", "1: no names; expected names: with a list of the classes"),
        ("nc: 3\nnames: [a, b]\n", "1: nc is 3, but there are 2 names; correct one of them"),
        ("nc: three\n", "1: nc is not a number; expected the number of classes"),
        ("nc: 1\nnames: cat\n", "2: names is neither a list nor a map; expected names: [cat, dog]"),
        ("names:\n  0: a\n  2: b\n", "2: class 1 has no name; expected all numbers from 0 on"),
        ("names:\n  0: a\n  0: b\n", "3: class 0 has two names"),
        ("names:\n  cat: 0\n", "2: a key of names is not a number; expected 0: name"),
        ("names: [a, b,\n a]\n", "2: classes 0 and 2 are both \"a\"; give each class a name of its own"),
        ("names: [a, '']\n", "1: the name of class 1 is empty or no text; expected a name"),
        ("names: [a, [b]]\n", "1: the name of class 1 is empty or no text; expected a name"),
        ("names: [a]\ntrain: {x: y}\n", "2: train is not text; expected folders or lists of images"),
        ("names: [a]\npath: [x]\n", "2: path is not text; expected a folder"),
        ("names: [a]\nval: x\nvalidation: y\n", "3: val appears twice"),
        ("names: [a]\n---\nb: c\n", "2: no YAML: a second document; expected one"),
    ] {
        assert_eq!(problems(text), [expected], "{text}");
    }
    assert_eq!(problems(b"names: [\xff]"), ["1: no UTF-8 text; save the file as UTF-8"]);
    assert!(problems("names: [a\ntrain: x\n")[0].contains(": no YAML: "));
}

#[test]
fn aliases_inside_one_another_and_deep_nesting_cost_nothing() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..60 {
        let before = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [&*before; 10].join(", "));
    }
    assert_eq!(read(format!("{bomb}names: [a]\n")).unwrap().names, ["a"]);
    let expected = "61: names is neither a list nor a map; expected names: [cat, dog]";
    assert_eq!(problems(format!("{bomb}names: *a59\n"))[0], expected);
    for deep in ["[".repeat(100_000), "- ".repeat(100_000), "a: {".repeat(50_000)] {
        assert!(problems(deep)[0].contains("no YAML: "));
    }
    assert_eq!(problems(vec![b' '; 5 << 20])[0].split("; ").next(), Some("more than 4 MiB"));
}
