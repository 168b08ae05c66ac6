//! How the people of the city choose: the planted truth.
//!
//! The log-probability that a person goes to place `p` at time `t` is, up to the sum over all places that makes it one,
//! ```text
//!   appeal(p) + style · style(p) + taste(t)[kind(p)] + hours[kind(p), t]
//! + near(gap) (follows[kind(last), kind(p)] - LAST_PULL ln(1 + km(last, p) / KM))
//! - (1 - near(gap)) HOME_PULL ln(1 + km(home, p) / KM)
//! + ln(1 + HABIT sum over past visits to p of (1 + age / HABIT_AGE)^-HABIT_POWER)
//! - STAY [p = last]
//! ```
//! `gap` is the time since the last event and `near` falls from 1 to 0 as it grows. `taste` moves over two months.

use super::names::{KINDS, Kind};
use super::{DAY, HOUR, START};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

const KM: f64 = 0.4;
const LAST_PULL: f64 = 2.5;
const HOME_PULL: f64 = 1.3;
const FOLLOWS: f64 = 2.5;
const STAY: f64 = 2.5;
const HABIT: f64 = 2.0;
const HABIT_AGE: f64 = 1.0 * DAY as f64;
const HABIT_POWER: f64 = 0.8;
/// The gap at which half of the pull of the last place is left.
const NEAR_GAP: f64 = 2.0 * HOUR as f64;
const CLOSED: f64 = -6.0;
const PEAK: f64 = 3.0;
/// A taste has moved from its first to its second state after this time.
const DRIFT: f64 = 60.0 * DAY as f64;
/// How likely the next event belongs to the same outing.
const SAME_OUTING: f64 = 0.55;

pub(super) const STYLES: usize = 3;

#[derive(Debug, Clone)]
pub(super) struct Place {
    pub kind: usize,
    /// km east and north of the centre.
    pub at: [f64; 2],
    pub appeal: f64,
    pub style: [f64; STYLES],
}

#[derive(Debug, Clone)]
pub(super) struct Person {
    pub home: [f64; 2],
    pub style: [f64; STYLES],
    /// Taste for each kind at [`START`] and from [`DRIFT`] on.
    pub taste: [[f64; KINDS.len()]; 2],
}

/// The true choice model of a city. Its optimum is computed in [`crate::eval::optimum`].
#[derive(Debug, Clone)]
pub struct Truth {
    pub(super) places: Vec<Place>,
    pub(super) people: Vec<Person>,
    /// `[kind][weekend][hour]`
    pub(super) hours: Vec<[[f64; 24]; 2]>,
}

/// One person with what does not change from event to event.
pub struct Chooser<'a> {
    truth: &'a Truth,
    person: &'a Person,
    /// `[places]`: appeal and style.
    base: Vec<f64>,
    /// `[places]`: `HOME_PULL ln(1 + km / KM)`.
    home: Vec<f64>,
}

impl Truth {
    pub fn chooser(&self, user: u32) -> Chooser<'_> {
        let person = &self.people[user as usize - 1];
        let dot = |a: &[f64; STYLES], b: &[f64; STYLES]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        Chooser {
            truth: self,
            person,
            base: self.places.iter().map(|p| p.appeal + dot(&p.style, &person.style)).collect(),
            home: self.places.iter().map(|p| HOME_PULL * log_km(distance(p.at, person.home))).collect(),
        }
    }

    /// What is left of the pull of the last place after `gap` seconds, 1 to 0. Planted curve of time.
    pub fn near(gap: f64) -> f64 {
        1.0 / (1.0 + (gap / NEAR_GAP).powi(2))
    }

    /// What `km` from the last place add to the log-probability, `gap` seconds after it. Planted curve of distance.
    pub fn distance_effect(gap: f64, km: f64) -> f64 {
        -Self::near(gap) * LAST_PULL * log_km(km)
    }

    /// What one earlier visit, `age` seconds ago, adds to the log-probability of a place. Planted curve of age.
    pub fn habit_effect(age: f64) -> f64 {
        habit(age).ln_1p()
    }

    /// `(seconds, effect)` at log-spaced gaps from a minute to a hundred days: [`Truth::near`] times the log-odds between
    /// a kind that follows and one that does not.
    pub fn gap_curve() -> Vec<[f64; 2]> {
        log_spaced(60.0, 100.0 * DAY as f64).map(|gap| [gap, Self::near(gap) * FOLLOWS]).collect()
    }

    /// `(seconds, effect)` of [`Truth::habit_effect`] at log-spaced ages from a minute to a hundred days.
    pub fn habit_curve() -> Vec<[f64; 2]> {
        log_spaced(60.0, 100.0 * DAY as f64).map(|age| [age, Self::habit_effect(age)]).collect()
    }

    /// `(km, effect)` of [`Truth::distance_effect`] at log-spaced distances from 50 m to 20 km, `gap` seconds after.
    pub fn distance_curve(gap: f64) -> Vec<[f64; 2]> {
        log_spaced(0.05, 20.0).map(|km| [km, Self::distance_effect(gap, km)]).collect()
    }

    /// Draws when the next event is. It depends on the time of the last and on nothing else, so where people go tells
    /// nothing about when.
    pub fn draw_time(last: i64, rng: &mut ChaCha8Rng) -> i64 {
        if rng.random_bool(SAME_OUTING) {
            let gap = (40.0 * 60.0 * (0.6 * normal(rng)).exp()).clamp(300.0, 4.0 * HOUR as f64);
            let next = last + gap as i64;
            // Nobody goes out again in the small hours.
            if !(2..6).contains(&((next - START).rem_euclid(DAY) / HOUR)) {
                return next;
            }
        }
        let mut day = (last - START).div_euclid(DAY);
        loop {
            let peak = [8.5, 12.5, 18.5][rng.random_range(0..3u32) as usize];
            let next = START + day * DAY + ((peak + 1.3 * normal(rng)) * HOUR as f64) as i64;
            if next > last + 4 * HOUR {
                return next;
            }
            day += if rng.random_bool(0.75) { 1 } else { 2 };
        }
    }
}

impl Chooser<'_> {
    /// The true log-probability of each place, `[places]`, for someone who was at `items` (ids) at `times`, and goes out
    /// at `time`, which is part of the state.
    pub fn log_probabilities(&self, items: &[u32], times: &[i64], time: i64) -> Vec<f64> {
        let taste = self.taste(time);
        let hour = ((time - START).rem_euclid(DAY) / HOUR) as usize;
        let weekend = ((time - START).div_euclid(DAY).rem_euclid(7) >= 5) as usize;
        let mut by_kind: [f64; KINDS.len()] =
            std::array::from_fn(|kind| taste[kind] + self.truth.hours[kind][weekend][hour]);
        let last = items.last().map(|&item| item as usize - 1);
        let near = times.last().map_or(0.0, |&last| Truth::near((time - last) as f64));
        if let Some(last) = last {
            let kind = self.truth.places[last].kind;
            KINDS[kind].then.iter().for_each(|&then| by_kind[then] += near * FOLLOWS);
        }
        let mut scores: Vec<f64> = vec![0.0; self.base.len()];
        for (&item, &then) in items.iter().zip(times) {
            scores[item as usize - 1] += habit((time - then) as f64);
        }
        for (index, score) in scores.iter_mut().enumerate() {
            let place = &self.truth.places[index];
            *score = score.ln_1p() + self.base[index] + by_kind[place.kind] - (1.0 - near) * self.home[index];
            if let Some(last) = last {
                *score -= near * LAST_PULL * log_km(distance(place.at, self.truth.places[last].at));
            }
        }
        if let Some(last) = last {
            scores[last] -= STAY;
        }
        let max = scores.iter().copied().fold(f64::MIN, f64::max);
        let log_sum = max + scores.iter().map(|s| (s - max).exp()).sum::<f64>().ln();
        scores.iter_mut().for_each(|s| *s -= log_sum);
        scores
    }

    fn taste(&self, time: i64) -> [f64; KINDS.len()] {
        let moved = ((time - START) as f64 / DRIFT).clamp(0.0, 1.0);
        let [from, to] = &self.person.taste;
        std::array::from_fn(|kind| from[kind] + moved * (to[kind] - from[kind]))
    }
}

/// `[kind][weekend][hour]`: what the hour adds to the log-probability of a kind of place.
pub(super) fn hours() -> Vec<[[f64; 24]; 2]> {
    let effect = |kind: usize, weekend: usize, hour: usize| {
        let Kind { open, peaks, weekend: bonus, .. } = &KINDS[kind];
        // A bar that closes at three is open at one, which is hour 25 of the day before.
        let is_open = |h: usize| (open[0] as usize..open[1] as usize).contains(&h);
        if !is_open(hour) && !is_open(hour + 24) {
            return CLOSED;
        }
        let middle = hour as f64 + 0.5;
        let bump = |peak: f64| {
            let apart = (middle - peak).abs() % 24.0;
            (-(apart.min(24.0 - apart) / 1.5).powi(2)).exp()
        };
        PEAK * peaks.iter().map(|&p| bump(p)).fold(0.0, f64::max) + weekend as f64 * bonus
    };
    (0..KINDS.len()).map(|kind| std::array::from_fn(|w| std::array::from_fn(|hour| effect(kind, w, hour)))).collect()
}

fn habit(age: f64) -> f64 {
    HABIT * (1.0 + age / HABIT_AGE).powf(-HABIT_POWER)
}

fn log_km(km: f64) -> f64 {
    (km / KM).ln_1p()
}

pub(super) fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// Box and Muller: a draw from the standard normal distribution.
pub(super) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

fn log_spaced(from: f64, to: f64) -> impl Iterator<Item = f64> {
    const POINTS: u32 = 60;
    (0..POINTS).map(move |i| from * (to / from).powf(i as f64 / (POINTS - 1) as f64))
}
