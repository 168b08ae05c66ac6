//! One model as it is served: names and ids, what its own data know of users, and the weights on the device.

use super::salt::Salt;
use super::store::{Event, Facts, Kept};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::eval::Seen;
use crate::fnv::Fnv;
use crate::gpu::Gpu;
use crate::model::{Config, History, NewItem, Request, Serving};
use crate::tensor::Tensor;
use crate::train::Checkpoint;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

/// The items by name: those of the model, and those that came since.
#[derive(Debug)]
pub struct Items {
    ids: HashMap<String, u32>,
    names: Vec<String>,
    categories: Vec<u32>,
    /// Items that training saw.
    trained: usize,
    /// Which facts the vectors of the others were made from.
    facts: Vec<u64>,
}

impl Items {
    pub fn id(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied()
    }

    pub fn name(&self, id: u32) -> &str {
        self.names.get((id as usize).wrapping_sub(1)).map_or("", String::as_str)
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub fn is_new(&self, id: u32) -> bool {
        id as usize > self.trained
    }

    /// All items that are not of `category`.
    pub fn others(&self, category: u32) -> impl Iterator<Item = u32> + '_ {
        (1..).zip(&self.categories).filter(move |(_, c)| **c != category).map(|(id, _)| id)
    }

    pub fn category(&self, id: u32) -> u32 {
        self.categories.get((id as usize).wrapping_sub(1)).copied().unwrap_or(0)
    }

    /// Tells whether the vector of an item is the same as before, within one model.
    fn version(&self, id: u32) -> u64 {
        (id as usize).checked_sub(self.trained + 1).and_then(|n| self.facts.get(n)).copied().unwrap_or(0)
    }
}

/// A model with all that a request needs. Requests hold the one that they began with.
#[derive(Debug)]
pub struct Loaded {
    /// Of the weights and the configuration.
    pub id: String,
    pub mark: [u8; 16],
    pub config: Config,
    pub seen: Seen,
    pub has_time: bool,
    /// Whether the GRU's state of a user says all: see [`Serving::steps`].
    pub steps: bool,
    checkpoint: Checkpoint,
    data: Dataset,
    users: HashMap<String, u32>,
    categories: HashMap<String, u32>,
    pub items: RwLock<Items>,
    /// Items by how often they are in the model's data, most often first, with their share.
    popular: Vec<(u32, f32)>,
    /// `[items + 1]` the same shares by id.
    shares: Vec<f32>,
    /// The weights. Only the engine asks for them.
    pub model: Mutex<Weights>,
}

#[derive(Debug)]
pub struct Weights {
    pub serving: Serving,
    /// Item vectors at length one, once somebody has asked for similar items.
    pub directions: Option<Tensor>,
}

/// A user's history in the ids of one model.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// 0 where the model does not know the user.
    pub user: u32,
    pub items: Vec<u32>,
    pub times: Vec<i64>,
    pub places: Vec<[f32; 2]>,
    pub ratings: Vec<f32>,
}

impl Past {
    pub fn push(&mut self, item: u32, time: i64, place: Option<[f32; 2]>, rating: Option<f32>) {
        self.items.push(item);
        self.times.push(time);
        self.places.push(place.unwrap_or([f32::NAN; 2]));
        self.ratings.push(rating.unwrap_or(f32::NAN));
    }

    /// As the model takes it.
    pub fn history(&self, request: Request) -> History<'_> {
        History {
            user: self.user,
            items: &self.items,
            times: &self.times,
            places: Some(&self.places),
            ratings: Some(&self.ratings),
            request,
        }
    }

    /// Tells whether the first `count` events, and what is known of their items, are the same as before.
    pub fn digest(&self, count: usize, items: &Items) -> u64 {
        let mut hash = Fnv::new();
        let mut add = |v: u64| hash.add(v);
        add(u64::from(self.user));
        for t in 0..count {
            add(u64::from(self.items[t]));
            add(items.version(self.items[t]));
            add(self.times[t] as u64);
            add(u64::from(self.ratings[t].to_bits()));
            self.places[t].iter().for_each(|v| add(u64::from(v.to_bits())));
        }
        hash.value()
    }
}

impl Loaded {
    /// Reads the checkpoint `folder` and puts its weights on `gpu`, with the items that came since.
    ///
    /// # Errors
    /// When it cannot be read or the device fails.
    pub fn open(folder: &Path, gpu: &Gpu, salt: &Salt, new: &[(String, Facts)]) -> Result<Loaded> {
        let checkpoint = Checkpoint::open(folder)?;
        let data = checkpoint.data()?;
        let mark = checkpoint.mark()?;
        let spare = if new.is_empty() { 0 } else { (2 * new.len()).next_power_of_two().max(64) };
        let serving = Serving::new(checkpoint.load(gpu, &data)?, spare)?;
        let mut users: HashMap<String, u32> = data.users.iter().map(|u| salt.name(u)).zip(1..).collect();
        if salt.is_set() {
            // A model that learned from the store has the store's names.
            users.extend(data.users.iter().cloned().zip(1..).filter(|(user, _)| user.len() == 64));
        }
        let items = Items {
            ids: data.items.iter().cloned().zip(1..).collect(),
            names: data.items.clone(),
            categories: data.item_category.clone().unwrap_or_else(|| vec![0; data.n_items()]),
            trained: data.n_items(),
            facts: Vec::new(),
        };
        let shares = shares(&data);
        let loaded = Loaded {
            id: mark[..8].iter().map(|b| format!("{b:02x}")).collect(),
            mark,
            config: checkpoint.config.clone(),
            seen: checkpoint.seen,
            has_time: data.has_time,
            steps: serving.steps(),
            users,
            categories: data.categories.iter().cloned().zip(1..).collect(),
            items: RwLock::new(items),
            popular: by_share(&shares),
            shares,
            data,
            checkpoint,
            model: Mutex::new(Weights { serving, directions: None }),
        };
        for (name, facts) in new {
            loaded.put(name, facts)?;
        }
        Ok(loaded)
    }

    /// Takes an item in. `None` where there is no row for it: the model has to be loaded again. `Some(false)` where training
    /// saw the item, and nothing changes.
    ///
    /// # Errors
    /// When the device fails.
    pub fn put(&self, name: &str, facts: &Facts) -> Result<Option<bool>> {
        let category = facts.category.as_deref().and_then(|c| self.category(c)).unwrap_or(0);
        let item: NewItem = facts.with_category(category);
        let known = self.items().id(name);
        if known.is_some_and(|id| !self.items().is_new(id)) {
            return Ok(Some(false));
        }
        let mut weights = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() && weights.serving.spare() == 0 {
            return Ok(None);
        }
        let id = weights.serving.put(known, &item)?;
        weights.directions = None;
        let mut items = self.items.write().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            items.names.push(name.to_string());
            items.ids.insert(name.to_string(), id);
            items.categories.push(category);
            items.facts.push(0);
        }
        items.categories[id as usize - 1] = category;
        let at = id as usize - 1 - items.trained;
        items.facts[at] = facts.version();
        Ok(Some(true))
    }

    pub fn items(&self) -> std::sync::RwLockReadGuard<'_, Items> {
        self.items.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn category(&self, name: &str) -> Option<u32> {
        self.categories.get(name).copied()
    }

    pub fn categories(&self) -> &[String] {
        &self.data.categories
    }

    pub fn feature_dim(&self) -> usize {
        self.data.feature_dim
    }

    /// Whether the model's own data have a history of the user that the store calls `name`.
    pub fn knows(&self, name: &str) -> bool {
        self.users.contains_key(name)
    }

    /// Some of the users with the most events, for somebody who looks around.
    pub fn some_users(&self, most: usize) -> Vec<&str> {
        let mut users: Vec<usize> = (1..=self.data.n_users()).collect();
        users.sort_by_key(|u| std::cmp::Reverse(self.data.events_of(*u).len()));
        users.iter().take(most).map(|u| self.data.users[u - 1].as_str()).collect()
    }

    /// Items by their share of the events, most first.
    pub fn popular(&self) -> &[(u32, f32)] {
        &self.popular
    }

    /// The share of one item; of an item that came later that of the rarest.
    pub fn share(&self, item: u32) -> f32 {
        let least = || self.popular.last().map_or(1.0, |(_, share)| *share);
        self.shares.get(item as usize).copied().unwrap_or_else(least)
    }

    /// The history of the user that the store calls `name`: what the model's data have, and what the store has beside it.
    pub fn past(&self, name: &str, kept: &Kept) -> Past {
        let mut past = Past::default();
        let user = self.users.get(name).copied().filter(|_| !kept.forgotten);
        let base = user.map_or(0..0, |user| self.data.events_of(user as usize));
        past.user = user.filter(|_| !base.is_empty()).map_or(0, |user| self.checkpoint.known_user(&self.data, user));
        let items = self.items();
        let mut learned = base.clone().peekable();
        let take = |past: &mut Past, e: usize| {
            let place = self.data.place.as_ref().map(|p| p[e]);
            past.push(self.data.item[e], self.data.time[e], place, self.data.rating.as_ref().map(|r| r[e]));
        };
        let mut next = base.clone().last().map_or(0, |e| self.data.time[e]);
        let mut twice = self.twice(base, &kept.events);
        for event in &kept.events {
            let Some(item) = items.id(&event.item) else { continue };
            let mut time = event.time;
            if !self.has_time {
                // The model counts events instead of seconds.
                next += 1;
                time = next;
            }
            if let Some(n) = twice.get_mut(&(item, time)).filter(|n| **n > 0) {
                *n -= 1;
                continue;
            }
            while let Some(e) = learned.next_if(|e| self.data.time[*e] <= time) {
                take(&mut past, e);
            }
            past.push(item, time, event.place, event.rating);
        }
        learned.for_each(|e| take(&mut past, e));
        past
    }

    /// Events that the model's data may share with the store, if it learned from it: how often each is there.
    fn twice(&self, base: std::ops::Range<usize>, events: &[Event]) -> HashMap<(u32, i64), usize> {
        let mut counts = HashMap::new();
        if let Some(first) = events.first().filter(|_| self.has_time) {
            for e in base.rev().take_while(|e| self.data.time[*e] >= first.time) {
                *counts.entry((self.data.item[e], self.data.time[e])).or_insert(0) += 1;
            }
        }
        counts
    }
}

/// `[items + 1]`: how often each item is in the data, with one more for each, so that none has a share of nothing.
fn shares(data: &Dataset) -> Vec<f32> {
    let mut counts = vec![1u32; data.n_items() + 1];
    counts[0] = 0;
    data.item.iter().for_each(|item| counts[*item as usize] += 1);
    let total = counts.iter().map(|c| u64::from(*c)).sum::<u64>() as f32;
    counts.iter().map(|c| *c as f32 / total).collect()
}

fn by_share(shares: &[f32]) -> Vec<(u32, f32)> {
    let mut list: Vec<(u32, f32)> = (0..).zip(shares.iter().copied()).skip(1).collect();
    list.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    list
}

impl Checkpoint {
    /// Which model it is: a hash of its configuration and the weights to serve.
    fn mark(&self) -> Result<[u8; 16]> {
        let mut hash = blake3::Hasher::new();
        for name in ["config.json", "model.safetensors"] {
            let path = self.folder().join(name);
            let bytes = std::fs::read(&path).map_err(|e| Error::file(&path, &e))?;
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(&bytes);
        }
        let mut mark = [0; 16];
        mark.copy_from_slice(&hash.finalize().as_bytes()[..16]);
        Ok(mark)
    }
}
