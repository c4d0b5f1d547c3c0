//! What there is to know of the formats, as text for people: the lists of the README and the documentation are
//! made here, and so is what `sarb data formats` prints.

use std::fmt::Write;

use super::ALL;
use super::format::{Format, Keeps, NotListed};

/// A Markdown table of all formats: what they are, what is not listed, what comes back.
pub fn table(pages: &str) -> String {
    let mut table =
        String::from("| format | what it is | what is not listed | written |\n| --- | --- | --- | --- |\n");
    for format in ALL {
        let Format { name, about, .. } = format;
        let (page, listed, written) = (page(format), not_listed(format), written(format));
        let about = about.replace('<', "&lt;");
        writeln!(table, "| [`{name}`]({pages}{page}) | {about} | {listed} | {written} |").expect("in memory");
    }
    table
}

/// Every format with an example and its options, as Markdown.
pub fn examples() -> String {
    let mut text = String::new();
    for (place, format) in ALL.iter().enumerate() {
        let Format { name, about, example, .. } = format;
        let gap = if place > 0 { "\n" } else { "" };
        let about = about.replace('<', "&lt;");
        write!(text, "{gap}### `{name}`\n\n{about}. [More]({})", page(format)).expect("in memory");
        write!(text, "\n\n```text\n{example}\n```\n").expect("in memory");
        if !format.takes.is_empty() {
            let options: Vec<String> = format.takes.iter().map(|option| format!("`{option}`")).collect();
            let options = options.join(", ").replace(", --", "`, `--");
            writeln!(text, "\nOptions: {options}.").expect("in memory");
        }
    }
    text
}

/// Every format with an example and its options, for a terminal.
pub fn listing() -> String {
    let mut text = String::new();
    for Format { name, about, example, takes, .. } in ALL {
        let example = example.replace('\n', "\n    ");
        write!(text, "{name}: {about}\n\n    {example}\n\n").expect("in memory");
        if !takes.is_empty() {
            let options: Vec<String> = takes.iter().map(ToString::to_string).collect();
            write!(text, "    options: {}\n\n", options.join(", ")).expect("in memory");
        }
    }
    text
}

/// Which options belong to which format, for the help of commands.
pub fn options_by_format() -> String {
    let mut text = String::from("Options by format, beside --images and --categories, which all take:\n");
    let width = ALL.iter().map(|format| format.name.len()).max().unwrap_or(0);
    for format in ALL {
        let Format { name, about, takes, .. } = format;
        writeln!(text, "  {name:<width$}  {about}").expect("in memory");
        if !takes.is_empty() {
            let options: Vec<String> = takes.iter().map(ToString::to_string).collect();
            writeln!(text, "  {:<width$}    {}", "", options.join(", ")).expect("in memory");
        }
    }
    text
}

/// The page of a format in the folder of the documentation.
fn page(format: &Format) -> String {
    format!("{}.md", format.name.replace('-', "_"))
}

fn not_listed(format: &Format) -> &'static str {
    match format.unlisted {
        NotListed::Unknown => "unknown",
        NotListed::Negative => "not there",
        NotListed::AsYouSay => "`--unlisted` says",
        NotListed::NegativeOrAsYouSay => "not there; for exports of other tools `--unlisted` says",
        NotListed::Never => "–",
    }
}

fn written(format: &Format) -> &'static str {
    match format.written.map(|written| written.keeps) {
        Some(Keeps::AllStates) => "all three states",
        Some(Keeps::Positives) => "what is there",
        Some(Keeps::NoUnknown) => "without unknown labels",
        None => "no",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::made_pages::between_marks;

    const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");

    #[test]
    fn the_pages_say_what_the_formats_say() {
        if !Path::new(ROOT).join("docs/formats").is_dir() {
            return; // The crate alone has no pages.
        }
        let page_of = |page: &str| Path::new(ROOT).join(page);
        between_marks(&page_of("README.md"), "formats", &table("docs/formats/"));
        between_marks(&page_of("docs/formats/README.md"), "formats", &table(""));
        between_marks(&page_of("docs/formats/README.md"), "examples", &examples());
        for format in ALL {
            let page = Path::new(ROOT).join("docs/formats").join(page(format));
            assert!(page.is_file(), "{}: no such page", page.display());
        }
    }

    #[test]
    fn the_help_names_every_option_of_every_format() {
        let help = options_by_format();
        for format in ALL {
            assert!(help.contains(format.about));
            let missing = format.takes.iter().find(|option| !help.contains(&option.to_string()));
            assert_eq!(missing, None, "{format}");
            assert!((1..=6).contains(&format.example.lines().count()), "{format}");
        }
    }

    #[test]
    fn the_list_for_a_terminal_has_every_format_with_its_example_and_options() {
        let text = listing();
        for Format { name, about, example, takes, .. } in ALL {
            let options: Vec<String> = takes.iter().map(ToString::to_string).collect();
            let options = options.join(", ");
            let options = if takes.is_empty() { options } else { format!("    options: {options}\n\n") };
            let example = example.replace('\n', "\n    ");
            assert!(text.contains(&format!("{name}: {about}\n\n    {example}\n\n{options}")), "{name}");
        }
        let with_options = ALL.iter().filter(|format| !format.takes.is_empty()).count();
        assert_eq!(text.matches("options: ").count(), with_options);
    }
}
