//! The training loop, written out: forward, loss terms, backward, Adam, log; validate, keep the
//! best, checkpoint. It knows no method: what differs between them is behind
//! [`Method`](crate::methods::Method).

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use burn::module::Module;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{AdamConfig, ModuleOptimizer};
use burn::tensor::Device;
use sarb_labels::{Label, LabelMatrix, metrics};

use crate::backbone::FixedTrunk;
use crate::batch::{Batch, Mixture, Progress, Whole};
use crate::cancel::Cancel;
use crate::events::Event;
use crate::exploding;
use crate::fit::Speed;
use crate::loader::{ExampleKind, Examples, LoadedBatch, Loader, View, epoch_batches};
use crate::loss::partial_bce::masked_loss;
use crate::methods::{Method, TrainSet};
use crate::model::{Inference, Model};
use crate::out_of_fold::OutOfFold;
use crate::prepare::{Prepared, Selection};
use crate::ranks::Ranks;
use crate::ranks::share::Share;
use crate::recipe::{Recipe, Select};
use crate::run::{EpochRow, Run, State, Validated, Which};
use crate::scoring::{self, input_of, scores};
use crate::step::{Rates, step};
use crate::step_log::{StepLog, StepRow};
use crate::tally::{Means, Named, Tally, per_second};
use crate::{Error, Result, checkpoint};

mod pass;

use pass::Pass;

/// How many steps lie between two looks at the loss: reading it waits for the device.
const LOG_EVERY: usize = 10;

/// What stays the same while training.
pub struct Trainer<'a> {
    /// The experiment.
    pub recipe: &'a Recipe,
    /// Its data.
    pub prepared: &'a Prepared,
    /// Where it is written; nowhere by a rank that is not the first.
    pub run: Option<&'a Run>,
    /// Who trains it together.
    pub ranks: &'a Ranks,
    /// Where it is computed, without autodiff.
    pub device: &'a Device,
    /// How examples are read.
    pub loader: &'a Loader,
    /// Hears of steps and epochs.
    pub events: &'a dyn Fn(Event<'_>),
    /// Ends the training.
    pub cancel: &'a Cancel,
}

/// What changes while training.
pub struct Training {
    /// The network, on the autodiff device.
    pub model: Model,
    /// Adam and its moments.
    pub optimizer: ModuleOptimizer,
    /// Where it stands.
    pub state: State,
}

/// Adam with ε 1e-8 and, where the recipe asks for it, coupled L2 decay, as PyTorch's.
pub fn adam(recipe: &Recipe) -> ModuleOptimizer {
    let decay = recipe.train.weight_decay as f32;
    let decay = (decay > 0.0).then(|| WeightDecayConfig::new(decay));
    AdamConfig::new().with_epsilon(1e-8).with_weight_decay(decay).init()
}

impl Trainer<'_> {
    /// Trains from where `training` stands to the recipe's last epoch.
    ///
    /// # Errors
    /// [`Error::Diverged`] when a loss term is not finite; [`Error::Interrupted`] once it is cancelled, with
    /// a checkpoint of that very step; whatever reading an example says.
    pub fn train(&self, training: &mut Training) -> Result<()> {
        let trunk = match self.prepared.examples.kind() {
            ExampleKind::Image => training.model.fixed_trunk(),
            ExampleKind::TrunkMap | ExampleKind::Map => None,
        };
        let labels = self.prepared.annotations.labels.select(&self.prepared.rows);
        let log = self.run.map(|run| StepLog::open(run, &training.state)).transpose()?;
        let telling = Telling { log, labels };
        if training.state.history.is_empty() {
            (self.events)(Event::Phase("what comes before the first epoch"));
            let (model, clock) = (Inference::new(&training.model.valid()), Instant::now());
            training.model.head.before_training(&self.pass(&model))?;
            // What was filled in knows of every label that is known, so no score is without it.
            if let Some(left_out) = training.model.head.left_out()
                && !self.prepared.learns_from_filled
            {
                self.keep_left_out(&Inference::new(&training.model.valid()), left_out)?;
            }
            // All that a closed form takes.
            training.state.seconds += clock.elapsed().as_secs_f64();
            self.finish_epoch(training, &telling, 0.0)?;
        }
        let epochs = if training.model.head.closed_form() { 0 } else { self.recipe.train.epochs };
        let first = training.state.epoch;
        for epoch in first..epochs {
            if training.state.step == 0 {
                (self.events)(Event::Phase("what the method does before the epoch"));
                let model = Inference::new(&training.model.valid());
                training.model.head.before_epoch(epoch, &self.pass(&model))?;
            }
            let is_first = epoch == first;
            let images_per_second = self.epoch(training, &telling, trunk.as_ref(), epoch, is_first)?;
            self.finish_epoch(training, &telling, images_per_second)?;
        }
        for warning in exploding::stuck(&training.state) {
            (self.events)(Event::Warning(&warning));
        }
        exploding::check_end(&training.state)
    }

    /// The remaining steps of one epoch; leaves their means in the state and returns images per second. With
    /// `is_first` a long training is announced.
    fn epoch(
        &self,
        training: &mut Training,
        telling: &Telling,
        trunk: Option<&FixedTrunk>,
        epoch: usize,
        is_first: bool,
    ) -> Result<f64> {
        let seed = self.recipe.seed;
        let batches = self.batches(epoch);
        let steps = batches.len();
        let view = self.training_view(epoch);
        let mut tally = Tally::resumed(training.state.step, &training.state.means());
        let (started, mut images, mut clock) = (Instant::now(), 0, Instant::now());
        let todo = batches[training.state.step..].to_vec();
        // The very first step is slower than the others.
        let (begun, mut speed) = (training.state.step, is_first.then(|| Speed::new(todo.len())));
        let shares: Vec<Share> = todo.iter().map(|batch| self.share(batch)).collect();
        let own: Vec<Vec<usize>> =
            todo.iter().zip(&shares).map(|(batch, share)| batch[share.places.clone()].to_vec()).collect();
        let load = |view| self.loader.batches(self.prepared.examples.clone(), own.clone(), view);
        let mut strong = self.recipe.method.reads_strong_views().then(|| load(self.strong_view(epoch)));
        for ((loaded, whole), share) in load(view).zip(&todo).zip(shares) {
            let mut batch = self.batch(loaded?, whole, view);
            if let Some(strong) = strong.as_mut().and_then(Iterator::next) {
                batch.input = batch.input.then(input_of(strong?, &self.device.clone().autodiff()));
            }
            let at = Progress { seed, epoch, step: training.state.step, steps };
            let rates = Rates {
                rate: self.recipe.train.learning_rate_at(at.epoch * at.steps + at.step, at.steps),
                backbone_factor: self.recipe.backbone.learning_rate_factor,
            };
            let Training { model, optimizer, .. } = training;
            let normalization = self.recipe.train.normalization;
            let step = || step(model, optimizer, rates, trunk, &batch, normalization, at);
            let step = || self.recipe.train.precision.during(step);
            // All stop after the same step, whoever was asked to.
            let (stepped, stop) = self.ranks.within(share, || self.cancel.is_cancelled(), step)?;
            tally.add(at, stepped);

            images += whole.len();
            training.state.step += 1;
            training.state.seconds += clock.elapsed().as_secs_f64();
            clock = Instant::now();
            if let Some(speed) = &mut speed {
                let left = steps * (self.recipe.train.epochs - epoch) - training.state.step;
                let note = speed.after(training.state.step - begun, left, self.recipe.train.epochs);
                note.iter().for_each(|note| (self.events)(Event::Note(note)));
            }
            if training.state.step.is_multiple_of(LOG_EVERY) || training.state.step == steps {
                tally.read()?;
                training.state.first_loss = training.state.first_loss.or(tally.first_loss);
                let images_per_second = per_second(images, started.elapsed());
                self.tell(telling, &training.model, &mut tally, at, images_per_second)?;
            }
            if stop {
                tally.read()?;
                training.state.set_means(tally.means());
                self.save(training, Which::Last)?;
                return Err(Error::Interrupted { epoch });
            }
        }
        training.state.set_means(tally.means());
        Ok(per_second(images, started.elapsed()))
    }

    /// Tells of the steps since the last time: files what they were, and those who listen how far it is.
    fn tell(
        &self,
        Telling { log, labels }: &Telling,
        model: &Model,
        tally: &mut Tally,
        at: Progress,
        images_per_second: f64,
    ) -> Result<()> {
        let reported = reported(model, labels);
        let Means { losses, mut scalars } = tally.take_window();
        scalars.extend(reported.iter().cloned());
        let row = StepRow {
            epoch: at.epoch + 1,
            step: at.step + 1,
            steps: at.steps,
            losses,
            scalars,
            learning_rate: self.recipe.train.learning_rate_at(at.epoch * at.steps + at.step, at.steps),
            images_per_second,
            wall_time: now(),
        };
        log.as_ref().map_or(Ok(()), |log| log.add(&row))?;
        let Means { losses, mut scalars } = tally.means();
        scalars.extend(reported);
        (self.events)(Event::Step { at, losses: &losses, scalars: &scalars, images_per_second });
        Ok(())
    }

    /// The rows of an epoch's batches.
    fn batches(&self, epoch: usize) -> Vec<Vec<usize>> {
        let train = &self.recipe.train;
        epoch_batches(&self.prepared.rows, train.batch_size, self.recipe.seed, epoch as u64, train.drop_last)
    }

    fn training_view(&self, epoch: usize) -> View {
        match self.recipe.data.augment {
            true => View::Augmented { seed: self.recipe.seed, epoch: epoch as u64 },
            false => View::Clean,
        }
    }

    fn strong_view(&self, epoch: usize) -> View {
        View::Strong { seed: self.recipe.seed, epoch: epoch as u64 }
    }

    /// This rank's share of a batch.
    fn share(&self, batch: &[usize]) -> Share {
        Share::of(self.ranks.rank(), self.ranks.count(), batch.len())
    }

    /// What was loaded of the rows `whole`, with its partial labels.
    fn batch(&self, loaded: LoadedBatch, whole: &[usize], view: View) -> Batch {
        let labels = &self.prepared.annotations.labels;
        let all = || Whole { labels: labels.select(whole), indices: self.places(whole) };
        let mixtures: Option<Vec<(usize, f32)>> =
            loaded.rows.iter().map(|&row| self.prepared.examples.mixture(row, view)).collect();
        Batch {
            labels: labels.select(&loaded.rows),
            soft: self.prepared.soft.select(&loaded.rows),
            indices: self.places(&loaded.rows),
            mixture: mixtures.map(|mixtures| {
                let (partners, kept): (Vec<usize>, Vec<f32>) = mixtures.into_iter().unzip();
                Mixture { partners: labels.select(&partners), kept }
            }),
            whole: (!self.ranks.is_alone()).then(all),
            input: input_of(loaded, &self.device.clone().autodiff()),
        }
    }

    /// Places of rows among the training rows, by which [`TrainSet`] counts.
    fn places(&self, rows: &[usize]) -> Vec<usize> {
        rows.iter().map(|row| self.prepared.rows.partition_point(|r| r < row)).collect()
    }

    /// Validates, notes the epoch, and saves it; as the best too, if it is.
    fn finish_epoch(&self, training: &mut Training, telling: &Telling, images_per_second: f64) -> Result<()> {
        let started = Instant::now();
        (self.events)(Event::Phase("validation"));
        let validation = match self.validate(&Inference::new(&training.model.valid()), training.state.epoch) {
            // Its steps are done: a resume goes on with the validation.
            Err(Error::Stopped) if training.state.step > 0 => {
                self.save(training, Which::Last)?;
                return Err(Error::Interrupted { epoch: training.state.epoch });
            }
            validation => validation?,
        };
        let (train, state) = (&self.recipe.train, &mut training.state);
        state.epoch += usize::from(state.step > 0);
        let steps = self.prepared.rows.len().div_ceil(train.batch_size);
        let mut scalars = std::mem::take(&mut state.scalars);
        scalars.extend(reported(&training.model, &telling.labels));
        let row = EpochRow {
            epoch: state.epoch,
            losses: std::mem::take(&mut state.losses),
            scalars,
            validation_loss: validation.loss,
            validation_map: validation.map,
            learning_rate: train.learning_rate_at(state.epoch.saturating_sub(1) * steps, steps),
            images_per_second,
            wall_time: now(),
        };
        let value = match train.select {
            Select::Loss => validation.loss,
            Select::Map | Select::Test => validation.map.map(|map| -map),
            Select::Last => None,
        };
        // Lower is better; with nothing to go by, every epoch improves on the one before.
        let value = value.unwrap_or(-(state.epoch as f64));
        let improved = state.best.is_none_or(|(best, _)| value < best);
        if improved {
            state.best = Some((value, state.epoch));
        }
        state.step = 0;
        state.seconds += started.elapsed().as_secs_f64();
        exploding::check(state, &row)?;
        for warning in exploding::warnings(state, &row) {
            (self.events)(Event::Warning(&warning));
        }
        state.history.push(row);
        if let Some(term) = exploding::not_finite(&training.model) {
            let epoch = training.state.epoch;
            return Err(Error::Diverged { term, value: f32::NAN, epoch, step: 0 });
        }
        self.check_weights(&training.model)?;
        if improved {
            self.save(training, Which::Best)?;
        }
        self.save(training, Which::Last)?;
        let history = &training.state.history;
        let row = history.last().expect("just pushed");
        if let Some(run) = self.run {
            run.save_metrics(history)?;
            run.save_tensorboard(history)?;
            run.tell_epoch(row, improved)?;
        }
        (self.events)(Event::Epoch(row));
        Ok(())
    }

    /// All ranks take the same steps; that they did is not believed but seen.
    fn check_weights(&self, model: &Model) -> Result<()> {
        match self.ranks.is_alone() {
            true => Ok(()),
            false => self.ranks.agree(&[("weights at the end of an epoch", checkpoint::fingerprint(model))]),
        }
    }

    /// Mean BCE and mAP over the known labels that epochs are selected on.
    pub(crate) fn validate(&self, model: &Inference, epoch: usize) -> Result<Validated> {
        let Selection { examples, rows, labels } = &self.prepared.selection;
        let positives = labels.count(Label::Positive);
        let known = positives + labels.count(Label::Negative);
        if known == 0 {
            return Ok(Validated::default());
        }
        let logits = self.scores(model, examples, rows)?;
        if let Some(&value) = logits.iter().find(|logit| !logit.is_finite()) {
            return Err(Error::Diverged { term: "a validation score".into(), value, epoch, step: 0 });
        }
        let map = metrics::evaluate(&logits, labels, &self.prepared.annotations.categories, 0.0)?.map;
        Ok(Validated { loss: Some(masked_loss(&logits, labels)), map: (positives > 0).then_some(map) })
    }

    /// [`scores`], of which every rank computes a stretch.
    fn scores(&self, model: &Inference, examples: &Arc<dyn Examples>, rows: &[usize]) -> Result<Vec<f32>> {
        let own = self.ranks.stretch_of(rows, scoring::BATCH);
        let logits = scores(model, examples, own, self.loader, self.device, self.cancel)?;
        self.ranks.gather_values(logits)
    }

    /// Keeps the out-of-fold scores of a closed form; see [`Method::left_out`].
    fn keep_left_out(&self, model: &Inference, left_out: &[Vec<(usize, f32)>]) -> Result<()> {
        let Prepared { annotations, rows, examples, fingerprint, .. } = self.prepared;
        let all: Vec<usize> = (0..annotations.images.len()).collect();
        let logits = scores(model, examples, &all, self.loader, self.device, self.cancel)?;
        let kept = OutOfFold::of_closed_form(annotations.clone(), rows, logits, left_out);
        self.run.map_or(Ok(()), |run| kept.save(run, fingerprint))
    }

    fn save(&self, training: &Training, which: Which) -> Result<()> {
        let Training { model, optimizer, state } = training;
        self.run.map_or(Ok(()), |run| checkpoint::save(run, which, &model.valid(), optimizer, state))
    }

    /// The training rows as `model` sees them.
    pub(crate) fn pass<'a>(&'a self, model: &'a Inference) -> impl TrainSet + 'a {
        Pass::new(self, model)
    }
}

/// What telling of a training takes.
struct Telling<'a> {
    log: Option<StepLog<'a>>,
    /// The partial labels of the training rows.
    labels: LabelMatrix,
}

/// What the method reports; a number that is not finite has no place in JSON, and the loss or the weights
/// will tell of it.
fn reported(model: &Model, labels: &LabelMatrix) -> Named {
    let scalars = model.head.scalars(labels).into_iter();
    scalars.filter(|(_, value)| value.is_finite()).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
