use crate::{assert_noticed, assert_ok, broken, gpu};
use desirepath::check::reduce::{dot, mean};
use desirepath::{Gpu, Tape, Tensor, ops};

#[test]
fn means() {
    for n in [1, 2, 255, 256, 257, 4095, 4096, 4097, 100_003] {
        assert_ok(mean(gpu(), n));
    }
}

#[test]
fn a_mean_of_more_blocks_than_threads() {
    let n = 4096 * 300 + 5;
    let x = Tensor::full(gpu(), &[n], 0.25);
    let y = ops::mean(&mut Tape::off(), &x, n as f32).item().unwrap();
    assert!((y - 0.25).abs() < 1e-6, "{y}");
}

#[test]
fn dots() {
    for (rows, dim) in [(1, 1), (1, 64), (15, 16), (16, 17), (17, 15), (257, 3), (31, 100), (5, 1024)] {
        for lanes in [None, Some(1), Some(16), Some(64)] {
            let reports = dot(gpu(), rows, dim, lanes);
            assert_eq!(reports.as_ref().map_or(3, Vec::len), 3, "y, da, db");
            assert_ok(reports);
        }
    }
}

/// A vector with itself: the second gradient is added to the first.
#[test]
fn a_square_by_a_dot() {
    let data: Vec<f32> = (0..5 * 12).map(|i| (i as f32 * 0.7).sin()).collect();
    let error = |gpu: &Gpu| {
        let x = Tensor::from_slice(gpu, &data, &[5, 12]).parameter();
        let mut tape = Tape::new(0);
        let y = ops::dot(&mut tape, &x, &x);
        let grads = tape.backward_from(&y, Tensor::full(gpu, &[5], 1.5));
        let got = grads.get(&x).unwrap().to_vec::<f32>().unwrap();
        got.iter().zip(&data).map(|(g, x)| (g - 3.0 * x).abs()).fold(0.0, f32::max)
    };
    assert!(error(gpu()) < 1e-6);
    assert!(error(&broken("dot_backward", "d += plus[i];", "")) > 0.5);
}

#[test]
fn the_same_bits_every_time() {
    let x = Tensor::from_slice(gpu(), &(0..50_000).map(|i| (i as f32).sin()).collect::<Vec<_>>(), &[50_000]);
    let run = || ops::mean(&mut Tape::off(), &x, 3.0).to_vec::<u32>().unwrap();
    assert_eq!(run(), run());
}

#[test]
fn broken_kernels_are_noticed() {
    let lost = broken("mean", "i += 256u", "i += 257u");
    assert_noticed(mean(&lost, 4000));
    let unscaled = broken("mean_backward", "* params.scale", "");
    assert_noticed(mean(&unscaled, 10));
    let alone = broken("dot", "k < LANES", "k < 1u");
    assert_noticed(dot(&alone, 20, 64, Some(16)));
    let swapped = broken("dot_backward", "b[i] *", "b[0] *");
    assert_noticed(dot(&swapped, 5, 8, None));
}
