//! What one step trains on: rows of events, which of them are asked for, and how that is judged.

use super::augment::Events;
use super::{Drawing, Positions, Stretch, TrainOptions, request_of};
use crate::data::Dataset;
use crate::gpu::Gpu;
use crate::model::{Batch, Columns, History, Model, OutputTask, Targets};
use crate::ops::{IGNORE, Ids, Masked};
use crate::tensor::Tensor;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// How rows are made and their targets judged.
#[derive(Debug, Clone, Default)]
pub struct Judging {
    /// From which rating on an event counts as liked.
    pub like: Option<f32>,
    /// What a user had before is no class, however long ago it was.
    pub mask_seen: bool,
    /// How items are drawn, for a loss over some of them.
    pub drawing: Option<Drawing>,
    /// How rows are changed and which positions are targets.
    pub options: TrainOptions,
}

/// Random numbers of one step for one purpose, so that no setting changes what another draws.
fn random(purpose: u64, (seed, step): (u64, u64)) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ purpose);
    rng.set_stream(step);
    rng
}

const USERS_AND_ITEMS: u64 = 0xB5AD_4ECE_DA1C_E2A9;
const NEGATIVES: u64 = 0x9E6C_63D0_876A_3F6B;
const CHANGES: u64 = 0xD1B5_4A32_D192_ED03;
const HIDDEN: u64 = 0x2545_F491_4F6C_DD1D;

/// A row of a batch.
struct Row {
    user: u32,
    /// Events that the user had before those of the row.
    before: Range<usize>,
    events: Events,
    /// Positions, and the event that is asked for at each.
    targets: Vec<(usize, usize)>,
}

/// A training batch on the device. Determined by `seed` and `step`.
pub fn training_batch(
    model: &Model,
    dataset: &Dataset,
    rows: &[&Stretch],
    judging: &Judging,
    key: (u64, u64),
) -> (Batch, Targets) {
    let (gpu, config) = (model.gpu(), model.config());
    let mut rng = random(USERS_AND_ITEMS, key);
    let users: Vec<u32> =
        rows.iter().map(|s| if rng.random::<f32>() < config.user_dropout { 0 } else { s.user }).collect();
    let (mut changes, mut hidden) = (random(CHANGES, key), random(HIDDEN, key));
    let make = |(stretch, user): (&&Stretch, &u32)| {
        let events = changed(dataset, stretch, &judging.options, &mut changes);
        let row = Row { user: *user, before: before(dataset, stretch, &events), events, targets: Vec::new() };
        match config.bidirectional {
            true => hide(row, config.len, &judging.options, &mut hidden),
            false => ask_ahead(row, judging.options.targets),
        }
    };
    let rows: Vec<Row> = rows.iter().zip(&users).map(make).collect();
    let columns: Vec<Columns> = rows.iter().map(|r| columns(dataset, r, model)).collect();
    let asked = |row: &Row| request_of(dataset, row.events.ids[row.events.ids.len() - 1]);
    let histories: Vec<History> = rows.iter().zip(&columns).map(|(r, c)| c.history(r.user, asked(r))).collect();
    let batch = Batch::new(gpu, config, model.catalogue(), &histories);
    let targets = targets(gpu, dataset, &rows, judging, &batch, (rng, random(NEGATIVES, key)));
    (batch, targets)
}

/// The events of a stretch as they are, or changed by chance.
fn changed(dataset: &Dataset, stretch: &Stretch, options: &TrainOptions, rng: &mut ChaCha8Rng) -> Events {
    let range = stretch.range.clone();
    let hidden = vec![false; range.len()];
    let mut events = Events { times: dataset.time[range.clone()].to_vec(), ids: range.collect(), hidden };
    let ways = &options.augment.0;
    if !ways.is_empty() && rng.random::<f32>() < options.augment_share {
        let how = ways[rng.random_range(0..ways.len())];
        events.change(how, options.augment_events, rng);
    }
    events
}

/// What the user had before the first of `events`.
fn before(dataset: &Dataset, stretch: &Stretch, events: &Events) -> Range<usize> {
    let first = events.ids.iter().min().copied().unwrap_or(stretch.range.start);
    dataset.events_of(stretch.user as usize).start..first
}

/// All but the last event are read, and at each it is asked what comes next.
fn ask_ahead(mut row: Row, positions: Positions) -> Row {
    let last = row.events.ids.len() - 1;
    let from = if positions == Positions::Last { last - 1 } else { 0 };
    row.targets = (from..last).map(|t| (t, row.events.ids[t + 1])).collect();
    row
}

/// The newest events are read, some of them hidden, and it is asked what those were: as in Sun et al. 2019,
/// <https://arxiv.org/abs/1904.06690>, sometimes the last one alone, as when the model is used.
fn hide(mut row: Row, len: usize, options: &TrainOptions, rng: &mut ChaCha8Rng) -> Row {
    let cut = row.events.ids.len().saturating_sub(len);
    row.before.end = row.events.ids[cut..].iter().min().copied().unwrap_or(row.before.end);
    let Events { ids, times, hidden } = &mut row.events;
    ids.drain(..cut);
    times.drain(..cut);
    hidden.drain(..cut);
    let n = ids.len();
    let last_alone = rng.random::<f32>() < options.mask_last;
    let mut chosen: Vec<usize> = (0..n).filter(|_| rng.random::<f32>() < options.mask_share && !last_alone).collect();
    // Something is asked for, and something is left to read.
    if chosen.is_empty() || chosen.len() == n {
        chosen = vec![n - 1];
    }
    row.targets = chosen.iter().map(|t| (*t, ids[*t])).collect();
    chosen.iter().for_each(|t| hidden[*t] = true);
    row
}

/// What the model reads of a row.
fn columns(dataset: &Dataset, row: &Row, model: &Model) -> Columns {
    let config = model.config();
    let n = row.events.ids.len() - usize::from(!config.bidirectional);
    let ids = &row.events.ids[..n];
    let mut columns = Columns {
        items: ids.iter().map(|e| dataset.item[*e]).collect(),
        times: row.events.times[..n].to_vec(),
        places: dataset.place.as_ref().map(|p| ids.iter().map(|e| p[*e]).collect()),
        ratings: dataset.rating.as_ref().map(|r| ids.iter().map(|e| r[*e]).collect()),
    };
    for t in (0..n).filter(|t| row.events.hidden[*t]) {
        columns.hide(t);
        // When an event will be is known where the time of a request is.
        if config.bidirectional && !config.request_time && t > 0 {
            columns.times[t] = columns.times[t - 1];
        }
    }
    columns
}

fn targets(
    gpu: &Gpu,
    dataset: &Dataset,
    rows: &[Row],
    judging: &Judging,
    batch: &Batch,
    (mut rng, mut drawn): (ChaCha8Rng, ChaCha8Rng),
) -> Targets {
    let all = || rows.iter().enumerate().flat_map(|(r, row)| row.targets.iter().map(move |(t, event)| (r, *t, *event)));
    let begins = batch.begins();
    let at: Vec<u32> = all().map(|(r, t, _)| begins[r] + t as u32).collect();
    let items: Vec<u32> = all().map(|(_, _, event)| dataset.item[event]).collect();
    let mut next = vec![IGNORE; batch.events()];
    at.iter().zip(&items).for_each(|(at, target)| next[*at as usize] = *target);
    let (n, n_items) = (items.len(), dataset.n_items());
    let ids = |values: &[u32], rows: usize| Ids::new(gpu, values, &[n], rows);
    let output = match judging.like.zip(dataset.rating.as_ref()) {
        None => {
            let random: Vec<u32> = (0..n).map(|_| rng.random_range(1..=n_items as u32)).collect();
            OutputTask::Next { random: ids(&random, n_items + 1) }
        }
        Some((like, ratings)) => {
            let rating = all().map(|(_, _, event)| ratings[event]);
            let rated = (0..).zip(&items).zip(rating).filter(|(_, rating)| rating.is_finite());
            let rated: Vec<_> = rated.map(|((row, item), rating)| (row, *item, rating >= like)).collect();
            liked(gpu, &rated, [n, n_items + 1])
        }
    };
    Targets {
        at: ids(&at, batch.events()),
        items: ids(&items, n_items + 1),
        next: Tensor::from_slice(gpu, &next, &[batch.events()]),
        output,
        masked: judging.mask_seen.then(|| seen(gpu, dataset, rows)),
        drawn: judging.drawing.as_ref().map(|drawing| drawing.draw(gpu, n, &mut drawn)),
    }
}

/// `rated`: each target that has a rating, by its row, its item, and whether it was liked; of `[targets, items + 1]`.
fn liked(gpu: &Gpu, rated: &[(u32, u32, bool)], [targets, items]: [usize; 2]) -> OutputTask {
    if rated.is_empty() {
        return OutputTask::Nothing;
    }
    let ids = |of: fn(&(u32, u32, bool)) -> u32, rows: usize| {
        Ids::new(gpu, &rated.iter().map(of).collect::<Vec<_>>(), &[rated.len()], rows)
    };
    let labels: Vec<f32> = rated.iter().map(|r| f32::from(r.2)).collect();
    OutputTask::Liked {
        of: ids(|r| r.0, targets),
        items: ids(|r| r.1, items),
        liked: Tensor::from_slice(gpu, &labels, &[rated.len()]),
    }
}

/// For each target of `rows`, in order, the items that its user had: before it, or around it where some are hidden.
fn seen(gpu: &Gpu, dataset: &Dataset, rows: &[Row]) -> Masked {
    let (mut items, mut spans) = (Vec::new(), Vec::new());
    for row in rows {
        let base = items.len() as u32;
        items.extend_from_slice(&dataset.item[row.before.clone()]);
        let of_row = items.len() as u32;
        items.extend(row.events.ids.iter().map(|e| dataset.item[*e]));
        // A target that follows its position comes next there; one that was hidden stands there itself.
        let had = |(t, event): &(usize, usize)| match row.events.ids[*t] == *event {
            true => items.len() as u32,
            false => of_row + *t as u32 + 1,
        };
        spans.extend(row.targets.iter().map(|target| [base, had(target)]));
    }
    Masked::new(gpu, &items, &spans)
}
