use super::fixture::{Fixture, PLAN};
use super::*;

fn report(fixture: &Fixture) -> Report {
    let options = Options { data: None, bootstrap: 50, seed: 0 };
    Report::of(&fixture.results(), &options).unwrap()
}

#[test]
fn a_folder_holds_every_format_and_a_page_everything() {
    let fixture = Fixture::new(PLAN);
    let report = report(&fixture);
    let out = tempfile::tempdir().unwrap();
    let files = report.save(&out.path().join("report")).unwrap();
    let names: Vec<String> =
        files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect();
    for table in ["main", "map-by-known", "differences", "ablation", "cost"] {
        for extension in ["txt", "md", "tex", "csv"] {
            assert!(names.contains(&format!("{table}.{extension}")), "{table}.{extension}");
        }
    }
    assert!(names.contains(&"map-by-known.svg".into()) && names.contains(&"training-loss.svg".into()));
    assert!(files.iter().all(|file| file.is_file()));
    let page = std::fs::read_to_string(out.path().join("report/report.html")).unwrap();
    assert_eq!((page.matches("<table").count(), page.matches("<svg").count()), (5, 2));

    let only_page = out.path().join("new/page.html");
    assert_eq!(report.save(&only_page).unwrap(), std::slice::from_ref(&only_page));
    assert_eq!(std::fs::read_to_string(only_page).unwrap(), page);
}

#[test]
fn without_resamples_no_labels_are_needed() {
    let fixture = Fixture::new(PLAN);
    let mut results = fixture.results();
    results.data = "/nowhere".into();
    let report = Report::of(&results, &Options::default()).unwrap();
    let differences = report.tables.iter().find(|table| table.name == "differences").unwrap();
    assert!(!differences.to_text().contains('['), "{}", differences.to_text());
    let error = Report::of(&results, &Options { bootstrap: 9, ..Options::default() }).unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains("--data") && error.to_string().contains("--bootstrap 0"), "{error}");
}

#[test]
fn what_is_not_there_is_noted() {
    let plan = PLAN.replace("published = 'ILRB'", "published = 'ILBR'");
    let report = report(&Fixture::new(&plan).without(1, 0.5));
    assert_eq!(report.notes[0], "6 of 7 cells are done; rows that miss one have no average.");
    assert_eq!(report.notes[1], "No published number on MS-COCO of \"ILBR\".");
    let other = Fixture::new(&format!("compare_with = 'SST'\n{PLAN}"));
    let report = Report::of(&other.results(), &Options::default()).unwrap();
    assert!(report.notes[0].contains("no row \"SST\""), "{:?}", report.notes);
    assert!(report.tables.iter().all(|table| table.name != "differences"));
}

#[test]
fn cells_of_several_builds_are_noted() {
    let fixture = Fixture::new(PLAN);
    let mut results = fixture.results();
    let options = Options { data: None, bootstrap: 0, seed: 0 };
    assert!(Report::of(&results, &options).unwrap().notes.is_empty());
    results.cells[1].info.version = "0.1.0+1a2b3c4".into();
    let notes = Report::of(&results, &options).unwrap().notes;
    assert_eq!(notes.len(), 1);
    assert!(notes[0].ends_with(": 0 (6 cells) and 0.1.0+1a2b3c4 (1 cell)."), "{notes:?}");
}

#[test]
fn a_cell_in_two_folders_must_have_equal_results() {
    let (a, b) = (Fixture::new(PLAN), Fixture::new(PLAN));
    let mut results = a.results();
    let cell = results.cells[0].cell.clone();
    results.add(cell.clone(), b.run(&cell)).unwrap();
    assert_eq!(results.cells.len(), 7);
    let run = b.run(&cell);
    let path = run.path("evaluation/test.json");
    let mut scores = results.cells[0].scores.clone();
    scores.map -= 0.001;
    std::fs::write(&path, serde_json::to_vec(&scores).unwrap()).unwrap();
    let error = results.add(cell, run).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("hold different results of one cell"), "{error}");
}
