use super::{pieces, width};
use crate::gpu::{Buffer, Gpu, Kernel};
use crate::kernel;
use crate::tensor::Tensor;

static SUMS: Kernel = kernel!("clip_grad_norm");
static FACTOR: Kernel = kernel!("clip_grad_norm_factor");

/// Elements whose squares one workgroup adds up.
const BLOCK: usize = 4096;
/// Gradients of one dispatch.
const SEGMENTS: usize = 7;

/// `[factor, norm]`: the 2-norm of all `gradients` together, and the factor `min(1, max_norm / (norm + 1e-6))` on each of
/// them that [`adamw`](super::adamw) applies. Nothing leaves the device. The factor is 0 where the norm is not finite.
///
/// # Panics
/// When there are no gradients, or `max_norm` is not above 0. It may be infinite, to measure only.
#[track_caller]
pub fn clip_grad_norm(gpu: &Gpu, gradients: &[&Tensor], max_norm: f32) -> Tensor {
    assert!(!gradients.is_empty(), "clip_grad_norm: no gradients");
    assert!(max_norm > 0.0, "clip_grad_norm: a largest norm of {max_norm}");
    // Pieces that fit a binding, by the width of a load, each with its place among the sums.
    let mut lists: [Vec<(Tensor, usize)>; 2] = Default::default();
    let mut blocks = 0;
    for gradient in gradients {
        let flat = gradient.reshape(&[gradient.len()]);
        for (first, n) in pieces(gpu, gradient.len(), 1) {
            lists[usize::from(width(n) == 1)].push((flat.row_range(first, n), blocks));
            blocks += n.div_ceil(BLOCK);
        }
    }
    let sums = Tensor::empty(gpu, &[blocks]);
    lists.iter().flat_map(|list| list.chunks(SEGMENTS)).for_each(|list| sum_squares(gpu, list, &sums));
    let y = Tensor::empty(gpu, &[2]);
    let finite = max_norm.min(1e30); // a shader may take infinity for impossible
    gpu.dispatch(&FACTOR, [blocks as u32, finite.to_bits()], &[&sums, &y], 1u32);
    y
}

/// The sums of some gradients of one width, each from its place on.
fn sum_squares(gpu: &Gpu, list: &[(Tensor, usize)], sums: &Tensor) {
    let width = width(list[0].0.len());
    let nobody = [0, 0, u32::MAX, 0];
    let mut params = [[0u32; 4]; 1 + SEGMENTS];
    params[0][0] = (BLOCK / width) as u32;
    params[1..].fill(nobody);
    let mut groups = 0;
    for ((x, at), segment) in list.iter().zip(&mut params[1..]) {
        *segment = [x.len() / width, *at, groups, 0].map(|v| v as u32);
        groups += x.len().div_ceil(BLOCK);
    }
    let x = |i: usize| -> &Buffer { &list.get(i).unwrap_or(&list[0]).0 };
    let buffers = [x(0), x(1), x(2), x(3), x(4), x(5), x(6), sums];
    gpu.dispatch(SUMS.with(&[("WIDTH", width as u32)]), params, &buffers, groups);
}
