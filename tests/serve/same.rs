//! The server says what `desirepath recommend` and the model say, however its answers come about.

use crate::{Live, NOW, gpu, names, world};
use desirepath::model::{History, Request, Serving};
use desirepath::train::{Checkpoint, history};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

fn program(model: &Path, user: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_desirepath"))
        .args(["recommend", model.to_str().expect("UTF-8"), "--user", user, "--top", "8", "--json"])
        .args(["--at", &NOW.to_string()])
        .output()
        .expect("it starts");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn the_program_recommends_the_same() {
    for model in [world().whole(), world().gru(), world().both_ways()] {
        let live = Live::new(&model);
        for user in [world().user(0), world().user(17)] {
            let (server, program) = (live.recommend(user), program(&model, user));
            assert_eq!(names(&server), names(&program), "{} {user}", model.display());
            for (a, b) in
                server["items"].as_array().expect("items").iter().zip(program["items"].as_array().expect("items"))
            {
                for what in ["score", "probability"].iter().filter(|what| b[**what].is_number()) {
                    let [a, b] = [a, b].map(|r| r[what].as_f64().expect("a number"));
                    assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{what}: {a} and {b}");
                }
            }
        }
    }
}

/// A model that learned from a store kept with a salt knows users by their hashes: each is served as itself.
#[test]
fn users_under_a_salt_are_themselves_in_the_next_model() {
    let folder = std::sync::Arc::new(tempfile::tempdir().expect("a folder"));
    let salt = folder.path().join("salt");
    std::fs::write(&salt, "sixteen bytes or more").expect("write");
    let live = Live::on(folder.clone(), &world().whole(), |o| o.salt_file = Some(salt.clone()));
    for n in 0..5 {
        live.event("newcomer", world().item(3 * n), NOW - 4000 + 600 * n as i64);
    }
    live.event(world().user(4), world().item(2), NOW - 900);
    live.stop();
    let update = |out: &Path, salt: Option<&Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_desirepath"));
        command.args(["update", "--json"]).arg(world().whole()).arg("--events").arg(folder.path().join("store"));
        if let Some(salt) = salt {
            command.arg("--salt-file").arg(salt);
        }
        let done = command.arg("--out").arg(out).output().expect("it starts");
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        serde_json::from_slice::<Value>(&done.stdout).map_err(|_| text)
    };
    // With the salt, those whom the model knows are themselves; others stay hashes.
    let out = folder.path().join("next");
    assert_eq!(update(&out, Some(&salt)).expect("an update")["new_users"], 1);
    let users = Checkpoint::open(&out).and_then(|c| c.data()).expect("the next model").users;
    let hash = users.last().expect("users");
    assert_eq!(hash.len(), 64);
    let without = folder.path().join("without");
    assert_eq!(update(&without, None).expect("an update")["new_users"], 2);
    let other = folder.path().join("other-salt");
    std::fs::write(&other, "another sixteen bytes").expect("write");
    let refused = update(&folder.path().join("never"), Some(&other)).expect_err("another salt");
    assert!(refused.contains("under another salt"), "{refused}");
    let live = Live::on(folder.clone(), &out, |o| o.salt_file = Some(salt.clone()));
    assert_eq!(names(&live.recommend("newcomer")), names(&program(&out, hash)));
}

/// Requests that share a batch get what each would get alone.
#[test]
fn a_batch_changes_no_answer() {
    let live = Live::with(&world().whole(), |o| o.gather.wait = std::time::Duration::from_millis(100));
    let alone: Vec<Value> = world().dataset.users.iter().map(|u| live.recommend(u)).collect();
    let together: Vec<Value> = std::thread::scope(|scope| {
        let live = &live;
        let ask = |user: &'static String| scope.spawn(move || live.recommend(user));
        let threads: Vec<_> = world().dataset.users.iter().map(ask).collect();
        threads.into_iter().map(|t| t.join().expect("an answer")).collect()
    });
    for (a, b) in alone.iter().zip(&together) {
        assert_eq!(names(a), names(b));
    }
    let text = live.get("/metrics").text;
    let batches = text.lines().find_map(|l| l.strip_prefix("desirepath_batch_requests_count ")).expect("a count");
    let batches: usize = batches.parse().expect("a number");
    assert!(batches < 75, "{batches} batches for 80 requests: nothing was gathered");
}

/// The GRU's state moved on by single events is that of the whole history.
#[test]
fn a_state_that_moves_on_is_the_state() {
    let (checkpoint, data) = {
        let checkpoint = Checkpoint::open(&world().gru()).expect("a model");
        let data = checkpoint.data().expect("its data");
        (checkpoint, data)
    };
    let model = Serving::new(checkpoint.load(gpu(), &data).expect("weights"), 0).expect("a device");
    assert!(model.steps());
    let users: Vec<u32> = (1..=10).collect();
    let whole = |user: u32| history(&data, user, data.events_of(user as usize), Request::default()).last(12);
    let of = |user: u32, count: usize| whole(user).first(count);
    let first: Vec<History> = users.iter().map(|u| of(*u, 1)).collect();
    let mut states = model.states_after(&first).expect("states");
    for count in 2..=6 {
        let histories: Vec<History> = users.iter().map(|u| of(*u, count)).collect();
        states = model.step(&states, &histories).expect("a step");
        let expected = model.states_after(&histories).expect("states");
        let worst = states.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{worst} after {count} events");
    }
    let histories: Vec<History> = users.iter().map(|u| of(*u, 6)).collect();
    let exclude = vec![vec![3]; users.len()];
    let from_states = model.recommend_from(&states, &users, &exclude, 8).expect("a ranking");
    let from_histories = model.recommend(&histories, &exclude, 8).expect("a ranking");
    for (a, b) in from_states.iter().zip(&from_histories) {
        let ids = |list: &[desirepath::model::Recommendation]| list.iter().map(|r| r.item).collect::<Vec<_>>();
        assert_eq!(ids(a), ids(b));
    }
}

/// Events one by one, each with a state moved on and kept, against all of them at once in a store without states; beyond the
/// length of the model, too, where its window slides.
#[test]
fn kept_states_answer_like_histories() {
    let kept = Live::new(&world().gru());
    let user = world().user(6);
    let mut events = Vec::new();
    for n in 0..16 {
        let event = json!({ "user": user, "item": world().item(n), "time": NOW - 100 + n as i64 });
        kept.post("/events", json!({ "events": [event] })).ok();
        events.push(event);
        let fresh = Live::new(&world().gru());
        fresh.post("/events", json!({ "events": events })).ok();
        assert_eq!(names(&kept.recommend(user)), names(&fresh.recommend(user)), "after {n} events");
    }
    for n in 0..10 {
        kept.event("stranger", world().item(n), NOW - 50 + n as i64);
        kept.recommend("stranger"); // whose state is in the store with the next commit
    }
    let text = kept.get("/metrics").text;
    let count = |name: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(&format!("desirepath_{name}_total ")).map(str::to_string));
        line.expect("a counter").parse::<u64>().expect("a number")
    };
    assert!(count("gru_steps") >= 5, "states were moved on by {} steps", count("gru_steps"));
}

/// A state that knew an item by other facts is not gone on from.
#[test]
fn new_facts_of_an_item_change_the_states_that_met_it() {
    let categories = &world().dataset.categories;
    let put = |live: &Live, category: &str| {
        live.send("PUT", "/items/new", Some(&json!({ "category": category }))).ok();
    };
    let (told_twice, told_once) = (Live::new(&world().gru()), Live::new(&world().gru()));
    let score = |live: &Live| {
        let answer =
            live.post("/score", json!({ "user": "stranger", "items": [world().item(0), world().item(1)] })).ok();
        [0, 1].map(|n| answer["items"][n]["score"].as_f64().expect("a score"))
    };
    put(&told_twice, &categories[0]);
    put(&told_once, &categories[1]);
    for live in [&told_twice, &told_once] {
        live.event("stranger", "new", NOW - 50);
        live.event("stranger", world().item(2), NOW - 40);
        score(live);
        live.event("stranger", world().item(3), NOW - 30); // whose commit brings the state into the store
    }
    let before = score(&told_twice);
    put(&told_twice, &categories[1]);
    let (after, expected) = (score(&told_twice), score(&told_once));
    assert_ne!(before, after, "the facts of an item say nothing here");
    assert!(after.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{after:?} is not {expected:?}");
}
