//! Matrix products in mixed precision: operands rounded to f16, sums in f32, on the matrix units of a GPU.
//!
//! Off unless asked for ([`Options::mixed_precision`](crate::Options::mixed_precision), `DESIREPATH_PRECISION=mixed`);
//! then `matmul`, `linear` and what stands on them (the input side of `gru`, `cross_entropy`) use it forward and backward
//! wherever a product is large enough. Tensors stay f32: each operand is scaled by a power of two on its way in, so that
//! its largest number fits f16. Numbers 2²⁹ times smaller than that lose digits and those 2⁴⁰ times smaller vanish; what
//! remains is the rounding of f16, about 2⁻¹¹ per number. Gradients are as exact as that, no more.
//!
//! It takes 16x16x16 matrices of f16 with sums in f32 and subgroups of exactly 32 lanes, and a right result in a test that
//! runs before the first use: [`state`] says whether it is on, and if not, why. This kernel has run with matrices of
//! 8x8x8 on a driver on the CPU; on a GPU nobody has seen it run yet, and that test is what stands guard.

use super::gemm::{Epilogue, How, Layout, product_by};
use crate::gpu::{AdapterInfo, Gpu, Kernel};
use crate::kernel;
use crate::tensor::Tensor;

static RANGE: Kernel = kernel!("gemm_range");
/// As in the shader: parts per operand.
const PARTS: usize = 256;
/// Products smaller than this in any direction, or in all, are no faster.
const LEAST: usize = 16;
const WORTH: usize = 1 << 21;
/// Largest difference allowed in the test, relative to the largest result.
pub(crate) const TOLERANCE: f64 = 2e-3;

/// Whether products run in mixed precision on this device, or why not. Tests it where that was not done yet.
pub fn state(gpu: &Gpu) -> Result<(), String> {
    gpu.mixed(|| test(gpu)).clone()
}

pub(super) fn serves(gpu: &Gpu, [m, n, k]: [usize; 3]) -> bool {
    gpu.info().fragment > 0 && m.min(n).min(k) >= LEAST && m * n * k >= WORTH && gpu.mixed(|| test(gpu)).is_ok()
}

/// How large the numbers of both operands are: `[2, 256]`.
pub(super) fn range(gpu: &Gpu, a: &Tensor, b: &Tensor) -> Tensor {
    let range = Tensor::empty(gpu, &[2, PARTS]);
    gpu.dispatch(&RANGE, [a.len() as u32, b.len() as u32], &[a, b, &range], 2 * PARTS);
    range
}

pub(super) fn consts(info: &AdapterInfo, how: How) -> [(&'static str, u32); 3] {
    let wide = if how == How::BigMixed { 4 } else { 2 };
    [("FRAGMENT", info.fragment), ("SUBGROUP", info.subgroup_min), ("WIDE", wide)]
}

/// The largest difference, relative to the largest number expected; infinite where anything is missing or no number.
pub(super) fn error(y: &[f32], expected: &[f64]) -> f64 {
    let size = expected.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    let off = |(y, e): (&f32, &f64)| if y.is_finite() { (f64::from(*y) - e).abs() } else { f64::INFINITY };
    let worst = y.iter().zip(expected).map(off).fold(0.0, f64::max);
    if y.len() == expected.len() { worst / size } else { f64::INFINITY }
}

/// Every layout and tile on numbers of very different sizes, against sums in f64 on the host.
fn test(gpu: &Gpu) -> Result<(), String> {
    let dims @ [m, n, k] = [150, 140, 84];
    let number = |i: usize, scale: f64| f64::from((((i * 7919 + 13) % 1009) as f64 / 504.5 - 1.0) as f32) * scale;
    // Powers of two: exact in f32, and far outside f16.
    let a: Vec<f64> = (0..m * k).map(|i| number(i, 2f64.powi(-40))).collect();
    let b: Vec<f64> = (0..k * n).map(|i| number(3 * i, 2f64.powi(30))).collect();
    let sum = |i: usize| -> f64 { (0..k).map(|s| a[i / n * k + s] * b[s * n + i % n]).sum() };
    let expected: Vec<f64> = (0..m * n).map(sum).collect();
    let turned = |x: &[f64], cols: usize| -> Vec<f64> {
        let rows = x.len() / cols;
        (0..x.len()).map(|i| x[i % rows * cols + i / rows]).collect()
    };
    let upload = |x: &[f64]| Tensor::from_slice(gpu, &x.iter().map(|v| *v as f32).collect::<Vec<_>>(), &[x.len()]);
    for how in [How::Mixed, How::BigMixed] {
        for layout in [Layout::Nn, Layout::Nt, Layout::Tn] {
            let stored_a = if layout == Layout::Tn { upload(&turned(&a, k)) } else { upload(&a) };
            let stored_b = if layout == Layout::Nt { upload(&turned(&b, n)) } else { upload(&b) };
            let y = Tensor::empty(gpu, &[m * n]);
            product_by(gpu, Some(how), layout, [&stored_a, &stored_b, &y], dims, &Epilogue::default());
            let y = y.to_vec::<f32>().map_err(|e| format!("its test does not run: {e}"))?;
            let error = error(&y, &expected);
            if error > TOLERANCE {
                return Err(format!("its test is wrong on this driver: {how:?} {layout:?} is off by {error:.1e}"));
            }
        }
    }
    Ok(())
}
