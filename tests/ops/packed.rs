//! Histories one behind the other, against the same in rows with padding that would spoil whatever it entered.

use crate::{broken, gpu};
use desirepath::check::attention::Attention as Case;
use desirepath::check::{Rng, relative_error};
use desirepath::ops::{self, Attention, GruWeights, Lengths, Moment, Packed, Pointer, SpaceTime};
use desirepath::{Gpu, Options, Tape, Tensor};

/// A batch in both forms.
struct Batch<'a> {
    gpu: &'a Gpu,
    lengths: Vec<usize>,
    len: usize,
    rng: Rng,
}

impl Batch<'_> {
    fn events(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Random rows of `width` numbers for each event: packed, and padded with NaN.
    fn rows(&mut self, width: usize) -> [Vec<f32>; 2] {
        let packed: Vec<f32> = (0..self.events() * width).map(|_| self.rng.unit() as f32).collect();
        let padded = self.padded(&packed, width, f32::NAN);
        [packed, padded]
    }

    fn padded<T: Copy>(&self, packed: &[T], width: usize, padding: T) -> Vec<T> {
        let mut rows = packed.chunks_exact(width);
        let mut padded = Vec::new();
        for length in &self.lengths {
            rows.by_ref().take(*length).for_each(|row| padded.extend_from_slice(row));
            padded.resize(padded.len() + (self.len - length) * width, padding);
        }
        padded
    }

    /// What is not padding.
    fn packed(&self, padded: &[f32]) -> Vec<f32> {
        let width = padded.len() / (self.lengths.len() * self.len);
        let rows = padded.chunks_exact(self.len * width).zip(&self.lengths);
        rows.flat_map(|(row, length)| row[..length * width].to_vec()).collect()
    }

    fn parameter(&mut self, shape: &[usize]) -> Tensor {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| self.rng.unit() as f32).collect();
        Tensor::from_slice(self.gpu, &values, shape).parameter()
    }

    /// Runs `op` on both forms of `x: [.., width]`, whose output has `out` numbers for each event, and compares output,
    /// gradient of `x` and gradients of `parameters`. True where they agree within `tolerance`.
    fn agrees(
        &mut self,
        [width, out]: [usize; 2],
        parameters: &[&Tensor],
        tolerance: f64,
        op: &dyn Fn(&mut Tape, &Tensor, Lengths, usize) -> Tensor,
    ) -> bool {
        let (batch, len, events) = (self.lengths.len(), self.len, self.events());
        let (x, dy) = (self.rows(width), self.rows(out));
        let ends: Vec<u32> = self.lengths.iter().map(|n| *n as u32).collect();
        let ends = Tensor::from_slice(self.gpu, &ends, &[batch]);
        let packed = Packed::new(self.gpu, &self.lengths);
        let run = |form: usize| {
            let lengths = if form == 0 { Lengths::from(&packed) } else { Lengths::from(&ends) };
            let shape = |width: usize| if form == 0 { vec![events, width] } else { vec![batch, len, width] };
            let mut x = x[form].clone();
            if form == 1 && width == out {
                // A GRU multiplies padding by zeros: it has to be finite there.
                x.iter_mut().filter(|v| v.is_nan()).for_each(|v| *v = 7000.0);
            }
            let x = Tensor::from_slice(self.gpu, &x, &shape(width)).parameter();
            let mut tape = Tape::new(5);
            let y = op(&mut tape, &x, lengths, form);
            let grads = tape.backward_from(&y, Tensor::from_slice(self.gpu, &dy[form], y.shape()));
            let of_parameters = parameters.iter().map(|p| grads.get(p).expect("it takes part"));
            let all = [&y, grads.get(&x).expect("x takes part")].into_iter().chain(of_parameters);
            all.map(|t| t.to_vec::<f32>().expect("read")).collect::<Vec<_>>()
        };
        let (packed, padded) = (run(0), run(1));
        if self.gpu.check_guards().is_err() {
            return false; // a broken kernel's, see below
        }
        packed.iter().zip(&padded).enumerate().all(|(i, (packed, padded))| {
            let expected = if i < 2 { self.packed(padded) } else { padded.clone() };
            let wide = |x: &[f32]| x.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            assert_eq!(packed.len(), expected.len());
            relative_error(&wide(packed), &wide(&expected)) <= tolerance
        })
    }
}

/// Batches of random lengths: many short ones and some long, with empty ones in between.
fn batches(gpu: &Gpu, seed: u64) -> impl Iterator<Item = Batch<'_>> {
    [1, 2, 5, 17, 33].into_iter().enumerate().map(move |(i, batch)| {
        let mut rng = Rng::new(seed + i as u64);
        let mut length = || if rng.below(3) == 0 { rng.below(80) } else { rng.below(9) };
        let mut lengths: Vec<usize> = (0..batch).map(|_| length()).collect();
        lengths[batch / 2] = 3 + i; // one at least is not empty
        let len = lengths.iter().copied().max().unwrap_or(0);
        Batch { gpu, lengths, len, rng }
    })
}

fn gru(gpu: &Gpu, seed: u64) -> bool {
    batches(gpu, seed).all(|mut b| {
        [8, 12, 70].into_iter().all(|dim| {
            let (inputs, batch) = (dim, b.lengths.len());
            let mut p = |shape: &[usize]| b.parameter(shape);
            let w = GruWeights {
                w_ih: p(&[3 * dim, inputs]),
                w_hh: p(&[3 * dim, dim]),
                b_ih: p(&[3 * dim]),
                b_hh: p(&[3 * dim]),
            };
            let h0 = p(&[batch, dim]);
            let parameters = [&w.w_ih, &w.w_hh, &w.b_ih, &w.b_hh, &h0];
            let op = |tape: &mut Tape, x: &Tensor, lengths: Lengths, _| {
                // A tape that is off keeps two states instead of all.
                let quiet = ops::gru(&mut Tape::off(), x, &w, Some(&h0), lengths).to_vec::<u32>().expect("read");
                let y = ops::gru(tape, x, &w, Some(&h0), lengths);
                assert_eq!(quiet, y.to_vec::<u32>().expect("read"));
                y
            };
            b.agrees([inputs, dim], &parameters, 1e-5, &op)
        })
    })
}

fn context(b: &mut Batch, form: usize, seed: u64) -> Tensor {
    let mut rng = Rng::new(seed);
    let moment = |i: usize| Moment {
        time_s: 1_700_000_000 + i as i64 * 3000,
        lat_lon: [rng.unit() as f32, rng.unit() as f32],
        category: rng.below(3) as u32,
    };
    let moments: Vec<Moment> = (0..b.events()).map(moment).collect();
    let later = |m: &Moment| Moment { time_s: m.time_s + 500, ..*m };
    let asked: Vec<Moment> = moments.iter().map(later).collect();
    if form == 0 {
        return SpaceTime::packed_context(b.gpu, &asked, &moments, &b.lengths);
    }
    let [asked, moments] = [asked, moments].map(|m| b.padded(&m, 1, Moment { category: 77, ..m[0] }));
    SpaceTime::context(b.gpu, &asked, &moments, b.lengths.len(), b.len)
}

/// With dropout, which falls on the same pairs in both forms.
fn attention(gpu: &Gpu, seed: u64, biased: bool, causal: bool) -> bool {
    batches(gpu, seed).all(|mut b| {
        [(1, 8), (2, 5)].into_iter().all(|(heads, head_dim)| {
            let layout = if biased { Case::plain(1, 1, 1, 1).biased().layout } else { Default::default() };
            let table = b.parameter(&[heads, layout.size().max(1)]);
            let contexts = [0, 1].map(|form| context(&mut b, form, seed));
            let op = |tape: &mut Tape, qkv: &Tensor, lengths: Lengths, form: usize| {
                let space = SpaceTime { context: contexts[form].clone(), table: table.clone(), layout };
                let bias = biased.then_some(&space);
                ops::attention(tape, qkv, &Attention { heads, causal, lengths, dropout: 0.2, bias })
            };
            let parameters: &[&Tensor] = if biased { &[&table] } else { &[] };
            let dim = heads * head_dim;
            b.agrees([3 * dim, dim], parameters, 1e-6, &op)
        })
    })
}

fn pointer(gpu: &Gpu, seed: u64) -> bool {
    batches(gpu, seed).all(|mut b| {
        let dim = 8;
        let layout = Case::plain(1, 1, 1, 1).biased().layout;
        let table = b.parameter(&[1, layout.size()]);
        let contexts = [0, 1].map(|form| context(&mut b, form, seed));
        let mut ids = |n: usize| -> Vec<u32> { (0..b.lengths.iter().sum()).map(|_| b.rng.below(n) as u32).collect() };
        let (items, targets) = (ids(3), ids(4));
        let ids = [&items, &targets].map(|x| [x.clone(), b.padded(x, 1, 1)]);
        let (batch, len) = (b.lengths.len(), b.len);
        let op = |tape: &mut Tape, qk: &Tensor, lengths: Lengths, form: usize| {
            let shape = if form == 0 { vec![ids[0][0].len()] } else { vec![batch, len] };
            let [items, targets] = ids.each_ref().map(|x| Tensor::from_slice(gpu, &x[form], &shape));
            let space = SpaceTime { context: contexts[form].clone(), table: table.clone(), layout };
            ops::pointer(tape, qk, &items, &targets, &Pointer { lengths, bias: Some(&space) })
        };
        b.agrees([2 * dim, 1], &[&table], 1e-6, &op)
    })
}

fn pool(gpu: &Gpu, seed: u64) -> bool {
    batches(gpu, seed).all(|mut b| {
        let w = b.parameter(&[11]);
        let op = |tape: &mut Tape, x: &Tensor, lengths: Lengths, _| ops::attention_pool(tape, x, &w, lengths);
        b.agrees([11, 11], &[&w], 1e-6, &op)
    })
}

#[test]
fn as_padded() {
    for seed in [1, 100, 200] {
        assert!(gru(gpu(), seed), "gru");
        assert!(pool(gpu(), seed), "attention_pool");
        assert!(pointer(gpu(), seed), "pointer");
        for (biased, causal) in [(false, true), (false, false), (true, true), (true, false)] {
            assert!(attention(gpu(), seed, biased, causal), "attention, biased {biased}, causal {causal}");
        }
    }
    gpu().check_guards().expect("nothing written behind a tensor");
}

/// What the last query of each history looks at.
#[test]
fn weights_as_padded() {
    for mut b in batches(gpu(), 7) {
        let (batch, len, events, dim) = (b.lengths.len(), b.len, b.events(), 8);
        let [packed, padded] = b.rows(3 * dim);
        let ends: Vec<u32> = b.lengths.iter().map(|n| *n as u32).collect();
        let (ends, starts) = (Tensor::from_slice(gpu(), &ends, &[batch]), Packed::new(gpu(), &b.lengths));
        let weights = |x: &[f32], shape: &[usize], lengths: Lengths| {
            let qkv = Tensor::from_slice(gpu(), x, shape);
            let o = Attention { heads: 2, causal: true, lengths, dropout: 0.0, bias: None };
            ops::attention_weights(gpu(), &qkv, &o).to_vec::<u32>().expect("read")
        };
        let of_padded = weights(&padded, &[batch, len, 3 * dim], (&ends).into());
        assert_eq!(weights(&packed, &[events, 3 * dim], (&starts).into()), of_padded);
    }
}

#[test]
fn broken_kernels_are_noticed() {
    let lanes = gpu().info().eight_lanes();
    let name = |plain: &'static str, subgroup: &'static str| if lanes { subgroup } else { plain };
    let backward = name("gru_backward", "gru_backward_subgroup");
    let overwritten = broken(name("gru", "gru_subgroup"), "if (t >= room(length)) {", "if (t >= params.len) {");
    assert!(!gru(&overwritten, 1), "what is behind a history is not its own");
    let leaks = broken(backward, name("if (t < length_of(first + i)) {", "if (t < length_of(row)) {"), "if (true) {");
    assert!(!gru(&leaks, 1));
    let other = broken(name("pointer", "pointer_subgroup"), "begin_of(batch)", "begin_of(batch / 2u * 2u)");
    assert!(!pointer(&other, 1));
    let categories = broken("attention_backward_table", "begin_of(params.first + b) + i", "i");
    assert!(!attention(&categories, 1, true, true));
    assert!(!pool(&broken("attention_pool_backward", "begin + left", "left"), 1));
    if Options::from_env().checked {
        return println!("skipped: checked shaders cannot write behind a tensor");
    }
    // One row too many: into the history behind, and behind the tensor.
    for (kernel, subgroup, shows) in [
        ("attention", "attention_subgroup", attention as fn(&Gpu, u64, bool, bool) -> bool),
        ("attention_backward_key", "attention_backward_key_subgroup", attention),
        ("attention_backward_query", "attention_backward_query_subgroup", attention),
        ("pointer_backward_key", "pointer_backward_key_subgroup", |gpu, seed, _, _| pointer(gpu, seed)),
        ("pointer_backward_query", "pointer_backward_query_subgroup", |gpu, seed, _, _| pointer(gpu, seed)),
    ] {
        let kernel = name(kernel, subgroup);
        assert!(!shows(&broken(kernel, "room(length)", "(length + 1u)"), 1, false, true), "{kernel}");
    }
}

#[test]
#[should_panic(expected = "attention: qkv, packed: expected shape [5, 24], got [6, 24]")]
fn the_wrong_number_of_events_is_named() {
    let packed = Packed::new(gpu(), &[2, 3]);
    let o = Attention { heads: 1, causal: true, lengths: (&packed).into(), dropout: 0.0, bias: None };
    ops::attention(&mut Tape::off(), &Tensor::zeros(gpu(), &[6, 24]), &o);
}
