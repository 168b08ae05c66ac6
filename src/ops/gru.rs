use super::ELEMENTWISE;
use super::gemm::{Epilogue, Layout, gemm, product};
use super::lengths::{Lengths, Rows};
use crate::gpu::{Gpu, Kernel};
use crate::kernel;
use crate::tape::{Grads, Tape};
use crate::tensor::Tensor;

static FORWARD: Kernel = kernel!("gru");
static FORWARD_SUBGROUP: Kernel = kernel!("gru_subgroup");
static TRANSPOSE: Kernel = kernel!("gru_transpose");
static BACKWARD: Kernel = kernel!("gru_backward");
static BACKWARD_SUBGROUP: Kernel = kernel!("gru_backward_subgroup");
static STEP: Kernel = kernel!("gru_step");

/// Batch rows of one workgroup.
const ROWS: usize = 4;
const ROWS_SUBGROUP: usize = 16;
/// Time steps of one dispatch: systems reset a device that is busy for seconds.
const STEPS: usize = 1024;
/// Threads per workgroup of `gru_step`.
const STEP_WIDTH: usize = 64;

/// Weights of a gated recurrent unit as PyTorch lays them out: the rows of the reset gate, the update gate, the new state.
#[derive(Clone, Debug)]
pub struct GruWeights {
    /// `[3 · dim, inputs]`
    pub w_ih: Tensor,
    /// `[3 · dim, dim]`
    pub w_hh: Tensor,
    /// `[3 · dim]`
    pub b_ih: Tensor,
    /// `[3 · dim]`
    pub b_hh: Tensor,
}

impl GruWeights {
    /// The size of the state, once the shapes agree with each other and with `inputs`.
    #[track_caller]
    fn dim(&self, op: &str, inputs: usize) -> usize {
        let dim = *self.w_hh.shape().last().expect("gru: w_hh has no axes");
        self.w_hh.expect_shape(&format!("{op}: w_hh"), &[3 * dim, dim]);
        self.w_ih.expect_shape(&format!("{op}: w_ih"), &[3 * dim, inputs]);
        self.b_ih.expect_shape(&format!("{op}: b_ih"), &[3 * dim]);
        self.b_hh.expect_shape(&format!("{op}: b_hh"), &[3 * dim]);
        dim
    }
}

/// States `[batch, len, dim]` of a gated recurrent unit after each step of `x: [batch, len, inputs]`, from
/// `h0: [batch, dim]` or zeros. Rows are aligned left and end at `lengths: [batch]` (`u32`): from there on the output is
/// 0, and what `x` holds there does not matter as long as it is finite. Packed (see [`Lengths`]), `x` is
/// `[events, inputs]` and the states are `[events, dim]`.
///
/// ```text
/// r = σ(W_ir x + b_ir + W_hr h + b_hr)      z = σ(W_iz x + b_iz + W_hz h + b_hz)
/// n = tanh(W_in x + b_in + r ∘ (W_hn h + b_hn))      h' = (1 − z) ∘ n + z ∘ h
/// ```
/// Cho et al. 2014, <https://arxiv.org/abs/1406.1078>, with the reset after the product as in PyTorch and cuDNN: so the
/// recurrent product is one for all gates, and `W_i x` is one product for all steps. The steps themselves run inside one
/// dispatch (one per 1,024 steps): a workgroup takes a few rows of the batch through all of them, since workgroups cannot
/// wait for each other. `batch · len · 3 · dim` values must fit one binding of the device.
///
/// # Panics
/// When a shape is not the one above.
#[track_caller]
pub fn gru<'a>(
    tape: &mut Tape,
    x: &Tensor,
    weights: &GruWeights,
    h0: Option<&Tensor>,
    lengths: impl Into<Lengths<'a>>,
) -> Tensor {
    let rows = Rows::of("gru", "x", x, lengths.into());
    let (_, inputs) = x.rows();
    let dim = weights.dim("gru", inputs);
    if let Some(h0) = h0 {
        h0.expect_shape("gru: h0", &[rows.batch, dim]);
    }
    let sequence = Sequence { rows, inputs, dim, x: x.clone(), w: weights.clone(), h0: h0.cloned() };
    let learns = {
        let w = &sequence.w;
        let mut inputs = vec![x, &w.w_ih, &w.w_hh, &w.b_ih, &w.b_hh];
        inputs.extend(h0);
        inputs.iter().any(|t| tape.tracks(t))
    };
    let (y, gates, saved) = sequence.forward(learns);
    if learns {
        let w = weights;
        let mut inputs = vec![x, &w.w_ih, &w.w_hh, &w.b_ih, &w.b_hh];
        inputs.extend(h0);
        tape.record(&y, &inputs, move |_, grads, dy| sequence.backward(gates, saved, grads, dy));
    }
    y
}

/// One call of [`gru`]: what its two directions share.
struct Sequence {
    rows: Rows,
    inputs: usize,
    dim: usize,
    x: Tensor,
    w: GruWeights,
    h0: Option<Tensor>,
}

impl Sequence {
    fn gpu(&self) -> &Gpu {
        self.x.gpu()
    }

    fn by_subgroups(&self) -> bool {
        let info = self.gpu().info();
        info.eight_lanes() && self.dim.is_multiple_of(4)
    }

    /// One thread per hidden column where that fits.
    fn width(&self) -> u32 {
        self.dim.next_multiple_of(32).min(256) as u32
    }

    /// First and last steps of each dispatch.
    fn spans(&self) -> Vec<[u32; 2]> {
        let end = |start: usize| (start + STEPS).min(self.rows.len) as u32;
        (0..self.rows.len).step_by(STEPS).map(|start| [start as u32, end(start)]).collect()
    }

    /// The states; r, z, n where `W_ih x` was; the states before each step with `W_hn h + b_hn` behind them.
    fn forward(&self, learns: bool) -> (Tensor, Tensor, Tensor) {
        let (gpu, dim, w) = (self.gpu(), self.dim, &self.w);
        let Rows { batch, len, events, ref lengths, .. } = self.rows;
        let gates = Tensor::empty(gpu, &[events, 3 * dim]);
        gemm(gpu, Layout::Nt, &self.x, &w.w_ih, &gates, [events, 3 * dim, self.inputs], false);
        let y = Tensor::empty(gpu, &self.rows.shape(&[dim]));
        let (slots, saved) = if learns { (len, 2 * events) } else { (2, 2 * batch) };
        let saved = Tensor::empty(gpu, &[saved, dim]);
        let hn_at = if learns { y.len() } else { 0 };
        let by_subgroups = self.by_subgroups();
        let w_hh = if by_subgroups { w.w_hh.clone() } else { transposed(&w.w_hh) };
        let h0 = self.h0.as_ref().unwrap_or(&w.b_hh); // any buffer will do where none is read
        let flags = [lengths.is_some(), self.h0.is_some()].map(u32::from);
        let lengths = lengths.as_ref().unwrap_or(&w.b_hh);
        for [start, end] in self.spans() {
            let [rows, len, dim] = [batch, len, dim].map(|n| n as u32);
            let params = [rows, len, dim, start, end, flags[0], flags[1], slots as u32, hn_at as u32];
            let buffers = [&*gates, &w_hh, &w.b_ih, &w.b_hh, h0, lengths, &y, &saved];
            match by_subgroups {
                true => {
                    let consts = [self.rows.consts()];
                    gpu.dispatch(FORWARD_SUBGROUP.with(&consts), params, &buffers, batch.div_ceil(ROWS_SUBGROUP));
                }
                false => {
                    let consts = [("WIDTH", self.width()), self.rows.consts()];
                    gpu.dispatch(FORWARD.with(&consts), params, &buffers, batch.div_ceil(ROWS));
                }
            }
        }
        (y, gates, saved)
    }

    /// Gradients of the gates' inputs from x, of those from the state, and of `h0`. The first take the place of `gates`.
    fn through_time(&self, gates: Tensor, saved: &Tensor, dy: &Tensor) -> [Tensor; 3] {
        let (gpu, w_hh) = (self.gpu(), &self.w.w_hh);
        let dgates_h = Tensor::empty(gpu, gates.shape());
        let Rows { batch, len, ref lengths, .. } = self.rows;
        let dh = Tensor::zeros(gpu, &[batch, self.dim]);
        let ragged = u32::from(lengths.is_some());
        let lengths = lengths.as_ref().unwrap_or(w_hh);
        for [start, end] in self.spans().into_iter().rev() {
            let [rows, len, dim, hn_at] = [batch, len, self.dim, dy.len()].map(|n| n as u32);
            let params = [rows, len, dim, start, end, ragged, hn_at];
            let buffers = [&**dy, &gates, saved, w_hh, lengths, &dgates_h, &dh];
            match self.by_subgroups() {
                true => {
                    let consts = [self.rows.consts()];
                    gpu.dispatch(BACKWARD_SUBGROUP.with(&consts), params, &buffers, batch.div_ceil(ROWS_SUBGROUP));
                }
                false => {
                    let consts = [("WIDTH", self.width()), self.rows.consts()];
                    gpu.dispatch(BACKWARD.with(&consts), params, &buffers, batch.div_ceil(ROWS));
                }
            }
        }
        [gates, dgates_h, dh]
    }

    fn backward(self, gates: Tensor, saved: Tensor, grads: &mut Grads, dy: &Tensor) {
        let (gpu, w, rows, dim, inputs) = (self.gpu(), &self.w, self.rows.events, self.dim, self.inputs);
        let [dgates_x, dgates_h, dh0] = self.through_time(gates, &saved, dy);
        if let Some(h0) = &self.h0 {
            grads.add(h0, dh0);
        }
        if grads.wants(&self.x) {
            // What x has got on another way (a residual's) is added by the product.
            let plus = grads.take(&self.x);
            let dx = Tensor::empty(gpu, self.x.shape());
            let epilogue = Epilogue { residual: plus.as_ref(), ..Epilogue::default() };
            product(gpu, Layout::Nn, &dgates_x, &w.w_ih, &dx, [rows, inputs, 3 * dim], &epilogue);
            grads.add(&self.x, dx);
        }
        weights_gradient(grads, &w.w_ih, &w.b_ih, &dgates_x, &self.x);
        weights_gradient(grads, &w.w_hh, &w.b_hh, &dgates_h, &saved.row_range(0, rows));
    }
}

/// Gradients of weights and bias of a product whose input was `x` and whose output has the gradient `dgates`.
fn weights_gradient(grads: &mut Grads, w: &Tensor, bias: &Tensor, dgates: &Tensor, x: &Tensor) {
    let (gpu, (rows, outputs)) = (w.gpu(), dgates.rows());
    let dbias = grads.wants(bias).then(|| Tensor::empty(gpu, bias.shape()));
    if grads.wants(w) || dbias.is_some() {
        let dw = Tensor::empty(gpu, w.shape());
        let epilogue = Epilogue { sums: dbias.as_ref(), ..Epilogue::default() };
        product(gpu, Layout::Tn, dgates, x, &dw, [outputs, w.shape()[1], rows], &epilogue);
        grads.add(w, dw);
    }
    if let Some(dbias) = dbias {
        grads.add(bias, dbias);
    }
}

fn transposed(w: &Tensor) -> Tensor {
    let (rows, dim) = w.rows();
    let y = Tensor::empty(w.gpu(), &[dim, rows]);
    w.gpu().dispatch(&TRANSPOSE, [rows as u32, dim as u32], &[w, &y], w.len().div_ceil(ELEMENTWISE));
    y
}

/// The state `[batch, dim]` after one more event `x: [batch, inputs]` on the state `h: [batch, dim]`: one step of [`gru`]
/// in one dispatch, for serving. Without a gradient.
///
/// # Panics
/// When a shape is not the one above.
#[track_caller]
pub fn gru_step(gpu: &Gpu, x: &Tensor, h: &Tensor, weights: &GruWeights) -> Tensor {
    let (batch, inputs) = x.rows();
    let dim = weights.dim("gru_step", inputs);
    x.expect_shape("gru_step: x", &[batch, inputs]);
    h.expect_shape("gru_step: h", &[batch, dim]);
    let y = Tensor::empty(gpu, h.shape());
    let GruWeights { w_ih, w_hh, b_ih, b_hh } = weights;
    let params = [batch as u32, inputs as u32, dim as u32];
    let groups = (batch.div_ceil(ROWS) * dim).div_ceil(STEP_WIDTH);
    gpu.dispatch(&STEP, params, &[x, h, w_ih, w_hh, b_ih, b_hh, &y], groups);
    y
}
