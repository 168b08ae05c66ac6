//! Differentiable operations. One op, one word, five places: the shader, this module's file (contract, dispatch and
//! gradient), [`reference`](crate::reference), the shapes in `tests/ops` and the row in `benches/ops`.
//!
//! Ops that take a `tape` differentiate; ops that take a `gpu` do not. A wrong shape panics and names op and tensor.

mod add;
mod cross_entropy;
mod fill;
mod gemm;
mod linear;
mod matmul;
mod rank_of;
mod scale;
mod scoring;
mod top_k;

pub use add::add;
pub(crate) use add::sum_of;
pub use cross_entropy::{CrossEntropy, IGNORE, cross_entropy};
pub use fill::fill;
#[allow(unused_imports)] // for ops that multiply inside
pub(crate) use gemm::{Layout, gemm};
pub use linear::{Activation, linear};
pub use matmul::matmul;
pub use rank_of::rank_of;
pub use scale::scale;
pub use scoring::Exclusions;
pub use top_k::{MAX_K, top_k};

/// Threads per workgroup of the kernels that give one thread to each element.
pub(crate) const ELEMENTWISE: usize = 256;

/// Rows `start..start + n` of `x`: itself where that is all of it.
fn cut(x: &crate::tensor::Tensor, start: usize, n: usize) -> crate::tensor::Tensor {
    if n == x.shape()[0] { x.clone() } else { x.row_range(start, n) }
}
