//! The store as a file: what is not one, a disk that is full, users who are forgotten.

use crate::{Live, NOW, names, options, world};
use desirepath::serve::Server;
use desirepath::serve::store::Store;
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &to),
            false => assert!(std::fs::copy(&path, &to).is_ok(), "copy {}", path.display()),
        }
    }
}

fn refuses(store: &Path, says: &str) {
    let bytes = std::fs::read(store).expect("a file");
    let error = Server::start(&options(&world().whole(), store)).expect_err("it must not start").to_string();
    assert!(error.contains(says), "{error:?} does not say {says:?}");
    assert!(error.contains(store.to_str().expect("UTF-8")), "{error}");
    assert!(std::fs::read(store).expect("a file") == bytes, "{says}: the file was changed");
}

#[test]
fn other_files_are_no_stores() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("text");
    std::fs::write(&text, "user,item,time\n".repeat(1000)).expect("write");
    refuses(&text, "not a store");
    let other = folder.path().join("other");
    let db = redb::Database::create(&other).expect("a database");
    let txn = db.begin_write().expect("a transaction");
    txn.open_table(redb::TableDefinition::<u32, u32>::new("theirs")).expect("a table").insert(1, 2).expect("insert");
    txn.commit().expect("commit");
    drop(db);
    // Opening it again is enough for redb to write: the contents have to stay.
    let error = Server::start(&options(&world().whole(), &other)).expect_err("no store").to_string();
    assert!(error.contains("another program"), "{error}");
}

#[test]
fn a_store_of_another_version_is_left_alone() {
    let live = Live::new(&world().whole());
    live.event("u", world().item(0), NOW);
    let store = live.store();
    let _folder = live.stop();
    let db = redb::Database::open(&store).expect("a database");
    let txn = db.begin_write().expect("a transaction");
    let mut meta = txn.open_table(redb::TableDefinition::<&str, &[u8]>::new("meta")).expect("a table");
    meta.insert("schema", [99, 0, 0, 0].as_slice()).expect("insert");
    drop(meta);
    txn.commit().expect("commit");
    drop(db);
    let error = Server::start(&options(&world().whole(), &store)).expect_err("another version").to_string();
    assert!(error.contains("another version"), "{error}");
}

#[test]
fn a_store_has_one_server() {
    let live = Live::new(&world().whole());
    let error = Server::start(&options(&world().whole(), &live.store())).expect_err("it is in use").to_string();
    assert!(error.contains("in use by another process"), "{error}");
    live.event("u", world().item(0), NOW);
}

#[test]
fn damage_is_noticed() {
    let live = Live::new(&world().whole());
    for n in 0..50 {
        live.event(&format!("user-{n}"), world().item(n % 30), NOW + n as i64);
    }
    let store = live.store();
    let folder = live.stop();
    let whole = std::fs::read(&store).expect("a file");
    let at = |what: &str| whole.windows(what.len()).rposition(|w| w == what.as_bytes()).expect("it is there");
    for place in [at("user-7"), at(world().item(3))] {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x55;
        std::fs::write(&store, &bytes).expect("write");
        let start = Server::start(&options(&world().whole(), &store));
        match start {
            Err(error) => assert!(error.to_string().contains("damaged"), "{error}"),
            Ok(_) => panic!("a store with a wrong byte at {place} was taken"),
        }
    }
    std::fs::write(&store, &whole[..whole.len() / 2]).expect("write");
    let error = Server::start(&options(&world().whole(), &store)).expect_err("half a file").to_string();
    assert!(error.contains("store"), "{error}");
    std::fs::write(&store, &whole).expect("write");
    let again = Live::on(folder, &world().whole(), |_| ());
    assert_ne!(again.recommend("user-7")["items"], again.recommend("nobody")["items"]);
}

/// Waits for the compaction after which `what` is not in `file`.
fn gone(file: &Path, what: &str) {
    let begun = Instant::now();
    while has(file, what) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} is still in the file");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn has(file: &Path, what: &str) -> bool {
    std::fs::read(file).expect("a file").windows(what.len()).any(|w| w == what.as_bytes())
}

#[test]
fn a_forgotten_user_is_gone_from_the_file() {
    let live = Live::with(&world().gru(), |o| o.compact_after = Duration::from_millis(200));
    let known = world().user(8);
    for (n, user) in ["forget-me", "keep-me", known].into_iter().enumerate() {
        let event = |k: i64| json!({ "user": user, "item": format!("only-of-{user}-{k}"), "time": NOW + k, "key": format!("key-of-{user}-{k}") });
        let own = json!({ "user": user, "item": world().item(n), "time": NOW });
        live.post("/events", json!({ "events": [event(0), event(1), own] })).ok();
        live.recommend(user);
    }
    for what in ["forget-me", "key-of-forget-me-0", "only-of-forget-me-1"] {
        assert!(has(&live.store(), what), "{what} was never there");
    }
    let keeps = live.recommend("keep-me");
    assert_eq!(live.send("DELETE", "/users/forget-me", None).ok(), json!({ "forgotten": 3 }));
    assert_eq!(live.send("DELETE", &format!("/users/{known}"), None).ok(), json!({ "forgotten": 3 }));
    assert_eq!(live.send("DELETE", "/users/nobody", None).ok(), json!({ "forgotten": 0 }));
    let nobody = live.recommend("nobody");
    for user in ["forget-me", known] {
        assert_eq!(live.recommend(user), nobody, "{user} is a stranger at once");
    }
    for what in ["forget-me", &format!("only-of-{known}"), &format!("key-of-{known}")] {
        gone(&live.store(), what);
    }
    assert!(has(&live.store(), "only-of-keep-me-0"));
    assert_eq!(live.recommend("keep-me"), keeps);
    // Somebody of that name who comes again begins anew, after the next start, too.
    let again = Live::on(live.stop(), &world().gru(), |_| ());
    assert_eq!(again.recommend(known), nobody);
    again.event(known, world().item(2), NOW);
    assert_eq!(again.recommend(known)["cold"], true);
    let told = json!({ "history": [{ "item": world().item(2), "time": NOW }], "top": 8, "at": NOW });
    assert_eq!(again.recommend(known), again.post("/recommend", told).ok());
}

#[test]
fn a_store_can_be_read_by_whoever_trains_on() {
    let live = Live::new(&world().whole());
    let event = json!({ "user": "b", "item": "i", "time": NOW, "place": [1.5, 2.0], "rating": 4.5, "key": "k" });
    live.post(
        "/events",
        json!({ "events": [event, { "user": "a", "item": "j", "time": 3 }, { "user": "b", "item": "k", "time": 2 }] }),
    )
    .ok();
    let path = live.store();
    let folder = live.stop();
    let mut events = Vec::new();
    let store = Store::open_to_read(&path, None).expect("a store");
    store
        .each_event(|e| {
            events.push((e.user, e.item, e.time, e.place, e.rating));
            Ok(())
        })
        .expect("events");
    let (place, rating) = (Some([1.5, 2.0]), Some(4.5));
    let expected = [("a", "j", 3, None, None), ("b", "k", 2, None, None), ("b", "i", NOW, place, rating)];
    assert_eq!(events, expected.map(|(u, i, t, p, r)| (u.to_string(), i.to_string(), t, p, r)));
    let missing = Store::open_to_read(&folder.path().join("missing"), None).expect_err("nothing there").to_string();
    assert!(missing.contains("no such file"), "{missing}");
}

/// A kill between forgetting and compacting does not keep the bytes for ever.
#[test]
fn what_was_to_be_compacted_is_compacted_after_the_next_start() {
    let live = Live::with(&world().whole(), |o| o.compact_after = Duration::from_secs(3600));
    live.event("forget-me", world().item(0), NOW);
    live.send("DELETE", "/users/forget-me", None).ok();
    assert!(has(&live.store(), "forget-me"), "free pages keep what was in them: this test tests nothing");
    let again = Live::on(live.stop(), &world().whole(), |_| ());
    gone(&again.store(), "forget-me");
}

#[test]
fn under_a_salt_no_user_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let salt = folder.path().join("salt");
    std::fs::write(&salt, "sixteen bytes or more").expect("write");
    let with = |o: &mut desirepath::serve::ServeOptions| o.salt_file = Some(salt.clone());
    let plain = Live::new(&world().whole());
    let live = Live::with(&world().whole(), with);
    let user = world().user(5);
    for live in [&plain, &live] {
        live.event(user, world().item(3), NOW - 60);
        live.event("a-stranger", world().item(3), NOW - 60);
    }
    assert_eq!(live.recommend(user), plain.recommend(user), "the model's own data are found under the hash");
    assert!(has(&plain.store(), "a-stranger") && !has(&live.store(), "a-stranger") && !has(&live.store(), user));
    assert_eq!(live.get("/examples").ok()["users"], json!([]));
    let kept = live.stop();
    let error = Server::start(&options(&world().whole(), &kept.path().join("store"))).expect_err("no salt").to_string();
    assert!(error.contains("--salt-file"), "{error}");
    let again = Live::on(kept, &world().whole(), with);
    assert_eq!(again.recommend(user), plain.recommend(user));
}

/// A file system of 2 MiB that fills up, where this process may mount one.
#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(folder.path()).output();
    if !mount.is_ok_and(|o| o.status.success()) {
        eprintln!("skipped: this process may not mount a file system of 2 MiB");
        return;
    }
    let live = Live::on(folder.clone(), &world().whole(), |_| ());
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for n in 0..4000 {
        let key = format!("{n}");
        let events: Vec<_> = (0..20)
            .map(|k| json!({ "user": format!("user-{k}"), "item": world().item(n % 30), "time": NOW + n as i64, "key": key }))
            .collect();
        let reply = live.post("/events", json!({ "events": events }));
        match reply.status {
            200 => acknowledged.push(events),
            _ => {
                reply.refused(507, "the disk is full");
                refused += 1;
            }
        }
        if refused == 3 {
            break;
        }
    }
    assert!(refused == 3 && acknowledged.len() > 5, "{refused} refused, {} taken", acknowledged.len());
    assert!(!names(&live.recommend("user-3")).is_empty(), "it goes on answering");
    let there = |live: &Live| {
        for events in &acknowledged {
            let reply = live.post("/events", json!({ "events": events }));
            // Where even a retry finds no room it is told so; what it finds was there.
            if reply.status == 200 {
                assert_eq!(reply.ok()["known"], 20);
            }
        }
    };
    there(&live);
    let kept = live.stop();
    let bytes = std::fs::read(kept.path().join("store")).expect("the store");
    let unmounted = Command::new("umount").arg(folder.path()).status();
    assert!(unmounted.is_ok_and(|s| s.success()), "unmount");
    // On a disk with room.
    let roomy = Arc::new(tempfile::tempdir().expect("a folder"));
    std::fs::write(roomy.path().join("store"), bytes).expect("write");
    let again = Live::on(roomy, &world().whole(), |_| ());
    for events in &acknowledged {
        assert_eq!(again.post("/events", json!({ "events": events })).ok()["known"], 20);
    }
}
