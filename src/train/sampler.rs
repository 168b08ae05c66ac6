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
    /// The whole history, cut into windows of `len` from its end, so that every event is trained once.
    #[default]
    All,
    /// The newest `len` events of each user: less to train, and less to learn from.
    Last,
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

/// The batches of one epoch: rows of all lengths, mixed by chance; in a batch the shorter come first, so that rows which a GRU
/// takes through time together end together. Batches of like length save no padding, as there is none, and were measured to teach
/// worse, presumably as each step then pulls towards people of one kind (docs/results.md). Determined by `seed` and `epoch`.
pub fn epoch_batches(stretches: &[Stretch], batch: usize, seed: u64, epoch: usize) -> Vec<Vec<usize>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch as u64 + 1);
    let mut order: Vec<usize> = (0..stretches.len()).collect();
    order.shuffle(&mut rng);
    let mut batches: Vec<Vec<usize>> = order.chunks(batch).map(<[usize]>::to_vec).collect();
    // The one with what is left over is not always the last.
    batches.shuffle(&mut rng);
    for batch in &mut batches {
        batch.sort_by_key(|i| stretches[*i].range.len());
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_a_fair_sample_of_all_rows() {
        let lengths: Vec<usize> = (0..1610).map(|i| 2 + i % 100).collect();
        let stretches: Vec<Stretch> = lengths.iter().map(|n| Stretch { user: 1, range: 0..*n }).collect();
        let batches = epoch_batches(&stretches, 16, 5, 0);
        let mut all = batches.concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..1610), "each row once");
        assert_eq!(batches, epoch_batches(&stretches, 16, 5, 0));
        assert_ne!(batches, epoch_batches(&stretches, 16, 5, 1));

        let mean = |rows: &[usize]| rows.iter().map(|i| lengths[*i] as f64).sum::<f64>() / rows.len() as f64;
        let whole: Vec<f64> = batches.iter().filter(|b| b.len() == 16).map(|b| mean(b)).collect();
        let spread = (whole.iter().map(|m| (m - 51.5).powi(2)).sum::<f64>() / whole.len() as f64).sqrt();
        // Lengths spread by 28.9, so the mean of 16 by a quarter of that; it is 28 where like goes with like.
        assert!((5.0..9.5).contains(&spread), "mean lengths spread by {spread}");
        assert!(batches.iter().all(|b| b.is_sorted_by_key(|i| lengths[*i])), "shorter rows first");
    }
}
