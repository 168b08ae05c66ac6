//! Coming back: an item's probability is shared between the catalogue and a pointer into the user's own history.
//!
//! ```text
//! p_i = (1 − g) softmax(s)_i + g Σ_j a_j [item_j = i],   g = σ(W_g H + b)
//! ```
//! After Merity et al. 2017, <https://arxiv.org/abs/1609.07843>. Items are ranked by `p`, and as `softmax` keeps the order
//! of `s`, only those of the history have to be looked at: for them `ln(p_i / ((1 − g) e^−lse)) = s_i + boost_i` with
//! `boost_i = ln(1 + g a_i / ((1 − g) e^(s_i − lse)))`, for all others it is `s_i`.

use super::{Batch, History, Model};
use crate::error::Result;
use crate::nn::{Init, Linear, Params};
use crate::ops::{self, Activation, BiasLayout, CrossEntropy, Ids, Pointer, SpaceTime};
use crate::tape::Tape;
use crate::tensor::Tensor;

use super::Targets;

/// The pointer and its gate.
#[derive(Debug)]
pub(super) struct Repeats {
    qk: Linear,
    gate: Linear,
    /// `[1, layout]`
    pub table: Option<Tensor>,
}

/// The items of one history, each once, and `ln((1 − g) e^−lse)`: what turns `score + boost` of any item into `ln p`.
#[derive(Debug, Clone, Default)]
pub(super) struct Owns {
    pub items: Vec<Own>,
    pub log_share: f64,
}

/// One item of a history: its score in the catalogue, and what the pointer adds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own {
    pub item: u32,
    pub score: f32,
    pub boost: f32,
}

impl Repeats {
    pub fn new(p: &mut Params, dim: usize, layout: BiasLayout) -> Repeats {
        let qk = Linear::new(p, "pointer.qk", [dim, 2 * dim], true);
        // Half and half to start with, for everybody.
        let gate = Linear {
            w: p.add("pointer.gate.weight", &[1, dim], Init::ZeroMatrix),
            b: Some(p.add("pointer.gate.bias", &[1], Init::Zero)),
        };
        let table = (layout.size() > 0).then(|| p.add("pointer.bias", &[1, layout.size()], Init::Zero));
        Repeats { qk, gate, table }
    }

    fn bias(&self, batch: &Batch, layout: BiasLayout) -> Option<SpaceTime> {
        self.table.as_ref().and_then(|table| batch.bias(layout, table))
    }

    /// Rows `at` of the sequence `h: [rows, len, dim]`.
    fn rows(tape: &mut Tape, h: &Tensor, at: &Ids) -> Tensor {
        let dim = h.shape()[2];
        ops::embedding(tape, &h.reshape(&[h.len() / dim, dim]), at, None)
    }

    /// The gate's logit at the positions `at`: `[n]`.
    fn gate(&self, tape: &mut Tape, h: &Tensor, at: &Ids) -> Tensor {
        let rows = Repeats::rows(tape, h, at);
        let n = at.host().len();
        self.gate.forward(tape, &rows, Activation::None, None).reshape(&[n])
    }

    /// `[n]`: the negative log likelihood of the targets under both, from `nll` under the catalogue alone.
    pub fn loss(
        &self,
        tape: &mut Tape,
        model: &Model,
        h: &Tensor,
        batch: &Batch,
        targets: &Targets,
        nll: &Tensor,
    ) -> Tensor {
        let (rows, len) = (batch.rows, batch.len);
        let qk = self.qk.forward(tape, h, Activation::None, None).reshape(&[rows, len, 2 * h.shape()[2]]);
        let bias = self.bias(batch, model.layout);
        let options = Pointer { lengths: &batch.lengths, bias: bias.as_ref() };
        let mass = ops::pointer(tape, &qk, batch.items.tensor(), &targets.next, &options);
        let n = targets.items.host().len();
        let mass = ops::embedding(tape, &mass.reshape(&[rows * len, 1]), &targets.at, None).reshape(&[n]);
        let gate = self.gate(tape, h, &targets.at);
        ops::mixture(tape, nll, &gate, &mass)
    }

    /// For each history its items in the order of their ids.
    pub fn own(&self, model: &Model, forward: &Forward, histories: &[History]) -> Result<Vec<Owns>> {
        let Forward { batch, h, states, vectors } = forward;
        let tape = &mut Tape::off();
        let qk = self.qk.forward(tape, h, Activation::None, None).reshape(&[batch.rows, batch.len, 2 * h.shape()[2]]);
        let bias = self.bias(batch, model.layout);
        let weights = ops::pointer_weights(&model.gpu, &qk, &Pointer { lengths: &batch.lengths, bias: bias.as_ref() });
        let gate = self.gate(tape, h, &batch.last_positions(&model.gpu, histories));
        let (weights, gate) = (weights.to_vec::<f32>()?, gate.to_vec::<f32>()?);
        let lse = log_sum_exp(model, states, vectors)?;
        let mut shares: Vec<Vec<(u32, f64)>> = Vec::new();
        for (row, history) in histories.iter().enumerate() {
            let mut list: Vec<(u32, f64)> = Vec::new();
            let mut events: Vec<(u32, f64)> =
                history.items.iter().enumerate().map(|(t, i)| (*i, f64::from(weights[row * batch.len + t]))).collect();
            events.sort_by_key(|(item, _)| *item);
            for (item, weight) in events {
                match list.last_mut() {
                    Some((last, sum)) if *last == item => *sum += weight,
                    _ => list.push((item, weight)),
                }
            }
            shares.push(list);
        }
        let pairs: Vec<(u32, u32)> =
            shares.iter().enumerate().flat_map(|(row, l)| l.iter().map(move |(i, _)| (row as u32, *i))).collect();
        let mut scores = model.scores_of(states, vectors, &pairs)?.into_iter();
        let mut lists = Vec::new();
        for (row, list) in shares.iter().enumerate() {
            let own = list.iter().zip(&mut scores).map(|((item, share), score)| {
                let odds = f64::from(gate[row]) + share.ln() - (f64::from(score) - lse[row]);
                Own { item: *item, score, boost: softplus(odds) as f32 }
            });
            // ln(1 − g) = −softplus of the gate's logit
            lists.push(Owns { items: own.collect(), log_share: -softplus(f64::from(gate[row])) - lse[row] });
        }
        Ok(lists)
    }
}

/// What one forward pass over the histories left: `h: [rows, len, dim]`, `states: [rows, dim]`.
pub(super) struct Forward {
    pub batch: Batch,
    pub h: Tensor,
    pub states: Tensor,
    pub vectors: Tensor,
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
