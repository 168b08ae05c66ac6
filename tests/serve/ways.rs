//! What the routes are for.

use crate::{Live, NOW, names, world};
use serde_json::{Value, json};

#[test]
fn an_event_changes_what_comes_next() {
    let live = Live::new(&world().whole());
    let user = world().user(3);
    let before = live.recommend(user);
    assert_eq!(before["cold"], false);
    live.event(user, world().item(5), NOW - 60);
    let after = live.recommend(user);
    assert_ne!(before["items"], after["items"]);
    let query = format!("/recommend?top=8&at={NOW}&user={user}");
    assert_eq!(live.get(&query).ok(), after, "both ways to ask");
}

/// Each key counts once for its user, in one request or several.
#[test]
fn a_retry_is_harmless() {
    let live = Live::new(&world().whole());
    let event = |user: &str, key: &str| json!({ "user": user, "item": world().item(0), "time": NOW, "key": key });
    let send = |events: Vec<serde_json::Value>| live.post("/events", json!({ "events": events })).ok();
    assert_eq!(send(vec![event("a", "1"), event("a", "1"), event("b", "1")]), json!({ "accepted": 3, "known": 1 }));
    let once = live.recommend("a");
    assert_eq!(send(vec![event("a", "1")]), json!({ "accepted": 1, "known": 1 }));
    assert_eq!(live.recommend("a"), once);
    assert_eq!(send(vec![event("a", "2")]), json!({ "accepted": 1, "known": 0 }));
    assert_ne!(live.recommend("a"), once);
}

/// An event that comes late takes the place in the history that its time says.
#[test]
fn late_events_find_their_place() {
    for model in [world().whole(), world().gru()] {
        let live = Live::new(&model);
        for (user, order) in [("in-order", [0, 1, 2]), ("late", [2, 0, 1])] {
            for n in order {
                live.event(user, world().item(3 * n), NOW - 1000 + n as i64);
                live.recommend(user); // so that there is a state that covers it
            }
        }
        let (in_order, late) = (live.recommend("in-order"), live.recommend("late"));
        // A state that moved on and one of the whole history differ in the last bit.
        assert_eq!(names(&in_order), names(&late), "{}", model.display());
    }
}

#[test]
fn strangers_get_sensible_answers() {
    let live = Live::new(&world().whole());
    let nobody = live.recommend("nobody");
    assert_eq!(nobody["cold"], true);
    let mut counts = vec![0; world().dataset.n_items() + 1];
    world().dataset.item.iter().for_each(|item| counts[*item as usize] += 1);
    let most = counts.iter().max().expect("items");
    let first = world().dataset.items.iter().position(|i| i == names(&nobody)[0]).expect("an item");
    assert_eq!(counts[first + 1], *most, "the most popular comes first");
    live.event("nobody", world().item(7), NOW - 60);
    let known = live.recommend("nobody");
    assert_eq!(known["cold"], true);
    assert_ne!(known["items"], nobody["items"], "the history counts");
    // Items that nobody knows say nothing, and do no harm.
    live.event("nobody", "an item from nowhere", NOW - 30);
    assert_eq!(live.recommend("nobody"), known);
    let told = json!({ "history": [{ "item": world().item(7), "time": NOW - 60 }], "top": 8, "at": NOW });
    assert_eq!(live.post("/recommend", told).ok(), known, "an explicit history is a user without a name");
    assert_eq!(live.post("/recommend", json!({ "history": [], "top": 8 })).ok(), nobody);
}

#[test]
fn filters_and_reasons() {
    let live = Live::new(&world().whole());
    let user = world().user(2);
    let all = live.recommend(user);
    let without = names(&all)[0];
    let ask = |more: serde_json::Value| {
        let mut body = json!({ "user": user, "top": 8, "at": NOW });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        live.post("/recommend", body).ok()
    };
    let excluded = ask(json!({ "exclude": [without, "nothing of that name"] }));
    assert_eq!(names(&excluded)[..7], names(&all)[1..]);
    let data = &world().dataset;
    let category = &data.categories[0];
    let of = data.item_category.as_ref().expect("categories");
    let chosen = ask(json!({ "category": category }));
    let fits = |name: &&str| of[data.items.iter().position(|i| i == *name).expect("an item")] == 1;
    assert!(!names(&chosen).is_empty() && names(&chosen).iter().all(fits), "{chosen}");
    let explained = ask(json!({ "explain": true }));
    let weights = explained["explain"].as_array().expect("weights");
    let sum: f64 = weights.iter().map(|w| w["weight"].as_f64().expect("a number")).sum();
    assert!((sum - 1.0).abs() < 1e-3 && weights.len() == data.events_of(3).len().min(12), "{explained}");
    assert_eq!(explained["items"], all["items"]);
    let seen = Live::new(&world().gru());
    let had: Vec<&str> = data.item[data.events_of(3)].iter().map(|i| data.items[*i as usize - 1].as_str()).collect();
    let answer = seen.recommend(user);
    assert!(names(&answer).iter().all(|n| !had.contains(n)), "what was seen is filtered, as in training");
}

/// A score and a probability are the same, however they are asked for.
#[test]
fn scores_are_those_of_the_ranking() {
    for model in [world().whole(), world().gru()] {
        let live = Live::new(&model);
        for user in [world().user(4), "somebody new"] {
            live.event(user, world().item(9), NOW - 60);
            let ranked = live.recommend(user);
            let mut items = names(&ranked);
            items.push("an item from nowhere");
            let scored = live.post("/score", json!({ "user": user, "items": items, "at": NOW })).ok();
            for (a, b) in
                ranked["items"].as_array().expect("items").iter().zip(scored["items"].as_array().expect("items"))
            {
                assert_eq!(a["item"], b["item"]);
                for what in ["score", "probability"] {
                    let pair = [a, b].map(|r| r[what].as_f64().unwrap_or(-1.0));
                    assert!((pair[0] - pair[1]).abs() < 1e-4 * pair[0].abs().max(1.0), "{what} {pair:?}");
                }
            }
            assert_eq!(scored["items"][8], json!({ "item": "an item from nowhere", "score": null, "cold": true }));
        }
    }
}

#[test]
fn a_new_item_is_there_at_once() {
    let live = Live::new(&world().whole());
    let data = &world().dataset;
    let whole = || live.post("/recommend", json!({ "user": world().user(1), "top": 1000, "at": NOW })).ok();
    let before = whole();
    // It takes the category and the place of one that exists.
    let like = data.item[data.events_of(2)][0] as usize - 1;
    let place = data.item_place.as_ref().expect("places")[like];
    let category = &data.categories[data.item_category.as_ref().expect("categories")[like] as usize - 1];
    let facts = json!({ "category": category, "place": place });
    assert_eq!(live.send("PUT", "/items/brand%20new", Some(&facts)).ok(), json!({ "item": "brand new", "new": true }));
    let reply = live.send("PUT", &format!("/items/{}", data.items[like].replace(' ', "%20")), Some(&facts)).ok();
    assert_eq!(reply["new"], false, "training saw that one");
    let mut all = whole();
    assert_eq!(names(&all).len(), data.n_items() + 1);
    let found = all["items"].as_array().expect("items").iter().find(|i| i["item"] == "brand new").cloned();
    assert_eq!(found.expect("the new item")["cold"], true);
    let items = all["items"].as_array_mut().expect("items");
    items.retain(|i| i["item"] != "brand new");
    // Scores say the same of what the user has not met; and what the new one takes of the catalogue's probability, the
    // pointer into the own history does not lose: nothing falls by more than those.
    let number = |i: &Value, key: &str| i[key].as_f64().expect("a number");
    let was = |name: &Value| before["items"].as_array().expect("items").iter().find(|i| i["item"] == *name).cloned();
    let pairs: Vec<(Value, Value)> = items.iter().map(|i| (was(&i["item"]).expect("was there"), i.clone())).collect();
    let had: Vec<&str> = data.item[data.events_of(2)].iter().map(|i| data.items[*i as usize - 1].as_str()).collect();
    let unmet = |names: Vec<&'_ str>| -> Vec<String> {
        names.into_iter().filter(|name| !had.contains(name)).map(str::to_string).collect()
    };
    let now = unmet(items.iter().map(|i| i["item"].as_str().expect("a name")).collect());
    let then = unmet(names(&before));
    assert_eq!(now, then, "those that the user has not met keep their order");
    assert!(!then.is_empty() && then.len() < names(&before).len(), "some of both kinds");
    let met = |i: &Value| had.contains(&i["item"].as_str().expect("a name"));
    let left = |(a, b): &(Value, Value)| number(b, "probability") / number(a, "probability");
    let shrunk = pairs.iter().filter(|(_, b)| !met(b)).map(left).collect::<Vec<f64>>();
    let factor = shrunk[0];
    assert!((0.5..1.0).contains(&factor) && shrunk.iter().all(|f| (f / factor - 1.0).abs() < 1e-4), "{shrunk:?}");
    for pair @ (a, b) in &pairs {
        match met(b) {
            true => assert!((factor - 1e-4..=1.0).contains(&left(pair)), "{a} {b}"),
            false => assert!((number(a, "score") - number(b, "score")).abs() < 1e-4, "{a} {b}"),
        }
    }
    let similar = live.get("/similar/brand%20new?top=5").ok();
    assert_eq!(similar["cold"], true);
    assert_eq!(names(&similar).len(), 5);
    // As a past event, too, and after the next start.
    live.event("u", "brand new", NOW - 60);
    let after = live.recommend("u");
    assert!(after["items"][0]["score"].is_number() && after["items"] != live.recommend("nobody")["items"]);
    let folder = live.stop();
    let again = Live::on(folder, &world().whole(), |_| ());
    assert_eq!(again.recommend("u"), after);
    for n in 0..130 {
        assert_eq!(
            again.send("PUT", &format!("/items/n{n}"), Some(&json!({}))).ok()["new"],
            true,
            "the catalogue grows"
        );
    }
    assert_eq!(again.get("/similar/n129").status, 200);
}

#[test]
fn similar_items_are_near_by_cosine() {
    let live = Live::new(&world().whole());
    let item = world().item(4);
    let answer = live.get(&format!("/similar/{}?top=29", item.replace(' ', "%20"))).ok();
    assert_eq!(names(&answer).len(), world().dataset.n_items() - 1);
    assert!(!names(&answer).contains(&item));
    let scores: Vec<f64> =
        answer["items"].as_array().expect("items").iter().filter_map(|i| i["score"].as_f64()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores.iter().all(|s| s.abs() <= 1.0001), "{scores:?}");
}

#[test]
fn metrics_count() {
    let live = Live::new(&world().gru());
    live.event(world().user(0), world().item(1), NOW - 60);
    live.recommend(world().user(0));
    let text = live.get("/metrics").text;
    for line in [
        "desirepath_requests_total{route=\"/events\",status=\"200\"} 1",
        "desirepath_events_total 1",
        "desirepath_queue 0",
        "# EOF",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert!(!text.contains(world().user(0)) && !text.contains(world().item(1)));
}

/// What a server has gathered, the next model learns: users, items and what was put of them.
#[test]
fn a_model_learns_from_a_store() {
    let live = Live::new(&world().whole());
    let category = &world().dataset.categories[0];
    live.send("PUT", "/items/aquarium", Some(&json!({ "category": category, "place": [53.5, 10.0] }))).ok();
    let user = world().user(2);
    for n in 0..4 {
        live.event("newcomer", "aquarium", NOW - 4000 + 600 * n);
        live.event(user, "aquarium", NOW - 4000 + 600 * n);
    }
    let folder = live.stop();
    let (store, out) = (folder.path().join("store"), folder.path().join("next"));
    let update = |out: &std::path::Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_desirepath"));
        command.arg("update").arg(world().whole()).arg("--events").arg(&store).arg("--out").arg(out).arg("--json");
        command.output().expect("it starts")
    };
    let done = update(&out);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let counts = ["new_users", "new_items", "new_events"].map(|name| summary[name].as_u64());
    assert_eq!(counts, [Some(1), Some(1), Some(8)], "{summary}");
    let data = desirepath::data::Dataset::load(&out.join("data")).expect("the model's own data");
    let (n, categories) = (data.n_items(), data.item_category.as_ref().expect("categories"));
    assert_eq!((data.items[n - 1].as_str(), data.users.last().map(String::as_str)), ("aquarium", Some("newcomer")));
    assert_eq!(data.categories[categories[n - 1] as usize - 1], *category);
    assert_eq!(data.item_place.as_ref().expect("places")[n - 1], [53.5, 10.0]);

    // The server goes on with the next model on the same store, whose events count once.
    let live = Live::on(folder.clone(), &out, |_| ());
    assert_eq!(live.recommend("newcomer")["cold"], false);
    drop(live);
    std::fs::write(&store, b"redb\x1a\x0a\xa9\x0d\x0a and then nothing of the kind").expect("write");
    let failed = update(&folder.path().join("another"));
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(failed.status.code() == Some(1) && said.contains("store"), "{said}");
}
