//! Several runs as one: the mean of their logits.
//!
//! Runs that look at an image in different ways, such as ridge regression on descriptors and SARB on maps, err on
//! different images; their mean is better than each where none is much worse than the others. Logits, not
//! probabilities, so that a run that is sure is heard.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::Device;
use sarb_labels::categories::did_you_mean;

use crate::cancel::Cancel;
use crate::recipe::PrecisionChoice;
use crate::recognizer::{Attention, Picture, Recognition, Recognizer};
use crate::run::Which;
use crate::{Error, Result};

/// Runs on the same categories, in any order of them.
#[derive(Debug)]
pub struct Ensemble {
    members: Vec<Member>,
    /// The member that says where a category is seen.
    seer: usize,
}

#[derive(Debug)]
struct Member {
    /// The name of its folder.
    name: String,
    recognizer: Recognizer,
    /// Where the first member's categories are among its own.
    columns: Vec<usize>,
}

impl Ensemble {
    /// Opens the folders of one run or more.
    ///
    /// # Errors
    /// [`Error::Usage`] without a run; those of [`Recognizer::open_in`]; [`Error::Data`] if a run has other
    /// categories than the first.
    pub fn open(
        runs: &[PathBuf],
        which: Which,
        device: &Device,
        precision: Option<PrecisionChoice>,
    ) -> Result<Self> {
        let mut members: Vec<Member> = Vec::with_capacity(runs.len());
        for run in runs {
            let recognizer = Recognizer::open_in(run, which, device, precision)?;
            let names = members.first().map_or(recognizer.names(), |first| first.recognizer.names());
            let columns = columns(names, recognizer.names()).map_err(|why| {
                Error::Data(format!("{}: {why}, unlike {}", run.display(), runs[0].display()))
            })?;
            members.push(Member { name: name_of(run), recognizer, columns });
        }
        if members.is_empty() {
            return Err(Error::Usage("give a RUN".into()));
        }
        let seer = members.iter().position(|member| member.recognizer.sees_places()).unwrap_or(0);
        Ok(Self { members, seer })
    }

    /// The run that was named first, whose order of the categories holds.
    pub fn first(&self) -> &Recognizer {
        &self.members[0].recognizer
    }

    /// Names of the categories.
    pub fn names(&self) -> &[String] {
        self.first().names()
    }

    /// The name of each run's folder and the version of its weights, `sarb-0a1b2c3d`; several are joined by `+`.
    pub fn version(&self) -> String {
        let of = |member: &Member| format!("{}-{}", member.name, member.recognizer.version());
        self.members.iter().map(of).collect::<Vec<_>>().join("+")
    }

    /// Whether one of the runs tells places of an image apart.
    pub fn sees_places(&self) -> bool {
        self.members[self.seer].recognizer.sees_places()
    }

    /// What is in an image, with the mean of the runs' logits.
    ///
    /// # Errors
    /// Those of [`Recognizer::recognize`].
    pub fn recognize<'a>(&self, image: impl Into<Picture<'a>>) -> Result<Recognition<'_>> {
        let image = image.into();
        let pixels = image.pixels()?;
        let mut mean = vec![0.0; self.names().len()];
        let mut seen = None;
        for (place, member) in self.members.iter().enumerate() {
            let recognition = member.recognizer.recognize(&*pixels)?;
            for (sum, &column) in mean.iter_mut().zip(&member.columns) {
                *sum += recognition.logits[column] / self.members.len() as f32;
            }
            if place == self.seer {
                seen = Some(recognition);
            }
        }
        let seen = seen.expect("the seer is a member");
        Ok(Recognition { names: self.names(), logits: mean, ..seen })
    }

    /// What is in each of several images. As many are read and scored at once as there are threads to compute with, each
    /// alone in its batch, so that the numbers are those of [`recognize`](Self::recognize).
    ///
    /// # Errors
    /// [`Error::Stopped`] once it is cancelled. An image that cannot be read does not keep the others from it.
    pub fn recognize_each<'a, I>(
        &self,
        images: &'a [I],
        cancel: &Cancel,
    ) -> Result<Vec<Result<Recognition<'_>>>>
    where
        I: Sync,
        &'a I: Into<Picture<'a>>,
    {
        let (next, answers) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(images.len())));
        let work = || {
            while let Some((place, image)) =
                images.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed))
                && !cancel.is_cancelled()
            {
                let answer = self.recognize(image);
                answers.lock().expect("nobody panics while holding it").push((place, answer));
            }
        };
        let threads = rayon::current_num_threads();
        if images.len() < threads {
            work();
        } else {
            // An image a core, without the waiting of cores for each other that sharing one takes.
            std::thread::scope(|scope| {
                (0..threads).for_each(|_| drop(scope.spawn(|| alone(work))));
            });
        }
        cancel.check()?;
        let mut answers = answers.into_inner().expect("all threads ended well");
        answers.sort_by_key(|&(place, _)| place);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// Where each category of a recognition is seen, by the first run that tells places apart.
    pub fn attention(&self, recognition: &Recognition) -> Attention {
        let Member { recognizer, columns, .. } = &self.members[self.seer];
        recognizer.attention(recognition).of_categories(columns)
    }
}

/// Does work whose kernels keep to one core.
fn alone(work: impl FnOnce() + Send) {
    match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
        Ok(pool) => pool.install(work),
        // Without another thread, on those that are there.
        Err(_) => work(),
    }
}

/// What a run's folder is called; `.` and the like have no name of their own.
fn name_of(run: &Path) -> String {
    let whole = run.canonicalize();
    let name = whole.as_deref().unwrap_or(run).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Where each of `names` is among `others`.
fn columns(names: &[String], others: &[String]) -> std::result::Result<Vec<usize>, String> {
    if let Some(more) = others.iter().find(|other| !names.contains(other)) {
        let hint = did_you_mean(more, names.iter().map(String::as_str));
        return Err(format!("has a category {more:?}{hint}"));
    }
    let find = |name: &String| others.iter().position(|other| other == name);
    names.iter().map(|name| find(name).ok_or_else(|| format!("has no category {name:?}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn categories_are_matched_by_name_and_must_be_the_same() {
        assert_eq!(columns(&names("cat dog cow"), &names("dog cow cat")), Ok(vec![2, 0, 1]));
        let missing = columns(&names("cat dog"), &names("cat")).unwrap_err();
        assert!(missing.contains("has no category \"dog\""), "{missing}");
        let more = columns(&names("cat dog"), &names("cat dog cows")).unwrap_err();
        assert!(more.contains("has a category \"cows\""), "{more}");
    }
}
