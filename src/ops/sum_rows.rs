use super::ELEMENTWISE;
use crate::gpu::Kernel;
use crate::kernel;
use crate::tensor::Tensor;

static KERNEL: Kernel = kernel!("sum_rows");

/// Rows that one thread adds up alone. Two rounds of the square root each keep every thread's loop short.
pub(crate) fn block_of(rows: usize) -> usize {
    rows.isqrt().max(32)
}

/// Column sums of `x: [rows, dim]`, as `[dim]`, in a fixed order.
pub(crate) fn sum_rows(x: &Tensor) -> Tensor {
    let (rows, dim) = x.rows();
    let block = block_of(rows);
    let blocks = rows.div_ceil(block).max(1);
    let y = Tensor::empty(x.gpu(), &[blocks, dim]);
    let params = [rows as u32, dim as u32, block as u32];
    x.gpu().dispatch(&KERNEL, params, &[x, &y], y.len().div_ceil(ELEMENTWISE));
    if blocks > 1 { sum_rows(&y) } else { y.reshape(&[dim]) }
}
