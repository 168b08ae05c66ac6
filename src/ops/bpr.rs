use super::sampled::{Sampled, scores};
use super::{cut, lanes, pieces, width};
use crate::gpu::{Buffer, Kernel};
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static FORWARD: Kernel = kernel!("bpr");
static BACKWARD: Kernel = kernel!("bpr_backward");

/// Bayesian personalised ranking `[rows]` of each row's target against `n` drawn items: `x: [rows, dim]` scores by
/// `s = x · table[item] + bias[item]`, with `table: [items, dim]`, `bias: [items]`.
///
/// `loss = −Σ_j log σ(s_target − s_j) / n`; an item that does not count adds 0. Rendle et al. 2009,
/// <https://arxiv.org/abs/1205.2618>. The same bits in every run.
///
/// # Panics
/// When the shapes do not fit.
#[track_caller]
pub fn bpr(tape: &mut Tape, x: &Tensor, table: &Tensor, bias: Option<&Tensor>, sampled: &Sampled) -> Tensor {
    let [positive, negatives] = scores("bpr", tape, [x, table], bias, None, sampled);
    let (gpu, (rows, count)) = (x.gpu().clone(), negatives.rows());
    let (width, lanes) = (width(count), lanes(&gpu));
    let y = Tensor::empty(&gpu, &[rows]);
    let kernel = [("LANES", lanes), ("WIDTH", width as u32)];
    let params = move |n: usize| [n as u32, (count / width) as u32, (1.0 / count as f32).to_bits()];
    let groups = move |n: usize| (n * lanes as usize).div_ceil(256);
    for (first, n) in pieces(&gpu, rows, count) {
        let [positive, negatives, y] = [&positive, &negatives, &y].map(|t| cut(t, first, n));
        let buffers: [&Buffer; 3] = [&positive, &negatives, &y];
        gpu.dispatch(FORWARD.with(&kernel), params(n), &buffers, groups(n));
    }
    let inputs = [positive, negatives];
    tape.record(&y, &[&inputs[0].clone(), &inputs[1].clone()], move |gpu, grads, dy| {
        let gradients = inputs.each_ref().map(|t| Tensor::empty(gpu, t.shape()));
        for (first, n) in pieces(gpu, rows, count) {
            let all = [&inputs[0], &inputs[1], dy, &gradients[0], &gradients[1]].map(|t| cut(t, first, n));
            gpu.dispatch(BACKWARD.with(&kernel), params(n), &all.each_ref().map(|t| &**t), groups(n));
        }
        inputs.iter().zip(gradients).for_each(|(x, dx)| grads.add(x, dx));
    });
    y
}
