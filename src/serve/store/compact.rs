//! Free pages of the file keep what was in them until they are used again: what was forgotten is gone once the file is
//! written anew.

use super::writer::{Outcome, unwritten};
use super::{EVENTS, FORGOTTEN, ITEMS, KEYS, META, STATES, Store, open};
use crate::error::{Error, Result};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use std::path::Path;
use std::sync::PoisonError;

/// Copies what is in use to a new file and puts that in place of the old one; how many bytes it has. Nobody may write
/// meanwhile.
pub(super) fn rewrite(store: &Store) -> Outcome<u64> {
    let path = &store.path;
    let beside = path.with_added_extension("compacting");
    let done = copy_to(store, &beside).and_then(|fresh| {
        let mode = std::fs::metadata(path).map_err(|e| Error::file(path, &e))?.permissions();
        std::fs::set_permissions(&beside, mode).map_err(|e| Error::file(&beside, &e))?;
        let mut db = store.db.write().unwrap_or_else(PoisonError::into_inner);
        std::fs::rename(&beside, path).map_err(|e| Error::file(path, &e))?;
        *db = Some(fresh);
        drop(db);
        Ok(sync_folder(path)?)
    });
    if done.is_err() {
        drop(std::fs::remove_file(&beside));
    }
    done.map(|()| std::fs::metadata(path).map_or(0, |m| m.len()))
}

fn copy_to(store: &Store, beside: &Path) -> Outcome<Database> {
    drop(std::fs::remove_file(beside)); // of a compaction that a kill ended
    let old = store.db()?;
    let new = open(beside, false)?;
    let copy = || -> std::result::Result<(), redb::Error> {
        let from = old.get().begin_read()?;
        let txn = new.begin_write()?;
        for table in [EVENTS, KEYS, STATES, FORGOTTEN] {
            copy_table(&from, &txn, table)?;
        }
        copy_table(&from, &txn, ITEMS)?;
        copy_table(&from, &txn, META)?;
        txn.open_table(META)?.remove("dirty")?;
        txn.commit()?;
        Ok(())
    };
    copy().map_err(|e| unwritten(beside, &e))?;
    Ok(new)
}

fn copy_table<K: redb::Key + 'static, V: redb::Value + 'static>(
    from: &redb::ReadTransaction,
    to: &WriteTransaction,
    table: TableDefinition<K, V>,
) -> std::result::Result<(), redb::Error> {
    let mut new = to.open_table(table)?;
    for entry in from.open_table(table)?.iter()? {
        let (key, value) = entry?;
        new.insert(key.value(), value.value())?;
    }
    Ok(())
}

/// A renamed file is safe once its folder is.
fn sync_folder(path: &Path) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match cfg!(unix) {
        true => std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::file(folder, &e)),
        false => Ok(()),
    }
}
