use super::sampled::{Loss, Sampled, losses, scores};
use crate::gpu::Kernel;
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
    let scores = scores("bpr", tape, [x, table], bias, None, sampled);
    let scale = 1.0 / sampled.negatives.count() as f32;
    losses(
        tape,
        scores,
        Loss { forward: &FORWARD, backward: &BACKWARD, keeps: false, sums_back: true, numbers: [scale, 0.0] },
    )
}
