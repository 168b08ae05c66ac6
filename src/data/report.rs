//! What `prepare` did, for people and for programs.

use super::options::Format;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Everything that `prepare` read, left out, filled in and changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PrepareReport {
    pub files: Vec<FileReport>,
    /// Lines below the headers of the files of events, malformed ones included.
    pub rows_read: u64,
    /// Lines left out by `skip_bad`, in all files.
    pub malformed: u64,
    /// The first of them, as `path:line: what is wrong`.
    pub malformed_examples: Vec<String>,
    /// Events whose user, item, time, rating and place had been seen before.
    pub duplicates: u64,
    pub duplicates_dropped: u64,
    pub below_min_rating: u64,
    pub missing: Vec<Missing>,
    pub features: Vec<FeatureReport>,
    pub k_core: KCore,
    pub tie_rule: String,
    /// Events at the same second as the one before them in the history.
    pub ties: u64,
    pub has_time: bool,
    /// First and last event in seconds since 1970.
    pub time_span: Option<[i64; 2]>,
    pub users: u64,
    pub items: u64,
    pub events: u64,
    pub categories: u64,
    pub history_mean: f64,
    pub history_median: f64,
    pub history_longest: u64,
    /// Share of the cells of the table of users and items that have an event.
    pub density: f64,
    /// Share of the events whose item the user had had before.
    pub revisit_share: f64,
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileReport {
    pub path: String,
    pub format: Format,
    /// `user=uid, item=poi, …`
    pub columns: String,
    pub rows: u64,
}

/// A value that some rows or items lack, and what stands for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    pub what: String,
    pub count: u64,
    pub filled_with: String,
}

/// A feature became `(value - mean) / std` over the items that have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureReport {
    pub name: String,
    pub mean: f64,
    pub std: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KCore {
    pub min_user: usize,
    pub min_item: usize,
    pub rounds: u64,
    pub users_dropped: u64,
    pub items_dropped: u64,
    pub events_dropped: u64,
}

impl fmt::Display for PrepareReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.files {
            let format = format!("{:?}", file.format).to_lowercase();
            writeln!(f, "read          {}: {format}, {} rows ({})", file.path, grouped(file.rows), file.columns)?;
        }
        if self.malformed > 0 {
            writeln!(f, "malformed     {} lines left out, the first:", grouped(self.malformed))?;
            self.malformed_examples.iter().try_for_each(|line| writeln!(f, "              {line}"))?;
        }
        if self.duplicates > 0 {
            let done = if self.duplicates_dropped > 0 { "dropped" } else { "kept; --dedup drops them" };
            writeln!(f, "duplicates    {} ({done})", grouped(self.duplicates))?;
        }
        if self.below_min_rating > 0 {
            writeln!(f, "rating        {} events below the minimum left out", grouped(self.below_min_rating))?;
        }
        for missing in &self.missing {
            writeln!(f, "missing       {} {}: {}", grouped(missing.count), missing.what, missing.filled_with)?;
        }
        for feature in &self.features {
            writeln!(f, "feature       {}: mean {:.6}, std {:.6}", feature.name, feature.mean, feature.std)?;
        }
        let k = &self.k_core;
        if k.min_user > 1 || k.min_item > 1 {
            let (users, items) = (grouped(k.users_dropped), grouped(k.items_dropped));
            let events = grouped(k.events_dropped);
            let dropped = format!("{users} users, {items} items, {events} events left out in {} rounds", k.rounds);
            writeln!(f, "k-core        at least {} per user, {} per item: {dropped}", k.min_user, k.min_item)?;
        }
        if let Some([first, last]) = self.time_span {
            let days = (last - first) as f64 / 86_400.0;
            writeln!(f, "time          {} to {} ({days:.1} days)", date(first), date(last))?;
        }
        writeln!(f, "ties          {} events; {}", grouped(self.ties), self.tie_rule)?;
        let (users, items, events) = (grouped(self.users), grouped(self.items), grouped(self.events));
        writeln!(
            f,
            "dataset       {users} users, {items} items, {events} events, {} categories",
            grouped(self.categories)
        )?;
        let lengths = (self.history_mean, self.history_median, grouped(self.history_longest));
        writeln!(f, "histories     mean {:.1}, median {:.1}, longest {}", lengths.0, lengths.1, lengths.2)?;
        writeln!(f, "density       {:.4} %; revisits {:.1} %", self.density * 100.0, self.revisit_share * 100.0)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "note          {note}"))
    }
}

/// `1,234,567`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The day of a time in seconds since 1970, as `2012-04-03`.
fn date(seconds: i64) -> String {
    // Eras of 400 years that begin in March.
    let days = seconds.div_euclid(86_400) + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year, if month < 10 { month + 3 } else { month - 9 });
    format!("{:04}-{month:02}-{day:02}", year + i64::from(month <= 2))
}
