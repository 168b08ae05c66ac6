//! Ops over whole histories: recurrence, attention, pooling.

use super::{identity, inner, linear, sigmoid, softmax};

/// Weights of a GRU in PyTorch's layout, gates in the order reset, update, new: `w_ih: [3 hidden, inputs],
/// w_hh: [3 hidden, hidden], b_ih, b_hh: [3 hidden]`.
#[derive(Debug, Clone, Copy)]
pub struct Gru<'a> {
    pub w_ih: &'a [f64],
    pub w_hh: &'a [f64],
    pub b_ih: &'a [f64],
    pub b_hh: &'a [f64],
}

/// One event: `x: [batch, inputs], h: [batch, hidden]` to the next `h`.
/// `n = tanh(W_in x + b_in + r ∘ (W_hn h + b_hn))`, `h' = (1 − z) ∘ n + z ∘ h`: the reset gate is applied after the
/// product, as cuDNN and PyTorch do. Cho et al. 2014, <https://arxiv.org/abs/1406.1078>
pub fn gru_step(x: &[f64], h: &[f64], w: Gru) -> Vec<f64> {
    let hidden = w.b_hh.len() / 3;
    let batch = h.len() / hidden;
    let from_x = linear(x, w.w_ih, Some(w.b_ih), identity, None, x.len() / batch);
    let from_h = linear(h, w.w_hh, Some(w.b_hh), identity, None, hidden);
    let mut next = h.to_vec();
    for (i, h) in next.iter_mut().enumerate() {
        let at = i / hidden * 3 * hidden + i % hidden;
        let r = sigmoid(from_x[at] + from_h[at]);
        let z = sigmoid(from_x[at + hidden] + from_h[at + hidden]);
        let n = (from_x[at + 2 * hidden] + r * from_h[at + 2 * hidden]).tanh();
        *h = (1.0 - z) * n + z * *h;
    }
    next
}

/// The states `[batch, len, hidden]` after each event of `x: [batch, len, inputs]`, from `h0: [batch, hidden]`. Beyond
/// `lengths: [batch]` the output is 0.
pub fn gru(x: &[f64], h0: &[f64], w: Gru, lengths: &[u32]) -> Vec<f64> {
    gru_run(x, h0, w, lengths).0
}

/// The state `[batch, hidden]` after the last valid event of each row; `h0` where there is none.
pub fn gru_last(x: &[f64], h0: &[f64], w: Gru, lengths: &[u32]) -> Vec<f64> {
    gru_run(x, h0, w, lengths).1
}

fn gru_run(x: &[f64], h0: &[f64], w: Gru, lengths: &[u32]) -> (Vec<f64>, Vec<f64>) {
    let (batch, hidden) = (lengths.len(), w.b_hh.len() / 3);
    let inputs = w.w_ih.len() / w.b_ih.len();
    let len = x.len() / (batch * inputs);
    let (mut y, mut last) = (vec![0.0; batch * len * hidden], h0.to_vec());
    for (b, h) in last.chunks_exact_mut(hidden).enumerate() {
        for at in (0..lengths[b] as usize).map(|t| b * len + t) {
            h.copy_from_slice(&gru_step(&x[at * inputs..][..inputs], h, w));
            y[at * hidden..][..hidden].copy_from_slice(h);
        }
    }
    (y, last)
}

/// What an attention sees: `q, k, v` are `[batch, len, heads * head_dim]`.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    pub heads: usize,
    pub head_dim: usize,
    /// Position `i` sees `0..=i` and not what comes after it.
    pub causal: bool,
    /// `[batch]`
    pub lengths: &'a [u32],
    pub bias: AttentionBias<'a>,
}

/// Learned terms added to the scores, each a table with one row per head.
#[derive(Debug, Clone, Copy, Default)]
pub struct AttentionBias<'a> {
    pub time: Option<TimeBias<'a>>,
    pub place: Option<PlaceBias<'a>>,
    pub category: Option<CategoryBias<'a>>,
    /// `[heads, max_len]`, by `|i − j|`; farther positions share the last entry.
    pub position: Option<&'a [f64]>,
}

/// By the time gap: `table: [heads, knots]`, `query_s, key_s: [batch, len]` seconds. The query's time is that of the event
/// to be predicted where it is known, otherwise that of the query's own event.
#[derive(Debug, Clone, Copy)]
pub struct TimeBias<'a> {
    pub table: &'a [f64],
    pub unit_s: f64,
    pub per_octave: f64,
    pub query_s: &'a [f64],
    pub key_s: &'a [f64],
}

/// By the distance: `table: [heads, knots]`, `query, key: [batch, len, 3]` on the unit sphere; (0, 0, 0) is an unknown
/// place, and a pair with one gets no bias. The distance is the chord's: it rises with the arc and needs no arcsine.
#[derive(Debug, Clone, Copy)]
pub struct PlaceBias<'a> {
    pub table: &'a [f64],
    pub unit_km: f64,
    pub per_octave: f64,
    pub query: &'a [f64],
    pub key: &'a [f64],
}

/// By the pair of categories: `table: [heads, categories, categories]`, the query's first; `query, key: [batch, len]`.
#[derive(Debug, Clone, Copy)]
pub struct CategoryBias<'a> {
    pub table: &'a [f64],
    pub categories: usize,
    pub query: &'a [u32],
    pub key: &'a [u32],
}

/// Mean radius of the Earth.
const EARTH_KM: f64 = 6371.0088;

/// `table: [knots]` read at `p = clamp(per_octave · log2(1 + |x| / unit), 0, knots − 1)`, linear between its knots: so
/// that the bias is continuous, and rounding near a knot does not matter.
fn interpolate(table: &[f64], x: f64, unit: f64, per_octave: f64) -> f64 {
    let p = (per_octave * (1.0 + x.abs() / unit).log2()).clamp(0.0, (table.len() - 1) as f64);
    let (below, fraction) = (p.floor() as usize, p.fract());
    let above = (below + 1).min(table.len() - 1);
    (1.0 - fraction) * table[below] + fraction * table[above]
}

impl AttentionBias<'_> {
    /// The bias of head `head` between the query at `i` and the key at `j` of row `b`.
    fn at(&self, heads: usize, head: usize, [b, len, i, j]: [usize; 4]) -> f64 {
        let (query, key) = (b * len + i, b * len + j);
        let time = |t: &TimeBias| {
            interpolate(row_of(t.table, heads, head), t.query_s[query] - t.key_s[key], t.unit_s, t.per_octave)
        };
        let place = |p: &PlaceBias| {
            let (from, to) = (&p.query[query * 3..][..3], &p.key[key * 3..][..3]);
            if from == [0.0; 3] || to == [0.0; 3] {
                return 0.0;
            }
            let chord = from.iter().zip(to).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
            interpolate(row_of(p.table, heads, head), EARTH_KM * chord, p.unit_km, p.per_octave)
        };
        let category = |c: &CategoryBias| {
            row_of(c.table, heads, head)[c.query[query] as usize * c.categories + c.key[key] as usize]
        };
        let position = |table: &[f64]| row_of(table, heads, head)[i.abs_diff(j).min(table.len() / heads - 1)];
        self.time.as_ref().map_or(0.0, time)
            + self.place.as_ref().map_or(0.0, place)
            + self.category.as_ref().map_or(0.0, category)
            + self.position.map_or(0.0, position)
    }
}

fn row_of(table: &[f64], rows: usize, row: usize) -> &[f64] {
    let dim = table.len() / rows;
    &table[row * dim..][..dim]
}

/// `softmax(q · kᵀ / sqrt(head_dim) + bias)`, to `[batch, heads, len, len]`: 0 for what is masked, and whole rows of 0 for
/// queries beyond the length.
pub fn attention_weights(q: &[f64], k: &[f64], o: &Attention) -> Vec<f64> {
    let (batch, dim) = (o.lengths.len(), o.heads * o.head_dim);
    let len = q.len() / (batch * dim);
    let scale = 1.0 / (o.head_dim as f64).sqrt();
    let mut weights = Vec::with_capacity(batch * o.heads * len * len);
    for row in 0..batch * o.heads * len {
        let (b, head, i) = (row / len / o.heads, row / len % o.heads, row % len);
        let valid = o.lengths[b] as usize;
        let of = |x, t| -> &[f64] { &row_of(x, batch * len, b * len + t)[head * o.head_dim..][..o.head_dim] };
        let score = |j| inner(of(q, i), of(k, j)) * scale + o.bias.at(o.heads, head, [b, len, i, j]);
        let scores: Vec<f64> = (0..len).map(score).collect();
        weights.extend(softmax(&scores, |j| i < valid && j < valid && (j <= i || !o.causal)));
    }
    weights
}

/// [`attention_weights`] times `v`, to `[batch, len, heads * head_dim]`. Vaswani et al. 2017,
/// <https://arxiv.org/abs/1706.03762>; the biases after Li et al. 2020, <https://doi.org/10.1145/3336191.3371786>
pub fn attention(q: &[f64], k: &[f64], v: &[f64], o: &Attention) -> Vec<f64> {
    let (batch, dim) = (o.lengths.len(), o.heads * o.head_dim);
    let len = q.len() / (batch * dim);
    let weights = attention_weights(q, k, o);
    let mut y = vec![0.0; q.len()];
    for (at, y) in y.iter_mut().enumerate() {
        let (b, i, d) = (at / dim / len, at / dim % len, at % dim);
        let row = (b * o.heads + d / o.head_dim) * len + i;
        *y = (0..len).map(|j| weights[row * len + j] * v[(b * len + j) * dim + d]).sum();
    }
    y
}

/// What each position's attention gives to its target: `y_t = Σ_j weights_tj [items_j = targets_t]` of one head's
/// [`attention_weights`], to `[batch, len]`. A target of `u32::MAX` gives 0.
/// Vinyals et al. 2015, <https://arxiv.org/abs/1506.03134>
pub fn pointer(q: &[f64], k: &[f64], items: &[u32], targets: &[u32], o: &Attention) -> Vec<f64> {
    let len = items.len() / o.lengths.len();
    let weights = attention_weights(q, k, o);
    let mass = |(row, target): (usize, &u32)| -> f64 {
        let found = |j: &usize| *target != u32::MAX && items[row / len * len + j] == *target;
        (0..len).filter(found).map(|j| weights[row * len + j]).sum()
    };
    targets.iter().enumerate().map(mass).collect()
}

/// One head's [`attention_weights`] of each row's last valid query: `[batch, len]`, zeros for an empty row.
pub fn pointer_weights(q: &[f64], k: &[f64], o: &Attention) -> Vec<f64> {
    let weights = attention_weights(q, k, o);
    let len = q.len() / (o.lengths.len() * o.head_dim);
    let last = |b: usize| &weights[(b * len + (o.lengths[b] as usize).max(1) - 1) * len..][..len];
    (0..o.lengths.len()).flat_map(last).copied().collect()
}

/// `y_t = Σ_{j ≤ t} softmax_{j ≤ t}(x_j · w) x_j` for `x: [batch, len, dim], w: [dim], lengths: [batch]`; 0 beyond the
/// length. Pooling by attention of all that came so far.
pub fn attention_pool(x: &[f64], w: &[f64], lengths: &[u32]) -> Vec<f64> {
    let dim = w.len();
    let len = x.len() / (dim * lengths.len());
    let mut y = vec![0.0; x.len()];
    for (b, x) in x.chunks_exact(len * dim).enumerate() {
        let scores: Vec<f64> = x.chunks_exact(dim).map(|x| inner(x, w)).collect();
        for t in 0..lengths[b] as usize {
            let weights = softmax(&scores, |j| j <= t);
            for d in 0..dim {
                y[(b * len + t) * dim + d] = (0..=t).map(|j| weights[j] * x[j * dim + d]).sum();
            }
        }
    }
    y
}
