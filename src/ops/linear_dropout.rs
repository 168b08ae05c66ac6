use super::dropout::Mask;
use super::linear::{Activation, BACKWARD, Saved, linear};
use crate::tape::Tape;
use crate::tensor::Tensor;

/// `residual + dropout(activation(x·wᵀ + bias))`: [`linear`], [`dropout`](super::dropout) and [`add`](super::add), to the
/// bit, in two dispatches and fewer passes over memory. Without dropout, or on a tape that is off, it is [`linear`].
///
/// # Panics
/// When the shapes do not fit, or `p` is not in `[0, 1)`.
#[track_caller]
pub(crate) fn linear_dropout(
    tape: &mut Tape,
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
    residual: Option<&Tensor>,
    p: f32,
) -> Tensor {
    let Some(mask) = Mask::draw("linear: dropout", tape, p) else {
        return linear(tape, x, w, bias, activation, residual);
    };
    // Its own gradient is not recorded: that of all of it is, below.
    let z = linear(&mut Tape::off(), x, w, bias, Activation::None, None);
    if let Some(residual) = residual {
        residual.expect_shape("linear: residual", z.shape());
    }
    let y = mask.end(activation, &z, residual);

    let inputs: Vec<&Tensor> = [x, w].into_iter().chain(bias).chain(residual).collect();
    let z = (activation != Activation::None && inputs.iter().any(|t| tape.tracks(t))).then_some(z);
    let (saved, residual) = (Saved { x: x.clone(), w: w.clone(), bias: bias.cloned(), z: None }, residual.cloned());
    tape.record(&y, &inputs, move |gpu, grads, dy| {
        let dz = match &z {
            None => mask.end(Activation::None, dy, None),
            Some(z) => {
                let dz = Tensor::empty(gpu, dy.shape());
                mask.by_elements(&BACKWARD, &[("ACT", activation as u32), ("DROPOUT", 1)], [dy, z, &dz]);
                dz
            }
        };
        saved.backward(gpu, grads, &dz, Activation::None);
        if let Some(residual) = &residual {
            grads.add(residual, dy.clone());
        }
    });
    y
}
