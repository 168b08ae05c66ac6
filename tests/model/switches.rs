use crate::{dataset, distance, gpu, judged, loss, model, past, pasts, preset, rows, states, tiny, training};
use desirepath::Tape;
use desirepath::model::{Batch, Config, PRESETS};
use desirepath::nn::Param;
use desirepath::ops::Ids;
use desirepath::train::{Drawing, Judging, Loss, Stretch, TrainOptions};
use serde_json::Value;

/// Each switch of `base` turned over, and each number that changes which kernels run.
fn variants(base: &Config) -> Vec<(String, Config)> {
    let all = serde_json::to_value(base).expect("plain values");
    let with = |changes: &[(&str, Value)]| -> (String, Config) {
        let mut all = all.clone();
        changes.iter().for_each(|(name, value)| all[name] = value.clone());
        let name = changes.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ");
        (name, serde_json::from_value(all).expect("a configuration"))
    };
    let mut list = Vec::new();
    for (name, value) in all.as_object().expect("fields") {
        let Some(on) = value.as_bool() else { continue };
        match name.as_str() {
            "user" if on => list.push(with(&[("user", false.into()), ("mf", false.into())])),
            "bidirectional" => {
                let backwards = ["gru", "pool", "repeats"].map(|name| (name, false.into()));
                list.push(with(&[&[("bidirectional", true.into())], &backwards[..]].concat()));
            }
            _ => list.push(with(&[(name, (!on).into())])),
        }
    }
    assert!(list.len() >= 18, "switches are flags of the configuration");
    for (name, value) in [("blocks", 0), ("blocks", 2), ("heads", 1), ("heads", 4), ("ffn", 1), ("time_knots", 2)] {
        list.push(with(&[(name, value.into())]));
    }
    for (name, value) in [("output_weight", 0.0), ("label_smoothing", 0.1), ("dropout", 0.0), ("user_dropout", 1.0)] {
        list.push(with(&[(name, value.into())]));
    }
    list
}

/// Forward and backward of one training batch: a finite loss, and a finite gradient that is not zero for every
/// parameter but those that `idle` names.
fn trains(name: &str, config: &Config, like: Option<f32>, idle: &[&str]) {
    let model = model(config);
    let (batch, targets) = training(&model, &rows(config), like);
    let mut tape = Tape::new(5);
    let loss = model.loss(&mut tape, &batch, &targets);
    let grads = tape.backward(&loss);
    let loss = loss.item().expect("read");
    assert!(loss.is_finite() && loss > 0.0, "{name}: the loss is {loss}");
    for param in model.params().list() {
        let Some(gradient) = grads.get(&param.tensor) else {
            assert!(idle.contains(&param.name.as_str()), "{name}: {} has no gradient", param.name);
            continue;
        };
        let gradient: Vec<f32> = gradient.to_vec().expect("read");
        assert!(gradient.iter().all(|g| g.is_finite()), "{name}: {} has a gradient that is not finite", param.name);
        assert!(gradient.iter().any(|g| *g != 0.0), "{name}: the gradient of {} is zero", param.name);
        if param.name == "item.table" || param.name == "item.bias" {
            let row = gradient.len() / (dataset().n_items() + 1);
            assert!(gradient[..row].iter().all(|g| *g == 0.0), "{name}: {} teaches its padding", param.name);
        }
    }
    let scores = states(&model, &pasts());
    assert!(scores.iter().all(|s| s.is_finite()), "{name}: a state is not finite");
    gpu().check_guards().expect(name);
}

#[test]
fn every_preset_trains() {
    for (name, _) in PRESETS {
        trains(name, &preset(name), None, &[]);
    }
}

#[test]
fn every_switch_trains() {
    let base = tiny();
    trains("everything", &base, None, &[]);
    trains("everything, with likes", &base, Some(3.0), &[]);
    for (name, config) in variants(&base) {
        // Where every user is made unknown the table still learns its row 0.
        trains(&name, &config, Some(3.0), &[]);
    }
    // A user's vector that nothing uses learns nothing, and does no harm.
    trains("idle user", &Config { gru: false, mf: false, ..base }, None, &["user.table"]);
}

/// Every switch changes something: none is forgotten on the way.
#[test]
fn every_switch_matters() {
    let base = Config { dropout: 0.0, input_dropout: 0.0, ..tiny() };
    let before = {
        let model = model(&base);
        let (batch, targets) = training(&model, &rows(&base), Some(3.0));
        loss(&model, &batch, &targets)
    };
    for (name, config) in variants(&base) {
        if name.starts_with("dropout") {
            continue; // already off here
        }
        let model = model(&config);
        let (batch, targets) = training(&model, &rows(&config), Some(3.0));
        let after = loss(&model, &batch, &targets);
        assert!((after - before).abs() > 1e-6 * before, "{name} changes nothing: {after}");
    }
}

/// The same numbers from a tape that keeps nothing as from one that records, where there is no dropout; and with dropout
/// the tape that is off ignores it, while the other does not.
#[test]
fn recording_changes_no_score() {
    for (name, _) in PRESETS {
        let config = preset(name);
        let model = model(&config);
        let still = crate::model(&Config { dropout: 0.0, input_dropout: 0.0, ..config.clone() });
        let (batch, targets) = training(&model, &rows(&config), None);
        let all = |model: &desirepath::model::Model, mut tape: Tape| -> Vec<f32> {
            let vectors = model.vectors(&mut tape);
            model.states(&mut tape, &batch, &vectors, &targets.at).to_vec().expect("read")
        };
        let off = all(&model, Tape::off());
        assert!(distance(&all(&still, Tape::new(3)), &off) < 1e-6, "{name}: recording changes the states");
        assert_eq!(all(&still, Tape::off()), off, "{name}: dropout changes what is served");
        if config.sequential() {
            assert!(distance(&all(&model, Tape::new(3)), &off) > 1e-3, "{name}: dropout does nothing in training");
        }
    }
}

#[test]
fn histories_may_be_long_unknown_and_padded() {
    for (name, _) in PRESETS {
        let config = preset(name);
        let model = model(&config);
        let pasts = pasts();
        assert!(pasts.iter().any(|h| h.items.len() > config.len), "a history is longer than the model's");
        let together = states(&model, &pasts);
        let cut: Vec<_> = pasts.iter().map(|h| h.last(config.len)).collect();
        assert_eq!(states(&model, &cut), together, "{name}: what is too long is cut off at the front");
        // A short history beside long ones, and alone without padding.
        let short = pasts[0].last(3);
        let mixed = states(&model, &[pasts[1], short, pasts[2]]);
        let alone = states(&model, &[short]);
        let error = distance(&mixed[config.dim..2 * config.dim], &alone);
        assert!(error < 2e-6, "{name}: padding changes a state by {error:.1e}");
        // Somebody never seen: served, and by what they did rather than by who they are.
        let stranger = desirepath::model::History { user: 0, ..past(1) };
        let of_stranger = states(&model, &[stranger]);
        assert!(of_stranger.iter().all(|s| s.is_finite()));
        assert_eq!(
            of_stranger != states(&model, &[past(1)]),
            config.user,
            "{name}: only a user's vector tells them apart"
        );
    }
}

#[test]
fn the_time_of_the_request_counts_where_it_is_known() {
    let at = |hours: i64| {
        let mut history = past(1);
        history.request.time = history.request.time.map(|t| t + hours * 3600);
        history
    };
    let only = |time_bias, time_input| Config { request_time: true, time_bias, time_input, ..tiny() };
    for (known, bias, input) in [(true, true, true), (true, true, false), (true, false, true), (false, true, true)] {
        let config = Config { request_time: known, ..only(bias, input) };
        let model = model(&config);
        let differs = states(&model, &[at(0)]) != states(&model, &[at(5)]);
        assert_eq!(differs, known, "request_time {known}, bias {bias}, input {input}");
    }
    // The place of a request is given or not, whatever the configuration of time.
    let model = model(&tiny());
    let mut elsewhere = past(1);
    elsewhere.request.place = Some([53.6, 10.1]);
    assert_ne!(states(&model, &[past(1)]), states(&model, &[elsewhere]), "the place of the request");
}

/// An event whose place nobody wrote down happened where its item is.
#[test]
fn an_unknown_place_is_that_of_the_item() {
    let (model, history) = (model(&tiny()), past(2));
    let count = history.items.len();
    let with = |places: Option<&[[f32; 2]]>| states(&model, &[desirepath::model::History { places, ..history }]);
    let unknown = vec![[f32::NAN; 2]; count];
    assert_eq!(with(Some(&unknown)), with(None));
    let elsewhere = vec![[-40.0, 100.0]; count];
    assert_ne!(with(Some(&elsewhere)), with(None), "places count");
}

#[test]
#[should_panic(expected = "batch: histories of 1 to 9 events, got 0 to 3")]
fn an_empty_history_is_refused() {
    let model = model(&preset("gru4rec"));
    states(&model, &[past(1).last(0), past(2).last(3)]);
}

/// What is predicted at a position follows from what was known there: nothing that comes later changes its bits.
#[test]
fn no_position_sees_what_comes_after() {
    let presets = PRESETS.map(|(name, _)| preset(name)).into_iter().filter(|config| !config.bidirectional);
    for config in presets.chain([tiny(), Config { request_time: true, ..tiny() }]) {
        let model = model(&config);
        let at = |history: &desirepath::model::History| -> Vec<f32> {
            let batch = Batch::new(gpu(), &config, model.catalogue(), &[*history]);
            let n = history.items.len();
            // All positions but the last, and but the one that asks at the time of the last where that is known.
            let before: Vec<u32> = (0..n as u32 - 1 - u32::from(config.request_time)).collect();
            let ids = Ids::new(gpu(), &before, &[before.len()], n);
            let tape = &mut Tape::off();
            let vectors = model.vectors(tape);
            model.states(tape, &batch, &vectors, &ids).to_vec().expect("read")
        };
        let history = past(3).last(config.len);
        let (mut items, mut times) = (history.items.to_vec(), history.times.to_vec());
        let (mut places, mut ratings) =
            (history.places.expect("places").to_vec(), history.ratings.expect("r").to_vec());
        let last = items.len() - 1;
        items[last] = 1 + items[last] % dataset().n_items() as u32;
        places[last] = [0.0, 0.0];
        ratings[last] = 5.5 - ratings[last];
        times[last] += 100_000;
        let other = desirepath::model::History {
            items: &items,
            times: &times,
            places: Some(&places),
            ratings: Some(&ratings),
            ..history
        };
        assert!(at(&history) == at(&other), "a later event changes an earlier state");
        if config.sequential() {
            assert!(
                states(&model, &[history]) != states(&model, &[other]),
                "the last event is seen by its own position"
            );
        }
    }
}

/// Where seen items are filtered, one that every position has behind it may score what it likes.
#[test]
fn seen_items_are_no_classes_where_they_are_masked() {
    let config = Config { label_smoothing: 0.0, repeats: false, ..tiny() };
    let model = model(&config);
    let events = |row: &Stretch| dataset().item[row.range.clone()].to_vec();
    // The first item does not come back: it is a class at no position.
    let row = rows(&config).into_iter().find(|r| {
        let items = events(r);
        items.len() > 4 && !items[1..].contains(&items[0])
    });
    let row = row.expect("somebody who tries something new");
    let first = events(&row)[0] as usize;
    let bias = model.params().list().iter().find(|p| p.name == "item.bias").expect("a bias");
    // All items are drawn many times over: what is left out must not be, though it was drawn.
    let options = TrainOptions { loss: Loss::SampledSoftmax, negatives: 400, ..TrainOptions::default() };
    let drawing = Drawing::new(gpu(), dataset(), &options);
    let losses = |mask_seen: bool, drawing: &Option<Drawing>| {
        let judging = Judging { mask_seen, drawing: drawing.clone(), ..Judging::default() };
        let (batch, targets) = judged(&model, std::slice::from_ref(&row), judging);
        loss(&model, &batch, &targets)
    };
    for drawing in [None, drawing] {
        compare(&|mask_seen| losses(mask_seen, &drawing), bias, first);
    }
}

/// The bias of item `first` rises in between.
fn compare(losses: &dyn Fn(bool) -> f64, bias: &Param, first: usize) {
    let before = [losses(true), losses(false)];
    let mut values: Vec<f32> = bias.tensor.to_vec().expect("read");
    values[first] += 30.0;
    bias.tensor.write(&values);
    let after = [losses(true), losses(false)];
    values[first] -= 30.0;
    bias.tensor.write(&values);
    assert_eq!(before[0], after[0], "masked");
    assert!(after[1] > before[1] + 10.0, "not masked: {before:?}, then {after:?}");
}
