//! `update` and `export`: a model that goes on, and one that only serves.

use crate::{Run, command, contents, copy, place, run, text};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

fn update(events: &Path, out: &Path, more: &[&str]) -> Run {
    let model = place().model();
    run(&[&["update", text(&model), "--events", text(events), "--out", text(out), "--json"], more].concat())
}

fn log(name: &str, lines: &str) -> PathBuf {
    let path = place().path(name);
    std::fs::write(&path, format!("user,place,time,lat,lon,category\n{lines}")).expect("write");
    path
}

fn names(model: &Path) -> (Vec<String>, Vec<String>) {
    let data = desirepath::data::Dataset::load(&model.join("data")).expect("a dataset");
    (data.users, data.items)
}

/// Events of known users, a new user and a new place that all of them go to.
fn opening(name: &str) -> PathBuf {
    let d = &place().city.dataset;
    let mut lines = String::new();
    for (n, user) in d.users.iter().take(20).enumerate() {
        let last = d.time[d.events_of(n + 1).end - 1];
        for visit in 1..4 {
            lines += &format!("{user},zoo,{},53.35,-6.3,park\n", last + 3600 * visit);
        }
    }
    for (hour, item) in d.items.iter().take(6).enumerate() {
        lines += &format!("newcomer,{item},{},,,\n", 1_700_000_000 + 3600 * hour);
    }
    log(name, &lines)
}

fn recommended(model: &Path, who: &[&str]) -> Vec<String> {
    let answer = run(&[&["recommend", text(model), "--top", "10", "--json"], who].concat()).json();
    let items = answer["items"].as_array().expect("items").clone();
    items.iter().map(|i| i["item"].as_str().expect("a name").to_string()).collect()
}

#[test]
fn an_update_keeps_ids_and_learns_what_is_new() {
    let (events, out) = (opening("opening.csv"), place().path("updated"));
    let summary = update(&events, &out, &["--epochs", "8", "--lr", "0.01"]).json();
    assert_eq!((&summary["new_users"], &summary["new_items"]), (&1.into(), &1.into()), "{summary}");
    assert_eq!((&summary["new_events"], &summary["known_events"]), (&66.into(), &0.into()));
    assert!(summary["rows"].as_u64() > Some(21), "old events are mixed in: {summary}");
    let (old, new) = (names(&place().model()), names(&out));
    assert_eq!(new.0[..old.0.len()], old.0[..]);
    assert_eq!(new.1[..old.1.len()], old.1[..]);
    assert_eq!((new.0.last().map(String::as_str), new.1.last().map(String::as_str)), (Some("newcomer"), Some("zoo")));
    let user = &place().city.dataset.users[0];
    assert!(recommended(&out, &["--user", user]).contains(&"zoo".into()), "what is new is recommended");
    assert!(!recommended(&place().model(), &["--user", user]).contains(&"zoo".into()));
    assert_eq!(recommended(&out, &["--user", "newcomer"]).len(), 10);
    // The same again with the same bits; and an update of the update knows all of it.
    let again = place().path("updated-again");
    update(&events, &again, &["--epochs", "8", "--lr", "0.01"]).ok();
    let weights = |folder: &Path| std::fs::read(folder.join("model.safetensors")).expect("weights");
    assert_eq!(weights(&out), weights(&again));
    let third = place().path("updated-third");
    let more = ["update", text(&out), "--events", text(&events), "--out", text(&third)];
    run(&more).fails(1, "the model knows all 66 events already");
}

/// Vectors that are there at the start are those of the model: an update that may not move shows them.
#[test]
fn an_update_starts_where_the_model_is() {
    let (events, out) = (opening("still.csv"), place().path("still"));
    update(&events, &out, &["--epochs", "1", "--lr", "1e-12"]).ok();
    let vectors = |folder: &Path| {
        let exported = folder.with_extension("f32");
        run(&["export", text(folder), "--items", "f32", "--out", text(&exported), "--force"]).ok();
        let bytes = std::fs::read(exported.join("model.safetensors")).expect("weights");
        let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
        let numbers = |name: &str| bytemuck::pod_collect_to_vec::<u8, f32>(file.tensor(name).expect(name).data());
        (numbers("item.vectors"), numbers("user.table"))
    };
    let (old, new) = (vectors(&place().model()), vectors(&out));
    for (old, new) in [(&old.0, &new.0), (&old.1, &new.1)] {
        let farthest = old.iter().zip(new).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(new.len() > old.len() && farthest < 1e-5, "moved by {farthest}");
    }
    assert_eq!(new.1[new.1.len() - 16..], new.1[..16], "a new user starts as the one never seen");
}

#[test]
fn an_update_refuses_what_is_bad() {
    let (events, out, model) = (opening("bad.csv"), place().path("refused"), place().model());
    update(&place().path("nowhere.csv"), &out, &[]).fails(1, "no such file");
    let broken = log("broken.csv", "u,i,noon,0,0,park\n");
    update(&broken, &out, &[]).fails(1, "broken.csv:2");
    update(&events, &model, &[]).fails(2, "is the model to update");
    update(&events, &out, &["--mix=-1"]).fails(2, "mix");
    update(&events, &out, &["--epochs", "0"]).fails(2, "epochs = 0");
    let single = log("single.csv", "somebody,somewhere,1700000000,,,\n");
    update(&single, &out, &[]).fails(1, "nothing to learn");
    update(place().path("").as_path(), &out, &[]).fails(1, "is no dataset");
    assert!(!out.exists(), "nothing is written before there is something to write");
    update(&place().dataset(), &out, &[]).fails(1, "events already");
    std::fs::create_dir_all(out.join("mine")).expect("a folder");
    update(&events, &out, &["--force"]).fails(2, "no model that --force could replace");
    assert!(out.join("mine").exists());
}

/// An update holds nothing out: of whom there are three events there is something to learn, of whom there is one nothing.
#[test]
fn after_an_update_who_has_two_events_is_known() {
    let items = &place().city.dataset.items;
    let visits = |user: &str, n: usize| -> String {
        let line = |(hour, item): (usize, &String)| format!("{user},{item},{},,,\n", 1_700_000_000 + 3600 * hour);
        items.iter().take(n).enumerate().map(line).collect()
    };
    let lines = visits("once", 1) + &visits("twice", 2) + &visits("thrice", 3);
    let (events, out) = (log("known.csv", &lines), place().path("known"));
    update(&events, &out, &["--epochs", "1"]).ok();
    let cold = |user: &str| run(&["recommend", text(&out), "--user", user, "--json"]).json()["cold"].clone();
    assert_eq!([cold("once"), cold("twice"), cold("thrice")], [true, false, false]);
    // From what the model was before, with other weights: no update of it goes on.
    let other = place().path("known-other");
    copy(&out, &other);
    let model = place().model();
    let more = ["update", text(&model), "--events", text(&events), "--out", text(&other), "--epochs", "1"];
    run(&[&more[..], &["--resume"]].concat()).ok();
    let config = std::fs::read_to_string(other.join("config.json")).expect("a configuration");
    let at = config.find("\"weights\": \"").expect("where it began") + 12;
    let (head, tail) = config.split_at(at);
    let another = if tail.starts_with('0') { '1' } else { '0' };
    std::fs::write(other.join("config.json"), format!("{head}{another}{}", &tail[1..])).expect("write");
    run(&[&more[..], &["--resume"]].concat()).fails(1, "from another model");
}

/// Killed between two epochs and started again, an update ends with the bits of one that nobody disturbed.
#[test]
fn an_update_resumes() {
    let (events, whole, part) = (opening("resume.csv"), place().path("update-whole"), place().path("update-part"));
    let epochs = ["--epochs", "12"];
    update(&events, &whole, &epochs).ok();
    let model = place().model();
    let args = ["update", text(&model), "--events", text(&events), "--out", text(&part), "--epochs", "12", "--resume"];
    let mut child = command(&args).stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
    let begun = Instant::now();
    let epoch = || {
        let state = std::fs::read(part.join("state.json")).unwrap_or_default();
        serde_json::from_slice::<Value>(&state).unwrap_or_default()["epoch"].as_u64().unwrap_or(0)
    };
    while epoch() == 0 && child.try_wait().expect("a child").is_none() {
        assert!(begun.elapsed() < Duration::from_secs(120), "no epoch in two minutes");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("kill");
    assert!(!child.wait().expect("a child").success(), "never killed in time");
    update(&events, &part, &["--epochs", "13", "--resume"]).fails(1, "other settings");
    update(&events, &part, &["--epochs", "12", "--mix", "0.5", "--resume"]).fails(1, "other settings");
    let summary = update(&events, &part, &["--epochs", "12", "--resume"]).json();
    assert_eq!(summary["state"]["finished"], true);
    let again = update(&events, &part, &["--epochs", "12", "--resume"]).json();
    assert_eq!(again["state"], summary["state"], "nothing is left to do");
    let weights = |folder: &Path| std::fs::read(folder.join("model.safetensors")).expect("weights");
    assert!(weights(&whole) == weights(&part), "other bits");
    update(&events, &part, &[]).fails(2, "go on with --resume");
}

#[test]
fn an_exported_model_serves_like_any_other() {
    let (model, data) = (place().model(), place().dataset());
    let user = &place().city.dataset.users[2];
    let evaluate = |folder: &Path| run(&["evaluate", text(folder), text(&data), "--json"]).json();
    let ndcg = |result: &Value| result["ndcg@10"].as_f64().expect("a number");
    let before = evaluate(&model);
    let mut sizes = Vec::new();
    for (bits, most) in [("f32", 1e-6), ("f16", 0.01), ("int8", 0.05)] {
        let out = place().path(&format!("for-{bits}"));
        let summary = run(&["export", text(&model), "--items", bits, "--out", text(&out), "--json"]).json();
        assert_eq!(summary["items"], bits);
        sizes.push(summary["bytes"].as_u64().expect("bytes"));
        let loss = (ndcg(&before) - ndcg(&evaluate(&out))).abs();
        assert!(loss <= most, "{bits}: {loss}");
        let (a, b) = (recommended(&model, &["--user", user]), recommended(&out, &["--user", user]));
        let common = a.iter().filter(|item| b.contains(item)).count();
        assert!(common >= 9, "{bits}: {a:?} and {b:?}");
        let explain = run(&["recommend", text(&out), "--user", user, "--explain", "--json"]).json();
        assert!(explain["explain"].as_array().is_some_and(|list| !list.is_empty()));
    }
    assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2], "{sizes:?}");
}

#[test]
fn an_exported_model_is_for_serving_alone() {
    let (model, data, out) = (place().model(), place().dataset(), place().path("alone"));
    let export =
        |more: &[&str]| run(&[&["export", text(&model), "--items", "int8", "--out", text(&out)], more].concat());
    assert!(export(&[]).ok().contains("int8"));
    export(&[]).fails(2, "replace it with --force");
    export(&["--force"]).ok();
    run(&["export", text(&model), "--items", "f16", "--out", text(&model)]).fails(2, "can be trained on");
    let serving = "exported for serving";
    run(&["export", text(&out), "--items", "f16"]).fails(1, serving);
    run(&["train", text(&data), "--out", text(&out), "--resume"]).fails(1, serving);
    let next = place().path("alone-next");
    run(&["update", text(&out), "--events", text(&opening("alone.csv")), "--out", text(&next)]).fails(1, serving);
    // Weights that are cut short, or of another kind than the configuration says.
    let bad = place().path("alone-bad");
    copy(&out, &bad);
    let file = bad.join("model.safetensors");
    let bytes = std::fs::read(&file).expect("weights");
    std::fs::write(&file, &bytes[..bytes.len() / 2]).expect("write");
    run(&["evaluate", text(&bad), text(&data)]).fails(1, "damaged or cut short");
    std::fs::write(&file, &bytes).expect("write");
    let config = std::fs::read_to_string(bad.join("config.json")).expect("a configuration");
    std::fs::write(bad.join("config.json"), config.replace("\"int8\"", "\"f16\"")).expect("write");
    run(&["evaluate", text(&bad), text(&data)]).fails(1, "item.vectors is");
    assert!(contents(&out).len() >= 4);
}
