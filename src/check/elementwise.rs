//! Ops whose elements know nothing of each other.

use super::{Check, Input, Report, Rng, floats, relative_error, upload};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::{Tape, Tensor, ops, reference};

pub fn add(gpu: &Gpu, n: usize) -> Result<Vec<Report>> {
    let mut rng = Rng::new(n as u64);
    let check = Check {
        op: "add",
        shape: format!("[{n}]"),
        inputs: vec![Input::random(&mut rng, "a", &[n], 1.0), Input::random(&mut rng, "b", &[n], 1.0)],
        reference: &|x| reference::add(&x[0], &x[1]),
        device: &|tape, x| ops::add(tape, &x[0], &x[1]),
        tolerance: 1e-6,
        gradient_tolerance: 1e-6,
    };
    check.run(gpu)
}

/// `x: [repeats, m]` and `b: [m]`.
pub fn add_broadcast(gpu: &Gpu, repeats: usize, m: usize) -> Result<Vec<Report>> {
    let mut rng = Rng::new((repeats * 1000 + m) as u64);
    let check = Check {
        op: "add_broadcast",
        shape: format!("[{repeats}, {m}]"),
        inputs: vec![Input::random(&mut rng, "x", &[repeats, m], 1.0), Input::random(&mut rng, "b", &[m], 1.0)],
        reference: &|x| reference::add_broadcast(&x[0], &x[1]),
        device: &|tape, x| ops::add_broadcast(tape, &x[0], &x[1]),
        tolerance: 1e-6,
        gradient_tolerance: 5e-6,
    };
    check.run(gpu)
}

/// With a slope and an offset of one number each.
pub fn affine(gpu: &Gpu, n: usize) -> Result<Vec<Report>> {
    let mut rng = Rng::new(n as u64);
    let inputs = [("x", n), ("w", 1), ("b", 1)].map(|(name, n)| Input::random(&mut rng, name, &[n], 1.0));
    let check = Check {
        op: "affine",
        shape: format!("[{n}]"),
        inputs: inputs.to_vec(),
        reference: &|x| x[0].iter().map(|v| x[1][0] * v + x[2][0]).collect(),
        device: &|tape, x| ops::affine(tape, &x[0], &x[1], &x[2]),
        tolerance: 1e-6,
        gradient_tolerance: 1e-5,
    };
    check.run(gpu)
}

pub fn scale(gpu: &Gpu, n: usize) -> Result<Vec<Report>> {
    let check = Check {
        op: "scale",
        shape: format!("[{n}]"),
        inputs: vec![Input::random(&mut Rng::new(n as u64), "x", &[n], 1.0)],
        reference: &|x| reference::scale(&x[0], -1.75),
        device: &|tape, x| ops::scale(tape, &x[0], -1.75),
        tolerance: 1e-6,
        gradient_tolerance: 1e-6,
    };
    check.run(gpu)
}

pub fn fill(gpu: &Gpu, n: usize) -> Result<Vec<Report>> {
    let x = Tensor::empty(gpu, &[n]);
    ops::fill(gpu, &x, 2.5);
    let error = relative_error(&floats(&x)?, &reference::fill(n, 2.5));
    gpu.check_guards()?;
    Ok(vec![Report { op: "fill", what: "x".into(), shape: format!("[{n}]"), error, tolerance: 0.0 }])
}

/// Targets at both ends and between; logits up to `size` on either side.
pub fn bce_with_logits(gpu: &Gpu, n: usize, size: f64) -> Result<Vec<Report>> {
    let mut rng = Rng::new(n as u64);
    let targets: Vec<f64> = (0..n).map(|i| [0.0, 1.0, 0.25][i % 3]).collect();
    let device_targets = upload(gpu, &targets, &[n]);
    let check = Check {
        op: "bce_with_logits",
        shape: format!("[{n}] up to {size}"),
        inputs: vec![Input::random(&mut rng, "logits", &[n], size)],
        reference: &|x| reference::bce_with_logits(&x[0], &targets),
        device: &|tape, x| ops::bce_with_logits(tape, &x[0], &device_targets),
        tolerance: 1e-6,
        gradient_tolerance: 2e-6,
    };
    check.run(gpu)
}

/// Masses of zero and one among them. Probabilities stay large enough for central differences.
pub fn mixture(gpu: &Gpu, n: usize) -> Result<Vec<Report>> {
    let mut rng = Rng::new(n as u64);
    let mut inputs = ["nll", "gate", "mass"].map(|name| Input::random(&mut rng, name, &[n], 1.5));
    inputs[0].data.iter_mut().for_each(|v| *v = f64::from((*v + 1.5) as f32));
    for (i, v) in inputs[2].data.iter_mut().enumerate() {
        *v = [0.0, 1.0, f64::from((v.abs() / 1.5) as f32)][i % 3];
    }
    let check = Check {
        op: "mixture",
        shape: format!("[{n}]"),
        inputs: inputs.to_vec(),
        reference: &|x| reference::mixture(&x[0], &x[1], &x[2]),
        device: &|tape, x| ops::mixture(tape, &x[0], &x[1], &x[2]),
        tolerance: 2e-6,
        gradient_tolerance: 5e-6,
    };
    check.run(gpu)
}

/// The mask is read off the output; then values and gradient must both be those of that mask.
pub fn dropout(gpu: &Gpu, n: usize, p: f32) -> Result<Vec<Report>> {
    let mut rng = Rng::new(n as u64);
    let mut random = |n: usize| -> Vec<f64> { (0..n).map(|_| f64::from(rng.unit() as f32) + 1.5).collect() };
    let (x, dy) = (random(n), random(n));
    let parameter = upload(gpu, &x, &[n]).parameter();
    let mut tape = Tape::new(n as u64);
    let y = ops::dropout(&mut tape, &parameter, p);
    let actual = floats(&y)?;
    let kept = 1.0 / (1.0 - f64::from(p));
    let mask: Vec<f64> = actual.iter().map(|y| if *y == 0.0 { 0.0 } else { kept }).collect();
    let grads = tape.backward_from(&y, upload(gpu, &dy, &[n]));
    let gradient = grads.get(&parameter).map(floats).transpose()?.unwrap_or_else(|| vec![f64::NAN; n]);
    gpu.check_guards()?;
    let report = |what: &str, actual: &[f64], input: &[f64]| Report {
        op: "dropout",
        what: what.into(),
        shape: format!("[{n}] at {p}"),
        error: relative_error(actual, &reference::dropout(input, &mask)),
        tolerance: 1e-6,
    };
    // A rate outside five standard deviations is an error too.
    let rate = mask.iter().filter(|m| **m == 0.0).count() as f64 / n as f64;
    let p = f64::from(p);
    let deviation = (rate - p).abs() / (p * (1.0 - p) / n as f64).sqrt();
    let rate = Report {
        op: "dropout",
        what: "rate, in standard deviations".into(),
        shape: format!("[{n}] at {p}"),
        error: deviation,
        tolerance: 5.0,
    };
    Ok(vec![report("y", &actual, &x), report("dx", &gradient, &dy), rate])
}
