use super::ELEMENTWISE;
use crate::gpu::Kernel;
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static FORWARD: Kernel = kernel!("mixture");
static BACKWARD: Kernel = kernel!("mixture_backward");

/// `−log(σ(−gate) · exp(−nll) + σ(gate) · mass)` per element: the negative log-likelihood of a target that has `exp(−nll)`
/// of a catalogue (see [`cross_entropy`](super::cross_entropy)) and `mass` of a [`pointer`](super::pointer), between which
/// a gate chooses. All are of one shape.
///
/// Merity et al. 2017, <https://arxiv.org/abs/1609.07843>. Computed from logs: a mass of 0 is allowed, and neither value
/// nor gradients overflow where both probabilities vanish.
///
/// # Panics
/// When the shapes differ.
#[track_caller]
pub fn mixture(tape: &mut Tape, nll: &Tensor, gate: &Tensor, mass: &Tensor) -> Tensor {
    gate.expect_shape("mixture: gate", nll.shape());
    mass.expect_shape("mixture: mass", nll.shape());
    let n = nll.len();
    let y = Tensor::empty(nll.gpu(), nll.shape());
    nll.gpu().dispatch(&FORWARD, n as u32, &[nll, gate, mass, &y], n.div_ceil(ELEMENTWISE));
    let inputs = [nll, gate, mass].map(Tensor::clone);
    tape.record(&y, &[nll, gate, mass], move |gpu, grads, dy| {
        let gradients = inputs.each_ref().map(|x| Tensor::empty(gpu, x.shape()));
        let ([nll, gate, mass], [dnll, dgate, dmass]) = (&inputs, &gradients);
        let buffers = [nll, gate, mass, dy, dnll, dgate, dmass].map(|t| &**t);
        gpu.dispatch(&BACKWARD, n as u32, &buffers, n.div_ceil(ELEMENTWISE));
        for (x, dx) in inputs.iter().zip(gradients) {
            if grads.wants(x) {
                grads.add(x, dx);
            }
        }
    });
    y
}
