use super::ELEMENTWISE;
use crate::gpu::{Gpu, Kernel};
use crate::kernel;
use crate::tensor::Tensor;

static FILL: Kernel = kernel!("fill");

/// Every element of `x` becomes `value`, in place.
pub fn fill(gpu: &Gpu, x: &Tensor, value: f32) {
    gpu.dispatch(&FILL, [x.len() as u32, value.to_bits()], &[x], x.len().div_ceil(ELEMENTWISE));
}
