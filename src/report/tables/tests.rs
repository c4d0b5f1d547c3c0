use std::iter::zip;

use super::*;
use crate::report::comparison::Difference;
use crate::report::fixture::{Fixture, PLAN};

fn tables(results: &Results) -> Vec<Table> {
    let comparison = results.reference().map(|row| Comparison::without_intervals(results, row));
    let published = results.plan.published.as_deref().map(|name| Numbers::on(name).unwrap());
    Context { results, published, comparison, bootstrap: 0 }.tables()
}

fn named<'a>(tables: &'a [Table], name: &str) -> &'a Table {
    tables.iter().find(|table| table.name == name).unwrap()
}

fn row<'a>(table: &'a Table, name: &str) -> &'a [Cell] {
    table.rows.iter().find(|row| row[0].text == name).unwrap()
}

#[test]
fn every_cell_has_a_value_for_each_csv_column() {
    let fixture = Fixture::new(PLAN);
    let tables = tables(&fixture.results());
    assert_eq!(tables.len(), 5);
    for table in &tables {
        for row in &table.rows {
            assert_eq!(row.len(), table.columns.len(), "{}", table.name);
            assert!(zip(row, &table.columns).all(|(cell, column)| cell.csv.len() == column.csv.len()));
        }
    }
}

#[test]
fn a_complete_row_has_its_average_and_the_best_is_marked() {
    let fixture = Fixture::new(PLAN);
    let results = fixture.results();
    let tables = tables(&results);
    let main = named(&tables, "main");
    let sarb = row(main, "SARB");
    let map = average(&results, 0, |scores| scores.map).unwrap();
    assert_eq!((&sarb[1].text, sarb[1].best), (&percent(map), true));
    assert!(!row(main, "SSGRL")[1].best);
    // Published averages on MS-COCO [P].
    assert_eq!((sarb[8].text.as_str(), &sarb[8].csv[1][..]), ("77.9", "P"));
    assert_eq!(main.columns[8].group, "paper, MS-COCO, ResNet-101, mean over 10–90 %");
    assert!(
        main.caption.contains("another data set and choice of proportions than ours"),
        "{}",
        main.caption
    );
    assert_eq!(row(named(&tables, "ablation"), "SARB without prototypes").last().unwrap().text, "77.3");
    assert!(main.notes.is_empty());
}

#[test]
fn an_average_is_not_printed_when_a_cell_is_missing() {
    let fixture = Fixture::new(PLAN).without(1, 0.5);
    let results = fixture.results();
    let tables = tables(&results);
    let main = named(&tables, "main");
    assert!(row(main, "SSGRL")[1..8].iter().all(|cell| cell.text == NOTHING));
    assert_ne!(row(main, "SARB")[1].text, NOTHING);
    // Alone in its column, it is not the best.
    assert!(!row(main, "SARB")[1].best);
    assert_eq!(main.notes, ["SSGRL: not done yet at 50 % (seed 0)."]);
    assert_eq!(row(named(&tables, "map-by-known"), "SSGRL")[2].text, NOTHING);
    assert_eq!(row(named(&tables, "differences"), "SSGRL")[1].text, NOTHING);
}

#[test]
fn a_missing_further_seed_is_named_and_what_is_done_is_said() {
    let mut results = Fixture::new(PLAN).results_without_seed(1);
    let tables = tables(&results);
    let main = named(&tables, "main");
    assert_eq!(row(main, "SARB")[1].text, NOTHING);
    let so_far = percent(average_of_done(&results, 0, |scores| scores.map).unwrap());
    assert_eq!(
        main.notes,
        [format!(
            "SARB: not done yet at 10 % (seed 1); over the cells that are done the mean mAP is {so_far}."
        )]
    );
    results.cells.clear();
    assert_eq!(average_of_done(&results, 0, |scores| scores.map), None);
}

#[test]
fn proportions_show_deviation_and_number_of_seeds() {
    let fixture = Fixture::new(PLAN);
    let results = fixture.results();
    let tables = tables(&results);
    let table = named(&tables, "map-by-known");
    let sarb = row(table, "SARB");
    assert!(sarb[1].text.contains(" ± ") && sarb[1].text.ends_with(" (2)"), "{}", sarb[1].text);
    assert!(!sarb[2].text.contains('±'));
    // Table 2.2, V1.
    assert_eq!((sarb[3].text.as_str(), sarb[4].text.as_str()), ("71.2", "78.9"));
    assert!(table.to_csv().starts_with(
        "system,map_percent_known_10,deviation_percent_known_10,seeds_known_10,map_percent_known_50"
    ));
    let differences = named(&tables, "differences");
    assert!(differences.rows.iter().all(|row| row[0].text != "SARB" && row[1].text.starts_with('−')));
    let cost = named(&tables, "cost");
    assert_eq!(cost.to_csv().lines().nth(1), Some("SARB,10,2,60.40,10.00,512.00,2 3"));
}

#[test]
fn intervals_that_leave_out_0_are_starred() {
    let with =
        |interval| difference_cell(Some(Difference { value: -0.012, interval: Some(interval), seeds: 1 }));
    assert_eq!(with((-0.02, -0.004)).text, "−1.2 [−2.0, −0.4] *");
    assert_eq!(with((-0.02, 0.001)).text, "−1.2 [−2.0, +0.1]");
    assert_eq!(with((-0.02, 0.001)).csv, ["-1.20", "-2.00", "0.10", "1"]);
}
