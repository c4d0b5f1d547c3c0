//! `--track` of `train`, `evaluate` and `sweep`, and `sarb track`: runs told to a tracking server.

use std::path::{Path, PathBuf};

use clap::Args;
use sarb::sweep::Sweep;
use sarb::track::{self, EXPERIMENT, Message, Patience, Server, Target, Tracking};
use sarb::{Error, Event, Result, Run};

use super::console::{say, warn};
use super::progress::Progress;

/// Where a command tells of what it does.
#[derive(Debug, Clone, Args)]
pub struct TrackArgs {
    /// Tell settings, metrics and the page of the run to a tracking server, mlflow=http://HOST:PORT; one that is away does not
    /// hold the work up. Credentials come from MLFLOW_TRACKING_TOKEN, or _USERNAME and _PASSWORD
    #[arg(long, value_name = "mlflow=URL", value_parser = server)]
    track: Option<Server>,
    #[command(flatten)]
    names: Names,
}

/// What a new run is called on the server.
#[derive(Debug, Clone, Args)]
struct Names {
    /// With --track: experiment that a new run belongs to [default: sarb]
    #[arg(long, value_name = "NAME", value_parser = experiment)]
    track_experiment: Option<String>,
    /// With --track: tag of a new run; mlflow.runName=NAME names it, in place of its folder; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    track_tag: Vec<(String, String)>,
}

impl Names {
    fn target(&self, server: &Server) -> Target {
        let experiment = self.track_experiment.clone().unwrap_or_else(|| EXPERIMENT.to_owned());
        Target { experiment, tags: self.track_tag.clone(), ..Target::new(server.clone()) }
    }
}

impl TrackArgs {
    /// What is given, checked as far as that goes without the network.
    ///
    /// # Errors
    /// [`Error::Usage`] for names without --track, and for credentials that cannot be used.
    pub fn target(&self) -> Result<Option<Target>> {
        let given = [
            ("--track-experiment", self.names.track_experiment.is_some()),
            ("--track-tag", !self.names.track_tag.is_empty()),
        ];
        let Some(server) = &self.track else {
            return match given.iter().find(|(_, given)| *given) {
                Some((flag, _)) => Err(Error::Usage(format!("{flag} needs --track mlflow=URL"))),
                None => Ok(None),
            };
        };
        let target = self.names.target(server);
        track::check(&target)?;
        Ok(Some(target))
    }
}

/// A training that is told of, if it is.
pub struct Told(Option<Tracking>);

impl Told {
    /// Of a training into `out`, which it may `resume`.
    ///
    /// # Errors
    /// Those of [`TrackArgs::target`].
    pub fn new(args: &TrackArgs, out: &Path, resume: bool) -> Result<Self> {
        let tracking = args.target()?.map(|target| Tracking::new(out, &target, Patience::default()));
        let told = Self(tracking.transpose()?);
        if resume && told.0.is_none() && out.join(track::FILE).is_file() {
            say("this run was told to a tracking server; --track goes on with that, `sarb track` does later");
        }
        Ok(told)
    }

    /// Tells of an event, and shows it.
    pub fn hear(&self, event: Event<'_>, progress: &Progress) {
        for message in self.0.iter().flat_map(|tracking| tracking.hear(&event)) {
            match message {
                Message::Note(note) => progress.show(Event::Note(&note)),
                Message::Warning(warning) => progress.show(Event::Warning(&warning)),
            }
        }
        progress.show(event);
    }

    /// Tells of the end; `is_run` says that there is a run in the folder.
    pub fn end(self, is_run: bool) {
        show(&self.0.map_or_else(Vec::new, |tracking| tracking.end(is_run)));
    }
}

fn show(messages: &[Message]) {
    for message in messages {
        match message {
            Message::Note(note) => say(note),
            Message::Warning(warning) => warn(warning),
        }
    }
}

/// Tells of what was measured of a run; that the server is away is no error.
pub fn tell(run: &Run, target: &Target) {
    match track::send(run, target, Patience::default()) {
        Ok(messages) => show(&messages),
        Err(error) => {
            let (dir, server) = (run.dir().display(), &target.server);
            warn(&format!("not sent: {error}; `sarb track {dir} --to {server}` sends it later"));
        }
    }
}

/// Arguments of `sarb track`.
#[derive(Debug, Clone, Args)]
pub struct Track {
    /// Folders of runs, and of sweeps, whose cells are runs
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The tracking server, mlflow=http://HOST:PORT; credentials come from MLFLOW_TRACKING_TOKEN, or _USERNAME and _PASSWORD
    #[arg(long, value_name = "mlflow=URL", value_parser = server)]
    pub to: Server,
    #[command(flatten)]
    names: Names,
}

impl Track {
    /// Sends what of the runs is not there yet.
    pub fn run(&self) -> Result<()> {
        let target = self.names.target(&self.to);
        let mut runs = Vec::new();
        for dir in &self.runs {
            match Sweep::open(dir) {
                Ok(sweep) if !dir.join("recipe.toml").is_file() => runs.extend(sweep.tracked(&target)),
                _ => runs.push((dir.clone(), target.clone())),
            }
        }
        for (dir, target) in runs {
            show(&track::send(&Run::open(&dir)?, &target, Patience::default())?);
        }
        Ok(())
    }
}

fn server(text: &str) -> std::result::Result<Server, String> {
    text.parse::<Server>().map_err(|error| error.to_string())
}

fn experiment(text: &str) -> std::result::Result<String, String> {
    if text.trim().is_empty() { Err("a name is expected".into()) } else { Ok(text.to_owned()) }
}

fn tag(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".into()),
    }
}
