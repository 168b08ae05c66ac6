//! The pointer into a history against its definition.

use super::attention::{Attention, Setting};
use super::{Check, Report, Rng};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::{self, Pointer};
use crate::reference;
use crate::tensor::Tensor;

/// Kinds of items in a history: few, so that targets come up again and again.
const KINDS: usize = 4;

/// Value and gradients, for a case with one causal head. Some targets are ignored, some never occur, and the padding is
/// full of what would be found there.
pub fn pointer(gpu: &Gpu, case: &Attention) -> Result<Vec<Report>> {
    assert!(case.heads == 1 && case.causal && case.dropout == 0.0, "a pointer has one causal head: {case:?}");
    let setting = Setting::new::<2>(gpu, case)?;
    let n = case.batch * case.len;
    let mut rng = Rng::new(n as u64);
    let valid = |at: usize| at % case.len < setting.lengths[at / case.len] as usize;
    let mut ids = |kinds: usize| -> Vec<u32> { (0..n).map(|_| rng.below(kinds) as u32).collect() };
    let (mut items, mut targets) = (ids(KINDS), ids(KINDS + 1));
    for at in 0..n {
        match at % 7 {
            _ if !valid(at) => (items[at], targets[at]) = (1, 1),
            3 => targets[at] = ops::IGNORE,
            5 => items[at] = ops::IGNORE, // no target either finds it or is found by it
            _ => {}
        }
    }
    let [device_items, device_targets] =
        [&items, &targets].map(|ids| Tensor::from_slice(gpu, ids, &[case.batch, case.len]));
    let reference =
        |x: &[Vec<f64>]| setting.by_definition::<2, _>(x, |q, k, o| reference::pointer(q, k, &items, &targets, o));
    let check = Check {
        op: "pointer",
        shape: format!("{case:?}"),
        inputs: setting.inputs.clone(),
        reference: &reference,
        device: &|tape, x| {
            let space = setting.space(x);
            let options = Pointer { lengths: (&setting.device_lengths).into(), bias: space.as_ref() };
            ops::pointer(tape, &x[0], &device_items, &device_targets, &options)
        },
        tolerance: 5e-6,
        gradient_tolerance: 2e-5,
    };
    check.run(gpu)
}

/// The weights of each row's last query.
pub fn pointer_weights(gpu: &Gpu, case: &Attention) -> Result<Vec<Report>> {
    let setting = Setting::new::<2>(gpu, case)?;
    let check = Check {
        op: "pointer_weights",
        shape: format!("{case:?}"),
        inputs: setting.inputs.clone(),
        reference: &|x| setting.by_definition::<2, _>(x, reference::pointer_weights),
        device: &|_, x| {
            let space = setting.space(x);
            ops::pointer_weights(
                gpu,
                &x[0],
                &Pointer { lengths: (&setting.device_lengths).into(), bias: space.as_ref() },
            )
        },
        tolerance: 5e-6,
        gradient_tolerance: 0.0,
    };
    check.value(gpu)
}
