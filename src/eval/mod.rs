//! Which events are predicted, how rankings are judged ([`metrics`]) and what a counter reaches ([`baselines`]); what
//! probabilities are worth ([`calibration`]), and what is left where little is known ([`cold`]).
//!
//! Leave-one-out by position: a user's last event is the test case, the last but one the validation case, and all before
//! is for training. Users with fewer than three events are not evaluated, and all their events are for training.
//! All items are ranked, and ties go against the target: a model that scores everything alike gets the last rank.

pub mod baselines;
pub mod calibration;
pub mod cold;
pub mod metrics;
pub mod optimum;
mod ranking;

pub use ranking::{rank, ranks_as_new, validation_ranks};

use crate::data::Dataset;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How many items of each ranking are kept, best first.
pub const TOP: usize = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    Validation,
    Test,
}

/// What happens to the items that a user has met before the event to predict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seen {
    /// They are removed from the ranking, all but the target itself: films, books.
    Filter,
    /// They stay: places, music, groceries.
    Keep,
}

/// One event to predict. `history` and `target` point into the event columns of the dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub user: u32,
    /// All events of the user before the target; for a test case that includes the validation event.
    pub history: Range<usize>,
    pub target: usize,
}

/// The ranking of all items for each case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranked {
    /// `[cases]`: 1 + the number of other candidates that score at least as high as the target.
    pub ranks: Vec<u32>,
    /// `[cases]`: up to [`TOP`] item ids, best first.
    pub top: Vec<Vec<u32>>,
}

impl Ranked {
    /// The cases where `keep` is true.
    pub fn select(&self, keep: &[bool]) -> Ranked {
        assert_eq!(keep.len(), self.ranks.len(), "Ranked::select: one flag for each case");
        let kept = || keep.iter().enumerate().filter(|(_, k)| **k).map(|(case, _)| case);
        Ranked {
            ranks: kept().map(|case| self.ranks[case]).collect(),
            top: kept().map(|case| self.top[case].clone()).collect(),
        }
    }

    /// Adds the ranking of one case from the scores of all items: `scores[i - 1]` is the score of item id `i`.
    /// `removed` says which item ids are no candidates; the target always is one.
    ///
    /// # Panics
    /// If a score is NaN.
    pub fn push_scores(&mut self, scores: &[f64], target: u32, removed: impl Fn(u32) -> bool) {
        assert!(scores.iter().all(|s| !s.is_nan()), "Ranked::push_scores: a score is NaN");
        let to_beat = scores[target as usize - 1];
        let mut candidates: Vec<u32> = (1..=scores.len() as u32).filter(|&i| i == target || !removed(i)).collect();
        self.ranks.push(candidates.iter().filter(|&&i| scores[i as usize - 1] >= to_beat).count() as u32);
        let order = |a: &u32, b: &u32| scores[*b as usize - 1].total_cmp(&scores[*a as usize - 1]).then(a.cmp(b));
        if candidates.len() > TOP {
            candidates.select_nth_unstable_by(TOP, order);
            candidates.truncate(TOP);
        }
        candidates.sort_unstable_by(order);
        self.top.push(candidates);
    }
}

/// The cases of a split, in the order of the user ids.
pub fn cases(dataset: &Dataset, split: Split) -> Vec<Case> {
    let from_end = match split {
        Split::Validation => 2,
        Split::Test => 1,
    };
    (1..=dataset.n_users())
        .filter_map(|user| {
            let events = dataset.events_of(user);
            let target = events.end - from_end.min(events.len());
            (events.len() >= 3).then_some(Case { user: user as u32, history: events.start..target, target })
        })
        .collect()
}

/// The events of user id `user` (from 1) that a model may learn from.
pub fn training_events(dataset: &Dataset, user: usize) -> Range<usize> {
    let events = dataset.events_of(user);
    let held_out = if events.len() >= 3 { 2 } else { 0 };
    events.start..events.end - held_out
}

/// `[n_items]`: how many training events each item has; item id `i` is at `i - 1`.
pub fn training_counts(dataset: &Dataset) -> Vec<u32> {
    let mut counts = vec![0; dataset.n_items()];
    for user in 1..=dataset.n_users() {
        for &item in &dataset.item[training_events(dataset, user)] {
            counts[item as usize - 1] += 1;
        }
    }
    counts
}

/// For each case whether its target is an item that the user has not met before: a counter of own visits scores 0 there.
pub fn never_visited(dataset: &Dataset, cases: &[Case]) -> Vec<bool> {
    cases.iter().map(|case| !dataset.item[case.history.clone()].contains(&dataset.item[case.target])).collect()
}
