use super::{ELEMENTWISE, width};
use crate::gpu::Kernel;
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static FORWARD: Kernel = kernel!("mean");
static BACKWARD: Kernel = kernel!("mean_backward");

/// Elements that one workgroup adds up, and those that it adds up alone rather than with others and a second dispatch.
const BLOCK: usize = 4096;
const ALONE: usize = 16 * BLOCK;

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
    let (width, n) = (width(x.len()), x.len() / width(x.len()));
    let wide = [("WIDTH", width as u32)];
    let y = Tensor::empty(gpu, &[1]);
    let share = (1.0 / count).to_bits();
    if x.len() <= ALONE {
        gpu.dispatch(FORWARD.with(&wide), [n as u32, n as u32, share], &[x, &y], 1u32);
    } else {
        let blocks = x.len().div_ceil(BLOCK);
        let partial = Tensor::empty(gpu, &[blocks]);
        let params = [n as u32, (BLOCK / width) as u32, 1f32.to_bits()];
        gpu.dispatch(FORWARD.with(&wide), params, &[x, &partial], blocks);
        gpu.dispatch(FORWARD.with(&[("WIDTH", 1)]), [blocks as u32, blocks as u32, share], &[&partial, &y], 1u32);
    }
    let saved = x.clone();
    tape.record(&y, &[x], move |gpu, grads, dy| {
        let dx = Tensor::empty(gpu, saved.shape());
        let params = [n as u32, (1.0 / count).to_bits()];
        gpu.dispatch(BACKWARD.with(&wide), params, &[dy, &dx], n.div_ceil(ELEMENTWISE));
        grads.add(&saved, dx);
    });
    y
}
