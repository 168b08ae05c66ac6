//! The recurrence over whole sequences and one step of it.

use super::{Check, Input, Report, Rng};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::{self, GruWeights};
use crate::reference::{self, Gru};
use crate::tensor::Tensor;

/// What `x` holds where there is no event: nobody may notice.
const POISON: f64 = 1e30;

fn weights(rng: &mut Rng, inputs: usize, dim: usize) -> Vec<Input> {
    let size = 1.5 / (dim as f64).sqrt(); // gates spread over their range, and states do not saturate
    vec![
        Input::random(rng, "w_ih", &[3 * dim, inputs], 1.5 / (inputs as f64).sqrt()),
        Input::random(rng, "w_hh", &[3 * dim, dim], size),
        Input::random(rng, "b_ih", &[3 * dim], 0.5),
        Input::random(rng, "b_hh", &[3 * dim], 0.5),
    ]
}

fn on_device(t: &[Tensor]) -> GruWeights {
    GruWeights { w_ih: t[0].clone(), w_hh: t[1].clone(), b_ih: t[2].clone(), b_hh: t[3].clone() }
}

fn defined(v: &[Vec<f64>]) -> Gru<'_> {
    Gru { w_ih: &v[0], w_hh: &v[1], b_ih: &v[2], b_hh: &v[3] }
}

/// `lengths` are those of the batch's rows; without them all rows are `len` long. With `from_h0` there is an initial
/// state, else it is zero.
pub fn gru(
    gpu: &Gpu,
    [batch, len, inputs, dim]: [usize; 4],
    lengths: Option<&[u32]>,
    from_h0: bool,
) -> Result<Vec<Report>> {
    let mut rng = Rng::new(5);
    let mut x = Input::random(&mut rng, "x", &[batch, len, inputs], 1.0);
    let full = vec![len as u32; batch];
    let ends = lengths.unwrap_or(&full);
    for (row, end) in x.data.chunks_exact_mut(len * inputs).zip(ends) {
        row[*end as usize * inputs..].fill(POISON);
    }
    let mut values = weights(&mut rng, inputs, dim);
    values.push(x);
    if from_h0 {
        values.push(Input::random(&mut rng, "h0", &[batch, dim], 1.0));
    }
    let zeros = vec![0.0; batch * dim];
    Check {
        op: "gru",
        shape: format!("[{batch}, {len}, {inputs}] dim {dim} lengths {lengths:?} h0 {from_h0}"),
        inputs: values,
        reference: &|v| reference::gru(&v[4], v.get(5).unwrap_or(&zeros), defined(v), ends),
        device: &|tape, t| {
            let lengths = lengths.map(|l| Tensor::from_slice(t[0].gpu(), l, &[batch]));
            ops::gru(tape, &t[4], &on_device(t), t.get(5), lengths.as_ref())
        },
        tolerance: 1e-5,
        gradient_tolerance: 1e-4,
    }
    .run(gpu)
}

pub fn gru_step(gpu: &Gpu, [batch, inputs, dim]: [usize; 3]) -> Result<Vec<Report>> {
    let mut rng = Rng::new(6);
    let mut values = weights(&mut rng, inputs, dim);
    values.push(Input::random(&mut rng, "x", &[batch, inputs], 1.0));
    values.push(Input::random(&mut rng, "h", &[batch, dim], 1.0));
    Check {
        op: "gru_step",
        shape: format!("[{batch}, {inputs}] dim {dim}"),
        inputs: values,
        reference: &|v| reference::gru_step(&v[4], &v[5], defined(v)),
        device: &|_, t| ops::gru_step(t[0].gpu(), &t[4], &t[5], &on_device(t)),
        tolerance: 1e-5,
        gradient_tolerance: 0.0,
    }
    .value(gpu)
}
