use super::{ELEMENTWISE, pieces};
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

/// `a + b` without a tape; the shape is that of `a`. In pieces, because gradients of large tables come here.
pub(crate) fn sum_of(a: &Tensor, b: &Tensor) -> Tensor {
    let y = Tensor::empty(a.gpu(), a.shape());
    let [flat_a, flat_b, flat_y] = [a, b, &y].map(|x| x.reshape(&[x.len()]));
    for (first, n) in pieces(a.gpu(), a.len(), 1) {
        let [a, b, y] = [&flat_a, &flat_b, &flat_y].map(|x| x.row_range(first, n));
        a.gpu().dispatch(&ADD, n as u32, &[&a, &b, &y], n.div_ceil(ELEMENTWISE));
    }
    y
}
