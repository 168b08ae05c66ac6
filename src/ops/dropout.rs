use super::ELEMENTWISE;
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
    assert!((0.0..1.0).contains(&p), "dropout: a probability of {p}, expected 0 up to below 1");
    if !tape.is_on() || p == 0.0 {
        return x.clone();
    }
    let seed = tape.next_seed();
    let y = masked(x, seed, p);
    let saved = x.clone();
    tape.record(&y, &[x], move |_, grads, dy| grads.add(&saved, masked(dy, seed, p)));
    y
}

fn masked(x: &Tensor, seed: u32, p: f32) -> Tensor {
    let y = Tensor::empty(x.gpu(), x.shape());
    x.gpu().dispatch(&KERNEL, [x.len() as u32, seed, p.to_bits()], &[x, &y], x.len().div_ceil(ELEMENTWISE));
    y
}
