use super::cut;
use super::item_table::Items;
use super::scoring::{Exclusions, Fold, GROUP, Scoring};
use crate::gpu::{Gpu, Kernel};
use crate::kernel;
use crate::tensor::Tensor;

static SCORES: Kernel = kernel!("top_k_scores");
static SELECT: Kernel = kernel!("top_k_select");
static SORT: Kernel = kernel!("top_k_sort");

/// The largest `k`.
pub const MAX_K: usize = 1024;

/// The `k` items with the highest `score = queries · tableᵀ + bias` per query: `queries: [q, dim]`,
/// `table: [items, dim]`, `bias: [items]` give `(scores, ids): [q, k]`, ids as `u32`, ordered by score descending and
/// then id ascending. Items below `first_item` and those that `exclude` lists never appear. Where fewer than `k` are
/// left, the rest is id `u32::MAX` with score −1e30; scores of items must lie above that.
///
/// Exact, and the same bits in every run. The scores are never stored: the first pass keeps the best one of every
/// group of 64 (or 16) items. The `k` best items are in the `k` groups with the best such maxima (each group that comes before another
/// holds an item that comes before all of the other's), so only those groups are scored again and selected from. A table
/// beyond one binding is read in parts. It may be a [`Tensor`] of f32 or an [`ItemTable`](super::ItemTable) of fewer bits.
///
/// # Panics
/// When shapes disagree, or `k` is 0 or more than [`MAX_K`].
#[track_caller]
pub fn top_k<'a>(
    gpu: &Gpu,
    queries: &Tensor,
    table: impl Into<Items<'a>>,
    bias: Option<&Tensor>,
    exclude: Option<&Exclusions>,
    k: usize,
    first_item: usize,
) -> (Tensor, Tensor) {
    assert!((1..=MAX_K).contains(&k), "top_k: k is {k}, expected 1 to {MAX_K}");
    let mut scoring = Scoring::new("top_k", gpu, queries, table.into(), bias, exclude, first_item);
    // Large groups save in selecting among them, small ones in scoring the chosen ones again.
    scoring.group = if scoring.items >= 1024 * k { GROUP } else { 16 };
    let (n, _) = queries.rows();
    let (scores, ids) = (Tensor::empty(gpu, &[n, k]), Tensor::empty(gpu, &[n, k]));
    let groups = scoring.groups();
    let mask_words = if exclude.is_some() { scoring.words() } else { 0 };
    let bytes = 4 * groups.max(mask_words).max(scoring.group * k.min(groups));
    for (start, n) in scoring.batches(n, bytes) {
        let part = |x: &Tensor| cut(x, start, n);
        let mask = scoring.mask(start, n, None);
        batch(&scoring, &scoring.queries(&part(queries)), mask.as_ref(), k, &part(&scores), &part(&ids));
    }
    (scores, ids)
}

fn batch(scoring: &Scoring, queries: &Tensor, mask: Option<&Tensor>, k: usize, scores: &Tensor, ids: &Tensor) {
    let gpu = scoring.gpu;
    let (n, groups, group) = (queries.rows().0, scoring.groups(), scoring.group);
    let best = Tensor::empty(gpu, &[n, groups]);
    scoring.fold(queries, mask, &Fold::Best(&best));
    let n_chosen = k.min(groups);
    let (chosen, _) = select(gpu, &best, n_chosen);

    let keys = Tensor::empty(gpu, &[n, n_chosen * group]);
    let size = [("GROUP", group as u32)];
    let consts = [
        size[0],
        ("EXCLUDE", u32::from(mask.is_some())),
        ("BIAS", u32::from(scoring.bias.is_some())),
        ("FORMAT", scoring.format),
    ];
    for shard in scoring.shards() {
        let [a, b, c, d, e, f, g, h, i] = scoring.params(n, &shard);
        let params = [a, b, c, d, e, f, g, h, i, n_chosen as u32];
        let buffers: [&crate::gpu::Buffer; 6] =
            [queries, &shard.table, &shard.bias, mask.unwrap_or(queries), &chosen, &keys];
        gpu.dispatch(SCORES.with(&consts), params, &buffers, [(n_chosen * group).div_ceil(256) as u32, n as u32, 1]);
    }

    let found = k.min(n_chosen * group);
    let (index, found_keys) = select(gpu, &keys, found);
    let params = [n, k, found, n_chosen].map(|v| v as u32);
    let grid = [k.div_ceil(64) as u32, n as u32, 1];
    gpu.dispatch(SORT.with(&size), params, &[&index, &found_keys, &chosen, scores, ids], grid);
}

/// Indices (ascending) and values of the `k` largest of each row of `keys`.
fn select(gpu: &Gpu, keys: &Tensor, k: usize) -> (Tensor, Tensor) {
    let (n, len) = keys.rows();
    let (index, values) = (Tensor::empty(gpu, &[n, k]), Tensor::empty(gpu, &[n, k]));
    // On the CPU more threads mean more work at each barrier and nothing gained.
    let threads = [("THREADS", if gpu.info().cpu_kernels { 16 } else { 256 })];
    gpu.dispatch(SELECT.with(&threads), [n, len, k].map(|v| v as u32), &[keys, &index, &values], n);
    (index, values)
}
