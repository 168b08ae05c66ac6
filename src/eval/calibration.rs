//! Whether what the model calls probable happens that often: the sigmoid output against held-out ratings.
//!
//! Ratings exist for what people chose to rate alone, so this says nothing about items that a user would never have met.

use super::ranking::{BATCH, asked_whole};
use super::{Case, training_events};
use crate::data::Dataset;
use crate::error::Result;
use crate::model::{History, Model};
use serde::Serialize;
use std::fmt;

/// Bins of equal width from 0 to 1.
pub const BINS: usize = 10;

/// A probability, and whether the event was liked.
pub type Said = (f64, bool);

/// The reliability curve and what it amounts to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// A rating from here on is "liked".
    pub like: f32,
    /// Held-out events with a rating.
    pub events: usize,
    /// Mean probability, and the share that was liked.
    pub probability: f64,
    pub liked: f64,
    /// Expected calibration error: how far mean probability and share liked are apart in a bin, on average over events.
    pub ece: f64,
    /// Mean squared difference between probability and what happened.
    pub brier: f64,
    /// What needs no model: always to say the share of training events that were liked.
    pub constant: Constant,
    pub bins: Vec<Bin>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Constant {
    pub probability: f64,
    pub ece: f64,
    pub brier: f64,
}

/// The events whose probability is at least `from` and below `to`; 1 is in the last. An empty bin has no means.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    pub from: f64,
    pub to: f64,
    pub events: usize,
    pub probability: Option<f64>,
    pub liked: Option<f64>,
}

impl Calibration {
    /// `constant` is the share of training events that were liked: see [`liked_share`]. `None` without events.
    ///
    /// # Panics
    /// If something is no probability.
    pub fn of(said: &[Said], like: f32, constant: f64) -> Option<Calibration> {
        let wrong = said.iter().find(|(p, _)| !(0.0..=1.0).contains(p));
        assert!(wrong.is_none(), "Calibration::of: {wrong:?} is no probability");
        if said.is_empty() {
            return None;
        }
        let n = said.len() as f64;
        let bins = bins(said);
        let apart = |bin: &Bin| Some(bin.events as f64 * (bin.probability? - bin.liked?).abs());
        let brier = |p: &dyn Fn(f64) -> f64| said.iter().map(|(s, y)| (p(*s) - truth(*y)).powi(2)).sum::<f64>() / n;
        let liked = said.iter().map(|(_, y)| truth(*y)).sum::<f64>() / n;
        Some(Calibration {
            like,
            events: said.len(),
            probability: said.iter().map(|(p, _)| p).sum::<f64>() / n,
            liked,
            ece: bins.iter().filter_map(apart).sum::<f64>() / n,
            brier: brier(&|p| p),
            constant: Constant { probability: constant, ece: (constant - liked).abs(), brier: brier(&|_| constant) },
            bins,
        })
    }
}

fn truth(liked: bool) -> f64 {
    f64::from(u8::from(liked))
}

fn bins(said: &[Said]) -> Vec<Bin> {
    let mut sums = [(0usize, 0.0, 0.0); BINS];
    for (p, liked) in said {
        let (events, probability, likes) = &mut sums[((p * BINS as f64) as usize).min(BINS - 1)];
        *events += 1;
        *probability += p;
        *likes += truth(*liked);
    }
    let edge = |bin: usize| bin as f64 / BINS as f64;
    let bin = |(at, (events, probability, likes)): (usize, (usize, f64, f64))| {
        let mean = |sum: f64| (events > 0).then(|| sum / events as f64);
        Bin { from: edge(at), to: edge(at + 1), events, probability: mean(probability), liked: mean(likes) }
    };
    sums.into_iter().enumerate().map(bin).collect()
}

/// The line `a z + b` through the log odds `z` of what was said that makes it most probable, as Platt 1999 fits it, with
/// his targets a little within 0 and 1. Never falling: where what is less probable happens more often, it is flat.
pub fn line(said: &[Said]) -> [f64; 2] {
    let events: Vec<(f64, bool)> = said.iter().map(|(p, liked)| (log_odds(*p), *liked)).collect();
    let liked = events.iter().filter(|(_, liked)| *liked).count() as f64;
    let (high, low) = ((liked + 1.0) / (liked + 2.0), 1.0 / (events.len() as f64 - liked + 2.0));
    let [mut a, mut b] = [0.0, log_odds((liked + 1.0) / (events.len() as f64 + 2.0))];
    let flat = [a, b];
    // Newton's method; the loss is convex, and a little curvature keeps the step finite.
    for _ in 0..50 {
        let (mut g, mut h) = ([0.0; 2], [1e-9, 0.0, 1e-9]);
        for (z, liked) in &events {
            let p = 1.0 / (1.0 + (-(a * z + b)).exp());
            let (d, w) = (p - if *liked { high } else { low }, p * (1.0 - p));
            g = [g[0] + d * z, g[1] + d];
            h = [h[0] + w * z * z, h[1] + w * z, h[2] + w];
        }
        let det = h[0] * h[2] - h[1] * h[1];
        let step = [(h[2] * g[0] - h[1] * g[1]) / det, (h[0] * g[1] - h[1] * g[0]) / det];
        if !step.iter().all(|s| s.is_finite()) || step.iter().all(|s| s.abs() < 1e-9) {
            break;
        }
        [a, b] = [a - step[0], b - step[1]];
    }
    if a > 0.0 && a.is_finite() && b.is_finite() { [a, b] } else { flat }
}

fn log_odds(p: f64) -> f64 {
    let p = p.clamp(1e-6, 1.0 - 1e-6);
    (p / (1.0 - p)).ln()
}

/// Share of the training events with a rating whose rating is at least `like`; `None` where none has one.
pub fn liked_share(dataset: &Dataset, like: f32) -> Option<f64> {
    let ratings = dataset.rating.as_ref()?;
    let learned = || (1..=dataset.n_users()).flat_map(|user| &ratings[training_events(dataset, user)]);
    let rated = learned().filter(|r| r.is_finite()).count();
    (rated > 0).then(|| learned().filter(|r| **r >= like).count() as f64 / rated as f64)
}

/// What the model says of the target of each case that has a rating, and whether it was liked. `watch` is told how many of
/// them are done.
///
/// # Errors
/// When the device fails.
///
/// # Panics
/// If the dataset has no ratings, or the model no sigmoid output.
pub fn said(
    model: &Model,
    dataset: &Dataset,
    cases: &[Case],
    like: f32,
    watch: &mut dyn FnMut(usize),
) -> Result<Vec<Said>> {
    let ratings = dataset.rating.as_ref().expect("a dataset with ratings");
    let mut rated: Vec<&Case> = cases.iter().filter(|case| ratings[case.target].is_finite()).collect();
    rated.sort_by_key(|case| case.history.len().min(model.config().len)); // as in `rank`
    let mut said = Vec::with_capacity(rated.len());
    for chunk in rated.chunks(BATCH) {
        let histories: Vec<History> = chunk.iter().map(|case| asked_whole(dataset, case)).collect();
        let targets: Vec<Vec<u32>> = chunk.iter().map(|case| vec![dataset.item[case.target]]).collect();
        for (case, scored) in chunk.iter().zip(model.score(&histories, &targets)?) {
            let probability = scored[0].probability.expect("a model with a sigmoid output");
            said.push((f64::from(probability), ratings[case.target] >= like));
        }
        watch(said.len());
    }
    Ok(said)
}

/// A table for people.
impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Calibration { like, events, probability, liked, ece, brier, constant, bins } = self;
        writeln!(f, "probability of \"liked\" (a rating of {like} or more) on {events} held-out events with a rating")?;
        writeln!(f, "{:<12}{:>8}{:>11}{:>9}", "said", "events", "mean said", "liked")?;
        for bin in bins {
            write!(f, "{:<12}{:>8}", format!("{:.1} to {:.1}", bin.from, bin.to), bin.events)?;
            match (bin.probability, bin.liked) {
                (Some(probability), Some(liked)) => writeln!(f, "{probability:>11.4}{liked:>9.4}")?,
                _ => writeln!(f, "{:>11}{:>9}", "-", "-")?,
            }
        }
        writeln!(f, "{:<12}{events:>8}{probability:>11.4}{liked:>9.4}", "all")?;
        writeln!(f, "expected calibration error {ece:.4}, Brier score {brier:.4}")?;
        let Constant { probability, ece, brier } = constant;
        writeln!(f, "always saying {probability:.4}, the share liked in training: {ece:.4}, {brier:.4}")
    }
}
