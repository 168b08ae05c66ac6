//! Every op as plain f64 over flat row-major slices, forward only: what a kernel must compute. Gradients are checked by
//! central differences of these functions. Nothing here is fast, shared with a shader, or called outside checks; the
//! definitions themselves are compared with PyTorch in `tests/reference.rs`.
//!
//! Sizes that follow from the lengths of the slices are not passed. Padding is on the right: row `b` of a
//! `[batch, len, ..]` input is valid at positions `0..lengths[b]`, and outputs at other positions are zero.

mod loss;
mod sampled;
mod sequence;

pub use loss::{bce_with_logits, cross_entropy, mean, mixture, pointer_mixture};
pub use sampled::{Sampled, bpr, dot_rows, gbce, sampled_softmax};
pub use sequence::{
    Attention, AttentionBias, CategoryBias, Gru, PlaceBias, TimeBias, attention, attention_pool, attention_weights,
    gru, gru_last, gru_step, pointer, pointer_weights,
};

pub fn identity(x: f64) -> f64 {
    x
}

pub fn relu(x: f64) -> f64 {
    x.max(0.0)
}

/// The tanh form, PyTorch's `approximate="tanh"`. Hendrycks & Gimpel 2016, <https://arxiv.org/abs/1606.08415>
pub fn gelu(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
    0.5 * x * (1.0 + inner.tanh())
}

pub fn silu(x: f64) -> f64 {
    x * sigmoid(x)
}

pub fn tanh(x: f64) -> f64 {
    x.tanh()
}

pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

pub fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    assert_eq!(a.len(), b.len(), "add: one shape");
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// `b` added to each row of `x`.
pub fn add_broadcast(x: &[f64], b: &[f64]) -> Vec<f64> {
    x.chunks_exact(b.len()).flat_map(|row| add(row, b)).collect()
}

pub fn scale(x: &[f64], factor: f64) -> Vec<f64> {
    x.iter().map(|x| x * factor).collect()
}

pub fn fill(n: usize, value: f64) -> Vec<f64> {
    vec![value; n]
}

/// `x · mask`: the mask holds 0 for what is dropped and `1 / (1 − p)` for what stays.
pub fn dropout(x: &[f64], mask: &[f64]) -> Vec<f64> {
    assert_eq!(x.len(), mask.len(), "dropout: one factor for each element");
    x.iter().zip(mask).map(|(x, m)| x * m).collect()
}

/// Rows of `table: [rows, dim]` by `ids: [n]`, to `[n, dim]`. The row `padding` reads as zeros whatever it holds.
pub fn embedding(table: &[f64], ids: &[u32], dim: usize, padding: Option<u32>) -> Vec<f64> {
    let row = |id: &u32| match Some(*id) == padding {
        true => vec![0.0; dim],
        false => table[*id as usize * dim..][..dim].to_vec(),
    };
    ids.iter().flat_map(row).collect()
}

/// `a · b` with `a: [m, k], b: [k, n]`.
pub fn matmul(a: &[f64], b: &[f64], k: usize) -> Vec<f64> {
    let (m, n) = (a.len() / k, b.len() / k);
    let cell = |i: usize| (0..k).map(|j| a[i / n * k + j] * b[j * n + i % n]).sum();
    (0..m * n).map(cell).collect()
}

/// `act(x · wᵀ + bias) + residual` with `x: [n, inputs], w: [outputs, inputs], bias: [outputs], residual: [n, outputs]`.
pub fn linear(
    x: &[f64],
    w: &[f64],
    bias: Option<&[f64]>,
    act: fn(f64) -> f64,
    residual: Option<&[f64]>,
    inputs: usize,
) -> Vec<f64> {
    let (n, outputs) = (x.len() / inputs, w.len() / inputs);
    let mut y = vec![0.0; n * outputs];
    for i in 0..n * outputs {
        let (row, out) = (i / outputs, i % outputs);
        let sum = inner(&x[row * inputs..][..inputs], &w[out * inputs..][..inputs]);
        y[i] = act(sum + bias.map_or(0.0, |b| b[out])) + residual.map_or(0.0, |r| r[i]);
    }
    y
}

/// `(x − mean) / sqrt(variance + eps) · gamma + beta` over each row of `x: [n, dim]`; `gamma, beta: [dim]`. The variance
/// is the biased one. Ba et al. 2016, <https://arxiv.org/abs/1607.06450>
pub fn layer_norm(x: &[f64], gamma: &[f64], beta: &[f64], eps: f64) -> Vec<f64> {
    let dim = gamma.len();
    let mut y = Vec::with_capacity(x.len());
    for row in x.chunks_exact(dim) {
        let mean = row.iter().sum::<f64>() / dim as f64;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / dim as f64;
        let rstd = 1.0 / (variance + eps).sqrt();
        y.extend((0..dim).map(|i| (row[i] - mean) * rstd * gamma[i] + beta[i]));
    }
    y
}

/// Row by row inner products of `a, b: [n, dim]`, to `[n]`.
pub fn dot(a: &[f64], b: &[f64], dim: usize) -> Vec<f64> {
    assert_eq!(a.len(), b.len(), "dot: one shape");
    a.chunks_exact(dim).zip(b.chunks_exact(dim)).map(|(a, b)| inner(a, b)).collect()
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Softmax of the scores for which `keep` holds; 0 elsewhere, and everywhere where nothing is kept.
fn softmax(scores: &[f64], keep: impl Fn(usize) -> bool) -> Vec<f64> {
    let max = (0..scores.len()).filter(|i| keep(*i)).map(|i| scores[i]).fold(f64::NEG_INFINITY, f64::max);
    let raised: Vec<f64> = (0..scores.len()).map(|i| if keep(i) { (scores[i] - max).exp() } else { 0.0 }).collect();
    let sum: f64 = raised.iter().sum();
    raised.iter().map(|e| if sum > 0.0 { e / sum } else { 0.0 }).collect()
}

/// Settings of [`adamw`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    pub weight_decay: f64,
}

/// One step of Adam with decoupled weight decay; `m` and `v` start at zero and `step` at 1.
/// Loshchilov & Hutter 2019, <https://arxiv.org/abs/1711.05101>
pub fn adamw(p: &mut [f64], grad: &[f64], m: &mut [f64], v: &mut [f64], step: u32, o: &AdamW) {
    let correction1 = 1.0 - o.beta1.powf(f64::from(step));
    let correction2 = 1.0 - o.beta2.powf(f64::from(step));
    for i in 0..p.len() {
        m[i] = o.beta1 * m[i] + (1.0 - o.beta1) * grad[i];
        v[i] = o.beta2 * v[i] + (1.0 - o.beta2) * grad[i] * grad[i];
        let slope = (m[i] / correction1) / ((v[i] / correction2).sqrt() + o.eps);
        p[i] -= o.lr * (o.weight_decay * p[i] + slope);
    }
}

/// Scales all gradients together so that their joint 2-norm is at most `max_norm`, and returns the norm they had.
pub fn clip_grad_norm(grads: &mut [Vec<f64>], max_norm: f64) -> f64 {
    let norm = grads.iter().flatten().map(|g| g * g).sum::<f64>().sqrt();
    let factor = (max_norm / (norm + 1e-6)).min(1.0);
    grads.iter_mut().flatten().for_each(|g| *g *= factor);
    norm
}

/// The `k` best items for each of `queries: [n, dim]` by `query · item + bias`, with `table: [items, dim], bias: [items]`:
/// score and id, by falling score and then by rising id. Items below `first_item` (padding) and those in `excluded[query]`
/// are not candidates; fewer than `k` come back where fewer are left.
pub fn top_k(
    queries: &[f64],
    table: &[f64],
    bias: Option<&[f64]>,
    excluded: &[Vec<u32>],
    first_item: usize,
    k: usize,
    dim: usize,
) -> Vec<Vec<(f64, u32)>> {
    let items = table.len() / dim;
    let score = |query: &[f64], i: usize| inner(query, &table[i * dim..][..dim]) + bias.map_or(0.0, |b| b[i]);
    let best = |(query, excluded): (&[f64], &Vec<u32>)| {
        let candidates = (first_item..items).filter(|i| !excluded.contains(&(*i as u32)));
        let mut list: Vec<(f64, u32)> = candidates.map(|i| (score(query, i), i as u32)).collect();
        list.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        list.truncate(k);
        list
    };
    queries.chunks_exact(dim).zip(excluded).map(best).collect()
}

/// Each row of `dim` numbers rounded to whole steps of a 127th of its largest.
pub fn int8(x: &[f64], dim: usize) -> Vec<f64> {
    let row = |row: &[f64]| {
        let step = row.iter().fold(0.0f64, |m, v| m.max(v.abs())) / 127.0;
        row.iter().map(|v| if step > 0.0 { (v / step).round_ties_even() * step } else { 0.0 }).collect::<Vec<_>>()
    };
    x.chunks_exact(dim).flat_map(row).collect()
}

/// Place of each query's target among all items by score, ties before it: 1 and the number of other items, not in
/// `excluded[query]` and not below `first_item`, whose score is at least its own plus `boost[query]`. 0 for a target that is no item.
pub fn rank_of(
    queries: &[f64],
    table: &[f64],
    bias: Option<&[f64]>,
    targets: &[u32],
    excluded: &[Vec<u32>],
    first_item: usize,
    boost: Option<&[f64]>,
) -> Vec<u32> {
    let dim = queries.len() / targets.len();
    let items = first_item as u32..(table.len() / dim) as u32;
    let score = |q: usize, i: u32| {
        inner(&queries[q * dim..][..dim], &table[i as usize * dim..][..dim]) + bias.map_or(0.0, |b| b[i as usize])
    };
    let rank = |(q, target): (usize, &u32)| {
        let extra = boost.map_or(0.0, |b| b[q]);
        let before = |i: &u32| i != target && !excluded[q].contains(i) && score(q, *i) >= score(q, *target) + extra;
        if items.contains(target) { 1 + items.clone().filter(before).count() as u32 } else { 0 }
    };
    targets.iter().enumerate().map(rank).collect()
}

/// Central differences of `f` at `x`, for the elements `indices`.
pub fn gradient(f: &dyn Fn(&[f64]) -> f64, x: &[f64], indices: &[usize]) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut at = x.to_vec();
    let mut slope = |i: &usize| {
        at[*i] = x[*i] + STEP;
        let above = f(&at);
        at[*i] = x[*i] - STEP;
        let below = f(&at);
        at[*i] = x[*i];
        (above - below) / (2.0 * STEP)
    };
    indices.iter().map(&mut slope).collect()
}
