//! Hit rate, NDCG, reciprocal rank, coverage and popularity of rankings, with intervals and a paired test.

use super::Ranked;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::fmt;

pub const CUTOFFS: [u32; 5] = [1, 5, 10, 20, 50];
/// Bootstrap resamples of an interval.
pub const RESAMPLES: usize = 1000;
/// Random sign flips of the paired test; the smallest p that it can give is 1 / (FLIPS + 1).
pub const FLIPS: usize = 9999;
/// How many of the recommended items coverage and popularity look at.
const SHOWN: usize = 10;

/// What one case is worth by the rank of its one target. With one target, recall is the hit rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// 1 within the first `k`, else 0.
    Hr(u32),
    /// `1 / log2(rank + 1)` within the first `k`, else 0.
    Ndcg(u32),
    /// `1 / rank` within the first `k`, else 0.
    Mrr(u32),
    /// `1 / rank`, however far down.
    MrrAll,
}

impl Measure {
    pub fn all() -> Vec<Measure> {
        let at = |k| [Measure::Hr(k), Measure::Ndcg(k), Measure::Mrr(k)];
        CUTOFFS.into_iter().flat_map(at).chain([Measure::MrrAll]).collect()
    }

    pub fn of(self, rank: u32) -> f64 {
        debug_assert!(rank >= 1, "ranks count from 1");
        let rank_f = rank as f64;
        match self {
            Measure::Hr(k) if rank <= k => 1.0,
            Measure::Ndcg(k) if rank <= k => 1.0 / (rank_f + 1.0).log2(),
            Measure::Mrr(k) if rank <= k => 1.0 / rank_f,
            Measure::MrrAll => 1.0 / rank_f,
            _ => 0.0,
        }
    }

    /// The mean over all cases.
    pub fn mean(self, ranks: &[u32]) -> f64 {
        ranks.iter().map(|&rank| self.of(rank)).sum::<f64>() / ranks.len() as f64
    }
}

/// As in the JSON: `hr@10`, `mrr`.
impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Measure::Hr(k) => write!(f, "hr@{k}"),
            Measure::Ndcg(k) => write!(f, "ndcg@{k}"),
            Measure::Mrr(k) => write!(f, "mrr@{k}"),
            Measure::MrrAll => write!(f, "mrr"),
        }
    }
}

/// The metrics of one ranking. Without a single case there are no values, and none are made up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    pub cases: usize,
    /// By key: `hr@k`, `recall@k` (the same), `ndcg@k`, `mrr@k`, `mrr`; `coverage@10` is the share of the catalogue that
    /// is in anybody's first ten; `popularity@10` the mean share of all training events that a recommended item has;
    /// `popularity_percentile@10` the mean share of the catalogue that is less popular (equally popular items count half).
    #[serde(flatten)]
    pub values: BTreeMap<String, f64>,
    /// 95 % percentile bootstrap intervals over cases, for the values that are means over cases of a function of the rank.
    pub ci95: BTreeMap<String, [f64; 2]>,
}

impl Metrics {
    /// `counts` is [`super::training_counts`]. `seed` chooses the bootstrap resamples and nothing else.
    pub fn of(ranked: &Ranked, counts: &[u32], seed: u64) -> Metrics {
        let mut metrics = Metrics::of_ranks(&ranked.ranks, seed);
        if metrics.cases == 0 {
            return metrics;
        }
        let shown = || ranked.top.iter().flat_map(|top| &top[..top.len().min(SHOWN)]).map(|&item| item as usize - 1);
        let n_shown = shown().count().max(1) as f64;
        let distinct: HashSet<usize> = shown().collect();
        let events = counts.iter().map(|&c| c as f64).sum::<f64>().max(1.0);
        let percentile = percentiles(counts);
        let mut put = |name: &str, value: f64| metrics.values.insert(format!("{name}@{SHOWN}"), value);
        put("coverage", distinct.len() as f64 / counts.len() as f64);
        put("popularity", shown().map(|i| counts[i] as f64 / events).sum::<f64>() / n_shown);
        put("popularity_percentile", shown().map(|i| percentile[i]).sum::<f64>() / n_shown);
        metrics
    }

    /// Only what follows from the ranks.
    pub fn of_ranks(ranks: &[u32], seed: u64) -> Metrics {
        let mut metrics = Metrics { cases: ranks.len(), ..Metrics::default() };
        if ranks.is_empty() {
            return metrics;
        }
        let measures = Measure::all();
        for (&measure, ci) in measures.iter().zip(intervals(&measures, ranks, seed)) {
            let mut put = |key: String| {
                metrics.values.insert(key.clone(), measure.mean(ranks));
                metrics.ci95.insert(key, ci);
            };
            put(measure.to_string());
            if let Measure::Hr(k) = measure {
                put(format!("recall@{k}"));
            }
        }
        metrics
    }

    /// The value of a key such as `hr@10`; `None` for an unknown key, or where there are no cases.
    pub fn get(&self, key: &str) -> Option<f64> {
        self.values.get(key).copied()
    }
}

/// A table for people.
impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cases == 0 {
            return write!(f, "no cases");
        }
        write!(f, "{:<14}", format!("{} cases", self.cases))?;
        CUTOFFS.iter().try_for_each(|k| write!(f, "{:>9}", format!("@{k}")))?;
        writeln!(f)?;
        for (title, name) in [("HR = recall", "hr"), ("NDCG", "ndcg"), ("MRR", "mrr")] {
            write!(f, "{title:<14}")?;
            for k in CUTOFFS {
                write!(f, "{:>9.4}", self.get(&format!("{name}@{k}")).unwrap_or(f64::NAN))?;
            }
            writeln!(f)?;
            write!(f, "{:<14}", "  95 % ±")?;
            for k in CUTOFFS {
                let [lo, hi] = self.ci95.get(&format!("{name}@{k}")).copied().unwrap_or([f64::NAN; 2]);
                write!(f, "{:>9.4}", (hi - lo) / 2.0)?;
            }
            writeln!(f)?;
        }
        write!(f, "MRR over all ranks {:.4}", self.get("mrr").unwrap_or(f64::NAN))?;
        if let (Some(coverage), Some(share), Some(percentile)) =
            (self.get("coverage@10"), self.get("popularity@10"), self.get("popularity_percentile@10"))
        {
            write!(
                f,
                "; the first ten: {:.1} % of the catalogue, each {:.3} % of all events",
                100.0 * coverage,
                100.0 * share
            )?;
            write!(f, " (more popular than {:.0} % of items)", 100.0 * percentile)?;
        }
        Ok(())
    }
}

/// Model `a` minus model `b` on the same cases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    pub difference: f64,
    /// Percentile bootstrap of the mean difference, cases drawn in pairs.
    pub ci95: [f64; 2],
    /// Two-sided, from random sign flips of the differences (Smucker, Allan & Carterette 2007).
    pub p: f64,
}

/// Compares two rankings of the same cases.
///
/// # Panics
/// If the lengths differ or there are no cases.
pub fn paired(measure: Measure, a: &[u32], b: &[u32], seed: u64) -> Paired {
    assert_eq!(a.len(), b.len(), "paired: both rankings must be of the same cases");
    assert!(!a.is_empty(), "paired: no cases");
    let values = |ranks: &[u32]| -> Vec<f64> { ranks.iter().map(|&rank| measure.of(rank)).collect() };
    paired_values(&values(a), &values(b), seed)
}

/// The same on what each case is worth: its mean over several seeds, say.
///
/// # Panics
/// If the lengths differ or there are no cases.
pub fn paired_values(a: &[f64], b: &[f64], seed: u64) -> Paired {
    assert_eq!(a.len(), b.len(), "paired_values: both must be of the same cases");
    assert!(!a.is_empty(), "paired_values: no cases");
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let ci95 = percentile_interval(resampled_means(&differences, &mut rng));
    // Cases without a difference stay as they are under any flip.
    let unequal: Vec<f64> = differences.iter().copied().filter(|&d| d != 0.0).collect();
    let observed = unequal.iter().sum::<f64>().abs();
    let as_far = (0..FLIPS).filter(|_| flipped_sum(&unequal, &mut rng).abs() >= observed - 1e-9).count();
    Paired {
        difference: differences.iter().sum::<f64>() / differences.len() as f64,
        ci95,
        p: (as_far + 1) as f64 / (FLIPS + 1) as f64,
    }
}

/// 95 % percentile bootstrap interval of the mean of `values`.
///
/// # Panics
/// If there are none.
pub fn bootstrap(values: &[f64], seed: u64) -> [f64; 2] {
    assert!(!values.is_empty(), "bootstrap: no values");
    percentile_interval(resampled_means(values, &mut ChaCha8Rng::seed_from_u64(seed)))
}

fn resampled_means(values: &[f64], rng: &mut ChaCha8Rng) -> Vec<f64> {
    let n = values.len();
    let mut mean = || (0..n).map(|_| values[rng.random_range(0..n as u32) as usize]).sum::<f64>() / n as f64;
    (0..RESAMPLES).map(|_| mean()).collect()
}

fn flipped_sum(values: &[f64], rng: &mut ChaCha8Rng) -> f64 {
    let sum_of = |chunk: &[f64], bits: u64| -> f64 {
        chunk.iter().enumerate().map(|(i, v)| if bits >> i & 1 == 1 { *v } else { -*v }).sum()
    };
    values.chunks(64).map(|chunk| sum_of(chunk, rng.next_u64())).sum()
}

/// One interval for each measure, all from the same resamples.
fn intervals(measures: &[Measure], ranks: &[u32], seed: u64) -> Vec<[f64; 2]> {
    // Ranks beyond the last cutoff differ for no measure but the reciprocal rank, which is summed on its own.
    let last = CUTOFFS[CUTOFFS.len() - 1] as usize;
    let worth: Vec<Vec<f64>> =
        measures.iter().map(|m| (1..=last + 1).map(|rank| m.of(rank as u32)).collect()).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut means = vec![Vec::with_capacity(RESAMPLES); measures.len()];
    let n = ranks.len();
    for _ in 0..RESAMPLES {
        let mut histogram = vec![0u32; last + 1];
        let mut reciprocal = 0.0;
        for _ in 0..n {
            let rank = ranks[rng.random_range(0..n as u32) as usize];
            histogram[(rank as usize - 1).min(last)] += 1;
            reciprocal += 1.0 / rank as f64;
        }
        for (measure, (worth, means)) in measures.iter().zip(worth.iter().zip(&mut means)) {
            let sum = match measure {
                Measure::MrrAll => reciprocal,
                _ => histogram.iter().zip(worth).map(|(&count, worth)| count as f64 * worth).sum(),
            };
            means.push(sum / n as f64);
        }
    }
    means.into_iter().map(percentile_interval).collect()
}

/// The 2.5 % and 97.5 % percentiles.
fn percentile_interval(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_unstable_by(f64::total_cmp);
    let at = |q: f64| values[((values.len() - 1) as f64 * q).round() as usize];
    [at(0.025), at(0.975)]
}

/// For each item the share of the catalogue that has fewer events, equals counting half.
fn percentiles(counts: &[u32]) -> Vec<f64> {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let share = |count: u32| {
        let below = sorted.partition_point(|&c| c < count);
        let not_above = sorted.partition_point(|&c| c <= count);
        (below + not_above) as f64 / 2.0 / counts.len() as f64
    };
    counts.iter().map(|&count| share(count)).collect()
}
