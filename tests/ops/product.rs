use crate::{assert_noticed, assert_ok, broken, gpu};
use desirepath::check::product::{gemm, linear, linear_dropout, matmul};
use desirepath::gpu::Choice;
use desirepath::ops::{self, Activation};
use desirepath::{Gpu, Options, Tape, Tensor};

const SIZES: [usize; 10] = [1, 3, 4, 5, 31, 32, 33, 63, 64, 65];

/// Every size in every place.
#[test]
fn every_kernel_and_layout() {
    for i in 0..SIZES.len() {
        assert_ok(gemm(gpu(), SIZES[i], SIZES[(3 * i + 1) % 10], SIZES[(7 * i + 2) % 10]));
    }
    assert_ok(gemm(gpu(), 32, 32, 32));
    assert_ok(gemm(gpu(), 65, 64, 63));
}

#[test]
fn sizes_beyond_a_tile() {
    for [m, n, k] in [[127, 127, 127], [129, 131, 17], [64, 192, 64], [200, 1, 9]] {
        assert_ok(gemm(gpu(), m, n, k));
    }
}

#[test]
fn few_rows() {
    for [m, n, k] in [[1, 9, 4], [2, 8, 64], [3, 20, 36], [4, 65, 100], [1, 64, 256]] {
        assert_ok(gemm(gpu(), m, n, k));
        assert_ok(linear(gpu(), [m, k, n], Activation::Gelu, [true, true]));
    }
}

/// Sums so long that they are split.
#[test]
fn long_sums() {
    for [m, n, k] in [[1, 1, 1031], [64, 64, 1024], [5, 8, 1031], [33, 7, 1031], [36, 64, 4099], [2, 3, 20_011]] {
        assert_ok(gemm(gpu(), m, n, k));
    }
}

#[test]
fn matmul_and_its_gradients() {
    for [m, n, k] in [[1, 1, 1], [3, 5, 4], [33, 64, 31], [65, 12, 64], [7, 3, 601]] {
        let reports = matmul(gpu(), m, n, k);
        assert_eq!(reports.as_ref().map_or(3, Vec::len), 3, "y, da, db");
        assert_ok(reports);
    }
}

#[test]
fn linear_with_everything() {
    use Activation::*;
    for activation in [None, Relu, Gelu, Silu, Tanh, Sigmoid] {
        for shape in [[1, 1, 1], [33, 12, 20]] {
            let reports = linear(gpu(), shape, activation, [true, true]);
            assert_eq!(reports.as_ref().map_or(5, Vec::len), 5, "y, dx, dw, dbias, dresidual");
            assert_ok(reports);
        }
    }
}

#[test]
fn linear_with_less() {
    for extras in [[false, false], [true, false], [false, true]] {
        for activation in [Activation::None, Activation::Gelu] {
            assert_ok(linear(gpu(), [40, 32, 64], activation, extras));
        }
        assert_ok(linear(gpu(), [600, 5, 6], Activation::Gelu, extras));
    }
}

#[test]
fn linear_with_dropout() {
    for activation in [Activation::None, Activation::Gelu, Activation::Tanh] {
        for shape in [[1, 1, 1], [33, 12, 20], [17, 5, 7], [300, 8, 12]] {
            for residual in [false, true] {
                let reports = linear_dropout(gpu(), shape, activation, residual);
                assert_eq!(
                    reports.as_ref().map_or(4, Vec::len),
                    4 + usize::from(residual),
                    "y, dx, dw, dbias, dresidual"
                );
                assert_ok(reports);
            }
        }
    }
}

/// Operands beyond a binding go in pieces.
#[test]
fn small_bindings() {
    let small = Options { guard: true, max_binding: Some(64 * 1024), ..Options::from_env() };
    let small = Gpu::open(small).unwrap();
    for [m, n, k] in [[600, 16, 40], [41, 16, 1000]] {
        assert_ok(gemm(&small, m, n, k));
    }
    assert_ok(linear(&small, [600, 20, 64], Activation::Silu, [true, true]));
    assert_ok(linear_dropout(&small, [600, 20, 64], Activation::Silu, true));
}

#[test]
fn only_what_is_wanted() {
    let x = Tensor::full(gpu(), &[4, 8], 0.5);
    let w = Tensor::full(gpu(), &[3, 8], 0.5);
    let bias = Tensor::zeros(gpu(), &[3]).parameter();
    let mut tape = Tape::new(0);
    let y = ops::linear(&mut tape, &x, &w, Some(&bias), Activation::None, None);
    let grads = tape.backward_from(&y, Tensor::full(gpu(), &[4, 3], 1.0));
    assert!(grads.get(&x).is_none() && grads.get(&w).is_none());
    assert_eq!(grads.get(&bias).unwrap().to_vec::<f32>().unwrap(), [4.0; 3]);
}

#[test]
fn the_same_bits_every_time() {
    let data: Vec<f32> = (0..4000 * 32).map(|i| (i as f32 * 0.7).sin()).collect();
    let run = || {
        let x = Tensor::from_slice(gpu(), &data, &[4000, 32]).parameter();
        let w = Tensor::from_slice(gpu(), &data[..32 * 32], &[32, 32]).parameter();
        let bias = Tensor::zeros(gpu(), &[32]).parameter();
        let mut tape = Tape::new(0);
        let y = ops::linear(&mut tape, &x, &w, Some(&bias), Activation::Gelu, Some(&x));
        let grads = tape.backward_from(&y, Tensor::from_slice(gpu(), &data, &[4000, 32]));
        let mut bits = vec![y.to_vec::<u32>().unwrap()];
        bits.extend([&x, &w, &bias].map(|t| grads.get(t).unwrap().to_vec::<u32>().unwrap()));
        bits
    };
    assert_eq!(run(), run());
}

/// Two kernels race where a product is first met; the outcome is kept, and shows in no bit and in no count.
#[test]
fn a_race_changes_no_bits() {
    let folder = tempfile::tempdir().unwrap();
    let race = Options { autotune: true, gpu_variants: true, cache: Some(folder.path().into()), ..Options::from_env() };
    let still = Options { autotune: false, ..race.clone() };
    let product = |options: &Options| {
        let gpu = Gpu::open(options.clone()).unwrap();
        let numbers = |n: usize| -> Vec<f32> { (0..n).map(|i| (i as f32 * 0.7).sin()).collect() };
        let (a, b) = (numbers(500 * 70), numbers(70 * 515));
        let (a, b) = (Tensor::from_slice(&gpu, &a, &[500, 70]), Tensor::from_slice(&gpu, &b, &[70, 515]));
        gpu.set_profiling(true);
        let y = ops::matmul(&mut Tape::off(), &a, &b);
        let timed = gpu.take_timings().unwrap().iter().map(|t| t.dispatches).sum::<u64>();
        let counts = [gpu.dispatches(), gpu.bound_bytes(), gpu.memory().peak, timed];
        (y.to_vec::<u32>().unwrap(), gpu.choices().0, counts)
    };
    let (bits, choices, counts) = product(&race);
    assert_eq!(counts[0], 1, "the race is not counted");
    let (key, choice) = choices.first_key_value().expect("a race");
    assert_eq!((choices.len(), key.as_str()), (1, "gemm Nn 512x1024x128"));
    assert!(choice.notes.contains("Tile ") && choice.notes.contains("BigTile "), "{choice:?}");
    assert_eq!(product(&race), (bits.clone(), choices.clone(), counts), "from the file");
    assert_eq!(product(&still), (bits.clone(), Default::default(), counts));
    // The other outcome, as if measured so.
    let file = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path());
    let file = file.into_iter().find(|p| p.extension().is_some_and(|e| e == "txt")).expect("the file");
    std::fs::remove_file(file).unwrap();
    let gpu = Gpu::open(race.clone()).unwrap();
    let other = if choice.name == "Tile" { "BigTile" } else { "Tile" };
    let other = Choice { name: other.into(), notes: String::new() };
    assert_eq!(gpu.choice(key, || (other.clone(), 0.0)), Some(other.name.clone()));
    drop(gpu);
    let (again, choices, _) = product(&race);
    assert_eq!((again, choices.get(key)), (bits, Some(&other)));
}

/// A kernel that disagrees does not get to race.
#[test]
fn a_wrong_kernel_is_left_out_and_named() {
    let patch = |_: &str, source: &str| source.replace("const TILE: u32 = 128u;", "const TILE: u32 = 64u;");
    let patch: Option<desirepath::gpu::Patch> = Some(std::sync::Arc::new(patch));
    let options = Options { autotune: true, gpu_variants: true, cache: None, patch, ..Options::from_env() };
    let gpu = Gpu::open(options).unwrap();
    drop(ops::matmul(&mut Tape::off(), &Tensor::full(&gpu, &[512, 32], 1.0), &Tensor::full(&gpu, &[32, 512], 1.0)));
    let (choices, file) = gpu.choices();
    assert!(file.is_none());
    let choice = choices.values().next().expect("a look at both");
    assert_eq!(choice.name, "Tile");
    assert_eq!(choice.notes, "BigTile left out: it is wrong");
}

fn mixed_gpu(patch: Option<desirepath::gpu::Patch>) -> Gpu {
    let options = Options { guard: true, mixed_precision: true, patch, ..Options::from_env() };
    Gpu::open(options).unwrap()
}

/// Where the adapter multiplies matrices; elsewhere it says why not, and products are those of f32.
#[test]
fn mixed_precision() {
    assert!(ops::mixed::state(gpu()).is_err(), "nobody asked for it");
    let mixed = mixed_gpu(None);
    let shapes = [[1, 1, 1], [33, 65, 17], [64, 32, 96], [130, 129, 67], [7, 260, 40], [200, 36, 1031]];
    for [m, n, k] in shapes {
        assert_ok(gemm(&mixed, m, n, k));
    }
    let x =
        Tensor::from_slice(&mixed, &(0..160 * 160).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<_>>(), &[160, 160]);
    let y = ops::matmul(&mut Tape::off(), &x, &x).to_vec::<f32>().unwrap();
    let x32 = Tensor::from_slice(gpu(), &x.to_vec::<f32>().unwrap(), &[160, 160]);
    let y32 = ops::matmul(&mut Tape::off(), &x32, &x32).to_vec::<f32>().unwrap();
    match ops::mixed::state(&mixed) {
        Ok(()) => assert!(y != y32, "asked for, on, and not used"),
        Err(why) => {
            assert_eq!(mixed.info().fragment, 0, "{why}");
            assert_eq!(y, y32);
            println!("skipped: mixed precision is off: {why}");
        }
    }
}

/// The test at the start notices a wrong product, and ops go on without.
#[test]
fn mixed_precision_that_is_wrong_stays_off() {
    let patch =
        |_: &str, source: &str| source.replace("coopMultiplyAdd(below, b1, c11)", "coopMultiplyAdd(above, b1, c11)");
    let broken = mixed_gpu(Some(std::sync::Arc::new(patch)));
    let why = ops::mixed::state(&broken).expect_err("wrong, or not there");
    assert!(broken.info().fragment == 0 || why.contains("is wrong on this driver"), "{why}");
    assert_ok(matmul(&broken, 130, 130, 130));
}

/// No rows: nothing comes out, and the gradients of the weights are zeros.
#[test]
fn no_rows() {
    let (x, w) = (Tensor::zeros(gpu(), &[0, 8]).parameter(), Tensor::full(gpu(), &[8, 3], 0.5).parameter());
    let mut tape = Tape::new(0);
    let y = ops::matmul(&mut tape, &x, &w);
    assert!(y.to_vec::<f32>().unwrap().is_empty());
    let grads = tape.backward_from(&y, Tensor::empty(gpu(), &[0, 3]));
    assert_eq!(grads.get(&w).unwrap().to_vec::<f32>().unwrap(), [0.0; 24]);

    let (w, bias) = (Tensor::full(gpu(), &[3, 8], 0.5).parameter(), Tensor::zeros(gpu(), &[3]).parameter());
    let mut tape = Tape::new(0);
    let y = ops::linear(&mut tape, &x, &w, Some(&bias), Activation::Gelu, None);
    let grads = tape.backward_from(&y, Tensor::empty(gpu(), &[0, 3]));
    assert_eq!(grads.get(&w).unwrap().to_vec::<f32>().unwrap(), [0.0; 24]);
    assert_eq!(grads.get(&bias).unwrap().to_vec::<f32>().unwrap(), [0.0; 3]);
    assert!(grads.get(&x).unwrap().is_empty());
}

#[test]
#[should_panic(expected = "linear: bias: expected shape [3], got [4]")]
fn a_wrong_shape_is_named() {
    let (x, w, bias) = (Tensor::zeros(gpu(), &[2, 8]), Tensor::zeros(gpu(), &[3, 8]), Tensor::zeros(gpu(), &[4]));
    ops::linear(&mut Tape::off(), &x, &w, Some(&bias), Activation::None, None);
}

#[test]
fn broken_kernels_are_noticed() {
    // Software drivers run a group's threads in turn and may hide a missing barrier: a wrong tile entry shows.
    assert_noticed(gemm(&broken("gemm_tile", "let b = tile_b[at_b]", "let b = tile_b[at_b ^ 1u]"), 20, 20, 20));
    assert_noticed(gemm(&broken("gemm_tile", "let b2 = tile_b[at_b + 16u]", "let b2 = b"), 20, 80, 20));
    assert_noticed(gemm(&broken("gemm_tile_odd", "at_a + 3u * STRIDE", "at_a + 2u * STRIDE"), 8, 7, 8));
    assert_noticed(gemm(&broken("gemm_tile", "sums += next_a;", "sums = next_a;"), 8, 8, 40));
    assert_noticed(gemm(&broken("gemm_sum", "s < params.splits", "s + 1u < params.splits"), 4, 4, 1031));
    assert_noticed(gemm(&broken("gemm_sum", "sum += residual[i];", ""), 5, 8, 1031));
    let slope = broken("linear_backward", "part(input, k)", "part(dy[i], k)");
    assert_noticed(linear(&slope, [5, 4, 8], Activation::Gelu, [true, false]));
    for kernel in ["dropout", "linear_backward"] {
        let other_mask = broken(kernel, "params.first + WIDTH * i", "params.first + i");
        assert_noticed(linear_dropout(&other_mask, [5, 4, 8], Activation::Gelu, false));
    }
    let alone = broken("dropout", "value += residual[i];", "");
    assert_noticed(linear_dropout(&alone, [5, 4, 8], Activation::None, true));
    if gpu().info().eight_lanes() {
        assert_noticed(gemm(&broken("gemm_lanes", "subgroupBroadcast(a, 5u)", "subgroupBroadcast(a, 4u)"), 8, 8, 4));
        assert_noticed(gemm(&broken("gemm_lanes", "c.right.r3, x3", "c.right.r3, x2"), 8, 40, 4));
        assert_noticed(gemm(&broken("gemm_row", "sums.z = four(c.z, x2, b)", "sums.z = four(c.z, x1, b)"), 3, 9, 36));
        assert_noticed(gemm(&broken("gemm_lanes_odd", "if (K_TAIL == 1u)", "if (K_TAIL == 2u)"), 8, 5, 6));
        assert_noticed(gemm(&broken("gemm_lanes", "sums += vec4(1.0) * a;", "sums = vec4(1.0) * a;"), 8, 8, 8));
    }
}
