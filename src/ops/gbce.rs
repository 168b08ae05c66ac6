use super::sampled::{Loss, Sampled, losses, scores};
use crate::gpu::Kernel;
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
    let scores = scores("gbce", tape, [x, table], bias, None, sampled);
    let scale = 1.0 / (sampled.negatives.count() + 1) as f32;
    losses(
        tape,
        scores,
        Loss { forward: &FORWARD, backward: &BACKWARD, keeps: false, sums_back: false, numbers: [scale, beta] },
    )
}
