//! The OpenAPI file against the server: nothing is answered that is not in it, nothing is in it that is not answered.

use crate::http::{Reply, ask};
use crate::{Live, NOW, world};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::OnceLock;

fn spec() -> &'static Value {
    static SPEC: OnceLock<Value> = OnceLock::new();
    SPEC.get_or_init(|| serde_json::from_str(include_str!("../../src/serve/openapi.json")).expect("JSON"))
}

/// The template that `path` is of, with its description.
fn route(path: &str) -> Option<(&'static str, &'static Value)> {
    let path = path.split('?').next().unwrap_or_default();
    let fits = |template: &str| {
        let (t, p): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
        t.len() == p.len() && t.iter().zip(p).all(|(t, p)| t.starts_with('{') || *t == p)
    };
    let paths = spec()["paths"].as_object().expect("paths");
    paths.iter().find(|(template, _)| fits(template)).map(|(t, v)| (t.as_str(), v))
}

/// Panics where an answer is not one that the file allows.
#[track_caller]
pub fn holds(method: &str, path: &str, reply: &Reply) {
    let Some(operation) = route(path).and_then(|(_, route)| route.get(method.to_lowercase())) else {
        assert!([403, 404, 405].contains(&reply.status), "{method} {path}: {} outside of the file", reply.status);
        return;
    };
    let response = &operation["responses"][reply.status.to_string()];
    assert!(response.is_object(), "{method} {path} answers {}, which the file lacks: {}", reply.status, reply.text);
    let kind = reply.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    let schema = &response["content"][kind]["schema"];
    assert!(schema.is_object(), "{method} {path} {}: content of type {kind:?}", reply.status);
    if kind == "application/json" {
        let value = serde_json::from_str(&reply.text).expect("JSON");
        let wrong = check(schema, &value);
        assert!(wrong.is_empty(), "{method} {path} {}: {wrong:?} in {}", reply.status, reply.text);
    }
}

/// What of `value` a schema does not allow: the part of JSON Schema that the file uses for answers.
fn check(schema: &Value, value: &Value) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        return check(spec().pointer(name.trim_start_matches('#')).expect("a schema"), value);
    }
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("a type called {other}"),
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !kinds.is_empty() && !kinds.iter().any(|k| is(k)) {
        return vec![format!("{value} is no {kinds:?}")];
    }
    let mut wrong = Vec::new();
    if schema.get("const").is_some_and(|c| c != value) {
        wrong.push(format!("{value} is not {}", schema["const"]));
    }
    let beyond = |limit: &str, sign: f64| {
        schema[limit].as_f64().zip(value.as_f64()).is_some_and(|(limit, v)| sign * (v - limit) > 0.0)
    };
    if beyond("maximum", 1.0) || beyond("minimum", -1.0) {
        wrong.push(format!("{value} is out of range"));
    }
    for item in value.as_array().into_iter().flatten().filter(|_| schema["items"].is_object()) {
        wrong.extend(check(&schema["items"], item));
    }
    let Some(object) = value.as_object() else { return wrong };
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    wrong.extend(required.filter(|name| !object.contains_key(*name)).map(|name| format!("{name} is missing")));
    for (name, value) in object {
        match schema["properties"].get(name) {
            Some(schema) => wrong.extend(check(schema, value)),
            None if schema["additionalProperties"] == false => wrong.push(format!("{name} is too much")),
            None => (),
        }
    }
    wrong
}

#[test]
fn a_wrong_answer_is_noticed() {
    let answer = json!({ "$ref": "#/components/schemas/Answer" });
    let item = json!({ "item": "a", "score": null, "cold": true });
    assert!(check(&answer, &json!({ "items": [item], "cold": false, "model": "m" })).is_empty());
    for wrong in [
        json!({ "items": [item], "cold": false }),
        json!({ "items": [item], "cold": 0, "model": "m" }),
        json!({ "items": [item], "cold": false, "model": "m", "more": 1 }),
        json!({ "items": [{ "item": "a", "score": 1.0, "probability": 1.5 }], "cold": false, "model": "m" }),
        json!([]),
    ] {
        assert_eq!(check(&answer, &wrong).len(), 1, "{wrong}");
    }
}

type Happened = BTreeSet<(String, &'static str, String)>;

const READ: &str = "Bearer read-read-read-read";
const ADMIN: &str = "Bearer admin-admin-admin-admin";

/// One call of every route that is answered with 200.
fn calls() -> Vec<(&'static str, String, Option<Value>)> {
    let event = json!({ "events": [{ "user": "u", "item": world().item(0), "time": NOW }] });
    let user = json!({ "user": world().user(0) });
    let score = json!({ "user": world().user(0), "items": [world().item(1)] });
    let similar = format!("/similar/{}?top=2", world().item(0).replace(' ', "%20"));
    let plain = ["/", "/openapi.json", "/health", "/ready", "/metrics", "/examples", "/recommend?user=u", &similar];
    let mut calls: Vec<_> = plain.map(|path| ("GET", path.to_string(), None)).into();
    calls.extend(
        [
            ("POST", "/events", Some(event)),
            ("POST", "/recommend", Some(user)),
            ("POST", "/score", Some(score)),
            ("PUT", "/items/new", Some(json!({}))),
            ("DELETE", "/users/u", None),
            ("POST", "/admin/reload", None),
            ("POST", "/admin/compact", None),
        ]
        .map(|(method, path, body)| (method, path.to_string(), body)),
    );
    calls
}

/// The same call in every wrong way.
fn wrong(live: &Live, open: &Live, method: &str, path: &str, body: Option<&Value>) -> Vec<Reply> {
    let with = |token: &str, path: &str, body: Option<&Value>| {
        ask(live.address, method, path, &[("Authorization", token)], body)
    };
    let odd = format!("{}?top=x", path.split('?').next().unwrap_or(path));
    let mut replies = vec![
        with("Bearer wrong", path, body),
        with(READ, path, body),
        ask(open.address, method, path, &[("Host", "elsewhere.example")], body),
        with(ADMIN, &odd, Some(&json!({ "what": 1 }))),
    ];
    let named = path.rsplit_once('/').map_or("", |(start, _)| start);
    if ["/similar", "/items", "/users"].contains(&named) {
        let names = ["", &"x".repeat(300), "%ff"].map(|name| format!("{named}/{name}"));
        replies.extend(names.iter().map(|path| with(ADMIN, path, body)));
    }
    if body.is_some() {
        let plain = [("Authorization", ADMIN), ("Content-Type", "text/plain")];
        replies.push(ask(live.address, method, path, &plain, body));
        replies.push(with(ADMIN, path, Some(&json!("x".repeat(2 << 20)))));
    }
    replies
}

/// What the file says and nobody was answered.
fn missing(happened: &Happened) -> Vec<String> {
    // What takes a full disk, a lost device or a slow one is provoked elsewhere.
    const WORLD: [&str; 4] = ["500", "503", "504", "507"];
    let mut missing = Vec::new();
    for (path, route) in spec()["paths"].as_object().expect("paths") {
        for (method, operation) in route.as_object().expect("methods") {
            let responses = operation["responses"].as_object().expect("responses");
            let statuses = responses.keys().filter(|status| !WORLD.contains(&status.as_str()));
            let unseen = statuses.filter(|s| !happened.contains(&(method.clone(), path.as_str(), s.to_string())));
            missing.extend(unseen.map(|status| format!("{method} {path} {status}")));
        }
    }
    missing
}

/// Every route of the file, and every status of each that a client can bring about.
#[test]
fn all_that_the_file_promises_happens() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("model");
    crate::disk::copy(&world().whole(), &model);
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "read read-read-read-read\nadmin admin-admin-admin-admin\n").expect("write");
    let live = Live::with(&model, |o| o.token_file = Some(tokens));
    let open = Live::new(&model);
    let mut happened = Happened::new();
    let mut note = |method: &str, path: &str, reply: &Reply| {
        happened.insert((method.to_lowercase(), route(path).expect("a route").0, reply.status.to_string()));
    };
    let admin = [("Authorization", ADMIN)];
    for (method, path, body) in calls() {
        let right = ask(live.address, method, &path, &admin, body.as_ref());
        assert_eq!(right.status, 200, "{method} {path}: {}", right.text);
        note(method, &path, &right);
        wrong(&live, &open, method, &path, body.as_ref()).iter().for_each(|reply| note(method, &path, reply));
    }
    for (method, path, body) in [
        ("GET", "/recommend?user=u&category=none", None),
        ("POST", "/recommend", Some(json!({ "user": "u", "category": "none" }))),
        ("PUT", "/items/x", Some(json!({ "features": [1, 2] }))),
    ] {
        note(method, path, &ask(live.address, method, path, &admin, body.as_ref()));
    }
    std::fs::write(model.join("config.json"), "{").expect("write");
    note("POST", "/admin/reload", &ask(live.address, "POST", "/admin/reload", &admin, None));
    assert_eq!(missing(&happened), [""; 0], "in the file, but never answered");
}
