use super::{ELEMENTWISE, width};
use crate::gpu::Kernel;
use crate::kernel;
use crate::tensor::Tensor;

static KERNEL: Kernel = kernel!("sum_rows");

/// Rows that one thread adds up alone. Two rounds of the square root each keep every thread's loop short, and few rows
/// are not worth a second round.
pub(crate) fn block_of(rows: usize) -> usize {
    if rows <= 128 { rows.max(1) } else { rows.isqrt() }
}

/// Column sums of `x: [rows, dim]`, as `[dim]`, in a fixed order.
pub(crate) fn sum_rows(x: &Tensor) -> Tensor {
    let (rows, dim) = x.rows();
    let block = block_of(rows);
    let blocks = rows.div_ceil(block).max(1);
    let y = Tensor::empty(x.gpu(), &[blocks, dim]);
    let width = width(dim);
    let params = [rows as u32, (dim / width) as u32, block as u32];
    let kernel = [("WIDTH", width as u32)];
    x.gpu().dispatch(KERNEL.with(&kernel), params, &[x, &y], (y.len() / width).div_ceil(ELEMENTWISE));
    if blocks > 1 { sum_rows(&y) } else { y.reshape(&[dim]) }
}
