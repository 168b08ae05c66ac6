use crate::{assert_noticed, assert_ok, broken, gpu};
use desirepath::check::catalogue::{cross_entropy, cross_entropy_masked};
use desirepath::ops::{self, CrossEntropy, IGNORE};
use desirepath::{Gpu, Options, Tape, Tensor};

const PLAIN: CrossEntropy = CrossEntropy { smoothing: 0.0, first_item: 0, masked: None, budget_bytes: 64 << 20 };
const FULL: CrossEntropy = CrossEntropy { smoothing: 0.1, first_item: 1, ..PLAIN };

#[test]
fn shapes() {
    for (rows, items) in [(1, 1), (1, 7), (5, 8), (3, 9), (33, 63), (31, 64), (65, 65), (17, 257), (257, 30)] {
        for dim in [1, 33] {
            assert_ok(cross_entropy(gpu(), [rows, items, dim], false, PLAIN));
            if items > 1 {
                assert_ok(cross_entropy(gpu(), [rows, items, dim], true, FULL));
            }
        }
    }
    assert_ok(cross_entropy(gpu(), [6, 2053, 64], true, FULL));
    assert_ok(cross_entropy(gpu(), [6, 2100, 65], true, CrossEntropy { first_item: 70, ..FULL }));
    assert_ok(cross_entropy(gpu(), [2, 10, 5], true, CrossEntropy { first_item: 7, ..FULL }));
}

#[test]
fn masked_items_are_no_classes() {
    let one = CrossEntropy { first_item: 1, ..PLAIN };
    for shape in [[1, 2, 1], [5, 8, 3], [33, 63, 5], [64, 65, 8], [65, 300, 8], [7, 2053, 4]] {
        assert_ok(cross_entropy_masked(gpu(), shape, one));
    }
    // In parts and chunks, with logits made again.
    assert_ok(cross_entropy_masked(gpu(), [150, 200, 8], CrossEntropy { budget_bytes: 16 << 10, ..one }));
    for (from, to) in [
        ("logits[row * params.items + at] = -1e30;", ""),
        ("span.x + thread", "span.x + thread + 1u"),
        ("&& item != target_id", ""),
        ("item - params.start", "item"),
    ] {
        let broken = broken("cross_entropy_mask", from, to);
        let small = CrossEntropy { budget_bytes: 16 << 10, ..one };
        assert_noticed(cross_entropy_masked(&broken, [150, 200, 8], small));
    }
}

#[test]
fn a_small_budget_cuts_rows_and_items() {
    // 16 KiB hold 64 rows of 64 logits.
    for shape in [[63, 64, 8], [64, 65, 8], [65, 64, 8], [150, 200, 3]] {
        assert_ok(cross_entropy(gpu(), shape, true, CrossEntropy { budget_bytes: 16 << 10, ..FULL }));
    }
    assert_ok(cross_entropy(gpu(), [150, 200, 8], true, CrossEntropy { budget_bytes: 52 << 10, ..FULL }));
    assert_ok(cross_entropy(
        gpu(),
        [70, 200, 8],
        true,
        CrossEntropy { budget_bytes: 16 << 10, first_item: 130, ..FULL },
    ));
}

#[test]
fn tables_beyond_one_binding() {
    // 16 KiB: 64 items of 64 numbers.
    let small = Gpu::open(Options { guard: true, max_binding: Some(16 << 10), ..Options::from_env() }).unwrap();
    for (rows, items) in [(5, 64), (5, 65), (20, 300), (70, 129)] {
        assert_ok(cross_entropy(&small, [rows, items, 64], true, FULL));
        assert_ok(cross_entropy(
            &small,
            [rows, items, 64],
            true,
            CrossEntropy { first_item: 64.min(items - 5), ..FULL },
        ));
    }
}

struct Run {
    loss: Vec<f32>,
    grads: [Vec<f32>; 3],
}

fn run(gpu: &Gpu, [rows, items, dim]: [usize; 3], targets: &[u32], options: CrossEntropy) -> Run {
    let wave = |n: usize, step: f32| -> Vec<f32> { (0..n).map(|i| 2.0 * (i as f32 * step).sin()).collect() };
    let x = Tensor::from_slice(gpu, &wave(rows * dim, 0.7), &[rows, dim]).parameter();
    let table = Tensor::from_slice(gpu, &wave(items * dim, 0.31), &[items, dim]).parameter();
    let bias = Tensor::from_slice(gpu, &wave(items, 1.3), &[items]).parameter();
    let targets = Tensor::from_slice(gpu, targets, &[rows]);
    let mut tape = Tape::new(0);
    let loss = ops::cross_entropy(&mut tape, &x, &table, Some(&bias), &targets, &options);
    let grads = tape.backward_from(&loss, Tensor::from_slice(gpu, &wave(rows, 0.9), &[rows]));
    let read = |x: &Tensor| grads.get(x).unwrap().to_vec().unwrap();
    Run { loss: loss.to_vec().unwrap(), grads: [read(&x), read(&table), read(&bias)] }
}

#[test]
fn chunks_do_not_change_the_result() {
    let (rows, items, dim) = (300, 500, 16);
    let targets: Vec<u32> = (0..rows as u32).map(|r| if r % 7 == 3 { IGNORE } else { 1 + r * 37 % 499 }).collect();
    let whole = run(gpu(), [rows, items, dim], &targets, FULL);
    for budget_bytes in [1, 16 << 10, 100 << 10, 300 << 10] {
        let cut = run(gpu(), [rows, items, dim], &targets, CrossEntropy { budget_bytes, ..FULL });
        let close = |a: &[f32], b: &[f32]| {
            let size = a.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 3e-6 * size)
        };
        assert!(close(&whole.loss, &cut.loss), "loss with {budget_bytes} bytes");
        for (i, name) in ["x", "table", "bias"].iter().enumerate() {
            assert!(close(&whole.grads[i], &cut.grads[i]), "d{name} with {budget_bytes} bytes");
        }
    }
}

#[test]
fn the_same_bits_every_time() {
    let targets: Vec<u32> = (0..600).map(|r| r * 37 % 400).collect();
    for budget_bytes in [100 << 10, 64 << 20] {
        let bits = || {
            let run = run(gpu(), [600, 400, 24], &targets, CrossEntropy { budget_bytes, ..FULL });
            let all = run.loss.into_iter().chain(run.grads.into_iter().flatten());
            all.map(f32::to_bits).collect::<Vec<u32>>()
        };
        assert_eq!(bits(), bits());
    }
}

/// The targets that do not count: `IGNORE`, what lies below the first item, and what lies behind the last.
#[test]
fn ignored_rows_cost_nothing() {
    let ignored = [IGNORE, 0, 1, 40, IGNORE - 1];
    let got = run(gpu(), [5, 40, 6], &ignored, CrossEntropy { first_item: 2, ..FULL });
    assert_eq!(got.loss, [0.0; 5]);
    for grad in got.grads {
        assert!(grad.iter().all(|g| *g == 0.0));
    }
}

#[test]
fn large_logits_do_not_overflow() {
    let x = Tensor::from_slice(gpu(), &[400.0f32, -400.0], &[2, 1]);
    let table = Tensor::from_slice(gpu(), &(0..20).map(|i| i as f32 - 10.0).collect::<Vec<_>>(), &[20, 1]);
    let targets = Tensor::from_slice(gpu(), &[19u32, 19], &[2]);
    let loss = ops::cross_entropy(&mut Tape::off(), &x, &table, None, &targets, &PLAIN).to_vec::<f32>().unwrap();
    assert_eq!(loss, [0.0, 7600.0]);
}

#[test]
fn memory_does_not_grow_with_rows_times_items() {
    let gpu = Gpu::open(Options::from_env()).unwrap();
    let peak = |rows: usize, items: usize| {
        let x = Tensor::full(&gpu, &[rows, 8], 0.1).parameter();
        let table = Tensor::full(&gpu, &[items, 8], 0.1).parameter();
        let targets = Tensor::from_slice(&gpu, &vec![1u32; rows], &[rows]);
        gpu.sync().unwrap();
        gpu.reset_peak();
        let before = gpu.memory().live;
        let mut tape = Tape::new(0);
        let loss = ops::cross_entropy(&mut tape, &x, &table, None, &targets, &CrossEntropy::default());
        let grads = tape.backward_from(&loss, Tensor::full(&gpu, &[rows], 1.0));
        gpu.sync().unwrap();
        let gradients = 4 * (grads.get(&x).unwrap().len() + grads.get(&table).unwrap().len()) as u64;
        gpu.memory().peak - before - gradients
    };
    // 349 MB of logits: more than is kept.
    let (rows, items) = (1600, 54_542);
    let used = peak(rows, items);
    assert!(used < 64_000_000, "{used} bytes for {rows} rows and {items} items");
}

#[test]
#[should_panic(expected = "cross_entropy: table")]
fn a_table_of_another_dim() {
    let (x, table) = (Tensor::zeros(gpu(), &[2, 4]), Tensor::zeros(gpu(), &[3, 5]));
    ops::cross_entropy(&mut Tape::off(), &x, &table, None, &Tensor::zeros(gpu(), &[2]), &PLAIN);
}

#[test]
fn broken_kernels_are_noticed() {
    let shape = [20, 300, 8];
    let spread = broken("cross_entropy", "- params.smoothing * (all.w / n)", "");
    assert_noticed(cross_entropy(&spread, shape, true, FULL));
    let merge = broken("cross_entropy", "parts[thread + half]", "parts[half]");
    assert_noticed(cross_entropy(&merge, shape, true, PLAIN));
    let target = broken("cross_entropy_backward", "- (1.0 - params.smoothing) * d", "+ (1.0 - params.smoothing) * d");
    assert_noticed(cross_entropy(&target, shape, true, PLAIN));
    let parts = broken("cross_entropy", "if (params.start > 0u)", "if (false)");
    assert_noticed(cross_entropy(&parts, [70, 300, 8], true, CrossEntropy { budget_bytes: 16 << 10, ..FULL }));
}
