//! A probability that the catalogue shares with others: the pointer into the own history, the neighbours.
//!
//! ```text
//! p = c (softmax(s) + x),   with a part T and its gate σ(a):  p ← (1 − σ(a)) p + σ(a) T,   so  x ← x + T e^a / c,  c ← c (1 − σ(a))
//! ```
//! Items are ranked by `p`, and as `softmax` keeps the order of `s`, only those that a part names have to be looked at: for them
//! `ln(p_i / (c e^−lse)) = s_i + boost_i` with `boost_i = ln(1 + x_i / e^(s_i − lse))`, for all others it is `s_i`.

use super::Model;
use crate::error::Result;
use crate::ops::{self, CrossEntropy};
use crate::tape::Tape;
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// What one part says for one history: the logit of its gate, and its probabilities; those of an item that is named several
/// times add up.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub logit: f64,
    pub shares: Vec<(u32, f64)>,
}

/// The items that the parts name for one history in the order of their ids, and `ln(c e^−lse)`: what turns `score + boost`
/// of any item into `ln p`.
#[derive(Debug, Clone, Default)]
pub(super) struct Mixed {
    pub items: Vec<Lifted>,
    pub log_share: f64,
}

/// One item that a part names: its score in the catalogue, and what the parts add.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifted {
    pub item: u32,
    pub score: f32,
    pub boost: f32,
}

impl Mixed {
    pub fn find(&self, item: u32) -> Option<&Lifted> {
        self.items.binary_search_by_key(&item, |lifted| lifted.item).ok().map(|at| &self.items[at])
    }
}

/// What the parts of each history, the innermost first, make of `states: [rows, dim]` and the catalogue's `vectors`.
pub(super) fn mix(model: &Model, states: &Tensor, vectors: &Tensor, parts: &[Vec<Part>]) -> Result<Vec<Mixed>> {
    let lse = log_sum_exp(model, states, vectors)?;
    let sums: Vec<(BTreeMap<u32, f64>, f64)> = parts.iter().map(|parts| together(parts)).collect();
    let pairs: Vec<(u32, u32)> =
        (0..).zip(&sums).flat_map(|(row, (added, _))| added.keys().map(move |item| (row, *item))).collect();
    let mut scores = model.scores_of(states, vectors, &pairs)?.into_iter();
    let mut lists = Vec::new();
    for ((added, log_left), lse) in sums.iter().zip(lse) {
        let lifted = added.iter().zip(&mut scores).map(|((item, added), score)| {
            let boost = softplus(added.ln() - (f64::from(score) - lse)) as f32;
            Lifted { item: *item, score, boost }
        });
        lists.push(Mixed { items: lifted.collect(), log_share: log_left - lse });
    }
    Ok(lists)
}

/// `x` and `ln c`.
fn together(parts: &[Part]) -> (BTreeMap<u32, f64>, f64) {
    let (mut added, mut log_left) = (BTreeMap::new(), 0.0);
    for Part { logit, shares } in parts {
        for (item, share) in shares {
            *added.entry(*item).or_insert(0.0) += share * (logit - log_left).exp();
        }
        log_left -= softplus(*logit); // ln(1 − σ(a))
    }
    (added, log_left)
}

/// Of the scores of the whole catalogue, for each state.
fn log_sum_exp(model: &Model, states: &Tensor, vectors: &Tensor) -> Result<Vec<f64>> {
    let n = states.shape()[0];
    let options = CrossEntropy { first_item: 1, ..CrossEntropy::default() };
    let targets = Tensor::from_slice(&model.gpu, &vec![1u32; n], &[n]);
    let nll = ops::cross_entropy(&mut Tape::off(), states, vectors, model.item_bias.as_ref(), &targets, &options);
    let pairs: Vec<(u32, u32)> = (0..n as u32).map(|row| (row, 1)).collect();
    let scores = model.scores_of(states, vectors, &pairs)?;
    Ok(nll.to_vec::<f32>()?.iter().zip(scores).map(|(nll, score)| f64::from(*nll) + f64::from(score)).collect())
}

/// `ln(1 + e^x)`
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_what_the_inner_ones_leave() {
        let sigmoid = |a: f64| 1.0 / (1.0 + (-a).exp());
        let parts = [
            Part { logit: -0.3, shares: vec![(2, 0.5), (5, 0.25), (2, 0.25)] },
            Part { logit: 1.2, shares: vec![(1, 0.5), (2, 0.5)] },
        ];
        let softmax = [0.1, 0.2, 0.3, 0.15, 0.25];
        let (added, log_left) = together(&parts);
        for item in 1..=5u32 {
            let of = |part: &Part| part.shares.iter().filter(|s| s.0 == item).map(|s| s.1).sum::<f64>();
            let mut p = softmax[item as usize - 1];
            for part in &parts {
                p = (1.0 - sigmoid(part.logit)) * p + sigmoid(part.logit) * of(part);
            }
            let found = log_left.exp() * (softmax[item as usize - 1] + added.get(&item).copied().unwrap_or(0.0));
            assert!((found - p).abs() < 1e-12, "item {item}: {found} is not {p}");
        }
    }
}
