//! `sarb report` on a small sweep that is really run.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::support::{arg, borrow, data, features, sarb, sarb_fails, sarb_ok};

const PLAN: &str = "known = [0.5, 0.9]\npublished = 'voc-2007'\nloss_curves = ['SARB', 'SARB <one & all>']\n\
    set = ['train.batch_size=8', 'train.learning_rate=0.003', 'train.schedule=constant', 'train.epochs=4', \
    'method.network.dim=32', 'method.network.joint=16', 'method.network.word_width=8']\n\
    [[row]]\nname = 'SARB'\nrecipe = 'sarb.toml'\nmore_seeds = [{ known = 0.5, seeds = [1] }]\n\
    set = ['method.blend_from_epoch=1', 'method.prototype_interval=2', 'method.prototypes_per_category=3']\n\
    tables = ['main', 'ablation']\n\
    [[row]]\nname = 'SSGRL'\nrecipe = 'ssgrl.toml'\n\
    [[row]]\nname = 'SARB <one & all>'\nrecipe = 'sarb.toml'\nset = ['method.blends=[\"instance\"]']\n\
    tables = ['ablation']\npublished = 'ILRB'\n";

/// A finished sweep of seven cells; tests only read it.
fn sweep() -> &'static Path {
    static SWEEP: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, out) = SWEEP.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        for method in ["sarb", "ssgrl"] {
            let recipe = format!("[method]\nname = '{method}'\n");
            std::fs::write(dir.path().join(format!("{method}.toml")), recipe).unwrap();
        }
        std::fs::write(dir.path().join("plan.toml"), PLAN).unwrap();
        let mut args = vec!["sweep".to_string(), arg(dir.path().join("plan.toml"))];
        args.extend(["--data".into(), arg(data()), "--out".into(), arg(dir.path().join("out"))]);
        args.extend(["--features".into(), arg(features().join("train.npy"))]);
        args.extend(["--test-features".into(), arg(features().join("test.npy"))]);
        sarb_ok(&borrow(&args));
        let out = dir.path().join("out");
        (dir, out)
    });
    out
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => std::fs::copy(&path, target).map(|_| ()).unwrap(),
        }
    }
}

/// A copy of the sweep without some of its runs.
fn without(runs: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(sweep(), dir.path());
    runs.iter().for_each(|run| std::fs::remove_dir_all(dir.path().join("runs").join(run)).unwrap());
    dir
}

fn report(dirs: &[&Path], out: &Path) -> String {
    let mut args = vec!["report".to_string(), "--bootstrap".into(), "40".into(), "-o".into(), arg(out)];
    args.extend(dirs.iter().map(arg));
    sarb_ok(&borrow(&args))
}

/// Names and bytes of a folder's files, sorted.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut files: Vec<_> = paths.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect();
    files.sort();
    files
}

fn named<'a>(files: &'a [(String, Vec<u8>)], name: &str) -> &'a str {
    let file = files.iter().find(|(file, _)| file == name).unwrap_or_else(|| panic!("{name} is missing"));
    std::str::from_utf8(&file.1).unwrap()
}

/// Panics unless every tag is closed in order and every `&` begins an entity.
fn assert_well_formed(markup: &str) {
    let mut open = Vec::new();
    let mut rest = markup;
    while let Some(at) = rest.find(['<', '&']) {
        let end = if rest[at..].starts_with('<') { '>' } else { ';' };
        let length = rest[at..].find(end).unwrap_or_else(|| panic!("no {end} after {:.40}", &rest[at..]));
        let tag = &rest[at + 1..at + length];
        rest = &rest[at + length + 1..];
        let name = tag.split([' ', '\n']).next().unwrap();
        if end == ';' {
            assert!(["amp", "lt", "gt", "quot"].contains(&tag), "&{tag};");
        } else if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "</{closed}> closes another tag");
        } else if !tag.starts_with('!') && !tag.ends_with('/') && name != "meta" {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
}

#[test]
fn a_sweep_becomes_tables_figures_and_a_page_the_same_each_time() {
    let out = tempfile::tempdir().unwrap();
    let (first, second) = (out.path().join("a"), out.path().join("b"));
    let text = report(&[sweep()], &first);
    assert_eq!(report(&[sweep()], &second), text);
    let files = (files(&first), files(&second));
    assert_eq!(files.0.len(), 5 * 4 + 2 + 1);
    assert!(files.0 == files.1, "two reports of one sweep differ");
    let files = files.0;

    assert!(named(&files, "main.csv").starts_with("system,map_percent,op_percent"));
    assert!(text.contains(named(&files, "main.txt").trim_end()) && !text.contains("Cost of a training"));
    // One line of the table holds what `evaluate` measured: the mean over proportions of that over seeds.
    let map = |run: &str| -> f64 {
        let json = std::fs::read_to_string(sweep().join("runs").join(run).join("evaluation/test.json"));
        serde_json::from_str::<serde_json::Value>(&json.unwrap()).unwrap()["map"].as_f64().unwrap()
    };
    let [a, b] = ["sarb/known-50/seed-0", "sarb/known-50/seed-1"].map(map);
    let average = 100.0 * ((a + b) / 2.0 + map("sarb/known-90/seed-0")) / 2.0;
    let main = named(&files, "main.csv").lines().nth(1).unwrap();
    assert!(main.starts_with(&format!("SARB,{average:.2},")), "{average} is not in {main}");
    assert!(main.ends_with(",90.70,P"), "{main}");
    assert!(named(&files, "differences.txt").contains("40 resamples"));

    for svg in ["map-by-known.svg", "training-loss.svg"] {
        let svg = named(&files, svg);
        assert_well_formed(svg);
        assert!(svg.contains("<polyline") && svg.contains("prefers-color-scheme") && !svg.contains("NaN"));
    }
    let page = named(&files, "report.html");
    assert_well_formed(page);
    assert!(page.contains("SARB &lt;one &amp; all&gt;") && !page.contains("<script"));
    assert!(named(&files, "ablation.tex").contains("SARB $<$one \\& all$>$"));
}

#[test]
fn programs_get_the_tables_as_json() {
    let out = tempfile::tempdir().unwrap();
    let page = arg(out.path().join("page.html"));
    let json = sarb_ok(&["report", &arg(sweep()), "--bootstrap", "0", "--json", "-o", &page]);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["files"], serde_json::json!([page]));
    let row = &value["tables"]["main"]["rows"][0];
    let text = sarb_ok(&["report", &arg(sweep()), "--bootstrap", "0", "-o", &arg(out.path())]);
    assert!(row["system"] == "SARB" && row["map_percent"].as_f64().unwrap() > 0.0, "{row}");
    let csv = std::fs::read_to_string(out.path().join("main.csv")).unwrap();
    assert!(csv.contains(&format!("SARB,{:.2},", row["map_percent"].as_f64().unwrap())), "{csv}");
    assert!(!text.starts_with('{'));
}

#[test]
fn shards_make_the_report_of_the_whole() {
    let (a, b) = (without(&["ssgrl", "sarb/known-90"]), without(&["sarb-one-all"]));
    let out = tempfile::tempdir().unwrap();
    let (whole, merged) = (out.path().join("whole"), out.path().join("merged"));
    // Both shards hold the cells of SARB at 50 %.
    assert_eq!(report(&[a.path(), b.path()], &merged), report(&[sweep()], &whole));
    assert!(files(&merged) == files(&whole));
}

#[test]
fn a_sweep_that_is_not_finished_says_what_is_missing() {
    let part = without(&["ssgrl/known-90"]);
    let output = sarb(&["report", &arg(part.path()), "--bootstrap", "0"]);
    let (text, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    assert!(text.contains("SSGRL: not done yet at 90 % (seed 0)."), "{text}");
    assert!(stderr.contains("6 of 7 cells are done"), "{stderr}");
    // Without -o, beside the sweep; every file is named.
    assert!(part.path().join("report/report.html").is_file());
    assert!(stderr.contains("report/main.tex"), "{stderr}");
}

#[test]
fn an_out_that_ends_in_html_is_one_page() {
    let out = tempfile::tempdir().unwrap();
    report(&[sweep()], &out.path().join("new/page.html"));
    assert_eq!(files(&out.path().join("new")).len(), 1);
}

#[test]
fn what_is_no_finished_cell_of_one_plan_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    assert!(sarb_fails(4, &["report", &arg(empty.path())]).contains("not a sweep folder"));

    let none_done = without(&["sarb", "ssgrl", "sarb-one-all"]);
    assert!(sarb_fails(4, &["report", &arg(none_done.path())]).contains("no cell is done yet"));

    let other = without(&[]);
    let file = other.path().join("sweep.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace("voc-2007", "coco");
    std::fs::write(&file, text).unwrap();
    let message = sarb_fails(2, &["report", &arg(sweep()), &arg(other.path())]);
    assert!(message.contains("different plans"), "{message}");

    let scores = other.path().join("runs/ssgrl/known-50/seed-0/evaluation/scores.npy");
    std::fs::write(&scores, b"no array").unwrap();
    sarb_fails(3, &["report", &arg(other.path())]);

    let moved = sarb_fails(4, &["report", &arg(sweep()), "--data", "/nowhere", "-o", &arg(empty.path())]);
    assert!(moved.contains("/nowhere") && moved.contains("--bootstrap 0"), "{moved}");
    sarb_fails(2, &["report", &arg(sweep()), "--bootstrap", "-1"]);
}
