use super::ELEMENTWISE;
use crate::gpu::Kernel;
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static FORWARD: Kernel = kernel!("bce_with_logits");
static BACKWARD: Kernel = kernel!("bce_with_logits_backward");

/// Binary cross-entropy per element, `−t · log σ(z) − (1 − t) · log(1 − σ(z))`, of logits `z` and targets `t` in `[0, 1]`
/// of one shape. Stable for large logits. No gradient goes to the targets.
///
/// # Panics
/// When the shapes differ.
#[track_caller]
pub fn bce_with_logits(tape: &mut Tape, logits: &Tensor, targets: &Tensor) -> Tensor {
    targets.expect_shape("bce_with_logits: targets", logits.shape());
    let n = logits.len();
    let y = Tensor::empty(logits.gpu(), logits.shape());
    logits.gpu().dispatch(&FORWARD, n as u32, &[logits, targets, &y], n.div_ceil(ELEMENTWISE));
    let (saved, targets) = (logits.clone(), targets.clone());
    tape.record(&y, &[logits], move |gpu, grads, dy| {
        let dlogits = Tensor::empty(gpu, saved.shape());
        gpu.dispatch(&BACKWARD, n as u32, &[&saved, &targets, dy, &dlogits], n.div_ceil(ELEMENTWISE));
        grads.add(&saved, dlogits);
    });
    y
}
