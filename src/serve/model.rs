//! A run that is served: its network behind a queue, and what it decides.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use axum::http::StatusCode;
use sarb_labels::images::Rgb8;
use sarb_labels::images::transform::Transform;

use super::metrics::Metrics;
use super::problem::Problem;
use super::queue::{Batching, Failure, Place, Queue, Watch};
use crate::decisions::evidence::Evidence;
use crate::decisions::thresholds::{Decisions, Goal};
use crate::{Attention, Device, Error, OutOfFold, PrecisionChoice, Recognizer, Result, Run, Which};

/// Most goals whose thresholds are kept; clients choose goals, so there is no end of them.
const GOALS: usize = 64;

/// What the network reads of an image.
pub struct Prepared {
    values: Vec<f32>,
    attention: bool,
}

/// What the network says of it.
pub struct Seen {
    /// Logit of each category.
    pub logits: Vec<f32>,
    /// Where each category is seen, where that was asked for.
    pub attention: Option<Attention>,
}

/// What is known of a run before it answers.
#[derive(Debug, Clone)]
pub struct About {
    /// What it is asked by.
    pub name: String,
    /// Its categories.
    pub categories: Vec<String>,
    /// Of its weights: another checkpoint has another version.
    pub version: String,
    /// Whether it can say where a category is seen.
    pub sees_places: bool,
}

/// A run that answers.
pub struct Model {
    /// What is known of it.
    pub about: About,
    transform: Transform,
    evidence: Option<OutOfFold>,
    decisions: Mutex<HashMap<String, Arc<Decisions>>>,
    queue: Queue<Prepared, Seen>,
    metrics: Arc<Metrics>,
}

/// The thread of a model, to wait for.
pub type Thread = JoinHandle<()>;

impl Model {
    /// Opens a run folder and starts its thread.
    ///
    /// # Errors
    /// Those of [`Recognizer::open_in`] and of [`OutOfFold::open`] where there are scores; [`Error::Usage`] if the run reads
    /// features.
    pub fn open(
        name: &str,
        dir: &Path,
        which: Which,
        device: &Device,
        precision: Option<PrecisionChoice>,
        batching: Batching,
        metrics: &Arc<Metrics>,
    ) -> Result<(Self, Thread)> {
        let recognizer = Recognizer::open_in(dir, which, device, precision)?;
        let unreadable = |error: Error| Error::Usage(format!("{}: {error}", dir.display()));
        let transform = recognizer.transform().map_err(unreadable)?;
        let run = Run::open(dir)?;
        let evidence = match OutOfFold::open(&run) {
            Ok(scores) => Some(scores),
            // A run without them is served; only its thresholds cannot be asked for.
            Err(error) if error.is_missing() => None,
            Err(error) => return Err(error),
        };
        let about = About {
            name: name.to_owned(),
            categories: recognizer.names().to_vec(),
            version: recognizer.version().to_owned(),
            sees_places: recognizer.sees_places(),
        };
        Self::start(about, transform, evidence, batching, metrics, move |images| look(&recognizer, images))
    }

    /// With a network of any kind.
    pub fn start(
        about: About,
        transform: Transform,
        evidence: Option<OutOfFold>,
        batching: Batching,
        metrics: &Arc<Metrics>,
        network: impl Fn(&[Prepared]) -> Vec<Result<Seen>> + Send + 'static,
    ) -> Result<(Self, Thread)> {
        let (counts, name) = (metrics.clone(), about.name.clone());
        let watch: Watch = Box::new(move |images, time| counts.batch(&name, images, time));
        let (queue, thread) = Queue::start(&about.name, batching, watch, network)?;
        let decisions = Mutex::default();
        Ok((Self { about, transform, evidence, decisions, queue, metrics: metrics.clone() }, thread))
    }

    /// Whether its thresholds can be asked for.
    pub fn decides(&self) -> bool {
        self.evidence.is_some()
    }

    /// Places for so many images.
    ///
    /// # Errors
    /// 503 where the queue has no room for all of them.
    pub fn admit(&self, images: usize) -> Result<Vec<Place>, Problem> {
        self.queue.admit(images).ok_or_else(|| {
            self.metrics.refused(&self.about.name, images);
            Problem::busy(format!("{}: the queue of {} images is full", self.about.name, self.queue.all()))
        })
    }

    /// How many images wait or are in work.
    pub fn queued(&self) -> usize {
        self.queue.taken()
    }

    /// How an image is made for the network.
    pub fn prepare(&self, pixels: &Rgb8, attention: bool) -> Prepared {
        let mut values = vec![0.0; self.transform.values()];
        self.transform.clean(pixels, &mut values);
        Prepared { values, attention }
    }

    /// What the network says of an image.
    ///
    /// # Errors
    /// 422 where its scores are no numbers, 500 where the network failed.
    pub async fn ask(&self, place: Place, image: Prepared) -> Result<Seen, Problem> {
        self.queue.ask(place, image).await.map_err(|failure| match failure {
            Failure::Error(error) => error.into(),
            Failure::Panicked | Failure::Ended => Problem::internal(),
        })
    }

    /// The thresholds for a goal; the first time this reads all out-of-fold scores.
    ///
    /// # Errors
    /// 409 where the run has no such scores.
    pub fn decisions(&self, goal: Goal) -> Result<Arc<Decisions>, Problem> {
        let Some(scores) = &self.evidence else {
            let why = format!(
                "{}: decide needs out-of-fold scores, which a run of linear has, or one that was trained with --folds",
                self.about.name
            );
            return Err(Problem::new(StatusCode::CONFLICT, why));
        };
        let key = format!("{goal:?}");
        let kept = || self.decisions.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(decisions) = kept().get(&key) {
            return Ok(decisions.clone());
        }
        let decisions = Arc::new(Decisions::new(&Evidence::known(scores), goal));
        let mut kept = kept();
        if kept.len() >= GOALS {
            kept.clear();
        }
        kept.insert(key, decisions.clone());
        Ok(decisions)
    }
}

/// One pass of a batch; places are looked for only where they are asked for.
fn look(recognizer: &Recognizer, images: &[Prepared]) -> Vec<Result<Seen>> {
    let values = images.iter().flat_map(|image| image.values.iter().copied()).collect();
    let seen = match recognizer.name(values, images.len()) {
        Ok(seen) => seen,
        Err(error) => {
            let why = error.to_string();
            return images.iter().map(|_| Err(Error::Missing(why.clone()))).collect();
        }
    };
    seen.into_iter()
        .zip(images)
        .map(|(recognition, image)| {
            let recognition = recognition?;
            let attention = image.attention.then(|| recognizer.attention(&recognition));
            Ok(Seen { logits: recognition.logits, attention })
        })
        .collect()
}

#[cfg(test)]
impl Prepared {
    /// The values that the network reads.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Whether places are asked for.
    pub fn asks_for_attention(&self) -> bool {
        self.attention
    }
}
