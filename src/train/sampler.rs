//! Which stretches of which histories make up the batches of an epoch.

use crate::data::Dataset;
use crate::eval::training_events;
use crate::model::{History, Request};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How histories longer than the model's `len` are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Windows {
    /// The newest `len` events of each user: the newest behaviour counts most.
    #[default]
    Last,
    /// The whole history, cut into windows of `len` from its end, so that every event is trained once.
    All,
    /// Windows of `len` that start `len / 2` apart.
    Sliding,
}

/// One training row: events `range` of the dataset; all but the last are read, all but the first are predicted.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    pub user: u32,
    pub range: Range<usize>,
}

/// Every stretch of the training events, in the order of users.
pub fn stretches(dataset: &Dataset, len: usize, windows: Windows) -> Vec<Stretch> {
    let mut list = Vec::new();
    for user in 1..=dataset.n_users() {
        let range = training_events(dataset, user);
        let mut end = range.end;
        while end >= range.start + 2 {
            let start = end.saturating_sub(len + 1).max(range.start);
            list.push(Stretch { user: user as u32, range: start..end });
            let step = match windows {
                Windows::Last => break,
                Windows::All => len,
                Windows::Sliding => len.div_ceil(2),
            };
            if start == range.start {
                break;
            }
            end -= step;
        }
    }
    list
}

/// Batches drawn at once from which rows of like length are put together.
const POOL: usize = 16;

/// The batches of one epoch: rows shuffled, then sorted by length within pools, so that the rows that a GRU
/// takes through time together end together; the order of the batches is shuffled again. Determined by `seed` and `epoch`.
pub fn epoch_batches(stretches: &[Stretch], batch: usize, seed: u64, epoch: usize) -> Vec<Vec<usize>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch as u64 + 1);
    let mut order: Vec<usize> = (0..stretches.len()).collect();
    order.shuffle(&mut rng);
    for pool in order.chunks_mut(batch * POOL) {
        pool.sort_by_key(|i| stretches[*i].range.len());
    }
    let mut batches: Vec<Vec<usize>> = order.chunks(batch).map(<[usize]>::to_vec).collect();
    batches.shuffle(&mut rng);
    batches
}

/// The history of `range`, as a row of a batch.
pub fn history(dataset: &Dataset, user: u32, range: Range<usize>, request: Request) -> History<'_> {
    History {
        user,
        items: &dataset.item[range.clone()],
        times: &dataset.time[range.clone()],
        places: dataset.place.as_ref().map(|p| &p[range.clone()]),
        ratings: dataset.rating.as_ref().map(|r| &r[range]),
        request,
    }
}

/// `user`, or 0 for "never seen" where there was nothing to learn of that user: one event alone has none before it.
pub fn known_user(dataset: &Dataset, user: u32) -> u32 {
    if training_events(dataset, user as usize).len() >= 2 { user } else { 0 }
}

/// What the request for event `target` knows: its time.
pub fn request_of(dataset: &Dataset, target: usize) -> Request {
    Request { time: Some(dataset.time[target]), place: None }
}
