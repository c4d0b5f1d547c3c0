//! The recipes and plans that are in the program, and how the name of one is told from the path of a file.
//!
//! `coco18/sarb`, with or without `.toml`, is a file where there is one, and else the recipe of that name in
//! the program; `sarb:coco18/sarb` is never a file. What is in the program extends only what is in the program.

use std::path::{Component, Path, PathBuf};

use sarb_labels::categories::did_you_mean;
use sarb_labels::files::folder_of;

use crate::{Error, Result};

/// Stands before a name that is never a file.
pub const PREFIX: &str = "sarb:";
/// The folder of the plans.
const PLANS: &str = "plans/";

/// A recipe or a plan that is in the program.
#[derive(Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// Its folder and name below `recipes/`, such as `coco18/sarb`.
    pub name: &'static str,
    /// Its text, TOML with comments.
    pub text: &'static str,
}

/// Whether a recipe or a plan is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One experiment.
    Recipe,
    /// Many of them.
    Plan,
}

/// Files of `recipes/` by their names, compiled in.
macro_rules! built_in {
    ($($name:literal)+) => {
        &[$(BuiltIn { name: $name, text: include_str!(concat!("../../recipes/", $name, ".toml")) }),+]
    };
}

/// All of them, in the order of their names.
pub const ALL: &[BuiltIn] = built_in![
    "coco18/asl"
    "coco18/assume-negative"
    "coco18/bce"
    "coco18/bce-stage"
    "coco18/best"
    "coco18/best-lite0"
    "coco18/csl"
    "coco18/curriculum"
    "coco18/curriculum-class-proportion"
    "coco18/curriculum-positives"
    "coco18/curriculum-proportion"
    "coco18/curriculum-uncertainty"
    "coco18/dsrb"
    "coco18/em"
    "coco18/em-apl"
    "coco18/fm-mixup"
    "coco18/hill"
    "coco18/hst"
    "coco18/ip-mixup"
    "coco18/kggr"
    "coco18/large-loss"
    "coco18/large-loss-correct"
    "coco18/large-loss-permanent"
    "coco18/linear"
    "coco18/ml-gcn"
    "coco18/partial-bce"
    "coco18/role"
    "coco18/role-single"
    "coco18/sarb"
    "coco18/sarb-attention"
    "coco18/sarb-contrastive"
    "coco18/sarb-instance"
    "coco18/sarb-instance-fixed"
    "coco18/sarb-prototype"
    "coco18/sarb-prototype-fixed"
    "coco18/sarb-ridge"
    "coco18/sarb-soft"
    "coco18/sarb-stage"
    "coco18/splc"
    "coco18/sr"
    "coco18/sr-saliency"
    "coco18/ssgrl"
    "coco18/ssgrl-ridge"
    "coco18/ssgrl-soft"
    "coco18/ssgrl-stage"
    "coco18/sst"
    "paper/curriculum"
    "paper/fm-mixup"
    "paper/hst"
    "paper/ip-mixup"
    "paper/kggr"
    "paper/linear"
    "paper/ml-gcn"
    "paper/partial-bce"
    "paper/sarb"
    "paper/sarb-attention"
    "paper/sarb-instance"
    "paper/sarb-instance-fixed"
    "paper/sarb-prototype"
    "paper/sarb-prototype-fixed"
    "paper/ssgrl"
    "paper/sst"
    "plans/coco18"
    "plans/coco18-320"
    "plans/coco18-descriptor"
    "plans/coco18-losses"
    "plans/coco18-reference"
    "plans/coco18-reference-choices"
    "plans/coco18-single-positive"
    "plans/coco18-stage"
    "plans/paper"
    "quickstart/linear"
    "quickstart/sarb"
    "quickstart/ssgrl"
    "quickstart/trunk"
];

impl BuiltIn {
    /// The one of this name, with or without `sarb:` and `.toml`; a plan also without `plans/`.
    ///
    /// # Errors
    /// [`Error::Missing`] with the nearest name if there is none.
    pub fn named(name: &str, form: Option<Form>) -> Result<&'static Self> {
        find(name, form).ok_or_else(|| {
            let (noun, hint) = (noun(form), hint(name, form));
            Error::Missing(format!(
                "{name}: no {noun} in the program has this name{hint} (`sarb recipes list`)"
            ))
        })
    }

    /// Whether it is a recipe or a plan.
    pub fn form(&self) -> Form {
        if self.name.starts_with(PLANS) { Form::Plan } else { Form::Recipe }
    }

    /// What it is: the comment at its beginning, to the first line that ends a sentence.
    pub fn about(&self) -> String {
        let lines: Vec<&str> = self.text.lines().map_while(|line| line.strip_prefix("# ")).collect();
        let end = lines.iter().position(|line| line.ends_with('.')).map_or(lines.len(), |at| at + 1);
        lines[..end].join(" ").trim_end_matches('.').into()
    }

    /// The text as a file that stands anywhere: what it names beside itself is named as in the program.
    pub fn standing_alone(&self) -> String {
        let mut text = String::new();
        for line in self.text.lines() {
            let named = line.split_once(" = \"").filter(|(key, _)| ["extends", "recipe"].contains(key));
            let found = named
                .and_then(|(key, rest)| Some((key, beside(self.name, Path::new(rest.strip_suffix('"')?))?)));
            match found {
                Some((key, other)) => text.push_str(&format!("{key} = \"{PREFIX}{}\"", other.name)),
                None => text.push_str(line),
            }
            text.push('\n');
        }
        text
    }
}

/// Where the text of a recipe or a plan is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In a file.
    File(PathBuf),
    /// In the program.
    BuiltIn(&'static BuiltIn),
}

impl Source {
    /// What a user means by `written`: a file where there is one, else what has this name in the program.
    ///
    /// # Errors
    /// [`Error::Missing`] for a name after `sarb:` that the program does not have.
    pub fn find(written: &Path, form: Form) -> Result<Self> {
        Self::seen_from(Path::new(""), written, form)
    }

    /// What a file in `folder` means by `written`: a file beside it, else what has this name in the program.
    ///
    /// # Errors
    /// Those of [`find`](Self::find).
    pub fn seen_from(folder: &Path, written: &Path, form: Form) -> Result<Self> {
        let file = folder.join(written);
        let Some(name) = written.to_str() else { return Ok(Source::File(file)) };
        if let Some(name) = name.strip_prefix(PREFIX) {
            return BuiltIn::named(name, Some(form)).map(Source::BuiltIn);
        }
        if file.is_file() {
            return Ok(Source::File(file));
        }
        let Some(built_in) = find(name, Some(form)) else { return Ok(Source::File(file)) };
        // A copy that was written and edited must not be passed over for its lack of an ending.
        let copy = folder.join(format!("{name}.toml"));
        Ok(if copy.is_file() { Source::File(copy) } else { Source::BuiltIn(built_in) })
    }

    /// What a recipe or plan at this place means by `written`: from a file something beside it or in the
    /// program, from the program something in the program.
    ///
    /// # Errors
    /// Those of [`find`](Self::find).
    pub fn beside(&self, written: &Path) -> Result<Self> {
        match self {
            Source::BuiltIn(this) => match beside(this.name, written) {
                Some(other) => Ok(Source::BuiltIn(other)),
                None => Err(Error::Missing(format!("{self}: {} is not in the program", written.display()))),
            },
            Source::File(file) => Self::seen_from(folder_of(file), written, Form::Recipe),
        }
    }

    /// The text.
    ///
    /// # Errors
    /// [`Error::Missing`] if the file is not there, with the names that may be meant; [`Error::Recipe`] if it
    /// is not UTF-8.
    pub fn text(&self, form: Form) -> Result<String> {
        let path = match self {
            Source::BuiltIn(built_in) => return Ok(built_in.text.to_owned()),
            Source::File(path) => path,
        };
        std::fs::read_to_string(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::InvalidData => Error::Recipe(format!("{}: not UTF-8 text", path.display())),
            std::io::ErrorKind::NotFound => {
                let name = path.to_string_lossy();
                let noun = noun(Some(form));
                let hint = hint(&name, Some(form));
                Error::Missing(format!(
                    "{name}: no such file, and no {noun} of this name is in the program{hint} (`sarb recipes list`)"
                ))
            }
            _ => Error::io(path, e),
        })
    }

    /// What a person should know of the choice: a file that stands in the place of what is in the program.
    pub fn note(&self, written: &Path) -> Option<String> {
        let (Source::File(file), Some(built_in)) = (self, written.to_str().and_then(|name| find(name, None)))
        else {
            return None;
        };
        Some(format!(
            "{} is read, a file; {PREFIX}{} is the one in the program",
            file.display(),
            built_in.name
        ))
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::File(path) => write!(f, "{}", path.display()),
            Source::BuiltIn(built_in) => write!(f, "{PREFIX}{}", built_in.name),
        }
    }
}

fn noun(form: Option<Form>) -> &'static str {
    match form {
        Some(Form::Recipe) => "recipe",
        Some(Form::Plan) => "plan",
        None => "recipe or plan",
    }
}

fn find(name: &str, form: Option<Form>) -> Option<&'static BuiltIn> {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    let name = name.strip_suffix(".toml").unwrap_or(name);
    let fits = |built_in: &&BuiltIn| form.is_none_or(|form| built_in.form() == form);
    let exact = ALL.iter().filter(fits).find(|built_in| built_in.name == name);
    exact.or_else(|| {
        let plans = ALL.iter().filter(fits).filter(|built_in| built_in.form() == Form::Plan);
        plans.into_iter().find(|plan| plan.name.strip_prefix(PLANS) == Some(name))
    })
}

/// What the program's `name` means by `written`, relative to it.
fn beside(name: &str, written: &Path) -> Option<&'static BuiltIn> {
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in written.components() {
        match part {
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::Normal(part) => parts.push(part.to_str()?),
            _ => {}
        }
    }
    find(&parts.join("/"), None)
}

/// The name that was probably meant: what a path ends with, else the nearest.
fn hint(name: &str, form: Option<Form>) -> String {
    let stem = name.strip_suffix(".toml").unwrap_or(name).replace('\\', "/");
    let fits = |built_in: &&BuiltIn| form.is_none_or(|form| built_in.form() == form);
    let names = || ALL.iter().filter(fits).map(|built_in| built_in.name);
    if let Some(name) = names().find(|name| stem.ends_with(&format!("/{name}"))) {
        return format!("; did you mean {name:?}?");
    }
    let last = stem.rsplit('/').next().unwrap_or(&stem);
    if let Some(name) = names().find(|name| name.rsplit('/').next() == Some(last)) {
        return format!("; did you mean {name:?}?");
    }
    did_you_mean(&stem, names())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    #[test]
    fn every_file_of_the_folder_is_in_the_program() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let mut names = Vec::new();
        for folder in std::fs::read_dir(&root).unwrap() {
            for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                // Scripts for clusters are beside them.
                if path.extension().is_none_or(|extension| extension != "toml") {
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let name = path.strip_prefix(&root).unwrap().with_extension("");
                let name = name.to_str().unwrap().replace('\\', "/");
                assert_eq!(BuiltIn::named(&name, None).unwrap().text, text, "{name}");
                names.push(name);
            }
        }
        names.sort();
        assert_eq!(names, ALL.iter().map(|built_in| built_in.name).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_in_the_program_reads_as_its_file_does() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        for built_in in ALL.iter().filter(|built_in| built_in.form() == Form::Recipe) {
            let name = format!("{PREFIX}{}", built_in.name);
            let recipe = Recipe::read(Some(Path::new(&name)), None, &[]).unwrap();
            let file = root.join(format!("{}.toml", built_in.name));
            assert_eq!(recipe, Recipe::read(Some(&file), None, &[]).unwrap(), "{name}");
            let about = built_in.about();
            assert!(about.len() > 20 && !about.contains(".toml"), "{name}: {about}");
        }
    }

    #[test]
    fn a_text_that_stands_alone_means_the_same_anywhere() {
        let folder = tempfile::tempdir().unwrap();
        for built_in in ALL.iter().filter(|built_in| built_in.form() == Form::Recipe) {
            let file = folder.path().join("mine.toml");
            std::fs::write(&file, built_in.standing_alone()).unwrap();
            let name = format!("{PREFIX}{}", built_in.name);
            let own = Recipe::read(Some(Path::new(&name)), None, &[]).unwrap();
            assert_eq!(Recipe::read(Some(&file), None, &[]).unwrap(), own, "{name}");
        }
        let sarb = BuiltIn::named("coco18/sarb", None).unwrap().standing_alone();
        assert!(sarb.contains("\nextends = \"sarb:coco18/ssgrl\"\n"), "{sarb}");
    }

    #[test]
    fn a_file_comes_before_a_name_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let written = folder.path().join("coco18/bce");
        assert_eq!(Source::find(&written, Form::Recipe).unwrap(), Source::File(written.clone()));
        let here = |name: &str| Source::seen_from(folder.path(), Path::new(name), Form::Recipe).unwrap();
        let of_program = BuiltIn::named("coco18/bce", None).unwrap();
        assert_eq!(here("coco18/bce"), Source::BuiltIn(of_program));
        std::fs::create_dir(folder.path().join("coco18")).unwrap();
        std::fs::write(folder.path().join("coco18/bce.toml"), "").unwrap();
        let both = ["coco18/bce", "coco18/bce.toml"];
        both.iter().for_each(|name| assert!(matches!(here(name), Source::File(_)), "{name}"));
        assert_eq!(here("sarb:coco18/bce"), Source::BuiltIn(of_program));
        let note = Source::File("coco18/bce.toml".into()).note(Path::new("coco18/bce")).unwrap();
        assert_eq!(note, "coco18/bce.toml is read, a file; sarb:coco18/bce is the one in the program");
        assert_eq!(Source::BuiltIn(of_program).note(Path::new("coco18/bce")), None);
    }

    #[test]
    fn a_name_that_is_not_there_says_which_may_be_meant() {
        let refused = |name: &str, form| {
            let source = Source::find(Path::new(name), form);
            source.and_then(|source| source.text(form)).unwrap_err()
        };
        for (name, meant) in [
            ("elsewhere/coco18/sarb.toml", "\"coco18/sarb\""),
            ("coco18/sabr", "\"coco18/sarb\""),
            ("ssgrl-ridge", "\"coco18/ssgrl-ridge\""),
            ("sarb:coco18/sabr", "\"coco18/sarb\""),
        ] {
            let error = refused(name, Form::Recipe);
            assert!(error.is_missing() && error.to_string().contains(meant), "{error}");
        }
        assert!(refused("nowhere/at-all.toml", Form::Plan).to_string().contains("no plan of this name"));
        assert_eq!(BuiltIn::named("coco18", Some(Form::Plan)).unwrap().name, "plans/coco18");
    }
}
