//! The tables of a report: systems side by side, by proportion, the variants of one, and the cost.

mod cells;

use sarb_labels::metrics::Scores;
use sarb_labels::text::listed;

use crate::report::comparison::{Comparison, Mean, average, average_of_done, deviation_of_average};
use crate::report::published::{BACKBONE, Numbers};
use crate::report::results::Results;
use crate::report::table::{Cell, Column, NOTHING, Table, csv_percent, percent};
use crate::report::words::{at_percent, known_label, proportions, seeds_phrase};
use crate::sweep::Table as Of;
use cells::{cost_row, difference_cell, mean_cell, with_deviation};

/// What all tables are made of.
#[derive(Debug)]
pub struct Context<'a> {
    /// The measured cells.
    pub results: &'a Results,
    /// The published numbers that stand beside ours.
    pub published: Option<Numbers>,
    /// Differences to the row that the others are compared with, if the plan has it.
    pub comparison: Option<Comparison<'a>>,
    /// Number of resamples behind the intervals; 0 for none.
    pub bootstrap: usize,
}

/// Heading, name in the CSV file and value of each metric of the main table.
type Metric = (&'static str, &'static str, fn(&Scores) -> f64);
const METRICS: [Metric; 7] = [
    ("mAP", "map_percent", |scores| scores.map),
    ("OP", "op_percent", |scores| scores.all.op),
    ("OR", "or_percent", |scores| scores.all.or),
    ("OF1", "of1_percent", |scores| scores.all.of1),
    ("CP", "cp_percent", |scores| scores.all.cp),
    ("CR", "cr_percent", |scores| scores.all.cr),
    ("CF1", "cf1_percent", |scores| scores.all.cf1),
];

impl Context<'_> {
    /// All tables that the plan has rows for.
    pub fn tables(&self) -> Vec<Table> {
        let all = [self.main(), self.by_known(), self.differences(), self.ablation(), self.cost()];
        all.into_iter().filter(|table| !table.rows.is_empty()).collect()
    }

    /// The systems side by side, averaged over the proportions.
    fn main(&self) -> Table {
        let rows = self.results.rows(Of::Main);
        let mut columns = vec![Column::text("system", "system")];
        columns.extend(METRICS.map(|(heading, csv, _)| Column::number(heading, csv).under(self.ours())));
        columns.extend(self.paper_average_column());
        let cells = |&row: &usize| {
            let ours = METRICS.map(|(_, _, value)| Cell::percent(average(self.results, row, value)));
            let mut cells = vec![Cell::text(self.results.name(row))];
            cells.extend(ours);
            cells.extend(self.paper_average(row));
            cells
        };
        let mut table = Table {
            name: "main".into(),
            title: "Systems, averaged over the known proportions".into(),
            caption: format!(
                "Percent; each number is the mean over {} known labels of the mean over seeds ({}). {}",
                proportions(&self.results.known()),
                seeds_phrase(self.results, &rows),
                self.paper_sentence()
            ),
            columns,
            rows: rows.iter().map(cells).collect(),
            notes: self.missing(&rows),
        };
        mark_best(&mut table, 1..=METRICS.len());
        finished(table)
    }

    /// mAP at each proportion.
    fn by_known(&self) -> Table {
        let (rows, known) = (self.all_rows(), self.results.known());
        let mut columns = vec![Column::text("system", "system")];
        columns.extend(known.iter().map(|&known| self.map_column(known)));
        let paper: Vec<f64> = known.iter().copied().filter(|&known| self.has_paper(&rows, known)).collect();
        columns.extend(paper.iter().map(|&known| {
            let csv = ["paper_map_percent", "paper_mark"].map(|name| at_percent(name, known));
            Column { csv: csv.into(), ..Column::text(&known_label(known), "") }.under(&self.paper_heading(""))
        }));
        let cells = |&row: &usize| {
            let mut cells = vec![Cell::text(self.results.name(row))];
            cells.extend(known.iter().map(|&known| mean_cell(Mean::of(&self.maps(row, known)))));
            cells.extend(paper.iter().map(|&known| self.paper(row, Some(known))));
            cells
        };
        let mut table = Table {
            name: "map-by-known".into(),
            title: "mAP by proportion of known labels".into(),
            caption: format!(
                "Percent; ± is the sample standard deviation over as many seeds as stand in parentheses, numbers \
                 without it have one seed. {}",
                self.paper_sentence()
            ),
            columns,
            rows: rows.iter().map(cells).collect(),
            notes: self.missing(&rows),
        };
        mark_best(&mut table, 1..=known.len());
        finished(table)
    }

    /// Differences to the row that the others are compared with, at each proportion and in the mean.
    fn differences(&self) -> Table {
        let Some(comparison) = &self.comparison else { return Table::default() };
        let (reference, known) = (&self.results.plan.compare_with, self.results.known());
        let names = ["difference_percent", "low_percent", "high_percent", "seeds"];
        let column =
            |heading: &str, csv: [String; 4]| Column { csv: csv.into(), ..Column::text(heading, "") };
        let mut columns = vec![Column::text("system", "system"), column("mean", names.map(String::from))];
        columns.extend(
            known.iter().map(|&known| column(&known_label(known), names.map(|name| at_percent(name, known)))),
        );
        let mut rows = self.all_rows();
        rows.retain(|row| self.results.name(*row) != reference);
        let cells = |&row: &usize| {
            let mut cells =
                vec![Cell::text(self.results.name(row)), difference_cell(comparison.average(row))];
            cells.extend(known.iter().map(|&known| difference_cell(comparison.at(row, known))));
            cells
        };
        let intervals = match self.bootstrap {
            0 => String::new(),
            count => format!(
                " In brackets the 95 % interval of a paired bootstrap over the test images ({count} resamples, \
                 percentile method, the same resamples for both systems and all seeds); * where it leaves out 0. \
                 It holds the chance of the test images, not that of the training."
            ),
        };
        finished(Table {
            name: "differences".into(),
            title: format!("Difference of mAP to {reference}"),
            caption: format!(
                "Row − {reference} in percentage points, over the seeds that both have, so with several seeds it \
                 need not be that of the means: below 0, {reference} is better. The mean is that over the \
                 proportions.{intervals}"
            ),
            columns,
            rows: rows.iter().map(cells).collect(),
            notes: self.missing(&self.all_rows()),
        })
    }

    /// The variants of one system.
    fn ablation(&self) -> Table {
        let (rows, known) = (self.results.rows(Of::Ablation), self.results.known());
        let csv = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mean_csv = csv(&["map_percent", "deviation_percent"]);
        let mut columns = vec![
            Column::text("variant", "variant"),
            Column { csv: mean_csv, ..Column::text("mean", "") }.under(self.ours()),
        ];
        if self.comparison.is_some() {
            let csv = csv(&["difference_percent", "low_percent", "high_percent", "seeds"]);
            let heading = format!("difference to {}", self.results.plan.compare_with);
            columns.push(Column { csv, ..Column::text(&heading, "") }.under(self.ours()));
        }
        columns.extend(known.iter().map(|&known| self.map_column(known)));
        columns.extend(self.paper_average_column());
        let cells = |&row: &usize| {
            let mut cells = vec![Cell::text(self.results.name(row)), self.average_cell(row)];
            if let Some(comparison) = &self.comparison {
                cells.push(match Some(row) == self.results.reference() {
                    // Nothing to measure, which is not the same as nothing measured.
                    true => Cell { text: String::new(), ..Cell::nothing(4) },
                    false => difference_cell(comparison.average(row)),
                });
            }
            cells.extend(known.iter().map(|&known| mean_cell(Mean::of(&self.maps(row, known)))));
            cells.extend(self.paper_average(row));
            cells
        };
        let mut table = Table {
            name: "ablation".into(),
            title: "Variants".into(),
            caption: format!(
                "mAP in percent: the mean over {} known labels of the mean over seeds ({}), and by proportion; ± is \
                 the sample standard deviation over seeds. The difference, with its interval, is that of the table of \
                 differences: over the seeds that both rows have, so with several seeds it need not be that of the \
                 means. {}",
                proportions(&known),
                seeds_phrase(self.results, &rows),
                self.paper_sentence()
            ),
            columns,
            rows: rows.iter().map(cells).collect(),
            notes: self.missing(&rows),
        };
        mark_best(&mut table, 1..=1);
        finished(table)
    }

    /// What every row costs at every proportion.
    fn cost(&self) -> Table {
        let mut rows = Vec::new();
        for row in self.all_rows() {
            for known in self.results.known() {
                let done = self.results.at(row, known);
                if !done.is_empty() {
                    rows.push(cost_row(self.results.name(row), known, &done));
                }
            }
        }
        Table {
            name: "cost".into(),
            title: "Cost of a training".into(),
            caption: "Means over seeds; images per second in the last epoch, peak resident memory of the process. The \
                      best epoch, one a seed, is the one whose weights are evaluated."
                .into(),
            columns: vec![
                Column::text("system", "system"),
                Column::number("known", "known_percent"),
                Column::number("seeds", "seeds"),
                Column::number("seconds", "seconds"),
                Column::number("images/s", "images_per_second"),
                Column::number("peak MiB", "peak_rss_mib"),
                Column::number("best epoch", "best_epoch"),
            ],
            rows,
            notes: Vec::new(),
        }
    }

    /// The plan's rows, whatever tables they are in.
    fn all_rows(&self) -> Vec<usize> {
        (0..self.results.plan.rows.len()).collect()
    }

    /// One mAP a seed.
    fn maps(&self, row: usize, known: f64) -> Vec<f64> {
        self.results.at(row, known).iter().map(|done| done.scores.map).collect()
    }

    fn map_column(&self, known: f64) -> Column {
        let csv = ["map_percent", "deviation_percent", "seeds"].map(|name| at_percent(name, known));
        Column { csv: csv.into(), ..Column::text(&known_label(known), "") }.under(self.ours())
    }

    fn average_cell(&self, row: usize) -> Cell {
        let Some(value) = average(self.results, row, |scores| scores.map) else { return Cell::nothing(2) };
        let deviation = deviation_of_average(self.results, row);
        Cell {
            text: with_deviation(value, deviation),
            csv: vec![csv_percent(value), deviation.map_or(String::new(), csv_percent)],
            best: false,
        }
    }

    /// Our columns have a heading of their own only beside others.
    fn ours(&self) -> &'static str {
        if self.published.is_some() { "ours" } else { "" }
    }

    fn paper_heading(&self, more: &str) -> String {
        let data = self.published.as_ref().map_or("", |numbers| numbers.data.title);
        format!("paper, {data}, {BACKBONE}{more}")
    }

    fn paper_average_column(&self) -> Option<Column> {
        self.published.as_ref()?;
        let csv = ["paper_map_percent", "paper_mark"].map(String::from);
        let column = Column { csv: csv.into(), ..Column::text("mAP", "") };
        Some(column.under(&self.paper_heading(", mean over 10–90 %")))
    }

    fn paper_average(&self, row: usize) -> Option<Cell> {
        self.published.is_some().then(|| self.paper(row, None))
    }

    /// The published mAP of a row, empty where there is none.
    fn paper(&self, row: usize, known: Option<f64>) -> Cell {
        let row = &self.results.plan.rows[row];
        let system = row.published.as_ref().unwrap_or(&row.name);
        match self.published.as_ref().and_then(|numbers| numbers.map(system, known)) {
            Some(number) => Cell {
                text: format!("{:.1}", number.value),
                csv: vec![format!("{:.2}", number.value), number.mark.clone()],
                best: false,
            },
            None => Cell { text: String::new(), ..Cell::nothing(2) },
        }
    }

    fn has_paper(&self, rows: &[usize], known: f64) -> bool {
        rows.iter().any(|&row| !self.paper(row, Some(known)).text.is_empty())
    }

    /// What a reader has to know before comparing with the published numbers.
    fn paper_sentence(&self) -> String {
        let Some(numbers) = &self.published else { return String::new() };
        let first = &self.results.cells[0];
        let mut other = Vec::new();
        if (first.scores.images, first.scores.categories)
            != (numbers.data.test_images, numbers.data.categories)
        {
            other.push("data set".to_owned());
        }
        if super::backbones(self.results).iter().any(|name| name != "resnet101") {
            other.push("backbone".to_owned());
        }
        if self.results.known().len() != 9 {
            other.push("choice of proportions".to_owned());
        }
        let what = if other.is_empty() {
            "as ours".to_owned()
        } else {
            format!("another {} than ours", listed(&other))
        };
        format!("The paper's numbers are of {} with {BACKBONE}, {what}.", numbers.data.title)
    }

    /// A line for each row that is not complete.
    fn missing(&self, rows: &[usize]) -> Vec<String> {
        rows.iter().filter_map(|&row| self.missing_of(row)).collect()
    }

    fn missing_of(&self, row: usize) -> Option<String> {
        let missing = self.results.missing(row);
        let mut cells: Vec<String> = Vec::new();
        for known in self.results.known() {
            let seeds: Vec<String> =
                missing.iter().filter(|cell| cell.known == known).map(|cell| cell.seed.to_string()).collect();
            match &seeds[..] {
                [] => {}
                [seed] => cells.push(format!("{} (seed {seed})", known_label(known))),
                seeds => cells.push(format!("{} (seeds {})", known_label(known), listed(seeds))),
            }
        }
        let so_far = average_of_done(self.results, row, |scores| scores.map);
        let so_far = so_far.map_or(String::new(), |map| {
            format!("; over the cells that are done the mean mAP is {}", percent(map))
        });
        (!cells.is_empty())
            .then(|| format!("{}: not done yet at {}{so_far}.", self.results.name(row), cells.join(", ")))
    }
}

/// Marks the highest value of each of `columns`; all that print alike.
fn mark_best(table: &mut Table, columns: std::ops::RangeInclusive<usize>) {
    // The first CSV value of these columns is the number; what prints alike is equally good.
    let number = |cell: &Cell| cell.csv[0].parse::<f64>().ok();
    let shown = |cell: &Cell| cell.text.split(' ').next().unwrap_or_default().to_owned();
    for column in columns {
        let measured = table.rows.iter().filter(|row| row[column].text != NOTHING);
        if measured.clone().count() < 2 {
            continue;
        }
        let best = measured
            .map(|row| &row[column])
            .max_by(|a, b| number(a).partial_cmp(&number(b)).unwrap_or(std::cmp::Ordering::Equal));
        let Some(best) = best.map(shown) else { continue };
        table.rows.iter_mut().for_each(|row| row[column].best = shown(&row[column]) == best);
    }
}

/// A caption may end in a sentence that is not there.
fn finished(mut table: Table) -> Table {
    table.caption = table.caption.trim_end().to_owned();
    table
}

#[cfg(test)]
mod tests;
