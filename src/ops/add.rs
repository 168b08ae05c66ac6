use super::ELEMENTWISE;
use crate::gpu::Kernel;
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static ADD: Kernel = kernel!("add");

/// `a + b` of one shape.
///
/// # Panics
/// When the shapes differ.
#[track_caller]
pub fn add(tape: &mut Tape, a: &Tensor, b: &Tensor) -> Tensor {
    b.expect_shape("add: b", a.shape());
    let y = sum_of(a, b);
    let (a, b) = (a.clone(), b.clone());
    tape.record(&y, &[&a.clone(), &b.clone()], move |_, grads, dy| {
        grads.add(&a, dy.clone());
        grads.add(&b, dy.clone());
    });
    y
}

/// `a + b` without a tape; the shape is that of `a`.
pub(crate) fn sum_of(a: &Tensor, b: &Tensor) -> Tensor {
    let y = Tensor::empty(a.gpu(), a.shape());
    a.gpu().dispatch(&ADD, a.len() as u32, &[a, b, &y], a.len().div_ceil(ELEMENTWISE));
    y
}
