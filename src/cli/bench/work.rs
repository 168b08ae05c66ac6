//! What is timed: each op at a small and a large size, with what it costs at least.

use desirepath::check::Rng;
use desirepath::ops::{
    self, Activation, AdamW, Attention, BiasLayout, CrossEntropy, GruWeights, Ids, ItemTable, Moment, Pointer,
    Quantised, SpaceTime,
};
use desirepath::{Gpu, Tape, Tensor};

#[path = "sampled_work.rs"] // the benches take this file in by its path, too
mod sampled_work;

/// What one pass cannot do without: multiplications and additions, and the bytes of what goes in and comes out, each
/// moved once. What an implementation does beyond that counts against it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    pub flops: f64,
    pub bytes: f64,
}

/// One op on inputs of one size.
pub struct Work {
    op: Box<dyn Fn(&mut Tape) -> Tensor>,
    /// The upstream gradient, where the op has a gradient.
    dy: Option<Tensor>,
    pub forward: Cost,
    pub both: Cost,
}

impl Work {
    /// `flops` and `numbers` (of 4 bytes), each forward and for forward and backward together.
    fn new(flops: [usize; 2], numbers: [usize; 2], op: impl Fn(&mut Tape) -> Tensor + 'static) -> Work {
        let cost = |i: usize| Cost { flops: flops[i] as f64, bytes: 4.0 * numbers[i] as f64 };
        Work { dy: None, forward: cost(0), both: cost(1), op: Box::new(op) }
    }

    fn with_gradient(self) -> Work {
        let y = (self.op)(&mut Tape::off());
        Work { dy: Some(Tensor::full(y.gpu(), y.shape(), 1.0)), ..self }
    }

    pub fn has_gradient(&self) -> bool {
        self.dy.is_some()
    }

    pub fn run_forward(&self) {
        drop((self.op)(&mut Tape::off()));
    }

    pub fn run_both(&self) {
        let mut tape = Tape::new(1);
        let y = (self.op)(&mut tape);
        if let Some(dy) = &self.dy {
            drop(tape.backward_from(&y, dy.clone()));
        }
    }
}

/// The op's name is that of its check.
pub struct Case {
    pub op: &'static str,
    pub name: &'static str,
    pub make: fn(&Gpu) -> Work,
    /// Work for a GPU: seconds to minutes on a CPU.
    pub large: bool,
}

const fn case(op: &'static str, name: &'static str, make: fn(&Gpu) -> Work) -> Case {
    Case { op, name, make, large: false }
}

const fn large(op: &'static str, name: &'static str, make: fn(&Gpu) -> Work) -> Case {
    Case { op, name, make, large: true }
}

pub const CASES: &[Case] = &[
    case("add", "add-64k", |g| add(g, 1 << 16)),
    case("add", "add-4m", |g| add(g, 1 << 22)),
    case("add_broadcast", "add-broadcast-64x1024", |g| add_broadcast(g, 64, 1024)),
    case("add_broadcast", "add-broadcast-4096x1024", |g| add_broadcast(g, 4096, 1024)),
    case("scale", "scale-64k", |g| scale(g, 1 << 16)),
    case("scale", "scale-4m", |g| scale(g, 1 << 22)),
    case("fill", "fill-64k", |g| fill(g, 1 << 16)),
    case("fill", "fill-4m", |g| fill(g, 1 << 22)),
    case("dropout", "dropout-64k", |g| dropout(g, 1 << 16)),
    case("dropout", "dropout-4m", |g| dropout(g, 1 << 22)),
    case("bce_with_logits", "bce-with-logits-6k", |g| bce(g, 6400)),
    case("bce_with_logits", "bce-with-logits-1m", |g| bce(g, 1 << 20)),
    case("mean", "mean-6k", |g| mean(g, 6400)),
    case("mean", "mean-4m", |g| mean(g, 1 << 22)),
    case("dot", "dot-6400x64", |g| dot(g, 6400, 64)),
    case("dot", "dot-65536x64", |g| dot(g, 65_536, 64)),
    case("embedding", "embedding-3417x64-6400", |g| embedding(g, 3417, 6400)),
    case("embedding", "embedding-54542x64-65536", |g| embedding(g, 54_542, 65_536)),
    case("layer_norm", "layer-norm-6400x64", |g| layer_norm(g, 6400, 64)),
    case("layer_norm", "layer-norm-16384x256", |g| layer_norm(g, 16_384, 256)),
    case("matmul", "gemm-128", |g| matmul(g, 128)),
    case("matmul", "gemm-1024", |g| matmul(g, 1024)),
    large("matmul", "gemm-4096", |g| matmul(g, 4096)),
    case("linear", "linear-1x64x256", |g| linear(g, [1, 64, 256])),
    case("linear", "linear-6400x64x64", |g| linear(g, [6400, 64, 64])),
    case("linear", "linear-6400x64x256", |g| linear(g, [6400, 64, 256])),
    case("gru", "gru-16x20x64", |g| gru(g, [16, 20, 64])),
    case("gru", "gru-128x50x64", |g| gru(g, [128, 50, 64])),
    large("gru", "gru-512x200x128", |g| gru(g, [512, 200, 128])),
    case("gru_step", "gru-step-1x64", |g| gru_step(g, 1, 64)),
    case("gru_step", "gru-step-128x64", |g| gru_step(g, 128, 64)),
    case("attention", "attention-128x50x64", |g| attention(g, [128, 50, 1, 64], false)),
    case("attention", "attention-biased-128x50x64", |g| attention(g, [128, 50, 1, 64], true)),
    case("attention", "attention-16x512x64", |g| attention(g, [16, 512, 1, 64], false)),
    case("attention", "attention-biased-16x512x64", |g| attention(g, [16, 512, 1, 64], true)),
    large("attention", "attention-biased-128x512x64", |g| attention(g, [128, 512, 1, 64], true)),
    case("attention_weights", "attention-weights-1x50x64", |g| attention_weights(g, [1, 50, 64])),
    case("attention_weights", "attention-weights-128x50x64", |g| attention_weights(g, [128, 50, 64])),
    case("attention_pool", "attention-pool-16x20x64", |g| attention_pool(g, [16, 20, 64])),
    case("attention_pool", "attention-pool-128x50x64", |g| attention_pool(g, [128, 50, 64])),
    case("pointer", "pointer-32x100x64", |g| pointer(g, [32, 100, 64], false)),
    case("pointer", "pointer-32x200x64", |g| pointer(g, [32, 200, 64], false)),
    case("pointer", "pointer-biased-32x200x64", |g| pointer(g, [32, 200, 64], true)),
    case("pointer_weights", "pointer-weights-1x200x64", |g| pointer_weights(g, [1, 200, 64])),
    case("pointer_weights", "pointer-weights-128x200x64", |g| pointer_weights(g, [128, 200, 64])),
    case("mixture", "mixture-6k", |g| mixture(g, 6400)),
    case("mixture", "mixture-1m", |g| mixture(g, 1 << 20)),
    case("cross_entropy", "cross-entropy-640x3417", |g| cross_entropy(g, 640, 3417)),
    case("cross_entropy", "cross-entropy-6400x3417", |g| cross_entropy(g, 6400, 3417)),
    case("cross_entropy", "cross-entropy-6400x54542", |g| cross_entropy(g, 6400, 54_542)),
    case("dot_rows", "dot-rows-640x256", |g| sampled_work::dot_rows(g, [640, 3417, 256])),
    case("dot_rows", "dot-rows-6400x256", |g| sampled_work::dot_rows(g, [6400, 54_542, 256])),
    case("sampled_softmax", "sampled-softmax-640x256", |g| sampled_work::sampled_softmax(g, [640, 3417, 256])),
    case("sampled_softmax", "sampled-softmax-6400x256", |g| sampled_work::sampled_softmax(g, [6400, 54_542, 256])),
    case("gbce", "gbce-640x256", |g| sampled_work::gbce(g, [640, 3417, 256])),
    case("gbce", "gbce-6400x256", |g| sampled_work::gbce(g, [6400, 54_542, 256])),
    case("bpr", "bpr-640x256", |g| sampled_work::bpr(g, [640, 3417, 256])),
    case("bpr", "bpr-6400x256", |g| sampled_work::bpr(g, [6400, 54_542, 256])),
    case("top_k", "top10-1x54542", |g| top_k(g, 1, 54_542)),
    case("top_k", "top10-1x1m", |g| top_k(g, 1, 1_000_000)),
    case("top_k", "top10-16x1m", |g| top_k(g, 16, 1_000_000)),
    large("top_k", "top10-64x10m", |g| top_k(g, 64, 10_000_000)),
    case("top_k f16", "top10-16x1m-f16", |g| top_k_packed(g, 16, 1_000_000, false)),
    case("top_k int8", "top10-16x1m-int8", |g| top_k_packed(g, 16, 1_000_000, true)),
    case("rank_of", "rank-of-128x3417", |g| rank_of(g, 128, 3417)),
    case("rank_of", "rank-of-128x54542", |g| rank_of(g, 128, 54_542)),
    case("clip_grad_norm", "clip-grad-norm-64k", |g| clip_grad_norm(g, 1 << 16)),
    case("clip_grad_norm", "clip-grad-norm-4m", |g| clip_grad_norm(g, 1 << 22)),
    case("adamw", "adamw-64k", |g| adamw(g, 1 << 16)),
    case("adamw", "adamw-4m", |g| adamw(g, 1 << 22)),
];

/// Uniform in `[-1, 1)`, as something to learn.
pub fn random(gpu: &Gpu, shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    let mut rng = Rng::new(n as u64);
    let mut data = Vec::with_capacity(n + 1);
    while data.len() < n {
        let bits = rng.bits();
        data.extend([bits as u32, (bits >> 32) as u32].map(|b| (b >> 8) as f32 / (1u32 << 23) as f32 - 1.0));
    }
    Tensor::from_slice(gpu, &data[..n], shape).parameter()
}

fn below(gpu: &Gpu, n: usize, end: usize) -> Tensor {
    let mut rng = Rng::new(n as u64);
    let ids: Vec<u32> = (0..n).map(|_| rng.below(end) as u32).collect();
    Tensor::from_slice(gpu, &ids, &[n])
}

fn all_of(gpu: &Gpu, batch: usize, len: usize) -> Tensor {
    Tensor::from_slice(gpu, &vec![len as u32; batch], &[batch])
}

fn add(gpu: &Gpu, n: usize) -> Work {
    let (a, b) = (random(gpu, &[n]), random(gpu, &[n]));
    Work::new([n, n], [3 * n, 3 * n], move |tape| ops::add(tape, &a, &b)).with_gradient()
}

fn add_broadcast(gpu: &Gpu, repeats: usize, m: usize) -> Work {
    let (x, b, n) = (random(gpu, &[repeats, m]), random(gpu, &[m]), repeats * m);
    Work::new([n, 2 * n], [2 * n, 3 * n], move |tape| ops::add_broadcast(tape, &x, &b)).with_gradient()
}

fn scale(gpu: &Gpu, n: usize) -> Work {
    let x = random(gpu, &[n]);
    Work::new([n, 2 * n], [2 * n, 4 * n], move |tape| ops::scale(tape, &x, 2.0)).with_gradient()
}

fn fill(gpu: &Gpu, n: usize) -> Work {
    let x = random(gpu, &[n]);
    Work::new([0, 0], [n, n], move |_| {
        ops::fill(x.gpu(), &x, 1.0);
        x.clone()
    })
}

fn dropout(gpu: &Gpu, n: usize) -> Work {
    let x = random(gpu, &[n]);
    // A tape that is off drops nothing: forward alone is timed on one that is on.
    let op = move |tape: &mut Tape| match tape.is_on() {
        true => ops::dropout(tape, &x, 0.2),
        false => ops::dropout(&mut Tape::new(1), &x, 0.2),
    };
    Work::new([n, 2 * n], [2 * n, 4 * n], op).with_gradient()
}

fn bce(gpu: &Gpu, n: usize) -> Work {
    let (x, t) = (random(gpu, &[n]), Tensor::full(gpu, &[n], 1.0));
    Work::new([6 * n, 12 * n], [3 * n, 7 * n], move |tape| ops::bce_with_logits(tape, &x, &t)).with_gradient()
}

fn mean(gpu: &Gpu, n: usize) -> Work {
    let x = random(gpu, &[n]);
    Work::new([n, n], [n, 2 * n], move |tape| ops::mean(tape, &x, n as f32)).with_gradient()
}

fn dot(gpu: &Gpu, rows: usize, dim: usize) -> Work {
    let (a, b, n) = (random(gpu, &[rows, dim]), random(gpu, &[rows, dim]), rows * dim);
    Work::new([2 * n, 4 * n], [2 * n, 6 * n], move |tape| ops::dot(tape, &a, &b)).with_gradient()
}

fn embedding(gpu: &Gpu, rows: usize, n: usize) -> Work {
    let (table, mut rng) = (random(gpu, &[rows, 64]), Rng::new(7));
    let ids: Vec<u32> = (0..n).map(|_| rng.below(rows) as u32).collect();
    let ids = Ids::new(gpu, &ids, &[n], rows);
    let (forward, backward) = ((n + n.min(rows)) * 64, (n + rows) * 64);
    let op = move |tape: &mut Tape| ops::embedding(tape, &table, &ids, None);
    Work::new([0, n * 64], [forward, forward + backward], op).with_gradient()
}

fn layer_norm(gpu: &Gpu, rows: usize, dim: usize) -> Work {
    let (x, gamma, beta, n) = (random(gpu, &[rows, dim]), random(gpu, &[dim]), random(gpu, &[dim]), rows * dim);
    let op = move |tape: &mut Tape| ops::layer_norm(tape, &x, &gamma, &beta, 1e-5);
    Work::new([8 * n, 20 * n], [2 * n, 5 * n], op).with_gradient()
}

fn matmul(gpu: &Gpu, n: usize) -> Work {
    let (a, b, flops, square) = (random(gpu, &[n, n]), random(gpu, &[n, n]), 2 * n * n * n, n * n);
    Work::new([flops, 3 * flops], [3 * square, 8 * square], move |tape| ops::matmul(tape, &a, &b)).with_gradient()
}

fn linear(gpu: &Gpu, [rows, n_in, n_out]: [usize; 3]) -> Work {
    let (x, w, b) = (random(gpu, &[rows, n_in]), random(gpu, &[n_out, n_in]), random(gpu, &[n_out]));
    let (flops, numbers) = (2 * rows * n_in * n_out, rows * (n_in + n_out) + n_in * n_out);
    let op = move |tape: &mut Tape| ops::linear(tape, &x, &w, Some(&b), Activation::Gelu, None);
    Work::new([flops, 3 * flops], [numbers, 3 * numbers], op).with_gradient()
}

fn gru_weights(gpu: &Gpu, dim: usize) -> GruWeights {
    let small = |shape: &[usize]| ops::scale(&mut Tape::off(), &random(gpu, shape), 0.1).parameter();
    GruWeights {
        w_ih: small(&[3 * dim, dim]),
        w_hh: small(&[3 * dim, dim]),
        b_ih: small(&[3 * dim]),
        b_hh: small(&[3 * dim]),
    }
}

fn gru(gpu: &Gpu, [batch, len, dim]: [usize; 3]) -> Work {
    let (x, weights) = (random(gpu, &[batch, len, dim]), gru_weights(gpu, dim));
    let (flops, numbers) = (2 * batch * len * 6 * dim * dim, 2 * batch * len * dim + 6 * dim * dim);
    let op = move |tape: &mut Tape| ops::gru(tape, &x, &weights, None, None);
    Work::new([flops, 3 * flops], [numbers, 3 * numbers], op).with_gradient()
}

fn gru_step(gpu: &Gpu, batch: usize, dim: usize) -> Work {
    let (x, h, weights) = (random(gpu, &[batch, dim]), random(gpu, &[batch, dim]), gru_weights(gpu, dim));
    let (flops, numbers) = (2 * batch * 6 * dim * dim, 3 * batch * dim + 6 * dim * dim);
    Work::new([flops; 2], [numbers; 2], move |_| ops::gru_step(x.gpu(), &x, &h, &weights))
}

/// Bias tables of the size that the model uses.
const LAYOUT: BiasLayout = BiasLayout {
    time_knots: 32,
    place_knots: 16,
    categories: 12,
    positions: 0,
    time_unit_s: 60.0,
    time_per_octave: 1.3,
    place_unit_km: 0.25,
    place_per_octave: 1.0,
};

fn space_time(gpu: &Gpu, [batch, len, heads]: [usize; 3]) -> SpaceTime {
    let mut rng = Rng::new(3);
    let mut moment = |i: usize| Moment {
        time_s: (i % len * 5000 + rng.below(5000)) as i64,
        lat_lon: [rng.unit() as f32, rng.unit() as f32],
        category: rng.below(LAYOUT.categories) as u32,
    };
    let moments: Vec<Moment> = (0..batch * len).map(&mut moment).collect();
    let context = SpaceTime::context(gpu, &moments, &moments, batch, len);
    SpaceTime { context, table: random(gpu, &[heads, LAYOUT.size()]), layout: LAYOUT }
}

/// Causal. Two products forward and five backward, over the pairs that are not masked.
fn attention(gpu: &Gpu, [batch, len, heads, head_dim]: [usize; 4], biased: bool) -> Work {
    let dim = heads * head_dim;
    let (qkv, lengths) = (random(gpu, &[batch, len, 3 * dim]), all_of(gpu, batch, len));
    let bias = biased.then(|| space_time(gpu, [batch, len, heads]));
    let product = batch * len * (len + 1) / 2 * 2 * dim;
    let n = batch * len * dim;
    let op = move |tape: &mut Tape| {
        let options = Attention { heads, causal: true, lengths: (&lengths).into(), dropout: 0.0, bias: bias.as_ref() };
        ops::attention(tape, &qkv, &options)
    };
    Work::new([2 * product, 7 * product], [4 * n, 12 * n], op).with_gradient()
}

fn attention_weights(gpu: &Gpu, [batch, len, dim]: [usize; 3]) -> Work {
    let (qkv, lengths) = (random(gpu, &[batch, len, 3 * dim]), all_of(gpu, batch, len));
    let op = move |_: &mut Tape| {
        let options = Attention { heads: 1, causal: true, lengths: (&lengths).into(), dropout: 0.0, bias: None };
        ops::attention_weights(qkv.gpu(), &qkv, &options)
    };
    Work::new([2 * batch * len * dim; 2], [batch * len * (dim + 1); 2], op)
}

fn attention_pool(gpu: &Gpu, [batch, len, dim]: [usize; 3]) -> Work {
    let (x, w, lengths) = (random(gpu, &[batch, len, dim]), random(gpu, &[dim]), all_of(gpu, batch, len));
    let n = batch * len * dim;
    let op = move |tape: &mut Tape| ops::attention_pool(tape, &x, &w, &lengths);
    Work::new([5 * n, 15 * n], [2 * n, 5 * n], op).with_gradient()
}

/// One product forward and four backward, over the pairs that are not masked. Each event has one of five items.
fn pointer(gpu: &Gpu, [batch, len, dim]: [usize; 3], biased: bool) -> Work {
    let (qk, lengths, n) = (random(gpu, &[batch, len, 2 * dim]), all_of(gpu, batch, len), batch * len);
    let ids = below(gpu, 2 * n, 5);
    let [items, targets] = [0, n].map(|start| ids.row_range(start, n).reshape(&[batch, len]));
    let bias = biased.then(|| space_time(gpu, [batch, len, 1]));
    let product = batch * len * (len + 1) / 2 * 2 * dim;
    let op = move |tape: &mut Tape| {
        ops::pointer(tape, &qk, &items, &targets, &Pointer { lengths: (&lengths).into(), bias: bias.as_ref() })
    };
    Work::new([product, 5 * product], [2 * n * dim + 3 * n, 6 * n * dim + 7 * n], op).with_gradient()
}

fn pointer_weights(gpu: &Gpu, [batch, len, dim]: [usize; 3]) -> Work {
    let (qk, lengths) = (random(gpu, &[batch, len, 2 * dim]), all_of(gpu, batch, len));
    let op =
        move |_: &mut Tape| ops::pointer_weights(qk.gpu(), &qk, &Pointer { lengths: (&lengths).into(), bias: None });
    Work::new([2 * batch * len * dim; 2], [batch * len * (dim + 1); 2], op)
}

fn mixture(gpu: &Gpu, n: usize) -> Work {
    let (nll, gate) = (Tensor::full(gpu, &[n], 3.0).parameter(), random(gpu, &[n]));
    let mass = Tensor::full(gpu, &[n], 0.1).parameter();
    Work::new([16 * n, 40 * n], [4 * n, 11 * n], move |tape| ops::mixture(tape, &nll, &gate, &mass)).with_gradient()
}

fn cross_entropy(gpu: &Gpu, rows: usize, items: usize) -> Work {
    let (x, table, targets) = (random(gpu, &[rows, 64]), random(gpu, &[items, 64]), below(gpu, rows, items));
    let (flops, numbers) = (2 * rows * items * 64, (rows + items) * 64);
    let op = move |tape: &mut Tape| ops::cross_entropy(tape, &x, &table, None, &targets, &CrossEntropy::default());
    Work::new([flops, 3 * flops], [numbers, 3 * numbers], op).with_gradient()
}

fn top_k(gpu: &Gpu, queries: usize, items: usize) -> Work {
    let (x, table) = (random(gpu, &[queries, 64]), random(gpu, &[items, 64]));
    let op = move |_: &mut Tape| ops::top_k(x.gpu(), &x, &table, None, None, 10, 0).0;
    Work::new([2 * queries * items * 64; 2], [(queries + items) * 64; 2], op)
}

/// With a table of f16 or int8.
fn top_k_packed(gpu: &Gpu, queries: usize, items: usize, int8: bool) -> Work {
    let (x, mut rng) = (random(gpu, &[queries, 64]), Rng::new(7));
    let values: Vec<f32> = (0..items * 64).map(|_| (2.0 * rng.unit() - 1.0) as f32).collect();
    let values = if int8 { Quantised::int8(&values, 64) } else { Quantised::f16(&values) };
    let table = ItemTable::new(gpu, &values, 64);
    let words = if int8 { 17 } else { 32 };
    let op = move |_: &mut Tape| ops::top_k(x.gpu(), &x, &table, None, None, 10, 0).0;
    Work::new([2 * queries * items * 64; 2], [queries * 64 + items * words; 2], op)
}

fn rank_of(gpu: &Gpu, queries: usize, items: usize) -> Work {
    let (x, table, targets) = (random(gpu, &[queries, 64]), random(gpu, &[items, 64]), below(gpu, queries, items));
    let op = move |_: &mut Tape| ops::rank_of(x.gpu(), &x, &table, None, &targets, None, 0, None);
    Work::new([2 * queries * items * 64; 2], [(queries + items) * 64; 2], op)
}

fn clip_grad_norm(gpu: &Gpu, n: usize) -> Work {
    let x = random(gpu, &[n]);
    Work::new([2 * n; 2], [n; 2], move |_| ops::clip_grad_norm(x.gpu(), &[&x], 1.0))
}

fn adamw(gpu: &Gpu, n: usize) -> Work {
    let (x, gradient, moments) = (random(gpu, &[n]), random(gpu, &[n]), Tensor::zeros(gpu, &[2, n]));
    // Three arrays written, four read.
    Work::new([12 * n; 2], [7 * n; 2], move |_| {
        ops::adamw(x.gpu(), &x, &gradient, &moments, &AdamW::default(), None);
        x.clone()
    })
}
