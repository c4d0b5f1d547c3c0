//! The plan of the source: which floor a module is on, no circle of imports but parent and child, no import
//! upwards, and no reference to a file that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The floors of `src/`, the ground floor first: a module imports from its own floor and from those below.
const FLOORS: [&[&str]; 9] = [
    &[
        "cancel",
        "device",
        "error",
        "fetch",
        "heat_map",
        "lock",
        "memory",
        "program",
        "seal",
        "shard",
        "tensorboard",
        "thumbnail",
    ],
    &["kernels"],
    &["backbone", "nn", "onnx", "ranks"],
    &[
        "batch",
        "bootstrap",
        "cache",
        "calibration",
        "compare",
        "datasets",
        "kmeans",
        "loader",
        "loss",
        "ridge",
        "soft_labels",
        "synthetic",
        "weights",
    ],
    &["methods"],
    &["inputs", "model", "recipe"],
    &[
        "anchor",
        "checkpoint",
        "data_part",
        "events",
        "exploding",
        "extractor",
        "fit",
        "gradients",
        "out_of_fold",
        "preflight",
        "prepare",
        "recognizer",
        "run",
        "run_folder",
        "scoring",
        "step",
        "step_log",
        "tally",
        "train",
        "unnamed",
    ],
    &["ensemble", "evaluation", "experiment", "import"],
    &["decisions", "export", "folds", "forecast", "key_page", "report", "serve", "sweep", "track", "tune"],
];

/// A module as its path below the crate, such as `["nn", "linear"]`.
type Module = Vec<String>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The source of each module below a folder, without comments, tests and the command line.
fn modules(source: &Path) -> BTreeMap<Module, String> {
    let mut modules = BTreeMap::new();
    for file in files_below(source, ".rs") {
        let below = file.strip_prefix(source).unwrap().with_extension("");
        let mut module: Module = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let only_tests = ["tests", "fixture", "samples", "parity", "outside_data"];
        if module[0] == "cli" || module.iter().any(|part| only_tests.contains(&part.as_str())) {
            continue;
        }
        if ["mod", "lib", "main"].contains(&module.last().unwrap().as_str()) {
            module.pop();
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let code = code.split("#[cfg(test)]\npub(super) mod ").next().unwrap();
        let code: Vec<&str> = code.lines().map(|line| line.split("//").next().unwrap()).collect();
        modules.insert(module, code.join("\n"));
    }
    modules
}

/// The paths that begin with `crate` or `super`, with groups of `use` written out.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back().unwrap_or(' ');
            if !(before.is_alphanumeric() || before == '_' || before == ':') {
                expand(&code[at..], &mut Vec::new(), &mut paths);
            }
        }
    }
    paths
}

/// Adds the paths of `a::b::{c, d::e}` under `prefix`; returns how much of the text they take.
fn expand(text: &str, prefix: &mut Vec<String>, paths: &mut Vec<Vec<String>>) -> usize {
    let depth = prefix.len();
    let mut at = 0;
    loop {
        let name: String = text[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        at += name.len();
        if !name.is_empty() {
            prefix.push(name);
        }
        if text[at..].starts_with("::{") {
            at += 3;
            while !text[at..].starts_with('}') {
                let skipped = text[at..].len() - text[at..].trim_start_matches([' ', '\n', ',']).len();
                at += skipped;
                if text[at..].starts_with('}') {
                    break;
                }
                let taken = expand(&text[at..], prefix, paths);
                at += taken.max(1);
            }
            at += 1;
            break;
        } else if text[at..].starts_with("::") {
            at += 2;
        } else {
            paths.push(prefix.clone());
            break;
        }
    }
    prefix.truncate(depth);
    at
}

/// Which modules each module imports, parents and children left out.
fn imports(modules: &BTreeMap<Module, String>) -> BTreeMap<&Module, BTreeSet<&Module>> {
    let mut imports = BTreeMap::new();
    for (module, code) in modules {
        let targets = paths(code).into_iter().filter_map(|path| {
            let up = path.iter().take_while(|part| *part == "super").count();
            let base = if up == 0 { &[][..] } else { &module[..module.len().checked_sub(up)?] };
            let mut target = [base, &path[up.max(1)..]].concat();
            while !target.is_empty() && !modules.contains_key(&target) {
                target.pop();
            }
            let (target, _) = modules.get_key_value(&target)?;
            let related = module.starts_with(target) || target.starts_with(module);
            (!related).then_some(target)
        });
        imports.insert(module, targets.collect::<BTreeSet<_>>());
    }
    imports
}

/// A way from a module back to itself, if there is one.
fn circle<'a>(imports: &BTreeMap<&'a Module, BTreeSet<&'a Module>>) -> Option<Vec<&'a Module>> {
    fn walk<'a>(
        module: &'a Module,
        imports: &BTreeMap<&'a Module, BTreeSet<&'a Module>>,
        way: &mut Vec<&'a Module>,
        done: &mut BTreeSet<&'a Module>,
    ) -> bool {
        if let Some(at) = way.iter().position(|before| *before == module) {
            way.drain(..at);
            return true;
        }
        if done.contains(module) {
            return false;
        }
        way.push(module);
        if imports[module].iter().any(|next| walk(next, imports, way, done)) {
            return true;
        }
        way.pop();
        done.insert(module);
        false
    }
    let (mut way, mut done) = (Vec::new(), BTreeSet::new());
    imports.keys().any(|module| walk(module, imports, &mut way, &mut done)).then_some(way)
}

#[test]
fn no_module_of_either_crate_imports_in_a_circle() {
    for source in ["src", "crates/labels/src"] {
        let modules = modules(&root().join(source));
        assert!(modules.len() > 50, "{source}: only {} modules were found", modules.len());
        let imports = imports(&modules);
        assert!(
            imports.values().map(BTreeSet::len).sum::<usize>() > 100,
            "{source}: hardly an import was found"
        );
        assert_eq!(circle(&imports), None, "{source}");
    }
}

#[test]
fn every_module_is_on_a_floor_and_imports_from_none_above() {
    let modules = modules(&root().join("src"));
    let floor = |module: &Module| {
        let floor = FLOORS.iter().position(|floor| floor.contains(&module[0].as_str()));
        floor.unwrap_or_else(|| panic!("{module:?} is on no floor of tests/house.rs"))
    };
    for (module, targets) in imports(&modules).into_iter().filter(|(module, _)| !module.is_empty()) {
        for target in targets.into_iter().filter(|target| !target.is_empty()) {
            assert!(floor(target) <= floor(module), "{module:?} imports {target:?} from the floor above");
        }
    }
}

#[test]
fn only_the_program_knows_the_command_line_and_it_knows_no_network() {
    for file in files_below(&root().join("src"), ".rs") {
        let text = std::fs::read_to_string(&file).unwrap();
        let below = file.strip_prefix(root().join("src")).unwrap();
        if below.starts_with("cli") {
            let hidden = ["internals", "layers"].iter().find(|part| text.contains(&format!("sarb::{part}")));
            assert_eq!(hidden, None, "{} reaches past the front page", below.display());
            assert!(!text.contains("burn::"), "{} imports Burn", below.display());
        } else if below != Path::new("main.rs") {
            assert!(!text.contains("cli::"), "{} knows the command line", below.display());
        }
    }
}

#[test]
fn examples_get_along_with_the_front_page() {
    for file in files_below(&root().join("examples"), ".rs") {
        let text = std::fs::read_to_string(&file).unwrap();
        for foreign in ["sarb::internals", "sarb_labels::", "burn::"] {
            assert!(!text.contains(foreign), "{} uses {foreign}", file.display());
        }
    }
}

/// Targets of `[text](target)` and names of files in code spans that claim to be in the repository.
fn references(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (at, _) in text.match_indices("](") {
        let target = text[at + 2..].split(')').next().unwrap();
        let target = target.split('#').next().unwrap();
        if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
            found.push(target.to_owned());
        }
    }
    found
}

#[test]
fn every_link_of_the_pages_leads_to_a_file() {
    let mut pages = files_below(&root().join("docs"), ".md");
    pages.extend(
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "fuzz/README.md"].map(|page| root().join(page)),
    );
    let mut count = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
        for target in references(&text) {
            count += 1;
            assert!(
                page.parent().unwrap().join(&target).exists(),
                "{}: {target} is not there",
                page.display()
            );
        }
    }
    assert!(count > 50, "only {count} links were found");
}

#[test]
fn every_file_that_pages_sources_and_recipes_name_is_there() {
    const TOPS: [&str; 9] =
        ["src/", "docs/", "tests/", "tools/", "crates/", "recipes/", "examples/", "benches/", "fuzz/"];
    let mut files = files_below(&root().join("docs"), ".md");
    for (folder, ending) in [
        ("src", ".rs"),
        ("crates", ".rs"),
        ("benches", ".rs"),
        ("examples", ".rs"),
        ("recipes", ".toml"),
        ("tools", ".py"),
    ] {
        files.extend(files_below(&root().join(folder), ending));
    }
    files.extend(
        ["README.md", "CONTRIBUTING.md", "fuzz/README.md", "tests/fixtures/README.md"]
            .map(|f| root().join(f)),
    );
    let mut count = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let shown = file.strip_prefix(root()).unwrap().display();
        let is_left = |line: &str| ["<<<<<<< ", ">>>>>>> "].iter().any(|mark| line.starts_with(mark));
        assert!(!text.lines().any(is_left), "{shown} holds an unfinished merge");
        for outside in ["../shared/", "/work/", "interface.md", "protocol.md", "methods.md", "house.md"] {
            let allowed = outside == "../shared/" && text.contains("SARB_TEST_DATA");
            assert!(allowed || !text.contains(outside), "{shown} refers to {outside}");
        }
        for word in text.split(|c: char| !(c.is_alphanumeric() || "/._-".contains(c))) {
            let word = word.trim_end_matches(['.', '-', '/']);
            let names_a_file = TOPS.iter().any(|top| word.starts_with(top)) && word.contains('.');
            // `ROW` and the like stand for a name.
            let is_pattern =
                word.split('/').any(|part| part.len() > 2 && part.chars().all(char::is_uppercase));
            if names_a_file && !is_pattern && !word.contains("..") {
                count += 1;
                let known = [
                    root().join(word),
                    root().join("crates/labels").join(word),
                    root().join("fuzz").join(word),
                ];
                assert!(known.iter().any(|path| path.exists()), "{shown} names {word}, which is not there");
            }
        }
    }
    assert!(count > 50, "only {count} names were found");
}
