//! Training: that it learns, gives the same bits twice and after a kill, and refuses what it cannot go on from.
#![cfg(feature = "recsys")]

mod neighbours;
mod objectives;
mod untied;

use desirepath::data::city::{City, CityOptions};
use desirepath::data::{Dataset, PrepareOptions, prepare};
use desirepath::eval::baselines::Baselines;
use desirepath::eval::metrics::Measure;
use desirepath::eval::{Seen, Split, cases, rank, training_events, validation_ranks};
use desirepath::model::{Config, Model};
use desirepath::train::{Checkpoint, Progress, TrainOptions, Trainer};
use desirepath::{Error, Gpu};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::OnceLock;

fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::new().expect("an adapter"))
}

fn dataset() -> &'static Dataset {
    static DATASET: OnceLock<Dataset> = OnceLock::new();
    DATASET.get_or_init(|| City::generate(&CityOptions { users: 70, places: 40, events: [10, 16], seed: 2 }).dataset)
}

fn config() -> Config {
    Config { dim: 16, len: 10, ffn: 2, time_knots: 8, place_knots: 8, request_time: true, ..Config::default() }
}

fn options(epochs: usize) -> TrainOptions {
    TrainOptions { epochs, patience: epochs, batch: 16, lr: 5e-3, warmup_steps: 5, ..TrainOptions::default() }
}

fn trainer(options: &TrainOptions) -> Trainer<'static> {
    Trainer::new(gpu(), dataset(), &config(), options, Seen::Keep).expect("a trainer")
}

fn trained(options: &TrainOptions) -> Trainer<'static> {
    let mut trainer = trainer(options);
    trainer.run(None, &mut |_| ()).expect("training");
    trainer
}

/// Bits of all parameters.
fn bits(model: &Model) -> Vec<Vec<u32>> {
    model.params().list().iter().map(|p| p.tensor.to_vec().expect("read")).collect()
}

#[test]
fn it_learns_more_than_what_is_popular() {
    let trainer = trained(&options(20));
    let losses: Vec<f64> = trainer.state().history.iter().map(|r| r.loss).collect();
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    assert!(last < 0.9 * first, "the loss went from {first} to {last}");
    let cases = cases(dataset(), Split::Test);
    let ranked = rank(trainer.model(), dataset(), &cases, Seen::Keep, true, &mut |_| ()).expect("ranks");
    let pop = Baselines::new(dataset()).pop(&cases, Seen::Keep);
    let ndcg = |ranks: &[u32]| Measure::Ndcg(10).mean(ranks);
    let (model, pop) = (ndcg(&ranked.ranks), ndcg(&pop.ranks));
    assert!(model > 1.3 * pop, "ndcg@10 {model:.3}, of what is popular {pop:.3}");
}

#[test]
fn one_seed_gives_the_same_bits() {
    let run = |seed| {
        let trainer = trained(&TrainOptions { seed, ..options(2) });
        (bits(trainer.model()), trainer.state().clone())
    };
    let once = run(1);
    assert!(once == run(1), "two runs with one seed differ");
    assert!(once.0 != run(2).0, "the seed changes nothing");
}

/// Contents of every file of a checkpoint, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let names = ["config.json", "model.safetensors", "last.safetensors", "optimizer.safetensors", "state.json"];
    let data = ["data/dataset.json", "data/columns.bin"];
    let read = |name: &str| (name.to_string(), std::fs::read(folder.join(name)).expect(name));
    names.into_iter().chain(data).map(read).collect()
}

/// Stops at every checkpoint by a panic in the watcher, and goes on with a fresh trainer from the folder.
#[test]
fn a_run_in_pieces_ends_with_the_same_bits() {
    let folder = tempfile::tempdir().expect("a folder");
    let (whole, pieces) = (folder.path().join("whole"), folder.path().join("pieces"));
    let options = TrainOptions { checkpoint_steps: 3, ..options(4) };
    trainer(&options).run(Some(&whole), &mut |_| ()).expect("training");

    let mut begun = trainer(&options);
    let mut stops = 0;
    loop {
        let mut left = 2 + stops % 3;
        let watch = &mut |progress: Progress| {
            if matches!(progress, Progress::Step { .. }) {
                left -= 1;
                assert!(left > 0, "a stop of the test's own");
            }
        };
        let ended = catch_unwind(AssertUnwindSafe(|| begun.run(Some(&pieces), watch).expect("training")));
        if ended.is_ok() {
            break;
        }
        stops += 1;
        assert!(stops < 50, "no progress from stop to stop");
        begun = Trainer::resume(gpu(), dataset(), &pieces, Seen::Keep).expect("a checkpoint to go on from");
    }
    assert!(stops >= 4, "stopped {stops} times");
    for ((name, a), b) in files(&whole).into_iter().zip(files(&pieces).into_values()) {
        assert!(a == b, "{name} differs after {stops} stops");
    }
    let done = Trainer::resume(gpu(), dataset(), &whole, Seen::Keep).expect("a checkpoint");
    assert!(done.state().finished && done.state().epoch == 4);
}

/// A model that is there stays until the training that replaces it has ended an epoch, stops and goes on included.
#[test]
fn a_new_training_replaces_a_model_after_an_epoch() {
    let folder = tempfile::tempdir().expect("a folder");
    let (whole, out) = (folder.path().join("whole"), folder.path().join("model"));
    let options = TrainOptions { checkpoint_steps: 1, seed: 5, ..options(2) };
    trainer(&options).run(Some(&whole), &mut |_| ()).expect("training");
    trainer(&TrainOptions { epochs: 1, ..options.clone() }).run(Some(&out), &mut |_| ()).expect("training");
    let old = files(&out);
    let mut begun = trainer(&options);
    for _ in 0..2 {
        let watch = &mut |p: Progress| assert!(!matches!(p, Progress::Step { step_in_epoch: 2.., .. }), "a stop");
        catch_unwind(AssertUnwindSafe(|| begun.run(Some(&out), watch))).expect_err("it stops");
        assert!(files(&out) == old, "the old model is gone before there is a new one");
        begun = Trainer::resume(gpu(), dataset(), &out, Seen::Keep).expect("the new training");
        assert_eq!((begun.state().epoch, begun.state().step, begun.options()), (0, 1, &options));
    }
    let (waiting, kept) = (folder.path().join(".model.desirepath-new"), folder.path().join("kept"));
    std::fs::rename(&waiting, &kept).expect("it waits");
    let watch = &mut |p: Progress| assert!(!matches!(p, Progress::Step { epoch: 1, .. }), "a stop");
    catch_unwind(AssertUnwindSafe(|| begun.run(Some(&out), watch))).expect_err("it stops");
    assert!(files(&out) != old && !waiting.exists(), "the epoch has ended");
    let resume = || Trainer::resume(gpu(), dataset(), &out, Seen::Keep).expect("the new training");
    assert_eq!(resume().state().epoch, 1);
    // As if killed when the new model was in place and what waited was not yet gone.
    std::fs::rename(&kept, &waiting).expect("as it was");
    let mut begun = resume();
    assert_eq!(begun.state().epoch, 0);
    begun.run(Some(&out), &mut |_| ()).expect("training");
    assert!(files(&out) == files(&whole), "stops have changed a bit");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2, "something is left beside");
}

#[test]
fn the_best_weights_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("model");
    // So fast that it soon knows the training events by heart and gets worse at others.
    let mut trainer = trainer(&TrainOptions { lr: 3e-2, epochs: 60, patience: 3, decay: 0.0, ..options(60) });
    let mut early = None;
    let watch = &mut |p: Progress| {
        if let Progress::Stopped { early: stopped } = p {
            early = Some(stopped);
        }
    };
    trainer.run(Some(&out), watch).expect("training");
    let state = trainer.state();
    assert_eq!((early, state.epoch), (Some(true), state.best_epoch + 3), "stopped 3 epochs after the best");
    let best = state.history.iter().filter_map(|r| r.ndcg10).fold(0.0, f64::max);
    assert_eq!(best, state.best_ndcg10);
    let cases = cases(dataset(), Split::Validation);
    let ndcg =
        |model: &Model| Measure::Ndcg(10).mean(&validation_ranks(model, dataset(), &cases, Seen::Keep).expect("ranks"));
    assert!((ndcg(trainer.model()) - best).abs() < 1e-12, "the model has other weights than the best");
    let checkpoint = Checkpoint::open(&out).expect("a checkpoint");
    let loaded = checkpoint.load(gpu(), &checkpoint.data().expect("data")).expect("a model");
    assert!(bits(&loaded) == bits(trainer.model()), "what is saved is not what is served");
}

#[test]
fn a_loss_that_is_no_number_names_its_step() {
    for lr in [1e30, 1e10] {
        let error = trainer(&TrainOptions { lr, ..options(5) }).run(None, &mut |_| ()).expect_err("it cannot learn so");
        let Error::NotFinite { step, .. } = error else { panic!("{error}") };
        assert!((2..=25).contains(&step), "step {step}");
        let text = error.to_string();
        assert!(text.contains(&format!("step {step}: the loss is not finite")), "{text}");
        assert!(text.contains(&format!("--force --set lr={}", lr / 4.0)), "{text}");
    }
}

/// Weights that are spoilt by the very last step are not the best ones of all.
#[test]
fn scores_that_are_no_numbers_are_an_error() {
    let trainer = trainer(&options(1));
    for param in trainer.model().params().list() {
        param.tensor.write(&vec![f32::NAN; param.tensor.len()]);
    }
    let cases = cases(dataset(), Split::Test);
    let ranks = validation_ranks(trainer.model(), dataset(), &cases, Seen::Keep).expect("ranks");
    assert!(ranks.iter().all(|r| *r == 0), "no number is no rank");
    let error = rank(trainer.model(), dataset(), &cases, Seen::Keep, false, &mut |_| ()).expect_err("not finite");
    assert!(error.to_string().contains("not finite"), "{error}");
}

#[test]
fn damaged_and_foreign_checkpoints_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("model");
    fn resume(dataset: &Dataset, out: &Path) -> desirepath::Result<()> {
        Trainer::resume(gpu(), dataset, out, Seen::Keep).map(drop)
    }
    let refused = |what: &str, result: desirepath::Result<()>, says: &str| {
        let error = result.expect_err(what);
        assert!(matches!(error, Error::Format { .. }), "{what}: {error:?}");
        assert!(error.to_string().contains(says), "{what}: {error} does not say {says:?}");
    };
    refused("nothing there", resume(dataset(), &out), "not a model folder");
    trainer(&options(1)).run(Some(&out), &mut |_| ()).expect("training");
    resume(dataset(), &out).expect("it is whole");
    let good = files(&out);
    let restore = || good.iter().for_each(|(name, bytes)| std::fs::write(out.join(name), bytes).expect("write"));
    for name in ["last.safetensors", "optimizer.safetensors", "model.safetensors", "state.json", "config.json"] {
        let bytes = &good[name];
        for keep in [0, 5, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(out.join(name), &bytes[..keep]).expect("write");
            refused(name, resume(dataset(), &out), "damaged");
        }
        std::fs::remove_file(out.join(name)).expect("remove");
        refused(name, resume(dataset(), &out), if name == "config.json" { "no config.json" } else { "incomplete" });
        restore();
    }
    let text = String::from_utf8(good["config.json"].clone()).expect("text");
    let write = |text: String| std::fs::write(out.join("config.json"), text).expect("write");
    write(text.replace("\"format\": 1", "\"format\": 99"));
    refused("another version", resume(dataset(), &out), "format 99, but this program reads 1; train again");
    write(text.replace("\"dim\": 16", "\"dim\": 32"));
    refused("another width", resume(dataset(), &out), "] is asked for");
    write(text.replace("\"batch\": 16", "\"batch\": 0"));
    refused("no batch", resume(dataset(), &out), "config.json: batch = 0");
    write(text.replace("\"heads\": 2", "\"heads\": 5"));
    refused("another number of heads", resume(dataset(), &out), "config.json: heads = 5");
    restore();
    // The same events, and other things known of the items: the weights would mean something else.
    let mut other = dataset().clone();
    other.item_category.as_mut().expect("categories").rotate_left(1);
    refused("other categories", resume(&other, &out), "trained on another dataset");
    other = dataset().clone();
    other.item.swap(0, 1);
    refused("other events", resume(&other, &out), "trained on another dataset");
    resume(dataset(), &out).expect("it is whole again");
}

/// Where seen items are filtered, all of them have to be known when serving; else only what the model looks at.
#[test]
fn a_checkpoint_holds_what_serving_needs() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, seen) in [("keep", Seen::Keep), ("filter", Seen::Filter)] {
        let out = folder.path().join(name);
        let mut trainer = Trainer::new(gpu(), dataset(), &config(), &options(1), seen).expect("a trainer");
        trainer.run(Some(&out), &mut |_| ()).expect("training");
        let data = Checkpoint::open(&out).expect("a checkpoint").data().expect("data");
        assert_eq!((&data.users, &data.items), (&dataset().users, &dataset().items));
        for user in 1..=data.n_users() {
            let (kept, all) = (&data.item[data.events_of(user)], &dataset().item[dataset().events_of(user)]);
            let expected = if seen == Seen::Keep { &all[all.len().saturating_sub(10)..] } else { all };
            assert_eq!(kept, expected, "{name}: user {user}");
        }
    }
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let mut two = dataset().clone();
    two.offsets = vec![0, 3];
    two.users.truncate(1);
    two.item.truncate(3);
    two.time.truncate(3);
    two.place = None;
    let new = |dataset, config: &Config, options: &TrainOptions| {
        Trainer::new(gpu(), dataset, config, options, Seen::Keep).map(drop).expect_err("refused").to_string()
    };
    assert!(new(&two, &config(), &options(1)).contains("no user has two events to train on"));
    assert!(new(dataset(), &Config { heads: 3, ..config() }, &options(1)).contains("heads = 3"));
    assert!(new(dataset(), &config(), &options(0)).contains("epochs = 0"));
    let large = usize::MAX / 16 + 1;
    let options = [
        ("batch", TrainOptions { batch: large, ..options(1) }),
        ("patience", TrainOptions { patience: large, ..options(1) }),
        ("epochs", options(large)),
    ];
    for (name, options) in options {
        assert!(new(dataset(), &config(), &options).starts_with(&format!("configuration: {name} = {large}: expected")));
    }
}

/// The event that a test asks for, and what is known of it, teaches nothing: with others in their place training ends
/// with the same bits. The validation's chooses the epoch and teaches nothing either.
#[test]
fn held_out_events_teach_nothing() {
    let mut rated = dataset().clone();
    rated.rating = Some((0..rated.n_events()).map(|e| 1.0 + (e % 5) as f32).collect());
    for seen in [Seen::Keep, Seen::Filter] {
        held_out_events_teach_nothing_of(&rated, seen);
    }
}

fn held_out_events_teach_nothing_of(dataset: &Dataset, seen: Seen) {
    let replaced = |from_end: usize| {
        let mut other = dataset.clone();
        for user in 1..=other.n_users() {
            let at = other.events_of(user).end - from_end;
            other.item[at] = 1 + (other.item[at] + 6) % other.n_items() as u32;
            other.place.as_mut().expect("places")[at] = [53.0, 9.0];
            other.rating.as_mut().expect("ratings")[at] = 3.0;
            // The next event has to stay the next: a validation event may move half the way to it.
            let later = if from_end == 1 { 5000 } else { (other.time[at + 1] - other.time[at]) / 2 };
            assert!(later > 0, "a time to move to");
            other.time[at] += later;
        }
        other
    };
    let run = |dataset: &Dataset| {
        let config = Config { request_time: true, neighbours: 0.3, ..config() };
        let mut trainer = Trainer::new(gpu(), dataset, &config, &options(2), seen).expect("a trainer");
        trainer.run(None, &mut |_| ()).expect("training");
        let losses: Vec<f64> = trainer.state().history.iter().map(|r| r.loss).collect();
        let counted = trainer.model().catalogue().neighbours.clone();
        (bits(trainer.model()), trainer.state().clone(), (losses, counted))
    };
    let plain = run(dataset);
    let (weights, state, learned) = run(&replaced(1));
    assert!(weights == plain.0 && state == plain.1 && learned == plain.2, "the test event has leaked");
    let (_, state, learned) = run(&replaced(2));
    assert!(learned == plain.2, "the validation event has leaked");
    assert!(state != plain.1, "the validation event is what is validated");
}

/// What counts as liked follows from the ratings to learn from.
#[test]
fn held_out_ratings_move_no_threshold() {
    let mut rated = dataset().clone();
    rated.rating = Some((0..rated.n_events()).map(|e| (e % 5) as f32 + 1.0).collect());
    let like = options(1).like_from(&rated);
    for user in 1..=rated.n_users() {
        let end = rated.events_of(user).end;
        rated.rating.as_mut().expect("ratings")[end - 2..end].copy_from_slice(&[1000.0, -1000.0]);
    }
    assert_eq!((like, options(1).like_from(&rated)), (Some(4.0), Some(4.0)));
}

/// The order of lines carries nothing where times are distinct: the same split, by name, and the same baselines.
#[test]
fn the_order_of_lines_changes_nothing() {
    let d = dataset();
    let line = |(user, event): (usize, usize)| {
        let name = |i: u32| &d.items[i as usize - 1];
        format!("{},\"{}\",{}", d.users[user - 1], name(d.item[event]), d.time[event])
    };
    let all = (1..=d.n_users()).flat_map(|u| d.events_of(u).map(move |e| (u, e)));
    let mut lines: Vec<String> = all.map(line).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let measured = |lines: &[String]| {
        let path = folder.path().join("events.csv");
        std::fs::write(&path, format!("user,item,time\n{}\n", lines.join("\n"))).expect("write");
        let (d, report) = prepare(&PrepareOptions { files: vec![path], ..PrepareOptions::default() }).expect("events");
        assert_eq!(report.ties, 0, "times are distinct");
        let names = |events: std::ops::Range<usize>| -> Vec<String> {
            d.item[events].iter().map(|i| d.items[*i as usize - 1].clone()).collect()
        };
        let mut split = BTreeMap::new();
        for user in 1..=d.n_users() {
            split.insert(d.users[user - 1].clone(), (names(training_events(&d, user)), Vec::new()));
        }
        for seen in [Seen::Keep, Seen::Filter] {
            let cases = cases(&d, Split::Test);
            for (_, ranked) in Baselines::new(&d).all(&cases, seen) {
                for (case, rank) in cases.iter().zip(ranked.ranks) {
                    let of_user = split.get_mut(&d.users[case.user as usize - 1]).expect("a user");
                    of_user.1.push((names(case.target..case.target + 1), rank));
                }
            }
        }
        split
    };
    let before = measured(&lines);
    assert_eq!(before.len(), d.n_users());
    lines.reverse();
    lines.rotate_left(321);
    assert_eq!(measured(&lines), before);
}
