//! The model that is served now: loading it, another in its place, and again after the device was lost.

use super::loaded::{Loaded, Past};
use super::metrics::Metrics;
use super::refuse::Refused;
use super::salt::Salt;
use super::store::{Facts, Store};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::model::Request;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// Opens the device: at the start, and again after it was lost.
pub type Open = Arc<dyn Fn() -> Result<Gpu> + Send + Sync>;

pub struct Home {
    folder: PathBuf,
    open: Open,
    salt: Salt,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    gpu: Mutex<Gpu>,
    /// None while there is no device.
    current: RwLock<Option<Arc<Loaded>>>,
    /// Held by whoever loads a model or adds an item: one after the other.
    changing: Mutex<()>,
    closing: AtomicBool,
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home").finish_non_exhaustive()
    }
}

impl Home {
    pub fn start(folder: PathBuf, open: Open, salt: Salt, store: Arc<Store>, metrics: Arc<Metrics>) -> Result<Home> {
        let gpu = open()?;
        let first = Loaded::open(&folder, &gpu, &salt, &store.items()?)?;
        warm(&first)?;
        store.note_model(&first.id)?;
        Ok(Home {
            folder,
            open,
            salt,
            store,
            metrics,
            gpu: Mutex::new(gpu),
            current: RwLock::new(Some(Arc::new(first))),
            changing: Mutex::new(()),
            closing: AtomicBool::new(false),
        })
    }

    /// What to answer with.
    pub fn current(&self) -> std::result::Result<Arc<Loaded>, Refused> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        current.ok_or_else(|| Refused::unavailable("the device was lost and is being replaced; try again"))
    }

    fn set(&self, loaded: Option<Loaded>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = loaded.map(Arc::new);
    }

    fn device(&self) -> Gpu {
        self.gpu.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Loads the folder anew beside what is served, and serves that. Requests under way end on what they began with.
    ///
    /// # Errors
    /// When it cannot be loaded: what was served stays.
    pub fn reload(&self) -> Result<String> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.load()
    }

    fn load(&self) -> Result<String> {
        let fresh = Loaded::open(&self.folder, &self.device(), &self.salt, &self.store.items()?)?;
        warm(&fresh)?;
        let id = fresh.id.clone();
        self.store.note_model(&id)?;
        self.set(Some(fresh));
        self.metrics.reloads.inc();
        tracing::info!(model = id, "model loaded");
        Ok(id)
    }

    /// Takes an item in that the store has already. Whether it is one that training did not see.
    ///
    /// # Errors
    /// When the device fails.
    pub fn put(&self, name: &str, facts: &Facts) -> Result<bool> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(loaded) = self.current() else { return Ok(true) }; // it comes with the next device
        match loaded.put(name, facts)? {
            Some(new) => Ok(new),
            // No row is free: the catalogue grows while the old one goes on serving.
            None => self.load().map(|_| true),
        }
    }

    /// From now on nobody is answered with `failed`, whose device is lost. Whether that is news.
    pub fn lost(&self, failed: &Arc<Loaded>) -> bool {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let news = current.as_ref().is_some_and(|c| Arc::ptr_eq(c, failed));
        if news {
            *current = None;
            self.metrics.losses.inc();
            tracing::error!("the device is lost; opening another");
        }
        news
    }

    /// Opens another device and loads the model there, however long it takes.
    pub fn recover(&self) {
        const PAUSE: Duration = Duration::from_secs(1);
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.current().is_ok() {
            return; // that has been done
        }
        while !self.closing.load(Ordering::SeqCst) {
            let again = (self.open)().and_then(|gpu| {
                let fresh = Loaded::open(&self.folder, &gpu, &self.salt, &self.store.items()?)?;
                warm(&fresh).map(|()| (gpu, fresh))
            });
            match again {
                Ok((gpu, fresh)) => {
                    *self.gpu.lock().unwrap_or_else(PoisonError::into_inner) = gpu;
                    self.set(Some(fresh));
                    tracing::info!("another device serves");
                    return;
                }
                Err(error) => tracing::error!("no other device yet: {error}"),
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Gives up on a lost device: the server ends.
    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.device().save_cache();
    }
}

/// Computes for nobody, so that the first who asks does not wait for the driver's compiler: which kernels run depends on how
/// many histories there are, and on their length.
fn warm(loaded: &Loaded) -> Result<()> {
    let weights = loaded.model.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((item, _)) = loaded.popular().first() else { return Ok(()) };
    for events in [loaded.config.len, loaded.config.len / 4, 1] {
        let mut past = Past::default();
        (0..events.max(1)).for_each(|_| past.push(*item, 0, None, None));
        for rows in [1, 2, 3, 5, 9, 17] {
            let histories = vec![past.history(Request::default()); rows];
            weights.serving.recommend(&histories, &vec![Vec::new(); rows], 10)?;
        }
        weights.serving.score(&[past.history(Request::default())], &[vec![*item]])?;
    }
    Ok(())
}
