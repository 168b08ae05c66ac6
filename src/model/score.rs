//! What comes out of a state while serving: a ranking. What comes out in training is in `loss.rs`.

use super::mixed::{Mixed, Part, mix};
use super::repeats::Forward;
use super::{Batch, Columns, History, Model, rows_of};
use crate::error::Result;
use crate::nn::Linear;
use crate::ops::{self, Exclusions, Ids};
use crate::tape::Tape;
use crate::tensor::{Tensor, Words};
use std::collections::HashSet;

/// One recommended item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recommendation {
    pub item: u32,
    pub score: f32,
    /// The sigmoid output, where the model was trained with one: with ratings, that the item will be liked; without, that
    /// it is what comes next.
    pub probability: Option<f32>,
}

/// How a score becomes a probability.
pub(super) struct Odds {
    shared: bool,
    output: Option<[f32; 2]>,
}

impl Odds {
    /// `item` with its score in the catalogue and what others add, for a history of which they say `mixed`.
    pub fn of(&self, mixed: &Mixed, item: u32, score: f32, boost: f32) -> Recommendation {
        Recommendation {
            item,
            score: score + boost,
            probability: match self.shared {
                true => Some((f64::from(score + boost) + mixed.log_share).exp() as f32),
                false => self.output.map(|[w, b]| 1.0 / (1.0 + (-(w * score + b)).exp())),
            },
        }
    }
}

impl Model {
    /// States after each history's last event, and the item vectors that they score.
    pub fn last_states(&self, histories: &[History]) -> (Tensor, Tensor) {
        let Forward { states, vectors, .. } = self.forward(&self.newest(histories));
        (states, vectors)
    }

    /// What the model sees of the histories.
    fn newest<'a>(&self, histories: &[History<'a>]) -> Vec<History<'a>> {
        // Where the model looks both ways, the last place is for what is asked.
        let len = self.config.len - usize::from(self.config.bidirectional);
        histories.iter().map(|h| h.last(len)).collect()
    }

    fn forward(&self, histories: &[History]) -> Forward {
        let tape = &mut Tape::off();
        let asking = self.asking(histories);
        let asked: Vec<History> = asking.iter().zip(histories).map(|(a, h)| a.history(h.user, h.request)).collect();
        let histories = if self.config.bidirectional { &asked[..] } else { histories };
        let batch = Batch::new(&self.gpu, &self.config, &self.catalogue, histories);
        let vectors = self.vectors(tape);
        let at = batch.last_positions(&self.gpu);
        let h = self.sequence(tape, &batch, &vectors);
        let own = h.as_ref().map(|h| rows_of(tape, h, &at));
        let states = self.states_from(tape, &batch, own.as_ref(), &at);
        let vectors = self.outputs(tape, &vectors);
        Forward { batch, sequence: h.zip(own), states, vectors }
    }

    /// Where the model looks both ways, what it is asked by: the histories with one hidden event more.
    fn asking(&self, histories: &[History]) -> Vec<Columns> {
        let columns = |h| Columns::asking(&self.config, h);
        histories.iter().filter(|_| self.config.bidirectional).map(columns).collect()
    }

    /// A forward pass, and what the pointer and the neighbours make of it (nothing where there are none).
    pub(super) fn last(&self, histories: &[History]) -> Result<(Forward, Vec<Mixed>)> {
        let newest = self.newest(histories);
        let forward = self.forward(&newest);
        if !self.mixes() {
            return Ok((forward, vec![Mixed::default(); histories.len()]));
        }
        let mut parts: Vec<Vec<Part>> = vec![Vec::new(); histories.len()];
        let mut add = |of: Vec<Part>| parts.iter_mut().zip(of).for_each(|(parts, part)| parts.push(part));
        if let Some(neighbours) = &self.catalogue.neighbours {
            add(newest.iter().map(|h| neighbours.part(h.items, self.config.neighbours)).collect());
        }
        if let Some(repeats) = &self.repeats {
            add(repeats.parts(self, &forward, &newest)?);
        }
        let mixed = mix(self, &forward.states, &forward.vectors, &parts)?;
        Ok((forward, mixed))
    }

    /// `[n]`: the score of one item for each of `states: [n, dim]`.
    pub(super) fn pair_scores(&self, tape: &mut Tape, states: &Tensor, vectors: &Tensor, items: &Ids) -> Tensor {
        ops::dot_rows(tape, states, vectors, self.item_bias.as_ref(), items)
    }

    /// Scores of single pairs `(row of states, item)`.
    pub(super) fn scores_of(&self, states: &Tensor, vectors: &Tensor, pairs: &[(u32, u32)]) -> Result<Vec<f32>> {
        let tape = &mut Tape::off();
        let mut scores = Vec::with_capacity(pairs.len());
        // The rows of both sides of all pairs may exceed a binding.
        for (first, n) in ops::pieces(&self.gpu, pairs.len(), self.config.dim) {
            let pairs = &pairs[first..first + n];
            let ids = |values: Vec<u32>, rows: usize| Ids::new(&self.gpu, &values, &[n], rows);
            let rows = ids(pairs.iter().map(|p| p.0).collect(), states.shape()[0]);
            let items = ids(pairs.iter().map(|p| p.1).collect(), self.catalogue.n_items + 1);
            let states = ops::embedding(tape, states, &rows, None);
            scores.extend(self.pair_scores(tape, &states, vectors, &items).to_vec::<f32>()?);
        }
        Ok(scores)
    }

    /// Scores and probabilities of given items for each history, in their order.
    ///
    /// # Errors
    /// When the device fails.
    pub fn score(&self, histories: &[History], items: &[Vec<u32>]) -> Result<Vec<Vec<Recommendation>>> {
        let (Forward { states, vectors, .. }, mixed) = self.last(histories)?;
        self.score_states(&states, &vectors, &mixed, items)
    }

    pub(super) fn score_states(
        &self,
        states: &Tensor,
        vectors: &Tensor,
        mixed: &[Mixed],
        items: &[Vec<u32>],
    ) -> Result<Vec<Vec<Recommendation>>> {
        let pairs: Vec<(u32, u32)> = (0u32..).zip(items).flat_map(|(r, l)| l.iter().map(move |i| (r, *i))).collect();
        if pairs.is_empty() {
            return Ok(vec![Vec::new(); items.len()]);
        }
        let mut scores = self.scores_of(states, vectors, &pairs)?.into_iter();
        let odds = self.odds()?;
        let row = |(mixed, items): (&Mixed, &Vec<u32>)| {
            let boost = |item: u32| mixed.find(item).map_or(0.0, |lifted| lifted.boost);
            items.iter().zip(&mut scores).map(|(item, score)| odds.of(mixed, *item, score, boost(*item))).collect()
        };
        Ok(mixed.iter().zip(items).map(row).collect())
    }

    /// The `k` best items for each history, best first, without those that `exclude` names for it.
    pub fn recommend(&self, histories: &[History], exclude: &[Vec<u32>], k: usize) -> Result<Vec<Vec<Recommendation>>> {
        let (Forward { states, vectors, .. }, mixed) = self.last(histories)?;
        self.best(&states, &vectors, &mixed, exclude, k)
    }

    /// The same from `states: [rows, dim]` and what the pointer and the neighbours say of each row's history.
    pub(super) fn best(
        &self,
        states: &Tensor,
        vectors: &Tensor,
        mixed: &[Mixed],
        exclude: &[Vec<u32>],
        k: usize,
    ) -> Result<Vec<Vec<Recommendation>>> {
        // What others may lift is ranked apart.
        let apart = Exclusions::new(&self.gpu, &with_lifted(exclude, mixed));
        let k = k.min(self.catalogue.n_items);
        let bias = self.item_bias.as_ref();
        let (scores, ids) = ops::top_k(&self.gpu, states, self.scored(vectors), bias, Some(&apart), k, 1);
        let (scores, ids, odds) = self.read(&scores, &ids)?;
        let row = |r: usize| {
            let found = (r * k..(r + 1) * k).filter(|i| ids[*i] != u32::MAX);
            let others = found.map(|i| odds.of(&mixed[r], ids[i], scores[i], 0.0));
            let excluded: HashSet<u32> = exclude[r].iter().copied().collect();
            let allowed = mixed[r].items.iter().filter(|l| !excluded.contains(&l.item));
            let mut list: Vec<Recommendation> =
                others.chain(allowed.map(|l| odds.of(&mixed[r], l.item, l.score, l.boost))).collect();
            list.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.item.cmp(&b.item)));
            list.truncate(k);
            list
        };
        Ok((0..mixed.len()).map(row).collect())
    }

    pub(super) fn odds(&self) -> Result<Odds> {
        let Some(Linear { w, b: Some(b) }) = &self.output else { return Ok(self.odds_by(None)) };
        let [w, b] = Tensor::to_vecs([w, b])?;
        Ok(self.odds_by(Some([w, b])))
    }

    /// From weight and offset of the sigmoid output. Without ratings it learned from one random item beside each that came
    /// next, while there are all others: the odds are so many times smaller (King & Zeng 2001).
    fn odds_by(&self, output: Option<[Words; 2]>) -> Odds {
        let others = if self.catalogue.rated { 1 } else { self.trained_items.max(1) };
        let line = |[w, b]: [Words; 2]| [w.of::<f32>()[0], b.of::<f32>()[0] - (others as f32).ln()];
        // Where others have a share, what comes next has the probability that training gives it.
        Odds { shared: self.mixes() && !self.catalogue.rated, output: output.map(line) }
    }

    /// Share of attention that each event of `history` gets from the last one (from what is asked for, where the model looks
    /// both ways), over all heads of the first attention. `None` where the model has none.
    pub fn explain(&self, history: &History) -> Result<Option<Vec<f32>>> {
        let newest = self.newest(std::slice::from_ref(history));
        let (n, older) = (newest[0].items.len(), history.items.len() - newest[0].items.len());
        let asked = self.asking(&newest);
        let asked = asked.first().map_or(newest[0], |a| a.history(history.user, history.request));
        let batch = Batch::new(&self.gpu, &self.config, &self.catalogue, &[asked]);
        let Some(weights) = self.attention_weights(&batch) else { return Ok(None) };
        let heads = self.config.heads;
        let weights = weights.to_vec::<f32>()?;
        let sum = |t: usize| (0..heads).map(|h| weights[h * batch.len + t]).sum::<f32>();
        // What is asked for looks at itself, too: that is no event.
        let all = (0..n).map(sum).sum::<f32>();
        let share = |t: usize| sum(t) / all.max(f32::MIN_POSITIVE);
        // Nor does it see events that are too old.
        Ok(Some(std::iter::repeat_n(0.0, older).chain((0..n).map(share)).collect()))
    }

    /// Scores, ids and odds in one read: each wait for a device costs as much as many kernels.
    fn read(&self, scores: &Tensor, ids: &Tensor) -> Result<(Vec<f32>, Vec<u32>, Odds)> {
        let Some(Linear { w, b: Some(b) }) = &self.output else {
            let [scores, ids] = Tensor::to_vecs([scores, ids])?;
            return Ok((scores.of(), ids.of(), self.odds_by(None)));
        };
        let [scores, ids, w, b] = Tensor::to_vecs([scores, ids, w, b])?;
        Ok((scores.of(), ids.of(), self.odds_by(Some([w, b]))))
    }

    /// The rank of each history's target among all items but the excluded, 1 for the best; ties count against it. 0 where
    /// the score of the target is not a number.
    pub fn ranks(&self, histories: &[History], targets: &[u32], exclude: &[Vec<u32>]) -> Result<Vec<u32>> {
        let (Forward { states, vectors, .. }, mixed) = self.last(histories)?;
        let apart = Exclusions::new(&self.gpu, &with_lifted(exclude, &mixed));
        let boost = |row: usize| mixed[row].find(targets[row]).map_or(0.0, |lifted| lifted.boost);
        let boosts: Vec<f32> = (0..targets.len()).map(boost).collect();
        let boosts = Tensor::from_slice(&self.gpu, &boosts, &[targets.len()]);
        let boosts = self.mixes().then_some(&boosts);
        let ids = Tensor::from_slice(&self.gpu, targets, &[targets.len()]);
        let bias = self.item_bias.as_ref();
        let ranks = ops::rank_of(&self.gpu, &states, self.scored(&vectors), bias, &ids, Some(&apart), 1, boosts);
        let mut ranks: Vec<u32> = ranks.to_vec()?;
        if self.mixes() {
            let pairs: Vec<(u32, u32)> = (0..).zip(targets.iter().copied()).collect();
            let scores = self.scores_of(&states, &vectors, &pairs)?;
            for (row, rank) in ranks.iter_mut().enumerate().filter(|(_, rank)| **rank > 0) {
                let to_beat = scores[row] + boost(row);
                let excluded: HashSet<u32> = exclude[row].iter().copied().collect();
                let others = mixed[row].items.iter().filter(|l| l.item != targets[row] && !excluded.contains(&l.item));
                *rank += others.filter(|l| l.score + l.boost >= to_beat).count() as u32;
            }
        }
        Ok(ranks)
    }
}

/// What is excluded or stands apart, for each history.
fn with_lifted(exclude: &[Vec<u32>], mixed: &[Mixed]) -> Vec<Vec<u32>> {
    let both = |(exclude, mixed): (&Vec<u32>, &Mixed)| {
        exclude.iter().copied().chain(mixed.items.iter().map(|l| l.item)).collect()
    };
    exclude.iter().zip(mixed).map(both).collect()
}
