//! From a dataset to a trained model, in steps that a kill cannot spoil.

mod augment;
mod batch;
mod calibrate;
mod catalogue;
mod checkpoint;
mod export;
mod files;
mod negatives;
mod neighbours;
mod options;
mod sampler;
mod update;

pub use augment::{Augment, Augments};
pub use batch::{Judging, training_batch};
pub use catalogue::{catalogue_of, item_ids, user_id};
pub use checkpoint::{Checkpoint, FORMAT, Origin, fingerprint};
pub use export::{ItemBits, export};
#[doc(hidden)]
pub use export::{inspect_items, inspect_weights};
pub use negatives::Drawing;
#[doc(hidden)]
pub use neighbours::inspect_neighbours;
pub use options::{Loss, Positions, TrainOptions, read_settings, set};
pub use sampler::{Stretch, Windows, epoch_batches, history, known_user, request_of, stretches};
pub use update::UpdateOptions;

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::eval::{Seen, Split, cases, validation_ranks};
use crate::gpu::Gpu;
use crate::model::{Config, Model};
use crate::ops::{self, AdamW, Update};
use crate::tape::Tape;
use crate::tensor::Tensor;
use negatives::popularity;
use neighbours::catalogue_with;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Instant;

/// What happened in one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    pub epoch: usize,
    pub loss: f64,
    /// On the validation split; absent in epochs that did not validate.
    pub hr10: Option<f64>,
    pub ndcg10: Option<f64>,
}

/// Where training stands, besides weights and moments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct State {
    /// Epochs finished.
    pub epoch: usize,
    /// Steps finished within the current epoch.
    pub step_in_epoch: usize,
    /// Steps finished altogether.
    pub step: u64,
    /// Sum of losses of the current epoch so far.
    pub loss_sum: f64,
    pub best_ndcg10: f64,
    pub best_epoch: usize,
    pub history: Vec<EpochRecord>,
    pub finished: bool,
}

/// What a watcher is told while training.
#[derive(Debug)]
pub enum Progress<'a> {
    Start { epochs: usize, steps_per_epoch: usize, state: &'a State },
    Step { epoch: usize, step_in_epoch: usize, loss: f64, events_per_s: f64 },
    Epoch(&'a EpochRecord),
    Stopped { early: bool },
}

/// Steps between read-backs of the loss: each waits for the device.
const READ_EVERY: usize = 16;

/// A training in progress.
pub struct Trainer<'a> {
    dataset: &'a Dataset,
    options: TrainOptions,
    seen: Seen,
    model: Model,
    moments: Vec<Tensor>,
    best: Option<Vec<Vec<f32>>>,
    state: State,
    stretches: Vec<Stretch>,
    judging: Judging,
    /// Of an update, which learns from all events: none is held out to choose the epoch by.
    origin: Option<Origin>,
}

impl<'a> Trainer<'a> {
    /// # Errors
    /// When a configuration value is out of range or there is nothing to train on.
    pub fn new(gpu: &Gpu, dataset: &'a Dataset, config: &Config, options: &TrainOptions, seen: Seen) -> Result<Self> {
        config.validate()?;
        options.validate()?;
        let (config, mask_seen) = (&fitting(config, dataset, seen), options.mask_seen && seen == Seen::Filter);
        options.fits(config, mask_seen, gpu.info().max_binding)?;
        let model = Model::new(gpu, config, catalogue_with(dataset, config, true), options.seed);
        start_biases(&model, dataset, options.bias_start);
        let stretches = stretches(dataset, config.len, options.windows);
        if stretches.is_empty() {
            return Err(Error::NothingToLearn(
                "no user has two events to train on (the last two of each are held out); prepare with --min-user 4 or more"
                    .into(),
            ));
        }
        let moments = model.params().moments();
        let (drawing, like) = (Drawing::new(gpu, dataset, options), options.like_from(dataset));
        let judging = Judging { like, mask_seen, drawing, options: options.clone() };
        let (options, state) = (options.clone(), State::default());
        Ok(Trainer { dataset, options, seen, model, moments, best: None, state, stretches, judging, origin: None })
    }

    /// Continues the training that [`Trainer::run`] began in `folder`.
    ///
    /// # Errors
    /// When it is of another dataset or damaged.
    pub fn resume(gpu: &Gpu, dataset: &'a Dataset, folder: &Path, seen: Seen) -> Result<Self> {
        let checkpoint = Checkpoint::open_training(folder)?;
        checkpoint.expect_dataset(dataset)?;
        let mut trainer = Trainer::new(gpu, dataset, &checkpoint.config, &checkpoint.options, seen)?;
        (trainer.state, trainer.best) = checkpoint.load_training(&trainer.model, &trainer.moments)?;
        Ok(trainer)
    }

    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The model, once training is over.
    pub fn into_model(self) -> Model {
        self.model
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn options(&self) -> &TrainOptions {
        &self.options
    }

    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// Trains to the end, keeping the checkpoint in `out` (where given) current. The model then has its best weights.
    /// A trained model that is there already is replaced when the first epoch has ended.
    pub fn run(&mut self, out: Option<&Path>, watch: &mut dyn FnMut(Progress)) -> Result<()> {
        self.run_to(usize::MAX, out, watch)
    }

    /// [`Trainer::run`] up to the end of `epoch`, to go on later or not at all. The schedule of the learning rate stays
    /// that of a whole training.
    pub fn run_to(&mut self, epoch: usize, out: Option<&Path>, watch: &mut dyn FnMut(Progress)) -> Result<()> {
        let steps_per_epoch = self.stretches.len().div_ceil(self.options.batch);
        if let Some(out) = out.filter(|_| self.state == State::default()) {
            self.save(out)?; // from now on a kill can be resumed from, and a full disk shows before the work
        }
        watch(Progress::Start { epochs: self.options.epochs, steps_per_epoch, state: &self.state });
        while !self.state.finished && self.state.epoch < epoch {
            self.epoch(steps_per_epoch, out, watch)?;
            if let Some(record) = self.state.history.last() {
                watch(Progress::Epoch(record));
            }
            if let Some(out) = out {
                self.save(out)?;
            }
        }
        if !self.state.finished {
            return Ok(());
        }
        watch(Progress::Stopped { early: self.state.epoch < self.options.epochs });
        if let Some(best) = &self.best {
            for (param, values) in self.model.params().list().iter().zip(best) {
                param.tensor.write(values);
            }
        }
        Ok(())
    }

    fn epoch(&mut self, steps: usize, out: Option<&Path>, watch: &mut dyn FnMut(Progress)) -> Result<()> {
        let epoch = self.state.epoch;
        let batches = epoch_batches(&self.stretches, self.options.batch, self.options.seed, epoch);
        let total = (steps * self.options.epochs) as u64;
        let mut unread: Vec<Tensor> = Vec::with_capacity(READ_EVERY);
        let (mut started, mut events) = (Instant::now(), 0);
        for (i, batch) in batches.iter().enumerate().skip(self.state.step_in_epoch) {
            let rows: Vec<&Stretch> = batch.iter().map(|r| &self.stretches[*r]).collect();
            events += rows.iter().map(|s| s.range.len() - 1).sum::<usize>();
            unread.push(self.step(&rows, total));
            self.state.step += 1;
            self.state.step_in_epoch = i + 1;
            let checkpoint = out.filter(|_| is_due(i + 1, self.options.checkpoint_steps));
            if unread.len() == READ_EVERY || i + 1 == batches.len() || checkpoint.is_some() {
                let losses = self.read_losses(&mut unread)?;
                self.state.loss_sum += losses.iter().sum::<f64>();
                let loss = losses.iter().sum::<f64>() / losses.len() as f64;
                let events_per_s = events as f64 / started.elapsed().as_secs_f64();
                (started, events) = (Instant::now(), 0);
                watch(Progress::Step { epoch, step_in_epoch: i + 1, loss, events_per_s });
            }
            if let Some(out) = checkpoint {
                self.save(out)?;
            }
        }
        self.end_epoch(batches.len())
    }

    /// The rows that an epoch trains on.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// One step on one batch of them, at the learning rate of the current step of `total`; the loss stays on the device.
    /// [`Trainer::run`] calls it and counts; on its own it counts nothing.
    pub fn step(&self, rows: &[&Stretch], total: u64) -> Tensor {
        let gpu = self.model.gpu().clone();
        let key = (self.options.seed, self.state.step);
        let (batch, targets) = training_batch(&self.model, self.dataset, rows, &self.judging, key);
        let mut tape = Tape::new(self.options.seed.rotate_left(32) ^ self.state.step);
        let loss = self.model.loss(&mut tape, &batch, &targets);
        let grads = tape.backward(&loss);
        let adamw = AdamW {
            lr: self.options.rate(self.state.step, total),
            decay: self.options.decay,
            step: self.state.step as u32 + 1,
            ..AdamW::default()
        };
        let mut updates = Vec::new();
        for (param, moments) in self.model.params().list().iter().zip(&self.moments) {
            if let Some(gradient) = grads.get(&param.tensor) {
                updates.push(Update { parameter: &param.tensor, gradient, moments, decay: param.decay });
            }
        }
        let gradients: Vec<&Tensor> = updates.iter().map(|u| u.gradient).collect();
        let clip = ops::clip_grad_norm(&gpu, &gradients, self.options.clip);
        ops::adamw_all(&gpu, &updates, &adamw, Some(&clip));
        loss
    }

    /// Reads the waiting losses; one that is not finite stops training and names its step.
    fn read_losses(&self, unread: &mut Vec<Tensor>) -> Result<Vec<f64>> {
        let first = self.state.step - unread.len() as u64;
        let losses: Vec<f32> = unread.drain(..).map(|loss| loss.item()).collect::<Result<_>>()?;
        if let Some(bad) = losses.iter().position(|l| !l.is_finite()) {
            let good = first + bad as u64;
            let what = format!("the loss is not finite: it is {} after {good} good steps", losses[bad]);
            return Err(self.not_finite(good + 1, what));
        }
        Ok(losses.into_iter().map(f64::from).collect())
    }

    fn not_finite(&self, step: u64, what: String) -> Error {
        let TrainOptions { lr, clip, .. } = self.options;
        let mend = format!("begin again with a lower lr (now {lr}), e.g. --force --set lr={}", lr / 4.0);
        Error::NotFinite { step, message: format!("{what}; {mend}, or a lower clip (now {clip})") }
    }

    fn end_epoch(&mut self, steps: usize) -> Result<()> {
        let epoch = self.state.epoch + 1;
        let last = epoch == self.options.epochs;
        let mut record = EpochRecord { epoch, loss: self.state.loss_sum / steps as f64, hr10: None, ndcg10: None };
        let cases = if self.origin.is_none() { cases(self.dataset, Split::Validation) } else { Vec::new() };
        if (last || is_due(epoch, self.options.validate_every)) && !cases.is_empty() {
            let ranks = validation_ranks(&self.model, self.dataset, &cases, self.seen)?;
            if ranks.contains(&0) {
                return Err(self.not_finite(
                    self.state.step,
                    "the scores of the validation are not finite, though the loss was".into(),
                ));
            }
            let n = ranks.len() as f64;
            let within = || ranks.iter().filter(|r| **r <= 10);
            let ndcg10 = within().map(|r| 1.0 / f64::from(r + 1).log2()).sum::<f64>() / n;
            record.hr10 = Some(within().count() as f64 / n);
            record.ndcg10 = Some(ndcg10);
            if self.best.is_none() || ndcg10 > self.state.best_ndcg10 {
                self.state.best_ndcg10 = ndcg10;
                self.state.best_epoch = epoch;
                let mut best = self.weights()?;
                self.calibrate(&cases, &mut best)?;
                self.best = Some(best);
            }
        }
        let patience = self.options.patience.max(self.options.validate_every);
        let stale = self.best.is_some() && epoch >= self.state.best_epoch + patience;
        self.state.epoch = epoch;
        self.state.step_in_epoch = 0;
        self.state.loss_sum = 0.0;
        self.state.finished = last || stale;
        self.state.history.push(record);
        Ok(())
    }

    fn weights(&self) -> Result<Vec<Vec<f32>>> {
        self.model.params().list().iter().map(|p| p.tensor.to_vec()).collect()
    }

    /// Writes the checkpoint: complete beside the old one, then put in its place. Before the first epoch has ended, a
    /// trained model in `out` stays, and the checkpoint waits beside it for [`Trainer::resume`].
    pub fn save(&self, out: &Path) -> Result<()> {
        let snapshot = checkpoint::Snapshot {
            model: &self.model,
            options: &self.options,
            update: self.origin.as_ref(),
            seen: self.seen,
            dataset: self.dataset,
            state: &self.state,
            moments: &self.moments,
            last: self.weights()?,
            best: self.best.as_ref(),
        };
        snapshot.save(out)
    }
}

/// `config` without what is useless here: where nothing is recommended twice, a pointer into the past has nothing to say,
/// and in a log without times, only their order is known.
pub fn fitting(config: &Config, dataset: &Dataset, seen: Seen) -> Config {
    Config {
        repeats: config.repeats && seen == Seen::Keep,
        time_bias: config.time_bias && dataset.has_time,
        time_input: config.time_input && dataset.has_time,
        request_time: config.request_time && dataset.has_time,
        ..config.clone()
    }
}

fn is_due(count: usize, every: usize) -> bool {
    every > 0 && count.is_multiple_of(every)
}

/// Puts the bias of each item at `factor` times the logarithm of how much more often than the average item it occurs.
fn start_biases(model: &Model, dataset: &Dataset, factor: f32) {
    let Some(bias) = model.params().list().iter().find(|p| p.name == "item.bias").filter(|_| factor > 0.0) else {
        return;
    };
    let mean = popularity(dataset).sum::<f64>() / dataset.n_items() as f64;
    let of_item = |n: f64| factor * (n / mean).ln() as f32;
    let values: Vec<f32> = std::iter::once(0.0).chain(popularity(dataset).map(of_item)).collect();
    bias.tensor.write(&values);
}
