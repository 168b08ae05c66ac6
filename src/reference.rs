fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Place of each query's target among all items by score, ties before it: 1 and the number of other items, not in
/// `excluded[query]` and not below `first_item`, whose score is at least its own. 0 for a target that is no item.
pub fn rank_of(
    queries: &[f64],
    table: &[f64],
    bias: Option<&[f64]>,
    targets: &[u32],
    excluded: &[Vec<u32>],
    first_item: usize,
) -> Vec<u32> {
    let dim = queries.len() / targets.len();
    let items = first_item as u32..(table.len() / dim) as u32;
    let score = |q: usize, i: u32| {
        inner(&queries[q * dim..][..dim], &table[i as usize * dim..][..dim]) + bias.map_or(0.0, |b| b[i as usize])
    };
    let rank = |(q, target): (usize, &u32)| {
        let before = |i: &u32| i != target && !excluded[q].contains(i) && score(q, *i) >= score(q, *target);
        if items.contains(target) { 1 + items.clone().filter(before).count() as u32 } else { 0 }
    };
    targets.iter().enumerate().map(rank).collect()
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

/// Negative log-likelihood `[rows]` of `targets: [rows]` under `softmax(x · tableᵀ + bias)` with `x: [rows, dim],
/// table: [items, dim], bias: [items]`. Items below `first_item` (padding) are no classes: they never enter the softmax.
/// A target of `u32::MAX` is ignored and gives 0. With smoothing `e` the target distribution is `1 − e` on the target
/// plus `e` spread evenly over all classes, the target among them, as in PyTorch.
pub fn cross_entropy(
    x: &[f64],
    table: &[f64],
    bias: Option<&[f64]>,
    targets: &[u32],
    smoothing: f64,
    first_item: usize,
) -> Vec<f64> {
    let dim = x.len() / targets.len();
    let items = table.len() / dim;
    let logit = |row: &[f64], i: usize| inner(row, &table[i * dim..][..dim]) + bias.map_or(0.0, |b| b[i]);
    let nll = |(row, target): (&[f64], &u32)| {
        if *target == u32::MAX {
            return 0.0;
        }
        let target = *target as usize;
        assert!((first_item..items).contains(&target), "cross_entropy: target {target} is no item");
        let logits: Vec<f64> = (first_item..items).map(|i| logit(row, i)).collect();
        let lse = log_sum_exp(&logits);
        let spread = lse - logits.iter().sum::<f64>() / logits.len() as f64;
        (1.0 - smoothing) * (lse - logits[target - first_item]) + smoothing * spread
    };
    x.chunks_exact(dim).zip(targets).map(nll).collect()
}

fn log_sum_exp(x: &[f64]) -> f64 {
    let max = x.iter().fold(f64::NEG_INFINITY, |m, x| m.max(*x));
    max + x.iter().map(|x| (x - max).exp()).sum::<f64>().ln()
}
