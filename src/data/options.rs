//! What `prepare` is to do, plain enough to be filled from a command line.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Layout of the files of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Recognised for each file by its name and first line.
    #[default]
    Auto,
    /// Text with a delimiter, and a header unless `no_header`.
    Csv,
    /// RecBole atomic files: tabs and a typed header such as `user_id:token`; an `.item` file beside is read too.
    Recbole,
    /// GroupLens files without a header: `ratings.dat` (`::`) with `movies.dat` beside it, and `u.data` or `u1.base`
    /// (tabs), with the genres of `u.item` where it is named, too.
    Movielens,
}

/// What one step of the time column is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    S,
    Ms,
    Min,
    Day,
}

impl TimeUnit {
    /// `value` in seconds. Milliseconds are divided: 0.001 has no exact double.
    pub fn seconds(self, value: f64) -> f64 {
        match self {
            TimeUnit::S => value,
            TimeUnit::Ms => value / 1000.0,
            TimeUnit::Min => value * 60.0,
            TimeUnit::Day => value * 86_400.0,
        }
    }
}

/// Names of columns that are not to be guessed; with `no_header`, numbers that count columns from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnNames {
    pub user: Option<String>,
    pub item: Option<String>,
    pub time: Option<String>,
    pub rating: Option<String>,
    pub lat: Option<String>,
    pub lon: Option<String>,
    pub category: Option<String>,
}

/// Everything that [`crate::data::prepare()`] can be told. The default keeps every event and refuses bad lines.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PrepareOptions {
    /// Files of events, read in this order; `.item` files among them are read as `items`, `.user` files are checked alone.
    pub files: Vec<PathBuf>,
    /// A file with one line per item: its category, place or numeric features.
    pub items: Option<PathBuf>,
    pub format: Format,
    pub columns: ColumnNames,
    /// Columns with numeric features of items. Empty: the `float` and `float_seq` columns of RecBole `.item` files.
    pub features: Vec<String>,
    /// What stands between fields; `None` looks at the first line. `\t` and `tab` mean the tabulator.
    pub delimiter: Option<String>,
    /// The first line is an event already.
    pub no_header: bool,
    /// `None`: seconds, or what the name of the column says (`t_min`, `time_ms`). Dates as ISO 8601 need no unit.
    pub time_unit: Option<TimeUnit>,
    /// Users with fewer events are left out, repeated together with `min_item` until nothing changes (k-core).
    pub min_user: usize,
    pub min_item: usize,
    /// Events rated below are left out; events without a rating stay.
    pub min_rating: Option<f32>,
    /// Keep one of several events of the same user, item, time, rating and place.
    pub dedup: bool,
    /// Leave malformed lines out and count them, instead of refusing the file.
    pub skip_bad: bool,
    /// A single user or item will do: these are events to add to others.
    pub few: bool,
}
