use super::{ELEMENTWISE, block_of, sum_rows};
use crate::gpu::Kernel;
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static FORWARD: Kernel = kernel!("layer_norm");
static BACKWARD: Kernel = kernel!("layer_norm_backward");
static BACKWARD_AFFINE: Kernel = kernel!("layer_norm_backward_affine");

/// `(x − mean) · rstd · gamma + beta` over the last axis of `x: [.., dim]`; `gamma, beta: [dim]`.
///
/// Ba, Kiros & Hinton 2016, <https://arxiv.org/abs/1607.06450>.
///
/// # Panics
/// When `gamma` or `beta` is not `[dim]`.
#[track_caller]
pub fn layer_norm(tape: &mut Tape, x: &Tensor, gamma: &Tensor, beta: &Tensor, eps: f32) -> Tensor {
    // A software driver pays for barriers and gains nothing from neighbours that read together.
    let lanes = if x.gpu().info().software { 1 } else { 16 };
    layer_norm_by(tape, x, gamma, beta, eps, lanes)
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
    let params = [rows as u32, dim as u32, eps.to_bits()];
    gpu.dispatch(FORWARD.with(&[("LANES", lanes)]), params, &[x, gamma, beta, &y, &stats], groups(rows, lanes));
    let (sx, sgamma, sbeta) = (x.clone(), gamma.clone(), beta.clone());
    tape.record(&y, &[x, gamma, beta], move |gpu, grads, dy| {
        if grads.wants(&sx) {
            let dx = Tensor::empty(gpu, sx.shape());
            let params = [rows as u32, dim as u32];
            let buffers = [&*sx, &sgamma, &stats, dy, &dx];
            gpu.dispatch(BACKWARD.with(&[("LANES", lanes)]), params, &buffers, groups(rows, lanes));
            grads.add(&sx, dx);
        }
        if grads.wants(&sgamma) || grads.wants(&sbeta) {
            let block = block_of(rows);
            let partial = || Tensor::empty(gpu, &[rows.div_ceil(block), dim]);
            let (dgamma, dbeta) = (partial(), partial());
            let params = [rows as u32, dim as u32, block as u32];
            let buffers = [&*sx, &stats, dy, &dgamma, &dbeta];
            gpu.dispatch(&BACKWARD_AFFINE, params, &buffers, dgamma.len().div_ceil(ELEMENTWISE));
            grads.add(&sgamma, sum_rows(&dgamma));
            grads.add(&sbeta, sum_rows(&dbeta));
        }
    });
    y
}

fn groups(rows: usize, lanes: u32) -> usize {
    (rows * lanes as usize).div_ceil(256)
}
