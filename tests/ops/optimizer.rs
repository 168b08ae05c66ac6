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

#[test]
fn broken_kernels_are_noticed() {
    let uncorrected = broken("adamw", "* params.root", "");
    assert_noticed(adamw(&uncorrected, 10, 2, false));
    let unclipped = broken("adamw", "g *= factor;", "");
    assert_noticed(adamw(&unclipped, 10, 2, true));
    let offset = broken("clip_grad_norm", "params.at + block", "block");
    assert_noticed(clip_grad_norm(&offset, &[5000, 5000]));
}
