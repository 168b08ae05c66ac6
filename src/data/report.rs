use super::Dataset;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What `prepare` did, for people ([`fmt::Display`]) and machines.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrepareReport {
    pub files: Vec<String>,
    pub rows_read: u64,
    pub users_read: usize,
    pub items_read: usize,
    /// Malformed lines left out, and the first of them.
    pub bad_lines: u64,
    pub bad_examples: Vec<String>,
    /// Events equal to an earlier one in every column.
    pub duplicates: usize,
    pub duplicates_dropped: usize,
    pub below_min_rating: usize,
    pub outside_core: usize,
    pub missing: Vec<Missing>,
    pub features: Vec<Feature>,
    pub tie_rule: String,
    pub has_time: bool,
    pub users: usize,
    pub items: usize,
    pub events: usize,
    /// Seconds since 1970 of the first and last event.
    pub time_span: Option<[i64; 2]>,
    pub mean_length: f64,
    pub median_length: usize,
    /// Share of all user-item pairs that occur.
    pub density: f64,
    /// Share of events whose item the user had before.
    pub revisits: f64,
    /// Events at the same time as the user's event before: what the tie rule decides.
    pub ties: usize,
}

/// Values that were not there, and what stands for them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    pub what: String,
    pub count: usize,
    pub imputed: String,
}

/// How a numeric feature was normalised: `(value - mean) / deviation`, missing ones to 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    pub name: String,
    pub mean: f64,
    pub deviation: f64,
    pub missing: usize,
}

impl PrepareReport {
    pub(super) fn missing(&mut self, missing: Missing) {
        if missing.count > 0 {
            self.missing.push(missing);
        }
    }

    pub(super) fn describe(&mut self, dataset: &Dataset) {
        self.users = dataset.n_users();
        self.items = dataset.n_items();
        self.events = dataset.n_events();
        let ends = dataset.time.iter().min().zip(dataset.time.iter().max());
        self.time_span = ends.filter(|_| self.has_time).map(|(a, b)| [*a, *b]);
        let mut lengths: Vec<usize> = (1..=self.users).map(|u| dataset.events_of(u).len()).collect();
        lengths.sort_unstable();
        self.mean_length = self.events as f64 / self.users as f64;
        self.median_length = lengths[lengths.len() / 2];
        let mut last_user = vec![0; self.items + 1];
        let mut revisits = 0;
        for user in 1..=self.users {
            let range = dataset.events_of(user);
            for event in range.clone() {
                revisits += usize::from(std::mem::replace(&mut last_user[dataset.item[event] as usize], user) == user);
                self.ties += usize::from(event > range.start && dataset.time[event] == dataset.time[event - 1]);
            }
        }
        self.revisits = revisits as f64 / self.events as f64;
        self.density = (self.events - revisits) as f64 / (self.users as f64 * self.items as f64);
    }
}

impl fmt::Display for PrepareReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "read     {} rows of {}", self.rows_read, self.files.join(", "))?;
        let mut line = |n: usize, what: &str| if n > 0 { writeln!(f, "         {n} {what}") } else { Ok(()) };
        line(self.bad_lines as usize, "malformed lines left out")?;
        line(self.duplicates, if self.duplicates_dropped > 0 { "duplicates dropped" } else { "duplicates kept" })?;
        line(self.below_min_rating, "events rated too low, dropped")?;
        line(self.outside_core, "events of users or items with too few, dropped")?;
        for Missing { what, count, imputed } in &self.missing {
            writeln!(f, "         {count} missing: {what}, taken as {imputed}")?;
        }
        for example in &self.bad_examples {
            writeln!(f, "         {example}")?;
        }
        for Feature { name, mean, deviation, missing } in &self.features {
            writeln!(f, "feature  {name}: (value - {mean:.4}) / {deviation:.4}, {missing} missing taken as the mean")?;
        }
        writeln!(f, "kept     {} users, {} items, {} events", self.users, self.items, self.events)?;
        writeln!(
            f,
            "         history {:.1} events on average, median {}; {:.3} % of all pairs; {:.1} % are returns",
            self.mean_length,
            self.median_length,
            100.0 * self.density,
            100.0 * self.revisits
        )?;
        match self.time_span {
            Some([first, last]) => writeln!(f, "time     {} days, from {first} to {last} s", (last - first) / 86_400)?,
            None => writeln!(f, "time     none: the order of the file stands for it")?,
        }
        writeln!(f, "ties     {} events at the same time as the one before; {}", self.ties, self.tie_rule)
    }
}
