//! Differentiable operations. One op, one word, five places: the shader, this module's file (contract, dispatch and
//! gradient), [`reference`](crate::reference), the shapes in `tests/ops` and the row in `benches/ops`.
//!
//! Ops that take a `tape` differentiate; ops that take a `gpu` do not. A wrong shape panics and names op and tensor.

mod add;
mod attention;
mod attention_pool;
mod fill;
mod scale;
mod spacetime;

pub use add::add;
pub(crate) use add::sum_of;
pub use attention::{Attention, attention, attention_weights};
pub use attention_pool::attention_pool;
pub use fill::fill;
pub use scale::scale;
pub use spacetime::{BiasLayout, Moment, SpaceTime};

/// Threads per workgroup of the kernels that give one thread to each element.
pub(crate) const ELEMENTWISE: usize = 256;
