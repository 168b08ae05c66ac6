//! From files to a [`Dataset`]: order in time, duplicates, ratings, k-core, dense ids.

use super::Dataset;
use super::items;
use super::log::Log;
use super::options::PrepareOptions;
use super::read::read;
use super::report::{KCore, Missing, PrepareReport};
use super::split::leave_one_out;
use crate::error::{Error, Result};
use std::collections::HashSet;
use std::path::Path;

/// Reads the files and makes one dataset of them, with an account of everything that was changed.
///
/// Users, items and categories are numbered in the order of their names (numbers by value), so that the order of the
/// lines decides nothing but ties in time.
///
/// # Errors
/// When a file is wrong, with `path:line`; when fewer than two users or items are left.
pub fn prepare(options: &PrepareOptions) -> Result<(Dataset, PrepareReport)> {
    let mut report = PrepareReport::default();
    let log = read(options, &mut report)?;
    let source = options.files.first().map(|p| p.as_path()).unwrap_or(Path::new(""));
    let least = if options.few { 1 } else { 2 };
    enough(source, [log.users.len(), log.items.len()], least, "in the log", "a recommender needs two at least")?;
    report.tie_rule = "events at the same time keep the order of the file (stable sort)".into();
    let mut order = by_user_and_time(&log);
    duplicates(&log, &mut order, options.dedup, &mut report);
    if let Some(least) = options.min_rating {
        low_ratings(&log, &mut order, least, source, &mut report)?;
    }
    report.k_core = k_core(&log, &mut order, options.min_user, options.min_item);
    let users = left(log.users.len(), order.iter().map(|e| log.user[*e as usize]));
    let items = left(log.items.len(), order.iter().map(|e| log.item[*e as usize]));
    let mend = "lower --min-user, --min-item or --min-rating";
    enough(source, [users.len(), items.len()], least, "left by the filters", mend)?;
    let dataset = build(log, order, &users, &items, &mut report);
    summarise(&dataset, &mut report);
    Ok((dataset, report))
}

fn enough(path: &Path, [users, items]: [usize; 2], least: usize, place: &str, mend: &str) -> Result<()> {
    for (count, what) in [(users, "user"), (items, "item")] {
        match count {
            0 => return Err(Error::data(path, 0, format!("no {what} is {place}; {mend}"))),
            1 if least > 1 => return Err(Error::data(path, 0, format!("only one {what} is {place}; {mend}"))),
            _ => {}
        }
    }
    Ok(())
}

/// Indices of the events, grouped by user, ordered by time; equal times stay in file order.
fn by_user_and_time(log: &Log) -> Vec<u32> {
    let mut starts = vec![0usize; log.users.len() + 1];
    for user in &log.user {
        starts[*user as usize + 1] += 1;
    }
    for user in 1..starts.len() {
        starts[user] += starts[user - 1];
    }
    let mut order = vec![0u32; log.user.len()];
    let mut next = starts.clone();
    for (event, user) in log.user.iter().enumerate() {
        let at = &mut next[*user as usize];
        order[*at] = event as u32;
        *at += 1;
    }
    for range in starts.windows(2) {
        order[range[0]..range[1]].sort_by(|a, b| log.time[*a as usize].total_cmp(&log.time[*b as usize]));
    }
    order
}

/// Counts events that repeat user, item, time, rating and place of an earlier one; drops them if `dedup`.
fn duplicates(log: &Log, order: &mut Vec<u32>, dedup: bool, report: &mut PrepareReport) {
    let key = |event: usize| {
        let rating = log.rating.get(event).map(|r| r.to_bits());
        let place = log.place.get(event).map(|p| p.map(f32::to_bits));
        (log.item[event], rating, place)
    };
    let (mut seen, mut last) = (HashSet::new(), None);
    let repeats = |event: &u32| {
        let event = *event as usize;
        let moment = Some((log.user[event], log.time[event].to_bits()));
        if moment != last {
            seen.clear();
            last = moment;
        }
        !seen.insert(key(event))
    };
    let before = order.len();
    if dedup {
        let mut repeats = repeats;
        order.retain(|event| !repeats(event));
        report.duplicates = (before - order.len()) as u64;
        report.duplicates_dropped = report.duplicates;
    } else {
        let mut repeats = repeats;
        report.duplicates = order.iter().filter(|event| repeats(event)).count() as u64;
    }
}

fn low_ratings(log: &Log, order: &mut Vec<u32>, least: f32, path: &Path, report: &mut PrepareReport) -> Result<()> {
    if log.rating.is_empty() {
        return Err(Error::data(
            path,
            1,
            "--min-rating needs ratings, and there is no such column; see --rating-column",
        ));
    }
    let before = order.len();
    // An event without a rating stays: NaN is not below.
    order.retain(|event| !log.rating.get(*event as usize).is_some_and(|r| *r < least));
    report.below_min_rating = (before - order.len()) as u64;
    Ok(())
}

/// Leaves out users and items with too few events until all that is left has enough.
fn k_core(log: &Log, order: &mut Vec<u32>, min_user: usize, min_item: usize) -> KCore {
    let before = order.len() as u64;
    let mut core = KCore { min_user, min_item, ..KCore::default() };
    if min_user <= 1 && min_item <= 1 {
        return core;
    }
    let count = |order: &[u32]| {
        let (mut users, mut items) = (vec![0usize; log.users.len()], vec![0usize; log.items.len()]);
        for event in order {
            users[log.user[*event as usize] as usize] += 1;
            items[log.item[*event as usize] as usize] += 1;
        }
        (users, items)
    };
    let alive = |counts: &[usize]| counts.iter().filter(|c| **c > 0).count() as u64;
    let (mut users, mut items) = count(order);
    let (users_before, items_before) = (alive(&users), alive(&items));
    loop {
        let events = order.len();
        order.retain(|event| {
            let event = *event as usize;
            users[log.user[event] as usize] >= min_user && items[log.item[event] as usize] >= min_item
        });
        if order.len() == events {
            break;
        }
        core.rounds += 1;
        (users, items) = count(order);
    }
    core.users_dropped = users_before - alive(&users);
    core.items_dropped = items_before - alive(&items);
    core.events_dropped = before - order.len() as u64;
    core
}

/// Which of `n` ids occur.
fn left(n: usize, ids: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut occurs = vec![false; n];
    ids.for_each(|id| occurs[id as usize] = true);
    (0..n as u32).filter(|id| occurs[*id as usize]).collect()
}

/// The names of `kept` in order, and for every old id its new one, from 1; 0 for those left out.
pub(super) fn number(mut names: Vec<String>, kept: &[u32]) -> (Vec<String>, Vec<u32>) {
    let mut sorted: Vec<(u64, u32)> =
        kept.iter().map(|old| (names[*old as usize].parse().unwrap_or(u64::MAX), *old)).collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| names[a.1 as usize].cmp(&names[b.1 as usize])));
    let mut new = vec![0; names.len()];
    let mut list = Vec::with_capacity(kept.len());
    for (position, (_, old)) in sorted.iter().enumerate() {
        new[*old as usize] = position as u32 + 1;
        list.push(std::mem::take(&mut names[*old as usize]));
    }
    (list, new)
}

fn build(mut log: Log, order: Vec<u32>, users: &[u32], items: &[u32], report: &mut PrepareReport) -> Dataset {
    let (user_names, new_user) = number(std::mem::take(&mut log.users).into_list(), users);
    let (item_names, new_item) = number(std::mem::take(&mut log.items).into_list(), items);
    // `order` is grouped by old user id: find the groups, then visit them by new id.
    let mut group = vec![0..0; user_names.len()];
    let mut start = 0;
    while start < order.len() {
        let user = log.user[order[start] as usize];
        let count = order[start..].iter().take_while(|e| log.user[**e as usize] == user).count();
        group[new_user[user as usize] as usize - 1] = start..start + count;
        start += count;
    }
    let mut dataset = Dataset { users: user_names, items: item_names, has_time: report.has_time, ..Dataset::default() };
    let mut events = Vec::with_capacity(order.len());
    dataset.offsets.push(0);
    for range in group {
        events.extend_from_slice(&order[range]);
        dataset.offsets.push(events.len());
    }
    drop(order);
    dataset.item = events.iter().map(|e| new_item[log.item[*e as usize] as usize]).collect();
    dataset.time = events.iter().map(|e| log.time[*e as usize].floor() as i64).collect();
    dataset.rating = ratings(&log, &events, &dataset, report);
    if !log.place.is_empty() {
        let unknown = [f32::NAN; 2];
        let place: Vec<_> = events.iter().map(|e| log.place.get(*e as usize).copied().unwrap_or(unknown)).collect();
        missing(report, "places of events", place.iter().filter(|p| p[0].is_nan()).count(), "left unknown (NaN)");
        dataset.place = Some(place);
    }
    items::attach(log, &new_item, &mut dataset, report);
    dataset
}

pub(super) fn missing(report: &mut PrepareReport, what: &str, count: usize, filled_with: &str) {
    if count > 0 {
        report.missing.push(Missing { what: what.into(), count: count as u64, filled_with: filled_with.into() });
    }
}

/// What was held out for validation and test has no say in what fills a gap, unless nothing else is known.
fn ratings(log: &Log, events: &[u32], dataset: &Dataset, report: &mut PrepareReport) -> Option<Vec<f32>> {
    if log.rating.is_empty() {
        return None;
    }
    let mut ratings: Vec<f32> =
        events.iter().map(|e| log.rating.get(*e as usize).copied().unwrap_or(f32::NAN)).collect();
    let unknown = ratings.iter().filter(|r| r.is_nan()).count();
    if unknown == ratings.len() {
        report.notes.push("the column of ratings has no value; it is left out".into());
        return None;
    }
    let mean = |ratings: &mut dyn Iterator<Item = f32>| {
        let known = ratings.filter(|r| !r.is_nan());
        let (sum, count) = known.fold((0.0, 0usize), |(sum, count), r| (sum + f64::from(r), count + 1));
        (count > 0).then(|| (sum / count as f64) as f32)
    };
    let split = leave_one_out(dataset);
    let training = mean(&mut split.users().flat_map(|u| &ratings[u.train]).copied());
    let mean = training.or_else(|| mean(&mut ratings.iter().copied()))?;
    missing(report, "ratings", unknown, &format!("filled with the mean of those to learn from, {mean}"));
    ratings.iter_mut().filter(|r| r.is_nan()).for_each(|r| *r = mean);
    Some(ratings)
}

fn summarise(dataset: &Dataset, report: &mut PrepareReport) {
    let (users, items, events) = (dataset.n_users(), dataset.n_items(), dataset.n_events());
    let mut lengths: Vec<usize> = dataset.offsets.windows(2).map(|w| w[1] - w[0]).collect();
    lengths.sort_unstable();
    let (mut pairs, mut ties) = (0usize, 0usize);
    let mut last_user = vec![0; items + 1];
    for user in 1..=users {
        let range = dataset.events_of(user);
        for item in &dataset.item[range.clone()] {
            pairs += usize::from(std::mem::replace(&mut last_user[*item as usize], user) != user);
        }
        ties += dataset.time[range].windows(2).filter(|w| w[0] == w[1]).count();
    }
    (report.users, report.items, report.events) = (users as u64, items as u64, events as u64);
    report.categories = dataset.categories.len() as u64;
    report.ties = ties as u64;
    report.history_mean = events as f64 / users as f64;
    report.history_median = (lengths[(users - 1) / 2] + lengths[users / 2]) as f64 / 2.0;
    report.history_longest = lengths[users - 1] as u64;
    report.density = pairs as f64 / (users as f64 * items as f64);
    report.revisit_share = (events - pairs) as f64 / events as f64;
    if dataset.has_time {
        report.time_span = dataset.time.iter().min().zip(dataset.time.iter().max()).map(|(a, b)| [*a, *b]);
    }
    let short = lengths.partition_point(|l| *l < 3);
    if short > 0 {
        report.notes.push(format!("{short} users have fewer than 3 events: they train and are not evaluated"));
    }
}
