use super::{ELEMENTWISE, lanes, width};
use crate::gpu::Kernel;
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static FORWARD: Kernel = kernel!("dot");
static BACKWARD: Kernel = kernel!("dot_backward");

/// Inner products of paired rows: `a, b: [.., dim]` of one shape to `[..]` (to `[1]` where there is no other axis).
///
/// # Panics
/// When the shapes differ.
#[track_caller]
pub fn dot(tape: &mut Tape, a: &Tensor, b: &Tensor) -> Tensor {
    dot_by(tape, a, b, lanes(a.gpu()))
}

/// [`dot`] with a given number of threads per row, a divisor of 256.
#[track_caller]
pub(crate) fn dot_by(tape: &mut Tape, a: &Tensor, b: &Tensor, lanes: u32) -> Tensor {
    b.expect_shape("dot: b", a.shape());
    let (rows, dim) = a.rows();
    let axes = a.shape().len() - 1;
    let y = Tensor::empty(a.gpu(), if axes == 0 { &[1] } else { &a.shape()[..axes] });
    let width = width(dim);
    let params = [rows as u32, (dim / width) as u32];
    let groups = (rows * lanes as usize).div_ceil(256);
    a.gpu().dispatch(FORWARD.with(&[("LANES", lanes), ("WIDTH", width as u32)]), params, &[a, b, &y], groups);
    let saved = [a.clone(), b.clone()];
    tape.record(&y, &[a, b], move |gpu, grads, dy| {
        let [a, b] = &saved;
        for (x, other) in [(a, b), (b, a)] {
            if grads.wants(x) {
                // What x has got on another way is added on this one.
                let plus = grads.take(x);
                let dx = Tensor::empty(gpu, x.shape());
                let kernel = [("PLUS", u32::from(plus.is_some())), ("WIDTH", width as u32)];
                let groups = (dx.len() / width).div_ceil(ELEMENTWISE);
                let buffers = [other, dy, plus.as_ref().unwrap_or(other), &dx].map(|t| &**t);
                gpu.dispatch(BACKWARD.with(&kernel), params, &buffers, groups);
                grads.add(x, dx);
            }
        }
    });
    y
}
