//! Differentiable operations. One op, one word, five places: the shader, this module's file (contract, dispatch and
//! gradient), [`reference`](crate::reference), the shapes in `tests/ops` and the row in `benches/ops`.
//!
//! Ops that take a `tape` differentiate; ops that take a `gpu` do not. A wrong shape panics and names op and tensor.

mod adamw;
mod add;
mod add_broadcast;
#[cfg(any(feature = "recsys", feature = "check"))]
mod affine;
mod attention;
mod attention_pool;
mod bce_with_logits;
mod bpr;
mod clip_grad_norm;
mod cross_entropy;
mod dot;
mod dot_rows;
mod dropout;
mod embedding;
mod fill;
mod gbce;
pub(crate) mod gemm;
mod gru;
mod ids;
mod item_table;
mod layer_norm;
mod lengths;
mod linear;
#[cfg(any(feature = "recsys", feature = "check"))]
mod linear_dropout;
mod matmul;
mod mean;
pub mod mixed;
mod mixture;
mod pointer;
mod rank_of;
mod sampled;
mod sampled_softmax;
mod scale;
mod scoring;
mod spacetime;
mod sum_rows;
mod top_k;

pub use adamw::{AdamW, Update, adamw, adamw_all};
pub use add::add;
pub(crate) use add::sum_of;
pub use add_broadcast::add_broadcast;
#[cfg(any(feature = "recsys", feature = "check"))]
pub(crate) use affine::affine;
pub use attention::{Attention, attention, attention_weights};
pub use attention_pool::attention_pool;
pub use bce_with_logits::bce_with_logits;
pub use bpr::bpr;
pub use clip_grad_norm::clip_grad_norm;
pub use cross_entropy::{CrossEntropy, IGNORE, Masked, cross_entropy};
pub use dot::dot;
#[cfg(feature = "check")]
pub(crate) use dot::dot_by;
pub use dot_rows::dot_rows;
pub use dropout::dropout;
pub use embedding::embedding;
#[cfg(any(feature = "recsys", feature = "check"))]
pub(crate) use embedding::{Rows, embedding_onto};
pub use fill::fill;
pub use gbce::gbce;
#[allow(unused_imports)] // for ops that multiply inside
pub(crate) use gemm::{Layout, gemm};
pub use gru::{GruWeights, gru, gru_step};
pub use ids::Ids;
pub use item_table::{ItemTable, Items, MAX_INT8_DIM, Quantised};
pub use layer_norm::layer_norm;
#[cfg(feature = "check")]
pub(crate) use layer_norm::layer_norm_by;
pub use lengths::{Lengths, Packed};
pub use linear::{Activation, linear};
#[cfg(any(feature = "recsys", feature = "check"))]
pub(crate) use linear_dropout::linear_dropout;
pub use matmul::matmul;
pub use mean::mean;
pub use mixture::mixture;
pub use pointer::{Pointer, pointer, pointer_weights};
pub use sampled::{Negatives, Sampled};
pub use sampled_softmax::{SampledSoftmax, sampled_softmax};
pub use scale::scale;
pub(crate) use sum_rows::{block_of, sum_rows};

use crate::gpu::Gpu;
pub use rank_of::rank_of;
pub use scoring::Exclusions;
pub use spacetime::{BiasLayout, Moment, SpaceTime};
pub use top_k::{MAX_K, top_k};

/// Threads per workgroup of the kernels that give one thread to each element.
pub(crate) const ELEMENTWISE: usize = 256;

/// Numbers that a thread loads at once, for kernels that include `element`: four wherever rows (or flat arrays) of
/// `dim` numbers allow it. Software drivers gain most: they load lane by lane.
pub(crate) fn width(dim: usize) -> usize {
    if dim.is_multiple_of(4) { 4 } else { 1 }
}

/// Threads per row of kernels that work by rows. A software driver pays for barriers and gains nothing from neighbours
/// that read together.
pub(crate) fn lanes(gpu: &Gpu) -> u32 {
    if gpu.info().cpu_kernels { 1 } else { 16 }
}

/// Pieces of a table `[rows, dim]` that fit one binding each, as `(first row, rows)`. Pieces start at multiples of 64
/// rows: offsets of bindings are multiples of 256 bytes then, in the table and in arrays of one number per row.
pub(crate) fn pieces(gpu: &Gpu, rows: usize, dim: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
    let fit = (gpu.info().max_binding as usize / (4 * dim.max(1)) / 64 * 64).max(64);
    (0..rows).step_by(fit).map(move |first| (first, fit.min(rows - first)))
}

/// Rows `start..start + n` of `x`: itself where that is all of it.
fn cut(x: &crate::tensor::Tensor, start: usize, n: usize) -> crate::tensor::Tensor {
    if n == x.shape()[0] { x.clone() } else { x.row_range(start, n) }
}
