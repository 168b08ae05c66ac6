//! Sums over many elements.

use super::{Check, Input, Report, Rng};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::{ops, reference};

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

/// With `lanes` threads per row instead of what the device's kind asks for, if given.
pub fn dot(gpu: &Gpu, rows: usize, dim: usize, lanes: Option<u32>) -> Result<Vec<Report>> {
    let mut rng = Rng::new((rows * 1000 + dim) as u64);
    let check = Check {
        op: "dot",
        shape: format!("[{rows}, {dim}] by {lanes:?}"),
        inputs: vec![Input::random(&mut rng, "a", &[rows, dim], 1.0), Input::random(&mut rng, "b", &[rows, dim], 1.0)],
        reference: &|x| reference::dot(&x[0], &x[1], dim),
        device: &|tape, x| match lanes {
            None => ops::dot(tape, &x[0], &x[1]),
            Some(lanes) => ops::dot_by(tape, &x[0], &x[1], lanes),
        },
        tolerance: 5e-6,
        gradient_tolerance: 1e-6,
    };
    check.run(gpu)
}
