//! Where a model ranks what really came next, among all items, on the device.

use super::{Case, Seen};
use crate::data::Dataset;
use crate::error::Result;
use crate::model::{History, Model};
use crate::train::{history, request_of};

/// Histories per forward pass.
const BATCH: usize = 128;

/// Rank of each case's target (1 is best, ties count against it) and the items recommended, best first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ranked {
    pub ranks: Vec<u32>,
    pub top: Vec<Vec<u32>>,
}

/// Ranks alone: what validation needs.
pub fn validation_ranks(model: &Model, dataset: &Dataset, cases: &[Case], seen: Seen) -> Result<Vec<u32>> {
    Ok(rank(model, dataset, cases, seen, 0, &mut |_| ())?.ranks)
}

/// Ranks and the `k` best items of every case; `watch` is told how many cases are done.
pub fn rank(
    model: &Model,
    dataset: &Dataset,
    cases: &[Case],
    seen: Seen,
    k: usize,
    watch: &mut dyn FnMut(usize),
) -> Result<Ranked> {
    let len = model.config().len;
    let mut order: Vec<usize> = (0..cases.len()).collect();
    order.sort_by_key(|i| cases[*i].history.len().min(len)); // rows of like length: little padding
    let mut ranked = Ranked { ranks: vec![0; cases.len()], top: vec![Vec::new(); if k > 0 { cases.len() } else { 0 }] };
    for (done, chunk) in order.chunks(BATCH).enumerate() {
        let of = |i: &usize| {
            let case = &cases[*i];
            history(dataset, case.user, case.history.clone(), request_of(dataset, case.target))
        };
        let histories: Vec<History> = chunk.iter().map(of).collect();
        let targets: Vec<u32> = chunk.iter().map(|i| dataset.item[cases[*i].target]).collect();
        let exclude: Vec<Vec<u32>> = histories.iter().map(|h| excluded(h, seen)).collect();
        for (i, rank) in chunk.iter().zip(model.ranks(&histories, &targets, &exclude)?) {
            ranked.ranks[*i] = rank;
        }
        if k > 0 {
            for (i, list) in chunk.iter().zip(model.recommend(&histories, &exclude, k)?) {
                ranked.top[*i] = list.iter().map(|r| r.item).collect();
            }
        }
        watch((done + 1) * BATCH);
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
