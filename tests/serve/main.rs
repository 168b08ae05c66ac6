//! The server over its own socket: every route, every refusal, and what it does about kills, losses and bad files. Each
//! answer is held against the OpenAPI file.
#![cfg(feature = "cli")]

mod contract;
mod disk;
mod faults;
mod http;
mod kill;
mod limits;
mod page;
mod same;
mod ways;

use desirepath::data::Dataset;
use desirepath::data::city::{City, CityOptions};
use desirepath::eval::Seen;
use desirepath::model::Config;
use desirepath::serve::{Open, ServeOptions, Server};
use desirepath::train::{TrainOptions, Trainer};
use desirepath::{Gpu, Options};
use http::Reply;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Friday evening, after all that the city has seen.
pub const NOW: i64 = 1_800_000_000;

pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open(Options::from_env()).expect("an adapter"))
}

/// A city, and models that learned a little of it: one with every stage, one that is a GRU and user vectors, and one that
/// looks both ways and scores by vectors of its own.
pub struct World {
    folder: tempfile::TempDir,
    pub dataset: Dataset,
}

impl World {
    pub fn whole(&self) -> PathBuf {
        self.folder.path().join("whole")
    }

    pub fn gru(&self) -> PathBuf {
        self.folder.path().join("gru")
    }

    pub fn both_ways(&self) -> PathBuf {
        self.folder.path().join("both-ways")
    }

    pub fn user(&self, n: usize) -> &str {
        &self.dataset.users[n]
    }

    pub fn item(&self, n: usize) -> &str {
        &self.dataset.items[n]
    }
}

pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let dataset = City::generate(&CityOptions { users: 40, places: 30, events: [6, 14], seed: 6 }).dataset;
        let world = World { folder: tempfile::tempdir().expect("a folder"), dataset };
        let small = |config: Config| Config { dim: 16, len: 12, ffn: 2, heads: 2, ..config };
        let gru = Config { user: true, mf: true, time_input: true, ..Config::preset("gru4rec").expect("a preset") };
        let both_ways = Config { tied: false, ..Config::preset("bert4rec").expect("a preset") };
        for (config, out, seen) in [
            (small(Config::default()), world.whole(), Seen::Keep),
            (small(gru), world.gru(), Seen::Filter),
            (small(both_ways), world.both_ways(), Seen::Keep),
        ] {
            let options = TrainOptions { epochs: 2, batch: 16, lr: 5e-3, ..TrainOptions::default() };
            let mut trainer = Trainer::new(gpu(), &world.dataset, &config, &options, seen).expect("settings");
            trainer.run(Some(&out), &mut |_| ()).expect("a training");
        }
        world
    })
}

/// A server of the test's own in this process.
pub struct Live {
    pub address: SocketAddr,
    pub folder: Arc<tempfile::TempDir>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Live {
    pub fn new(model: &Path) -> Live {
        Live::with(model, |_| ())
    }

    pub fn with(model: &Path, change: impl FnOnce(&mut ServeOptions)) -> Live {
        Live::on(Arc::new(tempfile::tempdir().expect("a folder")), model, change)
    }

    /// On the store of an earlier one.
    pub fn on(folder: Arc<tempfile::TempDir>, model: &Path, change: impl FnOnce(&mut ServeOptions)) -> Live {
        let mut options = options(model, &folder.path().join("store"));
        change(&mut options);
        let server = Server::start(&options).expect("it starts");
        let (stop, stopped) = oneshot::channel();
        let address = server.address();
        let thread = std::thread::spawn(move || server.run(async { drop(stopped.await) }));
        Live { address, folder, stop: Some(stop), thread: Some(thread) }
    }

    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub fn get(&self, path: &str) -> Reply {
        http::ask(self.address, "GET", path, &[], None)
    }

    pub fn post(&self, path: &str, body: Value) -> Reply {
        http::ask(self.address, "POST", path, &[], Some(&body))
    }

    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        http::ask(self.address, method, path, &[], body)
    }

    /// `user` chose `item` at `time`.
    pub fn event(&self, user: &str, item: &str, time: i64) {
        let body = json!({ "events": [{ "user": user, "item": item, "time": time }] });
        assert_eq!(self.post("/events", body).ok(), json!({ "accepted": 1, "known": 0 }));
    }

    /// What `user` is recommended.
    pub fn recommend(&self, user: &str) -> Value {
        self.post("/recommend", json!({ "user": user, "top": 8, "at": NOW })).ok()
    }

    /// Ends as on SIGTERM.
    pub fn stop(mut self) -> Arc<tempfile::TempDir> {
        self.end();
        self.folder.clone()
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ends well");
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
    }
}

pub fn options(model: &Path, store: &Path) -> ServeOptions {
    let open: Open = Arc::new(|| Ok(gpu().clone()));
    ServeOptions { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..ServeOptions::new(model, store, open) }
}

/// Names of the recommended items.
pub fn names(answer: &Value) -> Vec<&str> {
    answer["items"].as_array().expect("items").iter().map(|i| i["item"].as_str().expect("a name")).collect()
}
