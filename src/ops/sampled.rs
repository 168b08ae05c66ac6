//! What the sampled losses share: the drawn items, and the scores of each row's target and of what was drawn beside it.

use super::{Activation, ELEMENTWISE, Ids, Masked, add, cut, dot_rows, embedding, lanes, linear, pieces, width};
use crate::gpu::{Buffer, Gpu, Kernel};
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static MASK: Kernel = kernel!("sampled_mask");

/// Items that were drawn to stand for all others: the same for every row, or some for each.
#[derive(Debug, Clone)]
pub struct Negatives {
    ids: Ids,
    shared: bool,
}

impl Negatives {
    /// `ids` of a table of `items` rows, for every row the same: their scores are a matrix product.
    ///
    /// # Panics
    /// When there are none, or one is not of the table.
    #[track_caller]
    pub fn shared(gpu: &Gpu, ids: &[u32], items: usize) -> Negatives {
        assert!(!ids.is_empty(), "Negatives: none were drawn");
        let mut ids = ids.to_vec();
        ids.sort_unstable(); // so that what a row leaves out is found by halving
        Negatives { ids: Ids::new(gpu, &ids, &[ids.len()], items), shared: true }
    }

    /// As many of `ids` for each of `rows`.
    ///
    /// # Panics
    /// When there are none, they do not make whole rows, or one is not of the table.
    #[track_caller]
    pub fn per_row(gpu: &Gpu, ids: &[u32], rows: usize, items: usize) -> Negatives {
        let whole = rows > 0 && !ids.is_empty() && ids.len().is_multiple_of(rows);
        assert!(whole, "Negatives: {} ids for {rows} rows", ids.len());
        let (mut ids, n) = (ids.to_vec(), ids.len() / rows);
        ids.chunks_exact_mut(n).for_each(<[u32]>::sort_unstable);
        Negatives { ids: Ids::new(gpu, &ids, &[rows, n], items), shared: false }
    }

    /// Of one row.
    pub fn count(&self) -> usize {
        self.ids.shape()[self.ids.shape().len() - 1]
    }

    /// The drawn ids on the host, rising (in each row).
    pub fn host(&self) -> &[u32] {
        self.ids.host()
    }

    /// The power of the target's probability in [`gbce`](super::gbce()) with calibration `t` from 0 (plain binary
    /// cross-entropy) to 1 (probabilities as if all of `items` had been compared): `α (t (1 − 1/α) + 1/α)` with the share
    /// `α = negatives / (items − 1)`. Petrov & Macdonald 2023, equation 10, <https://arxiv.org/abs/2308.07192>
    pub fn beta(&self, t: f32, items: usize) -> f32 {
        let alpha = (self.count() as f32 / (items.max(2) - 1) as f32).min(1.0);
        alpha * (t * (1.0 - 1.0 / alpha) + 1.0 / alpha)
    }
}

/// What a row of a sampled loss compares.
#[derive(Debug, Clone, Copy)]
pub struct Sampled<'a> {
    /// `[rows]`
    pub targets: &'a Ids,
    /// Those that are the target of a row do not count there.
    pub negatives: &'a Negatives,
    /// Items that do not count for some rows, should they be drawn.
    pub masked: Option<&'a Masked>,
}

/// `[rows]` scores of the targets, and `[rows, n]` of what was drawn, -1e30 for what does not count. `less: [items]` is
/// taken from the scores of drawn items. `op` is who asks.
#[track_caller]
pub(super) fn scores(
    op: &str,
    tape: &mut Tape,
    [x, table]: [&Tensor; 2],
    bias: Option<&Tensor>,
    less: Option<&Tensor>,
    sampled: &Sampled,
) -> [Tensor; 2] {
    let Sampled { targets, negatives, masked } = *sampled;
    let ((rows, dim), (items, _)) = (x.rows(), table.rows());
    table.expect_shape(&format!("{op}: table"), &[items, dim]);
    targets.tensor().expect_shape(&format!("{op}: targets"), &[rows]);
    let fits = targets.rows() == items && negatives.ids.rows() == items;
    assert!(fits, "{op}: targets and negatives are not of the table of {items} rows");
    if !negatives.shared {
        negatives.ids.tensor().expect_shape(&format!("{op}: negatives"), &[rows, negatives.count()]);
    }
    if let Some(masked) = masked {
        masked.spans().expect_shape(&format!("{op}: masked: spans"), &[rows, 2]);
    }
    let x = x.reshape(&[rows, dim]);
    // What is taken from drawn items goes where the bias goes.
    let shifted = match (bias, less) {
        (Some(bias), Some(less)) => Some(add(tape, bias, less)),
        (bias, less) => bias.or(less).cloned(),
    };
    let drawn = match negatives.shared {
        true => {
            let vectors = embedding(tape, table, &negatives.ids, None);
            let column = |b: Tensor| embedding(tape, &b.reshape(&[items, 1]), &negatives.ids, None);
            let bias = shifted.map(column).map(|b| b.reshape(&[negatives.count()]));
            linear(tape, &x, &vectors, bias.as_ref(), Activation::None, None)
        }
        false => dot_rows(tape, &x, table, shifted.as_ref(), &negatives.ids),
    };
    mask(x.gpu(), sampled, &drawn);
    [dot_rows(tape, &x, table, bias, targets), drawn]
}

/// The kernels of a loss `[rows]` over such scores, as [`losses`] runs them.
pub(super) struct Loss {
    pub forward: &'static Kernel,
    pub backward: &'static Kernel,
    /// Whether the forward pass leaves a number for each row to the backward pass.
    pub keeps: bool,
    /// Whether a row is one sum in the backward pass, too; else each score is by itself.
    pub sums_back: bool,
    /// What `Params` end with.
    pub numbers: [f32; 2],
}

/// The loss of `scores`, those of the targets `[rows]` and of the drawn `[rows, n]`.
pub(super) fn losses(tape: &mut Tape, scores: [Tensor; 2], loss: Loss) -> Tensor {
    let (gpu, (rows, count)) = (scores[0].gpu().clone(), scores[1].rows());
    let (width, lanes) = (width(count), lanes(&gpu));
    let kernel = [("LANES", lanes), ("WIDTH", width as u32)];
    let y = Tensor::empty(&gpu, &[rows]);
    let kept = loss.keeps.then(|| Tensor::empty(&gpu, &[rows]));
    let [a, b] = loss.numbers.map(f32::to_bits);
    let params = move |n: usize| [n as u32, (count / width) as u32, a, b];
    let by_rows = move |n: usize| (n * lanes as usize).div_ceil(256);
    for (first, n) in pieces(&gpu, rows, count) {
        let all: Vec<Tensor> = scores.iter().chain(&kept).chain([&y]).map(|t| cut(t, first, n)).collect();
        let buffers: Vec<&Buffer> = all.iter().map(|t| &**t).collect();
        gpu.dispatch(loss.forward.with(&kernel), params(n), &buffers, by_rows(n));
    }
    let inputs = scores.clone();
    tape.record(&y, &[&inputs[0], &inputs[1]], move |gpu, grads, dy| {
        let gradients = scores.each_ref().map(|t| Tensor::empty(gpu, t.shape()));
        for (first, n) in pieces(gpu, rows, count) {
            let all = scores.iter().chain(&kept).chain([dy]).chain(&gradients);
            let all: Vec<Tensor> = all.map(|t| cut(t, first, n)).collect();
            let buffers: Vec<&Buffer> = all.iter().map(|t| &**t).collect();
            let groups = if loss.sums_back { by_rows(n) } else { (n * count / width).div_ceil(ELEMENTWISE) };
            let kernel = if loss.sums_back { &kernel[..] } else { &kernel[1..] };
            gpu.dispatch(loss.backward.with(kernel), params(n), &buffers, groups);
        }
        scores.iter().zip(gradients).for_each(|(x, dx)| grads.add(x, dx));
    });
    y
}

/// Writes over the scores that do not count: nothing else has read them, and no gradient comes from there.
fn mask(gpu: &Gpu, sampled: &Sampled, drawn: &Tensor) {
    let Sampled { targets, negatives, masked } = *sampled;
    let (rows, count) = drawn.rows();
    let kernel = [("THREADS", if gpu.info().cpu_kernels { 8 } else { 256 }), ("SPANS", u32::from(masked.is_some()))];
    for (first, n) in pieces(gpu, rows, count) {
        let spans = masked.map(|m| cut(m.spans(), first, n));
        let ids = negatives.ids.tensor();
        let of_rows = if negatives.shared { ids.clone() } else { cut(ids, first, n) };
        let (targets, z) = (cut(targets.tensor(), first, n), cut(drawn, first, n));
        let stride = if negatives.shared { 0 } else { count };
        let params = [n, count, stride].map(|v| v as u32);
        let nothing = (&targets, &of_rows); // something must be bound
        let (left_out, spans) = (masked.map_or(nothing.0, |m| m.ids()), spans.as_ref().unwrap_or(nothing.1));
        let buffers: [&Buffer; 5] = [left_out, spans, &targets, &of_rows, &z];
        gpu.dispatch(MASK.with(&kernel), params, &buffers, n);
    }
}
