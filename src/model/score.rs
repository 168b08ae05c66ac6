//! What comes out of a state: a loss while training, a ranking while serving.

use super::{Batch, History, Model};
use crate::error::Result;
use crate::ops::{self, Activation, CrossEntropy, Exclusions, Ids, Masked};
use crate::tape::Tape;
use crate::tensor::Tensor;

/// What a training batch is to predict.
#[derive(Debug)]
pub struct Targets {
    /// Positions of the flattened `[rows * len]` that have a target.
    pub at: Ids,
    /// The item that followed at each.
    pub items: Ids,
    /// For the sigmoid output: a random item for each position, to be told apart from the target.
    pub negatives: Ids,
    /// For the sigmoid output where there are ratings: 1 for a target that was liked, 0 for one that was not.
    pub likes: Option<Tensor>,
    /// Items that are no classes at a position: where what a user has had is never recommended, it need not lose.
    pub masked: Option<Masked>,
}

/// One recommended item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recommendation {
    pub item: u32,
    pub score: f32,
    /// The calibrated output, where the model was trained with one.
    pub probability: Option<f32>,
}

impl Model {
    /// `[1]`: mean negative log likelihood of the targets over the whole catalogue, plus the weighted output loss.
    pub fn loss(&self, tape: &mut Tape, batch: &Batch, targets: &Targets) -> Tensor {
        let vectors = self.vectors(tape);
        let states = self.states(tape, batch, &vectors, &targets.at);
        let options = CrossEntropy {
            smoothing: self.config.label_smoothing,
            first_item: 1,
            masked: targets.masked.as_ref(),
            ..CrossEntropy::default()
        };
        let items = targets.items.tensor();
        let nll = ops::cross_entropy(tape, &states, &vectors, self.item_bias.as_ref(), items, &options);
        let n = targets.items.host().len() as f32;
        let loss = ops::mean(tape, &nll, n);
        match self.output_loss(tape, &states, &vectors, targets) {
            None => loss,
            Some(output) => {
                let output = ops::scale(tape, &output, self.config.output_weight);
                ops::add(tape, &loss, &output)
            }
        }
    }

    /// `[1]`: binary cross-entropy of the sigmoid output: liked or not where there are ratings, else target or random.
    fn output_loss(&self, tape: &mut Tape, states: &Tensor, vectors: &Tensor, targets: &Targets) -> Option<Tensor> {
        let output = self.output.as_ref()?;
        let gpu = &self.gpu;
        let n = targets.items.host().len();
        let mut part = |items: &Ids, labels: &Tensor| {
            let v = ops::embedding(tape, vectors, items, None);
            let scores = ops::dot(tape, states, &v).reshape(&[n, 1]);
            let logits = output.forward(tape, &scores, Activation::None, None).reshape(&[n]);
            let losses = ops::bce_with_logits(tape, &logits, labels);
            ops::mean(tape, &losses, n as f32)
        };
        if let Some(likes) = &targets.likes {
            return Some(part(&targets.items, likes));
        }
        let taken = part(&targets.items, &Tensor::full(gpu, &[n], 1.0));
        let random = part(&targets.negatives, &Tensor::zeros(gpu, &[n]));
        Some(ops::add(tape, &taken, &random))
    }

    /// States after each history's last event, and the item vectors that they score.
    pub fn last_states(&self, histories: &[History]) -> (Tensor, Tensor) {
        let tape = &mut Tape::off();
        let cut: Vec<History> = histories.iter().map(|h| h.last(self.config.len)).collect();
        let batch = Batch::new(&self.gpu, &self.config, &self.catalogue, &cut);
        let vectors = self.vectors(tape);
        let at = batch.last_positions(&self.gpu, &cut);
        (self.states(tape, &batch, &vectors, &at), vectors)
    }

    /// The `k` best items for each history, best first, without those that `exclude` names for it.
    pub fn recommend(&self, histories: &[History], exclude: &[Vec<u32>], k: usize) -> Result<Vec<Vec<Recommendation>>> {
        let (states, vectors) = self.last_states(histories);
        let exclude = Exclusions::new(&self.gpu, exclude);
        let k = k.min(self.catalogue.n_items);
        let bias = self.item_bias.as_ref();
        let (scores, ids) = ops::top_k(&self.gpu, &states, &vectors, bias, Some(&exclude), k, 1);
        let probabilities = self.probabilities(&scores)?;
        let (scores, ids) = (scores.to_vec::<f32>()?, ids.to_vec::<u32>()?);
        let one = |i: usize| Recommendation {
            item: ids[i],
            score: scores[i],
            probability: probabilities.as_ref().map(|p| p[i]),
        };
        let row = |r: usize| (r * k..(r + 1) * k).map(one).filter(|r| r.item != u32::MAX).collect();
        Ok((0..histories.len()).map(row).collect())
    }

    /// Share of attention that each event of `history` gets from the last one, over all heads of the first attention.
    /// `None` where the model has none.
    pub fn explain(&self, history: &History) -> Result<Option<Vec<f32>>> {
        let batch = Batch::new(&self.gpu, &self.config, &self.catalogue, &[*history]);
        let Some(weights) = self.attention_weights(&batch) else { return Ok(None) };
        let heads = self.config.heads;
        let weights = weights.to_vec::<f32>()?;
        let mean = |t: usize| (0..heads).map(|h| weights[h * batch.len + t]).sum::<f32>() / heads as f32;
        Ok(Some((0..batch.len).map(mean).collect()))
    }

    fn probabilities(&self, scores: &Tensor) -> Result<Option<Vec<f32>>> {
        let Some(output) = &self.output else { return Ok(None) };
        let scores = scores.reshape(&[scores.len(), 1]);
        output.forward(&mut Tape::off(), &scores, Activation::Sigmoid, None).to_vec().map(Some)
    }

    /// The rank of each history's target among all items but the excluded, 1 for the best; ties count against it. 0 where
    /// the score of the target is not a number.
    pub fn ranks(&self, histories: &[History], targets: &[u32], exclude: &[Vec<u32>]) -> Result<Vec<u32>> {
        let (states, vectors) = self.last_states(histories);
        let exclude = Exclusions::new(&self.gpu, exclude);
        let targets = Tensor::from_slice(&self.gpu, targets, &[targets.len()]);
        let bias = self.item_bias.as_ref();
        ops::rank_of(&self.gpu, &states, &vectors, bias, &targets, Some(&exclude), 1, None).to_vec()
    }
}
