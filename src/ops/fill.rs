use super::{ELEMENTWISE, pieces};
use crate::gpu::{Gpu, Kernel};
use crate::kernel;
use crate::tensor::Tensor;

static FILL: Kernel = kernel!("fill");

/// Every element of `x` becomes `value`, in place.
pub fn fill(gpu: &Gpu, x: &Tensor, value: f32) {
    let flat = x.reshape(&[x.len()]);
    for (first, n) in pieces(gpu, x.len(), 1) {
        let piece = flat.row_range(first, n);
        gpu.dispatch(&FILL, [n as u32, value.to_bits()], &[&piece], n.div_ceil(ELEMENTWISE));
    }
}
