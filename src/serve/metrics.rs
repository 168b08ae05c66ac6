//! What `/metrics` tells, in Prometheus' text format. Nothing in it names a user or an item.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

/// One registry for the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Of, Counter>,
    seconds: Family<Route, Histogram>,
    pub batch: Histogram,
    pub batch_seconds: Histogram,
    pub waiting: Gauge,
    pub commits: Histogram,
    pub commit_seconds: Histogram,
    pub events: Counter,
    pub steps: Counter,
    pub rebuilt: Counter,
    pub reloads: Counter,
    pub losses: Counter,
    pub device_live: Gauge,
    pub device_reserved: Gauge,
    resident: Gauge,
    store: Gauge,
}

fn times() -> Histogram {
    Histogram::new([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0])
}

fn sizes() -> Histogram {
    Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0])
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut m = Metrics {
            registry: Registry::with_prefix("desirepath"),
            requests: Family::default(),
            seconds: Family::new_with_constructor(times),
            batch: sizes(),
            batch_seconds: times(),
            waiting: Gauge::default(),
            commits: sizes(),
            commit_seconds: times(),
            events: Counter::default(),
            steps: Counter::default(),
            rebuilt: Counter::default(),
            reloads: Counter::default(),
            losses: Counter::default(),
            device_live: Gauge::default(),
            device_reserved: Gauge::default(),
            resident: Gauge::default(),
            store: Gauge::default(),
        };
        m.register();
        m
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        let second = || Unit::Seconds;
        r.register("requests", "Requests by route and status", self.requests.clone());
        r.register_with_unit("request", "Time to answer", second(), self.seconds.clone());
        r.register("batch_requests", "Requests that one batch on the device answered", self.batch.clone());
        r.register_with_unit("batch", "Time of one batch on the device", second(), self.batch_seconds.clone());
        r.register("queue", "Requests that wait for the device", self.waiting.clone());
        r.register("commit_writes", "Writes that one commit of the store took", self.commits.clone());
        r.register_with_unit("commit", "Time of one commit, with its fsync", second(), self.commit_seconds.clone());
        r.register("events", "Events stored", self.events.clone());
        r.register("gru_steps", "States of users moved on by one event", self.steps.clone());
        r.register("gru_rebuilt", "States of users computed from their histories", self.rebuilt.clone());
        r.register("reloads", "Models loaded in place of another", self.reloads.clone());
        r.register("device_losses", "Devices lost and opened again", self.losses.clone());
        r.register_with_unit("device_memory_live", "In use by tensors", Unit::Bytes, self.device_live.clone());
        let reserved = "Allocated from the driver";
        r.register_with_unit("device_memory_reserved", reserved, Unit::Bytes, self.device_reserved.clone());
        r.register_with_unit("resident_memory", "Of this process", Unit::Bytes, self.resident.clone());
        r.register_with_unit("store_file", "Size of the store", Unit::Bytes, self.store.clone());
    }

    pub fn request(&self, route: &str, status: u16, took: Duration) {
        self.requests.get_or_create(&Of { route: route.into(), status }).inc();
        self.seconds.get_or_create(&Route { route: route.into() }).observe(took.as_secs_f64());
    }

    pub fn text(&self, store_bytes: u64) -> String {
        self.store.set(store_bytes as i64);
        if let Some(bytes) = resident() {
            self.resident.set(bytes);
        }
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

/// Bytes of memory that this process has in use, where the system tells.
fn resident() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    Some(1024 * line.trim().strip_suffix("kB")?.trim().parse::<i64>().ok()?)
}
