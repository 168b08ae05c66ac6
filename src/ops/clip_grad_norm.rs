use super::pieces;
use crate::gpu::{Gpu, Kernel};
use crate::kernel;
use crate::tensor::Tensor;

static SUMS: Kernel = kernel!("clip_grad_norm");
static FACTOR: Kernel = kernel!("clip_grad_norm_factor");

/// Elements whose squares one workgroup adds up.
const BLOCK: usize = 4096;

/// `[factor, norm]`: the 2-norm of all `gradients` together, and the factor `min(1, max_norm / (norm + 1e-6))` on each of
/// them that [`adamw`](super::adamw) applies. Nothing leaves the device. The factor is 0 where the norm is not finite.
///
/// # Panics
/// When there are no gradients, or `max_norm` is not above 0. It may be infinite, to measure only.
#[track_caller]
pub fn clip_grad_norm(gpu: &Gpu, gradients: &[&Tensor], max_norm: f32) -> Tensor {
    assert!(!gradients.is_empty(), "clip_grad_norm: no gradients");
    assert!(max_norm > 0.0, "clip_grad_norm: a largest norm of {max_norm}");
    let pieces_of = |x: &Tensor| pieces(gpu, x.len(), 1);
    let blocks = gradients.iter().flat_map(|x| pieces_of(x)).map(|(_, n)| n.div_ceil(BLOCK)).sum();
    let sums = Tensor::empty(gpu, &[blocks]);
    let mut at = 0;
    for gradient in gradients {
        let flat = gradient.reshape(&[gradient.len()]);
        for (first, n) in pieces_of(gradient) {
            let params = [n as u32, BLOCK as u32, at as u32];
            gpu.dispatch(&SUMS, params, &[&flat.row_range(first, n), &sums], n.div_ceil(BLOCK));
            at += n.div_ceil(BLOCK);
        }
    }
    let y = Tensor::empty(gpu, &[2]);
    let finite = max_norm.min(1e30); // a shader may take infinity for impossible
    gpu.dispatch(&FACTOR, [blocks as u32, finite.to_bits()], &[&sums, &y], 1u32);
    y
}
