use super::sampled::{Loss, Sampled, losses, scores};
use crate::gpu::Kernel;
use crate::kernel;
use crate::tape::Tape;
use crate::tensor::Tensor;

static FORWARD: Kernel = kernel!("sampled_softmax");
static BACKWARD: Kernel = kernel!("sampled_softmax_backward");

/// How [`sampled_softmax`] weighs what was drawn.
#[derive(Debug, Clone, Copy)]
pub struct SampledSoftmax<'a> {
    /// Scores are divided by it.
    pub temperature: f32,
    /// `[items]`: minus the logarithm of how often each item is expected among the negatives. An item that is drawn
    /// seldom then stands for more, and the sum over the drawn for that over the catalogue. `None` takes them as they are.
    pub log_q: Option<&'a Tensor>,
}

impl Default for SampledSoftmax<'_> {
    fn default() -> Self {
        SampledSoftmax { temperature: 1.0, log_q: None }
    }
}

/// Negative log-likelihood `[rows]` of each row's target beside drawn items instead of a whole catalogue: `x: [rows, dim]`
/// scores by `x · table[item] + bias[item]`, with `table: [items, dim]`, `bias: [items]`.
///
/// `loss = log(exp(s_target / τ) + Σ_j exp(s_j / τ − log E_j)) − s_target / τ`, where `E_j` is how often `j` was expected to
/// be drawn: an estimate of [`cross_entropy`](super::cross_entropy()) for any way of drawing. The target is there for
/// certain, so that nothing is taken from it. Bengio & Senécal 2008, <https://doi.org/10.1109/TNN.2007.912312>; Yi et al.
/// 2019, <https://doi.org/10.1145/3298689.3346996>. The same bits in every run.
///
/// # Panics
/// When the shapes do not fit or the temperature is not above 0.
#[track_caller]
pub fn sampled_softmax(
    tape: &mut Tape,
    x: &Tensor,
    table: &Tensor,
    bias: Option<&Tensor>,
    sampled: &Sampled,
    options: &SampledSoftmax,
) -> Tensor {
    let SampledSoftmax { temperature, log_q } = *options;
    assert!(temperature > 0.0, "sampled_softmax: temperature {temperature}, expected more than 0");
    let items = table.rows().0;
    // Divided by the temperature it is what it was.
    let less = log_q.map(|log_q| {
        log_q.expect_shape("sampled_softmax: log_q", &[items]);
        super::scale(tape, log_q, temperature)
    });
    let scores = scores("sampled_softmax", tape, [x, table], bias, less.as_ref(), sampled);
    let scale = 1.0 / temperature;
    losses(
        tape,
        scores,
        Loss { forward: &FORWARD, backward: &BACKWARD, keeps: true, sums_back: false, numbers: [scale, 0.0] },
    )
}
