//! What an update is worth: a model trained on the events before a cut in time, the same updated with those that follow,
//! and one trained from nothing on both, each asked for the events after that. Every such event of a user with an
//! earlier one is a case (at most ten of a user), and the whole catalogue is ranked; an item that a model does not know
//! gets the last rank.
//!
//! `cargo bench --all-features --bench update -- DATASET [KEY=VALUE …]`, a folder that `prepare` wrote and settings of the
//! trainings.

use desirepath::data::Dataset;
use desirepath::eval::Seen;
use desirepath::eval::metrics::Metrics;
use desirepath::model::{Config, History, Model, Request};
use desirepath::train::{Checkpoint, TrainOptions, Trainer, UpdateOptions, known_user, set};
use desirepath::{Gpu, Result};
use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

/// Shares of the events that are old, and old or new.
const CUTS: [f64; 2] = [0.8, 0.9];
const CASES_OF_A_USER: usize = 10;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let Some(path) = args.next() else {
        println!("no dataset given: cargo bench --all-features --bench update -- DATASET [KEY=VALUE ...]");
        return Ok(());
    };
    let (mut config, mut options) = (Config::default(), TrainOptions::default());
    for pair in args {
        let (key, value) = pair.split_once('=').expect("KEY=VALUE");
        set(&mut config, &mut options, key, value)?;
    }
    let all = Dataset::load(Path::new(&path))?;
    let mut times = all.time.clone();
    times.sort_unstable();
    let cuts = CUTS.map(|share| times[(share * times.len() as f64) as usize]);
    let (old, new) = (between(&all, i64::MIN, cuts[0]), between(&all, cuts[0], cuts[1]));
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("model");
    let gpu = Gpu::new()?;
    let show = |name: &str, model: &Model, data: &Dataset, seconds: f64| -> Result<()> {
        let [every, joined] = judged(model, data, &all, cuts)?;
        let of = |m: &Metrics| ["hr@10", "ndcg@10"].map(|key| m.get(key).unwrap_or(f64::NAN));
        let ([hr, ndcg], [hr_joined, ndcg_joined]) = (of(&every), of(&joined));
        let (n, n_joined) = (every.cases, joined.cases);
        println!(
            "{name:<36}{n:>6} {hr:>7.4} {ndcg:>7.4}{n_joined:>9} {hr_joined:>7.4} {ndcg_joined:>7.4}{seconds:>7.0} s"
        );
        Ok(())
    };
    println!("{} old events, {} new ones; {}", old.n_events(), new.n_events(), gpu.info());
    println!("{:<36}{:>22}{:>25}", "", "all later events", "of users who just joined");
    println!("{:<36}{:>6} {:>7} {:>7}{:>9} {:>7} {:>7}", "", "cases", "hr@10", "ndcg@10", "cases", "hr@10", "ndcg@10");
    let started = Instant::now();
    let mut trainer = Trainer::new(&gpu, &old, &config, &options, Seen::Filter)?;
    trainer.run(Some(&out), &mut |_| ())?;
    show("not updated", trainer.model(), &old, started.elapsed().as_secs_f64())?;
    let from = Checkpoint::open(&out)?;
    let kept = from.data()?;
    let (both, is_new, _) = kept.merged(&new, Path::new(&path))?;
    for (epochs, share, mix) in
        [(3, 0.25, 1.0), (3, 0.25, 0.0), (3, 1.0, 1.0), (6, 0.25, 1.0), (6, 0.5, 1.0), (3, 0.5, 4.0)]
    {
        let how = UpdateOptions { epochs, lr: Some(share * options.lr), mix, seed: 1 };
        let started = Instant::now();
        let mut trainer = Trainer::update(&gpu, &both, &is_new, &from, &how)?;
        trainer.run(None, &mut |_| ())?;
        let name = format!("updated: {epochs} epochs, lr x{share}, mix {mix}");
        show(&name, trainer.model(), &both, started.elapsed().as_secs_f64())?;
    }
    let started = Instant::now();
    let mut trainer = Trainer::new(&gpu, &both, &config, &options, Seen::Filter)?;
    trainer.run(None, &mut |_| ())?;
    show("trained from nothing on both", trainer.model(), &both, started.elapsed().as_secs_f64())
}

/// The events from `from` on and before `to`, with the users and items that they have.
fn between(all: &Dataset, from: i64, to: i64) -> Dataset {
    let mut part = Dataset { offsets: vec![0], has_time: all.has_time, ..Dataset::default() };
    let mut id = vec![0u32; all.n_items() + 1];
    for user in 1..=all.n_users() {
        let events: Vec<usize> = all.events_of(user).filter(|e| (from..to).contains(&all.time[*e])).collect();
        if events.is_empty() {
            continue;
        }
        part.users.push(all.users[user - 1].clone());
        for event in events {
            let item = all.item[event] as usize;
            if id[item] == 0 {
                part.items.push(all.items[item - 1].clone());
                id[item] = part.items.len() as u32;
            }
            part.item.push(id[item]);
            part.time.push(all.time[event]);
        }
        part.offsets.push(part.item.len());
    }
    part
}

/// One question: a user's id in the model, the events before in its ids, the target (0 where it has none).
struct Question {
    user: u32,
    items: Vec<u32>,
    times: Vec<i64>,
    at: i64,
    target: u32,
    joined: bool,
}

/// The model, which learned from `data`, asked for the events of `all` from `cuts[1]` on: all of them, and those of users
/// who joined between the cuts.
fn judged(model: &Model, data: &Dataset, all: &Dataset, cuts: [i64; 2]) -> Result<[Metrics; 2]> {
    let ids = |names: &[String], of: &[String]| -> Vec<u32> {
        let known: HashMap<&String, u32> = of.iter().zip(1..).collect();
        names.iter().map(|name| known.get(name).copied().unwrap_or(0)).collect()
    };
    let (users, items) = (ids(&all.users, &data.users), ids(&all.items, &data.items));
    let mut questions = Vec::new();
    for user in 1..=all.n_users() {
        let events = all.events_of(user);
        let id = users[user - 1];
        let first = all.time[events.start];
        let later = events.clone().skip(1).filter(|e| all.time[*e] >= cuts[1]).take(CASES_OF_A_USER);
        for event in later {
            let known = (events.start..event).map(|e| (items[all.item[e] as usize - 1], all.time[e]));
            let (items_before, times) = known.filter(|(item, _)| *item > 0).unzip();
            questions.push(Question {
                user: if id > 0 { known_user(data, id) } else { 0 },
                items: items_before,
                times,
                at: all.time[event],
                target: items[all.item[event] as usize - 1],
                joined: (cuts[0]..cuts[1]).contains(&first),
            });
        }
    }
    questions.sort_by_key(|q| q.items.len());
    let mut ranks = vec![data.n_items() as u32; questions.len()]; // what a model cannot know comes last
    let can: Vec<usize> =
        (0..questions.len()).filter(|q| questions[*q].target > 0 && !questions[*q].items.is_empty()).collect();
    for chunk in can.chunks(128) {
        let asked = || chunk.iter().map(|q| &questions[*q]);
        let histories: Vec<History> = asked().map(Question::history).collect();
        let targets: Vec<u32> = asked().map(|q| q.target).collect();
        let exclude: Vec<Vec<u32>> = asked().map(|q| q.items.clone()).collect();
        chunk.iter().zip(model.ranks(&histories, &targets, &exclude)?).for_each(|(q, rank)| ranks[*q] = rank);
    }
    let joined: Vec<u32> = questions.iter().zip(&ranks).filter(|(q, _)| q.joined).map(|(_, rank)| *rank).collect();
    Ok([Metrics::of_ranks(&ranks, 1), Metrics::of_ranks(&joined, 1)])
}

impl Question {
    fn history(&self) -> History<'_> {
        let request = Request { time: Some(self.at), place: None };
        History { user: self.user, items: &self.items, times: &self.times, places: None, ratings: None, request }
    }
}
