use super::{ELEMENTWISE, block_of, lanes, sum_rows, width};
use crate::gpu::Kernel;
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static FORWARD: Kernel = kernel!("layer_norm");
static BACKWARD: Kernel = kernel!("layer_norm_backward");
static BACKWARD_AFFINE: Kernel = kernel!("layer_norm_backward_affine");

/// Numbers from one legal offset of a binding to the next.
const ALIGN: usize = 64;
/// Longest row, in what a thread loads at once, that one thread keeps.
const KEPT: usize = 32;

/// `(x − mean) · rstd · gamma + beta` over the last axis of `x: [.., dim]`; `gamma, beta: [dim]`.
///
/// Ba, Kiros & Hinton 2016, <https://arxiv.org/abs/1607.06450>.
///
/// # Panics
/// When `gamma` or `beta` is not `[dim]`.
#[track_caller]
pub fn layer_norm(tape: &mut Tape, x: &Tensor, gamma: &Tensor, beta: &Tensor, eps: f32) -> Tensor {
    layer_norm_by(tape, x, gamma, beta, eps, lanes(x.gpu()))
}

/// [`layer_norm`] with a given number of threads per row, a divisor of 256.
#[track_caller]
pub(crate) fn layer_norm_by(
    tape: &mut Tape,
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    eps: f32,
    lanes: u32,
) -> Tensor {
    let (rows, dim) = x.rows();
    gamma.expect_shape("layer_norm: gamma", &[dim]);
    beta.expect_shape("layer_norm: beta", &[dim]);
    let gpu = x.gpu();
    let (y, stats) = (Tensor::empty(gpu, x.shape()), Tensor::empty(gpu, &[rows, 2]));
    let width = width(dim);
    let wide = (dim / width) as u32;
    let kept = if lanes == 1 && dim / width <= KEPT { wide } else { 0 };
    let by_rows = [("DIM", kept), ("LANES", lanes), ("WIDTH", width as u32)];
    let params = [rows as u32, wide, eps.to_bits()];
    gpu.dispatch(FORWARD.with(&by_rows), params, &[x, gamma, beta, &y, &stats], groups(rows, lanes));
    let (sx, sgamma, sbeta) = (x.clone(), gamma.clone(), beta.clone());
    tape.record(&y, &[x, gamma, beta], move |gpu, grads, dy| {
        if grads.wants(&sx) {
            // What x has got on another way (a residual's) is added on this one.
            let plus = grads.take(&sx);
            let dx = Tensor::empty(gpu, sx.shape());
            let params = [rows as u32, wide];
            let kernel = [by_rows[0], by_rows[1], by_rows[2], ("PLUS", u32::from(plus.is_some()))];
            let buffers = [&*sx, &sgamma, &stats, dy, plus.as_ref().unwrap_or(dy), &dx];
            gpu.dispatch(BACKWARD.with(&kernel), params, &buffers, groups(rows, lanes));
            grads.add(&sx, dx);
        }
        if grads.wants(&sgamma) || grads.wants(&sbeta) {
            // Both next to each other, so that one dispatch sums them; apart as far as bindings have to be.
            let (block, stride) = (block_of(rows), dim.next_multiple_of(ALIGN));
            let partial = Tensor::empty(gpu, &[rows.div_ceil(block), 2 * stride]);
            let params = [rows, dim / width, block, stride / width].map(|n| n as u32);
            let groups = (rows.div_ceil(block) * dim / width).div_ceil(ELEMENTWISE);
            gpu.dispatch(BACKWARD_AFFINE.with(&by_rows[2..]), params, &[&sx, &stats, dy, &partial], groups);
            let sums = sum_rows(&partial);
            grads.add(&sgamma, sums.row_range(0, dim));
            grads.add(&sbeta, sums.row_range(stride, dim));
        }
    });
    y
}

fn groups(rows: usize, lanes: u32) -> usize {
    (rows * lanes as usize).div_ceil(256)
}
