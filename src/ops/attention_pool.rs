use super::attention::sum_parts;
use crate::gpu::Kernel;
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
/// `lengths: u32 [batch]`. Zeros behind the length. Linear in the length, as is the gradient.
///
/// # Panics
/// When shapes do not fit.
#[track_caller]
pub fn attention_pool(tape: &mut Tape, x: &Tensor, w: &Tensor, lengths: &Tensor) -> Tensor {
    let &[batch, len, dim] = x.shape() else {
        panic!("attention_pool: x: expected [batch, len, dim], got {:?}", x.shape())
    };
    w.expect_shape("attention_pool: w", &[dim]);
    lengths.expect_shape("attention_pool: lengths", &[batch]);
    let (gpu, params) = (x.gpu(), [batch, len, dim].map(|n| n as u32));
    let (rows, lanes) = ((batch * len).div_ceil(THREADS), (batch * dim).div_ceil(THREADS));
    let stats = Tensor::empty(gpu, &[2, batch, len]);
    let y = Tensor::empty(gpu, x.shape());
    gpu.dispatch(&SCORE, params, &[x, w, lengths, &stats], rows);
    gpu.dispatch(&FORWARD, params, &[x, lengths, &stats, &y], lanes);
    let saved = [x, w, lengths, &y].map(Tensor::clone);
    tape.record(&y, &[x, w], move |gpu, grads, dy| {
        let [x, w, lengths, y] = &saved;
        let dx = Tensor::empty(gpu, x.shape());
        let slopes = Tensor::empty(gpu, x.shape());
        let ds = Tensor::empty(gpu, &[batch, len]);
        let shares = Tensor::empty(gpu, &[batch, dim]);
        gpu.dispatch(&BACKWARD, params, &[x, lengths, &stats, y, dy, &dx, &slopes], lanes);
        gpu.dispatch(&BACKWARD_SCORE, [(batch * len) as u32, dim as u32], &[&slopes, &ds], rows);
        gpu.dispatch(&BACKWARD_INPUT, params, &[x, w, lengths, &ds, &dx, &shares], lanes);
        grads.add(x, dx);
        if grads.wants(w) {
            grads.add(w, sum_parts(&shares));
        }
    });
    y
}
