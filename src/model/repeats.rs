//! Coming back: an item's probability is shared between the catalogue and a pointer into the user's own history.
//!
//! ```text
//! p_i = (1 − g) softmax(s)_i + g Σ_j a_j [item_j = i],   g = σ(W_g H + b)
//! ```
//! After Merity et al. 2017, <https://arxiv.org/abs/1609.07843>.

use super::mixed::Part;
use super::{Batch, History, Model, Targets, rows_of};
use crate::error::Result;
use crate::nn::{Init, Linear, Params};
use crate::ops::{self, Activation, BiasLayout, Pointer, SpaceTime};
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

    /// For each history what the pointer says of its items.
    pub fn parts(&self, model: &Model, forward: &Forward, histories: &[History]) -> Result<Vec<Part>> {
        let Forward { batch, sequence, .. } = forward;
        let (h, own) = sequence.as_ref().expect("a valid configuration has a stage that reads the history");
        let tape = &mut Tape::off();
        let (qk, bias) = self.qk(tape, model, h, batch);
        let weights =
            ops::pointer_weights(&model.gpu, &qk, &Pointer { lengths: (&batch.packed).into(), bias: bias.as_ref() });
        let gate = self.gate(tape, own);
        let (weights, gate) = (weights.to_vec::<f32>()?, gate.to_vec::<f32>()?);
        let part = |(row, history): (usize, &History)| {
            let weights = weights[row * batch.len..].iter().map(|w| f64::from(*w));
            Part { logit: f64::from(gate[row]), shares: history.items.iter().copied().zip(weights).collect() }
        };
        Ok(histories.iter().enumerate().map(part).collect())
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
