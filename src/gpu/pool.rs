//! Device memory: buffers in size classes, given back when the last handle goes, with a visible high-water mark.

use super::fault::Failure;
use crate::error::Error;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// What a guarded buffer is filled with before use: a NaN as f32, an id out of any range as u32.
pub const SENTINEL: u32 = 0x7fc0_dead;
/// Bytes of sentinel behind every guarded buffer.
pub(super) const GUARD_BYTES: u64 = 256;
/// Guarded memory that waits for a look at most; what was given back before that is used again unseen.
const UNSEEN_BYTES: u64 = 256 << 20;

/// A range of device memory. Cheap to clone; the memory returns to the pool with the last clone.
#[derive(Clone, Debug)]
pub struct Buffer {
    pub(super) raw: Arc<Raw>,
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl Buffer {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes `offset..offset + len` of this buffer. Bindings ask for offsets that are multiples of 256.
    ///
    /// # Panics
    /// When the range leaves the buffer.
    #[track_caller]
    pub fn slice(&self, offset: u64, len: u64) -> Buffer {
        assert!(offset + len <= self.len, "buffer slice: {offset}+{len} leaves a buffer of {} bytes", self.len);
        Buffer { raw: self.raw.clone(), offset: self.offset + offset, len }
    }

    /// Bytes from the start of the memory that this is a part of.
    pub fn start(&self) -> u64 {
        self.offset
    }

    /// All of the memory that this is a part of.
    pub fn memory(&self) -> Buffer {
        Buffer { raw: self.raw.clone(), offset: 0, len: self.raw.len }
    }

    /// Whether both are parts of the same memory.
    pub fn shares(&self, other: &Buffer) -> bool {
        Arc::ptr_eq(&self.raw, &other.raw)
    }
}

#[derive(Debug)]
pub(super) struct Raw {
    pub buffer: wgpu::Buffer,
    pub id: u64,
    pub capacity: u64,
    /// The batch of commands that used it last: an upload must not overtake commands not yet submitted.
    pub used: AtomicU64,
    /// Bytes that were asked for.
    pub len: u64,
    /// The driver refused the memory: nothing may touch it.
    pub refused: bool,
    pub failure: Failure,
    /// Guard mode: the tail was looked at since the memory came back.
    seen: bool,
    pool: Weak<Pool>,
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.give_back(self);
        }
    }
}

#[derive(Debug)]
struct Free {
    buffer: wgpu::Buffer,
    id: u64,
    used: u64,
}

#[derive(Debug, Default)]
struct Books {
    free: HashMap<u64, Vec<Free>>,
    memory: Memory,
    next_id: u64,
    /// Guard mode only: everything alive, to look at the tails.
    alive: Vec<Weak<Raw>>,
    /// Guard mode only: what was given back since the last look, oldest first; its tails are looked at before it is
    /// used again. With each its size class.
    unseen: VecDeque<(u64, Free)>,
}

/// Bytes of device memory, in whole size classes.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Memory {
    /// In use by tensors now.
    pub live: u64,
    /// The most ever in use at once since the start or [`Gpu::reset_peak`](super::Gpu::reset_peak).
    pub peak: u64,
    /// Allocated from the driver, in use or kept for reuse.
    pub reserved: u64,
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    books: Mutex<Books>,
    pub guard: bool,
}

/// Size class of an allocation: four steps to each power of two, so at most a quarter is wasted.
pub(super) fn class(bytes: u64) -> u64 {
    let bytes = bytes.max(256);
    let step = (bytes.next_power_of_two() / 8).max(256);
    bytes.div_ceil(step) * step
}

impl Books {
    fn keep(&mut self, capacity: u64, free: Free) {
        self.free.entry(capacity).or_default().push(free);
    }
}

impl Pool {
    pub fn new(guard: bool) -> Arc<Self> {
        Arc::new(Pool { guard, ..Default::default() })
    }

    /// A buffer of at least `bytes`; `make` allocates from the driver, or says why it could not.
    pub fn take(self: &Arc<Self>, bytes: u64, make: impl FnOnce(u64) -> (wgpu::Buffer, Option<Error>)) -> Buffer {
        let capacity = class(bytes + if self.guard { GUARD_BYTES } else { 0 });
        let mut books = self.books.lock().expect("pool lock");
        let free = books.free.get_mut(&capacity).and_then(Vec::pop);
        let (free, error) = match free {
            Some(free) => (free, None),
            None => {
                drop(books); // the driver may take its time, and other threads may free meanwhile
                let (buffer, error) = make(capacity);
                books = self.books.lock().expect("pool lock");
                books.next_id += 1;
                if error.is_none() {
                    books.memory.reserved += capacity;
                }
                (Free { buffer, id: books.next_id, used: 0 }, error)
            }
        };
        if error.is_none() {
            books.memory.live += capacity;
            books.memory.peak = books.memory.peak.max(books.memory.live);
        }
        let Free { buffer, id, used } = free;
        let (refused, failure) = (error.is_some(), Failure::default());
        if let Some(error) = &error {
            failure.set(error);
        }
        let (used, pool) = (AtomicU64::new(used), Arc::downgrade(self));
        let raw = Arc::new(Raw { buffer, id, capacity, len: bytes, used, refused, failure, seen: false, pool });
        Buffer { raw, offset: 0, len: bytes }
    }

    /// Guard mode: from now on the tail of `buffer` is looked at. Only once it is poisoned: other threads look too.
    pub fn watch(&self, buffer: &Buffer) {
        let mut books = self.books.lock().expect("pool lock");
        books.alive.retain(|w| w.strong_count() > 0);
        books.alive.push(Arc::downgrade(&buffer.raw));
    }

    fn give_back(&self, raw: &Raw) {
        if raw.refused {
            return;
        }
        let free = Free { buffer: raw.buffer.clone(), id: raw.id, used: raw.used.load(Ordering::Relaxed) };
        let mut books = self.books.lock().expect("pool lock");
        books.memory.live -= raw.capacity;
        if !self.guard || raw.seen {
            return books.keep(raw.capacity, free);
        }
        books.unseen.push_back((raw.capacity, free));
        let mut waiting: u64 = books.unseen.iter().map(|(capacity, _)| capacity).sum();
        while waiting > UNSEEN_BYTES {
            let (capacity, oldest) = books.unseen.pop_front().expect("more than nothing waits");
            waiting -= capacity;
            books.keep(capacity, oldest);
        }
    }

    pub fn memory(&self) -> Memory {
        self.books.lock().expect("pool lock").memory
    }

    /// Sets the high-water mark to `bytes`, or to what is live where that is more.
    pub fn set_peak(&self, bytes: u64) {
        let mut books = self.books.lock().expect("pool lock");
        books.memory.peak = books.memory.live.max(bytes);
    }

    /// Gives unused buffers back to the driver.
    pub fn trim(&self) {
        let mut books = self.books.lock().expect("pool lock");
        let freed: u64 = books.free.iter().map(|(class, list)| class * list.len() as u64).sum();
        books.free.clear();
        books.memory.reserved -= freed;
    }

    /// Guard mode: every buffer alive, and those given back since the last look, which may then be used again.
    pub fn to_look_at(self: &Arc<Self>) -> Vec<Arc<Raw>> {
        let mut books = self.books.lock().expect("pool lock");
        let mut list: Vec<Arc<Raw>> = books.alive.iter().filter_map(Weak::upgrade).collect();
        for (capacity, Free { buffer, id, used }) in std::mem::take(&mut books.unseen) {
            books.memory.live += capacity;
            list.push(Arc::new(Raw {
                buffer,
                id,
                capacity,
                used: AtomicU64::new(used),
                len: capacity,
                refused: false,
                failure: Failure::default(),
                seen: true,
                pool: Arc::downgrade(self),
            }));
        }
        list
    }
}
