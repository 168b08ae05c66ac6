//! From files to a dataset: read, filter, order, and say what was done.

use super::Dataset;
use super::columns::{ColumnNames, TimeUnit};
use super::read::{Format, Log, Reader, Row, items_beside};
use super::report::{Feature, Missing, PrepareReport};
use crate::error::{Error, Result};
use std::collections::HashSet;
use std::path::PathBuf;

/// What to read and what to keep.
#[derive(Debug, Clone, PartialEq)]
pub struct PrepareOptions {
    /// Events, in order: where times are equal, this order decides.
    pub files: Vec<PathBuf>,
    /// Category, place and numeric features of items; RecBole's `.item` beside an `.inter` is taken by itself.
    pub items: Option<PathBuf>,
    pub format: Format,
    pub columns: ColumnNames,
    /// One byte; guessed from the header by default.
    pub delimiter: Option<u8>,
    /// Whether delimited files begin with names of columns.
    pub header: bool,
    /// By default seconds, or what the column's name says (`t_min`, `t_ms`).
    pub time_unit: Option<TimeUnit>,
    /// Leave malformed lines out instead of refusing the file.
    pub skip_bad: bool,
    /// Drop events equal to an earlier one in every column.
    pub dedup: bool,
    /// Keep users and items with at least so many events, repeated until nothing changes (k-core).
    pub min_user: usize,
    pub min_item: usize,
    /// Keep events rated at least this.
    pub min_rating: Option<f32>,
}

impl Default for PrepareOptions {
    fn default() -> Self {
        PrepareOptions {
            files: Vec::new(),
            items: None,
            format: Format::Auto,
            columns: ColumnNames::default(),
            delimiter: None,
            header: true,
            time_unit: None,
            skip_bad: false,
            dedup: false,
            min_user: 1,
            min_item: 1,
            min_rating: None,
        }
    }
}

/// Reads the files and makes a dataset of what is kept.
///
/// # Errors
/// For a file that cannot be read or a line that makes no sense (with `path:line`), and when nothing to learn from is left.
pub fn prepare(options: &PrepareOptions) -> Result<(Dataset, PrepareReport)> {
    let mut log = read(options)?;
    let path = options.files.first().cloned().unwrap_or_default();
    let mut report = PrepareReport {
        files: options.files.iter().map(|f| f.display().to_string()).collect(),
        rows_read: log.lines,
        bad_lines: log.n_bad,
        bad_examples: std::mem::take(&mut log.bad),
        has_time: log.has_time,
        tie_rule: "stable by time: equal times keep the order of the files".into(),
        ..PrepareReport::default()
    };
    report.users_read = log.users.list.len();
    report.items_read = log.items.list.len();
    filter(options, &mut log, &mut report);
    if log.rows.is_empty() {
        let limits = format!("min-user {}, min-item {}", options.min_user, options.min_item);
        return Err(Error::data(
            &path,
            0,
            format!("no event is left of {} ({limits}); loosen these", report.rows_read),
        ));
    }
    impute(&mut log, &mut report);
    let dataset = build(log, &mut report);
    for (n, what) in [(dataset.n_users(), "user"), (dataset.n_items(), "item")] {
        if n < 2 {
            return Err(Error::data(&path, 0, format!("only one {what} is left: there is nothing to learn from")));
        }
    }
    report.describe(&dataset);
    Ok((dataset, report))
}

fn read(options: &PrepareOptions) -> Result<Log> {
    let reader = Reader {
        format: options.format,
        names: &options.columns,
        delimiter: options.delimiter,
        header: options.header,
        time_unit: options.time_unit,
        skip_bad: options.skip_bad,
    };
    let mut log = Log::default();
    for file in &options.files {
        reader.read_events(file, &mut log)?;
    }
    let beside = options.files.iter().find_map(|f| items_beside(f));
    if let Some(items) = options.items.as_ref().or(beside.as_ref()) {
        reader.read_items(items, &mut log)?;
    }
    Ok(log)
}

fn filter(options: &PrepareOptions, log: &mut Log, report: &mut PrepareReport) {
    // Bits, so that a missing value equals a missing value.
    let key = |r: &Row| (r.user, r.item, r.time, r.rating.to_bits(), r.place.map(f32::to_bits));
    let mut seen = HashSet::new();
    let new: Vec<bool> = log.rows.iter().map(|r| seen.insert(key(r))).collect();
    drop(seen);
    report.duplicates = new.iter().filter(|n| !**n).count();
    if options.dedup {
        let mut new = new.iter();
        log.rows.retain(|_| *new.next().expect("one flag per row"));
        report.duplicates_dropped = report.duplicates;
    }
    if let Some(least) = options.min_rating {
        let before = log.rows.len();
        log.rows.retain(|r| r.rating >= least);
        report.below_min_rating = before - log.rows.len();
    }
    let before = log.rows.len();
    core(&mut log.rows, log.users.list.len(), log.items.list.len(), options.min_user, options.min_item);
    report.outside_core = before - log.rows.len();
}

/// Drops users and items with too few events until all that are left have enough.
fn core(rows: &mut Vec<Row>, users: usize, items: usize, min_user: usize, min_item: usize) {
    loop {
        let (mut of_user, mut of_item) = (vec![0usize; users], vec![0usize; items]);
        for row in rows.iter() {
            of_user[row.user as usize] += 1;
            of_item[row.item as usize] += 1;
        }
        let before = rows.len();
        rows.retain(|r| of_user[r.user as usize] >= min_user && of_item[r.item as usize] >= min_item);
        if rows.len() == before {
            return;
        }
    }
}

fn impute(log: &mut Log, report: &mut PrepareReport) {
    if log.has_rating {
        let known = || log.rows.iter().map(|r| r.rating).filter(|r| r.is_finite());
        let n = known().count();
        let mean = if n == 0 { 0.0 } else { (known().map(f64::from).sum::<f64>() / n as f64) as f32 };
        let missing = log.rows.len() - n;
        log.rows.iter_mut().filter(|r| !r.rating.is_finite()).for_each(|r| r.rating = mean);
        report.missing(Missing { what: "rating".into(), count: missing, imputed: format!("the mean, {mean:.3}") });
    }
    if log.has_place {
        let missing = log.rows.iter().filter(|r| !r.place[0].is_finite()).count();
        report.missing(Missing {
            what: "place".into(),
            count: missing,
            imputed: "unknown: no distance is used".into(),
        });
    }
}

/// Events grouped by user and ordered by time, ids in order of first appearance among what is kept.
fn build(log: Log, report: &mut PrepareReport) -> Dataset {
    let renumber = |n: usize, id: &dyn Fn(&Row) -> u32| {
        let (mut new, mut order) = (vec![0u32; n], Vec::new());
        for row in &log.rows {
            let id = id(row);
            if new[id as usize] == 0 {
                order.push(id);
                new[id as usize] = order.len() as u32;
            }
        }
        (new, order)
    };
    let (user_ids, users) = renumber(log.users.list.len(), &|r| r.user);
    let (item_ids, items) = renumber(log.items.list.len(), &|r| r.item);
    let mut order: Vec<u32> = (0..log.rows.len() as u32).collect();
    order.sort_by_key(|i| {
        let row = &log.rows[*i as usize];
        (user_ids[row.user as usize], row.time) // a stable sort: the tie rule
    });
    let rows = || order.iter().map(|i| &log.rows[*i as usize]);
    let mut offsets = vec![0usize; users.len() + 1];
    rows().for_each(|r| offsets[user_ids[r.user as usize] as usize] += 1);
    (0..users.len()).for_each(|u| offsets[u + 1] += offsets[u]);
    let mut dataset = Dataset {
        users: users.iter().map(|u| log.users.list[*u as usize].clone()).collect(),
        items: items.iter().map(|i| log.items.list[*i as usize].clone()).collect(),
        offsets,
        item: rows().map(|r| item_ids[r.item as usize]).collect(),
        time: rows().map(|r| r.time).collect(),
        rating: log.has_rating.then(|| rows().map(|r| r.rating).collect()),
        place: log.has_place.then(|| rows().map(|r| r.place).collect()),
        has_time: log.has_time,
        ..Dataset::default()
    };
    add_item_facts(&log, &items, &mut dataset, report);
    dataset
}

fn add_item_facts(log: &Log, items: &[u32], dataset: &mut Dataset, report: &mut PrepareReport) {
    if !log.item_category.is_empty() {
        let of = |i: &u32| log.item_category.get(i).map_or(0, |c| c + 1);
        let categories: Vec<u32> = items.iter().map(of).collect();
        let missing = categories.iter().filter(|c| **c == 0).count();
        report.missing(Missing { what: "category of an item".into(), count: missing, imputed: "unknown".into() });
        dataset.item_category = Some(categories);
        dataset.categories = log.categories.list.clone();
    }
    dataset.item_place = match log.item_place.is_empty() {
        false => Some(items.iter().map(|i| log.item_place.get(i).copied().unwrap_or([f32::NAN; 2])).collect()),
        true => places_of_items(dataset),
    };
    if let Some(width) = Some(log.feature_names.len()).filter(|w| *w > 0) {
        let nothing = vec![f32::NAN; width];
        let of = |i: &u32| log.item_features.get(i).unwrap_or(&nothing).iter().copied();
        let mut features: Vec<f32> = items.iter().flat_map(of).collect();
        for (column, name) in log.feature_names.iter().enumerate() {
            normalise(&mut features, width, column, name, report);
        }
        dataset.feature_dim = width;
        dataset.item_features = Some(features);
    }
}

/// Subtracts the mean and divides by the standard deviation; what is missing becomes 0, the mean.
fn normalise(features: &mut [f32], width: usize, column: usize, name: &str, report: &mut PrepareReport) {
    let values = || features.iter().skip(column).step_by(width).map(|v| f64::from(*v)).filter(|v| v.is_finite());
    let n = values().count().max(1) as f64;
    let mean = values().sum::<f64>() / n;
    let deviation = (values().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    let scale = if deviation > 0.0 { 1.0 / deviation } else { 0.0 };
    let missing = features.len() / width - values().count();
    report.features.push(Feature { name: name.into(), mean, deviation, missing });
    for value in features.iter_mut().skip(column).step_by(width) {
        *value = if value.is_finite() { ((f64::from(*value) - mean) * scale) as f32 } else { 0.0 };
    }
}

/// The mean place of each item, if at least 95 % of the items have all their events within 200 m of it: items that stay
/// where they are. Otherwise the places are the users', and items have none.
fn places_of_items(dataset: &Dataset) -> Option<Vec<[f32; 2]>> {
    const WITHIN_KM: f64 = 0.2;
    let events = dataset.place.as_ref()?;
    let n = dataset.n_items();
    let mut sums = vec![([0f64; 2], 0usize); n];
    let known = || dataset.item.iter().zip(events).filter(|(_, p)| p[0].is_finite());
    for (item, place) in known() {
        let (sum, count) = &mut sums[*item as usize - 1];
        (0..2).for_each(|axis| sum[axis] += f64::from(place[axis]));
        *count += 1;
    }
    let mean = |(sum, count): &([f64; 2], usize)| sum.map(|s| if *count == 0 { f64::NAN } else { s / *count as f64 });
    let means: Vec<[f64; 2]> = sums.iter().map(mean).collect();
    let mut moves = vec![false; n];
    for (item, place) in known() {
        let at = means[*item as usize - 1];
        let north = (f64::from(place[0]) - at[0]) * 111.195;
        let east = (f64::from(place[1]) - at[1]) * 111.195 * at[0].to_radians().cos();
        moves[*item as usize - 1] |= north.hypot(east) > WITHIN_KM;
    }
    let stay = moves.iter().filter(|m| !**m).count();
    (stay * 100 >= n * 95).then(|| means.iter().map(|m| m.map(|v| v as f32)).collect())
}
