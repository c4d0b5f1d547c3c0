//! The subsets and tasks of a project, which CVAT gives as attributes of each image: `subset="Train"
//! task_id="7"`, as `dump_as_cvat_annotation` of cvat/apps/dataset_manager/formats/cvat.py writes them.

use std::collections::BTreeSet;
use std::path::Path;

use quick_xml::events::BytesStart;

use crate::formats::report::{Report, counted, shown};
use crate::formats::shards::{is_same_set, several_meant, split_of};
use crate::formats::xml::attribute;
use crate::{Error, Result};

/// Where an image was listed first.
struct Listed {
    task: Option<String>,
    /// Width and height in pixels, where both are known.
    size: Option<(u32, u32)>,
}

/// The subsets of the images so far, and the tasks and sizes of those that are read.
#[derive(Default)]
pub struct Subsets {
    /// The one that is read; all without it.
    pub chosen: Option<String>,
    found: BTreeSet<String>,
    /// Whether images are in no subset, so that they may be of any split.
    without: bool,
    left_out: usize,
    listed: Vec<Listed>,
    /// How often an image was listed again: by the same task, and by another one.
    repeated: usize,
    shared: usize,
}

impl Subsets {
    /// Whether an image of this subset is read.
    pub fn takes(&mut self, subset: Option<&str>) -> bool {
        if let Some(subset) = subset
            && !self.found.contains(subset)
        {
            self.found.insert(subset.to_owned());
        }
        self.without |= subset.is_none();
        let takes = match (&self.chosen, subset) {
            (None, _) => true,
            (Some(chosen), Some(subset)) => is_same_set(chosen, subset),
            (Some(_), None) => false,
        };
        self.left_out += usize::from(!takes);
        takes
    }

    /// Takes note of the image with this name that got this row. The same name with another size is another
    /// image, which is noted.
    pub fn list(&mut self, row: usize, name: &str, image: &BytesStart<'_>, report: &mut Report<'_>) {
        let mut number = |of| attribute(image, of, report).and_then(|text| text.trim().parse().ok());
        let size = number("width")
            .zip(number("height"))
            .filter(|(width, height): &(u32, u32)| *width > 0 && *height > 0);
        let task = attribute(image, "task_id", report);
        let Some(before) = self.listed.get_mut(row) else {
            self.listed.push(Listed { task, size });
            return;
        };
        let shared = matches!((&before.task, &task), (Some(first), Some(second)) if first != second);
        if let (Some(first), Some(second)) = (before.size, size)
            && first != second
        {
            let of = |task: &Option<String>| match task {
                Some(task) if shared => format!(" in task {}", shown(task)),
                _ => String::new(),
            };
            let pixels = |(width, height): (u32, u32)| format!("{width} × {height} pixels");
            let (first, second) = (pixels(first) + &of(&before.task), pixels(second) + &of(&task));
            let advice = "two images of one name: rename one of them, or export and read each task alone";
            return report.note(|| format!("image {} has {second}, but {first}; {advice}", shown(name)));
        }
        if shared && is_frame(name) {
            let advice = "frames of two videos are two images: export and read each task alone";
            return report.note(|| format!("image {} is in two tasks; {advice}", shown(name)));
        }
        before.size = before.size.or(size);
        self.shared += usize::from(shared);
        self.repeated += usize::from(!shared);
    }

    fn has_split(&self) -> bool {
        self.found.iter().any(|subset| split_of(Path::new(subset)).is_some())
    }

    /// Refuses a choice that there is not, and no choice between training and test images.
    pub fn check(&self, path: &Path) -> Result<()> {
        let found: Vec<&str> = self.found.iter().map(String::as_str).collect();
        let wrong = match &self.chosen {
            Some(_) if found.is_empty() => {
                let what = "--set: no image of the file has a subset; leave the option out";
                return Err(Error::Usage(format!("{}: {what}", path.display())));
            }
            Some(chosen) => match &meant(chosen, &found)[..] {
                [] => format!("no images of the subset {}", shown(chosen)),
                [_] => return Ok(()),
                several => {
                    let what = several_meant(chosen, several);
                    let advice = "export each subset alone, or give them one name";
                    return Err(Error::Usage(format!("{}: {what}; {advice}", path.display())));
                }
            },
            None if self.without && self.has_split() => "images of a subset and of none".into(),
            None if found.len() > 1 && self.has_split() => "images of several subsets".into(),
            _ => return Ok(()),
        };
        Err(Error::Usage(format!("{}: {wrong}; choose one with --set: {}", path.display(), found.join(", "))))
    }

    /// What the user should know, each with a count.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        let counts = [
            (self.repeated, "images listed again under the same name: labels joined"),
            (
                self.shared,
                "times an image of the same name is in another task: read as one image, labels joined",
            ),
            (self.left_out, "images of other subsets are left out"),
        ];
        counted(counts)
    }
}

/// The subsets that a name means; whether letters are capital makes no difference.
fn meant<'a>(chosen: &str, found: &[&'a str]) -> Vec<&'a str> {
    let mut subsets: Vec<&str> = found.iter().copied().filter(|it| is_same_set(chosen, it)).collect();
    subsets.sort_by_key(|subset| subset.to_lowercase());
    subsets.dedup_by_key(|subset| subset.to_lowercase());
    subsets
}

/// Whether an image has the name that CVAT gives the frames of every video: `frame_000012`, without an extension.
fn is_frame(name: &str) -> bool {
    let number = name.strip_prefix("frame_");
    number.is_some_and(|number| number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_digit()))
}
