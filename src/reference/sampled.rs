//! Losses over a sample of the items, one value per row.

use super::inner;

/// Scores of rows `x: [rows, dim]` against items of `table: [items, dim]`, `bias: [items]` by `ids: [rows, n]`, to `[rows, n]`.
pub fn dot_rows(x: &[f64], table: &[f64], bias: Option<&[f64]>, ids: &[u32], dim: usize) -> Vec<f64> {
    let per_row = ids.len() / (x.len() / dim);
    let row = |at: usize| &x[at / per_row * dim..][..dim];
    let item = |id: u32| &table[id as usize * dim..][..dim];
    let score = |(at, id): (usize, &u32)| inner(row(at), item(*id)) + bias.map_or(0.0, |b| b[*id as usize]);
    ids.iter().enumerate().map(score).collect()
}

/// What the sampled losses compare: `targets: [rows]` with `negatives: [rows, n]`, of which those do not count that are the
/// row's target or for which `masked(row, item)` holds.
pub struct Sampled<'a> {
    pub x: &'a [f64],
    pub table: &'a [f64],
    pub bias: Option<&'a [f64]>,
    pub targets: &'a [u32],
    pub negatives: &'a [u32],
    pub masked: &'a dyn Fn(usize, u32) -> bool,
}

impl Sampled<'_> {
    /// `loss(score of the target, (item, score) of the drawn that count)` for each row.
    fn rows(&self, loss: impl Fn(f64, &[(u32, f64)]) -> f64) -> Vec<f64> {
        let dim = self.x.len() / self.targets.len();
        let positive = dot_rows(self.x, self.table, self.bias, self.targets, dim);
        let drawn = dot_rows(self.x, self.table, self.bias, self.negatives, dim);
        let n = self.negatives.len() / self.targets.len();
        let row = |r: usize| {
            let counts = |id: u32| id != self.targets[r] && !(self.masked)(r, id);
            let all = (r * n..(r + 1) * n).map(|at| (self.negatives[at], drawn[at]));
            loss(positive[r], &all.filter(|(id, _)| counts(*id)).collect::<Vec<_>>())
        };
        (0..self.targets.len()).map(row).collect()
    }
}

/// `log(exp(p / τ) + Σ_j exp(s_j / τ + log_q_j)) − p / τ`, where `log_q: [items]` is minus the logarithm of how often an item
/// is expected to be drawn. Bengio & Senécal 2008, <https://doi.org/10.1109/TNN.2007.912312>
pub fn sampled_softmax(sampled: &Sampled, temperature: f64, log_q: Option<&[f64]>) -> Vec<f64> {
    sampled.rows(|p, drawn| {
        let term = |(id, s): &(u32, f64)| ((s - p) / temperature + log_q.map_or(0.0, |q| q[*id as usize])).exp();
        drawn.iter().map(term).sum::<f64>().ln_1p()
    })
}

/// `−(β log σ(p) + Σ_j log(1 − σ(s_j))) / (n + 1)`. Petrov & Macdonald 2023, <https://arxiv.org/abs/2308.07192>
pub fn gbce(sampled: &Sampled, beta: f64) -> Vec<f64> {
    let n = sampled.negatives.len() / sampled.targets.len();
    let sum = |p: f64, drawn: &[(u32, f64)]| beta * softplus(-p) + drawn.iter().map(|(_, s)| softplus(*s)).sum::<f64>();
    sampled.rows(|p, drawn| sum(p, drawn) / (n + 1) as f64)
}

/// `−Σ_j log σ(p − s_j) / n`. Rendle et al. 2009, <https://arxiv.org/abs/1205.2618>
pub fn bpr(sampled: &Sampled) -> Vec<f64> {
    let n = sampled.negatives.len() / sampled.targets.len();
    sampled.rows(|p, drawn| drawn.iter().map(|(_, s)| softplus(s - p)).sum::<f64>() / n as f64)
}

/// `log(1 + exp(x))`
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}
