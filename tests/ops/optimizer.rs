use crate::{assert_noticed, assert_ok, broken, gpu};
use desirepath::check::optimizer::{adamw, clip_grad_norm};
use desirepath::ops::{self, AdamW, Update};
use desirepath::{Gpu, Options, Tensor};

#[test]
fn steps() {
    for n in [1, 255, 256, 257, 5003] {
        for steps in [1, 2, 10] {
            assert_ok(adamw(gpu(), n, steps, false));
            assert_ok(adamw(gpu(), n, steps, true));
        }
    }
}

#[test]
fn norms() {
    assert_ok(clip_grad_norm(gpu(), &[1]));
    assert_ok(clip_grad_norm(gpu(), &[255, 256, 257]));
    assert_ok(clip_grad_norm(gpu(), &[4095, 1, 4097, 100_003]));
    assert_ok(clip_grad_norm(gpu(), &[3; 70]));
}

#[test]
fn tables_beyond_one_binding() {
    let small = Gpu::open(Options { guard: true, max_binding: Some(16 << 10), ..Options::from_env() }).unwrap();
    assert_ok(adamw(&small, 10_007, 2, true));
    assert_ok(clip_grad_norm(&small, &[10_007, 64, 4096, 4097]));
}

#[test]
fn a_gradient_that_is_not_finite_changes_nothing() {
    for poison in [f32::NAN, f32::INFINITY] {
        let gradient = Tensor::from_slice(gpu(), &[1.0, poison, 2.0], &[3]);
        let clip = ops::clip_grad_norm(gpu(), &[&gradient], 1.0);
        let parameter = Tensor::full(gpu(), &[3], 5.0);
        let moments = Tensor::full(gpu(), &[3, 2], 7.0);
        ops::adamw(gpu(), &parameter, &gradient, &moments, &AdamW::default(), Some(&clip));
        let [factor, norm] = clip.to_vec::<f32>().unwrap()[..] else { panic!("two numbers") };
        assert_eq!(factor, 0.0);
        assert!(!norm.is_finite(), "the caller sees it: {norm}");
        assert_eq!(parameter.to_vec::<f32>().unwrap(), [5.0; 3]);
        assert_eq!(moments.to_vec::<f32>().unwrap(), [7.0; 6]);
    }
}

#[test]
fn no_clipping_still_measures() {
    let gradient = Tensor::from_slice(gpu(), &[3.0f32, 4.0], &[2]);
    let y = ops::clip_grad_norm(gpu(), &[&gradient], f32::INFINITY);
    assert_eq!(y.to_vec::<f32>().unwrap(), [1.0, 5.0]);
    let nothing = Tensor::zeros(gpu(), &[2]);
    assert_eq!(ops::clip_grad_norm(gpu(), &[&nothing], 1.0).to_vec::<f32>().unwrap(), [1.0, 0.0]);
}

#[test]
fn decay_is_chosen_per_parameter() {
    let zero = Tensor::zeros(gpu(), &[4]);
    let (with, without) = (Tensor::full(gpu(), &[4], 1.0), Tensor::full(gpu(), &[4], 1.0));
    let (m1, m2) = (Tensor::zeros(gpu(), &[4, 2]), Tensor::zeros(gpu(), &[4, 2]));
    let update = |parameter, moments, decay| Update { parameter, gradient: &zero, moments, decay };
    let options = AdamW { lr: 0.5, decay: 0.5, ..AdamW::default() };
    ops::adamw_all(gpu(), &[update(&with, &m1, true), update(&without, &m2, false)], &options, None);
    assert_eq!(with.to_vec::<f32>().unwrap(), [0.75; 4]);
    assert_eq!(without.to_vec::<f32>().unwrap(), [1.0; 4]);
}

/// Parameters that share their memory go several to a dispatch, and end with the same bits as each alone.
#[test]
fn together_as_alone() {
    const SIZES: [usize; 9] = [64, 1, 100, 320, 7, 4, 128, 256, 1000];
    let wave = |n: usize, k: f32| -> Vec<f32> { (0..n).map(|i| (i as f32 * 0.7 + k).sin()).collect() };
    let run = |gpu: &Gpu, shared: bool| {
        let (all, moments) = (Tensor::zeros(gpu, &[4096]), Tensor::zeros(gpu, &[8192]));
        let mut at = 0;
        let mut parts = Vec::new();
        for n in SIZES {
            let part = |x: &Tensor, start: usize, n: usize| {
                if shared { x.row_range(start, n) } else { Tensor::zeros(gpu, &[n]) }
            };
            let (p, m) = (part(&all, at, n), part(&moments, 2 * at, 2 * n));
            p.write(&wave(n, 1.0));
            parts.push((p, m, Tensor::from_slice(gpu, &wave(n, n as f32), &[n])));
            at = (at + n).next_multiple_of(64);
        }
        let updates: Vec<Update> = parts
            .iter()
            .enumerate()
            .map(|(i, (parameter, moments, gradient))| Update { parameter, gradient, moments, decay: i % 3 > 0 })
            .collect();
        let before = [gpu.dispatches(), gpu.bound_bytes()];
        for step in 1..3 {
            ops::adamw_all(gpu, &updates, &AdamW { lr: 0.1, decay: 0.5, step, ..AdamW::default() }, None);
        }
        let (dispatches, bytes) = ((gpu.dispatches() - before[0]) / 2, (gpu.bound_bytes() - before[1]) / 2);
        let bits = parts.iter().map(|(p, m, _)| [p, m].map(|x| x.to_vec::<u32>().unwrap())).collect::<Vec<_>>();
        (dispatches, bits, bytes)
    };
    // A device of its own, because other tests count on the common one.
    let gpu = Gpu::open(Options { guard: true, ..Options::from_env() }).unwrap();
    let (alone, together) = (run(&gpu, false), run(&gpu, true));
    assert_eq!((alone.0, together.0), (9, 3), "seven whole vec4 and two that are not");
    assert_eq!(alone.1, together.1);
    // The same numbers, and the gaps between parts: not all of the memory that they share.
    assert!(together.2 < alone.2 + 3 * 4 * 3 * 64 * SIZES.len() as u64, "{} bytes instead of {}", together.2, alone.2);
    let mixed = run(&broken("adamw", "case 1u: { return gradient1[i]; }", "case 1u: { return gradient[i]; }"), true);
    assert_ne!(alone.1, mixed.1);
}

#[test]
fn broken_kernels_are_noticed() {
    let uncorrected = broken("adamw", "* params.root", "");
    assert_noticed(adamw(&uncorrected, 10, 2, false));
    let unclipped = broken("adamw", "g *= factor;", "");
    assert_noticed(adamw(&unclipped, 10, 2, true));
    let offset = broken("clip_grad_norm", "segment.y + block", "block");
    assert_noticed(clip_grad_norm(&offset, &[5000, 5000]));
}
