//! Safe by default: who may ask what, and how much.

use crate::http::{ask, raw};
use crate::{Live, NOW, options, world};
use desirepath::serve::Server;
use serde_json::json;
use std::net::SocketAddr;

#[test]
fn tokens_have_roles() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tokens");
    std::fs::write(&file, "read 0123456789abcdef\nwrite 1123456789abcdef\nadmin 2123456789abcdef\n").expect("write");
    let live = Live::with(&world().whole(), |o| o.token_file = Some(file));
    let event = json!({ "events": [{ "user": "u", "item": world().item(0), "time": NOW }] });
    let calls = [("GET", "/recommend?user=u", None), ("POST", "/events", Some(event)), ("DELETE", "/users/u", None)];
    for (rank, digit) in ["x", "0", "1", "2"].iter().enumerate() {
        let token = format!("Bearer {digit}123456789abcdef");
        for (needed, (method, path, body)) in (1..).zip(&calls) {
            let reply = ask(live.address, method, path, &[("Authorization", &token)], body.as_ref());
            let expected = if rank == 0 {
                401
            } else if rank < needed {
                403
            } else {
                200
            };
            assert_eq!(reply.status, expected, "{method} {path} with {digit}");
        }
    }
    assert_eq!(live.get("/recommend?user=u").status, 401);
    assert_eq!(live.get("/metrics").status, 401);
    assert_eq!(live.get("/recommend?user=u").header("www-authenticate"), Some("Bearer"));
    for path in ["/", "/health", "/ready", "/openapi.json"] {
        assert_eq!(live.get(path).status, 200, "{path}");
    }
}

#[test]
fn without_tokens_nobody_else_gets_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = options(&world().whole(), &folder.path().join("store"));
    options.listen = SocketAddr::from(([0, 0, 0, 0], 0));
    let error = Server::start(&options).expect_err("others can reach it").to_string();
    assert!(error.contains("--token-file"), "{error}");
    assert!(!options.store.exists(), "nothing was begun");
    let live = Live::new(&world().whole());
    for host in ["evil.example", "evil.example:80", "localhost.evil.example", "10.0.0.1"] {
        ask(live.address, "GET", "/recommend?user=u", &[("Host", host)], None).refused(403, "localhost alone");
    }
    for host in ["localhost", "localhost:8080", "127.0.0.1:9", "[::1]:8080"] {
        assert_eq!(ask(live.address, "GET", "/health", &[("Host", host)], None).status, 200, "{host}");
    }
    let reply = ask(live.address, "OPTIONS", "/events", &[("Origin", "https://evil.example")], None);
    assert_eq!(reply.status, 405);
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[test]
fn what_makes_no_sense_is_named() {
    let live = Live::new(&world().whole());
    let event = |more: serde_json::Value| {
        let mut event = json!({ "user": "u", "item": "i", "time": NOW });
        event.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        live.post("/events", json!({ "events": [{ "user": "u", "item": "i", "time": NOW }, event] }))
    };
    for (more, says) in [
        (json!({ "colour": "red" }), "unknown field `colour`"),
        (json!({ "user": "" }), "events[1]: user: an empty name"),
        (json!({ "item": "ü".repeat(257) }), "events[1]: item: a name of 257 characters"),
        (json!({ "time": -1 }), "events[1]: time -1"),
        (json!({ "time": 1.5 }), "1.5 is no whole number"),
        (json!({ "place": [91, 0] }), "events[1]: place [91, 0]"),
        (json!({ "place": [1] }), "invalid length"),
        (json!({ "rating": 1e300 }), "events[1]: rating"),
        (json!({ "key": "" }), "events[1]: key"),
    ] {
        event(more).refused(400, says);
    }
    assert_eq!(live.recommend("u")["items"], live.recommend("nobody")["items"], "none of a refused request is stored");
    live.post("/events", json!([[]])).refused(400, "expected an object");
    live.post("/events", json!({ "events": [["u", "i", NOW]] })).refused(400, "expected an object");
    live.post("/events", json!({ "events": [] })).refused(400, "events: 0, expected 1 to 1000");
    live.post("/recommend", json!({})).refused(400, "give a user or a history");
    live.post("/recommend", json!({ "user": "u", "history": [] })).refused(400, "one of them");
    live.post("/recommend", json!({ "user": "u", "category": "none" })).refused(404, "no category is called");
    live.post("/recommend", json!({ "user": "u", "near": [0, 181] })).refused(400, "place");
    live.post("/score", json!({ "user": "u", "items": [] })).refused(400, "items: 0");
    live.send("PUT", "/items/x", Some(&json!({ "features": [1, 2, 3] }))).refused(409, "features: 3 numbers");
    live.get("/recommend?user=u&near=here").refused(400, "near: expected LAT,LON");
    live.get("/recommend?user=u&top=0").refused(400, "top: 0");
    live.get("/recommend?user=u&top=1001").refused(400, "top: 1001");
    live.get("/recommend?user=u&limit=3").refused(400, "unknown field `limit`");
    let long = format!("/recommend?user=u&exclude={}", "x".repeat(2001));
    live.get(&long).refused(400, "exclude: 2001 characters, more than 2000");
    live.get("/recommend").refused(400, "missing field `user`");
    live.get("/similar/nothing").refused(404, "no item is called");
    live.get("/nowhere").refused(404, "no such route");
    live.send("PATCH", "/events", None).refused(405, "no such method");
}

#[test]
fn what_is_too_much_is_refused() {
    let live = Live::with(&world().whole(), |o| {
        o.limits.body = 2000;
        o.limits.history = 3;
        o.limits.events = 2;
    });
    let item = json!({ "item": world().item(0) });
    live.post("/recommend", json!({ "history": [item, item, item, item] })).refused(400, "history: 4, expected 0 to 3");
    let event = json!({ "user": "u", "item": "i", "time": NOW });
    live.post("/events", json!({ "events": [event, event, event] })).refused(400, "events: 3, expected 1 to 2");
    live.post("/events", json!({ "events": [], "x": "y".repeat(3000) })).refused(413, "larger than");
    let long = format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    assert_eq!(raw(live.address, long.as_bytes()).map(|r| r.status), Some(431));
    let deep = format!("{}{}", "[".repeat(900), "]".repeat(900));
    let deep = format!(
        "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{deep}",
        deep.len()
    );
    raw(live.address, deep.as_bytes()).expect("an answer").refused(400, "body");
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    ask(live.address, "POST", "/events", &kind, Some(&json!({}))).refused(415, "application/json");
    assert_eq!(live.get("/health").status, 200);
}
