use super::*;
use crate::Error;

/// The ids of categories beside one file of class descriptions, or the lines of the error.
fn ids(descriptions: &str, categories: &[&str]) -> Result<Vec<String>, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("labels.class-descriptions.csv");
    // What was written before says nothing.
    std::fs::write(&own, "/m/9,cat\n").unwrap();
    if !descriptions.is_empty() {
        std::fs::write(folder.path().join("oidv7-class-descriptions.csv"), descriptions).unwrap();
    }
    let categories: Vec<String> = categories.iter().map(|&name| name.to_owned()).collect();
    let found = label_ids(Path::new(&folder.path().join("labels.csv")), &own, &categories);
    let strip = |line: &str| line.split_once("labels.csv: ").unwrap().1.to_owned();
    found.map(|found| found.into_iter().map(|label| label.id).collect()).map_err(|error: Error| {
        assert_eq!(error.kind(), crate::error::Kind::Data);
        error.to_string().lines().map(strip).collect()
    })
}

#[test]
fn a_category_keeps_the_id_in_its_name_and_else_is_its_own() {
    let names = ["/m/0bt9lr", "Bat (/m/01h8tj)", "/g/11b_2", "cat", "cat (wild)", "/m/", "/m/a b", "/m/1 "];
    let expected = ["/m/0bt9lr", "/m/01h8tj", "/g/11b_2", "cat", "cat (wild)", "/m/", "/m/a b"];
    assert_eq!(ids("", &names[..7]).unwrap(), expected);
    let error = ids("", &names).unwrap_err();
    assert_eq!(error, [r#""/m/1 " is a name with white space around it; Open Images' CSV cannot hold it"#]);
}

#[test]
fn class_descriptions_beside_the_file_give_the_ids() {
    let official = "LabelName,DisplayName\n/m/1,Bat\n/m/2,Bat\n/m/3,Owl\n";
    let found = ids(official, &["Owl", "Bat (/m/2)", "/m/7", "Hen"]).unwrap();
    assert_eq!(found, ["/m/3", "/m/2", "/m/7", "Hen"]);
}

#[test]
fn categories_that_would_share_an_id_are_named() {
    let found = ids("", &["/m/1", "Bat (/m/1)", "Owl", "Hen (/m/1)"]).unwrap_err();
    assert_eq!(
        found,
        [
            r#"categories "/m/1" and "Bat (/m/1)" would both have the label id "/m/1""#,
            r#"categories "Bat (/m/1)" and "Hen (/m/1)" would both have the label id "/m/1""#,
        ]
    );
    let found = ids("Owl,Uhu\n", &["Owl", "Uhu"]).unwrap_err();
    assert_eq!(found, [r#"categories "Owl" and "Uhu" would both have the label id "Owl""#]);
}

#[test]
fn categories_that_would_be_called_otherwise_are_named() {
    let official = "/m/1,Bat\n/m/2,Bat\n/m/3,Owl\n";
    let why = "by class descriptions in its folder; choose another folder";
    assert_eq!(
        ids(official, &["Bat", "/m/3", "Hen (/m/2)"]).unwrap_err(),
        [
            format!(r#"category "Bat" would be called "Bat (Bat)" {why}"#),
            format!(r#"category "/m/3" would be called "Owl" {why}"#),
            format!(r#"category "Hen (/m/2)" would be called "Bat (/m/2)" {why}"#),
        ]
    );
}

#[test]
fn ids_are_letters_digits_and_underscores_behind_their_kind() {
    assert_eq!(["/m/0bt9lr", "/g/11b_x", "/t/2"].map(is_id), [true; 3]);
    assert_eq!(["/m/", "/m/a-b", "/x/1", "m/1", ""].map(is_id), [false; 5]);
}
