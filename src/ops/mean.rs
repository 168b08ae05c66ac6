use super::ELEMENTWISE;
use crate::gpu::Kernel;
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static FORWARD: Kernel = kernel!("mean");
static BACKWARD: Kernel = kernel!("mean_backward");

/// Elements that one workgroup adds up.
const BLOCK: usize = 4096;

/// `sum(x) / count`, as `[1]`. The caller gives the count, so that positions which are zero because they do not count
/// do not dilute the mean. Summed in a fixed order.
///
/// # Panics
/// When `x` is empty or `count` is not above 0.
#[track_caller]
pub fn mean(tape: &mut Tape, x: &Tensor, count: f32) -> Tensor {
    assert!(!x.is_empty(), "mean: x has shape {:?} and no elements", x.shape());
    assert!(count > 0.0, "mean: a count of {count}");
    let gpu = x.gpu();
    let blocks = x.len().div_ceil(BLOCK);
    let (partial, y) = (Tensor::empty(gpu, &[blocks]), Tensor::empty(gpu, &[1]));
    gpu.dispatch(&FORWARD, [x.len() as u32, BLOCK as u32, 1f32.to_bits()], &[x, &partial], blocks);
    let params = [blocks as u32, blocks as u32, (1.0 / count).to_bits()];
    gpu.dispatch(&FORWARD, params, &[&partial, &y], 1u32);
    let saved = x.clone();
    tape.record(&y, &[x], move |gpu, grads, dy| {
        let dx = Tensor::empty(gpu, saved.shape());
        let params = [dx.len() as u32, (1.0 / count).to_bits()];
        gpu.dispatch(&BACKWARD, params, &[dy, &dx], dx.len().div_ceil(ELEMENTWISE));
        grads.add(&saved, dx);
    });
    y
}
