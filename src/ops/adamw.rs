use super::{ELEMENTWISE, pieces, width};
use crate::gpu::{Gpu, Kernel};
use crate::kernel;
use crate::tensor::Tensor;

static KERNEL: Kernel = kernel!("adamw");

/// Settings of one step of [`adamw`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    pub lr: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub eps: f32,
    /// Weight decay, decoupled from the gradient: each step multiplies the weights by `1 − lr · decay`.
    pub decay: f32,
    /// Number of this step, from 1: corrects the bias of moments that start at zero.
    pub step: u32,
}

impl Default for AdamW {
    fn default() -> AdamW {
        AdamW { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, decay: 0.01, step: 1 }
    }
}

/// One parameter's part in [`adamw_all`].
#[derive(Debug, Clone, Copy)]
pub struct Update<'a> {
    pub parameter: &'a Tensor,
    pub gradient: &'a Tensor,
    /// Two numbers per weight, zero before the first step.
    pub moments: &'a Tensor,
    /// Whether weight decay applies; usually not to biases and normalizations.
    pub decay: bool,
}

/// One step of Adam with decoupled weight decay and bias correction, in place, as PyTorch's `AdamW` does it.
///
/// `moments` holds two numbers per weight and starts at zero; their order is the kernel's own business. `clip` holds the
/// factor on the gradient as its first element: see [`clip_grad_norm`](super::clip_grad_norm). A factor of 0 leaves
/// weights and moments as they are, so a step whose gradient is not finite does no harm.
///
/// Loshchilov & Hutter 2019, <https://arxiv.org/abs/1711.05101>.
///
/// # Panics
/// When the sizes do not agree or `step` is 0.
#[track_caller]
pub fn adamw(
    gpu: &Gpu,
    parameter: &Tensor,
    gradient: &Tensor,
    moments: &Tensor,
    options: &AdamW,
    clip: Option<&Tensor>,
) {
    let n = parameter.len();
    assert!(gradient.len() == n, "adamw: gradient {:?} for {:?}", gradient.shape(), parameter.shape());
    assert!(moments.len() == 2 * n, "adamw: moments {:?} for {:?}", moments.shape(), parameter.shape());
    assert!(options.step > 0, "adamw: steps count from 1");
    let AdamW { lr, beta1, beta2, eps, decay, step } = *options;
    // In f64: 1 - beta2 at the first step would lose half its digits in f32.
    let correction = |beta: f32| 1.0 - f64::from(beta).powf(f64::from(step));
    let size = (f64::from(lr) / correction(beta1)) as f32;
    let root = (1.0 / correction(beta2).sqrt()) as f32;
    let flat = |x: &Tensor, width| x.reshape(&[n, width]);
    let (parameter, gradient, moments) = (flat(parameter, 1), flat(gradient, 1), flat(moments, 2));
    let width = width(n);
    let kernel = [("CLIP", u32::from(clip.is_some())), ("WIDTH", width as u32)];
    for (first, rows) in pieces(gpu, n, 2) {
        let piece = |x: &Tensor| x.row_range(first, rows);
        let (parameter, gradient, moments) = (piece(&parameter), piece(&gradient), piece(&moments));
        let bits = [size, root, beta1, beta2, eps, 1.0 - lr * decay].map(f32::to_bits);
        let wide = rows / width; // pieces but the last are multiples of 64, so the width divides each
        let params = [wide as u32, bits[0], bits[1], bits[2], bits[3], bits[4], bits[5]];
        let buffers = [&*gradient, clip.unwrap_or(&gradient), &parameter, &moments];
        gpu.dispatch(KERNEL.with(&kernel), params, &buffers, wide.div_ceil(ELEMENTWISE));
    }
}

/// [`adamw`] on every parameter of a model: one dispatch for each, without waiting in between, so they share the
/// submissions of the step. One dispatch for all would need them in one piece of memory, or copied there and back:
/// a kernel binds at most eight buffers under WebGPU's limits.
#[track_caller]
pub fn adamw_all(gpu: &Gpu, updates: &[Update], options: &AdamW, clip: Option<&Tensor>) {
    for update in updates {
        let options = AdamW { decay: if update.decay { options.decay } else { 0.0 }, ..*options };
        adamw(gpu, update.parameter, update.gradient, update.moments, &options, clip);
    }
}
