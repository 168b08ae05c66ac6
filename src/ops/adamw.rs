use super::{ELEMENTWISE, pieces, width};
use crate::gpu::{Buffer, Gpu, Kernel};
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
    let update = Update { parameter, gradient, moments, decay: true };
    update.expect_fitting(options);
    launch(gpu, &[Piece::of(&update, options)], options, clip);
}

/// [`adamw`] on every parameter of a model, without waiting in between. Parameters whose memory is one piece, and that of
/// their moments another (as those of a model), go five to a dispatch: a kernel binds at most eight
/// buffers under WebGPU's limits.
#[track_caller]
pub fn adamw_all(gpu: &Gpu, updates: &[Update], options: &AdamW, clip: Option<&Tensor>) {
    let mut groups: Vec<Vec<Piece>> = Vec::new();
    for update in updates {
        update.expect_fitting(options);
        let options = AdamW { decay: if update.decay { options.decay } else { 0.0 }, ..*options };
        let piece = Piece::of(update, &options);
        match groups.iter_mut().find(|g| g.len() < SEGMENTS && g[0].joins(&piece, gpu)) {
            Some(group) => group.push(piece),
            None => groups.push(vec![piece]),
        }
    }
    groups.iter().for_each(|group| launch(gpu, group, options, clip));
}

impl Update<'_> {
    #[track_caller]
    fn expect_fitting(&self, options: &AdamW) {
        let Update { parameter, gradient, moments, .. } = self;
        let n = parameter.len();
        assert!(gradient.len() == n, "adamw: gradient {:?} for {:?}", gradient.shape(), parameter.shape());
        assert!(moments.len() == 2 * n, "adamw: moments {:?} for {:?}", moments.shape(), parameter.shape());
        assert!(options.step > 0, "adamw: steps count from 1");
    }
}

/// Parameters of one dispatch.
const SEGMENTS: usize = 5;

/// One parameter's part in a dispatch.
struct Piece {
    parameter: Tensor,
    gradient: Tensor,
    moments: Tensor,
    /// What decay leaves of a weight.
    keep: f32,
}

impl Piece {
    fn of(update: &Update, options: &AdamW) -> Piece {
        let n = update.parameter.len();
        let flat = |x: &Tensor, width| x.reshape(&[n, width]);
        Piece {
            parameter: flat(update.parameter, 1),
            gradient: flat(update.gradient, 1),
            moments: flat(update.moments, 2),
            keep: 1.0 - options.lr * options.decay,
        }
    }

    /// Whether both can go in one dispatch: they share their memory, which fits a binding, and the width of a load.
    fn joins(&self, other: &Piece, gpu: &Gpu) -> bool {
        let shares = |a: &Tensor, b: &Tensor| a.shares(b) && a.memory().len() <= gpu.info().max_binding;
        let widths = [self, other].map(|p| width(p.parameter.len()));
        widths[0] == widths[1] && shares(&self.parameter, &other.parameter) && shares(&self.moments, &other.moments)
    }
}

/// Updates parameters that share their memory; one alone in pieces where it exceeds a binding.
fn launch(gpu: &Gpu, group: &[Piece], options: &AdamW, clip: Option<&Tensor>) {
    let width = width(group[0].parameter.len());
    if let [one] = group {
        for (first, rows) in pieces(gpu, one.parameter.len(), 2) {
            let cut = |x: &Tensor| x.row_range(first, rows);
            let (parameter, gradient, moments) = (cut(&one.parameter), cut(&one.gradient), cut(&one.moments));
            let memory = [(*parameter).clone(), (*moments).clone()];
            dispatch(gpu, width, &[(&gradient, [0, 0], one.keep)], &memory, options, clip);
        }
        return;
    }
    let (parameters, first) = span(group.iter().map(|p| &p.parameter));
    let (moments, first_moment) = span(group.iter().map(|p| &p.moments));
    let starts = |p: &Piece| [p.parameter.start() - first, p.moments.start() - first_moment];
    let segments: Vec<_> = group.iter().map(|p| (&p.gradient, starts(p), p.keep)).collect();
    dispatch(gpu, width, &segments, &[parameters, moments], options, clip);
}

/// Of the memory that all of `parts` share, what holds them, and where that begins.
fn span<'a>(parts: impl Iterator<Item = &'a Tensor> + Clone) -> (Buffer, u64) {
    const ALIGN: u64 = 256; // bindings begin there
    let first = parts.clone().map(|x| x.start()).min().unwrap_or(0) / ALIGN * ALIGN;
    let end = parts.clone().map(|x| x.start() + Buffer::len(x)).max().unwrap_or(first);
    let memory = parts.map(|x| x.memory()).next().expect("a group has parts");
    (memory.slice(first, end - first), first)
}

/// The `Params` of the shader.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    step: f32,
    root: f32,
    beta1: f32,
    beta2: f32,
    eps: f32,
    _padding: [u32; 3],
    segments: [[u32; 4]; SEGMENTS],
    keeps: [f32; 8],
}

/// `width`: numbers that a thread loads at once; it divides every piece, since pieces but the last are multiples of 64.
/// `segments`: gradient, where parameter and moments begin in `memory` (in bytes), and what decay leaves of a weight.
fn dispatch(
    gpu: &Gpu,
    width: usize,
    segments: &[(&Tensor, [u64; 2], f32)],
    memory: &[Buffer; 2],
    options: &AdamW,
    clip: Option<&Tensor>,
) {
    let AdamW { lr, beta1, beta2, eps, step, .. } = *options;
    // In f64: 1 - beta2 at the first step would lose half its digits in f32.
    let correction = |beta: f32| 1.0 - f64::from(beta).powf(f64::from(step));
    let size = (f64::from(lr) / correction(beta1)) as f32;
    let root = (1.0 / correction(beta2).sqrt()) as f32;
    let nobody = [0, 0, 0, u32::MAX];
    let mut params =
        Params { step: size, root, beta1, beta2, eps, _padding: [0; 3], segments: [nobody; SEGMENTS], keeps: [0.0; 8] };
    let mut groups = 0;
    for (i, (gradient, starts, keep)) in segments.iter().enumerate() {
        let n = gradient.len() / width;
        let [at, moments_at] = starts.map(|bytes| (bytes / (4 * width as u64)) as u32);
        params.segments[i] = [n as u32, at, moments_at, groups as u32];
        params.keeps[i] = *keep;
        groups += n.div_ceil(ELEMENTWISE);
    }
    let gradient = |i: usize| -> &Buffer { segments.get(i).map_or(segments[0].0, |s| s.0) };
    let [parameter, moments] = memory;
    let clip_or = clip.map_or(gradient(0), |c| c);
    let buffers = [gradient(0), gradient(1), gradient(2), gradient(3), gradient(4), clip_or, parameter, moments];
    let kernel = [("CLIP", u32::from(clip.is_some())), ("WIDTH", width as u32)];
    gpu.dispatch(KERNEL.with(&kernel), params, &buffers, groups);
}
