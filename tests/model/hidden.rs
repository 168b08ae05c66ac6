//! Models that look both ways: what is hidden stays hidden, and what is asked for is hidden.

use crate::{dataset, distance, gpu, model, past, preset, rows, states};
use desirepath::Tape;
use desirepath::data::Dataset;
use desirepath::model::{Batch, Columns, Config, Model, Request};
use desirepath::ops::Ids;
use desirepath::train::{Judging, Stretch, training_batch};

/// Everything that can look both ways.
fn both_ways() -> Config {
    let on = Config { time_bias: true, place_bias: true, category_bias: true, ..preset("bert4rec") };
    let inputs = Config { category_input: true, place_input: true, time_input: true, rating_input: true, ..on };
    Config { attention: true, user: true, mf: true, dropout: 0.0, input_dropout: 0.0, ..inputs }
}

/// States at the targets of a batch of `dataset`, and where those are.
fn asked(model: &Model, dataset: &Dataset, rows: &[Stretch]) -> (Vec<f32>, Vec<u32>, Vec<u32>) {
    let rows: Vec<&Stretch> = rows.iter().collect();
    let (batch, targets) = training_batch(model, dataset, &rows, &Judging::default(), (1, 1));
    let tape = &mut Tape::off();
    let vectors = model.vectors(tape);
    let states = model.states(tape, &batch, &vectors, &targets.at).to_vec().expect("read");
    (states, targets.at.host().to_vec(), targets.items.host().to_vec())
}

#[test]
fn nothing_is_known_of_what_is_hidden() {
    for request_time in [false, true] {
        let config = Config { request_time, ..both_ways() };
        let model = model(&config);
        // One user's row, so that positions are events.
        for row in rows(&config).into_iter().take(6) {
            let first = row.range.end - row.range.len().min(config.len);
            let (before, at, items) = asked(&model, dataset(), std::slice::from_ref(&row));
            assert!(!at.is_empty() && at.len() < row.range.end - first, "some are hidden, some are not");
            let mut other = dataset().clone();
            for (t, item) in at.iter().zip(&items) {
                let event = first + *t as usize;
                assert_eq!(other.item[event], *item, "what was hidden is asked for");
                other.item[event] = 1 + item % dataset().n_items() as u32;
                other.place.as_mut().expect("places")[event] = [0.0, 0.0];
                other.rating.as_mut().expect("ratings")[event] = 0.5;
                if !request_time && *t > 0 {
                    other.time[event] += 1; // the order stays
                }
            }
            let (after, _, others) = asked(&model, &other, std::slice::from_ref(&row));
            assert!(after == before, "what is hidden changes the state that asks for it");
            assert!(others != items);
            // What is not hidden counts, on both sides.
            for t in (0..(row.range.end - first) as u32).filter(|t| !at.contains(t)) {
                let mut other = dataset().clone();
                let item = &mut other.item[first + t as usize];
                *item = 1 + *item % dataset().n_items() as u32;
                assert!(asked(&model, &other, std::slice::from_ref(&row)).0 != before, "event {t} is not seen");
            }
        }
    }
}

/// A request is answered as the last event is asked for in training: hidden, after all others.
#[test]
fn a_request_is_a_hidden_last_event() {
    for request_time in [false, true] {
        let config = Config { request_time, ..both_ways() };
        let model = model(&config);
        let history = past(2).last(config.len - 1);
        let n = history.items.len();
        let time = history.request.time.filter(|_| request_time).unwrap_or(history.times[n - 1]);
        let mut columns = Columns {
            items: [history.items, &[7]].concat(),
            times: [history.times, &[time]].concat(),
            places: history.places.map(|p| [p, &[[1.0, 2.0]]].concat()),
            ratings: history.ratings.map(|r| [r, &[3.0]].concat()),
        };
        columns.hide(n);
        let batch = Batch::new(gpu(), &config, model.catalogue(), &[columns.history(2, Request::default())]);
        let tape = &mut Tape::off();
        let vectors = model.vectors(tape);
        let at = Ids::new(gpu(), &[n as u32], &[1], n + 1);
        let expected: Vec<f32> = model.states(tape, &batch, &vectors, &at).to_vec().expect("read");
        assert!(distance(&states(&model, &[history]), &expected) < 1e-6);
        let mut later = history;
        later.request.time = later.request.time.map(|t| t + 50_000);
        assert_eq!(states(&model, &[later]) != states(&model, &[history]), request_time);
    }
}
