//! Matrix products.

use super::{Check, Input, Report, Rng, floats, relative_error, upload};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::gemm::{Epilogue, How, Layout, kernels, product_by};
use crate::ops::{self, Activation};
use crate::tensor::Tensor;
use crate::{Tape, reference};

pub fn matmul(gpu: &Gpu, m: usize, n: usize, k: usize) -> Result<Vec<Report>> {
    let mut rng = Rng::new((m * 1000 + n) as u64);
    let inputs = vec![Input::random(&mut rng, "a", &[m, k], 1.0), Input::random(&mut rng, "b", &[k, n], 1.0)];
    let check = Check {
        op: "matmul",
        shape: format!("{m}x{n}x{k}"),
        inputs,
        reference: &|x| reference::matmul(&x[0], &x[1], k),
        device: &|tape, x| ops::matmul(tape, &x[0], &x[1]),
        tolerance: 2e-6,
        gradient_tolerance: 3e-6,
    };
    check.run(gpu)
}

/// `x: [rows, n_in]` to `[rows, n_out]`, with or without bias and residual.
pub fn linear(
    gpu: &Gpu,
    [rows, n_in, n_out]: [usize; 3],
    activation: Activation,
    [bias, residual]: [bool; 2],
) -> Result<Vec<Report>> {
    let mut rng = Rng::new((rows * 1000 + n_in) as u64);
    let mut inputs =
        vec![Input::random(&mut rng, "x", &[rows, n_in], 1.0), Input::random(&mut rng, "w", &[n_out, n_in], 1.0)];
    if bias {
        inputs.push(Input::random(&mut rng, "bias", &[n_out], 1.0));
    }
    if residual {
        inputs.push(Input::random(&mut rng, "residual", &[rows, n_out], 1.0));
    }
    let at = |there: bool, i: usize| there.then_some(i);
    let (bias_at, residual_at) = (at(bias, 2), at(residual, 2 + usize::from(bias)));
    let act = definition(activation);
    let check = Check {
        op: "linear",
        shape: format!("[{rows}, {n_in}] to {n_out}, {activation:?}, bias {bias}, residual {residual}"),
        inputs,
        reference: &|x| {
            let extra = |i: Option<usize>| i.map(|i| x[i].as_slice());
            reference::linear(&x[0], &x[1], extra(bias_at), act, extra(residual_at), n_in)
        },
        device: &|tape: &mut Tape, x: &[Tensor]| {
            ops::linear(tape, &x[0], &x[1], bias_at.map(|i| &x[i]), activation, residual_at.map(|i| &x[i]))
        },
        tolerance: 5e-6,
        gradient_tolerance: 2e-5,
    };
    check.run(gpu)
}

/// `x: [rows, n_in]` to `[rows, n_out]` with bias and dropout, whose mask is that of [`ops::dropout`] on the same tape.
pub fn linear_dropout(
    gpu: &Gpu,
    [rows, n_in, n_out]: [usize; 3],
    activation: Activation,
    residual: bool,
) -> Result<Vec<Report>> {
    const P: f32 = 0.3;
    let mut rng = Rng::new((rows * 1000 + n_out) as u64);
    let mut inputs = vec![
        Input::random(&mut rng, "x", &[rows, n_in], 1.0),
        Input::random(&mut rng, "w", &[n_out, n_in], 1.0),
        Input::random(&mut rng, "bias", &[n_out], 1.0),
    ];
    if residual {
        inputs.push(Input::random(&mut rng, "residual", &[rows, n_out], 1.0));
    }
    let ones = upload(gpu, &vec![1.0; rows * n_out], &[rows, n_out]);
    let keep = floats(&ops::dropout(&mut Tape::new(3), &ones, P))?;
    let act = definition(activation);
    let check = Check {
        op: "linear",
        shape: format!("[{rows}, {n_in}] to {n_out}, {activation:?}, dropout, residual {residual}"),
        inputs,
        reference: &|x| {
            let y = reference::linear(&x[0], &x[1], Some(&x[2]), act, None, n_in);
            let y: Vec<f64> = y.iter().zip(&keep).map(|(y, keep)| y * keep).collect();
            if residual { reference::add(&x[3], &y) } else { y }
        },
        device: &|tape, x| ops::linear_dropout(tape, &x[0], &x[1], Some(&x[2]), activation, x.get(3), P),
        tolerance: 5e-6,
        gradient_tolerance: 2e-5,
    };
    check.run(gpu)
}

fn definition(activation: Activation) -> fn(f64) -> f64 {
    match activation {
        Activation::None => reference::identity,
        Activation::Relu => reference::relu,
        Activation::Gelu => reference::gelu,
        Activation::Silu => reference::silu,
        Activation::Tanh => reference::tanh,
        Activation::Sigmoid => reference::sigmoid,
    }
}

/// The product itself: every kernel that the device can run, every layout, onto nothing or (as the sizes fall, because
/// kernels take long to compile) onto what is there or a residual, on views where the sizes allow them.
pub fn gemm(gpu: &Gpu, m: usize, n: usize, k: usize) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for layout in [Layout::Nn, Layout::Nt, Layout::Tn] {
        for how in kernels(gpu.info(), layout, [m, n, k]) {
            let accumulate = (m + n + k + layout as usize).is_multiple_of(2);
            reports.extend(one(gpu, how, layout, [m, n, k], accumulate)?);
        }
    }
    gpu.check_guards()?;
    Ok(reports)
}

fn one(gpu: &Gpu, how: How, layout: Layout, dims: [usize; 3], accumulate: bool) -> Result<Vec<Report>> {
    let [m, n, k] = dims;
    let mut rng = Rng::new((m * 1000 + n + k) as u64);
    let mut random = |n: usize| -> Vec<f64> { (0..n).map(|_| f64::from(rng.unit() as f32)).collect() };
    let (a, b, before) = (random(m * k), random(k * n), random(m * n));
    let stored_a = match layout {
        Layout::Tn => placed(gpu, &transposed(&a, k), [k, m]),
        _ => placed(gpu, &a, [m, k]),
    };
    let stored_b = match layout {
        Layout::Nt => placed(gpu, &transposed(&b, n), [n, k]),
        _ => placed(gpu, &b, [k, n]),
    };
    let y = if accumulate { placed(gpu, &before, [m, n]) } else { Tensor::empty(gpu, &[m, n]) };
    let sums = (layout == Layout::Tn).then(|| Tensor::empty(gpu, &[m]));
    let residual = (!accumulate && (m + k).is_multiple_of(2)).then(|| placed(gpu, &before, [m, n]));
    let epilogue = Epilogue { accumulate, sums: sums.as_ref(), residual: residual.as_ref(), ..Epilogue::default() };
    product_by(gpu, Some(how), layout, [&stored_a, &stored_b, &y], dims, &epilogue);
    let mut expected = reference::matmul(&a, &b, k);
    if accumulate || residual.is_some() {
        expected = reference::add(&expected, &before);
    }
    let report = |what: &str, error| Report {
        op: "gemm",
        what: what.into(),
        shape: format!("{m}x{n}x{k} {how:?} {layout:?} accumulate {accumulate} residual {}", residual.is_some()),
        error,
        // Sums of columns are never mixed.
        tolerance: if how.is_mixed() && what == "y" { ops::mixed::TOLERANCE } else { 2e-6 },
    };
    let mut reports = vec![report("y", relative_error(&floats(&y)?, &expected))];
    if let Some(sums) = &sums {
        let expected: Vec<f64> = a.chunks(k).map(|row| row.iter().sum()).collect();
        reports.push(report("sums", relative_error(&floats(sums)?, &expected)));
    }
    Ok(reports)
}

/// Rows of `dim` to columns.
fn transposed(x: &[f64], dim: usize) -> Vec<f64> {
    let rows = x.len() / dim;
    (0..x.len()).map(|i| x[i % rows * dim + i / rows]).collect()
}

/// As a view into a larger tensor where every offset of a row is legal.
fn placed(gpu: &Gpu, data: &[f64], [rows, dim]: [usize; 2]) -> Tensor {
    if !dim.is_multiple_of(64) {
        return upload(gpu, data, &[rows, dim]);
    }
    let mut more = vec![1e9; dim];
    more.extend_from_slice(data);
    more.resize(data.len() + 2 * dim, 1e9);
    upload(gpu, &more, &[rows + 2, dim]).row_range(1, rows)
}
