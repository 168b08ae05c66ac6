use super::attention::sum_parts;
use super::lengths::{Lengths, Rows};
use crate::gpu::{Buffer, Kernel};
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static SCORE: Kernel = kernel!("attention_pool_score");
static FORWARD: Kernel = kernel!("attention_pool");
static BACKWARD: Kernel = kernel!("attention_pool_backward");
static BACKWARD_SCORE: Kernel = kernel!("attention_pool_backward_score");
static BACKWARD_INPUT: Kernel = kernel!("attention_pool_backward_input");

/// Threads per workgroup of these kernels.
const THREADS: usize = 64;

/// `y_t = Σ_{j ≤ t} softmax_{j ≤ t}(x_j · w) x_j`, what came so far as one vector, for `x: [batch, len, dim]`, `w: [dim]`,
/// `lengths: u32 [batch]`. Zeros behind the length. Linear in the length, as is the gradient. Packed (see [`Lengths`]),
/// `x` and `y` are `[events, dim]`.
///
/// # Panics
/// When shapes do not fit.
#[track_caller]
pub fn attention_pool<'a>(tape: &mut Tape, x: &Tensor, w: &Tensor, lengths: impl Into<Lengths<'a>>) -> Tensor {
    let rows = Rows::of("attention_pool", "x", x, lengths.into());
    let (_, dim) = x.rows();
    w.expect_shape("attention_pool: w", &[dim]);
    let lengths = rows.lengths.clone().expect("attention_pool: lengths: expected those of the histories, got none");
    let (gpu, consts) = (x.gpu(), [rows.consts()]);
    let Rows { batch, len, events, .. } = rows;
    let params = [batch, len, dim, events].map(|n| n as u32);
    let (groups, lanes) = (events.div_ceil(THREADS), (batch * dim).div_ceil(THREADS));
    let stats = Tensor::empty(gpu, &[2, events]);
    let y = Tensor::empty(gpu, x.shape());
    gpu.dispatch(SCORE.with(&consts), params, &[x, w, &lengths, &stats], groups);
    gpu.dispatch(FORWARD.with(&consts), params, &[x, &lengths, &stats, &y], lanes);
    let saved = [x, w, &lengths, &y].map(Tensor::clone);
    tape.record(&y, &[x, w], move |gpu, grads, dy| {
        let [x, w, lengths, y] = &saved;
        let dx = Tensor::empty(gpu, x.shape());
        let slopes = Tensor::empty(gpu, x.shape());
        let ds = Tensor::empty(gpu, &[events]);
        let shares = Tensor::empty(gpu, &[batch, dim]);
        gpu.dispatch(BACKWARD.with(&consts), params, &[x, lengths, &stats, y, dy, &dx, &slopes], lanes);
        gpu.dispatch(&BACKWARD_SCORE, [events as u32, dim as u32], &[&slopes, &ds], groups);
        let buffers: [&Buffer; 6] = [x, w, lengths, &ds, &dx, &shares];
        gpu.dispatch(BACKWARD_INPUT.with(&consts), params, &buffers, lanes);
        grads.add(x, dx);
        if grads.wants(w) {
            grads.add(w, sum_parts(&shares));
        }
    });
    y
}
