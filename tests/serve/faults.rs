//! Another model in place of the old one, more requests than the queue holds, a device that goes away, a shutdown.

use crate::http::try_ask;
use crate::{Live, NOW, names, world};
use desirepath::gpu::wgpu;
use desirepath::{Error, Gpu};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[test]
fn a_new_model_takes_over_without_a_failed_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("model");
    crate::disk::copy(&world().whole(), &model);
    let live = Live::new(&model);
    live.event("u", world().item(2), NOW - 60);
    let before = live.recommend("u");
    let stop = AtomicBool::new(false);
    let (asked, models) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (live, stop, asked, models) = (&live, &stop, &asked, &models);
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let answer = live.recommend(if n == 0 { "u" } else { world().user(n) });
                    assert_eq!(names(&answer).len(), 8);
                    models.lock().expect("lock").insert(answer["model"].to_string());
                    asked.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for round in 0..6 {
            std::fs::remove_dir_all(&model).expect("remove");
            crate::disk::copy(&if round % 2 == 0 { world().gru() } else { world().whole() }, &model);
            let loaded = live.post("/admin/reload", json!({})).ok();
            assert_eq!(live.get("/ready").ok()["model"], loaded["model"]);
            let begun = (Instant::now(), asked.load(Ordering::SeqCst));
            while asked.load(Ordering::SeqCst) < begun.1 + 5 && begun.0.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        stop.store(true, Ordering::SeqCst);
    });
    assert_eq!(models.lock().expect("lock").len(), 2, "both models answered");
    assert_eq!(live.recommend("u"), before, "the first model is back, and so is what it says");
    std::fs::remove_file(model.join("model.safetensors")).expect("remove");
    live.post("/admin/reload", json!({})).refused(409, "the old one serves");
    assert_eq!(live.recommend("u"), before);
}

#[test]
fn a_full_queue_says_when_to_come_again() {
    let live = Live::with(&world().whole(), |o| {
        o.gather.batch = 1;
        o.gather.queue = 1;
    });
    let (answered, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for n in 0..24 {
            let (live, answered, refused) = (&live, &answered, &refused);
            scope.spawn(move || {
                for _ in 0..5 {
                    let body = json!({ "user": world().user(n), "at": NOW, "explain": true });
                    let reply = live.post("/recommend", body);
                    match reply.status {
                        200 => answered.fetch_add(1, Ordering::SeqCst),
                        _ => {
                            reply.refused(503, "try again");
                            assert_eq!(reply.header("retry-after"), Some("1"));
                            refused.fetch_add(1, Ordering::SeqCst)
                        }
                    };
                }
            });
        }
    });
    let (answered, refused) = (answered.into_inner(), refused.into_inner());
    assert!(answered > 0 && refused > 0, "{answered} answered, {refused} refused");
    assert_eq!(live.recommend(world().user(0))["cold"], false, "and then it goes on");
    live.event("u", world().item(0), NOW);
}

#[test]
fn what_takes_too_long_is_given_up() {
    let live = Live::with(&world().whole(), |o| {
        o.gather.wait = Duration::from_millis(400);
        o.timeout = Duration::from_millis(50);
    });
    let late = live.post("/recommend", json!({ "user": world().user(0), "at": NOW }));
    late.refused(504, "too long");
    assert_eq!(live.get("/health").status, 200);
}

/// Devices of the test's own, which it can take away.
#[derive(Default)]
struct Devices {
    open: Mutex<Vec<wgpu::Device>>,
    refuse: AtomicBool,
}

impl Devices {
    fn open(&self) -> desirepath::Result<Gpu> {
        if self.refuse.load(Ordering::SeqCst) {
            return Err(Error::NoAdapter("none at the moment".into()));
        }
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()));
        let adapter = adapter.map_err(|e| Error::NoAdapter(e.to_string()))?;
        let device = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()));
        let (device, queue) = device.map_err(|e| Error::NoAdapter(e.to_string()))?;
        device.on_uncaptured_error(Arc::new(|_: wgpu::Error| ()));
        self.open.lock().expect("lock").push(device.clone());
        Ok(Gpu::from_wgpu(device, queue))
    }
}

#[test]
fn a_lost_device_is_replaced() {
    let devices = Arc::new(Devices::default());
    let theirs = devices.clone();
    let live = Live::with(&world().whole(), |o| {
        o.open = Arc::new(move || theirs.open());
        o.gather.batch = 1; // the others are in the queue when the first finds the device gone
    });
    live.event("u", world().item(2), NOW - 60);
    let before = live.recommend("u");
    assert_eq!(devices.open.lock().expect("lock").len(), 1);
    devices.refuse.store(true, Ordering::SeqCst);
    devices.open.lock().expect("lock")[0].destroy();
    let ask = || live.post("/recommend", json!({ "user": "u", "top": 8, "at": NOW }));
    // Nobody waits for a device that does not come, however many ask at the moment it goes.
    let refused = || {
        for _ in 0..3 {
            let reply = ask();
            reply.refused(503, "the device was lost");
            assert_eq!(reply.header("retry-after"), Some("1"));
        }
    };
    std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(refused))));
    live.get("/ready").refused(503, "the device was lost");
    assert_eq!(live.get("/health").status, 200);
    live.event("v", world().item(4), NOW - 60); // events need no device
    devices.refuse.store(false, Ordering::SeqCst);
    let begun = Instant::now();
    while live.get("/ready").status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no device came back");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(ask().ok(), before);
    assert_ne!(live.recommend("v")["items"], live.recommend("nobody")["items"], "nothing was lost");
    assert!(live.get("/metrics").text.contains("desirepath_device_losses_total 1"));
}

/// What is under way when the server is asked to end is answered, and what was acknowledged is there.
#[test]
fn a_shutdown_drains() {
    let live = Live::with(&world().whole(), |o| o.gather.wait = Duration::from_millis(300));
    let (address, store) = (live.address, live.folder.clone());
    let (acknowledged, asked) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let (acknowledged, asked) = (&acknowledged, &asked);
        let mut threads = Vec::new();
        for n in 0..8 {
            threads.push(scope.spawn(move || {
                asked.fetch_add(1, Ordering::SeqCst);
                let body = json!({ "user": world().user(n), "at": NOW });
                try_ask(address, "POST", "/recommend", &[], Some(&body)).map(|r| r.status)
            }));
            scope.spawn(move || {
                for k in 0.. {
                    let event = json!({ "user": format!("drain-{n}"), "item": world().item(0), "time": NOW, "key": k.to_string() });
                    match try_ask(address, "POST", "/events", &[], Some(&json!({ "events": [event] }))) {
                        Some(reply) if reply.status == 200 => acknowledged.fetch_add(1, Ordering::SeqCst),
                        _ => break, // the server has closed its door
                    };
                }
            });
        }
        while asked.load(Ordering::SeqCst) < 8 || acknowledged.load(Ordering::SeqCst) < 20 {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(150)); // they are all in the server by then
        live.stop();
        for thread in threads {
            assert_eq!(thread.join().expect("a client"), Some(200), "what was asked is answered");
        }
    });
    let again = Live::on(store, &world().whole(), |_| ());
    let mut there = 0;
    for n in 0..8 {
        let events: Vec<_> = (0..1000)
            .map(
                |k| json!({ "user": format!("drain-{n}"), "item": world().item(0), "time": NOW, "key": k.to_string() }),
            )
            .collect();
        there += again.post("/events", json!({ "events": events })).ok()["known"].as_u64().expect("a count");
    }
    assert!(there as usize >= acknowledged.load(Ordering::SeqCst), "{there} of {acknowledged:?}");
}
