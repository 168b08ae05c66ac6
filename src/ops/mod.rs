//! Differentiable operations. One op, one word, five places: the shader, this module's file (contract, dispatch and
//! gradient), [`reference`](crate::reference), the shapes in `tests/ops` and the row in `benches/ops`.
//!
//! Ops that take a `tape` differentiate; ops that take a `gpu` do not. A wrong shape panics and names op and tensor.

mod add;
mod fill;
mod rank_of;
mod scale;
mod scoring;
mod top_k;

pub use add::add;
pub(crate) use add::sum_of;
pub use fill::fill;
pub use rank_of::rank_of;
pub use scale::scale;
pub use scoring::Exclusions;
pub use top_k::{MAX_K, top_k};

/// Threads per workgroup of the kernels that give one thread to each element.
pub(crate) const ELEMENTWISE: usize = 256;
