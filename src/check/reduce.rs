//! Sums over many elements.

use super::{Check, Input, Report, Rng};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops;

pub fn mean(gpu: &Gpu, n: usize) -> Result<Vec<Report>> {
    let mut x = Input::random(&mut Rng::new(n as u64), "x", &[n], 1.0);
    x.data.iter_mut().for_each(|v| *v += 0.5); // no cancellation: the error is relative to a sum of this size
    let count = 0.75 * n as f64;
    let check = Check {
        op: "mean",
        shape: format!("[{n}]"),
        inputs: vec![x],
        // Not the mean over all n: the caller's count says how many of them are real.
        reference: &|x| vec![x[0].iter().sum::<f64>() / count],
        device: &|tape, x| ops::mean(tape, &x[0], count as f32),
        tolerance: 1e-6,
        gradient_tolerance: 1e-6,
    };
    check.run(gpu)
}
