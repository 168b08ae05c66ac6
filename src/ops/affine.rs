use super::ELEMENTWISE;
use crate::gpu::Kernel;
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static FORWARD: Kernel = kernel!("affine");
static BACKWARD: Kernel = kernel!("affine_backward");

/// `w · x + b` for each number of `x`, with `w` and `b` of one number each: a product of matrices would do it, too, with
/// tiles of which almost nothing is used.
///
/// # Panics
/// When `w` or `b` is not one number.
#[track_caller]
pub(crate) fn affine(tape: &mut Tape, x: &Tensor, w: &Tensor, b: &Tensor) -> Tensor {
    assert!(w.len() == 1 && b.len() == 1, "affine: w {:?} and b {:?}, expected one number each", w.shape(), b.shape());
    let (gpu, n) = (x.gpu(), x.len());
    let y = Tensor::empty(gpu, x.shape());
    gpu.dispatch(&FORWARD, n as u32, &[x, w, b, &y], n.div_ceil(ELEMENTWISE));
    let saved = [x, w, b].map(Tensor::clone);
    tape.record(&y, &[x, w, b], move |gpu, grads, dy| {
        let gradients = saved.each_ref().map(|x| Tensor::empty(gpu, x.shape()));
        let ([x, w, _], [dx, dw, db]) = (&saved, &gradients);
        gpu.dispatch(&BACKWARD, n as u32, &[x, w, dy, dx, dw, db], 1u32);
        saved.iter().zip(gradients).for_each(|(x, dx)| grads.add(x, dx));
    });
    y
}
