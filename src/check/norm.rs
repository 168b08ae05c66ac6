//! Normalization.

use super::{Check, Input, Report, Rng};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::{ops, reference};

/// With `lanes` threads per row instead of what the device's kind asks for, if given.
pub fn layer_norm(gpu: &Gpu, rows: usize, dim: usize, lanes: Option<u32>) -> Result<Vec<Report>> {
    let mut rng = Rng::new((rows * 1000 + dim) as u64);
    let mut x = Input::random(&mut rng, "x", &[rows, dim], 2.0);
    // Rows far from zero: a variance by E[x²] - E[x]² would show.
    x.data.iter_mut().for_each(|v| *v += 8.0);
    let inputs = vec![x, Input::random(&mut rng, "gamma", &[dim], 1.5), Input::random(&mut rng, "beta", &[dim], 1.0)];
    let check = Check {
        op: "layer_norm",
        shape: format!("[{rows}, {dim}] by {lanes:?}"),
        inputs,
        reference: &|x| reference::layer_norm(&x[0], &x[1], &x[2], f64::from(1e-5f32)),
        device: &|tape, x| match lanes {
            None => ops::layer_norm(tape, &x[0], &x[1], &x[2], 1e-5),
            Some(lanes) => ops::layer_norm_by(tape, &x[0], &x[1], &x[2], 1e-5, lanes),
        },
        tolerance: 1e-5,
        gradient_tolerance: 3e-5,
    };
    check.run(gpu)
}
