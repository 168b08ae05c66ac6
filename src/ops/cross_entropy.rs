use super::gemm::{Epilogue, Layout, gemm, product};
use crate::gpu::{Buffer, Gpu, Kernel};
use crate::kernel;
use crate::tape::{Grads, Tape};
use crate::tensor::Tensor;

static LOSS: Kernel = kernel!("cross_entropy");
static BACKWARD: Kernel = kernel!("cross_entropy_backward");
static BACKWARD_BIAS: Kernel = kernel!("cross_entropy_backward_bias");

/// A target that costs nothing and teaches nothing.
pub const IGNORE: u32 = u32::MAX;

/// Rows and items at which matrices may be cut: any such row starts at a multiple of 256 bytes.
const CUT: usize = 64;
/// Logits held at once when they are not kept: with the rest below 64 MB whatever the numbers of rows and items.
const CHUNK_BYTES: u64 = 48 << 20;
/// Rows of one first sum of the gradient of the bias.
const BIAS_BLOCK: usize = 256;

/// How [`cross_entropy`] counts, and what memory it may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CrossEntropy {
    /// Share of the target distribution that is spread evenly over all items that take part, the target among them.
    pub smoothing: f32,
    /// Items below it are no classes: 1 leaves out a padding item 0.
    pub first_item: usize,
    /// Logits of up to this size are kept for the backward pass. Larger ones are made in chunks of at most this size or
    /// 48 MiB, and again in the backward pass: a fourth matrix product instead of memory.
    pub budget_bytes: u64,
}

impl Default for CrossEntropy {
    fn default() -> Self {
        CrossEntropy { smoothing: 0.0, first_item: 0, budget_bytes: 128 << 20 }
    }
}

/// Negative log-likelihood of `targets: [rows]` (`u32`) under `softmax(x · tableᵀ + bias)` over a whole catalogue, per
/// row: `x: [rows, dim]` (or more axes before `dim`), `table: [items, dim]`, `bias: [items]` give `[rows]`. Rows whose
/// target is [`IGNORE`], or any id outside of `first_item..items`, cost 0 and get no gradient.
///
/// `loss = lse(z) − (1 − smoothing) · z_target − smoothing · mean(z)`, as in PyTorch. The logits exist in chunks only
/// (see [`CrossEntropy::budget_bytes`]), for the idea see Wijmans et al. 2024, <https://arxiv.org/abs/2411.09009>, and
/// become their own gradient in place. Tables beyond one binding are read in parts. The same bits in every run.
///
/// # Panics
/// When shapes disagree, or no item takes part.
#[track_caller]
pub fn cross_entropy(
    tape: &mut Tape,
    x: &Tensor,
    table: &Tensor,
    bias: Option<&Tensor>,
    targets: &Tensor,
    options: &CrossEntropy,
) -> Tensor {
    let ((rows, dim), (items, _)) = (x.rows(), table.rows());
    table.expect_shape("cross_entropy: table", &[items, dim]);
    assert!(targets.len() == rows, "cross_entropy: targets: expected {rows}, got shape {:?}", targets.shape());
    if let Some(bias) = bias {
        bias.expect_shape("cross_entropy: bias", &[items]);
    }
    assert!(options.first_item < items, "cross_entropy: of {items} items none is left from {}", options.first_item);
    let gpu = x.gpu().clone();
    let inputs: Vec<&Tensor> = [x, table].into_iter().chain(bias).collect();
    let tracked = inputs.iter().any(|x| tape.tracks(x));
    let (x, targets) = (x.reshape(&[rows, dim]), targets.reshape(&[rows]));
    let plan = Plan::new(gpu.info().max_binding, rows, items, dim, options);
    let pass = Pass { x, table: table.clone(), bias: bias.cloned(), targets, options: *options, plan };
    let loss = Tensor::empty(&gpu, &[rows]);
    let (lse, kept) = pass.forward(&gpu, &loss, tracked);
    tape.record(&loss, &inputs, move |gpu, grads, dy| pass.backward(gpu, grads, dy, &lse, kept));
    loss
}

/// How rows and items are cut.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Plan {
    rows: usize,
    items: usize,
    /// Rows of one chunk and items of one part of the table; one matrix of logits covers one of each.
    chunk: usize,
    part: usize,
    /// All logits fit the budget and wait for the backward pass.
    keep: bool,
}

impl Plan {
    fn new(max_binding: u64, rows: usize, items: usize, dim: usize, options: &CrossEntropy) -> Plan {
        let keep = 4 * rows as u64 * items as u64 <= options.budget_bytes;
        let limit = if keep { max_binding } else { CHUNK_BYTES.min(options.budget_bytes).min(max_binding) };
        let limit = limit as usize / 4;
        let cut = |n: usize| (n / CUT * CUT).max(CUT);
        // At least CUT rows of logits, and the rows of the table themselves, have to fit.
        let part = cut((limit / CUT.min(rows.max(1))).min(max_binding as usize / 4 / dim)).min(items);
        let chunk = cut((limit / part).min(max_binding as usize / 4 / dim)).min(rows);
        Plan { rows, items, chunk, part, keep }
    }

    /// `(start, length)` of each chunk of rows.
    fn chunks(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.rows).step_by(self.chunk.max(1)).map(move |start| (start, self.chunk.min(self.rows - start)))
    }

    /// `(start, length)` of each part of the items.
    fn parts(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.items).step_by(self.part).map(move |start| (start, self.part.min(self.items - start)))
    }
}

/// The inputs, and how they are cut.
struct Pass {
    x: Tensor,
    table: Tensor,
    bias: Option<Tensor>,
    targets: Tensor,
    options: CrossEntropy,
    plan: Plan,
}

impl Pass {
    /// Writes the loss; returns `lse: [rows]` and, if they are to be kept, the logits in the order of their making.
    fn forward(&self, gpu: &Gpu, loss: &Tensor, tracked: bool) -> (Tensor, Vec<Tensor>) {
        let Plan { rows, chunk, keep, .. } = self.plan;
        let lse = Tensor::empty(gpu, &[rows]);
        let stats = Tensor::empty(gpu, &[chunk.max(1), 4]);
        let mut kept = Vec::new();
        let mut scratch = None;
        for (start, n) in self.plan.chunks() {
            let [targets, loss, lse] = [&self.targets, loss, &lse].map(|t| cut(t, start, n));
            for part in self.plan.parts() {
                let logits = match keep && tracked {
                    true => Tensor::empty(gpu, &[n, part.1]),
                    false => self.scratch(gpu, &mut scratch, n, part.1),
                };
                self.logits(gpu, (start, n), part, &logits);
                let buffers: [&Buffer; 5] = [&logits, &targets, &stats, &loss, &lse];
                gpu.dispatch(LOSS.with(&threads(gpu)), self.params(n, part), &buffers, n);
                if keep && tracked {
                    kept.push(logits);
                }
            }
        }
        (lse, kept)
    }

    fn backward(self, gpu: &Gpu, grads: &mut Grads, dy: &Tensor, lse: &Tensor, kept: Vec<Tensor>) {
        let wanted = |x: &Tensor| grads.wants(x).then(|| Tensor::empty(gpu, x.shape()));
        let (dx, dtable) = (wanted(&self.x), wanted(&self.table));
        let dbias = self.bias.as_ref().and_then(wanted);
        let (_, dim) = self.x.rows();
        let mut kept = kept.into_iter();
        let mut scratch = None;
        for (start, n) in self.plan.chunks() {
            let [targets, lse, dy] = [&self.targets, lse, dy].map(|t| cut(t, start, n));
            for (first, items) in self.plan.parts() {
                let logits = kept.next().unwrap_or_else(|| {
                    let logits = self.scratch(gpu, &mut scratch, n, items);
                    self.logits(gpu, (start, n), (first, items), &logits);
                    logits
                });
                let buffers: [&Buffer; 4] = [&targets, &lse, &dy, &logits];
                gpu.dispatch(BACKWARD.with(&threads(gpu)), self.params(n, (first, items)), &buffers, n);
                if let Some(dx) = &dx {
                    let (dx, table) = (cut(dx, start, n), cut(&self.table, first, items));
                    gemm(gpu, Layout::Nn, &logits, &table, &dx, [n, dim, items], first > 0);
                }
                if let Some(dtable) = &dtable {
                    let (dtable, x) = (cut(dtable, first, items), cut(&self.x, start, n));
                    gemm(gpu, Layout::Tn, &logits, &x, &dtable, [items, dim, n], start > 0);
                }
                if let Some(dbias) = &dbias {
                    column_sums(gpu, &logits, &cut(dbias, first, items), start > 0);
                }
            }
        }
        let inputs = [(Some(&self.x), dx), (Some(&self.table), dtable), (self.bias.as_ref(), dbias)];
        for (x, dx) in inputs {
            if let (Some(x), Some(dx)) = (x, dx) {
                grads.add(x, dx);
            }
        }
    }

    /// `logits = x · tableᵀ + bias` of some rows and items.
    fn logits(&self, gpu: &Gpu, (start, n): (usize, usize), (first, items): (usize, usize), logits: &Tensor) {
        let (x, table) = (cut(&self.x, start, n), cut(&self.table, first, items));
        let bias = self.bias.as_ref().map(|b| cut(b, first, items));
        let epilogue = Epilogue { bias: bias.as_ref(), ..Epilogue::default() };
        product(gpu, Layout::Nt, &x, &table, logits, [n, items, self.x.rows().1], &epilogue);
    }

    /// One piece of memory for every matrix of logits in turn, whatever its size.
    fn scratch(&self, gpu: &Gpu, memory: &mut Option<Tensor>, rows: usize, items: usize) -> Tensor {
        let memory = memory.get_or_insert_with(|| Tensor::empty(gpu, &[self.plan.chunk * self.plan.part]));
        memory.row_range(0, rows * items).reshape(&[rows, items])
    }

    fn params(&self, rows: usize, (first, items): (usize, usize)) -> [u32; 6] {
        let CrossEntropy { smoothing, first_item, .. } = self.options;
        let counts = [rows, items, first, first_item, self.plan.items].map(|v| v as u32);
        [counts[0], counts[1], counts[2], counts[3], counts[4], smoothing.to_bits()]
    }
}

/// Rows `start..start + n` of `x`.
fn cut(x: &Tensor, start: usize, n: usize) -> Tensor {
    if n == x.shape()[0] { x.clone() } else { x.row_range(start, n) }
}

/// On the CPU a workgroup is one subgroup: its barriers cost next to nothing.
fn threads(gpu: &Gpu) -> [(&'static str, u32); 1] {
    [("THREADS", if gpu.info().software { 8 } else { 256 })]
}

/// Sums over the rows of `x: [rows, items]` into `sums: [items]`.
fn column_sums(gpu: &Gpu, x: &Tensor, sums: &Tensor, accumulate: bool) {
    let (rows, items) = x.rows();
    let run = |x: &Tensor, y: &Tensor, rows: usize, block: usize, accumulate: bool| {
        let params = [rows, items, block].map(|v| v as u32);
        let consts = [("ACCUMULATE", u32::from(accumulate))];
        let groups = [items.div_ceil(64) as u32, rows.div_ceil(block) as u32, 1];
        gpu.dispatch(BACKWARD_BIAS.with(&consts), params, &[x, y], groups);
    };
    let blocks = rows.div_ceil(BIAS_BLOCK);
    if blocks <= 1 {
        return run(x, sums, rows, BIAS_BLOCK, accumulate);
    }
    let partial = Tensor::empty(gpu, &[blocks, items]);
    run(x, &partial, rows, BIAS_BLOCK, false);
    run(&partial, sums, blocks, blocks, accumulate);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(max_binding: u64, rows: usize, items: usize, budget_bytes: u64) -> Plan {
        Plan::new(max_binding, rows, items, 64, &CrossEntropy { budget_bytes, ..CrossEntropy::default() })
    }

    #[test]
    fn small_ones_are_kept_whole() {
        let whole = plan(128 << 20, 6400, 3417, 128 << 20);
        assert_eq!(whole, Plan { rows: 6400, items: 3417, chunk: 6400, part: 3417, keep: true });
    }

    #[test]
    fn pieces_fit_their_limits() {
        for (rows, items) in [(1, 1), (63, 10_000_000), (6400, 54_542), (25_600, 3417), (1_000_000, 70)] {
            for (binding, budget) in
                [(128 << 20, 128 << 20), (4 << 30, 1 << 30), (1 << 20, 64 << 20), (1 << 20, 1 << 20)]
            {
                let p = plan(binding, rows, items, budget);
                let bytes = 4 * (p.chunk * p.part) as u64;
                assert!(bytes <= binding && (p.keep || bytes <= CHUNK_BYTES.min(budget)), "{p:?}");
                assert!(4 * 64 * p.part.max(p.chunk) as u64 <= binding, "{p:?}");
                assert_eq!(p.chunks().map(|c| c.1).sum::<usize>(), rows);
                assert_eq!(p.parts().map(|c| c.1).sum::<usize>(), items);
                assert!(p.chunk == rows || p.chunk % CUT == 0);
                assert!(p.part == items || p.part % CUT == 0);
            }
        }
    }
}
