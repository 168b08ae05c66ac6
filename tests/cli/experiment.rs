//! Many trainings in one command: `experiment` and `tune`.

use crate::{contents, place, run, text};
use std::path::{Path, PathBuf};

/// Two tiny models on the city's log.
fn experiment(name: &str, more: &str) -> (PathBuf, PathBuf) {
    let file = place().path(&format!("{name}.toml"));
    let data = text(&place().dataset()).to_string();
    let list = format!(
        "data = {data:?}\nbaseline = \"plain\"\n[all]\ndim = 16\nlen = 10\nbatch = 16\nepochs = 2\n\
         [[run]]\nname = \"plain\"\npreset = \"sasrec\"\n[[run]]\nname = \"Whole model\"\nset = {{ {more} }}\n"
    );
    std::fs::write(&file, list).expect("write");
    (file, place().path(name))
}

fn go(file: &Path, out: &Path, seeds: &str) -> crate::Run {
    run(&["experiment", text(file), "--out", text(out), "--seeds", seeds, "--json"])
}

#[test]
fn an_experiment_compares_goes_on_and_repeats_nothing() {
    let (file, out) = experiment("stages", "request_time = true");
    let report = go(&file, &out, "1").json();
    let rows = report["rows"].as_array().expect("rows").clone();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["name"], &rows[1]["name"]), (&"plain".into(), &"Whole model".into()));
    assert!(rows[0]["difference"].as_object().is_some_and(|d| d.is_empty()), "the baseline is compared with itself");
    let first = contents(&out.join("plain/seed-1"));

    // The difference is that of the means, and what `evaluate` says of the model that was kept.
    let mean = |row: usize, key: &str| rows[row]["values"][key]["mean"].as_f64().expect("a mean");
    let difference = rows[1]["difference"]["hr@10"]["difference"].as_f64().expect("a difference");
    assert!((difference - (mean(1, "hr@10") - mean(0, "hr@10"))).abs() < 1e-12);
    let (model, data) = (out.join("whole-model/seed-1/model"), place().dataset());
    let judged = run(&["evaluate", text(&model), text(&data), "--json"]).json();
    for key in ["hr@1", "hr@5", "hr@10", "ndcg@10"] {
        assert_eq!(judged[key].as_f64(), Some(mean(1, key)), "{key}");
    }
    for name in ["POP", "Markov-1", "USERFREQ"] {
        assert!(report["counters"][name]["hr@10"].is_number(), "{name}");
    }

    // Another seed trains that one alone; a result that was lost is made again from the model, with the same ranks.
    let lost = out.join("plain/seed-1/result.json");
    let ranks = |path: &Path| {
        let text = std::fs::read_to_string(path).expect("a result");
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON")["ranks"].clone()
    };
    let before = ranks(&lost);
    std::fs::remove_file(&lost).expect("remove");
    let report = go(&file, &out, "2").json();
    let row = &report["rows"][0];
    assert_eq!(row["seeds"], 2);
    let seeds = row["values"]["hr@10"]["seeds"].as_array().expect("one for each seed");
    assert_eq!(seeds.len(), 2);
    assert_eq!(ranks(&lost), before);
    let again = contents(&out.join("plain/seed-1"));
    for (path, bytes) in first.iter().filter(|(path, _)| !path.ends_with("result.json")) {
        assert!(again[path] == *bytes, "{} was made anew", path.display());
    }

    let table = std::fs::read_to_string(out.join("report.md")).expect("a table");
    assert!(table.contains("| plain | sasrec | 2 |") && table.contains("| Markov-1 | counting |"), "{table}");
    assert!(table.contains("| Whole model | desirepath request_time=true | 2 |"), "{table}");
}

#[test]
fn a_table_without_its_baseline_says_so() {
    let (file, out) = experiment("no-baseline", "gru = false");
    run(&["experiment", text(&file), "--out", text(&out), "--seeds", "1", "--only", "Whole model", "--json"]).json();
    let table = std::fs::read_to_string(out.join("report.md")).expect("a table");
    assert!(table.contains("Δ is empty: plain, which the others are compared with, is not trained yet"), "{table}");
    go(&file, &out, "1").json();
    let table = std::fs::read_to_string(out.join("report.md")).expect("a table");
    assert!(table.contains("Δ is the paired difference to plain with its p"), "{table}");
}

/// A table of what is there needs no device and trains nothing.
#[test]
fn a_table_of_what_has_ended() {
    let (file, out) = experiment("ended", "gru = false");
    let table = |out: &Path| run(&["experiment", text(&file), "--out", text(out), "--finished", "--json"]);
    table(&out).fails(1, "no training has ended here; leave out --finished to train");
    let whole = go(&file, &out, "2").json();
    std::fs::remove_dir_all(out.join("plain/seed-2")).expect("remove");
    let report = table(&out).json();
    let seeds = |row: usize| report["rows"][row]["seeds"].as_u64().expect("a number");
    assert_eq!((seeds(0), seeds(1)), (1, 2));
    assert_eq!(report["rows"][1]["values"], whole["rows"][1]["values"]);
    assert!(!out.join("plain/seed-2").exists(), "it trained");
}

#[test]
fn an_experiment_never_mixes_settings() {
    let (file, out) = experiment("mixed", "gru = false");
    go(&file, &out, "1").json();
    experiment("mixed", "gru = true");
    go(&file, &out, "1").fails(1, "made with other settings");
    std::fs::remove_file(out.join("whole-model/seed-1/result.json")).expect("remove");
    go(&file, &out, "1").fails(2, "begun with other settings");
    experiment("mixed", "grue = true");
    go(&file, &out, "1").fails(1, "no setting \"grue\"");
    go(&place().path("nowhere.toml"), &out, "1").fails(1, "no such file");
    go(&file, &out, "0").fails(2, "0 is not in 1..");
    experiment("mixed", "gru = true");
    run(&["experiment", text(&file), "--only", "fancy"]).fails(2, "there are: plain, Whole model");
}

#[test]
fn a_search_halves_goes_on_and_names_its_best() {
    let (data, out) = (place().dataset(), place().path("tuned"));
    let space = place().path("space.toml");
    std::fs::write(&space, "lr = { log = [1e-3, 1e-2] }\nheads = [1, 2]\n").expect("write");
    let (space, data) = (text(&space).to_string(), text(&data).to_string());
    let sets = ["--set", "dim=16", "--set", "len=10", "--set", "epochs=4", "--set", "batch=16"];
    let tune = |more: &[&str]| {
        let fixed = ["tune", &data, "--out", text(&out), "--space", &space, "--trials", "4"];
        run(&[&fixed[..], &sets, more].concat())
    };
    let search = tune(&["--json"]).json();
    let mut epochs: Vec<u64> =
        search["trials"].as_array().expect("trials").iter().map(|t| t["epochs"].as_u64().expect("a count")).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, [1, 1, 2, 4]);
    let before = contents(&out);
    let said = tune(&[]).ok();
    assert!(contents(&out) == before, "what was done was done again");
    let best = search["trials"].as_array().expect("trials").iter().find(|t| t["epochs"] == 4).expect("the last one");
    let lr = best["settings"].as_array().expect("settings").iter().find(|s| s[0] == "lr").expect("drawn")[1].clone();
    assert!(said.contains(&format!("--set lr={}", lr.as_str().expect("a text"))), "{said}");
    tune(&["--seed", "2"]).fails(1, "another search");
}
