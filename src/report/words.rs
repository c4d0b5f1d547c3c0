//! Proportions, seeds and lists as sentences say them.

use crate::report::results::Results;

/// A proportion as a label: `10 %`.
pub fn known_label(known: f64) -> String {
    format!("{} %", percent_of(known))
}

/// A name in a CSV header for one proportion: `map_percent_known_10`.
pub fn at_percent(name: &str, known: f64) -> String {
    format!("{name}_known_{}", percent_of(known))
}

/// `10, 50 and 90 %`.
pub fn proportions(known: &[f64]) -> String {
    let numbers: Vec<String> = known.iter().map(|&known| percent_of(known).to_string()).collect();
    format!("{} %", listed(&numbers))
}

/// `a, b and c`.
pub fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [word] => word.clone(),
        [words @ .., last] => format!("{} and {last}", words.join(", ")),
    }
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

/// A whole number with its thousands apart: `40,504`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// In percent without floating-point dust.
fn percent_of(known: f64) -> f64 {
    (known * 1e6).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proportions_and_numbers_read_well() {
        assert_eq!(proportions(&[0.1, 0.29, 0.9]), "10, 29 and 90 %");
        assert_eq!((known_label(0.125), at_percent("map", 0.1)), ("12.5 %".into(), "map_known_10".into()));
        assert_eq!([7, 1000, 40_504].map(thousands), ["7", "1,000", "40,504"]);
    }
}
