//! A kernel against its definition: values, and gradients under a random upstream gradient, in f64.
//!
//! The same comparisons serve the tests (many shapes), `doctor` (one shape each, on the adapter in front of it) and the
//! benchmark (verified before timed).

mod all;
pub mod attention;
pub mod catalogue;
pub mod elementwise;
pub mod embedding;
mod gru;
pub mod norm;
pub mod optimizer;
mod pointer;
pub mod product;
pub mod reduce;
pub mod sampled;

pub use all::ALL;
pub use gru::{gru, gru_step};
pub use pointer::{pointer, pointer_weights};

use crate::error::Result;
use crate::gpu::Gpu;
use crate::tape::Tape;
use crate::tensor::Tensor;
use std::fmt;

/// Largest difference of one output or gradient, relative to the largest magnitude expected in it.
#[derive(Debug, Clone)]
pub struct Report {
    pub op: &'static str,
    /// `y`, or `d` and the name of an input.
    pub what: String,
    pub shape: String,
    pub error: f64,
    pub tolerance: f64,
}

impl Report {
    pub fn ok(&self) -> bool {
        self.error <= self.tolerance
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.ok() { "ok" } else { "WRONG" };
        let Report { op, what, shape, error, tolerance } = self;
        write!(f, "{op} {what} {shape}: error {error:.1e}, allowed {tolerance:.0e}, {verdict}")
    }
}

/// Numbers for tests: SplitMix64, so that nothing outside std is needed.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `[0, n)`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// Uniform in `[-1, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// One differentiable input: its values are exact in f32, so kernel and definition see the same numbers.
#[derive(Debug, Clone)]
pub struct Input {
    pub name: &'static str,
    pub shape: Vec<usize>,
    pub data: Vec<f64>,
}

impl Input {
    /// Uniform values in `[-size, size)`.
    pub fn random(rng: &mut Rng, name: &'static str, shape: &[usize], size: f64) -> Input {
        let n: usize = shape.iter().product();
        let data = (0..n).map(|_| f64::from((rng.unit() * size) as f32)).collect();
        Input { name, shape: shape.to_vec(), data }
    }
}

/// What to compare and how strictly.
pub struct Check<'a> {
    pub op: &'static str,
    pub shape: String,
    pub inputs: Vec<Input>,
    /// The definition: input values to output values.
    pub reference: &'a dyn Fn(&[Vec<f64>]) -> Vec<f64>,
    /// The op on a device: input tensors (parameters of the tape) to the output tensor.
    pub device: &'a dyn Fn(&mut Tape, &[Tensor]) -> Tensor,
    pub tolerance: f64,
    pub gradient_tolerance: f64,
}

/// Elements of each input whose gradient is compared with central differences; all where there are fewer. Where there are
/// more, the slope along one direction through all of them is compared, too: a wrong row anywhere shows there.
const PROBES: usize = 48;

impl Check<'_> {
    /// Runs an op that has no gradient on `gpu` and compares its value with the definition.
    pub fn value(&self, gpu: &Gpu) -> Result<Vec<Report>> {
        let tensors: Vec<Tensor> = self.inputs.iter().map(|i| upload(gpu, &i.data, &i.shape)).collect();
        let values: Vec<Vec<f64>> = self.inputs.iter().map(|i| i.data.clone()).collect();
        let y = (self.device)(&mut Tape::off(), &tensors);
        let report = self.report("y".into(), &floats(&y)?, &(self.reference)(&values), self.tolerance);
        gpu.check_guards()?;
        Ok(vec![report])
    }

    /// Runs the op on `gpu` and compares its value and the gradient of every input with the definition.
    pub fn run(&self, gpu: &Gpu) -> Result<Vec<Report>> {
        let mut rng = Rng::new(17);
        let values: Vec<Vec<f64>> = self.inputs.iter().map(|i| i.data.clone()).collect();
        let tensors: Vec<Tensor> = self.inputs.iter().map(|i| upload(gpu, &i.data, &i.shape).parameter()).collect();
        let mut tape = Tape::new(3);
        let y = (self.device)(&mut tape, &tensors);
        let expected = (self.reference)(&values);
        assert_eq!(expected.len(), y.len(), "{}: the definition and the op disagree about the output", self.op);
        let mut reports = vec![self.report("y".into(), &floats(&y)?, &expected, self.tolerance)];
        let upstream: Vec<f64> = (0..y.len()).map(|_| f64::from(rng.unit() as f32)).collect();
        let grads = tape.backward_from(&y, upload(gpu, &upstream, y.shape()));
        for (i, input) in self.inputs.iter().enumerate() {
            let gradient = grads.get(&tensors[i]);
            let gradient = gradient.unwrap_or_else(|| panic!("{}: no gradient of {}", self.op, input.name));
            let gradient = floats(gradient)?;
            let probes = probes(&mut rng, &input.shape);
            let objective =
                |x: &[Vec<f64>]| -> f64 { (self.reference)(x).iter().zip(&upstream).map(|(y, u)| y * u).sum() };
            let expected = central_differences(&objective, &values, i, &probes);
            let actual: Vec<f64> = probes.iter().map(|p| gradient[*p]).collect();
            let mut report = self.report(format!("d{}", input.name), &actual, &expected, self.gradient_tolerance);
            if probes.len() < gradient.len() {
                report.error = report.error.max(directional_error(&objective, &values, i, &gradient, &mut rng));
            }
            reports.push(report);
        }
        gpu.check_guards()?;
        Ok(reports)
    }

    fn report(&self, what: String, actual: &[f64], expected: &[f64], tolerance: f64) -> Report {
        Report { op: self.op, what, shape: self.shape.clone(), error: relative_error(actual, expected), tolerance }
    }
}

/// Largest difference over the largest expected magnitude; infinite where anything is not a number.
pub fn relative_error(actual: &[f64], expected: &[f64]) -> f64 {
    let size = expected.iter().fold(1e-6, |m: f64, v| m.max(v.abs()));
    let worst = |m: f64, (a, e): (&f64, &f64)| if a.is_finite() { m.max((a - e).abs()) } else { f64::INFINITY };
    actual.iter().zip(expected).fold(0.0, worst) / size
}

/// Elements to compare one by one: the corners, and any others.
fn probes(rng: &mut Rng, shape: &[usize]) -> Vec<usize> {
    let (n, dim) = (shape.iter().product(), shape.last().copied().unwrap_or(1));
    if n <= PROBES {
        return (0..n).collect();
    }
    let corners = [0, dim - 1, n - dim, n - 1];
    corners.into_iter().chain((corners.len()..PROBES).map(|_| rng.below(n))).collect()
}

/// How far the gradient is off along a random direction through all elements of an input, relative to what a gradient of
/// this size gives along one.
fn directional_error(
    f: &dyn Fn(&[Vec<f64>]) -> f64,
    at: &[Vec<f64>],
    input: usize,
    gradient: &[f64],
    rng: &mut Rng,
) -> f64 {
    const STEP: f64 = 1e-6; // all elements move: fewer kinks are crossed than by a larger one
    let direction: Vec<f64> = gradient.iter().map(|_| rng.unit()).collect();
    let moved = |by: f64| {
        let mut x = at.to_vec();
        x[input].iter_mut().zip(&direction).for_each(|(x, d)| *x += by * d);
        f(&x)
    };
    let expected = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
    let actual: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
    let size = gradient.iter().fold(1e-6, |m: f64, g| m.max(g.abs())) * (gradient.len() as f64).sqrt();
    if actual.is_finite() { (actual - expected).abs() / size } else { f64::INFINITY }
}

fn central_differences(f: &dyn Fn(&[Vec<f64>]) -> f64, at: &[Vec<f64>], input: usize, probes: &[usize]) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut x = at.to_vec();
    let mut slope = |p: &usize| {
        let middle = x[input][*p];
        x[input][*p] = middle + STEP;
        let above = f(&x);
        x[input][*p] = middle - STEP;
        let below = f(&x);
        x[input][*p] = middle;
        (above - below) / (2.0 * STEP)
    };
    probes.iter().map(&mut slope).collect()
}

/// f64 values as an f32 tensor.
pub fn upload(gpu: &Gpu, data: &[f64], shape: &[usize]) -> Tensor {
    let data: Vec<f32> = data.iter().map(|v| *v as f32).collect();
    Tensor::from_slice(gpu, &data, shape)
}

/// An f32 tensor as f64 values.
pub fn floats(x: &Tensor) -> Result<Vec<f64>> {
    Ok(x.to_vec::<f32>()?.into_iter().map(f64::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Σ x²` has the gradient `2 x`.
    #[test]
    fn one_wrong_row_among_many_is_noticed() {
        let (rows, dim) = (65, 64);
        let x = Input::random(&mut Rng::new(1), "x", &[rows, dim], 1.0).data;
        let f = |x: &[Vec<f64>]| -> f64 { x[0].iter().map(|v| v * v).sum() };
        let mut gradient: Vec<f64> = x.iter().map(|v| 2.0 * v).collect();
        let error = |gradient: &[f64]| directional_error(&f, std::slice::from_ref(&x), 0, gradient, &mut Rng::new(2));
        assert!(error(&gradient) < 1e-7, "{}", error(&gradient));
        gradient[(rows - 1) * dim..].fill(0.0);
        assert!(error(&gradient) > 1e-3, "{}", error(&gradient));
        let corners = probes(&mut Rng::new(3), &[rows, dim]);
        assert!([0, 63, 64 * 64, 65 * 64 - 1].iter().all(|p| corners.contains(p)) && corners.len() == PROBES);
        assert_eq!(probes(&mut Rng::new(3), &[4, 12]), (0..48).collect::<Vec<_>>());
    }
}
