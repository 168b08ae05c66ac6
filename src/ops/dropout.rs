use super::{Activation, ELEMENTWISE, pieces, width};
use crate::gpu::Kernel;
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static KERNEL: Kernel = kernel!("dropout");

/// `x` with each element 0 with probability `p` and else scaled by `1 / (1 − p)`, drawn from the tape's seed; `x` itself
/// when the tape is off or `p` is 0. The mask is drawn again on the way back, not stored.
///
/// Srivastava et al. 2014, <https://jmlr.org/papers/v15/srivastava14a.html>.
///
/// # Panics
/// When `p` is not in `[0, 1)`.
#[track_caller]
pub fn dropout(tape: &mut Tape, x: &Tensor, p: f32) -> Tensor {
    let Some(mask) = Mask::draw("dropout", tape, p) else { return x.clone() };
    let y = mask.end(Activation::None, x, None);
    let saved = x.clone();
    tape.record(&y, &[x], move |_, grads, dy| grads.add(&saved, mask.end(Activation::None, dy, None)));
    y
}

/// A mask that is drawn again wherever it is needed.
#[derive(Clone, Copy)]
pub(super) struct Mask {
    seed: u32,
    p: f32,
}

impl Mask {
    /// A fresh one, unless nothing is to be dropped. `op` is who asks.
    #[track_caller]
    pub fn draw(op: &str, tape: &mut Tape, p: f32) -> Option<Mask> {
        assert!((0.0..1.0).contains(&p), "{op}: a probability of {p}, expected 0 up to below 1");
        (tape.is_on() && p > 0.0).then(|| Mask { seed: tape.next_seed(), p })
    }

    /// As a kernel takes it: the seed and the probability.
    pub fn params(self) -> [u32; 2] {
        [self.seed, self.p.to_bits()]
    }

    /// `residual + mask · activation(x)`
    pub fn end(self, activation: Activation, x: &Tensor, residual: Option<&Tensor>) -> Tensor {
        let y = Tensor::empty(x.gpu(), x.shape());
        let consts = [("ACT", activation as u32), ("RESIDUAL", u32::from(residual.is_some()))];
        self.by_elements(&KERNEL, &consts, [x, residual.unwrap_or(x), &y]);
        y
    }

    /// One thread per element, in pieces that fit a binding.
    pub fn by_elements(self, kernel: &'static Kernel, consts: &[(&'static str, u32)], tensors: [&Tensor; 3]) {
        let (gpu, n) = (tensors[0].gpu(), tensors[0].len());
        let flat = tensors.map(|x| x.reshape(&[n]));
        for (first, n) in pieces(gpu, n, 1) {
            let [a, b, c] = flat.each_ref().map(|x| x.row_range(first, n));
            let (width, n) = (width(n), n / width(n));
            let mut consts = consts.to_vec();
            consts.push(("WIDTH", width as u32));
            let [seed, p] = self.params();
            let params = [n as u32, first as u32, seed, p];
            gpu.dispatch(kernel.with(&consts), params, &[&a, &b, &c], n.div_ceil(ELEMENTWISE));
        }
    }
}
