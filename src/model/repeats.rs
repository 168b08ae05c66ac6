//! Coming back: an item's probability is shared between the catalogue and a pointer into the user's own history.
//!
//! ```text
//! p_i = (1 − g) softmax(s)_i + g Σ_j a_j [item_j = i],   g = σ(W_g H + b)
//! ```
//! After Merity et al. 2017, <https://arxiv.org/abs/1609.07843>. Items are ranked by `p`, and as `softmax` keeps the order
//! of `s`, only those of the history have to be looked at: for them `ln(p_i / ((1 − g) e^−lse)) = s_i + boost_i` with
//! `boost_i = ln(1 + g a_i / ((1 − g) e^(s_i − lse)))`, for all others it is `s_i`.

use super::{Batch, History, Model, Targets, rows_of};
use crate::error::Result;
use crate::nn::{Init, Linear, Params};
use crate::ops::{self, Activation, BiasLayout, CrossEntropy, Pointer, SpaceTime};
use crate::tape::Tape;
use crate::tensor::Tensor;

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

    /// Queries and keys, and the bias, of the sequence `h: [events, dim]`.
    fn qk(&self, tape: &mut Tape, model: &Model, h: &Tensor, batch: &Batch) -> (Tensor, Option<SpaceTime>) {
        let qk = self.qk.forward(tape, h, Activation::None, None);
        let bias = self.table.as_ref().and_then(|table| batch.bias(model.layout, table));
        (qk, bias)
    }

    /// The gate's logit `[n]` from what the sequence says at each position, `own: [n, dim]`.
    fn gate(&self, tape: &mut Tape, own: &Tensor) -> Tensor {
        self.gate.forward(tape, own, Activation::None, None).reshape(&[own.shape()[0]])
    }

    /// `[n]`: the negative log likelihood of the targets under both, from `nll` under the catalogue alone. `own: [n, dim]`
    /// are the rows of `h: [events, dim]` that have a target.
    pub fn loss(
        &self,
        tape: &mut Tape,
        model: &Model,
        [h, own, nll]: [&Tensor; 3],
        batch: &Batch,
        targets: &Targets,
    ) -> Tensor {
        let (qk, bias) = self.qk(tape, model, h, batch);
        let options = Pointer { lengths: (&batch.packed).into(), bias: bias.as_ref() };
        let mass = ops::pointer(tape, &qk, batch.items.tensor(), &targets.next, &options);
        let mass = rows_of(tape, &mass.reshape(&[mass.len(), 1]), &targets.at).reshape(nll.shape());
        let gate = self.gate(tape, own);
        ops::mixture(tape, nll, &gate, &mass)
    }

    /// For each history its items in the order of their ids.
    pub fn own(&self, model: &Model, forward: &Forward, histories: &[History]) -> Result<Vec<Owns>> {
        let Forward { batch, states, vectors, .. } = forward;
        let Some((h, own)) = &forward.sequence else { return Ok(vec![Owns::default(); histories.len()]) };
        let tape = &mut Tape::off();
        let (qk, bias) = self.qk(tape, model, h, batch);
        let weights =
            ops::pointer_weights(&model.gpu, &qk, &Pointer { lengths: (&batch.packed).into(), bias: bias.as_ref() });
        let gate = self.gate(tape, own);
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

/// What one forward pass over histories left, for the position after the last event of each.
pub(super) struct Forward {
    pub batch: Batch,
    /// `[events, dim]`, and of each history the last event's `[rows, dim]`; none where no stage looks at the sequence.
    pub sequence: Option<(Tensor, Tensor)>,
    /// `[rows, dim]`
    pub states: Tensor,
    /// `[n_items + 1, dim]`: what the states are compared with.
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
