//! Where a model ranks what really came next, among all items, on the device.

use super::{Case, Ranked, Seen, TOP};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::{History, Model};
use crate::train::{history, known_user, request_of};

/// Histories per forward pass.
const BATCH: usize = 128;

/// Ranks alone: what validation needs. 0 where a score is not a number.
pub fn validation_ranks(model: &Model, dataset: &Dataset, cases: &[Case], seen: Seen) -> Result<Vec<u32>> {
    Ok(unchecked(model, dataset, cases, seen, false, &mut |_| ())?.ranks)
}

/// Ranks, and the [`TOP`] best items of every case if `with_top`; `watch` is told how many cases are done.
///
/// # Errors
/// When the model's scores are not numbers, beside what the device may do.
pub fn rank(
    model: &Model,
    dataset: &Dataset,
    cases: &[Case],
    seen: Seen,
    with_top: bool,
    watch: &mut dyn FnMut(usize),
) -> Result<Ranked> {
    let ranked = unchecked(model, dataset, cases, seen, with_top, watch)?;
    match ranked.ranks.contains(&0) {
        true => Err(Error::Gpu("the model's scores are not finite: train it again with a lower lr".into())),
        false => Ok(ranked),
    }
}

fn unchecked(
    model: &Model,
    dataset: &Dataset,
    cases: &[Case],
    seen: Seen,
    with_top: bool,
    watch: &mut dyn FnMut(usize),
) -> Result<Ranked> {
    let len = model.config().len;
    let mut order: Vec<usize> = (0..cases.len()).collect();
    order.sort_by_key(|i| cases[*i].history.len().min(len)); // rows of like length: little padding
    let mut ranked = Ranked { ranks: vec![0; cases.len()], top: vec![Vec::new(); cases.len()] };
    for (done, chunk) in order.chunks(BATCH).enumerate() {
        let of = |i: &usize| {
            let case = &cases[*i];
            history(dataset, known_user(dataset, case.user), case.history.clone(), request_of(dataset, case.target))
        };
        let histories: Vec<History> = chunk.iter().map(of).collect();
        let targets: Vec<u32> = chunk.iter().map(|i| dataset.item[cases[*i].target]).collect();
        let exclude: Vec<Vec<u32>> = histories.iter().map(|h| excluded(h, seen)).collect();
        for (i, rank) in chunk.iter().zip(model.ranks(&histories, &targets, &exclude)?) {
            ranked.ranks[*i] = rank;
        }
        if with_top {
            for (i, list) in chunk.iter().zip(model.recommend(&histories, &exclude, TOP)?) {
                ranked.top[*i] = list.iter().map(|r| r.item).collect();
            }
        }
        watch(cases.len().min((done + 1) * BATCH));
    }
    Ok(ranked)
}

/// Items that may not be recommended: those of the history where seen ones are filtered.
fn excluded(history: &History, seen: Seen) -> Vec<u32> {
    if seen == Seen::Keep {
        return Vec::new();
    }
    let mut items = history.items.to_vec();
    items.sort_unstable();
    items.dedup();
    items
}
