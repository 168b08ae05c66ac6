//! Files of events and items into columns, checked line by line.

use super::columns::{ColumnNames, Layout, TimeUnit, by_number, with_header};
use super::table::{Dialect, first_line, for_each_record, guess_delimiter, text};
use crate::error::{Error, Result};
use csv::ByteRecord;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Layout of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// By name and first line.
    #[default]
    Auto,
    /// Delimited text with a header (or columns given by number).
    Csv,
    /// RecBole's atomic files: `.inter`, and `.item` beside it.
    Recbole,
    /// `ratings.dat` and `u.data`.
    Movielens,
}

/// Names to dense ids, in order of first appearance.
#[derive(Debug, Default)]
pub struct Names {
    ids: HashMap<Box<str>, u32>,
    pub list: Vec<String>,
}

impl Names {
    pub fn id(&mut self, name: &str) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = self.list.len() as u32;
        self.ids.insert(name.into(), id);
        self.list.push(name.to_string());
        id
    }

    pub fn get(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied()
    }
}

/// One event, with ids that index the names. What is missing is NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    pub user: u32,
    pub item: u32,
    pub time: i64,
    pub rating: f32,
    pub place: [f32; 2],
}

/// Everything read, in the order of the files.
#[derive(Debug, Default)]
pub struct Log {
    pub users: Names,
    pub items: Names,
    pub categories: Names,
    pub rows: Vec<Row>,
    /// By item id, where known.
    pub item_category: HashMap<u32, u32>,
    pub item_place: HashMap<u32, [f32; 2]>,
    pub feature_names: Vec<String>,
    /// By item id; NaN where missing.
    pub item_features: HashMap<u32, Vec<f32>>,
    pub lines: u64,
    pub bad: Vec<String>,
    pub n_bad: u64,
    pub has_time: bool,
    pub has_rating: bool,
    pub has_place: bool,
}

/// 1 January 2100: a time beyond it is taken for a wrong unit.
const LATEST: f64 = 4_102_444_800.0;
/// Malformed lines quoted in the report.
const QUOTED: usize = 5;

pub struct Reader<'a> {
    pub format: Format,
    pub names: &'a ColumnNames,
    pub delimiter: Option<u8>,
    pub header: bool,
    pub time_unit: Option<TimeUnit>,
    pub skip_bad: bool,
}

impl Reader<'_> {
    pub fn read_events(&self, path: &Path, log: &mut Log) -> Result<()> {
        let layout = self.layout(path, true)?;
        log.has_time |= layout.time.is_some();
        log.has_rating |= layout.rating.is_some();
        log.has_place |= layout.place.is_some();
        let before = log.lines;
        self.each(path, &layout, log, &mut |log, record| event(&layout, log, record))?;
        if log.lines == before {
            let what = if layout.header { "has a header and no events" } else { "has no events" };
            return Err(Error::data(path, 0, what));
        }
        Ok(())
    }

    /// Items of the log with a category, a place or numeric features; others are left out.
    pub fn read_items(&self, path: &Path, log: &mut Log) -> Result<()> {
        let layout = self.layout(path, false)?;
        let lines = log.lines;
        log.feature_names = layout.others.iter().map(|(name, _)| name.clone()).collect();
        self.each(path, &layout, log, &mut |log, record| item(&layout, log, record))?;
        log.lines = lines; // events are what is counted
        Ok(())
    }

    fn each(
        &self,
        path: &Path,
        layout: &Layout,
        log: &mut Log,
        take: &mut dyn FnMut(&mut Log, &ByteRecord) -> std::result::Result<(), String>,
    ) -> Result<()> {
        let mut header = layout.header;
        for_each_record(path, layout.dialect, &mut |line, record| {
            if std::mem::take(&mut header) {
                return Ok(());
            }
            log.lines += 1;
            let Err(message) = take(log, record) else { return Ok(()) };
            if !self.skip_bad {
                let hint = "; mend the line, or leave such lines out with --skip-bad";
                return Err(Error::data(path, line, message + hint));
            }
            log.n_bad += 1;
            if log.bad.len() < QUOTED {
                log.bad.push(format!("{}:{line}: {message}", path.display()));
            }
            Ok(())
        })
    }

    fn layout(&self, path: &Path, events: bool) -> Result<Layout> {
        let first = first_line(path)?;
        if first.is_empty() {
            return Err(Error::data(path, 0, "is empty"));
        }
        let quoted = |delimiter| Dialect::Byte { delimiter, quoted: true };
        let plain = |delimiter| Dialect::Byte { delimiter, quoted: false };
        let mut layout = match self.recognise(path, &first) {
            Format::Recbole => with_header(path, &first, plain(b'\t'), self.names, events)?,
            Format::Movielens if first.contains("::") => by_number(path, Dialect::DoubleColon, self.names)?,
            Format::Movielens => by_number(path, plain(b'\t'), self.names)?,
            _ => {
                let dialect = quoted(self.delimiter.unwrap_or_else(|| guess_delimiter(&first)));
                match self.header {
                    true => with_header(path, &first, dialect, self.names, events)?,
                    false => by_number(path, dialect, self.names)?,
                }
            }
        };
        layout.time_unit = self.time_unit.unwrap_or(layout.time_unit);
        Ok(layout)
    }

    fn recognise(&self, path: &Path, first: &str) -> Format {
        if self.format != Format::Auto {
            return self.format;
        }
        let numbers = |delimiter: &str| {
            let fields: Vec<&str> = first.split(delimiter).collect();
            fields.len() == 4 && fields.iter().all(|f| f.trim().parse::<f64>().is_ok())
        };
        if path.extension().is_some_and(|e| e == "inter" || e == "item") || first.contains(":token") {
            Format::Recbole
        } else if numbers("::") || numbers("\t") {
            Format::Movielens
        } else {
            Format::Csv
        }
    }
}

/// `name.item` beside `name.inter`, if it is there.
pub fn items_beside(path: &Path) -> Option<PathBuf> {
    let beside = path.with_extension("item");
    (path.extension().is_some_and(|e| e == "inter") && beside.exists()).then_some(beside)
}

fn event(layout: &Layout, log: &mut Log, record: &ByteRecord) -> std::result::Result<(), String> {
    let user = named(record, layout.user.unwrap_or(0), "user")?;
    let item = named(record, layout.item, "item")?;
    let time = match layout.time {
        None => log.rows.len() as i64,
        Some(column) => time(record, column, layout.time_unit)?,
    };
    let rating = optional(record, layout.rating, "rating")?;
    let place = place(record, layout)?;
    let category = layout.category.map(|c| text(record, c, "category")).transpose()?;
    // Everything is checked before anything is kept: a bad line leaves no trace.
    let (user, item) = (log.users.id(user), log.items.id(item));
    log.rows.push(Row { user, item, time, rating, place });
    if let Some(category) = category.filter(|c| !c.is_empty()) {
        let id = log.categories.id(category);
        log.item_category.entry(item).or_insert(id);
    }
    Ok(())
}

fn item(layout: &Layout, log: &mut Log, record: &ByteRecord) -> std::result::Result<(), String> {
    let name = named(record, layout.item, "item")?;
    let Some(item) = log.items.get(name) else { return Ok(()) };
    let place = place(record, layout)?;
    if let Some(column) = layout.category {
        // Lists of genres are written in one field: the first is the item's category.
        let all = text(record, column, "category")?;
        let first = all.split(['|', ' ', ',']).next().unwrap_or_default();
        if !first.is_empty() {
            let id = log.categories.id(first);
            log.item_category.insert(item, id);
        }
    }
    if place[0].is_finite() {
        log.item_place.insert(item, place);
    }
    let features: Vec<f32> = layout
        .others
        .iter()
        .map(|(_, c)| text(record, *c, "feature").ok().and_then(|t| t.parse().ok()).unwrap_or(f32::NAN))
        .collect();
    log.item_features.insert(item, features);
    Ok(())
}

fn named<'a>(record: &'a ByteRecord, column: usize, what: &str) -> std::result::Result<&'a str, String> {
    let name = text(record, column, what)?;
    if name.is_empty() { Err(format!("no {what}")) } else { Ok(name) }
}

fn number(record: &ByteRecord, column: usize, what: &str) -> std::result::Result<Option<f64>, String> {
    let field = text(record, column, what)?;
    if field.is_empty() {
        return Ok(None);
    }
    let number = field.parse::<f64>().map_err(|_| format!("{what} {field:?} is not a number"))?;
    if number.is_finite() { Ok(Some(number)) } else { Err(format!("{what} {field:?} is not finite")) }
}

fn time(record: &ByteRecord, column: usize, unit: TimeUnit) -> std::result::Result<i64, String> {
    let value = number(record, column, "time")?.ok_or("no time")?;
    let seconds = value * unit.seconds();
    if seconds < 0.0 {
        return Err(format!("time {value} is negative"));
    }
    if seconds > LATEST {
        return Err(format!("time {value} lies beyond the year 2100; is --time-unit ms what it counts in?"));
    }
    Ok(seconds.floor() as i64)
}

fn optional(record: &ByteRecord, column: Option<usize>, what: &str) -> std::result::Result<f32, String> {
    let value = column.map(|c| number(record, c, what)).transpose()?.flatten();
    Ok(value.map_or(f32::NAN, |v| v as f32))
}

fn place(record: &ByteRecord, layout: &Layout) -> std::result::Result<[f32; 2], String> {
    let Some((lat, lon)) = layout.place else { return Ok([f32::NAN; 2]) };
    let degrees = |column, what: &str, limit: f64| match number(record, column, what)? {
        Some(v) if v.abs() > limit => Err(format!("{what} {v} is outside ±{limit} degrees")),
        v => Ok(v.map_or(f32::NAN, |v| v as f32)),
    };
    let place = [degrees(lat, "latitude", 90.0)?, degrees(lon, "longitude", 180.0)?];
    Ok(if place.iter().all(|v| v.is_finite()) { place } else { [f32::NAN; 2] })
}
