//! Folders that are replaced as a whole: written beside the old one under a hidden name, then put in its place, so that
//! a kill at any moment leaves one that is complete.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What a folder is, and the file that tells it from any other: nothing without that file is replaced or deleted,
/// unless it is empty.
pub(crate) struct Kind {
    pub name: &'static str,
    pub mark: &'static str,
}

impl Kind {
    /// Writes the folder `path` with `fill`, which gets an empty one to fill.
    ///
    /// # Errors
    /// When `path` is something else, or cannot be written; what was there before then stays.
    pub fn replace(&self, path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        self.replaceable(path)?;
        let new = beside(path, "tmp");
        if let Some(parent) = new.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(|e| Error::file(parent, &e))?;
        }
        let written = fresh(&new)
            .and_then(|()| fill(&new))
            .and_then(|()| sync(&new).map_err(|e| Error::file(&new, &e)))
            .and_then(|()| self.put(&new, path));
        if written.is_err() {
            // The first error is the one to tell; half a folder helps nobody, on a full disk least of all.
            let _ = fs::remove_dir_all(&new);
        }
        written
    }

    /// Where the folder is: a kill between the two renames of [`Kind::replace`] leaves it aside.
    pub fn present(&self, path: &Path) -> PathBuf {
        let aside = beside(path, "old");
        if !path.exists() && self.is(&aside) { aside } else { path.into() }
    }

    pub fn is(&self, path: &Path) -> bool {
        path.join(self.mark).is_file()
    }

    /// Deletes `path` if it is such a folder, with what a kill left of writing it.
    pub fn remove(&self, path: &Path) {
        self.discard(path);
        self.discard(&beside(path, "old"));
        let _ = fs::remove_dir_all(beside(path, "tmp"));
    }

    /// # Errors
    /// When `path` is something else than such a folder, an empty one or nothing.
    pub fn replaceable(&self, path: &Path) -> Result<()> {
        if path.file_name().is_none() {
            return Err(Error::format(path, format!("is no name for a {} to write; choose another", self.name)));
        }
        let empty = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        if self.is(path) || !path.exists() || empty() {
            return Ok(());
        }
        Err(Error::format(path, format!("exists and is no {}; it is left alone, choose another name", self.name)))
    }

    fn put(&self, new: &Path, path: &Path) -> Result<()> {
        let fail = |e: std::io::Error| Error::file(path, &e);
        let aside = beside(path, "old");
        if path.exists() {
            // Of an earlier run; `path` is there, so nobody needs it.
            self.discard(&aside);
            fs::rename(path, &aside).map_err(fail)?;
        }
        if let Err(e) = fs::rename(new, path) {
            // Best effort: if this fails too, `present` finds it aside.
            let _ = fs::rename(&aside, path);
            return Err(fail(e));
        }
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_names(parent).map_err(fail)?;
        self.discard(&aside);
        Ok(())
    }

    /// Without the mark it goes only if it is empty. What stays does no harm here, and shows when it is in the way.
    fn discard(&self, aside: &Path) {
        let _ = if self.is(aside) { fs::remove_dir_all(aside) } else { fs::remove_dir(aside) };
    }
}

/// `.name.desirepath-what` beside `path`: on the same disk, so that renaming is one step, and a name that is nobody's.
pub(crate) fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".desirepath-{what}"));
    path.with_file_name(name)
}

/// An empty folder in place of what an earlier run that was killed left under that name.
fn fresh(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::file(folder, &e)),
        _ => {}
    }
    fs::create_dir(folder).map_err(|e| Error::file(folder, &e))
}

/// Everything in `folder` is on the disk before the old one goes: a power cut must not lose both.
fn sync(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => sync(&entry.path())?,
            false => sync_file(&entry.path())?,
        }
    }
    sync_names(folder)
}

/// Windows syncs a file only through a handle that may write, and elsewhere a file may be one that is only for reading.
fn sync_file(path: &Path) -> std::io::Result<()> {
    File::options().read(true).write(cfg!(windows)).open(path)?.sync_all()
}

/// The names in a folder are a file of their own on Unix; elsewhere a folder cannot be opened, nor has to be.
fn sync_names(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
