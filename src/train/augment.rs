//! Rows changed at random, so that the same history is never learned twice in the same way.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// One way to change a row. Crop, mask and reorder are those of Xie et al. 2022, <https://arxiv.org/abs/2010.14395>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Augment {
    /// A stretch of it is kept, anywhere.
    Crop,
    /// Some events are hidden from what is read; all are predicted as before.
    Mask,
    /// The events of a stretch change places among themselves; the last one of the row stays.
    Reorder,
    /// The stretch whose events lie at the most even intervals is kept: Dang et al. 2023, <https://arxiv.org/abs/2212.08262>
    Time,
    /// It begins anywhere, as the history of somebody does of whom little is told: else what follows a short history would
    /// be learned from the first events of people alone.
    Start,
}

const NAMES: [(&str, Augment); 5] = [
    ("crop", Augment::Crop),
    ("mask", Augment::Mask),
    ("reorder", Augment::Reorder),
    ("time", Augment::Time),
    ("start", Augment::Start),
];

/// Some of them, of which each changed row gets one. As text: names with commas between, or `none`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Augments(pub Vec<Augment>);

impl TryFrom<String> for Augments {
    type Error = String;

    fn try_from(text: String) -> Result<Augments, String> {
        let one = |name: &str| match NAMES.iter().find(|(n, _)| *n == name.trim()) {
            Some((_, augment)) => Ok(*augment),
            None => Err(format!(
                "no way to change a row is called {name:?}; there are: none, crop, mask, reorder, time, start"
            )),
        };
        match text.trim() {
            "none" => Ok(Augments::default()),
            list => list.split(',').map(one).collect::<Result<_, _>>().map(Augments),
        }
    }
}

impl From<Augments> for String {
    fn from(augments: Augments) -> String {
        let name = |a: &Augment| NAMES.iter().find(|(_, b)| a == b).map_or("", |(name, _)| *name);
        match augments.0.is_empty() {
            true => "none".into(),
            false => augments.0.iter().map(name).collect::<Vec<_>>().join(","),
        }
    }
}

/// Events by their numbers in the dataset, in the order in which they are read; when each happened; which are hidden.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Events {
    pub ids: Vec<usize>,
    pub times: Vec<i64>,
    pub hidden: Vec<bool>,
}

impl Events {
    fn keep(&mut self, start: usize, n: usize) {
        self.ids = self.ids[start..start + n].to_vec();
        self.times = self.times[start..start + n].to_vec();
        self.hidden = self.hidden[start..start + n].to_vec();
    }

    /// Changes about `share` of the events, or any number of them where it is to begin anywhere.
    pub fn change(&mut self, how: Augment, share: f32, rng: &mut ChaCha8Rng) {
        let n = self.ids.len();
        let some = ((share * n as f32) as usize).max(1);
        match how {
            Augment::Crop => {
                let kept = n.saturating_sub(some).max(2.min(n));
                self.keep(rng.random_range(0..=n - kept), kept);
            }
            Augment::Time => {
                // Any number of events, so that it is not the same stretch every time.
                let kept = n.saturating_sub(rng.random_range(1..=some)).max(2.min(n));
                self.keep(most_even(&self.times, kept), kept);
            }
            Augment::Start => {
                let kept = rng.random_range(2.min(n)..=n);
                self.keep(n - kept, kept);
            }
            Augment::Mask => {
                let mut order: Vec<usize> = (0..n.saturating_sub(1)).collect(); // the last one is not read
                order.shuffle(rng);
                // Something is left to read.
                order.iter().take(some.min(order.len().saturating_sub(1))).for_each(|t| self.hidden[*t] = true);
            }
            Augment::Reorder => {
                let among = n.saturating_sub(1);
                let width = some.max(2).min(among);
                let start = rng.random_range(0..=among - width);
                self.ids[start..start + width].shuffle(rng);
            }
        }
    }
}

/// Where the stretch of `n` events starts whose intervals vary least; the first of several.
fn most_even(times: &[i64], n: usize) -> usize {
    let variance = |start: usize| {
        let gaps: Vec<f64> = times[start..start + n].windows(2).map(|w| w[1].saturating_sub(w[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len().max(1) as f64;
        gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>()
    };
    let all = (0..=times.len() - n).map(|start| (start, variance(start)));
    all.fold((0, f64::INFINITY), |best, next| if next.1 < best.1 { next } else { best }).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn events(times: &[i64]) -> Events {
        Events { ids: (10..10 + times.len()).collect(), times: times.to_vec(), hidden: vec![false; times.len()] }
    }

    fn changed(how: Augment, share: f32, seed: u64) -> Events {
        let mut events = events(&[0, 1, 2, 3, 4, 50, 51, 52, 53, 54]);
        events.change(how, share, &mut ChaCha8Rng::seed_from_u64(seed));
        events
    }

    #[test]
    fn a_crop_is_a_stretch() {
        let starts: Vec<usize> = (0..20)
            .map(|seed| {
                let row = changed(Augment::Crop, 0.3, seed);
                assert_eq!(row.ids.len(), 7);
                assert!(row.ids.windows(2).all(|w| w[1] == w[0] + 1));
                assert_eq!(row.times[0], events(&[0, 1, 2, 3, 4, 50, 51, 52, 53, 54]).times[row.ids[0] - 10]);
                row.ids[0]
            })
            .collect();
        assert!(starts.iter().any(|s| *s != starts[0]), "always the same");
    }

    #[test]
    fn a_row_begins_anywhere_and_ends_as_before() {
        let begun: std::collections::BTreeSet<usize> = (0..200)
            .map(|seed| {
                let row = changed(Augment::Start, 0.3, seed);
                assert!(row.ids.windows(2).all(|w| w[1] == w[0] + 1) && row.ids.last() == Some(&19));
                assert_eq!((row.times.len(), row.times.last()), (row.ids.len(), Some(&54)));
                row.ids[0]
            })
            .collect();
        assert_eq!(begun, (10..=18).collect());
    }

    #[test]
    fn the_most_even_stretch_is_kept() {
        for seed in 0..20 {
            let row = changed(Augment::Time, 0.6, seed);
            assert!((4..10).contains(&row.ids.len()));
            // Up to five events there is a stretch without the long gap.
            assert!(row.ids.len() > 5 || row.times.windows(2).all(|w| w[1] - w[0] == 1), "{row:?}");
        }
        assert_eq!(most_even(&[0, 10, 11, 21, 31, 41], 3), 2);
    }

    #[test]
    fn some_are_hidden_but_not_all_nor_the_last() {
        for seed in 0..20 {
            let row = changed(Augment::Mask, 0.3, seed);
            assert_eq!((row.hidden.iter().filter(|h| **h).count(), row.hidden[9]), (3, false));
            assert_eq!(row.ids, events(&[0; 10]).ids);
            let most = changed(Augment::Mask, 1.0, seed);
            assert_eq!(most.hidden.iter().filter(|h| **h).count(), 8, "something is left to read");
        }
    }

    #[test]
    fn a_stretch_changes_places_and_times_stay() {
        let mut moved = 0;
        for seed in 0..20 {
            let row = changed(Augment::Reorder, 0.4, seed);
            assert_eq!((row.times, row.ids[9]), (vec![0, 1, 2, 3, 4, 50, 51, 52, 53, 54], 19));
            let others: Vec<usize> = (0..10).filter(|t| row.ids[*t] != 10 + t).collect();
            assert!(others.is_empty() || others[others.len() - 1] - others[0] < 4, "{others:?}");
            moved += usize::from(!others.is_empty());
            let mut sorted = row.ids;
            sorted.sort_unstable();
            assert_eq!(sorted, (10..20).collect::<Vec<_>>());
        }
        assert!(moved > 10);
    }

    #[test]
    fn two_events_can_be_changed() {
        for (_, how) in NAMES {
            let mut row = events(&[1, 2]);
            row.change(how, 1.0, &mut ChaCha8Rng::seed_from_u64(1));
            assert_eq!(row.ids, [10, 11]);
        }
    }

    #[test]
    fn names_are_read_and_written() {
        let read = |text: &str| Augments::try_from(text.to_string());
        for text in ["none", "crop", "crop,mask,reorder,time,start"] {
            assert_eq!(read(text).map(String::from), Ok(text.to_string()));
        }
        assert_eq!(read("mask, time"), Ok(Augments(vec![Augment::Mask, Augment::Time])));
        assert!(read("crop,cut").unwrap_err().contains("\"cut\"; there are: none, crop, mask, reorder, time, start"));
    }
}
