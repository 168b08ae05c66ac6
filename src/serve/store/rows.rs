//! How events and states lie in the store: bytes whose order is the order of time.

use crate::model::NewItem;
use serde::{Deserialize, Serialize};

/// One event as it is sent, under the name that the store has for its user.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub user: String,
    pub item: String,
    /// Seconds since 1970.
    pub time: i64,
    /// Latitude and longitude in degrees.
    pub place: Option<[f32; 2]>,
    pub rating: Option<f32>,
    /// An event whose user sent the same key before is the same event.
    pub key: Option<String>,
}

/// A GRU's state after the first `count` events of a history.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Which model it is of.
    pub model: [u8; 16],
    pub count: u64,
    /// Of these events: one that comes late among them makes the state worthless.
    pub digest: u64,
    pub values: Vec<f32>,
}

/// What the store keeps of an item that came after the training.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    pub category: Option<String>,
    pub place: Option<[f32; 2]>,
    #[serde(default)]
    pub features: Vec<f32>,
}

impl Facts {
    pub fn with_category(&self, category: u32) -> NewItem {
        NewItem { category, place: self.place, features: self.features.clone() }
    }

    /// Tells facts apart.
    pub fn version(&self) -> u64 {
        let mut hash = blake3::Hasher::new();
        let category = self.category.as_deref().unwrap_or_default();
        hash.update(&(category.len() as u64).to_le_bytes());
        hash.update(category.as_bytes());
        let place = self.place.unwrap_or([f32::NAN; 2]);
        for v in place.iter().chain(&self.features) {
            hash.update(&v.to_le_bytes());
        }
        let mut version = [0; 8];
        version.copy_from_slice(&hash.finalize().as_bytes()[..8]);
        u64::from_le_bytes(version)
    }
}

/// What every key of a user begins with. The length keeps one user's keys apart from another's whose name goes on.
pub(super) fn prefix(user: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(user.len() + 18);
    key.extend_from_slice(&(user.len() as u16).to_be_bytes());
    key.extend_from_slice(user.as_bytes());
    key
}

/// After all keys of a user: no text has a byte like these, and no time so many of them.
pub(super) fn end(user: &str) -> Vec<u8> {
    let mut key = prefix(user);
    key.extend_from_slice(&[0xff; 17]);
    key
}

const SIGN: u64 = 1 << 63;

pub(super) fn event_key(user: &str, time: i64, number: u64) -> Vec<u8> {
    let mut key = prefix(user);
    key.extend_from_slice(&(time as u64 ^ SIGN).to_be_bytes());
    key.extend_from_slice(&number.to_be_bytes());
    key
}

const RATED: u8 = 1;
const PLACED: u8 = 2;

pub(super) fn event_value(event: &Event) -> Vec<u8> {
    let mut value = Vec::with_capacity(event.item.len() + 13);
    value.push(u8::from(event.rating.is_some()) * RATED + u8::from(event.place.is_some()) * PLACED);
    for number in event.rating.iter().chain(event.place.iter().flatten()) {
        value.extend_from_slice(&number.to_le_bytes());
    }
    value.extend_from_slice(event.item.as_bytes());
    value
}

/// `None` where these are no key and value of an event.
pub(super) fn read_event(key: &[u8], mut value: &[u8]) -> Option<Event> {
    let length = usize::from(u16::from_be_bytes(key.get(..2)?.try_into().ok()?));
    let user = str::from_utf8(key.get(2..2 + length)?).ok()?.to_string();
    let time = u64::from_be_bytes(key.get(2 + length..10 + length)?.try_into().ok()?);
    let (flags, rest) = value.split_first()?;
    value = rest;
    let mut number = || -> Option<f32> {
        let (bytes, rest) = value.split_first_chunk()?;
        value = rest;
        Some(f32::from_le_bytes(*bytes))
    };
    let rating = if flags & RATED != 0 { Some(number()?) } else { None };
    let place = if flags & PLACED != 0 { Some([number()?, number()?]) } else { None };
    let item = str::from_utf8(value).ok()?.to_string();
    Some(Event { user, item, time: (time ^ SIGN) as i64, place, rating, key: None })
}

pub(super) fn state_value(state: &State) -> Vec<u8> {
    let mut value = state.model.to_vec();
    value.extend_from_slice(&state.count.to_le_bytes());
    value.extend_from_slice(&state.digest.to_le_bytes());
    value.extend_from_slice(bytemuck::cast_slice(&state.values));
    value
}

pub(super) fn read_state(value: &[u8]) -> Option<State> {
    let (model, rest) = value.split_first_chunk()?;
    let (count, rest) = rest.split_first_chunk()?;
    let (digest, rest) = rest.split_first_chunk()?;
    let values = bytemuck::pod_collect_to_vec(rest.len().is_multiple_of(4).then_some(rest)?);
    Some(State { model: *model, count: u64::from_le_bytes(*count), digest: u64::from_le_bytes(*digest), values })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(user: &str, time: i64) -> Event {
        let (item, key) = ("i\u{e9}".to_string(), None);
        Event { user: user.into(), item, time, place: Some([1.5, -2.0]), rating: Some(4.5), key }
    }

    #[test]
    fn what_is_written_is_read() {
        for (place, rating) in
            [(None, None), (Some([40.0, -74.0]), None), (None, Some(3.0)), (Some([0.0; 2]), Some(0.5))]
        {
            let event = Event { place, rating, ..event("u1", -5) };
            assert_eq!(read_event(&event_key("u1", -5, 9), &event_value(&event)), Some(event));
        }
        let state = State { model: [7; 16], count: 3, digest: 9, values: vec![1.0, -0.5] };
        assert_eq!(read_state(&state_value(&state)), Some(state));
    }

    #[test]
    fn what_is_cut_short_is_not_read() {
        let (key, value) = (event_key("u1", 5, 9), event_value(&event("u1", 5)));
        for n in 0..12 {
            assert_eq!(read_event(&key[..n], &value), None);
            assert_eq!(read_event(&key, &value[..n]), None);
        }
        assert_eq!(read_state(&[0; 31]), None);
        assert_eq!(read_state(&[0; 35]), None);
    }

    #[test]
    fn keys_have_the_order_of_time_and_users_stay_apart() {
        let keys = [(i64::MIN, 5), (-1, 0), (0, 0), (0, 1), (7, 0), (i64::MAX, u64::MAX)];
        let keys: Vec<_> = keys.iter().map(|(time, n)| event_key("ab", *time, *n)).collect();
        assert!(keys.is_sorted());
        assert!(keys.iter().all(|k| prefix("ab") <= *k && *k < end("ab")));
        for other in ["a", "abc", "b", ""] {
            let key = event_key(other, 0, 0);
            assert!(key < prefix("ab") || key >= end("ab"), "{other}");
        }
    }
}
