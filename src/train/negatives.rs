//! Items drawn to stand for the whole catalogue.

use super::{Loss, TrainOptions};
use crate::data::Dataset;
use crate::eval::training_counts;
use crate::gpu::Gpu;
use crate::model::{Drawn, Objective};
use crate::ops::Negatives;
use crate::tensor::Tensor;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// How negatives are drawn, and what they are compared by.
#[derive(Debug, Clone)]
pub struct Drawing {
    options: TrainOptions,
    n_items: usize,
    /// `[n_items]`: sums of the shares of items up to each; none where all have the same.
    cumulative: Option<Vec<f64>>,
    log_q: Option<Tensor>,
}

impl Drawing {
    /// For a loss that draws; `None` for the full one.
    pub fn new(gpu: &Gpu, dataset: &Dataset, options: &TrainOptions) -> Option<Drawing> {
        if options.loss == Loss::Full {
            return None;
        }
        let n_items = dataset.n_items();
        let weight = |popularity: f64| popularity.powf(f64::from(options.negatives_power));
        let weights: Vec<f64> = popularity(dataset).map(weight).collect();
        let total: f64 = weights.iter().sum();
        let cumulative = (options.negatives_power > 0.0).then(|| {
            let mut sum = 0.0;
            weights
                .iter()
                .map(|w| {
                    sum += w / total;
                    sum
                })
                .collect()
        });
        let log_q = (options.loss == Loss::SampledSoftmax && options.log_q).then(|| {
            let expected = |w: &f64| -(options.negatives as f64 * w / total).ln() as f32;
            let values: Vec<f32> = std::iter::once(0.0).chain(weights.iter().map(expected)).collect();
            Tensor::from_slice(gpu, &values, &[n_items + 1])
        });
        Some(Drawing { options: options.clone(), n_items, cumulative, log_q })
    }

    /// For `rows` targets.
    pub(super) fn draw(&self, gpu: &Gpu, rows: usize, rng: &mut ChaCha8Rng) -> Drawn {
        let Drawing { options, n_items, .. } = self;
        let n = options.negatives * if options.negatives_shared { 1 } else { rows };
        let ids: Vec<u32> = (0..n).map(|_| self.one(rng)).collect();
        let negatives = match options.negatives_shared {
            true => Negatives::shared(gpu, &ids, n_items + 1),
            false => Negatives::per_row(gpu, &ids, rows, n_items + 1),
        };
        let objective = match options.loss {
            Loss::Gbce => Objective::Gbce { beta: negatives.beta(options.gbce_t, *n_items) },
            Loss::Bpr => Objective::Bpr,
            Loss::SampledSoftmax | Loss::Full => {
                Objective::SampledSoftmax { temperature: options.temperature, log_q: self.log_q.clone() }
            }
        };
        Drawn { negatives, objective }
    }

    fn one(&self, rng: &mut ChaCha8Rng) -> u32 {
        let Some(cumulative) = &self.cumulative else { return rng.random_range(1..=self.n_items as u32) };
        let at: f64 = rng.random();
        // The last sum may be a little less than one.
        1 + cumulative.partition_point(|sum| *sum <= at).min(self.n_items - 1) as u32
    }
}

/// Training events of each item, and one more, so that what has no event yet is drawn, too, and has a logarithm.
pub(super) fn popularity(dataset: &Dataset) -> impl Iterator<Item = f64> {
    training_counts(dataset).into_iter().map(|n| f64::from(n) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn items_are_drawn_as_often_as_they_should() {
        let drawing = |cumulative: Option<Vec<f64>>| Drawing {
            options: TrainOptions::default(),
            n_items: 3,
            cumulative,
            log_q: None,
        };
        for (cumulative, shares) in [
            (None, [1.0 / 3.0; 3]),
            (Some(vec![0.5, 0.6, 0.999_999]), [0.5, 0.1, 0.4]),
            (Some(vec![0.0, 0.0, 1.0]), [0.0, 0.0, 1.0]),
        ] {
            let (drawing, mut rng) = (drawing(cumulative), ChaCha8Rng::seed_from_u64(3));
            let mut counts = [0.0; 3];
            (0..20_000).for_each(|_| counts[drawing.one(&mut rng) as usize - 1] += 1.0 / 20_000.0);
            assert!(counts.iter().zip(shares).all(|(a, b): (&f64, f64)| (a - b).abs() < 0.015), "{counts:?}");
        }
    }
}
