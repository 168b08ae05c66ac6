//! What `evaluate` says beside the ranking: calibration and cold starts.

use crate::{SMALL, place, run, text};
use std::path::PathBuf;

/// The log of the city with a rating for each visit, prepared, and a model of it.
fn rated(name: &str) -> (PathBuf, PathBuf) {
    let (csv, data, model) =
        (place().path(&format!("{name}.csv")), place().path(name), place().path(&format!("{name}-model")));
    let log = std::fs::read_to_string(place().csv()).expect("the log");
    let rated = |(n, line): (usize, &str)| match n {
        0 => format!("{line},rating\n"),
        n => format!("{line},{}\n", 1 + n % 5),
    };
    std::fs::write(&csv, log.lines().enumerate().map(rated).collect::<String>()).expect("write");
    run(&["prepare", text(&csv), "--out", text(&data)]).ok();
    let train = ["train", text(&data), "--out", text(&model)];
    run(&[&train[..], &SMALL[..], &["--set", "epochs=1"]].concat()).ok();
    (data, model)
}

#[test]
fn probabilities_are_held_against_ratings() {
    let (data, model) = rated("rated");
    let users = place().city.dataset.n_users();
    let picture = place().path("pictures").join("reliability.svg");
    let evaluate = ["evaluate", text(&model), text(&data), "--calibration"];
    let found = run(&[&evaluate[..], &[text(&picture), "--json"]].concat()).json();
    let calibration = &found["calibration"];
    assert_eq!((&calibration["like"], &calibration["events"]), (&4.0.into(), &users.into()), "{calibration}");
    let bins = calibration["bins"].as_array().expect("bins");
    assert_eq!(bins.iter().filter_map(|bin| bin["events"].as_u64()).sum::<u64>(), users as u64);
    for (value, key) in
        [(&calibration["ece"], "ece"), (&calibration["brier"], "brier"), (&calibration["liked"], "liked")]
    {
        assert!(value.as_f64().is_some_and(|v| (0.0..=1.0).contains(&v)), "{key} = {value}");
    }
    let near = calibration["constant"]["probability"].as_f64().expect("a share");
    assert!((near - 0.4).abs() < 0.05, "two of five ratings are liked, and {near} are");
    let drawn = std::fs::read_to_string(&picture).expect("a picture");
    assert!(drawn.starts_with("<svg") && drawn.contains("Rated 4 or more") && drawn.contains("share liked"));
    // Without a picture, for people; and the ranking is what it is without.
    let table = run(&evaluate).ok();
    assert!(table.contains("0.9 to 1.0") && table.contains("expected calibration error"), "{table}");
    let plain = run(&["evaluate", text(&model), text(&data), "--json"]).json();
    assert!(plain["calibration"].is_null() && plain["cold"].is_null());
    assert_eq!(plain["ndcg@10"], found["ndcg@10"]);
    run(&[&evaluate[..], &["reliability.png"]].concat()).fails(2, "ends in .svg");
    // The same visits without their ratings, and a model that has no output.
    let unrated = place().dataset();
    let on_unrated = ["evaluate", text(&model), text(&unrated), "--calibration"];
    run(&on_unrated).fails(1, "there are no ratings to hold the probability against");
    let (mute, train) = (place().path("mute"), ["train", text(&data), "--out"]);
    let sets = ["--set", "epochs=1", "--set", "output_weight=0"];
    run(&[&train[..], &[text(&mute)], &SMALL[..], &sets].concat()).ok();
    run(&["evaluate", text(&mute), text(&data), "--calibration"]).fails(1, "output_weight=0.1");
}

#[test]
fn without_ratings_there_is_no_calibration() {
    let (model, data) = (place().model(), place().dataset());
    run(&["evaluate", text(&model), text(&data), "--calibration"])
        .fails(1, "that an item comes next, not that it is liked");
}

#[test]
fn cold_starts_are_told_apart() {
    let (model, data) = (place().model(), place().dataset());
    let evaluate = ["evaluate", text(&model), text(&data), "--cold"];
    let found = run(&[&evaluate[..], &["--json"]].concat()).json();
    let rows = found["cold"]["users"].as_array().expect("rows");
    let d = &place().city.dataset;
    for (row, events) in rows.iter().zip([1, 2, 5, 10]) {
        let cases = (1..=d.n_users()).filter(|user| d.events_of(*user).len() > events).count();
        assert_eq!((&row["events"], &row["model"]["cases"]), (&events.into(), &cases.into()));
        for who in ["model", "known", "markov", "pop"] {
            assert!(row[who]["hr@10"].is_number() && row[who]["ndcg@10"].is_number(), "{who}: {row}");
        }
    }
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[0]["known"]["hr@10"], found["hr@10"], "everybody has one event");
    assert_eq!(rows[0]["markov"]["ndcg@10"], found["baselines"]["markov"]["ndcg@10"]);
    assert_eq!(rows[0]["pop"]["hr@10"], found["baselines"]["pop"]["hr@10"]);
    assert_ne!(rows[0]["model"]["mrr"], rows[0]["known"]["mrr"]);
    let items = &found["cold"]["items"];
    assert_eq!((&items["below"], &items["model"]["cases"]), (&5.into(), &items["markov"]["cases"]), "{items}");
    let table = run(&evaluate).ok();
    assert!(table.contains("users never seen") && table.contains("rare items"), "{table}");
}
