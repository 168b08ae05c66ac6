use crate::{assert_noticed, assert_ok, broken, gpu};
use desirepath::check::norm::layer_norm;
use desirepath::{Gpu, Tape, Tensor, ops};

const SHAPES: [(usize, usize); 9] =
    [(1, 3), (1, 64), (15, 16), (16, 17), (17, 15), (255, 5), (257, 64), (31, 100), (5, 1024)];

#[test]
fn shapes() {
    for (rows, dim) in SHAPES {
        let reports = layer_norm(gpu(), rows, dim, None);
        assert_eq!(reports.as_ref().map_or(4, Vec::len), 4, "y, dx, dgamma, dbeta");
        assert_ok(reports);
    }
}

/// A device takes one number of threads per row; here every device runs what the others take.
#[test]
fn threads_per_row() {
    for (rows, dim) in SHAPES {
        for lanes in [1, 4, 16, 64] {
            assert_ok(layer_norm(gpu(), rows, dim, Some(lanes)));
        }
    }
}

#[test]
fn the_same_bits_every_time() {
    let data: Vec<f32> = (0..2000 * 24).map(|i| (i as f32 * 0.7).sin()).collect();
    let run = || {
        let x = Tensor::from_slice(gpu(), &data, &[2000, 24]).parameter();
        let gamma = Tensor::full(gpu(), &[24], 0.9).parameter();
        let beta = Tensor::zeros(gpu(), &[24]).parameter();
        let mut tape = Tape::new(0);
        let y = ops::layer_norm(&mut tape, &x, &gamma, &beta, 1e-5);
        let grads = tape.backward_from(&y, Tensor::from_slice(gpu(), &data, &[2000, 24]));
        [&x, &gamma, &beta].map(|t| grads.get(t).unwrap().to_vec::<u32>().unwrap())
    };
    assert_eq!(run(), run());
}

/// What reached x on another way is added in the same dispatch.
#[test]
fn gradients_meet() {
    let data: Vec<f32> = (0..40 * 12).map(|i| (i as f32 * 0.7).sin()).collect();
    let run = |gpu: &Gpu| {
        let x = Tensor::from_slice(gpu, &data, &[40, 12]).parameter();
        let (gamma, beta) = (Tensor::full(gpu, &[12], 0.9), Tensor::zeros(gpu, &[12]));
        let gradient = |residual: bool| {
            let mut tape = Tape::new(0);
            let y = ops::layer_norm(&mut tape, &x, &gamma, &beta, 1e-5);
            let y = if residual { ops::add(&mut tape, &y, &x) } else { y };
            let grads = tape.backward_from(&y, Tensor::from_slice(gpu, &data, &[40, 12]));
            grads.get(&x).unwrap().to_vec::<f32>().unwrap()
        };
        let (alone, both) = (gradient(false), gradient(true));
        alone.iter().zip(&both).zip(&data).map(|((a, b), d)| (b - a - d).abs()).fold(0.0, f32::max)
    };
    assert!(run(gpu()) < 1e-6);
    assert!(run(&broken("layer_norm_backward", "PLUS == 1u", "PLUS == 2u")) > 0.1);
}

#[test]
#[should_panic(expected = "layer_norm: beta: expected shape [4], got [3]")]
fn a_wrong_shape_is_named() {
    let (x, gamma, beta) = (Tensor::zeros(gpu(), &[2, 4]), Tensor::zeros(gpu(), &[4]), Tensor::zeros(gpu(), &[3]));
    ops::layer_norm(&mut Tape::off(), &x, &gamma, &beta, 1e-5);
}

#[test]
fn broken_kernels_are_noticed() {
    let eps = broken("layer_norm", "+ params.eps", "");
    assert_noticed(layer_norm(&eps, 3, 1, None));
    let dropped = broken("layer_norm_backward", "- z * averages.y", "");
    assert_noticed(layer_norm(&dropped, 20, 8, Some(16)));
    let dropped = broken("layer_norm_backward", "- z[c] * averages.y", "");
    assert_noticed(layer_norm(&dropped, 20, 8, Some(1)));
    let uncentred = broken("layer_norm", "kept[c] -= mean;", "");
    assert_noticed(layer_norm(&uncentred, 20, 8, Some(1)));
    // Software drivers run a group's threads in turn and may hide a missing barrier: a sum that others lack shows.
    let alone = broken("layer_norm", "k < LANES", "k < 1u");
    assert_noticed(layer_norm(&alone, 20, 64, Some(16)));
    let last_row = broken("layer_norm_backward_affine", "row < end", "row + 1u < end");
    assert_noticed(layer_norm(&last_row, 20, 8, None));
    let last_block = broken("sum_rows", "min(start + params.block", "min(start + 1u");
    assert_noticed(layer_norm(&last_block, 400, 8, None));
}
