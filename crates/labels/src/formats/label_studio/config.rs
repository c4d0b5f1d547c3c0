//! The labeling configuration of a project: which choices there are for its images, and where a task says which image is
//! meant. <https://labelstud.io/tags/choices.html>, <https://labelstud.io/tags/taxonomy.html>

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use quick_xml::events::BytesStart;

use crate::formats::image_files::without_prefix;
use crate::formats::location::locate;
use crate::formats::report::Report;
use crate::formats::xml::{Node, attribute, walk};
use crate::text::listed;
use crate::{Error, Result};

/// What the configuration is called in messages.
const NAME: &str = "labeling configuration";

/// Bytes that are read ahead.
const BUFFER_BYTES: usize = 1 << 12;

/// How a control asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A list of choices.
    Choices,
    /// A tree of them; what is chosen are paths.
    Taxonomy,
}

impl Kind {
    /// The type of its results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Choices => "choices",
            Self::Taxonomy => "taxonomy",
        }
    }
}

/// A control that asks something of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Its name, `from_name` of a result.
    pub name: String,
    /// The name of the image, `to_name` of a result.
    pub image: String,
    /// The field of a task's data that holds the image.
    pub field: String,
    /// How it asks.
    pub kind: Kind,
    /// Whether several choices can be chosen at once.
    pub multiple: bool,
    /// What can be chosen, as the path of values from the root of a taxonomy, by value and alias.
    choices: HashMap<String, Vec<String>>,
}

impl Control {
    /// The control `tags` of an image `image` in the field of that name, with a choice for each of these categories: what
    /// the documentation shows.
    pub fn tags(categories: &[String]) -> Self {
        let image = || "image".to_owned();
        let choices = categories.iter().map(|name| (name.clone(), vec![name.clone()])).collect();
        Self {
            name: "tags".into(),
            image: image(),
            field: image(),
            kind: Kind::Choices,
            multiple: true,
            choices,
        }
    }

    /// What has to be chosen for a category, as a path of values; of a list there is one.
    pub fn choice(&self, category: &str) -> Option<&[String]> {
        self.choices.get(category).map(Vec::as_slice)
    }

    /// Categories that cannot be chosen.
    pub fn missing<'a>(&self, categories: &'a [String]) -> Vec<&'a String> {
        categories.iter().filter(|category| self.choice(category).is_none()).collect()
    }
}

/// The controls of a configuration that ask something of an image, in their order.
///
/// # Errors
/// [`Error::Data`] with what is wrong with the XML, or that nothing in it asks something of an image.
pub fn read_config(xml: &str) -> Result<Vec<Control>> {
    let mut report = Report::new(Path::new(NAME));
    let mut config = Config::default();
    walk(xml.as_bytes(), BUFFER_BYTES, &mut report, |path, node, report| config.take(path, node, report))?;
    report.problems.or(())?;
    let Config { images, asked, .. } = config;
    let of_image = |(mut control, image): (Control, String)| {
        control.field = images.get(&image)?.clone();
        Some(Control { image, ..control })
    };
    let controls: Vec<Control> = asked.into_iter().filter_map(of_image).collect();
    if controls.is_empty() {
        return Err(Error::Data(format!(
            "{NAME}: no Choices or Taxonomy whose toName is an Image with a value such as $image"
        )));
    }
    Ok(controls)
}

/// The control of a configuration that some categories are choices of. `whose` begins a message.
///
/// # Errors
/// Those of [`read_config`]; [`Error::Usage`] if a category cannot be chosen, or only one at a time.
pub fn control_of(xml: &str, categories: &[String], whose: &str) -> Result<Control> {
    let controls = read_config(xml)?;
    let best = controls.into_iter().min_by_key(|control| control.missing(categories).len());
    let control = best.expect("a configuration without a control is an error");
    let missing = control.missing(categories);
    if !missing.is_empty() {
        return Err(Error::Usage(format!(
            "{whose}: the control {:?} has no choice for {}; add <Choice value=\"…\"/> with these names, or as alias",
            control.name,
            listed(&missing)
        )));
    }
    if !control.multiple {
        return Err(Error::Usage(format!(
            "{whose}: the control {:?} takes one choice only, but an image may hold several categories; say choice=\"multiple\"",
            control.name
        )));
    }
    Ok(control)
}

/// What has been read.
#[derive(Default)]
struct Config {
    /// Fields of the images, by name.
    images: HashMap<String, String>,
    /// Controls with what they ask about.
    asked: Vec<(Control, String)>,
    /// Whether a control is open.
    open: bool,
    /// Values of the choices that are open.
    values: Vec<String>,
}

impl Config {
    fn take(&mut self, path: &str, node: Node<'_>, report: &mut Report<'_>) {
        let name = path.rsplit('/').next().unwrap_or_default();
        match (name, node) {
            ("Image", Node::Open(image)) => {
                let (name, value) = (attribute(image, "name", report), attribute(image, "value", report));
                let field = value.as_deref().and_then(|value| value.strip_prefix('$'));
                if let (Some(name), Some(field)) = (name, field) {
                    self.images.insert(name, field.to_owned());
                }
            }
            ("Choices", Node::Open(control)) => self.begin(control, Kind::Choices, report),
            ("Taxonomy", Node::Open(control)) => self.begin(control, Kind::Taxonomy, report),
            ("Choices" | "Taxonomy", Node::Close(_)) => self.open = false,
            ("Choice", Node::Open(choice)) if self.open => self.choice(choice, report),
            ("Choice", Node::Close(_)) if self.open => {
                self.values.pop();
            }
            _ => {}
        }
    }

    fn begin(&mut self, control: &BytesStart<'_>, kind: Kind, report: &mut Report<'_>) {
        let name = attribute(control, "name", report);
        let (Some(name), Some(image)) = (name, attribute(control, "toName", report)) else {
            report.note(|| format!("a control of {} without name or toName", kind.name()));
            return;
        };
        let choice = attribute(control, "choice", report);
        let multiple = kind == Kind::Taxonomy || choice.is_some_and(|choice| choice == "multiple");
        let (field, choices) = (String::new(), HashMap::new());
        self.asked.push((Control { name, image: String::new(), field, kind, multiple, choices }, image));
        self.open = true;
        self.values.clear();
    }

    fn choice(&mut self, choice: &BytesStart<'_>, report: &mut Report<'_>) {
        // What a result holds is the alias, where there is one.
        let value = attribute(choice, "value", report).unwrap_or_default();
        let alias = attribute(choice, "alias", report);
        self.values.push(alias.clone().unwrap_or_else(|| value.clone()));
        if let Some((control, _)) = self.asked.last_mut() {
            for name in [Some(value), alias].into_iter().flatten() {
                control.choices.entry(name).or_insert_with(|| self.values.clone());
            }
        }
    }
}

/// Where the image of a task may lie below a folder of images, the likeliest path first: a served file by its path, an
/// upload by its name without the prefix of the upload, what is elsewhere by its path there, and each by its name alone.
///
/// # Errors
/// That the text is not the path of an image.
pub fn image_paths(text: &str) -> Result<Vec<PathBuf>, String> {
    let whole = PathBuf::from(locate(text)?.name.into_owned());
    let mut paths = vec![whole.clone()];
    paths.extend(without_prefix(&whole));
    let alone: Vec<PathBuf> = paths.iter().filter_map(|path| path.file_name()).map(PathBuf::from).collect();
    paths.extend(alone);
    paths.dedup();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(xml: &str) -> Control {
        let mut controls = read_config(xml).unwrap();
        assert_eq!(controls.len(), 1, "{controls:?}");
        controls.remove(0)
    }

    #[test]
    fn choices_of_an_image_are_found_by_value_and_alias() {
        let control = one(
            "<View>\n <Header value=\"What is there?\"/>\n <Image name=\"img\" value=\"$photo\" zoom=\"true\"/>\n \
             <View style=\"x\"><Choices name=\"tags\" toName=\"img\" choice=\"multiple\">\n \
             <Choice value=\"cat &amp; dog\"/><Choice alias=\"b\" value=\"Bird\"/></Choices></View>\n \
             <Choices name=\"text\" toName=\"words\"><Choice value=\"x\"/></Choices>\n</View>",
        );
        assert_eq!((&*control.name, &*control.image, &*control.field), ("tags", "img", "photo"));
        assert!(control.multiple && control.kind == Kind::Choices);
        assert_eq!(control.choice("cat & dog").unwrap(), ["cat & dog"]);
        assert_eq!(
            (control.choice("Bird").unwrap(), control.choice("b").unwrap()),
            (&["b".to_owned()][..], &["b".to_owned()][..])
        );
        assert_eq!(control.missing(&["b".into(), "x".into()]), ["x"]);
    }

    #[test]
    fn choices_outside_of_a_control_are_none_of_its() {
        let control = one("<View><Choice value=\"a\"/><Image name=\"i\" value=\"$image\"/>\
             <Choices name=\"t\" toName=\"i\" choice=\"multiple\"><Choice value=\"b\"/></Choices>\
             <Choice value=\"c\"/></View>");
        assert_eq!(control.missing(&["a".into(), "b".into(), "c".into()]), ["a", "c"]);
    }

    #[test]
    fn choices_of_a_taxonomy_are_paths() {
        let control = one(
            "<View><Image name='i' value='$image'/><Taxonomy name='t' toName='i'><Choice value='Animal'>\
             <Choice value='Cat'/><Choice value='Dog'/></Choice><Choice value='Car'/></Taxonomy></View>",
        );
        assert!(control.multiple && control.kind == Kind::Taxonomy);
        assert_eq!(control.choice("Dog").unwrap(), ["Animal", "Dog"]);
        assert_eq!(
            (control.choice("Animal").unwrap().len(), control.choice("Car").unwrap()),
            (1, &["Car".to_owned()][..])
        );
    }

    #[test]
    fn what_asks_nothing_of_an_image_is_refused() {
        for (xml, expected) in [
            ("<View/>", "no Choices or Taxonomy"),
            (
                "<View><Text name='t' value='$t'/><Choices name='c' toName='t'><Choice value='a'/></Choices></View>",
                "no Choices",
            ),
            ("<View><Image name='i' value='a.jpg'/><Choices name='c' toName='i'/></View>", "no Choices"),
            (
                "<View><Choices name='c'/></View>",
                "labeling configuration:1: a control of choices without name or toName",
            ),
            ("<View>", "the file ends inside View"),
            ("", "no XML element"),
        ] {
            let error = read_config(xml).unwrap_err().to_string();
            assert!(error.contains(expected), "{xml}: {error}");
        }
    }

    #[test]
    fn images_are_looked_for_by_path_and_by_name() {
        for (text, expected) in [
            ("/data/local-files/?d=set/my%20cat.jpg", &["set/my cat.jpg", "my cat.jpg"][..]),
            (
                "/data/upload/3/0a1b2c3d-cat.jpg",
                &["3/0a1b2c3d-cat.jpg", "3/cat.jpg", "0a1b2c3d-cat.jpg", "cat.jpg"],
            ),
            ("s3://bucket/a/b.jpg", &["a/b.jpg", "b.jpg"]),
            ("https://host/b.jpg?x=1", &["b.jpg"]),
            ("cat.jpg", &["cat.jpg"]),
        ] {
            assert_eq!(
                image_paths(text).unwrap(),
                expected.iter().map(PathBuf::from).collect::<Vec<_>>(),
                "{text}"
            );
        }
        assert!(image_paths("data:image/png;base64,AA==").is_err());
    }
}
