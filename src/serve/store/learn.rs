//! What a store has, as a dataset to learn from.

use super::{Event, Facts, Store};
use crate::data::Dataset;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// How every file of redb begins.
const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";
const UNKNOWN: [f32; 2] = [f32::NAN; 2];

/// Whether `path` is a store, and no log.
pub fn is_store(path: &Path) -> bool {
    let mut begin = [0; MAGIC.len()];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut begin));
    read.is_ok() && begin == MAGIC
}

impl Store {
    /// All events, by user and then by time, with what was put of their items. Users have the names that the store has for
    /// them: hashes, where it was kept with a salt.
    ///
    /// # Errors
    /// When the file cannot be read, or there is no event in it.
    pub fn dataset(&self) -> Result<Dataset> {
        let mut events = Vec::new();
        self.each_event(|event| {
            events.push(event);
            Ok(())
        })?;
        match events.is_empty() {
            true => Err(Error::format(self.path(), "there are no events in this store")),
            false => Ok(dataset(&events, self.items()?)),
        }
    }
}

/// `events` lie user by user.
fn dataset(events: &[Event], facts: Vec<(String, Facts)>) -> Dataset {
    let facts: HashMap<String, Facts> = facts.into_iter().collect();
    let mut d = Dataset { has_time: true, ..Dataset::default() };
    let (mut items, mut categories) = (HashMap::new(), HashMap::new());
    let (mut item_category, mut item_place) = (Vec::new(), Vec::new());
    for (n, event) in events.iter().enumerate() {
        if d.users.last() != Some(&event.user) {
            d.users.push(event.user.clone());
            d.offsets.push(n);
        }
        let item = *items.entry(event.item.as_str()).or_insert_with(|| {
            let known = facts.get(&event.item);
            let category = known.and_then(|f| f.category.clone());
            item_category.push(category.map_or(0, |name| {
                *categories.entry(name.clone()).or_insert_with(|| {
                    d.categories.push(name);
                    d.categories.len() as u32
                })
            }));
            item_place.push(known.and_then(|f| f.place).unwrap_or(UNKNOWN));
            d.items.push(event.item.clone());
            d.items.len() as u32
        });
        d.item.push(item);
        d.time.push(event.time);
    }
    d.offsets.push(events.len());
    let any = |known: fn(&Event) -> bool| events.iter().any(known);
    d.place = any(|e| e.place.is_some()).then(|| events.iter().map(|e| e.place.unwrap_or(UNKNOWN)).collect());
    d.rating = any(|e| e.rating.is_some()).then(|| events.iter().map(|e| e.rating.unwrap_or(f32::NAN)).collect());
    d.item_category = (!d.categories.is_empty()).then_some(item_category);
    d.item_place = item_place.iter().any(|p: &[f32; 2]| p[0].is_finite()).then_some(item_place);
    d
}
