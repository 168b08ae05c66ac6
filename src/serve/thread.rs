//! A thread that takes what it is handed, from a queue that is bounded and can be closed.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

/// The near end of the queue.
#[derive(Debug)]
pub struct Thread<T> {
    /// Gone once it is closed.
    send: Mutex<Option<SyncSender<T>>>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl<T: Send + 'static> Thread<T> {
    /// `work` runs until the queue is closed and empty. Where no thread can be started, the queue is closed from the start.
    pub fn start(name: &str, queue: usize, work: impl FnOnce(&Receiver<T>) + Send + 'static) -> Thread<T> {
        let (send, receive) = sync_channel(queue);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || work(&receive));
        Thread { send: Mutex::new(Some(send)), handle: Mutex::new(thread.ok()) }
    }

    /// Never waits: a full or closed queue gives it back.
    pub fn hand(&self, what: T) -> Result<(), TrySendError<T>> {
        let send = self.send.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match send {
            Some(send) => send.try_send(what),
            None => Err(TrySendError::Disconnected(what)),
        }
    }

    /// Takes no more, finishes what waits, and ends the thread.
    pub fn close(&self) {
        self.send.lock().unwrap_or_else(PoisonError::into_inner).take();
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            drop(handle.join());
        }
    }
}
