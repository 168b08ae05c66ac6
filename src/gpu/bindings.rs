//! Bind groups that are found again instead of made again, for as long as they are in use.

use super::{Buffer, Gpu};
use std::collections::HashMap;

/// What is not asked for within this many dispatches to twice as many is dropped: a training step has some hundreds, a
/// batch of requests less than a hundred.
const GENERATION: usize = 16_384;
/// Bind groups that a generation holds at most.
const MOST: usize = 4096;

/// Layout; memory, offset and length of each storage binding.
pub(super) type Key = (usize, Vec<(u64, u64, u64)>);

/// Two generations: a bind group that is asked for joins the young one, and the old one is dropped as a whole. The number
/// kept follows what is in use, so that a process that runs for months stays as it was after a minute.
#[derive(Debug)]
pub(super) struct Bindings<T> {
    young: HashMap<Key, T>,
    old: HashMap<Key, T>,
    asked: usize,
}

impl<T: Clone> Bindings<T> {
    pub fn new() -> Bindings<T> {
        Bindings { young: HashMap::new(), old: HashMap::new(), asked: 0 }
    }

    pub fn get(&mut self, key: &Key) -> Option<T> {
        self.asked += 1;
        if self.asked > GENERATION || self.young.len() >= MOST {
            self.old = std::mem::take(&mut self.young);
            self.asked = 1;
        }
        if let Some(found) = self.young.get(key) {
            return Some(found.clone());
        }
        let (key, found) = self.old.remove_entry(key)?;
        self.young.insert(key, found.clone());
        Some(found)
    }

    pub fn insert(&mut self, key: Key, group: T) {
        self.young.insert(key, group);
    }

    pub fn clear(&mut self) {
        *self = Bindings::new();
    }
}

/// What is bound: whole buffers where that is allowed, so that one bind group serves every length of a size class.
pub(super) fn key(layout_id: usize, buffers: &[&Buffer], gpu: &Gpu) -> Key {
    let exact = gpu.inner.options.checked;
    let range = |b: &&Buffer| {
        let whole = b.offset == 0 && b.len != 0 && !exact && b.raw.capacity <= gpu.inner.info.max_binding;
        // At least a vec4, the element of some kernels: memory comes in pieces of 256 bytes, so it is there.
        let len = if whole { b.raw.capacity } else { b.len.next_multiple_of(4).max(16) };
        (b.raw.id, b.offset, len)
    };
    (layout_id, buffers.iter().map(range).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_stays_and_the_rest_goes() {
        let mut bindings = Bindings::new();
        let key = |n: usize| (n, Vec::new());
        bindings.insert(key(1), "used");
        bindings.insert(key(2), "unused");
        for n in 0..3 * GENERATION {
            assert_eq!(bindings.get(&key(1)), Some("used"), "after {n} dispatches");
        }
        assert_eq!(bindings.get(&key(2)), None);
    }

    #[test]
    fn no_more_are_kept_than_two_generations_hold() {
        let mut bindings = Bindings::new();
        for n in 0..5 * MOST {
            assert_eq!(bindings.get(&(n, Vec::new())), None);
            bindings.insert((n, Vec::new()), n);
            assert!(bindings.young.len() + bindings.old.len() <= 2 * MOST);
        }
        assert_eq!(bindings.get(&(5 * MOST - 1, Vec::new())), Some(5 * MOST - 1));
        bindings.clear();
        assert_eq!(bindings.get(&(5 * MOST - 1, Vec::new())), None);
    }
}
