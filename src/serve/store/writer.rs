//! One thread writes. What waits together is committed together: one fsync for all of it, and then the answers.

use super::compact;
use super::rows::{self, Event, Facts};
use super::{EVENTS, FORGOTTEN, ITEMS, KEYS, META, Moved, STATES, Store, of_redb, open};
use crate::error::{Error, Result};
use crate::serve::thread::Thread;
use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TrySendError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Writes that may wait, and that one commit takes together.
const QUEUE: usize = 4096;
const TOGETHER: usize = 1024;

/// What came of a write.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Written {
    /// Of events: those that a key had brought before. Of a user: the events that are gone. Of a compaction: bytes left.
    pub count: u64,
}

/// Why nothing was written.
#[derive(Debug, Clone)]
pub enum Unwritten {
    /// More writes wait than the queue holds.
    Busy,
    /// The server shuts down.
    Closed,
    /// The disk is full.
    Full,
    Failed(Error),
}

impl From<Error> for Unwritten {
    fn from(error: Error) -> Unwritten {
        Unwritten::Failed(error)
    }
}

pub(super) fn unwritten(path: &Path, error: &redb::Error) -> Unwritten {
    match error {
        redb::Error::Io(e) if e.kind() == std::io::ErrorKind::StorageFull => Unwritten::Full,
        other => Unwritten::Failed(of_redb(path, other)),
    }
}

pub(super) type Outcome<T> = std::result::Result<T, Unwritten>;

#[derive(Debug)]
enum What {
    Events(Vec<Event>),
    States(Vec<Moved>),
    Item(String, Facts),
    Forget { user: String, in_model: bool },
    Compact,
}

#[derive(Debug)]
struct Write {
    what: What,
    reply: Option<oneshot::Sender<Outcome<Written>>>,
}

/// Where writes are handed in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Writer {
    thread: Arc<Thread<Write>>,
}

/// How one commit went: writes taken together, and the time it took.
pub type Watch = Box<dyn Fn(usize, Duration) + Send>;

impl Writer {
    /// Starts the thread. After a user was forgotten it compacts within `compact_after`.
    pub fn start(store: Arc<Store>, compact_after: Duration, watch: Watch) -> Writer {
        let mut worker = Worker { store, watch, compact_after, compact_at: None };
        worker.compact_at = worker.dirty().then(Instant::now);
        Writer { thread: Arc::new(Thread::start("store", QUEUE, move |receive| worker.run(receive))) }
    }

    async fn write(&self, what: What) -> Outcome<Written> {
        let (reply, answer) = oneshot::channel();
        self.send(Write { what, reply: Some(reply) })?;
        answer.await.unwrap_or(Err(Unwritten::Closed))
    }

    fn send(&self, write: Write) -> Outcome<()> {
        self.thread.hand(write).map_err(|e| match e {
            TrySendError::Full(_) => Unwritten::Busy,
            TrySendError::Disconnected(_) => Unwritten::Closed,
        })
    }

    /// Stores events for good; how many of them had come before.
    ///
    /// # Errors
    /// When they are not stored: all of them or none.
    pub async fn events(&self, events: Vec<Event>) -> Outcome<Written> {
        self.write(What::Events(events)).await
    }

    /// Stores states when there is time. They can be computed again.
    pub fn states(&self, states: Vec<Moved>) {
        drop(self.send(Write { what: What::States(states), reply: None }));
    }

    /// # Errors
    /// When it is not stored.
    pub async fn item(&self, name: String, facts: Facts) -> Outcome<Written> {
        self.write(What::Item(name, facts)).await
    }

    /// Removes all that there is of `user`. `in_model`: the model's own data have a history, too, not to be used any more.
    ///
    /// # Errors
    /// When nothing was removed.
    pub async fn forget(&self, user: String, in_model: bool) -> Outcome<Written> {
        self.write(What::Forget { user, in_model }).await
    }

    /// Writes the file anew with what is in use alone.
    ///
    /// # Errors
    /// When it stays as it is.
    pub async fn compact(&self) -> Outcome<Written> {
        self.write(What::Compact).await
    }

    /// Takes no more, finishes what waits, and ends the thread.
    pub fn close(&self) {
        self.thread.close();
    }
}

struct Worker {
    store: Arc<Store>,
    watch: Watch,
    compact_after: Duration,
    compact_at: Option<Instant>,
}

impl Worker {
    fn run(&mut self, receive: &Receiver<Write>) {
        loop {
            drop(self.compact_if_due());
            let patience = self.compact_at.map_or(Duration::from_secs(3600), |at| at - at.min(Instant::now()));
            match receive.recv_timeout(patience) {
                Ok(first) => self.commit(first, receive),
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn commit(&mut self, first: Write, receive: &Receiver<Write>) {
        let mut writes = vec![first];
        while writes.len() < TOGETHER {
            let Ok(next) = receive.try_recv() else { break };
            writes.push(next);
        }
        let started = Instant::now();
        let (compactions, writes): (Vec<_>, Vec<_>) = writes.into_iter().partition(|w| matches!(w.what, What::Compact));
        if !writes.is_empty() {
            let outcome = self.together(&writes);
            (self.watch)(writes.len(), started.elapsed());
            let each = |n: usize| outcome.as_ref().map(|counts| counts[n]).map_err(Clone::clone);
            for (n, write) in writes.into_iter().enumerate() {
                if let Some(reply) = write.reply {
                    drop(reply.send(each(n))); // who asked may be gone
                }
            }
        }
        if compactions.is_empty() {
            return;
        }
        let outcome = self.compact();
        for reply in compactions.into_iter().filter_map(|c| c.reply) {
            drop(reply.send(outcome.clone()));
        }
    }

    /// All of `writes` in one transaction.
    fn together(&mut self, writes: &[Write]) -> Outcome<Vec<Written>> {
        let store = self.store.clone();
        let path = store.path.clone();
        let outcome = {
            let db = match store.db() {
                Ok(db) => db,
                Err(_) => {
                    self.open_again()?;
                    store.db()?
                }
            };
            let transact = || -> std::result::Result<Vec<Written>, redb::Error> {
                let txn = db.get().begin_write()?;
                let counts = write_all(&txn, &store, writes)?;
                txn.commit()?;
                Ok(counts)
            };
            transact()
        };
        if outcome.is_ok() && writes.iter().any(|w| matches!(w.what, What::Forget { .. })) {
            self.compact_at.get_or_insert_with(|| Instant::now() + self.compact_after);
        }
        outcome.map_err(|e| {
            tracing::error!("the store refused a write: {}", of_redb(&path, &e));
            // After an error of the disk redb takes nothing more until the file is opened again.
            if let Err(error) = self.open_again() {
                tracing::error!("{error}");
            }
            unwritten(&path, &e)
        })
    }

    fn open_again(&self) -> Result<()> {
        let mut db = self.store.db.write().unwrap_or_else(PoisonError::into_inner);
        *db = None;
        *db = Some(open(&self.store.path, false)?); // it was checked when the server started
        Ok(())
    }

    /// Whether a user was forgotten whose bytes may still be in the file.
    fn dirty(&self) -> bool {
        let look = |db: &Database| -> std::result::Result<bool, redb::Error> {
            Ok(db.begin_read()?.open_table(META)?.get("dirty")?.is_some())
        };
        self.store.db().is_ok_and(|db| look(db.get()).unwrap_or(false))
    }

    fn compact_if_due(&mut self) -> Outcome<()> {
        match self.compact_at.is_some_and(|at| at <= Instant::now()) {
            true => self.compact().map(drop),
            false => Ok(()),
        }
    }

    fn compact(&mut self) -> Outcome<Written> {
        match compact::rewrite(&self.store) {
            Ok(bytes) => {
                self.compact_at = None;
                tracing::info!(bytes, "store compacted");
                Ok(Written { count: bytes })
            }
            Err(error) => {
                self.compact_at = self.compact_at.map(|_| Instant::now() + Duration::from_secs(60));
                tracing::error!("the store was not compacted: {error:?}");
                Err(error)
            }
        }
    }
}

fn write_all(
    txn: &WriteTransaction,
    store: &Store,
    writes: &[Write],
) -> std::result::Result<Vec<Written>, redb::Error> {
    let mut counts = Vec::with_capacity(writes.len());
    let mut meta = txn.open_table(META)?;
    let stored = meta.get("number")?.and_then(|v| v.value().try_into().ok()).map(u64::from_le_bytes);
    let mut number = stored.unwrap_or(0);
    let mut tables = Tables {
        events: txn.open_table(EVENTS)?,
        keys: txn.open_table(KEYS)?,
        states: txn.open_table(STATES)?,
        forgotten: txn.open_table(FORGOTTEN)?,
        items: txn.open_table(ITEMS)?,
    };
    for write in writes {
        let count = match &write.what {
            What::Events(events) => tables.add(events, &mut number)?,
            What::States(states) => tables.keep(states)?,
            What::Item(name, facts) => {
                let facts = serde_json::to_vec(facts).map_err(|e| redb::Error::Corrupted(e.to_string()))?;
                tables.items.insert(name.as_str(), facts.as_slice())?;
                0
            }
            What::Forget { user, in_model } => {
                meta.insert("dirty", [1].as_slice())?;
                tables.forget(user, store.hash(user), *in_model)?
            }
            What::Compact => 0,
        };
        counts.push(Written { count });
    }
    meta.insert("number", number.to_le_bytes().as_slice())?;
    Ok(counts)
}

type Table<'txn> = redb::Table<'txn, &'static [u8], &'static [u8]>;

struct Tables<'txn> {
    events: Table<'txn>,
    keys: Table<'txn>,
    states: Table<'txn>,
    forgotten: Table<'txn>,
    items: redb::Table<'txn, &'static str, &'static [u8]>,
}

impl Tables<'_> {
    /// How many had come before.
    fn add(&mut self, events: &[Event], number: &mut u64) -> std::result::Result<u64, redb::Error> {
        let mut known = 0;
        for event in events {
            let user = rows::prefix(&event.user);
            if let Some(key) = &event.key {
                let key = [&user, key.as_bytes()].concat();
                if self.keys.insert(key.as_slice(), [].as_slice())?.is_some() {
                    known += 1;
                    continue;
                }
            }
            *number += 1;
            let key = rows::event_key(&event.user, event.time, *number);
            self.events.insert(key.as_slice(), rows::event_value(event).as_slice())?;
        }
        Ok(known)
    }

    /// States whose last event is still there: its user was not forgotten meanwhile.
    fn keep(&mut self, states: &[Moved]) -> std::result::Result<u64, redb::Error> {
        for Moved { user, last, state } in states {
            if self.events.get(last.as_slice())?.is_some() {
                self.states.insert(rows::prefix(user).as_slice(), rows::state_value(state).as_slice())?;
            }
        }
        Ok(0)
    }

    fn forget(&mut self, user: &str, mark: [u8; 32], in_model: bool) -> std::result::Result<u64, redb::Error> {
        let (from, to) = (rows::prefix(user), rows::end(user));
        let mut gone = 0;
        self.events.retain_in(from.as_slice()..to.as_slice(), |_, _| {
            gone += 1;
            false
        })?;
        self.keys.retain_in(from.as_slice()..to.as_slice(), |_, _| false)?;
        self.states.remove(from.as_slice())?;
        // A later model may have learned of events that are gone here.
        if in_model || gone > 0 {
            self.forgotten.insert(mark.as_slice(), [].as_slice())?;
        }
        Ok(gone)
    }
}
