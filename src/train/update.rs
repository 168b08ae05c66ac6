//! A trained model goes on learning from new events, and keeps what it knows.

use super::checkpoint::{Checkpoint, Origin};
use super::neighbours::catalogue_with;
use super::{Drawing, Judging, State, Stretch, TrainOptions, Trainer, Windows, stretches};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::eval::Seen;
use crate::gpu::Gpu;
use crate::model::Model;
use crate::nn::Param;
use crate::tape::Tape;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::path::Path;

/// How a model is updated.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateOptions {
    /// Passes over the new events.
    pub epochs: usize,
    /// The largest learning rate; `None` for a quarter of that of the training.
    pub lr: Option<f32>,
    /// Rows of old events for each row with new ones, so that what was learned is not forgotten.
    pub mix: f32,
    pub seed: u64,
}

impl Default for UpdateOptions {
    fn default() -> UpdateOptions {
        UpdateOptions { epochs: 3, lr: None, mix: 1.0, seed: 1 }
    }
}

impl<'a> Trainer<'a> {
    /// Goes on from the model `from` on `dataset`, its own data joined with events of which `fresh` says which are new: see
    /// [`Dataset::merged`]. Every vector that is there starts as it is; new items start as the mean of their category,
    /// users of whom nothing was learned as the one never seen. Nothing is held out.
    ///
    /// # Errors
    /// When `from` cannot be read, an option is out of range, or there is nothing to learn.
    pub fn update(
        gpu: &Gpu,
        dataset: &'a Dataset,
        fresh: &[bool],
        from: &Checkpoint,
        how: &UpdateOptions,
    ) -> Result<Trainer<'a>> {
        from.expect_trained()?;
        if !(how.mix >= 0.0 && how.mix <= 1e6) {
            return Err(Error::Config(format!("mix = {}: expected 0 or more", how.mix)));
        }
        let old = from.data()?;
        let before = from.load(gpu, &old)?;
        let model = Model::new(gpu, &from.config, catalogue_with(dataset, &from.config, false), how.seed);
        grow(&before, &model, dataset, |user| from.known_user(&old, user) != 0)?;
        let stretches = rows(dataset, fresh, from, how);
        if stretches.is_empty() {
            let message = "no user with a new event has another before it: give more events, or those of more users";
            return Err(Error::NothingToLearn(message.into()));
        }
        let steps = how.epochs * stretches.len().div_ceil(from.options.batch);
        // What counts as liked stays what it was, and is written down: the new ratings may have another range.
        let like = from.options.like_from(&old);
        let options = TrainOptions {
            seed: how.seed,
            epochs: how.epochs,
            lr_factor: how.lr.map_or(0.25, |lr| lr / from.options.lr),
            warmup_steps: (steps / 10).clamp(1, TrainOptions::default().warmup_steps),
            like: like.or(from.options.like),
            ..from.options.clone()
        };
        options.validate()?;
        let mask_seen = options.mask_seen && from.seen == Seen::Filter;
        let drawing = Drawing::new(gpu, dataset, &options);
        let judging = Judging { like, mask_seen, drawing, options: options.clone() };
        let moments = model.params().moments();
        Ok(Trainer {
            dataset,
            options,
            seen: from.seen,
            model,
            moments,
            best: None,
            state: State::default(),
            stretches,
            judging,
            origin: Some(Origin { weights: from.weights_hash()?, mix: how.mix }),
        })
    }

    /// Takes up the update that [`Trainer::run`] began in `folder`.
    ///
    /// # Errors
    /// When it is of other events or settings, or damaged.
    pub fn go_on(mut self, folder: &Path) -> Result<Trainer<'a>> {
        let checkpoint = Checkpoint::open_training(folder)?;
        checkpoint.expect_dataset(self.dataset)?;
        if checkpoint.options != self.options || checkpoint.update != self.origin {
            let other =
                "was begun with other settings or from another model; resume it with those, or replace it with --force";
            return Err(Error::format(folder, other));
        }
        (self.state, self.best) = checkpoint.load_training(&self.model, &self.moments)?;
        Ok(self)
    }
}

/// Every window that has a new event to predict, and `mix` times as many of users without any.
fn rows(dataset: &Dataset, fresh: &[bool], from: &Checkpoint, how: &UpdateOptions) -> Vec<Stretch> {
    let first_new = |user: usize| dataset.events_of(user).find(|e| fresh[*e]);
    let mut list = Vec::new();
    for user in 1..=dataset.n_users() {
        let range = dataset.events_of(user);
        let Some(first) = first_new(user) else { continue };
        let mut end = range.end;
        while end >= range.start + 2 {
            let start = end.saturating_sub(from.config.len + 1).max(range.start);
            list.push(Stretch { user: user as u32, range: start..end });
            if start < first || start == range.start {
                break;
            }
            end = start + 1; // the first of a window is not predicted there
        }
    }
    let mut old = stretches(dataset, from.config.len, Windows::All);
    old.retain(|s| first_new(s.user as usize).is_none());
    old.shuffle(&mut ChaCha8Rng::seed_from_u64(how.seed));
    old.truncate((how.mix * list.len() as f32).ceil() as usize);
    list.extend(old);
    list
}

/// Copies what `before` has learned into `model`, which may have more users and items.
fn grow(before: &Model, model: &Model, dataset: &Dataset, knows: impl Fn(u32) -> bool) -> Result<()> {
    let of_item = |item: usize| dataset.item_category.as_ref().map_or(0, |c| c[item - 1]) as usize;
    for param in model.params().list() {
        let find = |p: &&Param| p.name == param.name;
        let old = before.params().list().iter().find(find).expect("one configuration makes one list of parameters");
        let (mut values, shape) = (old.tensor.to_vec::<f32>()?, old.tensor.shape());
        let dim: usize = shape[1..].iter().product();
        let n_old = shape[0];
        let more = n_old..param.tensor.shape()[0];
        match param.name.as_str() {
            "item.table" | "item.output" | "item.bias" if !more.is_empty() => {
                let means = means(&values, dim, model.catalogue().n_categories + 1, of_item);
                more.for_each(|item| values.extend_from_slice(&means[of_item(item)]));
            }
            "user.table" => {
                more.for_each(|_| values.extend_from_within(..dim));
                // Nothing was learned of them: they are like any new user.
                let strangers = (1..n_old).filter(|user| !knows(*user as u32));
                strangers.for_each(|user| values.copy_within(..dim, user * dim));
            }
            _ => {}
        }
        param.tensor.write(&values);
    }
    let more = model.catalogue().n_items > before.catalogue().n_items;
    if more && model.config().place_input && dataset.item_place.is_some() {
        keep_vectors(before, model)?;
    }
    Ok(())
}

/// The mean of the rows of the items of each category, and of all items where it has none (and for the unknown one).
fn means(values: &[f32], dim: usize, n_categories: usize, of_item: impl Fn(usize) -> usize) -> Vec<Vec<f32>> {
    let (mut sums, mut counts) = (vec![vec![0.0f64; dim]; n_categories + 1], vec![0usize; n_categories + 1]);
    for (item, row) in values.chunks_exact(dim).enumerate().skip(1) {
        for group in [of_item(item), n_categories] {
            counts[group] += 1;
            sums[group].iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v));
        }
    }
    let group = |c: usize| if c == 0 || counts[c] == 0 { n_categories } else { c };
    let mean = |c: usize| sums[c].iter().map(|sum| (sum / counts[c].max(1) as f64) as f32).collect();
    (0..n_categories).map(|c| mean(group(c))).collect()
}

/// The map on which places lie may have grown, and with it what a place says: the own vectors of the old items take up the
/// difference.
fn keep_vectors(before: &Model, model: &Model) -> Result<()> {
    let vectors = |m: &Model| m.vectors(&mut Tape::off()).to_vec::<f32>();
    let (was, is) = (vectors(before)?, vectors(model)?);
    let dim = model.config().dim;
    // What items are scored by has the same additions.
    for table in model.params().list().iter().filter(|p| ["item.table", "item.output"].contains(&p.name.as_str())) {
        let mut values = table.tensor.to_vec::<f32>()?;
        values.iter_mut().zip(is.iter().zip(&was)).skip(dim).for_each(|(v, (is, was))| *v += was - is);
        table.tensor.write(&values);
    }
    Ok(())
}
