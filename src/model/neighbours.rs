//! Neighbours: what others had near the items of a history, counted, beside what the network says.
//!
//! ```text
//! p_i = (1 − g) softmax(s)_i + g T_i,   T_i = Σ_k w_k c(x_k, i) / Σ_k w_k Σ_j c(x_k, j)
//! ```
//! `c(a, b)` counts how often `b` was had near `a` in the histories of training, `x_k` are the newest items of the history,
//! and `w_k` falls with their age. After Sarwar et al. 2001, <https://doi.org/10.1145/371920.372071>, for sequences as in
//! Ludewig & Jannach 2018, <https://arxiv.org/abs/1803.09587>.
//!
//! The share `g` is a setting, chosen by validation, and training knows nothing of it. A share learned with the rest, from
//! counts without the event in question, came out worse: presumably because the network remembers events of training and the
//! counts may not, so that the share is made for a network that knows more than it does of what is new.

use super::mixed::Part;
use std::collections::BTreeMap;
use std::ops::Range;

/// An event counts for those at most so many places away in its history, ...
const WINDOW: usize = 20;
/// ... each this times as much as one that is a place nearer, before or after.
const NEAR: f32 = 0.9;
/// Of each item, so many neighbours are kept: those with the largest counts.
const KEPT: usize = 64;
/// So many of the newest items of a history are asked for their neighbours, ...
const NEWEST: usize = 16;
/// ... each with this times the weight of the next newer one.
const AGE: f32 = 0.8;

/// For each item, what was had near it, and how often: nearer events count more.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Neighbours {
    /// `[n_items + 2]`: the neighbours of item id `i` are at `offsets[i]..offsets[i + 1]`; none of the padding.
    offsets: Vec<u32>,
    /// Ascending ids for each item.
    items: Vec<u32>,
    counts: Vec<f32>,
}

impl Neighbours {
    /// Counts over `histories`, items of each in order, ids from 1 to `n_items`.
    pub fn count(n_items: usize, histories: &[&[u32]]) -> Neighbours {
        let mut at: Vec<Vec<(u32, u32)>> = vec![Vec::new(); n_items + 1];
        for (h, history) in (0..).zip(histories) {
            (0..).zip(*history).for_each(|(t, item)| at[*item as usize].push((h, t)));
        }
        let mut neighbours = Neighbours { offsets: vec![0, 0], ..Neighbours::default() };
        let mut sums = vec![0.0f32; n_items + 1];
        for (item, events) in at.iter().enumerate().skip(1) {
            let mut met: Vec<u32> = Vec::new();
            for (h, t) in events {
                let (history, t) = (histories[*h as usize], *t as usize);
                for other in around(t, 0..history.len()).filter(|o| history[*o] as usize != item) {
                    let sum = &mut sums[history[other] as usize];
                    if *sum == 0.0 {
                        met.push(history[other]);
                    }
                    *sum += nearness(t, other);
                }
            }
            let mut row: Vec<(u32, f32)> = met.iter().map(|i| (*i, std::mem::take(&mut sums[*i as usize]))).collect();
            row.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            row.truncate(KEPT);
            row.sort_unstable_by_key(|(item, _)| *item);
            neighbours.push(&row);
        }
        neighbours
    }

    fn push(&mut self, row: &[(u32, f32)]) {
        self.items.extend(row.iter().map(|r| r.0));
        self.counts.extend(row.iter().map(|r| r.1));
        self.offsets.push(self.items.len() as u32);
    }

    /// From the parts that [`Neighbours::parts`] gave.
    ///
    /// # Errors
    /// Says what is wrong where they are none for a catalogue of `n_items`.
    pub fn from_parts(
        n_items: usize,
        offsets: &[u32],
        items: &[u32],
        counts: &[f32],
    ) -> std::result::Result<Neighbours, String> {
        let check = |ok: bool, message: &str| if ok { Ok(()) } else { Err(message.to_string()) };
        let ends = offsets.first() == Some(&0) && offsets.last().is_some_and(|end| *end as usize == items.len());
        check(offsets.len() == n_items + 2 && ends && offsets.is_sorted(), "neighbours: offsets of another catalogue")?;
        check(items.len() == counts.len(), "neighbours: not as many counts as items")?;
        check(items.iter().all(|i| (1..=n_items as u32).contains(i)), "neighbours: an item that is none")?;
        check(counts.iter().all(|c| c.is_finite() && *c > 0.0), "neighbours: a count that is none")?;
        let mut neighbours = Neighbours { offsets: vec![0], ..Neighbours::default() };
        for ends in offsets.windows(2) {
            let range = ends[0] as usize..ends[1] as usize;
            let row: Vec<(u32, f32)> =
                items[range.clone()].iter().copied().zip(counts[range].iter().copied()).collect();
            check(row.windows(2).all(|w| w[0].0 < w[1].0), "neighbours: ids that do not ascend")?;
            neighbours.push(&row);
        }
        Ok(neighbours)
    }

    /// Offsets `[n_items + 2]`, items and counts: all there is to keep.
    pub fn parts(&self) -> (&[u32], &[u32], &[f32]) {
        (&self.offsets, &self.items, &self.counts)
    }

    /// What was had near `item`, by ascending ids; nothing for one that counting never saw.
    pub fn of(&self, item: u32) -> impl Iterator<Item = (u32, f32)> + '_ {
        let i = item as usize;
        let range =
            if i + 1 < self.offsets.len() { self.offsets[i] as usize..self.offsets[i + 1] as usize } else { 0..0 };
        self.items[range.clone()].iter().copied().zip(self.counts[range].iter().copied())
    }

    /// `T_i`: what the neighbours of `history` say of each item, by ascending ids; nothing where nobody had anything near those
    /// of the history.
    pub fn shares(&self, history: &[u32]) -> Vec<(u32, f64)> {
        let mut sums: BTreeMap<u32, f64> = BTreeMap::new();
        for (x, weight) in newest(history) {
            for (item, count) in self.of(x) {
                *sums.entry(item).or_insert(0.0) += f64::from(weight * count);
            }
        }
        let all: f64 = sums.values().sum();
        sums.into_iter().map(|(item, sum)| (item, sum / all)).collect()
    }

    /// [`Neighbours::shares`] with `share` of the probability, or none where they say nothing.
    pub(super) fn part(&self, history: &[u32], share: f32) -> Part {
        let shares = self.shares(history);
        let share = if shares.is_empty() { 0.0 } else { f64::from(share) };
        Part { logit: (share / (1.0 - share)).ln(), shares }
    }
}

/// Places of `within` near `t`, without itself.
fn around(t: usize, within: Range<usize>) -> impl Iterator<Item = usize> {
    let range = t.saturating_sub(WINDOW).max(within.start)..(t + WINDOW + 1).min(within.end);
    range.filter(move |o| *o != t)
}

/// What an event at `other` counts for the item at `t`.
fn nearness(t: usize, other: usize) -> f32 {
    NEAR.powi(t.abs_diff(other) as i32 - 1)
}

/// The newest items of a history with their weights.
fn newest(history: &[u32]) -> impl Iterator<Item = (u32, f32)> + '_ {
    history.iter().rev().take(NEWEST).scan(1.0, |weight, item| {
        let now = *weight;
        *weight *= AGE;
        Some((*item, now))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the definition: every pair of every history.
    fn c(a: u32, b: u32) -> f64 {
        let mut sum = 0.0;
        for h in HISTORIES {
            for (s, x) in h.iter().enumerate().filter(|(_, x)| **x == a) {
                for (t, _) in h.iter().enumerate().filter(|(_, y)| **y == b && *y != x) {
                    let gap = s.abs_diff(t);
                    if (1..=WINDOW).contains(&gap) {
                        sum += f64::from(NEAR).powi(gap as i32 - 1);
                    }
                }
            }
        }
        sum
    }

    const HISTORIES: [&[u32]; 5] = [
        &[1, 2, 3, 2, 1],
        &[2, 5],
        &[5, 1, 2],
        &[4],
        &[3, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 5, 7],
    ];

    #[test]
    fn counts_are_those_of_the_definition() {
        let counted = Neighbours::count(8, &HISTORIES);
        for a in 0..=9 {
            for b in 1..=8 {
                let found = counted.of(a).find(|n| n.0 == b).map_or(0.0, |n| f64::from(n.1));
                assert!((found - c(a, b)).abs() < 1e-5, "c({a}, {b}) is {}, found {found}", c(a, b));
            }
        }
        assert!(counted.of(3).any(|n| n.0 == 5) && counted.of(3).all(|n| n.0 != 7), "20 places count, 21 do not");
        let (offsets, items, counts) = counted.parts();
        assert_eq!(Neighbours::from_parts(8, offsets, items, counts), Ok(counted.clone()));
        assert!(Neighbours::from_parts(7, offsets, items, counts).is_err());
        assert!(Neighbours::from_parts(8, offsets, items, &counts[1..]).is_err());
        let reversed: Vec<u32> = items.iter().rev().copied().collect();
        assert!(Neighbours::from_parts(8, offsets, &reversed, counts).is_err());
    }

    #[test]
    fn shares_are_those_of_the_definition() {
        let counted = Neighbours::count(8, &HISTORIES);
        let history = [4, 1, 2, 2];
        let of = |i: u32| (0..4).map(|k| f64::from(AGE).powi(3 - k) * c(history[k as usize], i)).sum::<f64>();
        let all: f64 = (1..=8).map(of).sum();
        let part = counted.part(&history, 0.2);
        assert!((part.logit - 0.25f64.ln()).abs() < 1e-6);
        assert!(part.shares.windows(2).all(|w| w[0].0 < w[1].0));
        for item in 1..=8 {
            let found = part.shares.iter().find(|s| s.0 == item).map_or(0.0, |s| s.1);
            assert!((found - of(item) / all).abs() < 1e-6, "item {item}: {found} is not {}", of(item) / all);
        }
        // Where nobody had anything near, everything is the catalogue's.
        for nothing in [&[4][..], &[8, 4, 8], &[], &[100]] {
            let part = counted.part(nothing, 0.2);
            assert!(part.shares.is_empty() && part.logit == f64::NEG_INFINITY, "{nothing:?}");
        }
    }

    #[test]
    fn the_largest_are_kept() {
        let long: Vec<Vec<u32>> = (2..=100).map(|i| [1, i].repeat(1 + usize::from(i > 50))).collect();
        let histories: Vec<&[u32]> = long.iter().map(Vec::as_slice).collect();
        let kept: Vec<u32> = Neighbours::count(100, &histories).of(1).map(|n| n.0).collect();
        assert_eq!(kept.len(), KEPT);
        assert!((51..=100).all(|i| kept.contains(&i)), "those met most often");
    }
}
