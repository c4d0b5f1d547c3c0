//! Tables as Markdown, LaTeX and HTML.

use std::iter::zip;

use sarb_labels::text::escape_xml;

use super::{Cell, Column, Table};

impl Table {
    /// GitHub's Markdown; the best of a column is bold.
    pub fn to_markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let heading = |column: &Column| match column.group.is_empty() {
            true => escape_markdown(&column.heading),
            false => escape_markdown(&format!("{}: {}", column.group, column.heading)),
        };
        let cell = |cell: &Cell| bold(escape_markdown(&cell.text), cell.best, "**", "**");
        let rule = |column: &Column| if column.right { "---:" } else { "---" }.to_owned();
        let mut text =
            format!("### {}\n\n{}\n\n", escape_markdown(&self.title), escape_markdown(&self.caption));
        text += &line(self.columns.iter().map(heading).collect());
        text += &line(self.columns.iter().map(rule).collect());
        self.rows.iter().for_each(|row| text += &line(row.iter().map(cell).collect()));
        // A blank line between them: each note is a paragraph.
        self.notes.iter().for_each(|note| text += &format!("\n{}\n", escape_markdown(note)));
        text
    }

    /// A LaTeX table that needs the packages `booktabs` and, for a wide one, `graphicx`.
    pub fn to_latex(&self) -> String {
        let line = |cells: Vec<String>| format!("{} \\\\\n", cells.join(" & "));
        let cell = |cell: &Cell| bold(escape_latex(&cell.text), cell.best, "\\textbf{", "}");
        let kinds: String = self.columns.iter().map(|column| if column.right { 'r' } else { 'l' }).collect();
        let mut text = format!(
            "% \\usepackage{{booktabs,graphicx}}\n\\begin{{table}}\n\\centering\n\\caption{{{}. {}}}\n\\label{{tab:{}}}\n",
            escape_latex(&self.title),
            escape_latex(&self.caption),
            self.name
        );
        // Only a table that is too wide is made smaller.
        text += "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n";
        text += &format!("\\begin{{tabular}}{{{kinds}}}\n\\toprule\n");
        if self.has_groups() {
            text += &self.latex_groups();
        }
        text += &line(self.columns.iter().map(|column| escape_latex(&column.heading)).collect());
        text += "\\midrule\n";
        self.rows.iter().for_each(|row| text += &line(row.iter().map(cell).collect()));
        text += "\\bottomrule\n\\end{tabular}}\n";
        self.notes
            .iter()
            .for_each(|note| text += &format!("\\par\\smallskip{{\\footnotesize {}}}\n", escape_latex(note)));
        text + "\\end{table}\n"
    }

    fn latex_groups(&self) -> String {
        let (mut cells, mut rules) = (Vec::new(), String::new());
        for (name, columns) in self.groups() {
            match name.is_empty() {
                true => cells.push(String::new()),
                false => {
                    cells.push(format!("\\multicolumn{{{}}}{{c}}{{{}}}", columns.len(), escape_latex(name)));
                    rules += &format!("\\cmidrule(lr){{{}-{}}}", columns.start + 1, columns.end);
                }
            }
        }
        format!("{} \\\\\n{rules}\n", cells.join(" & "))
    }

    /// An HTML table with its caption; notes follow as paragraphs.
    pub fn to_html(&self) -> String {
        let mut text = format!(
            "<table id=\"{}\">\n<caption><strong>{}.</strong> {}</caption>\n<thead>\n",
            escape_xml(&self.name),
            escape_xml(&self.title),
            escape_xml(&self.caption)
        );
        if self.has_groups() {
            text += "<tr>";
            for (name, columns) in self.groups() {
                text += &match name.is_empty() {
                    true => "<td></td>".to_owned(),
                    false => {
                        format!("<th class=\"group\" colspan=\"{}\">{}</th>", columns.len(), escape_xml(name))
                    }
                };
            }
            text += "</tr>\n";
        }
        let headings = self
            .columns
            .iter()
            .map(|column| format!("<th scope=\"col\"{}>{}</th>", side(column), escape_xml(&column.heading)));
        text += &format!("<tr>{}</tr>\n</thead>\n<tbody>\n", headings.collect::<String>());
        self.rows.iter().for_each(|row| text += &self.html_row(row));
        text += "</tbody>\n</table>\n";
        self.notes.iter().for_each(|note| text += &format!("<p class=\"note\">{}</p>\n", escape_xml(note)));
        text
    }

    fn html_row(&self, row: &[Cell]) -> String {
        let cells = zip(&self.columns, row).enumerate().map(|(at, (column, cell))| {
            let shown = bold(escape_xml(&cell.text), cell.best, "<strong>", "</strong>");
            match at {
                0 => format!("<th scope=\"row\">{shown}</th>"),
                _ => format!("<td{}>{shown}</td>", side(column)),
            }
        });
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    }
}

fn side(column: &Column) -> &'static str {
    if column.right { " class=\"number\"" } else { "" }
}

fn bold(text: String, best: bool, before: &str, after: &str) -> String {
    if best { format!("{before}{text}{after}") } else { text }
}

/// What would begin markup is preceded by a backslash.
fn escape_markdown(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if "\\`*_{}[]<>#|&~".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Special characters as commands; Greek letters and signs in mathematics.
fn escape_latex(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', c]),
            '\\' => escaped += "\\textbackslash{}",
            '~' => escaped += "\\textasciitilde{}",
            '^' => escaped += "\\textasciicircum{}",
            '|' => escaped += "\\textbar{}",
            '<' => escaped += "$<$",
            '>' => escaped += "$>$",
            '±' => escaped += "$\\pm$",
            '×' => escaped += "$\\times$",
            '−' => escaped += "$-$",
            '–' => escaped += "--",
            '…' => escaped += "\\ldots{}",
            'α' => escaped += "$\\alpha$",
            'β' => escaped += "$\\beta$",
            'γ' => escaped += "$\\gamma$",
            'δ' => escaped += "$\\delta$",
            'λ' => escaped += "$\\lambda$",
            'τ' => escaped += "$\\tau$",
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::tests::awkward;
    use super::*;

    #[test]
    fn markdown_escapes_and_marks_the_best() {
        assert_eq!(
            awkward().to_markdown(),
            "### A \\& B\n\n50 % of a\\_b \\< c\\|d.\n\n\
             | system | ours: mAP | ours: OF1 | paper |\n| --- | ---: | ---: | --- |\n\
             | a \\& b\\_c, 5 % | 50.0 | **8.1** | – |\n| x\\|y \\< z | **100.0** | 8.0 | ± α |\n\n\
             a \\& b: missing\n"
        );
    }

    #[test]
    fn latex_escapes_and_spans_groups() {
        let latex = awkward().to_latex();
        for part in [
            "\\caption{A \\& B. 50 \\% of a\\_b $<$ c\\textbar{}d.}\n\\label{tab:awkward}\n",
            "\\begin{tabular}{lrrl}\n\\toprule\n & \\multicolumn{2}{c}{ours} &  \\\\\n\\cmidrule(lr){2-3}\n",
            "system & mAP & OF1 & paper \\\\\n\\midrule\n",
            "a \\& b\\_c, 5 \\% & 50.0 & \\textbf{8.1} & -- \\\\\n",
            "x\\textbar{}y $<$ z & \\textbf{100.0} & 8.0 & $\\pm$ $\\alpha$ \\\\\n\\bottomrule\n",
            "{\\footnotesize a \\& b: missing}\n\\end{table}\n",
        ] {
            assert!(latex.contains(part), "{part}\nis not in\n{latex}");
        }
        assert_eq!(
            escape_latex("\\x~^{}$#"),
            "\\textbackslash{}x\\textasciitilde{}\\textasciicircum{}\\{\\}\\$\\#"
        );
    }

    #[test]
    fn html_escapes_and_says_what_heads_a_row_or_column() {
        let html = awkward().to_html();
        for part in [
            "<caption><strong>A &amp; B.</strong> 50 % of a_b &lt; c|d.</caption>",
            "<tr><td></td><th class=\"group\" colspan=\"2\">ours</th><td></td></tr>",
            "<th scope=\"col\" class=\"number\">mAP</th>",
            "<tr><th scope=\"row\">x|y &lt; z</th><td class=\"number\"><strong>100.0</strong></td>",
            "<p class=\"note\">a &amp; b: missing</p>",
        ] {
            assert!(html.contains(part), "{part}\nis not in\n{html}");
        }
        assert_eq!(escape_xml("a\u{7}\"b\""), "a&quot;b&quot;");
    }
}
