//! Parts of pages that are made of what the code says; tests of both crates keep them so.

use std::path::Path;

/// Compares what stands between two marks of a page with what it should be; with `SARB_WRITE_DOCS=1` in the
/// environment, writes it.
///
/// # Panics
/// If it is something else, or the marks are not there.
pub fn between_marks(page: &Path, name: &str, expected: &str) {
    let shown = page.display();
    let text = std::fs::read_to_string(page).unwrap();
    let [begin, end] = [format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->")];
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{shown}: no {begin}"));
    let (found, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{shown}: no {end}"));
    if std::env::var_os("SARB_WRITE_DOCS").is_some() {
        std::fs::write(page, format!("{before}{begin}{expected}{end}{after}")).unwrap();
    } else {
        assert_eq!(found, expected, "{shown} is old: run this test with SARB_WRITE_DOCS=1");
    }
}
