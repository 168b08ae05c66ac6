use super::{ELEMENTWISE, sum_rows, width};
use crate::gpu::Kernel;
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static KERNEL: Kernel = kernel!("add_broadcast");

/// `x + b`, where `b` has the shape of the last axes of `x` and repeats along the others: a bias `[dim]`, or learned
/// positions `[len, dim]` for `x: [batch, len, dim]`. The gradient of `b` is summed in a fixed order.
///
/// # Panics
/// When the shape of `x` does not end in that of `b`.
#[track_caller]
pub fn add_broadcast(tape: &mut Tape, x: &Tensor, b: &Tensor) -> Tensor {
    assert!(
        x.shape().ends_with(b.shape()),
        "add_broadcast: b: expected a shape that {:?} ends in, got {:?}",
        x.shape(),
        b.shape()
    );
    let y = Tensor::empty(x.gpu(), x.shape());
    let (n, m) = (x.len(), b.len());
    let width = width(m);
    let params = [(n / width) as u32, (m / width) as u32];
    x.gpu().dispatch(KERNEL.with(&[("WIDTH", width as u32)]), params, &[x, b, &y], (n / width).div_ceil(ELEMENTWISE));
    let saved = [x.clone(), b.clone()];
    tape.record(&y, &[x, b], move |_, grads, dy| {
        let [x, b] = &saved;
        grads.add(x, dy.clone());
        if grads.wants(b) {
            grads.add(b, sum_rows(&dy.reshape(&[n / m.max(1), m])));
        }
    });
    y
}
