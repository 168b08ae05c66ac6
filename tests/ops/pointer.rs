//! The pointer into a history around its tiles of 8, 16, 32 and 64, and the mixture that it enters.

use crate::{assert_noticed, assert_ok, broken, gpu};
use desirepath::check::attention::Attention;
use desirepath::check::elementwise::mixture;
use desirepath::check::{Rng, floats, pointer, pointer_weights, upload};
use desirepath::ops::{self, BiasLayout, Pointer};
use desirepath::{Gpu, Options, Tape, Tensor};

fn plain(batch: usize, len: usize, dim: usize) -> Attention {
    Attention::plain(batch, len, 1, dim)
}

#[test]
fn many_lengths() {
    for len in [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 97] {
        assert_ok(pointer(gpu(), &plain(5, len, 8)));
    }
}

#[test]
fn many_dimensions() {
    for dim in [1, 2, 3, 4, 13, 32, 64, 65, 128, 253, 256] {
        assert_ok(pointer(gpu(), &plain(3, 19, dim)));
    }
    assert_ok(pointer(gpu(), &plain(2, 70, 256)));
}

#[test]
fn biased_by_time_place_category_and_position() {
    for len in [2, 8, 17, 33, 66] {
        assert_ok(pointer(gpu(), &plain(5, len, 8).biased()));
    }
    assert_ok(pointer(gpu(), &plain(1, 150, 5).biased()));
    let case = plain(4, 21, 4).biased();
    let of = |time_knots, place_knots, categories, positions| Attention {
        layout: BiasLayout { time_knots, place_knots, categories, positions, ..case.layout },
        ..case
    };
    for case in [of(9, 0, 0, 0), of(0, 7, 0, 0), of(0, 0, 3, 0), of(0, 0, 0, 6)] {
        assert_ok(pointer(gpu(), &case));
    }
}

#[test]
fn weights_of_the_last_query() {
    for case in [plain(5, 1, 4), plain(5, 67, 6), plain(2, 9, 256), plain(10, 130, 8).biased()] {
        assert_ok(pointer_weights(gpu(), &case));
    }
    let wrong = broken("attention_weights", "exp(shares[t].x - most)", "1.0");
    assert_noticed(pointer_weights(&wrong, &plain(5, 67, 6)));
}

const SHAPE: [usize; 3] = [6, 75, 12];
const LENGTHS: [u32; 6] = [75, 0, 1, 40, 64, 17];

/// Mass and gradient of one call.
fn run(gpu: &Gpu, qk: &[f32], items: &[u32], targets: &[u32], dy: &[f32]) -> [Vec<u32>; 2] {
    let [batch, len, dim] = SHAPE;
    let qk = Tensor::from_slice(gpu, qk, &[batch, len, 2 * dim]).parameter();
    let [items, targets] = [items, targets].map(|ids| Tensor::from_slice(gpu, ids, &[batch, len]));
    let lengths = Tensor::from_slice(gpu, &LENGTHS, &[batch]);
    let mut tape = Tape::new(1);
    let y = ops::pointer(&mut tape, &qk, &items, &targets, &Pointer { lengths: (&lengths).into(), bias: None });
    let grads = tape.backward_from(&y, Tensor::from_slice(gpu, dy, y.shape()));
    [&y, grads.get(&qk).unwrap()].map(|t| t.to_vec().unwrap())
}

#[test]
fn two_runs_agree_to_the_bit_and_padding_may_hold_nan() {
    let [batch, len, dim] = SHAPE;
    let mut rng = Rng::new(2);
    let mut numbers = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.unit() as f32).collect() };
    let (mut qk, mut dy) = (numbers(batch * len * 2 * dim), numbers(batch * len));
    let mut ids = || -> Vec<u32> { (0..batch * len).map(|_| rng.below(4) as u32).collect() };
    let (mut items, mut targets) = (ids(), ids());
    let once = run(gpu(), &qk, &items, &targets, &dy);
    assert_eq!(once, run(gpu(), &qk, &items, &targets, &dy));
    for at in (0..batch * len).filter(|at| at % len >= LENGTHS[at / len] as usize) {
        qk[at * 2 * dim..][..2 * dim].fill(f32::NAN);
        (items[at], targets[at], dy[at]) = (at as u32, ops::IGNORE - at as u32, f32::NAN);
    }
    assert_eq!(once, run(gpu(), &qk, &items, &targets, &dy));
    for at in (0..batch * len).filter(|at| at % len >= LENGTHS[at / len] as usize) {
        assert_eq!(f32::from_bits(once[0][at]), 0.0, "output behind the length");
        let gradient = &once[1][at * 2 * dim..][..2 * dim];
        assert!(gradient.iter().all(|w| f32::from_bits(*w) == 0.0), "gradient behind the length");
    }
}

#[test]
fn a_history_of_one_item_has_all_the_mass_and_no_gradient() {
    let (len, dim) = (1100, 8);
    let mut rng = Rng::new(4);
    let qk: Vec<f32> = (0..len * 2 * dim).map(|_| 50.0 * rng.unit() as f32).collect();
    let qk = Tensor::from_slice(gpu(), &qk, &[1, len, 2 * dim]).parameter();
    let ids = Tensor::from_slice(gpu(), &vec![7u32; len], &[1, len]);
    let lengths = Tensor::from_slice(gpu(), &[len as u32], &[1]);
    let mut tape = Tape::new(1);
    let y = ops::pointer(&mut tape, &qk, &ids, &ids, &Pointer { lengths: (&lengths).into(), bias: None });
    assert!(y.to_vec::<f32>().unwrap().iter().all(|v| (v - 1.0).abs() < 1e-5));
    let grads = tape.backward_from(&y, Tensor::full(gpu(), y.shape(), 1.0));
    let gradient: Vec<f32> = grads.get(&qk).unwrap().to_vec().unwrap();
    assert!(gradient.iter().all(|v| v.abs() < 2e-3), "{gradient:?}"); // 50 in the last place of 1, over 1100 rows
}

#[test]
#[should_panic(expected = "pointer: 257 dimensions, at most 256")]
fn too_many_dimensions_are_named() {
    let lengths = Tensor::from_slice(gpu(), &[1u32], &[1]);
    let ids = Tensor::from_slice(gpu(), &[1u32], &[1, 1]);
    let options = Pointer { lengths: (&lengths).into(), bias: None };
    ops::pointer(&mut Tape::off(), &Tensor::zeros(gpu(), &[1, 1, 514]), &ids, &ids, &options);
}

/// As in attention: the shares of the table's gradient are made for some batches after the other.
#[test]
fn many_categories_under_small_bindings() {
    let small = Gpu::open(Options { guard: true, max_binding: Some(24 << 10), ..Options::from_env() }).unwrap();
    let case = plain(11, 30, 4).biased();
    let case = Attention { layout: BiasLayout { categories: 40, ..case.layout }, ..case };
    assert_ok(pointer(&small, &case));
}

#[test]
fn broken_pointers_are_noticed() {
    let case = plain(5, 40, 8);
    let breaks: &[(&str, &str, &str, Attention)] = match gpu().info().eight_lanes() {
        true => &[
            ("pointer_subgroup", "run.hit * shrink", "run.hit", case),
            ("pointer_subgroup", "i1, j, length), ids, wanted1", "i1, j, length), ids, wanted0", case),
            ("pointer_backward_query_subgroup", "(found.hi - mass_of(row))", "found.hi", case),
            ("pointer_backward_query_subgroup", "add_all(own, kinds1, i1", "add_all(own, kinds0, i1", case.biased()),
            ("pointer_backward_key_subgroup", "matches(wanted, item1)", "matches(wanted, item0)", case),
            ("pointer_backward_key_subgroup", "biases(0u, j1, i, e1", "biases(0u, j0, i, e1", case.biased()),
        ],
        // A missing barrier may go unnoticed where groups run one thread after the other, so a tile is misread instead.
        false => &[
            ("pointer", "hit = hit * shrink", "hit = hit", case),
            ("pointer", "tile_items[t + 1u]", "tile_items[t]", case),
            ("pointer_backward_query", "- mass_of(row)", "", case),
            ("pointer_backward_query", "add_bins(own, kinds, i, j,", "add_bins(own, kinds, i, j + 1u,", case.biased()),
            ("pointer_backward_key", "item == row.y", "true", case),
            ("pointer_backward_key", "s += bias(0u, i, j,", "s += bias(0u, i, j + 1u,", case.biased()),
        ],
    };
    for (kernel, from, to, case) in breaks {
        assert_noticed(pointer(&broken(kernel, from, to), case));
    }
}

#[test]
fn mixtures() {
    for n in [1, 2, 3, 255, 256, 257, 1003] {
        assert_ok(mixture(gpu(), n));
    }
    for (kernel, from, to) in [
        ("mixture", "loss_of(shares_of(nll[i], gate[i], mass[i]))", "nll[i]"),
        ("mixture", "-softplus(-gate) + pointed", "-softplus(gate) + pointed"),
        ("mixture_backward", "exp(shares.x + loss)", "exp(shares.y + loss)"),
        ("mixture_backward", "exp(gated) - exp(shares.y + loss)", "exp(gated)"),
    ] {
        assert_noticed(mixture(&broken(kernel, from, to), 257));
    }
}

/// The formulas hold, and nothing overflows, where one or both of the probabilities vanish.
#[test]
fn mixtures_at_the_ends_stay_finite() {
    let cases = [
        [200.0, -3.0, 0.0],
        [200.0, 3.0, 1e-30],
        [0.0, -90.0, 0.0],
        [0.0, 90.0, 0.0],
        [60.0, 90.0, 1.0],
        [1e4, 40.0, 1e-38],
        [1e-7, -20.0, 1.0],
        [5.0, 0.0, 1e-6],
    ];
    let column = |i: usize| upload(gpu(), &cases.map(|c| c[i]), &[cases.len()]).parameter();
    let inputs = [0, 1, 2].map(column);
    let mut tape = Tape::new(0);
    let y = ops::mixture(&mut tape, &inputs[0], &inputs[1], &inputs[2]);
    let loss = floats(&y).unwrap();
    let grads = tape.backward_from(&y, Tensor::full(gpu(), &[cases.len()], 1.0));
    let [dnll, dgate, dmass] = inputs.each_ref().map(|x| floats(grads.get(x).unwrap()).unwrap());
    let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
    let softplus = |z: f64| z.max(0.0) + (-z.abs()).exp().ln_1p();
    let near = |what: &str, row: usize, actual: f64, expected: f64| {
        let error = (actual - expected).abs() / expected.abs().max(1.0);
        assert!(error < 2e-6, "{what} of {:?}: {actual}, expected {expected}", cases[row]);
    };
    for (row, [nll, gate, mass]) in cases.into_iter().enumerate() {
        // In logs, as even f64 underflows. A mass below 1e-37 counts as none.
        let own = -softplus(gate) - nll;
        let pointed = if mass < 1e-37 { -1e30 } else { -softplus(-gate) + mass.ln() };
        let expected = -(own.max(pointed) + (-(own - pointed).abs()).exp().ln_1p());
        near("loss", row, loss[row], expected);
        // Rounding of a large loss is relative to it, and enters the shares.
        let loose = |x: f64| if expected > 50.0 { (x * 1e4).round() / 1e4 } else { x };
        near("dnll", row, loose(dnll[row]), loose((own + expected).exp()));
        near("dgate", row, loose(dgate[row]), loose(sigmoid(gate) - (pointed + expected).exp()));
        assert!(dmass[row] <= 0.0 && dmass[row].is_finite(), "dmass of {:?}: {}", cases[row], dmass[row]);
        let log = (-softplus(-gate) + expected).min(80.0);
        assert!(((-dmass[row]).max(1e-37).ln() - log.max(1e-37f64.ln())).abs() < 1e-3, "{}, {log}", dmass[row]);
    }
}
