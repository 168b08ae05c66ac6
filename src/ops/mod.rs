//! Differentiable operations. One op, one word, five places: the shader, this module's file (contract, dispatch and
//! gradient), [`reference`](crate::reference), the shapes in `tests/ops` and the row in `benches/ops`.
//!
//! Ops that take a `tape` differentiate; ops that take a `gpu` do not. A wrong shape panics and names op and tensor.

mod add;
mod fill;
pub(crate) mod gemm;
mod linear;
mod matmul;
mod scale;

pub use add::add;
pub(crate) use add::sum_of;
pub use fill::fill;
#[allow(unused_imports)] // for ops that multiply inside
pub(crate) use gemm::{Layout, gemm};
pub use linear::{Activation, linear};
pub use matmul::matmul;
pub use scale::scale;

/// Threads per workgroup of the kernels that give one thread to each element.
pub(crate) const ELEMENTWISE: usize = 256;
