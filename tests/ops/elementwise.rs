use crate::{assert_noticed, assert_ok, broken, gpu};
use desirepath::check::elementwise::{add, add_broadcast, affine, bce_with_logits, dropout, fill, scale};
use desirepath::{Gpu, Options, Tape, Tensor, ops};

const SIZES: [usize; 7] = [1, 2, 255, 256, 257, 1009, 70_000];

#[test]
fn sizes() {
    for n in SIZES {
        assert_ok(add(gpu(), n));
        assert_ok(scale(gpu(), n));
        assert_ok(fill(gpu(), n));
        assert_ok(bce_with_logits(gpu(), n, 3.0));
    }
}

#[test]
fn more_elements_than_one_axis_of_workgroups() {
    let n = 65_536 * 256 + 3;
    let x = Tensor::full(gpu(), &[n], 1.5);
    let y = ops::scale(&mut Tape::off(), &x, 2.0);
    assert!(y.to_vec::<f32>().unwrap().iter().all(|v| *v == 3.0));
}

#[test]
fn sums_beyond_one_binding() {
    let small = Gpu::open(Options { guard: true, max_binding: Some(16 << 10), ..Options::from_env() }).unwrap();
    assert_ok(add(&small, 10_007));
    assert_ok(fill(&small, 10_007));
}

#[test]
fn broadcasts() {
    for (repeats, m) in [(1, 1), (1, 300), (2, 64), (31, 3), (32, 5), (33, 17), (1025, 7), (5000, 2)] {
        let reports = add_broadcast(gpu(), repeats, m);
        assert_eq!(reports.as_ref().map_or(3, Vec::len), 3, "y, dx, db");
        assert_ok(reports);
    }
}

#[test]
#[should_panic(expected = "add_broadcast: b: expected a shape that [2, 3, 4] ends in, got [2, 4]")]
fn what_repeats_must_fit() {
    ops::add_broadcast(&mut Tape::off(), &Tensor::zeros(gpu(), &[2, 3, 4]), &Tensor::zeros(gpu(), &[2, 4]));
}

#[test]
fn certain_logits_stay_finite() {
    for size in [20.0, 90.0, 1e4] {
        assert_ok(bce_with_logits(gpu(), 300, size));
    }
    let (z, t) = (Tensor::full(gpu(), &[1], -1e30).parameter(), Tensor::full(gpu(), &[1], 1.0));
    let mut tape = Tape::new(0);
    let y = ops::bce_with_logits(&mut tape, &z, &t);
    assert_eq!(y.item().unwrap(), 1e30);
    assert_eq!(tape.backward(&y).get(&z).unwrap().item().unwrap(), -1.0);
    // Right and certain: the loss is small but not lost.
    let (z, t) = (Tensor::full(gpu(), &[1], 20.0), Tensor::full(gpu(), &[1], 1.0));
    let y = ops::bce_with_logits(&mut Tape::off(), &z, &t).item().unwrap();
    assert!((f64::from(y) / (-20f64).exp() - 1.0).abs() < 1e-4, "{y}");
}

#[test]
fn lines() {
    for n in [1, 255, 256, 257, 5003] {
        let reports = affine(gpu(), n);
        assert_eq!(reports.as_ref().map_or(4, Vec::len), 4, "y, dx, dw, db");
        assert_ok(reports);
    }
    assert_noticed(affine(&broken("affine", "+ b[0]", ""), 10));
    assert_noticed(affine(
        &broken(
            "affine_backward",
            "k < 16u; k++) {\n            sums += shared_sixteen",
            "k < 1u; k++) {\n            sums += shared_sixteen",
        ),
        300,
    ));
}

#[test]
fn dropout_masks() {
    for n in [1000, 1024, 4097, 200_000] {
        for p in [0.1, 0.5, 0.9] {
            assert_ok(dropout(gpu(), n, p));
        }
    }
}

#[test]
fn no_dropout_is_the_identity() {
    let x = Tensor::full(gpu(), &[5], 2.0);
    assert_eq!(ops::dropout(&mut Tape::off(), &x, 0.5).id(), x.id());
    assert_eq!(ops::dropout(&mut Tape::new(1), &x, 0.0).id(), x.id());
}

/// Which elements stay, as +1 and -1, in the `draw`-th dropout of a tape.
fn signs(seed: u64, draw: usize, n: usize) -> Vec<f64> {
    let mut tape = Tape::new(seed);
    for _ in 0..draw {
        tape.next_seed();
    }
    let y = ops::dropout(&mut tape, &Tensor::full(gpu(), &[n], 1.0), 0.5);
    y.to_vec::<f32>().unwrap().iter().map(|y| if *y == 0.0 { -1.0 } else { 1.0 }).collect()
}

#[test]
fn masks_repeat_by_seed_and_are_independent_otherwise() {
    const N: usize = 1 << 18;
    let mask = signs(7, 0, N);
    assert_eq!(mask, signs(7, 0, N));
    let correlation = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / (a.len() as f64).sqrt();
    // Five standard deviations each: neighbours in a row, rows of usual widths, the next layer, the next step's tape.
    for lag in [1, 2, 3, 8, 32, 64, 100, 128, 256, 3200, 4096] {
        let z = correlation(&mask[lag..], &mask[..N - lag]);
        assert!(z.abs() < 5.0, "lag {lag}: {z}");
    }
    for (seed, draw) in [(7, 1), (7, 2), (8, 0), (9, 0), (7 + (1 << 32), 0)] {
        let other = signs(seed, draw, N);
        for lag in [0, 1, 64] {
            let z = correlation(&mask[lag..], &other[..N - lag]);
            assert!(z.abs() < 5.0, "seed {seed}, draw {draw}, lag {lag}: {z}");
        }
    }
}

#[test]
fn broken_kernels_are_noticed() {
    assert_noticed(add(&broken("add", "a[i] + b[i]", "a[i] + a[i]"), 100));
    assert_noticed(scale(&broken("scale", "* params.factor", ""), 100));
    assert_noticed(fill(&broken("fill", "i < params.n", "i + 1u < params.n"), 100));
    assert_noticed(add_broadcast(&broken("add_broadcast", "i % params.m", "i / params.m"), 3, 5));
    assert_noticed(bce_with_logits(&broken("bce_with_logits", "+ tail", ""), 100, 3.0));
    assert_noticed(bce_with_logits(&broken("bce_with_logits_backward", "z >= 0.0", "z >= 1.0"), 100, 3.0));
    // Four factors again and again: a rate of quarters.
    let few = broken("dropout", "params.first + WIDTH * i", "0u * i");
    assert_noticed(dropout(&few, 10_000, 0.35));
    assert_noticed(dropout(&broken("dropout", ">= vec2(p)", ">= vec2(0.9 * p)"), 200_000, 0.5));
}
