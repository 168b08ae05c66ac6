use super::ELEMENTWISE;
use super::lengths::{Lengths, Rows};
use super::spacetime::{BiasLayout, SpaceTime};
use crate::gpu::{Buffer, Gpu, Kernel};
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static FORWARD: Kernel = kernel!("attention");
static FORWARD_SUBGROUP: Kernel = kernel!("attention_subgroup");
static DELTA: Kernel = kernel!("attention_backward_delta");
static QUERY: Kernel = kernel!("attention_backward_query");
static QUERY_SUBGROUP: Kernel = kernel!("attention_backward_query_subgroup");
static KEY: Kernel = kernel!("attention_backward_key");
static KEY_SUBGROUP: Kernel = kernel!("attention_backward_key_subgroup");
static TABLE: Kernel = kernel!("attention_backward_table");
static SUM: Kernel = kernel!("attention_sum");
pub(super) static WEIGHTS: Kernel = kernel!("attention_weights");
static PAD: Kernel = kernel!("attention_pad");

/// Threads of the kernels that give one thread to each row, entry or column.
pub(super) const THREADS: usize = 64;
/// The sums of the table's gradient are taken in so many parts, then added.
const PARTS: usize = 32;
/// Workgroups that keep a processor or a GPU busy; more would only cost memory for their tables.
const BUSY: [usize; 2] = [32, 512];

/// What [`attention`] does besides the products.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    pub heads: usize,
    /// Whether query `i` sees only keys `0..=i`.
    pub causal: bool,
    /// How the histories lie in the tensors; padded or packed.
    pub lengths: Lengths<'a>,
    /// Probability with which a weight is dropped; none on a tape that is off.
    pub dropout: f32,
    pub bias: Option<&'a SpaceTime>,
}

/// `y_i = Σ_j softmax_j(q_i · k_j / √head_dim + bias_ij) v_j` for each head: `qkv: [batch, len, 3 · dim]` holds queries,
/// keys and values, each of `heads · head_dim = dim`; `y: [batch, len, dim]`. Queries behind the length give zeros. Packed
/// (see [`Lengths`]), these are `[events, 3 · dim]` and `[events, dim]`.
///
/// Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>. Nothing of size `[len, len]` is stored: the softmax runs
/// along (Dao et al. 2022, <https://arxiv.org/abs/2205.14135>), and the gradient computes probabilities anew.
///
/// # Panics
/// When shapes do not fit each other, a head has more than 128 dimensions, `dropout` is not in `[0, 1)`, or the layout
/// of the bias has a single knot.
#[track_caller]
pub fn attention(tape: &mut Tape, qkv: &Tensor, options: &Attention) -> Tensor {
    let mut call = Call::new(qkv, options);
    if tape.is_on() && options.dropout > 0.0 {
        (call.dropout, call.seed) = (options.dropout, tape.next_seed());
    }
    let (padded, y, stats) = call.forward(qkv);
    let cut = call.cut_from_fours(&y, call.heads);
    let mut inputs = vec![qkv];
    inputs.extend(options.bias.map(|b| &b.table));
    let qkv = qkv.clone();
    tape.record(&cut, &inputs, move |gpu, grads, dy| {
        let table = call.bias.as_ref().map(|b| b.table.clone()).filter(|t| grads.wants(t));
        let dy = call.pad_to_fours(dy, call.heads);
        let (dqkv, dtable) = call.backward(gpu, [&padded, &y, &stats, &dy], grads.wants(&qkv), table.is_some());
        if let Some(dqkv) = dqkv {
            grads.add(&qkv, call.cut_from_fours(&dqkv, 3 * call.heads));
        }
        if let (Some(table), Some(dtable)) = (table, dtable) {
            grads.add(&table, dtable);
        }
    });
    cut
}

/// The probabilities with which each row's last valid query looks at the keys: `[batch, heads, len]`, zeros where
/// nothing may be seen. They are those of [`attention`] without dropout, for explaining a recommendation.
///
/// # Panics
/// As [`attention`].
#[track_caller]
pub fn attention_weights(gpu: &Gpu, qkv: &Tensor, options: &Attention) -> Tensor {
    let call = Call::new(qkv, options);
    let padded = call.pad_to_fours(qkv, 3 * call.heads);
    let weights = Tensor::empty(gpu, &[call.rows.batch, call.heads, call.rows.len]);
    let (context, table) = call.bias_or(&padded);
    let buffers = [&padded, call.lengths(), context, table, &weights];
    gpu.dispatch(WEIGHTS.with(&call.consts()), call.params(), &buffers.map(|t| &**t), call.rows.batch * call.heads);
    weights
}

/// The sum along the first axis, in its order.
pub(super) fn sum_parts(parts: &Tensor) -> Tensor {
    let total = Tensor::empty(parts.gpu(), &parts.shape()[1..]);
    let params = [total.len() as u32, parts.shape()[0] as u32];
    parts.gpu().dispatch(&SUM, params, &[parts, &total], total.len().div_ceil(THREADS));
    total
}

/// One call: sizes and options, as the kernels take them.
pub(super) struct Call {
    pub rows: Rows,
    pub heads: usize,
    pub head_dim: usize,
    causal: bool,
    dropout: f32,
    seed: u32,
    pub bias: Option<SpaceTime>,
}

impl Call {
    #[track_caller]
    fn new(qkv: &Tensor, options: &Attention) -> Call {
        let Attention { heads, causal, lengths, dropout, bias } = *options;
        let rows = Rows::of("attention", "qkv", qkv, lengths);
        let (_, width) = qkv.rows();
        let fits = heads > 0 && width > 0 && width.is_multiple_of(3 * heads);
        assert!(fits, "attention: qkv: a width of {width} is not three times {heads} equal heads");
        let head_dim = width / 3 / heads;
        assert!(head_dim <= 128, "attention: heads of {head_dim}, at most 128 are possible");
        assert!((0.0..1.0).contains(&dropout), "attention: dropout is {dropout}, expected 0 <= dropout < 1");
        Call { causal, ..Call::of("attention", rows, [heads, head_dim], bias) }
    }

    /// A causal one without dropout. `op` is who asks.
    #[track_caller]
    pub fn of(op: &str, rows: Rows, [heads, head_dim]: [usize; 2], bias: Option<&SpaceTime>) -> Call {
        assert!(rows.lengths.is_some(), "{op}: lengths: expected those of the histories, got none");
        if let Some(SpaceTime { context, table, layout }) = bias {
            layout.expect_valid(op);
            context.expect_shape(&format!("{op}: context"), &rows.shape(&[SpaceTime::WORDS]));
            table.expect_shape(&format!("{op}: table"), &[heads, layout.size()]);
        }
        let bias = bias.filter(|b| b.layout.size() > 0).cloned();
        Call { rows, heads, head_dim, causal: true, dropout: 0.0, seed: 0, bias }
    }

    pub fn lengths(&self) -> &Tensor {
        self.rows.lengths.as_ref().expect("asked for in `of`")
    }

    fn layout(&self) -> BiasLayout {
        self.bias.as_ref().map(|b| b.layout).unwrap_or_default()
    }

    /// The `Params` of shared/attention.wgsl.
    pub fn params(&self) -> [u32; 18] {
        self.params_of(0, 0, self.rows.batch)
    }

    /// `groups`: workgroups for each batch and head; `batches` from `first` on are those of a dispatch that fills bins.
    fn params_of(&self, groups: usize, first: usize, batches: usize) -> [u32; 18] {
        let l = self.layout();
        let count = |n: usize| n as u32;
        [
            count(self.rows.batch),
            count(self.rows.len),
            count(self.heads),
            (1.0 / (self.head_dim as f32).sqrt()).to_bits(),
            self.dropout.to_bits(),
            self.seed,
            count(l.size()),
            count(l.time_knots),
            count(l.place_knots),
            count(l.categories),
            count(l.positions),
            l.time_unit_s.to_bits(),
            l.time_per_octave.to_bits(),
            l.place_unit_km.to_bits(),
            l.place_per_octave.to_bits(),
            count(groups),
            count(first),
            count(batches),
        ]
    }

    pub fn consts(&self) -> Vec<(&'static str, u32)> {
        vec![
            ("HEAD_DIM", self.head_dim.next_multiple_of(4) as u32),
            ("CAUSAL", self.causal.into()),
            ("DROPOUT", (self.dropout > 0.0).into()),
            ("PARTS", self.layout().parts()),
            self.rows.consts(),
        ]
    }

    /// The constants of a kernel that holds tiles in workgroup memory: two tiles of rows in 8 KiB.
    fn tiled(&self, mut consts: Vec<(&'static str, u32)>) -> Vec<(&'static str, u32)> {
        consts.push(("TILE", (1024 / self.head_dim.next_multiple_of(4) / 4 * 4).min(32) as u32));
        consts
    }

    /// Context and table, or anything where there is no bias.
    pub fn bias_or<'a>(&'a self, other: &'a Tensor) -> (&'a Tensor, &'a Tensor) {
        self.bias.as_ref().map_or((other, other), |b| (&b.context, &b.table))
    }

    /// The padded input, the padded output and its `stats [2, batch, heads, len]`, of which the first half is filled.
    fn forward(&self, qkv: &Tensor) -> (Tensor, Tensor, Tensor) {
        let gpu = qkv.gpu();
        let qkv = self.pad_to_fours(qkv, 3 * self.heads);
        let y = Tensor::empty(gpu, &self.rows.shape(&[self.heads * self.head_dim.next_multiple_of(4)]));
        let stats = Tensor::empty(gpu, &[2, self.rows.batch, self.heads, self.rows.len]);
        let (context, table) = self.bias_or(&qkv);
        let buffers = [&qkv, self.lengths(), context, table, &y, &stats].map(|t| &**t);
        let pairs = self.rows.batch * self.heads;
        match gpu.info().eight_lanes() {
            true => {
                let groups = pairs * self.rows.len.div_ceil(16);
                gpu.dispatch(FORWARD_SUBGROUP.with(&self.consts()), self.params(), &buffers, groups);
            }
            false => {
                let groups = pairs * self.rows.len.div_ceil(THREADS);
                gpu.dispatch(FORWARD.with(&self.tiled(self.consts())), self.params(), &buffers, groups);
            }
        }
        (qkv, y, stats)
    }

    fn backward(
        &self,
        gpu: &Gpu,
        [qkv, y, stats, dy]: [&Tensor; 4],
        wants_qkv: bool,
        wants_table: bool,
    ) -> (Option<Tensor>, Option<Tensor>) {
        let pairs = self.rows.batch * self.heads;
        let counts = [self.rows.batch, self.rows.len, self.heads, self.head_dim.next_multiple_of(4)].map(|n| n as u32);
        let delta = [self.rows.consts()];
        let buffers: [&Buffer; 4] = [self.lengths(), y, dy, stats];
        gpu.dispatch(DELTA.with(&delta), counts, &buffers, (pairs * self.rows.len).div_ceil(THREADS));
        let dqkv = Tensor::empty(gpu, qkv.shape());
        let (context, table) = self.bias_or(qkv);
        let subgroups = gpu.info().eight_lanes();
        let (rows, lanes) = if subgroups { (16, 8) } else { (THREADS, THREADS) };
        let tiles = self.rows.len.div_ceil(rows);
        let buffers = [qkv, self.lengths(), context, table, stats, dy, &dqkv].map(|t| &**t);
        let consts = if subgroups { self.consts() } else { self.tiled(self.consts()) };
        let (query, key) = if subgroups { (&QUERY_SUBGROUP, &KEY_SUBGROUP) } else { (&QUERY, &KEY) };
        let dtable = self.query_and_table(gpu, query, &consts, &buffers, [tiles, lanes], wants_table);
        if wants_qkv {
            gpu.dispatch(key.with(&consts), self.params(), &buffers, pairs * tiles);
        }
        (wants_qkv.then_some(dqkv), dtable)
    }

    /// Runs the kernel of the queries' gradient, and sums up that of the table if it is wanted. `tiles` of queries are
    /// there for each batch and head, and `lanes` threads in a workgroup.
    ///
    /// Every thread keeps a share of the table's gradient (see shared/attention_bins.wgsl). Where the shares of all
    /// batches exceed a binding, they are made and summed for some batches after the other.
    pub fn query_and_table(
        &self,
        gpu: &Gpu,
        query: &'static Kernel,
        consts: &[(&'static str, u32)],
        buffers: &[&Buffer],
        [tiles, lanes]: [usize; 2],
        wants_table: bool,
    ) -> Option<Tensor> {
        let (l, batch, len) = (self.layout(), self.rows.batch, self.rows.len);
        let groups = self.groups(gpu, tiles, wants_table);
        let slots = groups * lanes;
        let of_batch = self.heads * (slots * (l.bins() - l.categories) + len * l.categories);
        let fit = |size: usize| (gpu.info().max_binding as usize / (4 * size.max(1))).max(1);
        let batches = if wants_table { fit(of_batch).min(batch) } else { batch }.max(1);
        let parts = batches.min(PARTS).min(fit(self.heads * l.size()));
        let bins = Tensor::empty(gpu, &[if wants_table { batches * of_batch } else { 1 }]);
        let sums = wants_table.then(|| Tensor::empty(gpu, &[parts, self.heads, l.size()]));
        let mut consts = consts.to_vec();
        consts.push(("TABLE", wants_table.into()));
        let buffers: Vec<&Buffer> = buffers.iter().copied().chain([&*bins]).collect();
        for first in (0..batch.max(1)).step_by(batches) {
            let batches = batches.min(batch - first);
            let params = self.params_of(groups, first, batches);
            gpu.dispatch(query.with(&consts), params, &buffers, batches * self.heads * groups);
            if let Some(sums) = &sums {
                let near = l.time_knots + l.place_knots;
                let sizes = [batches, len, self.heads, slots, parts, l.size(), near, l.categories, l.positions];
                let [a, b, c, d, e, f, g, h, i] = sizes.map(|n| n as u32);
                let params = [a, b, c, d, e, f, g, h, i, first as u32];
                let buffers: [&Buffer; 4] = [self.lengths(), buffers[2], &bins, sums];
                gpu.dispatch(
                    TABLE.with(&[self.rows.consts()]),
                    params,
                    &buffers,
                    (parts * self.heads * l.bins()).div_ceil(THREADS),
                );
            }
        }
        sums.map(|sums| sum_parts(&sums))
    }

    /// Workgroups for each batch and head: all have their own `tiles`, but few where each also needs a table.
    fn groups(&self, gpu: &Gpu, tiles: usize, wants_table: bool) -> usize {
        let busy = BUSY[usize::from(!gpu.info().cpu_kernels)];
        let pairs = self.rows.batch * self.heads;
        if wants_table { busy.div_ceil(pairs.max(1)).clamp(1, tiles.max(1)) } else { tiles }
    }

    /// Heads as multiples of four numbers, filled with zeros, which change no product.
    pub fn pad_to_fours(&self, x: &Tensor, heads: usize) -> Tensor {
        self.fit(x, heads, self.head_dim, self.head_dim.next_multiple_of(4))
    }

    pub fn cut_from_fours(&self, x: &Tensor, heads: usize) -> Tensor {
        self.fit(x, heads, self.head_dim.next_multiple_of(4), self.head_dim)
    }

    fn fit(&self, x: &Tensor, heads: usize, from: usize, to: usize) -> Tensor {
        if from == to {
            return x.clone();
        }
        let y = Tensor::empty(x.gpu(), &self.rows.shape(&[heads * to]));
        let params = [self.rows.events * heads, from, to].map(|n| n as u32);
        x.gpu().dispatch(&PAD, params, &[x, &y], y.len().div_ceil(ELEMENTWISE));
        y
    }
}
