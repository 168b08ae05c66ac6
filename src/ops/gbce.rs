use super::sampled::{Sampled, scores};
use super::{ELEMENTWISE, cut, lanes, pieces, width};
use crate::gpu::{Buffer, Kernel};
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static FORWARD: Kernel = kernel!("gbce");
static BACKWARD: Kernel = kernel!("gbce_backward");

/// Generalised binary cross-entropy `[rows]` of each row's target and `n` drawn items: `x: [rows, dim]` scores by
/// `s = x · table[item] + bias[item]`, with `table: [items, dim]`, `bias: [items]`.
///
/// `loss = −(β log σ(s_target) + Σ_j log(1 − σ(s_j))) / (n + 1)`, the loss of gSASRec, where `β` is that of
/// [`Negatives::beta`](super::Negatives::beta); 1 is plain binary cross-entropy. Petrov & Macdonald 2023,
/// <https://arxiv.org/abs/2308.07192>. The same bits in every run.
///
/// # Panics
/// When the shapes do not fit or `beta` is negative.
#[track_caller]
pub fn gbce(
    tape: &mut Tape,
    x: &Tensor,
    table: &Tensor,
    bias: Option<&Tensor>,
    sampled: &Sampled,
    beta: f32,
) -> Tensor {
    assert!(beta >= 0.0, "gbce: beta {beta}, expected 0 or more");
    let [positive, negatives] = scores("gbce", tape, [x, table], bias, None, sampled);
    let (gpu, (rows, count)) = (x.gpu().clone(), negatives.rows());
    let (width, lanes) = (width(count), lanes(&gpu));
    let y = Tensor::empty(&gpu, &[rows]);
    let scale = 1.0 / (count + 1) as f32;
    let params = move |n: usize| [n as u32, (count / width) as u32, scale.to_bits(), beta.to_bits()];
    for (first, n) in pieces(&gpu, rows, count) {
        let [positive, negatives, y] = [&positive, &negatives, &y].map(|t| cut(t, first, n));
        let buffers: [&Buffer; 3] = [&positive, &negatives, &y];
        let groups = (n * lanes as usize).div_ceil(256);
        gpu.dispatch(FORWARD.with(&[("LANES", lanes), ("WIDTH", width as u32)]), params(n), &buffers, groups);
    }
    let inputs = [positive, negatives];
    tape.record(&y, &[&inputs[0].clone(), &inputs[1].clone()], move |gpu, grads, dy| {
        let gradients = inputs.each_ref().map(|t| Tensor::empty(gpu, t.shape()));
        for (first, n) in pieces(gpu, rows, count) {
            let all = [&inputs[0], &inputs[1], dy, &gradients[0], &gradients[1]].map(|t| cut(t, first, n));
            let groups = (n * count / width).div_ceil(ELEMENTWISE);
            gpu.dispatch(BACKWARD.with(&[("WIDTH", width as u32)]), params(n), &all.each_ref().map(|t| &**t), groups);
        }
        inputs.iter().zip(gradients).for_each(|(x, dx)| grads.add(x, dx));
    });
    y
}
