//! A run told to a tracking server, MLflow: settings, metrics by step and epoch, evaluations, recipe and page.
//!
//! Nothing is queued: the run's own logs have it all, and `tracking.json` in its folder says up to where they were sent. So
//! what a server that is away was not told is bounded by the run, survives a kill, and is sent by whoever asks it next:
//! the training itself, its `--resume`, [`send`].
//!
//! While a run is trained a thread of its own does the sending ([`Tracking`]); the training waits for it only at its end, and
//! only for [`Patience::end`].

mod mlflow;
mod numbers;
mod page;
mod record;
mod sending;
mod target;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::events::Event;
use crate::lock::FolderLock;
use crate::run::Run;
use crate::{Error, Result};
use mlflow::{Client, Failure};
use sending::Sender;

pub use record::FILE;
pub use target::{EXPERIMENT, Server, Target};

/// How patient sending is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For being let in and answered, in all; files have six times as long.
    pub answer: Duration,
    /// Between two times that a training sends.
    pub between: Duration,
    /// Before a server that did not answer is asked again; doubled each time up to the second.
    pub away: (Duration, Duration),
    /// What a training waits at its end.
    pub end: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let [answer, between, first, longest, end] = [10, 2, 5, 60, 5].map(Duration::from_secs);
        Self { answer, between, away: (first, longest), end }
    }
}

/// Something that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Such as where the run is.
    Note(String),
    /// Such as that the server does not answer.
    Warning(String),
}

/// Sends what of a run is not on a server yet, and returns what a person should know, such as where it is.
///
/// # Errors
/// [`Error::Usage`] if a process trains the run, or for credentials that cannot be used; [`Error::Missing`] if the server does
/// not answer, or not as asked: what it has acknowledged is noted, and the next call goes on there.
pub fn send(run: &Run, target: &Target, patience: Patience) -> Result<Vec<Message>> {
    let client = client(target, patience)?;
    let _lock = FolderLock::take(run.dir())?;
    let mut sender = Sender::open(run.clone(), target, client)?;
    match sender.send(false) {
        Ok(()) => Ok(sender.messages),
        Err(Failure::Run(error)) => Err(error),
        Err(Failure::Away(said) | Failure::Refused { said, .. }) => {
            Err(Error::Missing(format!("{}: {}: {said}", run.dir().display(), target.server)))
        }
    }
}

/// Whether the server could be asked as far as that is known without the network.
///
/// # Errors
/// [`Error::Usage`] for credentials or a proxy of the environment that cannot be used.
pub fn check(target: &Target) -> Result<()> {
    client(target, Patience::default()).map(drop)
}

fn client(target: &Target, patience: Patience) -> Result<Client> {
    Client::new(&target.server, |name| std::env::var(name).ok(), patience.answer)
}

/// Sends what a training writes, on a thread of its own.
pub struct Tracking {
    shared: Arc<Shared>,
    out: PathBuf,
    target: Target,
    patience: Patience,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    /// What is to be done once the run is there; nothing after that.
    client: Option<Client>,
    /// Whether there is something new.
    is_new: bool,
    /// Whether the training has ended.
    has_ended: bool,
    /// How the thread has ended: whether all was sent.
    all_sent: Option<bool>,
    messages: Vec<Message>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tracking {
    /// Of a training into the folder `out`. Nothing is sent before [`hear`](Self::hear) is told of its first step or epoch.
    ///
    /// # Errors
    /// [`Error::Usage`] for credentials or a proxy of the environment that cannot be used.
    pub fn new(out: &Path, target: &Target, patience: Patience) -> Result<Self> {
        let state = State { client: Some(client(target, patience)?), ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), wake: Condvar::new() });
        Ok(Self { shared, out: out.to_path_buf(), target: target.clone(), patience })
    }

    /// Hears what happens, and returns what a person should know since the last time. It waits for nothing.
    pub fn hear(&self, event: &Event<'_>) -> Vec<Message> {
        // From then on the folder is that of this training, and its log is only added to.
        if matches!(event, Event::Step { .. } | Event::Epoch(_)) {
            self.begin();
            self.shared.lock().is_new = true;
            self.shared.wake.notify_all();
        }
        std::mem::take(&mut self.shared.lock().messages)
    }

    /// Sends the rest, for [`Patience::end`] at most, and returns what a person should know; `is_run` says that the folder is
    /// that of this training, even if nothing was heard of it.
    pub fn end(self, is_run: bool) -> Vec<Message> {
        if is_run {
            self.begin();
        }
        let mut state = self.shared.lock();
        if state.client.is_some() {
            return Vec::new();
        }
        state.has_ended = true;
        self.shared.wake.notify_all();
        let is_working = |state: &mut State| state.all_sent.is_none();
        let waited = self.shared.wake.wait_timeout_while(state, self.patience.end, is_working);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let mut messages = std::mem::take(&mut state.messages);
        if state.all_sent != Some(true) {
            messages.push(Message::Warning(format!(
                "not all of the run is at {} yet; `sarb track {} --to {}` sends the rest, and so does --resume with --track",
                self.target.server.url(),
                self.out.display(),
                self.target.server
            )));
        }
        messages
    }

    /// Starts the thread, once.
    fn begin(&self) {
        let Some(client) = self.shared.lock().client.take() else { return };
        let (shared, target, patience) = (self.shared.clone(), self.target.clone(), self.patience);
        let run = Run::at(&self.out);
        std::thread::spawn(move || {
            let work = Work { shared: &shared, target: &target, patience };
            let all_sent = work.run(|| Sender::open(run, &target, client));
            shared.lock().all_sent = Some(all_sent);
            shared.wake.notify_all();
        });
    }
}

/// What the thread does.
struct Work<'a> {
    shared: &'a Shared,
    target: &'a Target,
    patience: Patience,
}

impl Work<'_> {
    /// Whether all was sent when the training had ended.
    fn run(&self, open: impl FnOnce() -> Result<Sender>) -> bool {
        let mut sender = match open() {
            Ok(sender) => sender,
            Err(error) => return self.give_up(&error.to_string()),
        };
        let (first, longest) = self.patience.away;
        let mut away = None::<Duration>;
        loop {
            let has_ended = self.shared.lock().has_ended;
            let sent = sender.send(!has_ended);
            self.shared.lock().messages.append(&mut sender.messages);
            let pause = match sent {
                Ok(()) => {
                    if away.take().is_some() {
                        self.say(Message::Note(format!("{} answers again", self.target.server.url())));
                    }
                    self.patience.between
                }
                Err(Failure::Away(said)) => {
                    if away.is_none() && !has_ended {
                        self.say(Message::Warning(format!(
                            "{}: {said}; the training goes on, and what is not sent is sent later",
                            self.target.server
                        )));
                    }
                    let pause = away.map_or(first, |pause| (pause * 2).min(longest));
                    away = Some(pause);
                    pause
                }
                Err(Failure::Refused { said, .. }) => {
                    return self.give_up(&format!("{}: {said}", self.target.server));
                }
                Err(Failure::Run(error)) => return self.give_up(&error.to_string()),
            };
            if has_ended {
                return away.is_none();
            }
            self.rest(pause, away.is_some());
        }
    }

    /// Waits for the pause to be over and for something new, unless there is `more` already; or for the end.
    fn rest(&self, pause: Duration, more: bool) {
        let wake = &self.shared.wake;
        let paused = wake.wait_timeout_while(self.shared.lock(), pause, |state| !state.has_ended);
        let (state, _) = paused.unwrap_or_else(PoisonError::into_inner);
        let waited = wake.wait_while(state, |state| !(more || state.is_new || state.has_ended));
        waited.unwrap_or_else(PoisonError::into_inner).is_new = false;
    }

    fn say(&self, message: Message) {
        self.shared.lock().messages.push(message);
    }

    fn give_up(&self, why: &str) -> bool {
        self.say(Message::Warning(format!(
            "{why}; nothing more is sent during this training, which goes on"
        )));
        false
    }
}
