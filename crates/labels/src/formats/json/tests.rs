use super::*;

/// The elements of `list` as (line, id), the other keys, and the problems.
fn list(text: impl AsRef<[u8]>) -> (Vec<(usize, i64)>, Vec<String>, String) {
    #[derive(Default)]
    struct List(Vec<(usize, i64)>, Vec<String>);
    #[derive(Deserialize)]
    struct Item {
        id: i64,
    }
    impl Document for List {
        fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, m: Member<'_, '_, A>) -> Result<(), A::Error> {
            match key {
                "list" => m.each(|item: Item, report| self.0.push((report.line, item.id))),
                _ => {
                    self.1.push(key.to_owned());
                    m.skip()
                }
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    std::fs::write(&path, text).unwrap();
    let (mut report, mut list) = (Report::new(&path), List::default());
    let whole = read_object(&mut report, &mut list).unwrap();
    assert_eq!(whole, report.problems.is_empty());
    let said = report.problems.to_string();
    (list.0, list.1, said.find("a.json").map_or(String::new(), |at| said[at..].to_owned()))
}

#[test]
fn elements_come_with_the_line_where_they_begin_in_keys_of_any_order() {
    let text = "{\"a\":[\n1,{}],\"list\":[\n{\"id\":1},{\"x\":\n[],\"id\"\n:2}\n,\r\n{\"id\":3\n}\n]\n,\"b\":null,\n\
                \"list\":[{\"id\":4}]}\n\n";
    let (found, others, problems) = list(text);
    assert_eq!(found, [(3, 1), (3, 2), (7, 3), (11, 4)]);
    assert_eq!((others, problems), (vec!["a".into(), "b".into()], String::new()));
    assert_eq!(list("\u{feff}{\"list\":[\n\n\n{\"id\":1}]}").0, [(4, 1)]);
}

#[test]
fn lines_are_right_across_the_borders_of_the_buffer() {
    let filler = "x".repeat(700);
    let items: Vec<String> =
        (1..=4000).map(|id| format!("{{\"id\":{id},\"filler\":\"{filler}\"}}")).collect();
    let (found, ..) = list(format!("{{\"list\":[\n{}]}}", items.join(",\n")));
    assert_eq!(found.len(), 4000);
    assert!(found.iter().all(|&(line, id)| line as i64 == id + 1));
}

#[test]
fn broken_files_are_problems_with_a_line() {
    let said = |text: &str| list(text).2;
    assert!(said("").starts_with("a.json:1: the file ends too early (EOF while parsing a value"));
    assert!(said("{\"list\":[\n{\"id\":1},\n{\"id\"").starts_with("a.json:3: the file ends too early"));
    assert_eq!(said("{\"list\":[\n{\"id\":1}\n{\"id\":2}]}"), "a.json:3: expected `,` or `]` (column 1)");
    assert_eq!(said("{}\n{}"), "a.json:2: trailing characters (column 1)");
    assert!(said("[1]").starts_with("a.json:1: invalid type: sequence, expected a JSON object"));
    assert!(
        said("{\"list\":\n{\"id\":1}}").contains(":2: invalid type: map, expected a JSON array of objects")
    );
    let long = said(&format!("{{\"list\":[{{\"id\":\"{}\"}}]}}", "y".repeat(100_000)));
    assert!(long.len() < 300 && long.contains("y…"), "{long}");
    assert!(list(b"{\"list\":[{\"id\":1,\"\xff\":1}]}").2.ends_with("; save the file as UTF-8"));
    assert_eq!(list(b"\xff\xfe{\0}\0").2, "a.json:1: UTF-16 text; save the file as UTF-8");
}

#[test]
fn deep_nesting_is_neither_followed_nor_kept() {
    let (open, close) = ("[".repeat(500_000), "]".repeat(500_000));
    assert_eq!(list(format!("{{\"deep\":{open}{close},\"list\":[]}}")).2, "");
    assert!(list(format!("{{\"list\":[{open}")).2.contains("invalid type"));
}

#[test]
fn what_stands_before_the_break_is_read() {
    assert_eq!(list("{\"list\":[{\"id\":1},{\"id\":2},oops").0, [(1, 1), (1, 2)]);
}

#[test]
fn values_of_any_type_are_told_apart() {
    let text = r#"[1, -2, 7.0, 7.5, 18446744073709551615, "a", "", true, null, [1, [2]], {"a": {"b": 1}}]"#;
    let values: Vec<Scalar> = serde_json::from_str(text).unwrap();
    let kinds: Vec<&str> = values.iter().map(Scalar::kind).collect();
    let number = "a number";
    assert_eq!(kinds[..5], [number, number, number, "a fraction", "a number beyond 63 bits"]);
    assert_eq!(kinds[5..], ["text", "empty", "true or false", "null", "an array", "an object"]);
    assert_eq!(values[2], Scalar::Number(7));
    assert!([Scalar::Number(1), Scalar::Flag(true)].iter().all(Scalar::is_on));
    assert!(![Scalar::Number(0), Scalar::Text("1".into())].iter().any(Scalar::is_on));
}

#[test]
fn a_folder_and_a_missing_file_are_no_problems_of_the_data() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("none.json")] {
        let error = read_elements::<serde_json::Value>(&mut Report::new(&path), |_, _| ()).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Missing);
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
    }
}

#[test]
fn objects_on_lines_and_in_an_array_are_read_alike() {
    let read = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ndjson");
        std::fs::write(&path, text).unwrap();
        let (mut report, mut found) = (Report::new(&path), Vec::new());
        let whole = read_lines(&mut report, |map: serde_json::Map<String, serde_json::Value>, report| {
            found.push((report.line, map["id"].as_i64()));
        });
        let said = report.problems.to_string();
        (found, whole.unwrap(), said.find("a.ndjson").map_or(String::new(), |at| said[at..].to_owned()))
    };
    let both = vec![(1, Some(1)), (2, Some(2))];
    for text in ["{\"id\":1}\n{\"id\":2}\n", "{\"id\":1}\r\n{\"id\":2}", "[{\"id\":1},\n{\"id\":2}]\n\n"] {
        assert_eq!(read(text), (both.clone(), true, String::new()), "{text}");
    }
    let (found, whole, said) = read("{\"id\":1}\n{\"id\":2}\n{\"id\"");
    assert_eq!((found, whole), (both.clone(), false));
    assert!(said.starts_with("a.ndjson:3: the file ends too early"), "{said}");
    let (found, whole, said) = read("{\"id\":1}\n\n{\"id\":2}]");
    assert_eq!(
        (found, whole, said.as_str()),
        (vec![(1, Some(1)), (3, Some(2))], false, "a.ndjson:3: expected value (column 9)")
    );
    assert!(read("").2.starts_with("a.ndjson:1: the file ends too early"));
}
