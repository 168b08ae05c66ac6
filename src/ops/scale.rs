use super::{ELEMENTWISE, width};
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
    let width = width(x.len());
    let n = x.len() / width;
    let params = [n as u32, factor.to_bits()];
    x.gpu().dispatch(SCALE.with(&[("WIDTH", width as u32)]), params, &[x, &y], n.div_ceil(ELEMENTWISE));
    y
}
