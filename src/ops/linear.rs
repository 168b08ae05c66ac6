use super::gemm::{Epilogue, Layout, product};
use super::{ELEMENTWISE, pieces, width};
use crate::gpu::{Gpu, Kernel};
use crate::kernel;
use crate::tape::{Grads, Tape};
use crate::tensor::Tensor;

pub(super) static BACKWARD: Kernel = kernel!("linear_backward");

/// A function of one number. Numbered as in `shaders/shared/activation.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    #[default]
    None,
    Relu,
    /// The approximation by `tanh`. Hendrycks & Gimpel 2016, <https://arxiv.org/abs/1606.08415>
    Gelu,
    Silu,
    Tanh,
    Sigmoid,
}

/// `y = activation(x·wᵀ + bias) + residual` in one dispatch: `x: [.., in]`, `w: [out, in]`, `bias: [out]`,
/// `residual` and `y: [.., out]`.
///
/// What goes into the activation is stored only when a gradient may need it. The gradient of the bias comes out of the
/// product that makes the gradient of `w`.
///
/// # Panics
/// When the shapes do not fit.
#[track_caller]
pub fn linear(
    tape: &mut Tape,
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
    residual: Option<&Tensor>,
) -> Tensor {
    let (rows, n_in) = x.rows();
    let n_out = w.shape().first().copied().unwrap_or(0);
    w.expect_shape("linear: w", &[n_out, n_in]);
    let mut shape = x.shape().to_vec();
    shape[x.shape().len() - 1] = n_out;
    if let Some(bias) = bias {
        bias.expect_shape("linear: bias", &[n_out]);
    }
    if let Some(residual) = residual {
        residual.expect_shape("linear: residual", &shape);
    }
    let gpu = x.gpu();
    let inputs: Vec<&Tensor> = [x, w].into_iter().chain(bias).collect();
    let keep = activation != Activation::None && inputs.iter().any(|t| tape.tracks(t));
    let z = keep.then(|| Tensor::empty(gpu, &shape));
    let y = Tensor::empty(gpu, &shape);
    let epilogue = Epilogue { bias, activation: activation as u32, z: z.as_ref(), residual, ..Epilogue::default() };
    product(gpu, Layout::Nt, x, w, &y, [rows, n_out, n_in], &epilogue);

    let saved = Saved { x: x.clone(), w: w.clone(), bias: bias.cloned(), z };
    let saved_residual = residual.cloned();
    let all: Vec<&Tensor> = inputs.into_iter().chain(residual).collect();
    tape.record(&y, &all, move |gpu, grads, dy| {
        saved.backward(gpu, grads, dy, activation);
        if let Some(residual) = &saved_residual {
            grads.add(residual, dy.clone());
        }
    });
    y
}

/// What the gradient of a linear layer needs.
pub(super) struct Saved {
    pub x: Tensor,
    pub w: Tensor,
    pub bias: Option<Tensor>,
    /// What went into the activation, if there was one.
    pub z: Option<Tensor>,
}

impl Saved {
    pub fn backward(&self, gpu: &Gpu, grads: &mut Grads, dy: &Tensor, activation: Activation) {
        let Saved { x, w, bias, z } = self;
        let (rows, n_in) = x.rows();
        let n_out = w.shape()[0];
        let dz = match z {
            Some(z) => through_activation(gpu, activation, dy, z),
            None => dy.clone(),
        };
        if grads.wants(x) {
            // What x has got on another way (a residual's) is added by the product.
            let plus = grads.take(x).map(|plus| plus.reshape(x.shape()));
            let dx = Tensor::empty(gpu, x.shape());
            let epilogue = Epilogue { residual: plus.as_ref(), ..Epilogue::default() };
            product(gpu, Layout::Nn, &dz, w, &dx, [rows, n_in, n_out], &epilogue);
            grads.add(x, dx);
        }
        let dbias = bias.as_ref().filter(|b| grads.wants(b)).map(|b| (b, Tensor::empty(gpu, b.shape())));
        if grads.wants(w) || dbias.is_some() {
            let dw = Tensor::empty(gpu, w.shape());
            let epilogue = Epilogue { sums: dbias.as_ref().map(|(_, d)| d), ..Epilogue::default() };
            product(gpu, Layout::Tn, &dz, x, &dw, [n_out, n_in, rows], &epilogue);
            grads.add(w, dw);
        }
        if let Some((bias, dbias)) = dbias {
            grads.add(bias, dbias);
        }
    }
}

fn through_activation(gpu: &Gpu, activation: Activation, dy: &Tensor, z: &Tensor) -> Tensor {
    let dz = Tensor::empty(gpu, dy.shape());
    let [flat_dy, flat_z, flat_dz] = [dy, z, &dz].map(|x| x.reshape(&[x.len()]));
    for (first, n) in pieces(gpu, dy.len(), 1) {
        let [dy, z, dz] = [&flat_dy, &flat_z, &flat_dz].map(|x| x.row_range(first, n));
        let (width, n) = (width(n), n / width(n));
        let consts = [("ACT", activation as u32), ("WIDTH", width as u32)];
        // No seed and no share of dropout.
        gpu.dispatch(BACKWARD.with(&consts), [n as u32, 0, 0, 0], &[&dy, &z, &dz], n.div_ceil(ELEMENTWISE));
    }
    dz
}
