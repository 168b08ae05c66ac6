//! Items that are scored by other vectors than those they are read by: trained, exported, served and updated.

use crate::{config, dataset, gpu, options};
use desirepath::data::Dataset;
use desirepath::eval::Seen;
use desirepath::model::{Config, History, NewItem, Recommendation, Request, Serving};
use desirepath::train::{Checkpoint, ItemBits, Trainer, UpdateOptions, export, history};
use std::path::Path;

fn untied() -> Config {
    Config { tied: false, ..config() }
}

fn trained(dataset: &Dataset, out: &Path) -> Checkpoint {
    let mut trainer = Trainer::new(gpu(), dataset, &untied(), &options(2), Seen::Keep).expect("a trainer");
    trainer.run(Some(out), &mut |_| ()).expect("training");
    Checkpoint::open(out).expect("a checkpoint")
}

fn served(checkpoint: &Checkpoint, spare: usize) -> Serving {
    let model = checkpoint.load(gpu(), &checkpoint.data().expect("data")).expect("a model");
    Serving::new(model, spare).expect("it serves")
}

fn pasts() -> Vec<History<'static>> {
    let past = |user: u32| history(dataset(), user, dataset().events_of(user as usize), Request::default());
    (1..=9).map(|user| past(user).last(10)).collect()
}

fn lists(serving: &Serving) -> Vec<Vec<Recommendation>> {
    serving.recommend(&pasts(), &vec![Vec::new(); 9], 10).expect("lists")
}

fn items(lists: &[Vec<Recommendation>]) -> Vec<Vec<u32>> {
    lists.iter().map(|list| list.iter().map(|r| r.item).collect()).collect()
}

#[test]
fn an_exported_model_recommends_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = trained(dataset(), &folder.path().join("model"));
    let whole = served(&checkpoint, 0);
    let expected = lists(&whole);
    for (bits, close) in [(ItemBits::F32, 1e-5), (ItemBits::F16, 1e-2), (ItemBits::Int8, 0.1)] {
        let out = folder.path().join(format!("{bits:?}"));
        export(gpu(), &checkpoint, bits, &out).expect("exported");
        let exported = served(&Checkpoint::open(&out).expect("a checkpoint"), 0);
        let got = lists(&exported);
        let scores = got.iter().flatten().zip(expected.iter().flatten());
        let worst = scores.map(|(a, b)| (a.score - b.score).abs()).fold(0.0, f32::max);
        assert!(worst < close, "{bits:?}: scores differ by {worst}");
        if bits == ItemBits::F32 {
            assert_eq!(items(&got), items(&expected));
        }
    }
}

/// A new item is like the mean of its kind on both sides: it is recommended, and an event with it counts.
#[test]
fn new_items_join_on_both_sides() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = trained(dataset(), &folder.path().join("model"));
    let (plain, mut serving) = (served(&checkpoint, 0), served(&checkpoint, 3));
    assert_eq!(items(&lists(&serving)), items(&lists(&plain)), "free rows are no items");
    let id = serving.put(None, &NewItem { category: 1, ..NewItem::default() }).expect("it joins");
    assert_eq!(id as usize, dataset().n_items() + 1);
    let all = serving.recommend(&pasts(), &vec![Vec::new(); 9], 1000).expect("lists");
    // What is behind it are rows that no item has yet.
    let ranked = |list: &Vec<Recommendation>| list[..id as usize].iter().any(|r| r.item == id);
    assert!(all.iter().all(ranked), "it is no better than a free row");
    let with = |item: u32| {
        let past = pasts()[0].last(5);
        let columns = [past.items, &[item]].concat();
        let times = [past.times, &[past.times[4] + 60]].concat();
        let history = History { items: &columns, times: &times, places: None, ratings: None, ..past };
        serving.recommend(&[history], &[Vec::new()], 5).expect("a list").remove(0)
    };
    assert_ne!(with(id)[0].score, with(1)[0].score, "what was read counts");
}

/// The model of another day has more items: both sides grow.
#[test]
fn an_update_grows_both_sides() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = trained(dataset(), &folder.path().join("model"));
    let mut new = dataset().clone();
    new.items[4] = "a place that opened today".into();
    new.time.iter_mut().for_each(|t| *t += 400 * 86_400);
    let old = checkpoint.data().expect("data");
    let (all, fresh, _) = old.merged(&new, Path::new("new")).expect("joined");
    assert_eq!(all.n_items(), dataset().n_items() + 1);
    let how = UpdateOptions { epochs: 1, ..UpdateOptions::default() };
    let trainer = Trainer::update(gpu(), &all, &fresh, &checkpoint, &how).expect("a trainer");
    let before = checkpoint.load(gpu(), &old).expect("a model");
    for name in ["item.table", "item.output"] {
        let rows = |model: &desirepath::model::Model| -> Vec<f32> {
            let param = model.params().list().iter().find(|p| p.name == name).expect(name);
            param.tensor.to_vec().expect("read")
        };
        let (was, is) = (rows(&before), rows(trainer.model()));
        assert_eq!(is.len(), was.len() + 16, "{name}: one row more");
        assert!(is[was.len()..].iter().any(|v| *v != 0.0), "{name}: it starts as the mean of others");
    }
}

/// Ratings of another range join in an update: what counts as liked is still what the first training made of its own.
#[test]
fn an_update_keeps_what_counts_as_liked() {
    let folder = tempfile::tempdir().expect("a folder");
    let rated = |highest: usize| {
        let mut dataset = dataset().clone();
        dataset.rating = Some((0..dataset.n_events()).map(|e| 1.0 + (e % highest) as f32).collect());
        dataset
    };
    let checkpoint = trained(&rated(5), &folder.path().join("model"));
    let mut new = rated(9);
    new.time.iter_mut().for_each(|t| *t += 400 * 86_400);
    let old = checkpoint.data().expect("data");
    let (all, fresh, _) = old.merged(&new, Path::new("new")).expect("joined");
    let how = UpdateOptions { epochs: 1, ..UpdateOptions::default() };
    let mut trainer = Trainer::update(gpu(), &all, &fresh, &checkpoint, &how).expect("a trainer");
    let out = folder.path().join("updated");
    trainer.run(Some(&out), &mut |_| ()).expect("training");
    let updated = Checkpoint::open(&out).expect("a checkpoint");
    assert_eq!(checkpoint.options.like_from(&all), Some(7.0), "the range of all ratings is another");
    assert_eq!(updated.options.like_from(&all), Some(4.0));
}
