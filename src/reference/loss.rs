//! Losses: one value per row, so that a caller weighs and averages them.

use super::{inner, sigmoid};

/// Negative log-likelihood `[rows]` of `targets: [rows]` under `softmax(x · tableᵀ + bias)` with `x: [rows, dim],
/// table: [items, dim], bias: [items]`. Items below `first_item` (padding) are no classes: they never enter the softmax.
/// A target of `u32::MAX` is ignored and gives 0. With smoothing `e` the target distribution is `1 − e` on the target
/// plus `e` spread evenly over all classes, the target among them, as in PyTorch. `masked(row, item)` names further items
/// that are no classes for a row; its target always is one.
pub fn cross_entropy(
    x: &[f64],
    table: &[f64],
    bias: Option<&[f64]>,
    targets: &[u32],
    smoothing: f64,
    first_item: usize,
    masked: &dyn Fn(usize, usize) -> bool,
) -> Vec<f64> {
    let dim = x.len() / targets.len();
    let items = table.len() / dim;
    let logit = |row: &[f64], i: usize| inner(row, &table[i * dim..][..dim]) + bias.map_or(0.0, |b| b[i]);
    let nll = |(r, (row, target)): (usize, (&[f64], &u32))| {
        if *target == u32::MAX {
            return 0.0;
        }
        let target = *target as usize;
        assert!((first_item..items).contains(&target), "cross_entropy: target {target} is no item");
        let classes = (first_item..items).filter(|i| *i == target || !masked(r, *i));
        let logits: Vec<f64> = classes.map(|i| logit(row, i)).collect();
        let lse = log_sum_exp(&logits);
        let spread = lse - logits.iter().sum::<f64>() / logits.len() as f64;
        (1.0 - smoothing) * (lse - logit(row, target)) + smoothing * spread
    };
    x.chunks_exact(dim).zip(targets).enumerate().map(nll).collect()
}

fn log_sum_exp(x: &[f64]) -> f64 {
    let max = x.iter().fold(f64::NEG_INFINITY, |m, x| m.max(*x));
    max + x.iter().map(|x| (x - max).exp()).sum::<f64>().ln()
}

/// `−t · log σ(z) − (1 − t) · log(1 − σ(z))` for each logit `z` and target `t` in `[0, 1]`, without overflow.
pub fn bce_with_logits(logits: &[f64], targets: &[f64]) -> Vec<f64> {
    assert_eq!(logits.len(), targets.len(), "bce_with_logits: one target for each logit");
    logits.iter().zip(targets).map(|(z, t)| z.max(0.0) - z * t + (-z.abs()).exp().ln_1p()).collect()
}

/// `Σ w · x / Σ w`, the plain mean without weights, and 0 where the weights sum to 0.
pub fn mean(x: &[f64], weights: Option<&[f64]>) -> f64 {
    let total = weights.map_or(x.len() as f64, |w| w.iter().sum());
    let sum = weights.map_or_else(|| x.iter().sum(), |w| inner(x, w));
    if total == 0.0 { 0.0 } else { sum / total }
}

/// `−log(σ(−gate) · exp(−nll) + σ(gate) · mass)` per row: either an item of the catalogue or one of the user's own history.
/// `nll, gate, mass: [rows]`. After Merity et al. 2017, <https://arxiv.org/abs/1609.07843>
pub fn mixture(nll: &[f64], gate: &[f64], mass: &[f64]) -> Vec<f64> {
    let loss = |i: usize| -(sigmoid(-gate[i]) * (-nll[i]).exp() + sigmoid(gate[i]) * mass[i]).ln();
    (0..nll.len()).map(loss).collect()
}

/// [`mixture`] with the masses `Σ_j weights_j [items_j = target]` of a row's own history: `nll, gate, targets: [rows];
/// weights, items: [rows, len]`. A target of `u32::MAX` is ignored and gives 0.
pub fn pointer_mixture(nll: &[f64], gate: &[f64], weights: &[f64], items: &[u32], targets: &[u32]) -> Vec<f64> {
    let len = items.len() / targets.len();
    let own = |row: usize| (row * len..(row + 1) * len).filter(move |j| items[*j] == targets[row]);
    let mass: Vec<f64> = (0..targets.len()).map(|row| own(row).map(|j| weights[j]).sum()).collect();
    let losses = mixture(nll, gate, &mass).into_iter().zip(targets);
    losses.map(|(loss, target)| if *target == u32::MAX { 0.0 } else { loss }).collect()
}
