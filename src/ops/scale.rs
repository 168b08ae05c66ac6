use super::ELEMENTWISE;
use crate::gpu::Kernel;
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static SCALE: Kernel = kernel!("scale");

/// `x · factor`.
pub fn scale(tape: &mut Tape, x: &Tensor, factor: f32) -> Tensor {
    let y = times(x, factor);
    let saved = x.clone();
    tape.record(&y, &[x], move |_, grads, dy| grads.add(&saved, times(dy, factor)));
    y
}

fn times(x: &Tensor, factor: f32) -> Tensor {
    let y = Tensor::empty(x.gpu(), x.shape());
    let params = [x.len() as u32, factor.to_bits()];
    x.gpu().dispatch(&SCALE, params, &[x, &y], x.len().div_ceil(ELEMENTWISE));
    y
}
