//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::access::Access;
use super::body::Bodies;
use super::corrections::Corrections;
use super::label_studio::images::Sources;
use super::label_studio::projects::Projects;
use super::metrics::Metrics;
use super::model::Model;
use super::problem::Problem;

/// What a request may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most images of a request.
    pub max_images: usize,
    /// How long a request may take.
    pub timeout: Duration,
}

/// The models, and what guards them.
pub struct Server {
    /// The runs, in the order in which they were named.
    pub models: Vec<Arc<Model>>,
    /// Who may ask.
    pub access: Access,
    /// What bodies may take.
    pub bodies: Bodies,
    /// What a request may ask for.
    pub limits: Limits,
    /// What monitors read.
    pub metrics: Arc<Metrics>,
    /// What Label Studio's projects said of themselves.
    pub projects: Projects,
    /// Where the images of its tasks come from.
    pub images_of_tasks: Arc<Sources>,
    /// Where labels that people set are kept, if they are.
    pub corrections: Option<Corrections>,
    /// Decoding at once.
    pub cores: Arc<Semaphore>,
    /// Whether it ends: what has begun is answered, nothing new begins.
    pub ends: AtomicBool,
}

impl Server {
    /// The model of this name; without one, the only one.
    ///
    /// # Errors
    /// 404 for an unknown name, 400 without one where there are several.
    pub fn model(&self, name: Option<&str>) -> Result<&Arc<Model>, Problem> {
        match (name, &self.models[..]) {
            (None, [only]) => Ok(only),
            (None, _) => Err(Problem::bad(format!("say which model: {}", self.names()))),
            (Some(name), models) => models
                .iter()
                .find(|model| model.about.name == name)
                .ok_or_else(|| Problem::not_found(format!("no model {name:?}; there is {}", self.names()))),
        }
    }

    /// Names of the models, for a message.
    fn names(&self) -> String {
        self.models.iter().map(|model| model.about.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Whether it takes requests.
    pub fn is_ready(&self) -> bool {
        !self.ends.load(Ordering::Relaxed)
    }

    /// Does work that would hold up other requests on a thread of its own, as much of it at once as there are cores.
    ///
    /// # Errors
    /// 500 if the work panics.
    pub async fn on_a_core<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let core = self.cores.clone().acquire_owned().await.map_err(|_| Problem::internal())?;
        // Work that has begun ends, also where nobody waits for it any more, and keeps its core until then.
        let with_core = move || {
            let _core = core;
            work()
        };
        tokio::task::spawn_blocking(with_core).await.map_err(|_| Problem::internal())
    }
}
