//! Where a model ranks what really came next, among all items, on the device.

use super::{Case, Ranked, Seen, TOP, cold};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::{History, Model};
use crate::train::{history, known_user, request_of};
use std::ops::Range;

/// Histories per forward pass.
pub(super) const BATCH: usize = 128;

/// What the model is told of a case: whose history it is, and the events of it.
type Told = (u32, Range<usize>);

/// `case` as the model is asked about it, told so much.
fn asked<'a>(dataset: &'a Dataset, case: &Case, (user, events): Told) -> History<'a> {
    history(dataset, user, events, request_of(dataset, case.target))
}

/// `case` as the model is asked about it, told all that is known.
pub(super) fn asked_whole<'a>(dataset: &'a Dataset, case: &Case) -> History<'a> {
    asked(dataset, case, whole(dataset, case))
}

/// All that is known.
fn whole(dataset: &Dataset, case: &Case) -> Told {
    (known_user(dataset, case.user), case.history.clone())
}

/// Ranks alone: what validation needs. 0 where a score is not a number.
pub fn validation_ranks(model: &Model, dataset: &Dataset, cases: &[Case], seen: Seen) -> Result<Vec<u32>> {
    Ok(unchecked(model, dataset, cases, &|case| whole(dataset, case), seen, false, &mut |_| ())?.ranks)
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
    finite(unchecked(model, dataset, cases, &|case| whole(dataset, case), seen, with_top, watch)?)
}

/// Ranks where the model is told the newest `events` of each history alone, and nothing of whose they are. Whether an item
/// was seen before is still asked of the whole history, so that the candidates are those of [`rank`].
///
/// # Errors
/// As [`rank`].
pub fn ranks_as_new(
    model: &Model,
    dataset: &Dataset,
    cases: &[Case],
    events: usize,
    seen: Seen,
    watch: &mut dyn FnMut(usize),
) -> Result<Vec<u32>> {
    let told = |case: &Case| (0, cold::newest(case, events));
    Ok(finite(unchecked(model, dataset, cases, &told, seen, false, watch)?)?.ranks)
}

fn finite(ranked: Ranked) -> Result<Ranked> {
    match ranked.ranks.contains(&0) {
        true => Err(Error::Gpu("the model's scores are not finite: train it again with a lower lr".into())),
        false => Ok(ranked),
    }
}

fn unchecked(
    model: &Model,
    dataset: &Dataset,
    cases: &[Case],
    told: &dyn Fn(&Case) -> Told,
    seen: Seen,
    with_top: bool,
    watch: &mut dyn FnMut(usize),
) -> Result<Ranked> {
    let len = model.config().len;
    let mut order: Vec<usize> = (0..cases.len()).collect();
    order.sort_by_key(|i| told(&cases[*i]).1.len().min(len)); // rows of like length, so that none waits for a longer one
    let mut ranked = Ranked { ranks: vec![0; cases.len()], top: vec![Vec::new(); cases.len()] };
    for (done, chunk) in order.chunks(BATCH).enumerate() {
        let of = |i: &usize| asked(dataset, &cases[*i], told(&cases[*i]));
        let histories: Vec<History> = chunk.iter().map(of).collect();
        let targets: Vec<u32> = chunk.iter().map(|i| dataset.item[cases[*i].target]).collect();
        let exclude: Vec<Vec<u32>> = chunk.iter().map(|i| excluded(dataset, &cases[*i], seen)).collect();
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
fn excluded(dataset: &Dataset, case: &Case, seen: Seen) -> Vec<u32> {
    if seen == Seen::Keep {
        return Vec::new();
    }
    let mut items = dataset.item[case.history.clone()].to_vec();
    items.sort_unstable();
    items.dedup();
    items
}
