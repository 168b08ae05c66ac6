//! The best that any model can do on the synthetic city, from its true probabilities.

use super::{Case, Ranked};
use crate::data::city::{City, Truth};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What is known about the event to predict, besides all of the history and the city itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knows {
    /// Its time: the time of the request, which a server does know.
    Time,
    /// Nothing. The time is averaged out, by drawing it [`TIMES`] times as the city does.
    Nothing,
}

/// Draws of the time of the event where it is not known.
pub const TIMES: usize = 128;

/// All places ranked by their true probability. On average over many cases no model of the same knowledge does better in
/// any of the metrics; on a given few hundred cases one may by luck.
pub fn optimum(city: &City, cases: &[Case], knows: Knows) -> Ranked {
    let mut ranked = Ranked::default();
    for case in cases {
        ranked.push_scores(&probabilities(city, case, knows), city.dataset.item[case.target], |_| false);
    }
    ranked
}

/// `[n_items]` true probabilities of the next place.
pub fn probabilities(city: &City, case: &Case, knows: Knows) -> Vec<f64> {
    let (items, times) = (&city.dataset.item[case.history.clone()], &city.dataset.time[case.history.clone()]);
    let chooser = city.truth.chooser(case.user);
    let at = |time: i64| chooser.log_probabilities(items, times, time).into_iter().map(f64::exp);
    match (knows, times.last()) {
        (Knows::Nothing, Some(&last)) => {
            let mut rng = ChaCha8Rng::seed_from_u64(case.target as u64);
            let mut sum = vec![0.0; city.dataset.n_items()];
            for _ in 0..TIMES {
                sum.iter_mut().zip(at(Truth::draw_time(last, &mut rng))).for_each(|(sum, p)| *sum += p / TIMES as f64);
            }
            sum
        }
        // Without a history there is no last time to draw from; no case of a split is like that.
        _ => at(city.dataset.time[case.target]).collect(),
    }
}
