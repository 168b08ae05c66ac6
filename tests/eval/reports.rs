//! Calibration and cold starts: what a hand computes, and what the model is really asked.

use super::{close, tiny};
use desirepath::Gpu;
use desirepath::data::Dataset;
use desirepath::data::city::{City, CityOptions};
use desirepath::eval::calibration::{BINS, Calibration, liked_share, line, said};
use desirepath::eval::cold::{Cold, EVENTS, newest, rare, reaching};
use desirepath::eval::{Seen, Split, cases, rank, ranks_as_new, training_counts};
use desirepath::model::{Config, Model, Serving};
use desirepath::train::{catalogue_of, history, request_of};
use std::sync::LazyLock;

static GPU: LazyLock<Gpu> = LazyLock::new(|| Gpu::new().expect("an adapter"));

#[test]
fn calibration_by_hand() {
    let said = [(0.05, false), (0.95, true), (0.05, true), (1.0, true), (0.35, false)];
    let all = Calibration::of(&said, 4.0, 0.7).expect("events");
    // Two events in the first bin are 0.45 apart, one in the fourth 0.35, two in the last 0.025.
    assert!(close(all.ece, (2.0 * 0.45 + 0.35 + 2.0 * 0.025) / 5.0), "{}", all.ece);
    assert!(close(all.brier, (0.0025 + 0.0025 + 0.9025 + 0.0 + 0.1225) / 5.0), "{}", all.brier);
    assert!(close(all.probability, 0.48) && close(all.liked, 0.6) && all.events == 5);
    assert!(close(all.constant.ece, 0.1), "{:?}", all.constant);
    assert!(close(all.constant.brier, (3.0 * 0.09 + 2.0 * 0.49) / 5.0), "{:?}", all.constant);
    assert_eq!(all.bins.iter().map(|b| b.events).collect::<Vec<_>>(), [2, 0, 0, 1, 0, 0, 0, 0, 0, 2]);
    let last = all.bins[BINS - 1];
    assert!(close(last.from, 0.9) && last.to == 1.0 && last.liked == Some(1.0), "{last:?}");
    assert!(last.probability.is_some_and(|p| close(p, 0.975)), "{last:?}");
    assert_eq!((all.bins[1].probability, all.bins[1].liked), (None, None), "nothing is made up for an empty bin");
    assert_eq!(Calibration::of(&[], 4.0, 0.7), None);
    // What is on an edge belongs above it.
    let edge = Calibration::of(&[(0.5, true), (0.0, false)], 4.0, 0.7).expect("events");
    assert_eq!((edge.bins[0].events, edge.bins[4].events, edge.bins[5].events), (1, 0, 1));
    let table = all.to_string();
    assert!(table.contains("0.3 to 0.4         1     0.3500   0.0000"), "{table}");
    assert!(table.contains("calibration error 0.2600, Brier score 0.2060"), "{table}");
}

/// Held-out events and those without a rating do not count.
#[test]
fn what_was_liked_in_training() {
    let mut data = tiny();
    assert_eq!(liked_share(&data, 4.0), None);
    let mut ratings = vec![5.0; data.n_events()];
    ratings[0..4].copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
    ratings[6..9].copy_from_slice(&[4.0, 5.0, f32::NAN]);
    ratings[11..14].copy_from_slice(&[4.0, 1.0, f32::NAN]);
    data.rating = Some(ratings);
    assert_eq!(liked_share(&data, 4.0), Some(0.5));
    data.rating = Some(vec![f32::NAN; data.n_events()]);
    assert_eq!(liked_share(&data, 4.0), None);
}

#[test]
fn cold_cases_by_hand() {
    let data = tiny();
    let cases = cases(&data, Split::Test);
    let told = |events| cases.iter().map(|case| newest(case, events)).collect::<Vec<_>>();
    assert_eq!(told(1), [4..5, 9..10, 14..15]);
    assert_eq!(told(4), [1..5, 6..10, 13..15]);
    assert_eq!(reaching(&cases, 4), [true, true, false]);
    assert_eq!(reaching(&cases, 5), [true, false, false]);
    // The targets 1, 4 and 5 have 3, 1 and 1 training events.
    let counts = training_counts(&data);
    let below = |n| rare(&data, &cases, &counts, n);
    assert_eq!([below(1), below(3), below(4)], [[false; 3], [false, true, true], [true; 3]]);
}

fn city() -> Dataset {
    City::generate(&CityOptions { users: 12, places: 37, events: [6, 15], seed: 3 }).dataset
}

fn model(data: &Dataset) -> Model {
    let config = Config { dim: 8, len: 5, ffn: 2, time_knots: 8, place_knots: 8, repeats: false, ..Config::default() };
    Model::new(&GPU, &config, catalogue_of(data), 5)
}

/// The model is told few events and no name; what is removed is what the whole history has.
#[test]
fn new_users_are_asked_as_such() {
    let data = city();
    let (model, cases) = (model(&data), cases(&data, Split::Test));
    for seen in [Seen::Filter, Seen::Keep] {
        let ask = |user: u32, events: usize, cut: bool| -> Vec<u32> {
            let one = |case: &desirepath::eval::Case| {
                let user = if user == 0 { 0 } else { case.user };
                let told = history(&data, user, newest(case, events), request_of(&data, case.target));
                let whole = if cut { told.items } else { &data.item[case.history.clone()] };
                let mut exclude = if seen == Seen::Filter { whole.to_vec() } else { Vec::new() };
                exclude.sort_unstable();
                exclude.dedup();
                model.ranks(&[told], &[data.item[case.target]], &[exclude]).expect("ranks")[0]
            };
            cases.iter().map(one).collect()
        };
        for events in [1, 3] {
            let found = ranks_as_new(&model, &data, &cases, events, seen, &mut |_| ()).expect("ranks");
            assert_eq!(found, ask(0, events, false), "{seen:?}, {events} events");
            assert_ne!(found, ask(1, events, false), "a name would be noticed");
            assert_ne!(found, ask(0, 99, false), "more events would be noticed");
            if seen == Seen::Filter {
                assert_ne!(found, ask(0, events, true), "a filter of what is told alone would be noticed");
            }
        }
        let known = rank(&model, &data, &cases, seen, false, &mut |_| ()).expect("ranks").ranks;
        let mut done = Vec::new();
        let cold = Cold::of(&model, &data, &cases, &known, seen, 1, &mut |n| done.push(n)).expect("ranks");
        assert!(done.is_sorted() && done.last() == Some(&(EVENTS.len() * cases.len())), "{done:?}");
        for row in &cold.users {
            let number = cases.iter().filter(|case| case.history.len() >= row.events).count();
            for metrics in [&row.model, &row.known, &row.markov, &row.pop] {
                assert_eq!(metrics.cases, number, "{} events", row.events);
            }
        }
        assert!(cold.users[3].model.cases < cases.len(), "not everybody has ten");
        assert_eq!(cold.items.model.cases, cold.items.pop.cases);
        assert!(cold.to_string().contains("10 events"), "{cold}");
    }
}

/// The probability is that of the target after the whole history, the truth that of its rating.
#[test]
fn held_out_ratings_are_asked_for() {
    let mut data = city();
    let mut ratings: Vec<f32> = (0..data.n_events()).map(|e| 1.0 + (e % 5) as f32).collect();
    let all = cases(&data, Split::Test);
    ratings[all[4].target] = f32::NAN;
    data.rating = Some(ratings.clone());
    let model = Serving::new(model(&data), 0).expect("a model");
    let found = said(&model, &data, &all, 4.0, &mut |_| ()).expect("probabilities");
    let rated: Vec<_> = all.iter().filter(|case| case.target != all[4].target).collect();
    assert_eq!(found.len(), rated.len());
    for (case, (probability, liked)) in rated.into_iter().zip(found) {
        let asked = history(&data, case.user, case.history.clone(), request_of(&data, case.target));
        let list = model.recommend(&[asked], &[vec![]], data.n_items()).expect("a list");
        let target = list[0].iter().find(|r| r.item == data.item[case.target]).expect("every item is listed");
        let sigmoid = 1.0 / (1.0 + (-f64::from(target.score)).exp());
        assert!((probability - sigmoid).abs() < 1e-5, "{probability} instead of {sigmoid}");
        assert_eq!(liked, ratings[case.target] >= 4.0);
    }
}

/// The line through the log odds is that of which the events were drawn; where the less probable happens more often, it
/// says the share of all.
#[test]
fn a_line_makes_probabilities_true() {
    let of = |odds: f64| 1.0 / (1.0 + (-odds).exp());
    let grid = || (0..4000).map(|n| f64::from(n % 40) / 10.0 - 2.0);
    // As many of each hundred are liked as half the log odds plus one make probable.
    let said: Vec<_> =
        grid().enumerate().map(|(n, z)| (of(z), ((n / 40) as f64 + 0.5) < 100.0 * of(0.5 * z + 1.0))).collect();
    let [a, b] = line(&said);
    assert!((a - 0.5).abs() < 0.02 && (b - 1.0).abs() < 0.02, "{a} {b}");
    let before = Calibration::of(&said, 4.0, 0.5).expect("events");
    let mended: Vec<_> = grid().zip(&said).map(|(z, (_, liked))| (of(a * z + b), *liked)).collect();
    let after = Calibration::of(&mended, 4.0, 0.5).expect("events");
    assert!(after.ece < 0.02 && after.brier < before.brier && before.ece > 0.1, "{after} after {before}");
    let upside_down: Vec<_> = said.iter().map(|(p, liked)| (1.0 - p, *liked)).collect();
    let [a, b] = line(&upside_down);
    assert!(a == 0.0 && (of(b) - after.liked).abs() < 0.001, "{a} {b}");
    assert_eq!(line(&[(0.3, true)])[0], 0.0, "one event says nothing of a slope");
}
