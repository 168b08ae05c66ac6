//! What a model learns from: the loss of a batch.

use super::{Batch, Model, rows_of};
use crate::ops::{self, CrossEntropy, Ids, Masked, Negatives, Sampled, SampledSoftmax};
use crate::tape::Tape;
use crate::tensor::Tensor;

/// What a training batch is to predict.
#[derive(Debug)]
pub struct Targets {
    /// Events of the batch that have a target.
    pub at: Ids,
    /// The item that followed at each.
    pub items: Ids,
    /// `u32 [events]`: the same for all events, [`IGNORE`](ops::IGNORE) where nothing is to be predicted.
    pub next: Tensor,
    /// What the sigmoid output learns from, where the model has one.
    pub output: OutputTask,
    /// Items that are no classes at a position: where what a user has had is never recommended, it need not lose.
    pub masked: Option<Masked>,
    /// What the targets are compared with, where that is not the whole catalogue.
    pub drawn: Option<Drawn>,
}

/// What the sigmoid output learns to say.
#[derive(Debug)]
pub enum OutputTask {
    /// Whether a target was liked. Targets without a rating say nothing of that and are not among `of`.
    Liked {
        /// Rows of the targets that have a rating.
        of: Ids,
        /// Their items.
        items: Ids,
        /// 1 for each that was liked, 0 for each that was not.
        liked: Tensor,
    },
    /// Whether an item came next: each target, and a random item for each.
    Next { random: Ids },
    /// Nothing from this batch.
    Nothing,
}

/// Items drawn to stand for the whole catalogue, and how a target is compared with them.
#[derive(Debug, Clone)]
pub struct Drawn {
    pub negatives: Negatives,
    pub objective: Objective,
}

/// A loss over drawn items.
#[derive(Debug, Clone)]
pub enum Objective {
    /// See [`ops::sampled_softmax`].
    SampledSoftmax { temperature: f32, log_q: Option<Tensor> },
    /// See [`ops::gbce`].
    Gbce { beta: f32 },
    /// See [`ops::bpr`].
    Bpr,
}

impl Model {
    /// `[1]`: mean loss of the targets, by default their negative log likelihood over the whole catalogue, plus the weighted
    /// output loss.
    ///
    /// # Panics
    /// When the pointer into the own history is on and the targets are compared with drawn items alone: it mixes with the
    /// probability in the whole catalogue.
    pub fn loss(&self, tape: &mut Tape, batch: &Batch, targets: &Targets) -> Tensor {
        let vectors = self.vectors(tape);
        let h = self.sequence(tape, batch, &vectors);
        let own = h.as_ref().map(|h| rows_of(tape, h, &targets.at));
        let states = self.states_from(tape, batch, own.as_ref(), &targets.at);
        let vectors = self.outputs(tape, &vectors);
        let mut nll = match &targets.drawn {
            None => self.full_loss(tape, &states, &vectors, targets),
            Some(drawn) => self.sampled_loss(tape, &states, &vectors, targets, drawn),
        };
        if let (Some(repeats), Some(h), Some(own)) = (&self.repeats, &h, &own) {
            nll = repeats.loss(tape, self, [h, own, &nll], batch, targets);
        }
        let n = targets.items.host().len() as f32;
        let loss = ops::mean(tape, &nll, n);
        match self.output_loss(tape, &states, &vectors, targets) {
            None => loss,
            Some(output) => ops::add(tape, &loss, &output),
        }
    }

    /// `[n]`: negative log likelihood over the whole catalogue.
    fn full_loss(&self, tape: &mut Tape, states: &Tensor, vectors: &Tensor, targets: &Targets) -> Tensor {
        let options = CrossEntropy {
            smoothing: self.config.label_smoothing,
            first_item: 1,
            masked: targets.masked.as_ref(),
            ..CrossEntropy::default()
        };
        ops::cross_entropy(tape, states, vectors, self.item_bias.as_ref(), targets.items.tensor(), &options)
    }

    /// `[n]`: the loss of the targets beside drawn items.
    fn sampled_loss(
        &self,
        tape: &mut Tape,
        states: &Tensor,
        vectors: &Tensor,
        targets: &Targets,
        drawn: &Drawn,
    ) -> Tensor {
        assert!(self.repeats.is_none(), "a loss over drawn items leaves no probability for the pointer to mix with");
        let Drawn { negatives, objective } = drawn;
        let sampled = Sampled { targets: &targets.items, negatives, masked: targets.masked.as_ref() };
        let bias = self.item_bias.as_ref();
        match objective {
            Objective::SampledSoftmax { temperature, log_q } => {
                let options = SampledSoftmax { temperature: *temperature, log_q: log_q.as_ref() };
                ops::sampled_softmax(tape, states, vectors, bias, &sampled, &options)
            }
            Objective::Gbce { beta } => ops::gbce(tape, states, vectors, bias, &sampled, *beta),
            Objective::Bpr => ops::bpr(tape, states, vectors, bias, &sampled),
        }
    }

    /// `[1]`: weighted binary cross-entropy of the sigmoid output, if anything in this batch is to teach it.
    fn output_loss(&self, tape: &mut Tape, states: &Tensor, vectors: &Tensor, targets: &Targets) -> Option<Tensor> {
        let output = self.output.as_ref()?;
        let (gpu, bias) = (&self.gpu, output.b.as_ref()?);
        let part = |states: &Tensor, items: &Ids, labels: &Tensor, tape: &mut Tape| {
            let scores = self.pair_scores(tape, states, vectors, items);
            let logits = ops::affine(tape, &scores, &output.w, bias);
            let losses = ops::bce_with_logits(tape, &logits, labels);
            ops::mean(tape, &losses, items.host().len() as f32 / self.config.output_weight)
        };
        match &targets.output {
            OutputTask::Nothing => None,
            OutputTask::Liked { of, items, liked } => {
                let states = rows_of(tape, states, of);
                Some(part(&states, items, liked, tape))
            }
            OutputTask::Next { random } => {
                let n = random.host().len();
                let taken = part(states, &targets.items, &Tensor::full(gpu, &[n], 1.0), tape);
                let not = part(states, random, &Tensor::zeros(gpu, &[n]), tape);
                Some(ops::add(tape, &taken, &not))
            }
        }
    }
}
