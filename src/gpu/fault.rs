//! What goes wrong on the device, caught where it happens: wgpu's error scopes, and a `poll` that does not panic.

use super::Gpu;
use crate::error::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest time that one batch may take before the device counts as hung.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// The first error since it was last taken. A lost device stays lost.
#[derive(Default)]
pub(super) struct Fault {
    first: Mutex<Option<Error>>,
    lost: AtomicBool,
}

impl Fault {
    pub fn set(&self, error: Error) {
        if matches!(error, Error::DeviceLost(_)) {
            self.lost.store(true, Ordering::SeqCst);
        }
        self.first.lock().expect("fault lock").get_or_insert(error);
    }

    pub fn take(&self) -> Result<()> {
        let taken = self.first.lock().expect("fault lock").take();
        match (taken, self.loss()) {
            (Some(error @ Error::DeviceLost(_)), _) | (_, Some(error)) | (Some(error), None) => Err(error),
            (None, None) => Ok(()),
        }
    }

    /// The error of everything that is asked of a lost device.
    pub fn loss(&self) -> Option<Error> {
        let lost = self.lost.load(Ordering::SeqCst);
        lost.then(|| Error::DeviceLost("it was lost before; open another and upload again".into()))
    }
}

/// Why a buffer does not hold what was to be computed into it, if so: whoever reads it is told, however late.
#[derive(Debug, Default)]
pub(super) struct Failure {
    is: AtomicBool,
    why: Mutex<Option<Error>>,
}

impl Failure {
    pub fn get(&self) -> Option<Error> {
        match self.is.load(Ordering::Acquire) {
            true => self.why.lock().expect("failure lock").clone(),
            false => None,
        }
    }

    pub fn set(&self, error: &Error) {
        self.why.lock().expect("failure lock").get_or_insert_with(|| error.clone());
        self.is.store(true, Ordering::Release);
    }

    pub fn clear(&self) {
        if self.is.swap(false, Ordering::AcqRel) {
            *self.why.lock().expect("failure lock") = None;
        }
    }
}

impl From<wgpu::Error> for Error {
    fn from(e: wgpu::Error) -> Self {
        match e {
            wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory("the driver refused an allocation".into()),
            wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
                Error::Gpu(description)
            }
        }
    }
}

/// Runs `work` and returns the first error that wgpu reports meanwhile.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn guarded<T>(device: &wgpu::Device, work: impl FnOnce() -> T) -> (T, Option<Error>) {
    let scope = |filter| device.push_error_scope(filter);
    let memory = scope(wgpu::ErrorFilter::OutOfMemory);
    let internal = scope(wgpu::ErrorFilter::Internal);
    let validation = scope(wgpu::ErrorFilter::Validation);
    let value = work();
    let mut first = None;
    for scope in [validation, internal, memory] {
        first = first.or(pollster::block_on(scope.pop()));
    }
    (value, first.map(Error::from))
}

/// In a browser a scope answers through a promise, which a blocked thread never sees: errors come out of the device's
/// handler of uncaptured errors instead.
#[cfg(target_arch = "wasm32")]
pub(super) fn guarded<T>(_device: &wgpu::Device, work: impl FnOnce() -> T) -> (T, Option<Error>) {
    (work(), None)
}

impl Gpu {
    /// [`guarded`] on this device. Whatever a lost device complains of, the loss is the reason.
    pub(super) fn guarded<T>(&self, work: impl FnOnce() -> T) -> (T, Option<Error>) {
        let (value, error) = guarded(&self.inner.device, work);
        (value, error.map(|error| self.loss().unwrap_or(error)))
    }

    /// Asks the device with an empty submission whether it is lost: a host that owns it may be the only one told.
    pub(super) fn loss(&self) -> Option<Error> {
        if self.inner.fault.loss().is_none() {
            let (index, error) = guarded(&self.inner.device, || self.inner.queue.submit([]));
            if error.is_none() {
                self.poll(wgpu::PollType::Wait { submission_index: Some(index), timeout: Some(PATIENCE) });
            }
        }
        self.inner.fault.loss()
    }

    /// Polls the device; `false` where it gave no answer, and is lost from then on.
    pub(super) fn poll(&self, how: wgpu::PollType) -> bool {
        // wgpu panics where the device is lost, or has no memory, while it is polled.
        let polled = catch_unwind(AssertUnwindSafe(|| self.inner.device.poll(how)));
        let why = match polled {
            Ok(Ok(_)) => return true,
            Ok(Err(wgpu::PollError::Timeout)) => "no answer in time: it hangs",
            // Submissions that wgpu reported as refused are not waited for: this one was dropped without a word.
            Ok(Err(_)) => "it takes no more commands",
            Err(_) => "the driver gave up",
        };
        self.inner.fault.set(Error::DeviceLost(format!("{why}; open another and upload again")));
        false
    }
}
