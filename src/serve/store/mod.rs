//! Users' histories on disk, in one [redb](https://www.redb.org) file: what was answered for is there after any kill.
//!
//! | table | key | value |
//! |---|---|---|
//! | `events` | user, time, number of arrival | item, rating, place |
//! | `keys` | user, key of the event | nothing: that it came |
//! | `states` | user | the GRU's state, and how many events it covers |
//! | `items` | name | what is known of an item that training never saw |
//! | `forgotten` | keyed hash of a user of the model's own data, whose history there is not to be used | nothing |
//! | `meta` | `schema`, `model`, `number`, `secret`, `salt`, `dirty` | |

mod compact;
mod learn;
mod rows;
mod writer;

pub use learn::is_store;
pub use rows::{Event, Facts, State};
pub use writer::{Unwritten, Writer, Written};

use crate::error::{Error, Result};
use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{RwLock, RwLockReadGuard};

type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const EVENTS: Bytes = TableDefinition::new("events");
const KEYS: Bytes = TableDefinition::new("keys");
const STATES: Bytes = TableDefinition::new("states");
const ITEMS: TableDefinition<&str, &[u8]> = TableDefinition::new("items");
const FORGOTTEN: Bytes = TableDefinition::new("forgotten");

/// Version of the tables.
const SCHEMA: u32 = 1;
/// Memory for pages that were read.
const CACHE_BYTES: usize = 2 << 20;

/// The open store. Reading is for any thread; [`Writer`] writes.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// `None` for the moment in which a file that failed is opened again.
    db: RwLock<Option<Database>>,
    /// For the hashes of users who were forgotten.
    secret: [u8; 32],
}

/// A state to be kept, and the last event of its user that the store had when it was computed.
#[derive(Debug)]
pub struct Moved {
    pub user: String,
    pub last: Vec<u8>,
    pub state: State,
}

/// All that the store has of a user.
#[derive(Debug, Default)]
pub struct Kept {
    /// Oldest first.
    pub events: Vec<Event>,
    pub state: Option<State>,
    /// The key of the last event.
    pub last: Vec<u8>,
    /// What the model's own data have of the user is not to be used.
    pub forgotten: bool,
}

impl Store {
    /// Opens `path`, or makes it where there is nothing. `salt` is a mark of the salt under which users are stored.
    ///
    /// # Errors
    /// When it is in use, no store, damaged, of another version or of another salt.
    pub fn open(path: &Path, salt: &[u8; 32]) -> Result<Store> {
        let db = open(path, true)?;
        let secret = settle(&db, Some(salt), path)?;
        Ok(Store { path: itself(path)?, db: RwLock::new(Some(db)), secret })
    }

    /// Opens the store `path` for [`Store::each_event`]: users have the names that it has for them. `None` for whatever salt.
    ///
    /// # Errors
    /// When it is not there, in use, no store, damaged, of another version or of another salt.
    pub fn open_to_read(path: &Path, salt: Option<&[u8; 32]>) -> Result<Store> {
        std::fs::metadata(path).map_err(|e| Error::file(path, &e))?;
        let db = open(path, true)?;
        let secret = settle(&db, salt, path)?;
        Ok(Store { path: itself(path)?, db: RwLock::new(Some(db)), secret })
    }

    /// Whether its users are hashes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn is_salted(&self) -> Result<bool> {
        let db = self.db()?;
        let read = || -> std::result::Result<bool, redb::Error> {
            let salt = db.get().begin_read()?.open_table(META)?.get("salt")?;
            Ok(salt.is_some_and(|salt| salt.value().iter().any(|byte| *byte != 0)))
        };
        read().map_err(|e| of_redb(&self.path, &e))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn db(&self) -> Result<Reading<'_>> {
        let guard = self.db.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        match guard.is_some() {
            true => Ok(Reading(guard)),
            false => Err(Error::format(&self.path, "the store could not be opened again after an error; see the log")),
        }
    }

    fn hash(&self, user: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.secret, user.as_bytes()).as_bytes()
    }

    /// What there is of `user`; of a history that is longer than `most` the newest events.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn user(&self, user: &str, most: usize) -> Result<Kept> {
        let db = self.db()?;
        let read = || -> std::result::Result<Kept, redb::Error> {
            let txn = db.get().begin_read()?;
            let (from, to) = (rows::prefix(user), rows::end(user));
            let (mut events, mut last) = (Vec::new(), Vec::new());
            for entry in txn.open_table(EVENTS)?.range(from.as_slice()..to.as_slice())?.rev().take(most) {
                let (key, value) = entry?;
                if last.is_empty() {
                    last = key.value().to_vec();
                }
                let event = rows::read_event(key.value(), value.value());
                events.push(event.ok_or_else(|| StorageError::Corrupted("an event".into()))?);
            }
            events.reverse();
            let state = txn.open_table(STATES)?.get(from.as_slice())?.and_then(|v| rows::read_state(v.value()));
            let forgotten = txn.open_table(FORGOTTEN)?.get(self.hash(user).as_slice())?.is_some();
            Ok(Kept { events, state, last, forgotten })
        };
        read().map_err(|e| of_redb(&self.path, &e))
    }

    /// Items that training never saw, by name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn items(&self) -> Result<Vec<(String, Facts)>> {
        let db = self.db()?;
        let read = || -> std::result::Result<Vec<(String, Facts)>, redb::Error> {
            let mut list = Vec::new();
            for entry in db.get().begin_read()?.open_table(ITEMS)?.iter()? {
                let (name, value) = entry?;
                let facts = serde_json::from_slice(value.value());
                list.push((name.value().to_string(), facts.map_err(|e| StorageError::Corrupted(e.to_string()))?));
            }
            Ok(list)
        };
        read().map_err(|e| of_redb(&self.path, &e))
    }

    /// Every event, by user and then by time.
    ///
    /// # Errors
    /// When the file cannot be read, or with what `each` returns.
    pub fn each_event(&self, mut each: impl FnMut(Event) -> Result<()>) -> Result<()> {
        let db = self.db()?;
        let failed = |e: redb::Error| of_redb(&self.path, &e);
        let table = || -> std::result::Result<_, redb::Error> { Ok(db.get().begin_read()?.open_table(EVENTS)?) };
        let table = table().map_err(failed)?;
        for entry in table.iter().map_err(|e| failed(e.into()))? {
            let (key, value) = entry.map_err(|e| failed(e.into()))?;
            let event = rows::read_event(key.value(), value.value());
            each(event.ok_or_else(|| failed(StorageError::Corrupted("an event".into()).into()))?)?;
        }
        Ok(())
    }

    /// Notes which model the store is used with.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_model(&self, model: &str) -> Result<()> {
        let db = self.db()?;
        let write = || -> std::result::Result<(), redb::Error> {
            let txn = db.get().begin_write()?;
            txn.open_table(META)?.insert("model", model.as_bytes())?;
            txn.commit()?;
            Ok(())
        };
        write().map_err(|e| of_redb(&self.path, &e))
    }
}

/// A database that is there while this lives.
struct Reading<'a>(RwLockReadGuard<'a, Option<Database>>);

impl Reading<'_> {
    fn get(&self) -> &Database {
        self.0.as_ref().expect("looked at when it was made")
    }
}

/// Opens the file; `check` looks at every page of it.
fn open(path: &Path, check: bool) -> Result<Database> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(check);
    match catch_unwind(AssertUnwindSafe(|| builder.create(path))) {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(e)) => Err(of_open(path, e)),
        Err(_) => Err(damaged(path, "its pages make no sense")),
    }
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::format(
        path,
        format!("the store is damaged: {what}; it was left as it is: restore a copy, or start a new one"),
    )
}

fn of_open(path: &Path, error: DatabaseError) -> Error {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            Error::format(path, "the store is in use by another process; stop that one, or choose another file")
        }
        DatabaseError::UpgradeRequired(_) => Error::format(path, "not a store of this program's version"),
        DatabaseError::Storage(StorageError::Io(e)) if e.kind() == std::io::ErrorKind::InvalidData => {
            Error::format(path, "not a store: some other file; choose another name")
        }
        other => of_redb(path, &other.into()),
    }
}

fn of_redb(path: &Path, error: &redb::Error) -> Error {
    match error {
        redb::Error::Io(e) => Error::file(path, e),
        redb::Error::Corrupted(what) => damaged(path, what),
        redb::Error::PreviousIo => Error::file(path, &std::io::Error::other("an earlier write failed")),
        redb::Error::TableTypeMismatch { .. } | redb::Error::TableDoesNotExist(_) => {
            Error::format(path, "not a store: a database of another program")
        }
        other => Error::format(path, format!("the store failed: {other}")),
    }
}

/// Makes the tables of a new file, or checks those of an old one; returns its secret. Without a salt any will do.
fn settle(db: &Database, salt: Option<&[u8; 32]>, path: &Path) -> Result<[u8; 32]> {
    let mut fresh = [0; 32];
    getrandom::fill(&mut fresh).map_err(|e| Error::file(path, &std::io::Error::other(e.to_string())))?;
    let look = || -> std::result::Result<Option<Vec<Vec<u8>>>, redb::Error> {
        let txn = db.begin_read()?;
        let mut found = Vec::new();
        if txn.list_tables()?.next().is_none() {
            return Ok(None);
        }
        let meta = txn.open_table(META)?;
        for name in ["schema", "salt", "secret"] {
            found.push(meta.get(name)?.map(|v| v.value().to_vec()).unwrap_or_default());
        }
        for table in [EVENTS, KEYS, STATES, FORGOTTEN] {
            txn.open_table(table)?;
        }
        txn.open_table(ITEMS)?;
        Ok(Some(found))
    };
    let make = || -> std::result::Result<(), redb::Error> {
        let txn = db.begin_write()?;
        {
            let mut meta = txn.open_table(META)?;
            meta.insert("schema", SCHEMA.to_le_bytes().as_slice())?;
            meta.insert("salt", salt.unwrap_or(&[0; 32]).as_slice())?;
            meta.insert("secret", fresh.as_slice())?;
            for table in [EVENTS, KEYS, STATES, FORGOTTEN] {
                txn.open_table(table)?;
            }
            txn.open_table(ITEMS)?;
        }
        txn.commit()?;
        Ok(())
    };
    let failed = |e: redb::Error| of_redb(path, &e);
    let Some(found) = look().map_err(failed)? else {
        make().map_err(failed)?;
        return Ok(fresh);
    };
    let [schema, marked, secret] = &found[..] else { unreachable!("three were asked for") };
    if *schema != SCHEMA.to_le_bytes() {
        let message = format!("a store of another version of this program, which reads version {SCHEMA}");
        return Err(Error::format(path, message));
    }
    if salt.is_some_and(|salt| marked != salt) {
        let message = "its users are stored under another salt (or none): give the --salt-file that it was made with";
        return Err(Error::format(path, message));
    }
    secret.as_slice().try_into().map_err(|_| damaged(path, "it has no secret"))
}

/// The file that a link leads to: compaction puts a new one in its place, not in that of the link.
fn itself(path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).map_err(|e| Error::file(path, &e))
}
