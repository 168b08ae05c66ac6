use crate::{assert_noticed, assert_ok, broken, gpu};
use desirepath::check::sampled::{Sampled, bpr, dot_rows, gbce, sampled_softmax};
use desirepath::ops::{self, CrossEntropy, Ids, Negatives, SampledSoftmax};
use desirepath::{Gpu, Options, Tape, Tensor};

const PLAIN: Sampled = Sampled { rows: 20, items: 30, dim: 8, count: 12, shared: true, bias: true, masked: true };

/// All three losses on one case.
fn losses(gpu: &Gpu, case: &Sampled) {
    assert_ok(sampled_softmax(gpu, case, 1.0, false));
    assert_ok(sampled_softmax(gpu, case, 0.3, true));
    assert_ok(gbce(gpu, case, 0.25));
    assert_ok(bpr(gpu, case));
}

#[test]
fn shapes() {
    for (rows, items, dim, count) in [(1, 1, 1, 1), (1, 7, 3, 4), (17, 8, 5, 9), (33, 65, 8, 64), (65, 20, 64, 33)] {
        for (shared, bias, masked) in
            [(true, true, true), (false, true, true), (true, false, false), (false, false, true)]
        {
            losses(gpu(), &Sampled { rows, items, dim, count, shared, bias, masked });
        }
    }
}

#[test]
fn products_with_rows_of_a_table() {
    for (rows, items, dim) in [(1, 1, 1), (5, 3, 4), (31, 17, 33), (64, 9, 64), (257, 100, 5)] {
        for per_row in [1, 2, 7, 16] {
            assert_ok(dot_rows(gpu(), [rows, items, dim], per_row, per_row % 2 == 1));
        }
    }
    // One row of the table that many ask for: its sum is made in pieces.
    assert_ok(dot_rows(gpu(), [300, 4, 6], 9, true));
}

#[test]
fn tables_beyond_one_binding() {
    // 16 KiB: 64 rows of 64 numbers.
    let small = Gpu::open(Options { guard: true, max_binding: Some(16 << 10), ..Options::from_env() }).unwrap();
    assert_ok(dot_rows(&small, [5, 300, 64], 3, true));
    assert_ok(dot_rows(&small, [60, 130, 64], 16, false));
    // Nor do all rows of scores fit.
    for shared in [true, false] {
        losses(&small, &Sampled { rows: 64, items: 200, dim: 64, count: 60, shared, ..PLAIN });
    }
    losses(&small, &Sampled { rows: 150, items: 200, dim: 4, count: 64, ..PLAIN });
}

/// With all items drawn once and counted as such, a sample is the whole catalogue.
#[test]
fn a_sample_of_everything_is_the_cross_entropy() {
    let (rows, items, dim) = (9, 21, 6);
    let wave = |n: usize, step: f32| -> Vec<f32> { (0..n).map(|i| 2.0 * (i as f32 * step).sin()).collect() };
    let x = Tensor::from_slice(gpu(), &wave(rows * dim, 0.7), &[rows, dim]);
    let table = Tensor::from_slice(gpu(), &wave(items * dim, 0.31), &[items, dim]);
    let bias = Tensor::from_slice(gpu(), &wave(items, 1.3), &[items]);
    let targets = Ids::new(gpu(), &(0..rows as u32).map(|r| r * 5 % 21).collect::<Vec<_>>(), &[rows], items);
    let tape = &mut Tape::off();
    let full = ops::cross_entropy(tape, &x, &table, Some(&bias), targets.tensor(), &CrossEntropy::default());
    let full = full.to_vec::<f32>().unwrap();
    let all: Vec<u32> = (0..items as u32).rev().collect();
    for negatives in [Negatives::shared(gpu(), &all, items), Negatives::per_row(gpu(), &all.repeat(rows), rows, items)]
    {
        let sampled = ops::Sampled { targets: &targets, negatives: &negatives, masked: None };
        let loss = ops::sampled_softmax(tape, &x, &table, Some(&bias), &sampled, &SampledSoftmax::default());
        let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 2e-6 * b.abs().max(1.0);
        assert!(loss.to_vec::<f32>().unwrap().iter().zip(&full).all(close), "{full:?}");
    }
}

#[test]
fn the_same_bits_every_time() {
    let run = |shared: bool| {
        let ids: Vec<u32> = (0..600u32).map(|i| i.wrapping_mul(2_654_435_761) % 40).collect();
        let wave = |n: usize, step: f32| -> Vec<f32> { (0..n).map(|i| (i as f32 * step).sin()).collect() };
        let x = Tensor::from_slice(gpu(), &wave(60 * 8, 0.7), &[60, 8]).parameter();
        let table = Tensor::from_slice(gpu(), &wave(40 * 8, 0.3), &[40, 8]).parameter();
        let targets = Ids::new(gpu(), &ids[..60], &[60], 40);
        let negatives = match shared {
            true => Negatives::shared(gpu(), &ids[..20], 40),
            false => Negatives::per_row(gpu(), &ids, 60, 40),
        };
        let mut tape = Tape::new(0);
        let sampled = ops::Sampled { targets: &targets, negatives: &negatives, masked: None };
        let y = ops::bpr(&mut tape, &x, &table, None, &sampled);
        let grads = tape.backward_from(&y, Tensor::full(gpu(), &[60], 1.0));
        [&x, &table].map(|t| grads.get(t).unwrap().to_vec::<u32>().unwrap())
    };
    for shared in [true, false] {
        assert_eq!(run(shared), run(shared));
    }
}

#[test]
fn large_scores_do_not_overflow() {
    let x = Tensor::from_slice(gpu(), &[400.0f32, -400.0], &[2, 1]);
    let table = Tensor::from_slice(gpu(), &[-10.0f32, 9.0], &[2, 1]);
    let (targets, negatives) = (Ids::new(gpu(), &[1, 1], &[2], 2), Negatives::shared(gpu(), &[0], 2));
    let sampled = ops::Sampled { targets: &targets, negatives: &negatives, masked: None };
    let tape = &mut Tape::off();
    let read = |y: Tensor| y.to_vec::<f32>().unwrap();
    assert_eq!(read(ops::bpr(tape, &x, &table, None, &sampled)), [0.0, 7600.0]);
    assert_eq!(read(ops::gbce(tape, &x, &table, None, &sampled, 0.5)), [0.0, (0.5 * 3600.0 + 4000.0) / 2.0]);
    let softmax = ops::sampled_softmax(tape, &x, &table, None, &sampled, &SampledSoftmax::default());
    assert_eq!(read(softmax), [0.0, 7600.0]);
}

/// Equation 10 of the paper: no calibration is plain binary cross-entropy, full calibration has the sampling rate as power.
#[test]
fn the_power_of_gbce() {
    let negatives = Negatives::shared(gpu(), &[1, 2, 3, 4, 5], 101);
    assert_eq!(negatives.beta(0.0, 101), 1.0);
    assert!((negatives.beta(1.0, 101) - 0.05).abs() < 1e-7);
    assert!((negatives.beta(0.75, 101) - (0.75 * (0.05 - 1.0) + 1.0)).abs() < 1e-6);
}

#[test]
#[should_panic(expected = "bpr: targets")]
fn targets_of_another_number() {
    let (x, table) = (Tensor::zeros(gpu(), &[2, 4]), Tensor::zeros(gpu(), &[3, 4]));
    let (targets, negatives) = (Ids::new(gpu(), &[0], &[1], 3), Negatives::shared(gpu(), &[0], 3));
    let sampled = ops::Sampled { targets: &targets, negatives: &negatives, masked: None };
    ops::bpr(&mut Tape::off(), &x, &table, None, &sampled);
}

#[test]
fn broken_kernels_are_noticed() {
    let own = Sampled { shared: false, ..PLAIN };
    let softmax = |gpu: &Gpu| sampled_softmax(gpu, &PLAIN, 0.5, true);
    assert_noticed(softmax(&broken("sampled_softmax", "select(0.0, 1.0, thread % LANES == 0u)", "0.0")));
    assert_noticed(softmax(&broken("sampled_softmax", "sum * exp(top - next) +", "sum +")));
    assert_noticed(softmax(&broken("sampled_softmax_backward", "- lse[row]) - 1.0", "- lse[row])")));
    assert_noticed(softmax(&broken("sampled_softmax_backward", "dy[row] * params.scale", "params.scale")));
    for (from, to) in [
        ("take_out(row, targets[row]);", ""),
        ("span.x + thread", "span.x + thread + 1u"),
        ("low = middle + 1u;", "low = middle + 2u;"),
        ("low++", "low += params.count"),
    ] {
        assert_noticed(bpr(&broken("sampled_mask", from, to), &PLAIN));
    }
    assert_noticed(bpr(&broken("sampled_mask", "row * params.stride", "0u"), &own));
    assert_noticed(bpr(&broken("bpr", "- p);", ");"), &PLAIN));
    assert_noticed(bpr(&broken("bpr_backward", "= -sum;", "= sum;"), &PLAIN));
    assert_noticed(gbce(&broken("gbce", "params.beta *", ""), &PLAIN, 0.3));
    assert_noticed(gbce(&broken("gbce_backward", "-d * params.beta", "-d"), &PLAIN, 0.3));
    assert_noticed(gbce(&broken("gbce_backward", "d * sigmoid(negatives[i])", "sigmoid(negatives[i])"), &own, 0.3));
    let products = |gpu: &Gpu| dot_rows(gpu, [40, 3, 8], 9, true);
    assert_noticed(products(&broken("dot_rows", "product += bias[id];", "")));
    assert_noticed(products(&broken("dot_rows_backward_input", "sum += plus[i];", "")));
    assert_noticed(products(&broken("dot_rows_backward_table", "sum += plus[i];", "")));
    assert_noticed(products(&broken("dot_rows_backward_table", "sum += partial[", "sum += x[")));
    let pieces = || Options { guard: true, max_binding: Some(16 << 10), ..Options::from_env() };
    let lost = |kernel: &str, text: &str| match kernel {
        "dot_rows_backward_input" => text.replace("sum += dx[i];", ""),
        _ => text.to_string(),
    };
    let lost = Gpu::open(Options { patch: Some(std::sync::Arc::new(lost)), ..pieces() }).unwrap();
    assert_noticed(dot_rows(&lost, [5, 300, 64], 3, true));
}
