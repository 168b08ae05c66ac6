//! Counted neighbours beside the network: they come along with the model, and its ranking gains by them.

use crate::{config, dataset, gpu, options};
use desirepath::eval::metrics::Measure;
use desirepath::eval::{Seen, Split, cases, rank, training_events};
use desirepath::model::{Config, Model, Neighbours};
use desirepath::train::{Checkpoint, ItemBits, State, Trainer, UpdateOptions, export};
use std::path::Path;

fn with_neighbours() -> Config {
    Config { neighbours: 0.5, ..config() }
}

fn losses(state: &State) -> Vec<f64> {
    state.history.iter().map(|report| report.loss).collect()
}

fn trained(out: &Path) -> Checkpoint {
    let mut trainer = Trainer::new(gpu(), dataset(), &with_neighbours(), &options(2), Seen::Keep).expect("a trainer");
    trainer.run(Some(out), &mut |_| ()).expect("training");
    Checkpoint::open(out).expect("a checkpoint")
}

fn loaded(checkpoint: &Checkpoint) -> Model {
    checkpoint.load(gpu(), &checkpoint.data().expect("data")).expect("a model")
}

fn counted(model: &Model) -> &Neighbours {
    model.catalogue().neighbours.as_deref().expect("neighbours")
}

fn ranks(model: &Model) -> Vec<u32> {
    let cases = cases(dataset(), Split::Test);
    rank(model, dataset(), &cases, Seen::Keep, false, &mut |_| ()).expect("ranks").ranks
}

#[test]
fn what_was_counted_comes_along() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = trained(&folder.path().join("model"));
    let model = loaded(&checkpoint);
    let histories: Vec<&[u32]> =
        (1..=dataset().n_users()).map(|user| &dataset().item[training_events(dataset(), user)]).collect();
    assert_eq!(*counted(&model), Neighbours::count(dataset().n_items(), &histories));
    let out = folder.path().join("exported");
    export(gpu(), &checkpoint, ItemBits::F32, &out).expect("exported");
    assert_eq!(ranks(&loaded(&Checkpoint::open(&out).expect("a checkpoint"))), ranks(&model));
}

/// Training does not know of them: it goes the same way, and after so little of it they rank better.
#[test]
fn they_help_a_network_that_has_learned_little() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = trained(&folder.path().join("with"));
    let with = ranks(&loaded(&checkpoint));
    let mut trainer = Trainer::new(gpu(), dataset(), &config(), &options(2), Seen::Keep).expect("a trainer");
    trainer.run(None, &mut |_| ()).expect("training");
    assert_eq!(losses(&checkpoint.state().expect("its state")), losses(trainer.state()));
    let without = ranks(trainer.model());
    let ndcg = |ranks: &[u32]| Measure::Ndcg(10).mean(ranks);
    assert!(ndcg(&with) > ndcg(&without), "{:.4} with, {:.4} without", ndcg(&with), ndcg(&without));
}

/// An update counts everything that is known by then, also for items that are new.
#[test]
fn an_update_counts_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = trained(&folder.path().join("model"));
    let mut new = dataset().clone();
    new.items[4] = "a place that opened today".into();
    new.time.iter_mut().for_each(|t| *t += 400 * 86_400);
    let old = checkpoint.data().expect("data");
    let (all, fresh, _) = old.merged(&new, Path::new("new")).expect("joined");
    let how = UpdateOptions { epochs: 1, ..UpdateOptions::default() };
    let trainer = Trainer::update(gpu(), &all, &fresh, &checkpoint, &how).expect("a trainer");
    let opened = (1..=all.n_items()).find(|i| all.items[i - 1] == new.items[4]).expect("the new place") as u32;
    let model = trainer.model();
    assert!(counted(model).of(opened).next().is_some(), "nobody had anything near the new place");
    assert!(counted(&loaded(&checkpoint)).of(opened).next().is_none());
}

#[test]
fn damaged_counts_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = trained(&folder.path().join("model"));
    let file = checkpoint.folder().join("neighbours.safetensors");
    let whole = std::fs::read(&file).expect("the file");
    let error = || {
        let data = checkpoint.data().expect("data");
        checkpoint.load(gpu(), &data).map(drop).expect_err("a damaged file was taken").to_string()
    };
    std::fs::write(&file, &whole[..whole.len() - 4]).expect("write");
    assert!(error().contains("damaged or cut short"), "{}", error());
    // A neighbour that is no item.
    let mut bytes = whole.clone();
    let name = b"\"items\"";
    let at = bytes.windows(name.len()).position(|w| w == name).expect("the items");
    let header = String::from_utf8_lossy(&bytes[at..at + 200]).to_string();
    let offset: usize = header
        .split("data_offsets\":[")
        .nth(1)
        .and_then(|s| s.split(',').next())
        .expect("offsets")
        .parse()
        .expect("a number");
    let start = 8 + u64::from_le_bytes(whole[..8].try_into().expect("eight")) as usize + offset;
    bytes[start..start + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    std::fs::write(&file, &bytes).expect("write");
    assert!(error().contains("an item that is none"), "{}", error());
    std::fs::remove_file(&file).expect("removed");
    assert!(error().contains("neighbours.safetensors"), "{}", error());
}
