use super::gemm::{Epilogue, Layout, add_parts, product};
use super::{cut, width};
use crate::gpu::{AdapterInfo, Buffer, Gpu, Kernel};
use crate::kernel;
use crate::tape::{Grads, Tape};
use crate::tensor::Tensor;

static LOSS: Kernel = kernel!("cross_entropy");
static MASK: Kernel = kernel!("cross_entropy_mask");
static BACKWARD: Kernel = kernel!("cross_entropy_backward");

/// A target that costs nothing and teaches nothing.
pub const IGNORE: u32 = u32::MAX;

/// Rows and items at which matrices may be cut: any such row starts at a multiple of 256 bytes.
const CUT: usize = 64;
/// Logits held at once when they are not kept: with the rest below 64 MB whatever the numbers of rows and items.
const CHUNK_BYTES: u64 = 48 << 20;

/// For each row some items that are no classes there: what a user has had already and will not be offered again.
#[derive(Debug, Clone)]
pub struct Masked {
    ids: Tensor,
    spans: Tensor,
}

impl Masked {
    /// Row `r` leaves out `ids[spans[r][0]..spans[r][1]]`, but never its own target. Spans may overlap, so that the
    /// positions of one history share its items.
    ///
    /// # Panics
    /// When a span ends before it starts or behind the ids.
    #[track_caller]
    pub fn new(gpu: &Gpu, ids: &[u32], spans: &[[u32; 2]]) -> Masked {
        let bad = spans.iter().find(|[start, end]| start > end || *end as usize > ids.len());
        assert!(bad.is_none(), "cross_entropy: masked: span {bad:?} of {} ids", ids.len());
        let ids = if ids.is_empty() { &[u32::MAX] } else { ids }; // a binding cannot be empty
        let spans = Tensor::from_slice(gpu, spans.as_flattened(), &[spans.len(), 2]);
        Masked { ids: Tensor::from_slice(gpu, ids, &[ids.len()]), spans }
    }

    pub(super) fn ids(&self) -> &Tensor {
        &self.ids
    }

    /// `[rows, 2]`
    pub(super) fn spans(&self) -> &Tensor {
        &self.spans
    }
}

/// How [`cross_entropy`] counts, and what memory it may take.
#[derive(Debug, Clone, Copy)]
pub struct CrossEntropy<'a> {
    /// Share of the target distribution that is spread evenly over all items that take part, the target among them.
    pub smoothing: f32,
    /// Items below it are no classes: 1 leaves out a padding item 0.
    pub first_item: usize,
    /// Items that are no classes for some rows. Not together with smoothing.
    pub masked: Option<&'a Masked>,
    /// Logits of up to this size are kept for the backward pass. Larger ones are made in chunks of at most this size or
    /// 48 MiB, and again in the backward pass: a fourth matrix product instead of memory.
    pub budget_bytes: u64,
}

impl Default for CrossEntropy<'_> {
    fn default() -> Self {
        CrossEntropy { smoothing: 0.0, first_item: 0, masked: None, budget_bytes: 128 << 20 }
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
/// When shapes disagree, no item takes part, or items are masked and smoothed over alike.
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
    if let Some(masked) = options.masked {
        masked.spans.expect_shape("cross_entropy: masked: spans", &[rows, 2]);
        assert!(options.smoothing == 0.0, "cross_entropy: masked: no label smoothing over classes that differ by row");
    }
    let gpu = x.gpu().clone();
    let inputs: Vec<&Tensor> = [x, table].into_iter().chain(bias).collect();
    let tracked = inputs.iter().any(|x| tape.tracks(x));
    let (x, targets) = (x.reshape(&[rows, dim]), targets.reshape(&[rows]));
    let plan = Plan::new(gpu.info(), rows, items, dim, options);
    let (smoothing, first) = (options.smoothing, options.first_item);
    let pass = Pass {
        x,
        table: table.clone(),
        bias: bias.cloned(),
        targets,
        masked: options.masked.cloned(),
        smoothing,
        first,
        plan,
    };
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
    fn new(info: &AdapterInfo, rows: usize, items: usize, dim: usize, options: &CrossEntropy) -> Plan {
        let max_binding = info.max_binding;
        let keep = 4 * rows as u64 * items as u64 <= options.budget_bytes;
        let limit = if keep { max_binding } else { CHUNK_BYTES.min(options.budget_bytes).min(max_binding) };
        let limit = limit as usize / 4;
        let whole = |n: usize| (n / CUT * CUT).max(CUT);
        // At least CUT rows of logits, and the rows of the table themselves, have to fit.
        let part = whole((limit / CUT.min(rows.max(1))).min(max_binding as usize / 4 / dim)).min(items);
        // On the CPU a product whose rows are not whole vec4 is a fifth slower: such a rest gets a part of its own.
        let ragged = info.cpu_kernels && part == items && !items.is_multiple_of(4) && items > 16 * CUT;
        let part = if ragged { whole(items) } else { part };
        let chunk = whole((limit / part).min(max_binding as usize / 4 / dim)).min(rows);
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
    masked: Option<Masked>,
    smoothing: f32,
    first: usize,
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
                gpu.dispatch(LOSS.with(&wide(gpu, part.1)), self.params(n, part), &buffers, n);
                if keep && tracked {
                    kept.push(logits);
                }
            }
        }
        (lse, kept)
    }

    fn backward(self, gpu: &Gpu, grads: &mut Grads, dy: &Tensor, lse: &Tensor, kept: Vec<Tensor>) {
        let wanted = |x: &Tensor| grads.wants(x).then(|| Tensor::empty(gpu, x.shape()));
        let (dx, dbias) = (wanted(&self.x), self.bias.as_ref().and_then(wanted));
        // What x has got on another way is added by the first product.
        let plus = grads.take(&self.x).map(|plus| plus.reshape(self.x.shape()));
        // The gradient of the bias comes out of the same product.
        let dtable = (dbias.is_some() || grads.wants(&self.table)).then(|| Tensor::empty(gpu, self.table.shape()));
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
                gpu.dispatch(BACKWARD.with(&wide(gpu, items)), self.params(n, (first, items)), &buffers, n);
                if let Some(dx) = &dx {
                    let (dx, table) = (cut(dx, start, n), cut(&self.table, first, items));
                    let plus = plus.as_ref().filter(|_| first == 0).map(|p| cut(p, start, n));
                    let epilogue = Epilogue { residual: plus.as_ref(), accumulate: first > 0, ..Epilogue::default() };
                    product(gpu, Layout::Nn, &logits, &table, &dx, [n, dim, items], &epilogue);
                }
                if let Some(dtable) = &dtable {
                    let dbias = dbias.as_ref().map(|d| cut(d, first, items));
                    self.dtable(gpu, &logits, (start, n), &cut(dtable, first, items), dbias.as_ref());
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

    /// What some rows add to the gradients of a part of the table and of its biases.
    fn dtable(&self, gpu: &Gpu, dlogits: &Tensor, (start, n): (usize, usize), dtable: &Tensor, dbias: Option<&Tensor>) {
        let ((items, dim), x) = (dtable.rows(), cut(&self.x, start, n));
        // Sums of columns overwrite: after the first rows they go elsewhere and are added.
        let more = dbias.filter(|_| start > 0).map(|_| Tensor::empty(gpu, &[1, items]));
        let epilogue = Epilogue { sums: more.as_ref().or(dbias), accumulate: start > 0, ..Epilogue::default() };
        product(gpu, Layout::Tn, dlogits, &x, dtable, [items, dim, n], &epilogue);
        if let (Some(more), Some(dbias)) = (&more, dbias) {
            add_parts(gpu, more, dbias, None, true);
        }
    }

    /// `logits = x · tableᵀ + bias` of some rows and items, those masked far below.
    fn logits(&self, gpu: &Gpu, (start, n): (usize, usize), (first, items): (usize, usize), logits: &Tensor) {
        let (x, table) = (cut(&self.x, start, n), cut(&self.table, first, items));
        let bias = self.bias.as_ref().map(|b| cut(b, first, items));
        let epilogue = Epilogue { bias: bias.as_ref(), ..Epilogue::default() };
        product(gpu, Layout::Nt, &x, &table, logits, [n, items, self.x.rows().1], &epilogue);
        if let Some(masked) = &self.masked {
            let (spans, targets) = (cut(&masked.spans, start, n), cut(&self.targets, start, n));
            let buffers: [&Buffer; 4] = [&masked.ids, &spans, &targets, logits];
            gpu.dispatch(MASK.with(&threads(gpu)), [n, items, first].map(|v| v as u32), &buffers, n);
        }
    }

    /// One piece of memory for every matrix of logits in turn, whatever its size.
    fn scratch(&self, gpu: &Gpu, memory: &mut Option<Tensor>, rows: usize, items: usize) -> Tensor {
        let memory = memory.get_or_insert_with(|| Tensor::empty(gpu, &[self.plan.chunk * self.plan.part]));
        memory.row_range(0, rows * items).reshape(&[rows, items])
    }

    fn params(&self, rows: usize, (first, items): (usize, usize)) -> [u32; 6] {
        let [a, b, c, d, e] = [rows, items, first, self.first, self.plan.items].map(|v| v as u32);
        [a, b, c, d, e, self.smoothing.to_bits()]
    }
}

/// On the CPU a workgroup is one subgroup: its barriers cost next to nothing.
fn threads(gpu: &Gpu) -> [(&'static str, u32); 1] {
    [("THREADS", if gpu.info().cpu_kernels { 8 } else { 256 })]
}

/// The same for kernels that load as many logits at once as divide a row of `items`.
fn wide(gpu: &Gpu, items: usize) -> [(&'static str, u32); 2] {
    [threads(gpu)[0], ("WIDTH", width(items) as u32)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(cpu_kernels: bool, max_binding: u64, rows: usize, items: usize, budget_bytes: u64) -> Plan {
        let info = AdapterInfo { cpu_kernels, max_binding, ..AdapterInfo::default() };
        Plan::new(&info, rows, items, 64, &CrossEntropy { budget_bytes, ..CrossEntropy::default() })
    }

    #[test]
    fn small_ones_are_kept_whole() {
        let whole = Plan { rows: 6400, items: 3417, chunk: 6400, part: 3417, keep: true };
        assert_eq!(plan(false, 128 << 20, 6400, 3417, 128 << 20), whole);
        assert_eq!(plan(true, 128 << 20, 6400, 3417, 128 << 20), Plan { part: 3392, ..whole });
    }

    #[test]
    fn pieces_fit_their_limits() {
        for (rows, items) in [(1, 1), (63, 10_000_000), (6400, 54_542), (25_600, 3417), (1_000_000, 70)] {
            for (binding, budget) in
                [(128 << 20, 128 << 20), (4 << 30, 1 << 30), (1 << 20, 64 << 20), (1 << 20, 1 << 20)]
            {
                let p = plan(rows % 2 == 0, binding, rows, items, budget);
                let bytes = 4 * (p.chunk * p.part) as u64;
                assert!(bytes <= binding && (p.keep || bytes <= CHUNK_BYTES.min(budget)), "{p:?}");
                assert!(4 * 64 * p.part.max(p.chunk) as u64 <= binding, "{p:?}");
                assert_eq!(p.chunks().map(|c| c.1).sum::<usize>(), rows);
                assert_eq!(p.parts().map(|c| c.1).sum::<usize>(), items);
                assert!(p.chunk == rows || p.chunk.is_multiple_of(CUT));
                assert!(p.part == items || p.part.is_multiple_of(CUT));
            }
        }
    }
}
