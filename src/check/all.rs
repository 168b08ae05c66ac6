use super::attention::{self, Attention};
use super::catalogue::{self, Bits, Catalogue, Excluded};
use super::embedding::{self, Pattern};
use super::sampled::Sampled;
use super::{Report, elementwise, norm, optimizer, product, reduce, sampled};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::{Activation, CrossEntropy};

type Run = fn(&Gpu) -> Result<Vec<Report>>;

/// One case of every op by name: small, and of a shape that fills no tile, so that edges are compared, too.
pub const ALL: &[(&str, Run)] = &[
    ("add", |gpu| elementwise::add(gpu, 1003)),
    ("add_broadcast", |gpu| elementwise::add_broadcast(gpu, 5, 67)),
    ("scale", |gpu| elementwise::scale(gpu, 1003)),
    ("fill", |gpu| elementwise::fill(gpu, 1003)),
    ("dropout", |gpu| elementwise::dropout(gpu, 4001, 0.2)),
    ("bce_with_logits", |gpu| elementwise::bce_with_logits(gpu, 257, 20.0)),
    ("mean", |gpu| reduce::mean(gpu, 5003)),
    ("dot", |gpu| reduce::dot(gpu, 37, 67, None)),
    ("embedding", |gpu| embedding::embedding(gpu, 31, 20, 300, Pattern::Popular)),
    ("layer_norm", |gpu| norm::layer_norm(gpu, 19, 67, None)),
    ("matmul", |gpu| product::matmul(gpu, 37, 29, 41)),
    ("gemm", |gpu| product::gemm(gpu, 67, 35, 41)),
    ("linear", |gpu| product::linear(gpu, [37, 29, 41], Activation::Gelu, [true, true])),
    ("gru", |gpu| super::gru(gpu, [5, 9, 12, 20], Some(&[9, 0, 1, 5, 8]), true)),
    ("gru_step", |gpu| super::gru_step(gpu, [5, 12, 20])),
    ("attention", |gpu| attention::attention(gpu, &dropping())),
    ("attention_weights", |gpu| attention::attention_weights(gpu, &biased())),
    ("attention_pool", |gpu| attention::attention_pool(gpu, 5, 33, 19)),
    ("pointer", |gpu| super::pointer(gpu, &Attention { heads: 1, ..biased() })),
    ("pointer_weights", |gpu| super::pointer_weights(gpu, &Attention { heads: 1, ..biased() })),
    ("mixture", |gpu| elementwise::mixture(gpu, 257)),
    ("cross_entropy", |gpu| catalogue::cross_entropy(gpu, [23, 101, 20], true, smoothed())),
    ("cross_entropy masked", |gpu| {
        catalogue::cross_entropy_masked(gpu, [23, 101, 20], CrossEntropy { smoothing: 0.0, ..smoothed() })
    }),
    ("dot_rows", |gpu| sampled::dot_rows(gpu, [23, 31, 20], 7, true)),
    ("sampled_softmax", |gpu| sampled::sampled_softmax(gpu, &SAMPLED, 0.5, true)),
    ("gbce", |gpu| sampled::gbce(gpu, &Sampled { shared: false, ..SAMPLED }, 0.3)),
    ("bpr", |gpu| sampled::bpr(gpu, &SAMPLED)),
    ("top_k", |gpu| catalogue::top_k(gpu, CATALOGUE)),
    ("top_k f16", |gpu| catalogue::top_k(gpu, Catalogue { bits: Bits::F16, ..CATALOGUE })),
    ("top_k int8", |gpu| catalogue::top_k(gpu, Catalogue { bits: Bits::Int8, ..CATALOGUE })),
    ("rank_of", |gpu| catalogue::rank_of(gpu, CATALOGUE)),
    ("rank_of int8", |gpu| catalogue::rank_of(gpu, Catalogue { bits: Bits::Int8, ..CATALOGUE })),
    ("clip_grad_norm", |gpu| optimizer::clip_grad_norm(gpu, &[1, 1000, 67])),
    ("adamw", |gpu| optimizer::adamw(gpu, 1003, 3, true)),
];

/// A catalogue with ties, gaps and forbidden items.
const CATALOGUE: Catalogue = Catalogue {
    queries: 5,
    items: 1003,
    dim: 20,
    k: 10,
    first_item: 1,
    bias: true,
    boost: true,
    excluded: Excluded::Some,
    distinct: 300,
    bits: Bits::F32,
};

/// Drawn items that every row shares, of which some do not count.
const SAMPLED: Sampled = Sampled { rows: 23, items: 31, dim: 20, count: 12, shared: true, bias: true, masked: true };

fn biased() -> Attention {
    Attention::plain(5, 19, 2, 12).biased()
}

fn dropping() -> Attention {
    Attention { dropout: 0.1, ..biased() }
}

fn smoothed() -> CrossEntropy<'static> {
    CrossEntropy { smoothing: 0.1, first_item: 1, ..CrossEntropy::default() }
}
