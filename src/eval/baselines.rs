//! What counting reaches: printed beside every result, because a model that does not beat a counter has learnt nothing.
//!
//! Counts come from training events only ([`super::training_events`]), for both splits; the history of a case is known,
//! so a test case starts from its validation event. Every baseline is a ranked *head* of few items, followed by all other
//! items by popularity, so that no case touches the whole catalogue. Items of equal score tie, and ties go against
//! the target; the lists break them by item id.

use super::{Case, Ranked, Seen, TOP, training_counts, training_events};
use crate::data::Dataset;
use std::collections::HashMap;

/// Compared from the left.
type Score = [u64; 2];

/// Item popularity and transitions, counted once for any number of cases.
pub struct Baselines<'a> {
    dataset: &'a Dataset,
    /// `[n_items]` training events of each item.
    counts: Vec<u32>,
    /// Item ids, the most popular first.
    by_count: Vec<u32>,
    /// `[n_items]`: how many items have at least as many events.
    at_least: Vec<u32>,
    /// `[n_items]`: what followed each item, with its score, best first.
    next: Vec<Vec<(u32, Score)>>,
}

impl<'a> Baselines<'a> {
    pub fn new(dataset: &'a Dataset) -> Self {
        let counts = training_counts(dataset);
        let mut by_count: Vec<u32> = (1..=dataset.n_items() as u32).collect();
        by_count.sort_by_key(|&item| std::cmp::Reverse(counts[item as usize - 1]));
        let at_least = counts
            .iter()
            .map(|&count| by_count.partition_point(|&item| counts[item as usize - 1] >= count) as u32)
            .collect();
        let next = transitions(dataset, &counts);
        Baselines { dataset, counts, by_count, at_least, next }
    }

    /// `[n_items]` training events of each item, as [`super::metrics::Metrics::of`] wants them.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// All three, with the names that they have in reports.
    pub fn all(&self, cases: &[Case], seen: Seen) -> [(&'static str, Ranked); 3] {
        [
            ("POP", self.pop(cases, seen)),
            ("Markov-1", self.markov(cases, seen)),
            ("USERFREQ", self.userfreq(cases, seen)),
        ]
    }

    /// By number of training events.
    pub fn pop(&self, cases: &[Case], seen: Seen) -> Ranked {
        self.rank(cases, seen, |_| Vec::new())
    }

    /// By how often an item came directly after the last item of the history, in anybody's training events. Equal counts
    /// are ordered by popularity, and so are all items that never followed.
    pub fn markov(&self, cases: &[Case], seen: Seen) -> Ranked {
        self.rank(cases, seen, |case| match self.dataset.item[case.history.clone()].last() {
            Some(&last) => self.next[last as usize - 1].clone(),
            None => Vec::new(),
        })
    }

    /// By the user's own number of visits in the history, then by the latest visit, which no two items share; items
    /// never visited come after, by popularity. For [`Seen::Keep`]: with [`Seen::Filter`] nothing visited is left but
    /// the target, which then is first because it is the target.
    pub fn userfreq(&self, cases: &[Case], seen: Seen) -> Ranked {
        self.rank(cases, seen, |case| {
            let mut visits: HashMap<u32, Score> = HashMap::new();
            for event in case.history.clone() {
                let item = self.dataset.item[event];
                let score = visits.entry(item).or_default();
                score[0] += 1;
                score[1] = event as u64;
            }
            let mut head: Vec<(u32, Score)> = visits.into_iter().collect();
            best_first(&mut head);
            head
        })
    }

    fn rank(&self, cases: &[Case], seen: Seen, head_of: impl Fn(&Case) -> Vec<(u32, Score)>) -> Ranked {
        let mut ranked = Ranked::default();
        // The number of the case in which an item was removed or put in the head, to clear nothing between cases.
        let mut marked = vec![0usize; self.dataset.n_items() + 1];
        for (number, case) in (1..).zip(cases) {
            let target = self.dataset.item[case.target];
            let count_of = |item: u32| self.counts[item as usize - 1];
            // Candidates of the popularity part that are as popular as the target, itself among them.
            let mut tail_ahead = self.at_least[target as usize - 1] as usize;
            let mut mark = |item: u32| {
                let new = marked[item as usize] != number;
                marked[item as usize] = number;
                tail_ahead -= (new && item != target && count_of(item) >= count_of(target)) as usize;
                new
            };
            if seen == Seen::Filter {
                self.dataset.item[case.history.clone()].iter().filter(|&&item| item != target).for_each(|&item| {
                    mark(item);
                });
            }
            let mut head = head_of(case);
            head.retain(|&(item, _)| mark(item));
            let rank = match head.iter().find(|(item, _)| *item == target) {
                Some((_, to_beat)) => head.iter().filter(|(_, score)| score >= to_beat).count(),
                None => head.len() + tail_ahead,
            };
            ranked.ranks.push(rank as u32);
            let tail = self.by_count.iter().copied().filter(|&item| marked[item as usize] != number);
            ranked.top.push(head.iter().map(|(item, _)| *item).chain(tail).take(TOP).collect());
        }
        ranked
    }
}

/// For each item what directly followed it in the training events of one user: `[times, popularity]`.
fn transitions(dataset: &Dataset, counts: &[u32]) -> Vec<Vec<(u32, Score)>> {
    let mut times: Vec<HashMap<u32, u64>> = vec![HashMap::new(); dataset.n_items()];
    for user in 1..=dataset.n_users() {
        for pair in dataset.item[training_events(dataset, user)].windows(2) {
            *times[pair[0] as usize - 1].entry(pair[1]).or_default() += 1;
        }
    }
    let row = |times: HashMap<u32, u64>| {
        let mut row: Vec<(u32, Score)> =
            times.into_iter().map(|(item, times)| (item, [times, counts[item as usize - 1] as u64])).collect();
        best_first(&mut row);
        row
    };
    times.into_iter().map(row).collect()
}

fn best_first(head: &mut [(u32, Score)]) {
    head.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
}
