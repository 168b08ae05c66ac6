//! Events and the readers that bring them in. Knows nothing of the GPU.
//!
//! [`prepare()`] makes a [`Dataset`] of files, [`Dataset::save`] keeps it as a folder, [`split`] holds events out.

pub mod city;
mod columns;
pub(crate) mod folder;
mod items;
mod lines;
mod log;
mod merge;
mod options;
mod prepare;
mod read;
mod report;
pub mod split;
mod store;
pub mod time;

pub use merge::Merged;
pub use options::{ColumnNames, Format, PrepareOptions, TimeUnit};
pub use prepare::prepare;
pub use report::{FeatureReport, FileReport, KCore, Missing, PrepareReport};
pub use store::FORMAT;

/// A log of events, grouped by user and ordered by time within a user (equal times keep the order of the file).
///
/// Ids are dense: users `1..=n_users`, items `1..=n_items`; 0 is "a user never seen" and "padding".
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dataset {
    /// Names of the users; user id `u` is `users[u - 1]`.
    pub users: Vec<String>,
    /// Names of the items; item id `i` is `items[i - 1]`.
    pub items: Vec<String>,
    /// `[n_users + 1]`: the events of user id `u` are `offsets[u - 1]..offsets[u]`.
    pub offsets: Vec<usize>,
    /// `[events]` item ids, at least 1.
    pub item: Vec<u32>,
    /// `[events]` seconds since 1970, or the position in the file where the log has no times.
    pub time: Vec<i64>,
    /// `[events]` ratings as given.
    pub rating: Option<Vec<f32>>,
    /// `[events]` latitude and longitude in degrees; NaN where unknown.
    pub place: Option<Vec<[f32; 2]>>,
    /// `[n_items]` category id of each item, 0 where unknown; category `c` is `categories[c - 1]`.
    pub item_category: Option<Vec<u32>>,
    pub categories: Vec<String>,
    /// `[n_items]` latitude and longitude in degrees of items that stay where they are; NaN where unknown.
    pub item_place: Option<Vec<[f32; 2]>>,
    /// `[n_items, feature_dim]` numeric features, normalised by `prepare`.
    pub item_features: Option<Vec<f32>>,
    pub feature_dim: usize,
    /// Whether `time` holds real times.
    pub has_time: bool,
}

impl Dataset {
    pub fn n_users(&self) -> usize {
        self.users.len()
    }

    pub fn n_items(&self) -> usize {
        self.items.len()
    }

    pub fn n_events(&self) -> usize {
        self.item.len()
    }

    /// Events of user id `user` (from 1) as a range into the event columns.
    pub fn events_of(&self, user: usize) -> std::ops::Range<usize> {
        self.offsets[user - 1]..self.offsets[user]
    }
}
