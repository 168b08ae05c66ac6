use super::{ELEMENTWISE, sum_rows};
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
    x.gpu().dispatch(&KERNEL, [n as u32, m as u32], &[x, b, &y], n.div_ceil(ELEMENTWISE));
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
