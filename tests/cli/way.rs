use crate::{SMALL, command, ended, place, run, text};
use serde_json::Value;

#[track_caller]
fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("no number {key:?} in {value}"))
}

#[test]
fn prepare_says_what_it_did() {
    let d = &place().city.dataset;
    let report = run(&["prepare", text(&place().csv()), "--out", text(&place().path("again")), "--json"]).json();
    assert_eq!(report["events"], d.n_events());
    assert_eq!(report["users"], d.n_users());
    for key in ["rows_read", "malformed", "duplicates", "missing", "tie_rule", "time_span"] {
        assert!(!report[key].is_null(), "{key} is missing in {report}");
    }
    let words = run(&["prepare", text(&place().csv()), "--out", text(&place().path("again"))]).ok();
    assert!(words.contains(&format!("{} events", d.n_events())) && words.contains("written"), "{words}");
}

#[test]
fn train_says_what_it_did() {
    let (out, data) = (place().path("small"), place().dataset());
    let train = ["train", text(&data), "--out", text(&out), "--json", "--set", "epochs=1", "--force"];
    let summary = run(&[&train[..], &SMALL[..]].concat()).json();
    for key in ["parameters", "seconds", "peak_device_bytes", "seed"] {
        assert!(number(&summary, key) > 0.0, "{key}");
    }
    assert_eq!(summary["state"]["epoch"], 3, "a later --set wins");
    assert_eq!(summary["state"]["finished"], true);
    assert_eq!(summary["state"]["history"].as_array().map(Vec::len), Some(3));
}

/// A configuration in a file, changed on the command line.
#[test]
fn train_reads_a_file_of_settings() {
    let (file, out) = (place().path("small.toml"), place().path("from-file"));
    std::fs::write(&file, "[model]\npreset = \"gru4rec\"\ndim = 8\nlen = 10\n[train]\nepochs = 1\nwindows = \"all\"\n")
        .expect("write");
    let data = place().dataset();
    let train = ["train", text(&data), "--out", text(&out), "--config", text(&file), "--set", "dim=16"];
    run(&train).ok();
    let written: Value =
        serde_json::from_slice(&std::fs::read(out.join("config.json")).expect("a model")).expect("JSON");
    assert_eq!((&written["model"]["dim"], &written["model"]["attention"]), (&16.into(), &false.into()));
    assert_eq!((&written["train"]["windows"], &written["train"]["epochs"]), (&"all".into(), &1.into()));
    let preset = ["--preset", "sasrec", "--force"];
    run(&[&train[..], &preset[..]].concat()).ok();
    let written: Value =
        serde_json::from_slice(&std::fs::read(out.join("config.json")).expect("a model")).expect("JSON");
    assert_eq!((&written["model"]["gru"], &written["model"]["len"]), (&false.into(), &10.into()), "{written}");
    std::fs::write(&file, "[model]\nwidth = 8\n").expect("write");
    run(&[&train[..], &["--force"]].concat()).fails(1, "no setting \"model.width\"");
}

#[test]
fn evaluate_prints_the_documented_keys() {
    let (model, data) = (place().model(), place().dataset());
    let evaluate = |more: &[&str]| run(&[&["evaluate", text(&model), text(&data), "--json"], more].concat()).json();
    let result = evaluate(&[]);
    for k in [1, 5, 10, 20, 50] {
        for name in ["hr", "ndcg", "mrr", "recall"] {
            let key = format!("{name}@{k}");
            let value = number(&result, &key);
            assert!((0.0..=1.0).contains(&value), "{key} = {value}");
            let ends = result["ci95"][&key].as_array().expect("an interval");
            assert!(ends[0].as_f64() <= Some(value) && Some(value) <= ends[1].as_f64(), "{key}: {ends:?}");
        }
    }
    assert_eq!(result["recall@5"], result["hr@5"], "with one target they are the same");
    assert_eq!(result["cases"], place().city.dataset.n_users());
    for name in ["pop", "markov", "userfreq"] {
        for key in ["hr@10", "ndcg@10", "recall@5", "mrr"] {
            number(&result["baselines"][name], key);
        }
    }
    assert_eq!(result["baselines"].as_object().map(serde_json::Map::len), Some(3));
    for key in ["coverage@10", "popularity@10", "mrr"] {
        number(&result, key);
    }
    assert_eq!((&result["split"], &result["request_time"]), (&"test".into(), &true.into()));
    // The same again, but for the clock.
    let plain = |mut value: Value| {
        let object = value.as_object_mut().expect("an object");
        object.remove("seconds");
        object.remove("cases_per_s");
        value
    };
    assert_eq!(plain(evaluate(&[])), plain(result.clone()));
    let other = evaluate(&["--split", "validation", "--seen", "filter"]);
    assert_eq!((&other["split"], &other["seen"]), (&"validation".into(), &"filter".into()));
    assert_ne!(other["hr@10"], result["hr@10"]);
    let table = run(&["evaluate", text(&model), text(&data)]).ok();
    assert!(["model", "pop", "markov", "userfreq", "NDCG"].iter().all(|word| table.contains(word)), "{table}");
}

fn recommend(more: &[&str]) -> Value {
    let model = place().model();
    run(&[&["recommend", text(&model), "--json"], more].concat()).json()
}

fn names(answer: &Value) -> Vec<String> {
    let list = answer["items"].as_array().expect("items");
    list.iter().map(|i| i["item"].as_str().expect("a name").to_string()).collect()
}

#[test]
fn recommend_serves_users_and_histories() {
    let d = &place().city.dataset;
    let user = d.users[3].as_str();
    let answer = recommend(&["--user", user, "--top", "7"]);
    let scores: Vec<f64> = answer["items"].as_array().expect("items").iter().map(|i| number(i, "score")).collect();
    assert!(scores.len() == 7 && scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert!(answer["items"][0]["probability"].is_number() && answer["cold"] == false);
    assert!(names(&answer).iter().all(|n| d.items.contains(n)));
    // What the same person did, told as a history: known items of somebody unknown.
    let past: Vec<&str> = d.item[d.events_of(4)].iter().map(|i| d.items[*i as usize - 1].as_str()).collect();
    let history = past.join(",");
    let told = recommend(&["--history", &history, "--top", "1000"]);
    assert_eq!(told["cold"], true);
    assert_eq!(names(&told).len(), d.n_items(), "no more than there are");
    let text_answer = run(&["recommend", text(&place().model()), "--user", user]).ok();
    assert_eq!(text_answer.lines().count(), 10, "ten by default: {text_answer}");
    assert!(text_answer.contains("score") && text_answer.contains("probability"));
}

#[test]
fn recommend_takes_time_and_place_and_explains() {
    let d = &place().city.dataset;
    let user = d.users[5].as_str();
    let last = d.time[d.events_of(6).end - 1];
    let at = |hours: i64| (last + hours * 3600).to_string();
    let (soon, later) = (recommend(&["--user", user, "--at", &at(1)]), recommend(&["--user", user, "--at", &at(9)]));
    assert_ne!(soon["items"], later["items"], "the time of the request counts");
    assert_eq!(soon, recommend(&["--user", user, "--at", &at(1)]), "the same question, the same answer");
    let near = recommend(&["--user", user, "--at", &at(1), "--near", "53.40,-10.2"]);
    assert_ne!(soon["items"], near["items"], "the place of the request counts");
    recommend(&["--user", user, "--at", "2024-03-01T18:30"]);
    recommend(&["--user", user, "--at", "9999-12-31T23:59"]);
    let answer = recommend(&["--user", user, "--at", &at(1), "--explain"]);
    let weights = answer["explain"].as_array().expect("an explanation");
    let sum: f64 = weights.iter().map(|w| number(w, "weight")).sum();
    assert!(weights.len() == d.events_of(6).len().min(10) && (sum - 1.0).abs() < 1e-3, "{weights:?}");
    assert!(weights.iter().all(|w| w["item"].is_string() && w["time"].is_i64()));
    let text_answer = run(&["recommend", text(&place().model()), "--user", user, "--explain"]).ok();
    assert!(text_answer.contains("weight of past events") && text_answer.contains('%'));
}

/// A model that looks both ways, trained on drawn items, is used like any other; so is a search over losses.
#[test]
fn other_objectives_go_all_the_way() {
    let (data, model) = (place().dataset(), place().path("both-ways"));
    let small = ["dim=16", "len=10", "epochs=2", "batch=16"].map(|s| ["--set", s]).concat();
    let more = ["--preset", "bert4rec", "--set", "loss=gbce", "--set", "negatives=8", "--set", "tied=false"];
    let train = ["train", text(&data), "--out", text(&model)];
    run(&[&train[..], &small, &more].concat()).ok();
    run(&[&train[..], &["--resume"]].concat()).ok();
    assert!(number(&run(&["evaluate", text(&model), text(&data), "--json"]).json(), "ndcg@10") > 0.0);
    let user = place().city.dataset.users[5].as_str();
    let answer = run(&["recommend", text(&model), "--user", user, "--explain", "--json"]).json();
    assert_eq!(names(&answer).len(), 10);
    assert!(!answer["explain"].as_array().expect("weights").is_empty());
    let bad = |sets: &[&str]| run(&[&train[..], &["--force"], &small, sets].concat());
    bad(&["--set", "loss=bpr", "--seen", "keep"]).fails(2, "set repeats=false or loss=full");
    bad(&["--set", "loss=ce"]).fails(2, "sampled-softmax");
    bad(&["--set", "augment=crop,cut"]).fails(2, "there are: none, crop, mask, reorder, time, start");
    let (space, out) = (place().path("losses.toml"), place().path("losses"));
    let choices = "loss = [\"full\", \"sampled-softmax\", \"bpr\"]\ntargets = [\"all\", \"last\"]\naugment = [\"none\", \"crop,mask\"]";
    std::fs::write(&space, choices).expect("write");
    let tune =
        ["tune", text(&data), "--out", text(&out), "--space", text(&space), "--preset", "sasrec", "--trials", "3"];
    run(&[&tune[..], &small].concat()).ok();
}

/// What was seen is never recommended where seen items are filtered, however long ago it was.
#[test]
fn recommend_filters_the_whole_past() {
    let out = place().path("filtering");
    let data = place().dataset();
    let train = ["train", text(&data), "--out", text(&out), "--seen", "filter"];
    run(&[&train[..], &SMALL[..], &["--set", "len=3", "--set", "epochs=1"]].concat()).ok();
    let d = &place().city.dataset;
    for user in [1, 9] {
        let past: Vec<&String> = d.item[d.events_of(user)].iter().map(|i| &d.items[*i as usize - 1]).collect();
        let answer = run(&["recommend", text(&out), "--user", &d.users[user - 1], "--top", "1000", "--json"]).json();
        let found = names(&answer);
        let mut different = past.clone();
        different.sort();
        different.dedup();
        assert!(found.iter().all(|name| !past.contains(&name)), "something seen before is recommended");
        assert_eq!(found.len(), d.n_items() - different.len());
    }
}

#[test]
fn doctor_lists_adapters() {
    let found = run(&["doctor", "--list", "--json"]).json();
    let first = &found["adapters"][0];
    assert!(first["name"].is_string() && first["max_binding"].is_number(), "{found}");
    let none = command(&["doctor", "--list"]).env("VK_DRIVER_FILES", "/nonexistent").output().expect("it starts");
    let said = ended(none).ok();
    assert!(said.lines().any(|line| line.trim() == "none"), "without one it says so and is no failure: {said}");
}
