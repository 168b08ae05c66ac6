//! Serving in real time: one process that takes events as they happen, and answers with recommendations that know them.
//!
//! ```text
//! http ─ routes ─┬─ store: histories on disk; one writer, one fsync for the writes that wait together
//!                └─ engine: one thread owns the device, one batch for the requests that wait together
//!                     home, loaded: the model that is served, and another in its place
//! ```
//! An event is answered for once it is on disk, and every later recommendation reads it from there: nothing else has to
//! be kept. A request holds the [`loaded::Loaded`] model that it began with, so another can take its place at any moment.
//! See `docs/serving.md`.

pub mod access;
mod engine;
mod home;
mod http;
mod inspect;
mod lenient;
pub mod loaded;
mod metrics;
mod refuse;
mod routes;
pub mod salt;
pub mod store;
mod thread;
pub mod wire;

pub use engine::Gather;
pub use home::Open;
#[doc(hidden)]
pub use inspect::inspect_request;
pub use wire::Limits;

use crate::error::{Error, Result};
use crate::train::Checkpoint;
use access::Tokens;
use engine::Engine;
use home::Home;
use metrics::Metrics;
use salt::Salt;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use store::{Store, Writer};
use thread::Thread;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// What to serve and how.
#[derive(Clone)]
pub struct ServeOptions {
    /// Folder of the model.
    pub model: PathBuf,
    /// File of the histories; made where there is none.
    pub store: PathBuf,
    pub listen: SocketAddr,
    pub gather: Gather,
    pub limits: Limits,
    /// Most time for one request.
    pub timeout: Duration,
    pub connections: usize,
    pub token_file: Option<PathBuf>,
    pub salt_file: Option<PathBuf>,
    /// Longest that the bytes of a forgotten user stay in the file.
    pub compact_after: Duration,
    pub open: Open,
}

impl fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeOptions").field("model", &self.model).field("store", &self.store).finish_non_exhaustive()
    }
}

impl ServeOptions {
    /// Defaults, on loopback.
    pub fn new(model: &Path, store: &Path, open: Open) -> ServeOptions {
        ServeOptions {
            model: model.into(),
            store: store.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            gather: Gather { wait: Duration::from_millis(2), batch: 32, queue: 256 },
            limits: Limits::default(),
            timeout: Duration::from_secs(10),
            connections: 1024,
            token_file: None,
            salt_file: None,
            compact_after: Duration::from_secs(60),
            open,
        }
    }
}

/// All that the routes need.
#[derive(Debug)]
pub(crate) struct App {
    limits: Limits,
    timeout: Duration,
    connections: usize,
    tokens: Option<Tokens>,
    salt: Salt,
    store: Arc<Store>,
    writer: Writer,
    engine: Engine,
    /// Opens another device while the engine refuses what was meant for the lost one.
    recovery: Arc<Thread<()>>,
    home: Arc<Home>,
    metrics: Arc<Metrics>,
}

/// A server that is ready: the model is loaded, the store is open and the address is taken.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    runtime: Runtime,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// # Errors
    /// When the address is taken or open to others without tokens, or model, store or device cannot be opened.
    pub fn start(options: &ServeOptions) -> Result<Server> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(|e| Error::file(path, &e));
        let tokens = options.token_file.as_ref().map(|path| {
            let text = String::from_utf8(read(path)?).map_err(|_| Error::format(path, "it is no text"))?;
            Tokens::parse(&text, path)
        });
        let tokens = tokens.transpose()?;
        if tokens.is_none() && !options.listen.ip().is_loopback() {
            let message = format!(
                "--listen {}: others can reach it; give a --token-file, or listen on 127.0.0.1",
                options.listen
            );
            return Err(Error::Config(message));
        }
        let salt = Salt::read(options.salt_file.as_deref())?;
        Checkpoint::open(&options.model)?; // before a store is made for it
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("http").build();
        let no_runtime = |e: std::io::Error| Error::Config(format!("no threads for connections: {e}"));
        let runtime = runtime.map_err(no_runtime)?;
        let taken =
            |e: std::io::Error| Error::Config(format!("--listen {}: {e}; choose another address", options.listen));
        let listener = runtime.block_on(TcpListener::bind(options.listen)).map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        let metrics = Arc::new(Metrics::default());
        let store = Arc::new(Store::open(&options.store, &salt.mark())?);
        let home =
            Home::start(options.model.clone(), options.open.clone(), salt.clone(), store.clone(), metrics.clone())?;
        let home = Arc::new(home);
        let told = metrics.clone();
        let watch = move |writes: usize, took: Duration| {
            told.commits.observe(writes as f64);
            told.commit_seconds.observe(took.as_secs_f64());
        };
        let writer = Writer::start(store.clone(), options.compact_after, Box::new(watch));
        let recovering = home.clone();
        let recovery = Arc::new(Thread::start("recovery", 1, move |asked: &Receiver<()>| {
            asked.iter().for_each(|()| recovering.recover());
        }));
        let (told, other) = (home.clone(), recovery.clone());
        let lost = Box::new(move |failed: &Arc<loaded::Loaded>| {
            if told.lost(failed) {
                let _ = other.hand(()); // where the queue is full, that is still to come
            }
        });
        let engine = Engine::start(options.gather, metrics.clone(), writer.clone(), lost);
        let app = App {
            limits: options.limits,
            timeout: options.timeout,
            connections: options.connections,
            tokens,
            salt,
            store,
            writer,
            engine,
            recovery,
            home,
            metrics,
        };
        Ok(Server { app: Arc::new(app), runtime, listener, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`; then what is under way ends, and what was taken is on disk.
    pub fn run(self, stop: impl Future<Output = ()>) {
        let Server { app, runtime, listener, .. } = self;
        runtime.block_on(async {
            let hangup = tokio::spawn(reload_on_hangup(app.clone()));
            http::serve(app.clone(), listener, stop).await;
            hangup.abort();
        });
        app.home.close();
        app.engine.close();
        app.recovery.close();
        app.writer.close();
        tracing::info!("stopped");
    }
}

/// Ends when the process is asked to: SIGTERM, or Ctrl-C.
pub async fn asked_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => (),
                _ = tokio::signal::ctrl_c() => (),
            }
            return;
        }
    }
    drop(tokio::signal::ctrl_c().await);
}

/// Loads the model again on SIGHUP.
#[cfg(unix)]
async fn reload_on_hangup(app: Arc<App>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        let home = app.home.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || home.reload()).await {
            tracing::error!("not loaded, and the old model serves: {error}");
        }
    }
}

#[cfg(not(unix))]
async fn reload_on_hangup(_app: Arc<App>) {}
