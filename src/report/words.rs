//! Proportions, seeds and lists as sentences say them.

use sarb_labels::text::{in_percent, listed};

use crate::report::results::Results;

/// A proportion as a label: `10 %`.
pub fn known_label(known: f64) -> String {
    format!("{} %", in_percent(known))
}

/// A name in a CSV header for one proportion: `map_percent_known_10`.
pub fn at_percent(name: &str, known: f64) -> String {
    format!("{name}_known_{}", in_percent(known))
}

/// `10, 50 and 90 %`.
pub fn proportions(known: &[f64]) -> String {
    let numbers: Vec<String> = known.iter().map(|&known| in_percent(known).to_string()).collect();
    format!("{} %", listed(&numbers))
}

/// How many seeds the done cells of `rows` have at a proportion: `1 seed`, `1 to 3 seeds`.
pub fn seeds_phrase(results: &Results, rows: &[usize]) -> String {
    let known = results.known();
    let counts = rows.iter().flat_map(|&row| known.iter().map(move |&known| results.at(row, known).len()));
    let counts: Vec<usize> = counts.filter(|&count| count > 0).collect();
    match (counts.iter().min(), counts.iter().max()) {
        (Some(1), Some(1)) => "1 seed".into(),
        (Some(low), Some(high)) if low == high => format!("{high} seeds"),
        (Some(low), Some(high)) => format!("{low} to {high} seeds"),
        _ => "none done yet".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proportions_read_well() {
        assert_eq!(proportions(&[0.1, 0.29, 0.9]), "10, 29 and 90 %");
        assert_eq!((known_label(0.125), at_percent("map", 0.1)), ("12.5 %".into(), "map_known_10".into()));
    }
}
