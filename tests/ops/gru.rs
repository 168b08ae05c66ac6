use crate::{assert_noticed, assert_ok, broken, gpu};
use desirepath::check::{self, Rng, relative_error};
use desirepath::ops::{self, GruWeights};
use desirepath::{Gpu, Options, Tape, Tensor};

/// Shapes around the tiles: 4 and 16 rows, 32 and 64 columns, multiples of 4 and not.
const SHAPES: [[usize; 4]; 16] = [
    [1, 1, 1, 1],
    [1, 3, 4, 4],
    [2, 2, 5, 3],
    [3, 4, 7, 13],
    [4, 3, 8, 16],
    [5, 3, 4, 31],
    [15, 2, 8, 32],
    [16, 3, 3, 32],
    [17, 3, 8, 36],
    [33, 2, 4, 28],
    [2, 3, 64, 64],
    [3, 2, 12, 68],
    [2, 2, 4, 100],
    [2, 2, 3, 65],
    [1, 2, 4, 260],
    [1, 2, 2, 257],
];

/// Lengths from nothing to everything.
fn ragged(batch: usize, len: usize) -> Vec<u32> {
    (0..batch).map(|row| ((row * 5 + len) % (len + 1)) as u32).collect()
}

#[test]
fn gru() {
    for (i, shape) in SHAPES.into_iter().enumerate() {
        assert_ok(check::gru(gpu(), shape, None, i % 2 == 0));
        let lengths = ragged(shape[0], shape[1]);
        assert_ok(check::gru(gpu(), shape, Some(&lengths), i % 2 == 1));
    }
    assert_ok(check::gru(gpu(), [3, 9, 4, 8], Some(&[0, 9, 4]), true));
    assert_ok(check::gru(gpu(), [2, 3, 4, 8], Some(&[0, 0]), true));
}

#[test]
fn gru_step() {
    for [batch, _, inputs, dim] in SHAPES {
        assert_ok(check::gru_step(gpu(), [batch, inputs, dim]));
    }
}

/// The checks on a device whose kernels are broken: whichever variant it runs.
fn gru_breaks(name: &'static str, from: &'static str, to: &'static str, dim: usize) {
    let gpu = broken(name, from, to);
    assert_noticed(check::gru(&gpu, [5, 4, 4, dim], Some(&[4, 2, 0, 3, 4]), true));
}

/// Software adapters with subgroups run another variant where `dim` is a multiple of 4; the plain one runs for 13.
#[test]
fn broken_gru_is_noticed() {
    gru_breaks("gru", "r * hn", "hn", 13);
    gru_breaks("gru", "select(0.0, h[i], alive)", "h[i]", 13);
    gru_breaks("gru", "state[i] = state4(first, t, base + i)", "state[i] = state4(first, 0u, base + i)", 13);
    gru_breaks("gru", "workgroupBarrier(); // this chunk is complete", "", 13);
    gru_breaks("gru_backward", "workgroupBarrier(); // this chunk is complete", "", 13);
    gru_breaks("gru_backward", "dgates_h[at + 2u * dim] = dn_h", "dgates_h[at + 2u * dim] = dn", 13);
    gru_breaks("gru_backward", "column] += sum[i]", "column] = sum[i]", 13);
    gru_breaks("gru_backward", "if (t < length) {", "if (t <= length) {", 13);
    if gpu().info().eight_lanes() {
        gru_breaks("gru_subgroup", "r * hn", "hn", 16);
        gru_breaks("gru_subgroup", "subgroupBroadcast(low, 3u)", "subgroupBroadcast(low, 1u)", 16);
        gru_breaks("gru_backward_subgroup", "* z * (1.0 - z)", "* z", 16);
        gru_breaks("gru_backward_subgroup", "column] += v", "column] = v", 16);
    }
}

#[test]
fn broken_gru_step_is_noticed() {
    let gpu = broken("gru_step", "sigmoid4(r) * hn", "hn");
    assert_noticed(check::gru_step(&gpu, [3, 5, 6]));
    let gpu = broken("gru_step", "w_hh[at + dim * dim]", "w_hh[at]");
    assert_noticed(check::gru_step(&gpu, [3, 5, 6]));
}

fn random(gpu: &Gpu, rng: &mut Rng, shape: &[usize], size: f64) -> Tensor {
    let n = shape.iter().product();
    let data: Vec<f32> = (0..n).map(|_| (rng.unit() * size) as f32).collect();
    Tensor::from_slice(gpu, &data, shape)
}

fn random_weights(gpu: &Gpu, rng: &mut Rng, inputs: usize, dim: usize) -> GruWeights {
    let mut make = |shape: &[usize]| random(gpu, rng, shape, 1.0 / (dim as f64).sqrt()).parameter();
    let (w_ih, w_hh) = (make(&[3 * dim, inputs]), make(&[3 * dim, dim]));
    GruWeights { w_ih, w_hh, b_ih: make(&[3 * dim]), b_hh: make(&[3 * dim]) }
}

/// Serving one event at a time arrives where the whole sequence does.
#[test]
fn stepping_equals_the_sequence() {
    let (batch, len) = (6, 7);
    // A device of its own: other tests' dispatches would count.
    let gpu = &Gpu::open(Options { guard: true, ..Options::from_env() }).expect("an adapter");
    for [inputs, dim] in [[8, 16], [5, 7]] {
        let mut rng = Rng::new(1);
        let w = random_weights(gpu, &mut rng, inputs, dim);
        let x = random(gpu, &mut rng, &[batch, len, inputs], 1.0);
        let h0 = random(gpu, &mut rng, &[batch, dim], 1.0);
        let y: Vec<f32> = ops::gru(&mut Tape::off(), &x, &w, Some(&h0), None).to_vec().expect("read");
        let events: Vec<f32> = x.to_vec().expect("read");
        let mut h = h0;
        for t in 0..len {
            let at = |row: usize| (row * len + t) * inputs;
            let now: Vec<f32> = (0..batch).flat_map(|row| events[at(row)..][..inputs].to_vec()).collect();
            let before = gpu.dispatches();
            h = ops::gru_step(gpu, &Tensor::from_slice(gpu, &now, &[batch, inputs]), &h, &w);
            assert_eq!(gpu.dispatches() - before, 1, "a step is one dispatch");
            let expected: Vec<f64> =
                (0..batch).flat_map(|row| &y[(row * len + t) * dim..][..dim]).map(|v| f64::from(*v)).collect();
            let error = relative_error(&check::floats(&h).expect("read"), &expected);
            assert!(error < 1e-5, "step {t}: off by {error:.1e}");
        }
    }
}

/// More steps than one dispatch takes, with states handed over in both directions; and the tape changes no value.
#[test]
fn long_sequences_go_over_several_dispatches() {
    for dim in [4, 3] {
        assert_ok(check::gru(gpu(), [2, 1030, 2, dim], Some(&[1030, 1025]), true));
        let mut rng = Rng::new(9);
        let w = random_weights(gpu(), &mut rng, 2, dim);
        let x = random(gpu(), &mut rng, &[2, 2050, 2], 1.0);
        let kept = ops::gru(&mut Tape::new(0), &x, &w, None, None).to_vec::<u32>().expect("read");
        let plain = ops::gru(&mut Tape::off(), &x, &w, None, None).to_vec::<u32>().expect("read");
        assert!(kept == plain, "recording changes the result");
    }
}

/// Nothing depends on which group of threads is first.
#[test]
fn gru_gives_the_same_bits_twice() {
    for dim in [32, 30] {
        let run = || -> Vec<Vec<u32>> {
            let mut rng = Rng::new(2);
            let w = random_weights(gpu(), &mut rng, 16, dim);
            let x = random(gpu(), &mut rng, &[40, 50, 16], 1.0).parameter();
            let mut tape = Tape::new(0);
            let y = ops::gru(&mut tape, &x, &w, None, None);
            let dy = random(gpu(), &mut rng, &[40, 50, dim], 1.0);
            let grads = tape.backward_from(&y, dy);
            let mut all = vec![y];
            all.extend([&x, &w.w_ih, &w.w_hh, &w.b_ih, &w.b_hh].map(|t| grads.get(t).expect("a gradient").clone()));
            all.iter().map(|t| t.to_vec().expect("read")).collect()
        };
        assert!(run() == run(), "two runs differ at dim {dim}");
    }
}

/// What nobody learns costs nothing: no gradient is made for it.
#[test]
fn gru_skips_gradients_that_nobody_wants() {
    let mut rng = Rng::new(4);
    let w = random_weights(gpu(), &mut rng, 4, 8);
    let fixed = GruWeights { b_ih: random(gpu(), &mut rng, &[24], 0.1), ..w.clone() };
    let x = random(gpu(), &mut rng, &[2, 3, 4], 1.0);
    let mut tape = Tape::new(0);
    let y = ops::gru(&mut tape, &x, &fixed, None, None);
    let grads = tape.backward_from(&y, Tensor::full(gpu(), &[2, 3, 8], 1.0));
    assert!(grads.get(&x).is_none() && grads.get(&fixed.b_ih).is_none());
    assert!(grads.get(&w.w_hh).is_some() && grads.get(&w.b_hh).is_some());
}

#[test]
#[should_panic(expected = "gru: w_ih: expected shape [24, 5], got [24, 4]")]
fn gru_names_the_wrong_shape() {
    let mut rng = Rng::new(4);
    let w = random_weights(gpu(), &mut rng, 4, 8);
    let x = random(gpu(), &mut rng, &[2, 3, 5], 1.0);
    ops::gru(&mut Tape::off(), &x, &w, None, None);
}

/// A module trained with PyTorch goes on here: its state dict fits as it is, and so do values and gradients.
#[cfg(feature = "recsys")]
#[test]
fn gru_agrees_with_pytorch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/gru.safetensors");
    let bytes = std::fs::read(path).expect("the golden file");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let numbers = |name: &str| -> Vec<f64> {
        let tensor = file.tensor(name).expect(name);
        let data = tensor.data();
        match tensor.dtype() {
            safetensors::Dtype::F32 => {
                data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect()
            }
            safetensors::Dtype::I64 => {
                data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect()
            }
            _ => data.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
        }
    };
    let tensor = |name: &str| check::upload(gpu(), &numbers(name), file.tensor(name).expect(name).shape()).parameter();
    let names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "x", "h0"];
    let inputs = names.map(tensor);
    let [w_ih, w_hh, b_ih, b_hh, x, h0] = inputs.clone();
    let lengths: Vec<u32> = numbers("lengths").into_iter().map(|n| n as u32).collect();
    let on_device = Tensor::from_slice(gpu(), &lengths, &[lengths.len()]);
    let mut tape = Tape::new(0);
    let y = ops::gru(&mut tape, &x, &GruWeights { w_ih, w_hh, b_ih, b_hh }, Some(&h0), Some(&on_device));
    let close = |what: &str, actual: &Tensor| {
        let error = relative_error(&check::floats(actual).expect("read"), &numbers(what));
        assert!(error < 2e-6, "{what}: off by {error:.1e}");
    };
    close("y", &y);
    // The file's objective also weighs the last state, which is the last output of each row.
    let (mut dy, dlast, [_, len, dim]) = (numbers("dy"), numbers("dlast"), [0, 1, 2].map(|i| y.shape()[i]));
    for (row, end) in lengths.iter().enumerate() {
        for i in 0..dim {
            dy[(row * len + *end as usize - 1) * dim + i] += dlast[row * dim + i];
        }
    }
    let grads = tape.backward_from(&y, check::upload(gpu(), &dy, y.shape()));
    for (name, input) in names.iter().zip(&inputs) {
        close(&format!("d{name}"), grads.get(input).expect(name));
    }
}
