//! SIGKILL at any moment under load. `benches/serve/kill.py` does it a hundred times.
#![cfg(unix)]

use crate::http::try_ask;
use crate::{Live, NOW, world};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The program itself, so that it can be killed.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(store: &Path) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_desirepath"))
            .arg("serve")
            .arg(world().whole())
            .arg("--store")
            .arg(store)
            .args(["--listen", "127.0.0.1:0", "--log-level", "error"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let address =
            line.trim().strip_prefix("listening on http://").expect("an address").parse().expect("an address");
        Process { child, address }
    }
}

const KILLS: usize = 3;
const USERS: usize = 6;

#[test]
fn what_was_acknowledged_survives_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let clock = AtomicUsize::new(0);
    let (sent, acknowledged) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let event = |n: usize| {
        let user = if n.is_multiple_of(2) { world().user(n % USERS).to_string() } else { format!("new-{}", n % USERS) };
        json!({ "user": user, "item": world().item(n * 7 % 30), "time": NOW + n as i64, "key": n.to_string() })
    };
    for round in 0..KILLS {
        let mut server = Process::start(&store);
        let address = server.address;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        let n = clock.fetch_add(1, Ordering::SeqCst);
                        sent.lock().expect("lock").push(n);
                        let body = json!({ "events": [event(n)] });
                        match try_ask(address, "POST", "/events", &[], Some(&body)) {
                            Some(reply) if reply.status == 200 => acknowledged.lock().expect("lock").push(n),
                            _ => break,
                        }
                    }
                });
            }
            let target = 60 * (round + 1);
            while acknowledged.lock().expect("lock").len() < target {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_micros(1700 * round as u64));
            server.child.kill().expect("kill");
            server.child.wait().expect("an end");
        });
    }
    let mut server = Process::start(&store);
    let again = |list: &[usize]| -> Value {
        let events: Vec<Value> = list.iter().map(|n| event(*n)).collect();
        let reply = try_ask(server.address, "POST", "/events", &[], Some(&json!({ "events": events })));
        reply.expect("an answer").ok()["known"].clone()
    };
    let [sent, acknowledged] = [sent, acknowledged].map(|list| list.into_inner().expect("lock"));
    for part in acknowledged.chunks(500) {
        assert_eq!(again(part), json!(part.len()), "every acknowledged event is there");
    }
    sent.chunks(500).for_each(|part| drop(again(part)));
    // A server that was never killed, with the same events.
    let live = Live::new(&world().whole());
    for part in sent.chunks(500) {
        let events: Vec<Value> = part.iter().map(|n| event(*n)).collect();
        live.post("/events", json!({ "events": events })).ok();
    }
    for n in 0..USERS {
        let user = event(n)["user"].as_str().expect("a name").to_string();
        let body = json!({ "user": user, "top": 8, "at": 2 * NOW });
        let killed = try_ask(server.address, "POST", "/recommend", &[], Some(&body)).expect("an answer").ok();
        assert_eq!(killed, live.post("/recommend", body).ok(), "{user}");
    }
    hang_up(&server);
    signal(&server, "-TERM"); // ends it well
    assert!(server.child.wait().expect("an end").success());
}

fn signal(server: &Process, name: &str) {
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().expect("kill").success());
}

/// SIGHUP loads the model again.
fn hang_up(server: &Process) {
    signal(server, "-HUP");
    let begun = Instant::now();
    let metrics = || try_ask(server.address, "GET", "/metrics", &[], None).expect("an answer").text;
    while !metrics().contains("desirepath_reloads_total 1") {
        assert!(begun.elapsed() < Duration::from_secs(30), "not loaded again");
        std::thread::sleep(Duration::from_millis(20));
    }
}
