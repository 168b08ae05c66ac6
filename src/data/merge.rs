//! New events joined to old ones: ids that are there stay.

use super::Dataset;
use crate::error::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// What joining changed.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Merged {
    /// Users and items that were not there before; their ids follow those of the others.
    pub new_users: usize,
    pub new_items: usize,
    /// Events that were not there before.
    pub new_events: usize,
    /// Events left out: the same user, item and time were there already, or they are older than any that is kept of the
    /// user, of whom a model keeps the newest.
    pub known_events: usize,
    /// New items whose category was not there before: it counts as unknown.
    pub unknown_categories: usize,
}

impl Dataset {
    /// This dataset with the events of `new`, and which of all events are new. What is known of old items stays as it is;
    /// columns that only `new` has are left out.
    ///
    /// # Errors
    /// When this one has times and `new` has none; `source` is where `new` came from.
    pub fn merged(&self, new: &Dataset, source: &Path) -> Result<(Dataset, Vec<bool>, Merged)> {
        if self.has_time && !new.has_time {
            return Err(Error::data(source, 0, "the events have no times, and those learned from had"));
        }
        let (users, user_of) = joined(&self.users, &new.users);
        let (items, item_of) = joined(&self.items, &new.items);
        let mut report = Merged {
            new_users: users.len() - self.users.len(),
            new_items: items.len() - self.items.len(),
            ..Merged::default()
        };
        let mut all = Dataset { users, items, offsets: vec![0], ..self.without_events() };
        all.item_category = self.categories_with(new, &item_of, &mut report);
        all.item_place = with_rows(&self.item_place, &new.item_place, &item_of, self.n_items(), [f32::NAN; 2]);
        all.item_features = self.features_with(new, &item_of);
        let mut of_user = vec![None; all.users.len()];
        (1..).zip(&user_of).for_each(|(user, id)| of_user[*id as usize - 1] = Some(user));
        let mut fresh = Vec::new();
        let rating = self.mean_rating();
        // Without times the order is all there is: what is new comes last.
        let shift = if self.has_time { 0 } else { self.time.iter().max().map_or(0, |t| t.saturating_add(1)) };
        for (index, user) in of_user.into_iter().enumerate() {
            let old = if index < self.n_users() { self.events_of(index + 1) } else { 0..0 };
            let known: HashSet<(u32, i64)> = old.clone().map(|e| (self.item[e], self.time[e])).collect();
            let oldest = old.clone().next().map_or(i64::MIN, |e| self.time[e]);
            let mut events: Vec<(i64, bool, usize)> = old.map(|e| (self.time[e], false, e)).collect();
            for event in user.map_or(0..0, |user: usize| new.events_of(user)) {
                let time = new.time[event].saturating_add(shift);
                match time < oldest || known.contains(&(item_of[new.item[event] as usize - 1], time)) {
                    true => report.known_events += 1,
                    false => events.push((time, true, event)),
                }
            }
            events.sort_by_key(|(time, ..)| *time); // stable: old before new
            for (time, is_new, event) in events {
                let from = if is_new { new } else { self };
                all.item.push(if is_new { item_of[new.item[event] as usize - 1] } else { self.item[event] });
                all.time.push(time);
                if let Some(column) = &mut all.rating {
                    column.push(from.rating.as_ref().map_or(rating, |r| r[event]));
                }
                if let Some(column) = &mut all.place {
                    column.push(from.place.as_ref().map_or([f32::NAN; 2], |p| p[event]));
                }
                fresh.push(is_new);
            }
            all.offsets.push(all.item.len());
        }
        report.new_events = fresh.iter().filter(|f| **f).count();
        Ok((all, fresh, report))
    }

    fn without_events(&self) -> Dataset {
        Dataset {
            rating: self.rating.as_ref().map(|_| Vec::new()),
            place: self.place.as_ref().map(|_| Vec::new()),
            categories: self.categories.clone(),
            feature_dim: self.feature_dim,
            has_time: self.has_time,
            ..Dataset::default()
        }
    }

    fn mean_rating(&self) -> f32 {
        let known = || self.rating.iter().flatten().filter(|r| r.is_finite());
        (known().map(|r| f64::from(*r)).sum::<f64>() / known().count().max(1) as f64) as f32
    }

    fn categories_with(&self, new: &Dataset, item_of: &[u32], report: &mut Merged) -> Option<Vec<u32>> {
        let old = self.item_category.as_ref()?;
        let ids: HashMap<&str, u32> = self.categories.iter().map(String::as_str).zip(1..).collect();
        let name = |category: u32| new.categories.get((category as usize).wrapping_sub(1)).map(String::as_str);
        let known = |category: &u32| name(*category).and_then(|name| ids.get(name)).copied().unwrap_or(0);
        let column: Option<Vec<u32>> = new.item_category.as_ref().map(|list| list.iter().map(known).collect());
        let is_new = |i: &usize| item_of[*i] as usize > self.n_items();
        if let (Some(column), Some(given)) = (&column, &new.item_category) {
            let lost = (0..column.len()).filter(is_new).filter(|i| given[*i] != 0 && column[*i] == 0);
            report.unknown_categories = lost.count();
        }
        with_rows(&Some(old.clone()), &column, item_of, self.n_items(), 0)
    }

    /// Features of new items, where they are as many numbers; else 0, the mean.
    fn features_with(&self, new: &Dataset, item_of: &[u32]) -> Option<Vec<f32>> {
        let (old, dim) = (self.item_features.as_ref()?, self.feature_dim);
        let mut all = old.clone();
        for (i, id) in item_of.iter().enumerate().filter(|(_, id)| **id as usize > self.n_items()) {
            all.resize(*id as usize * dim, 0.0);
            if let Some(given) = new.item_features.as_ref().filter(|_| new.feature_dim == dim) {
                all[(*id as usize - 1) * dim..].copy_from_slice(&given[i * dim..(i + 1) * dim]);
            }
        }
        Some(all)
    }
}

/// `old` with those of `new` that are not in it, and for each of `new` its id from 1.
fn joined(old: &[String], new: &[String]) -> (Vec<String>, Vec<u32>) {
    let mut all = old.to_vec();
    let ids: HashMap<&str, u32> = old.iter().map(String::as_str).zip(1..).collect();
    let of_new = new.iter().map(|name| match ids.get(name.as_str()) {
        Some(id) => *id,
        None => {
            all.push(name.clone());
            all.len() as u32
        }
    });
    let of_new = of_new.collect();
    (all, of_new)
}

/// A column of items, with the rows of new items: from `new`, or `unknown`.
fn with_rows<T: Copy>(
    old: &Option<Vec<T>>,
    new: &Option<Vec<T>>,
    item_of: &[u32],
    n_old: usize,
    unknown: T,
) -> Option<Vec<T>> {
    let mut all = old.clone()?;
    for (i, _) in item_of.iter().enumerate().filter(|(_, id)| **id as usize > n_old) {
        all.push(new.as_ref().map_or(unknown, |column| column[i])); // ids rise in the order of `new`
    }
    Some(all)
}
