//! Metrics and baselines against what a hand computes; the synthetic city is in `city`.
#![cfg(feature = "recsys")]

mod city;
mod reports;

use desirepath::data::Dataset;
use desirepath::eval::baselines::Baselines;
use desirepath::eval::metrics::{Measure, Metrics, paired};
use desirepath::eval::{Case, Ranked, Seen, Split, TOP, cases, never_visited, training_counts, training_events};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn dataset(n_items: usize, users: &[&[u32]]) -> Dataset {
    let mut dataset = Dataset {
        users: (0..users.len()).map(|u| format!("user {u}")).collect(),
        items: (0..n_items).map(|i| format!("item {i}")).collect(),
        offsets: vec![0],
        ..Dataset::default()
    };
    for events in users {
        dataset.item.extend(*events);
        dataset.offsets.push(dataset.item.len());
    }
    dataset.time = (0..dataset.item.len() as i64).collect();
    dataset
}

/// Training part: 1 2 1 3 | 2 3 2 | 5 4 | 1.
fn tiny() -> Dataset {
    dataset(5, &[&[1, 2, 1, 3, 2, 1], &[2, 3, 2, 3, 4], &[5, 4], &[1, 2, 5]])
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

#[test]
fn splits_leave_out_the_last_two() {
    let tiny = tiny();
    assert_eq!(
        cases(&tiny, Split::Test),
        [
            Case { user: 1, history: 0..5, target: 5 },
            Case { user: 2, history: 6..10, target: 10 },
            Case { user: 4, history: 13..15, target: 15 },
        ]
    );
    let validation = cases(&tiny, Split::Validation);
    assert_eq!(validation[2], Case { user: 4, history: 13..14, target: 14 });
    assert_eq!((1..=4).map(|u| training_events(&tiny, u)).collect::<Vec<_>>(), [0..4, 6..9, 11..13, 13..14]);
    assert_eq!(training_counts(&tiny), [3, 3, 2, 1, 1]);
    assert_eq!(never_visited(&tiny, &cases(&tiny, Split::Test)), [false, true, true]);
}

#[test]
fn metrics_by_hand() {
    let ranked = Ranked { ranks: vec![1, 2, 11, 60], top: vec![vec![1, 2], vec![1, 3], vec![1, 2], vec![2, 1]] };
    let counts = [6, 3, 1, 0];
    let metrics = Metrics::of(&ranked, &counts, 7);
    let expected = [
        ("hr@1", 0.25),
        ("hr@10", 0.5),
        ("recall@10", 0.5),
        ("hr@20", 0.75),
        ("hr@50", 0.75),
        ("ndcg@1", 0.25),
        ("ndcg@10", (1.0 + 1.0 / 3f64.log2()) / 4.0),
        ("ndcg@20", (1.0 + 1.0 / 3f64.log2() + 1.0 / 12f64.log2()) / 4.0),
        ("mrr@10", 1.5 / 4.0),
        ("mrr", (1.5 + 1.0 / 11.0 + 1.0 / 60.0) / 4.0),
        ("coverage@10", 0.75),
        // Item 1 four times, item 2 three times, item 3 once, of 10 events.
        ("popularity@10", (4.0 * 0.6 + 3.0 * 0.3 + 0.1) / 8.0),
        ("popularity_percentile@10", (4.0 * 3.5 + 3.0 * 2.5 + 1.5) / 4.0 / 8.0),
    ];
    for (key, value) in expected {
        assert!(close(metrics.values[key], value), "{key}: {} instead of {value}", metrics.values[key]);
    }
    assert_eq!(metrics.get("hr@11"), None);
    for (key, [lo, hi]) in &metrics.ci95 {
        assert!(lo <= &metrics.values[key] && &metrics.values[key] <= hi, "{key}");
    }
    let few = ranked.select(&[false, true, false, true]);
    assert_eq!(few, Ranked { ranks: vec![2, 60], top: vec![vec![1, 3], vec![2, 1]] });
}

#[test]
fn coverage_and_popularity_look_at_ten() {
    let ranked = Ranked { ranks: vec![1], top: vec![(1..=50).collect()] };
    let metrics = Metrics::of(&ranked, &[1; 100], 0);
    assert!(close(metrics.values["coverage@10"], 0.1) && close(metrics.values["popularity@10"], 0.01));
    assert!(close(metrics.values["popularity_percentile@10"], 0.5), "all alike are in the middle");
}

#[test]
fn metrics_are_flat_in_json_and_a_table_for_people() {
    let metrics = Metrics::of(&Ranked { ranks: vec![1, 30], top: vec![vec![1], vec![2]] }, &[1, 1, 2], 3);
    let json = serde_json::to_value(&metrics).expect("plain numbers");
    assert_eq!(json["hr@10"], 0.5);
    assert_eq!(json["cases"], 2);
    assert!(json["ci95"]["ndcg@10"].as_array().is_some_and(|ci| ci.len() == 2));
    assert_eq!(serde_json::from_value::<Metrics>(json).expect("what was written"), metrics);
    let table = metrics.to_string();
    assert!(
        table.contains("2 cases") && table.contains("0.5000") && table.contains("66.7 % of the catalogue"),
        "{table}"
    );

    let none = Metrics::of(&Ranked::default(), &[1], 3);
    assert!(none.values.is_empty() && none.to_string() == "no cases");
}

#[test]
fn ties_go_against_the_target() {
    let mut ranked = Ranked::default();
    ranked.push_scores(&[0.5; 6], 3, |_| false);
    ranked.push_scores(&[0.5; 6], 3, |item| item <= 4);
    ranked.push_scores(&[0.9, 0.5, 0.5, 0.1], 2, |_| false);
    assert_eq!(ranked.ranks, [6, 3, 3]);
    assert_eq!(ranked.top[1..], [vec![3, 5, 6], vec![1, 2, 3, 4]], "the target stays a candidate");

    let scores: Vec<f64> = (0..200).map(|i| ((i * 37) % 200) as f64).collect();
    let mut ranked = Ranked::default();
    ranked.push_scores(&scores, 1, |_| false);
    assert_eq!(ranked.ranks, [200]);
    let best: Vec<f64> = ranked.top[0].iter().map(|&item| scores[item as usize - 1]).collect();
    assert_eq!(best, (150..200).rev().map(|s| s as f64).collect::<Vec<_>>());
}

#[test]
fn bootstrap_is_seeded_and_covers() {
    let draw = |seed| -> Vec<u32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..200).map(|_| if rng.random_bool(0.3) { 1 } else { 99 }).collect()
    };
    assert_eq!(Metrics::of_ranks(&draw(0), 5), Metrics::of_ranks(&draw(0), 5));
    assert_ne!(Metrics::of_ranks(&draw(0), 5).ci95["mrr"], Metrics::of_ranks(&draw(0), 6).ci95["mrr"]);
    let covered = (0..100).filter(|&seed| {
        let [lo, hi] = Metrics::of_ranks(&draw(seed), seed).ci95["hr@10"];
        assert!((0.08..0.18).contains(&(hi - lo)), "4 standard errors are 0.13, not {}", hi - lo);
        lo <= 0.3 && 0.3 <= hi
    });
    // 95 expected, standard deviation 2.2.
    let covered = covered.count();
    assert!((86..=100).contains(&covered), "{covered} of 100 intervals cover the truth");
}

#[test]
fn paired_test_tells_a_difference_from_noise() {
    let measure = Measure::Hr(10);
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut ranks = |p: f64| -> Vec<u32> { (0..150).map(|_| if rng.random_bool(p) { 5 } else { 50 }).collect() };
    let (good, bad) = (ranks(0.6), ranks(0.3));
    let gain = paired(measure, &good, &bad, 1);
    assert!(close(gain.difference, measure.mean(&good) - measure.mean(&bad)));
    assert!(gain.p < 0.001 && gain.ci95[0] > 0.0 && gain.ci95[1] < 0.6, "{gain:?}");
    let loss = paired(measure, &bad, &good, 1);
    assert!(close(loss.difference, -gain.difference) && loss.ci95[1] < 0.0);
    let same = paired(measure, &good, &good, 1);
    assert_eq!((same.difference, same.ci95, same.p), (0.0, [0.0, 0.0], 1.0));
    // Under the null about one p in twenty is below 0.05: 2 of 40 expected, standard deviation 1.4.
    let false_alarms = (0..40).filter(|&seed| paired(measure, &ranks(0.3), &ranks(0.3), seed).p < 0.05).count();
    assert!(false_alarms <= 7, "{false_alarms} of 40");
    // Two cases can not prove anything: both signs agree in half of all flips.
    assert!(paired(measure, &[1, 1], &[99, 99], 1).p > 0.4);
}

#[test]
fn baselines_by_hand() {
    let tiny = tiny();
    let baselines = Baselines::new(&tiny);
    let test = cases(&tiny, Split::Test);
    let ranks = |seen| baselines.all(&test, seen).map(|(name, ranked)| (name, ranked.ranks));
    assert_eq!(ranks(Seen::Keep), [("POP", vec![2, 5, 5]), ("Markov-1", vec![1, 5, 5]), ("USERFREQ", vec![2, 5, 5])]);
    assert_eq!(ranks(Seen::Filter), [("POP", vec![1, 3, 3]), ("Markov-1", vec![1, 3, 3]), ("USERFREQ", vec![1, 3, 3])]);
    assert_eq!(baselines.pop(&test, Seen::Filter).top, [vec![1, 4, 5], vec![1, 4, 5], vec![3, 4, 5]]);
    assert_eq!(baselines.markov(&test, Seen::Keep).top, [[1, 3, 2, 4, 5], [2, 1, 3, 4, 5], [1, 3, 2, 4, 5]]);
    assert_eq!(baselines.userfreq(&test, Seen::Keep).top, [[2, 1, 3, 4, 5], [3, 2, 1, 4, 5], [2, 1, 3, 4, 5]]);
}

/// The short cuts of the baselines against scores of all items.
#[test]
fn baselines_agree_with_dense_scores() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut logs: Vec<Vec<u32>> = Vec::new();
    for _ in 0..60 {
        let len = rng.random_range(1..25u32);
        logs.push((0..len).map(|_| rng.random_range(1..=9u32) * rng.random_range(1..=9u32)).collect());
    }
    let data = dataset(81, &logs.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let counts = training_counts(&data);
    let baselines = Baselines::new(&data);
    for (split, seen) in [Split::Validation, Split::Test].into_iter().flat_map(|s| [(s, Seen::Filter), (s, Seen::Keep)])
    {
        let cases = cases(&data, split);
        let [mut pop, mut markov, mut userfreq] = [Ranked::default(), Ranked::default(), Ranked::default()];
        for case in &cases {
            let history = &data.item[case.history.clone()];
            let mut followed = vec![0.0; 81];
            for user in 1..=data.n_users() {
                let events = &data.item[training_events(&data, user)];
                let after = events.windows(2).filter(|pair| Some(&pair[0]) == history.last());
                after.for_each(|pair| followed[pair[1] as usize - 1] += 1.0);
            }
            let small = |i: usize| counts[i] as f64 * 1e-4;
            let visits = |i: usize| history.iter().filter(|&&item| item as usize == i + 1).count() as f64;
            let latest =
                |i: usize| history.iter().rposition(|&item| item as usize == i + 1).map_or(0.0, |p| p as f64 + 1.0);
            let target = data.item[case.target];
            let removed = |item: u32| seen == Seen::Filter && history.contains(&item);
            let all = |score: &dyn Fn(usize) -> f64| (0..81).map(score).collect::<Vec<f64>>();
            pop.push_scores(&all(&small), target, removed);
            markov.push_scores(&all(&|i| followed[i] + small(i)), target, removed);
            userfreq.push_scores(&all(&|i| 100.0 * visits(i) + latest(i) + small(i)), target, removed);
        }
        assert_eq!(baselines.pop(&cases, seen), pop);
        assert_eq!(baselines.markov(&cases, seen), markov);
        assert_eq!(baselines.userfreq(&cases, seen), userfreq);
        assert!(pop.top.iter().all(|top| top.len() <= TOP));
    }
}
